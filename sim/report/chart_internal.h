/**
 * @file chart_internal.h
 * A plain chart: series of points, with bars where they have some, and what its axes are called.
 */
#ifndef SIM_REPORT_CHART_INTERNAL_H
#define SIM_REPORT_CHART_INTERNAL_H

#include "sim/report/report_internal.h"

enum { CHART_SERIES_MAX = 24, CHART_LABEL_MAX = 96 };

struct chart_series {
    char label[CHART_LABEL_MAX];
    const char *colour;
    int marker; /**< gnuplot's; 0: none */
    int dash;   /**< gnuplot's; 0: no line */
    bool bars;
    bool unnamed; /**< not in the key: what it is follows from another series */
};

struct chart_point {
    size_t series;
    double x, y, low, high; /**< low, high: NAN without a bar */
};

/** Plain data. Points are borrowed; those of a series stand in the order of its line. */
struct chart {
    const char *title, *x_label, *y_label, *note;
    const char *x_tics; /**< gnuplot's list, or NULL */
    bool log_x, diagonal;
    double x_low, x_high, y_low, y_high, y_step;
    size_t n_series;
    struct chart_series series[CHART_SERIES_MAX];
    size_t n_points;
    const struct chart_point *point;
};

/** The y axis of shares: round numbers around the points and their bars, from a twentieth below the lowest to one above. */
void chart_fit(struct chart *c);

/** PATH.svg, .png, .csv and .gp. @retval RC_IO as draw_run */
RC chart_write(const char *path, const struct chart *c, struct error *err);

#endif
