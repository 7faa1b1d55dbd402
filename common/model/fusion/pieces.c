/* What several fusions are made of: projections, a blend of two, looking at each other, masks. */
#include "common/model/fusion/fusion_internal.h"

/* ---- projections ----------------------------------------------------------------------------- */

enum rc fusion_project_declare(struct fusion *f, struct param_table *table, const char *prefix,
                               struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t m = 0; rc == RC_OK && m < f->M; m++) {
        rc = encoder_linear_declare(table, encoder_part(prefix, "in", m).text, "project", f->width,
                                    f->width_in[m], &f->in[m], err);
    }
    return rc;
}

struct node *fusion_project(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                            size_t m)
{
    return tape_choose(t, encoder_linear_record(&f->in[m], t, p->h[m]), NULL, p->here[m]);
}

struct node *fusion_blend(struct tape *t, const struct fusion_parts *p, struct node *z,
                          struct node *a, struct node *b)
{
    struct node *both = tape_add(t, tape_mul(t, a, z), tape_mul(t, b, tape_scale(t, z, -1.0, 1.0)));
    return tape_choose(t, both, tape_add(t, a, b), p->all); /* an absent one is 0 */
}

/* ---- attention ------------------------------------------------------------------------------- */

size_t fusion_position_width(const struct fusion *f, size_t m)
{
    return f->token_in[m] > 0 ? f->token_in[m] : f->width_in[m];
}

enum rc fusion_look_declare(struct fusion *f, struct param_table *table, const char *prefix,
                            const size_t *in, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < 3 * f->M; i++) {
        static const char *const what[3] = {"query.weight", "key.weight", "value.weight"};
        const size_t m = i / 3;
        struct param_id *const w[3] = {&f->query[m], &f->key[m], &f->value[m]};
        rc = encoder_param(table, encoder_part(prefix, "in", m).text, what[i % 3], PARAM_FAN_IN,
                           f->width, in[m], w[i % 3], err);
    }
    return rc;
}

struct fusion_look fusion_look_record(const struct fusion *f, struct tape *t, struct node *const *x)
{
    struct fusion_look l = {{NULL}, {NULL}, {NULL}};
    for (size_t m = 0; m < f->M; m++) {
        l.query[m] = tape_linear(t, x[m], f->query[m]);
        l.key[m] = tape_linear(t, x[m], f->key[m]);
        l.value[m] = tape_linear(t, x[m], f->value[m]);
    }
    return l;
}

struct node *fusion_look_at(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                            const struct fusion_look *l, size_t of, size_t at)
{
    struct node *found =
        tape_attention(t, l->query[of], l->key[at], l->value[at], f->heads, p->key[at]);
    return tape_masked_mean(t, found, p->key[of]);
}

/* ---- masks ----------------------------------------------------------------------------------- */

const uint8_t *fusion_column(struct tape *t, const uint8_t *there, size_t M, size_t m)
{
    uint8_t *column = tape_bytes(t, t->B);
    for (size_t b = 0; column != NULL && b < t->B; b++) {
        column[b] = there[b * M + m];
    }
    return column;
}

const uint8_t *fusion_all(struct tape *t, const uint8_t *there, size_t M)
{
    uint8_t *all = tape_bytes(t, t->B);
    for (size_t b = 0; all != NULL && b < t->B; b++) {
        all[b] = 1;
        for (size_t m = 0; m < M; m++) {
            all[b] = all[b] && there[b * M + m];
        }
    }
    return all;
}
