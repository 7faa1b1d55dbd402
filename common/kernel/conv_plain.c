/* The definition in conv.h, loop by loop. */
#include "common/kernel/conv.h"

enum what { FORWARD, INPUT, WEIGHT };

/* What one tap does at one position: x_p [C] and w, dw at [o, tap, c] against y_p [O]. */
static void one_tap(enum what what, real *to, const real *one, const real *other, size_t tap,
                    const struct conv_shape *s)
{
    const size_t K = s->KH * s->KW * s->C;
    for (size_t o = 0; o < s->O; o++) {
        for (size_t c = 0; c < s->C; c++) {
            const size_t k = o * K + tap * s->C + c;
            if (what == FORWARD) {
                to[o] += one[c] * other[k]; /* y += x w */
            } else if (what == INPUT) {
                to[c] += one[o] * other[k]; /* dx += dy w */
            } else {
                to[k] += one[o] * other[c]; /* dw += dy x */
            }
        }
    }
}

/* y, x: of all samples; exactly one of y, x, w is written. */
static void walk(enum what what, real *to, const real *one, const real *other,
                 const struct conv_shape *s, size_t B)
{
    const size_t OH = conv_out_height(s);
    const size_t OW = conv_out_width(s);
    for (size_t p = 0; p < B * OH * OW * s->KH * s->KW; p++) {
        const size_t kx = p % s->KW;
        const size_t ky = p / s->KW % s->KH;
        const size_t j = p / (s->KW * s->KH) % OW;
        const size_t i = p / (s->KW * s->KH * OW) % OH;
        const size_t b = p / (s->KW * s->KH * OW * OH);
        const size_t row = i * s->stride + ky * s->dilation; /* of the padded sample */
        const size_t col = j * s->stride + kx;
        if (row < s->top || row - s->top >= s->H || col < s->left || col - s->left >= s->W) {
            continue;
        }
        const size_t at_x = ((b * s->H + row - s->top) * s->W + col - s->left) * s->C;
        const size_t at_y = ((b * OH + i) * OW + j) * s->O;
        if (what == FORWARD) {
            one_tap(what, to + at_y, one + at_x, other, ky * s->KW + kx, s);
        } else if (what == INPUT) {
            one_tap(what, to + at_x, one + at_y, other, ky * s->KW + kx, s);
        } else {
            one_tap(what, to, one + at_y, other + at_x, ky * s->KW + kx, s);
        }
    }
}

void conv_forward_plain(real *restrict y, const real *restrict x, const real *restrict w,
                        const struct conv_shape *s, size_t B)
{
    for (size_t i = 0; i < B * conv_out_height(s) * conv_out_width(s) * s->O; i++) {
        y[i] = 0;
    }
    walk(FORWARD, y, x, w, s, B);
}

void conv_backward_input_plain(real *restrict dx, const real *restrict dy, const real *restrict w,
                               const struct conv_shape *s, size_t B)
{
    walk(INPUT, dx, dy, w, s, B);
}

void conv_weight_sum_plain(real *restrict dw, const real *restrict dy, const real *restrict x,
                           const struct conv_shape *s, size_t B)
{
    walk(WEIGHT, dw, dy, x, s, B);
}
