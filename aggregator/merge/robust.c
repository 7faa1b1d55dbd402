#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/merge/robust_internal.h"
#include "common/update/update.h"

struct robust {
    const struct study *study;     /* borrowed */
    const struct study_span *span; /* borrowed */
    size_t S, window;
    size_t at;        /* where the present window begins; S: all is done */
    size_t n;         /* sites added */
    size_t *site;     /* [n] */
    double *weight;   /* [n] by which each has multiplied its values */
    uint32_t *values; /* [n_sites, window] on the ring */
    double *column;   /* [n_sites] of one number */
    real *mean;       /* [S] */
};

enum rc robust_open(const struct study *study, const struct study_span *span, size_t S,
                    size_t window_bytes, struct robust **out, struct error *err)
{
    struct robust *r = calloc(1, sizeof *r);
    if (r != NULL) {
        const size_t most = window_bytes / (study->n_sites * sizeof *r->values);
        const size_t window = most < S ? most : S;
        *r = (struct robust){.study = study,
                             .span = span,
                             .S = S,
                             .window = window > 0 ? window : 1,
                             .site = calloc(study->n_sites, sizeof *r->site),
                             .weight = calloc(study->n_sites, sizeof *r->weight),
                             .column = calloc(study->n_sites, sizeof *r->column),
                             .mean = calloc(S + 1, sizeof *r->mean)};
        r->values = calloc(study->n_sites * r->window, sizeof *r->values);
    }
    if (r == NULL || r->site == NULL || r->weight == NULL || r->column == NULL || r->mean == NULL ||
        r->values == NULL) {
        robust_close(&r);
        return error_set(err, RC_NOMEM, "no memory to compare %zu updates of %zu parameters",
                         study->n_sites, S);
    }
    *out = r;
    return RC_OK;
}

void robust_close(struct robust **r)
{
    if (*r != NULL) {
        free((*r)->site);
        free((*r)->weight);
        free((*r)->values);
        free((*r)->column);
        free((*r)->mean);
        free(*r);
        *r = NULL;
    }
}

void robust_restart(struct robust *r)
{
    r->at = 0;
    r->n = 0;
}

static size_t width(const struct robust *r)
{
    return r->S - r->at < r->window ? r->S - r->at : r->window;
}

void robust_add(struct robust *r, size_t site, const unsigned char *update)
{
    assert(r->n < r->study->n_sites);
    uint32_t *row = r->values + r->n * r->window; /* [width] */
    struct error never = {0};
    memset(row, 0, width(r) * sizeof *row);
    const enum rc rc =
        update_add(row, width(r), update + update_bytes(r->at), update_bytes(width(r)), &never);
    assert(rc == RC_OK);
    r->site[r->n] = site;
    r->weight[r->n++] = study_weight(r->study, site);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* x [n], n > 0, is put in order. */
static double middle(double *x, size_t n, size_t cut)
{
    qsort(x, n, sizeof *x, by_size);
    double sum = 0.0;
    for (size_t i = cut; i < n - cut; i++) {
        sum += x[i];
    }
    return sum / (double)(n - 2 * cut);
}

/* How many to cut off at each end: of the median all but one, or but two where they are even. */
static size_t cut_of(const struct study *s, size_t n)
{
    const size_t most = (n - 1) / 2;
    return s->server.combine == STUDY_MEDIAN || s->server.trim > most ? most : s->server.trim;
}

/* Of the number at i; n_lacked: every site has a say in it. */
static size_t block_of(const struct robust *r, size_t i)
{
    size_t k = 0;
    while (k < r->study->model.n_lacked && (i < r->span[k].first || i >= r->span[k].end)) {
        k++;
    }
    return k;
}

bool robust_next(struct robust *r)
{
    const struct study *s = r->study;
    assert(r->at < r->S || r->S == 0);
    const size_t n_values = width(r);
    for (size_t i = 0; i < n_values; i++) {
        const size_t block = block_of(r, r->at + i);
        size_t n = 0;
        for (size_t k = 0; k < r->n; k++) {
            if (block == s->model.n_lacked || !study_lacks(s, r->site[k], block)) {
                update_decode(r->values + k * r->window + i, 1, r->weight[k], s->fraction_bits,
                              &r->column[n++]);
            }
        }
        r->mean[r->at + i] = n > 0 ? (real)middle(r->column, n, cut_of(s, n)) : 0;
    }
    r->at += n_values;
    r->n = 0;
    return r->at < r->S;
}

const real *robust_mean(const struct robust *r)
{
    assert(r->at == r->S);
    return r->mean;
}
