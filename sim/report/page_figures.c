/* ROC, calibration and attack success as charts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report/chart_internal.h"
#include "sim/report/page_internal.h"

/* Okabe and Ito 2008, dark ones first; markers and dashes differ, too, for print in grey. */
static const char *const colours[] = {"#000000", "#0072B2", "#D55E00", "#009E73",
                                      "#CC79A7", "#56B4E9", "#E69F00", "#8C8C00"};
static const int markers[] = {7, 5, 9, 11, 13, 6, 4, 8};
enum { COLOURS = sizeof colours / sizeof colours[0], LEAST_IN_A_BIN = 20 };

static enum rc room_for(size_t n, struct chart_point **out, struct error *err)
{
    *out = calloc(n + 1, sizeof **out);
    return *out != NULL ? RC_OK
                        : error_set(err, RC_NOMEM, "no memory for a chart of %zu points", n);
}

/* The points, which are freed, as a picture. */
static enum rc finish(enum rc rc, struct chart *c, struct chart_point *point, const char *path,
                      struct error *err)
{
    c->point = point;
    if (rc == RC_OK) {
        rc = chart_write(path, c, err);
    }
    free(point);
    return rc;
}

/* A series of its own for a cell that is shown, named with its figure. @return false: none */
static bool begin_series(struct chart *c, const struct page_cell *cell, const char *what,
                         double figure)
{
    const size_t k = c->n_series;
    char label[PAGE_LABEL_MAX], text[PAGE_LABEL_MAX + 32];
    if (k == CHART_SERIES_MAX || !page_is_shown(cell)) {
        return false;
    }
    struct chart_series *s = &c->series[c->n_series++];
    page_label(cell->s, label);
    (void)snprintf(text, sizeof text, "%s: %s%.3f", label, what, figure);
    (void)snprintf(s->label, sizeof s->label, "%.*s", CHART_LABEL_MAX - 1, text);
    s->colour = colours[k % COLOURS];
    s->marker = markers[k % COLOURS];
    s->dash = k < COLOURS ? 1 : 2;
    return true;
}

enum rc page_draw_roc(const struct page_view *v, const char *path, struct error *err)
{
    struct chart c = {.title = "Receiver operating characteristic",
                      .x_label = "1 − specificity",
                      .y_label = "sensitivity",
                      .note = "from histograms of the scores, mean over seeds",
                      .diagonal = true,
                      .x_high = 1.0,
                      .y_high = 1.0,
                      .y_step = 0.2};
    struct chart_point *point = NULL;
    enum rc rc = room_for(v->n * (EVALUATION_BINS_MAX + 1), &point, err);
    for (size_t i = 0; rc == RC_OK && i < v->n; i++) {
        const struct evaluation *e = &v->cell[i].e;
        const size_t series = c.n_series;
        if (!begin_series(&c, &v->cell[i], "", v->cell[i].s->auroc)) {
            continue;
        }
        c.series[series].marker = 0;
        double x = 0.0, y = 0.0;
        for (size_t j = e->bins + 1; j-- > 0;) {
            point[c.n_points++] = (struct chart_point){series, x, y, (double)NAN, (double)NAN};
            if (j > 0) {
                x += e->clean[EVALUATION_WELL][j - 1] / e->n[EVALUATION_WELL];
                y += e->clean[EVALUATION_ILL][j - 1] / e->n[EVALUATION_ILL];
            }
        }
    }
    return finish(rc, &c, point, path, err);
}

enum rc page_draw_calibration(const struct page_view *v, const char *path, struct error *err)
{
    struct chart c = {.title = "Calibration",
                      .x_label = "predicted risk, mean of a tenth of the scale",
                      .y_label = "observed share",
                      .note =
                          "bars: 95 % interval; tenths with fewer than 20 patients are left out",
                      .diagonal = true,
                      .x_high = 1.0,
                      .y_high = 1.0,
                      .y_step = 0.2};
    struct chart_point *point = NULL;
    enum rc rc = room_for(v->n * EVALUATION_DECILES, &point, err);
    for (size_t i = 0; rc == RC_OK && i < v->n; i++) {
        const size_t series = c.n_series;
        if (!begin_series(&c, &v->cell[i], "ECE ", v->cell[i].s->ece)) {
            continue;
        }
        c.series[series].bars = true;
        for (size_t k = 0; k < EVALUATION_DECILES; k++) {
            const struct evaluation_group *g = &v->cell[i].e.decile[k];
            if (g->n >= LEAST_IN_A_BIN && isfinite(g->observed.value)) {
                point[c.n_points++] = (struct chart_point){series, g->predicted, g->observed.value,
                                                           g->observed.low, g->observed.high};
            }
        }
    }
    return finish(rc, &c, point, path, err);
}

