/**
 * @file softmax.h
 * Kernel: softmax of N rows of width D. The row's true maximum is subtracted, so nothing overflows;
 * -infinity has weight 0, and a row of nothing else is all 0 (not NaN).
 */
#ifndef COMMON_KERNEL_SOFTMAX_H
#define COMMON_KERNEL_SOFTMAX_H

#include <stddef.h>

#include "common/kernel/real.h"

/** y may be x. */
void softmax_forward(real *y, const real *x, size_t N, size_t D);
/** dx += y (dy - <y, dy>), from the output y. */
void softmax_backward(real *restrict dx, const real *restrict dy, const real *restrict y, size_t N,
                      size_t D);

#endif
