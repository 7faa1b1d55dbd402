/*
 * Cross-attention with a primary modality p (ITCFN): it looks at all the others and each of them at
 * it alone; what is found is added to what was there, with learned factors.
 *
 *   F_m = X_m W_m + b_m    A(a; b) = softmax(Q_a K_b^T / sqrt d) V_b, of F_a and F_b
 *   F'_p = F_p + sum over m of a_m A(p; m)    F'_m = F_m + c_m A(m; p)
 *   z = [pool F'_p; pool F'_m of the others]
 *
 * pool is the mean over the positions; the sums are of what is pooled, which is the same.
 */
#include "common/model/fusion/fusion_internal.h"

static enum rc declare(struct fusion *f, struct param_table *table, const char *prefix,
                       struct error *err)
{
    size_t in[FUSION_MODALITIES_MAX];
    bool looks[FUSION_MODALITIES_MAX * FUSION_MODALITIES_MAX];
    enum rc rc = RC_OK;
    if (f->primary >= f->M) {
        rc = error_set(err, RC_INVALID,
                       "fusion '%s': primary is %zu of %zu modalities, counted from 0", prefix,
                       f->primary, f->M);
    }
    for (size_t m = 0; rc == RC_OK && m < f->M; m++) {
        const struct encoder_name name = encoder_part(prefix, "in", m);
        in[m] = f->width;
        for (size_t n = 0; n < f->M; n++) {
            looks[m * f->M + n] = (m == f->primary) != (n == f->primary);
        }
        rc = encoder_linear_declare(table, name.text, "lift", f->width, fusion_position_width(f, m),
                                    &f->in[m], err);
        if (rc == RC_OK && m != f->primary) {
            rc = encoder_param(table, name.text, "found", PARAM_ONE, 1, 0, &f->found[m], err);
        }
        if (rc == RC_OK && m != f->primary) {
            rc = encoder_param(table, name.text, "finds", PARAM_ONE, 1, 0, &f->finds[m], err);
        }
    }
    return rc == RC_OK ? fusion_look_declare(f, table, prefix, in, looks, err) : rc;
}

/* x [B, D] times a learned number. */
static struct node *scaled(struct tape *t, struct node *x, struct param_id factor)
{
    return tape_mul(t, x, tape_token(t, tape_part(t, x, 0, 1), factor, NULL));
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    struct node *F[FUSION_MODALITIES_MAX];
    struct node *z[FUSION_MODALITIES_MAX];
    const size_t primary = f->primary;
    size_t n = 1;
    for (size_t m = 0; m < f->M; m++) {
        F[m] = encoder_linear_record(&f->in[m], t, p->x[m]);
    }
    const struct fusion_look l = fusion_look_record(f, t, F);
    z[0] = tape_masked_mean(t, F[primary], p->key[primary]);
    for (size_t m = 0; m < f->M; m++) {
        if (m != primary) {
            struct node *found = fusion_look_at(f, t, p, &l, primary, m);
            z[0] = tape_add(t, z[0], scaled(t, found, f->found[m]));
            found = fusion_look_at(f, t, p, &l, m, primary);
            z[n++] =
                tape_add(t, tape_masked_mean(t, F[m], p->key[m]), scaled(t, found, f->finds[m]));
        }
    }
    return tape_concat_all(t, f->M, z);
}

static size_t width(const struct fusion *f)
{
    return f->M * f->width;
}

const struct fusion_kind FUSION_ASYMMETRIC = {.name = "asymmetric",
                                              .M_min = 2,
                                              .skips = true,
                                              .projects = true,
                                              .heads = true,
                                              .positions = true,
                                              .declare = declare,
                                              .record = record,
                                              .width = width};
