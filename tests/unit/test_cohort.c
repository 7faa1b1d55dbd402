#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "common/cohort/cohort_internal.h"

static struct config_issues issues;
static struct cohort_summary sum;

/* ---- schemas and stores --------------------------------------------------------------------- */

#define FEATURES                                                                       \
    "features:\n"                                                                      \
    "- {name: age, type: continuous, range: [20, 80], required: true}\n"               \
    "- {name: chol, type: continuous, unit: mg/dl, range: [100, 600], missing: [0]}\n" \
    "- {name: sex, type: binary}\n"                                                    \
    "- {name: kind, type: categorical, categories: [3, 6, x]}\n"
#define LABEL "label: {column: dead, positive: [1, 2], negative: [0]}\n"
#define COLUMNS                                                                    \
    "cohort: t\nheader: false\ncolumns: [id, where, age, chol, sex, kind, dead]\n" \
    "missing: [\"\", \"?\"]\n" LABEL FEATURES

static const char one_file[] =
    COLUMNS "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id}\n";
static const char many_rows[] =
    COLUMNS "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id, rows: many}\n";
static const char two_files[] =
    COLUMNS "files: [{path: a.csv}, {path: b.csv}]\nsite: {column: where}\npatient: {column: id}\n";
static const char by_line[] =
    COLUMNS "files: [{path: a.csv, site: one}, {path: b.csv, site: two}]\npatient: {from: line}\n";
static const char with_header[] =
    "cohort: t\nmissing: [\"\", \"?\"]\n" LABEL FEATURES
    "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id}\n";
static const char with_semicolons[] =
    "separator: \";\"\n" COLUMNS
    "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id}\n";

