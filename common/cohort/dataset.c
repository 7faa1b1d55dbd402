#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

/* The public struct and the one block that all its arrays stand in. */
struct owned {
    struct dataset d; /* first: the pointers are the same */
    struct arena memory;
    struct arena parts; /* the modalities: how large they are is known later */
};

enum rc dataset_reserve(size_t n_patients, size_t n_rows, size_t n_values, size_t n_codes,
                        size_t n_sites, struct dataset **out, struct error *err)
{
    if (n_patients > COHORT_ROWS_MAX || n_rows > COHORT_ROWS_MAX || n_sites > COHORT_ROWS_MAX) {
        return error_set(err, RC_LIMIT, "dataset: more than %d rows", COHORT_ROWS_MAX);
    }
    if (n_values > 2 * (size_t)SCHEMA_FEATURES_MAX || n_codes > SCHEMA_FEATURES_MAX) {
        return error_set(err, RC_LIMIT, "dataset: more than %d features", SCHEMA_FEATURES_MAX);
    }
    struct owned *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return error_set(err, RC_NOMEM, "dataset: no memory");
    }
    struct dataset *d = &o->d;
    const size_t cost =
        arena_cost(n_sites, sizeof *d->site_name) + arena_cost(n_patients, sizeof *d->patient_id) +
        arena_cost(n_patients, sizeof *d->patient) +
        arena_cost(n_patients + 1, sizeof *d->first_row) + arena_cost(n_patients, sizeof *d->site) +
        arena_cost(n_patients, sizeof *d->label) +
        arena_cost(n_rows * n_values, sizeof *d->values) +
        arena_cost(n_rows * n_codes, sizeof *d->codes);
    const enum rc rc = arena_init(&o->memory, cost, err);
    if (rc != RC_OK) {
        free(o);
        return error_context(err, "dataset");
    }
    d->n_patients = n_patients;
    d->n_rows = n_rows;
    d->n_values = n_values;
    d->n_codes = n_codes;
    d->n_sites = n_sites;
    d->site_name = arena_take(&o->memory, n_sites, sizeof *d->site_name);
    d->patient_id = arena_take(&o->memory, n_patients, sizeof *d->patient_id);
    d->patient = arena_take(&o->memory, n_patients, sizeof *d->patient);
    d->first_row = arena_take(&o->memory, n_patients + 1, sizeof *d->first_row);
    d->site = arena_take(&o->memory, n_patients, sizeof *d->site);
    d->label = arena_take(&o->memory, n_patients, sizeof *d->label);
    d->values = arena_take(&o->memory, n_rows * n_values, sizeof *d->values);
    d->codes = arena_take(&o->memory, n_rows * n_codes, sizeof *d->codes);
    *out = d;
    return RC_OK;
}

void dataset_close(struct dataset **d)
{
    if (*d == NULL) {
        return;
    }
    struct owned *o = (struct owned *)*d;
    arena_wipe(&o->memory);
    arena_release(&o->memory);
    arena_wipe(&o->parts);
    arena_release(&o->parts);
    free(o);
    *d = NULL;
}

/* ---- from the store ------------------------------------------------------------------------- */

/* What no import writes can stand in a file that somebody else wrote to. */
static RC damaged(struct error *err)
{
    return error_set(err, RC_FORMAT, "the imported cohort is damaged: import it again");
}

/* One query's only row. */
static RC ask(struct store *store, const char *sql, struct statement **out, bool *row,
              struct error *err)
{
    statement_close(out);
    enum rc rc = store_prepare(store, sql, out, err);
    if (rc == RC_OK) {
        rc = statement_step(*out, row, err);
    }
    return rc;
}

static bool read_hash(struct statement *st, int column, struct hash *out)
{
    size_t n;
    const void *data = statement_blob(st, column, &n);
    if (data == NULL || n != sizeof out->b) {
        return false;
    }
    memcpy(out->b, data, n);
    return true;
}

/* The version, if the store holds this schema's cohort. */
static RC read_version(const struct schema *s, struct store *store, struct hash *out,
                       struct error *err)
{
    struct statement *st = NULL;
    const struct hash want = schema_hash(s);
    struct hash schema;
    bool row = false;

