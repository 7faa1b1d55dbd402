/*
 * The header of safetensors: one JSON object, keys sorted, no white space inside.
 *
 *   "__metadata__": texts only, as the format wants
 *       format          wardround-model 1
 *       document        the study document as its author wrote it
 *       schema          the features and the label that the model reads
 *       sigma           noise multiplier, %.17g: with both above it makes the study once more
 *       planned_sample_rate, planned_rounds
 *                       of a study whose document has `passes`, and only of such a one
 *       round           the last round in it, decimal
 *       id              BLAKE2b of the parameters' bytes
 *       study, study_hash, schema_hash, noise, epsilon, delta
 *                       follow from the others; for who reads the file with other tools
 *   NAME: {"data_offsets": [begin, end], "dtype": "F32", "shape": [...]}
 *       each shared parameter; bytes in the order of the table, without gaps
 */
#include "common/checkpoint/checkpoint_internal.h"

static void add_text(json_t *to, const char *key, const char *text)
{
    (void)json_object_set_new(to, key, json_string(text)); /* NULL is counted as missing below */
}

static void add_hash(json_t *to, const char *key, const struct hash *h)
{
    char hex[HASH_HEX];
    hash_hex(h, hex);
    add_text(to, key, hex);
}

static void add_real(json_t *to, const char *key, double x)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.17g", x);
    add_text(to, key, text);
}

/* NULL: a text that JSON cannot hold, or no memory. */
static json_t *metadata(const struct agreement *a, uint64_t round, const struct hash *id)
{
    const struct study_choice choice = study_choice_of(&a->study);
    const size_t keys = choice.planned ? 14 : 12;
    json_t *m = json_object();
    char text[24];
    const struct hash schema = schema_hash(&a->schema);

    add_text(m, "format", CHECKPOINT_FORMAT);
    add_text(m, "document", a->document);
    add_text(m, "schema", a->schema_text);
    add_real(m, "sigma", choice.sigma);
    if (choice.planned) {
        add_real(m, "planned_sample_rate", choice.sample_rate);
        (void)snprintf(text, sizeof text, "%zu", choice.rounds);
        add_text(m, "planned_rounds", text);
    }
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)round);
    add_text(m, "round", text);
    add_hash(m, "id", id);
    add_text(m, "study", a->study.name);
    add_hash(m, "study_hash", &a->study_hash);
    add_hash(m, "schema_hash", &schema);
    add_text(m, "noise", study_noise_name(a->study.privacy.noise));
    add_real(m, "epsilon", a->study.privacy.epsilon);
    add_real(m, "delta", a->study.privacy.delta);
    if (json_object_size(m) != keys) {
        json_decref(m);
        return NULL;
    }
    return m;
}

static json_t *tensor(const struct param *p)
{
    json_t *t = json_object();
    json_t *shape = json_array();
    json_t *offsets = json_array();
    const size_t begin = p->offset * sizeof(real);
    const size_t end = begin + p->size * sizeof(real);
    for (size_t i = 0; i < p->rank; i++) {
        (void)json_array_append_new(shape, json_integer((json_int_t)p->dim[i]));
    }
    (void)json_array_append_new(offsets, json_integer((json_int_t)begin));
    (void)json_array_append_new(offsets, json_integer((json_int_t)end));
    const int failed = json_array_size(shape) != p->rank || json_array_size(offsets) != 2 ||
                       json_object_set(t, "data_offsets", offsets) != 0 ||
                       json_object_set_new(t, "dtype", json_string("F32")) != 0 ||
                       json_object_set(t, "shape", shape) != 0;
    json_decref(shape);
    json_decref(offsets);
    if (failed) {
        json_decref(t);
        return NULL;
    }
    return t;
}

enum rc checkpoint_header(const struct agreement *agreement, const struct model *model,
                          uint64_t round, const struct hash *id, json_t **out, struct error *err)
{
    const struct param_table *table = &model->table;
    json_t *header = json_object();
    if (header == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the header of a model file");
    }
    if (json_object_set_new(header, "__metadata__", metadata(agreement, round, id)) != 0) {
        json_decref(header);
        return error_set(err, RC_INVALID,
                         "the study document or the features are not UTF-8, or there is no memory");
    }
    for (size_t i = 0; i < table->n; i++) {
        const struct param *p = &table->param[i];
        if (p->scope == PARAM_SHARED && json_object_set_new(header, p->name, tensor(p)) != 0) {
            json_decref(header);
            return error_set(err, RC_NOMEM, "no memory for the header of a model file");
        }
    }
    *out = header;
    return RC_OK;
}
