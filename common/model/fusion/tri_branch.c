/*
 * Branches that decide by themselves, one for each modality and one that sees all (TNF, Zheng et al.
 * 2024, there of two modalities), and the average of their probabilities:
 *
 *   p_m = sigmoid(w_m^T h_m + b_m)    p_J = sigmoid(w^T relu(W [h_1; …; h_M] + b) + c)
 *   p = sum a_m p_m + a_J p_J    logit = log p / (1 - p)
 *
 * a are equal shares, or the softmax of parameters, trained like any other; of a sample that lacks a
 * modality, shared among the branches that are left: J is there where all modalities are.
 */
#include <string.h>

#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    enum rc rc = FUSION_LATE.declare(f, table, prefix, err);
    if (rc == RC_OK) {
        rc = encoder_linear_declare(table, prefix, "joint", f->hidden, FUSION_CONCAT.width(f),
                                    &f->joint, err);
    }
    if (rc == RC_OK) {
        rc = encoder_linear_declare(table, prefix, "out", 1, f->hidden, &f->out, err);
    }
    if (rc == RC_OK && f->learned) {
        rc = encoder_param(table, prefix, "weights", PARAM_ZERO, f->M + 1, 0, &f->weights, err);
    }
    return rc;
}

/* there [B, M + 1]: modalities, and whether all of them; NULL while measuring. */
static const uint8_t *branches(struct tape *t, const struct fusion_parts *p)
{
    const size_t M = p->M;
    uint8_t *there = tape_bytes(t, t->B * (M + 1));
    for (size_t b = 0; there != NULL && b < t->B; b++) {
        memcpy(there + b * (M + 1), p->present + b * M, M);
        there[b * (M + 1) + M] = p->all[b];
    }
    return there;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *logit[FUSION_MODALITIES_MAX + 1];
    for (size_t m = 0; m < f->M; m++) {
        logit[m] = encoder_linear_record(&f->in[m], t, p->h[m]);
    }
    struct node *x = encoder_linear_record(&f->joint, t, tape_concat_all(t, f->M, p->h));
    x = encoder_drop(t, tape_relu(t, x), p->drop);
    logit[f->M] = encoder_linear_record(&f->out, t, x);
    struct node *all = tape_concat_all(t, f->M + 1, logit);
    struct node *score = f->learned ? tape_token(t, all, f->weights, NULL) : NULL;
    return tape_mixture(t, all, score, branches(t, p));
}

const struct fusion_kind FUSION_TRI_BRANCH = {.name = "tri_branch",
                                              .M_min = 2,
                                              .skips = true,
                                              .logit = true,
                                              .hides = true,
                                              .declare = declare,
                                              .record = record};
