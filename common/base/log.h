/**
 * @file log.h
 * The programs' log: one line an event to stderr,
 *
 *   2026-11-24T09:12:33.123Z info round_opened study=heart round=3 sites=4
 *
 * Event names are unique in the tree (grep finds the line that wrote it). Free text stands in quotes
 * that the format brings; quotes within a value become apostrophes and control characters "?", so
 * that a peer's words forge neither a field nor a line. Only app/ folders call it. Never a patient's
 * value, a key or a gradient.
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include "common/base/error.h"

enum log_level { LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/** Put before every line's event, such as "site=va proc=trainer"; borrowed, NULL for none. */
void log_identity(const char *fields);

/** Stderr is a terminal, and somebody leaves a line of progress on it (a text and a carriage return):
 *  each event erases it first, so that the two never stand on one line. */
void log_erases_progress(void);

/**
 * One write(2), so lines of several processes do not mix; more than 2 KiB are cut with "...".
 * @param event lower_case_name
 * @param fmt   fields as key=value, or ""; around free text \"%s\"; at most 511 bytes
 */
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
