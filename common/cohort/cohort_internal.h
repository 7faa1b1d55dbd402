/**
 * @file cohort_internal.h
 * The parts of an import: source (files), scan (bytes -> rows of cells), row (cells -> numbers),
 * import (rows -> store); for what stands beside the table: long (rows of long files), series, image
 * and notes (files -> pieces -> what a batch holds), pieces (in and out of the store), parts (the
 * dataset's share); and of reading new patients: scan, row, rows. For this folder, its tests and its
 * fuzz target.
 */
#ifndef COMMON_COHORT_COHORT_INTERNAL_H
#define COMMON_COHORT_COHORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include <zlib.h>

#include "common/base/arena.h"
#include "common/cohort/cohort.h"

/** The bounds of cohort.h; tests use small ones. */
struct cohort_limits {
    size_t rows, file_bytes, row_bytes, cell_bytes;
    size_t items; /**< of a modality: rows of its files, or images */
};
extern const struct cohort_limits cohort_limits;

/**
 * cohort_import with files already in memory, or NULL to read the schema's: `file` [s->n_files] and
 * then those of each modality, in order. Folders have no form in memory: they are read in any case.
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

/* ---- source --------------------------------------------------------------------------------- */

/** Plain or gzip. @retval RC_IO as errno says; @retval RC_NOMEM */
RC source_open(const char *path, gzFile *out, struct error *err);
/** One more problem: a file that is not there. @param written its path in cohort.yaml */
void source_absent(const char *written, const char *path, const struct error *why,
                   struct config_issues *issues);
/** A file that is not there is a problem of the cohort, so that all of them are named at once; *out
 *  then stays NULL. @retval RC_NOMEM */
struct scan;
RC source_scan(const struct schema *s, const char *written, const struct cohort_bytes *bytes,
               char separator, const struct cohort_limits *limits, struct scan **out,
               struct config_issues *issues, struct error *err);
/** prefix and name, `n` bytes of it. `name` may be `out`. @return false: too long to be an id */
bool source_name(const char *prefix, const char *name, size_t n, char out[SCHEMA_NAME_MAX]);

/** Names in a folder that end in `ending`, sorted by their bytes. */
struct folder {
    char **name; /**< [n] */
    size_t n, n_others;
};
/** @retval RC_IO cannot open; @retval RC_NOMEM also where there are more than about `most` names */
RC folder_open(const char *path, const char *ending, size_t most, struct folder *out,
               struct error *err);
void folder_close(struct folder *f);
/** A whole file, plain or gzip, for the caller to free. @retval RC_IO; @retval RC_LIMIT; @retval RC_NOMEM */
RC folder_read(const char *path, size_t most, unsigned char **out, size_t *n, struct error *err);

/* ---- scan ----------------------------------------------------------------------------------- */

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

/** Length of the well-formed UTF-8 character at `b`, of which `n` > 0 bytes are left; 0: it is none. */
size_t utf8_length(const unsigned char *b, size_t n);

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

size_t marks_cost(size_t n);
struct marks marks_of(struct arena *memory, const char (*text)[SCHEMA_NAME_MAX], size_t n);
bool marks_hold_cell(const struct marks *m, const struct scan_cell *cell);

#define READER_NOWHERE ((size_t)-1)

/** The place of a column, or READER_NOWHERE. */
size_t header_find(const struct scan_row *header, const char *name);
/** The same, and reported where it is not there; "" is nowhere without a word. */
size_t header_column(const struct scan_row *header, const char *name, struct config_issues *issues);
void header_report_doubles(const struct scan_row *header, struct config_issues *issues);
/** The cell of a column, or NULL: there is none, or it was reported by the scanner. */
const struct scan_cell *cell_at(const struct scan_row *row, size_t at);
/** What names a patient, row or site: there, short enough to keep, and printable on one line.
 *  @return false: a problem, reported */
bool row_name(const struct marks *missing, const struct scan_row *row, size_t at,
              const char *column, char out[SCHEMA_NAME_MAX], struct config_issues *issues);
/** Why a cell is no number. */
const char *cell_not_a_number(const char *text);

/** To score, neither label nor site is needed: their columns are not read, even if they are there. */
enum reader_purpose { READER_IMPORT, READER_SCORE };

