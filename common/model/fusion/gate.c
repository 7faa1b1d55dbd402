/*
 * A weight for each modality, from all of them, p_m = W_m h_m + b_m. Of two:
 *
 *   g = sigmoid(w^T [p_1; p_2])    z = g p_1 + (1 - g) p_2
 *
 * of more, over those that are there:
 *
 *   a = softmax(W [p_1; …; p_M])    z = sum a_m p_m
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    enum rc rc = fusion_project_declare(f, table, prefix, err);
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, "gate.weight", PARAM_FAN_IN, f->M == 2 ? 1 : f->M,
                           f->M * f->width, &f->joint.w, err);
    }
    return rc;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *part[FUSION_MODALITIES_MAX];
    for (size_t m = 0; m < f->M; m++) {
        part[m] = fusion_project(f, t, p, m);
    }
    struct node *s = tape_linear(t, tape_concat_all(t, f->M, part), f->joint.w);
    if (f->M == 2) {
        return fusion_blend(t, p, tape_sigmoid(t, s), part[0], part[1]);
    }
    struct node *a = tape_softmax_there(t, s, p->present);
    a = tape_reshape(t, a, 2, (size_t[]){1, f->M});
    return tape_reshape(t, tape_matmul(t, a, tape_stack(t, f->M, part)), 1, &f->width);
}

const struct fusion_kind FUSION_GATE = {.name = "gate",
                                        .M_min = 2,
                                        .skips = true,
                                        .projects = true,
                                        .declare = declare,
                                        .record = record};