    enum rc rc = ask(store, "SELECT schema, version FROM cohort", &st, &row, err);
    if (rc == RC_OK && !row) {
        rc = error_set(err, RC_STATE, "no cohort was imported");
    } else if (rc == RC_OK && (!read_hash(st, 0, &schema) || !read_hash(st, 1, out))) {
        rc = damaged(err);
    } else if (rc == RC_OK && !hash_equal(&schema, &want)) {
        rc =
            error_set(err, RC_STATE,
                      "the imported cohort has other features than '%s': import it again", s->name);
    }
    statement_close(&st);
    return rc;
}

static RC read_counts(struct store *store, size_t count[3], struct error *err)
{
    struct statement *st = NULL;
    bool row = false;

    const enum rc rc = ask(store,
                           "SELECT (SELECT count(*) FROM patient), (SELECT count(*) FROM record),"
                           " (SELECT count(*) FROM site)",
                           &st, &row, err);
    for (int i = 0; rc == RC_OK && i < 3; i++) {
        count[i] = (size_t)statement_i64(st, i);
    }
    statement_close(&st);
    return rc;
}

static bool copy_name(struct statement *st, int column, char out[SCHEMA_NAME_MAX])
{
    const char *name = statement_text(st, column);
    const size_t n = name != NULL ? strlen(name) : 0;
    if (n == 0 || n >= SCHEMA_NAME_MAX) {
        return false;
    }
    memcpy(out, name, n + 1);
    return true;
}

