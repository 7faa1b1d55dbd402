/* The site's half: scores into bins, noise into cells. */
#include <assert.h>
#include <math.h>

#include "common/dp/laplace.h"
#include "common/evaluation/evaluation.h"

struct evaluation_bins evaluation_bins_default(void)
{
    /* deciles from .1 to .9, and between and below them what the logit asks for */
    static const double border[] = {.001, .002, .004, .007, .01, .015, .02, .03,
                                    .04,  .05,  .07,  .1,   .15, .2,   .25, .3,
                                    .4,   .5,   .6,   .7,   .8,  .9,   .95, .98};
    struct evaluation_bins bins = {.n = sizeof border / sizeof border[0] + 1};
    for (size_t j = 0; j + 1 < bins.n; j++) {
        bins.edge[j] = log(border[j] / (1.0 - border[j]));
    }
    return bins;
}

static size_t bin_of(const struct evaluation_bins *bins, double probability)
{
    const double logit = log(probability) - log1p(-probability); /* may be infinite */
    size_t j = 0;
    while (j + 1 < bins->n && logit >= bins->edge[j]) {
        j++;
    }
    return j;
}

enum rc evaluation_count(const struct evaluation_bins *bins, const double *probability,
                         const double *label, size_t n, struct evaluation_counts *out,
                         struct error *err)
{
    struct evaluation_counts counts = {.bins = bins->n};
    for (size_t i = 0; i < n; i++) {
        if (!(probability[i] >= 0.0 && probability[i] <= 1.0)) {
            return error_set(err, RC_INVALID, "score %zu of %zu is no probability", i + 1, n);
        }
        if (label[i] != 0.0 && label[i] != 1.0) {
            return error_set(err, RC_INVALID, "label %zu of %zu is neither 0 nor 1", i + 1, n);
        }
        const size_t class = label[i] == 1.0 ? EVALUATION_ILL : EVALUATION_WELL;
        counts.at[class][bin_of(bins, probability[i])]++;
    }
    *out = counts;
    return RC_OK;
}

void evaluation_release(const struct evaluation_counts *counts, double epsilon,
                        struct entropy *entropy, struct evaluation_counts *out)
{
    *out = *counts;
    for (size_t c = 0; c < EVALUATION_CLASSES && isfinite(epsilon); c++) {
        int64_t noise[EVALUATION_BINS_MAX] = {0};
        laplace_discrete(entropy, epsilon, noise, counts->bins);
        for (size_t j = 0; j < counts->bins; j++) {
            out->at[c][j] += noise[j];
        }
    }
}

void evaluation_add(struct evaluation_counts *sum, const struct evaluation_counts *part)
{
    if (sum->bins == 0) {
        sum->bins = part->bins;
    }
    assert(sum->bins == part->bins);
    for (size_t c = 0; c < EVALUATION_CLASSES; c++) {
        for (size_t j = 0; j < part->bins; j++) {
            sum->at[c][j] += part->at[c][j];
        }
    }
}
