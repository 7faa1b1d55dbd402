#include "common/accountant/fft.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static struct complex times(struct complex a, struct complex b)
{
    return (struct complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

void fft_roots(struct complex *root, size_t n)
{
    /* Each as the product of two that are computed: a million sines would take longer than the
     * transform. */
    enum { FINE = 512 };
    struct complex fine[FINE];
    const double turn = -2.0 * acos(-1.0) / (double)n;
    const size_t n_fine = n < FINE ? n : FINE;
    assert(n > 0 && (n & (n - 1)) == 0);
    for (size_t i = 0; i < n_fine; i++) {
        fine[i] = (struct complex){cos(turn * (double)i), sin(turn * (double)i)};
    }
    for (size_t at = 0; at < n; at += n_fine) {
        const struct complex coarse = {cos(turn * (double)at), sin(turn * (double)at)};
        for (size_t i = 0; i < n_fine; i++) {
            root[at + i] = times(coarse, fine[i]);
        }
    }
}

/* One pass: transforms of length `length`, with `stride` of them side by side. */
static void pass_4(struct complex *restrict y, const struct complex *restrict x,
                   const struct complex *root, size_t length, size_t stride)
{
    const size_t quarter = length / 4;
    for (size_t p = 0; p < quarter; p++) {
        const struct complex w1 = root[p * stride];
        const struct complex w2 = root[2 * p * stride];
        const struct complex w3 = root[3 * p * stride];
        const struct complex *x0 = x + stride * p;
        const struct complex *x1 = x + stride * (p + quarter);
        const struct complex *x2 = x + stride * (p + 2 * quarter);
        const struct complex *x3 = x + stride * (p + 3 * quarter);
        struct complex *out = y + stride * 4 * p;
        for (size_t s = 0; s < stride; s++) {
            const struct complex sum02 = {x0[s].re + x2[s].re, x0[s].im + x2[s].im};
            const struct complex dif02 = {x0[s].re - x2[s].re, x0[s].im - x2[s].im};
            const struct complex sum13 = {x1[s].re + x3[s].re, x1[s].im + x3[s].im};
            const struct complex dif13 = {x1[s].im - x3[s].im, x3[s].re - x1[s].re}; /* times -i */
            const struct complex a = {dif02.re + dif13.re, dif02.im + dif13.im};
            const struct complex b = {sum02.re - sum13.re, sum02.im - sum13.im};
            const struct complex c = {dif02.re - dif13.re, dif02.im - dif13.im};
            out[s] = (struct complex){sum02.re + sum13.re, sum02.im + sum13.im};
            out[stride + s] = times(w1, a);
            out[2 * stride + s] = times(w2, b);
            out[3 * stride + s] = times(w3, c);
        }
    }
}

static void pass_2(struct complex *restrict y, const struct complex *restrict x, size_t stride)
{
    for (size_t s = 0; s < stride; s++) {
        const struct complex a = x[s];
        const struct complex b = x[stride + s];
        y[s] = (struct complex){a.re + b.re, a.im + b.im};
        y[stride + s] = (struct complex){a.re - b.re, a.im - b.im};
    }
}

void fft(struct complex *x, struct complex *work, const struct complex *root, size_t n)
{
    struct complex *from = x;
    struct complex *to = work;
    size_t stride = 1;
    size_t length = n;
    assert(n > 0 && (n & (n - 1)) == 0);
    while (length > 1) {
        if (length == 2) {
            pass_2(to, from, stride);
            length = 1;
        } else {
            pass_4(to, from, root, length, stride);
            stride *= 4;
            length /= 4;
        }
        struct complex *other = from;
        from = to;
        to = other;
    }
    if (from != x) {
        memcpy(x, from, n * sizeof *x);
    }
}
