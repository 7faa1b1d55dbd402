#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report/report_internal.h"

enum { COLUMNS = 9, CELL = REPORT_PATTERN_MAX, GAP = 2, LEFT = 4 };

struct line {
    char cell[COLUMNS][CELL];
};

/* Lines that stand under each other; a column without a title is not shown. */
struct table {
    size_t n;
    struct line *line; /* [n], the first is the title */
    bool to_left[COLUMNS];
};

/* Characters, not bytes: the sign for infinity takes three. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xC0u) != 0x80u;
    }
    return n;
}

static void put_number(char cell[CELL], double x, int decimals)
{
    if (isnan(x)) {
        (void)snprintf(cell, CELL, "-");
    } else {
        (void)snprintf(cell, CELL, "%.*f", decimals, x);
    }
}

static void put_interval(char cell[CELL], bool exists, const struct interval *x)
{
    if (exists) {
        (void)snprintf(cell, CELL, "%.3f [%.3f, %.3f]", x->value, x->low, x->high);
    } else {
        (void)snprintf(cell, CELL, "-");
    }
}

static bool has_ablations(const struct report_summary *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i].place > 0 || strcmp(s[i].ablation, s[0].ablation) != 0) {
            return true;
        }
    }
    return false;
}

/* The first four columns: which cell it is. */
static void put_cell(struct line *l, const struct report_summary *s, bool ablations)
{
    (void)snprintf(l->cell[0], CELL, "%s", ablations ? s->ablation : "");
    (void)snprintf(l->cell[1], CELL, "%s", s->mode);
    (void)snprintf(l->cell[2], CELL, "%s", s->noise);
    if (isinf(s->epsilon)) {
        (void)snprintf(l->cell[3], CELL, "∞");
    } else {
        report_number(l->cell[3], s->epsilon);
    }
}

static void put_title(struct line *l, bool ablations, const char *const word[COLUMNS - LEFT])
{
    (void)snprintf(l->cell[0], CELL, "%s", ablations ? "ablation" : "");
    (void)snprintf(l->cell[1], CELL, "mode");
    (void)snprintf(l->cell[2], CELL, "noise");
    (void)snprintf(l->cell[3], CELL, "epsilon");
    for (size_t c = LEFT; c < COLUMNS; c++) {
        (void)snprintf(l->cell[c], CELL, "%s", word[c - LEFT]);
    }
}

static void print(FILE *to, const struct table *t)
{
    size_t width[COLUMNS] = {0};
    size_t last = 0;
    for (size_t c = 0; c < COLUMNS; c++) {
        for (size_t i = 0; i < t->n; i++) {
            const size_t w = width_of(t->line[i].cell[c]);
            width[c] = w > width[c] ? w : width[c];
        }
        last = t->line[0].cell[c][0] != '\0' ? c : last;
    }
    for (size_t i = 0; i < t->n; i++) {
        for (size_t c = 0; c <= last; c++) {
            const char *cell = t->line[i].cell[c];
            const int pad = (int)(width[c] - width_of(cell));
            if (t->line[0].cell[c][0] == '\0') {
                continue;
            }
            (void)fprintf(to, "%*s%s", t->to_left[c] ? 0 : pad, "", cell);
            if (c < last) {
                (void)fprintf(to, "%*s", GAP + (t->to_left[c] ? pad : 0), "");
            }
        }
        (void)fputc('\n', to);
    }
}

