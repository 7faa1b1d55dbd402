/* Matrix product and bias, alone and in one; how the books read them. */
#include "common/kernel/linear.h"

#include "common/kernel/rows.h"
#include "common/tape/tape_internal.h"

/* ---- the books ------------------------------------------------------------------------------- */

static void linear_form(const struct book_entry *e, size_t b, real *dst)
{
    linear_weight_sum(dst, e->G + b * e->T * e->O, e->A + b * e->T * e->D, e->T, e->D, e->O);
}

static void linear_sum(const struct book_entry *e, size_t B, real *dst)
{
    linear_weight_sum(dst, e->G, e->A, B * e->T, e->D, e->O);
}

static void linear_form_set(const struct book_entry *e, size_t b, real *dst)
{
    linear_weight_sum_set(dst, e->G + b * e->T * e->O, e->A + b * e->T * e->D, e->T, e->D, e->O);
}

static void linear_entry_norms_sq(const struct book_entry *e, size_t B, real *scratch,
                                  double *norm_sq)
{
    linear_norms_sq(norm_sq, e->G, e->A, scratch, B, e->T, e->D, e->O);
}

static size_t linear_scratch(const struct book_entry *e)
{
    return linear_norms_scratch(e->T);
}

/* Two Gram matrices, of which half is computed, and their product; small products run at two thirds
 * of the speed of large ones. */
static size_t linear_norms_cost(const struct book_entry *e)
{
    return e->T == 1 ? e->D + e->O : e->T * e->T * (e->D + e->O + 4) * 3 / 4;
}

const struct book_rule BOOK_LINEAR = {.name = "linear",
                                      .form = linear_form,
                                      .form_set = linear_form_set,
                                      .sum = linear_sum,
                                      .norms_sq = linear_entry_norms_sq,
                                      .norms_scratch = linear_scratch,
                                      .norms_cost = linear_norms_cost};

static void bias_form(const struct book_entry *e, size_t b, real *dst)
{
    rows_sum(dst, e->G + b * e->T * e->O, e->T, e->O);
}

static void bias_sum(const struct book_entry *e, size_t B, real *dst)
{
    rows_sum(dst, e->G, B * e->T, e->O);
}

const struct book_rule BOOK_BIAS = {.name = "bias", .form = bias_form, .sum = bias_sum};

/* ---- recording ------------------------------------------------------------------------------- */

static void linear_sweep(struct tape *t, struct node *n)
{
    (void)t;
    struct node *x = n->in[0];
    const size_t N = shape_rows(&n->shape);
    const size_t D = shape_last(&x->shape);
    const size_t O = shape_last(&n->shape);
    if (x->g != NULL && x->fresh) {
        linear_backward_input_set(x->g, n->g, n->w[0], N, D, O);
    } else if (x->g != NULL) {
        linear_backward_input(x->g, n->g, n->w[0], N, D, O);
    }
}

static struct node *product(struct tape *t, struct node *x, struct param_id w,
                            const struct param *bias)
{
    const struct param *p = param_at(t->table, w);
    const size_t D = shape_last(&x->shape);
    if (p->rank != 2 || p->dim[1] != D) {
        return tape_unfit(t, "linear", x, p);
    }
    const size_t O = p->dim[0];
    struct shape shape = x->shape;
    shape.dim[shape.rank - 1] = O;
    struct node *n = tape_push(t, shape, 1, &x, linear_sweep);
    if (n == NULL) {
        return NULL;
    }
    if (bias != NULL && !param_is_vector(bias, O)) {
        return tape_unfit(t, "bias", n, bias);
    }
    n->w[0] = tape_slice(t, p);
    n->flow = FLOW_WRITES;
    n->spare = true;
    if (!tape_measuring(t)) {
        linear_forward(n->v, x->v, n->w[0], bias == NULL ? NULL : tape_slice(t, bias),
                       shape_rows(&shape), D, O);
    }
    tape_enter(t, n,
               (struct book_entry){.rule = &BOOK_LINEAR,
                                   .param = w,
                                   .T = tape_positions(t, &shape),
                                   .D = D,
                                   .O = O,
                                   .A = x->v,
                                   .of = n});
    return n;
}

static void enter_bias(struct tape *t, const struct node *n, struct param_id b)
{
    tape_enter(t, n,
               (struct book_entry){.rule = &BOOK_BIAS,
                                   .param = b,
                                   .T = tape_positions(t, &n->shape),
                                   .D = shape_last(&n->shape),
                                   .O = shape_last(&n->shape),
                                   .of = n});
}

struct node *tape_linear(struct tape *t, struct node *x, struct param_id w)
{
    return x == NULL ? NULL : product(t, x, w, NULL);
}

struct node *tape_affine(struct tape *t, struct node *x, struct param_id w, struct param_id b)
{
    struct node *n = x == NULL ? NULL : product(t, x, w, param_at(t->table, b));
    if (n != NULL) {
        enter_bias(t, n, b);
    }
    return n;
}

struct node *tape_bias(struct tape *t, struct node *x, struct param_id b)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *p = param_at(t->table, b);
    const size_t D = shape_last(&x->shape);
    if (!param_is_vector(p, D)) {
        return tape_unfit(t, "bias", x, p);
    }
    struct node *n = tape_push(t, x->shape, 1, &x, NULL);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_SAME;
    n->spare = true;
    if (!tape_measuring(t)) {
        const real *shift = tape_slice(t, p);
        for (size_t r = 0; r < shape_rows(&x->shape); r++) {
            for (size_t d = 0; d < D; d++) {
                n->v[r * D + d] = x->v[r * D + d] + shift[d];
            }
        }
    }
    enter_bias(t, n, b);
    return n;
}
