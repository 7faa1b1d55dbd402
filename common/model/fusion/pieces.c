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

/* Whether m looks at one that has more than a position. */
static bool asks(const struct fusion *f, const bool *looks, size_t m)
{
    for (size_t n = 0; n < f->M; n++) {
        if (looks[m * f->M + n] && f->token_in[n] > 0) {
            return true;
        }
    }
    return false;
}

enum rc fusion_look_declare(struct fusion *f, struct param_table *table, const char *prefix,
                            const size_t *in, const bool *looks, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t m = 0; m < f->M; m++) {
        const struct encoder_name name = encoder_part(prefix, "in", m);
        f->asks[m] = asks(f, looks, m);
        if (rc == RC_OK && f->asks[m]) {
            rc = encoder_param(table, name.text, "query.weight", PARAM_FAN_IN, f->width, in[m],
                               &f->query[m], err);
        }
        if (rc == RC_OK && f->token_in[m] > 0) {
            rc = encoder_param(table, name.text, "key.weight", PARAM_FAN_IN, f->width, in[m],
                               &f->key[m], err);
        }
        if (rc == RC_OK) {
            rc = encoder_param(table, name.text, "value.weight", PARAM_FAN_IN, f->width, in[m],
                               &f->value[m], err);
        }
    }
    return rc;
}

struct fusion_look fusion_look_record(const struct fusion *f, struct tape *t, struct node *const *x)
{
    struct fusion_look l = {{NULL}, {NULL}, {NULL}};
    for (size_t m = 0; m < f->M; m++) {
        l.query[m] = f->asks[m] ? tape_linear(t, x[m], f->query[m]) : NULL;
        l.key[m] = f->token_in[m] > 0 ? tape_linear(t, x[m], f->key[m]) : NULL;
        l.value[m] = tape_linear(t, x[m], f->value[m]);
    }
    return l;
}

/* [B]: whether the one position of `at` is there, and any of `of` to look from. */
static const uint8_t *meets(struct tape *t, const struct fusion_parts *p, size_t of, size_t at)
{
    uint8_t *both = tape_bytes(t, t->B);
    const size_t N = p->x[of] == NULL ? 0 : p->x[of]->shape.dim[1];
    for (size_t b = 0; both != NULL && b < t->B; b++) {
        both[b] = 0;
        for (size_t i = b * N; i < (b + 1) * N; i++) {
            both[b] = both[b] || (p->key[at][b] && p->key[of][i]);
        }
    }
    return both;
}

struct node *fusion_look_at(const struct fusion *f, struct tape *t, const struct fusion_parts *p,
                            const struct fusion_look *l, size_t of, size_t at)
{
    if (f->token_in[at] == 0) { /* the softmax over one key is 1, and so is the mean of it */
        return tape_choose(t, tape_select(t, l->value[at], 0), NULL, meets(t, p, of, at));
    }
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
