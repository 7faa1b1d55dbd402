/**
 * @file mean.h
 * Kernel: the mean of a sample's positions that are there. there [B, N]: 0 = left out, NULL: all.
 * Nobody there: 0, and no gradient.
 */
#ifndef COMMON_KERNEL_MEAN_H
#define COMMON_KERNEL_MEAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/kernel/real.h"

/** @param[out] y [B, D]  @param[in] x [B, N, D] */
void masked_mean_forward(real *restrict y, const real *restrict x, const uint8_t *restrict there,
                         size_t B, size_t N, size_t D);
/** dx += the adjoint. */
void masked_mean_backward(real *restrict dx, const real *restrict dy, const uint8_t *restrict there,
                          size_t B, size_t N, size_t D);

#endif
