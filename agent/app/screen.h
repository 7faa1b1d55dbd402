/**
 * @file screen.h
 * What `run` tells people on stdout. On a terminal a line of progress may stand there; whatever comes
 * next, also an event of either process on stderr, erases it first.
 */
#ifndef AGENT_APP_SCREEN_H
#define AGENT_APP_SCREEN_H

#include "common/base/error.h"

/** Before the two processes part: each of them may not ask any more what its stdout is. */
void screen_open(void);

/** One line, seen at once. */
void screen_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/** On a terminal, in place of the last one; elsewhere nothing: the log has the same. */
void screen_progress(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
