/**
 * @file metrics.h
 * How good scores are. Everything in double, ties handled exactly, intervals beside each figure.
 *
 * A score is any number that grows with the risk; a label is 0 or 1; a probability is a score in
 * [0, 1]. Functions that sort take O(n log n) and give their memory back; none keeps state.
 * Functions returning RC share these:
 * @retval RC_INVALID a score is not finite or a label is neither 0 nor 1 (the text says which row)
 * @retval RC_STATE   one class only (or nobody): the figure does not exist
 * @retval RC_NOMEM   no room for a sorted copy
 */
#ifndef COMMON_METRICS_METRICS_H
#define COMMON_METRICS_METRICS_H

#include <stddef.h>

#include "common/base/error.h"

/** A value with its 95 % interval. */
struct interval {
    double value, low, high;
};

/**
 * Area under the ROC curve, a tie counting one half, with DeLong's Wald interval, cut to [0, 1]
 * (DeLong, DeLong, Clarke-Pearson 1988; O(n log n) by midranks: Sun, Xu 2014).
 * With one patient in a class there is a value but no variance: the interval is then [0, 1].
 * @param score  [n] any monotone score
 * @param label  [n] 0 or 1
 */
RC metrics_auroc(const double *score, const double *label, size_t n, struct interval *out,
                 struct error *err);

/** DeLong's paired test of two scores on the same patients: difference a - b, cut to [-1, 1], and
 *  two-sided p. RC_STATE also with fewer than two patients in a class: there is no variance. */
RC metrics_auroc_compare(const double *a, const double *b, const double *label, size_t n,
                         struct interval *difference, double *p, struct error *err);

/** Average precision (area under precision-recall as a step function; equal scores are one step). */
RC metrics_auprc(const double *score, const double *label, size_t n, double *out,
                 struct error *err);

/** Share of (probability >= threshold) == label. n > 0. */
double metrics_accuracy(const double *probability, const double *label, size_t n, double threshold);

/** Expected calibration error over `bins` equal bins of the probability (1 is in the last).
 *  n > 0, bins > 0. NaN if a probability is outside [0, 1]. O(n bins). */
double metrics_ece(const double *probability, const double *label, size_t n, size_t bins);

/** Largest sensitivity over thresholds with specificity >= the wanted one.
 *  RC_INVALID also if that is outside [0, 1]. */
RC metrics_sensitivity_at(const double *score, const double *label, size_t n, double specificity,
                          double *out, struct error *err);

/** The same with its 95 % interval, which knows that the threshold was chosen on these patients: a
 *  bootstrap's variance in Wilson's interval (operating.c). The same figures every time; about a
 *  thousand times n steps. */
RC metrics_sensitivity_interval(const double *score, const double *label, size_t n,
                                double specificity, struct interval *out, struct error *err);

/**
 * Of several classes: share of patients whose likeliest class is the label; of equal ones the first counts.
 * n > 0. @param probability [n, C]  @param label [n] number of a class
 */
double metrics_class_accuracy(const double *probability, const double *label, size_t n, size_t C);

/** The class with the largest probability, of equal ones the first. C > 0 */
size_t metrics_likeliest(const double *probability, size_t C);

/**
 * Macro AUROC: the mean, over the classes that somebody has, of one class against the rest, with its 95 %
 * interval (classes.c: one term a patient, so that what the classes' figures share is counted). With one
 * patient in a class the interval is [0, 1]. RC_STATE: fewer than two classes are there.
 * @param probability [n, C] @param label [n] number of a class
 */
RC metrics_class_auroc(const double *probability, const double *label, size_t n, size_t C,
                       struct interval *out, struct error *err);

/** Mean and sample standard deviation (0 for n = 1). n > 0. */
void metrics_mean_sd(const double *x, size_t n, double *mean, double *sd);

#endif