static struct schema schema_of(const char *yaml)
{
    struct error err = {0};
    struct schema s = {0};
    issues = (struct config_issues){0};
    if (schema_parse("cohort.yaml", yaml, strlen(yaml), &s, &issues, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    issues = (struct config_issues){0};
    return s;
}

static struct store *memory_store(void)
{
    struct error err = {0};
    struct store *store = NULL;
    assert_int_equal(store_open(":memory:", &cohort_store_kind, &store, &err), RC_OK);
    return store;
}

static RC import_bytes(const struct schema *s, struct store *store, const char *site, const char *a,
                       size_t n_a, const char *b, struct error *err)
{
    const struct cohort_bytes file[2] = {{.data = a, .n = n_a},
                                         {.data = b, .n = b != NULL ? strlen(b) : 0}};
    issues = (struct config_issues){.path = "kept"};
    sum = (struct cohort_summary){.n_rows = 4242};
    const enum rc rc = cohort_import_from(s, site, file, &cohort_limits, store, &issues, &sum, err);
    assert_string_equal(issues.path, "kept");
    return rc;
}

/* Imports and opens, or fails with all problems. */
static struct dataset *imported(const char *yaml, const char *a, const char *b)
{
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = schema_of(yaml);
    struct store *store = memory_store();
    if (import_bytes(&s, store, NULL, a, strlen(a), b, &err) != RC_OK) {
        config_print_issues(&issues, stderr);
        fail_msg("%s", err.text);
    }
    if (dataset_open(&s, store, &d, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(hash_equal(&d->version, &sum.version));
    assert_int_equal(d->n_rows, sum.n_rows);
    assert_int_equal(d->n_patients, sum.n_patients);
    assert_int_equal(d->n_sites, sum.n_sites);
    store_close(&store);
    schema_release(&s);
    return d;
}

/* Exactly these problems, one a line, as text after "error: " may go on. */
static void refused_bytes(const char *yaml, const char *a, size_t n_a, const char *b,
                          const char *const *line, size_t n)
{
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = schema_of(yaml);
    struct store *store = memory_store();
    const enum rc rc = import_bytes(&s, store, NULL, a, n_a, b, &err);
    bool right = rc == RC_INVALID && issues.n == n;
    for (size_t i = 0; right && i < n; i++) {
        right = strncmp(issues.line[i], line[i], strlen(line[i])) == 0;
    }
    if (!right) {
        config_print_issues(&issues, stderr);
        fail_msg("wanted %zu: '%s'", n, line[0]);
    }
    assert_int_equal(sum.n_rows, 4242); /* outputs are written on success only */
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_STATE);
    assert_null(d);
    store_close(&store);
    schema_release(&s);
}

#define REFUSED(yaml, a, b, ...)                                                     \
    do {                                                                             \
        const char *const line_[] = {__VA_ARGS__};                                   \
        refused_bytes(yaml, a, strlen(a), b, line_, sizeof line_ / sizeof line_[0]); \
    } while (0)

static void assert_real(float x, double want)
{
    if (!(fabs((double)x - want) < 1e-6)) {
        fail_msg("%g, not %g", (double)x, want);
    }
}

/* ---- what goes in --------------------------------------------------------------------------- */

static const char good[] = "p2,a,50,350,1,6.0,0\n"
                           "p1,b,20,0,?,x,1\n"
                           "p10,a,95,,0,?,2\n";

static void a_clean_file_becomes_a_dataset_ordered_by_patient(void **state)
{
    (void)state;
    struct dataset *d = imported(one_file, good, NULL);
    assert_int_equal(d->n_patients, 3);
    assert_int_equal(d->n_values, 1 + 2 + 2);
    assert_int_equal(d->n_codes, 1);
    assert_int_equal(sum.n_positive, 2);
    assert_int_equal(sum.n_missing_cells, 4);
    assert_int_equal(sum.n_files, 1);
    assert_string_equal(d->site_name[0], "a");
    assert_string_equal(d->site_name[1], "b");
    static const char *const id[] = {"p1", "p10", "p2"}; /* bytewise */
    static const unsigned site[] = {1, 0, 0};
    static const double label[] = {1, 1, 0};
    static const double values[3][5] = {
        {-1, 0, 1, 0, 1}, /* age, chol and its indicator, sex and its indicator */
        {1, 0, 1, 0, 0},  /* 95 is clamped to the range */
        {0, 0, 0, 1, 0},
    };
    static const int codes[] = {2, 3, 1}; /* x; missing; 6.0 is 6 */
    for (size_t p = 0; p < 3; p++) {
        assert_string_equal(d->patient_id[p], id[p]);
        const struct hash h = hash_of(id[p], strlen(id[p]));
        assert_true(hash_equal(&h, &d->patient[p]));
        assert_int_equal(d->site[p], site[p]);
        assert_real(d->label[p], label[p]);
        assert_int_equal(d->first_row[p], p);
        for (size_t v = 0; v < 5; v++) {
            assert_real(d->values[p * 5 + v], values[p][v]);
        }
        assert_int_equal(d->codes[p], codes[p]);
    }
    assert_int_equal(d->first_row[3], 3);
    dataset_close(&d);
    dataset_close(&d);
}

static void rows_of_a_patient_stay_together_in_the_order_of_the_file(void **state)
{
    (void)state;
    struct dataset *d = imported(many_rows,
                                 "q,a,30,?,?,?,0\np,a,40,?,?,?,1\nq,a,50,?,?,?,0\n"
                                 "p,a,60,?,?,?,2\nq,a,70,?,?,?,0\n",
                                 NULL);
    static const double age[] = {-1.0 / 3, 1.0 / 3, -2.0 / 3, 0, 2.0 / 3}; /* 40 60 | 30 50 70 */
    assert_int_equal(d->n_patients, 2);
    assert_int_equal(d->n_rows, 5);
    assert_int_equal(d->first_row[1], 2);
    for (size_t i = 0; i < 5; i++) {
        assert_real(d->values[i * 5], age[i]);
    }
    dataset_close(&d);
}

static void line_ends_bom_blank_lines_quotes_and_spaces_change_nothing(void **state)
{
    (void)state;
    static const char *const same[] = {
        "p2,a,50,350,1,6.0,0\r\np1,b,20,0,?,x,1\r\np10,a,95,,0,?,2\r\n",
        "p2,a,50,350,1,6.0,0\rp1,b,20,0,?,x,1\rp10,a,95,,0,?,2\r",
        "p2,a,50,350,1,6.0,0\np1,b,20,0,?,x,1\np10,a,95,,0,?,2", /* no last line end */
        "\xef\xbb\xbfp2,a,50,350,1,6.0,0\np1,b,20,0,?,x,1\np10,a,95,,0,?,2\n",
        "\xef\xbb\xbf\"p2\",a,50,350,1,6.0,0\np1,b,20,0,?,x,1\np10,a,95,,0,?,2\n",
        "\n  \t\np2,a,50,350,1,6.0,0\n\r\n\np1,b,20,0,?,x,1\n   \np10,a,95,,0,?,2\n\n\n",
        ("\"p2\",\"a\",\"50\",\"350\",\"1\",\"6.0\",\"0\"\np1,b,20,0,?,\"x\",1\n"
         "p10,a,95,\"\",0,?,2\n"),
        " p2 , a,50 ,  350,\t1,6.0,0  \np1,b,20,0,?,x,1\np10,a,95,  ,0,?,2\n",
        "p2,a,5e1,350.0,1.0,6,0.0\np1,b,+20,-0,?,x,1\np10,a,95.,?,0,,2e0\n",
        "p10,a,95,,0,?,2\np1,b,20,0,?,x,1\np2,a,50,350,1,6.0,0\n", /* another order */
    };
    struct dataset *d = imported(one_file, good, NULL);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct dataset *e = imported(one_file, same[i], NULL);
        assert_true(hash_equal(&d->version, &e->version));
        assert_memory_equal(d->values, e->values, d->n_rows * d->n_values * sizeof *d->values);
        assert_memory_equal(d->codes, e->codes, d->n_rows * d->n_codes * sizeof *d->codes);
        dataset_close(&e);
    }
    dataset_close(&d);
}

static void quoted_cells_may_hold_separators_quotes_and_line_ends(void **state)
{
    (void)state;
    struct dataset *d = imported(one_file,
                                 "\"a,1\",\"St. \"\"Anna\"\"\",50,350,1,6,0\n"
                                 "\"\xc3\xa4\",\"b;c\",50,350,1,6,1\n",
                                 NULL);
    assert_string_equal(d->patient_id[0], "a,1");
    assert_string_equal(d->patient_id[1], "\xc3\xa4");
    assert_string_equal(d->site_name[0], "St. \"Anna\"");
    dataset_close(&d);
    /* An unused column takes any text; the line numbers after it are those of an editor. */
    static const char yaml[] = "cohort: t\nheader: false\n"
                               "columns: [id, note, dead, age]\n"
                               "features: [{name: age, type: continuous, range: [0, 100]}]\n"
                               "files: [{path: a.csv, site: a}]\npatient: {column: id}\n" LABEL;
    REFUSED(yaml, "p,\"x\ny\r\nz\r\r\",1,5\n\n\"q\nq\",\"\n\n\",1,5\nr,,0,a\n", NULL,
            "a.csv:7:1: error: 'id' holds a control character", "a.csv:11:4: error: 'age' is");
}

static void other_separators_are_read(void **state)
{
    (void)state;
    struct dataset *d = imported(with_semicolons, "p;a;50;350;1;6;0\nq;a;50;350;1;6;1\n", NULL);
    assert_int_equal(d->n_patients, 2);
    dataset_close(&d);
    REFUSED(with_semicolons, "p;a;50,5;350;1;6;0\n", NULL,
            "a.csv:1:3: error: 'age' is not a number; the decimal sign is a point");
}

static void a_header_may_order_columns_freely_and_hold_others(void **state)
{
    (void)state;
    struct dataset *d = imported(with_header,
                                 "dead,extra,kind,sex,chol,age,where,id\n0,,6,1,350,50,a,p2\n"
                                 "1,\"any\nthing\",x,?,0,20,b,p1\n2,z,?,0,,95,a,p10\n",
                                 NULL);
    struct dataset *e = imported(one_file, good, NULL);
    assert_true(hash_equal(&d->version, &e->version)); /* layout does not enter */
    dataset_close(&d);
    dataset_close(&e);
}

static void patients_without_id_are_numbered_by_line(void **state)
{
    (void)state;
    struct dataset *d = imported(by_line, "x,,50,350,1,6,0\n\n,,20,0,?,x,1\n", "?,?,30,0,?,x,0\n");
    assert_string_equal(d->patient_id[0], "one-001");
    assert_string_equal(d->patient_id[1], "one-003");
    assert_string_equal(d->patient_id[2], "two-001");
    assert_string_equal(d->site_name[d->site[2]], "two");
    dataset_close(&d);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void each_bad_cell_is_named_by_line_and_field(void **state)
{
    (void)state;
    static const struct {
        const char *row, *says;
    } bad[] = {
        {"p,a,old,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number"},
        {"p,a,nan,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number"},
        {"p,a,inf,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number"},
        {"p,a,-Infinity,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number"},
        {"p,a,1e999,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number, or too large"},
        {"p,a,0x20,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number"},
        {"p,a,\"1,5\",1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number; the decimal"},
        {"p,a,5 0,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number"},
        {"p,a,50y,1,1,6,0\n", "a.csv:1:3: error: 'age' is not a number"},
        {"p,a,?,1,1,6,0\n", "a.csv:1:3: error: 'age' is missing"}, /* required */
        {"p,a,50,-,1,6,0\n", "a.csv:1:4: error: 'chol' is not a number"},
        {"p,a,50,1,2,6,0\n", "a.csv:1:5: error: 'sex' is none of its 2"},
        {"p,a,50,1,f,6,0\n", "a.csv:1:5: error: 'sex' is none of its 2"},
        {"p,a,50,1,1,4,0\n", "a.csv:1:6: error: 'kind' is none of its 3"},
        {"p,a,50,1,1,X,0\n", "a.csv:1:6: error: 'kind' is none of its 3"},
        {"p,a,50,1,1,6,\n", "a.csv:1:7: error: 'dead': the label is missing"},
        {"p,a,50,1,1,6,?\n", "a.csv:1:7: error: 'dead': the label is missing"},
        {"p,a,50,1,1,6,3\n", "a.csv:1:7: error: 'dead' is neither positive nor negative"},
        {",a,50,1,1,6,0\n", "a.csv:1:1: error: 'id' is missing"},
        {"?,a,50,1,1,6,0\n", "a.csv:1:1: error: 'id' is missing"},
        {"p,,50,1,1,6,0\n", "a.csv:1:2: error: 'where' is missing"},
        {"p\x1b[2J,a,50,1,1,6,0\n", "a.csv:1:1: error: 'id' holds a control character"},
        {"0123456789012345678901234567890123456789012345678901234567890123,a,50,1,1,6,0\n",
         "a.csv:1:1: error: 'id' is longer than 63 bytes"},
        {"p,a,50,1,1,6\n", "a.csv:1:6: error: 6 fields, want 7"},
        {"p,a,50,1,1,6,0,\n", "a.csv:1:8: error: 8 fields, want 7"},
        {"p,a,50,1,1,\xff,0\n", "a.csv:1:6: error: not UTF-8"},
        {"p,a,50,1,1,\xc3,0\n", "a.csv:1:6: error: not UTF-8"},
        {"p,a,50,1,1,\xc0\x80,0\n", "a.csv:1:6: error: not UTF-8"},
        {"p,a,50,1,1,\xed\xa0\x80,0\n", "a.csv:1:6: error: not UTF-8"},
        {"p,a,50,1,1,\xf4\x90\x80\x80,0\n", "a.csv:1:6: error: not UTF-8"},
        {"\xfcxyz,a,50,1,1,6,0\n", "a.csv:1:1: error: not UTF-8"}, /* Latin-1 */
        {"p,a,50,1,1,a\"b,0\n", "a.csv:1:6: error: a quote inside a cell"},
        {"p,a,50,1,1,\"a\"b,0\n", "a.csv:1:6: error: a quote inside a cell"},
        {"p,a,50,1,1,\"a,0\n", "a.csv:1:6: error: a quote that is never closed"},
        {"p,a,50,1,1,\" 6\",0\n", "a.csv:1:6: error: 'kind' is none of its 3"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        REFUSED(one_file, bad[i].row, NULL, bad[i].says);
    }
}

static void an_empty_cell_is_missing_only_if_the_schema_says_so(void **state)
{
    (void)state;
    static const char yaml[] = "cohort: t\nheader: false\ncolumns: [dead, age]\nmissing: [\"?\"]\n"
                               "features: [{name: age, type: continuous, range: [0, 100]}]\n"
                               "files: [{path: a.csv, site: a}]\npatient: {from: line}\n" LABEL;
    REFUSED(yaml, "1,5\n0,\n", NULL, "a.csv:2:2: error: 'age' is empty; list \"\" under");
}

static void nul_bytes_are_refused_where_they_are(void **state)
{
    (void)state;
    static const char row[] = "p,a,50,1,1,6,0\nq,a,5\0,1,1,6,0\n";
    const char *const line[] = {"a.csv:2:3: error: a NUL byte"};
    refused_bytes(one_file, row, sizeof row - 1, NULL, line, 1);
}

static void utf16_is_named(void **state)
{
    (void)state;
    static const char row[] = "\xff\xfep\0,\0a\0";
    const char *const line[] = {"a.csv:1:1: error: UTF-16"};
    refused_bytes(one_file, row, sizeof row - 1, NULL, line, 1);
}

static void all_problems_of_all_files_are_found_at_once(void **state)
{
    (void)state;
    REFUSED(two_files, "p,a,x,1,y,6,0\nq,a,50,1,1,6\n\"r\"r,a,50,1,1,6,0\ns,a,50,1,1,6,9\n",
            "t,a,50,1,1,6,0\np,a,50,1,1,5,0\n", "a.csv:1:3: error: 'age'",
            "a.csv:1:5: error: 'sex'", "a.csv:2:6: error: 6 fields", "a.csv:3:1: error: a quote",
            "a.csv:4:7: error: 'dead'", "b.csv:2:6: error: 'kind'",
            "b.csv:2:1: error: the same patient as in a.csv:1;");
}

static void fifty_problems_are_shown_and_the_rest_is_counted(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = schema_of(one_file);
    struct store *store = memory_store();
    char text[80 * 24];
    size_t n = 0;
    for (int i = 0; i < 80; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "p%d,a,z,1,1,6,0\n", i);
    }
    assert_int_equal(import_bytes(&s, store, NULL, text, n, NULL, &err), RC_INVALID);
    assert_int_equal(issues.n, 80);
    assert_non_null(strstr(issues.line[49], "a.csv:50:3:"));
    assert_non_null(strstr(err.text, "a.csv:1:3: error:"));
    assert_non_null(strstr(err.text, "79 more"));
    store_close(&store);
    schema_release(&s);
}

static void no_message_holds_what_stood_in_a_cell(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = schema_of(many_rows);
    struct store *store = memory_store();
    static const char text[] = "SECRET1,SECRET2,SECRET3,SECRET4,SECRET5,SECRET6,SECRET7\n"
                               "SECRET1,SECRET2,50,1,1,6,0\nSECRET1,SECRET3,50,1,1,6,0\n"
                               "SECRET1,SECRET2,50,1,1,6,1\nSECRET1,SECRET2\n"
                               "SEC\"RET,\n\xffSECRET,a,50,1,1,6,0\nSECRET\x01,a,50,1,1,6,0\n"
                               "SECRET9,SECRET9,50,1,1,6,\"SECRET\n";
    assert_int_equal(import_bytes(&s, store, NULL, text, sizeof text - 1, NULL, &err), RC_INVALID);
    assert_true(issues.n >= 10 && issues.n < CONFIG_ISSUES_SHOWN);
    assert_null(strstr(err.text, "SEC"));
    for (size_t i = 0; i < issues.n; i++) {
        assert_null(strstr(issues.line[i], "SEC"));
    }
    store_close(&store);
    schema_release(&s);
}

static void a_patient_comes_once_at_one_site_with_one_label(void **state)
{
    (void)state;
    static const char first[] = "p,a,50,1,1,6,0\n";
    char text[100];
    (void)snprintf(text, sizeof text, "%sq,a,50,1,1,6,1\np,a,51,1,1,6,0\n", first);
    REFUSED(one_file, text, NULL, "a.csv:3:1: error: the same patient as in a.csv:1; if several");
    (void)snprintf(text, sizeof text, "%sp,b,51,1,1,6,0\n", first);
    REFUSED(one_file, text, NULL, "a.csv:2:1: error: this patient is at another site in a.csv:1");
    REFUSED(many_rows, text, NULL, "a.csv:2:1: error: this patient is at another site in a.csv:1");
    (void)snprintf(text, sizeof text, "%sp,a,51,1,1,6,2\n", first);
    REFUSED(many_rows, text, NULL, "a.csv:2:7: error: the label of this patient is another in ");
    REFUSED(two_files, first, "q,a,50,1,1,6,1\np,a,50,1,1,6,0\n",
            "b.csv:2:1: error: the same patient as in a.csv:1;");
}

static void a_header_must_hold_each_column_once(void **state)
{
    (void)state;
    REFUSED(with_header, "id,where,age,cholesterol,sex,kind\np,a,50,1,1,6\n", NULL,
            "a.csv:1:1: error: no column 'dead'",
            "a.csv:1:1: error: no column 'chol'; rename the file's, or name it as it is in "
            "cohort.yaml");
    REFUSED(with_header, "id,where,age,chol,sex,kind,dead,x,age,x\np,a,50,1,1,6,0,,,\n", NULL,
            "a.csv:1:9: error: this column's name is also that of column 3",
            "a.csv:1:10: error: this column's name is also that of column 8");
    REFUSED(
        with_header, "id;where;age;chol;sex;kind;dead\np;a;50;1;1;6;0\n", NULL,
        "a.csv:1:1: error: none of the columns that cohort.yaml names is in this header; is its "
        "`separator` the one of this file?");
}

static void an_empty_file_is_refused(void **state)
{
    (void)state;
    static const char header[] = "id,where,age,chol,sex,kind,dead\n";
    static const char *const empty[] = {"", "\n\n", "\xef\xbb\xbf", "  ", "\r\n \t\r\n"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        REFUSED(one_file, empty[i], NULL, "a.csv: error: no row");
        REFUSED(with_header, empty[i], NULL, "a.csv: error: no row below a header");
    }
    REFUSED(with_header, header, NULL, "a.csv: error: no row below a header");
    REFUSED(two_files, good, "", "b.csv: error: no row");
}

static void a_label_may_be_one_of_several_classes(void **state)
{
    (void)state;
    static const char classes[] =
        "cohort: t\nheader: false\ncolumns: [id, where, age, chol, sex, kind, dead]\n"
        "missing: [\"\", \"?\"]\nlabel: {column: dead, classes: [mild, \"2\", severe]}\n" FEATURES
        "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id, rows: many}\n";
    struct dataset *d = imported(classes,
                                 "q,a,50,200,1,6,severe\np,a,50,200,1,6,2.0\n"
                                 "r,b,50,200,1,6,mild\nr,b,51,200,1,6,mild\n",
                                 NULL);
    assert_int_equal(d->n_patients, 3);
    assert_real(d->label[0], 1);
    assert_real(d->label[1], 2);
    assert_real(d->label[2], 0);
    assert_int_equal(sum.n_positive, 0);
    assert_int_equal(sum.n_warnings, 1);
    assert_non_null(strstr(sum.warning[0], "site 'b': every label is 'mild'"));
    const struct hash version = d->version;
    dataset_close(&d);
    d = imported(classes,
                 "q,a,50,200,1,6,severe\np,a,50,200,1,6,mild\n"
                 "r,b,50,200,1,6,mild\nr,b,51,200,1,6,mild\n",
                 NULL);
    assert_false(hash_equal(&version, &d->version));
    dataset_close(&d);
    d = imported(classes, "q,a,10,?,1,6,severe\np,a,50,?,1,6,mild\n", NULL);
    assert_int_equal(sum.n_missing_cells, 2);
    assert_int_equal(sum.n_warnings, 2);
    assert_non_null(strstr(sum.warning[0], "'age': 1 of 2 values are outside of 20 to 80"));
    assert_non_null(strstr(sum.warning[1], "'chol' is missing in every row"));
    dataset_close(&d);
    REFUSED(classes, "p,a,50,200,1,6,1\nq,a,50,200,1,6,\n", NULL,
            "a.csv:1:7: error: 'dead' is none of its 3 classes",
            "a.csv:2:7: error: 'dead': the label is missing");
    REFUSED(classes, "p,a,50,200,1,6,2\np,a,50,200,1,6,mild\n", NULL,
            "a.csv:2:7: error: the label of this patient is another in a.csv:1");
}

static void labels_of_one_class_and_odd_values_are_warned_of(void **state)
{
    (void)state;
    struct dataset *d = imported(one_file, "p,a,50,0,1,6,0\nq,a,10,?,1,6,0\n", NULL);
    dataset_close(&d);
    assert_int_equal(sum.n_warnings, 3);
    assert_non_null(strstr(sum.warning[0], "the whole cohort: every label is negative"));
    assert_non_null(strstr(sum.warning[1], "'age': 1 of 2 values are outside of 20 to 80"));
    assert_non_null(strstr(sum.warning[2], "'chol' is missing in every row"));
    d = imported(one_file, "p,a,50,200,1,6,0\nq,b,50,200,1,6,1\nr,a,50,200,1,6,1\n", NULL);
    dataset_close(&d);
    assert_int_equal(sum.n_warnings, 1);
    assert_non_null(strstr(sum.warning[0], "site 'b': every label is positive"));
    d = imported(one_file, "p,a,50,200,1,6,0\nq,a,50,200,1,6,1\n", NULL);
    dataset_close(&d);
    assert_int_equal(sum.n_warnings, 0);
}

static void each_limit_is_an_error_with_its_place(void **state)
{
    (void)state;
    static const struct {
        struct cohort_limits limits;
        const char *text, *says;
        size_t n;
    } over[] = {
        {{2, 1000, 100, 50, 1}, good, "a.csv:3:1: error: more than 2 rows", 1},
        {{3, 40, 100, 50, 1}, good, "a.csv:1:1: error: the file is longer than 40 bytes", 1},
        {{3, 1000, 100, 3, 1}, "p,a,50,35.0,1,6,0\n", "a.csv:1:4: error: longer than 3 bytes", 1},
        {{3, 1000, 20, 9, 1},
         "p,a,50,3500000000,1,6,0\nq,a,50,1,1,6,7\n",
         "a.csv:1:1: error: a row of more than 20",
         2},
        {{3, 1000, 20, 20, 1},
         "p,a,50,\"1,1,6,0\nq,a,50,1,1,6,7\nr,a,50,1,1,6,7\n",
         "a.csv:1:4: error: a row of more than 20",
         2},
    };
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        struct error err = {0};
        struct schema s = schema_of(one_file);
        struct store *store = memory_store();
        const struct cohort_bytes file = {.data = over[i].text, .n = strlen(over[i].text)};
        assert_int_equal(cohort_import_from(&s, NULL, &file, &over[i].limits, store, &issues, &sum,
                                            &err),
                         RC_INVALID);
        if (strstr(issues.line[0], over[i].says) == NULL || issues.n != over[i].n) {
            config_print_issues(&issues, stderr);
            fail_msg("wanted '%s'", over[i].says);
        }
        store_close(&store);
        schema_release(&s);
    }
}

static void rows_and_quotes_across_chunks_are_whole(void **state)
{
    (void)state;
    enum { ROWS = 9000, ROOM = ROWS * 40 }; /* several chunks of 64 KiB */
    char *text = malloc(ROOM);
    assert_non_null(text);
    size_t n = 0;
    for (int i = 0; i < ROWS; i++) {
        n += (size_t)snprintf(text + n, ROOM - n, "p%05d,\"a\"\"%d\",%d,\"200\",1,6,%d\r\n", i,
                              i % 7, 20 + i % 60, i % 3 == 0);
    }
    struct dataset *d = imported(one_file, text, NULL);
    assert_int_equal(d->n_patients, ROWS);
    assert_int_equal(d->n_sites, 7);
    assert_int_equal(sum.n_positive, ROWS / 3);
    for (size_t p = 0; p < ROWS; p += 997) {
        assert_int_equal(strtol(d->patient_id[p] + 1, NULL, 10), p);
        assert_real(d->values[p * 5], ((double)(20 + p % 60) - 50) / 30);
    }
    dataset_close(&d);
    (void)snprintf(text + n, ROOM - n, "z,a,50,zero,1,6,0\r\n");
    REFUSED(one_file, text, NULL, "a.csv:9001:4: error: 'chol' is not a number");
    free(text);
}

static void more_fields_than_any_schema_has_are_refused(void **state)
{
    (void)state;
    char *text = malloc(20002);
    assert_non_null(text);
    memset(text, ',', 20000);
    memcpy(text + 20000, "\n", 2);
    REFUSED(one_file, text, NULL, "a.csv:1:8193: error: more than 8192 fields",
            "a.csv:1:8192: error: 8192 fields, want 7");
    free(text);
}

/* ---- all or nothing -------------------------------------------------------------------------- */

static void a_failed_import_leaves_the_old_cohort(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = schema_of(one_file);
    struct store *store = memory_store();
    assert_int_equal(import_bytes(&s, store, NULL, good, strlen(good), NULL, &err), RC_OK);
    const struct hash version = sum.version;
    static const char bad[] = "n1,a,50,1,1,6,0\nn2,a,50,1,1,6,1\nn3,a,x,1,1,6,0\n";
    assert_int_equal(import_bytes(&s, store, NULL, bad, strlen(bad), NULL, &err), RC_INVALID);
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_OK);
    assert_int_equal(d->n_patients, 3);
    assert_string_equal(d->patient_id[0], "p1");
    assert_true(hash_equal(&version, &d->version));
    dataset_close(&d);
    static const char other[] = "n1,c,50,1,1,6,0\nn2,c,50,1,1,6,1\n";
    assert_int_equal(import_bytes(&s, store, NULL, other, strlen(other), NULL, &err), RC_OK);
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_OK);
    assert_int_equal(d->n_patients, 2); /* replaced, not added to */
    assert_int_equal(d->n_sites, 1);
    assert_string_equal(d->patient_id[0], "n1");
    assert_false(hash_equal(&version, &d->version));
    dataset_close(&d);
    store_close(&store);
    schema_release(&s);
}

