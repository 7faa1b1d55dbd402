#include <math.h>
#include <string.h>

#include "sim/report/figure_internal.h"

enum { STUDY_SHOWN_MAX = 72, LABEL_SHOWN_MAX = 48 };

static void write_x_axis(FILE *f, const struct figure *g)
{
    char text[REPORT_NUMBER_MAX];
    (void)fprintf(f, "set logscale x 10\nset xrange [%.17g:%.17g]\nset xtics (", pow(10.0, g->left),
                  pow(10.0, g->right));
    const char *between = "";
    /* Ascending: the smallest epsilon above the last one that got a label and room for it. */
    double reached = -HUGE_VAL;
    for (;;) {
        double next = HUGE_VAL;
        for (size_t i = 0; i < g->n; i++) {
            const struct report_summary *s = &g->s[i];
            if (report_summary_has_auroc(s) && figure_is_noisy(s) &&
                log10(s->epsilon) > reached + 0.05 * g->span) {
                next = fmin(next, s->epsilon);
            }
        }
        if (isinf(next)) {
            break;
        }
        report_number(text, next);
        (void)fprintf(f, "%s'%s' %s", between, text, text);
        between = ", ";
        reached = log10(next);
    }
    if (g->infinite) {
        (void)fprintf(f, "%s\"∞\\nno privacy\" %.17g", between, pow(10.0, g->nowhere));
    }
    (void)fprintf(f, ") nomirror out scale 0.6 offset 0, 0.25\n");
    (void)fprintf(f, "set xlabel 'privacy budget ε of one trained model");
    if (isfinite(g->delta)) {
        report_number(text, g->delta);
        (void)fprintf(f, " (δ = %s)", text);
    }
    (void)fprintf(f, "' offset 0, %.1f\n", g->infinite ? -0.5 : 0.3);
    if (g->finite && g->infinite) { /* the break: a gap in the axis between two slashes */
        const double middle = g->last + 0.12 * g->span, wide = g->right - g->left;
        const double gap = 0.006 * wide;
        (void)fprintf(f,
                      "set arrow from %.17g, graph 0 to %.17g, graph 0 nohead front lw 4 "
                      "lc rgb 'white'\n",
                      pow(10.0, middle - gap), pow(10.0, middle + gap));
        for (int side = -1; side <= 1; side += 2) {
            (void)fprintf(f,
                          "set arrow from %.17g, graph -0.018 to %.17g, graph 0.018 nohead front "
                          "lw 1 lc rgb '#404040'\n",
                          pow(10.0, middle + side * gap - 0.004 * wide),
                          pow(10.0, middle + side * gap + 0.004 * wide));
        }
    }
}

/* The first line across of a mode, or NULL. */
static const struct report_summary *find_line(const struct figure *g, const char *mode)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct report_summary *s = &g->s[i];
        if (figure_is_line(s) && report_summary_has_auroc(s) && strcmp(s->mode, mode) == 0) {
            return s;
        }
    }
    return NULL;
}

/* What stands across the whole figure, and where its name is. */
struct across {
    const char *label, *colour;
    int dash;
    double value, low, high; /* a band over seeds, if low < high */
    double at;
};

enum { ACROSS_MOST = 3 };

static size_t find_across(const struct figure *g, struct across out[ACROSS_MOST])
{
    static const char *const modes[] = {"pooled", "local_only"};
    size_t n = 0;
    if (isfinite(g->ceiling)) {
        out[n++] = (struct across){"ceiling", "#000000", 3, g->ceiling, 0.0, 0.0, g->ceiling};
    }
    for (size_t k = 0; k < 2; k++) {
        const struct report_summary *s = find_line(g, modes[k]);
        if (s != NULL) {
            const struct figure_style *style = &figure_styles[figure_style_of(s)];
            out[n] = (struct across){.label = style->label,
                                     .colour = style->colour,
                                     .dash = style->dash,
                                     .value = s->auroc,
                                     .at = s->auroc};
            if (g->seeds_high > 1) {
                figure_bar_of(g, s, &out[n].low, &out[n].high);
            }
            n++;
        }
    }
    return n;
}

/* Pushes names apart until each has the height of one line. */
static void spread_names(struct across *line, size_t n, double apart)
{
    for (size_t turn = 0; turn < 20; turn++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t k = i + 1; k < n; k++) {
                const double far = fabs(line[i].at - line[k].at);
                const double push = 0.5 * (apart - far);
                if (push > 1e-9 * apart) {
                    const bool above = line[i].value >= line[k].value;
                    line[i].at += above ? push : -push;
                    line[k].at += above ? -push : push;
                }
            }
        }
    }
}

/* Lines across, their bands over seeds and their names in the right margin, kept apart. */
static void write_lines(FILE *f, const struct figure *g)
{
    struct across line[ACROSS_MOST];
    const size_t n = find_across(g, line);
    spread_names(line, n, 0.065 * (g->high - g->low));
    for (size_t k = 0; k < n; k++) {
        const struct across *a = &line[k];
        if (a->high > a->low) {
            (void)fprintf(f,
                          "set object rectangle from graph 0, first %.17g to graph 1, first %.17g "
                          "behind fillcolor rgb '%s' fillstyle solid 0.12 noborder\n",
                          a->low, a->high, a->colour);
        }
        (void)fprintf(f,
                      "set arrow from graph 0, first %.17g to graph 1, first %.17g nohead back "
                      "lw 1.6 dt %d lc rgb '%s'\n",
                      a->value, a->value, a->dash, a->colour);
        (void)fprintf(f,
                      "set label '%s, %.3f' at graph 1.012, first %.17g left "
                      "tc rgb '#202020'\n",
                      a->label, a->value, a->at);
    }
}

