/* What a sample lacks: another value in its place, no share of a softmax, no place in a row. */
#include <math.h>
#include <string.h>

#include "common/tape/tape_internal.h"

/* Numbers a sample has. */
static size_t each(const struct node *n)
{
    const size_t B = n->shape.dim[0];
    return B == 0 ? 0 : shape_size(&n->shape) / B;
}

/* ---- one or the other ------------------------------------------------------------------------ */

static void choose_sweep(struct tape *t, struct node *n)
{
    const uint8_t *there = n->aux;
    const size_t D = each(n);
    for (size_t b = 0; b < t->B; b++) {
        struct node *x = n->in[there[b] ? 0 : 1];
        for (size_t d = 0; x != NULL && d < D; d++) {
            x->g[b * D + d] += n->g[b * D + d];
        }
    }
}

struct node *tape_choose(struct tape *t, struct node *a, struct node *b, const uint8_t *there)
{
    if (a == NULL) {
        return NULL;
    }
    if (b != NULL && !shape_equal(&a->shape, &b->shape)) {
        return tape_mismatch(t, "choose", a->shape.dim, a->shape.rank, b->shape.dim, b->shape.rank);
    }
    struct node *n =
        tape_push(t, a->shape, b == NULL ? 1 : 2, (struct node *[]){a, b}, choose_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = there;
    const size_t D = each(n);
    for (size_t i = 0; i < t->B && !tape_measuring(t); i++) {
        const struct node *x = n->in[there[i] ? 0 : 1];
        for (size_t d = 0; d < D; d++) { /* chosen, not multiplied by 0: an absent NaN is absent */
            n->v[i * D + d] = x == NULL ? 0 : x->v[i * D + d];
        }
    }
    return n;
}

/* ---- softmax --------------------------------------------------------------------------------- */

/* y = exp(x - max) / sum over those that are there */
static void softmax_row(real *y, const real *x, const uint8_t *there, size_t K)
{
    double top = -HUGE_VAL;
    double sum = 0.0;
    for (size_t k = 0; k < K; k++) {
        top = there[k] ? fmax(top, (double)x[k]) : top;
    }
    for (size_t k = 0; k < K; k++) {
        sum += there[k] ? exp((double)x[k] - top) : 0.0;
    }
    for (size_t k = 0; k < K; k++) {
        y[k] = there[k] ? (real)(exp((double)x[k] - top) / sum) : 0;
    }
}

/* dx = y (dy - sum y dy) */
static void softmax_there_sweep(struct tape *t, struct node *n)
{
    const size_t K = each(n);
    for (size_t b = 0; b < t->B; b++) {
        const real *y = n->v + b * K;  /* [K] */
        const real *dy = n->g + b * K; /* [K] */
        double mean = 0.0;
        for (size_t k = 0; k < K; k++) {
            mean += (double)y[k] * (double)dy[k];
        }
        for (size_t k = 0; k < K; k++) {
            n->in[0]->g[b * K + k] += y[k] * (dy[k] - (real)mean);
        }
    }
}

struct node *tape_softmax_there(struct tape *t, struct node *x, const uint8_t *there)
{
    if (x == NULL) {
        return NULL;
    }
    const size_t K = shape_last(&x->shape);
    if (x->shape.rank != 2) {
        return tape_mismatch(t, "softmax of those there", x->shape.dim, x->shape.rank,
                             (size_t[]){t->B, K}, 2);
    }
    struct node *n = tape_push(t, x->shape, 1, &x, softmax_there_sweep);
    for (size_t b = 0; n != NULL && b < t->B && !tape_measuring(t); b++) {
        softmax_row(n->v + b * K, x->v + b * K, there + b * K, K);
    }
    return n;
}

/* ---- those that are there, first ------------------------------------------------------------- */

static void pack_sweep(struct tape *t, struct node *n)
{
    const uint8_t *there = n->aux;
    const size_t N = n->shape.dim[1];
    const size_t D = shape_last(&n->shape);
    for (size_t b = 0; b < t->B; b++) {
        const real *from = n->g + b * N * D; /* [D] of the next position */
        for (size_t i = b * N; i < (b + 1) * N; i++) {
            for (size_t d = 0; there[i] && d < D; d++) {
                n->in[0]->g[i * D + d] += from[d];
            }
            from += there[i] ? D : 0;
        }
    }
}

struct node *tape_pack(struct tape *t, struct node *x, const uint8_t *there)
{
    if (x == NULL) {
        return NULL;
    }
    if (x->shape.rank != 3) {
        return tape_mismatch(t, "pack", x->shape.dim, x->shape.rank,
                             (size_t[]){t->B, 0, shape_last(&x->shape)}, 3);
    }
    struct node *n = tape_push(t, x->shape, 1, &x, pack_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = there;
    const size_t N = x->shape.dim[1];
    const size_t D = shape_last(&x->shape);
    for (size_t b = 0; b < t->B && !tape_measuring(t); b++) {
        real *to = n->v + b * N * D; /* [D] of the next position */
        memset(to, 0, N * D * sizeof *to);
        for (size_t i = b * N; i < (b + 1) * N; i++) {
            if (there[i]) {
                memcpy(to, x->v + i * D, D * sizeof *to);
                to += D;
            }
        }
    }
    return n;
}

const int32_t *tape_counts(struct tape *t, const uint8_t *there, size_t N)
{
    int32_t *count =
        (int32_t *)tape_take(t, (t->B * sizeof(int32_t) + sizeof(real) - 1) / sizeof(real));
    for (size_t b = 0; count != NULL && b < t->B; b++) {
        count[b] = 0;
        for (size_t i = 0; i < N; i++) {
            count[b] += there[b * N + i] != 0;
        }
    }
    return count;
}
