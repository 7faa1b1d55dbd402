/**
 * @file evaluation.h
 * How good a model is on the patients of several hospitals, without their scores leaving them.
 *
 *   at a site          score -> two histograms, of ill and of well patients, on public bins
 *                      -> discrete Laplace noise in every cell (common/dp/laplace.h) -> leaves
 *   at the coordinator sum over sites -> figures, each with an interval that includes the noise
 *
 * One patient stands in one cell of one class, so a release costs epsilon of pure differential privacy
 * under add/remove of a patient, whatever the number of bins. The coordinator's side is post-processing.
 *
 * A probability p stands in the bin of its logit; bins are public and chosen before any score is seen.
 */
#ifndef COMMON_EVALUATION_EVALUATION_H
#define COMMON_EVALUATION_EVALUATION_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/entropy.h"
#include "common/base/error.h"
#include "common/metrics/metrics.h"

enum { EVALUATION_BINS_MAX = 64, EVALUATION_STRATA = 6, EVALUATION_DECILES = 10 };
enum { EVALUATION_WELL, EVALUATION_ILL, EVALUATION_CLASSES }; /**< labels 0 and 1 */

/** Bin j holds logits in [edge[j - 1], edge[j]); the first and last have no end. Plain data. */
struct evaluation_bins {
    size_t n;                             /**< 2 … EVALUATION_BINS_MAX */
    double edge[EVALUATION_BINS_MAX - 1]; /**< [n - 1] rising */
};

/** The bins that are used where a study names none: 25, about 0.4 of a logit wide from 0.1 to 98 %,
 *  with edges at every border of deciles and risk strata. */
struct evaluation_bins evaluation_bins_default(void);

/** Patients by class and bin. Below 0 only after noise. Sums of these are these. */
struct evaluation_counts {
    size_t bins;
    int64_t at[EVALUATION_CLASSES][EVALUATION_BINS_MAX];
};

/**
 * @param probability [n] in [0, 1], one of each patient  @param label [n] 0 or 1
 * @retval RC_INVALID a probability outside [0, 1] or another label; says which row
 */
RC evaluation_count(const struct evaluation_bins *bins, const double *probability,
                    const double *label, size_t n, struct evaluation_counts *out,
                    struct error *err);

/** What may leave the site: counts with noise of its own in every cell. Costs epsilon; the spend is in
 *  the ledger before this leaves. @param epsilon as laplace_discrete; INFINITY: no noise */
void evaluation_release(const struct evaluation_counts *counts, double epsilon,
                        struct entropy *entropy, struct evaluation_counts *out);

/** sum += part. A sum that is all zero takes the part's bins. */
void evaluation_add(struct evaluation_counts *sum, const struct evaluation_counts *part);

/** Patients whose probability is in [from, to). */
struct evaluation_group {
    double from, to;
    double n;         /**< estimated; not whole */
    double predicted; /**< mean probability, as far as bins know it */
    struct interval
        observed; /**< share of ill patients; NAN with fewer than one patient estimated */
};

/**
 * Plain data. Intervals are for the patients that these are a sample of: noise and sampling together. What the bins
 * lose is in none of them: scores of one bin are not told apart, whatever is assumed of them within it, so that the
 * figure is moved by an amount that noise and sampling do not show. More patients do not make it smaller, finer bins do; of
 * few patients, whose own law within a bin is guessed from few, it is also least known.
 */
struct evaluation {
    double n[EVALUATION_CLASSES]; /**< estimated numbers of well and ill patients */
    struct interval auroc;        /**< two patients of one bin: see numbers.c */
    struct interval auprc;        /**< within a bin both classes are taken as mixed evenly */
    struct interval ece;          /**< over deciles of the probability */
    struct interval sensitivity;  /**< at 90 % specificity, between two bins by the straight line */
    struct interval ppv;          /**< of the 10 % with the highest risk */
    struct interval nna;          /**< number needed to alert there, 1 / ppv */
    struct evaluation_group decile[EVALUATION_DECILES]; /**< the reliability diagram */
    struct evaluation_group stratum[EVALUATION_STRATA]; /**< 0, 10, 20, 40, 60, 80, 100 % */
    size_t bins;
    double clean[EVALUATION_CLASSES]
                [EVALUATION_BINS_MAX]; /**< counts without what noise made negative */
};

/**
 * Figures of noised sums. Every interval is a parametric bootstrap of the whole way: counts drawn anew, noise
 * drawn anew, cleaned and measured as the real ones. The same figures every time.
 * @param epsilon   of each release; INFINITY: there was no noise, only sampling
 * @param releases  how many were added up: each brought noise of its own
 * @retval RC_INVALID bins and counts do not fit
 * @retval RC_STATE   after cleaning a class is empty: nothing can be said
 * @retval RC_NOMEM
 */
RC evaluation_measure(const struct evaluation_bins *bins, const struct evaluation_counts *sum,
                      double epsilon, size_t releases, struct evaluation *out, struct error *err);

/**
 * Half of the 95 % interval that evaluation_measure would give an AUROC of .80, one patient in five being ill:
 * from public numbers alone, so that nobody spends epsilon on figures that say nothing.
 * @param patients expected to be tested, over all releases
 * @return 0.5 where nothing would be known
 */
double evaluation_foresee(const struct evaluation_bins *bins, double patients, double epsilon,
                          size_t releases);

#endif
