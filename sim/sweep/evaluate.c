/* From out-of-fold scores to the figures of a row. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
    size_t n = 0;
    for (size_t p = 0; p < d->n_patients; p++) {
        if (sweep_tests(s, cell, part, p) && (site == SIZE_MAX || d->site[p] == site)) {
            x[n] = score[p];
            y[n] = (double)d->label[p];
            n++;
        }
    }
    return n;
}

/* A site's figures; one class only, or nobody tested: no AUROC, and that is no failure. */
static enum rc site_figures(const double *x, const double *y, size_t n, struct report_site *out,
                            struct error *err)
{
    struct error why = {0};
    out->n_patients = n;
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

enum rc sweep_evaluate(const struct sweep *s, const struct sweep_cell *cell, const size_t *part,
                       const double *score, struct report_row *row, struct error *err)
{
    const struct dataset *d = s->data;
    double *x = calloc(d->n_patients + 1, sizeof *x);
    double *y = calloc(d->n_patients + 1, sizeof *y);
    struct interval auroc = {0};
    enum rc rc;

    if (x == NULL || y == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu scores", d->n_patients);
        goto out;
    }
    const size_t n = gather(s, cell, part, score, SIZE_MAX, x, y);
    rc = metrics_auroc(x, y, n, &auroc, err);
    if (rc == RC_OK) {
        rc = metrics_auprc(x, y, n, &row->auprc, err);
    }
    if (rc != RC_OK) {
        rc = error_context(err, "all tested patients together");
        goto out;
    }
    row->auroc = auroc.value;
    row->auroc_low = auroc.low;
    row->auroc_high = auroc.high;
    row->accuracy = metrics_accuracy(x, y, n, 0.5);
    row->ece = metrics_ece(x, y, n, ECE_BINS);
    rc = size_of_update(cell, row, err);
    for (size_t i = 0; rc == RC_OK && i < row->n_sites; i++) {
        (void)snprintf(row->site[i].name, sizeof row->site[i].name, "%s", d->site_name[i]);
        row->site[i].left_out = cell->ablation->left_out[i];
        const size_t n_i = gather(s, cell, part, score, i, x, y);
        rc = site_figures(x, y, n_i, &row->site[i], err);
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
