/*
 * How sure a sensitivity is whose threshold was chosen on the same patients. Wilson's interval for a
 * share takes the threshold as given; here it moves with the well patients of the sample. So the
 * variance is taken from a bootstrap of both classes (Zhou, Qin 2005, their BTII, with the adjusted
 * share of Agresti, Coull 1998, which keeps a variance at 0 and 1), and Wilson's interval is computed
 * for as many ill patients as would have that variance (an effective sample size: Korn, Graubard
 * 1998).
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/rng.h"
#include "common/metrics/metrics.h"

enum { RESAMPLES = 1000 };
static const double z95 = 1.959963984540054;

/* Scores of each class, rising. Owned. */
struct classes {
    size_t n_ill, n_well;
    double *ill, *well;
    size_t *drawn; /* [n_well] how often each is in a resample */
};

static int by_value(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

static void classes_close(struct classes *c)
{
    free(c->ill);
    free(c->well);
    free(c->drawn);
    *c = (struct classes){0};
}

static RC classes_open(const double *score, const double *label, size_t n, struct classes *c,
                       struct error *err)
{
    c->ill = calloc(n, sizeof *c->ill);
    c->well = calloc(n, sizeof *c->well);
    c->drawn = calloc(n, sizeof *c->drawn);
    if (c->ill == NULL || c->well == NULL || c->drawn == NULL) {
        classes_close(c);
        return error_set(err, RC_NOMEM, "no room to sort %zu scores", n);
    }
    for (size_t i = 0; i < n; i++) {
        if (label[i] == 1.0) {
            c->ill[c->n_ill++] = score[i];
        } else {
            c->well[c->n_well++] = score[i];
        }
    }
    qsort(c->ill, c->n_ill, sizeof *c->ill, by_value);
    qsort(c->well, c->n_well, sizeof *c->well, by_value);
    return RC_OK;
}

/* Least number of well patients below the threshold. As metrics_sensitivity_at compares. */
static size_t cleared(size_t n_well, double specificity)
{
    size_t k = (size_t)(specificity * (double)n_well);
    k = k > 0 ? k - 1 : 0;
    while (k < n_well && (double)k / (double)n_well < specificity) {
        k++;
    }
    return k;
}

/* Ill patients above the k-th well one of a resample, as a share of all ill ones. */
static double share_above(struct classes *c, size_t k, struct rng *r)
{
    for (size_t i = 0; i < c->n_well; i++) {
        c->drawn[i] = 0;
    }
    for (size_t i = 0; i < c->n_well; i++) {
        c->drawn[rng_below(r, c->n_well)]++;
    }
    size_t at = 0;
    for (size_t below = c->drawn[0]; below < k; below += c->drawn[at]) {
        at++;
        assert(at < c->n_well);
    }
    const double threshold = c->well[at];
    size_t low = 0; /* first ill patient above it */
    for (size_t high = c->n_ill; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (c->ill[middle] > threshold) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return (double)(c->n_ill - low) / (double)c->n_ill;
}

static double variance(struct classes *c, size_t k)
{
    const double shrink = z95 * z95;
    const double n = (double)c->n_ill;
    double mean = 0.0;
    double squares = 0.0;
    struct rng r;
    rng_init(&r, 0, "resamples of the sensitivity"); /* the same figures every time */
    for (size_t b = 1; b <= RESAMPLES; b++) {
        const double share = share_above(c, k, &r);
        size_t hits = 0;
        for (size_t i = 0; i < c->n_ill; i++) {
            hits += rng_uniform(&r) < share;
        }
        const double x = ((double)hits + shrink / 2.0) / (n + shrink);
        const double step = x - mean; /* Welford 1962 */
        mean += step / (double)b;
        squares += step * (x - mean);
    }
    return squares / (double)(RESAMPLES - 1);
}

/* Wilson 1927, eq. 6, for a share of n, which need not be whole. */
static struct interval wilson(double share, double n)
{
    const double zz = z95 * z95;
    const double middle = (share + zz / (2.0 * n)) / (1.0 + zz / n);
    const double half = z95 * sqrt(share * (1.0 - share) / n + zz / (4.0 * n * n)) / (1.0 + zz / n);
    /* Rounding must not leave the value outside of its own interval at 0 and 1. */
    return (struct interval){share, fmin(share, fmax(0.0, middle - half)),
                             fmax(share, fmin(1.0, middle + half))};
}

enum rc metrics_sensitivity_interval(const double *score, const double *label, size_t n,
                                     double specificity, struct interval *out, struct error *err)
{
    struct classes c = {0};
    double value = 0.0;
    enum rc rc = metrics_sensitivity_at(score, label, n, specificity, &value, err);
    if (rc == RC_OK) {
        rc = classes_open(score, label, n, &c, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const size_t k = cleared(c.n_well, specificity);
    double inflation = 1.0;
    if (k > 0) { /* else everybody is called ill */
        const double n_ill = (double)c.n_ill;
        const double share = (value * n_ill + z95 * z95 / 2.0) / (n_ill + z95 * z95);
        const double binomial = share * (1.0 - share) * n_ill / pow(n_ill + z95 * z95, 2.0);
        inflation = fmax(1.0, variance(&c, k) / binomial);
    }
    *out = wilson(value, (double)c.n_ill / inflation);
    classes_close(&c);
    return RC_OK;
}
