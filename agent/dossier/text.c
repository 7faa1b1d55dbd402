/*
 * Names come from study documents, and in an edited ledger from anybody. A page must not run them, a spreadsheet
 * must not compute them, and nobody must be deceived by characters that cannot be seen.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/dossier/dossier_internal.h"

enum { REPLACEMENT = 0xFFFD };

/* ---- UTF-8 (RFC 3629) ------------------------------------------------------------------------ */

static bool is_seen(uint32_t c)
{
    return !(c < 0x20 || (c >= 0x7F && c < 0xA0) || /* controls */
             (c >= 0x200B && c <= 0x200F) ||        /* no width, direction */
             (c >= 0x2028 && c <= 0x202E) ||        /* lines, direction */
             (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || c == 0x061C || c == 0x00AD);
}

/* The character at *at, which moves behind it. One bad byte is one bad character. */
static uint32_t next_char(const char **at)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)*at;
    const size_t more = s[0] < 0x80   ? 0
                        : s[0] < 0xC0 ? 4
                        : s[0] < 0xE0 ? 1
                        : s[0] < 0xF0 ? 2
                        : s[0] < 0xF8 ? 3
                                      : 4;
    *at += 1;
    if (more == 4) {
        return REPLACEMENT;
    }
    uint32_t c = more == 0 ? s[0] : s[0] & (0x3Fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return REPLACEMENT; /* also at the end of the text */
        }
        c = c << 6 | (s[i] & 0x3Fu);
    }
    if (c < least[more] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return REPLACEMENT;
    }
    *at += more;
    return is_seen(c) ? c : REPLACEMENT;
}

static void put_char(FILE *f, uint32_t c)
{
    if (c < 0x80) {
        (void)fputc((int)c, f);
    } else if (c < 0x800) {
        (void)fprintf(f, "%c%c", (int)(0xC0 | c >> 6), (int)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        (void)fprintf(f, "%c%c%c", (int)(0xE0 | c >> 12), (int)(0x80 | (c >> 6 & 0x3F)),
                      (int)(0x80 | (c & 0x3F)));
    } else {
        (void)fprintf(f, "%c%c%c%c", (int)(0xF0 | c >> 18), (int)(0x80 | (c >> 12 & 0x3F)),
                      (int)(0x80 | (c >> 6 & 0x3F)), (int)(0x80 | (c & 0x3F)));
    }
}

/* ---- a page ---------------------------------------------------------------------------------- */

void text_html(FILE *f, const char *text)
{
    while (*text != '\0') {
        const uint32_t c = next_char(&text);
        if (c < 0x80 && strchr("&<>\"'", (int)c) != NULL) {
            (void)fprintf(f, "&#%u;", (unsigned)c);
        } else {
            put_char(f, c);
        }
    }
}

void text_htmlf(FILE *f, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_html(f, text);
}

/* ---- a table --------------------------------------------------------------------------------- */

/* + - = @ and their wide forms */
static bool begins_formula(uint32_t c)
{
    return c == '=' || c == '+' || c == '-' || c == '@' || c == 0xFF1D || c == 0xFF0B ||
           c == 0xFF0D || c == 0xFF20;
}

void text_csv(FILE *f, const char *text)
{
    bool begin = true;
    (void)fputc('"', f);
    while (*text != '\0') {
        const uint32_t c = next_char(&text);
        if (begin && begins_formula(c)) {
            (void)fputc('\'', f); /* spreadsheets: this is text */
        }
        begin = c == ';' || c == ',' || c == '|' || c == '"' || (begin && (c == ' ' || c == 0xA0));
        if (c == '"') {
            (void)fputc('"', f);
        }
        put_char(f, c);
    }
    (void)fputc('"', f);
}

/* ---- numbers, times, states ------------------------------------------------------------------- */

void text_time(char out[TEXT_TIME_MAX], int64_t ms)
{
    const time_t at = (time_t)(ms / 1000);
    struct tm tm = {0};
    char second[24];
    out[0] = '\0';
    if (ms >= 0 && gmtime_r(&at, &tm) != NULL && tm.tm_year < 8100 &&
        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &tm) > 0) {
        (void)snprintf(out, TEXT_TIME_MAX, "%s.%03dZ", second, (int)(ms % 1000));
    }
}

void text_number(char out[TEXT_NUMBER_MAX], double x)
{
    out[0] = '\0';
    if (isinf(x)) {
        (void)snprintf(out, TEXT_NUMBER_MAX, "%s", x > 0.0 ? "inf" : "-inf");
    }
    for (int digits = 6; isfinite(x) && digits <= 17; digits++) {
        (void)snprintf(out, TEXT_NUMBER_MAX, "%.*g", digits, x);
        const double back = strtod(out, NULL);
        if (memcmp(&back, &x, sizeof x) == 0) {
            return;
        }
    }
}

const char *text_noise(const struct ledger_study *s)
{
    if (s->shared) {
        return "shared";
    }
    return s->round.sigma > 0.0 ? "site" : "none";
}

const char *text_state(enum dossier_state state)
{
    switch (state) {
    case DOSSIER_RUNNING:
        return "running";
    case DOSSIER_DONE:
        return "done";
    case DOSSIER_FAILED:
        return "failed";
    case DOSSIER_WITHDRAWN:
        return "withdrawn";
    case DOSSIER_ENDED:
        return "ended";
    }
    return "";
}
