#include "agent/app/screen.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/log.h"

static bool is_terminal;

void screen_open(void)
{
    is_terminal = isatty(STDOUT_FILENO) == 1;
    if (is_terminal && isatty(STDERR_FILENO) == 1) {
        log_erases_progress();
    }
}

enum { LINE_MAX_BYTES = 1024 };

static void put(const char *line, const char *end)
{
    (void)printf("%s%s%s", is_terminal ? "\033[K" : "", line, end);
    (void)fflush(stdout);
}

void screen_say(const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list words;
    va_start(words, fmt);
    (void)vsnprintf(line, sizeof line, fmt, words);
    va_end(words);
    put(line, "\n");
}

void screen_progress(const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list words;
    if (!is_terminal) {
        return;
    }
    va_start(words, fmt);
    (void)vsnprintf(line, sizeof line, fmt, words);
    va_end(words);
    put(line, "\r");
}
