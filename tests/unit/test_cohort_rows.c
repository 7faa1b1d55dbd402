/* Rows of new patients, to be scored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/import_text.h"

static RC rows_of(const char *yaml, const char *text, size_t n, const struct cohort_limits *limits,
                  struct cohort_rows **out, struct error *err)
{
    const struct cohort_bytes bytes = {.data = text, .n = n};
    struct schema s = import_schema(yaml);
    import_issues = (struct config_issues){.path = "kept"};
    import_sum = (struct cohort_summary){.n_rows = 4242};
    const enum rc rc =
        cohort_read_rows_from(&s, "new.csv", &bytes, limits, out, &import_sum, &import_issues, err);
    assert_string_equal(import_issues.path, "kept");
    schema_release(&s);
    return rc;
}

static struct cohort_rows *read_rows(const char *yaml, const char *text)
{
    struct error err = {0};
    struct cohort_rows *r = NULL;
    if (rows_of(yaml, text, strlen(text), &cohort_limits, &r, &err) != RC_OK) {
        config_print_issues(&import_issues, stderr);
        fail_msg("%s", err.text);
    }
    assert_int_equal(r->n, import_sum.n_rows);
    return r;
}

/* Exactly these problems. */
static void rows_refused(const char *yaml, const char *text, const char *const *line, size_t n)
{
    struct error err = {0};
    struct cohort_rows *r = NULL;
    const enum rc rc = rows_of(yaml, text, strlen(text), &cohort_limits, &r, &err);
    bool right = rc == RC_INVALID && import_issues.n == n;
    for (size_t i = 0; right && i < n; i++) {
        right = strncmp(import_issues.line[i], line[i], strlen(line[i])) == 0;
    }
    if (!right) {
        config_print_issues(&import_issues, stderr);
        fail_msg("wanted %zu: '%s'", n, line[0]);
    }
    assert_null(r);
    assert_int_equal(import_sum.n_rows, 4242);
}

#define ROWS_REFUSED(yaml, text, ...)                                    \
    do {                                                                 \
        const char *const line_[] = {__VA_ARGS__};                       \
        rows_refused(yaml, text, line_, sizeof line_ / sizeof line_[0]); \
    } while (0)

static void a_row_to_score_is_laid_out_as_an_imported_one(void **state)
{
    (void)state;
    struct dataset *d = import_open(import_one_file, import_good, NULL);
    struct cohort_rows *r = read_rows(import_one_file, import_good);
    assert_int_equal(r->n, 3);
    assert_int_equal(r->n_values, d->n_values);
    assert_int_equal(r->n_codes, d->n_codes);
    assert_int_equal(import_sum.n_missing_cells, 4);
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
        struct cohort_rows *r = read_rows(import_with_header, text[i]);
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
    struct cohort_rows *r = read_rows(import_one_file, "p2,,50,350,1,6,\n");
    assert_int_equal(r->n, 1);
    cohort_rows_close(&r);
}

static void a_patient_may_have_several_rows_to_score(void **state)
{
    (void)state;
    struct cohort_rows *r =
        read_rows(import_one_file, "q,,30,?,?,?,\np,,40,?,?,?,\nq,,50,?,?,?,\n");
    assert_int_equal(r->n, 3);
    assert_string_equal(r->patient[0], "q");
    assert_string_equal(r->patient[2], "q");
    cohort_rows_close(&r);
}

static void rows_without_id_are_named_by_their_line(void **state)
{
    (void)state;
    struct cohort_rows *r = read_rows(import_by_line, "x,x,30,?,?,?,\n\nx,x,40,?,?,?,\n");
    assert_int_equal(r->n, 2);
    assert_string_equal(r->patient[0], "1");
    assert_string_equal(r->patient[1], "3");
    cohort_rows_close(&r);
}