static void the_version_changes_with_any_cell(void **state)
{
    (void)state;
    static const char *const text[] = {
        "p,a,50,200,1,6,0\nq,a,50,200,1,6,1\n",
        "p,a,51,200,1,6,0\nq,a,50,200,1,6,1\n",
        "p,a,50,?,1,6,0\nq,a,50,200,1,6,1\n",
        "p,a,50,200,0,6,0\nq,a,50,200,1,6,1\n",
        "p,a,50,200,1,3,0\nq,a,50,200,1,6,1\n",
        "p,a,50,200,1,6,1\nq,a,50,200,1,6,1\n",
        "p,b,50,200,1,6,0\nq,a,50,200,1,6,1\n",
        "r,a,50,200,1,6,0\nq,a,50,200,1,6,1\n",
        "p,a,50,200,1,6,0\n",
        "p,a,900,200,1,6,0\nq,a,50,200,1,6,1\n",
        "p,a,901,200,1,6,0\nq,a,50,200,1,6,1\n", /* clamped alike, and yet another cohort */
    };
    enum { N = sizeof text / sizeof text[0] };
    struct hash version[N];
    for (size_t i = 0; i < N; i++) {
        struct dataset *d = imported(one_file, text[i], NULL);
        version[i] = d->version;
        dataset_close(&d);
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&version[i], &version[j]));
        }
    }
}

