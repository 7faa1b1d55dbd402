/*
 * Gated multimodal units in subspaces (Jiang et al. 2021): v_m = tanh(W_m h_m + b_m) is cut into
 * heads v_mh, and each head has gates of its own. Of two modalities:
 *
 *   z_h = sigmoid(W_h [v_1h; v_2h] + b_h)    f_h = z_h * v_1h + (1 - z_h) * v_2h
 *
 * of more, z_mh = sigmoid(W_mh [v_1h; …; v_Mh] + b_mh) and f_h = sum z_mh * v_mh. z = [f_1; …; f_H].
 */
#include <stdio.h>

#include "common/model/fusion/fusion_internal.h"

static size_t gates(const struct fusion *f)
{
    return f->M == 2 ? 1 : f->M;
}

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    const size_t d = f->width / f->heads;
    enum rc rc = fusion_project_declare(f, table, prefix, err);
    for (size_t m = 0; rc == RC_OK && m < gates(f); m++) {
        for (size_t h = 0; rc == RC_OK && h < f->heads; h++) {
            char name[32];
            (void)snprintf(name, sizeof name, "head%zu", h);
            rc = encoder_linear_declare(table, encoder_part(prefix, "gate", m).text, name, d,
                                        f->M * d, &f->gate[m][h], err);
        }
    }
    return rc;
}

/* v [M], [B, width] each -> f_h [B, width / heads]. */
static struct node *head(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                         struct node *const *v, size_t h)
{
    const size_t d = f->width / f->heads;
    struct node *part[FUSION_MODALITIES_MAX];
    struct node *z[FUSION_MODALITIES_MAX];
    struct node *sum = NULL;
    for (size_t m = 0; m < f->M; m++) {
        part[m] = tape_part(t, v[m], h * d, d);
    }
    struct node *x = tape_concat_all(t, f->M, part);
    for (size_t m = 0; m < gates(f); m++) {
        z[m] = tape_sigmoid(t, encoder_linear_record(&f->gate[m][h], t, x));
    }
    if (f->M == 2) {
        return fusion_blend(t, p, z[0], part[0], part[1]);
    }
    for (size_t m = 0; m < f->M; m++) {
        struct node *weighed = tape_mul(t, part[m], z[m]);
        sum = m == 0 ? weighed : tape_add(t, sum, weighed);
    }
    return sum;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *v[FUSION_MODALITIES_MAX];
    struct node *z[FUSION_HEADS_MAX];
    for (size_t m = 0; m < f->M; m++) {
        v[m] = tape_tanh(t, fusion_project(f, t, p, m));
    }
    for (size_t h = 0; h < f->heads; h++) {
        z[h] = head(f, t, p, v, h);
    }
    return tape_concat_all(t, f->heads, z);
}

const struct fusion_kind FUSION_GMU_HEADS = {.name = "gmu_heads",
                                             .M_min = 1,
                                             .skips = true,
                                             .projects = true,
                                             .heads = true,
                                             .declare = declare,
                                             .record = record};
