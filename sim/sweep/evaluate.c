/* From out-of-fold scores to the figures of a row. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics/metrics.h"
#include "common/model/model.h"
#include "common/update/update.h"
#include "sim/sweep/sweep_internal.h"

enum { ECE_BINS = 10 };
static const double MISSING = (double)NAN;

bool sweep_tests(const struct sweep *s, const struct sweep_cell *cell, const size_t *part, size_t p)
{
    return part[p] != SWEEP_NEVER &&
           !(cell->mode == SWEEP_LOCAL_ONLY && cell->ablation->left_out[s->data->site[p]]);
}

/* Scores and labels of the tested patients of one site (SIZE_MAX: all). */
static size_t gather(const struct sweep *s, const struct sweep_cell *cell, const size_t *part,
                     const double *score, size_t site, double *x, double *y)
{
    const struct dataset *d = s->data;
    const size_t C = sweep_outputs(s);
    size_t n = 0;
    for (size_t p = 0; p < d->n_patients; p++) {
        if (sweep_tests(s, cell, part, p) && (site == SIZE_MAX || d->site[p] == site)) {
            memcpy(x + n * C, score + p * C, C * sizeof *x);
            y[n] = (double)d->label[p];
            n++;
        }
    }
    return n;
}

/* Of the likeliest of several classes: is it right as often as it says? What it is asked of is overwritten. */
static double class_ece(double *x, double *y, size_t n, size_t C)
{
    for (size_t i = 0; i < n; i++) {
        const size_t best = metrics_likeliest(x + i * C, C);
        y[i] = best == (size_t)y[i] ? 1.0 : 0.0;
        x[i] = x[i * C + best]; /* i <= i C: what is read later stays */
    }
    return metrics_ece(x, y, n, ECE_BINS);
}

static enum rc site_figures_of_classes(const double *x, const double *y, size_t n, size_t C,
                                       struct report_site *out, struct error *err)
{
    struct error why = {0};
    out->accuracy = n > 0 ? metrics_class_accuracy(x, y, n, C) : MISSING;
    const enum rc rc = metrics_class_auroc(x, y, n, C, &out->auroc, &why);
    out->has_auroc = rc == RC_OK;
    return rc == RC_OK || rc == RC_STATE ? RC_OK
                                         : error_set(err, rc, "site '%s': %s", out->name, why.text);
}

/* A site's figures; one class only, or nobody tested: no AUROC, and that is no failure. */
static enum rc site_figures(const double *x, const double *y, size_t n, size_t C,
                            struct report_site *out, struct error *err)
{
    struct error why = {0};
    out->n_patients = n;
    if (C > 1) {
        return site_figures_of_classes(x, y, n, C, out, err);
    }
    out->accuracy = n > 0 ? metrics_accuracy(x, y, n, 0.5) : MISSING;
    const struct evaluation_bins bins = evaluation_bins_default();
    enum rc rc = evaluation_count(&bins, x, y, n, &out->counts, &why);
    if (rc == RC_OK) {
        rc = metrics_auroc(x, y, n, &out->auroc, &why);
    }
    out->has_auroc = rc == RC_OK;
    if (rc != RC_OK && rc != RC_STATE) {
        return error_set(err, rc, "site '%s': %s", out->name, why.text);
    }
    return RC_OK;
}

static double mean_of_sites(const struct report_row *row, bool accuracy)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < row->n_sites; i++) {
        const struct report_site *site = &row->site[i];
        if (accuracy ? site->n_patients > 0 : site->has_auroc) {
            sum += accuracy ? site->accuracy : site->auroc.value;
            n++;
        }
    }
    return n > 0 ? sum / (double)n : MISSING;
}

/* Bytes of one update: what the messages of a round cost. */
static enum rc size_of_update(const struct sweep_cell *cell, struct report_row *row,
                              struct error *err)
{
    struct model model = {0};
    const enum rc rc =
        model_open(&cell->ablation->study.model, &cell->ablation->schema, &model, err);
    if (rc == RC_OK) {
        row->update_bytes = update_bytes(model.table.S);
    }
    model_release(&model);
    return rc;
}

/* Of all tested patients together. */
static enum rc pooled_figures(double *x, double *y, size_t n, size_t C, struct report_row *row,
                              struct error *err)
{
    struct interval auroc = {0};
    enum rc rc =
        C > 1 ? metrics_class_auroc(x, y, n, C, &auroc, err) : metrics_auroc(x, y, n, &auroc, err);
    row->auprc = MISSING;
    if (rc == RC_OK && C == 1) {
        rc = metrics_auprc(x, y, n, &row->auprc, err);
    }
    if (rc != RC_OK) {
        return error_context(err, "all tested patients together");
    }
    row->auroc = auroc.value;
    row->auroc_low = auroc.low;
    row->auroc_high = auroc.high;
    row->accuracy = C > 1 ? metrics_class_accuracy(x, y, n, C) : metrics_accuracy(x, y, n, 0.5);
    row->ece = C > 1 ? class_ece(x, y, n, C) : metrics_ece(x, y, n, ECE_BINS);
    return RC_OK;
}

enum rc sweep_evaluate(const struct sweep *s, const struct sweep_cell *cell, const size_t *part,
                       const double *score, struct report_row *row, struct error *err)
{
    const struct dataset *d = s->data;
    const size_t C = sweep_outputs(s);
    double *x = calloc(d->n_patients * C + 1, sizeof *x);
    double *y = calloc(d->n_patients + 1, sizeof *y);
    size_t n;
    enum rc rc;

    if (x == NULL || y == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu scores", d->n_patients);
        goto out;
    }
    n = gather(s, cell, part, score, SIZE_MAX, x, y);
    rc = pooled_figures(x, y, n, C, row, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = size_of_update(cell, row, err);
    for (size_t i = 0; rc == RC_OK && i < row->n_sites; i++) {
        (void)snprintf(row->site[i].name, sizeof row->site[i].name, "%s", d->site_name[i]);
        row->site[i].left_out = cell->ablation->left_out[i];
        const size_t n_i = gather(s, cell, part, score, i, x, y);
        rc = site_figures(x, y, n_i, C, &row->site[i], err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    row->auroc_site_mean = mean_of_sites(row, false);
    row->accuracy_site_mean = mean_of_sites(row, true);
out:
    free(x);
    free(y);
    return rc;
}
