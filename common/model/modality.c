/* Which encoder a modality has: by the kind of its data and the study's word. */
#include "common/model/modality.h"

#include <stdio.h>
#include <string.h>

#include "common/model/fusion/fusion.h"
#include "common/model/modality_internal.h"

struct transformer modality_body(const struct study_model *spec)
{
    return (struct transformer){.width = spec->width,
                                .heads = spec->heads,
                                .hidden = 2 * spec->width,
                                .layers = spec->layers};
}

const int32_t *modality_codes(const struct modality *m, struct tape *t, const struct batch *batch)
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

static const struct modality_kind *find(const struct modality_kind *list, const char *word)
{
    while (list->word != NULL && strcmp(list->word, word) != 0) {
        list++;
    }
    return list->word == NULL ? NULL : list;
}

static enum rc declare(struct modality *m, struct param_table *table, const char *name,
                       const struct study_model *spec, const char *word, struct error *err)
{
    char adapter[PARAM_NAME_MAX];
    if (m->kind == NULL) {
        return error_set(err, RC_INVALID, "modality '%s' has no encoder named '%s'", name, word);
    }
    m->looked_at = fusion_looks_at_positions(spec->fusion);
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
    *m = (struct modality){.width = spec->width,
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
    m->kind = find(MODALITY_TABLE, spec->table);
    return declare(m, table, "table", spec, spec->table, err);
}

/* The study's word for this kind of data, and the encoders that it may be. */
static const char *word_of(const struct study_model *spec, const struct schema_part *p,
                           const struct modality_kind **list)
{
    switch (p->kind) {
    case SCHEMA_SERIES:
        *list = p->form == SCHEMA_EVENTS ? MODALITY_EVENTS : MODALITY_SERIES;
        return spec->series;
    case SCHEMA_IMAGE:
        *list = MODALITY_IMAGE;
        return spec->image;
    case SCHEMA_NOTES:
        break;
    }
    *list = MODALITY_NOTES;
    return spec->notes;
}

enum rc modality_part(struct param_table *table, const struct study_model *spec,
                      const struct schema_layout *layout, size_t part, const char *name,
                      struct modality *m, struct error *err)
{
    const struct schema_part *p = &layout->part[part];
    const struct modality_kind *list = NULL;
    *m = (struct modality){.width = spec->width, .part = part, .shift = spec->shift, .layout = *p};
    const char *word = word_of(spec, p, &list);
    m->kind = find(list, word);
    if (p->kind == SCHEMA_IMAGE && p->channels != 1) { /* a batch has its channels first */
        return error_set(err, RC_INVALID,
                         "model 'multimodal' reads grey images; '%s' has %zu channels", name,
                         p->channels);
    }
    if (m->kind == NULL && p->kind == SCHEMA_SERIES && p->form == SCHEMA_EVENTS) {
        return error_set(err, RC_INVALID,
                         "encoder '%s' reads series on a grid, and '%s' comes as events; say "
                         "series: transformer, or give the cohort a grid",
                         word, name);
    }
    return declare(m, table, name, spec, word, err);
}

struct node *modality_record(const struct modality *m, struct tape *t, const struct batch *batch,
                             const struct tape_dropout *drop)
{
    return adapter_record(&m->adapter, t, m->kind->record(m, t, batch, drop));
}

size_t modality_count(const struct modality *m)
{
    return m->kind->count == NULL ? 1 : m->kind->count(m);
}

bool modality_gives_positions(const struct modality *m)
{
    return m->looked_at && modality_count(m) > 1;
}

struct encoder_positions modality_positions(const struct modality *m, struct tape *t,
                                            const struct batch *batch,
                                            const struct tape_dropout *drop)
{
    struct encoder_positions p = m->kind->positions(m, t, batch, drop);
    p.x = adapter_record(&m->adapter, t, p.x);
    return p;
}
