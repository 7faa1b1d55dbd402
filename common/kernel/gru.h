/**
 * @file gru.h
 * Kernel: gated recurrent units over a sequence (Cho et al. 2014), with the reset gate after the
 * product, as in cuDNN, so that a step is one product:
 *
 *   r = sigmoid(W_r x_t + b_r + U_r h_{t-1} + d_r)      z likewise
 *   n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + d_n))   h_t = (1 - z) * n + z * h_{t-1}
 *
 *   x [B, T, D]   h [B, T, H]   w [3H, D], u [3H, H]: rows r, z, n   b, d [3H]
 *   a [B, T, D], e [B, T, H]: x_t and h_{t-1}, what w and u were fed
 *   p [B, T, 3H]: r, z, n; after backward the gradient of W x + b
 *   q [B, T, 3H]: U h + d; after backward its gradient
 *   length [B] in [0, T], NULL for T everywhere: from there on all of these are 0
 */
#ifndef COMMON_KERNEL_GRU_H
#define COMMON_KERNEL_GRU_H

#include <stddef.h>
#include <stdint.h>

#include "common/kernel/real.h"

void gru_forward(real *restrict h, real *restrict a, real *restrict e, real *restrict p,
                 real *restrict q, const real *restrict x, const real *restrict w,
                 const real *restrict u, const real *restrict b, const real *restrict d,
                 const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H);
/** The same by loops: the oracle of the tests. */
void gru_forward_plain(real *restrict h, const real *restrict x, const real *restrict w,
                       const real *restrict u, const real *restrict b, const real *restrict d,
                       const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H);

/**
 * dx += the adjoint, unless dx is NULL.
 * @param[in,out] p, q from forward; gradients of the two sums afterwards
 * @param[out] back [B, H] scratch: what comes back through time
 * @param[in] dh [B, T, H] gradient of the outputs
 */
void gru_backward(real *restrict dx, real *restrict p, real *restrict q, real *restrict back,
                  const real *restrict dh, const real *restrict e, const real *restrict w,
                  const real *restrict u, const int32_t *restrict length, size_t B, size_t T,
                  size_t D, size_t H);

#endif