/* ---- learning curves ---------------------------------------------------------------------------- */

/* Mean and deviation over the cell's seeds at point k. @return false: none has a number there */
static bool learned(const struct page_view *v, const struct report_summary *s, size_t k,
                    struct chart_point *out)
{
    double sum = 0.0, squares = 0.0;
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < v->page->n_rows; i++) {
            const struct report_row *row = &v->page->row[i];
            if (!report_summary_has(s, row) || k >= row->n_curve ||
                !isfinite(row->curve[k].auroc)) {
                continue;
            }
            const double x = row->curve[k].auroc;
            if (pass == 0) {
                out->x = (double)row->curve[k].round;
                sum += x;
                n++;
            } else {
                squares += (x - sum / (double)n) * (x - sum / (double)n);
            }
        }
    }
    out->y = n > 0 ? sum / (double)n : (double)NAN;
    out->low = n > 1 ? out->y - sqrt(squares / (double)(n - 1)) : (double)NAN;
    out->high = n > 1 ? out->y + sqrt(squares / (double)(n - 1)) : (double)NAN;
    return n > 0;
}

bool page_has_curves(const struct page_view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct report_row *row = page_row(v, v->cell[i].s);
        struct chart_point unused;
        for (size_t k = 0; page_is_shown(&v->cell[i]) && k < row->n_curve; k++) {
            if (learned(v, v->cell[i].s, k, &unused)) {
                return true;
            }
        }
    }
    return false;
}

enum rc page_draw_learning(const struct page_view *v, const char *path, struct error *err)
{
    struct chart c = {.title = "Learning curves",
                      .x_label = "round",
                      .y_label = "AUROC of patients who are not trained on",
                      .note = "mean over folds and seeds; in the key: after the last round"};
    struct chart_point *point = NULL;
    size_t most = 0;
    for (size_t i = 0; i < v->page->n_rows; i++) {
        most = v->page->row[i].n_curve > most ? v->page->row[i].n_curve : most;
    }
    enum rc rc = room_for(v->n * most, &point, err);
    for (size_t i = 0; rc == RC_OK && i < v->n; i++) {
        const struct report_summary *s = v->cell[i].s;
        const size_t n = page_row(v, s)->n_curve;
        struct chart_point last;
        if (n == 0 || !learned(v, s, n - 1, &last) || !begin_series(&c, &v->cell[i], "", last.y)) {
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            struct chart_point *at = &point[c.n_points];
            at->series = c.n_series - 1;
            c.n_points += learned(v, s, k, at) ? 1 : 0;
        }
    }
    for (size_t i = 0; i < c.n_points; i++) {
        c.x_high = fmax(c.x_high, point[i].x);
    }
    c.point = point;
    chart_fit(&c);
    return finish(rc, &c, point, path, err);
}

/* ---- attacks ------------------------------------------------------------------------------------ */

/* A colour for each view, a marker for each noise. Without noise the same colour, hollow, and of a shape for each
 * view: there several find everything, and lie upon one another. */
static void dress_attack(struct chart_series *s, const struct report_attack *a)
{
    static const char *const views[] = {"update", "sum", "model"};
    static const char *const of[] = {"by who sees each update", "by who sees masked sums",
                                     "by who reads the model"};
    static const int hollow[] = {8, 6, 4}; /* triangle, circle, square */
    size_t k = 0;
    while (k < 2 && strcmp(views[k], a->view) != 0) {
        k++;
    }
    const bool none = strcmp(a->noise, "none") == 0;
    const bool site = strcmp(a->noise, "site") == 0;
    (void)snprintf(s->label, sizeof s->label, "%s, %s noise", of[k], none ? "no" : a->noise);
    s->colour = colours[k == 0 ? 2 : k == 1 ? 1 : 0];
    s->marker = none ? hollow[k] : site ? 7 : 5;
    s->dash = none ? 0 : 1;
    s->bars = true;
    s->unnamed = none;
}

