/*
 * Cells -> numbers, by the schema. A cell is first held against the marks of missing, then read by
 * its feature's type. Messages name the column and the rule, never the cell.
 */
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

/* ---- marks ---------------------------------------------------------------------------------- */

size_t marks_cost(size_t n)
{
    return arena_cost(n, sizeof(struct mark));
}

struct marks marks_of(struct arena *memory, const char (*text)[SCHEMA_NAME_MAX], size_t n)
{
    struct marks m = {.n = n, .at = arena_take(memory, n, sizeof *m.at)};
    for (size_t i = 0; i < n; i++) {
        m.at[i].text = text[i];
        m.at[i].is_number = schema_number(text[i], &m.at[i].number);
    }
    return m;
}

/* A cell with its number, worked out once for all comparisons. */
struct word {
    const char *text;
    bool is_number;
    double number;
};

static struct word word_of(const struct scan_cell *cell)
{
    struct word w = {.text = cell->text};
    w.is_number = schema_number(cell->text, &w.number);
    return w;
}

/* The place of the mark that the word is, or m->n. */
static size_t find(const struct marks *m, const struct word *w)
{
    size_t i = 0;
    for (; i < m->n; i++) {
        const struct mark *mark = &m->at[i];
        if (w->is_number && mark->is_number) {
            if (!(w->number < mark->number || w->number > mark->number)) {
                break;
            }
        } else if (strcmp(w->text, mark->text) == 0) {
            break;
        }
    }
    return i;
}

bool marks_hold_cell(const struct marks *m, const struct scan_cell *cell)
{
    const struct word w = word_of(cell);
    return find(m, &w) < m->n;
}

static bool holds(const struct marks *m, const struct word *w)
{
    return find(m, w) < m->n;
}

/* ---- ready and away ------------------------------------------------------------------------- */

enum rc reader_init(struct reader *r, const struct schema *s, enum reader_purpose purpose,
                    struct error *err)
{
    *r = (struct reader){.s = s, .purpose = purpose};
    size_t cost = marks_cost(s->n_missing) + marks_cost(s->n_positive) + marks_cost(s->n_negative) +
                  marks_cost(s->n_classes);
    for (size_t i = 0; i < s->n_features; i++) {
        cost += marks_cost(s->feature[i].n_categories) + marks_cost(s->feature[i].n_missing);
    }
    cost += 2 * arena_cost(s->n_features, sizeof *r->category) +
            arena_cost(s->n_features, sizeof *r->value) +
            3 * arena_cost(s->n_features, sizeof *r->feature_at);
    const enum rc rc = arena_init(&r->memory, cost, err);
    if (rc != RC_OK) {
        return rc;
    }
    r->missing = marks_of(&r->memory, s->missing, s->n_missing);
    r->positive = marks_of(&r->memory, s->positive, s->n_positive);
    r->negative = marks_of(&r->memory, s->negative, s->n_negative);
    r->classes = marks_of(&r->memory, (const char(*)[SCHEMA_NAME_MAX])s->class_name, s->n_classes);
    r->category = arena_take(&r->memory, s->n_features, sizeof *r->category);
    r->own_missing = arena_take(&r->memory, s->n_features, sizeof *r->own_missing);
    r->value = arena_take(&r->memory, s->n_features, sizeof *r->value);
    r->feature_at = arena_take(&r->memory, s->n_features, sizeof *r->feature_at);
    r->n_outside = arena_take(&r->memory, s->n_features, sizeof *r->n_outside);
    r->n_missing = arena_take(&r->memory, s->n_features, sizeof *r->n_missing);
    for (size_t i = 0; i < s->n_features; i++) {
        const struct schema_feature *f = &s->feature[i];
        r->category[i] =
            marks_of(&r->memory, (const char(*)[SCHEMA_NAME_MAX])f->category, f->n_categories);
        r->own_missing[i] = marks_of(&r->memory, f->missing, f->n_missing);
    }
    return RC_OK;
}

