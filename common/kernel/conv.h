/**
 * @file conv.h
 * Kernel: convolution (cross-correlation, as everybody's) of images and of series, its adjoint, and each
 * sample's weight gradient. Computed directly, without an image of patches: a register tile (conv_tile.c)
 * walks over one padded sample, which stays in the cache.
 *
 *   x [B, H, W, C]   y [B, OH, OW, O]   w [O, K]   K = KH*KW*C, index (ky, kx, c)
 *   y[b, i, j, o] = sum_{ky, kx, c} w[o, (ky, kx, c)] x[b, i*stride + ky*dilation - top, j*stride + kx - left, c]
 *   and zero outside of x.
 *
 * Channels come last: a pixel's channels are one contiguous run, and so are the KW*C numbers under one row
 * of the window; sums over positions vectorise over channels; and the last dimension is the width, as in
 * every other kernel here. A series [B, T, C] is H = T, W = 1; `dilation` spreads the window along H only.
 * Causal: top = (KH - 1)*dilation, bottom = 0.
 *
 * Weights and their gradients multiply in `real`; the sums are in the tile's order, which is the
 * processor's width: as with BLAS, the last digits depend on the machine, never on B or on the neighbours.
 */
#ifndef COMMON_KERNEL_CONV_H
#define COMMON_KERNEL_CONV_H

#include <stdbool.h>
#include <stddef.h>

#include "common/kernel/real.h"

/** One sample's sizes. Plain sizes: twelve of them would be unreadable as arguments. */
struct conv_shape {
    size_t H, W, C;     /**< in */
    size_t O, KH, KW;   /**< out channels, window */
    size_t stride;      /**< >= 1, along both */
    size_t dilation;    /**< >= 1, along H; 1 where stride > 1 */
    size_t top, bottom; /**< rows of zeros */
    size_t left, right; /**< columns of zeros */
};

/** True when the window fits at least once and the sizes are legal: what everything below assumes. */
bool conv_fits(const struct conv_shape *s);
size_t conv_out_height(const struct conv_shape *s);
size_t conv_out_width(const struct conv_shape *s);

/** Reals of scratch that the functions below need, whatever B is. Contents do not matter. */
size_t conv_scratch(const struct conv_shape *s);

/** y = x * w. */
void conv_forward(real *restrict y, const real *restrict x, const real *restrict w,
                  const struct conv_shape *s, size_t B, real *restrict scratch);

/** dx += the adjoint. */
void conv_backward_input(real *restrict dx, const real *restrict dy, const real *restrict w,
                         const struct conv_shape *s, size_t B, real *restrict scratch);

/** dx = the adjoint. */
void conv_backward_input_set(real *restrict dx, const real *restrict dy, const real *restrict w,
                             const struct conv_shape *s, size_t B, real *restrict scratch);

/** dw [O, K] += every sample's weight gradient, summed. */
void conv_weight_sum(real *restrict dw, const real *restrict dy, const real *restrict x,
                     const struct conv_shape *s, size_t B, real *restrict scratch);

/**
 * each [B, K, O] = every sample's weight gradient, *transposed*, as the tile leaves it: the same products
 * as conv_weight_sum, and the weighted sum of samples is then one product c^T each.
 */
void conv_weight_each(real *restrict each, const real *restrict dy, const real *restrict x,
                      const struct conv_shape *s, size_t B, real *restrict scratch);

/** dw [O, K] += kept [K, O] transposed. */
void conv_weight_add(real *restrict dw, const real *restrict kept, const struct conv_shape *s);

/* The same by loops: the oracle of the tests. */
void conv_forward_plain(real *restrict y, const real *restrict x, const real *restrict w,
                        const struct conv_shape *s, size_t B);
void conv_backward_input_plain(real *restrict dx, const real *restrict dy, const real *restrict w,
                               const struct conv_shape *s, size_t B);
void conv_weight_sum_plain(real *restrict dw, const real *restrict dy, const real *restrict x,
                           const struct conv_shape *s, size_t B);

#endif
