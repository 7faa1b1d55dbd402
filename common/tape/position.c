/* Positions of a sample: their mean, one of them, a part, several put together, where they are. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/kernel/mean.h"
#include "common/tape/tape_internal.h"

static struct node *not_a_sequence(struct tape *t, const char *op, const struct node *x)
{
    return tape_mismatch(t, op, x->shape.dim, x->shape.rank,
                         (size_t[]){t->B, 0, shape_last(&x->shape)}, 3);
}

/* ---- masked mean ----------------------------------------------------------------------------- */

static void mean_sweep(struct tape *t, struct node *n)
{
    masked_mean_backward(n->in[0]->g, n->g, n->aux, t->B, n->in[0]->shape.dim[1],
                         shape_last(&n->shape));
}

struct node *tape_masked_mean(struct tape *t, struct node *x, const uint8_t *there)
{
    if (x == NULL) {
        return NULL;
    }
    if (x->shape.rank != 3) {
        return not_a_sequence(t, "masked mean", x);
    }
    struct node *n = tape_push(t, shape_matrix(t->B, shape_last(&x->shape)), 1, &x, mean_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = there;
    if (!tape_measuring(t)) {
        masked_mean_forward(n->v, x->v, there, t->B, x->shape.dim[1], shape_last(&x->shape));
    }
    return n;
}

/* ---- which positions are there --------------------------------------------------------------- */

uint8_t *tape_bytes(struct tape *t, size_t n)
{
    return (uint8_t *)tape_take(t, (n + sizeof(real) - 1) / sizeof(real));
}

const uint8_t *tape_coded(struct tape *t, const int32_t *code, size_t T)
{
    uint8_t *there = tape_bytes(t, t->B * T);
    for (size_t i = 0; there != NULL && i < t->B * T; i++) {
        there[i] = code[i] >= 0;
    }
    return there;
}

const uint8_t *tape_within(struct tape *t, const int32_t *length, size_t T)
{
    uint8_t *there = tape_bytes(t, t->B * T);
    for (size_t i = 0; there != NULL && i < t->B * T; i++) {
        there[i] = length == NULL || (int64_t)(i % T) < (int64_t)length[i / T];
    }
    return there;
}

const uint8_t *tape_flanked(struct tape *t, size_t before, const uint8_t *there, size_t N,
                            size_t after)
{
    const size_t all = before + N + after;
    uint8_t *out = tape_bytes(t, t->B * all);
    for (size_t i = 0; out != NULL && i < t->B * all; i++) {
        const size_t n = i % all;
        const bool inside = n >= before && n < before + N;
        out[i] = !inside || there == NULL || there[i / all * N + n - before];
    }
    return out;
}

/* ---- parts of the last dimension ------------------------------------------------------------- */

static void part_sweep(struct tape *t, struct node *n)
{
    (void)t;
    const size_t from = n->number[0];
    const size_t W = shape_last(&n->shape);
    const size_t D = shape_last(&n->in[0]->shape);
    for (size_t r = 0; r < shape_rows(&n->shape); r++) {
        for (size_t w = 0; w < W; w++) {
            n->in[0]->g[r * D + from + w] += n->g[r * W + w];
        }
    }
}

struct node *tape_part(struct tape *t, struct node *x, size_t from, size_t width)
{
    if (x == NULL) {
        return NULL;
    }
    const size_t D = shape_last(&x->shape);
    if (width == 0 || width > D || from > D - width) {
        return tape_mismatch(t, "part", x->shape.dim, x->shape.rank, (size_t[]){from, width}, 2);
    }
    struct shape shape = x->shape;
    shape.dim[shape.rank - 1] = width;
    struct node *n = tape_push(t, shape, 1, &x, part_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->number[0] = from;
    for (size_t r = 0; r < shape_rows(&shape) && !tape_measuring(t); r++) {
        memcpy(n->v + r * width, x->v + r * D + from, width * sizeof *n->v);
    }
    return n;
}

/* ---- positions put together and taken apart: rows of one sample lie side by side -------------- */

struct node *tape_select(struct tape *t, struct node *x, size_t position)
{
    if (x == NULL) {
        return NULL;
    }
    if (x->shape.rank != 3) {
        return not_a_sequence(t, "select", x);
    }
    const size_t D = shape_last(&x->shape);
    const size_t flat = x->shape.dim[1] * D;
    return tape_part(t, tape_reshape(t, x, 1, &flat), position * D, D);
}

struct node *tape_stack(struct tape *t, size_t n, struct node *const *x)
{
    for (size_t i = 0; i < n; i++) {
        if (x[i] == NULL) {
            return NULL;
        }
        if (x[i]->shape.rank != 2 || !shape_equal(&x[i]->shape, &x[0]->shape)) {
            return tape_mismatch(t, "stack", x[0]->shape.dim, x[0]->shape.rank, x[i]->shape.dim,
                                 x[i]->shape.rank);
        }
    }
    return tape_reshape(t, tape_concat_all(t, n, x), 2, (size_t[]){n, shape_last(&x[0]->shape)});
}

struct node *tape_chain(struct tape *t, struct node *a, struct node *b)
{
    if (a == NULL || b == NULL) {
        return NULL;
    }
    const size_t D = shape_last(&a->shape);
    if (a->shape.rank != 3 || b->shape.rank != 3 || shape_last(&b->shape) != D) {
        return tape_mismatch(t, "chain", a->shape.dim, a->shape.rank, b->shape.dim, b->shape.rank);
    }
    const size_t N = a->shape.dim[1];
    const size_t M = b->shape.dim[1];
    struct node *flat = tape_concat(t, tape_reshape(t, a, 1, (size_t[]){N * D}),
                                    tape_reshape(t, b, 1, (size_t[]){M * D}));
    return tape_reshape(t, flat, 2, (size_t[]){N + M, D});
}

/* ---- sinusoids ------------------------------------------------------------------------------- */

/* Vaswani et al. 2017, 3.5: sin(n / 10000^(2i/D)) at 2i, cos of the same at 2i + 1. wave [N, D] */
static void sinusoids(real *wave, size_t N, size_t D)
{
    for (size_t d = 0; d < D; d++) {
        const double speed = pow(10000.0, -(double)(d / 2 * 2) / (double)D);
        for (size_t n = 0; n < N; n++) {
            const double angle = (double)n * speed;
            wave[n * D + d] = (real)(d % 2 == 0 ? sin(angle) : cos(angle));
        }
    }
}

struct node *tape_sinusoids(struct tape *t, struct node *x)
{
    if (x == NULL) {
        return NULL;
    }
    if (x->shape.rank != 3) {
        return not_a_sequence(t, "positions", x);
    }
    const size_t ND = x->shape.dim[1] * x->shape.dim[2];
    struct node *n = tape_push(t, x->shape, 1, &x, NULL);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_SAME;
    const size_t mark = tape_mark(t);
    real *wave = tape_take(t, ND);
    if (!tape_measuring(t)) {
        sinusoids(wave, x->shape.dim[1], x->shape.dim[2]);
        for (size_t i = 0; i < shape_size(&x->shape); i++) {
            n->v[i] = x->v[i] + wave[i % ND];
        }
    }
    tape_rewind(t, mark);
    return n;
}