void reader_release(struct reader *r)
{
    arena_wipe(&r->memory); /* reader.value held a row */
    arena_release(&r->memory);
    *r = (struct reader){0};
}

/* ---- columns -------------------------------------------------------------------------------- */

static size_t schema_column(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->s->n_columns; i++) {
        if (strcmp(r->s->column[i], name) == 0) {
            return i;
        }
    }
    return READER_NOWHERE; /* "": not by a column */
}

void reader_place(struct reader *r)
{
    const struct schema *s = r->s;
    r->n_columns = s->n_columns;
    const bool all = r->purpose == READER_IMPORT;
    r->patient_at = schema_column(r, s->patient_column);
    r->site_at = all ? schema_column(r, s->site_column) : READER_NOWHERE;
    r->key_at = all ? schema_column(r, s->record_column) : READER_NOWHERE;
    r->label_at = all ? schema_column(r, s->label_column) : READER_NOWHERE;
    for (size_t i = 0; i < s->n_features; i++) {
        r->feature_at[i] = schema_column(r, s->feature[i].column);
    }
}

size_t header_find(const struct scan_row *header, const char *name)
{
    size_t i = 0;
    while (i < header->n_cells && strcmp(header->cell[i].text, name) != 0) {
        i++;
    }
    return i < header->n_cells ? i : READER_NOWHERE;
}

size_t header_column(const struct scan_row *header, const char *name, struct config_issues *issues)
{
    if (name[0] == '\0') {
        return READER_NOWHERE;
    }
    const size_t at = header_find(header, name);
    if (at == READER_NOWHERE) {
        ISSUE_AT(issues, header->line, 1,
                 "no column '%s'; rename the file's, or name it as it is in cohort.yaml", name);
    }
    return at;
}

/* Of new patients a whole column may well be unknown; that must be said, not guessed. */
static size_t feature_column(const struct reader *r, const struct scan_row *header, size_t i,
                             struct config_issues *issues)
{
    const struct schema_feature *f = &r->s->feature[i];
    if (r->purpose == READER_IMPORT) {
        return header_column(header, f->column, issues);
    }
    const size_t at = header_find(header, f->column);
    if (at == READER_NOWHERE) {
        ISSUE_AT(issues, header->line, 1, "no column '%s', which feature '%s' is read from%s",
                 f->column, f->name,
                 f->may_miss
                     ? "; where its values are not known, add the column and mark its cells "
                       "as missing"
                     : "");
    }
    return at;
}

/* Names are sorted to find doubles: a header may be wide. */
static int by_text(const void *a, const void *b)
{
    const struct scan_cell *x = *(const struct scan_cell *const *)a;
    const struct scan_cell *y = *(const struct scan_cell *const *)b;
    const int order = strcmp(x->text, y->text);
    return order != 0 ? order : (x > y) - (x < y);
}

void header_report_doubles(const struct scan_row *header, struct config_issues *issues)
{
    static_assert(SCHEMA_COLUMNS_MAX * sizeof(void *) <= 1 << 16, "fits on the stack");
    const struct scan_cell *cell[SCHEMA_COLUMNS_MAX];
    assert(header->n_cells <= SCHEMA_COLUMNS_MAX);
    for (size_t i = 0; i < header->n_cells; i++) {
        cell[i] = &header->cell[i];
    }
    qsort(cell, header->n_cells, sizeof(const struct scan_cell *), by_text);
    for (size_t i = 1; i < header->n_cells; i++) {
        if (cell[i]->n > 0 && strcmp(cell[i]->text, cell[i - 1]->text) == 0) {
            ISSUE_AT(issues, header->line, (size_t)(cell[i] - header->cell) + 1,
                     "this column's name is also that of column %zu",
                     (size_t)(cell[i - 1] - header->cell) + 1);
        }
    }
}

