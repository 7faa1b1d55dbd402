/* Pooling of images and series. */
#include "common/kernel/pool.h"

#include "common/tape/image.h"
#include "common/tape/tape_internal.h"

static struct pool_shape pool_of(const struct shape *x, size_t height, size_t width, size_t stride)
{
    const bool series = x->rank == 3; /* one pixel wide */
    return (struct pool_shape){.H = x->dim[1],
                               .W = series ? 1 : x->dim[2],
                               .C = shape_last(x),
                               .KH = height,
                               .KW = width,
                               .stride = stride};
}

static struct pool_shape recall(const struct node *n)
{
    return pool_of(&n->in[0]->shape, n->number[0], n->number[1], n->number[2]);
}

static void max_sweep(struct tape *t, struct node *n)
{
    const struct pool_shape s = recall(n);
    struct node *x = n->in[0];
    if (x->g != NULL) {
        (x->fresh ? max_pool_backward_set : max_pool_backward)(x->g, n->g, x->v, n->v, &s, t->B);
    }
}

static void average_sweep(struct tape *t, struct node *n)
{
    const struct pool_shape s = recall(n);
    average_pool_backward(n->in[0]->g, n->g, &s, t->B);
}

static bool has_border(struct window w)
{
    return w.dilation != 1 || w.top != 0 || w.bottom != 0 || w.left != 0 || w.right != 0;
}

static struct node *pool(struct tape *t, const char *op, struct node *x, struct window w,
                         void (*forward)(real *restrict y, const real *restrict x,
                                         const struct pool_shape *s, size_t B),
                         void (*sweep)(struct tape *, struct node *))
{
    if (x == NULL) {
        return NULL;
    }
    const size_t size[2] = {w.height, w.width};
    if (x->shape.rank < 3 || has_border(w)) {
        return tape_mismatch(t, op, x->shape.dim, x->shape.rank, size, 2);
    }
    const struct pool_shape s = pool_of(&x->shape, w.height, w.width, w.stride);
    if (!pool_fits(&s)) {
        return tape_mismatch(t, op, x->shape.dim, x->shape.rank, size, 2);
    }
    struct shape shape = x->shape;
    shape.dim[1] = pool_out_height(&s);
    if (shape.rank == 4) {
        shape.dim[2] = pool_out_width(&s);
    }
    struct node *n = tape_push(t, shape, 1, &x, sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = sweep == max_sweep ? FLOW_WRITES : FLOW_ADDS;
    n->number[0] = w.height;
    n->number[1] = w.width;
    n->number[2] = w.stride;
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
