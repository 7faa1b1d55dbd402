/*
 * An image by how much detail it has at four sizes, wherever that is. With a_0 the image and B_k the blur with
 * [1 2 1]/4 along rows and columns, 2^k pixels apart (the edge repeats; the undecimated wavelets of Starck and
 * Murtagh 1994 with a shorter filter),
 *
 *   a_k+1 = B_k a_k,   d_k = a_k - a_k+1,     k = 0 … 3
 *   contrasts = [1 + ln(0.001 + mean d_k^2) / 2,  ln(0.01 + max d_k) / 2,  ln(0.01 + max -d_k) / 2]
 *
 * over the pixels of d_k, the largest of none above 0 being 0. A patient's own pixels alone; all zeros without.
 */
#include <math.h>
#include <string.h>

#include "common/model/encoder/encoder_internal.h"

static size_t below(size_t i, size_t by)
{
    return i < by ? 0 : i - by;
}

static size_t above(size_t i, size_t by, size_t n)
{
    return i + by < n ? i + by : n - 1;
}

/* to := from blurred along rows, `by` apart. */
static void blur_rows(float *restrict to, const float *restrict from, size_t H, size_t W, size_t by)
{
    const size_t left = by < W ? by : W, right = 2 * by < W ? W - by : left;
    for (size_t i = 0; i < H; i++) {
        const float *x = from + i * W; /* [W] */
        float *y = to + i * W;
        for (size_t j = 0; j < left; j++) {
            y[j] = 0.25f * x[below(j, by)] + 0.5f * x[j] + 0.25f * x[above(j, by, W)];
        }
        for (size_t j = left; j < right; j++) {
            y[j] = 0.25f * x[j - by] + 0.5f * x[j] + 0.25f * x[j + by];
        }
        for (size_t j = right; j < W; j++) {
            y[j] = 0.25f * x[below(j, by)] + 0.5f * x[j] + 0.25f * x[above(j, by, W)];
        }
    }
}

static void blur_columns(float *restrict to, const float *restrict from, size_t H, size_t W,
                         size_t by)
{
    for (size_t i = 0; i < H; i++) {
        const float *up = from + below(i, by) * W, *down = from + above(i, by, H) * W;
        for (size_t j = 0; j < W; j++) {
            to[i * W + j] = 0.25f * up[j] + 0.5f * from[i * W + j] + 0.25f * down[j];
        }
    }
}

/* What is known of some pixels; side by side, so that a compiler can look at several at a time. */
enum { LANES = 16 };
struct detail {
    float squares[LANES], most[LANES], least[LANES];
};

static void look(struct detail *restrict k, const float *restrict a, const float *restrict next,
                 size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float d = a[i] - next[i];
        k->squares[i] += d * d;
        k->most[i] = d > k->most[i] ? d : k->most[i];
        k->least[i] = d < k->least[i] ? d : k->least[i];
    }
}

static void detail_of(float out[3], const float *a, const float *next, size_t pixels)
{
    struct detail k = {0};
    double squares = 0.0;
    float most = 0.0f, least = 0.0f;
    size_t at = 0;
    for (; at + LANES <= pixels; at += LANES) {
        look(&k, a + at, next + at, LANES);
    }
    look(&k, a + at, next + at, pixels - at);
    for (size_t i = 0; i < LANES; i++) {
        squares += (double)k.squares[i];
        most = fmaxf(most, k.most[i]);
        least = fminf(least, k.least[i]);
    }
    out[0] = (float)(1.0 + 0.5 * log(0.001 + squares / (double)pixels));
    out[1] = (float)(0.5 * log(0.01 + (double)most));
    out[2] = (float)(0.5 * log(0.01 - (double)least));
}

/* Of one plane. @param a, spare, next [H W]; a: the plane, used up */
static void contrasts_of(float out[IMAGE_CONTRASTS], float *a, float *spare, float *next, size_t H,
                         size_t W)
{
    for (size_t k = 0; k < IMAGE_SIZES; k++) {
        blur_rows(spare, a, H, W, (size_t)1 << k);
        blur_columns(next, spare, H, W, (size_t)1 << k);
        detail_of(out + 3 * k, a, next, H * W);
        memcpy(a, next, H * W * sizeof *a);
    }
}

struct node *image_contrasts_record(struct tape *t, const float *planes, const uint8_t *there,
                                    size_t channels, size_t height, size_t width)
{
    const size_t pixels = height * width;
    float *c =
        (float *)(void *)tape_bytes(t, t->B * channels * (size_t)IMAGE_CONTRASTS * sizeof *c);
    float *desk = (float *)(void *)tape_bytes(t, 3 * pixels * sizeof *desk);
    for (size_t i = 0; c != NULL && desk != NULL && i < t->B * channels; i++) {
        float *out = c + i * IMAGE_CONTRASTS;
        if (there != NULL && !there[i / channels]) {
            memset(out, 0, IMAGE_CONTRASTS * sizeof *out);
            continue;
        }
        memcpy(desk, planes + i * pixels, pixels * sizeof *desk);
        contrasts_of(out, desk, desk + pixels, desk + 2 * pixels, height, width);
    }
    return tape_input(t, c, (size_t)IMAGE_CONTRASTS * channels);
}