/* A header read with another separator is one long cell: all columns would be missing, and none is. */
static bool any_column(const struct schema *s, const struct scan_row *header)
{
    const char *const named[] = {s->patient_column, s->site_column, s->label_column,
                                 s->record_column};
    bool any = false;
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        any = any || (named[i][0] != '\0' && header_find(header, named[i]) != READER_NOWHERE);
    }
    for (size_t i = 0; i < s->n_features; i++) {
        any = any || header_find(header, s->feature[i].column) != READER_NOWHERE;
    }
    return any;
}

void reader_place_header(struct reader *r, const struct scan_row *header,
                         struct config_issues *issues)
{
    const struct schema *s = r->s;
    r->n_columns = header->n_cells;
    if (!any_column(s, header)) {
        ISSUE_AT(issues, header->line, 1,
                 "none of the columns that cohort.yaml names is in this header; is its `separator` "
                 "the one of this file?");
        r->patient_at = READER_NOWHERE;
        r->site_at = READER_NOWHERE;
        r->label_at = READER_NOWHERE;
        r->key_at = READER_NOWHERE;
        for (size_t i = 0; i < s->n_features; i++) {
            r->feature_at[i] = READER_NOWHERE;
        }
        return;
    }
    header_report_doubles(header, issues);
    r->patient_at = header_column(header, s->patient_column, issues);
    r->site_at = READER_NOWHERE;
    r->label_at = READER_NOWHERE;
    r->key_at = READER_NOWHERE;
    if (r->purpose == READER_IMPORT) {
        r->site_at = header_column(header, s->site_column, issues);
        r->label_at = header_column(header, s->label_column, issues);
        r->key_at = header_column(header, s->record_column, issues);
    }
    for (size_t i = 0; i < s->n_features; i++) {
        r->feature_at[i] = feature_column(r, header, i, issues);
    }
}

/* ---- rows ----------------------------------------------------------------------------------- */

const struct scan_cell *cell_at(const struct scan_row *row, size_t at)
{
    return at == READER_NOWHERE || row->cell[at].bad ? NULL : &row->cell[at];
}

bool row_name(const struct marks *missing, const struct scan_row *row, size_t at,
              const char *column, char out[SCHEMA_NAME_MAX], struct config_issues *issues)
{
    const struct scan_cell *cell = cell_at(row, at);
    if (cell == NULL) {
        return false;
    }
    const struct word w = {.text = cell->text}; /* as text: 007 is not 7 */
    if (cell->n == 0 || holds(missing, &w)) {
        ISSUE_AT(issues, row->line, at + 1, "'%s' is missing", column);
        return false;
    }
    if (cell->n >= SCHEMA_NAME_MAX) {
        ISSUE_AT(issues, row->line, at + 1, "'%s' is longer than %d bytes", column,
                 SCHEMA_NAME_MAX - 1);
        return false;
    }
    for (size_t i = 0; i < cell->n; i++) {
        const unsigned char c = (unsigned char)cell->text[i];
        if (c < 0x20 || c == 0x7f) {
            ISSUE_AT(issues, row->line, at + 1, "'%s' holds a control character", column);
            return false;
        }
    }
    memcpy(out, cell->text, cell->n + 1);
    return true;
}

static bool read_name(const struct reader *r, const struct scan_row *row, size_t at,
                      const char *column, char out[SCHEMA_NAME_MAX], struct config_issues *issues)
{
    return row_name(&r->missing, row, at, column, out, issues);
}

/* The id of a patient without one: <site>-<line>, at least three digits. */
static bool number_patient(const struct scan_row *row, const char *site, char out[SCHEMA_NAME_MAX],
                           struct config_issues *issues)
{
    const int n = snprintf(out, SCHEMA_NAME_MAX, "%s-%03zu", site, row->line);
    if (n < 0 || n >= SCHEMA_NAME_MAX) {
        ISSUE_AT(issues, row->line, 1, "the site's name leaves no room for a patient's number");
        return false;
    }
    return true;
}

