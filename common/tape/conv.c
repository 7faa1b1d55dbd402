/* Convolutions of images and series, full and depthwise. */
#include "common/kernel/conv.h"

#include <string.h>

#include "common/kernel/depthwise.h"
#include "common/kernel/weight_norm.h"
#include "common/tape/image.h"
#include "common/tape/kept_internal.h"

struct window window_square(size_t size, size_t stride, size_t pad)
{
    return (struct window){size, size, stride, 1, pad, pad, pad, pad};
}

struct window window_causal(size_t size, size_t dilation)
{
    return (struct window){.height = size,
                           .width = 1,
                           .stride = 1,
                           .dilation = dilation,
                           .top = (size - 1) * dilation};
}

/* x as an image: a series is one pixel wide. */
static struct conv_shape conv_of(const struct shape *x, struct window w, size_t O)
{
    const bool series = x->rank == 3;
    return (struct conv_shape){.H = x->dim[1],
                               .W = series ? 1 : x->dim[2],
                               .C = shape_last(x),
                               .O = O,
                               .KH = w.height,
                               .KW = w.width,
                               .stride = w.stride,
                               .dilation = w.dilation,
                               .top = w.top,
                               .bottom = w.bottom,
                               .left = w.left,
                               .right = w.right};
}

/* The kernel's sizes again in the sweep: they are kept with the node. */
static void remember(struct node *n, struct window w)
{
    const size_t number[8] = {w.height, w.width,  w.stride, w.dilation,
                              w.top,    w.bottom, w.left,   w.right};
    for (size_t i = 0; i < 8; i++) {
        n->number[i] = number[i];
    }
}

static struct conv_shape recall(const struct node *n)
{
    const size_t *k = n->number;
    const struct window w = {k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]};
    return conv_of(&n->in[0]->shape, w, shape_last(&n->shape));
}

static size_t taps(const struct conv_shape *s)
{
    return s->KH * s->KW;
}

static size_t weights(const struct conv_shape *s)
{
    return s->O * taps(s) * s->C;
}

static struct node *too_small(struct tape *t, const char *op, const struct node *x,
                              struct window window)
{
    const size_t size[2] = {window.height, window.width};
    return tape_mismatch(t, op, x->shape.dim, x->shape.rank, size, 2);
}

static struct shape shape_of(const struct tape *t, const struct node *x, const struct conv_shape *s)
{
    const size_t OH = conv_out_height(s);
    return x->shape.rank == 3
               ? (struct shape){.rank = 3, .dim = {t->B, OH, s->O}}
               : (struct shape){.rank = 4, .dim = {t->B, OH, conv_out_width(s), s->O}};
}

/* ---- full ------------------------------------------------------------------------------------ */

/* Form and drop: A = x and G = dy, both flat (T = 1), and the sizes are the node's. */
static void dropped_form(const struct book_entry *e, size_t b, real *dst)
{
    const struct conv_shape s = recall(e->node);
    conv_weight_sum(dst, e->G + b * e->O, e->A + b * e->D, &s, 1, e->node->keep[0]);
}

static void dropped_sum(const struct book_entry *e, size_t B, real *dst)
{
    const struct conv_shape s = recall(e->node);
    conv_weight_sum(dst, e->G, e->A, &s, B, e->node->keep[0]);
}

static const struct book_rule BOOK_CONV = {.name = "convolution",
                                           .form = dropped_form,
                                           .sum = dropped_sum};

static void input_gradient(const struct tape *t, const struct node *n, const struct node *x,
                           const real *w, const struct conv_shape *s)
{
    if (x->g != NULL) {
        (x->fresh ? conv_backward_input_set : conv_backward_input)(x->g, n->g, w, s, t->B, t->work);
    }
}

static void conv_sweep(struct tape *t, struct node *n)
{
    const struct conv_shape s = recall(n);
    struct node *x = n->in[0];
    if (weights(&s) <= TAPE_KEPT_MAX) {
        conv_weight_each(n->keep[0], n->g, x->v, &s, t->B, t->work);
    }
    input_gradient(t, n, x, n->w[0], &s);
}

/* The node of a convolution by weights of p's shape, if it is one. */
static struct node *push_conv(struct tape *t, const char *op, struct node *x, const struct param *p,
                              const struct conv_shape *s, struct window window,
                              void (*sweep)(struct tape *, struct node *))
{
    if (p->rank != 2 || p->dim[1] != taps(s) * s->C) {
        return tape_unfit(t, op, x, p);
    }
    if (!conv_fits(s)) {
        return too_small(t, op, x, window);
    }
    struct node *n = tape_push(t, shape_of(t, x, s), 1, &x, sweep);
    if (n != NULL) {
        remember(n, window);
        n->flow = FLOW_WRITES;
        n->spare = true;
        n->n_work = conv_scratch(s);
    }
    return n;
}

static void forward(struct tape *t, const struct node *n, const struct node *x, const real *w,
                    const struct conv_shape *s)
{
    const size_t mark = tape_mark(t);
    real *scratch = tape_take(t, conv_scratch(s));
    if (!tape_measuring(t)) {
        conv_forward(n->v, x->v, w, s, t->B, scratch);
    }
    tape_rewind(t, mark);
}

