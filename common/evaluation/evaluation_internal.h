/**
 * @file evaluation_internal.h
 * From two cleaned histograms to numbers, which the bootstrap asks for a thousand times.
 */
#ifndef COMMON_EVALUATION_EVALUATION_INTERNAL_H
#define COMMON_EVALUATION_EVALUATION_INTERNAL_H

#include "common/evaluation/evaluation.h"

/** Numbers that get an interval, in this order. */
enum {
    EVALUATION_AUROC,
    EVALUATION_AUPRC,
    EVALUATION_ECE,
    EVALUATION_SENSITIVITY,
    EVALUATION_PPV,
    EVALUATION_OBSERVED, /**< [deciles, then strata] */
    EVALUATION_NUMBERS = EVALUATION_OBSERVED + EVALUATION_DECILES + EVALUATION_STRATA
};

/** What is known of bins beforehand. */
struct evaluation_grid {
    size_t bins;
    double middle[EVALUATION_BINS_MAX], width[EVALUATION_BINS_MAX]; /**< of the logit */
    double predicted
        [EVALUATION_BINS_MAX]; /**< mean probability of scores spread evenly over the logit */
    size_t decile[EVALUATION_BINS_MAX], stratum[EVALUATION_BINS_MAX]; /**< which one a bin is in */
};

extern const double evaluation_strata[EVALUATION_STRATA + 1];

void evaluation_grid_init(const struct evaluation_bins *bins, struct evaluation_grid *grid);

/**
 * The nearest histogram (least squares) that has nothing below 0 and the same total, at least 0: simplex
 * projection (Held, Wolfe, Crowder 1974). @param[in,out] h [n]
 */
void evaluation_clean(double *h, size_t n);

/** @param ill, well [bins] none below 0, each with a total above 0. NAN: a group without patients. */
void evaluation_numbers(const struct evaluation_grid *grid, const double *ill, const double *well,
                        double out[EVALUATION_NUMBERS]);

/* ---- measure.c -------------------------------------------------------------------------------- */

/** Half of an AUROC's 95 % interval where sums are drawn around these means [classes, bins]. At most 0.5. */
double evaluation_half_width(const struct evaluation_bins *bins,
                             double mean[EVALUATION_CLASSES][EVALUATION_BINS_MAX], double epsilon,
                             size_t releases);

#endif
