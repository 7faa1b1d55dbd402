#include "common/kernel/activation.h"

#include <tgmath.h>
#undef I /* an index elsewhere */

#include "common/kernel/curve.h"
#include "common/kernel/wide.h"

static const real SQRT_HALF = (real)0.70710678118654752440;       /* 1/sqrt(2) */
static const real INV_SQRT_TWO_PI = (real)0.39894228040143267794; /* 1/sqrt(2 pi) */

WIDE void relu_forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] > 0 ? x[i] : 0;
    }
}

WIDE void relu_over(real *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = y[i] > 0 ? y[i] : 0;
    }
}

WIDE void relu_backward(real *restrict dx, const real *restrict dy, const real *restrict x,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dx[i] += x[i] > 0 ? dy[i] : 0;
    }
}

WIDE void relu_backward_set(real *dx, const real *dy, const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const real g = dy[i];
        dx[i] = x[i] > 0 ? g : 0;
    }
}

void gelu_forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = (real)0.5 * x[i] * (1 + erf(x[i] * SQRT_HALF));
    }
}

static real gelu_slope(real x)
{
    const real Phi = (real)0.5 * (1 + erf(x * SQRT_HALF));
    const real phi = INV_SQRT_TWO_PI * exp((real)-0.5 * x * x);
    return Phi + x * phi;
}

void gelu_backward(real *restrict dx, const real *restrict dy, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dx[i] += dy[i] * gelu_slope(x[i]);
    }
}

void gelu_backward_set(real *dx, const real *dy, const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dx[i] = dy[i] * gelu_slope(x[i]);
    }
}

WIDE void tanh_forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = curve_tanh(x[i]);
    }
}

void tanh_backward(real *restrict dx, const real *restrict dy, const real *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dx[i] += dy[i] * (1 - y[i] * y[i]);
    }
}

void tanh_backward_set(real *dx, const real *dy, const real *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dx[i] = dy[i] * (1 - y[i] * y[i]);
    }
}

WIDE void sigmoid_forward(real *restrict y, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = curve_sigmoid(x[i]);
    }
}

void sigmoid_backward(real *restrict dx, const real *restrict dy, const real *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dx[i] += dy[i] * y[i] * (1 - y[i]);
    }
}

void sigmoid_backward_set(real *dx, const real *dy, const real *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dx[i] = dy[i] * y[i] * (1 - y[i]);
    }
}
