/**
 * @file planning.h
 * Choosing sampling rate, steps and noise for a privacy budget from public numbers alone, so that nothing
 * is fitted on patients.
 *
 * The rule. Over T steps at rate q a gradient that all n patients share adds up to n q T C, and the noise
 * to sigma C sqrt(T) a parameter; what is learnt goes with q sqrt(T) / sigma. Computing costs q T passes
 * over the data. Among T = least, 2 least, 4 least, … up to most, each with q = min(1, passes / T) and
 * the least sigma for (epsilon, delta), the rule takes the largest q sqrt(T) / sigma; what comes within
 * one per cent of it with fewer steps is preferred. At equal epsilon this is mostly a large q with few
 * steps: sampling costs more signal than it saves noise.
 */
#ifndef COMMON_ACCOUNTANT_PLANNING_H
#define COMMON_ACCOUNTANT_PLANNING_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct planning_wish {
    double epsilon, delta;
    double passes;        /**< over each site's data, all steps together: what may be computed */
    uint64_t steps_least; /**< what optimisation needs: some 20 for a convex model */
    uint64_t steps_most;  /**< with `noise: shared` a step is a round */
};

struct planning_choice {
    double q, sigma;
    uint64_t steps;
    double signal; /**< q sqrt(steps) / sigma */
};

enum { PLANNING_CHOICES = 24 };

/** q of so many steps: min(1, passes / steps). One division: the same bits on every processor. */
double planning_rate(double passes, uint64_t steps);

/**
 * @param[out] choice [PLANNING_CHOICES] all that were compared, by steps
 * @param[out] n how many @param[out] best index of the one to take
 * @retval RC_INVALID a number out of range; says which
 * @retval RC_LIMIT no noise reaches the target
 */
RC planning_choose(const struct planning_wish *wish,
                   struct planning_choice choice[PLANNING_CHOICES], size_t *n, size_t *best,
                   struct error *err);

#endif
