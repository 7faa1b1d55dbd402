/*
 * Long files: a header, then one row for one thing that was seen of one patient at one time. Which id
 * the row is of and when it was is read here, what it says by series.c and notes.c.
 */
#include <string.h>

#include "common/cohort/cohort_internal.h"

struct walk {
    struct intake *in;
    const struct schema_source *file;
    struct arena memory;
    struct marks missing;
    struct long_row row;
    size_t n_columns;
    long_each *each;
    void *ctx;
};

bool source_name(const char *prefix, const char *name, size_t n, char out[SCHEMA_NAME_MAX])
{
    const size_t before = strlen(prefix);
    if (before + n >= SCHEMA_NAME_MAX) {
        return false;
    }
    memmove(out + before, name, n);
    memcpy(out, prefix, before);
    out[before + n] = '\0';
    return true;
}

/* false: columns are not there, which was said */
static bool place(struct walk *w, const struct scan_row *header)
{
    const struct schema_long *c = &w->in->m->columns;
    const char *const name[LONG_COLUMNS] = {c->patient, c->time, c->variable, c->value, c->text};
    struct config_issues *issues = w->in->issues;
    const size_t n_before = issues->n;
    bool any = false;

    w->n_columns = header->n_cells;
    for (size_t i = 0; i < LONG_COLUMNS; i++) {
        w->row.at[i] = name[i][0] == '\0' ? READER_NOWHERE : header_find(header, name[i]);
        any = any || w->row.at[i] != READER_NOWHERE;
    }
    if (!any) {
        ISSUE_AT(issues, header->line, 1,
                 "none of the columns of '%s' is in this header; is its `separator` the one of "
                 "this file?",
                 w->in->m->name);
        return false;
    }
    header_report_doubles(header, issues);
    for (size_t i = 0; i < LONG_COLUMNS; i++) {
        w->row.at[i] = header_column(header, name[i], issues);
    }
    return issues->n == n_before;
}

/* @return false: no time, which was said; *beside: outside of the window */
static bool read_time(struct walk *w, bool *beside)
{
    const struct schema_modality *m = w->in->m;
    const struct scan_cell *cell = w->row.cell[LONG_TIME];
    double t;
    *beside = false;
    if (m->columns.time[0] == '\0') {
        w->row.hours = 0;
        return true;
    }
    if (cell == NULL) {
        return false;
    }
    if (!schema_number(cell->text, &t)) {
        ISSUE_AT(w->in->issues, w->row.row->line, w->row.at[LONG_TIME] + 1, "'%s' %s",
                 m->columns.time, cell_not_a_number(cell->text));
        return false;
    }
    w->row.hours = t * m->columns.hours_per_unit + 0.0;
    *beside = m->has_window &&
              !(w->row.hours >= m->window.from_hours && w->row.hours < m->window.to_hours);
    return true;
}

static RC take(struct walk *w, const struct scan_row *row, struct error *err)
{
    struct intake *in = w->in;
    bool beside;
    w->row.row = row;
    if (row->n_cells != w->n_columns) {
        ISSUE_AT(in->issues, row->line, row->n_cells, "%zu fields, want %zu", row->n_cells,
                 w->n_columns);
        return RC_OK;
    }
    for (size_t i = 0; i < LONG_COLUMNS; i++) {
        w->row.cell[i] = cell_at(row, w->row.at[i]);
    }
    const size_t at = w->row.at[LONG_PATIENT];
    bool good = row_name(&w->missing, row, at, in->m->columns.patient, w->row.key, in->issues);
    if (good && !source_name(w->file->prefix, w->row.key, strlen(w->row.key), w->row.key)) {
        ISSUE_AT(in->issues, row->line, at + 1, "with its prefix the id is longer than %d bytes",
                 SCHEMA_NAME_MAX - 1);
        good = false;
    }
    good &= read_time(w, &beside);
    if (!good) {
        return RC_OK;
    }
    if (beside) {
        in->found->n_beside++;
        return RC_OK;
    }
    return w->each(w->ctx, &w->row, err);
}

static RC walk_file(struct walk *w, struct scan *scan, struct error *err)
{
    struct intake *in = w->in;
    const size_t n_before = in->issues->n;
    bool placed = false;
    bool more = true;
    size_t n_rows = 0;
    struct scan_row row;
    for (;;) {
        enum rc rc = scan_next(scan, &row, &more, in->issues, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!more) {
            break;
        }
        if (!placed) {
            placed = place(w, &row);
            if (!placed) {
                return RC_OK; /* no cell can be read */
            }
            continue;
        }
        if (in->n_seen == in->limits->items) {
            ISSUE_AT(in->issues, row.line, 1, "more than %zu rows", in->limits->items);
            return RC_OK;
        }
        in->n_seen++;
        n_rows++;
        rc = take(w, &row, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (n_rows == 0 && in->issues->n == n_before) {
        config_issue(in->issues, NULL, "no row below a header");
    }
    return RC_OK;
}

enum rc long_walk(struct intake *in, long_each *each, void *ctx, struct error *err)
{
    const struct schema *s = in->s;
    struct walk w = {.in = in, .each = each, .ctx = ctx};
    struct cohort_limits limits = *in->limits;
    if (in->m->kind == SCHEMA_NOTES) {
        limits.cell_bytes = limits.row_bytes; /* a note is as long as a row may be */
    }
    enum rc rc = arena_init(&w.memory, marks_cost(s->n_missing), err);
    if (rc != RC_OK) {
        return rc;
    }
    w.missing = marks_of(&w.memory, s->missing, s->n_missing);
    w.row.missing = &w.missing;
    for (size_t i = 0; rc == RC_OK && i < in->m->n_files; i++) {
        struct scan *scan = NULL;
        w.file = &in->m->file[i];
        if (in->only_site != NULL && w.file->site[0] != '\0' &&
            strcmp(w.file->site, in->only_site) != 0) {
            continue;
        }
        in->issues->path = w.file->path;
        rc = source_scan(s, w.file->path, in->bytes != NULL ? &in->bytes[i] : NULL,
                         in->m->columns.separator, &limits, &scan, in->issues, err);
        if (rc == RC_OK && scan != NULL) {
            rc = walk_file(&w, scan, err);
            if (rc != RC_OK) {
                rc = error_context(err, "%s", w.file->path);
            }
        }
        scan_close(&scan);
    }
    arena_release(&w.memory);
    return rc;
}
