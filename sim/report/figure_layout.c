#include <math.h>

#include "sim/report/figure_internal.h"

/* 1, 2 or 5 times a power of ten, about a fifth of the span. */
static double nice_step(double span)
{
    const double power = pow(10.0, floor(log10(span / 5.0)));
    const double share = span / 5.0 / power;
    return power * (share < 1.5 ? 1.0 : share < 3.5 ? 2.0 : share < 7.5 ? 5.0 : 10.0);
}

static void lay_out_y(struct figure *g)
{
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (size_t i = 0; i < g->n; i++) {
        if (report_summary_has_auroc(&g->s[i])) {
            double a, b;
            figure_bar_of(g, &g->s[i], &a, &b);
            if (figure_is_line(&g->s[i]) && g->seeds_high == 1) {
                a = b = g->s[i].auroc; /* no band is drawn */
            }
            low = fmin(low, a);
            high = fmax(high, b);
        }
    }
    if (isfinite(g->ceiling)) {
        low = fmin(low, g->ceiling);
        high = fmax(high, g->ceiling);
    }
    const double middle = 0.5 * (low + high);
    const double half = fmax(0.55 * (high - low), 0.01);
    g->step = nice_step(2.0 * half);
    g->low = fmax(0.0, g->step * floor((middle - half) / g->step));
    g->high = fmin(1.0, g->step * ceil((middle + half) / g->step));
}

static void lay_out_x(struct figure *g)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct report_summary *s = &g->s[i];
        if (!report_summary_has_auroc(s) || figure_is_line(s)) {
            continue;
        }
        if (!figure_is_noisy(s)) {
            g->infinite = true;
            continue;
        }
        const double x = log10(s->epsilon);
        g->first = g->finite ? fmin(g->first, x) : x;
        g->last = g->finite ? fmax(g->last, x) : x;
        g->finite = true;
    }
    g->span = fmax(g->last - g->first, 0.6);
    g->left = g->first - 0.09 * g->span;
    g->right = g->last + 0.09 * g->span;
    g->nowhere = 0.0;
    if (g->finite && g->infinite) {
        g->nowhere = g->last + 0.24 * g->span;
        g->right = g->nowhere + 0.09 * g->span;
    } else if (!g->finite) {
        g->left = -0.3;
        g->right = 0.3;
    }
    if (g->finite && g->last - g->first < 0.01) { /* one epsilon: in the middle of its room */
        g->left = g->first - 0.24 * g->span;
        g->right += g->infinite ? 0.0 : 0.15 * g->span;
    }
}

void figure_lay_out(struct figure *g)
{
    bool seen = false;
    g->seeds_low = SIZE_MAX;
    g->delta = (double)NAN;
    for (size_t i = 0; i < g->n; i++) {
        const struct report_summary *s = &g->s[i];
        if (!report_summary_has_auroc(s)) {
            continue;
        }
        g->seeds_low = s->n_seeds < g->seeds_low ? s->n_seeds : g->seeds_low;
        g->seeds_high = s->n_seeds > g->seeds_high ? s->n_seeds : g->seeds_high;
        if (isfinite(s->epsilon)) {
            const bool same = !seen || !(s->delta < g->delta || s->delta > g->delta);
            g->delta = same ? s->delta : (double)NAN;
            seen = true;
        }
    }
    lay_out_x(g);
    lay_out_y(g);
}

/* Series at one epsilon stand side by side, not on top of each other. Without ablations there is one
 * series only without noise, in the middle of its room. */
double figure_place_of(const struct figure *g, const struct report_summary *s)
{
    const bool noisy = figure_is_noisy(s);
    const size_t own = figure_series_of(s);
    double before = 0.0, after = 0.0;
    for (size_t k = 1; k <= figure_series_last(g); k++) {
        if (k != own && figure_has_series(g, k, noisy)) {
            *(k < own ? &before : &after) += 1.0;
        }
    }
    const double share = g->finite ? 0.005 : fmin(0.06, 0.9 / (1.0 + before + after));
    const double shift = share * (g->right - g->left) * (before - after);
    if (!noisy) {
        return pow(10.0, g->nowhere + (g->places > 1 ? (g->finite ? 1.0 : 0.5) * shift : 0.0));
    }
    return s->epsilon * pow(10.0, shift);
}
