/*
 * Branches that decide by themselves, one for each modality and one that sees all (TNF, Zheng et al.
 * 2024, there of two modalities), and the average of their probabilities:
 *
 *   p_m = sigmoid(w_m^T h_m + b_m)    p_J = sigmoid(w^T relu(W [h_1; …; h_M] + b) + c)
 *   p = sum a_m p_m + a_J p_J    logit = log p / (1 - p)
 *
 * a are equal shares, or the softmax of parameters, trained like any other; of a sample that lacks a
 * modality, shared among the branches that are left: J is there where all modalities are.
 *
 * Each branch decides by itself and has a loss of its own, of those that a sample has
 *
 *   L = mean over k of CE(y, p_k)    and, where a are learned, + CE(y, p)
 *
 * in which the last alone moves a: as weights of the losses they would run to the smallest loss. A
 * sample without any branch has L = 0.
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

/* What the branches say, [B, M + 1]. */
static struct node *logits(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *logit[FUSION_MODALITIES_MAX + 1];
    for (size_t m = 0; m < f->M; m++) {
        logit[m] = encoder_linear_record(&f->in[m], t, p->h[m]);
    }
    struct node *x = encoder_linear_record(&f->joint, t, tape_concat_all(t, f->M, p->h));
    x = encoder_drop(t, tape_relu(t, x), p->drop);
    logit[f->M] = encoder_linear_record(&f->out, t, x);
    return tape_concat_all(t, f->M + 1, logit);
}

static struct node *mixture(const struct fusion *f, struct tape *t, struct node *all,
                            const uint8_t *there)
{
    struct node *score = f->learned ? tape_token(t, all, f->weights, NULL) : NULL;
    return tape_mixture(t, all, score, there);
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    return mixture(f, t, logits(f, t, p), branches(t, p));
}

/* A sample's label for each of K branches, in the step arena; NULL while measuring. */
static const float *repeated(struct tape *t, const float *label, size_t K)
{
    float *y = (float *)(void *)tape_bytes(t, t->B * K * sizeof *y);
    for (size_t i = 0; y != NULL && i < t->B * K; i++) {
        y[i] = label[i / K];
    }
    return y;
}

static struct node *loss(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                         const float *label)
{
    const uint8_t *there = branches(t, p);
    struct node *all = logits(f, t, p);
    struct node *own = tape_multilabel(t, all, repeated(t, label, f->M + 1), there);
    return f->learned ? tape_add(t, own, tape_bce(t, mixture(f, t, all, there), label)) : own;
}

const struct fusion_kind FUSION_TRI_BRANCH = {.name = "tri_branch",
                                              .M_min = 2,
                                              .skips = true,
                                              .logit = true,
                                              .hides = true,
                                              .declare = declare,
                                              .record = record,
                                              .loss = loss};
