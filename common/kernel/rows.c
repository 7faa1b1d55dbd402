#include "common/kernel/rows.h"

#include "common/kernel/wide.h"

enum { BLOCK = 16 * LANES, CHUNK = 2048 };

/* Squares of n <= BLOCK numbers, lanes added in order. */
static inline double block_of_squares(const real *v, size_t n)
{
    real lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] += v[i + j] * v[i + j];
        }
    }
    double sum = 0.0;
    for (size_t j = 0; j < LANES; j++) {
        sum += (double)lane[j];
    }
    for (; i < n; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    return sum;
}

WIDE double sum_of_squares(const real *v, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i += BLOCK) {
        sum += block_of_squares(v + i, n - i < BLOCK ? n - i : BLOCK);
    }
    return sum;
}

WIDE void rows_sum(real *restrict dst, const real *restrict g, size_t N, size_t D)
{
    for (size_t n = 0; n < N; n++) {
        const real *g_n = g + n * D; /* [D] */
        for (size_t d = 0; d < D; d++) {
            dst[d] += g_n[d];
        }
    }
}

WIDE void rows_product_sum(real *restrict dst, const real *restrict g, const real *restrict a,
                           size_t N, size_t D)
{
    for (size_t n = 0; n < N; n++) {
        const real *g_n = g + n * D; /* [D] */
        const real *a_n = a + n * D; /* [D] */
        for (size_t d = 0; d < D; d++) {
            dst[d] += g_n[d] * a_n[d];
        }
    }
}

/* By chunks of columns that stay in the nearest cache while the rows go by. */
WIDE void rows_weighted_sum(real *restrict dst, const real *restrict k, const double *restrict c,
                            size_t N, size_t D)
{
    for (size_t from = 0; from < D; from += CHUNK) {
        const size_t to = D - from < CHUNK ? D : from + CHUNK;
        for (size_t n = 0; n < N; n++) {
            const real c_n = (real)c[n];
            const real *k_n = k + n * D; /* [D] */
            for (size_t d = from; d < to; d++) {
                dst[d] += c_n * k_n[d];
            }
        }
    }
}

WIDE void rows_scale(real *v, double c, size_t n)
{
    const real by = (real)c;
    for (size_t i = 0; i < n; i++) {
        v[i] *= by;
    }
}
