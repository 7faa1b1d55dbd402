#include "common/kernel/softmax.h"

#include <string.h>

#include "common/kernel/curve.h"
#include "common/kernel/wide.h"

/* Halves onto each other: four additions deep. */
WIDE_PART real add_lanes(real *lane)
{
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) {
            lane[l] += lane[l + half];
        }
    }
    return lane[0];
}

/* In place: two arrays that may be one are not made into vector code. */
WIDE static void row_forward(real *y, size_t D)
{
    real lane[LANES];
    for (size_t l = 0; l < LANES; l++) {
        lane[l] = -(real)INFINITY;
    }
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lane[l] = y[d + l] > lane[l] ? y[d + l] : lane[l];
        }
    }
    for (size_t l = 0; d + l < D; l++) {
        lane[l] = y[d + l] > lane[l] ? y[d + l] : lane[l];
    }
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) {
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
        }
    }
    const real top = lane[0];

    for (d = 0; d < D; d++) {
        const real e = curve_exp(y[d] - top);
        y[d] = y[d] == -(real)INFINITY ? 0 : e;
    }
    for (size_t l = 0; l < LANES; l++) {
        lane[l] = 0;
    }
    for (d = 0; d + LANES <= D; d += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lane[l] += y[d + l];
        }
    }
    for (size_t l = 0; d + l < D; l++) {
        lane[l] += y[d + l];
    }
    const real sum = add_lanes(lane);
    const real scale = sum == 0 ? 0 : 1 / sum; /* a row of -infinity; NaN is not 0 and stays */
    for (d = 0; d < D; d++) {
        y[d] *= scale;
    }
}

void softmax_forward(real *y, const real *x, size_t N, size_t D)
{
    if (y != x) {
        memcpy(y, x, N * D * sizeof *y);
    }
    for (size_t n = 0; n < N; n++) {
        row_forward(y + n * D, D);
    }
}

WIDE static void row_backward(real *restrict dx, const real *restrict dy, const real *restrict y,
                              size_t D)
{
    real lane[LANES] = {0};
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lane[l] += y[d + l] * dy[d + l];
        }
    }
    for (size_t l = 0; d + l < D; l++) {
        lane[l] += y[d + l] * dy[d + l];
    }
    const real dot = add_lanes(lane);
    for (d = 0; d < D; d++) {
        dx[d] += y[d] * (dy[d] - dot);
    }
}

void softmax_backward(real *restrict dx, const real *restrict dy, const real *restrict y, size_t N,
                      size_t D)
{
    for (size_t n = 0; n < N; n++) {
        row_backward(dx + n * D, dy + n * D, y + n * D, D);
    }
}