static void write_note(FILE *f, const struct figure *g)
{
    (void)fprintf(f, "set label '");
    if (g->seeds_high == 1) {
        (void)fprintf(f, "one seed; bars: 95 %% interval (DeLong)");
    } else if (g->seeds_low == g->seeds_high) {
        (void)fprintf(f, "mean ± standard deviation over %zu seeds", g->seeds_high);
    } else {
        (void)fprintf(f, "mean ± standard deviation over %zu to %zu seeds", g->seeds_low,
                      g->seeds_high);
    }
    (void)fprintf(f, "' at screen 0.975, 0.028 right font ',10.5' tc rgb '#606060'\n");
}

/*
 * The key stands above the axes in rows of three, of two where ablations make long names. gnuplot's
 * own key guesses the width of its text and gives up columns early, so that every entry is placed here.
 */
static size_t key_columns(const struct figure *g)
{
    return g->places > 1 ? 2 : 3;
}

size_t figure_key_rows(const struct figure *g)
{
    size_t entries = 0;
    for (size_t k = 1; k <= figure_series_last(g); k++) {
        entries += figure_has_series(g, k, false);
    }
    return (entries + key_columns(g) - 1) / key_columns(g);
}

/* Pixels. */
static size_t height_of(const struct figure *g)
{
    return 450 + (g->key_rows > 3 ? 20 * (g->key_rows - 3) : 0);
}

/* Screen coordinates of a picture of 450 pixels, from its top and from its bottom. */
static double from_top(const struct figure *g, double y)
{
    return 1.0 - (1.0 - y) * 450.0 / (double)height_of(g);
}

static double from_bottom(const struct figure *g, double y)
{
    return y * 450.0 / (double)height_of(g);
}

static void write_key(FILE *f, const struct figure *g)
{
    const size_t columns = key_columns(g);
    const double wide = g->places > 1 ? 0.42 : 0.275;
    size_t entry = 0;
    for (size_t k = 1; k <= figure_series_last(g); k++) {
        char label[REPORT_ABLATION_MAX + 64];
        if (!figure_has_series(g, k, false)) {
            continue;
        }
        const double x = 0.135 + wide * (double)(entry % columns);
        const double y = from_top(g, 0.89 - 0.044 * (double)(entry / columns));
        (void)fprintf(f,
                      "set arrow from screen %.3f, screen %.3f to screen %.3f, screen %.3f nohead "
                      "lw 1.8 lc rgb '%s'\nset label ",
                      x - 0.018, y, x + 0.018, y, figure_colour_of(k));
        figure_label_of(g, k, label, sizeof label);
        draw_quoted(f, label, LABEL_SHOWN_MAX);
        (void)fprintf(f,
                      " noenhanced at screen %.3f, %.3f left offset 1.6, -0.22 font ',12' "
                      "point pt %d ps 0.9 lc rgb '%s'\n",
                      x, y, figure_style_of_series(k)->marker, figure_colour_of(k));
        entry++;
    }
}

static void write_series(FILE *f, const struct figure *g, const char *data)
{
    const char *between = "plot ";
    for (size_t k = 1; k <= figure_series_last(g); k++) {
        if (!figure_has_series(g, k, false)) {
            continue;
        }
        (void)fprintf(f, "%s", between);
        draw_quoted(f, data, SIZE_MAX);
        (void)fprintf(f,
                      " skip 1 using ($17 == %zu ? $18 : NaN):7:19:20 with yerrorlines lw 1.8 "
                      "lc rgb '%s' pt %d ps 0.9 notitle",
                      k, figure_colour_of(k), figure_style_of_series(k)->marker);
        between = ", \\\n     ";
    }
    if (strcmp(between, "plot ") == 0) { /* lines across only: something must be plotted */
        (void)fprintf(f, "plot NaN notitle");
    }
    (void)fputc('\n', f);
}

enum rc figure_write_script(const struct figure *g, const struct draw_places *at, const char *study,
                            struct error *err)
{
    struct report_file file = {0};
    enum rc rc = report_file_open(&file, at->script_path, err);
    if (rc != RC_OK) {
        return rc;
    }
    FILE *f = file.f;
    struct across named[ACROSS_MOST];
    const bool named_lines = find_across(g, named) > 0;
    const int decimals = g->step < 0.0099 ? 3 : g->step < 0.099 ? 2 : 1;
    (void)fprintf(
        f, "# AUROC against privacy budget. Draw again: gnuplot THIS_FILE, in this folder\n");
    draw_head(f, at, 720, height_of(g));
    (void)fprintf(f, "set grid ytics back lw 0.6 lc rgb '#E4E4E4'\n"
                     "set ylabel 'AUROC' offset 0.5\n");
    (void)fprintf(f,
                  "set ytics nomirror out scale 0.6 %.6g\nset yrange [%.6g:%.6g]\n"
                  "set format y '%%.%df'\n",
                  g->step, g->low, g->high, decimals);
    (void)fprintf(f, "set label ");
    draw_quoted(f, study, STUDY_SHOWN_MAX);
    (void)fprintf(f, " noenhanced at screen 0.115, %.3f left font ',15'\n", from_top(g, 0.958));
    write_note(f, g);
    write_key(f, g);
    (void)fprintf(f,
                  "set lmargin at screen 0.115\nset rmargin at screen %.3f\n"
                  "set tmargin at screen %.3f\nset bmargin at screen %.3f\n",
                  named_lines ? 0.81 : 0.965, from_top(g, 0.89 - 0.044 * (double)g->key_rows),
                  from_bottom(g, g->infinite ? 0.232 : 0.195));
    write_x_axis(f, g);
    write_lines(f, g);
    write_series(f, g, at->data);
    (void)fprintf(f, "unset output\n");
    return report_file_commit(&file, err);
}
