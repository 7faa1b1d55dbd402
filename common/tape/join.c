/* Nodes added, put side by side, seen in another shape. */
#include <assert.h>
#include <string.h>

#include "common/tape/tape_internal.h"

struct node *tape_add(struct tape *t, struct node *a, struct node *b)
{
    if (a == NULL || b == NULL) {
        return NULL;
    }
    if (!shape_equal(&a->shape, &b->shape)) {
        return tape_mismatch(t, "add", a->shape.dim, a->shape.rank, b->shape.dim, b->shape.rank);
    }
    struct node *n = tape_push(t, a->shape, 2, (struct node *[]){a, b}, NULL);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_SAME;
    if (!tape_measuring(t)) {
        const size_t size = shape_size(&n->shape);
        for (size_t i = 0; i < size; i++) {
            n->v[i] = a->v[i] + b->v[i];
        }
    }
    return n;
}

/* ---- concat ---------------------------------------------------------------------------------- */

static size_t count_inputs(const struct node *n)
{
    size_t k = 0;
    while (k < TAPE_INPUTS_MAX && n->in[k] != NULL) {
        k++;
    }
    return k;
}

static void concat_forward(struct node *n)
{
    const size_t N = shape_rows(&n->shape);
    const size_t width = shape_last(&n->shape);
    const size_t n_in = count_inputs(n);
    size_t at = 0;
    for (size_t k = 0; k < n_in; k++) {
        const size_t D = shape_last(&n->in[k]->shape);
        for (size_t r = 0; r < N; r++) {
            memcpy(n->v + r * width + at, n->in[k]->v + r * D, D * sizeof *n->v);
        }
        at += D;
    }
}

static void concat_sweep(struct tape *t, struct node *n)
{
    (void)t;
    const size_t N = shape_rows(&n->shape);
    const size_t width = shape_last(&n->shape);
    const size_t n_in = count_inputs(n);
    size_t at = 0;
    for (size_t k = 0; k < n_in; k++) {
        struct node *x = n->in[k];
        const size_t D = shape_last(&x->shape);
        for (size_t r = 0; x->g != NULL && r < N; r++) {
            real *to = x->g + r * D;                  /* [D] */
            const real *from = n->g + r * width + at; /* [D] */
            if (x->fresh) {
                memcpy(to, from, D * sizeof *to);
                continue;
            }
            for (size_t d = 0; d < D; d++) {
                to[d] += from[d];
            }
        }
        at += D;
    }
}

static bool equal_but_for_the_last(const struct shape *a, const struct shape *b)
{
    struct shape c = *b;
    c.dim[c.rank - 1] = shape_last(a);
    return shape_equal(a, &c);
}

static struct node *side_by_side(struct tape *t, size_t n_in, struct node *const *x)
{
    struct shape shape = x[0]->shape;
    for (size_t k = 1; k < n_in; k++) {
        if (!equal_but_for_the_last(&x[0]->shape, &x[k]->shape)) {
            return tape_mismatch(t, "concat", x[0]->shape.dim, x[0]->shape.rank, x[k]->shape.dim,
                                 x[k]->shape.rank);
        }
        shape.dim[shape.rank - 1] += shape_last(&x[k]->shape);
    }
    struct node *n = tape_push(t, shape, n_in, x, concat_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_WRITES;
    if (!tape_measuring(t)) {
        concat_forward(n);
    }
    return n;
}

struct node *tape_concat_all(struct tape *t, size_t n, struct node *const *x)
{
    assert(n >= 1);
    struct node *part[TAPE_INPUTS_MAX] = {x[0]};
    size_t at = 1;
    for (size_t k = 0; k < n; k++) {
        if (x[k] == NULL) {
            return NULL;
        }
    }
    while (at < n) { /* what is joined already, and as many more as a node takes */
        size_t k = 1;
        for (; k < TAPE_INPUTS_MAX && at < n; k++, at++) {
            part[k] = x[at];
        }
        part[0] = side_by_side(t, k, part);
        if (part[0] == NULL) {
            return NULL;
        }
    }
    return part[0];
}

struct node *tape_concat(struct tape *t, struct node *a, struct node *b)
{
    return tape_concat_all(t, 2, (struct node *[]){a, b});
}

/* ---- reshape --------------------------------------------------------------------------------- */

struct node *tape_reshape(struct tape *t, struct node *x, size_t rank, const size_t *dim)
{
    assert(rank + 1 <= TAPE_RANK_MAX);
    if (x == NULL) {
        return NULL;
    }
    struct shape shape = {.rank = rank + 1, .dim = {t->B}};
    memcpy(shape.dim + 1, dim, rank * sizeof *dim);
    if (shape_size(&shape) != shape_size(&x->shape)) {
        return tape_mismatch(t, "reshape", x->shape.dim, x->shape.rank, shape.dim, shape.rank);
    }
    struct node *n = tape_push_view(t, shape, x, NULL);
    if (n != NULL) {
        n->flow = FLOW_SAME;
    }
    return n;
}
