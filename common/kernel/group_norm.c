#include "common/kernel/group_norm.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include <tgmath.h>

#include "common/kernel/wide.h"

/* Channels are worked through in columns of LANES, so that a column's sums stay in registers. */
static size_t column(size_t C, size_t from)
{
    return C - from < LANES ? C - from : LANES;
}

/* sum_t x and sum_t x^2 of n channels of one sample, x [T, n] at a distance of C. */
static inline __attribute__((always_inline)) void moments(double *restrict sum,
                                                          double *restrict square,
                                                          const real *restrict x, size_t T,
                                                          size_t C, size_t n)
{
    double s[LANES] = {0};
    double q[LANES] = {0};
    for (size_t t = 0; t < T; t++) {
        for (size_t c = 0; c < n; c++) {
            const double v = (double)x[t * C + c];
            s[c] += v;
            q[c] += v * v;
        }
    }
    memcpy(sum, s, n * sizeof *s);
    memcpy(square, q, n * sizeof *q);
}

/* Mean and variance of the groups of one sample. */
WIDE static void statistics(real *restrict mean, real *restrict rstd, const real *restrict x,
                            size_t T, size_t C, size_t G)
{
    const double floor_var = 1e-5; /* keeps a constant group finite; PyTorch's default */
    const size_t each = C / G;
    double sum = 0.0;
    double square = 0.0;
    for (size_t from = 0; from < C; from += LANES) {
        const size_t n = column(C, from);
        double s[LANES];
        double q[LANES];
        if (n == LANES) {
            moments(s, q, x + from, T, C, LANES);
        } else {
            moments(s, q, x + from, T, C, n);
        }
        for (size_t c = 0; c < n; c++) {
            sum += s[c];
            square += q[c];
            if ((from + c + 1) % each == 0) { /* a group ends here */
                const size_t g = (from + c) / each;
                const double m = sum / (double)(T * each);
                const double var = square / (double)(T * each) - m * m;
                mean[g] = (real)m;
                rstd[g] = (real)(1.0 / sqrt((var < 0.0 ? 0.0 : var) + floor_var));
                sum = square = 0.0;
            }
        }
    }
}

/* y = (x - mean) scale + shift for n channels of one sample. */
static inline __attribute__((always_inline)) void
scaled(real *restrict y, const real *restrict x, const real *restrict mean,
       const real *restrict scale, const real *restrict shift, size_t T, size_t C, size_t n)
{
    for (size_t t = 0; t < T; t++) {
        for (size_t c = 0; c < n; c++) {
            y[t * C + c] = (x[t * C + c] - mean[c]) * scale[c] + shift[c];
        }
    }
}

WIDE static void normalise(real *restrict y, const real *restrict x, const real *restrict mean,
                           const real *restrict rstd, const real *restrict gain,
                           const real *restrict shift, size_t T, size_t C, size_t G)
{
    for (size_t from = 0; from < C; from += LANES) {
        const size_t n = column(C, from);
        real m[LANES] = {0};
        real a[LANES] = {0};
        real s[LANES] = {0};
        for (size_t c = 0; c < n; c++) {
            const size_t g = (from + c) / (C / G);
            m[c] = mean[g];
            a[c] = gain[from + c] * rstd[g];
            s[c] = shift[from + c];
        }
        if (n == LANES) {
            scaled(y + from, x + from, m, a, s, T, C, LANES);
        } else {
            scaled(y + from, x + from, m, a, s, T, C, n);
        }
    }
}

void group_norm_forward(real *restrict y, real *restrict mean, real *restrict rstd,
                        const real *restrict x, const real *restrict gain,
                        const real *restrict shift, size_t B, size_t T, size_t C, size_t G)
{
    assert(G > 0);
    assert(C % G == 0);
    for (size_t b = 0; b < B; b++) {
        const size_t at = b * T * C; /* [T, C] */
        statistics(mean + b * G, rstd + b * G, x + at, T, C, G);
        normalise(y + at, x + at, mean + b * G, rstd + b * G, gain, shift, T, C, G);
    }
}

void group_norm_again(real *restrict y, const real *restrict mean, const real *restrict rstd,
                      const real *restrict x, const real *restrict gain, const real *restrict shift,
                      size_t B, size_t T, size_t C, size_t G)
{
    for (size_t b = 0; b < B; b++) {
        const size_t at = b * T * C; /* [T, C] */
        normalise(y + at, x + at, mean + b * G, rstd + b * G, gain, shift, T, C, G);
    }
}

