#include "common/kernel/mean.h"

#include <string.h>

#include "common/kernel/wide.h"

/* 1 / how many are there; 0 for none. there [N] or NULL */
static real weight_of(const uint8_t *there, size_t N)
{
    size_t count = there == NULL ? N : 0;
    for (size_t n = 0; there != NULL && n < N; n++) {
        count += there[n] != 0;
    }
    return count == 0 ? 0 : 1 / (real)count;
}

WIDE static void add_scaled(real *restrict y, real scale, const real *restrict x, size_t D)
{
    for (size_t d = 0; d < D; d++) {
        y[d] += scale * x[d];
    }
}

void masked_mean_forward(real *restrict y, const real *restrict x, const uint8_t *restrict there,
                         size_t B, size_t N, size_t D)
{
    memset(y, 0, B * D * sizeof *y);
    for (size_t b = 0; b < B; b++) {
        const uint8_t *there_b = there == NULL ? NULL : there + b * N; /* [N] */
        const real weight = weight_of(there_b, N);
        for (size_t n = 0; n < N; n++) {
            if (there_b == NULL || there_b[n]) {
                add_scaled(y + b * D, weight, x + (b * N + n) * D, D);
            }
        }
    }
}

void masked_mean_backward(real *restrict dx, const real *restrict dy, const uint8_t *restrict there,
                          size_t B, size_t N, size_t D)
{
    for (size_t b = 0; b < B; b++) {
        const uint8_t *there_b = there == NULL ? NULL : there + b * N; /* [N] */
        const real weight = weight_of(there_b, N);
        for (size_t n = 0; n < N; n++) {
            if (there_b == NULL || there_b[n]) {
                add_scaled(dx + (b * N + n) * D, weight, dy + b * D, D);
            }
        }
    }
}
