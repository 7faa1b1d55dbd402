/* What stands beside the table, whatever its kind: reading, counting, warning, and its part of the
 * version. */
#include "common/cohort/cohort_internal.h"

enum rc modality_import(struct intake *in, struct error *err)
{
    switch (in->m->kind) {
    case SCHEMA_SERIES:
        return series_import(in, err);
    case SCHEMA_IMAGE:
        return image_import(in, err);
    case SCHEMA_NOTES:
        break;
    }
    return notes_import(in, err);
}

enum rc modalities_count(const struct schema *s, struct store *store, struct cohort_summary *sum,
                         struct error *err)
{
    struct statement *st = NULL;
    bool row = false;
    enum rc rc =
        store_prepare(store, "SELECT modality, count(DISTINCT record) FROM piece GROUP BY modality",
                      &st, err);
    if (rc == RC_OK) {
        rc = statement_step(st, &row, err);
    }
    for (; rc == RC_OK && row; rc = statement_step(st, &row, err)) {
        const int64_t i = statement_i64(st, 0);
        if (i >= 0 && (size_t)i < s->n_modalities) {
            sum->modality[i].n_records = (size_t)statement_i64(st, 1);
        }
    }
    statement_close(&st);
    return rc;
}

static const char *what(const struct schema_modality *m)
{
    return m->kind == SCHEMA_IMAGE ? "images" : m->kind == SCHEMA_SERIES ? "rows" : "notes";
}

void modality_warn(struct cohort_summary *sum, const struct schema_modality *m, bool shared,
                   const struct cohort_found *found)
{
    if (found->n_records == 0 && m->n_files > 0) {
        summary_warn(sum, "'%s' is absent for every patient", m->name);
    }
    if (found->n_unknown > 0 && !shared) {
        summary_warn(sum,
                     "'%s': %zu %s are of ids that this cohort's table does not have, and are left "
                     "out",
                     m->name, found->n_unknown, what(m));
    }
    if (found->n_outside > 0) {
        summary_warn(sum,
                     "'%s': %zu of %zu values are outside of their ranges and are clamped, most of "
                     "'%s'",
                     m->name, found->n_outside, found->n_items, found->outside);
    }
    if (found->n_never > 0 && m->n_files > 0) {
        summary_warn(sum, "'%s': '%s'%s never seen; is `code` as the files write it?", m->name,
                     found->never, found->n_never > 1 ? " and others are" : " is");
    }
}

enum rc modalities_add_version(const struct schema *s, struct store *store, struct hasher *h,
                               struct error *err)
{
    struct piece_reader *reader = NULL;
    struct piece p;
    bool more = true;
    hasher_text(h, "modalities");
    enum rc rc = piece_reader_open(s, store, &reader, err);
    while (rc == RC_OK) {
        rc = piece_next(reader, &p, &more, err);
        if (rc != RC_OK || !more) {
            break;
        }
        hasher_text(h, p.key);
        hasher_u64(h, p.modality);
        hasher_u64(h, p.n);
        hasher_bytes(h, p.data, p.n);
    }
    piece_reader_close(&reader);
    return rc;
}
