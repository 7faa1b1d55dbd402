/* Losses of each sample by itself. */
#include "common/kernel/loss.h"

#include <assert.h>

#include "common/tape/tape_internal.h"

static void bce_sweep(struct tape *t, struct node *n)
{
    bce_backward(n->in[0]->g, n->g, n->in[0]->v, n->keep[0], t->B);
}

struct node *tape_bce(struct tape *t, struct node *logit, const float *label)
{
    if (logit == NULL) {
        return NULL;
    }
    const struct shape want = shape_matrix(t->B, 1);
    if (!shape_equal(&logit->shape, &want)) {
        /* [B, K] against [B] would broadcast to [B, B] elsewhere, silently */
        return tape_mismatch(t, "binary cross-entropy", logit->shape.dim, logit->shape.rank,
                             want.dim, want.rank);
    }
    struct node *n = tape_push(t, want, 1, &logit, bce_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->keep[0] = tape_take(t, t->B);
    if (!tape_measuring(t)) {
        for (size_t b = 0; b < t->B; b++) {
            n->keep[0][b] = (real)label[b];
        }
        bce_forward(n->v, logit->v, n->keep[0], t->B);
    }
    return n;
}

/* ---- several labels -------------------------------------------------------------------------- */

/* Labels as reals, in keep[0]. */
static void keep_labels(struct tape *t, struct node *n, const float *label, size_t size)
{
    n->keep[0] = tape_take(t, size);
    for (size_t i = 0; i < size && !tape_measuring(t); i++) {
        n->keep[0][i] = (real)label[i];
    }
}

static void multilabel_sweep(struct tape *t, struct node *n)
{
    const struct node *z = n->in[0];
    multilabel_backward(z->g, n->g, z->v, n->keep[0], n->aux, t->B, shape_last(&z->shape));
}

struct node *tape_multilabel(struct tape *t, struct node *logit, const float *label,
                             const uint8_t *known)
{
    if (logit == NULL) {
        return NULL;
    }
    const size_t K = shape_last(&logit->shape);
    if (logit->shape.rank != 2) {
        return tape_mismatch(t, "multi-label", logit->shape.dim, logit->shape.rank,
                             (size_t[]){t->B, K}, 2);
    }
    struct node *n = tape_push(t, shape_matrix(t->B, 1), 1, &logit, multilabel_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = known;
    keep_labels(t, n, label, t->B * K);
    if (!tape_measuring(t)) {
        multilabel_forward(n->v, logit->v, n->keep[0], known, t->B, K);
    }
    return n;
}

/* ---- one of several classes ------------------------------------------------------------------ */

static void cross_entropy_sweep(struct tape *t, struct node *n)
{
    cross_entropy_backward(n->in[0]->g, n->g, n->keep[0], n->aux, t->B,
                           shape_last(&n->in[0]->shape));
}

struct node *tape_cross_entropy(struct tape *t, struct node *logit, const int32_t *label)
{
    if (logit == NULL) {
        return NULL;
    }
    const size_t K = shape_last(&logit->shape);
    if (logit->shape.rank != 2) {
        return tape_mismatch(t, "cross-entropy", logit->shape.dim, logit->shape.rank,
                             (size_t[]){t->B, K}, 2);
    }
    struct node *n = tape_push(t, shape_matrix(t->B, 1), 1, &logit, cross_entropy_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->aux = label;
    n->keep[0] = tape_take(t, t->B * K);
    if (!tape_measuring(t)) {
        for (size_t b = 0; b < t->B; b++) {
            assert(label[b] < 0 || (size_t)label[b] < K);
        }
        cross_entropy_forward(n->v, n->keep[0], logit->v, label, t->B, K);
    }
    return n;
}

/* ---- focal ----------------------------------------------------------------------------------- */

static void focal_sweep(struct tape *t, struct node *n)
{
    const real *how = n->keep[1]; /* alpha, gamma */
    focal_backward(n->in[0]->g, n->g, n->in[0]->v, n->keep[0], how[0], how[1], t->B);
}

struct node *tape_focal(struct tape *t, struct node *logit, const float *label, double alpha,
                        double gamma)
{
    assert(alpha > 0.0 && alpha < 1.0);
    assert(gamma >= 0.0);
    if (logit == NULL) {
        return NULL;
    }
    const struct shape want = shape_matrix(t->B, 1);
    if (!shape_equal(&logit->shape, &want)) {
        return tape_mismatch(t, "focal loss", logit->shape.dim, logit->shape.rank, want.dim,
                             want.rank);
    }
    struct node *n = tape_push(t, want, 1, &logit, focal_sweep);
    if (n == NULL) {
        return NULL;
    }
    keep_labels(t, n, label, t->B);
    n->keep[1] = tape_take(t, 2);
    if (!tape_measuring(t)) {
        n->keep[1][0] = (real)alpha;
        n->keep[1][1] = (real)gamma;
        focal_forward(n->v, logit->v, n->keep[0], (real)alpha, (real)gamma, t->B);
    }
    return n;
}
