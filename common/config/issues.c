#include <assert.h>
#include <string.h>

#include "common/config/config.h"

/* Length of the well-formed printable UTF-8 character at s, or 0: control characters (C0, DEL, C1)
 * and broken sequences could forge or hide lines of a log. */
static size_t printable(const unsigned char *s)
{
    if (s[0] >= 0x20 && s[0] < 0x7f) {
        return 1;
    }
    const size_t n = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 4;
    if (s[0] < 0xc2 || s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0)) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) { /* also stops at the NUL of a cut text */
            return 0;
        }
    }
    return n;
}

static void make_printable(char *line)
{
    for (char *c = line; *c != '\0';) {
        const size_t n = printable((const unsigned char *)c);
        if (n == 0) {
            *c = '?';
        }
        c += n == 0 ? 1 : n;
    }
}

void config_issue(struct config_issues *issues, const struct config_node *at, const char *fmt, ...)
{
    assert(issues != NULL);
    const size_t i = issues->n++;
    if (i >= CONFIG_ISSUES_SHOWN) {
        return;
    }
    char what[sizeof issues->line[0]];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap); /* a long one is cut */
    va_end(ap);

    char *line = issues->line[i];
    const char *path = issues->path != NULL ? issues->path : "config";
    int n; /* a long one is cut here, too */
    if (at != NULL && at->line != 0) {
        n = snprintf(line, sizeof issues->line[0], "%s:%zu:%zu: error: %s", path, at->line,
                     at->column, what);
    } else {
        n = snprintf(line, sizeof issues->line[0], "%s: error: %s", path, what);
    }
    assert(n > 0);
    make_printable(line);
}

enum rc config_verdict(const struct config_issues *issues, struct error *err)
{
    if (issues->n == 0) {
        return RC_OK;
    }
    if (issues->n == 1) {
        return error_set(err, RC_INVALID, "%s", issues->line[0]);
    }
    return error_set(err, RC_INVALID, "%.200s (and %zu more)", issues->line[0], issues->n - 1);
}

void config_print_issues(const struct config_issues *issues, FILE *to)
{
    for (size_t i = 0; i < issues->n && i < CONFIG_ISSUES_SHOWN; i++) {
        (void)fprintf(to, "%s\n", issues->line[i]);
    }
    if (issues->n > CONFIG_ISSUES_SHOWN) {
        (void)fprintf(to, "… and %zu more\n", issues->n - CONFIG_ISSUES_SHOWN);
    }
}
