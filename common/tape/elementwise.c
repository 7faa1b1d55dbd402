/* Functions of each number by itself. */
#include "common/kernel/activation.h"
#include "common/tape/tape_internal.h"

static void relu_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    (x->fresh ? relu_backward_set : relu_backward)(x->g, n->g, x->v, shape_size(&n->shape));
}

static void gelu_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    (x->fresh ? gelu_backward_set : gelu_backward)(x->g, n->g, x->v, shape_size(&n->shape));
}

static void tanh_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    (x->fresh ? tanh_backward_set : tanh_backward)(x->g, n->g, n->v, shape_size(&n->shape));
}

static void sigmoid_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    (x->fresh ? sigmoid_backward_set : sigmoid_backward)(x->g, n->g, n->v, shape_size(&n->shape));
}

static struct node *elementwise(struct tape *t, struct node *x,
                                void (*forward)(real *restrict y, const real *restrict x, size_t n),
                                void (*sweep)(struct tape *, struct node *))
{
    if (x == NULL) {
        return NULL;
    }
    struct node *n = tape_push(t, x->shape, 1, &x, sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_IN_PLACE;
    if (!tape_measuring(t)) {
        forward(n->v, x->v, shape_size(&x->shape));
    }
    return n;
}

struct node *tape_relu(struct tape *t, struct node *x)
{
    return elementwise(t, x, relu_forward, relu_sweep);
}

/* y > 0 exactly where x > 0: the sweep needs no x. */
static void relu_over_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    (x->fresh ? relu_backward_set : relu_backward)(x->g, n->g, n->v, shape_size(&n->shape));
}

struct node *tape_relu_over(struct tape *t, struct node *x)
{
    if (x == NULL) {
        return NULL;
    }
    if (!x->spare || x->uses > 0) {
        if (t->err.rc == RC_OK) {
            error_ignore(error_set(&t->err, RC_INVALID,
                                   "relu over a value that something else reads: use tape_relu"));
        }
        return NULL;
    }
    struct node *n = tape_push_view(t, x->shape, x, relu_over_sweep);
    if (n == NULL) {
        return NULL;
    }
    x->gone = true;
    n->flow = FLOW_IN_PLACE;
    if (!tape_measuring(t)) {
        relu_over(n->v, shape_size(&n->shape));
    }
    return n;
}

struct node *tape_gelu(struct tape *t, struct node *x)
{
    return elementwise(t, x, gelu_forward, gelu_sweep);
}

struct node *tape_tanh(struct tape *t, struct node *x)
{
    return elementwise(t, x, tanh_forward, tanh_sweep);
}

struct node *tape_sigmoid(struct tape *t, struct node *x)
{
    return elementwise(t, x, sigmoid_forward, sigmoid_sweep);
}
