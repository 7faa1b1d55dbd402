/* Figures of two histograms. Bins stand by rising risk. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/evaluation/evaluation_internal.h"

static const double SPECIFICITY = 0.9;
static const double ALERTS = 0.1;

const double evaluation_strata[EVALUATION_STRATA + 1] = {0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0};

static double softplus(double z)
{
    return fmax(z, 0.0) + log1p(exp(-fabs(z)));
}

void evaluation_grid_init(const struct evaluation_bins *bins, struct evaluation_grid *grid)
{
    *grid = (struct evaluation_grid){.bins = bins->n};
    for (size_t j = 0; j < bins->n; j++) {
        /* the open bins are taken as one logit wide */
        const double low = j > 0 ? bins->edge[j - 1] : bins->edge[0] - 1.0;
        const double high = j + 1 < bins->n ? bins->edge[j] : bins->edge[j - 1] + 1.0;
        const double p = (softplus(high) - softplus(low)) / (high - low);
        grid->predicted[j] = p;
        grid->middle[j] = 0.5 * (low + high);
        grid->width[j] = high - low;
        const size_t decile = (size_t)(p * EVALUATION_DECILES);
        grid->decile[j] = decile < EVALUATION_DECILES ? decile : EVALUATION_DECILES - 1;
        while (grid->stratum[j] + 1 < EVALUATION_STRATA &&
               p >= evaluation_strata[grid->stratum[j] + 1]) {
            grid->stratum[j]++;
        }
    }
}

static int falling(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a < b) - (a > b);
}

void evaluation_clean(double *h, size_t n)
{
    double sorted[EVALUATION_BINS_MAX];
    assert(n <= EVALUATION_BINS_MAX);
    double total = 0.0;
    for (size_t j = 0; j < n; j++) {
        total += h[j];
    }
    total = fmax(total, 0.0);
    memcpy(sorted, h, n * sizeof *h);
    qsort(sorted, n, sizeof *sorted, falling);
    double sum = 0.0, shift = 0.0;
    for (size_t k = 0; k < n; k++) {
        sum += sorted[k];
        const double candidate = (sum - total) / (double)(k + 1);
        if (sorted[k] - candidate > 0.0) {
            shift = candidate;
        }
    }
    for (size_t j = 0; j < n; j++) {
        h[j] = total > 0.0 ? fmax(h[j] - shift, 0.0) : 0.0;
    }
}

static double sum_of(const double *h, size_t n)
{
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) {
        sum += h[j];
    }
    return sum;
}

/* How fast the log odds of being ill rise with the logit: the slope of Fisher's discriminant, the distance of
 * the means by the variance within the classes. 1 for a calibrated model, 0 for a useless one. */
static double tilt(const struct evaluation_grid *g, const double *ill, const double *well,
                   double N1, double N0)
{
    double m1 = 0.0, m0 = 0.0, variance = 0.0;
    for (size_t j = 0; j < g->bins; j++) {
        m1 += ill[j] * g->middle[j] / N1;
        m0 += well[j] * g->middle[j] / N0;
    }
    for (size_t j = 0; j < g->bins; j++) {
        const double far = g->middle[j] - m1;
        const double near = g->middle[j] - m0;
        variance += (ill[j] * far * far + well[j] * near * near) / (N1 + N0);
    }
    return variance > 0.0 ? fmax(0.0, (m1 - m0) / variance) : 0.0;
}

/* Of a pair within one bin of width w the ill patient is above with probability 1/2 + tilt w / 12, to first order
 * (well ones spread evenly, ill ones as exp(tilt z)); counting one half would lose a few thousandths. */
static double auroc(const struct evaluation_grid *g, const double *ill, const double *well,
                    double N1, double N0)
{
    const double slope = tilt(g, ill, well, N1, N0);
    double below = 0.0, pairs = 0.0;
    for (size_t j = 0; j < g->bins; j++) {
        const double within = fmin(1.0, 0.5 + slope * g->width[j] / 12.0);
        pairs += ill[j] * (below + within * well[j]);
        below += well[j];
    }
    return pairs / (N1 * N0);
}

/* Precision integrated over recall. Within a bin of a ill and b well patients, after TP ill of D:
 *   a/N1 int_0^1 (TP + a t) / (D + (a + b) t) dt
 *     = a/N1 (a/(a + b) + (TP - a D/(a + b)) / (a + b) log(1 + (a + b)/D)) */
static double auprc(const double *ill, const double *well, size_t n, double N1)
{
    double TP = 0.0, D = 0.0, area = 0.0;
    for (size_t j = n; j-- > 0;) {
        const double a = ill[j];
        const double ab = ill[j] + well[j];
        if (a > 0.0) {
            double mean = a / ab;
            if (D > 0.0) {
                mean += (TP - a * D / ab) / ab * log1p(ab / D);
            }
            area += a * mean;
        }
        TP += a;
        D += ab;
    }
    return area / N1;
}

/* From the top bin down: what share of `counted` is passed when `wanted` of `measured` is. */
static double passed_at(const double *counted, const double *measured, size_t n, double wanted)
{
    double got = 0.0, seen = 0.0;
    for (size_t j = n; j-- > 0;) {
        if (measured[j] > 0.0 && seen + measured[j] >= wanted) {
            return got + counted[j] * (wanted - seen) / measured[j];
        }
        seen += measured[j];
        got += counted[j];
    }
    return got;
}

static double ece_and_groups(const struct evaluation_grid *g, const double *ill, const double *well,
                             double N, double *observed)
{
    double n[EVALUATION_DECILES + EVALUATION_STRATA] = {0.0};
    double found[EVALUATION_DECILES + EVALUATION_STRATA] = {0.0};
    double expected[EVALUATION_DECILES] = {0.0};
    for (size_t j = 0; j < g->bins; j++) {
        const size_t group[] = {g->decile[j], EVALUATION_DECILES + g->stratum[j]};
        for (size_t k = 0; k < 2; k++) {
            n[group[k]] += ill[j] + well[j];
            found[group[k]] += ill[j];
        }
        expected[g->decile[j]] += g->predicted[j] * (ill[j] + well[j]);
    }
    double gap = 0.0;
    for (size_t k = 0; k < EVALUATION_DECILES + EVALUATION_STRATA; k++) {
        observed[k] = n[k] >= 1.0 ? found[k] / n[k] : (double)NAN;
        gap += k < EVALUATION_DECILES ? fabs(found[k] - expected[k]) : 0.0;
    }
    return gap / N;
}

void evaluation_numbers(const struct evaluation_grid *g, const double *ill, const double *well,
                        double out[EVALUATION_NUMBERS])
{
    const size_t n = g->bins;
    double all[EVALUATION_BINS_MAX];
    for (size_t j = 0; j < n; j++) {
        all[j] = ill[j] + well[j];
    }
    const double N1 = sum_of(ill, n);
    const double N0 = sum_of(well, n);
    out[EVALUATION_AUROC] = auroc(g, ill, well, N1, N0);
    out[EVALUATION_AUPRC] = auprc(ill, well, n, N1);
    out[EVALUATION_ECE] = ece_and_groups(g, ill, well, N1 + N0, &out[EVALUATION_OBSERVED]);
    out[EVALUATION_SENSITIVITY] = passed_at(ill, well, n, (1.0 - SPECIFICITY) * N0) / N1;
    out[EVALUATION_PPV] = passed_at(ill, all, n, ALERTS * (N1 + N0)) / (ALERTS * (N1 + N0));
}
