/* Encoders of the table: its features as one vector, or a token each. */
#include <stdio.h>
#include <string.h>

#include "common/model/modality_internal.h"

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
                                      .body = modality_body(spec)};
    memcpy(e->categories, m->categories, sizeof e->categories);
    return feature_transformer_declare(table, name, e, err);
}

static struct node *features_record(const struct modality *m, struct tape *t,
                                    const struct batch *batch, const struct tape_dropout *drop)
{
    const struct encoder_table x = {.values = batch->values, .codes = batch->codes};
    return feature_transformer_record(&m->features, t, &x, drop);
}

static struct encoder_positions features_positions(const struct modality *m, struct tape *t,
                                                   const struct batch *batch,
                                                   const struct tape_dropout *drop)
{
    const struct encoder_table x = {.values = batch->values, .codes = batch->codes};
    return feature_transformer_positions(&m->features, t, &x, drop);
}

static size_t features_count(const struct modality *m)
{
    return 1 + m->n_values + m->n_codes;
}

const struct modality_kind MODALITY_TABLE[] = {
    {.word = "mlp", .declare = mlp_table_declare, .record = mlp_table_record},
    {.word = "transformer",
     .declare = features_declare,
     .record = features_record,
     .positions = features_positions,
     .count = features_count},
    {.word = NULL},
};
