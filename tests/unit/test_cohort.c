/* What an import keeps, and what a dataset of it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/import_text.h"

static void a_clean_file_becomes_a_dataset_ordered_by_patient(void **state)
{
    (void)state;
    struct dataset *d = import_open(import_one_file, import_good, NULL);
    assert_int_equal(d->n_patients, 3);
    assert_int_equal(d->n_values, 1 + 2 + 2);
    assert_int_equal(d->n_codes, 1);
    assert_int_equal(import_sum.n_positive, 2);
    assert_int_equal(import_sum.n_missing_cells, 4);
    assert_int_equal(import_sum.n_files, 1);
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
    struct dataset *d = import_open(import_many_rows,
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
    struct dataset *d = import_open(import_one_file, import_good, NULL);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct dataset *e = import_open(import_one_file, same[i], NULL);
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
    struct dataset *d = import_open(import_one_file,
                                    "\"a,1\",\"St. \"\"Anna\"\"\",50,350,1,6,0\n"
                                    "\"\xc3\xa4\",\"b;c\",50,350,1,6,1\n",
                                    NULL);
    assert_string_equal(d->patient_id[0], "a,1");
    assert_string_equal(d->patient_id[1], "\xc3\xa4");
    assert_string_equal(d->site_name[0], "St. \"Anna\"");
    dataset_close(&d);
    /* An unused column takes any text; the line numbers after it are those of an editor. */
    static const char yaml[] =
        "cohort: t\nheader: false\n"
        "columns: [id, note, dead, age]\n"
        "features: [{name: age, type: continuous, range: [0, 100]}]\n"
        "files: [{path: a.csv, site: a}]\npatient: {column: id}\n" IMPORT_LABEL;
    REFUSED(yaml, "p,\"x\ny\r\nz\r\r\",1,5\n\n\"q\nq\",\"\n\n\",1,5\nr,,0,a\n", NULL,
            "a.csv:7:1: error: 'id' holds a control character", "a.csv:11:4: error: 'age' is");
}

static void other_separators_are_read(void **state)
{
    (void)state;
    struct dataset *d =
        import_open(import_with_semicolons, "p;a;50;350;1;6;0\nq;a;50;350;1;6;1\n", NULL);
    assert_int_equal(d->n_patients, 2);
    dataset_close(&d);
    REFUSED(import_with_semicolons, "p;a;50,5;350;1;6;0\n", NULL,
            "a.csv:1:3: error: 'age' is not a number; the decimal sign is a point");
}

static void a_header_may_order_columns_freely_and_hold_others(void **state)
{
    (void)state;
    struct dataset *d = import_open(import_with_header,
                                    "dead,extra,kind,sex,chol,age,where,id\n0,,6,1,350,50,a,p2\n"
                                    "1,\"any\nthing\",x,?,0,20,b,p1\n2,z,?,0,,95,a,p10\n",
                                    NULL);
    struct dataset *e = import_open(import_one_file, import_good, NULL);
    assert_true(hash_equal(&d->version, &e->version)); /* layout does not enter */
    dataset_close(&d);
    dataset_close(&e);
}

static void patients_without_id_are_numbered_by_line(void **state)
{
    (void)state;
    struct dataset *d =
        import_open(import_by_line, "x,,50,350,1,6,0\n\n,,20,0,?,x,1\n", "?,?,30,0,?,x,0\n");
    assert_string_equal(d->patient_id[0], "one-001");
    assert_string_equal(d->patient_id[1], "one-003");
    assert_string_equal(d->patient_id[2], "two-001");
    assert_string_equal(d->site_name[d->site[2]], "two");
    dataset_close(&d);
}

/* ---- all or nothing -------------------------------------------------------------------------- */

