#include <math.h>
#include <string.h>

#include "sim/report/chart_internal.h"

enum { WIDTH = 720, PLOT = 420, SQUARE = 540, SQUARE_PLOT = 560, KEY_ROW = 20, TITLE_SHOWN = 80 };

/* Shares against shares have a square; everything else is wide and has room for two columns of names. */
static size_t width_of(const struct chart *c)
{
    return c->diagonal ? SQUARE : WIDTH;
}

static size_t plot_of(const struct chart *c)
{
    return c->diagonal ? SQUARE_PLOT : PLOT;
}

static size_t columns_of(const struct chart *c)
{
    return c->diagonal ? 1 : 2;
}

static size_t height_of(const struct chart *c)
{
    size_t named = 0;
    for (size_t k = 0; k < c->n_series; k++) {
        named += c->series[k].unnamed ? 0 : 1;
    }
    return plot_of(c) + KEY_ROW * ((named + columns_of(c) - 1) / columns_of(c));
}

void chart_fit(struct chart *c)
{
    double low = 1.0, high = 0.0;
    for (size_t i = 0; i < c->n_points; i++) {
        const struct chart_point *p = &c->point[i];
        const bool bar = c->series[p->series].bars;
        low = fmin(low, bar ? fmin(p->y, p->low) : p->y); /* fmin passes over a NAN */
        high = fmax(high, bar ? fmax(p->y, p->high) : p->y);
    }
    c->y_low = fmax(floor(low * 20.0) / 20.0, 0.0);
    c->y_high = fmin(ceil(high * 20.0) / 20.0, 1.0);
    if (!(c->y_high > c->y_low)) { /* one point, on a line of the grid */
        c->y_low -= 0.05;
        c->y_high += 0.05;
    }
    c->y_step = c->y_high - c->y_low > 0.3 ? 0.1 : 0.05;
}

static enum rc write_data(const struct chart *c, const char *path, struct error *err)
{
    struct report_file file = {0};
    const enum rc rc = report_file_open(&file, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)fprintf(file.f, "label,x,y,low,high,series\n");
    for (size_t i = 0; i < c->n_points; i++) {
        const struct chart_point *p = &c->point[i];
        report_csv_text(file.f, c->series[p->series].label, ',');
        report_csv_number(file.f, p->x, ',');
        report_csv_number(file.f, p->y, ',');
        report_csv_number(file.f, p->low, ',');
        report_csv_number(file.f, p->high, ',');
        (void)fprintf(file.f, "%zu\n", p->series);
    }
    return report_file_commit(&file, err);
}

/* Above the axes; see figure_script.c for why not gnuplot's own. */
static void write_key(FILE *f, const struct chart *c)
{
    const double height = (double)height_of(c);
    size_t entry = 0;
    for (size_t k = 0; k < c->n_series; k++) {
        const struct chart_series *s = &c->series[k];
        if (s->unnamed) {
            continue;
        }
        const double x = 97.0 / (double)width_of(c) + 0.43 * (double)(entry % columns_of(c));
        const double y = 1.0 - (48.0 + KEY_ROW * (double)(entry / columns_of(c))) / height;
        const double wide = 13.0 / (double)width_of(c);
        if (s->dash > 0) {
            (void)fprintf(f,
                          "set arrow from screen %.4f, screen %.4f to screen %.4f, screen %.4f "
                          "nohead lw 1.8 dt %d lc rgb '%s'\n",
                          x - wide, y, x + wide, y, s->dash, s->colour);
        }
        (void)fprintf(f, "set label ");
        draw_quoted(f, s->label, CHART_LABEL_MAX);
        (void)fprintf(f, " noenhanced at screen %.4f, %.4f left offset 2.2, -0.05 font ',12'\n", x,
                      y);
        if (s->marker > 0) {
            (void)fprintf(f, "set label '' at screen %.4f, %.4f point pt %d ps 0.8 lc rgb '%s'\n",
                          x, y, s->marker, s->colour);
        }
        entry++;
    }
}

/* Lines that lie on each other are seen all the same: the first is the widest. */
static double thickness(const struct chart *c, size_t k)
{
    const size_t after = c->n_series - 1 - k;
    return 1.8 + (c->diagonal ? 1.1 * (double)(after < 5 ? after : 5) : 0.0);
}

