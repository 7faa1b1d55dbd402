/*
 * Rows -> store, all or nothing. Rows are inserted as they are read, inside one transaction that is
 * rolled back if anything was wrong: memory does not grow with the cohort, and that a patient is
 * known already is asked of the table that says it.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

const struct cohort_limits cohort_limits = {
    .rows = COHORT_ROWS_MAX,
    .file_bytes = COHORT_FILE_BYTES_MAX,
    .row_bytes = COHORT_ROW_BYTES_MAX,
    .cell_bytes = COHORT_CELL_BYTES_MAX,
    .items = COHORT_ITEMS_MAX,
};

/* What the import asks and tells the store. */
enum query {
    FIND_SITE,
    ADD_SITE,
    FIND_PATIENT,
    ADD_PATIENT,
    ADD_RECORD,
    FIND_KEY,
    READ_ALL,
    READ_SITES,
    ADD_COHORT,
    QUERIES
};

/* clang-format off */
static const char *const query_sql[QUERIES] = {
    [FIND_SITE] = "SELECT id FROM site WHERE name = ?",
    [ADD_SITE] = "INSERT INTO site (id, name) VALUES (?, ?)",
    [FIND_PATIENT] = "SELECT id, site, label, file, line FROM patient WHERE name = ?",
    [ADD_PATIENT] = "INSERT INTO patient (id, name, site, label, file, line)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
    [ADD_RECORD] = "INSERT INTO record (id, patient, cells, key) VALUES (?, ?, ?, ?)",
    [FIND_KEY] = "SELECT 1 FROM record WHERE key = ?",
    [READ_ALL] = "SELECT p.name, s.name, p.label, r.cells FROM patient AS p"
                 " JOIN site AS s ON s.id = p.site JOIN record AS r ON r.patient = p.id"
                 " ORDER BY p.name, r.id",
    [READ_SITES] = "SELECT s.name, min(p.label), max(p.label) FROM site AS s"
                   " JOIN patient AS p ON p.site = s.id GROUP BY s.id ORDER BY s.name",
    [ADD_COHORT] = "INSERT INTO cohort (only, name, schema, version) VALUES (1, ?, ?, ?)",
};
/* Children first. */
static const char *const empty_sql[] = {
    "DELETE FROM piece", "DELETE FROM record", "DELETE FROM patient", "DELETE FROM site", "DELETE FROM cohort",
};
/* clang-format on */

struct import {
    const struct schema *s;
    const char *only_site; /* NULL: all */
    const struct cohort_bytes *bytes;
    const struct cohort_limits *limits;
    struct store *store;
    struct statement *query[QUERIES];
    struct reader reader;
    struct arena memory;
    unsigned char *cells; /* [cells_bytes(s)] */
    struct pieces pieces;
    size_t n_later, n_later_elsewhere; /* rows left out by `rows: first` */
    struct config_issues *issues;
    struct cohort_summary sum;
    size_t file;                     /* the present one */
    size_t n_seen;                   /* rows read, stored or not */
    char last_site[SCHEMA_NAME_MAX]; /* files come site by site: most rows ask for the same */
    int64_t last_site_id;
};

void cell_put(unsigned char *to, double x)
{
    uint64_t bits = UINT64_C(0x7ff8000000000000); /* one NaN for all */
    if (!isnan(x)) {
        x += 0.0; /* -0 becomes 0: equal data, equal version */
        memcpy(&bits, &x, sizeof bits);
    }
    for (size_t i = 0; i < CELL_BYTES; i++) {
        to[i] = (unsigned char)(bits >> (8 * i));
    }
}