static void a_failed_import_leaves_the_old_cohort(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = import_schema(import_one_file);
    struct store *store = import_store();
    assert_int_equal(import_bytes(&s, store, NULL, import_good, strlen(import_good), NULL, &err),
                     RC_OK);
    const struct hash version = import_sum.version;
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
        struct dataset *d = import_open(import_one_file, text[i], NULL);
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
    struct schema s = import_schema(import_one_file);
    struct store *store = import_store();
    assert_int_equal(import_bytes(&s, store, "a", import_good, strlen(import_good), NULL, &err),
                     RC_OK);
    assert_int_equal(import_sum.n_sites, 1);
    assert_int_equal(import_sum.n_missing_cells, 2);
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_OK);
    assert_int_equal(d->n_patients, 2);
    assert_string_equal(d->site_name[0], "a");
    dataset_close(&d);
    assert_int_equal(import_bytes(&s, store, "c", import_good, strlen(import_good), NULL, &err),
                     RC_INVALID);
    assert_non_null(strstr(import_issues.line[0], "no row of site 'c'"));
    schema_release(&s);

    s = import_schema(import_by_line); /* another site's file is not even opened */
    assert_int_equal(import_bytes(&s, store, "two", "broken", 6, "?,?,30,0,?,x,0\n", &err), RC_OK);
    assert_int_equal(import_sum.n_files, 1);
    store_close(&store);
    schema_release(&s);
}

static void another_schemas_cohort_is_not_opened(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = import_schema(import_one_file);
    struct store *store = import_store();
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_STATE);
    assert_non_null(strstr(err.text, "no cohort"));
    assert_int_equal(import_bytes(&s, store, NULL, import_good, strlen(import_good), NULL, &err),
                     RC_OK);
    s.feature[0].high = 90;
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_STATE);
    assert_non_null(strstr(err.text, "other features"));
    assert_null(d);
    store_close(&store);
    schema_release(&s);
}

#define NUL8 "0000000000000000"

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
        struct schema s = import_schema(import_one_file);
        struct store *store = import_store();
        assert_int_equal(
            import_bytes(&s, store, NULL, import_good, strlen(import_good), NULL, &err), RC_OK);
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

/* ---- datasets --------------------------------------------------------------------------------- */

static void a_pick_keeps_patients_whole_and_ascending(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *part = NULL;
    struct dataset *d =
        import_open(import_many_rows,
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
        import_open(import_many_rows,
                    "a,x,30,?,?,3,0\nb,y,40,?,?,6,1\nb,y,50,?,?,6,1\nc,y,60,?,?,x,0\n", NULL);
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
        import_open(import_many_rows,
                    "a,x,30,?,?,3,0\nb,y,40,?,?,6,1\nb,y,50,?,?,x,1\nc,x,60,?,?,?,0\n", NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_file_becomes_a_dataset_ordered_by_patient),
        cmocka_unit_test(rows_of_a_patient_stay_together_in_the_order_of_the_file),
        cmocka_unit_test(line_ends_bom_blank_lines_quotes_and_spaces_change_nothing),
        cmocka_unit_test(quoted_cells_may_hold_separators_quotes_and_line_ends),
        cmocka_unit_test(other_separators_are_read),
        cmocka_unit_test(a_header_may_order_columns_freely_and_hold_others),
        cmocka_unit_test(patients_without_id_are_numbered_by_line),
        cmocka_unit_test(a_failed_import_leaves_the_old_cohort),
        cmocka_unit_test(the_version_changes_with_any_cell),
        cmocka_unit_test(a_site_keeps_its_own_rows_only),
        cmocka_unit_test(another_schemas_cohort_is_not_opened),
        cmocka_unit_test(a_damaged_store_is_refused),
        cmocka_unit_test(a_pick_keeps_patients_whole_and_ascending),
        cmocka_unit_test(a_pick_of_one_site_carries_its_name_alone),
        cmocka_unit_test(a_batch_is_gathered_row_by_row),
        cmocka_unit_test(a_reserved_dataset_is_zeroed_and_bounded),
    };
    return cmocka_run_group_tests_name("cohort", tests, NULL, NULL);
}
