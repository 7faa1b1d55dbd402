#include "common/kernel/depthwise.h"

#include <assert.h>
#include <string.h>

#include "common/kernel/wide.h"

/* One tap at one position, if its pixel lies inside of x: offsets within the sample. */
struct meeting {
    bool inside;
    size_t x, y, w; /* each the start of C numbers; w in [KH*KW, C] */
};

static struct meeting meet(const struct conv_shape *s, size_t i, size_t j, size_t tap)
{
    const size_t row = i * s->stride + tap / s->KW * s->dilation; /* of the padded sample */
    const size_t col = j * s->stride + tap % s->KW;
    return (struct meeting){.inside = row >= s->top && row - s->top < s->H && col >= s->left &&
                                      col - s->left < s->W,
                            .x = ((row - s->top) * s->W + col - s->left) * s->C,
                            .y = (i * conv_out_width(s) + j) * s->C,
                            .w = tap * s->C};
}

/* to += a * b, channel by channel. */
WIDE static void add_products(real *restrict to, const real *restrict a, const real *restrict b,
                              size_t C)
{
    for (size_t c = 0; c < C; c++) {
        to[c] += a[c] * b[c];
    }
}

enum what { FORWARD, INPUT, WEIGHT };

/* One sample; exactly one of x, y, w is written: it is `to`, the others `a` and `b`. */
static void walk(enum what what, real *restrict to, const real *restrict a, const real *restrict b,
                 const struct conv_shape *s)
{
    const size_t OH = conv_out_height(s);
    const size_t OW = conv_out_width(s);
    for (size_t i = 0; i < OH; i++) {
        for (size_t j = 0; j < OW; j++) {
            for (size_t tap = 0; tap < s->KH * s->KW; tap++) {
                const struct meeting m = meet(s, i, j, tap);
                if (!m.inside) {
                    continue;
                }
                switch (what) {
                case FORWARD:
                    add_products(to + m.y, a + m.x, b + m.w, s->C);
                    break;
                case INPUT:
                    add_products(to + m.x, a + m.y, b + m.w, s->C);
                    break;
                case WEIGHT:
                    add_products(to + m.w, a + m.y, b + m.x, s->C);
                    break;
                }
            }
        }
    }
}

static void transpose(real *restrict to, const real *restrict w, const struct conv_shape *s)
{
    const size_t taps = s->KH * s->KW;
    for (size_t c = 0; c < s->C; c++) {
        for (size_t k = 0; k < taps; k++) {
            to[k * s->C + c] = w[c * taps + k];
        }
    }
}

size_t depthwise_scratch(const struct conv_shape *s)
{
    return s->KH * s->KW * s->C;
}

void depthwise_forward(real *restrict y, const real *restrict x, const real *restrict w,
                       const struct conv_shape *s, size_t B, real *restrict scratch)
{
    assert(conv_fits(s));
    const size_t in = s->H * s->W * s->C;
    const size_t out = conv_out_height(s) * conv_out_width(s) * s->C;
    transpose(scratch, w, s);
    memset(y, 0, B * out * sizeof *y);
    for (size_t b = 0; b < B; b++) {
        walk(FORWARD, y + b * out, x + b * in, scratch, s);
    }
}

void depthwise_backward_input(real *restrict dx, const real *restrict dy, const real *restrict w,
                              const struct conv_shape *s, size_t B, real *restrict scratch)
{
    assert(conv_fits(s));
    const size_t in = s->H * s->W * s->C;
    const size_t out = conv_out_height(s) * conv_out_width(s) * s->C;
    transpose(scratch, w, s);
    for (size_t b = 0; b < B; b++) {
        walk(INPUT, dx + b * in, dy + b * out, scratch, s);
    }
}

void depthwise_weight_each(real *restrict each, const real *restrict dy, const real *restrict x,
                           const struct conv_shape *s, size_t B)
{
    assert(conv_fits(s));
    const size_t in = s->H * s->W * s->C;
    const size_t out = conv_out_height(s) * conv_out_width(s) * s->C;
    const size_t size = s->KH * s->KW * s->C;
    memset(each, 0, B * size * sizeof *each);
    for (size_t b = 0; b < B; b++) {
        walk(WEIGHT, each + b * size, dy + b * out, x + b * in, s);
    }
}

void depthwise_weight_add(real *restrict dw, const real *restrict kept, const struct conv_shape *s)
{
    const size_t taps = s->KH * s->KW;
    for (size_t c = 0; c < s->C; c++) {
        for (size_t k = 0; k < taps; k++) {
            dw[c * taps + k] += kept[k * s->C + c];
        }
    }
}
