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
    SCHEMA_CLASSES_MAX = 256,
    SCHEMA_MARKS_MAX = 16,
    SCHEMA_FILES_MAX = 256,
    SCHEMA_MODALITIES_MAX = 8,
    SCHEMA_VARIABLES_MAX = 1024,
    SCHEMA_STEPS_MAX = 4096,
    SCHEMA_GRID_MAX = 1 << 18, /**< steps times variables: 1 MiB of reals a record */
    SCHEMA_EVENTS_MAX = 1 << 16,
    SCHEMA_SIDE_MAX = 1024, /**< of the image that the model sees */
    SCHEMA_TOKENS_MAX = 1 << 16,
    SCHEMA_VOCABULARY_MAX = 1 << 24,
    SCHEMA_NGRAMS_MAX = 4
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
    char path[SCHEMA_PATH_MAX];   /**< relative to cohort.yaml, absolute, or $WARDROUND_DATA/… */
    char site[SCHEMA_NAME_MAX];   /**< of all its rows, or "" where a column says it */
    char prefix[SCHEMA_NAME_MAX]; /**< put in front of its ids: files that count from 0 each */
    int label;                    /**< where no column says it: 0 or 1, of all its rows */
};

/** What else is known of a patient, beside the features of the table. */
enum schema_kind { SCHEMA_SERIES, SCHEMA_IMAGE, SCHEMA_NOTES };

/** A file (or folder) of a modality. Ids in it are `prefix` and what it calls its patients. */
struct schema_source {
    char path[SCHEMA_PATH_MAX];
    char ids[SCHEMA_PATH_MAX];  /**< raw images: a file with one id a line, or "": 0, 1, … */
    char site[SCHEMA_NAME_MAX]; /**< "", or: an import for another site does not open it */
    char prefix[SCHEMA_NAME_MAX];
};

/** Columns of a long file: one row says one thing about one patient at one time. */
struct schema_long {
    char separator; /**< that of the cohort, unless the modality has its own */
    char patient[SCHEMA_NAME_MAX], time[SCHEMA_NAME_MAX], variable[SCHEMA_NAME_MAX],
        value[SCHEMA_NAME_MAX], text[SCHEMA_NAME_MAX];
    double hours_per_unit; /**< of the column `time` */
};

/** Hours after the files' time zero, [from, to): public, as a study's protocol has them. */
struct schema_window {
    double from_hours, to_hours;
};

/** How a value fills its range: evenly, or by its logarithm, for what spreads over orders of magnitude
 *  (many laboratory values): equal ratios become equal steps. */
enum schema_scaling { SCHEMA_LINEAR, SCHEMA_LOG };