double cell_get(const unsigned char *from)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < CELL_BYTES; i++) {
        bits |= (uint64_t)from[i] << (8 * i);
    }
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static RC site_id(struct import *im, const char *name, int64_t *out, struct error *err)
{
    bool known = false;
    if (im->last_site_id != 0 && strcmp(name, im->last_site) == 0) {
        *out = im->last_site_id;
        return RC_OK;
    }
    statement_bind_text(im->query[FIND_SITE], name);
    enum rc rc = statement_step(im->query[FIND_SITE], &known, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (known) {
        im->last_site_id = statement_i64(im->query[FIND_SITE], 0);
        statement_reset(im->query[FIND_SITE]);
    } else {
        im->last_site_id = (int64_t)++im->sum.n_sites;
        statement_bind_i64(im->query[ADD_SITE], im->last_site_id);
        statement_bind_text(im->query[ADD_SITE], name);
        rc = statement_run(im->query[ADD_SITE], err);
    }
    (void)snprintf(im->last_site, sizeof im->last_site, "%s", name);
    *out = im->last_site_id;
    return rc;
}

/* A second row of a patient: what it may not say otherwise than the first. */
static void check_again(struct import *im, struct statement *first, const struct scan_row *row,
                        const struct reading *r, int64_t site)
{
    const char *file = im->s->file[statement_i64(first, 3)].path;
    const long long line = (long long)statement_i64(first, 4);
    if (statement_i64(first, 1) != site) {
        ISSUE_AT(im->issues, row->line, r->patient_field,
                 "this patient is at another site in %s:%lld", file, line);
    } else if (!im->s->many_rows) {
        ISSUE_AT(im->issues, row->line, r->patient_field,
                 "the same patient as in %s:%lld; if several rows are right: `rows: many`", file,
                 line);
    } else if (statement_i64(first, 2) != r->label) {
        ISSUE_AT(im->issues, row->line, r->label_field,
                 "the label of this patient is another in %s:%lld", file, line);
    }
}

/* The patient's number, new or known; 0: a later row of a patient whose first row counts. */
static RC patient_id(struct import *im, size_t file, const struct scan_row *row,
                     const struct reading *r, int64_t *out, struct error *err)
{
    struct statement *find = im->query[FIND_PATIENT];
    struct statement *add = im->query[ADD_PATIENT];
    bool known = false;
    int64_t site;

    enum rc rc = site_id(im, r->site, &site, err);
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_text(find, r->patient);
    rc = statement_step(find, &known, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (known && im->s->first_row_only) {
        *out = 0;
        im->n_later++;
        im->n_later_elsewhere += statement_i64(find, 1) != site;
        statement_reset(find);
        return RC_OK;
    }
    if (known) {
        *out = statement_i64(find, 0);
        check_again(im, find, row, r, site);
        statement_reset(find);
        return RC_OK;
    }
    *out = (int64_t)++im->sum.n_patients;
    im->sum.n_positive += r->label == 1;
    statement_bind_i64(add, *out);
    statement_bind_text(add, r->patient);
    statement_bind_i64(add, site);
    statement_bind_i64(add, r->label);
    statement_bind_i64(add, (int64_t)file);
    statement_bind_i64(add, (int64_t)row->line);
    return statement_run(add, err);
}

/* `prefix` in front of a name, which may then be too long. */
static bool put_prefix(struct import *im, const struct scan_row *row, size_t field,
                       char name[SCHEMA_NAME_MAX])
{
    if (!source_name(im->s->file[im->file].prefix, name, strlen(name), name)) {
        ISSUE_AT(im->issues, row->line, field, "with its prefix the id is longer than %d bytes",
                 SCHEMA_NAME_MAX - 1);
        return false;
    }
    return true;
}

/* What the modalities' files call this row. *free is false where another row is called so. */
static RC check_key(struct import *im, const struct scan_row *row, const struct reading *r,
                    bool *is_free, struct error *err)
{
    struct statement *find = im->query[FIND_KEY];
    bool known = false;
    statement_bind_text(find, r->key);
    const enum rc rc = statement_step(find, &known, err);
    if (rc == RC_OK && known) {
        statement_reset(find);
        ISSUE_AT(im->issues, row->line, r->key_field, "an earlier row has the same '%s'",
                 im->s->record_column);
    }
    *is_free = !known;
    return rc;
}

static RC add_record(struct import *im, const struct scan_row *row, const struct reading *r,
                     int64_t patient, struct error *err)
{
    const struct schema *s = im->s;
    struct statement *add = im->query[ADD_RECORD];
    bool is_free = true;
    if (s->record_column[0] != '\0') {
        const enum rc rc = check_key(im, row, r, &is_free, err);
        if (rc != RC_OK || !is_free) {
            return rc;
        }
    }
    reader_count(&im->reader);
    for (size_t i = 0; i < s->n_features; i++) {
        cell_put(im->cells + i * CELL_BYTES, im->reader.value[i]);
    }
    statement_bind_i64(add, (int64_t)++im->sum.n_rows);
    statement_bind_i64(add, patient);
    statement_bind_blob(add, im->cells, cells_bytes(s));
    if (s->n_modalities > 0) {
        statement_bind_text(add, r->key);
    } else {
        statement_bind_null(add);
    }
    return statement_run(add, err);
}

static enum rc take_row(void *import, const struct scan_row *row, struct error *err)
{
    struct import *im = import;
    const struct schema_file *file = &im->s->file[im->file];
    const size_t n_before = im->issues->n;
    struct reading r;
    int64_t patient;

    reader_read(&im->reader, file->site, row, &r, im->issues);
    if (!r.usable || (im->only_site != NULL && strcmp(r.site, im->only_site) != 0)) {
        return RC_OK;
    }
    if (file->prefix[0] != '\0' && (!put_prefix(im, row, r.patient_field, r.patient) ||
                                    !put_prefix(im, row, r.key_field, r.key))) {
        return RC_OK;
    }
    enum rc rc = patient_id(im, im->file, row, &r, &patient, err);
    if (rc != RC_OK || !r.whole || patient == 0 || im->issues->n > n_before) {
        return rc;
    }
    return add_record(im, row, &r, patient, err);
}

static RC run_once(struct store *store, const char *sql, struct error *err)
{
    struct statement *st = NULL;
    enum rc rc = store_prepare(store, sql, &st, err);
    if (rc == RC_OK) {
        rc = statement_run(st, err);
    }
    statement_close(&st);
    return rc;
}

/* ---- files ---------------------------------------------------------------------------------- */

static RC take_file(struct import *im, size_t file, struct error *err)
{
    struct scan *scan = NULL;
    const char *site = im->s->file[file].site;

    if (im->only_site != NULL && site[0] != '\0' && strcmp(site, im->only_site) != 0) {
        return RC_OK;
    }
    im->issues->path = im->s->file[file].path;
    enum rc rc =
        source_scan(im->s, im->s->file[file].path, im->bytes != NULL ? &im->bytes[file] : NULL,
                    im->s->separator, im->limits, &scan, im->issues, err);
    if (rc == RC_OK && scan != NULL) {
        im->sum.n_files++;
        im->file = file;
        im->reader.file_label = im->s->file[file].label;
        rc = reader_walk(&im->reader, scan, im->limits->rows, &im->n_seen, take_row, im, im->issues,
                         err);
        if (rc != RC_OK) {
            rc = error_context(err, "%s", im->s->file[file].path);
        }
    }
    scan_close(&scan);
    return rc;
}

/* Without features, a row that no modality knows gives a model nothing. */
static RC drop_empty(struct import *im, struct error *err)
{
    static const char *const sql[] = {
        "DELETE FROM record WHERE id NOT IN (SELECT record FROM piece)",
        "DELETE FROM patient WHERE id NOT IN (SELECT patient FROM record)",
        "DELETE FROM site WHERE id NOT IN (SELECT site FROM patient)",
    };
    struct cohort_summary *sum = &im->sum;
    const size_t n_before = sum->n_rows;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof sql / sizeof sql[0]; i++) {
        rc = run_once(im->store, sql[i], err);
    }
    struct statement *st = NULL;
    bool row = false;
    if (rc == RC_OK) {
        rc = store_prepare(im->store,
                           "SELECT count(*), (SELECT count(*) FROM record), (SELECT count(*) FROM "
                           "site), total(label) FROM patient",
                           &st, err);
    }
    if (rc == RC_OK) {
        rc = statement_step(st, &row, err);
    }
    if (rc == RC_OK && row) {
        sum->n_patients = (size_t)statement_i64(st, 0);
        sum->n_rows = (size_t)statement_i64(st, 1);
        sum->n_sites = (size_t)statement_i64(st, 2);
        sum->n_positive = (size_t)statement_i64(st, 3);
    }
    statement_close(&st);
    if (rc == RC_OK && sum->n_rows == 0) {
        im->issues->path = im->s->name;
        config_issue(im->issues, NULL,
                     "no modality knows any patient of the label's table; are the ids the same?");
    } else if (rc == RC_OK && sum->n_rows < n_before) {
        summary_warn(sum, "%zu of %zu rows have no feature and no modality, and are left out",
                     n_before - sum->n_rows, n_before);
    }
    return rc;
}

/* Their files, joined to the rows that are in the store by now. */
static RC take_modalities(struct import *im, struct error *err)
{
    const struct schema *s = im->s;
    size_t source = s->n_files;
    enum rc rc = pieces_init(&im->pieces, im->store, err);
    for (size_t i = 0; rc == RC_OK && i < s->n_modalities; i++) {
        struct intake in = {.s = s,
                            .m = &s->modality[i],
                            .index = i,
                            .only_site = im->only_site,
                            .bytes = im->bytes != NULL ? im->bytes + source : NULL,
                            .limits = im->limits,
                            .pieces = &im->pieces,
                            .issues = im->issues,
                            .found = &im->sum.modality[i]};
        rc = modality_import(&in, err);
        source += s->modality[i].n_files;
    }
    if (rc == RC_OK) {
        rc = pieces_flush(&im->pieces, err);
    }
    pieces_release(&im->pieces);
    if (rc == RC_OK && im->issues->n == 0) {
        rc = modalities_count(s, im->store, &im->sum, err);
    }
    if (rc == RC_OK && im->issues->n == 0 && s->n_features == 0) {
        rc = drop_empty(im, err);
    }
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/*
 * Everything a dataset is made of, in its order; not where it stood. Same data, same version.
 *   schema, number of records, then for each: patient, site, label, cells
 *   where there are modalities: for each that a record has, its key, which, and its data in order
 */
static RC compute_version(struct import *im, const struct hash *schema, struct error *err)
{
    struct statement *all = im->query[READ_ALL];
    struct hasher h;
    bool row = true;

    hasher_init(&h);
    hasher_text(&h, "wardround cohort 1");
    hasher_bytes(&h, schema->b, sizeof schema->b);
    hasher_u64(&h, im->sum.n_rows);
    for (;;) {
        const enum rc rc = statement_step(all, &row, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!row) {
            break;
        }
        size_t n;
        hasher_text(&h, statement_text(all, 0));
        hasher_text(&h, statement_text(all, 1));
        hasher_u64(&h, (uint64_t)statement_i64(all, 2));
        const void *cells = statement_blob(all, 3, &n);
        hasher_bytes(&h, cells, n); /* as many for each: the schema says it */
    }
    if (im->s->n_modalities > 0) {
        const enum rc rc = modalities_add_version(im->s, im->store, &h, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    im->sum.version = hasher_final(&h);
    return RC_OK;
}

void summary_warn(struct cohort_summary *sum, const char *fmt, ...)
{
    const size_t i = sum->n_warnings++;
    if (i < COHORT_WARNINGS_SHOWN) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(sum->warning[i], sizeof sum->warning[i], fmt, ap);
        va_end(ap);
    }
}

void summary_features(struct cohort_summary *sum, const struct reader *r)
{
    for (size_t i = 0; i < r->s->n_features; i++) {
        const struct schema_feature *f = &r->s->feature[i];
        sum->n_missing_cells += r->n_missing[i];
        if (r->n_missing[i] == sum->n_rows) {
            summary_warn(sum, "'%s' is missing in every row", f->name);
        }
        if (r->n_outside[i] > 0) {
            summary_warn(sum, "'%s': %zu of %zu values are outside of %g to %g %s and are clamped",
                         f->name, r->n_outside[i], sum->n_rows - r->n_missing[i], f->low, f->high,
                         f->unit);
        }
    }
}

static void warn_one_class(struct cohort_summary *sum, const char *where, bool positive)
{
    summary_warn(sum, "%s: every label is %s: nothing can be learned or measured there", where,
                 positive ? "positive" : "negative");
}

/* What is allowed and yet most likely a mistake in the files or the schema. */
static RC look_for_warnings(struct import *im, struct error *err)
{
    struct statement *sites = im->query[READ_SITES];
    struct cohort_summary *sum = &im->sum;
    bool row = true;

    if (sum->n_positive == 0 || sum->n_positive == sum->n_patients) {
        warn_one_class(sum, "the whole cohort", sum->n_positive > 0);
    } else if (sum->n_sites > 1) {
        enum rc rc = statement_step(sites, &row, err);
        for (; rc == RC_OK && row; rc = statement_step(sites, &row, err)) {
            if (statement_i64(sites, 1) == statement_i64(sites, 2)) {
                char where[SCHEMA_NAME_MAX + 16];
                (void)snprintf(where, sizeof where, "site '%s'", statement_text(sites, 0));
                warn_one_class(sum, where, statement_i64(sites, 1) == 1);
            }
        }
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (im->n_later > 0) {
        summary_warn(
            sum,
            "%zu rows are later ones of patients seen before, %zu of them at another site, "
            "and are left out (rows: first)",
            im->n_later, im->n_later_elsewhere);
    }
    summary_features(&im->sum, &im->reader);
    for (size_t i = 0; i < im->s->n_modalities; i++) {
        modality_warn(sum, &im->s->modality[i], &sum->modality[i]);
    }
    return RC_OK;
}

/* All files were read and nothing is wrong: the last words of the transaction. */
static RC seal(struct import *im, struct error *err)
{
    const struct hash schema = schema_hash(im->s);

    enum rc rc = compute_version(im, &schema, err);
    if (rc == RC_OK) {
        rc = look_for_warnings(im, err);
    }
    if (rc == RC_OK) {
        statement_bind_text(im->query[ADD_COHORT], im->s->name);
        statement_bind_blob(im->query[ADD_COHORT], schema.b, sizeof schema.b);
        statement_bind_blob(im->query[ADD_COHORT], im->sum.version.b, sizeof im->sum.version.b);
        rc = statement_run(im->query[ADD_COHORT], err);
    }
    return rc == RC_OK ? store_commit(im->store, err) : rc;
}

static RC empty_store(struct import *im, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof empty_sql / sizeof empty_sql[0]; i++) {
        rc = run_once(im->store, empty_sql[i], err);
    }
    return rc;
}

static RC run(struct import *im, struct error *err)
{
    enum rc rc = reader_init(&im->reader, im->s, READER_IMPORT, err);
    if (rc == RC_OK) {
        rc = arena_init(&im->memory, arena_cost(cells_bytes(im->s), 1), err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    im->cells = arena_take(&im->memory, cells_bytes(im->s), 1);
    for (size_t i = 0; rc == RC_OK && i < QUERIES; i++) {
        rc = store_prepare(im->store, query_sql[i], &im->query[i], err);
    }
    if (rc == RC_OK) {
        rc = store_begin(im->store, err);
    }
    if (rc == RC_OK) {
        rc = empty_store(im, err);
    }
    for (size_t file = 0; rc == RC_OK && file < im->s->n_files; file++) {
        rc = take_file(im, file, err);
    }
    if (rc == RC_OK && im->sum.n_rows == 0 && im->issues->n == 0) {
        im->issues->path = im->s->name;
        config_issue(im->issues, NULL, "no row of site '%s'",
                     im->only_site != NULL ? im->only_site : "");
    }
    if (rc == RC_OK && im->s->n_modalities > 0) {
        rc = take_modalities(im, err);
    }
    if (rc == RC_OK) {
        rc = config_verdict(im->issues, err);
    }
    return rc == RC_OK ? seal(im, err) : rc;
}

enum rc cohort_import_from(const struct schema *s, const char *site_name,
                           const struct cohort_bytes *file, const struct cohort_limits *limits,
                           struct store *store, struct config_issues *issues,
                           struct cohort_summary *out, struct error *err)
{
    assert(s->n_files > 0);
    assert(s->n_features + s->n_modalities > 0);

    struct import im = {.s = s,
                        .only_site = site_name,
                        .bytes = file,
                        .limits = limits,
                        .store = store,
                        .issues = issues};
    const char *path_before = issues->path;
    const enum rc rc = run(&im, err);

    for (size_t i = 0; i < QUERIES; i++) {
        statement_close(&im.query[i]);
    }
    pieces_release(&im.pieces);
    store_rollback(store);
    reader_release(&im.reader);
    arena_wipe(&im.memory);
    arena_release(&im.memory);
    issues->path = path_before;
    if (rc == RC_OK) {
        *out = im.sum;
    }
    return rc;
}

enum rc cohort_import(const struct schema *s, const char *site_name, struct store *store,
                      struct config_issues *issues, struct cohort_summary *out, struct error *err)
{
    return cohort_import_from(s, site_name, NULL, &cohort_limits, store, issues, out, err);
}