void report_print_table(FILE *to, const struct report_summary *s, size_t n)
{
    static const char *const title[] = {"AUROC [low, high]", "sd", "site mean", "seeds", "seconds"};
    struct table t = {.to_left = {true, true, true}, .line = calloc(n + 1, sizeof *t.line)};
    const bool ablations = has_ablations(s, n);
    if (t.line == NULL) {
        (void)fprintf(to, "no memory for a table of %zu lines\n", n);
        return;
    }
    put_title(&t.line[t.n++], ablations, title);
    for (size_t i = 0; i < n; i++) {
        struct line *l = &t.line[t.n++];
        const struct interval auroc = {s[i].auroc, s[i].auroc_low, s[i].auroc_high};
        put_cell(l, &s[i], ablations);
        put_interval(l->cell[4], report_summary_has_auroc(&s[i]), &auroc);
        put_number(l->cell[5], s[i].n_seeds > 1 ? s[i].auroc_sd : (double)NAN, 3);
        put_number(l->cell[6], s[i].auroc_site_mean, 3);
        (void)snprintf(l->cell[7], CELL, "%zu", s[i].n_seeds);
        put_number(l->cell[8], s[i].seconds, 1);
    }
    print(to, &t);
    free(t.line);
}

/* ---- per set of modalities -------------------------------------------------------------------- */

/* Means over the rows of a cell that have the figure; whether one has. */
static bool mean_of(const struct report_summary *s, const struct report_row *row, size_t n,
                    size_t pattern, struct interval *mean, double *sd)
{
    double squares = 0.0;
    size_t count = 0;
    *mean = (struct interval){0};
    for (size_t i = 0; i < n; i++) {
        const struct report_pattern *p = &row[i].pattern[pattern];
        if (report_summary_has(s, &row[i]) && p->has_auroc) {
            count++;
            const double from =
                p->auroc.value - mean->value; /* Welford: mean and squares in one go */
            mean->value += from / (double)count;
            mean->low += (p->auroc.low - mean->low) / (double)count;
            mean->high += (p->auroc.high - mean->high) / (double)count;
            squares += from * (p->auroc.value - mean->value);
        }
    }
    *sd = count > 1 ? sqrt(squares / (double)(count - 1)) : (double)NAN;
    return count > 0;
}

/* The first row of a cell, or NULL. */
static const struct report_row *row_of(const struct report_summary *s, const struct report_row *row,
                                       size_t n)
{
    size_t i = 0;
    while (i < n && !report_summary_has(s, &row[i])) {
        i++;
    }
    return i < n ? &row[i] : NULL;
}

void report_print_patterns(FILE *to, const struct report_summary *s, size_t n,
                           const struct report_row *row, size_t n_rows)
{
    static const char *const title[] = {"modalities", "patients", "positives", "AUROC [low, high]",
                                        "sd"};
    const size_t patterns = n_rows > 0 ? row[0].n_patterns : 0;
    struct table t = {.to_left = {true, true, true, false, true}};
    const bool ablations = has_ablations(s, n);
    if (patterns == 0) {
        return;
    }
    t.line = calloc(n * patterns + 1, sizeof *t.line);
    if (t.line == NULL) {
        (void)fprintf(to, "no memory for a table of %zu lines\n", n * patterns);
        return;
    }
    put_title(&t.line[t.n++], ablations, title);
    for (size_t i = 0; i < n; i++) {
        const struct report_row *first = row_of(&s[i], row, n_rows);
        for (size_t k = 0; first != NULL && k < patterns; k++) {
            struct line *l = &t.line[t.n++];
            struct interval mean;
            double sd;
            const bool exists = mean_of(&s[i], row, n_rows, k, &mean, &sd);
            put_cell(l, &s[i], ablations);
            (void)snprintf(l->cell[4], CELL, "%s", first->pattern[k].name);
            (void)snprintf(l->cell[5], CELL, "%zu", first->pattern[k].n_patients);
            (void)snprintf(l->cell[6], CELL, "%zu", first->pattern[k].n_positive);
            put_interval(l->cell[7], exists, &mean);
            if (!exists) {
                (void)snprintf(l->cell[7], CELL, "%s",
                               first->pattern[k].n_patients == 0 ? "nobody" : "one class only");
            }
            put_number(l->cell[8], sd, 3);
        }
    }
    print(to, &t);
    free(t.line);
}