/** A schema made ready for many rows: marks, and where each column stands in the present file. */
struct reader {
    const struct schema *s;
    enum reader_purpose purpose;
    struct arena memory;
    struct marks missing, positive, negative, classes;
    struct marks *category, *own_missing;         /**< [n_features] */
    size_t patient_at, site_at, label_at, key_at; /**< field from 0, or READER_NOWHERE */
    size_t *feature_at;                           /**< [n_features] */
    size_t n_columns;
    int file_label;    /**< of the present file, where the files say it */
    double *value;     /**< [n_features] of the present row; NaN: missing */
    size_t *n_outside; /**< [n_features] values outside the range so far */
    size_t *n_missing; /**< [n_features] */
};

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
    char key[SCHEMA_NAME_MAX]; /**< an import: what the modalities' files call the row */
    int label;                 /**< 0 or 1, or the number of a class */
    size_t patient_field, label_field, key_field; /**< from 1, for messages about several rows */
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
 * the quiet NaN 7ff8000000000000. Minus zero is written as zero. Without features: one zero.
 */
enum { CELL_BYTES = 8 };
static inline size_t cells_bytes(const struct schema *s)
{
    return (s->n_features > 0 ? s->n_features : 1) * CELL_BYTES;
}
void cell_put(unsigned char *to, double x);
double cell_get(const unsigned char *from);

/*
 * piece.data, of a series: events of EVENT_BYTES, each its time in hours and its value in its unit
 * (eight bytes as a cell), the number of its variable and zeros (four bytes, little-endian). Of notes:
 * for each its time in hours (0 without one), its length (eight bytes), its text. Of an image: its
 * pixels, H x W bytes. The pieces of a record are read as one and put in order of time; what has the
 * same time stays as in the files.
 */
enum { EVENT_BYTES = 24, NOTE_HEAD = 16, PIECES_OF_ONE_MAX = 1 << 26 };
void u32_put(unsigned char *to, uint32_t x);
uint32_t u32_get(const unsigned char *from);

/* ---- pieces --------------------------------------------------------------------------------- */

/** What is written waits here, so that a file in any order costs few rows of the store. */
struct pieces {
    struct statement *find, *add;
    struct store *store;
    struct arena memory;
    struct piece_entry *entry;
    size_t n_entries;
    unsigned char *bytes, *sorted;
    size_t n_bytes;
    size_t room;                    /**< bytes there may be before it grows or is flushed */
    char last_key[SCHEMA_NAME_MAX]; /**< most files come patient by patient */
    int64_t last_record;
    bool any_key;
};

RC pieces_init(struct pieces *p, struct store *store, struct error *err);
/** Idempotent. What was not flushed is lost. */
void pieces_release(struct pieces *p);
/** *record is 0 where the table has none of that key. */
RC pieces_find(struct pieces *p, const char *key, int64_t *record, struct error *err);
/** @param n at most PIECES_ITEM_MAX */
RC pieces_add(struct pieces *p, int64_t record, size_t modality, const void *data, size_t n,
              struct error *err);
/** The highest number of a record. */
RC pieces_last_record(struct pieces *p, size_t *out, struct error *err);
RC pieces_flush(struct pieces *p, struct error *err);
enum { PIECES_ITEM_MAX = (1 << 20) + NOTE_HEAD };

/** All that a modality says about a record, in order of time. */
struct piece {
    int64_t record;
    const char *key;
    size_t modality;
    unsigned char *data;
    size_t n;
};

struct piece_reader; /* opaque */
RC piece_reader_open(const struct schema *s, struct store *store, struct piece_reader **out,
                     struct error *err);
void piece_reader_close(struct piece_reader **r);
/** In the order of a dataset's rows, and of the modalities. @retval RC_FORMAT what no import writes */
RC piece_next(struct piece_reader *r, struct piece *out, bool *more, struct error *err);

/* ---- modalities ----------------------------------------------------------------------------- */

/** What reading the files of one modality needs. */
struct intake {
    const struct schema *s;
    const struct schema_modality *m;
    size_t index;
    const char *only_site;
    const struct cohort_bytes *bytes; /**< [m->n_files], or NULL */
    const struct cohort_limits *limits;
    struct pieces *pieces;
    struct config_issues *issues;
    struct cohort_found *found;
    size_t n_seen; /**< rows or images, stored or not */
};

