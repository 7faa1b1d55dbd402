/*
 * Nothing of the file is believed: its header is bounded before it is parsed, the study inside is
 * read by the rules of any study document, and then the header that this study, model and these
 * parameters would be written with is compared with the one that is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checkpoint/checkpoint_internal.h"

enum rc checkpoint_read_exactly(FILE *f, void *to, size_t n, struct error *err)
{
    if (fread(to, 1, n, f) == n) {
        return RC_OK;
    }
    return ferror(f) != 0 ? error_set(err, RC_IO, "cannot read it: %s", strerror(errno))
                          : error_set(err, RC_FORMAT, "it ends too early: copy it again");
}

static RC not_safetensors(struct error *err)
{
    return error_set(err, RC_FORMAT,
                     "it is no safetensors file, or only a piece of one: save or copy it again");
}

/* ---- the header's text ----------------------------------------------------------------------- */

/*
 * jansson recurses up to 2048 levels and makes some hundred bytes of a value: both are bounded here,
 * by what our own headers have. Strings are skipped as JSON has them; what is not JSON it finds.
 */
static RC check_shape(const char *text, size_t n, struct error *err)
{
    enum { COMMAS_MAX = 16 * PARAM_MAX };
    size_t depth = 0;
    size_t commas = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else {
            commas += c == ',';
        }
        if (depth > CHECKPOINT_DEPTH_MAX || commas > COMMAS_MAX) {
            return error_set(err, RC_LIMIT, "its header is nested too deeply or lists too much");
        }
    }
    return RC_OK;
}

enum rc checkpoint_read_header(FILE *f, size_t size, json_t **out, size_t *n_header,
                               struct error *err)
{
    unsigned char length[CHECKPOINT_LENGTH_BYTES];
    json_error_t why;
    uint64_t n = 0;
    char *text = NULL;

    if (size > CHECKPOINT_BYTES_MAX) {
        return error_set(err, RC_LIMIT, "it has more than %d bytes", (int)CHECKPOINT_BYTES_MAX);
    }
    if (size < CHECKPOINT_LENGTH_BYTES) {
        return not_safetensors(err);
    }
    enum rc rc = checkpoint_read_exactly(f, length, sizeof length, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; i < sizeof length; i++) {
        n |= (uint64_t)length[i] << (8 * i);
    }
    if (n > size - sizeof length || n < 2) {
        return not_safetensors(err);
    }
    if (n > CHECKPOINT_HEADER_BYTES_MAX) {
        return error_set(err, RC_LIMIT, "its header has more than %d bytes",
                         (int)CHECKPOINT_HEADER_BYTES_MAX);
    }
    text = malloc(n);
    if (text == NULL) {
        return error_set(err, RC_NOMEM, "no memory for its header");
    }
    rc = checkpoint_read_exactly(f, text, n, err);
    if (rc == RC_OK) {
        rc = check_shape(text, n, err);
    }
    if (rc == RC_OK) {
        *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
        *n_header = n;
        if (*out == NULL) {
            rc = error_set(err, RC_FORMAT, "its header is no JSON object (at byte %d)",
                           why.position);
        }
    }
    free(text);
    return rc;
}

/* ---- what the header says --------------------------------------------------------------------- */

/* What it must say for the rest to be worked out. Borrowed. */
struct said {
    const char *format, *document, *schema, *sigma, *round;
    const char *sample_rate, *rounds; /* NULL unless it was planned */
};

static RC read_metadata(const json_t *header, struct said *s, struct error *err)
{
    const json_t *m = json_object_get(header, "__metadata__");
    const struct {
        const char *key;
        const char **to;
    } want[] = {{"format", &s->format},
                {"document", &s->document},
                {"schema", &s->schema},
                {"sigma", &s->sigma},
                {"round", &s->round}};

    const char *format = json_string_value(json_object_get(m, "format"));
    if (format == NULL || strcmp(format, CHECKPOINT_FORMAT) != 0) {
        return error_set(err, RC_FORMAT, "it is no %s: another program's file, or a newer one",
                         CHECKPOINT_FORMAT);
    }
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        *want[i].to = json_string_value(json_object_get(m, want[i].key));
        if (*want[i].to == NULL) {
            return error_set(err, RC_FORMAT, "its metadata lack '%s'", want[i].key);
        }
    }
    s->sample_rate = json_string_value(json_object_get(m, "planned_sample_rate"));
    s->rounds = json_string_value(json_object_get(m, "planned_rounds"));
    return RC_OK;
}

static bool parse_round(const char *text, uint64_t *out)
{
    const size_t n = strlen(text);
    if (n == 0 || n > 18 || strspn(text, "0123456789") != n) {
        return false;
    }
    *out = strtoull(text, NULL, 10);
    return true;
}

static RC read_choice(const struct said *s, struct study_choice *out, struct error *err)
{
    struct study_choice choice = {.planned = s->sample_rate != NULL || s->rounds != NULL};
    uint64_t rounds = 0;
    if (!schema_number(s->sigma, &choice.sigma) || choice.sigma < 0.0) {
        return error_set(err, RC_FORMAT, "its 'sigma' is no noise multiplier");
    }
    if (choice.planned &&
        (s->sample_rate == NULL || !schema_number(s->sample_rate, &choice.sample_rate) ||
         s->rounds == NULL || !parse_round(s->rounds, &rounds))) {
        return error_set(err, RC_FORMAT,
                         "its 'planned_sample_rate' and 'planned_rounds' are no plan");
    }
    choice.rounds = (size_t)rounds;
    *out = choice;
    return RC_OK;
}

