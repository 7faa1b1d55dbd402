/* What each further hospital is worth: AUROC against how many train, on the same patients throughout. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report/chart_internal.h"
#include "sim/report/page_internal.h"

/* Okabe and Ito 2008: one for each finite epsilon, and a marker, hollow where noise is shared. Without noise
 * black, pooled green, as everywhere; pooled is drawn last, dashed and hollow, so that what it lies upon is seen. */
static const char *const colours[] = {"#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#E69F00"};
static const int filled[] = {7, 9, 11, 13, 15}, hollow[] = {6, 8, 10, 12, 14};
enum { COLOURS = sizeof colours / sizeof colours[0], COUNTS_MAX = 64 };

/* How many hospitals train in some row, ascending. */
struct counts {
    size_t n, at[COUNTS_MAX];
};

static int by_size(const void *left, const void *right)
{
    const size_t a = *(const size_t *)left, b = *(const size_t *)right;
    return (a > b) - (a < b);
}

static void count(const struct page_view *v, struct counts *out)
{
    *out = (struct counts){0};
    for (size_t i = 0; i < v->n; i++) {
        const size_t sites = v->summary[i].first_sites;
        bool there = sites == 0;
        for (size_t k = 0; k < out->n; k++) {
            there = there || out->at[k] == sites;
        }
        if (!there && out->n < COUNTS_MAX) {
            out->at[out->n++] = sites;
        }
    }
    qsort(out->at, out->n, sizeof out->at[0], by_size);
}

bool page_has_worth(const struct page_view *v)
{
    struct counts c;
    count(v, &c);
    return c.n > 1;
}

/* What is trained of all these patients in one way; hospitals alone test their own patients only. */
static bool is_drawn(const struct report_summary *s)
{
    return s->place == 0 && (page_same(s->mode, "federated") ||
                             (page_same(s->mode, "pooled") && page_same(s->noise, "none")));
}

static bool same_but_for_sites(const struct report_summary *a, const struct report_summary *b)
{
    const bool level = (isinf(a->epsilon) && isinf(b->epsilon)) ||
                       !(a->epsilon < b->epsilon || a->epsilon > b->epsilon);
    return page_same(a->mode, b->mode) && page_same(a->noise, b->noise) && level;
}

/* Distinct finite epsilons among the summaries before this one. */
static size_t rank_of(const struct page_view *v, const struct report_summary *s)
{
    size_t rank = 0;
    for (size_t i = 0; i < v->n; i++) {
        const double epsilon = v->summary[i].epsilon;
        bool seen = !isfinite(epsilon) || !(epsilon > s->epsilon);
        for (size_t k = 0; k < i; k++) {
            seen = seen || !(v->summary[k].epsilon < epsilon || v->summary[k].epsilon > epsilon);
        }
        rank += seen ? 0 : 1;
    }
    return rank;
}

static void dress(const struct page_view *v, const struct report_summary *s,
                  struct chart_series *out)
{
    char label[PAGE_LABEL_MAX];
    const bool pooled = page_same(s->mode, "pooled");
    const bool none = page_same(s->noise, "none");
    const bool shared = page_same(s->noise, "shared");
    const size_t k = rank_of(v, s) % COLOURS;
    page_label(s, label);
    *out = (struct chart_series){.bars = true};
    (void)snprintf(out->label, sizeof out->label, "%.*s", CHART_LABEL_MAX - 1, label);
    out->colour = pooled ? "#009E73" : none ? "#000000" : colours[k];
    out->marker = pooled ? 4 : none ? 5 : shared ? hollow[k] : filled[k];
    out->dash = pooled || shared ? 2 : 1;
}

/* The cell's means with so many hospitals. @return false: not asked for, or no AUROC */
static bool point_at(const struct page_view *v, const struct report_summary *like, size_t sites,
                     struct chart_point *out)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct report_summary *s = &v->summary[i];
        if (s->first_sites != sites || !same_but_for_sites(s, like) ||
            !report_summary_has_auroc(s)) {
            continue;
        }
        const bool one = s->n_seeds == 1; /* then DeLong's interval, as in the first figure */
        *out = (struct chart_point){.x = (double)sites,
                                    .y = s->auroc,
                                    .low = one ? s->auroc_low : s->auroc - s->auroc_sd,
                                    .high = one ? s->auroc_high : s->auroc + s->auroc_sd};
        return true;
    }
    return false;
}

/* A tic for each count; far apart they stand on a logarithmic axis. */
static void lay_out(const struct counts *n, struct chart *c, char *tics, size_t room)
{
    enum { FAR = 8 };
    const double first = (double)n->at[0], last = (double)n->at[n->n - 1];
    size_t used = 0;
    for (size_t i = 0; i < n->n && used + 24 < room; i++) {
        used += (size_t)snprintf(tics + used, room - used, "%s%zu", i > 0 ? ", " : "", n->at[i]);
    }
    c->x_tics = tics;
    c->log_x = last > FAR * first;
    c->x_low = c->log_x ? first / 1.15 : first - 0.04 * (last - first);
    c->x_high = c->log_x ? last * 1.15 : last + 0.04 * (last - first);
}

static void add_series(const struct page_view *v, const struct report_summary *s,
                       const struct counts *counts, struct chart_point *point, struct chart *c)
{
    const size_t before = c->n_points;
    for (size_t k = 0; c->n_series < CHART_SERIES_MAX && k < counts->n; k++) {
        struct chart_point *at = &point[c->n_points];
        if (point_at(v, s, counts->at[k], at)) {
            at->series = c->n_series;
            c->n_points++;
        }
    }
    if (c->n_points > before) {
        dress(v, s, &c->series[c->n_series++]);
    }
}

enum rc page_draw_worth(const struct page_view *v, const char *path, struct error *err)
{
    struct counts counts;
    char tics[24 * COUNTS_MAX] = "";
    bool one = false;
    for (size_t i = 0; i < v->n; i++) {
        one = one || v->summary[i].n_seeds == 1;
    }
    struct chart c = {.title = "What each further hospital is worth",
                      .x_label = "hospitals that train, the first of the roster",
                      .y_label = "AUROC of the patients of all hospitals",
                      .note = one ? "bars: 95 % interval of one model"
                                  : "bars: one standard deviation over seeds"};
    count(v, &counts);
    lay_out(&counts, &c, tics, sizeof tics);
    struct chart_point *point = calloc(v->n + 1, sizeof *point);
    if (point == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a chart of %zu points", v->n);
    }
    for (int pooled = 0; pooled < 2; pooled++) {
        for (size_t i = 0; i < v->n; i++) {
            if (is_drawn(&v->summary[i]) &&
                page_same(v->summary[i].mode, "pooled") == (pooled == 1)) {
                add_series(v, &v->summary[i], &counts, point, &c);
            }
        }
    }
    c.point = point;
    chart_fit(&c);
    const enum rc rc = chart_write(path, &c, err);
    free(point);
    return rc;
}