static size_t series_like(struct chart *c, const struct chart_series *s)
{
    size_t k = 0;
    while (k < c->n_series && strcmp(c->series[k].label, s->label) != 0) {
        k++;
    }
    if (k == c->n_series && k < CHART_SERIES_MAX) {
        c->series[c->n_series++] = *s;
    }
    return k < CHART_SERIES_MAX ? k : CHART_SERIES_MAX - 1;
}

static int by_series_and_x(const void *left, const void *right)
{
    const struct chart_point *a = left, *b = right;
    if (a->series != b->series) {
        return (a->series > b->series) - (a->series < b->series);
    }
    return (a->x > b->x) - (a->x < b->x);
}

/* The axis: every finite epsilon once, and "no privacy" a step to the right of them. */
struct epsilon_axis {
    double first, last, nowhere;
    char tics[1024];
};

static void lay_out_epsilons(const struct report_page *p, struct epsilon_axis *x)
{
    *x = (struct epsilon_axis){.first = HUGE_VAL, .last = 0.0};
    bool infinite = false;
    size_t used = 0;
    for (size_t i = 0; i < p->n_attacks; i++) {
        const double epsilon = p->attack[i].epsilon;
        bool seen = false;
        for (size_t k = 0; k < i; k++) {
            seen = seen || !(p->attack[k].epsilon < epsilon || p->attack[k].epsilon > epsilon);
        }
        if (isinf(epsilon)) {
            infinite = true;
        } else if (!seen && used + 80 < sizeof x->tics) {
            char number[REPORT_NUMBER_MAX];
            report_number(number, epsilon);
            used += (size_t)snprintf(x->tics + used, sizeof x->tics - used, "%s'%s' %s",
                                     used > 0 ? ", " : "", number, number);
            x->first = fmin(x->first, epsilon);
            x->last = fmax(x->last, epsilon);
        }
    }
    if (!(x->last > 0.0)) {
        x->first = x->last = 1.0;
    }
    x->nowhere = x->last * pow(fmax(x->last / x->first, 4.0), 0.3);
    if (infinite) {
        (void)snprintf(x->tics + used, sizeof x->tics - used, "%s\"∞\" %.9g", used > 0 ? ", " : "",
                       x->nowhere);
    }
}

enum rc page_draw_attack(const struct page_view *v, const char *path, struct error *err)
{
    const struct report_page *p = v->page;
    struct epsilon_axis x;
    lay_out_epsilons(p, &x);
    struct chart c = {.title = "Canaries found at a false-positive rate of 1 %",
                      .x_label = "privacy budget ε of one trained model (∞: no privacy)",
                      .y_label = "true-positive rate",
                      .note = "bars: 95 % interval; hollow: the same without noise",
                      .x_tics = x.tics,
                      .log_x = true,
                      .x_low = x.first / 1.3,
                      .x_high = x.nowhere * 1.3,
                      .y_high = 1.0,
                      .y_step = 0.2};
    struct chart_point *point = NULL;
    enum rc rc = room_for(2 * p->n_attacks, &point, err);
    for (size_t i = 0; rc == RC_OK && i < p->n_attacks; i++) {
        const struct report_attack *a = &p->attack[i];
        const double at = isinf(a->epsilon) ? x.nowhere : a->epsilon;
        struct chart_series like = {.colour = "#606060", .dash = 2};
        if (strcmp(a->subject, "canary") != 0) {
            continue; /* patients are in the table */
        }
        (void)snprintf(like.label, sizeof like.label, "bound on every attacker, %s noise",
                       a->noise);
        if (isfinite(a->epsilon)) {
            point[c.n_points++] = (struct chart_point){series_like(&c, &like), at, a->bound,
                                                       (double)NAN, (double)NAN};
        }
        like = (struct chart_series){0};
        dress_attack(&like, a);
        point[c.n_points++] =
            (struct chart_point){series_like(&c, &like), at, a->tpr.value, a->tpr.low, a->tpr.high};
    }
    if (rc == RC_OK) {
        qsort(point, c.n_points, sizeof *point, by_series_and_x);
    }
    return finish(rc, &c, point, path, err);
}