static RC read_sites(struct store *store, struct dataset *d, struct error *err)
{
    struct statement *st = NULL;
    bool row = false;
    size_t n = 0;

    enum rc rc = ask(store, "SELECT name FROM site ORDER BY name", &st, &row, err);
    for (; rc == RC_OK && row; rc = statement_step(st, &row, err)) {
        if (n == d->n_sites || !copy_name(st, 0, d->site_name[n])) {
            rc = damaged(err);
            break;
        }
        n++;
    }
    if (rc == RC_OK && n != d->n_sites) {
        rc = damaged(err);
    }
    statement_close(&st);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool read_patient(struct statement *st, const struct schema *s, struct dataset *d, size_t p)
{
    const int64_t label = statement_i64(st, 2);
    char site[SCHEMA_NAME_MAX];
    if (!copy_name(st, 0, d->patient_id[p]) || !copy_name(st, 1, site)) {
        return false;
    }
    char(*found)[SCHEMA_NAME_MAX] =
        bsearch(site, d->site_name, d->n_sites, sizeof *d->site_name, by_name);
    if (found == NULL || label < 0 || label >= (int64_t)(s->n_classes > 0 ? s->n_classes : 2)) {
        return false;
    }
    d->site[p] = (uint32_t)(found - d->site_name);
    d->label[p] = (float)label;
    d->patient[p] = hash_of(d->patient_id[p], strlen(d->patient_id[p]));
    return true;
}

static bool read_record(struct statement *st, const struct schema *s, struct dataset *d, size_t row)
{
    float *values = d->values + row * d->n_values;
    int32_t *codes = d->codes + row * d->n_codes;
    size_t n;
    const unsigned char *cells = statement_blob(st, 3, &n);
    if (cells == NULL || n != cells_bytes(s)) {
        return false;
    }
    for (size_t i = 0; i < s->n_features; i++) {
        if (!cell_spread(&s->feature[i], cell_get(cells + i * CELL_BYTES), &values, &codes)) {
            return false;
        }
    }
    return true;
}

static RC read_rows(const struct schema *s, struct store *store, struct dataset *d, int64_t *record,
                    struct error *err)
{
    struct statement *st = NULL;
    bool more = false;
    size_t n_patients = 0;
    size_t n_rows = 0;

    enum rc rc = ask(store,
                     "SELECT p.name, s.name, p.label + p.class, r.cells, r.id FROM patient AS p"
                     " JOIN site AS s ON s.id = p.site JOIN record AS r ON r.patient = p.id"
                     " ORDER BY p.name, r.id",
                     &st, &more, err);
    for (; rc == RC_OK && more; rc = statement_step(st, &more, err)) {
        const char *name = statement_text(st, 0);
        const bool next =
            n_patients == 0 || name == NULL || strcmp(name, d->patient_id[n_patients - 1]) != 0;
        if (n_rows == d->n_rows || (next && n_patients == d->n_patients)) {
            rc = damaged(err);
            break;
        }
        if (next) {
            d->first_row[n_patients] = n_rows;
        }
        if ((next && !read_patient(st, s, d, n_patients)) || !read_record(st, s, d, n_rows)) {
            rc = damaged(err);
            break;
        }
        record[n_rows] = statement_i64(st, 4);
        n_patients += next;
        n_rows++;
    }
    if (rc == RC_OK && (n_rows != d->n_rows || n_patients != d->n_patients)) {
        rc = damaged(err);
    }
    d->first_row[d->n_patients] = d->n_rows;
    statement_close(&st);
    return rc;
}

enum rc dataset_open(const struct schema *s, struct store *store, struct dataset **out,
                     struct error *err)
{
    struct dataset *d = NULL;
    const struct schema_layout layout = schema_layout(s);
    int64_t *record = NULL; /* of each row, its number in the store */
    size_t count[3] = {0};  /* patients, records, sites */
    struct hash version;

    enum rc rc = store_begin(store, err); /* one moment: no import in between */
    if (rc == RC_OK) {
        rc = read_version(s, store, &version, err);
    }
    if (rc == RC_OK) {
        rc = read_counts(store, count, err);
    }
    if (rc == RC_OK) {
        rc =
            dataset_reserve(count[0], count[1], layout.n_values, layout.n_codes, count[2], &d, err);
    }
    if (rc == RC_OK) {
        assert(d != NULL);
        d->version = version;
        rc = read_sites(store, d, err);
    }
    if (rc == RC_OK) {
        record = calloc(d->n_rows + 1, sizeof *record);
        rc = record != NULL ? read_rows(s, store, d, record, err)
                            : error_set(err, RC_NOMEM, "dataset: no memory");
    }
    if (rc == RC_OK && s->n_modalities > 0) {
        rc = parts_read(d, &((struct owned *)d)->parts, s, store, record, err);
    }
    free(record);
    store_rollback(store); /* nothing was written */
    if (rc == RC_OK) {
        *out = d;
        d = NULL;
    }
    dataset_close(&d);
    return rc;
}

/* ---- parts ---------------------------------------------------------------------------------- */

static size_t rows_of(const struct dataset *d, size_t p)
{
    return d->first_row[p + 1] - d->first_row[p];
}

static void copy_patient(struct dataset *to, size_t p, const struct dataset *from, size_t q)
{
    const size_t n = rows_of(from, q);
    const size_t at = to->first_row[p];
    const size_t row = from->first_row[q];
    memcpy(to->patient_id[p], from->patient_id[q], sizeof *to->patient_id);
    to->patient[p] = from->patient[q];
    to->site[p] = from->site[q];
    to->label[p] = from->label[q];
    to->first_row[p + 1] = at + n;
    memcpy(to->values + at * to->n_values, from->values + row * from->n_values,
           n * to->n_values * sizeof *to->values);
    memcpy(to->codes + at * to->n_codes, from->codes + row * from->n_codes,
           n * to->n_codes * sizeof *to->codes);
    parts_copy_rows(to, at, from, row, n);
}

/* Who is picked, from the first of them to behind the last: a site's patients are a few of very many. */
struct picked {
    size_t from, end;
    bool *in; /* [end - from] */
};

/* @param only a site of d, which then has the only name; SIZE_MAX: all of d's */
static void copy_picked(struct dataset *to, const struct dataset *d, const struct picked *picked,
                        size_t only)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround pick 1");
    hasher_bytes(&h, d->version.b, sizeof d->version.b);
    memcpy(to->site_name, d->site_name + (only == SIZE_MAX ? 0 : only),
           to->n_sites * sizeof *d->site_name);
    size_t p = 0;
    for (size_t q = picked->from; q < picked->end; q++) {
        if (picked->in[q - picked->from]) {
            copy_patient(to, p, d, q);
            to->site[p] = only == SIZE_MAX ? to->site[p] : 0;
            p++;
            hasher_bytes(&h, d->patient[q].b, sizeof d->patient[q].b);
        }
    }
    to->version = hasher_final(&h);
}

/* Room for what the picked patients have of each modality. */
static RC reserve_parts(struct dataset *to, const struct dataset *d, const struct picked *picked,
                        struct error *err)
{
    struct schema_part shape[SCHEMA_MODALITIES_MAX];
    size_t n_items[SCHEMA_MODALITIES_MAX] = {0};
    for (size_t i = 0; i < d->n_parts; i++) {
        shape[i] = d->part[i].shape;
        for (size_t q = picked->from; q < picked->end; q++) {
            if (picked->in[q - picked->from]) {
                n_items[i] +=
                    d->part[i].first[d->first_row[q + 1]] - d->part[i].first[d->first_row[q]];
            }
        }
    }
    return d->n_parts == 0
               ? RC_OK
               : parts_reserve(to, &((struct owned *)to)->parts, shape, d->n_parts, n_items, err);
}

