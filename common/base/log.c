#include "common/base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log_internal.h"
#include "common/base/text.h"

/* Stands for the format's own quotes while the values are put in: a quote that comes with a value is
 * then told from them. */
enum { OWN_QUOTE = '\x01', FORMAT_MAX = 512 };

static const char erase[] = "\r\033[K";
static const char *identity_fields;
static bool erases_progress;

void log_identity(const char *fields)
{
    identity_fields = fields;
}

void log_erases_progress(void)
{
    erases_progress = true;
}

static size_t count(const char *text, char c)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += *text == c;
    }
    return n;
}

static void replace(char *text, char from, char to)
{
    for (; *text != '\0'; text++) {
        if (*text == from) {
            *text = to;
        }
    }
}

/* The fields as text. A quote inside a value would end it and begin a field of its own making, so it
 * becomes an apostrophe. @return false: cut */
static bool format_fields(char *out, size_t room, const char *fmt, va_list fields)
{
    char marked[FORMAT_MAX];
    const int n_fmt = snprintf(marked, sizeof marked, "%s", fmt);
    if (n_fmt < 0 || (size_t)n_fmt >= sizeof marked) {
        (void)snprintf(out, room, "format=too_long");
        return true;
    }
    replace(marked, '"', OWN_QUOTE);
    const size_t quotes = count(marked, OWN_QUOTE);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
    "-Wformat-nonliteral" /* the caller's was checked; only quotes differ */
    const int n = vsnprintf(out, room, marked, fields);
#pragma GCC diagnostic pop
    replace(out, '"', '\'');
    if (count(out, OWN_QUOTE) <= quotes) { /* else a value holds one: all become "?" */
        replace(out, OWN_QUOTE, '"');
    }
    text_make_printable(out);
    return n >= 0 && (size_t)n < room;
}

size_t log_line(char out[LOG_LINE_MAX], int64_t wall_ms, enum log_level level, const char *identity,
                const char *event, const char *fmt, va_list fields)
{
    static const char *const levels[] = {
        [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_ERROR] = "error"};
    static const char cut[] = "...";
    char text[LOG_LINE_MAX];
    char stamp[sizeof "2026-11-24T09:12:33"];
    struct tm utc = {0};
    const time_t seconds = (time_t)(wall_ms / 1000);

    (void)gmtime_r(&seconds, &utc);
    if (strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        stamp[0] = '\0';
    }
    const bool whole = format_fields(text, sizeof text, fmt, fields);
    const int n = snprintf(out, LOG_LINE_MAX, "%s.%03dZ %s %s%s%s%s%s", stamp,
                           (int)(wall_ms % 1000), levels[level], identity != NULL ? identity : "",
                           identity != NULL ? " " : "", event, text[0] != '\0' ? " " : "", text);
    size_t used = n > 0 ? (size_t)n : 0;
    if (used > LOG_LINE_MAX - sizeof cut || !whole) {
        used = LOG_LINE_MAX - sizeof cut;
        memcpy(out + used, cut, sizeof cut - 1);
        used += sizeof cut - 1;
    }
    out[used++] = '\n';
    return used;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    enum { ERASE = sizeof erase - 1 };
    char line[ERASE + LOG_LINE_MAX];
    va_list fields;
    va_start(fields, fmt);
    const size_t n =
        log_line(line + ERASE, clock_wall_ms(), level, identity_fields, event, fmt, fields);
    va_end(fields);
    memcpy(line, erase, ERASE);
    const size_t from = erases_progress ? 0 : ERASE;
    /* One call a line. Where stderr is gone there is nobody to tell. */
    const ssize_t written = write(STDERR_FILENO, line + from, ERASE - from + n);
    (void)written;
}
