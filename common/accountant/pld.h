/**
 * @file pld.h
 * The privacy-loss distribution of steps whose plan is fixed beforehand: tight to a part in ten
 * thousand, and never below the truth. For adaptively chosen mechanisms see rdp.h.
 *
 * A step is a pair of densities, P with the patient and Q without (direction "remove"; "add" is the
 * pair exchanged); its loss is L = log dP/dQ. An event of probability Q has at most e^eps Q + delta(eps)
 * under P, delta(eps) = E_P[max(0, 1 - exp(eps - L))]. Losses of independent steps add, so their
 * distributions convolve (Sommer, Meiser, Mohammadi 2019; Koskela et al. 2021).
 *
 * On a grid of width h a loss between two points is spread over both such that its mass under P and
 * under Q stays what it is. That spreads dP/dQ without moving its mean, so by Jensen no delta(eps) of
 * either direction falls, for one step or composed: the grid is pessimistic, with an error of h^2
 * ("connect the dots", Doroshenko et al. 2022).
 */
#ifndef COMMON_ACCOUNTANT_PLD_H
#define COMMON_ACCOUNTANT_PLD_H

#include <stddef.h>
#include <stdint.h>

#include "common/accountant/mechanism.h"
#include "common/accountant/rdp.h"
#include "common/base/error.h"

enum { PLD_POINTS_MIN = 1 << 12, PLD_POINTS_MAX = 1 << 20 };

struct pld; /* opaque: composed, both directions; immutable */

/**
 * Composes all steps on a grid fitted to them. 50 bytes of memory a point while it works, 16 after.
 * @param curve of the same mechanisms (rdp_compose): how far the losses can reach
 * @param smallest the smallest probability that will be asked for (a delta, an FPR): what is left out at
 *                 the ends of the grid is far below it, and counted as infinite loss
 * @param points of the grid: a power of two from PLD_POINTS_MIN to PLD_POINTS_MAX. Twice as many give
 *               a quarter of the error, and never a larger epsilon
 * @retval RC_INVALID no steps
 * @retval RC_LIMIT no grid can hold it: no noise, or losses beyond 500
 * @retval RC_NOMEM
 */
RC pld_open(const struct mechanism *m, size_t n, const struct rdp_curve *curve, double smallest,
            size_t points, struct pld **out, struct error *err);
void pld_close(struct pld **p);

/** Least epsilon >= 0 at delta, the larger of both directions; INFINITY if the grid cannot say. */
double pld_epsilon(const struct pld *p, double delta);

/** Least delta at epsilon >= 0, the larger of both directions. */
double pld_delta(const struct pld *p, double epsilon);

/**
 * Most that any attacker who sees every step can reach: P(says "was there" | was there) while P(says "was
 * there" | was not) <= fpr. Neyman, Pearson 1933 on the loss; direction "remove".
 */
double pld_tpr(const struct pld *p, double fpr);

#endif
