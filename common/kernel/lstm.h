/**
 * @file lstm.h
 * Kernel: a long short-term memory over a sequence (Hochreiter, Schmidhuber 1997, with the forget
 * gate of Gers et al. 2000):
 *
 *   (i, f, o) = sigmoid(W_{i,f,o} [x_t; h_{t-1}] + b)      g = tanh(W_g [x_t; h_{t-1}] + b)
 *   c_t = f * c_{t-1} + i * g                              h_t = o * tanh(c_t)
 *
 *   x [B, T, D]   h [B, T, H]   c [B, T, H]   w [4H, D + H], rows i, f, g, o   b [4H]
 *   a [B, T, D + H]: rows (x_t; h_{t-1}), what the weight was fed
 *   z [B, T, 4H]: the gates i, f, g, o; after backward the gradient of the sums they were taken of
 *   length [B] in [0, T], NULL for T everywhere: from there on h = 0, a = 0 and that gradient is 0
 *
 * The weight's gradient is z^T a, summed over t: the same as a linear layer's with T positions.
 */
#ifndef COMMON_KERNEL_LSTM_H
#define COMMON_KERNEL_LSTM_H

#include <stddef.h>
#include <stdint.h>

#include "common/kernel/real.h"

void lstm_forward(real *restrict h, real *restrict a, real *restrict z, real *restrict c,
                  const real *restrict x, const real *restrict w, const real *restrict b,
                  const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H);
/** The same by loops: the oracle of the tests. */
void lstm_forward_plain(real *restrict h, real *restrict c, const real *restrict x,
                        const real *restrict w, const real *restrict b,
                        const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H);

/**
 * dx += the adjoint, unless dx is NULL.
 * @param[in,out] z gates; gradient of the sums afterwards
 * @param[out] back [2, B, H] scratch: what comes back through time, to h and to c
 * @param[in] dh [B, T, H] gradient of the outputs
 */
void lstm_backward(real *restrict dx, real *restrict z, real *restrict back,
                   const real *restrict dh, const real *restrict c, const real *restrict w,
                   const int32_t *restrict length, size_t B, size_t T, size_t D, size_t H);

#endif
