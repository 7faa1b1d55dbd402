/* Group normalisation: the gradients of gain and shift are by-products of the sweep and are kept. */
#include "common/kernel/group_norm.h"

#include "common/tape/image.h"
#include "common/tape/kept_internal.h"

/* keep: mean [B, G], rstd [B, G], and each sample's gradient of gain and of shift [B, C]. */
enum { MEAN, RSTD, GAIN, SHIFT };

static void group_norm_sweep(struct tape *t, struct node *n)
{
    const struct node *x = n->in[0];
    (x->g == NULL || x->fresh ? group_norm_backward_set : group_norm_backward)(
        x->g, n->keep[GAIN], n->keep[SHIFT], n->g, x->v, n->keep[MEAN], n->keep[RSTD], n->w[0],
        t->B, tape_positions(t, &x->shape), shape_last(&x->shape), n->number[0]);
}

struct node *tape_group_norm(struct tape *t, struct node *x, struct param_id gain,
                             struct param_id shift, size_t groups)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *pg = param_at(t->table, gain);
    const struct param *ps = param_at(t->table, shift);
    const size_t C = shape_last(&x->shape);
    if (!param_is_vector(pg, C) || !param_is_vector(ps, C)) {
        return tape_unfit(t, "group norm", x, param_is_vector(pg, C) ? ps : pg);
    }
    if (groups == 0 || C % groups != 0) {
        return tape_mismatch(t, "group norm", x->shape.dim, x->shape.rank, &groups, 1);
    }
    struct node *n = tape_push(t, x->shape, 1, &x, group_norm_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->number[0] = groups;
    n->flow = FLOW_IN_PLACE;
    n->spare = true;
    n->keep[MEAN] = tape_take(t, t->B * groups);
    n->keep[RSTD] = tape_take(t, t->B * groups);
    n->keep[GAIN] = tape_take(t, t->B * C);
    n->keep[SHIFT] = tape_take(t, t->B * C);
    n->w[0] = tape_slice(t, pg);
    if (!tape_measuring(t)) {
        group_norm_forward(n->v, n->keep[MEAN], n->keep[RSTD], x->v, n->w[0], tape_slice(t, ps),
                           t->B, tape_positions(t, &x->shape), C, groups);
    }
    tape_enter(t, n, kept_entry(gain, n->keep[GAIN], C, 1));
    tape_enter(t, n, kept_entry(shift, n->keep[SHIFT], C, 1));
    return n;
}
