/*
 * MedFuse (Hayat et al. 2022): modalities in turn through an LSTM; the sequence of a sample is as
 * long as it has modalities.
 *
 *   v_m = W_m h_m + b_m    z = last state of LSTM(v_m of those that are there, in their order)
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    enum rc rc = fusion_project_declare(f, table, prefix, err);
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, "lstm.weight", PARAM_FAN_IN, 4 * f->hidden,
                           f->width + f->hidden, &f->joint.w, err);
    }
    return rc == RC_OK ? encoder_param(table, prefix, "lstm.bias", PARAM_GATES, 4 * f->hidden, 0,
                                       &f->joint.b, err)
                       : rc;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *v[FUSION_MODALITIES_MAX];
    for (size_t m = 0; m < f->M; m++) {
        v[m] = fusion_project(f, t, p, m);
    }
    struct node *x = tape_pack(t, tape_stack(t, f->M, v), p->present);
    const int32_t *length = tape_counts(t, p->present, f->M);
    return tape_last(t, tape_lstm(t, x, f->joint.w, f->joint.b, length), length);
}

static size_t width(const struct fusion *f)
{
    return f->hidden;
}

const struct fusion_kind FUSION_MEDFUSE = {.name = "medfuse",
                                           .M_min = 1,
                                           .skips = true,
                                           .projects = true,
                                           .hides = true,
                                           .declare = declare,
                                           .record = record,
                                           .width = width};
