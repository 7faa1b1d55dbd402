/**
 * @file activation.h
 * Kernels: elementwise functions and their adjoints over n numbers. Backward accumulates into dx;
 * its `_set` form writes, and dx may be dy.
 */
#ifndef COMMON_KERNEL_ACTIVATION_H
#define COMMON_KERNEL_ACTIVATION_H

#include <stddef.h>

#include "common/kernel/real.h"

void relu_forward(real *restrict y, const real *restrict x, size_t n);
/** y = relu(y) */
void relu_over(real *y, size_t n);
/** The subgradient at 0 is 0. */
void relu_backward(real *restrict dx, const real *restrict dy, const real *restrict x, size_t n);
void relu_backward_set(real *dx, const real *dy, const real *x, size_t n);

/** x Phi(x), the exact form (Hendrycks, Gimpel 2016, eq. 1), not the tanh approximation. */
void gelu_forward(real *restrict y, const real *restrict x, size_t n);
void gelu_backward(real *restrict dx, const real *restrict dy, const real *restrict x, size_t n);
void gelu_backward_set(real *dx, const real *dy, const real *x, size_t n);

void tanh_forward(real *restrict y, const real *restrict x, size_t n);
/** From the output y. */
void tanh_backward(real *restrict dx, const real *restrict dy, const real *restrict y, size_t n);
void tanh_backward_set(real *dx, const real *dy, const real *y, size_t n);

void sigmoid_forward(real *restrict y, const real *restrict x, size_t n);
/** From the output y. */
void sigmoid_backward(real *restrict dx, const real *restrict dy, const real *restrict y, size_t n);
void sigmoid_backward_set(real *dx, const real *dy, const real *y, size_t n);

#endif
