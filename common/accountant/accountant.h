/**
 * @file accountant.h
 * Questions about a plan that is fixed before its first step: what it costs, what noise or how many
 * steps a budget allows, what an attacker can reach. Tight, by privacy-loss distributions (pld.h);
 * where those cannot be had, by Rényi's curve (rdp.h), which is larger. Across mechanisms that are
 * chosen adaptively only the curve is valid: ask rdp.h.
 */
#ifndef COMMON_ACCOUNTANT_ACCOUNTANT_H
#define COMMON_ACCOUNTANT_ACCOUNTANT_H

#include <stddef.h>
#include <stdint.h>

#include "common/accountant/mechanism.h"
#include "common/base/error.h"

/** Least epsilon at delta in (0, 1) that is proven, at most 5e-4 of itself + 5e-5 above the truth where a
 *  grid can hold it. 0 for nothing; INFINITY without noise. Some 1 to 300 ms. Any thread. */
double accountant_epsilon(const struct mechanism *m, size_t n, double delta);

/** The same, looking as closely as it takes to see that it is at most `limit`: for comparing with a limit
 *  that a plan was made for, also where the last bits of another processor made it. */
double accountant_epsilon_against(const struct mechanism *m, size_t n, double delta, double limit);

/**
 * Noise multiplier, a multiple of 1e-6, with which q and `steps` stay within (epsilon, delta): at most
 * 0.06 % above the least one, mostly 0.005 %. A tenth of a second.
 * @retval RC_INVALID epsilon not in (0, infinity), delta not in (0, 1), q not in (0, 1], no steps
 * @retval RC_LIMIT   no sigma up to 1e6 reaches the target
 */
RC accountant_sigma(double epsilon, double delta, double q, uint64_t steps, double *sigma,
                    struct error *err);

/** Most steps of (q, sigma) within (epsilon, delta), up to `most`; 0 if not even one. */
uint64_t accountant_steps(double epsilon, double delta, double q, double sigma, uint64_t most);

/**
 * Upper bound on the true-positive rate of any membership attack at this false-positive rate, by an
 * attacker who sees every step and may have chosen the patient (pld_tpr).
 * @retval RC_LIMIT, RC_NOMEM as pld_open: nothing better than 1 is known
 */
RC accountant_tpr(const struct mechanism *m, size_t n, double fpr, double *tpr, struct error *err);

#endif