RC modality_import(struct intake *in, struct error *err);
RC series_import(struct intake *in, struct error *err);
RC image_import(struct intake *in, struct error *err);
RC notes_import(struct intake *in, struct error *err);
/** What is allowed and yet most likely a mistake. @param shared the files are several sites', of which
 *  one is read: ids that it does not know are theirs */
void modality_warn(struct cohort_summary *sum, const struct schema_modality *m, bool shared,
                   const struct cohort_found *found);
/** How many records have each, of what is in the store. */
RC modalities_count(const struct schema *s, struct store *store, struct cohort_summary *sum,
                    struct error *err);
RC modalities_add_version(const struct schema *s, struct store *store, struct hasher *h,
                          struct error *err);

/** Rows of a long file. A cell of a column that was not asked for is NULL. */
enum { LONG_PATIENT, LONG_TIME, LONG_VARIABLE, LONG_VALUE, LONG_TEXT, LONG_COLUMNS };
struct long_row {
    const struct scan_row *row;
    char key[SCHEMA_NAME_MAX]; /**< with the file's prefix */
    size_t at[LONG_COLUMNS];   /**< fields from 0 */
    const struct scan_cell *cell[LONG_COLUMNS];
    const struct marks *missing; /**< of the cohort */
    double hours;                /**< 0 where there is no column `time` */
};
typedef enum rc long_each(void *ctx, const struct long_row *row, struct error *err);
/** All rows of all files that have an id and a time within the window. */
RC long_walk(struct intake *in, long_each *each, void *ctx, struct error *err);

/** Puts the events or notes of a piece in order of time. @return false: no import wrote it */
bool series_order(const struct schema_modality *m, unsigned char *data, size_t n);
/** @param spare [n] @retval RC_FORMAT no import wrote it; @retval RC_NOMEM */
RC notes_order(unsigned char *data, size_t n, unsigned char *spare, struct error *err);

/** Bytes of a PNG -> [height, width] by the modality's rule.
 *  @retval RC_INVALID not such an image: the sentence is in err; @retval RC_NOMEM */
RC png_read(const struct schema_image *image, const void *data, size_t n, unsigned char *pixels,
            struct error *err);
/** Grey values [h, w] -> [H, W]. @param spare [h * W] */
void image_resize(enum schema_resize how, const float *from, size_t h, size_t w, float *to,
                  size_t H, size_t W, float *spare);

/**
 * Ids of one note behind the `have` that a patient has already.
 * @param out [n->tokens], or NULL: only counted
 * @return how many the patient has now, at most n->tokens
 */
size_t notes_tokens(const struct schema_notes *n, const unsigned char *text, size_t n_bytes,
                    size_t have, int32_t *out);

/* ---- the dataset's share -------------------------------------------------------------------- */

/** How much of its modality a piece is: events, pixels or tokens. */
size_t piece_items(const struct schema_modality *m, const struct piece *p);
/** Into items `at` … of the part. */
void piece_unpack(const struct schema_modality *m, const struct piece *p, struct dataset_part *to,
                  size_t at);
void series_unpack(const struct schema_modality *m, const struct piece *p, struct dataset_part *to,
                   size_t at);
size_t notes_unpack(const struct schema_modality *m, const struct piece *p, int32_t *out);

/** One record's modality into its places of a batch. The places are zero. */
void series_expand(const struct dataset_part *d, size_t row, const struct batch_room_part *to,
                   size_t b);
void image_expand(const struct dataset_part *d, size_t row, const struct batch_room_part *to,
                  size_t b);
void notes_expand(const struct dataset_part *d, size_t row, const struct batch_room_part *to,
                  size_t b);

/** Room for the parts of a dataset that has its rows already. @param n_items [n_parts]
 *  @retval RC_LIMIT; @retval RC_NOMEM */
RC parts_reserve(struct dataset *d, struct arena *memory, const struct schema_part *shape,
                 size_t n_parts, const size_t *n_items, struct error *err);
/** All pieces of the store. @param record [d->n_rows] the rows' numbers in the store */
RC parts_read(struct dataset *d, struct arena *memory, const struct schema *s, struct store *store,
              const int64_t *record, struct error *err);
/** Rows `row` … `row + n - 1` become rows `at` …; what is before `at` was copied. */
void parts_copy_rows(struct dataset *to, size_t at, const struct dataset *from, size_t row,
                     size_t n);

#endif
