/**
 * @file share.h
 * One site's part of a sum that the noise of several sites hides together (docs/PRIVACY.md, "Noise that is
 * shared"):
 *
 *   gamma = C 2^-bits                                public grid
 *   R = round(S / gamma), each number cut to [-most, most]
 *   N = round(deviation / gamma z),  z ~ N(0, 1)     whole numbers
 *   part = R + N
 *
 * Cutting moves two sums no further apart, so of two neighbours' parts ||R - R'|| gamma <= C + gamma sqrt(P),
 * and only one site's differ. A part is hidden by little noise: it may be read by nobody, also not by what
 * trains on at the site. Only the sum of at least min_sites parts is a release, and what carries all of the
 * noise itself.
 */
#ifndef COMMON_DP_SHARE_H
#define COMMON_DP_SHARE_H

#include <stddef.h>

#include "common/base/entropy.h"
#include "common/base/error.h"

/** By how much a patient moves a sum on the grid: C + gamma sqrt(P). */
double share_sensitivity(double C, size_t bits, size_t P);

struct share {
    double gamma;
    double most;      /**< whole numbers; HUGE_VAL: not cut */
    double deviation; /**< of the noise, in the unit of S; above 0 */
};

/**
 * @param S [n] clipped sum  @param[out] part [n] whole numbers
 * @retval RC_NUMERIC the sum is not finite or too large for the grid: release nothing
 */
RC share_add_noise(const double *S, size_t n, const struct share *a, struct entropy *entropy,
                   double *part, struct error *err);

#endif