static void a_site_keeps_its_own_rows_only(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = schema_of(one_file);
    struct store *store = memory_store();
    assert_int_equal(import_bytes(&s, store, "a", good, strlen(good), NULL, &err), RC_OK);
    assert_int_equal(sum.n_sites, 1);
    assert_int_equal(sum.n_missing_cells, 2);
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_OK);
    assert_int_equal(d->n_patients, 2);
    assert_string_equal(d->site_name[0], "a");
    dataset_close(&d);
    assert_int_equal(import_bytes(&s, store, "c", good, strlen(good), NULL, &err), RC_INVALID);
    assert_non_null(strstr(issues.line[0], "no row of site 'c'"));
    schema_release(&s);

    s = schema_of(by_line); /* another site's file is not even opened */
    assert_int_equal(import_bytes(&s, store, "two", "broken", 6, "?,?,30,0,?,x,0\n", &err), RC_OK);
    assert_int_equal(sum.n_files, 1);
    store_close(&store);
    schema_release(&s);
}

static void another_schemas_cohort_is_not_opened(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = schema_of(one_file);
    struct store *store = memory_store();
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_STATE);
    assert_non_null(strstr(err.text, "no cohort"));
    assert_int_equal(import_bytes(&s, store, NULL, good, strlen(good), NULL, &err), RC_OK);
    s.feature[0].high = 90;
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_STATE);
    assert_non_null(strstr(err.text, "other features"));
    assert_null(d);
    store_close(&store);
    schema_release(&s);
}

#define NUL8  "0000000000000000"
#define NUL24 NUL8 NUL8 NUL8