static void a_column_that_is_absent_is_named_with_its_feature(void **state)
{
    (void)state;
    static const char renamed[] =
        "cohort: t\n" IMPORT_LABEL "files: [{path: a.csv}]\nsite: {column: where}\n"
        "patient: {column: id}\nfeatures:\n"
        "- {name: pulse, column: heart_rate, type: continuous, range: [20, 220]}\n"
        "- {name: age, type: continuous, range: [20, 80], required: true}\n";
    ROWS_REFUSED(renamed, "id,dead\np,0\n",
                 "new.csv:1:1: error: no column 'heart_rate', which feature 'pulse' is read from; "
                 "where its values are not known, add the column",
                 "new.csv:1:1: error: no column 'age', which feature 'age' is read from");
    ROWS_REFUSED(import_with_header, "where,age,chol,sex,kind\na,50,350,1,6\n",
                 "new.csv:1:1: error: no column 'id'; rename the file's");
    ROWS_REFUSED(
        import_with_header, "id;age;chol;sex;kind\np;50;350;1;6\n",
        "new.csv:1:1: error: none of the columns that cohort.yaml names is in this header");
    ROWS_REFUSED(import_with_header, "id,age,chol,sex,kind,age\np,50,350,1,6,50\n",
                 "new.csv:1:6: error: this column's name is also that of column 2");
    ROWS_REFUSED(import_one_file, "p,a,50,350,1,6\n",
                 "new.csv:1:6: error: 6 fields, want 7: without a header every column");
}

static void every_cell_to_score_is_checked(void **state)
{
    (void)state;
    ROWS_REFUSED(import_one_file,
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
    ROWS_REFUSED(import_one_file, "", "new.csv: error: no row");
    ROWS_REFUSED(import_with_header, "id,age,chol,sex,kind\n",
                 "new.csv: error: no row below a header");
}

static void what_is_odd_in_rows_to_score_is_warned_of(void **state)
{
    (void)state;
    struct cohort_rows *r = read_rows(import_one_file, "p,,95,?,0,6,\nq,,30,?,1,3,\n");
    assert_int_equal(import_sum.n_warnings, 2);
    assert_string_equal(import_sum.warning[0],
                        "'age': 1 of 2 values are outside of 20 to 80  and are clamped");
    assert_string_equal(import_sum.warning[1], "'chol' is missing in every row");
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
    struct cohort_rows *r = read_rows(import_one_file, text);
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
    assert_int_equal(rows_of(import_one_file, text, n, &small, &r, &err), RC_INVALID);
    assert_string_equal(import_issues.line[0], "new.csv:300:1: error: more than 299 rows");
    assert_null(r);
    free(text);
}

static void a_file_of_rows_may_be_packed_or_absent(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char packed[400];
    struct cohort_rows *r = NULL;
    struct schema s = import_schema(import_one_file);
    import_write("a.csv", packed,
                 import_pack(import_good, strlen(import_good), packed, sizeof packed));
    char path[200];
    (void)snprintf(path, sizeof path, "%s/a.csv", import_folder_path);
    assert_int_equal(cohort_read_rows(&s, path, &r, &import_sum, &import_issues, &err), RC_OK);
    assert_int_equal(r->n, 3);
    cohort_rows_close(&r);
    (void)snprintf(path, sizeof path, "%s/none.csv", import_folder_path);
    assert_int_equal(cohort_read_rows(&s, path, &r, &import_sum, &import_issues, &err), RC_IO);
    assert_non_null(strstr(err.text, "none.csv: cannot open: "));
    assert_null(r);
    schema_release(&s);
}

int main(void)
{
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, import_make_folder, import_remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_to_score_is_laid_out_as_an_imported_one),
        cmocka_unit_test(neither_label_nor_site_is_needed_to_score),
        cmocka_unit_test(a_patient_may_have_several_rows_to_score),
        cmocka_unit_test(rows_without_id_are_named_by_their_line),
        cmocka_unit_test(a_column_that_is_absent_is_named_with_its_feature),
        cmocka_unit_test(every_cell_to_score_is_checked),
        cmocka_unit_test(what_is_odd_in_rows_to_score_is_warned_of),
        cmocka_unit_test(many_rows_to_score_keep_their_order),
        IN_FOLDER(a_file_of_rows_may_be_packed_or_absent),
    };
    return cmocka_run_group_tests_name("cohort_rows", tests, NULL, NULL);
}
