#include <math.h>
#include <string.h>

#include "sim/report/report_internal.h"

enum { COLUMNS = 8, CELL = 48, GAP = 2 };

struct line {
    char cell[COLUMNS][CELL];
};

static const struct line title = {
    {"mode", "noise", "epsilon", "AUROC [low, high]", "sd", "site mean", "seeds", "seconds"}};
static const bool to_left[COLUMNS] = {true, true};

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

static struct line line_of(const struct report_summary *s)
{
    struct line l = {0};
    (void)snprintf(l.cell[0], CELL, "%s", s->mode);
    (void)snprintf(l.cell[1], CELL, "%s", s->noise);
    if (isinf(s->epsilon)) {
        (void)snprintf(l.cell[2], CELL, "∞");
    } else {
        report_number(l.cell[2], s->epsilon);
    }
    if (report_summary_has_auroc(s)) {
        (void)snprintf(l.cell[3], CELL, "%.3f [%.3f, %.3f]", s->auroc, s->auroc_low, s->auroc_high);
    } else {
        (void)snprintf(l.cell[3], CELL, "-");
    }
    put_number(l.cell[4], s->n_seeds > 1 ? s->auroc_sd : (double)NAN, 3);
    put_number(l.cell[5], s->auroc_site_mean, 3);
    (void)snprintf(l.cell[6], CELL, "%zu", s->n_seeds);
    put_number(l.cell[7], s->seconds, 1);
    return l;
}

static void print_line(FILE *to, const struct line *l, const size_t width[COLUMNS])
{
    for (size_t c = 0; c < COLUMNS; c++) {
        const int pad = (int)(width[c] - width_of(l->cell[c]));
        if (!to_left[c]) {
            (void)fprintf(to, "%*s", pad, "");
        }
        (void)fprintf(to, "%s", l->cell[c]);
        if (c + 1 < COLUMNS) {
            (void)fprintf(to, "%*s", GAP + (to_left[c] ? pad : 0), "");
        }
    }
    (void)fputc('\n', to);
}

void report_print_table(FILE *to, const struct report_summary *s, size_t n)
{
    size_t width[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) {
        width[c] = width_of(title.cell[c]);
    }
    for (size_t i = 0; i < n; i++) {
        const struct line l = line_of(&s[i]);
        for (size_t c = 0; c < COLUMNS; c++) {
            const size_t w = width_of(l.cell[c]);
            width[c] = w > width[c] ? w : width[c];
        }
    }
    print_line(to, &title, width);
    for (size_t i = 0; i < n; i++) {
        const struct line l = line_of(&s[i]);
        print_line(to, &l, width);
    }
}
