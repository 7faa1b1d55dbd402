/**
 * @file log_internal.h
 * A line of the log before it is written, for the tests.
 */
#ifndef COMMON_BASE_LOG_INTERNAL_H
#define COMMON_BASE_LOG_INTERNAL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/log.h"

/** Below PIPE_BUF, so that lines of several processes never mix. */
enum { LOG_LINE_MAX = 2048 };

/** The line with its end of line, not NUL-terminated. @return its bytes, at most LOG_LINE_MAX */
size_t log_line(char out[LOG_LINE_MAX], int64_t wall_ms, enum log_level level, const char *identity,
                const char *event, const char *fmt, va_list fields);

#endif
