/* Group normalisation: the gradients of gain and shift are by-products of the sweep and are kept. */
#include "common/kernel/group_norm.h"

#include "common/kernel/norm_relu_pool.h"
#include "common/tape/image.h"
#include "common/tape/kept_internal.h"
#include "common/tape/pool_internal.h"

/* keep: mean [B, G], rstd [B, G], and each sample's gradient of gain and of shift [B, C]. */
enum { MEAN, RSTD, GAIN, SHIFT };

static void group_norm_sweep(struct tape *t, struct node *n)
{
    const struct node *x = n->in[0];
    (x->g == NULL || x->fresh ? group_norm_backward_set : group_norm_backward)(
        x->g, n->keep[GAIN], n->keep[SHIFT], n->g, x->v, n->keep[MEAN], n->keep[RSTD], n->w[0],
        t->B, tape_positions(t, &x->shape), shape_last(&x->shape), n->number[0]);
}

/* Whether gain, shift and groups fit x; notes an error where they do not. */
static bool norm_fits(struct tape *t, const char *op, const struct node *x, const struct param *pg,
                      const struct param *ps, size_t groups)
{
    const size_t C = shape_last(&x->shape);
    if (!param_is_vector(pg, C) || !param_is_vector(ps, C)) {
        (void)tape_unfit(t, op, x, param_is_vector(pg, C) ? ps : pg);
        return false;
    }
    if (groups == 0 || C % groups != 0) {
        (void)tape_mismatch(t, op, x->shape.dim, x->shape.rank, &groups, 1);
        return false;
    }
    return true;
}

/* Room for statistics and gradients, parameters, and the lines of the books. */
static void norm_keep(struct tape *t, struct node *n, struct param_id gain, struct param_id shift,
                      size_t C, size_t groups)
{
    n->keep[MEAN] = tape_take(t, t->B * groups);
    n->keep[RSTD] = tape_take(t, t->B * groups);
    n->keep[GAIN] = tape_take(t, t->B * C);
    n->keep[SHIFT] = tape_take(t, t->B * C);
    n->w[0] = tape_slice(t, param_at(t->table, gain));
    n->w[1] = tape_slice(t, param_at(t->table, shift));
    tape_enter(t, n, kept_entry(gain, n->keep[GAIN], C, 1));
    tape_enter(t, n, kept_entry(shift, n->keep[SHIFT], C, 1));
}

struct node *tape_group_norm(struct tape *t, struct node *x, struct param_id gain,
                             struct param_id shift, size_t groups)
{
    if (x == NULL || !norm_fits(t, "group norm", x, param_at(t->table, gain),
                                param_at(t->table, shift), groups)) {
        return NULL;
    }
    struct node *n = tape_push(t, x->shape, 1, &x, group_norm_sweep);
    if (n == NULL) {
        return NULL;
    }
    const size_t C = shape_last(&x->shape);
    n->number[0] = groups;
    n->flow = FLOW_IN_PLACE;
    n->spare = true;
    norm_keep(t, n, gain, shift, C, groups);
    if (!tape_measuring(t)) {
        group_norm_forward(n->v, n->keep[MEAN], n->keep[RSTD], x->v, n->w[0], n->w[1], t->B,
                           tape_positions(t, &x->shape), C, groups);
    }
    return n;
}

/* ---- with relu and pool in one --------------------------------------------------------------- */

enum { GROUPS = 6 }; /* number[0..5] are the pool's */

static void norm_relu_pool_sweep(struct tape *t, struct node *n)
{
    const struct pool_shape s = pool_recall(n);
    const struct node *x = n->in[0];
    const struct norm_relu_pool of = {x->v, n->v, n->keep[MEAN], n->keep[RSTD], n->w[0], n->w[1]};
    (x->g == NULL || x->fresh ? norm_relu_pool_backward_set : norm_relu_pool_backward)(
        x->g, n->keep[GAIN], n->keep[SHIFT], n->g, &of, &s, t->B, n->number[GROUPS], t->work);
}

static struct node *norm_relu_pool(struct tape *t, struct node *x, struct param_id gain,
                                   struct param_id shift, size_t groups, const struct pool_shape *s,
                                   struct shape shape)
{
    struct node *n = tape_push(t, shape, 1, &x, norm_relu_pool_sweep);
    if (n == NULL) {
        return NULL;
    }
    pool_remember(n, s);
    n->number[GROUPS] = groups;
    n->n_work = norm_relu_pool_scratch(s);
    n->flow = FLOW_WRITES;
    norm_keep(t, n, gain, shift, s->C, groups);
    const size_t mark = tape_mark(t);
    real *scratch = tape_take(t, n->n_work);
    if (!tape_measuring(t)) {
        norm_relu_pool_forward(n->v, n->keep[MEAN], n->keep[RSTD], x->v, n->w[0], n->w[1], s, t->B,
                               groups, scratch);
    }
    tape_rewind(t, mark);
    return n;
}

struct node *tape_group_norm_relu(struct tape *t, struct node *x, struct param_id gain,
                                  struct param_id shift, size_t groups)
{
    if (x == NULL || !norm_fits(t, "group norm", x, param_at(t->table, gain),
                                param_at(t->table, shift), groups)) {
        return NULL;
    }
    const struct pool_shape s = {tape_positions(t, &x->shape), 1, shape_last(&x->shape), 1, 1, 1};
    return norm_relu_pool(t, x, gain, shift, groups, &s, x->shape);
}

struct node *tape_group_norm_relu_pool(struct tape *t, struct node *x, struct param_id gain,
                                       struct param_id shift, size_t groups, struct window window)
{
    struct pool_shape s;
    if (x == NULL ||
        !norm_fits(t, "group norm", x, param_at(t->table, gain), param_at(t->table, shift),
                   groups) ||
        !pool_shape_of(t, "maximum pool", &x->shape, window, &s)) {
        return NULL;
    }
    return norm_relu_pool(t, x, gain, shift, groups, &s, pool_result(&x->shape, &s));
}
