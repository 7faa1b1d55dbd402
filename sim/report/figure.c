#include <math.h>
#include <string.h>

#include "common/base/arena.h"
#include "sim/report/figure_internal.h"

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
            figure_bar_of(g, s, &low, &high);
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
        (void)fprintf(file.f, "%zu,", figure_series_of(s));
        report_csv_number(file.f, figure_is_line(s) ? (double)NAN : figure_place_of(g, s), ',');
        report_csv_number(file.f, low, ',');
        report_csv_number(file.f, high, '\n');
    }
    return report_file_commit(&file, err);
}

enum rc report_write_svg(const char *path, const char *study, const struct report_row *row,
                         size_t n, struct error *err)
{
    return report_write_figure(path, study, row, n, (double)NAN, err);
}

/* Points of the axis of sites have a figure of their own: here each would be an ablation. */
static size_t drop_fewer_sites(struct report_summary *s, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].first_sites == 0 || s[i].place == 0) {
            s[kept++] = s[i];
        }
    }
    return kept;
}

enum rc report_write_figure(const char *path, const char *study, const struct report_row *row,
                            size_t n, double ceiling, struct error *err)
{
    struct arena a = {0};
    struct figure g = {.ceiling = ceiling};
    struct draw_places at = {0};
    struct report_summary *s = NULL;
    bool drawable = false;

    enum rc rc = draw_places_find(path, &at, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = arena_init(&a, arena_cost(n > 0 ? n : 1, sizeof *g.s), err);
    if (rc != RC_OK) {
        goto out;
    }
    s = arena_take(&a, n > 0 ? n : 1, sizeof *s);
    g.n = drop_fewer_sites(s, report_summaries(row, n, s));
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
    figure_lay_out(&g);
    g.key_rows = figure_key_rows(&g);
    rc = write_data(&g, at.data_path, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = figure_write_script(&g, &at, study, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = draw_run(&at, path, err);
out:
    arena_release(&a);
    return rc;
}