/* Which they are and how many rows they have. in is owned, also after a failure. */
static RC mark(const struct dataset *d, const size_t *patient, size_t n, size_t only,
               struct picked *picked, size_t *n_rows, struct error *err)
{
    picked->from = n > 0 ? SIZE_MAX : 0;
    for (size_t i = 0; i < n; i++) {
        if (patient[i] >= d->n_patients) {
            return error_set(err, RC_INVALID, "dataset: pick %zu of %zu is not there", i + 1, n);
        }
        picked->from = patient[i] < picked->from ? patient[i] : picked->from;
        picked->end = patient[i] + 1 > picked->end ? patient[i] + 1 : picked->end;
    }
    picked->in = calloc(picked->end - picked->from + 1, sizeof *picked->in);
    if (picked->in == NULL) {
        return error_set(err, RC_NOMEM, "dataset: no memory");
    }
    for (size_t i = 0; i < n; i++) {
        bool *in = &picked->in[patient[i] - picked->from];
        if (*in) {
            return error_set(err, RC_INVALID, "dataset: pick %zu of %zu is there twice", i + 1, n);
        }
        if (only != SIZE_MAX && d->site[patient[i]] != only) {
            return error_set(err, RC_INVALID, "dataset: pick %zu of %zu is another site's", i + 1,
                             n);
        }
        *in = true;
        *n_rows += rows_of(d, patient[i]);
    }
    return RC_OK;
}

static RC pick(const struct dataset *d, const size_t *patient, size_t n, size_t only,
               struct dataset **out, struct error *err)
{
    struct dataset *to = NULL;
    struct picked picked = {0};
    size_t n_rows = 0;
    enum rc rc = mark(d, patient, n, only, &picked, &n_rows, err);
    if (rc == RC_OK) {
        rc = dataset_reserve(n, n_rows, d->n_values, d->n_codes, only == SIZE_MAX ? d->n_sites : 1,
                             &to, err);
    }
    if (rc == RC_OK) {
        assert(to != NULL);
        rc = reserve_parts(to, d, &picked, err);
    }
    if (rc == RC_OK) {
        copy_picked(to, d, &picked, only);
        *out = to;
        to = NULL;
    }
    dataset_close(&to);
    free(picked.in);
    return rc;
}

enum rc dataset_pick(const struct dataset *d, const size_t *patient, size_t n, struct dataset **out,
                     struct error *err)
{
    return pick(d, patient, n, SIZE_MAX, out, err);
}

enum rc dataset_pick_site(const struct dataset *d, size_t site, const size_t *patient, size_t n,
                          struct dataset **out, struct error *err)
{
    assert(site < d->n_sites);
    return pick(d, patient, n, site, out, err);
}

enum rc dataset_resite(const struct dataset *d, const uint32_t *site,
                       const char (*name)[SCHEMA_NAME_MAX], size_t n_sites, struct dataset **out,
                       struct error *err)
{
    struct dataset *to = NULL;
    struct hasher h;
    bool *all = calloc(d->n_patients + 1, sizeof *all);
    if (all == NULL) {
        return error_set(err, RC_NOMEM, "dataset: no memory");
    }
    memset(all, 1, d->n_patients * sizeof *all);
    enum rc rc =
        dataset_reserve(d->n_patients, d->n_rows, d->n_values, d->n_codes, n_sites, &to, err);
    if (rc == RC_OK) {
        assert(to != NULL);
        rc = reserve_parts(to, d, &(struct picked){.end = d->n_patients, .in = all}, err);
    }
    if (rc == RC_OK) {
        memcpy(to->site_name, name, n_sites * sizeof *name);
        hasher_init(&h);
        hasher_text(&h, "wardround resite 1");
        hasher_bytes(&h, d->version.b, sizeof d->version.b);
        for (size_t p = 0; p < d->n_patients; p++) {
            assert(site[p] < n_sites);
            copy_patient(to, p, d, p);
            to->site[p] = site[p];
            hasher_text(&h, name[site[p]]);
        }
        to->version = hasher_final(&h);
        *out = to;
        to = NULL;
    }
    dataset_close(&to);
    free(all);
    return rc;
}
