/**
 * @file linear.h
 * Kernel: y = x W^T + b, its adjoint, and what differential privacy needs of it: the norm of each
 * sample's weight gradient without forming it, and the weighted sum of those gradients as one
 * product. All arrays are row-major and do not overlap; everything accumulates but the forward.
 *
 *   y [N, O]   x [N, D]   w [O, D]   b [O]   N = B*T rows, T consecutive rows belong to a sample
 */
#ifndef COMMON_KERNEL_LINEAR_H
#define COMMON_KERNEL_LINEAR_H

#include <stddef.h>

#include "common/kernel/real.h"

/** y = x W^T (+ b, unless b is NULL). */
void linear_forward(real *restrict y, const real *restrict x, const real *restrict w,
                    const real *restrict b, size_t N, size_t D, size_t O);
/** The same by loops: the oracle of the tests. */
void linear_forward_plain(real *restrict y, const real *restrict x, const real *restrict w,
                          const real *restrict b, size_t N, size_t D, size_t O);

/** dx += dy W. */
void linear_backward_input(real *restrict dx, const real *restrict dy, const real *restrict w,
                           size_t N, size_t D, size_t O);
/** dx = dy W. */
void linear_backward_input_set(real *restrict dx, const real *restrict dy, const real *restrict w,
                               size_t N, size_t D, size_t O);

/** dw += dy^T x: every sample's weight gradient, summed (scale the rows of dy to weight them). */
void linear_weight_sum(real *restrict dw, const real *restrict dy, const real *restrict x, size_t N,
                       size_t D, size_t O);
/** dw = dy^T x. */
void linear_weight_sum_set(real *restrict dw, const real *restrict dy, const real *restrict x,
                           size_t N, size_t D, size_t O);
void linear_weight_sum_plain(real *restrict dw, const real *restrict dy, const real *restrict x,
                             size_t N, size_t D, size_t O);

/**
 * norm_sq[i] += || dy_i^T x_i ||_F^2 for each sample i < B of T rows, in double.
 * T = 1: ||x_i||^2 ||dy_i||^2. T > 1: the Gram form <x_i x_i^T, dy_i dy_i^T> (Li et al. 2021, eq. 5),
 * half of each symmetric matrix by a product: T^2 (D + O) / 2 multiplications a sample.
 *
 * The Gram form subtracts numbers as large as M = (sum_t ||x_t|| ||dy_t||)^2, so that rounding could
 * let a gradient that cancels appear smaller than it is. 8 roundings of M are added: a norm may come
 * out too large by that, not too small, and what is clipped by it stays within the bound.
 * @param scratch linear_norms_scratch(T) reals, unset
 */
void linear_norms_sq(double *restrict norm_sq, const real *restrict dy, const real *restrict x,
                     real *restrict scratch, size_t B, size_t T, size_t D, size_t O);
size_t linear_norms_scratch(size_t T);
/** The same by loops in double, without what is added: the oracle of the tests. */
void linear_norms_sq_plain(double *restrict norm_sq, const real *restrict dy,
                           const real *restrict x, size_t B, size_t T, size_t D, size_t O);

#endif
