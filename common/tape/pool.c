/* Pooling of images and series. */
#include "common/tape/pool_internal.h"

bool pool_shape_of(struct tape *t, const char *op, const struct shape *x, struct window w,
                   struct pool_shape *out)
{
    const size_t size[2] = {w.height, w.width};
    const bool border = w.top != 0 || w.bottom != 0 || w.left != 0 || w.right != 0;
    if (x->rank < 3 || x->rank > 4 || border || w.dilation != 1) {
        (void)tape_mismatch(t, op, x->dim, x->rank, size, 2);
        return false;
    }
    const struct pool_shape s = {.H = x->dim[1],
                                 .W = x->rank == 3 ? 1 : x->dim[2], /* a series: one pixel wide */
                                 .C = shape_last(x),
                                 .KH = w.height,
                                 .KW = w.width,
                                 .stride = w.stride};
    if (!pool_fits(&s)) {
        (void)tape_mismatch(t, op, x->dim, x->rank, size, 2);
        return false;
    }
    *out = s;
    return true;
}

struct shape pool_result(const struct shape *x, const struct pool_shape *s)
{
    struct shape shape = *x;
    shape.dim[1] = pool_out_height(s);
    if (shape.rank == 4) {
        shape.dim[2] = pool_out_width(s);
    }
    return shape;
}

void pool_remember(struct node *n, const struct pool_shape *s)
{
    const size_t number[6] = {s->H, s->W, s->C, s->KH, s->KW, s->stride};
    for (size_t i = 0; i < 6; i++) {
        n->number[i] = number[i];
    }
}

struct pool_shape pool_recall(const struct node *n)
{
    const size_t *k = n->number;
    return (struct pool_shape){k[0], k[1], k[2], k[3], k[4], k[5]};
}

static void max_sweep(struct tape *t, struct node *n)
{
    const struct pool_shape s = pool_recall(n);
    struct node *x = n->in[0];
    if (x->g != NULL) {
        (x->fresh ? max_pool_backward_set : max_pool_backward)(x->g, n->g, x->v, n->v, &s, t->B);
    }
}

static void average_sweep(struct tape *t, struct node *n)
{
    const struct pool_shape s = pool_recall(n);
    average_pool_backward(n->in[0]->g, n->g, &s, t->B);
}

static struct node *pool(struct tape *t, const char *op, struct node *x, struct window w,
                         void (*forward)(real *restrict y, const real *restrict x,
                                         const struct pool_shape *s, size_t B),
                         void (*sweep)(struct tape *, struct node *))
{
    if (x == NULL) {
        return NULL;
    }
    struct pool_shape s;
    if (!pool_shape_of(t, op, &x->shape, w, &s)) {
        return NULL;
    }
    struct node *n = tape_push(t, pool_result(&x->shape, &s), 1, &x, sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = sweep == max_sweep ? FLOW_WRITES : FLOW_ADDS;
    pool_remember(n, &s);
    if (!tape_measuring(t)) {
        forward(n->v, x->v, &s, t->B);
    }
    return n;
}

struct node *tape_max_pool2d(struct tape *t, struct node *x, struct window window)
{
    return pool(t, "maximum pool", x, window, max_pool_forward, max_sweep);
}

struct node *tape_average_pool2d(struct tape *t, struct node *x, struct window window)
{
    return pool(t, "average pool", x, window, average_pool_forward, average_sweep);
}

static void global_sweep(struct tape *t, struct node *n)
{
    const struct node *x = n->in[0];
    if (x->g != NULL) {
        (x->fresh ? global_average_backward_set : global_average_backward)(
            x->g, n->g, t->B, tape_positions(t, &x->shape), shape_last(&x->shape));
    }
}

struct node *tape_global_average(struct tape *t, struct node *x)
{
    if (x == NULL) {
        return NULL;
    }
    const size_t C = shape_last(&x->shape);
    struct node *n = tape_push(t, shape_matrix(t->B, C), 1, &x, global_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_WRITES;
    if (!tape_measuring(t)) {
        global_average_forward(n->v, x->v, t->B, tape_positions(t, &x->shape), C);
    }
    return n;
}
