#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/base/arena.h"
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
struct style {
    const char *mode, *noise, *label, *colour;
    int marker, dash;
};

static const struct style styles[] = {
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

enum {
    STYLES = sizeof styles / sizeof styles[0],
    STUDY_SHOWN_MAX = 72,
    NO_SERIES = 0,
    LABEL_SHOWN_MAX = 48
};

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
    size_t places;   /**< ablations, the base among them */
    size_t key_rows; /**< above the axes; the picture grows with those beyond the third */
};

static size_t style_of(const struct report_summary *s)
{
    size_t k = 0;
    while (k + 1 < STYLES &&
           (strcmp(styles[k].mode, s->mode) != 0 || strcmp(styles[k].noise, s->noise) != 0)) {
        k++;
    }
    return k;
}

static bool is_line(const struct report_summary *s)
{
    return s->place == 0 && isinf(s->epsilon) && strcmp(s->noise, "none") == 0 &&
           (strcmp(s->mode, "pooled") == 0 || strcmp(s->mode, "local_only") == 0);
}

/* Number of the series in tradeoff.csv: 1 + its style, and STYLES more for each ablation; 0 for a line
 * across. */
static size_t series_of(const struct report_summary *s)
{
    return is_line(s) ? NO_SERIES : 1 + s->place * STYLES + style_of(s);
}

static size_t series_last(const struct figure *g)
{
    return g->places * STYLES;
}

static const struct style *style_of_series(size_t series)
{
    return &styles[(series - 1) % STYLES];
}

static const char *colour_of(size_t series)
{
    const size_t place = (series - 1) / STYLES;
    return place == 0 ? style_of_series(series)->colour
                      : colours[(place - 1) % (sizeof colours / sizeof colours[0])];
}

/* "gmu: federated, no noise" */
static void label_of(const struct figure *g, size_t series, char *out, size_t room)
{
    const char *ablation = NULL;
    for (size_t i = 0; i < g->n && series > STYLES; i++) {
        ablation = series_of(&g->s[i]) == series ? g->s[i].ablation : ablation;
    }
    (void)snprintf(out, room, "%s%s%s", ablation == NULL ? "" : ablation,
                   ablation == NULL ? "" : ": ", style_of_series(series)->label);
}

static bool is_noisy(const struct report_summary *s)
{
    return isfinite(s->epsilon) && s->epsilon > 0.0;
}

/* @param noisy only points at a finite epsilon count */
static bool has_series(const struct figure *g, size_t series, bool noisy)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct report_summary *s = &g->s[i];
        if (report_summary_has_auroc(s) && series_of(s) == series && (!noisy || is_noisy(s))) {
            return true;
        }
    }
    return false;
}

