/**
 * @file schema.h
 * What a patient looks like, said once and publicly: features with type, unit and clinical range,
 * the label, and where they stand in the files *as they are* (`cohort.yaml`). Two sites with the
 * same schema hash feed the same model input; file layout does not enter the hash.
 * The keys of a cohort.yaml stand in README.md.
 */
#ifndef COMMON_SCHEMA_SCHEMA_H
#define COMMON_SCHEMA_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/config/config.h"

/* Bounds of what a cohort.yaml may ask for. They keep tables small enough to be searched plainly. */
enum {
    SCHEMA_NAME_MAX = 64,       /**< with NUL: names, marks, categories, sites, patient ids */
    SCHEMA_PATH_MAX = 512,      /**< with NUL */
    SCHEMA_FEATURES_MAX = 4096, /**< the widest tables of laboratory values have about 1000 */
    SCHEMA_COLUMNS_MAX = 8192,  /**< of a file; features and what is not used */
    SCHEMA_CATEGORIES_MAX = 1024,
    SCHEMA_MARKS_MAX = 16,
    SCHEMA_FILES_MAX = 256
};

enum schema_type { SCHEMA_CONTINUOUS, SCHEMA_BINARY, SCHEMA_CATEGORICAL };

/** One feature. */
struct schema_feature {
    char name[SCHEMA_NAME_MAX]; /**< also the column's name, unless `column` says another */
    char column[SCHEMA_NAME_MAX];
    char unit[SCHEMA_NAME_MAX];
    enum schema_type type;
    double low, high;                  /**< continuous: public clinical range; scaled to [-1, 1] and
                                     clamped there. Never a statistic of the site. */
    size_t n_categories;               /**< categorical; binary has 2: [0] is 0, [1] is 1 */
    char (*category)[SCHEMA_NAME_MAX]; /**< as written in the file; numbers compare as numbers,
                                            so 3, 3.0 and "3" are one category */
    bool may_miss;    /**< false: a missing cell is an error, and no indicator is made */
    size_t n_missing; /**< marks of its own beside the cohort's */
    char missing[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
};

enum schema_patient { SCHEMA_PATIENT_COLUMN, SCHEMA_PATIENT_LINE };

/** One file of the cohort. */
struct schema_file {
    char path[SCHEMA_PATH_MAX]; /**< relative to cohort.yaml, absolute, or $WARDROUND_DATA/… */
    char site[SCHEMA_NAME_MAX]; /**< of all its rows, or "" where a column says it */
};

/** Plain data after schema_open; freed by schema_release. */
struct schema {
    char name[SCHEMA_NAME_MAX];
    char folder[SCHEMA_PATH_MAX]; /**< of cohort.yaml: relative paths start here */
    /* the files as they are */
    size_t n_files;
    struct schema_file *file;
    char separator;
    bool has_header;
    size_t n_columns; /**< names given where the file has no header */
    char (*column)[SCHEMA_NAME_MAX];
    enum schema_patient patient_from;
    char patient_column[SCHEMA_NAME_MAX]; /**< COLUMN */
    bool many_rows; /**< several rows a patient are allowed (default: an error) */
    char site_column[SCHEMA_NAME_MAX]; /**< "" where the files say it */
    size_t n_missing;                  /**< marks of the whole cohort, such as "?" and "" */
    char missing[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
    /* the task */
    char label_name[SCHEMA_NAME_MAX]; /**< "": the column's name */
    char label_column[SCHEMA_NAME_MAX];
    size_t n_positive, n_negative;
    char positive[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
    char negative[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
    /* what the model sees */
    size_t n_features;
    struct schema_feature *feature;
};

/**
 * Reads and checks a cohort.yaml; all problems at once in `issues`, whose path becomes `path`.
 * The data files are not looked at.
 * @param[out] out written on success only; schema_release when done
 * @retval RC_IO cannot read; @retval RC_FORMAT not YAML; @retval RC_LIMIT too large
 * @retval RC_INVALID at least one problem: the first is in `err`, all are in `issues`
 * @retval RC_NOMEM
 */
RC schema_open(const char *path, struct schema *out, struct config_issues *issues,
               struct error *err);
/** The same from memory: `name` stands for the path, relative paths start in the folder in it. */
RC schema_parse(const char *name, const char *text, size_t n, struct schema *out,
                struct config_issues *issues, struct error *err);
/**
 * Features and label alone, as schema_print_features writes them: what a study carries to its sites.
 * The schema has no files and no columns of its own; its hash is that of the cohort.yaml it came
 * from. Any key about files is unknown here.
 */
RC schema_parse_features(const char *name, const char *text, size_t n, struct schema *out,
                         struct config_issues *issues, struct error *err);
/** Canonical: every text quoted, ranges with 17 digits. Whoever opened `to` asks it for errors. */
void schema_print_features(const struct schema *s, FILE *to);
/** "continuous", "binary", "categorical". */
const char *schema_type_name(enum schema_type type);
/** Idempotent. */
void schema_release(struct schema *s);

/** Room for any path that schema_file_path makes. */
enum { SCHEMA_FULL_PATH_MAX = 4096 + SCHEMA_PATH_MAX };
/**
 * Where file `i` is on this machine. `$WARDROUND_DATA/` at its start stands for the environment's
 * WARDROUND_DATA, or `../shared/data` where that is not set.
 * @retval RC_INVALID the variable's value is too long
 */
RC schema_file_path(const struct schema *s, size_t i, char out[SCHEMA_FULL_PATH_MAX],
                    struct error *err);
/** Its place depends on WARDROUND_DATA: for the sentence that says it is not there. */
bool schema_file_is_shared(const struct schema *s, size_t i);

/** "": as for the label, its column's name is its name. */
const char *schema_label_name(const struct schema *s);

/**
 * Features in their order (name, type, unit, range, categories, may_miss) and the label's name:
 * what both ends compare. Paths, columns, separators, and how missing values and labels are
 * spelled in the files do not enter.
 */
struct hash schema_hash(const struct schema *s);

/**
 * Layout of the model's input. `n_values` reals: for each continuous or binary feature its value
 * (missing: 0), followed, if it may miss, by an indicator (1 = missing). `n_codes` categoricals:
 * code in [0, n_categories), or n_categories for missing.
 */
struct schema_layout {
    size_t n_values, n_codes;
};
struct schema_layout schema_layout(const struct schema *s);
/** Number of codes of the k-th categorical, with one for missing if it may miss: the rows of its
 *  embedding. */
size_t schema_code_count(const struct schema *s, size_t k);

/** Scale a value of a continuous feature: (2x - high - low)/(high - low), clamped to [-1, 1]. */
float schema_scale(const struct schema_feature *f, double x);

/**
 * A number as cohort files may hold it: [+-] digits [. digits] [e [+-] digits], one digit at least
 * before or after the point, finite. Neither nan, inf, hexadecimal, 1,5 nor spaces.
 * @return false: it is none, or too large; *out is left alone
 */
bool schema_number(const char *text, double *out);
/** The same text, or both numbers and equal: 3, 3.0 and 3e0 are one mark. */
bool schema_same(const char *a, const char *b);

/** One physical batch in the layout above. Borrowed pointers. */
struct batch {
    size_t B;
    const float *values;  /**< [B, n_values] */
    const int32_t *codes; /**< [B, n_codes] */
    const float *label;   /**< [B], 0 or 1 */
};

#endif