static void a_damaged_store_is_refused(void **state)
{
    (void)state;
    static const char *const damage[] = {
        "UPDATE record SET cells = x'0000000000000000' WHERE id = 1",
        "UPDATE record SET cells = x'" NUL24 "000000000000f0bf' WHERE id = 1", /* -1 */
        "UPDATE record SET cells = x'" NUL24 "0000000000000c40' WHERE id = 1", /* 3.5 */
        "UPDATE record SET cells = x'" NUL24 "0000000000000840' WHERE id = 1", /* 3 */
        "UPDATE record SET cells = x'000000000000f07f" NUL24 "' WHERE id = 1", /* inf */
        "UPDATE record SET cells = x'000000000000f87f" NUL24 "' WHERE id = 1", /* NaN age */
        "UPDATE patient SET name = printf('%.*c', 64, 'x') WHERE id = 1",
        "UPDATE site SET name = printf('%.*c', 64, 'x') WHERE id = 1",
        "DELETE FROM record WHERE id = 1",
    };
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        struct error err = {0};
        struct dataset *d = NULL;
        struct statement *st = NULL;
        struct schema s = schema_of(one_file);
        struct store *store = memory_store();
        assert_int_equal(import_bytes(&s, store, NULL, good, strlen(good), NULL, &err), RC_OK);
        assert_int_equal(store_prepare(store, damage[i], &st, &err), RC_OK);
        assert_int_equal(statement_run(st, &err), RC_OK);
        if (dataset_open(&s, store, &d, &err) != RC_FORMAT) {
            fail_msg("not refused: %s", damage[i]);
        }
        assert_null(d);
        store_close(&store);
        schema_release(&s);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static char folder[200];
static const char *const names[] = {"a.csv", "b.csv", "cohort.db", "cohort.db-wal",
                                    "cohort.db-shm"};

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/wr_cohort_XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[400];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder);
}

static void write_file(const char *name, const void *data, size_t n)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* gzip of a text, `room` bytes at most. */
static size_t pack(const char *text, size_t n, unsigned char *out, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    unsigned char *in = malloc(n + 1);
    assert_non_null(in);
    memcpy(in, text, n);
    z.next_in = in;
    z.avail_in = (unsigned)n;
    z.next_out = out;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t packed = z.total_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    free(in);
    return packed;
}

static RC import_folder(const char *yaml, struct dataset **d, struct error *err)
{
    struct schema s = schema_of(yaml);
    struct store *store = memory_store();
    (void)snprintf(s.folder, sizeof s.folder, "%s", folder);
    enum rc rc = cohort_import(&s, NULL, store, &issues, &sum, err);
    if (rc == RC_OK) {
        rc = dataset_open(&s, store, d, err);
    }
    store_close(&store);
    schema_release(&s);
    return rc;
}

static void plain_and_packed_files_are_told_apart_by_content(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char packed[400];
    struct dataset *d = NULL;
    struct dataset *e = NULL;
    write_file("a.csv", good, strlen(good));
    assert_int_equal(import_folder(one_file, &d, &err), RC_OK);
    write_file("a.csv", packed, pack(good, strlen(good), packed, sizeof packed));
    assert_int_equal(import_folder(one_file, &e, &err), RC_OK);
    assert_true(hash_equal(&d->version, &e->version));
    dataset_close(&e);
    /* Two members one after the other are one text. */
    size_t n = pack(good, 30, packed, sizeof packed);
    n += pack(good + 30, strlen(good) - 30, packed + n, sizeof packed - n);
    write_file("a.csv", packed, n);
    assert_int_equal(import_folder(one_file, &e, &err), RC_OK);
    assert_true(hash_equal(&d->version, &e->version));
    dataset_close(&e);
    dataset_close(&d);
}

static void a_packed_file_cut_or_damaged_anywhere_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char packed[400];
    struct dataset *d = NULL;
    const size_t n = pack(good, strlen(good), packed, sizeof packed);
    for (size_t cut = 0; cut < n; cut++) {
        write_file("a.csv", packed, cut);
        assert_int_equal(import_folder(one_file, &d, &err), RC_INVALID);
        assert_int_equal(issues.n, 1);
        if (cut > 18) {
            assert_non_null(strstr(issues.line[0], "ends too early"));
        }
    }
    packed[n - 6] ^= 1; /* the checksum */
    write_file("a.csv", packed, n);
    assert_int_equal(import_folder(one_file, &d, &err), RC_INVALID);
    assert_non_null(strstr(issues.line[0], "is damaged"));
    assert_null(d);
}

/* Long, so that damage is unpacked into rows before the checksum tells of it. */
static void damage_in_the_middle_is_one_problem_and_not_one_for_each_row(void **state)
{
    (void)state;
    enum { ROWS = 4000, ROOM = 1 << 18 };
    const char *header_end = strchr(good, '\n') + 1;
    const char *row_end = strchr(header_end, '\n') + 1;
    char *text = malloc(ROOM);
    unsigned char *packed = malloc(ROOM);
    struct error err = {0};
    struct dataset *d = NULL;
    assert_non_null(text);
    assert_non_null(packed);
    size_t length = (size_t)(header_end - good);
    memcpy(text, good, length);
    for (size_t i = 0; i < ROWS; i++) { /* ids that differ: there is something to pack */
        length += (size_t)snprintf(text + length, ROOM - length, "q%zu%.*s", i * 7919 % 10007,
                                   (int)(row_end - header_end), header_end);
    }
    const size_t n = pack(text, length, packed, ROOM);
    write_file("a.csv", packed, n);
    assert_int_equal(import_folder(one_file, &d, &err), RC_OK);
    dataset_close(&d);
    for (size_t at = 20; at < n - 8; at += n / 40) {
        packed[at] ^= 0x10;
        write_file("a.csv", packed, n);
        assert_int_equal(import_folder(one_file, &d, &err), RC_INVALID);
        assert_int_equal(issues.n, 1);
        assert_non_null(strstr(issues.line[0], "the packed file is"));
        packed[at] ^= 0x10;
    }
    free(packed);
    free(text);
}

static void a_bomb_stops_at_the_limit(void **state)
{
    (void)state;
    struct error err = {0};
    enum { ROOM = 1 << 20 };
    char *text = malloc(ROOM);
    unsigned char *packed = malloc(ROOM);
    assert_true(text != NULL && packed != NULL);
    memset(text, '\n', ROOM);
    const size_t n = pack(text, ROOM, packed, ROOM);
    assert_true(n < 4096);
    write_file("a.csv", packed, n);
    const struct cohort_limits limits = {
        .rows = 10, .file_bytes = 100000, .row_bytes = 1000, .cell_bytes = 100};
    struct schema s = schema_of(one_file);
    struct store *store = memory_store();
    (void)snprintf(s.folder, sizeof s.folder, "%s", folder);
    assert_int_equal(cohort_import_from(&s, NULL, NULL, &limits, store, &issues, &sum, &err),
                     RC_INVALID);
    assert_int_equal(issues.n, 1);
    assert_non_null(strstr(issues.line[0], "longer than 100000 bytes"));
    store_close(&store);
    schema_release(&s);
    free(text);
    free(packed);
}

