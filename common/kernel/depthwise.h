/**
 * @file depthwise.h
 * Kernel: depthwise convolution: every channel has a window of its own (s->O = s->C), sizes and letters as
 * in conv.h.
 *
 *   x [B, H, W, C]   y [B, OH, OW, C]   w [C, KH*KW]
 *   y[b, i, j, c] = sum_{ky, kx} w[c, (ky, kx)] x[b, i*stride + ky*dilation - top, j*stride + kx - left, c]
 */
#ifndef COMMON_KERNEL_DEPTHWISE_H
#define COMMON_KERNEL_DEPTHWISE_H

#include <stddef.h>

#include "common/kernel/conv.h"
#include "common/kernel/real.h"

/** Reals of scratch that forward and backward need. */
size_t depthwise_scratch(const struct conv_shape *s);

void depthwise_forward(real *restrict y, const real *restrict x, const real *restrict w,
                       const struct conv_shape *s, size_t B, real *restrict scratch);
/** dx += the adjoint. */
void depthwise_backward_input(real *restrict dx, const real *restrict dy, const real *restrict w,
                              const struct conv_shape *s, size_t B, real *restrict scratch);
/** each [B, KH*KW, C] = every sample's weight gradient, transposed. */
void depthwise_weight_each(real *restrict each, const real *restrict dy, const real *restrict x,
                           const struct conv_shape *s, size_t B);
/** dw [C, KH*KW] += kept [KH*KW, C] transposed. */
void depthwise_weight_add(real *restrict dw, const real *restrict kept, const struct conv_shape *s);

#endif
