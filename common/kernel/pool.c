#include "common/kernel/pool.h"

#include <assert.h>
#include <string.h>

#include "common/kernel/wide.h"

enum { BLOCK = 64 }; /* channels at a time, where something is kept for each */

bool pool_fits(const struct pool_shape *s)
{
    return s->C > 0 && s->KH > 0 && s->KW > 0 && s->stride > 0 && s->H >= s->KH && s->W >= s->KW;
}

size_t pool_out_height(const struct pool_shape *s)
{
    return (s->H - s->KH) / s->stride + 1;
}

size_t pool_out_width(const struct pool_shape *s)
{
    return (s->W - s->KW) / s->stride + 1;
}

/* Where window p of all samples begins in x. */
static size_t corner(const struct pool_shape *s, size_t p)
{
    const size_t OW = pool_out_width(s);
    const size_t OH = pool_out_height(s);
    const size_t row = p / OW / OH * s->H + p / OW % OH * s->stride;
    return (row * s->W + p % OW * s->stride) * s->C;
}

/* And its tap k, from there. */
static size_t tap(const struct pool_shape *s, size_t k)
{
    return (k / s->KW * s->W + k % s->KW) * s->C;
}

static size_t windows(const struct pool_shape *s, size_t B)
{
    assert(pool_fits(s));
    return B * pool_out_height(s) * pool_out_width(s);
}

WIDE void max_pool_forward(real *restrict y, const real *restrict x, const struct pool_shape *s,
                           size_t B)
{
    const size_t n = windows(s, B);
    for (size_t p = 0; p < n; p++) {
        const real *x_p = x + corner(s, p); /* [C], and the other taps */
        real *y_p = y + p * s->C;           /* [C] */
        memcpy(y_p, x_p, s->C * sizeof *y);
        for (size_t k = 1; k < s->KH * s->KW; k++) {
            const real *x_k = x_p + tap(s, k); /* [C] */
            for (size_t c = 0; c < s->C; c++) {
                y_p[c] = x_k[c] > y_p[c] || x_k[c] != x_k[c] ? x_k[c] : y_p[c];
            }
        }
    }
}

/* BLOCK channels of one window; write: the window is nobody else's. */
static inline __attribute__((always_inline)) void
give(real *restrict dx, const real *restrict dy, const real *restrict x, const real *restrict y,
     const struct pool_shape *s, size_t C, bool write)
{
    real left[BLOCK]; /* dy, until somebody took it */
    memcpy(left, dy, C * sizeof *left);
    for (size_t k = 0; k < s->KH * s->KW; k++) {
        const real *x_k = x + tap(s, k); /* [C] */
        real *dx_k = dx + tap(s, k);
        for (size_t c = 0; c < C; c++) {
            const bool hit = x_k[c] == y[c];
            const real got = hit ? left[c] : 0;
            dx_k[c] = write ? got : dx_k[c] + got;
            left[c] = hit ? 0 : left[c];
        }
    }
}

WIDE void max_pool_backward(real *restrict dx, const real *restrict dy, const real *restrict x,
                            const real *restrict y, const struct pool_shape *s, size_t B)
{
    const size_t n = windows(s, B);
    for (size_t p = 0; p < n; p++) {
        for (size_t from = 0; from < s->C; from += BLOCK) {
            const size_t at = corner(s, p) + from;
            const size_t C = s->C - from < BLOCK ? s->C - from : BLOCK;
            give(dx + at, dy + p * s->C + from, x + at, y + p * s->C + from, s, C, false);
        }
    }
}

static bool tiles(const struct pool_shape *s)
{
    return s->KH == s->stride && s->KW == s->stride && s->H % s->KH == 0 && s->W % s->KW == 0;
}

WIDE void max_pool_backward_set(real *restrict dx, const real *restrict dy, const real *restrict x,
                                const real *restrict y, const struct pool_shape *s, size_t B)
{
    const size_t n = windows(s, B);
    const bool write = tiles(s);
    if (!write) {
        memset(dx, 0, B * s->H * s->W * s->C * sizeof *dx);
    }
    for (size_t p = 0; p < n; p++) {
        for (size_t from = 0; from < s->C; from += BLOCK) {
            const size_t at = corner(s, p) + from;
            const size_t C = s->C - from < BLOCK ? s->C - from : BLOCK;
            give(dx + at, dy + p * s->C + from, x + at, y + p * s->C + from, s, C, write);
        }
    }
}

WIDE void average_pool_forward(real *restrict y, const real *restrict x, const struct pool_shape *s,
                               size_t B)
{
    const size_t n = windows(s, B);
    const real share = (real)(1.0 / (double)(s->KH * s->KW));
    memset(y, 0, n * s->C * sizeof *y);
    for (size_t p = 0; p < n; p++) {
        const real *x_p = x + corner(s, p); /* [C], and the other taps */
        real *y_p = y + p * s->C;           /* [C] */
        for (size_t k = 0; k < s->KH * s->KW; k++) {
            const real *x_k = x_p + tap(s, k);
            for (size_t c = 0; c < s->C; c++) {
                y_p[c] += share * x_k[c];
            }
        }
    }
}

WIDE void average_pool_backward(real *restrict dx, const real *restrict dy,
                                const struct pool_shape *s, size_t B)
{
    const size_t n = windows(s, B);
    const real share = (real)(1.0 / (double)(s->KH * s->KW));
    for (size_t p = 0; p < n; p++) {
        const real *dy_p = dy + p * s->C; /* [C] */
        for (size_t k = 0; k < s->KH * s->KW; k++) {
            real *dx_k = dx + corner(s, p) + tap(s, k);
            for (size_t c = 0; c < s->C; c++) {
                dx_k[c] += share * dy_p[c];
            }
        }
    }
}

WIDE void global_average_forward(real *restrict y, const real *restrict x, size_t B, size_t T,
                                 size_t C)
{
    for (size_t b = 0; b < B; b++) {
        for (size_t from = 0; from < C; from += BLOCK) {
            const size_t n = C - from < BLOCK ? C - from : BLOCK;
            double sum[BLOCK] = {0};
            for (size_t t = 0; t < T; t++) {
                const real *x_t = x + (b * T + t) * C + from; /* [n] */
                for (size_t c = 0; c < n; c++) {
                    sum[c] += (double)x_t[c];
                }
            }
            for (size_t c = 0; c < n; c++) {
                y[b * C + from + c] = (real)(sum[c] / (double)T);
            }
        }
    }
}

WIDE void global_average_backward(real *restrict dx, const real *restrict dy, size_t B, size_t T,
                                  size_t C)
{
    const real share = (real)(1.0 / (double)T);
    for (size_t b = 0; b < B; b++) {
        for (size_t t = 0; t < T; t++) {
            real *dx_t = dx + (b * T + t) * C; /* [C] */
            for (size_t c = 0; c < C; c++) {
                dx_t[c] += share * dy[b * C + c];
            }
        }
    }
}

WIDE void global_average_backward_set(real *restrict dx, const real *restrict dy, size_t B,
                                      size_t T, size_t C)
{
    const real share = (real)(1.0 / (double)T);
    for (size_t b = 0; b < B; b++) {
        for (size_t t = 0; t < T; t++) {
            real *dx_t = dx + (b * T + t) * C; /* [C] */
            for (size_t c = 0; c < C; c++) {
                dx_t[c] = share * dy[b * C + c];
            }
        }
    }
}
