/* Which encoder a modality has: by the kind of its data and the study's word. */
#include "common/model/modality.h"

#include <stdio.h>
#include <string.h>

#include "common/model/encoder/encoder_internal.h"

struct modality_kind {
    enum schema_kind of;   /**< not of a table */
    enum schema_form form; /**< of series */
    const char *word;
    RC(*declare)
    (struct modality *m, struct param_table *table, const char *name,
     const struct study_model *spec, struct error *err);
    struct node *(*record)(const struct modality *m, struct tape *t, const struct batch *batch,
                           const struct tape_dropout *drop);
};

/* W x + b where the widths differ. */
static enum rc fit_declare(struct modality *m, struct param_table *table, const char *name,
                           size_t from, struct error *err)
{
    return from == m->width
               ? RC_OK
               : encoder_linear_declare(table, name, "out", m->width, from, &m->out, err);
}

static struct node *fit_record(const struct modality *m, struct tape *t, struct node *h,
                               size_t from)
{
    return from == m->width ? h : encoder_linear_record(&m->out, t, h);
}

static struct transformer body_of(const struct study_model *spec)
{
    return (struct transformer){.width = spec->width,
                                .heads = spec->heads,
                                .hidden = 2 * spec->width,
                                .layers = spec->layers};
}

/* Codes of events or of a text; what is beyond their length is padding: -1, in the step arena. */
static const int32_t *codes_of(const struct modality *m, struct tape *t, const struct batch *batch)
{
    const size_t T = m->layout.items;
    int32_t *code = (int32_t *)(void *)tape_bytes(t, t->B * T * sizeof *code);
    for (size_t b = 0; code != NULL && b < t->B; b++) {
        const struct batch_part *p = &batch->part[m->part];
        for (size_t i = 0; i < T; i++) {
            code[b * T + i] = i < (size_t)p->length[b] ? p->codes[b * T + i] : -1;
        }
    }
    return code;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* h = relu(W1 [x; E_1[code_1]; …] + b1);  vector = W2 h + b2 */
static enum rc mlp_table_declare(struct modality *m, struct param_table *table, const char *name,
                                 const struct study_model *spec, struct error *err)
{
    const size_t E = spec->embedding;
    enum rc rc = RC_OK;
    for (size_t k = 0; rc == RC_OK && k < m->n_codes; k++) {
        char code[32];
        (void)snprintf(code, sizeof code, "code%zu", k);
        rc =
            encoder_param(table, name, code, PARAM_FAN_IN, m->categories[k], E, &m->column[k], err);
    }
    if (rc == RC_OK) {
        rc = encoder_linear_declare(table, name, "in", m->width, m->n_values + m->n_codes * E,
                                    &m->in, err);
    }
    return rc == RC_OK
               ? encoder_linear_declare(table, name, "out", m->width, m->width, &m->out, err)
               : rc;
}

static struct node *mlp_table_record(const struct modality *m, struct tape *t,
                                     const struct batch *batch, const struct tape_dropout *drop)
{
    struct node *h = m->n_values > 0 ? tape_input(t, batch->values, m->n_values) : NULL;
    for (size_t k = 0; k < m->n_codes; k++) {
        const int32_t *code = batch->codes == NULL ? NULL : batch->codes + k;
        struct node *e = tape_embedding(t, m->column[k], code, m->n_codes);
        h = k == 0 && m->n_values == 0 ? e : tape_concat(t, h, e);
    }
    h = encoder_drop(t, tape_relu(t, encoder_linear_record(&m->in, t, h)), drop);
    return encoder_linear_record(&m->out, t, h);
}

static enum rc features_declare(struct modality *m, struct param_table *table, const char *name,
                                const struct study_model *spec, struct error *err)
{
    struct feature_transformer *e = &m->features;
    *e = (struct feature_transformer){.numbers = m->n_values,
                                      .columns = m->n_codes,
                                      .body = body_of(spec)};
    memcpy(e->categories, m->categories, sizeof e->categories);
    return feature_transformer_declare(table, name, e, err);
}

static struct node *features_record(const struct modality *m, struct tape *t,
                                    const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_table x = {.values = batch->values, .codes = batch->codes};
    return feature_transformer_record(&m->features, t, &x, drop);
}

/* ---- series ---------------------------------------------------------------------------------- */

static struct encoder_series series_of(const struct modality *m, const struct batch *batch)
{
    struct encoder_series x = {.T = m->layout.steps, .V = m->layout.variables};
    if (batch->part != NULL) {
        const struct batch_part *p = &batch->part[m->part];
        x.values = p->values;
        x.seen = p->mask;
        x.since = p->delta;
    }
    return x;
}

static enum rc gru_declare(struct modality *m, struct param_table *table, const char *name,
                           const struct study_model *spec, struct error *err)
{
    m->gru = (struct gru_encoder){.variables = m->layout.variables,
                                  .width = m->width,
                                  .layers = spec->layers};
    return gru_encoder_declare(table, name, &m->gru, err);
}

static struct node *gru_record(const struct modality *m, struct tape *t, const struct batch *batch,
                               const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return gru_encoder_record(&m->gru, t, &x, drop);
}

static enum rc lstm_declare(struct modality *m, struct param_table *table, const char *name,
                            const struct study_model *spec, struct error *err)
{
    m->lstm = (struct lstm_encoder){.variables = m->layout.variables,
                                    .width = m->width,
                                    .layers = spec->layers};
    return lstm_encoder_declare(table, name, &m->lstm, err);
}

static struct node *lstm_record(const struct modality *m, struct tape *t, const struct batch *batch,
                                const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return lstm_encoder_record(&m->lstm, t, &x, drop);
}

static enum rc series_transformer_of(struct modality *m, struct param_table *table,
                                     const char *name, const struct study_model *spec,
                                     struct error *err)
{
    m->series =
        (struct series_transformer){.variables = m->layout.variables, .body = body_of(spec)};
    return series_transformer_declare(table, name, &m->series, err);
}

static struct node *series_transformer_of_record(const struct modality *m, struct tape *t,
                                                 const struct batch *batch,
                                                 const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return series_transformer_record(&m->series, t, &x, drop);
}

/* As many blocks as see the whole series, and no more. */
static enum rc tcn_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    struct tcn_spec s = {
        .channels = 3 * m->layout.variables, .width = m->width, .blocks = 1, .size = 3};
    (void)spec;
    while (s.blocks < TCN_BLOCKS_MAX && tcn_reach(&s) < m->layout.steps) {
        s.blocks++;
    }
    return tcn_declare(&m->tcn, table, name, &s, err);
}

