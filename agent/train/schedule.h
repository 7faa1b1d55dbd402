/**
 * @file schedule.h
 * The rate of each step of a study. A pure function of what is public, the study and the number of the
 * step, so that a site that missed rounds, or began again, is where all others are.
 *
 *   k = (round - 1) steps + step        from 0;  T = rounds x steps of the study, W its warm-up
 *   k < W     rate (k + 1) / W                                             (Goyal et al. 2017, 2.2)
 *   constant  rate
 *   cosine    rate (f + (1 - f) (1 + cos(pi (k - W) / (T - W))) / 2)       (Loshchilov, Hutter 2017, eq. 5)
 *
 * The last step is one before the cosine's end: at the end itself the rate is `rate f`, and with f = 0
 * a step that the budget has paid for would move nothing.
 */
#ifndef AGENT_TRAIN_SCHEDULE_H
#define AGENT_TRAIN_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "common/study/study.h"

/** @param round from 1  @param step from 0, below study->local.steps */
double schedule_rate(const struct study *study, uint64_t round, size_t step);

#endif
