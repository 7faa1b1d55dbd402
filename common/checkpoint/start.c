/* The model of round 0 out of a public checkpoint. Nothing of the file is believed. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/checkpoint/checkpoint_internal.h"

struct start {
    const struct study_start *study;
    const struct param_table *table;
    FILE *file;
    size_t data, n_data; /* where the tensors' bytes begin, and how many there are */
    bool *seen;          /* [table->n] */
    real *params;        /* [P] */
};

static size_t find(const struct param_table *t, const char *name)
{
    size_t i = 0;
    while (i < t->n && (t->param[i].scope != PARAM_SHARED || strcmp(t->param[i].name, name) != 0)) {
        i++;
    }
    return i;
}

/* A tensor that the model does not have may be of a block that begins anew. */
static bool is_of_new_block(const struct study_start *s, const char *name)
{
    struct param p = {.scope = PARAM_SHARED};
    (void)snprintf(p.name, sizeof p.name, "%s", name);
    return !model_starts(s, &p);
}

static bool has_shape(const json_t *shape, const struct param *p)
{
    bool same = json_is_array(shape) && json_array_size(shape) == p->rank;
    for (size_t i = 0; same && i < p->rank; i++) {
        const json_t *n = json_array_get(shape, i);
        same = json_is_integer(n) && json_integer_value(n) == (json_int_t)p->dim[i];
    }
    return same;
}

/* Its first byte, from where the data begin. */
static bool has_place(const struct start *s, const json_t *offsets, const struct param *p,
                      size_t *begin)
{
    const json_int_t from = json_integer_value(json_array_get(offsets, 0));
    const json_int_t to = json_integer_value(json_array_get(offsets, 1));
    const size_t n = p->size * sizeof *s->params;
    if (json_array_size(offsets) != 2 || from < 0 || to < from || (size_t)to > s->n_data ||
        (size_t)(to - from) != n) {
        return false;
    }
    *begin = (size_t)from;
    return true;
}

static RC take(struct start *s, const struct param *p, const json_t *tensor, struct error *err)
{
    const char *type = json_string_value(json_object_get(tensor, "dtype"));
    size_t begin = 0;
    if (type == NULL || strcmp(type, "F32") != 0) {
        return error_set(err, RC_INVALID, "tensor '%s' is not of type F32; convert it", p->name);
    }
    if (!has_shape(json_object_get(tensor, "shape"), p)) {
        return error_set(err, RC_INVALID,
                         "tensor '%s' has another shape than the model's; if its block is to begin "
                         "anew, name it under start: new:",
                         p->name);
    }
    if (!has_place(s, json_object_get(tensor, "data_offsets"), p, &begin)) {
        return error_set(err, RC_FORMAT, "tensor '%s' is not where its header says", p->name);
    }
    if (fseek(s->file, (long)(s->data + begin), SEEK_SET) != 0) {
        return error_set(err, RC_IO, "cannot read it");
    }
    real *to = s->params + p->offset; /* [size] */
    const enum rc rc = checkpoint_read_exactly(s->file, to, p->size * sizeof *to, err);
    for (size_t i = 0; rc == RC_OK && i < p->size; i++) {
        if (!isfinite(to[i])) {
            return error_set(err, RC_INVALID, "tensor '%s' has a number that is not finite",
                             p->name);
        }
    }
    return rc;
}

static RC take_all(struct start *s, json_t *header, struct error *err)
{
    const char *name;
    json_t *tensor;
    enum rc rc = RC_OK;
    json_object_foreach(header, name, tensor)
    {
        const size_t i = find(s->table, name);
        if (rc != RC_OK || strcmp(name, "__metadata__") == 0 || is_of_new_block(s->study, name)) {
            continue;
        }
        if (i == s->table->n) {
            rc =
                error_set(err, RC_INVALID,
                          "tensor '%.80s' is none of the model's; take it out of the file, or name "
                          "its block under start: new:",
                          name);
            text_make_printable(err->text);
        } else {
            rc = take(s, &s->table->param[i], tensor, err);
            s->seen[i] = true;
        }
    }
    for (size_t i = 0; rc == RC_OK && i < s->table->n; i++) {
        if (model_starts(s->study, &s->table->param[i]) && !s->seen[i]) {
            rc = error_set(err, RC_INVALID,
                           "it has no tensor '%s'; if that is to begin as usual, name its block "
                           "under start: new:",
                           s->table->param[i].name);
        }
    }
    return rc;
}