/* sum_t dy xhat and sum_t dy of n channels. */
static inline __attribute__((always_inline)) void
products(real *restrict dgain, real *restrict dshift, const real *restrict dy,
         const real *restrict x, const real *restrict mean, const real *restrict rstd, size_t T,
         size_t C, size_t n)
{
    double s[LANES] = {0};
    double q[LANES] = {0};
    for (size_t t = 0; t < T; t++) {
        for (size_t c = 0; c < n; c++) {
            const real h = (x[t * C + c] - mean[c]) * rstd[c];
            s[c] += (double)dy[t * C + c];
            q[c] += (double)(dy[t * C + c] * h);
        }
    }
    for (size_t c = 0; c < n; c++) {
        dshift[c] = (real)s[c];
        dgain[c] = (real)q[c];
    }
}

/* dx (+)= scale dy - a - b (x - mean) for n channels; dx may be dy. */
static inline __attribute__((always_inline)) void adjoint(real *dx, const real *dy, const real *x,
                                                          const real *mean, const real *scale,
                                                          const real *a, const real *b, size_t T,
                                                          size_t C, size_t n, bool add)
{
    for (size_t t = 0; t < T; t++) {
        real row[LANES];
        for (size_t c = 0; c < n; c++) {
            row[c] = scale[c] * dy[t * C + c] - a[c] - b[c] * (x[t * C + c] - mean[c]);
        }
        for (size_t c = 0; c < n; c++) {
            dx[t * C + c] = add ? dx[t * C + c] + row[c] : row[c];
        }
    }
}

/* One sample; with g = gain dy:  dx = rstd (g - mean(g) - xhat mean(g xhat)). */
WIDE static void backward(real *dx, real *restrict dgain, real *restrict dshift, const real *dy,
                          const real *restrict x, const real *restrict mean,
                          const real *restrict rstd, const real *restrict gain, size_t T, size_t C,
                          size_t G, bool add)
{
    const size_t each = C / G;
    for (size_t from = 0; from < C; from += LANES) {
        const size_t n = column(C, from);
        real m[LANES] = {0};
        real r[LANES] = {0};
        for (size_t c = 0; c < n; c++) {
            m[c] = mean[(from + c) / each];
            r[c] = rstd[(from + c) / each];
        }
        if (n == LANES) {
            products(dgain + from, dshift + from, dy + from, x + from, m, r, T, C, LANES);
        } else {
            products(dgain + from, dshift + from, dy + from, x + from, m, r, T, C, n);
        }
    }
    for (size_t from = 0; dx != NULL && from < C; from += LANES) {
        const size_t n = column(C, from);
        real m[LANES] = {0};
        real scale[LANES] = {0};
        real a[LANES] = {0};
        real b[LANES] = {0};
        for (size_t c = 0; c < n; c++) {
            const size_t g = (from + c) / each;
            double mean_g = 0.0;
            double mean_gh = 0.0;
            for (size_t k = g * each; k < (g + 1) * each; k++) {
                mean_g += (double)gain[k] * (double)dshift[k];
                mean_gh += (double)gain[k] * (double)dgain[k];
            }
            const double rs = (double)rstd[g];
            m[c] = mean[g];
            scale[c] = gain[from + c] * rstd[g];
            a[c] = (real)(rs * mean_g / (double)(T * each));
            b[c] = (real)(rs * rs * mean_gh / (double)(T * each));
        }
        if (n == LANES && add) {
            adjoint(dx + from, dy + from, x + from, m, scale, a, b, T, C, LANES, true);
        } else if (n == LANES) {
            adjoint(dx + from, dy + from, x + from, m, scale, a, b, T, C, LANES, false);
        } else {
            adjoint(dx + from, dy + from, x + from, m, scale, a, b, T, C, n, add);
        }
    }
}

static void all_backward(real *dx, real *restrict dgain, real *restrict dshift, const real *dy,
                         const real *restrict x, const real *restrict mean,
                         const real *restrict rstd, const real *restrict gain, size_t B, size_t T,
                         size_t C, size_t G, bool add)
{
    for (size_t b = 0; b < B; b++) {
        const size_t at = b * T * C; /* [T, C] */
        backward(dx == NULL ? NULL : dx + at, dgain + b * C, dshift + b * C, dy + at, x + at,
                 mean + b * G, rstd + b * G, gain, T, C, G, add);
    }
}

void group_norm_backward(real *restrict dx, real *restrict dgain, real *restrict dshift,
                         const real *restrict dy, const real *restrict x, const real *restrict mean,
                         const real *restrict rstd, const real *restrict gain, size_t B, size_t T,
                         size_t C, size_t G)
{
    all_backward(dx, dgain, dshift, dy, x, mean, rstd, gain, B, T, C, G, true);
}

void group_norm_backward_set(real *dx, real *restrict dgain, real *restrict dshift, const real *dy,
                             const real *restrict x, const real *restrict mean,
                             const real *restrict rstd, const real *restrict gain, size_t B,
                             size_t T, size_t C, size_t G)
{
    all_backward(dx, dgain, dshift, dy, x, mean, rstd, gain, B, T, C, G, false);
}
