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

/**
 * Shared noise: a site's part of the round's sum, and the mean of the site's own parameters, which carries
 * all of the noise itself. Both are of one clipped sum under one sensitivity.
 * @param sum [P] clipped sum  @param[out] update [update_bytes(S)] for a masked sum and nothing else
 * @param[out] mean [P] 0 where shared or frozen
 * @retval RC_NUMERIC as share_add_noise  @retval RC_LIMIT the grid is too coarse for so many numbers
 */
RC release_share(const struct param_table *table, const struct study *study, size_t site,
                 const double *sum, struct entropy *entropy, unsigned char *update, double *mean,
                 struct error *err);

#endif
