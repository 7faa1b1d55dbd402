/*
 * A bedside score, learnt: points for each value and for how far it is from the middle of its range, all zero
 * at the start, so that the problem is convex and few steps suffice where each of them is noised.
 *
 *   z = w [x; x_c^2; l_1; l_2; …] + b + sum_k e_k[code_k]
 *
 * x: the table's numbers with their indicators; x_c: those of continuous features; l_m: the levels of every
 * variable of a series on a grid (summary.c). A modality that a patient lacks adds nothing. Images, notes and
 * series as events are not read. One z, or one for each of several classes.
 */
#include <stdlib.h>

#include "common/model/encoder/encoder_internal.h"
#include "common/model/registry_internal.h"

static bool is_grid(const struct schema_part *p)
{
    return p->kind == SCHEMA_SERIES && p->form == SCHEMA_GRID;
}

/* Which of the table's numbers are values of continuous features. */
static enum rc find_squares(struct model *m, const struct schema *schema, struct error *err)
{
    size_t column = 0;
    m->square = calloc(m->layout.n_values + 1, sizeof *m->square);
    if (m->square == NULL) {
        return error_set(err, RC_NOMEM, "no memory for model 'additive'");
    }
    for (size_t i = 0; i < schema->n_features; i++) {
        const struct schema_feature *f = &schema->feature[i];
        if (f->type == SCHEMA_CONTINUOUS) {
            m->square[m->n_squares++] = column;
        }
        if (f->type != SCHEMA_CATEGORICAL) {
            column += f->may_miss ? 2 : 1;
        }
    }
    return RC_OK;
}

enum rc additive_declare(struct model *m, const struct schema *schema, struct error *err)
{
    enum rc rc = find_squares(m, schema, err);
    size_t width = m->layout.n_values + m->n_squares;
    for (size_t i = 0; i < m->layout.n_parts; i++) {
        const struct schema_part *p = &m->layout.part[i];
        width += is_grid(p) ? SERIES_LEVELS * p->variables : 0;
    }
    if (rc == RC_OK && width > 0) {
        rc = param_add(&m->table, "head.weight", PARAM_SHARED, PARAM_ZERO, 2,
                       (size_t[]){m->layout.n_outputs, width}, &m->head.w, err);
    }
    if (rc == RC_OK) {
        rc = param_add(&m->table, "head.bias", PARAM_SHARED, PARAM_ZERO, 1, &m->layout.n_outputs,
                       &m->head.b, err);
    }
    return rc == RC_OK ? codes_declare(m, schema, m->layout.n_outputs, PARAM_ZERO, err) : rc;
}

/* [B, n_squares] in the step arena; NULL while measuring. */
static const float *squares(const struct model *m, struct tape *t, const struct batch *batch)
{
    const size_t n = m->n_squares;
    float *s = (float *)(void *)tape_bytes(t, t->B * n * sizeof *s);
    for (size_t b = 0; s != NULL && b < t->B; b++) {
        for (size_t i = 0; i < n; i++) {
            const float x = batch->values[b * m->layout.n_values + m->square[i]];
            s[b * n + i] = x * x;
        }
    }
    return s;
}

struct node *additive_record(const struct model *m, struct tape *t, const struct batch *batch)
{
    struct node *in[2 + SCHEMA_MODALITIES_MAX];
    size_t n = 0;
    if (m->layout.n_values > 0) {
        in[n++] = tape_input(t, batch->values, m->layout.n_values);
    }
    if (m->n_squares > 0) {
        in[n++] = tape_input(t, squares(m, t, batch), m->n_squares);
    }
    for (size_t i = 0; i < m->layout.n_parts; i++) {
        const struct schema_part *p = &m->layout.part[i];
        if (is_grid(p)) {
            struct encoder_series x = {.T = p->steps, .V = p->variables};
            if (batch->part != NULL) {
                x.values = batch->part[i].values;
                x.seen = batch->part[i].mask;
            }
            in[n++] = series_levels_record(t, &x);
        }
    }
    struct node *z = n > 0 ? tape_linear(t, tape_concat_all(t, n, in), m->head.w) : NULL;
    for (size_t k = 0; k < m->layout.n_codes; k++) {
        struct node *e = codes_record(m, t, batch, k);
        z = k == 0 && n == 0 ? e : tape_add(t, z, e);
    }
    return tape_bias(t, z, m->head.b);
}
