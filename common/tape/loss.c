/* Losses of each sample by itself. */
#include "common/kernel/loss.h"

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