static void files_that_cannot_be_opened_are_all_named(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    assert_int_equal(import_folder(two_files, &d, &err), RC_INVALID);
    assert_int_equal(issues.n, 2);
    assert_non_null(strstr(issues.line[0], "a.csv: error: cannot open: "));
    assert_non_null(strstr(issues.line[1], "b.csv: error: cannot open: "));
    char path[400];
    (void)snprintf(path, sizeof path, "%s/a.csv", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(import_folder(one_file, &d, &err), RC_INVALID);
    assert_non_null(strstr(issues.line[0], "a.csv: error: cannot open: not a file"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* does not hang */
    assert_int_equal(import_folder(one_file, &d, &err), RC_INVALID);
    assert_non_null(strstr(issues.line[0], "not a file"));
    assert_null(d);
}

static void an_absent_data_folder_names_the_variable_to_set(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    static const char yaml[] =
        COLUMNS "files: [{path: $WARDROUND_DATA/no-such-set/a.csv}]\nsite: {column: where}\n"
                "patient: {column: id}\n";
    assert_int_equal(import_folder(yaml, &d, &err), RC_INVALID);
    assert_non_null(strstr(issues.line[0], "$WARDROUND_DATA/no-such-set/a.csv: error: cannot"));
    assert_non_null(strstr(issues.line[0], "set WARDROUND_DATA to"));
}

static void an_import_survives_reopening_and_an_interrupted_one_leaves_no_trace(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct store *store = NULL;
    char path[400];
    struct schema s = schema_of(one_file);
    (void)snprintf(path, sizeof path, "%s/cohort.db", folder);
    assert_int_equal(store_open(path, &cohort_store_kind, &store, &err), RC_OK);
    assert_int_equal(import_bytes(&s, store, NULL, good, strlen(good), NULL, &err), RC_OK);
    const struct hash version = sum.version;
    store_close(&store);
    assert_int_equal(store_open(path, &cohort_store_kind, &store, &err), RC_OK);
    assert_int_equal(import_bytes(&s, store, NULL, "p,a\n", 4, NULL, &err), RC_INVALID);
    store_close(&store);
    assert_int_equal(store_open(path, &cohort_store_kind, &store, &err), RC_OK);
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_OK);
    assert_true(hash_equal(&version, &d->version));
    dataset_close(&d);
    store_close(&store);
    schema_release(&s);
}

/* ---- new patients ---------------------------------------------------------------------------- */

static RC rows_of(const char *yaml, const char *text, size_t n, const struct cohort_limits *limits,
                  struct cohort_rows **out, struct error *err)
{
    const struct cohort_bytes bytes = {.data = text, .n = n};
    struct schema s = schema_of(yaml);
    issues = (struct config_issues){.path = "kept"};
    sum = (struct cohort_summary){.n_rows = 4242};
    const enum rc rc =
        cohort_read_rows_from(&s, "new.csv", &bytes, limits, out, &sum, &issues, err);
    assert_string_equal(issues.path, "kept");
    schema_release(&s);
    return rc;
}

static struct cohort_rows *read_rows(const char *yaml, const char *text)
{
    struct error err = {0};
    struct cohort_rows *r = NULL;
    if (rows_of(yaml, text, strlen(text), &cohort_limits, &r, &err) != RC_OK) {
        config_print_issues(&issues, stderr);
        fail_msg("%s", err.text);
    }
    assert_int_equal(r->n, sum.n_rows);
    return r;
}

/* Exactly these problems. */
static void rows_refused(const char *yaml, const char *text, const char *const *line, size_t n)
{
    struct error err = {0};
    struct cohort_rows *r = NULL;
    const enum rc rc = rows_of(yaml, text, strlen(text), &cohort_limits, &r, &err);
    bool right = rc == RC_INVALID && issues.n == n;
    for (size_t i = 0; right && i < n; i++) {
        right = strncmp(issues.line[i], line[i], strlen(line[i])) == 0;
    }
    if (!right) {
        config_print_issues(&issues, stderr);
        fail_msg("wanted %zu: '%s'", n, line[0]);
    }
    assert_null(r);
    assert_int_equal(sum.n_rows, 4242);
}

#define ROWS_REFUSED(yaml, text, ...)                                    \
    do {                                                                 \
        const char *const line_[] = {__VA_ARGS__};                       \
        rows_refused(yaml, text, line_, sizeof line_ / sizeof line_[0]); \
    } while (0)

static void a_row_to_score_is_laid_out_as_an_imported_one(void **state)
{
    (void)state;
    struct dataset *d = imported(one_file, good, NULL);
    struct cohort_rows *r = read_rows(one_file, good);
    assert_int_equal(r->n, 3);
    assert_int_equal(r->n_values, d->n_values);
    assert_int_equal(r->n_codes, d->n_codes);
    assert_int_equal(sum.n_missing_cells, 4);
    static const size_t at[] = {2, 0, 1}; /* in the dataset: p1, p10, p2 */
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(r->patient[i], d->patient_id[at[i]]);
        assert_memory_equal(r->values + i * r->n_values, d->values + at[i] * d->n_values,
                            d->n_values * sizeof *d->values);
        assert_int_equal(r->codes[i], d->codes[at[i]]);
    }
    cohort_rows_close(&r);
    cohort_rows_close(&r);
    dataset_close(&d);
}

static void neither_label_nor_site_is_needed_to_score(void **state)
{
    (void)state;
    static const char *const text[] = {
        "kind,sex,chol,age,id\n6,1,350,50,p2\nx,,0,20,p1\n",
        "id,where,age,chol,sex,kind,dead\np2,,50,350,1,6,\np1,,20,0,,x,\n",
        "id,where,age,chol,sex,kind,dead\np2,a,50,350,1,6,perhaps\np1,b,20,0,,x,0\n",
    };
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        struct cohort_rows *r = read_rows(with_header, text[i]);
        assert_int_equal(r->n, 2);
        assert_string_equal(r->patient[0], "p2");
        assert_string_equal(r->patient[1], "p1");
        static const double values[] = {0, 0, 0, 1, 0, -1, 0, 1, 0, 1};
        for (size_t v = 0; v < 10; v++) {
            assert_real(r->values[v], values[v]);
        }
        assert_int_equal(r->codes[0], 1);
        assert_int_equal(r->codes[1], 2);
        cohort_rows_close(&r);
    }
    struct cohort_rows *r = read_rows(one_file, "p2,,50,350,1,6,\n");
    assert_int_equal(r->n, 1);
    cohort_rows_close(&r);
}

static void a_patient_may_have_several_rows_to_score(void **state)
{
    (void)state;
    struct cohort_rows *r = read_rows(one_file, "q,,30,?,?,?,\np,,40,?,?,?,\nq,,50,?,?,?,\n");
    assert_int_equal(r->n, 3);
    assert_string_equal(r->patient[0], "q");
    assert_string_equal(r->patient[2], "q");
    cohort_rows_close(&r);
}

static void rows_without_id_are_named_by_their_line(void **state)
{
    (void)state;
    struct cohort_rows *r = read_rows(by_line, "x,x,30,?,?,?,\n\nx,x,40,?,?,?,\n");
    assert_int_equal(r->n, 2);
    assert_string_equal(r->patient[0], "1");
    assert_string_equal(r->patient[1], "3");
    cohort_rows_close(&r);
}

static void a_column_that_is_absent_is_named_with_its_feature(void **state)
{
    (void)state;
    static const char renamed[] =
        "cohort: t\n" LABEL "files: [{path: a.csv}]\nsite: {column: where}\n"
        "patient: {column: id}\nfeatures:\n"
        "- {name: pulse, column: heart_rate, type: continuous, range: [20, 220]}\n"
        "- {name: age, type: continuous, range: [20, 80], required: true}\n";
    ROWS_REFUSED(renamed, "id,dead\np,0\n",
                 "new.csv:1:1: error: no column 'heart_rate', which feature 'pulse' is read from; "
                 "where its values are not known, add the column",
                 "new.csv:1:1: error: no column 'age', which feature 'age' is read from");
    ROWS_REFUSED(with_header, "where,age,chol,sex,kind\na,50,350,1,6\n",
                 "new.csv:1:1: error: no column 'id'; rename the file's");
    ROWS_REFUSED(
        with_header, "id;age;chol;sex;kind\np;50;350;1;6\n",
        "new.csv:1:1: error: none of the columns that cohort.yaml names is in this header");
    ROWS_REFUSED(with_header, "id,age,chol,sex,kind,age\np,50,350,1,6,50\n",
                 "new.csv:1:6: error: this column's name is also that of column 2");
    ROWS_REFUSED(one_file, "p,a,50,350,1,6\n",
                 "new.csv:1:6: error: 6 fields, want 7: without a header every column");
}

static void every_cell_to_score_is_checked(void **state)
{
    (void)state;
    ROWS_REFUSED(one_file,
                 "p2,a,50,350,1,6,0\n"
                 ",a,?,3x,2,9,\n"
                 "p3,a,1e999,350,1,6\n"
                 "p4,a,50,\xff,1,6,0\n",
                 "new.csv:2:1: error: 'id' is missing",
                 "new.csv:2:3: error: 'age' is missing, which cohort.yaml requires (required: "
                 "true): without it there is no score, leave the row out",
                 "new.csv:2:4: error: 'chol' is not a number",
                 "new.csv:2:5: error: 'sex' is none of its 2 categories",
                 "new.csv:2:6: error: 'kind' is none of its 3 categories",
                 "new.csv:3:6: error: 6 fields, want 7", "new.csv:4:4: error: not UTF-8");
    ROWS_REFUSED(one_file, "", "new.csv: error: no row");
    ROWS_REFUSED(with_header, "id,age,chol,sex,kind\n", "new.csv: error: no row below a header");
}

static void what_is_odd_in_rows_to_score_is_warned_of(void **state)
{
    (void)state;
    struct cohort_rows *r = read_rows(one_file, "p,,95,?,0,6,\nq,,30,?,1,3,\n");
    assert_int_equal(sum.n_warnings, 2);
    assert_string_equal(sum.warning[0],
                        "'age': 1 of 2 values are outside of 20 to 80  and are clamped");
    assert_string_equal(sum.warning[1], "'chol' is missing in every row");
    cohort_rows_close(&r);
}

