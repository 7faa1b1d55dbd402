/*
 * Self-attention over modalities, a token each, and a summary (after MARIA, Caruso et al. 2024, one
 * token for a modality): those that are absent are skipped and not imputed; nobody looks at them.
 *
 *   t_m = W_m h_m + b_m
 *   z = norm(mean over the summary and those that are there of transformer([summary; t_1; …; t_M]))
 *
 * b_m says which modality a token is of: tokens have no other position. In the mean each token has a
 * path of its own into z; read at the summary alone, which only looks at them, they were learnt slowly
 * and drowned in dropout (docs/results.md). The summary is whom a single modality can look at.
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    struct fusion_attention *a = &f->attention;
    a->body = (struct transformer){.width = f->width,
                                   .heads = f->heads,
                                   .hidden = f->hidden,
                                   .layers = f->layers,
                                   .norm_first = true};
    enum rc rc = fusion_project_declare(f, table, prefix, err);
    if (rc == RC_OK) {
        rc = encoder_param(table, prefix, "summary", PARAM_FAN_IN, f->width, 0, &a->summary, err);
    }
    if (rc == RC_OK) {
        rc = transformer_declare(table, prefix, &a->body, err);
    }
    if (rc == RC_OK) {
        rc = encoder_norm_declare(table, prefix, "last", f->width, &a->last, err);
    }
    return rc;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    const struct fusion_attention *a = &f->attention;
    struct node *token[1 + FUSION_MODALITIES_MAX];
    for (size_t m = 0; m < f->M; m++) {
        token[1 + m] = fusion_project(f, t, p, m);
    }
    token[0] = tape_token(t, token[1], a->summary, NULL);
    const uint8_t *key = tape_flanked(t, 1, p->present, f->M, 0);
    struct node *x = transformer_record(&a->body, t, tape_stack(t, 1 + f->M, token), key, p->drop);
    return encoder_norm_record(&a->last, t, tape_masked_mean(t, x, key));
}

const struct fusion_kind FUSION_ATTENTION = {.name = FUSION_DEFAULT,
                                             .M_min = 1,
                                             .skips = true,
                                             .projects = true,
                                             .heads = true,
                                             .hides = true,
                                             .layers = true,
                                             .declare = declare,
                                             .record = record};
