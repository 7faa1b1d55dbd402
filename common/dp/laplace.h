/**
 * @file laplace.h
 * Noise for counts: the discrete Laplace distribution on whole numbers (Ghosh, Roughgarden, Sundararajan
 * 2009, the two-sided geometric mechanism),
 *
 *   P(N = k) = (1 - r) / (1 + r) r^|k|,   r = exp(-epsilon).
 *
 * A table of counts in which one patient stands in one cell, released with N in every cell, is
 * (epsilon, 0)-private under add/remove of a patient: one cell changes by one, so no probability by more than
 * a factor of exp(epsilon). At equal epsilon a normal needs a multiple of this variance, since its price is
 * for any direction of a vector and a patient moves along an axis.
 *
 * N = G - G' of independent geometrics. The binary digits of a geometric are independent: digit i is 1
 * with probability r^(2^i) / (1 + r^(2^i)). So each digit is one comparison of 64 secret bits, and the
 * number of bits drawn depends on epsilon alone. A digit's probability is wrong by 2^-51 of itself and is cut
 * at 2^-64: what is drawn is (epsilon + 2^-44, 2^-57)-private.
 */
#ifndef COMMON_DP_LAPLACE_H
#define COMMON_DP_LAPLACE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/entropy.h"

#define LAPLACE_EPSILON_LEAST 1e-6
#define LAPLACE_EPSILON_MOST  40.0

/** @param epsilon in [LAPLACE_EPSILON_LEAST, LAPLACE_EPSILON_MOST] @param[out] N [n] */
void laplace_discrete(struct entropy *entropy, double epsilon, int64_t *N, size_t n);

/** Variance of one N, 2 r / (1 - r)^2; 0 at infinite epsilon. */
double laplace_variance(double epsilon);

#endif
