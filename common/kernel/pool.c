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

/* Where row r of the windows of all samples begins in x; its windows follow at `stride` pixels. */
static size_t row_start(const struct pool_shape *s, size_t r)
{
    const size_t OH = pool_out_height(s);
    return (r / OH * s->H + r % OH * s->stride) * s->W * s->C;
}

static size_t rows(const struct pool_shape *s, size_t B)
{
    assert(pool_fits(s));
    return B * pool_out_height(s);
}

/* A comparison and a choice for a few channels: compilers leave this one scalar, and wider vectors than
 * every processor has they take apart number by number. */
enum { FEW = 16 / sizeof(real) };
typedef real lanes __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));
typedef __typeof__((lanes){0} < (lanes){0}) mask;

/* The largest of one window, for FEW channels; they stay in registers. */
static inline void largest(real *restrict y, const real *restrict x, const struct pool_shape *s)
{
    lanes best = *(const lanes *)x;
    for (size_t ky = 0; ky < s->KH; ky++) {
        const real *x_k = x + ky * s->W * s->C; /* [KW, C] */
        for (size_t kx = 0; kx < s->KW; kx++, x_k += s->C) {
            const lanes v = *(const lanes *)x_k;
            const mask more = (v > best) | (v != v);
            best = (lanes)((more & (mask)v) | (~more & (mask)best));
        }
    }
    *(lanes *)y = best;
}

static void largest_of(real *restrict y, const real *restrict x, const struct pool_shape *s,
                       size_t n)
{
    for (size_t c = 0; c < n; c++) {
        y[c] = x[c];
        for (size_t ky = 0; ky < s->KH; ky++) {
            for (size_t kx = 0; kx < s->KW; kx++) {
                const real v = x[(ky * s->W + kx) * s->C + c];
                y[c] = v > y[c] || v != v ? v : y[c];
            }
        }
    }
}

void max_pool_forward(real *restrict y, const real *restrict x, const struct pool_shape *s,
                      size_t B)
{
    const size_t n = rows(s, B);
    const size_t OW = pool_out_width(s);
    for (size_t r = 0; r < n; r++) {
        const real *x_p = x + row_start(s, r); /* [C] of a window's corner, the others from there */
        real *y_p = y + r * OW * s->C;         /* [C] */
        for (size_t j = 0; j < OW; j++, x_p += s->stride * s->C, y_p += s->C) {
            size_t c = 0;
            for (; c + FEW <= s->C; c += FEW) {
                largest(y_p + c, x_p + c, s);
            }
            largest_of(y_p + c, x_p + c, s, s->C - c);
        }
    }
}

/* The gradient of one window, for FEW channels; write: the window is nobody else's. */
static inline void give(real *restrict dx, const real *restrict dy, const real *restrict x,
                        const real *restrict y, const struct pool_shape *s, bool write)
{
    lanes left = *(const lanes *)dy; /* dy, until somebody took it */
    const lanes most = *(const lanes *)y;
    for (size_t ky = 0; ky < s->KH; ky++) {
        for (size_t kx = 0; kx < s->KW; kx++) {
            const size_t at = (ky * s->W + kx) * s->C;
            const mask hit = *(const lanes *)(x + at) == most;
            const lanes got = (lanes)(hit & (mask)left);
            left = (lanes)(~hit & (mask)left);
            if (write) {
                *(lanes *)(dx + at) = got;
            } else {
                *(lanes *)(dx + at) += got;
            }
        }
    }
}

static void give_to(real *restrict dx, const real *restrict dy, const real *restrict x,
                    const real *restrict y, const struct pool_shape *s, size_t n, bool write)
{
    for (size_t c = 0; c < n; c++) {
        real left = dy[c];
        for (size_t ky = 0; ky < s->KH; ky++) {
            for (size_t kx = 0; kx < s->KW; kx++) {
                const size_t at = (ky * s->W + kx) * s->C + c;
                const real got = x[at] == y[c] ? left : 0;
                dx[at] = write ? got : dx[at] + got;
                left = x[at] == y[c] ? 0 : left;
            }
        }
    }
}

static void give_all(real *restrict dx, const real *restrict dy, const real *restrict x,
                     const real *restrict y, const struct pool_shape *s, size_t B, bool write)
{
    const size_t n = rows(s, B);
    const size_t OW = pool_out_width(s);
    for (size_t r = 0; r < n; r++) {
        size_t at = row_start(s, r); /* in x and dx */
        size_t to = r * OW * s->C;   /* in y and dy */
        for (size_t j = 0; j < OW; j++, at += s->stride * s->C, to += s->C) {
            size_t c = 0;
            for (; c + FEW <= s->C; c += FEW) {
                give(dx + at + c, dy + to + c, x + at + c, y + to + c, s, write);
            }
            give_to(dx + at + c, dy + to + c, x + at + c, y + to + c, s, s->C - c, write);
        }
    }
}

void max_pool_backward(real *restrict dx, const real *restrict dy, const real *restrict x,
                       const real *restrict y, const struct pool_shape *s, size_t B)
{
    give_all(dx, dy, x, y, s, B, false);
}

/* The windows cover the image, each pixel once. */
static bool tiles(const struct pool_shape *s)
{
    return s->KH == s->stride && s->KW == s->stride && s->H % s->KH == 0 && s->W % s->KW == 0;
}

void max_pool_backward_set(real *restrict dx, const real *restrict dy, const real *restrict x,
                           const real *restrict y, const struct pool_shape *s, size_t B)
{
    if (tiles(s)) {
        give_all(dx, dy, x, y, s, B, true);
        return;
    }
    memset(dx, 0, B * s->H * s->W * s->C * sizeof *dx);
    give_all(dx, dy, x, y, s, B, false);
}

WIDE void average_pool_forward(real *restrict y, const real *restrict x, const struct pool_shape *s,
                               size_t B)
{
    const size_t n = rows(s, B);
    const size_t OW = pool_out_width(s);
    const real share = (real)(1.0 / (double)(s->KH * s->KW));
    memset(y, 0, n * OW * s->C * sizeof *y);
    for (size_t r = 0; r < n; r++) {
        for (size_t j = 0; j < OW; j++) {
            real *y_p = y + (r * OW + j) * s->C; /* [C] */
            for (size_t ky = 0; ky < s->KH; ky++) {
                const real *x_k = x + row_start(s, r) + (ky * s->W + j * s->stride) * s->C;
                for (size_t k = 0; k < s->KW * s->C; k += s->C) {
                    for (size_t c = 0; c < s->C; c++) {
                        y_p[c] += share * x_k[k + c];
                    }
                }
            }
        }
    }
}

WIDE void average_pool_backward(real *restrict dx, const real *restrict dy,
                                const struct pool_shape *s, size_t B)
{
    const size_t n = rows(s, B);
    const size_t OW = pool_out_width(s);
    const real share = (real)(1.0 / (double)(s->KH * s->KW));
    for (size_t r = 0; r < n; r++) {
        for (size_t j = 0; j < OW; j++) {
            const real *dy_p = dy + (r * OW + j) * s->C; /* [C] */
            for (size_t ky = 0; ky < s->KH; ky++) {
                real *dx_k = dx + row_start(s, r) + (ky * s->W + j * s->stride) * s->C;
                for (size_t k = 0; k < s->KW * s->C; k += s->C) {
                    for (size_t c = 0; c < s->C; c++) {
                        dx_k[k + c] += share * dy_p[c];
                    }
                }
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
