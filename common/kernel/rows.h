/**
 * @file rows.h
 * Kernel: sums over the rows of matrices, and of squares. What books of scales and shifts are read
 * with, and what clipping does with gradients that were kept.
 */
#ifndef COMMON_KERNEL_ROWS_H
#define COMMON_KERNEL_ROWS_H

#include <stddef.h>

#include "common/kernel/real.h"

/**
 * Sum of v_i^2. Sixteen lanes of at most 16 squares each are added in `real`, then in double: the
 * relative error is at most 16 roundings, 1e-6 in float.
 */
double sum_of_squares(const real *v, size_t n);

/** dst [D] += sum_n g_n.  @param[in] g [N, D] */
void rows_sum(real *restrict dst, const real *restrict g, size_t N, size_t D);
/** dst [D] += sum_n g_n * a_n, number by number.  @param[in] g, a [N, D] */
void rows_product_sum(real *restrict dst, const real *restrict g, const real *restrict a, size_t N,
                      size_t D);
/** dst [D] += sum_n c_n k_n.  @param[in] k [N, D]  @param[in] c [N] */
void rows_weighted_sum(real *restrict dst, const real *restrict k, const double *restrict c,
                       size_t N, size_t D);

/** v_i = c v_i */
void rows_scale(real *v, double c, size_t n);

#endif
