/*
 * The gated multimodal unit (Arevalo et al. 2017, 3.1): a weight for each number of each modality,
 * from all of them, x = [h_1; …; h_M]. Of two, one gate shared out between them (their eq. 2 to 5):
 *
 *   v_m = tanh(W_m h_m)    z = sigmoid(W_z x)    h = z * v_1 + (1 - z) * v_2
 *
 * and the general form, a gate for each:
 *
 *   z_m = sigmoid(W_zm x)    h = sum z_m * v_m
 *
 * There are no biases, as in the paper: of an absent modality, h_m = 0, nothing is left in v_m.
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    enum rc rc = RC_OK;
    size_t all = 0;
    for (size_t m = 0; m < f->M; m++) {
        all += f->width_in[m];
    }
    for (size_t m = 0; rc == RC_OK && m < f->M; m++) {
        rc = encoder_param(table, encoder_part(prefix, "in", m).text, "weight", PARAM_FAN_IN,
                           f->width, f->width_in[m], &f->in[m].w, err);
    }
    for (size_t m = 0; rc == RC_OK && m < (f->M == 2 ? 1 : f->M); m++) {
        rc = encoder_param(table, encoder_part(prefix, "gate", m).text, "weight", PARAM_FAN_IN,
                           f->width, all, &f->gate[m][0].w, err);
    }
    return rc;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *x = tape_concat_all(t, f->M, p->h);
    struct node *v[FUSION_MODALITIES_MAX];
    struct node *h = NULL;
    for (size_t m = 0; m < f->M; m++) {
        v[m] = tape_tanh(t, tape_linear(t, p->h[m], f->in[m].w));
    }
    if (f->M == 2) {
        struct node *z = tape_sigmoid(t, tape_linear(t, x, f->gate[0][0].w));
        return fusion_blend(t, p, z, v[0], v[1]);
    }
    for (size_t m = 0; m < f->M; m++) {
        struct node *z = tape_sigmoid(t, tape_linear(t, x, f->gate[m][0].w));
        struct node *part = tape_mul(t, v[m], z);
        h = m == 0 ? part : tape_add(t, h, part);
    }
    return h;
}

const struct fusion_kind FUSION_GMU = {.name = "gmu",
                                       .M_min = 1,
                                       .skips = true,
                                       .projects = true,
                                       .declare = declare,
                                       .record = record};
