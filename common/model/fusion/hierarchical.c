/*
 * Pairs, then the pairs together, p_m = W_m h_m + b_m:
 *
 *   f_ij = gelu(W_ij [p_i; p_j] + b_ij), i < j    z = gelu(W [f_12; f_13; …] + b)
 */
#include <stdio.h>

#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    enum rc rc = fusion_project_declare(f, table, prefix, err);
    size_t n = 0;
    for (size_t i = 0; i < f->M; i++) {
        for (size_t j = i + 1; rc == RC_OK && j < f->M; j++, n++) {
            char name[32];
            (void)snprintf(name, sizeof name, "pair%zu_%zu", i, j);
            rc = encoder_linear_declare(table, prefix, name, f->width, 2 * f->width, &f->pair[n],
                                        err);
        }
    }
    return rc == RC_OK
               ? encoder_linear_declare(table, prefix, "out", f->width, n * f->width, &f->out, err)
               : rc;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *part[FUSION_MODALITIES_MAX];
    struct node *pair[FUSION_PAIRS_MAX];
    size_t n = 0;
    for (size_t m = 0; m < f->M; m++) {
        part[m] = fusion_project(f, t, p, m);
    }
    for (size_t i = 0; i < f->M; i++) {
        for (size_t j = i + 1; j < f->M; j++, n++) {
            struct node *x = tape_concat(t, part[i], part[j]);
            pair[n] = tape_gelu(t, encoder_linear_record(&f->pair[n], t, x));
        }
    }
    return tape_gelu(t, encoder_linear_record(&f->out, t, tape_concat_all(t, n, pair)));
}

const struct fusion_kind FUSION_HIERARCHICAL = {
    .name = "hierarchical", .M_min = 2, .projects = true, .declare = declare, .record = record};
