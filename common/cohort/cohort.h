/**
 * @file cohort.h
 * Files as they are -> checked -> the site's SQLite file -> dataset -> batches.
 *
 * Import is all or nothing: every cell of every file is checked, problems are listed as
 * file:line:column (never with the cell's value), and only a clean cohort replaces the old one, in
 * one transaction, under a new version hash. Home of <csv.h>, <zlib.h> and <png.h>.
 *
 * In `patients.csv:17:5: error: 'chol' is not a number`, 17 is the line on which the row starts,
 * counted from 1 as an editor does (line ends inside quotes count, too), and 5 is the number of the
 * field in its row, from 1.
 */
#ifndef COMMON_COHORT_COHORT_H
#define COMMON_COHORT_COHORT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/config/config.h"
#include "common/schema/schema.h"
#include "common/store/store.h"

extern const struct store_kind cohort_store_kind;

/* Bounds of an import, each an error with its place, never a cut. */
enum {
    COHORT_ROWS_MAX = 4000000,       /**< a dataset of 100 values a row is then 1.6 GB of memory */
    COHORT_FILE_BYTES_MAX = 1 << 30, /**< of one file, unpacked: where a bomb in a .gz stops */
    COHORT_ROW_BYTES_MAX = 1 << 20,  /**< how much a quote that never closes can swallow */
    COHORT_CELL_BYTES_MAX = 1 << 16, /**< free text beside the features; no value is as long */
    COHORT_ITEMS_MAX = 1 << 27,      /**< of a modality: rows of its files, or images */
    COHORT_WARNINGS_SHOWN = 8
};

/** What an import found of one modality. Rows are rows of its files, or images, or files of notes. */
struct cohort_found {
    size_t n_records;  /**< that have it */
    size_t n_items;    /**< rows stored */
    size_t n_unknown;  /**< left out: no row of the label's table has that id */
    size_t n_missing;  /**< left out: the value is a mark of missing, or the text empty */
    size_t n_beside;   /**< left out: a time outside of the window */
    size_t n_unlisted; /**< left out: a variable that cohort.yaml does not list; files of another
                                kind in a folder */
    size_t n_outside;  /**< stored: values outside of their range */
    size_t n_never;    /**< variables that no row has */
    char never[SCHEMA_NAME_MAX];   /**< the first of them */
    char outside[SCHEMA_NAME_MAX]; /**< the variable with most values outside */
};

/** What an import found; counts are for the site's own eyes. */
struct cohort_summary {
    size_t n_rows, n_patients, n_positive /**< 0 of a label with several classes */,
        n_missing_cells, n_files, n_sites;
    size_t n_warnings;                        /**< all of them; the first 8 as lines in `warning` */
    char warning[COHORT_WARNINGS_SHOWN][200]; /**< a label with one class only, values outside the
                                                   range, a feature that is always missing */
    struct hash version; /**< schema and content of all rows, whatever files they came in */
    struct cohort_found modality[SCHEMA_MODALITIES_MAX];
};

/**
 * Reads the schema's files (CSV, plain or gzip, found by content), checks every cell and replaces
 * what is in `store`. No transaction may be open.
 *
 * @param site_name keep only rows of this site (a hospital's own import), or NULL for all. Files of
 *                  other sites are not opened; other sites' rows of a shared file are checked but
 *                  neither stored nor compared.
 * @param issues    every problem of every file (path:line:column); its path is as before after it
 * @param[out] out  written on success only
 * @retval RC_INVALID at least one problem: nothing changed in `store`
 * @retval RC_IO      a file stopped being readable, or the store; nothing changed
 * @retval RC_NOMEM   nothing changed
 */
RC cohort_import(const struct schema *s, const char *site_name, struct store *store,
                 struct config_issues *issues, struct cohort_summary *out, struct error *err);

/** A file's content in memory, plain (not gzip). */
struct cohort_bytes {
    const void *data;
    size_t n;
    const struct cohort_bytes *ids; /**< raw images: of the file `ids`; NULL: it is read */
};

/**
 * cohort_import with files already in memory: `file` [s->n_files] and then those of each modality, in
 * order. For cohorts that are made, not collected.
 */
RC cohort_import_bytes(const struct schema *s, const char *site_name,
                       const struct cohort_bytes *file, struct store *store,
                       struct config_issues *issues, struct cohort_summary *out, struct error *err);

/**
 * One modality of all rows, as compact as it came: items of row r are first[r] … first[r+1]-1, none
 * where it is absent. Which arrays there are depends on the kind.
 */
struct dataset_part {
    struct schema_part shape;
    size_t *first;        /**< [n_rows + 1] */
    float *time;          /**< series: as a part of the window, [0, 1), ascending in a row */
    float *value;         /**< series: scaled to [-1, 1] */
    uint16_t *variable;   /**< series */
    unsigned char *pixel; /**< image */
    int32_t *token;       /**< notes */
};

/**
 * All rows of a cohort in memory, patients in the order of their ids (bytewise), rows as in the
 * files. Plain, read only once built, shared between threads. Rows of patient p are
 * first_row[p] … first_row[p+1]-1.
 */
