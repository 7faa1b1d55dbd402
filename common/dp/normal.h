/**
 * @file normal.h
 * Rounded normals from secret bytes: N = round(spread z), z ~ N(0, 1), exactly but for one draw in 2^70.
 *
 * Box and Muller 1958: with u, v uniform in (0, 1),
 *   r = sqrt(-2 log u),   z = r cos(2 pi v), r sin(2 pi v).
 * A pair first takes 64 bits of u and 52 of v, and doubles. What the missing bits and the rounding could
 * change about z is below 2^-45 where r is neither tiny nor large; unless spread z lies that close to the
 * border between two whole numbers, N is settled. Otherwise 64 more bits each are drawn and N is computed
 * with pairs of doubles (normal_fine.c), which leaves about 2^-96. So N has the distribution of a rounded
 * normal up to 2^-70 in total variation; its tail ends at 13.3 deviations (ideal: 1e-40 beyond).
 */
#ifndef COMMON_DP_NORMAL_H
#define COMMON_DP_NORMAL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/entropy.h"

/** Numbers that are made at a time: any other count draws as many bytes as the next multiple. */
enum { NORMAL_AT_ONCE = 128 };

/** Largest spread: whole numbers up to 13.3 spreads are exact in a double. */
#define NORMAL_SPREAD_MOST 0x1p46

/** @param spread in (0, NORMAL_SPREAD_MOST] @param[out] N [n] whole numbers */
void normal_rounded(struct entropy *entropy, double spread, double *N, size_t n);

#endif