/* The format has no byte that is of no tensor: what follows the last one was not meant. */
static RC check_end(const struct start *s, json_t *header, struct error *err)
{
    const char *name;
    json_t *tensor;
    json_int_t end = 0;
    json_object_foreach(header, name, tensor)
    {
        const json_t *offsets = json_object_get(tensor, "data_offsets");
        const json_int_t to = json_integer_value(json_array_get(offsets, 1));
        end = strcmp(name, "__metadata__") != 0 && to > end ? to : end;
    }
    return (size_t)end == s->n_data
               ? RC_OK
               : error_set(
                     err, RC_FORMAT,
                     "its header names %lld bytes of numbers and %zu are there; it was cut or "
                     "added to",
                     (long long)end, s->n_data);
}

/* A block that is misspelt would be looked for in the file, and one that is nothing's do nothing. */
static RC check_new(const struct study_start *start, const struct param_table *t, struct error *err)
{
    for (size_t k = 0; k < start->n_fresh; k++) {
        bool found = false;
        for (size_t i = 0; i < t->n; i++) {
            found = found || param_is_in(&t->param[i], start->fresh[k]);
        }
        if (!found) {
            return error_set(err, RC_INVALID, "new: the model has no parameters named '%s'",
                             start->fresh[k]);
        }
    }
    return RC_OK;
}

static RC compare(const struct study_start *start, const struct model *model, const real *params,
                  struct error *err)
{
    char hex[HASH_HEX];
    const struct hash found = model_start_hash(model, start, params);
    if (hash_equal(&found, &start->numbers)) {
        return RC_OK;
    }
    hash_hex(&found, hex);
    return error_set(err, RC_INVALID,
                     "its numbers have the hash %s, and the study says another; if it is the file "
                     "that is meant, write that under start: hash:",
                     hex);
}

enum rc checkpoint_start_stream(FILE *f, size_t size, const struct study_start *start,
                                const struct model *model, real *params, struct error *err)
{
    struct start s = {.study = start, .table = &model->table, .file = f, .params = params};
    json_t *header = NULL;
    size_t n_header = 0;
    s.seen = calloc(model->table.n + 1, sizeof *s.seen);
    if (s.seen == NULL) {
        return error_set(err, RC_NOMEM, "no memory to read it");
    }
    enum rc rc = checkpoint_read_header(f, size, &header, &n_header, err);
    if (rc == RC_OK) {
        s.data = CHECKPOINT_LENGTH_BYTES + n_header;
        s.n_data = size - s.data;
        rc = take_all(&s, header, err);
    }
    if (rc == RC_OK) {
        rc = check_end(&s, header, err);
    }
    if (rc == RC_OK) {
        rc = compare(start, model, params, err);
    }
    json_decref(header);
    free(s.seen);
    return rc;
}

static RC read_start(const struct study_start *start, const struct model *model, real *params,
                     struct error *err)
{
    FILE *f = NULL;
    size_t size = 0;
    enum rc rc = checkpoint_open_file(start->file, &f, &size, err);
    if (rc == RC_OK) {
        rc = checkpoint_start_stream(f, size, start, model, params, err);
        (void)fclose(f);
    }
    return rc;
}

enum rc checkpoint_first(const struct study *study, const struct model *model, real *params,
                         struct error *err)
{
    param_init_values(&model->table, study->seed, params);
    if (!study->start.there) {
        return RC_OK;
    }
    enum rc rc = check_new(&study->start, &model->table, err);
    if (rc == RC_OK) {
        rc = read_start(&study->start, model, params, err);
        rc = rc == RC_OK ? RC_OK : error_context(err, "checkpoint '%s'", study->start.file);
    }
    if (rc != RC_OK && study->start.line > 0) {
        rc = error_context(err, "start, line %zu", study->start.line);
    }
    return rc;
}
