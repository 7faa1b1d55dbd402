/**
 * @file curve.h
 * Kernel-internal: exp, sigmoid and tanh without branches, so that a loop over them becomes vector
 * code. In float within 3 units in the last place of the true value (tests/unit/test_curve.c); in
 * double they are those of libm. NaN gives NaN.
 */
#ifndef COMMON_KERNEL_CURVE_H
#define COMMON_KERNEL_CURVE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "common/kernel/real.h"

#ifdef REAL_IS_DOUBLE

static inline real curve_exp(real x)
{
    return exp(x);
}

static inline real curve_sigmoid(real x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static inline real curve_tanh(real x)
{
    return tanh(x);
}

#else

/**
 * exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2)/2, exp(r) = 1 + r + r^2 p(r) with p through
 * the Chebyshev nodes (8e-9 off). Saturates outside of [-87.3, 88]: never 0, never infinite.
 */
static inline float curve_exp(float x)
{
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: adding it leaves n in the lowest bits */
    const float ln2_high = 0.693359375f;  /* ten bits: n * ln2_high is exact */
    const float ln2_low = -2.12194440e-4f;
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.3f ? -87.3f : x;
    const float shifted = x * 1.44269504f + to_integer;
    const float n = shifted - to_integer;
    const float r = (x - n * ln2_high) - n * ln2_low;
    float p = 1.392692661e-3f;
    p = p * r + 8.363773874e-3f;
    p = p * r + 4.166655011e-2f;
    p = p * r + 0.1666657338f;
    p = p * r + 0.5f;
    const float e = (p * r) * r + r + 1.0f;
    uint32_t bits;
    float scale; /* 2^n, by its exponent field */
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&scale, &bits, sizeof scale);
    return e * scale;
}

static inline float curve_sigmoid(float x)
{
    return 1.0f / (1.0f + curve_exp(-x));
}

/** Near 0 an odd polynomial (6e-10 off), elsewhere 1 - 2 / (exp(2|x|) + 1). */
static inline float curve_tanh(float x)
{
    const float a = fabsf(x);
    const float z = a * a;
    float p = 2.291809421e-3f;
    p = p * z - 8.343119639e-3f;
    p = p * z + 2.176866633e-2f;
    p = p * z - 5.395922856e-2f;
    p = p * z + 0.1333330343f;
    p = p * z - 0.3333333317f;
    const float near = a + a * z * p;
    const float far = 1.0f - 2.0f / (curve_exp(2.0f * a) + 1.0f);
    return copysignf(a < 0.625f ? near : far, x);
}

#endif
#endif
