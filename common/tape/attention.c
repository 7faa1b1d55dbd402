/* Attention over positions, and the products and softmax it is made of. */
#include "common/kernel/attention.h"

#include <string.h>

#include "common/kernel/product.h"
#include "common/kernel/softmax.h"
#include "common/tape/tape_internal.h"

/* ---- attention ------------------------------------------------------------------------------- */

static struct attention_size size_of(const struct node *n)
{
    return (struct attention_size){.B = n->shape.dim[0],
                                   .N = n->shape.dim[1],
                                   .M = n->in[1]->shape.dim[1],
                                   .D = n->shape.dim[2],
                                   .heads = n->number[0]};
}

static void attention_sweep(struct tape *t, struct node *n)
{
    struct node *const *in = n->in;
    attention_backward(in[0]->g, in[1]->g, in[2]->g, t->work, n->g, n->keep[0], in[0]->v, in[1]->v,
                       in[2]->v, size_of(n));
}

struct node *tape_attention(struct tape *t, struct node *q, struct node *k, struct node *v,
                            size_t heads, const uint8_t *key)
{
    if (q == NULL || k == NULL || v == NULL) {
        return NULL;
    }
    const size_t D = shape_last(&q->shape);
    if (q->shape.rank != 3 || k->shape.rank != 3 || shape_last(&k->shape) != D) {
        return tape_mismatch(t, "attention", q->shape.dim, q->shape.rank, k->shape.dim,
                             k->shape.rank);
    }
    if (!shape_equal(&k->shape, &v->shape)) {
        return tape_mismatch(t, "attention", k->shape.dim, k->shape.rank, v->shape.dim,
                             v->shape.rank);
    }
    if (heads == 0 || D % heads != 0) {
        return tape_mismatch(t, "attention heads", q->shape.dim, q->shape.rank, &heads, 1);
    }
    struct node *n = tape_push(t, q->shape, 3, (struct node *[]){q, k, v}, attention_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->number[0] = heads;
    const struct attention_size s = size_of(n);
    n->keep[0] = tape_take(t, s.B * heads * s.N * s.M);
    n->n_work = attention_scratch(s);
    const size_t mark = tape_mark(t);
    real *scratch = tape_take(t, n->n_work);
    if (!tape_measuring(t)) {
        attention_forward(n->v, n->keep[0], scratch, q->v, k->v, v->v, key, s);
    }
    tape_rewind(t, mark);
    return n;
}

/* ---- batched product ------------------------------------------------------------------------- */

static void matmul_sweep(struct tape *t, struct node *n)
{
    struct node *a = n->in[0];
    struct node *b = n->in[1];
    products_backward(a->g, b->g, n->g, a->v, b->v, t->B, n->shape.dim[1], n->shape.dim[2],
                      a->shape.dim[2]);
}

struct node *tape_matmul(struct tape *t, struct node *a, struct node *b)
{
    if (a == NULL || b == NULL) {
        return NULL;
    }
    if (a->shape.rank != 3 || b->shape.rank != 3 || a->shape.dim[2] != b->shape.dim[1]) {
        return tape_mismatch(t, "product", a->shape.dim, a->shape.rank, b->shape.dim,
                             b->shape.rank);
    }
    const struct shape shape = {.rank = 3, .dim = {t->B, a->shape.dim[1], b->shape.dim[2]}};
    struct node *n = tape_push(t, shape, 2, (struct node *[]){a, b}, matmul_sweep);
    if (n != NULL && !tape_measuring(t)) {
        products_forward(n->v, a->v, b->v, t->B, shape.dim[1], shape.dim[2], a->shape.dim[2]);
    }
    return n;
}

/* ---- softmax --------------------------------------------------------------------------------- */

static void softmax_sweep(struct tape *t, struct node *n)
{
    (void)t;
    softmax_backward(n->in[0]->g, n->g, n->v, shape_rows(&n->shape), shape_last(&n->shape));
}

struct node *tape_softmax(struct tape *t, struct node *x)
{
    struct node *n = x == NULL ? NULL : tape_push(t, x->shape, 1, &x, softmax_sweep);
    if (n != NULL && !tape_measuring(t)) {
        softmax_forward(n->v, x->v, shape_rows(&x->shape), shape_last(&x->shape));
    }
    return n;
}
