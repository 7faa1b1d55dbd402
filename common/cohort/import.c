/*
 * Rows -> store, all or nothing. Rows are inserted as they are read, inside one transaction that is
 * rolled back if anything was wrong: memory does not grow with the cohort, and that a patient is
 * known already is asked of the table that says it.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/cohort/import_internal.h"

const struct cohort_limits cohort_limits = {
    .rows = COHORT_ROWS_MAX,
    .file_bytes = COHORT_FILE_BYTES_MAX,
    .row_bytes = COHORT_ROW_BYTES_MAX,
    .cell_bytes = COHORT_CELL_BYTES_MAX,
    .items = COHORT_ITEMS_MAX,
};

/* clang-format off */
static const char *const query_sql[QUERIES] = {
    [FIND_SITE] = "SELECT id FROM site WHERE name = ?",
    [ADD_SITE] = "INSERT INTO site (id, name) VALUES (?, ?)",
    [FIND_PATIENT] = "SELECT id, site, label + class, file, line FROM patient WHERE name = ?",
    [ADD_PATIENT] = "INSERT INTO patient (id, name, site, label, class, file, line)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
    [ADD_RECORD] = "INSERT INTO record (id, patient, cells, key) VALUES (?, ?, ?, ?)",
    [FIND_KEY] = "SELECT 1 FROM record WHERE key = ?",
    [READ_ALL] = "SELECT p.name, s.name, p.label + p.class, r.cells FROM patient AS p"
                 " JOIN site AS s ON s.id = p.site JOIN record AS r ON r.patient = p.id"
                 " ORDER BY p.name, r.id",
    [READ_SITES] = "SELECT s.name, min(p.label + p.class), max(p.label + p.class) FROM site AS s"
                   " JOIN patient AS p ON p.site = s.id GROUP BY s.id ORDER BY s.name",
    [ADD_COHORT] = "INSERT INTO cohort (only, name, schema, version) VALUES (1, ?, ?, ?)",
};
/* Children first. */
static const char *const empty_sql[] = {
    "DELETE FROM piece", "DELETE FROM record", "DELETE FROM patient", "DELETE FROM site", "DELETE FROM cohort",
};
/* clang-format on */

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
        rc = reader_walk(&im->reader, scan, im->limits->rows, &im->n_seen, import_take_row, im,
                         im->issues, err);
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

/* All files were read and nothing is wrong: the last words of the transaction. */
static RC seal(struct import *im, struct error *err)
{
    const struct hash schema = schema_hash(im->s);

    enum rc rc = compute_version(im, &schema, err);
    if (rc == RC_OK) {
        rc = import_look_for_warnings(im, err);
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

enum rc cohort_import_bytes(const struct schema *s, const char *site_name,
                            const struct cohort_bytes *file, struct store *store,
                            struct config_issues *issues, struct cohort_summary *out,
                            struct error *err)
{
    return cohort_import_from(s, site_name, file, &cohort_limits, store, issues, out, err);
}