static struct node *tcn_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_series x = series_of(m, batch);
    return encoder_drop(t, tcn_record(&m->tcn, t, encoder_series_record(t, &x), NULL), drop);
}

static enum rc events_of(struct modality *m, struct param_table *table, const char *name,
                         const struct study_model *spec, struct error *err)
{
    m->events = (struct event_transformer){.variables = m->layout.variables, .body = body_of(spec)};
    return event_transformer_declare(table, name, &m->events, err);
}

static struct node *events_of_record(const struct modality *m, struct tape *t,
                                     const struct batch *batch, const struct tape_dropout *drop)
{
    struct encoder_events x = {.T = m->layout.items, .code = codes_of(m, t, batch)};
    if (batch->part != NULL) {
        x.values = batch->part[m->part].values;
        x.when = batch->part[m->part].delta;
    }
    return event_transformer_record(&m->events, t, &x, drop);
}

/* ---- images ---------------------------------------------------------------------------------- */

static const float *pixels_of(const struct modality *m, const struct batch *batch)
{
    return batch->part == NULL ? NULL : batch->part[m->part].values;
}

/* Three stages of a quarter of the width, half of it and all of it. */
static enum rc cnn_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    const size_t first = m->width / 4 < 4 ? 4 : m->width / 4 / 4 * 4;
    const struct cnn_spec s = {
        .channels = m->layout.channels, .first = first, .stages = 3, .groups = 4};
    (void)spec;
    const enum rc rc = cnn_declare(&m->cnn, table, name, &s, err);
    return rc == RC_OK ? fit_declare(m, table, name, cnn_width(&s), err) : rc;
}

static struct node *cnn_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    const size_t dim[3] = {m->layout.height, m->layout.width, m->layout.channels};
    struct node *h = cnn_record(&m->cnn, t, tape_input_shaped(t, pixels_of(m, batch), 3, dim));
    return encoder_drop(t, fit_record(m, t, h, cnn_width(&m->cnn.spec)), drop);
}

/* The largest square, of at most a quarter of the side, that divides both sides. */
static size_t patch_of(size_t height, size_t width)
{
    size_t p = (height < width ? height : width) / 4;
    while (p > 1 && (height % p != 0 || width % p != 0)) {
        p--;
    }
    return p < 1 ? 1 : p;
}

static enum rc vit_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    m->vit = (struct vit){.height = m->layout.height,
                          .width = m->layout.width,
                          .channels = m->layout.channels,
                          .patch = patch_of(m->layout.height, m->layout.width),
                          .body = body_of(spec)};
    return vit_declare(table, name, &m->vit, err);
}

static struct node *vit_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_image x = {.pixels = pixels_of(m, batch)};
    return vit_record(&m->vit, t, &x, drop);
}

/* ---- notes ----------------------------------------------------------------------------------- */

static enum rc bag_of(struct modality *m, struct param_table *table, const char *name,
                      const struct study_model *spec, struct error *err)
{
    (void)spec;
    m->bag = (struct ngram_bag){.vocabulary = m->layout.vocabulary,
                                .embedding = m->width,
                                .width = m->width};
    return ngram_bag_declare(table, name, &m->bag, err);
}

static struct node *bag_of_record(const struct modality *m, struct tape *t,
                                  const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_codes x = {.T = m->layout.items, .code = codes_of(m, t, batch)};
    return ngram_bag_record(&m->bag, t, &x, drop);
}

