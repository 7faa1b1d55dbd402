/*
 * Late average: each modality decides by itself, and those that are there are averaged.
 *
 *   p_m = sigmoid(w_m^T h_m + b_m)    p = mean of p_m    logit = log p / (1 - p)
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t m = 0; rc == RC_OK && m < f->M; m++) {
        rc = encoder_linear_declare(table, encoder_part(prefix, "in", m).text, "head", 1,
                                    f->width_in[m], &f->in[m], err);
    }
    return rc;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *logit[FUSION_MODALITIES_MAX];
    for (size_t m = 0; m < f->M; m++) {
        logit[m] = encoder_linear_record(&f->in[m], t, p->h[m]);
    }
    return tape_mixture(t, tape_concat_all(t, f->M, logit), NULL, p->present);
}

const struct fusion_kind FUSION_LATE = {
    .name = "late", .M_min = 1, .skips = true, .logit = true, .declare = declare, .record = record};