/* More than the first room, twice over; each row in its place. */
static void many_rows_to_score_keep_their_order(void **state)
{
    (void)state;
    enum { ROWS = 300, ROOM = ROWS * 32 };
    char *text = calloc(1, ROOM);
    assert_non_null(text);
    size_t n = 0;
    for (int i = 0; i < ROWS; i++) {
        n += (size_t)snprintf(text + n, ROOM - n, "p%d,,%d,?,?,%s,\n", i, 20 + i % 61,
                              i % 2 == 0 ? "3" : "x");
    }
    struct cohort_rows *r = read_rows(one_file, text);
    assert_int_equal(r->n, ROWS);
    for (int i = 0; i < ROWS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%d", i);
        assert_string_equal(r->patient[i], id);
        assert_real(r->values[(size_t)i * r->n_values], (double)(i % 61) / 30.0 - 1.0);
        assert_int_equal(r->codes[i], i % 2 == 0 ? 0 : 2);
    }
    cohort_rows_close(&r);
    struct error err = {0};
    struct cohort_limits small = cohort_limits;
    small.rows = ROWS - 1;
    assert_int_equal(rows_of(one_file, text, n, &small, &r, &err), RC_INVALID);
    assert_string_equal(issues.line[0], "new.csv:300:1: error: more than 299 rows");
    assert_null(r);
    free(text);
}

static void a_file_of_rows_may_be_packed_or_absent(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char packed[400];
    struct cohort_rows *r = NULL;
    struct schema s = schema_of(one_file);
    write_file("a.csv", packed, pack(good, strlen(good), packed, sizeof packed));
    char path[200];
    (void)snprintf(path, sizeof path, "%s/a.csv", folder);
    assert_int_equal(cohort_read_rows(&s, path, &r, &sum, &issues, &err), RC_OK);
    assert_int_equal(r->n, 3);
    cohort_rows_close(&r);
    (void)snprintf(path, sizeof path, "%s/none.csv", folder);
    assert_int_equal(cohort_read_rows(&s, path, &r, &sum, &issues, &err), RC_IO);
    assert_non_null(strstr(err.text, "none.csv: cannot open: "));
    assert_null(r);
    schema_release(&s);
}

/* ---- datasets --------------------------------------------------------------------------------- */

static void a_pick_keeps_patients_whole_and_ascending(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *part = NULL;
    struct dataset *d = imported(many_rows,
                                 "a,x,30,?,?,3,0\nb,y,40,?,?,6,1\nb,y,50,?,?,6,1\nc,x,60,?,?,x,0\n"
                                 "c,x,61,?,?,x,0\nd,z,70,?,?,?,1\n",
                                 NULL);
    const size_t pick[] = {3, 1};
    assert_int_equal(dataset_pick(d, pick, 2, &part, &err), RC_OK);
    assert_int_equal(part->n_patients, 2);
    assert_int_equal(part->n_rows, 3);
    assert_int_equal(part->n_sites, 3); /* the same table */
    assert_string_equal(part->patient_id[0], "b");
    assert_string_equal(part->patient_id[1], "d");
    assert_string_equal(part->site_name[part->site[0]], "y");
    assert_string_equal(part->site_name[part->site[1]], "z");
    assert_int_equal(part->first_row[1], 2);
    assert_int_equal(part->first_row[2], 3);
    assert_true(hash_equal(&part->patient[1], &d->patient[3]));
    assert_memory_equal(part->values, d->values + d->n_values, 2 * d->n_values * sizeof(float));
    assert_memory_equal(part->values + 2 * d->n_values, d->values + 5 * d->n_values,
                        d->n_values * sizeof(float));
    assert_int_equal(part->codes[2], 3);
    assert_false(hash_equal(&part->version, &d->version));

    struct dataset *again = NULL;
    const size_t other_order[] = {1, 3};
    assert_int_equal(dataset_pick(d, other_order, 2, &again, &err), RC_OK);
    assert_true(hash_equal(&part->version, &again->version));
    dataset_close(&again);
    dataset_close(&part);
    assert_int_equal(dataset_pick(d, pick, 0, &part, &err), RC_OK); /* an empty fold */
    assert_int_equal(part->n_rows, 0);
    dataset_close(&part);
    const size_t twice[] = {1, 2, 1};
    assert_int_equal(dataset_pick(d, twice, 3, &part, &err), RC_INVALID);
    const size_t beyond[] = {4};
    assert_int_equal(dataset_pick(d, beyond, 1, &part, &err), RC_INVALID);
    assert_null(part);
    dataset_close(&d);
}

static void a_pick_of_one_site_carries_its_name_alone(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *part = NULL;
    struct dataset *same = NULL;
    struct dataset *d =
        imported(many_rows, "a,x,30,?,?,3,0\nb,y,40,?,?,6,1\nb,y,50,?,?,6,1\nc,y,60,?,?,x,0\n",
                 NULL);
    const size_t pick[] = {2, 1};
    assert_int_equal(dataset_pick_site(d, 1, pick, 2, &part, &err), RC_OK);
    assert_int_equal(dataset_pick(d, pick, 2, &same, &err), RC_OK);
    assert_int_equal(part->n_sites, 1);
    assert_string_equal(part->site_name[0], "y");
    assert_int_equal(part->site[0], 0);
    assert_int_equal(part->site[1], 0);
    assert_true(hash_equal(&part->version, &same->version));
    assert_int_equal(part->n_rows, 3);
    assert_memory_equal(part->values, same->values, 3 * d->n_values * sizeof(float));
    dataset_close(&part);
    dataset_close(&same);
    assert_int_equal(dataset_pick_site(d, 0, pick, 2, &part, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "another site's"));
    assert_null(part);
    dataset_close(&d);
}

static void a_batch_is_gathered_row_by_row(void **state)
{
    (void)state;
    struct dataset *d =
        imported(many_rows, "a,x,30,?,?,3,0\nb,y,40,?,?,6,1\nb,y,50,?,?,x,1\nc,x,60,?,?,?,0\n",
                 NULL);
    const size_t row[] = {2, 0, 3};
    const size_t patient[] = {1, 0, 2};
    const struct schema_layout layout = {.n_values = d->n_values, .n_codes = d->n_codes};
    struct error err = {0};
    struct arena memory = {0};
    struct batch_room room;
    assert_int_equal(arena_init(&memory, batch_room_cost(&layout, 3), &err), RC_OK);
    batch_room_take(&room, &layout, 3, &memory);
    assert_int_equal(memory.used, memory.size);
    dataset_gather(d, row, patient, 3, &room);
    static const double age[] = {0, -2.0 / 3, 1.0 / 3};
    static const int code[] = {2, 0, 3};
    static const double y[] = {1, 0, 0};
    for (size_t i = 0; i < 3; i++) {
        assert_real(room.batch.values[i * 5], age[i]);
        assert_int_equal(room.batch.codes[i], code[i]);
        assert_real(room.batch.label[i], y[i]);
        assert_int_equal(room.batch.present[i], 1); /* the table */
    }
    assert_null(room.batch.part);
    dataset_gather(d, NULL, NULL, 0, &room); /* an empty batch */
    assert_int_equal(room.batch.B, 0);
    arena_release(&memory);
    dataset_close(&d);
}

static void a_reserved_dataset_is_zeroed_and_bounded(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    assert_int_equal(dataset_reserve(3, 5, 2, 0, 4, &d, &err), RC_OK);
    assert_int_equal(d->first_row[3], 0);
    assert_real(d->values[5 * 2 - 1], 0);
    assert_int_equal(d->site_name[3][0], '\0');
    dataset_close(&d);
    assert_int_equal(dataset_reserve(1, (size_t)COHORT_ROWS_MAX + 1, 1, 1, 1, &d, &err), RC_LIMIT);
    assert_int_equal(dataset_reserve(1, 1, SIZE_MAX, 1, 1, &d, &err), RC_LIMIT);
    assert_null(d);
}

/* ---- samples and real data --------------------------------------------------------------------- */

static struct dataset *sample(const char *path)
{
    struct error err = {0};
    struct schema s = {0};
    struct dataset *d = NULL;
    struct store *store = memory_store();
    issues = (struct config_issues){0};
    if (schema_open(path, &s, &issues, &err) != RC_OK ||
        cohort_import(&s, NULL, store, &issues, &sum, &err) != RC_OK ||
        dataset_open(&s, store, &d, &err) != RC_OK) {
        config_print_issues(&issues, stderr);
        fail_msg("%s", err.text);
    }
    store_close(&store);
    schema_release(&s);
    return d;
}

