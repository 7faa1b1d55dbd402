/**
 * @file normal_internal.h
 * What normal.c and normal_fine.c share, and what tests look at.
 */
#ifndef COMMON_DP_NORMAL_INTERNAL_H
#define COMMON_DP_NORMAL_INTERNAL_H

#include <stdint.h>

/** u = 1 - first 2^-64 (to 64 bits), v = (second >> 12) 2^-52. */
struct normal_bits {
    uint64_t first, second;
};

/** The functions of the quick path: log of u in (0, 1], cos and sin of 2 pi v. */
double normal_log(double u);
void normal_turn(double v, double *cosine, double *sine);

/** Both numbers of a pair, rounded, with 64 more bits of u and of v. */
void normal_fine(struct normal_bits bits, struct normal_bits more, double spread, double N[2]);

#endif
