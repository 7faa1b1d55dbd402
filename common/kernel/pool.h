/**
 * @file pool.h
 * Kernel: pooling of images [B, H, W, C] -> [B, OH, OW, C], channels last, and of series [B, T, C] as
 * H = T, W = 1. Windows lie inside of x: a remainder at the far edge is left out, OH = (H - KH)/stride + 1.
 */
#ifndef COMMON_KERNEL_POOL_H
#define COMMON_KERNEL_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/kernel/real.h"

/** One sample's sizes. */
struct pool_shape {
    size_t H, W, C, KH, KW, stride;
};

bool pool_fits(const struct pool_shape *s);
size_t pool_out_height(const struct pool_shape *s);
size_t pool_out_width(const struct pool_shape *s);

/** The largest of each window; a NaN in the window is the largest, so that it is not lost. */
void max_pool_forward(real *restrict y, const real *restrict x, const struct pool_shape *s,
                      size_t B);
/** dx += dy at the first of the largest: it is found again by comparing x with y, nothing is kept. */
void max_pool_backward(real *restrict dx, const real *restrict dy, const real *restrict x,
                       const real *restrict y, const struct pool_shape *s, size_t B);

/** dx = the same. */
void max_pool_backward_set(real *restrict dx, const real *restrict dy, const real *restrict x,
                           const real *restrict y, const struct pool_shape *s, size_t B);

void average_pool_forward(real *restrict y, const real *restrict x, const struct pool_shape *s,
                          size_t B);
void average_pool_backward(real *restrict dx, const real *restrict dy, const struct pool_shape *s,
                           size_t B);

/** Mean over the T positions of a sample: x [B, T, C] -> y [B, C], summed in double. */
void global_average_forward(real *restrict y, const real *restrict x, size_t B, size_t T, size_t C);
void global_average_backward(real *restrict dx, const real *restrict dy, size_t B, size_t T,
                             size_t C);
void global_average_backward_set(real *restrict dx, const real *restrict dy, size_t B, size_t T,
                                 size_t C);

#endif
