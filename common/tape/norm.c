/* Layer normalisation; how the books read the gain of any normalisation. */
#include "common/kernel/norm.h"

#include "common/kernel/rows.h"
#include "common/tape/tape_internal.h"

static void gain_form(const struct book_entry *e, size_t b, real *dst)
{
    const size_t at = b * e->T * e->D;
    rows_product_sum(dst, e->G + at, e->A + at, e->T, e->D);
}

static void gain_sum(const struct book_entry *e, size_t B, real *dst)
{
    rows_product_sum(dst, e->G, e->A, B * e->T, e->D);
}

const struct book_rule BOOK_GAIN = {.name = "gain", .form = gain_form, .sum = gain_sum};

static void layer_norm_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    if (x->g != NULL) {
        (x->fresh ? layer_norm_backward_input_set
                  : layer_norm_backward_input)(x->g, n->g, n->keep[0], n->keep[1], n->w[0],
                                               shape_rows(&n->shape), shape_last(&n->shape));
    }
}

struct node *tape_layer_norm(struct tape *t, struct node *x, struct param_id gain,
                             struct param_id shift)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *pg = param_at(t->table, gain);
    const struct param *ps = param_at(t->table, shift);
    const size_t D = shape_last(&x->shape);
    const size_t N = shape_rows(&x->shape);
    if (!param_is_vector(pg, D) || !param_is_vector(ps, D)) {
        return tape_unfit(t, "layer norm", x, param_is_vector(pg, D) ? ps : pg);
    }
    struct node *n = tape_push(t, x->shape, 1, &x, layer_norm_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_WRITES;
    n->keep[0] = tape_take(t, N * D); /* xhat */
    n->keep[1] = tape_take(t, N);     /* rstd */
    n->w[0] = tape_slice(t, pg);
    n->spare = true;
    if (!tape_measuring(t)) {
        layer_norm_forward(n->v, n->keep[0], n->keep[1], x->v, n->w[0], tape_slice(t, ps), N, D);
    }
    struct book_entry e = {.rule = &BOOK_GAIN,
                           .param = gain,
                           .T = tape_positions(t, &x->shape),
                           .D = D,
                           .O = D,
                           .A = n->keep[0],
                           .of = n};
    tape_enter(t, n, e);
    e.rule = &BOOK_BIAS;
    e.param = shift;
    e.A = NULL;
    tape_enter(t, n, e);
    return n;
}
