/**
 * @file accountant.h
 * What a run of noised steps costs. Rényi differential privacy of the Poisson-subsampled Gaussian
 * mechanism under add/remove of one patient (Mironov 2017; Mironov, Talwar, Zhang 2019), composed
 * by adding curves and converted at the end (Canonne, Kamath, Steinke 2020, Prop. 12).
 *
 * The accountant takes Poisson sampling and nothing else: fixed-size or shuffled batches are another
 * mechanism with a worse epsilon.
 */
#ifndef COMMON_DP_ACCOUNTANT_H
#define COMMON_DP_ACCOUNTANT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/** The grid of Rényi orders, fixed beforehand (a filter across adaptively chosen studies needs it
 *  fixed): 1.1 … 10.9 by 0.1, 11 … 63 by 1, 64, 80, 96, 128, 192, 256, 512, 1024. */
enum { ACCOUNTANT_ORDERS = 160 };
size_t accountant_orders(const double **order);

/** `steps` steps of the same mechanism. sigma = 0: no noise, epsilon is infinite. */
struct mechanism {
    double q;     /**< sampling rate in [0, 1] */
    double sigma; /**< noise multiplier: noise standard deviation / sensitivity */
    uint64_t steps;
};

/** A Rényi curve: what has been spent, at each order of the grid. Zero is nothing. */
struct rdp_curve {
    double at[ACCOUNTANT_ORDERS];
};

/**
 * Rényi divergence bound of one step at one order > 1; INFINITY if unbounded.
 * Good to 1e-12 relative; a fractional order below 64 is rounded up by 1e-14 / (order - 1) on top,
 * which is what its series may lose. A whole order may be any; a whole curve takes half a
 * millisecond. No state, no allocation: any thread.
 */
double rdp_step(double q, double sigma, double order);

/** curve += steps x step. */
void rdp_add(struct rdp_curve *curve, const struct mechanism *m);

/** Smallest epsilon at delta in (0, 1) over the grid; 0 for an empty curve; INFINITY without noise.
 *  @param[out] best_order the order that gave it (0 if none did: empty or infinite), or NULL */
double rdp_epsilon(const struct rdp_curve *curve, double delta, double *best_order);

/** Epsilon of several mechanisms. Equal (q, sigma) are grouped first and the groups sorted, so that
 *  rounds added one by one, all at once or in another order give the same bits. */
double accountant_epsilon(const struct mechanism *m, size_t n, double delta);

/**
 * Smallest multiple of 1e-6 with epsilon(q, sigma, steps, delta) <= target, by bisection over the
 * multiples, so that both ends print the same number. A few milliseconds.
 * @retval RC_INVALID epsilon not in (0, infinity), delta not in (0, 1), q not in (0, 1], no steps
 * @retval RC_LIMIT   no sigma up to 1e6 reaches the target: too many steps, or an epsilon below
 *                    what the grid can convert at this delta (0.0035 at 1e-5)
 */
RC accountant_sigma(double epsilon, double delta, double q, uint64_t steps, double *sigma,
                    struct error *err);

#endif
