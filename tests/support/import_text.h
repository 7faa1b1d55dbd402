/**
 * @file import_text.h
 * Small cohorts of a table alone, as texts: imported, refused, or written into a folder. What is not as it
 * should be fails the test. Cohorts of several modalities: imported.h.
 */
#ifndef TESTS_SUPPORT_IMPORT_TEXT_H
#define TESTS_SUPPORT_IMPORT_TEXT_H

#include "common/cohort/cohort_internal.h"

#define IMPORT_FEATURES                                                                \
    "features:\n"                                                                      \
    "- {name: age, type: continuous, range: [20, 80], required: true}\n"               \
    "- {name: chol, type: continuous, unit: mg/dl, range: [100, 600], missing: [0]}\n" \
    "- {name: sex, type: binary}\n"                                                    \
    "- {name: kind, type: categorical, categories: [3, 6, x]}\n"
#define IMPORT_LABEL "label: {column: dead, positive: [1, 2], negative: [0]}\n"
#define IMPORT_COLUMNS                                                             \
    "cohort: t\nheader: false\ncolumns: [id, where, age, chol, sex, kind, dead]\n" \
    "missing: [\"\", \"?\"]\n" IMPORT_LABEL IMPORT_FEATURES

/** cohort.yaml of a.csv (and b.csv): without a header unless its name says so. */
extern const char import_one_file[], import_many_rows[], import_two_files[], import_by_line[],
    import_with_header[], import_with_semicolons[];
/** a.csv of four patients that is right. */
extern const char import_good[];

/** What the last import found. */
extern struct config_issues import_issues;
extern struct cohort_summary import_sum;

struct schema import_schema(const char *yaml);
/** Empty, in memory. */
struct store *import_store(void);
/** @param b NULL: one file */
enum rc import_bytes(const struct schema *s, struct store *store, const char *site, const char *a,
                     size_t n_a, const char *b, struct error *err);
/** Imports and opens, or fails with all problems. */
struct dataset *import_open(const char *yaml, const char *a, const char *b);
/** Exactly these problems, one a line, each a beginning of what is said; nothing was imported. */
void import_refused(const char *yaml, const char *a, size_t n_a, const char *b,
                    const char *const *line, size_t n);
#define REFUSED(yaml, a, b, ...)                                                      \
    do {                                                                              \
        const char *const line_[] = {__VA_ARGS__};                                    \
        import_refused(yaml, a, strlen(a), b, line_, sizeof line_ / sizeof line_[0]); \
    } while (0)

void assert_real(float x, double want);

/** Of the test: a setup and a teardown; the path is written by the setup. */
extern char import_folder_path[200];
int import_make_folder(void **state);
int import_remove_folder(void **state);
/** a.csv or b.csv of the folder. */
void import_write(const char *name, const void *data, size_t n);
/** gzip of a text. @return bytes, at most `room` */
size_t import_pack(const char *text, size_t n, unsigned char *out, size_t room);

#endif