static RC open_study(const struct said *s, struct checkpoint *c, struct error *err)
{
    struct study_choice choice = {0};
    enum rc rc = read_choice(s, &choice, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = agreement_from_text(s->document, s->schema, &choice, &c->agreement, err);
    if (rc != RC_OK) {
        return error_context(err, "the study inside");
    }
    if (!parse_round(s->round, &c->round) || c->round > study_rounds_most(&c->agreement.study)) {
        return error_set(err, RC_INVALID, "its 'round' is no round of a study of %zu rounds",
                         study_rounds_most(&c->agreement.study));
    }
    rc = model_open(&c->agreement.study.model, &c->agreement.schema, &c->model, err);
    return rc == RC_OK ? RC_OK : error_context(err, "the model inside");
}

/* ---- parameters ------------------------------------------------------------------------------ */

static RC read_params(FILE *f, size_t n_bytes, struct checkpoint *c, struct error *err)
{
    const size_t S = c->model.table.S;
    if (n_bytes % sizeof *c->params != 0 || n_bytes / sizeof *c->params != S) {
        return error_set(err, RC_FORMAT,
                         "%zu bytes of parameters where the model has %zu of 4 bytes", n_bytes, S);
    }
    c->params = malloc(n_bytes + 1); /* a model may have site parameters alone */
    if (c->params == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu parameters", S);
    }
    const enum rc rc = checkpoint_read_exactly(f, c->params, n_bytes, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; i < S; i++) {
        if (!isfinite(c->params[i])) {
            return error_set(err, RC_INVALID, "parameter %zu is not finite", i);
        }
    }
    c->id = hash_of(c->params, n_bytes);
    return RC_OK;
}

/* ---- is it the file that we would write? ------------------------------------------------------ */

/* As programs before trees of hashes named it. */
static bool is_old_id(const struct checkpoint *c, const json_t *id)
{
    char hex[HASH_HEX];
    const struct hash before = hash_before_trees(c->params, c->model.table.S * sizeof *c->params);
    hash_hex(&before, hex);
    return json_is_string(id) && strcmp(json_string_value(id), hex) == 0;
}

/* Other tools may add metadata of their own; ours must be there and right. */
static RC compare_metadata(const struct checkpoint *c, json_t *want, const json_t *found,
                           struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(want, key, value)
    {
        json_t *there = json_object_get(found, key);
        if (json_equal(value, there) == 0 && !(strcmp(key, "id") == 0 && is_old_id(c, there))) {
            return strcmp(key, "id") == 0
                       ? error_set(err, RC_INVALID,
                                   "its parameters are not those that were saved: copy it again")
                       : error_set(err, RC_INVALID, "'%s' does not belong to the study inside",
                                   key);
        }
    }
    return RC_OK;
}

static RC compare(const struct checkpoint *c, const json_t *header, struct error *err)
{
    json_t *want = NULL;
    const char *key;
    json_t *value;

    enum rc rc = checkpoint_header(&c->agreement, &c->model, c->round, &c->id, &want, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (json_object_size(header) != json_object_size(want)) {
        rc = error_set(err, RC_INVALID, "%zu tensors where the model has %zu",
                       json_object_size(header) - 1, json_object_size(want) - 1);
    }
    json_object_foreach(want, key, value)
    {
        if (rc != RC_OK) {
            break;
        }
        json_t *found = json_object_get(header, key);
        if (strcmp(key, "__metadata__") == 0) {
            rc = compare_metadata(c, value, found, err);
        } else if (json_equal(value, found) == 0) {
            rc = error_set(err, RC_INVALID,
                           "tensor '%s' is missing, or its type, shape or place is not the model's",
                           key);
        }
    }
    json_decref(want);
    return rc;
}

enum rc checkpoint_read_stream(FILE *f, size_t size, struct checkpoint *out, struct error *err)
{
    struct checkpoint c = {0};
    struct said said = {0};
    json_t *header = NULL;
    size_t n_header = 0;
    enum rc rc;

    rc = checkpoint_read_header(f, size, &header, &n_header, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = read_metadata(header, &said, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = open_study(&said, &c, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = read_params(f, size - CHECKPOINT_LENGTH_BYTES - n_header, &c, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = compare(&c, header, err);
    if (rc == RC_OK) {
        *out = c;
        c = (struct checkpoint){0}; /* ownership moved */
    }
out:
    json_decref(header);
    checkpoint_release(&c);
    return rc;
}

enum rc checkpoint_open_file(const char *path, FILE **out, size_t *size, struct error *err)
{
    struct stat info;
    /* Not blocking: a pipe in the place of a file must not hold us up. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return error_set(err, RC_IO, "cannot open it: %s", strerror(errno));
    }
    FILE *f = NULL;
    enum rc rc = RC_OK;
    if (fstat(fd, &info) != 0) {
        rc = error_set(err, RC_IO, "cannot open it: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        rc = error_set(err, RC_IO, "cannot open it: not a file");
    } else {
        f = fdopen(fd, "rb");
        if (f == NULL) {
            rc = error_set(err, RC_NOMEM, "no memory to read it");
        }
    }
    if (rc != RC_OK) {
        (void)close(fd);
        return rc;
    }
    *out = f;
    *size = (size_t)info.st_size;
    return RC_OK;
}

enum rc checkpoint_read(const char *path, struct checkpoint *out, struct error *err)
{
    FILE *f = NULL;
    size_t size = 0;
    enum rc rc = checkpoint_open_file(path, &f, &size, err);
    if (rc == RC_OK) {
        rc = checkpoint_read_stream(f, size, out, err);
        (void)fclose(f);
    }
    return rc == RC_OK ? RC_OK : error_context(err, "model file '%s'", path);
}

void checkpoint_release(struct checkpoint *c)
{
    agreement_release(&c->agreement);
    model_release(&c->model);
    free(c->params);
    *c = (struct checkpoint){0};
}
