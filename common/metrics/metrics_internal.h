/**
 * @file metrics_internal.h
 * Patients in the order of their scores, for the figures of this folder.
 */
#ifndef COMMON_METRICS_METRICS_INTERNAL_H
#define COMMON_METRICS_METRICS_INTERNAL_H

#include <stdbool.h>

#include "common/metrics/metrics.h"

/** Two-sided 95 % of the standard normal. */
#define METRICS_Z95 1.959963984540054

/** One patient, ready to be sorted. */
struct scored {
    double score;
    size_t at; /**< row in the caller's arrays */
    bool ill;
};

/** Patients by rising score. */
struct ranking {
    struct scored *by_score; /**< [n], owned */
    size_t n, n_ill, n_well;
};

/** Check, count, sort. On success both classes are there and ranking_close is due; errors as in metrics.h */
RC ranking_open(const double *score, const double *label, size_t n, struct ranking *out,
                struct error *err);
void ranking_close(struct ranking *r);

/**
 * Placements (DeLong et al. 1988, eq. 4 and 5; Sun, Xu 2014, section III), in the caller's rows: of an ill
 * patient the well ones below, of a well one the ill ones above, ties one half. @param[out] place [n]
 */
void ranking_placements(const struct ranking *r, double *place);

#endif
