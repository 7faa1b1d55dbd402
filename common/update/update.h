/**
 * @file update.h
 * How a site's change of the model leaves training: as integers on a public fixed-point grid, in the
 * ring of integers mod 2^32. Integer sums do not depend on the order of arrival, and masks
 * (common/mask) live in the same ring.
 *
 *   u_k = round(w_k Delta_k 2^f) mod 2^32        w_k = nominal_k / sum of nominals: public
 *   mean over contributors K = (sum_{k in K} u_k) 2^-f / sum_{k in K} w_k
 *
 * The sum of all w_k is 1, so the ring does not wrap while every |Delta| < 2^(31-f). Nothing
 * saturates: a number outside is an error, and the round is forfeited. So the sum of masked updates, which
 * nobody can look at one by one, is the sum of the numbers and never one that went around.
 */
#ifndef COMMON_UPDATE_UPDATE_H
#define COMMON_UPDATE_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/** Bytes of an update of n numbers: little-endian u32 each. */
size_t update_bytes(size_t n);

/**
 * @param delta [n] change of the shared parameters  @param weight in (0, 1]
 * @param[out] out [update_bytes(n)], untouched on failure
 * @retval RC_NUMERIC a number is not finite or leaves the ring; the place is said, not the number
 */
RC update_encode(const double *delta, size_t n, double weight, size_t fraction_bits,
                 unsigned char *out, struct error *err);

/**
 * Whole numbers into the ring, as they are: with shared noise a part of a sum may leave [-2^31, 2^31) as long
 * as the sum does not.
 * @param whole [n] below 2^62  @param[out] out [update_bytes(n)]
 */
void update_pack(const double *whole, size_t n, unsigned char *out);

/** Running sum [n] in the ring: sum += update. @retval RC_FORMAT wrong length */
RC update_add(uint32_t *sum, size_t n, const void *update, size_t bytes, struct error *err);

/** mean [n] from the sum and the total weight of its contributors (> 0). */
void update_decode(const uint32_t *sum, size_t n, double weight_total, size_t fraction_bits,
                   double *mean);

#endif