struct dataset {
    size_t n_patients, n_rows, n_values, n_codes, n_sites;
    struct hash version;
    char (*site_name)[SCHEMA_NAME_MAX];  /**< [n_sites], sorted */
    char (*patient_id)[SCHEMA_NAME_MAX]; /**< [n_patients] */
    struct hash *patient; /**< [n_patients] BLAKE2b of the id: what coins are keyed by */
    size_t *first_row;    /**< [n_patients + 1] */
    uint32_t *site;       /**< [n_patients] index into site_name */
    float *label;   /**< [n_patients]: 0 or 1, or the number of a class; rows of a patient agree */
    float *values;  /**< [n_rows, n_values] */
    int32_t *codes; /**< [n_rows, n_codes] */
    size_t n_parts;
    struct dataset_part part[SCHEMA_MODALITIES_MAX];
};

/**
 * Everything in the store, at one moment. No transaction may be open.
 * @retval RC_STATE  nothing imported, or another schema's cohort
 * @retval RC_FORMAT the store holds what no import writes; @retval RC_IO; @retval RC_NOMEM
 */
RC dataset_open(const struct schema *s, struct store *store, struct dataset **out,
                struct error *err);
/**
 * Zeroed room for a dataset that the caller fills (generated cohorts, tests); `first_row` and
 * `version`, too. Only dataset_close frees it, and wipes it first.
 * @retval RC_LIMIT more than COHORT_ROWS_MAX rows, patients or sites, or values or codes than any
 *                  schema has; @retval RC_NOMEM
 */
RC dataset_reserve(size_t n_patients, size_t n_rows, size_t n_values, size_t n_codes,
                   size_t n_sites, struct dataset **out, struct error *err);
void dataset_close(struct dataset **d);

/**
 * A subset of patients (indices into d, in any order; the copy keeps them ascending): folds, sites.
 * Owned copy with the same table of sites. Its version is a hash of d's and of who was picked.
 * @retval RC_INVALID an index twice or out of range; @retval RC_NOMEM
 */
RC dataset_pick(const struct dataset *d, const size_t *patient, size_t n, struct dataset **out,
                struct error *err);

/**
 * The same of patients of one site alone, whose name is the only one in the copy's table: a thousand
 * sites do not each carry a thousand names. The version is that of dataset_pick.
 * @retval RC_INVALID also where one is another site's; @retval RC_NOMEM
 */
RC dataset_pick_site(const struct dataset *d, size_t site, const size_t *patient, size_t n,
                     struct dataset **out, struct error *err);

/**
 * The same patients at other sites. Owned copy; its version is a hash of d's and of who is where.
 * @param site [d->n_patients] index into `name` @param name [n_sites] sorted
 * @retval RC_LIMIT; @retval RC_NOMEM
 */
RC dataset_resite(const struct dataset *d, const uint32_t *site,
                  const char (*name)[SCHEMA_NAME_MAX], size_t n_sites, struct dataset **out,
                  struct error *err);

/**
 * Rows of new patients as one file has them, in its order: to be scored. Several rows a patient are
 * several rows here. Owned; only cohort_rows_close frees it, and wipes it first.
 */
struct cohort_rows {
    size_t n, n_values, n_codes;
    char (*patient)[SCHEMA_NAME_MAX]; /**< [n] id; the line's number where cohort.yaml has
                                           `patient: {from: line}` */
    float *values;                    /**< [n, n_values] as schema_layout says */
    int32_t *codes;                   /**< [n, n_codes] */
};

/**
 * Reads one file, plain or gzip, that is written like the cohort's own: the schema's separator,
 * header, columns and marks. Every cell of a feature or id is checked as by an import. Label and
 * site are not read: with a header their columns may be absent, without one their cells may be
 * empty. A feature's cells may miss where the schema allows it, its column may not: a file that
 * lacks a column says nothing about it.
 *
 * @param found     n_rows, n_missing_cells and warnings; written on success only
 * @param issues    every problem (path:line:column); its path is as before after it
 * @retval RC_INVALID at least one problem; @retval RC_IO cannot be read; @retval RC_NOMEM
 */
RC cohort_read_rows(const struct schema *s, const char *path, struct cohort_rows **out,
                    struct cohort_summary *found, struct config_issues *issues, struct error *err);
void cohort_rows_close(struct cohort_rows **r);

/** Where dataset_gather writes one modality: a batch_part that is not const. */
struct batch_room_part {
    float *values, *mask, *delta;
    int32_t *codes, *length;
};

/** Room for a physical batch, from an arena; `batch` is what was gathered last. */
struct batch_room {
    size_t B; /**< at most */
    float *values, *label;
    int32_t *codes, *class_of;
    uint8_t *present;
    struct batch_room_part part[SCHEMA_MODALITIES_MAX];
    struct batch_part view[SCHEMA_MODALITIES_MAX];
    struct batch batch;
};

/** Bytes of arena that batch_room_take takes. */
size_t batch_room_cost(const struct schema_layout *layout, size_t B);
/** `room` stays where it is while its batch is in use: the batch points into it. */
void batch_room_take(struct batch_room *room, const struct schema_layout *layout, size_t B,
                     struct arena *memory);

/** Copies row `row[i]` (of patient `patient[i]`) for each i < B <= room->B into the room and points
 *  room->batch at it. The dataset is of the layout that the room was made for. */
void dataset_gather(const struct dataset *d, const size_t *row, const size_t *patient, size_t B,
                    struct batch_room *room);

#endif
