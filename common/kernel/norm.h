/**
 * @file norm.h
 * Kernel: layer normalisation (Ba, Kiros, Hinton 2016) of N rows of width D. The normalised rows
 * xhat are an output of their own: they are what the gain's book entry is fed.
 *
 *   xhat = (x - mean(x)) rstd      rstd = 1/sqrt(var(x) + 1e-5)      y = gain * xhat + shift
 */
#ifndef COMMON_KERNEL_NORM_H
#define COMMON_KERNEL_NORM_H

#include <stddef.h>

#include "common/kernel/real.h"

/** @param[out] y, xhat [N, D]  @param[out] rstd [N]  @param[in] x [N, D]  @param[in] gain, shift [D] */
void layer_norm_forward(real *restrict y, real *restrict xhat, real *restrict rstd,
                        const real *restrict x, const real *restrict gain,
                        const real *restrict shift, size_t N, size_t D);

/** dx += the adjoint; gain and shift have their gradient in the book. */
void layer_norm_backward_input(real *restrict dx, const real *restrict dy,
                               const real *restrict xhat, const real *restrict rstd,
                               const real *restrict gain, size_t N, size_t D);
/** dx = it. */
void layer_norm_backward_input_set(real *restrict dx, const real *restrict dy,
                                   const real *restrict xhat, const real *restrict rstd,
                                   const real *restrict gain, size_t N, size_t D);

#endif
