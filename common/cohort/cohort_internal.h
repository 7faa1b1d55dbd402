/**
 * @file cohort_internal.h
 * The parts of an import: scan (bytes -> rows of cells), row (cells -> numbers), import (rows ->
 * store); and of reading new patients: scan, row, rows. For this folder, its tests and its fuzz
 * target.
 */
#ifndef COMMON_COHORT_COHORT_INTERNAL_H
#define COMMON_COHORT_COHORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/cohort/cohort.h"

/** The bounds of cohort.h; tests use small ones. */
struct cohort_limits {
    size_t rows, file_bytes, row_bytes, cell_bytes;
};
extern const struct cohort_limits cohort_limits;

/** A file's content in memory, plain (not gzip). */
struct cohort_bytes {
    const void *data;
    size_t n;
};

/**
 * cohort_import with files already in memory: `file` [s->n_files], or NULL to read the schema's.
 */
RC cohort_import_from(const struct schema *s, const char *site_name,
                      const struct cohort_bytes *file, const struct cohort_limits *limits,
                      struct store *store, struct config_issues *issues, struct cohort_summary *out,
                      struct error *err);

/** cohort_read_rows of a file already in memory, or NULL to read `path`. */
RC cohort_read_rows_from(const struct schema *s, const char *path, const struct cohort_bytes *bytes,
                         const struct cohort_limits *limits, struct cohort_rows **out,
                         struct cohort_summary *found, struct config_issues *issues,
                         struct error *err);

/* ---- scan ----------------------------------------------------------------------------------- */

struct scan; /* opaque: one file being read */

struct scan_cell {
    const char *text; /**< NUL-terminated; without the quotes around it */
    size_t n;
    bool bad; /**< already reported: not UTF-8, a NUL inside, or too long */
};

struct scan_row {
    size_t line; /**< on which it starts */
    size_t n_cells;
    const struct scan_cell *cell; /**< [n_cells], valid until the next scan_next */
};

/** From a path, or from memory where `bytes` is not NULL. @retval RC_IO as errno says */
RC scan_open(const char *path, const struct cohort_bytes *bytes, char separator,
             const struct cohort_limits *limits, struct scan **out, struct error *err);
void scan_close(struct scan **s);

/**
 * The next row that can be read; what cannot be (a broken quote, a row too long, a damaged .gz) is
 * reported and left out. *more is false at the end. @retval RC_IO; @retval RC_NOMEM
 */
RC scan_next(struct scan *s, struct scan_row *row, bool *more, struct config_issues *issues,
             struct error *err);

/* ---- row ------------------------------------------------------------------------------------ */

/** A word to compare cells with, its number worked out beforehand. */
struct mark {
    const char *text;
    bool is_number;
    double number;
};

struct marks {
    size_t n;
    struct mark *at; /**< [n] */
};

/** To score, neither label nor site is needed: their columns are not read, even if they are there. */
enum reader_purpose { READER_IMPORT, READER_SCORE };

/** A schema made ready for many rows: marks, and where each column stands in the present file. */
struct reader {
    const struct schema *s;
    enum reader_purpose purpose;
    struct arena memory;
    struct marks missing, positive, negative;
    struct marks *category, *own_missing; /**< [n_features] */
    size_t patient_at, site_at, label_at; /**< field from 0, or READER_NOWHERE */
    size_t *feature_at;                   /**< [n_features] */
    size_t n_columns;
    double *value;     /**< [n_features] of the present row; NaN: missing */
    size_t *n_outside; /**< [n_features] values outside the range so far */
    size_t *n_missing; /**< [n_features] */
};

#define READER_NOWHERE ((size_t)-1)

RC reader_init(struct reader *r, const struct schema *s, enum reader_purpose purpose,
               struct error *err);
void reader_release(struct reader *r);

/** Columns by the schema, for files without header. */
void reader_place(struct reader *r);
/** Columns by the header; each missing or doubled name is a problem. */
void reader_place_header(struct reader *r, const struct scan_row *header,
                         struct config_issues *issues);

/** What a row says. */
struct reading {
    bool usable; /**< id, and for an import site and label, are there */
    bool whole;  /**< and every feature, in reader.value */
    char patient[SCHEMA_NAME_MAX];
    char site[SCHEMA_NAME_MAX];
    int label;                         /**< 0 or 1 */
    size_t patient_field, label_field; /**< from 1, for messages about several rows */
};

/** Checks every cell of a row. @param file_site of all its rows, or "" where a column says it */
void reader_read(struct reader *r, const char *file_site, const struct scan_row *row,
                 struct reading *out, struct config_issues *issues);

/** What becomes of each row of a file. */
typedef enum rc reader_each(void *ctx, const struct scan_row *row, struct error *err);
/** All rows of a file below its header, which is read here. @param n_seen counts up to `rows_max` */
RC reader_walk(struct reader *r, struct scan *scan, size_t rows_max, size_t *n_seen,
               reader_each *each, void *ctx, struct config_issues *issues, struct error *err);

/** Counts missing cells and values outside their range of the row just read. */
void reader_count(struct reader *r);

/** One cell into its places of the layout (schema.h), which move on. NaN is missing.
 *  @return false: no reader gives that */
bool cell_spread(const struct schema_feature *f, double x, float **values, int32_t **codes);

/* ---- what was found ------------------------------------------------------------------------- */

/** One more warning line. */
void summary_warn(struct cohort_summary *sum, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** Missing cells, features that are always missing, values outside of their range; of sum->n_rows. */
void summary_features(struct cohort_summary *sum, const struct reader *r);

/** One more problem at a place of a file. */
#define ISSUE_AT(issues, row_line, field, ...)                                                 \
    config_issue((issues), &(const struct config_node){.line = (row_line), .column = (field)}, \
                 __VA_ARGS__)

/* ---- what a record looks like in the store ---------------------------------------------------- */

/*
 * record.cells: for each feature of the schema eight bytes, a double in little-endian order. A
 * continuous value in its unit; binary 0 or 1; categorical the index of its category; missing is
 * the quiet NaN 7ff8000000000000. Minus zero is written as zero.
 */
enum { CELL_BYTES = 8 };
void cell_put(unsigned char *to, double x);
double cell_get(const unsigned char *from);

#endif