/* What the modalities' files call the row: its own name, or the patient's. */
static bool read_key(const struct reader *r, const struct scan_row *row, struct reading *out,
                     struct config_issues *issues)
{
    if (r->s->record_column[0] == '\0') {
        out->key_field = out->patient_field;
        memcpy(out->key, out->patient, sizeof out->key);
        return true;
    }
    out->key_field = r->key_at + 1;
    return read_name(r, row, r->key_at, r->s->record_column, out->key, issues);
}

static bool read_label(const struct reader *r, const struct scan_row *row, int *out,
                       struct config_issues *issues)
{
    const struct scan_cell *cell = cell_at(row, r->label_at);
    const char *name = r->s->label_column;
    if (name[0] == '\0') {
        *out = r->file_label;
        return true;
    }
    if (cell == NULL) {
        return false;
    }
    const struct word w = word_of(cell);
    if (holds(&r->missing, &w)) {
        ISSUE_AT(issues, row->line, r->label_at + 1, "'%s': the label is missing", name);
        return false;
    }
    if (r->s->n_classes > 0) {
        const size_t at = find(&r->classes, &w);
        if (at == r->s->n_classes) {
            ISSUE_AT(issues, row->line, r->label_at + 1, "'%s' is none of its %zu classes", name,
                     r->s->n_classes);
            return false;
        }
        *out = (int)at;
        return true;
    }
    const bool positive = holds(&r->positive, &w);
    if (!positive && !holds(&r->negative, &w)) {
        ISSUE_AT(issues, row->line, r->label_at + 1, "'%s' is neither positive nor negative", name);
        return false;
    }
    *out = positive;
    return true;
}

const char *cell_not_a_number(const char *text)
{
    if (text[0] == '\0') {
        return "is empty; list \"\" under `missing` if that means not known";
    }
    const char *comma = strchr(text, ',');
    if (comma != NULL && strspn(text, "+-0123456789,") == strlen(text)) {
        return "is not a number; the decimal sign is a point";
    }
    const bool plain = strspn(text, "+-.0123456789eE") == strlen(text);
    return plain ? "is not a number, or too large for one" : "is not a number";
}

/* @return false: a problem, reported */
static bool read_feature(struct reader *r, const struct scan_row *row, size_t i,
                         struct config_issues *issues)
{
    const struct schema_feature *f = &r->s->feature[i];
    const struct scan_cell *cell = cell_at(row, r->feature_at[i]);
    if (cell == NULL) {
        return false;
    }
    const size_t field = r->feature_at[i] + 1;
    const struct word w = word_of(cell);

    r->value[i] = (double)NAN;
    if (holds(&r->missing, &w) || holds(&r->own_missing[i], &w)) {
        if (!f->may_miss) {
            ISSUE_AT(issues, row->line, field, "'%s' is missing, which cohort.yaml requires%s",
                     f->name,
                     r->purpose == READER_SCORE
                         ? " (required: true): without it there is no score, leave the row out"
                         : "");
        }
        return f->may_miss;
    }
    if (f->type == SCHEMA_CONTINUOUS) {
        if (!w.is_number) {
            ISSUE_AT(issues, row->line, field, "'%s' %s", f->name, cell_not_a_number(w.text));
            return false;
        }
        r->value[i] = w.number;
        return true;
    }
    const size_t code = find(&r->category[i], &w);
    if (code == f->n_categories) {
        ISSUE_AT(issues, row->line, field, "'%s' is none of its %zu categories", f->name,
                 f->n_categories);
        return false;
    }
    r->value[i] = (double)code;
    return true;
}

bool cell_spread(const struct schema_feature *f, double x, float **values, int32_t **codes)
{
    const bool missing = isnan(x);
    if (missing && !f->may_miss) {
        return false;
    }
    if (f->type == SCHEMA_CONTINUOUS) {
        if (isinf(x)) {
            return false;
        }
        *(*values)++ = missing ? 0.0F : schema_scale(f, x);
    } else {
        const double n = (double)f->n_categories;
        if (!missing && !(x >= 0 && x < n && floor(x) >= x)) {
            return false;
        }
        if (f->type == SCHEMA_CATEGORICAL) {
            *(*codes)++ = (int32_t)(missing ? n : x);
            return true;
        }
        *(*values)++ = missing ? 0.0F : (float)x;
    }
    if (f->may_miss) {
        *(*values)++ = missing ? 1.0F : 0.0F;
    }
    return true;
}

