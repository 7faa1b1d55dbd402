/* A token for each number of a table (Gorishniy et al. 2021, 2): x_f w_f + b_f. The gradient of w_f is
 * x_f G_f, so its norm needs no forming. */
#include <string.h>

#include "common/tape/tape_internal.h"

/* A [B, F] numbers, G [B, F, E]: D = F, O = F E, T = 1. dst [F, E] */
static void features_form(const struct book_entry *e, size_t b, real *dst)
{
    const size_t E = e->O / e->D;
    const real *A_b = e->A + b * e->D; /* [F] */
    const real *G_b = e->G + b * e->O; /* [F, E] */
    for (size_t i = 0; i < e->O; i++) {
        dst[i] += A_b[i / E] * G_b[i];
    }
}

static void features_norms_sq(const struct book_entry *e, size_t B, real *scratch, double *norm_sq)
{
    (void)scratch;
    const size_t E = e->O / e->D;
    for (size_t b = 0; b < B; b++) {
        for (size_t f = 0; f < e->D; f++) {
            const real *G_f = e->G + b * e->O + f * E; /* [E] */
            const double x = (double)e->A[b * e->D + f];
            double sum = 0.0;
            for (size_t i = 0; i < E; i++) {
                sum += (double)G_f[i] * (double)G_f[i];
            }
            norm_sq[b] += x * x * sum;
        }
    }
}

static const struct book_rule BOOK_FEATURES = {.name = "features",
                                               .form = features_form,
                                               .norms_sq = features_norms_sq};

static void features_sweep(struct tape *t, struct node *n)
{
    const size_t F = n->shape.dim[1];
    const size_t E = n->shape.dim[2];
    struct node *x = n->in[0];
    for (size_t i = 0; x->g != NULL && i < t->B * F; i++) {
        real sum = x->fresh ? 0 : x->g[i];
        for (size_t e = 0; e < E; e++) {
            sum += n->g[i * E + e] * n->w[0][i % F * E + e];
        }
        x->g[i] = sum;
    }
}

struct node *tape_features(struct tape *t, struct node *x, struct param_id w, struct param_id b)
{
    if (x == NULL) {
        return NULL;
    }
    const struct param *pw = param_at(t->table, w);
    const struct param *pb = param_at(t->table, b);
    if (x->shape.rank != 2 || pw->rank != 2 || pw->dim[0] != x->shape.dim[1]) {
        return tape_unfit(t, "features", x, pw);
    }
    if (pb->rank != 2 || pb->dim[0] != pw->dim[0] || pb->dim[1] != pw->dim[1]) {
        return tape_mismatch(t, "features", pw->dim, pw->rank, pb->dim, pb->rank);
    }
    const size_t F = pw->dim[0];
    const size_t E = pw->dim[1];
    struct node *n =
        tape_push(t, (struct shape){.rank = 3, .dim = {t->B, F, E}}, 1, &x, features_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_WRITES;
    n->w[0] = tape_slice(t, pw);
    if (!tape_measuring(t)) {
        const real *shift = tape_slice(t, pb);
        for (size_t i = 0; i < t->B * F * E; i++) {
            n->v[i] = x->v[i / E] * n->w[0][i % (F * E)] + shift[i % (F * E)];
        }
    }
    struct book_entry e = {
        .rule = &BOOK_FEATURES, .param = w, .T = 1, .D = F, .O = F * E, .A = x->v, .of = n};
    tape_enter(t, n, e);
    e.rule = &BOOK_BIAS;
    e.param = b;
    e.D = e.O;
    e.A = NULL;
    tape_enter(t, n, e);
    return n;
}
