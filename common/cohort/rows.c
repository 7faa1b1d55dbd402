/*
 * A file of new patients -> rows to score. The import's scanner and reader; nothing is stored, and no
 * label is read.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

enum { FIRST_ROOM = 64 };

/* The public struct and the block that its arrays stand in, which grows by doubling. */
struct owned {
    struct cohort_rows r; /* first: the pointers are the same */
    struct arena memory;
    size_t room;
};

struct rows_reading {
    struct reader reader;
    struct owned *to;
    size_t n_seen;
    struct config_issues *issues;
};

/* Copied and wiped, not realloc'ed: that may leave patients behind in freed memory. */
static RC grow(struct owned *o, size_t room, struct error *err)
{
    struct cohort_rows *r = &o->r;
    struct arena memory = {0};
    const enum rc rc = arena_init(&memory,
                                  arena_cost(room, sizeof *r->patient) +
                                      arena_cost(room * r->n_values, sizeof *r->values) +
                                      arena_cost(room * r->n_codes, sizeof *r->codes),
                                  err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct cohort_rows old = *r;
    r->patient = arena_take(&memory, room, sizeof *r->patient);
    r->values = arena_take(&memory, room * r->n_values, sizeof *r->values);
    r->codes = arena_take(&memory, room * r->n_codes, sizeof *r->codes);
    if (r->n > 0) {
        memcpy(r->patient, old.patient, r->n * sizeof *r->patient);
        memcpy(r->values, old.values, r->n * r->n_values * sizeof *r->values);
        memcpy(r->codes, old.codes, r->n * r->n_codes * sizeof *r->codes);
    }
    arena_wipe(&o->memory);
    arena_release(&o->memory);
    o->memory = memory;
    o->room = room;
    return RC_OK;
}

static enum rc take_row(void *ctx, const struct scan_row *row, struct error *err)
{
    struct rows_reading *k = ctx;
    const struct schema *s = k->reader.s;
    struct cohort_rows *r = &k->to->r;
    struct reading reading;

    reader_read(&k->reader, "", row, &reading, k->issues);
    if (!reading.whole || k->issues->n > 0) { /* after a problem only problems are of interest */
        return RC_OK;
    }
    reader_count(&k->reader);
    if (r->n == k->to->room) {
        const enum rc rc = grow(k->to, 2 * k->to->room, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    float *values = r->values + r->n * r->n_values;
    int32_t *codes = r->codes + r->n * r->n_codes;
    for (size_t i = 0; i < s->n_features; i++) {
        const bool fits = cell_spread(&s->feature[i], k->reader.value[i], &values, &codes);
        assert(fits);
    }
    memcpy(r->patient[r->n], reading.patient, sizeof reading.patient);
    r->n++;
    return RC_OK;
}

static RC read_all(struct rows_reading *k, const struct schema *s, const char *path,
                   const struct cohort_bytes *bytes, const struct cohort_limits *limits,
                   struct cohort_summary *found, struct error *err)
{
    const struct schema_layout layout = schema_layout(s);
    struct scan *scan = NULL;

    k->to->r.n_values = layout.n_values;
    k->to->r.n_codes = layout.n_codes;
    enum rc rc = reader_init(&k->reader, s, READER_SCORE, err);
    if (rc == RC_OK) {
        rc = grow(k->to, FIRST_ROOM, err);
    }
    if (rc == RC_OK) {
        rc = scan_open(path, bytes, s->separator, limits, &scan, err);
    }
    if (rc == RC_OK) {
        rc = reader_walk(&k->reader, scan, limits->rows, &k->n_seen, take_row, k, k->issues, err);
    }
    scan_close(&scan);
    if (rc != RC_OK) {
        return error_context(err, "%s", path);
    }
    rc = config_verdict(k->issues, err);
    if (rc == RC_OK) {
        found->n_files = 1;
        found->n_rows = k->to->r.n;
        summary_features(found, &k->reader);
    }
    return rc;
}

enum rc cohort_read_rows_from(const struct schema *s, const char *path,
                              const struct cohort_bytes *bytes, const struct cohort_limits *limits,
                              struct cohort_rows **out, struct cohort_summary *found,
                              struct config_issues *issues, struct error *err)
{
    if (s->n_modalities > 0) {
        return error_set(
            err, RC_INVALID,
            "%s: new patients come from one file, and '%s' needs '%s' beside it; import "
            "them as a cohort of their own and evaluate that",
            path, s->name, s->modality[0].name);
    }
    assert(s->n_features > 0);
    struct cohort_summary sum = {0};
    struct rows_reading k = {.issues = issues};
    const char *path_before = issues->path;

    k.to = calloc(1, sizeof *k.to);
    if (k.to == NULL) {
        return error_set(err, RC_NOMEM, "%s: no memory to read it", path);
    }
    issues->path = path;
    const enum rc rc = read_all(&k, s, path, bytes, limits, &sum, err);
    issues->path = path_before;
    reader_release(&k.reader);
    struct cohort_rows *r = &k.to->r;
    if (rc == RC_OK) {
        *out = r;
        *found = sum;
        r = NULL; /* ownership moved */
    }
    cohort_rows_close(&r);
    return rc;
}

enum rc cohort_read_rows(const struct schema *s, const char *path, struct cohort_rows **out,
                         struct cohort_summary *found, struct config_issues *issues,
                         struct error *err)
{
    return cohort_read_rows_from(s, path, NULL, &cohort_limits, out, found, issues, err);
}

void cohort_rows_close(struct cohort_rows **r)
{
    if (*r == NULL) {
        return;
    }
    struct owned *o = (struct owned *)*r;
    arena_wipe(&o->memory);
    arena_release(&o->memory);
    free(o);
    *r = NULL;
}