void reader_count(struct reader *r)
{
    for (size_t i = 0; i < r->s->n_features; i++) {
        const struct schema_feature *f = &r->s->feature[i];
        if (isnan(r->value[i])) {
            r->n_missing[i]++;
        } else if (f->type == SCHEMA_CONTINUOUS &&
                   (r->value[i] < f->low || r->value[i] > f->high)) {
            r->n_outside[i]++;
        }
    }
}

/* Who the row is of: id, and for an import the site. @return false: a problem, reported */
static bool read_person(const struct reader *r, const char *file_site, const struct scan_row *row,
                        struct reading *out, struct config_issues *issues)
{
    const struct schema *s = r->s;
    const bool scoring = r->purpose == READER_SCORE;
    bool good = true;
    if (!scoring && s->site_column[0] != '\0') {
        good = read_name(r, row, r->site_at, s->site_column, out->site, issues);
    } else if (!scoring) {
        (void)snprintf(out->site, sizeof out->site, "%s", file_site);
    }
    out->patient_field = 1;
    if (s->patient_from == SCHEMA_PATIENT_COLUMN) {
        out->patient_field = r->patient_at + 1; /* used only where it is there */
        good &= read_name(r, row, r->patient_at, s->patient_column, out->patient, issues);
    } else if (scoring) {
        (void)snprintf(out->patient, sizeof out->patient, "%zu", row->line);
    } else if (good) {
        good = number_patient(row, out->site, out->patient, issues);
    }
    return good;
}

void reader_read(struct reader *r, const char *file_site, const struct scan_row *row,
                 struct reading *out, struct config_issues *issues)
{
    const struct schema *s = r->s;
    *out = (struct reading){0};
    if (row->n_cells != r->n_columns) { /* which cell is missing is not known: none is read */
        ISSUE_AT(issues, row->line, row->n_cells, "%zu fields, want %zu%s", row->n_cells,
                 r->n_columns,
                 r->purpose == READER_SCORE && !s->has_header
                     ? ": without a header every column of cohort.yaml must be there; the label's "
                       "cells may be empty"
                     : "");
        return;
    }
    bool good = read_person(r, file_site, row, out, issues);
    out->label_field = r->label_at + 1;
    if (r->purpose == READER_IMPORT) {
        good &= read_label(r, row, &out->label, issues);
        good &= read_key(r, row, out, issues);
    }
    out->usable = good;
    for (size_t i = 0; i < s->n_features; i++) {
        good &= read_feature(r, row, i, issues);
    }
    out->whole = good;
}

enum rc reader_walk(struct reader *r, struct scan *scan, size_t rows_max, size_t *n_seen,
                    reader_each *each, void *ctx, struct config_issues *issues, struct error *err)
{
    const size_t n_before = issues->n;
    bool placed = !r->s->has_header;
    size_t n_rows = 0;
    struct scan_row row;
    bool more = true;

    if (placed) {
        reader_place(r);
    }
    for (;;) {
        enum rc rc = scan_next(scan, &row, &more, issues, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!more) {
            break;
        }
        if (!placed) {
            reader_place_header(r, &row, issues);
            placed = true;
            continue;
        }
        if (*n_seen == rows_max) {
            ISSUE_AT(issues, row.line, 1, "more than %zu rows", rows_max);
            return RC_OK;
        }
        ++*n_seen;
        n_rows++;
        rc = each(ctx, &row, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (n_rows == 0 && issues->n == n_before) {
        config_issue(issues, NULL, r->s->has_header ? "no row below a header" : "no row");
    }
    return RC_OK;
}