static struct node *conv(struct tape *t, const char *op, struct node *x, struct param_id w,
                         struct window window)
{
    const struct param *p = param_at(t->table, w);
    const struct conv_shape s = conv_of(&x->shape, window, p->dim[0]);
    struct node *n = push_conv(t, op, x, p, &s, window, conv_sweep);
    if (n == NULL) {
        return NULL;
    }
    const bool kept = weights(&s) <= TAPE_KEPT_MAX;
    n->w[0] = tape_slice(t, p);
    n->keep[0] = tape_take(t, kept ? t->B * weights(&s) : conv_scratch(&s));
    forward(t, n, x, n->w[0], &s);
    struct book_entry e = kept_entry(w, n->keep[0], weights(&s), s.O);
    if (!kept) {
        e = (struct book_entry){.rule = &BOOK_CONV,
                                .param = w,
                                .T = 1,
                                .D = s.H * s.W * s.C,
                                .O = conv_out_height(&s) * conv_out_width(&s) * s.O,
                                .A = x->v,
                                .of = n};
    }
    tape_enter(t, n, e);
    return n;
}

struct node *tape_conv2d(struct tape *t, struct node *x, struct param_id w, struct window window)
{
    if (x == NULL) {
        return NULL;
    }
    if (x->shape.rank != 4) {
        return tape_unfit(t, "convolution 2-D", x, param_at(t->table, w));
    }
    return conv(t, "convolution 2-D", x, w, window);
}

static bool is_series(const struct node *x, struct window w)
{
    return x->shape.rank == 3 && w.width == 1 && w.left == 0 && w.right == 0;
}

struct node *tape_conv1d(struct tape *t, struct node *x, struct param_id w, struct window window)
{
    if (x == NULL) {
        return NULL;
    }
    if (!is_series(x, window)) {
        return tape_unfit(t, "convolution 1-D", x, param_at(t->table, w));
    }
    return conv(t, "convolution 1-D", x, w, window);
}

/* ---- with weight normalisation --------------------------------------------------------------- */

/* w[0], w[1]: direction and gain; keep: their gradients, and the weights that they make. */
enum { DIRECTION, GAIN, WEIGHT };

static void weight_norm_sweep(struct tape *t, struct node *n)
{
    const struct conv_shape s = recall(n);
    struct node *x = n->in[0];
    conv_weight_each(n->keep[DIRECTION], n->g, x->v, &s, t->B, t->work);
    weight_norm_backward_each(n->keep[DIRECTION], n->keep[GAIN], n->w[DIRECTION], n->w[GAIN], t->B,
                              s.O, weights(&s) / s.O, t->work);
    input_gradient(t, n, x, n->keep[WEIGHT], &s);
}

struct node *tape_conv1d_weight_norm(struct tape *t, struct node *x, struct param_id v,
                                     struct param_id gain, struct window window)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *p = param_at(t->table, v);
    const struct param *pg = param_at(t->table, gain);
    if (!is_series(x, window) || !param_is_vector(pg, p->dim[0])) {
        return tape_unfit(t, "convolution 1-D", x, is_series(x, window) ? pg : p);
    }
    const struct conv_shape s = conv_of(&x->shape, window, p->dim[0]);
    struct node *n = push_conv(t, "convolution 1-D", x, p, &s, window, weight_norm_sweep);
    if (n == NULL) {
        return NULL;
    }
    const size_t K = weights(&s) / s.O;
    n->w[DIRECTION] = tape_slice(t, p);
    n->w[GAIN] = tape_slice(t, pg);
    n->keep[DIRECTION] = tape_take(t, t->B * weights(&s));
    n->keep[GAIN] = tape_take(t, t->B * s.O);
    n->keep[WEIGHT] = tape_take(t, weights(&s));
    n->n_work = n->n_work > weights(&s) + s.O ? n->n_work : weights(&s) + s.O;
    if (!tape_measuring(t)) {
        weight_norm_forward(n->keep[WEIGHT], n->w[DIRECTION], n->w[GAIN], s.O, K);
    }
    forward(t, n, x, n->keep[WEIGHT], &s);
    tape_enter(t, n, kept_entry(v, n->keep[DIRECTION], weights(&s), s.O));
    tape_enter(t, n, kept_entry(gain, n->keep[GAIN], s.O, 1));
    return n;
}

/* ---- depthwise ------------------------------------------------------------------------------- */

static void depthwise_sweep(struct tape *t, struct node *n)
{
    const struct conv_shape s = recall(n);
    struct node *x = n->in[0];
    depthwise_weight_each(n->keep[0], n->g, x->v, &s, t->B);
    if (x->g != NULL) {
        if (x->fresh) {
            memset(x->g, 0, shape_size(&x->shape) * sizeof *x->g);
        }
        depthwise_backward_input(x->g, n->g, n->w[0], &s, t->B, t->work);
    }
}

struct node *tape_depthwise2d(struct tape *t, struct node *x, struct param_id w,
                              struct window window)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *p = param_at(t->table, w);
    const size_t C = shape_last(&x->shape);
    if (x->shape.rank != 4 || p->rank != 2 || p->dim[0] != C ||
        p->dim[1] != window.height * window.width) {
        return tape_unfit(t, "depthwise convolution", x, p);
    }
    const struct conv_shape s = conv_of(&x->shape, window, C);
    if (!conv_fits(&s)) {
        return too_small(t, "depthwise convolution", x, window);
    }
    struct node *n = tape_push(t, shape_of(t, x, &s), 1, &x, depthwise_sweep);
    if (n == NULL) {
        return NULL;
    }
    remember(n, window);
    n->flow = FLOW_WRITES;
    n->spare = true;
    n->w[0] = tape_slice(t, p);
    n->keep[0] = tape_take(t, t->B * taps(&s) * C);
    n->n_work = depthwise_scratch(&s);
    const size_t mark = tape_mark(t);
    real *scratch = tape_take(t, depthwise_scratch(&s));
    if (!tape_measuring(t)) {
        depthwise_forward(n->v, x->v, n->w[0], &s, t->B, scratch);
    }
    tape_rewind(t, mark);
    tape_enter(t, n, kept_entry(w, n->keep[0], taps(&s) * C, C));
    return n;
}