struct schema_variable {
    char name[SCHEMA_NAME_MAX];
    char code[SCHEMA_NAME_MAX]; /**< as the files write it; default: the name */
    char unit[SCHEMA_NAME_MAX];
    double low, high; /**< as of a continuous feature: public, scaled to [-1, 1], clamped */
    enum schema_scaling scale; /**< LOG: low is above 0 */
    size_t n_missing;
    char missing[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
};

/** The grid is Che et al. 2018 (GRU-D): last value of each bin, mask, time since last seen. Events are
 *  triples (time, variable, value), of which a patient's last `events` are kept. */
enum schema_form { SCHEMA_GRID, SCHEMA_EVENTS };
/** Of a bin in which nothing was seen: 0, the middle of the range, or what was last seen. */
enum schema_fill { SCHEMA_FILL_ZERO, SCHEMA_FILL_LAST };

struct schema_series {
    enum schema_form form;
    enum schema_fill fill; /**< GRID */
    size_t steps;          /**< GRID: bins in the window */
    size_t events;         /**< EVENTS */
    size_t n_variables;
    struct schema_variable *variable;
};

enum schema_image_format { SCHEMA_PNG, SCHEMA_RAW };
/** What becomes of an image of another size. AREA: the mean of what a pixel covers. */
enum schema_resize { SCHEMA_RESIZE_REFUSE, SCHEMA_RESIZE_AREA, SCHEMA_RESIZE_BILINEAR };

struct schema_image {
    enum schema_image_format format; /**< a folder of ID.png; raw: N x H x W bytes, one file */
    enum schema_resize resize;
    size_t height, width; /**< that the model sees; one channel */
    bool standardise; /**< each image by its own mean and deviation: one record, no privacy cost */
};

enum schema_notes_format { SCHEMA_CSV, SCHEMA_TXT };
enum schema_unit { SCHEMA_WORDS, SCHEMA_BYTES };

struct schema_notes {
    enum schema_notes_format format; /**< a column of a file; or a folder of ID.txt, ID.1.txt, … */
    enum schema_unit unit;
    size_t tokens;     /**< the first so many of a patient */
    size_t vocabulary; /**< ids are in [0, vocabulary) */
    size_t ngrams;     /**< WORDS: each word, then the 2-gram, … n-gram that end with it */
    uint64_t seed;     /**< of the hash; public */
};

/** One modality. What is not of its kind is zero. */
struct schema_modality {
    char name[SCHEMA_NAME_MAX];
    enum schema_kind kind;
    size_t n_files; /**< 0: this site does not have it */
    struct schema_source *file;
    struct schema_long columns;  /**< SERIES, NOTES */
    bool has_window;             /**< always for SERIES */
    struct schema_window window; /**< SERIES, NOTES with a time */
    struct schema_series series;
    struct schema_image image;
    struct schema_notes notes;
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
    bool many_rows;      /**< several rows a patient are allowed (default: an error) */
    bool first_row_only; /**< of several rows the first counts: later ones are left out */
    char record_column
        [SCHEMA_NAME_MAX]; /**< what the modalities' files call a row; "": the patient */
    char site_column[SCHEMA_NAME_MAX]; /**< "" where the files say it */
    size_t n_missing;                  /**< marks of the whole cohort, such as "?" and "" */
    char missing[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
    /* the task */
    char label_name[SCHEMA_NAME_MAX];   /**< "": the column's name */
    char label_column[SCHEMA_NAME_MAX]; /**< "": each file says it of all its rows */
    size_t n_positive, n_negative;
    char positive[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
    char negative[SCHEMA_MARKS_MAX][SCHEMA_NAME_MAX];
    /** 0: the label is yes or no, by the marks above. Else, from 3, it is one of these: a cell is one of
     *  the names, and a label is the number of its name, from 0. */
    size_t n_classes;
    char (*class_name)[SCHEMA_NAME_MAX]; /**< [n_classes] */
    /* what the model sees */
    size_t n_features; /**< may be 0 where there are modalities */
    struct schema_feature *feature;
    size_t n_modalities;
    struct schema_modality *modality;
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
/** Every key of a cohort.yaml with type, range, default and help, as Markdown tables. */
void schema_print_reference(FILE *to);
/** Canonical: every text quoted, ranges with 17 digits. Whoever opened `to` asks it for errors. */
void schema_print_features(const struct schema *s, FILE *to);
/** "continuous", "binary", "categorical". */
const char *schema_type_name(enum schema_type type);
/** "series", "image", "notes". */
const char *schema_kind_name(enum schema_kind kind);
/** Idempotent. */
void schema_release(struct schema *s);

/** Room for any path that schema_file_path makes. */
enum { SCHEMA_FULL_PATH_MAX = 4096 + SCHEMA_PATH_MAX };
/**
 * Where a path of a cohort.yaml is on this machine. `$WARDROUND_DATA/` at its start stands for the
 * environment's WARDROUND_DATA, or `../shared/data` where that is not set.
 * @retval RC_INVALID the variable's value is too long
 */
RC schema_path(const struct schema *s, const char *path, char out[SCHEMA_FULL_PATH_MAX],
               struct error *err);
/** Its place depends on WARDROUND_DATA: for the sentence that says it is not there. */
bool schema_path_is_shared(const char *path);

/** "": as for the label, its column's name is its name. */
const char *schema_label_name(const struct schema *s);

/**
 * Features in their order (name, type, unit, range, categories, may_miss), the label's name and classes, and
 * modalities in their order, with all that decides what a model is fed: what both ends compare. Paths,
 * columns, separators, codes of variables, resizing, and how missing values and labels are spelled in
 * the files do not enter. Without modalities it is what it was before there were any.
 */
struct hash schema_hash(const struct schema *s);

/**
 * What one modality gives a model, for each record:
 *   series, grid    values, mask, delta [steps, variables]
 *   series, events  values, delta, codes [items], length
 *   image           values [channels, height, width]
 *   notes           codes [items], length
 */
struct schema_part {
    enum schema_kind kind;
    enum schema_form form;
    enum schema_fill fill;
    size_t steps, variables;                   /**< series; events: codes are in [0, variables) */
    size_t items;                              /**< events or tokens: as many at most */
    size_t vocabulary;                         /**< notes: codes are in [0, vocabulary) */
    size_t channels, height, width;            /**< image */
    bool standardise;                          /**< image: else pixels are in [0, 1] */
    size_t n_values, n_mask, n_delta, n_codes; /**< numbers a record */
    bool has_length;
};

/**
 * Layout of the model's input. `n_values` reals: for each continuous or binary feature its value
 * (missing: 0), followed, if it may miss, by an indicator (1 = missing). `n_codes` categoricals:
 * code in [0, n_categories), or n_categories for missing. Then the modalities, in their order.
 */
struct schema_layout {
    size_t n_values, n_codes;
    size_t n_parts;
    struct schema_part part[SCHEMA_MODALITIES_MAX];
    size_t n_outputs; /**< what a model says of a record: 1 logit, or one for each class */
};
struct schema_layout schema_layout(const struct schema *s);
/** Number of codes of the k-th categorical, with one for missing if it may miss: the rows of its
 *  embedding. */
size_t schema_code_count(const struct schema *s, size_t k);

/** Scale a value of a continuous feature: (2x - high - low)/(high - low), clamped to [-1, 1]. */
float schema_scale(const struct schema_feature *f, double x);
/** The same of a public range. */
float schema_scale_range(double low, double high, double x);
/** The same of a variable, by its scale. */
float schema_scale_variable(const struct schema_variable *v, double x);

/**
 * A number as cohort files may hold it: [+-] digits [. digits] [e [+-] digits], one digit at least
 * before or after the point, finite. Neither nan, inf, hexadecimal, 1,5 nor spaces.
 * @return false: it is none, or too large; *out is left alone
 */
bool schema_number(const char *text, double *out);
/** The same text, or both numbers and equal: 3, 3.0 and 3e0 are one mark. */
bool schema_same(const char *a, const char *b);

/** What a modality gives for B records, as its schema_part says; what it has not is NULL. Where a
 *  record's modality is absent its numbers are 0: `present` says so, not they. */
struct batch_part {
    const float
        *values;        /**< grid [B, steps, variables] in [-1, 1], 0 or the last seen where mask is
                                0; events [B, items]; image [B, channels, height, width] */
    const float *mask;  /**< grid [B, steps, variables]: 1 where a value was seen in the bin */
    const float *delta; /**< grid [B, steps, variables]: time since the variable was last seen, 0 in
                                the first bin (Che et al. 2018, eq. 2); events [B, items]: when. Both
                                as a part of the window, in [0, 1] */
    const int32_t *codes;  /**< events [B, items]: variable; notes [B, items]: token */
    const int32_t *length; /**< events, notes [B]: what is beyond it is 0 */
};

/** One physical batch in the layout above. Borrowed pointers. */
struct batch {
    size_t B;
    const float *values;     /**< [B, n_values] */
    const int32_t *codes;    /**< [B, n_codes] */
    const float *label;      /**< [B], 0 or 1; of several classes the number of one */
    const int32_t *class_of; /**< [B] the same as a number; NULL while measuring */
    const uint8_t
        *present; /**< [B, 1 + n_parts]: first the table (1 if the cohort has features), then
                                 the parts; NULL where there are none */
    const struct batch_part *part; /**< [n_parts] */
    bool training;                 /**< what a model drops at random, it drops */
    uint64_t coins;                /**< training: another seed each step */
    const uint64_t *sample; /**< training: [B] whose coins; a record's do not depend on its batch.
                                 NULL while measuring */
};

/** Records `at` … `at + n - 1` of a batch. @param room [n_parts] is where its parts are written */
struct batch batch_slice(const struct batch *b, const struct schema_layout *layout, size_t at,
                         size_t n, struct batch_part room[SCHEMA_MODALITIES_MAX]);

#endif