static void bar_of(const struct figure *g, const struct report_summary *s, double *low,
                   double *high)
{
    *low = s->auroc - s->auroc_sd;
    *high = s->auroc + s->auroc_sd;
    if (g->seeds_high == 1 && isfinite(s->auroc_low) && isfinite(s->auroc_high)) {
        *low = s->auroc_low;
        *high = s->auroc_high;
    }
}

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
            bar_of(g, &g->s[i], &a, &b);
            if (is_line(&g->s[i]) && g->seeds_high == 1) {
                a = b = g->s[i].auroc; /* no band is drawn */
            }
            low = fmin(low, a);
            high = fmax(high, b);
        }
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
        if (!report_summary_has_auroc(s) || is_line(s)) {
            continue;
        }
        if (!is_noisy(s)) {
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

static void lay_out(struct figure *g)
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
static double place_of(const struct figure *g, const struct report_summary *s)
{
    const bool noisy = is_noisy(s);
    const size_t own = series_of(s);
    double before = 0.0, after = 0.0;
    for (size_t k = 1; k <= series_last(g); k++) {
        if (k != own && has_series(g, k, noisy)) {
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

static enum rc write_data(const struct figure *g, const char *path, struct error *err)
{
    struct report_file file = {0};
    enum rc rc = report_file_open(&file, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)fprintf(file.f,
                  "ablation,mode,noise,epsilon,delta,seeds,auroc,auroc_sd,auroc_low,auroc_high,"
                  "auroc_site_mean,auprc,ece,accuracy,accuracy_site_mean,seconds,"
                  "series,x,bar_low,bar_high\n");
    for (size_t i = 0; i < g->n; i++) {
        const struct report_summary *s = &g->s[i];
        double low = (double)NAN, high = (double)NAN;
        if (report_summary_has_auroc(s)) {
            bar_of(g, s, &low, &high);
        }
        report_csv_text(file.f, s->ablation, ',');
        report_csv_text(file.f, s->mode, ',');
        report_csv_text(file.f, s->noise, ',');
        report_csv_number(file.f, s->epsilon, ',');
        report_csv_number(file.f, s->delta, ',');
        (void)fprintf(file.f, "%zu,", s->n_seeds);
        report_csv_number(file.f, s->auroc, ',');
        report_csv_number(file.f, s->auroc_sd, ',');
        report_csv_number(file.f, s->auroc_low, ',');
        report_csv_number(file.f, s->auroc_high, ',');
        report_csv_number(file.f, s->auroc_site_mean, ',');
        report_csv_number(file.f, s->auprc, ',');
        report_csv_number(file.f, s->ece, ',');
        report_csv_number(file.f, s->accuracy, ',');
        report_csv_number(file.f, s->accuracy_site_mean, ',');
        report_csv_number(file.f, s->seconds, ',');
        (void)fprintf(file.f, "%zu,", series_of(s));
        report_csv_number(file.f, is_line(s) ? (double)NAN : place_of(g, s), ',');
        report_csv_number(file.f, low, ',');
        report_csv_number(file.f, high, '\n');
    }
    return report_file_commit(&file, err);
}

/* A gnuplot string in single quotes: nothing in it is expanded, '' is a quote. */
static void write_quoted(FILE *f, const char *text, size_t shown_max)
{
    size_t n = strlen(text);
    if (n > shown_max) { /* cut before a character, not inside one */
        n = shown_max;
        while (n > 0 && ((unsigned char)text[n] & 0xC0u) == 0x80u) {
            n--;
        }
    }
    (void)fputc('\'', f);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        (void)fputc(c < 0x20 || c == 0x7F ? ' ' : text[i], f);
        if (text[i] == '\'') {
            (void)fputc('\'', f);
        }
    }
    (void)fprintf(f, "%s'", n < strlen(text) ? "…" : "");
}

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
            if (report_summary_has_auroc(s) && is_noisy(s) &&
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
        if (is_line(s) && report_summary_has_auroc(s) && strcmp(s->mode, mode) == 0) {
            return s;
        }
    }
    return NULL;
}

/* Lines across, their bands over seeds and their names in the right margin, kept apart. */
static void write_lines(FILE *f, const struct figure *g)
{
    const struct report_summary *line[2] = {find_line(g, "pooled"), find_line(g, "local_only")};
    double at[2] = {0.0, 0.0};
    for (size_t k = 0; k < 2; k++) {
        at[k] = line[k] != NULL ? line[k]->auroc : 0.0;
    }
    const double apart = 0.065 * (g->high - g->low); /* the height of a name */
    if (line[0] != NULL && line[1] != NULL && fabs(at[0] - at[1]) < apart) {
        const double push = 0.5 * (apart - fabs(at[0] - at[1]));
        const size_t upper = (size_t)(at[0] < at[1]);
        at[upper] += push;
        at[1 - upper] -= push;
    }
    for (size_t k = 0; k < 2; k++) {
        if (line[k] == NULL) {
            continue;
        }
        const struct style *style = &styles[style_of(line[k])];
        double low, high;
        bar_of(g, line[k], &low, &high);
        if (g->seeds_high > 1 && high > low) {
            (void)fprintf(f,
                          "set object rectangle from graph 0, first %.17g to graph 1, first %.17g "
                          "behind fillcolor rgb '%s' fillstyle solid 0.12 noborder\n",
                          low, high, style->colour);
        }
        (void)fprintf(f,
                      "set arrow from graph 0, first %.17g to graph 1, first %.17g nohead back "
                      "lw 1.6 dt %d lc rgb '%s'\n",
                      line[k]->auroc, line[k]->auroc, style->dash, style->colour);
        (void)fprintf(f,
                      "set label '%s, %.3f' at graph 1.012, first %.17g left "
                      "tc rgb '#202020'\n",
                      style->label, line[k]->auroc, at[k]);
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

static size_t key_rows(const struct figure *g)
{
    size_t entries = 0;
    for (size_t k = 1; k <= series_last(g); k++) {
        entries += has_series(g, k, false);
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
    for (size_t k = 1; k <= series_last(g); k++) {
        char label[REPORT_ABLATION_MAX + 64];
        if (!has_series(g, k, false)) {
            continue;
        }
        const double x = 0.135 + wide * (double)(entry % columns);
        const double y = from_top(g, 0.89 - 0.044 * (double)(entry / columns));
        (void)fprintf(f,
                      "set arrow from screen %.3f, screen %.3f to screen %.3f, screen %.3f nohead "
                      "lw 1.8 lc rgb '%s'\nset label ",
                      x - 0.018, y, x + 0.018, y, colour_of(k));
        label_of(g, k, label, sizeof label);
        write_quoted(f, label, LABEL_SHOWN_MAX);
        (void)fprintf(f,
                      " noenhanced at screen %.3f, %.3f left offset 1.6, -0.22 font ',12' "
                      "point pt %d ps 0.9 lc rgb '%s'\n",
                      x, y, style_of_series(k)->marker, colour_of(k));
        entry++;
    }
}

static void write_series(FILE *f, const struct figure *g, const char *data)
{
    const char *between = "plot ";
    for (size_t k = 1; k <= series_last(g); k++) {
        if (!has_series(g, k, false)) {
            continue;
        }
        (void)fprintf(f, "%s", between);
        write_quoted(f, data, SIZE_MAX);
        (void)fprintf(f,
                      " skip 1 using ($17 == %zu ? $18 : NaN):7:19:20 with yerrorlines lw 1.8 "
                      "lc rgb '%s' pt %d ps 0.9 notitle",
                      k, colour_of(k), style_of_series(k)->marker);
        between = ", \\\n     ";
    }
    if (strcmp(between, "plot ") == 0) { /* lines across only: something must be plotted */
        (void)fprintf(f, "plot NaN notitle");
    }
    (void)fputc('\n', f);
}

static enum rc write_script(const struct figure *g, const char *path, const char *study,
                            const char *data, const char *picture, struct error *err)
{
    struct report_file file = {0};
    enum rc rc = report_file_open(&file, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    FILE *f = file.f;
    const bool named_lines = find_line(g, "pooled") != NULL || find_line(g, "local_only") != NULL;
    const int decimals = g->step < 0.0099 ? 3 : g->step < 0.099 ? 2 : 1;
    (void)fprintf(f,
                  "# AUROC against privacy budget. Draw again: gnuplot THIS_FILE, in this folder\n"
                  "set encoding utf8\n"
                  "set terminal svg size 720,%zu font 'sans-serif,13' enhanced "
                  "background rgb 'white'\n"
                  "out = './' . ",
                  height_of(g));
    write_quoted(f, picture, SIZE_MAX);
    (void)fprintf(f, "\nif (exists('ARG1')) { if (strlen(ARG1) > 0) { out = ARG1 } }\n"
                     "set output out\n"
                     "set datafile separator comma\n"
                     "set datafile missing NaN\n"
                     "set border 3 lw 1 lc rgb '#404040'\n"
                     "set tics textcolor rgb '#202020'\n"
                     "set grid ytics back lw 0.6 lc rgb '#E4E4E4'\n"
                     "set errorbars small\n"
                     "unset key\n"
                     "set ylabel 'AUROC' offset 0.5\n");
    (void)fprintf(f,
                  "set ytics nomirror out scale 0.6 %.6g\nset yrange [%.6g:%.6g]\n"
                  "set format y '%%.%df'\n",
                  g->step, g->low, g->high, decimals);
    (void)fprintf(f, "set label ");
    write_quoted(f, study, STUDY_SHOWN_MAX);
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
    write_series(f, g, data);
    (void)fprintf(f, "unset output\n");
    return report_file_commit(&file, err);
}

/* The four names of one figure: "DIR/x.svg" -> DIR, x.gp, x.csv, x.svg. */
struct places {
    char folder[REPORT_PATH_MAX];
    char script_path[REPORT_PATH_MAX], data_path[REPORT_PATH_MAX], temp_path[REPORT_PATH_MAX];
    const char *script, *picture, *temp; /**< within the folder */
    char data[REPORT_PATH_MAX];          /**< within the folder, starts with ./ */
};

static enum rc find_places(const char *path, struct places *at, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const size_t name = slash == NULL ? 0 : (size_t)(slash - path) + 1, n = strlen(path);
    if (n < name + 5 || strcmp(path + n - 4, ".svg") != 0) {
        return error_set(err, RC_INVALID, "the figure '%s' is not named with .svg at its end",
                         path);
    }
    enum rc rc = report_temp_name(at->temp_path, path, err); /* the longest name of all */
    if (rc != RC_OK) {
        return rc;
    }
    const int folder = name > 0 ? (int)name : 2, stem = (int)n - 4;
    (void)snprintf(at->folder, sizeof at->folder, "%.*s", folder, name > 0 ? path : "./");
    (void)snprintf(at->script_path, sizeof at->script_path, "%.*s.gp", stem, path);
    (void)snprintf(at->data_path, sizeof at->data_path, "%.*s.csv", stem, path);
    (void)snprintf(at->data, sizeof at->data, "./%.*s", (int)(REPORT_PATH_MAX - 3),
                   at->data_path + name);
    at->script = at->script_path + name;
    at->temp = at->temp_path + name;
    at->picture = path + name;
    return RC_OK;
}

enum rc report_write_svg(const char *path, const char *study, const struct report_row *row,
                         size_t n, struct error *err)
{
    struct arena a = {0};
    struct figure g = {0};
    struct places at = {0};
    struct report_summary *s = NULL;
    bool drawable = false;

    enum rc rc = find_places(path, &at, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = arena_init(&a, arena_cost(n > 0 ? n : 1, sizeof *g.s), err);
    if (rc != RC_OK) {
        goto out;
    }
    s = arena_take(&a, n > 0 ? n : 1, sizeof *s);
    g.n = report_summaries(row, n, s);
    g.s = s;
    for (size_t i = 0; i < g.n; i++) {
        drawable = drawable || report_summary_has_auroc(&s[i]);
        g.places = s[i].place + 1 > g.places ? s[i].place + 1 : g.places;
    }
    if (!drawable) {
        rc = error_set(err, RC_INVALID, "the figure '%s' has nothing to show: no row has an AUROC",
                       path);
        goto out;
    }
    lay_out(&g);
    g.key_rows = key_rows(&g);
    rc = write_data(&g, at.data_path, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = write_script(&g, at.script_path, study, at.data, at.picture, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = report_gnuplot(at.folder, at.script, at.temp, err);
    if (rc == RC_OK && rename(at.temp_path, path) != 0) {
        rc = error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    if (rc != RC_OK) {
        (void)unlink(at.temp_path);
        rc = error_context(err, "figure '%s'", path);
    }
out:
    arena_release(&a);
    return rc;
}
