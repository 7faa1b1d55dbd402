#include "common/kernel/softmax.h"

#include "common/kernel/curve.h"
#include "common/kernel/wide.h"

WIDE static void row_forward(real *y, const real *x, size_t D)
{
    real lane[LANES];
    for (size_t l = 0; l < LANES; l++) {
        lane[l] = -(real)INFINITY;
    }
    size_t d = 0;
    for (; d + LANES <= D; d += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lane[l] = x[d + l] > lane[l] ? x[d + l] : lane[l];
        }
    }
    for (size_t l = 0; d + l < D; l++) {
        lane[l] = x[d + l] > lane[l] ? x[d + l] : lane[l];
    }
    real top = lane[0];
    for (size_t l = 1; l < LANES; l++) {
        top = lane[l] > top ? lane[l] : top;
    }

    for (d = 0; d < D; d++) {
        const real e = curve_exp(x[d] - top);
        y[d] = x[d] == -(real)INFINITY ? 0 : e;
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
    real sum = 0;
    for (size_t l = 0; l < LANES; l++) {
        sum += lane[l];
    }
    const real scale = sum == 0 ? 0 : 1 / sum; /* a row of -infinity; NaN is not 0 and stays */
    for (d = 0; d < D; d++) {
        y[d] *= scale;
    }
}

void softmax_forward(real *y, const real *x, size_t N, size_t D)
{
    for (size_t n = 0; n < N; n++) {
        row_forward(y + n * D, x + n * D, D);
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
    real dot = 0;
    for (size_t l = 0; l < LANES; l++) {
        dot += lane[l];
    }
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
