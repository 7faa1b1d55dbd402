/**
 * @file rdp.h
 * Rényi differential privacy of the Poisson-subsampled Gaussian mechanism under add/remove of one
 * patient (Mironov 2017; Mironov, Talwar, Zhang 2019), composed by adding curves and converted at the
 * end (Canonne, Kamath, Steinke 2020, Prop. 12), and of pure mechanisms. Some per cent above the truth (pld.h), and valid where
 * the next mechanism is chosen after the results of earlier ones were seen.
 */
#ifndef COMMON_ACCOUNTANT_RDP_H
#define COMMON_ACCOUNTANT_RDP_H

#include <stddef.h>

#include "common/accountant/mechanism.h"

/** The grid of Rényi orders, fixed beforehand (a filter across adaptively chosen studies needs it
 *  fixed): 1.1 … 10.9 by 0.1, 11 … 63 by 1, 64, 80, 96, 128, 192, 256, 512, 1024. */
enum { RDP_ORDERS = 160 };
size_t rdp_orders(const double **order);

/** A Rényi curve: what has been spent, at each order of the grid. Zero is nothing. */
struct rdp_curve {
    double at[RDP_ORDERS];
};

/**
 * Rényi divergence bound of one step at one order > 1; INFINITY if unbounded.
 * Good to 1e-12 relative; a fractional order below 64 is rounded up by 1e-14 / (order - 1) on top,
 * which is what its series may lose. A whole order may be any; a whole curve takes half a
 * millisecond. No state, no allocation: any thread.
 */
double rdp_step(double q, double sigma, double order);

/** The same of a release that is (epsilon, 0)-private, epsilon > 0: of randomised response (Mironov 2017, Prop.
 *  5), which dominates it. Never above epsilon. */
double rdp_pure(double epsilon, double order);

/** curve += steps x step. */
void rdp_add(struct rdp_curve *curve, const struct mechanism *m);

/** curve += all of them, in mechanism_next's order: the same bits however they are split. */
void rdp_compose(const struct mechanism *m, size_t n, struct rdp_curve *curve);

/** Smallest epsilon at delta in (0, 1) over the grid; 0 for an empty curve; INFINITY without noise.
 *  @param[out] best_order the order that gave it (0 if none did: empty or infinite), or NULL */
double rdp_epsilon(const struct rdp_curve *curve, double delta, double *best_order);

/**
 * A Rényi filter: mechanisms may be chosen after the results of earlier ones were seen, as long as their
 * curves' sum at one order, fixed beforehand, converts to at most epsilon (Feldman, Zrnic 2021, Thm. 4.3);
 * then everything together is (epsilon, delta)-private. This is that order, a function of the budget
 * alone: the one at which the largest Gaussian fits. @return its index in the grid
 */
size_t rdp_filter_order(double epsilon, double delta);

/** The curve converted at one order of the grid; 0 where nothing was spent. */
double rdp_epsilon_at(const struct rdp_curve *curve, size_t index, double delta);

#endif
