/**
 * @file noise.h
 * The release of one noised sum (Abadi et al. 2016, Alg. 1, "Add noise"), the only place where noise
 * is added:
 *
 *   gamma = C 2^-20                      public grid
 *   R = round(S / gamma)                 integers; ||R(D) gamma - R(D') gamma|| <= C + gamma sqrt(P)
 *   N = round(sigma (C + gamma sqrt(P)) / gamma * z),  z ~ N(0, 1)^P
 *   mean = (R + N) gamma / divisor       divisor = q * nominal size: public
 *
 * Adding in integers makes round(S + N) = S + round(N) post-processing of the Gaussian mechanism
 * with noise multiplier sigma, and no low-order bits of a floating-point sum leave (Mironov 2012).
 */
#ifndef COMMON_DP_NOISE_H
#define COMMON_DP_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/entropy.h"

/** gamma for a clipping bound C. */
double noise_grid(double C);

/** Standard deviation of the noise on each number of the sum, sigma (C + gamma sqrt(P)). */
double noise_deviation(double C, double sigma, size_t P);

/**
 * @param S [P] clipped sum  @param sigma noise multiplier; 0 draws nothing
 * @param[out] mean [P] the released mean
 * @retval RC_NUMERIC the sum is not finite or too large for the grid: release nothing
 */
RC noise_release(const double *S, size_t P, double C, double sigma, double divisor,
                 struct entropy *entropy, double *mean, struct error *err);

#endif
