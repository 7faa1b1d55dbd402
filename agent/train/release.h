/**
 * @file release.h
 * What leaves the clipped sum of a step: noise_release over the numbers that are trained. Frozen ones
 * have no gradient; they take no noise, and no part in the rounding that sensitivity pays for.
 */
#ifndef AGENT_TRAIN_RELEASE_H
#define AGENT_TRAIN_RELEASE_H

#include "common/base/entropy.h"
#include "common/base/error.h"
#include "common/study/study.h"
#include "common/tape/params.h"

/** Numbers of the table that are trained. */
size_t release_count(const struct param_table *table);

/**
 * @param sum [P] clipped sum, used up  @param[out] mean [P] the released mean; 0 where frozen
 * @param divisor public
 * @retval RC_NUMERIC as noise_release: release nothing
 */
RC release_mean(const struct param_table *table, const struct study_privacy *dp, double divisor,
                double *sum, struct entropy *entropy, double *mean, struct error *err);

#endif
