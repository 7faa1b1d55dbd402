/**
 * @file norm_relu_pool.h
 * Kernel: maximum pool of relu of group norm (group_norm.h, activation.h, pool.h), sample by sample through a
 * scratch that stays in the cache. What lies between x and y is not kept: it is formed again for the sweep, which
 * is cheaper than to write and read it. A window of 1 x 1 pools nothing.
 *
 *   x [B, H, W, C]   y [B, OH, OW, C]   mean, rstd [B, G]   gain, shift [C]
 */
#ifndef COMMON_KERNEL_NORM_RELU_POOL_H
#define COMMON_KERNEL_NORM_RELU_POOL_H

#include <stddef.h>

#include "common/kernel/pool.h"
#include "common/kernel/real.h"

/** Reals of scratch for either function, whatever B is. */
size_t norm_relu_pool_scratch(const struct pool_shape *s);

void norm_relu_pool_forward(real *restrict y, real *restrict mean, real *restrict rstd,
                            const real *restrict x, const real *restrict gain,
                            const real *restrict shift, const struct pool_shape *s, size_t B,
                            size_t G, real *restrict scratch);

/** What forward was given and gave. */
struct norm_relu_pool {
    const real *x, *y, *mean, *rstd, *gain, *shift;
};

/** dx += the adjoint; dgain, dshift [B, C] = each sample's gradient. */
void norm_relu_pool_backward(real *restrict dx, real *restrict dgain, real *restrict dshift,
                             const real *restrict dy, const struct norm_relu_pool *of,
                             const struct pool_shape *s, size_t B, size_t G,
                             real *restrict scratch);
/** dx = the adjoint; NULL where only the gradients of gain and shift are wanted. */
void norm_relu_pool_backward_set(real *restrict dx, real *restrict dgain, real *restrict dshift,
                                 const real *restrict dy, const struct norm_relu_pool *of,
                                 const struct pool_shape *s, size_t B, size_t G,
                                 real *restrict scratch);

#endif
