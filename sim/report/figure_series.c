#include <math.h>
#include <string.h>

#include "sim/report/figure_internal.h"

const struct figure_style figure_styles[FIGURE_STYLES] = {
    {"federated", "site", "federated, site noise", "#0072B2", 7, 1},
    {"federated", "shared", "federated, shared noise", "#D55E00", 9, 1},
    {"federated", "none", "federated, no noise", "#000000", 13, 1},
    {"pooled", "none", "pooled", "#009E73", 5, 2},
    {"pooled", "site", "pooled, with noise", "#009E73", 5, 1},
    {"local_only", "none", "local only", "#CC79A7", 11, 4},
    {"local_only", "site", "local only, with noise", "#CC79A7", 11, 1},
    {"", "", "other", "#E69F00", 3, 1}, /* what this table has not heard of */
};

/* Of ablations, by turns; mode and noise keep their markers. */
static const char *const colours[] = {"#E69F00", "#56B4E9", "#009E73", "#D55E00",
                                      "#0072B2", "#CC79A7", "#8C8C00"};

size_t figure_style_of(const struct report_summary *s)
{
    size_t k = 0;
    while (k + 1 < FIGURE_STYLES && (strcmp(figure_styles[k].mode, s->mode) != 0 ||
                                     strcmp(figure_styles[k].noise, s->noise) != 0)) {
        k++;
    }
    return k;
}

bool figure_is_line(const struct report_summary *s)
{
    return s->place == 0 && isinf(s->epsilon) && strcmp(s->noise, "none") == 0 &&
           (strcmp(s->mode, "pooled") == 0 || strcmp(s->mode, "local_only") == 0);
}

size_t figure_series_of(const struct report_summary *s)
{
    return figure_is_line(s) ? FIGURE_NO_SERIES : 1 + s->place * FIGURE_STYLES + figure_style_of(s);
}

size_t figure_series_last(const struct figure *g)
{
    return g->places * FIGURE_STYLES;
}

const struct figure_style *figure_style_of_series(size_t series)
{
    return &figure_styles[(series - 1) % FIGURE_STYLES];
}

const char *figure_colour_of(size_t series)
{
    const size_t place = (series - 1) / FIGURE_STYLES;
    return place == 0 ? figure_style_of_series(series)->colour
                      : colours[(place - 1) % (sizeof colours / sizeof colours[0])];
}

void figure_label_of(const struct figure *g, size_t series, char *out, size_t room)
{
    const char *ablation = NULL;
    for (size_t i = 0; i < g->n && series > FIGURE_STYLES; i++) {
        ablation = figure_series_of(&g->s[i]) == series ? g->s[i].ablation : ablation;
    }
    (void)snprintf(out, room, "%s%s%s", ablation == NULL ? "" : ablation,
                   ablation == NULL ? "" : ": ", figure_style_of_series(series)->label);
}

bool figure_is_noisy(const struct report_summary *s)
{
    return isfinite(s->epsilon) && s->epsilon > 0.0;
}

bool figure_has_series(const struct figure *g, size_t series, bool noisy)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct report_summary *s = &g->s[i];
        if (report_summary_has_auroc(s) && figure_series_of(s) == series &&
            (!noisy || figure_is_noisy(s))) {
            return true;
        }
    }
    return false;
}

void figure_bar_of(const struct figure *g, const struct report_summary *s, double *low,
                   double *high)
{
    *low = s->auroc - s->auroc_sd;
    *high = s->auroc + s->auroc_sd;
    if (g->seeds_high == 1 && isfinite(s->auroc_low) && isfinite(s->auroc_high)) {
        *low = s->auroc_low;
        *high = s->auroc_high;
    }
}
