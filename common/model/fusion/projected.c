/*
 * Projected concatenation: every modality in as many numbers as the others, of one size.
 *
 *   p_m = norm(W_m h_m)    z = [p_1; …; p_M]
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t m = 0; rc == RC_OK && m < f->M; m++) {
        const struct encoder_name in = encoder_part(prefix, "in", m);
        rc = encoder_param(table, in.text, "weight", PARAM_FAN_IN, f->width, f->width_in[m],
                           &f->in[m].w, err);
        if (rc == RC_OK) {
            rc = encoder_norm_declare(table, in.text, "norm", f->width, &f->norm[m], err);
        }
    }
    return rc;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *part[FUSION_MODALITIES_MAX];
    for (size_t m = 0; m < f->M; m++) {
        part[m] = encoder_norm_record(&f->norm[m], t, tape_linear(t, p->h[m], f->in[m].w));
    }
    return tape_concat_all(t, f->M, part);
}

static size_t width(const struct fusion *f)
{
    return f->M * f->width;
}

const struct fusion_kind FUSION_PROJECTED = {.name = "projected",
                                             .M_min = 1,
                                             .projects = true,
                                             .declare = declare,
                                             .record = record,
                                             .width = width};
