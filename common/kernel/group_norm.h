/**
 * @file group_norm.h
 * Kernel: group normalisation (Wu, He 2018, eq. 1-3, 7): mean and variance over the T positions and the
 * C/G channels of a group, of one sample; then a gain and a shift for each channel.
 *
 *   xhat = (x - mean) rstd    rstd = 1/sqrt(var(x) + 1e-5)    y = gain * xhat + shift
 *   x, y [B, T, C]   mean, rstd [B, G]   gain, shift [C]      T = H*W of an image; G divides C
 *
 * xhat is not kept: it is cheaper to form again than to read. Backward leaves the gradients of gain and
 * shift of *each sample*: its own sums are made of them, so they cost nothing.
 */
#ifndef COMMON_KERNEL_GROUP_NORM_H
#define COMMON_KERNEL_GROUP_NORM_H

#include <stddef.h>

#include "common/kernel/real.h"

void group_norm_forward(real *restrict y, real *restrict mean, real *restrict rstd,
                        const real *restrict x, const real *restrict gain,
                        const real *restrict shift, size_t B, size_t T, size_t C, size_t G);

/** y once more, to the bit, from the statistics that forward left. */
void group_norm_again(real *restrict y, const real *restrict mean, const real *restrict rstd,
                      const real *restrict x, const real *restrict gain, const real *restrict shift,
                      size_t B, size_t T, size_t C, size_t G);

/** dx += the adjoint; dgain, dshift [B, C] = each sample's gradient. */
void group_norm_backward(real *restrict dx, real *restrict dgain, real *restrict dshift,
                         const real *restrict dy, const real *restrict x, const real *restrict mean,
                         const real *restrict rstd, const real *restrict gain, size_t B, size_t T,
                         size_t C, size_t G);
/** dx = the adjoint; dx may be dy, or NULL where only the gradients of gain and shift are wanted. */
void group_norm_backward_set(real *dx, real *restrict dgain, real *restrict dshift, const real *dy,
                             const real *restrict x, const real *restrict mean,
                             const real *restrict rstd, const real *restrict gain, size_t B,
                             size_t T, size_t C, size_t G);

#endif