static void the_example_hospital_imports(void **state)
{
    (void)state;
    struct dataset *d = sample("configs/sites/example/cohort.yaml");
    assert_int_equal(d->n_patients, 42);
    assert_int_equal(sum.n_positive, 9);
    assert_int_equal(sum.n_warnings, 0);
    assert_string_equal(d->site_name[0], "example");
    dataset_close(&d);
}

static bool heart_is_here(void)
{
    const char *data = getenv("WARDROUND_DATA");
    char path[SCHEMA_FULL_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/uci_heart_4hospitals/heart.csv",
                   data != NULL && data[0] != '\0' ? data : "../shared/data");
    if (access(path, R_OK) == 0) {
        return true;
    }
    print_message("skipped: no %s; set WARDROUND_DATA\n", path);
    return false;
}

static void the_four_heart_hospitals_import_as_they_are(void **state)
{
    (void)state;
    if (!heart_is_here()) {
        skip();
    }
    struct dataset *d = sample("configs/sites/heart/cohort.yaml");
    static const char *const name[] = {"cleveland", "hungarian", "switzerland", "va"};
    static const size_t want[] = {303, 294, 123, 200};
    static const size_t want_positive[] = {139, 106, 115, 149};
    size_t n[4] = {0};
    size_t n_positive[4] = {0};
    assert_int_equal(d->n_patients, 920);
    assert_int_equal(d->n_rows, 920);
    assert_int_equal(d->n_sites, 4);
    assert_int_equal(sum.n_positive, 509);
    for (size_t p = 0; p < d->n_patients; p++) {
        n[d->site[p]]++;
        n_positive[d->site[p]] += d->label[p] > 0.5F;
    }
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(d->site_name[i], name[i]);
        assert_int_equal(n[i], want[i]);
        assert_int_equal(n_positive[i], want_positive[i]);
    }
    /* Line 1 of cleveland's file: 63,1,1,145,233,1,2,150,0,2.3,3,0,6,0 */
    static const double values[] = {26.0 / 60, 0, 1,          0, 10.0 / 120, 0, -234.0 / 500, 0,
                                    1,         0, 20.0 / 160, 0, 0,          0, 0.6 / 10,     0};
    static const int codes[] = {0, 2, 2, 0, 1};
    assert_string_equal(d->patient_id[0], "cleveland-001");
    assert_int_equal(d->n_values, 16);
    assert_int_equal(d->n_codes, 5);
    for (size_t v = 0; v < 16; v++) {
        assert_real(d->values[v], values[v]);
    }
    for (size_t c = 0; c < 5; c++) {
        assert_int_equal(d->codes[c], codes[c]);
    }
    /* All of switzerland's cholesterol is 0: missing. Line 1: oldpeak .7, ca and thal missing. */
    size_t p = 303 + 294;
    assert_string_equal(d->patient_id[p], "switzerland-001");
    for (size_t i = p; i < p + 123; i++) {
        assert_real(d->values[i * 16 + 6], 0);
        assert_real(d->values[i * 16 + 7], 1);
    }
    assert_real(d->values[p * 16 + 14], (2 * 0.7 - 4) / 10);
    assert_int_equal(d->codes[p * 5 + 3], 4);
    assert_int_equal(d->codes[p * 5 + 4], 3);
    dataset_close(&d);
}

static void both_ways_to_the_heart_give_the_same_dataset(void **state)
{
    (void)state;
    if (!heart_is_here()) {
        skip();
    }
    struct dataset *d = sample("configs/sites/heart/cohort.yaml");
    const struct cohort_summary four = sum;
    struct dataset *e = sample("configs/sites/heart_joined/cohort.yaml");
    assert_int_equal(four.n_missing_cells, sum.n_missing_cells);
    assert_true(hash_equal(&d->version, &e->version));
    assert_int_equal(d->n_patients, e->n_patients);
    assert_int_equal(d->n_rows, e->n_rows);
    assert_memory_equal(d->patient_id, e->patient_id, d->n_patients * sizeof *d->patient_id);
    assert_memory_equal(d->patient, e->patient, d->n_patients * sizeof *d->patient);
    assert_memory_equal(d->site, e->site, d->n_patients * sizeof *d->site);
    assert_memory_equal(d->site_name, e->site_name, d->n_sites * sizeof *d->site_name);
    assert_memory_equal(d->label, e->label, d->n_patients * sizeof *d->label);
    assert_memory_equal(d->values, e->values, d->n_rows * d->n_values * sizeof *d->values);
    assert_memory_equal(d->codes, e->codes, d->n_rows * d->n_codes * sizeof *d->codes);
    dataset_close(&d);
    dataset_close(&e);
}

int main(void)
{
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_file_becomes_a_dataset_ordered_by_patient),
        cmocka_unit_test(rows_of_a_patient_stay_together_in_the_order_of_the_file),
        cmocka_unit_test(line_ends_bom_blank_lines_quotes_and_spaces_change_nothing),
        cmocka_unit_test(quoted_cells_may_hold_separators_quotes_and_line_ends),
        cmocka_unit_test(other_separators_are_read),
        cmocka_unit_test(a_header_may_order_columns_freely_and_hold_others),
        cmocka_unit_test(patients_without_id_are_numbered_by_line),
        cmocka_unit_test(each_bad_cell_is_named_by_line_and_field),
        cmocka_unit_test(an_empty_cell_is_missing_only_if_the_schema_says_so),
        cmocka_unit_test(nul_bytes_are_refused_where_they_are),
        cmocka_unit_test(utf16_is_named),
        cmocka_unit_test(all_problems_of_all_files_are_found_at_once),
        cmocka_unit_test(fifty_problems_are_shown_and_the_rest_is_counted),
        cmocka_unit_test(no_message_holds_what_stood_in_a_cell),
        cmocka_unit_test(a_patient_comes_once_at_one_site_with_one_label),
        cmocka_unit_test(a_header_must_hold_each_column_once),
        cmocka_unit_test(an_empty_file_is_refused),
        cmocka_unit_test(a_label_may_be_one_of_several_classes),
        cmocka_unit_test(labels_of_one_class_and_odd_values_are_warned_of),
        cmocka_unit_test(each_limit_is_an_error_with_its_place),
        cmocka_unit_test(rows_and_quotes_across_chunks_are_whole),
        cmocka_unit_test(more_fields_than_any_schema_has_are_refused),
        cmocka_unit_test(a_failed_import_leaves_the_old_cohort),
        cmocka_unit_test(the_version_changes_with_any_cell),
        cmocka_unit_test(a_site_keeps_its_own_rows_only),
        cmocka_unit_test(another_schemas_cohort_is_not_opened),
        cmocka_unit_test(a_damaged_store_is_refused),
        IN_FOLDER(plain_and_packed_files_are_told_apart_by_content),
        IN_FOLDER(a_packed_file_cut_or_damaged_anywhere_is_refused),
        IN_FOLDER(damage_in_the_middle_is_one_problem_and_not_one_for_each_row),
        IN_FOLDER(a_bomb_stops_at_the_limit),
        IN_FOLDER(files_that_cannot_be_opened_are_all_named),
        IN_FOLDER(an_absent_data_folder_names_the_variable_to_set),
        IN_FOLDER(an_import_survives_reopening_and_an_interrupted_one_leaves_no_trace),
        cmocka_unit_test(a_row_to_score_is_laid_out_as_an_imported_one),
        cmocka_unit_test(neither_label_nor_site_is_needed_to_score),
        cmocka_unit_test(a_patient_may_have_several_rows_to_score),
        cmocka_unit_test(rows_without_id_are_named_by_their_line),
        cmocka_unit_test(a_column_that_is_absent_is_named_with_its_feature),
        cmocka_unit_test(every_cell_to_score_is_checked),
        cmocka_unit_test(what_is_odd_in_rows_to_score_is_warned_of),
        cmocka_unit_test(many_rows_to_score_keep_their_order),
        IN_FOLDER(a_file_of_rows_may_be_packed_or_absent),
        cmocka_unit_test(a_pick_keeps_patients_whole_and_ascending),
        cmocka_unit_test(a_pick_of_one_site_carries_its_name_alone),
        cmocka_unit_test(a_batch_is_gathered_row_by_row),
        cmocka_unit_test(a_reserved_dataset_is_zeroed_and_bounded),
        cmocka_unit_test(the_example_hospital_imports),
        cmocka_unit_test(the_four_heart_hospitals_import_as_they_are),
        cmocka_unit_test(both_ways_to_the_heart_give_the_same_dataset),
    };
#undef IN_FOLDER
    return cmocka_run_group_tests_name("cohort", tests, NULL, NULL);
}
