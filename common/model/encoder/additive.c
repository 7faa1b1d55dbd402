/*
 * A bedside score, learnt: points for each value and for how far it is from the middle of its range, all zero
 * at the start, so that the problem is convex and few steps suffice where each of them is noised.
 *
 *   z = w [x; x_c^2; m_1; m_2; …] + b + sum_k e_k[code_k]
 *
 * x: the table's numbers with their indicators; x_c: those of continuous features. m_i, of each modality:
 *
 *   series on a grid    levels of every variable (summary.c); with points for `shape` rise and swing (shape.c)
 *   image               with points for `contrasts` these (contrasts.c)
 *   note                with points for `words` how often each is in it (word_counts.c)
 *
 * A modality that a patient lacks adds nothing; what no points were asked for, and series as events, are not
 * read. One z, or one for each of several classes.
 */
#include <stdlib.h>

#include "common/model/encoder/encoder_internal.h"
#include "common/model/registry_internal.h"

static bool is_grid(const struct schema_part *p)
{
    return p->kind == SCHEMA_SERIES && p->form == SCHEMA_GRID;
}

static bool wants(const struct model *m, enum study_points what)
{
    return (m->spec.points & (size_t)what) != 0;
}

/* Numbers that have points, of one modality. */
static size_t width_of(const struct model *m, const struct schema_part *p)
{
    if (is_grid(p)) {
        return (SERIES_LEVELS + (wants(m, STUDY_POINTS_SHAPE) ? SERIES_SHAPE : 0U)) * p->variables;
    }
    if (p->kind == SCHEMA_IMAGE) {
        return wants(m, STUDY_POINTS_CONTRASTS) ? IMAGE_CONTRASTS * p->channels : 0;
    }
    return p->kind == SCHEMA_NOTES && wants(m, STUDY_POINTS_WORDS) ? p->vocabulary : 0;
}

/* A wish for what the cohort does not have would do nothing. */
static enum rc find_points(const struct model *m, struct error *err)
{
    size_t there = 0;
    for (size_t i = 0; i < m->layout.n_parts; i++) {
        const struct schema_part *p = &m->layout.part[i];
        there |= is_grid(p)                ? (size_t)STUDY_POINTS_SHAPE
                 : p->kind == SCHEMA_IMAGE ? (size_t)STUDY_POINTS_CONTRASTS
                 : p->kind == SCHEMA_NOTES ? (size_t)STUDY_POINTS_WORDS
                                           : 0;
    }
    const size_t vain = m->spec.points & ~there;
    if (vain == 0) {
        return RC_OK;
    }
    return error_set(err, RC_INVALID, "points: the cohort has no %s; leave it out",
                     (vain & STUDY_POINTS_SHAPE) != 0       ? "series on a grid for 'shape'"
                     : (vain & STUDY_POINTS_CONTRASTS) != 0 ? "image for 'contrasts'"
                                                            : "notes for 'words'");
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
    enum rc rc = find_points(m, err);
    if (rc == RC_OK) {
        rc = find_squares(m, schema, err);
    }
    size_t width = m->layout.n_values + m->n_squares;
    for (size_t i = 0; i < m->layout.n_parts; i++) {
        width += width_of(m, &m->layout.part[i]);
    }
    if (rc == RC_OK && width + m->layout.n_codes == 0) {
        rc = error_set(err, RC_INVALID,
                       "the cohort has nothing for model 'additive': no feature, no series on a "
                       "grid, and nothing that `points` asks for");
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

static struct node *levels_of(const struct schema_part *p, struct tape *t,
                              const struct batch_part *of, bool shape)
{
    struct encoder_series x = {.T = p->steps, .V = p->variables};
    if (of != NULL) {
        x.values = of->values;
        x.seen = of->mask;
    }
    return shape ? series_shape_record(t, &x) : series_levels_record(t, &x);
}

/* Who has the image that is part `part`; NULL: everybody. */
static const uint8_t *have_image(const struct model *m, struct tape *t, const struct batch *batch,
                                 size_t part)
{
    uint8_t *there = tape_bytes(t, t->B);
    if (batch->present == NULL) {
        return NULL;
    }
    for (size_t b = 0; there != NULL && b < t->B; b++) {
        there[b] = batch->present[b * (1 + m->layout.n_parts) + 1 + part];
    }
    return there;
}

static struct node *words_of(const struct schema_part *p, struct tape *t,
                             const struct batch_part *of)
{
    int32_t *code = (int32_t *)(void *)tape_bytes(t, t->B * p->items * sizeof *code);
    for (size_t b = 0; code != NULL && b < t->B; b++) {
        for (size_t i = 0; i < p->items; i++) { /* padding: -1 */
            code[b * p->items + i] = i < (size_t)of->length[b] ? of->codes[b * p->items + i] : -1;
        }
    }
    const struct encoder_codes x = {.T = p->items, .code = code};
    return word_counts_record(t, &x, p->vocabulary);
}

/* What of a modality has points: at most two inputs. @return how many */
static size_t record_part(const struct model *m, struct tape *t, const struct batch *batch,
                          size_t part, struct node **in)
{
    const struct schema_part *p = &m->layout.part[part];
    const struct batch_part *of = batch->part == NULL ? NULL : &batch->part[part];
    if (width_of(m, p) == 0) {
        return 0;
    }
    if (is_grid(p)) {
        in[0] = levels_of(p, t, of, false);
        in[1] = wants(m, STUDY_POINTS_SHAPE) ? levels_of(p, t, of, true) : NULL;
        return wants(m, STUDY_POINTS_SHAPE) ? 2 : 1;
    }
    in[0] = p->kind == SCHEMA_NOTES ? words_of(p, t, of)
                                    : image_contrasts_record(t, of == NULL ? NULL : of->values,
                                                             have_image(m, t, batch, part),
                                                             p->channels, p->height, p->width);
    return 1;
}

struct node *additive_record(const struct model *m, struct tape *t, const struct batch *batch)
{
    struct node *in[2 + 2 * SCHEMA_MODALITIES_MAX];
    size_t n = 0;
    if (m->layout.n_values > 0) {
        in[n++] = tape_input(t, batch->values, m->layout.n_values);
    }
    if (m->n_squares > 0) {
        in[n++] = tape_input(t, squares(m, t, batch), m->n_squares);
    }
    for (size_t i = 0; i < m->layout.n_parts; i++) {
        n += record_part(m, t, batch, i, in + n);
    }
    struct node *z = n > 0 ? tape_linear(t, tape_concat_all(t, n, in), m->head.w) : NULL;
    for (size_t k = 0; k < m->layout.n_codes; k++) {
        struct node *e = codes_record(m, t, batch, k);
        z = k == 0 && n == 0 ? e : tape_add(t, z, e);
    }
    return tape_bias(t, z, m->head.b);
}
