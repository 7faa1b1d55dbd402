/*
 * One of several classes. The macro AUROC is the mean over the classes that are there of one against the
 * rest,
 *
 *     A = (1/K) sum_c A_c,   A_c = mean over patients i of c of V10_c(i),   V10_c(i): share of the others
 *                                  below i in the score of c, ties one half
 *
 * and its variance that of a sum of one term a patient. In the K rankings patient i stands once among the
 * ill and else among the well, so that DeLong's placements (1988, eq. 4 and 5) add up to
 *
 *     psi_i = (1/K) ((V10_c(i) - A_c) / m_c  +  sum over d != c of (V01_d(i) - A_d) / (n - m_d)),   c of i
 *
 * and Var A = sum_i psi_i^2: what the K figures share is in it, and with K = 2 and p, 1 - p as scores it is
 * DeLong's variance of the one figure but for m/(m - 1).
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/metrics/metrics_internal.h"

double metrics_class_accuracy(const double *probability, const double *label, size_t n, size_t C)
{
    assert(n > 0);
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        right += metrics_likeliest(probability + i * C, C) == (size_t)label[i];
    }
    return (double)right / (double)n;
}

size_t metrics_likeliest(const double *probability, size_t C)
{
    size_t best = 0;
    for (size_t c = 1; c < C; c++) {
        best = probability[c] > probability[best] ? c : best;
    }
    return best;
}

/* Room for one ranking of everybody, and what is added up. */
struct desk {
    double *score, *is, *place, *psi; /* [n] */
};

/* psi_i of one class. @return A_c */
static double add_class(const struct ranking *r, size_t n, const struct desk *d)
{
    double sum = 0.0;
    ranking_placements(r, d->place);
    for (size_t i = 0; i < n; i++) {
        sum += d->is[i] == 1.0 ? d->place[i] / (double)r->n_well : 0.0;
    }
    const double value = sum / (double)r->n_ill;
    for (size_t i = 0; i < n; i++) {
        const bool ill = d->is[i] == 1.0;
        const double share = d->place[i] / (double)(ill ? r->n_well : r->n_ill);
        d->psi[i] += (share - value) / (double)(ill ? r->n_ill : r->n_well);
    }
    return value;
}

enum rc metrics_class_auroc(const double *probability, const double *label, size_t n, size_t C,
                            struct interval *out, struct error *err)
{
    size_t there = 0;
    size_t fewest = n;
    double sum = 0.0;
    double variance = 0.0;
    enum rc rc = RC_OK;
    struct desk d = {.score = n <= SIZE_MAX / 4 ? calloc(4 * n + 1, sizeof(double)) : NULL};
    if (d.score == NULL) {
        return error_set(err, RC_NOMEM, "no room for the ranks of %zu scores", n);
    }
    d.is = d.score + n;
    d.place = d.is + n;
    d.psi = d.place + n;
    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        if (!(label[i] >= 0.0 && label[i] < (double)C && floor(label[i]) == label[i])) {
            rc = error_set(err, RC_INVALID, "label of row %zu is no class", i);
        }
    }
    for (size_t c = 0; rc == RC_OK && c < C; c++) {
        struct ranking r = {0};
        for (size_t i = 0; i < n; i++) {
            d.score[i] = probability[i * C + c];
            d.is[i] = label[i] == (double)c ? 1.0 : 0.0;
        }
        rc = ranking_open(d.score, d.is, n, &r, err);
        if (rc == RC_STATE) { /* nobody is of this class, or everybody */
            rc = RC_OK;
            continue;
        }
        if (rc == RC_OK) {
            sum += add_class(&r, n, &d);
            there++;
            fewest = r.n_ill < fewest ? r.n_ill : fewest;
        }
        ranking_close(&r);
    }
    if (rc == RC_OK && there == 0) {
        rc = error_set(err, RC_STATE, "two classes are needed, there is one or none");
    }
    if (rc == RC_OK) {
        const double K = (double)there;
        for (size_t i = 0; i < n; i++) {
            variance += d.psi[i] * d.psi[i] / (K * K);
        }
        const double half = METRICS_Z95 * sqrt(variance);
        const bool known = fewest >= 2; /* one patient alone has no spread */
        out->value = sum / K;
        out->low = known ? fmax(0.0, out->value - half) : 0.0;
        out->high = known ? fmin(1.0, out->value + half) : 1.0;
    }
    free(d.score);
    return rc;
}
