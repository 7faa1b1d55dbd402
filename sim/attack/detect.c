#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/attack/attack_internal.h"

enum rc attack_detector_open(size_t n, struct attack_detector *out, struct error *err)
{
    struct attack_detector d = {.n = n,
                                .gram = calloc(n * n + 1, sizeof(double)),
                                .match = calloc(n + 1, sizeof(double))};
    if (d.gram == NULL || d.match == NULL) {
        attack_detector_release(&d);
        return error_set(err, RC_NOMEM, "no memory to tell %zu subjects apart", n);
    }
    *out = d;
    return RC_OK;
}

void attack_detector_release(struct attack_detector *d)
{
    free(d->gram);
    free(d->match);
    *d = (struct attack_detector){0};
}

/* a [n, n] = L L' in its lower half. @return false: it is not positive definite */
static bool cholesky(double *a, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j; i < n; i++) {
            double sum = a[i * n + j];
            for (size_t k = 0; k < j; k++) {
                sum -= a[i * n + k] * a[j * n + k];
            }
            if (i == j && !(sum > 0.0)) {
                return false;
            }
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    }
    return true;
}

/* x = (L L')^-1 x. */
static void solve(const double *l, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            x[i] -= l[i * n + k] * x[k];
        }
        x[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) {
            x[i] -= l[k * n + i] * x[k];
        }
        x[i] /= l[i * n + i];
    }
}

enum rc attack_detector_guess(const struct attack_detector *d, double variance, double *score,
                              struct error *err)
{
    /* Without noise there are still rounding and what a first-order guess of h leaves out: a thousandth
     * of a subject's own energy. */
    static const double LEAST = 1e-3;
    const size_t n = d->n;
    double trace = 0.0;
    double *a = malloc((n * n + 1) * sizeof *a);
    if (a == NULL) {
        return error_set(err, RC_NOMEM, "no memory to tell %zu subjects apart", n);
    }
    memcpy(a, d->gram, n * n * sizeof *a);
    for (size_t j = 0; j < n; j++) {
        trace += a[j * n + j];
    }
    const double ridge = fmax(4.0 * variance, LEAST * trace / (double)n);
    for (size_t j = 0; j < n; j++) {
        double half = 0.0;
        for (size_t k = 0; k < n; k++) {
            half += 0.5 * d->gram[j * n + k];
        }
        score[j] = d->match[j] - half;
        a[j * n + j] += ridge;
    }
    if (!cholesky(a, n)) {
        free(a);
        return error_set(err, RC_NUMERIC, "subjects whose gradients are all zero cannot be found");
    }
    solve(a, n, score);
    for (size_t j = 0; j < n; j++) {
        score[j] += 0.5;
    }
    free(a);
    return RC_OK;
}
