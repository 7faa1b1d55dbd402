/* Products and sums of numbers with numbers. */
#include "common/tape/tape_internal.h"

/* ---- elementwise product; a last dimension of 1 is repeated ----------------------------------- */

static void mul_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *a = n->in[0];
    struct node *b = n->in[1];
    const size_t size = shape_size(&n->shape);
    const size_t each =
        size == 0 ? 1 : size / shape_size(&b->shape); /* a's numbers to one of b's */
    for (size_t i = 0; i < size; i++) {
        a->g[i] += n->g[i] * b->v[i / each];
        b->g[i / each] += n->g[i] * a->v[i];
    }
}

struct node *tape_mul(struct tape *t, struct node *a, struct node *b)
{
    if (a == NULL || b == NULL) {
        return NULL;
    }
    struct shape want = a->shape;
    if (b->shape.rank == want.rank && shape_last(&b->shape) == 1) {
        want.dim[want.rank - 1] = 1;
    }
    if (!shape_equal(&b->shape, &want)) {
        return tape_mismatch(t, "mul", a->shape.dim, a->shape.rank, b->shape.dim, b->shape.rank);
    }
    struct node *n = tape_push(t, a->shape, 2, (struct node *[]){a, b}, mul_sweep);
    if (n != NULL && !tape_measuring(t)) {
        const size_t size = shape_size(&n->shape);
        const size_t each = size == 0 ? 1 : size / shape_size(&b->shape);
        for (size_t i = 0; i < size; i++) {
            n->v[i] = a->v[i] * b->v[i / each];
        }
    }
    return n;
}

/* ---- scale and shift by constants ------------------------------------------------------------- */

static void scale_sweep(struct tape *t, struct node *n)
{
    (void)t;
    const size_t size = shape_size(&n->shape);
    struct node *x = n->in[0];
    for (size_t i = 0; i < size; i++) {
        x->g[i] = (x->fresh ? 0 : x->g[i]) + n->keep[0][0] * n->g[i];
    }
}

struct node *tape_scale(struct tape *t, struct node *x, double scale, double shift)
{
    struct node *n = x == NULL ? NULL : tape_push(t, x->shape, 1, &x, scale_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_IN_PLACE;
    n->keep[0] = tape_take(t, 1);
    if (!tape_measuring(t)) {
        n->keep[0][0] = (real)scale;
        const size_t size = shape_size(&n->shape);
        for (size_t i = 0; i < size; i++) {
            n->v[i] = (real)scale * x->v[i] + (real)shift;
        }
    }
    return n;
}
