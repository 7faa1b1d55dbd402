/* What an import refuses, each at its line and field, and what it warns of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/import_text.h"

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
        REFUSED(import_one_file, bad[i].row, NULL, bad[i].says);
    }
}

static void an_empty_cell_is_missing_only_if_the_schema_says_so(void **state)
{
    (void)state;
    static const char yaml[] =
        "cohort: t\nheader: false\ncolumns: [dead, age]\nmissing: [\"?\"]\n"
        "features: [{name: age, type: continuous, range: [0, 100]}]\n"
        "files: [{path: a.csv, site: a}]\npatient: {from: line}\n" IMPORT_LABEL;
    REFUSED(yaml, "1,5\n0,\n", NULL, "a.csv:2:2: error: 'age' is empty; list \"\" under");
}

static void nul_bytes_are_refused_where_they_are(void **state)
{
    (void)state;
    static const char row[] = "p,a,50,1,1,6,0\nq,a,5\0,1,1,6,0\n";
    const char *const line[] = {"a.csv:2:3: error: a NUL byte"};
    import_refused(import_one_file, row, sizeof row - 1, NULL, line, 1);
}

static void utf16_is_named(void **state)
{
    (void)state;
    static const char row[] = "\xff\xfep\0,\0a\0";
    const char *const line[] = {"a.csv:1:1: error: UTF-16"};
    import_refused(import_one_file, row, sizeof row - 1, NULL, line, 1);
}

static void all_problems_of_all_files_are_found_at_once(void **state)
{
    (void)state;
    REFUSED(import_two_files, "p,a,x,1,y,6,0\nq,a,50,1,1,6\n\"r\"r,a,50,1,1,6,0\ns,a,50,1,1,6,9\n",
            "t,a,50,1,1,6,0\np,a,50,1,1,5,0\n", "a.csv:1:3: error: 'age'",
            "a.csv:1:5: error: 'sex'", "a.csv:2:6: error: 6 fields", "a.csv:3:1: error: a quote",
            "a.csv:4:7: error: 'dead'", "b.csv:2:6: error: 'kind'",
            "b.csv:2:1: error: the same patient as in a.csv:1;");
}

static void fifty_problems_are_shown_and_the_rest_is_counted(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = import_schema(import_one_file);
    struct store *store = import_store();
    char text[80 * 24];
    size_t n = 0;
    for (int i = 0; i < 80; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "p%d,a,z,1,1,6,0\n", i);
    }
    assert_int_equal(import_bytes(&s, store, NULL, text, n, NULL, &err), RC_INVALID);
    assert_int_equal(import_issues.n, 80);
    assert_non_null(strstr(import_issues.line[49], "a.csv:50:3:"));
    assert_non_null(strstr(err.text, "a.csv:1:3: error:"));
    assert_non_null(strstr(err.text, "79 more"));
    store_close(&store);
    schema_release(&s);
}

static void no_message_holds_what_stood_in_a_cell(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema s = import_schema(import_many_rows);
    struct store *store = import_store();
    static const char text[] = "SECRET1,SECRET2,SECRET3,SECRET4,SECRET5,SECRET6,SECRET7\n"
                               "SECRET1,SECRET2,50,1,1,6,0\nSECRET1,SECRET3,50,1,1,6,0\n"
                               "SECRET1,SECRET2,50,1,1,6,1\nSECRET1,SECRET2\n"
                               "SEC\"RET,\n\xffSECRET,a,50,1,1,6,0\nSECRET\x01,a,50,1,1,6,0\n"
                               "SECRET9,SECRET9,50,1,1,6,\"SECRET\n";
    assert_int_equal(import_bytes(&s, store, NULL, text, sizeof text - 1, NULL, &err), RC_INVALID);
    assert_true(import_issues.n >= 10 && import_issues.n < CONFIG_ISSUES_SHOWN);
    assert_null(strstr(err.text, "SEC"));
    for (size_t i = 0; i < import_issues.n; i++) {
        assert_null(strstr(import_issues.line[i], "SEC"));
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
    REFUSED(import_one_file, text, NULL,
            "a.csv:3:1: error: the same patient as in a.csv:1; if several");
    (void)snprintf(text, sizeof text, "%sp,b,51,1,1,6,0\n", first);
    REFUSED(import_one_file, text, NULL,
            "a.csv:2:1: error: this patient is at another site in a.csv:1");
    REFUSED(import_many_rows, text, NULL,
            "a.csv:2:1: error: this patient is at another site in a.csv:1");
    (void)snprintf(text, sizeof text, "%sp,a,51,1,1,6,2\n", first);
    REFUSED(import_many_rows, text, NULL,
            "a.csv:2:7: error: the label of this patient is another in ");
    REFUSED(import_two_files, first, "q,a,50,1,1,6,1\np,a,50,1,1,6,0\n",
            "b.csv:2:1: error: the same patient as in a.csv:1;");
}

static void a_header_must_hold_each_column_once(void **state)
{
    (void)state;
    REFUSED(import_with_header, "id,where,age,cholesterol,sex,kind\np,a,50,1,1,6\n", NULL,
            "a.csv:1:1: error: no column 'dead'",
            "a.csv:1:1: error: no column 'chol'; rename the file's, or name it as it is in "
            "cohort.yaml");
    REFUSED(import_with_header, "id,where,age,chol,sex,kind,dead,x,age,x\np,a,50,1,1,6,0,,,\n",
            NULL, "a.csv:1:9: error: this column's name is also that of column 3",
            "a.csv:1:10: error: this column's name is also that of column 8");
    REFUSED(
        import_with_header, "id;where;age;chol;sex;kind;dead\np;a;50;1;1;6;0\n", NULL,
        "a.csv:1:1: error: none of the columns that cohort.yaml names is in this header; is its "
        "`separator` the one of this file?");
}

static void an_empty_file_is_refused(void **state)
{
    (void)state;
    static const char header[] = "id,where,age,chol,sex,kind,dead\n";
    static const char *const empty[] = {"", "\n\n", "\xef\xbb\xbf", "  ", "\r\n \t\r\n"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        REFUSED(import_one_file, empty[i], NULL, "a.csv: error: no row");
        REFUSED(import_with_header, empty[i], NULL, "a.csv: error: no row below a header");
    }
    REFUSED(import_with_header, header, NULL, "a.csv: error: no row below a header");
    REFUSED(import_two_files, import_good, "", "b.csv: error: no row");
}

static void a_label_may_be_one_of_several_classes(void **state)
{
    (void)state;
    static const char classes[] =
        "cohort: t\nheader: false\ncolumns: [id, where, age, chol, sex, kind, dead]\n"
        "missing: [\"\", \"?\"]\nlabel: {column: dead, classes: [mild, \"2\", "
        "severe]}\n" IMPORT_FEATURES
        "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id, rows: many}\n";
    struct dataset *d = import_open(classes,
                                    "q,a,50,200,1,6,severe\np,a,50,200,1,6,2.0\n"
                                    "r,b,50,200,1,6,mild\nr,b,51,200,1,6,mild\n",
                                    NULL);
    assert_int_equal(d->n_patients, 3);
    assert_real(d->label[0], 1);
    assert_real(d->label[1], 2);
    assert_real(d->label[2], 0);
    assert_int_equal(import_sum.n_positive, 0);
    assert_int_equal(import_sum.n_warnings, 1);
    assert_non_null(strstr(import_sum.warning[0], "site 'b': every label is 'mild'"));
    const struct hash version = d->version;
    dataset_close(&d);
    d = import_open(classes,
                    "q,a,50,200,1,6,severe\np,a,50,200,1,6,mild\n"
                    "r,b,50,200,1,6,mild\nr,b,51,200,1,6,mild\n",
                    NULL);
    assert_false(hash_equal(&version, &d->version));
    dataset_close(&d);
    d = import_open(classes, "q,a,10,?,1,6,severe\np,a,50,?,1,6,mild\n", NULL);
    assert_int_equal(import_sum.n_missing_cells, 2);
    assert_int_equal(import_sum.n_warnings, 2);
    assert_non_null(strstr(import_sum.warning[0], "'age': 1 of 2 values are outside of 20 to 80"));
    assert_non_null(strstr(import_sum.warning[1], "'chol' is missing in every row"));
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
    struct dataset *d = import_open(import_one_file, "p,a,50,0,1,6,0\nq,a,10,?,1,6,0\n", NULL);
    dataset_close(&d);
    assert_int_equal(import_sum.n_warnings, 3);
    assert_non_null(strstr(import_sum.warning[0], "the whole cohort: every label is negative"));
    assert_non_null(strstr(import_sum.warning[1], "'age': 1 of 2 values are outside of 20 to 80"));
    assert_non_null(strstr(import_sum.warning[2], "'chol' is missing in every row"));
    d = import_open(import_one_file, "p,a,50,200,1,6,0\nq,b,50,200,1,6,1\nr,a,50,200,1,6,1\n",
                    NULL);
    dataset_close(&d);
    assert_int_equal(import_sum.n_warnings, 1);
    assert_non_null(strstr(import_sum.warning[0], "site 'b': every label is positive"));
    d = import_open(import_one_file, "p,a,50,200,1,6,0\nq,a,50,200,1,6,1\n", NULL);
    dataset_close(&d);
    assert_int_equal(import_sum.n_warnings, 0);
}

static void each_limit_is_an_error_with_its_place(void **state)
{
    (void)state;
    static const struct {
        struct cohort_limits limits;
        const char *text, *says;
        size_t n;
    } over[] = {
        {{2, 1000, 100, 50, 1}, import_good, "a.csv:3:1: error: more than 2 rows", 1},
        {{3, 40, 100, 50, 1}, import_good, "a.csv:1:1: error: the file is longer than 40 bytes", 1},
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
        struct schema s = import_schema(import_one_file);
        struct store *store = import_store();
        const struct cohort_bytes file = {.data = over[i].text, .n = strlen(over[i].text)};
        assert_int_equal(cohort_import_from(&s, NULL, &file, &over[i].limits, store, &import_issues,
                                            &import_sum, &err),
                         RC_INVALID);
        if (strstr(import_issues.line[0], over[i].says) == NULL || import_issues.n != over[i].n) {
            config_print_issues(&import_issues, stderr);
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
    struct dataset *d = import_open(import_one_file, text, NULL);
    assert_int_equal(d->n_patients, ROWS);
    assert_int_equal(d->n_sites, 7);
    assert_int_equal(import_sum.n_positive, ROWS / 3);
    for (size_t p = 0; p < ROWS; p += 997) {
        assert_int_equal(strtol(d->patient_id[p] + 1, NULL, 10), p);
        assert_real(d->values[p * 5], ((double)(20 + p % 60) - 50) / 30);
    }
    dataset_close(&d);
    (void)snprintf(text + n, ROOM - n, "z,a,50,zero,1,6,0\r\n");
    REFUSED(import_one_file, text, NULL, "a.csv:9001:4: error: 'chol' is not a number");
    free(text);
}

static void more_fields_than_any_schema_has_are_refused(void **state)
{
    (void)state;
    char *text = malloc(20002);
    assert_non_null(text);
    memset(text, ',', 20000);
    memcpy(text + 20000, "\n", 2);
    REFUSED(import_one_file, text, NULL, "a.csv:1:8193: error: more than 8192 fields",
            "a.csv:1:8192: error: 8192 fields, want 7");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests_name("cohort_refusals", tests, NULL, NULL);
}
