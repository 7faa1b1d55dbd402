/**
 * @file figure_internal.h
 * The figure of AUROC against epsilon: what stands where (figure_layout.c), in which dress
 * (figure_series.c), as gnuplot's words (figure_script.c).
 */
#ifndef SIM_REPORT_FIGURE_INTERNAL_H
#define SIM_REPORT_FIGURE_INTERNAL_H

#include "sim/report/report_internal.h"

/*
 * What is drawn where:
 *
 *     y  AUROC, mean over seeds; bars: one standard deviation over seeds, or DeLong's interval
 *        where there is one seed only
 *     x  log10(epsilon); "no privacy" stands right of an axis break, a fixed share of the width
 *        away from the largest epsilon
 *
 * pooled and local_only without noise bound the scale from above and below: lines over the whole
 * width, named in the right margin. All else is a series of points. Colours are Okabe and Ito's
 * (2008), each with a marker of its own, so that the figure also reads in grey. An ablation's series
 * have its colour and the markers of their modes; they stand side by side with the base's.
 */
struct figure_style {
    const char *mode, *noise, *label, *colour;
    int marker, dash;
};

enum { FIGURE_STYLES = 8, FIGURE_NO_SERIES = 0 };
extern const struct figure_style figure_styles[FIGURE_STYLES];

struct figure {
    const struct report_summary *s;
    size_t n;
    bool finite, infinite;  /**< which halves of the x axis there are */
    double first, last;     /**< log10 of smallest and largest epsilon */
    double span;            /**< what widths are shares of, in decades */
    double nowhere;         /**< log10 x of "no privacy" */
    double left, right;     /**< ends of the axis, log10 */
    double low, high, step; /**< y axis */
    double delta;           /**< shared by all noisy summaries, or NAN */
    size_t seeds_low, seeds_high;
    double ceiling;  /**< NAN: not known */
    size_t places;   /**< ablations, the base among them */
    size_t key_rows; /**< above the axes; the picture grows with those beyond the third */
};

size_t figure_style_of(const struct report_summary *s);
/** Without noise: a line across, not a point. */
bool figure_is_line(const struct report_summary *s);
/** Number of the series in tradeoff.csv: 1 + its style, and FIGURE_STYLES more for each ablation;
 *  FIGURE_NO_SERIES for a line across. */
size_t figure_series_of(const struct report_summary *s);
size_t figure_series_last(const struct figure *g);
const struct figure_style *figure_style_of_series(size_t series);
const char *figure_colour_of(size_t series);
/** "gmu: federated, no noise" */
void figure_label_of(const struct figure *g, size_t series, char *out, size_t room);
bool figure_is_noisy(const struct report_summary *s);
/** @param noisy only points at a finite epsilon count */
bool figure_has_series(const struct figure *g, size_t series, bool noisy);
void figure_bar_of(const struct figure *g, const struct report_summary *s, double *low,
                   double *high);

/** Fills all that follows from the summaries. */
void figure_lay_out(struct figure *g);
/** x of a point. */
double figure_place_of(const struct figure *g, const struct report_summary *s);
size_t figure_key_rows(const struct figure *g);

RC figure_write_script(const struct figure *g, const struct draw_places *at, const char *study,
                       struct error *err);

#endif