static void write_series(FILE *f, const struct chart *c, const char *data)
{
    const char *between = "plot ";
    if (c->diagonal) {
        (void)fprintf(f, "%sx with lines lw 1 dt 3 lc rgb '#808080' notitle", between);
        between = ", \\\n     ";
    }
    for (size_t k = 0; k < c->n_series; k++) {
        const struct chart_series *s = &c->series[k];
        for (int what = 0; what < 3; what++) { /* line, bars, markers */
            if (what == 0 ? s->dash == 0 : what == 1 ? !s->bars : s->marker == 0) {
                continue;
            }
            (void)fprintf(f, "%s", between);
            draw_quoted(f, data, SIZE_MAX);
            (void)fprintf(f, " skip 1 using ($6 == %zu ? $2 : NaN):3", k);
            if (what == 0) {
                (void)fprintf(f, " with lines lw %.1f dt %d lc rgb '%s' notitle", thickness(c, k),
                              s->dash, s->colour);
            } else if (what == 1) {
                (void)fprintf(f, ":4:5 with yerrorbars lw 1.4 pt 0 lc rgb '%s' notitle", s->colour);
            } else {
                (void)fprintf(f, " with points pt %d ps 0.8 lc rgb '%s' notitle", s->marker,
                              s->colour);
            }
            between = ", \\\n     ";
        }
    }
    (void)fputc('\n', f);
}

static enum rc write_script(const struct chart *c, const struct draw_places *at, struct error *err)
{
    struct report_file file = {0};
    const enum rc rc = report_file_open(&file, at->script_path, err);
    if (rc != RC_OK) {
        return rc;
    }
    FILE *f = file.f;
    const double height = (double)height_of(c);
    const double left = 83.0 / (double)width_of(c);
    const double key = height - (double)plot_of(c);
    (void)fprintf(f, "# Draw again: gnuplot THIS_FILE, in this folder\n");
    draw_head(f, at, width_of(c), height_of(c));
    (void)fprintf(f, "set grid back lw 0.6 lc rgb '#E4E4E4'\nset label ");
    draw_quoted(f, c->title, TITLE_SHOWN);
    (void)fprintf(f, " noenhanced at screen %.4f, %.4f left font ',15'\nset label ", left,
                  1.0 - 20.0 / height);
    draw_quoted(f, c->note, SIZE_MAX);
    (void)fprintf(f,
                  " noenhanced at screen 0.975, %.4f right font ',10.5' tc rgb '#606060'\n"
                  "set lmargin at screen %.4f\nset rmargin at screen 0.965\n"
                  "set tmargin at screen %.4f\nset bmargin at screen %.4f\n",
                  12.0 / height, left, 1.0 - (44.0 + key) / height, 90.0 / height);
    (void)fprintf(f, "set xlabel ");
    draw_quoted(f, c->x_label, SIZE_MAX);
    (void)fprintf(f, " noenhanced\nset ylabel ");
    draw_quoted(f, c->y_label, SIZE_MAX);
    (void)fprintf(f, " noenhanced offset 0.5\n%sset xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n",
                  c->log_x ? "set logscale x 10\n" : "", c->x_low, c->x_high, c->y_low, c->y_high);
    if (c->x_tics != NULL) {
        (void)fprintf(f, "set xtics (%s)\n", c->x_tics);
    }
    (void)fprintf(f, "set xtics nomirror out scale 0.6\nset ytics nomirror out scale 0.6 %.6g\n",
                  c->y_step);
    write_key(f, c);
    write_series(f, c, at->data);
    (void)fprintf(f, "unset output\n");
    return report_file_commit(&file, err);
}

enum rc chart_write(const char *path, const struct chart *c, struct error *err)
{
    struct draw_places at = {0};
    enum rc rc = draw_places_find(path, &at, err);
    if (rc == RC_OK) {
        rc = write_data(c, at.data_path, err);
    }
    if (rc == RC_OK) {
        rc = write_script(c, &at, err);
    }
    return rc == RC_OK ? draw_run(&at, path, err) : rc;
}
