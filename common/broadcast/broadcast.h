/**
 * @file broadcast.h
 * The model as a round sends it to its sites. `broadcast: float32`: its numbers as they lie in memory.
 * `broadcast: float16`: each as an IEEE 754 binary16 (2019, 3.6: one bit of sign, 5 of exponent, 10 of
 * fraction), little-endian, rounded to the nearest and ties to even, which halves what goes down:
 *
 *   |unpack(pack(x)) - x| <= 2^-11 |x|   for 2^-14 <= |x| <= 65504,   <= 2^-25 below
 *
 * A site trains on the rounded numbers, and what it sends is the change of those; the coordinator adds
 * the mean change to its own, unrounded ones. So nothing is lost from round to round, and privacy
 * does not change: rounding what the sites get is post-processing. What names a round's model (its hash) is of the
 * bytes that were sent; the finished model goes out as it is.
 */
#ifndef COMMON_BROADCAST_BROADCAST_H
#define COMMON_BROADCAST_BROADCAST_H

#include <stddef.h>

#include "common/base/error.h"
#include "common/kernel/real.h"
#include "common/study/study.h"

/** Bytes of a model of n numbers on its way. */
size_t broadcast_bytes(const struct study *study, size_t n);

/**
 * @param model [n]  @param[out] out [broadcast_bytes(study, n)], of any content on failure
 * @retval RC_NUMERIC float16: a number is not finite or beyond 65504; its place is said, not the number
 */
RC broadcast_pack(const struct study *study, const real *model, size_t n, void *out,
                  struct error *err);

/**
 * @param bytes [broadcast_bytes(study, n)] of any alignment  @param[out] out [n], of any content on failure
 * @retval RC_FORMAT float16: a number is not finite: nobody packed that
 */
RC broadcast_unpack(const struct study *study, const void *bytes, size_t n, real *out,
                    struct error *err);

#endif
