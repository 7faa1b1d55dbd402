#include "sim/app/page_attacks.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096, COLUMNS_MAX = 64 };

/* What the page needs, by its name in the heading. */
enum column {
    NOISE,
    EPSILON,
    DELTA,
    SUBJECT,
    VIEW,
    METHOD,
    REFERENCES,
    IN,
    OUT,
    TPR,
    TPR_LOW,
    TPR_HIGH,
    BOUND,
    EPSILON_LOW,
    COLUMNS
};
static const char *const column_name[COLUMNS] = {
    "noise", "epsilon", "delta", "subject", "view",     "method",    "references",
    "in",    "out",     "tpr",   "tpr_low", "tpr_high", "tpr_bound", "epsilon_low",
};

/* Cuts a line of a CSV file (RFC 4180, nothing over two lines) in place. @return cells */
static size_t cut(char *line, char *cell[COLUMNS_MAX])
{
    size_t n = 0;
    char *from = line;
    line[strcspn(line, "\r\n")] = '\0';
    while (n < COLUMNS_MAX) {
        char *to = from;
        char *begun = from;
        const bool quoted = *from == '"';
        from += quoted ? 1 : 0;
        while (*from != '\0' && (quoted ? !(from[0] == '"' && from[1] != '"') : *from != ',')) {
            from += quoted && *from == '"' ? 1 : 0; /* "" is one quote */
            *to++ = *from++;
        }
        from += quoted && *from == '"' ? 1 : 0;
        const char end = *from;
        *to = '\0';
        cell[n++] = begun;
        if (end != ',') {
            break;
        }
        from++;
    }
    return n;
}

static bool read_number(const char *text, double *out)
{
    char *end = NULL;
    *out = text[0] == '\0' ? (double)NAN : strtod(text, &end);
    return text[0] == '\0' || (end != text && *end == '\0');
}

static bool read_row(char *const cell[COLUMNS], struct report_attack *a)
{
    double in = 0.0, out = 0.0, references = 0.0;
    const struct {
        enum column column;
        double *to;
    } number[] = {{EPSILON, &a->epsilon},
                  {DELTA, &a->delta},
                  {REFERENCES, &references},
                  {IN, &in},
                  {OUT, &out},
                  {TPR, &a->tpr.value},
                  {TPR_LOW, &a->tpr.low},
                  {TPR_HIGH, &a->tpr.high},
                  {BOUND, &a->bound},
                  {EPSILON_LOW, &a->epsilon_low}};
    bool good = true;
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        good = read_number(cell[number[i].column], number[i].to) && good;
    }
    (void)snprintf(a->noise, sizeof a->noise, "%s", cell[NOISE]);
    (void)snprintf(a->subject, sizeof a->subject, "%s", cell[SUBJECT]);
    (void)snprintf(a->view, sizeof a->view, "%s", cell[VIEW]);
    (void)snprintf(a->method, sizeof a->method, "%s", cell[METHOD]);
    good = good && in >= 0.0 && out >= 0.0 && in + out < 1e15;
    good = good && references >= 0.0 && references < 1e15;
    a->references = good ? (size_t)references : 0;
    a->trials = good ? (size_t)(in + out) : 0;
    return good;
}

/* place[c] = where column c stands. */
static bool read_heading(char *line, size_t place[COLUMNS])
{
    char *cell[COLUMNS_MAX];
    const size_t n = cut(line, cell);
    for (size_t c = 0; c < COLUMNS; c++) {
        place[c] = 0;
        while (place[c] < n && strcmp(cell[place[c]], column_name[c]) != 0) {
            place[c]++;
        }
        if (place[c] == n) {
            return false;
        }
    }
    return true;
}

enum rc page_attacks_read(const char *folder, struct report_attack *out, size_t *n,
                          struct error *err)
{
    char path[4096], line[LINE_MAX_BYTES];
    size_t place[COLUMNS], found = 0, at = 1;
    enum rc rc = RC_OK;
    if (snprintf(path, sizeof path, "%s/attacks.csv", folder) >= (int)sizeof path) {
        return error_set(err, RC_LIMIT, "the folder's name is too long");
    }
    FILE *f = fopen(path, "re");
    if (f == NULL && errno == ENOENT) {
        *n = 0;
        return RC_OK;
    }
    if (f == NULL) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    bool good = fgets(line, sizeof line, f) != NULL && read_heading(line, place);
    while (good && found < PAGE_ATTACKS_MAX && fgets(line, sizeof line, f) != NULL) {
        char *cell[COLUMNS_MAX], *wanted[COLUMNS];
        const size_t cells = cut(line, cell);
        at++;
        for (size_t c = 0; good && c < COLUMNS; c++) {
            good = place[c] < cells;
            wanted[c] = good ? cell[place[c]] : NULL;
        }
        out[found] = (struct report_attack){0};
        good = good && read_row(wanted, &out[found]);
        found += good ? 1 : 0;
    }
    if (!good) {
        rc = error_set(
            err, RC_FORMAT,
            "'%s', line %zu: not what wardround-sim attack writes; move the file away, or "
            "attack again with --out",
            path, at);
    } else {
        *n = found;
    }
    (void)fclose(f);
    return rc;
}
