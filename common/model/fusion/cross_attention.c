/*
 * Cross-attention in both directions: the positions X_a of each modality look at those of the others.
 *
 *   A_ab = softmax(Q_a K_b^T / sqrt d) V_b,    Q_a = X_a W_Qa, K_b = X_b W_Kb, V_b = X_b W_Vb
 *   z_a = mean over b != a of pool A_ab    z = [z_1; …; z_M]
 *
 * Of two modalities, z_1 = pool A_12 and z_2 = pool A_21; of more, every ordered pair is there and
 * each averages what it finds at the others that are. pool: the mean over the positions.
 *
 * A modality with one position is found whole by whoever looks, V_b, and needs no key: the softmax
 * over one key is 1. Give time steps, patches or words where there are any. A sample with one modality has, under `skip`,
 * nobody to look at and the vector 0: where that is common, let tokens stand for what is absent.
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    size_t in[FUSION_MODALITIES_MAX];
    bool looks[FUSION_MODALITIES_MAX * FUSION_MODALITIES_MAX];
    for (size_t m = 0; m < f->M; m++) {
        in[m] = fusion_position_width(f, m);
        for (size_t n = 0; n < f->M; n++) {
            looks[m * f->M + n] = m != n;
        }
    }
    return fusion_look_declare(f, table, prefix, in, looks, err);
}

/* there [B, M - 1]: those but a, in the step arena; NULL while measuring. */
static const uint8_t *others(struct tape *t, const uint8_t *present, size_t M, size_t a)
{
    uint8_t *there = tape_bytes(t, t->B * (M - 1));
    for (size_t i = 0; there != NULL && i < t->B * (M - 1); i++) {
        const size_t m = i % (M - 1);
        there[i] = present[i / (M - 1) * M + m + (m >= a)];
    }
    return there;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    const struct fusion_look l = fusion_look_record(f, t, p->x);
    struct node *z[FUSION_MODALITIES_MAX];
    for (size_t a = 0; a < f->M; a++) {
        struct node *found[FUSION_MODALITIES_MAX];
        size_t n = 0;
        for (size_t b = 0; b < f->M; b++) {
            if (b != a) {
                found[n++] = fusion_look_at(f, t, p, &l, a, b);
            }
        }
        z[a] = tape_masked_mean(t, tape_stack(t, n, found), others(t, p->present, f->M, a));
    }
    return tape_concat_all(t, f->M, z);
}

static size_t width(const struct fusion *f)
{
    return f->M * f->width;
}

const struct fusion_kind FUSION_CROSS_ATTENTION = {.name = "cross_attention",
                                                   .M_min = 2,
                                                   .skips = true,
                                                   .projects = true,
                                                   .heads = true,
                                                   .positions = true,
                                                   .declare = declare,
                                                   .record = record,
                                                   .width = width};