static enum rc text_of(struct modality *m, struct param_table *table, const char *name,
                       const struct study_model *spec, struct error *err)
{
    m->text = (struct text_transformer){.vocabulary = m->layout.vocabulary, .body = body_of(spec)};
    return text_transformer_declare(table, name, &m->text, err);
}

static struct node *text_of_record(const struct modality *m, struct tape *t,
                                   const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_codes x = {.T = m->layout.items, .code = codes_of(m, t, batch)};
    return text_transformer_record(&m->text, t, &x, drop);
}

/* ---- by word --------------------------------------------------------------------------------- */

static const struct modality_kind tables[] = {
    {.word = "mlp", .declare = mlp_table_declare, .record = mlp_table_record},
    {.word = "transformer", .declare = features_declare, .record = features_record},
};
static const struct modality_kind parts[] = {
    {SCHEMA_SERIES, SCHEMA_GRID, "gru", gru_declare, gru_record},
    {SCHEMA_SERIES, SCHEMA_GRID, "lstm", lstm_declare, lstm_record},
    {SCHEMA_SERIES, SCHEMA_GRID, "cnn", tcn_of, tcn_of_record},
    {SCHEMA_SERIES, SCHEMA_GRID, "transformer", series_transformer_of,
     series_transformer_of_record},
    {SCHEMA_SERIES, SCHEMA_EVENTS, "transformer", events_of, events_of_record},
    {SCHEMA_IMAGE, 0, "cnn", cnn_of, cnn_of_record},
    {SCHEMA_IMAGE, 0, "vit", vit_of, vit_of_record},
    {SCHEMA_NOTES, 0, "bag", bag_of, bag_of_record},
    {SCHEMA_NOTES, 0, "transformer", text_of, text_of_record},
};

static enum rc declare(struct modality *m, struct param_table *table, const char *name,
                       const struct study_model *spec, struct error *err)
{
    char adapter[PARAM_NAME_MAX];
    if (m->kind == NULL) {
        return error_set(err, RC_INVALID, "modality '%s' has no encoder named '%s'", name, m->word);
    }
    const enum rc rc = m->kind->declare(m, table, name, spec, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (snprintf(adapter, sizeof adapter, "%s.adapter", name) >= (int)sizeof adapter) {
        return error_set(err, RC_LIMIT, "the name '%.20s...' is too long for a parameter", name);
    }
    return adapter_declare(table, adapter, spec->adapter, m->width, &m->adapter, err);
}

enum rc modality_table(struct param_table *table, const struct study_model *spec,
                       const struct schema *schema, struct modality *m, struct error *err)
{
    const struct schema_layout layout = schema_layout(schema);
    *m = (struct modality){.word = spec->table,
                           .width = spec->width,
                           .n_values = layout.n_values,
                           .n_codes = layout.n_codes};
    if (layout.n_codes > ENCODER_COLUMNS_MAX) {
        return error_set(err, RC_LIMIT,
                         "model 'multimodal' takes at most %d categorical features, the cohort has "
                         "%zu",
                         (int)ENCODER_COLUMNS_MAX, layout.n_codes);
    }
    for (size_t k = 0; k < layout.n_codes; k++) {
        m->categories[k] = schema_code_count(schema, k);
    }
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        m->kind = strcmp(tables[i].word, spec->table) == 0 ? &tables[i] : m->kind;
    }
    return declare(m, table, "table", spec, err);
}

static const char *word_of(const struct study_model *spec, enum schema_kind kind)
{
    switch (kind) {
    case SCHEMA_SERIES:
        return spec->series;
    case SCHEMA_IMAGE:
        return spec->image;
    case SCHEMA_NOTES:
        break;
    }
    return spec->notes;
}

enum rc modality_part(struct param_table *table, const struct study_model *spec,
                      const struct schema_layout *layout, size_t part, const char *name,
                      struct modality *m, struct error *err)
{
    const struct schema_part *p = &layout->part[part];
    *m = (struct modality){
        .word = word_of(spec, p->kind), .width = spec->width, .part = part, .layout = *p};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].of == p->kind && (p->kind != SCHEMA_SERIES || parts[i].form == p->form) &&
            strcmp(parts[i].word, m->word) == 0) {
            m->kind = &parts[i];
        }
    }
    if (p->kind == SCHEMA_IMAGE && p->channels != 1) { /* a batch has its channels first */
        return error_set(err, RC_INVALID,
                         "model 'multimodal' reads grey images; '%s' has %zu channels", name,
                         p->channels);
    }
    if (m->kind == NULL && p->kind == SCHEMA_SERIES && p->form == SCHEMA_EVENTS) {
        return error_set(err, RC_INVALID,
                         "encoder '%s' reads series on a grid, and '%s' comes as events; say "
                         "series: transformer, or give the cohort a grid",
                         m->word, name);
    }
    return declare(m, table, name, spec, err);
}

struct node *modality_record(const struct modality *m, struct tape *t, const struct batch *batch,
                             const struct tape_dropout *drop)
{
    return adapter_record(&m->adapter, t, m->kind->record(m, t, batch, drop));
}
