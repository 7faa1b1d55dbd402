/*
 * Rows of the table -> patients and records. Whether a patient is known already is asked of the table
 * of the store that says it.
 */
#include <stdio.h>
#include <string.h>

#include "common/cohort/import_internal.h"

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
    const bool classes = im->s->n_classes > 0;
    im->sum.n_positive += !classes && r->label == 1;
    statement_bind_i64(add, *out);
    statement_bind_text(add, r->patient);
    statement_bind_i64(add, site);
    statement_bind_i64(add, classes ? 0 : r->label);
    statement_bind_i64(add, classes ? r->label : 0);
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

enum rc import_take_row(void *import, const struct scan_row *row, struct error *err)
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
