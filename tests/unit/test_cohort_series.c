#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/imported.h"

#define TABLE                                                                    \
    "cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\n"        \
    "missing: [\"\", \"?\"]\nlabel: {column: y, positive: [1], negative: [0]}\n" \
    "features: [{name: b, type: binary}]\n"
#define VARIABLES                                                                                  \
    "variables: [{name: hr, code: HR, range: [0, 100], missing: [-1]}, {name: k, range: [2, 6]}]," \
    " files: [{path: s.csv}], columns: {patient: id, time: t, variable: v, value: x}"
#define GRID(fill)                                                                        \
    TABLE "modalities: [{name: vitals, type: series, window: [0, 4], time_unit: minutes," \
          " grid: {steps: 4, fill: " fill "}, " VARIABLES "}]\n"
#define EVENTS                                                                                     \
    TABLE "modalities: [{name: vitals, type: series, window: [0, 4], time_unit: minutes, events: " \
          "3, " VARIABLES "}]\n"

static const char table[] = "id,y,b\np,0,1\nq,1,0\nr,0,?\n";

#define OPEN(i, yaml, ...) imported_open(i, yaml, NULL, (const char *const[6]){__VA_ARGS__})
#define REFUSED(i, ...)                                             \
    do {                                                            \
        static const char *const line_[] = {__VA_ARGS__};           \
        imported_refused(i, line_, sizeof line_ / sizeof line_[0]); \
        imported_close(i);                                          \
    } while (0)

static void assert_reals(const float *x, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)x[i] - want[i]) < 1e-6)) {
            fail_msg("number %zu is %g, not %g", i, (double)x[i], want[i]);
        }
    }
}

/* Che et al. 2018, section 2.1, worked by hand: hr at 0:30, 0:59, 2:00; k at 3:59. */
static void the_grid_is_last_value_mask_and_time_since_last_seen(void **state)
{
    (void)state;
    static const char series[] = "id,t,v,x\np,59,HR,75\np,30,HR,25\np,120,HR,50\np,239,k,5\n";
    static const double x[] = {0.5, 0, 0, 0, 0, 0, 0, 0.5};
    static const double m[] = {1, 0, 0, 0, 1, 0, 0, 1};
    static const double delta[] = {0, 0, .25, .25, .5, .5, .25, .75};
    static const double last[] = {0.5, 0, 0.5, 0, 0, 0, 0, 0.5};
    struct imported i;
    OPEN(&i, GRID("zero"), table, series);
    const struct batch *b = imported_batch(&i);
    assert_int_equal(b->B, 3);
    assert_reals(b->part[0].values, x, 8);
    assert_reals(b->part[0].mask, m, 8);
    assert_reals(b->part[0].delta, delta, 8);
    assert_null(b->part[0].codes);
    assert_null(b->part[0].length);
    imported_close(&i);
    OPEN(&i, GRID("last"), table, series);
    b = imported_batch(&i);
    assert_reals(b->part[0].values, last, 8);
    assert_reals(b->part[0].mask, m, 8);
    imported_close(&i);
}

static void an_absent_series_is_a_bit_and_not_a_row_of_zeros(void **state)
{
    (void)state;
    static const double zero[8] = {0};
    static const uint8_t present[] = {1, 1, 1, 0, 1, 1}; /* the table, the series */
    struct imported i;
    OPEN(&i, GRID("last"), table, "id,t,v,x\np,0,HR,50\nr,0,HR,50\n");
    const struct batch *b = imported_batch(&i);
    assert_memory_equal(b->present, present, sizeof present);
    assert_reals(b->part[0].values + 8, zero, 8);
    assert_reals(b->part[0].mask + 8, zero, 8);
    assert_reals(b->part[0].delta + 8, zero, 8);
    assert_int_equal(i.sum.modality[0].n_records, 2);
    imported_close(&i);
}

static void the_event_form_keeps_the_last_events_in_order_of_time(void **state)
{
    (void)state;
    static const double value[] = {0.5, 0, 1, 0, 0, 0, -1, 0, 0};
    static const double time[] = {.25, .25, .5, 0, 0, 0, 0, 0, 0};
    static const int32_t code[] = {1, 0, 0, 0, 0, 0, 1, 0, 0};
    static const int32_t length[] = {3, 0, 1};
    struct imported i;
    OPEN(&i, EVENTS, table, "id,t,v,x\np,120,HR,100\np,60,k,5\nr,0,k,2\np,0,HR,1\np,60,HR,50\n");
    const struct batch *b = imported_batch(&i);
    assert_reals(b->part[0].values, value, 9);
    assert_reals(b->part[0].delta, time, 9);
    assert_memory_equal(b->part[0].codes, code, sizeof code);
    assert_memory_equal(b->part[0].length, length, sizeof length);
    assert_null(b->part[0].mask);
    imported_close(&i);
}

static void what_is_left_out_is_counted_and_what_is_odd_is_warned_of(void **state)
{
    (void)state;
    struct imported i;
    OPEN(&i, GRID("zero"), table,
         "id,t,v,x,note\np,-1,HR,1,\np,240,HR,1,\np,239.99,HR,?,\np,1,HR,-1,\np,1,HR,,\n"
         "p,1,age,7,\np,1,age,no number,\nz,1,HR,5,\np,1,HR,120,\np,2,HR,50,\n");
    const struct cohort_found *found = &i.sum.modality[0];
    (void)imported_batch(&i);
    assert_int_equal(found->n_beside, 2);
    assert_int_equal(found->n_missing, 3);
    assert_int_equal(found->n_unlisted, 2);
    assert_int_equal(found->n_unknown, 1);
    assert_int_equal(found->n_items, 2);
    assert_int_equal(found->n_outside, 1);
    assert_int_equal(found->n_never, 1);
    assert_int_equal(i.sum.n_warnings, 3);
    assert_string_equal(i.sum.warning[0], "'vitals': 1 rows are of ids that this cohort's table "
                                          "does not have, and are left out");
    assert_string_equal(i.sum.warning[1], "'vitals': 1 of 2 values are outside of their ranges and "
                                          "are clamped, most of 'hr'");
    assert_string_equal(i.sum.warning[2],
                        "'vitals': 'k' is never seen; is `code` as the files write it?");
    imported_close(&i);
}

static void all_problems_of_all_files_are_named_at_once(void **state)
{
    (void)state;
    struct imported i;
    OPEN(&i, GRID("zero"), "id,y,b\np,7,1\nq,1,0\n",
         "x,v,t,id\n1,HR,5\n1,HR,soon,p\nmuch,HR,5,p\n\"1,5\",k,5,q\n1,HR,5,\n1e999,HR,6,p\n"
         "nan,HR,6,z\n");
    REFUSED(&i, "a.csv:2:2: error: 'y' is neither", "s.csv:2:3: error: 3 fields, want 4",
            "s.csv:3:3: error: 't' is not a number",
            "s.csv:4:1: error: 'x' of 'hr' is not a number",
            "s.csv:5:1: error: 'x' of 'k' is not a number; the decimal sign",
            "s.csv:6:4: error: 'id' is missing",
            "s.csv:7:1: error: 'x' of 'hr' is not a number, or",
            "s.csv:8:1: error: 'x' of 'hr' is not a number");
    OPEN(&i, GRID("zero"), table, "id,t,v\np,1,HR\n");
    REFUSED(&i, "s.csv:1:1: error: no column 'x'");
    OPEN(&i, GRID("zero"), table, "id;t;v;x\np;1;HR;1\n");
    REFUSED(&i, "s.csv:1:1: error: none of the columns of 'vitals' is in this header");
    OPEN(&i, GRID("zero"), table, "id,t,v,x,t\np,1,HR,1,1\n");
    REFUSED(&i, "s.csv:1:5: error: this column's name is also that of column 2");
    OPEN(&i, GRID("zero"), table, "id,t,v,x\n");
    REFUSED(&i, "s.csv: error: no row below a header");
    OPEN(&i, GRID("zero"), table, "id,t,v,x\np,1,HR,1\np,\"1,HR,1\n");
    REFUSED(&i, "s.csv:3:2: error: a quote that is never closed");
}

static void a_refused_import_leaves_the_old_cohort(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct imported i;
    OPEN(&i, GRID("zero"), table, "id,t,v,x\np,1,HR,1\n");
    const struct hash version = i.sum.version;
    const struct cohort_bytes file[] = {{.data = table, .n = strlen(table)},
                                        {.data = "id,t,v,x\np,1,HR,a\n", .n = 18}};
    assert_int_equal(cohort_import_from(&i.schema, NULL, file, &cohort_limits, i.store, &i.issues,
                                        &i.sum, &err),
                     RC_INVALID);
    assert_int_equal(dataset_open(&i.schema, i.store, &d, &err), RC_OK);
    assert_true(hash_equal(&d->version, &version));
    assert_int_equal(d->part[0].first[3], 1);
    dataset_close(&d);
    imported_close(&i);
}

static void the_version_knows_the_values_and_not_where_they_stood(void **state)
{
    (void)state;
    static const char *const series[] = {
        "id,t,v,x\np,1,HR,1\np,2,HR,2\nq,1,k,3\n",
        "id,t,v,x\nq,1,k,3.0\np,2,HR,2\np,1,HR,1\n", /* another order */
        "v,x,t,id\nHR,1,1,p\nHR,2,2,p\nk,3,1,q\n",   /* of columns, too */
        "id,t,v,x\np,1,HR,1\np,2,HR,2\nq,1,k,4\n",
        "id,t,v,x\np,1,HR,1\np,3,HR,2\nq,1,k,3\n",
        "id,t,v,x\np,1,HR,1\np,2,HR,2\nr,1,k,3\n",
        "id,t,v,x\np,1,HR,1\np,2,k,2\nq,1,k,3\n",
        "id,t,v,x\np,1,HR,1\np,2,HR,2\n",
    };
    struct hash h[8];
    for (size_t k = 0; k < 8; k++) {
        struct imported i;
        OPEN(&i, GRID("zero"), table, series[k]);
        (void)imported_batch(&i);
        h[k] = i.sum.version;
        imported_close(&i);
    }
    assert_true(hash_equal(&h[0], &h[1]));
    assert_true(hash_equal(&h[0], &h[2]));
    for (size_t k = 3; k < 8; k++) {
        for (size_t j = 0; j < k; j++) {
            assert_true(j == 1 || j == 2 || !hash_equal(&h[k], &h[j]));
        }
    }
}

/* More than waits at once: pieces of one patient are then several, in the store and not in the batch. */
static void a_long_file_in_any_order_gives_the_same(void **state)
{
    (void)state;
    enum { N = 300000 };
    struct hash version[2];
    char *text = malloc(N * 24 + 100);
    assert_non_null(text);
    for (int turn = 0; turn < 2; turn++) {
        size_t n = (size_t)snprintf(text, 16, "id,t,v,x\n");
        for (size_t k = 0; k < N; k++) {
            const size_t e = turn == 0 ? k : (k * 7) % N; /* 7 and N have no common divisor */
            n += (size_t)snprintf(text + n, 64, "%c,%.6f,HR,%zu\n", "pqr"[e % 3],
                                  (double)e * (239.0 / N), e % 101);
        }
        struct imported i;
        OPEN(&i, GRID("zero"), table, text);
        (void)imported_batch(&i);
        assert_int_equal(i.data->part[0].first[3], N);
        version[turn] = i.sum.version;
        imported_close(&i);
    }
    assert_true(hash_equal(&version[0], &version[1]));
    free(text);
}

static void several_rows_of_a_patient_are_told_apart_by_their_own_names(void **state)
{
    (void)state;
#define MANY(rows)                                                                              \
    "cohort: t\nfiles: [{path: a.csv}]\nsite: {column: s}\npatient: {column: id, rows: " rows   \
    ", record: stay}\nlabel: {column: y, positive: [1], negative: [0]}\nmodalities: [{name: v," \
    " type: series, window: [0, 4], grid: {steps: 4}, " VARIABLES "}]\n"
    static const double first[] = {-1, 0, -0.5, 0};
    struct imported i;
    OPEN(&i, MANY("many"), "id,s,y,stay\np,x,0,11\nq,x,1,12\np,x,0,13\n",
         "id,t,v,x\n13,0,HR,25\n12,0,HR,50\n11,0,HR,0\n");
    const struct batch *b = imported_batch(&i);
    assert_int_equal(i.data->n_patients, 2);
    assert_int_equal(b->B, 3);
    for (size_t r = 0; r < 2; r++) {
        assert_reals(b->part[0].values + r * 8, first + 2 * r, 1);
    }
    imported_close(&i);
    OPEN(&i, MANY("many"), "id,s,y,stay\np,x,0,11\nq,x,1,11\n", "id,t,v,x\n11,0,HR,25\n");
    REFUSED(&i, "a.csv:3:4: error: an earlier row has the same 'stay'");
    /* with `rows: first` neither label nor site of a later row matters */
    OPEN(&i, MANY("first"), "id,s,y,stay\np,x,0,11\nq,x,1,12\np,x,1,13\np,z,1,14\n",
         "id,t,v,x\n13,0,HR,25\n12,0,HR,50\n11,0,HR,0\n14,0,HR,1\n");
    (void)imported_batch(&i);
    assert_int_equal(i.data->n_rows, 2);
    assert_int_equal(i.data->n_sites, 1);
    assert_string_equal(i.sum.warning[0],
                        "2 rows are later ones of patients seen before, 1 of them "
                        "at another site, and are left out (rows: first)");
    imported_close(&i);
#undef MANY
}

static void without_features_a_patient_whom_no_modality_knows_is_left_out(void **state)
{
    (void)state;
    static const char yaml[] =
        "cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\n"
        "label: {column: y, positive: [1], negative: [0]}\nmodalities: [{name: v, type: series,"
        " window: [0, 4], grid: {steps: 4}, " VARIABLES "}]\n";
    struct imported i;
    OPEN(&i, yaml, "id,y\np,0\nq,1\nr,1\n", "id,t,v,x\nq,0,HR,25\np,0,HR,50\n");
    const struct batch *b = imported_batch(&i);
    assert_int_equal(b->B, 2);
    assert_int_equal(b->present[0], 0); /* there is no table */
    assert_int_equal(b->present[1], 1);
    assert_int_equal(i.sum.n_patients, 2);
    assert_int_equal(i.sum.n_rows, 2);
    assert_int_equal(i.sum.n_positive, 1);
    assert_string_equal(i.sum.warning[0],
                        "1 of 3 rows have no feature and no modality, and are left out");
    imported_close(&i);
    OPEN(&i, yaml, "id,y\np,0\nq,1\n", "id,t,v,x\nz,0,HR,25\n");
    REFUSED(&i, "t: error: no modality knows any patient");
}

static void a_site_reads_its_own_files_and_patients(void **state)
{
    (void)state;
    static const char yaml[] =
        "cohort: t\nfiles: [{path: a.csv, site: x, prefix: a-}, {path: b.csv, site: z, prefix: "
        "b-}]\n"
        "patient: {column: id}\nlabel: {column: y, positive: [1], negative: [0]}\n"
        "modalities: [{name: v, type: series, window: [0, 4], grid: {steps: 1}, variables: [{name: "
        "hr, range: [0, 100]}], files: [{path: s.csv, site: x, prefix: a-}, {path: t.csv, site: z,"
        " prefix: b-}], columns: {patient: id, time: t, variable: v, value: x}}]\n";
    static const char *const file[6] = {"id,y\n0,1\n1,0\n", "id,y\n0,1\n", "id,t,v,x\n0,1,hr,100\n",
                                        "id,t,v,x\n0,1,hr,0\n"};
    static const double both[] = {1, -1};
    struct imported i;
    imported_open(&i, yaml, NULL, file);
    const struct batch *b = imported_batch(&i);
    assert_int_equal(b->B, 2); /* a-1 has nothing */
    assert_string_equal(i.data->patient_id[0], "a-0");
    assert_string_equal(i.data->patient_id[1], "b-0");
    assert_reals(b->part[0].values, both, 2);
    imported_close(&i);
    imported_open(&i, yaml, "z", (const char *const[6]){"broken \"", file[1], "broken", file[3]});
    b = imported_batch(&i);
    assert_int_equal(b->B, 1);
    assert_reals(b->part[0].values, both + 1, 1);
    imported_close(&i);
}

static void a_pick_takes_its_patients_series_along(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *part = NULL;
    struct imported i;
    const size_t pick[] = {2, 0};
    OPEN(&i, EVENTS, table, "id,t,v,x\np,1,HR,1\nq,1,HR,2\nq,2,HR,3\nr,1,k,4\nr,3,k,5\n");
    (void)imported_batch(&i);
    assert_int_equal(dataset_pick(i.data, pick, 2, &part, &err), RC_OK);
    assert_int_equal(part->n_parts, 1);
    const struct dataset_part *p = &part->part[0];
    const struct dataset_part *all = &i.data->part[0];
    assert_int_equal(p->first[1], 1);
    assert_int_equal(p->first[2], 3);
    assert_memory_equal(p->value, all->value, sizeof(float));
    assert_memory_equal(p->value + 1, all->value + 3, 2 * sizeof(float));
    assert_memory_equal(p->time + 1, all->time + 3, 2 * sizeof(float));
    assert_memory_equal(p->variable + 1, all->variable + 3, 2 * sizeof(uint16_t));
    dataset_close(&part);
    imported_close(&i);
}

static void a_damaged_piece_is_refused(void **state)
{
    (void)state;
    static const char *const damage[] = {
        "UPDATE piece SET data = zeroblob(23)",
        "UPDATE piece SET modality = 1",
        "UPDATE piece SET data = CAST(substr(data, 1, 7) || x'7f' || substr(data, 9) AS BLOB)",
        "UPDATE piece SET data = CAST(substr(data, 1, 15) || x'ff' || substr(data, 17) AS BLOB)",
        "UPDATE piece SET data = CAST(substr(data, 1, 16) || x'09' || substr(data, 18) AS BLOB)",
        "UPDATE record SET key = NULL",
    };
    for (size_t k = 0; k < sizeof damage / sizeof damage[0]; k++) {
        struct error err = {0};
        struct statement *st = NULL;
        struct imported i;
        OPEN(&i, EVENTS, table, "id,t,v,x\np,1,HR,1\n");
        dataset_close(&i.data);
        assert_int_equal(store_prepare(i.store, damage[k], &st, &err), RC_OK);
        assert_int_equal(statement_run(st, &err), RC_OK);
        if (dataset_open(&i.schema, i.store, &i.data, &err) != RC_FORMAT) {
            fail_msg("%s", damage[k]);
        }
        imported_close(&i);
    }
}

/* A site.db from before there were modalities: nothing needs to be imported again. */
static void a_cohort_imported_by_an_older_program_is_still_read(void **state)
{
    (void)state;
    static const char yaml[] = TABLE;
    static const char *const sql[] = {
        "INSERT INTO site (id, name) VALUES (1, 's')",
        "INSERT INTO patient (id, name, site, label, file, line) VALUES (1, 'p', 1, 1, 0, 2)",
        "INSERT INTO record (id, patient, cells) VALUES (1, 1, x'000000000000f03f')",
    };
    struct error err = {0};
    struct config_issues issues = {0};
    struct schema s = {0};
    struct store *store = NULL;
    struct statement *st = NULL;
    struct dataset *d = NULL;
    char path[] = "/tmp/wardround-old-XXXXXX";
    const int fd = mkstemp(path);
    struct store_kind old = cohort_store_kind;
    old.n_migrations = 1;
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(schema_parse("y", yaml, strlen(yaml), &s, &issues, &err), RC_OK);
    const struct hash schema = schema_hash(&s);
    assert_int_equal(store_open(path, &old, &store, &err), RC_OK);
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        assert_int_equal(store_prepare(store, sql[i], &st, &err), RC_OK);
        assert_int_equal(statement_run(st, &err), RC_OK);
    }
    assert_int_equal(store_prepare(store,
                                   "INSERT INTO cohort (only, name, schema, version) VALUES "
                                   "(1, 't', ?, ?)",
                                   &st, &err),
                     RC_OK);
    statement_bind_blob(st, schema.b, sizeof schema.b);
    statement_bind_blob(st, schema.b, sizeof schema.b);
    assert_int_equal(statement_run(st, &err), RC_OK);
    store_close(&store);
    assert_int_equal(store_open(path, &cohort_store_kind, &store, &err), RC_OK);
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_OK);
    assert_int_equal(d->n_rows, 1);
    assert_true(d->values[0] > 0.5F && d->label[0] > 0.5F);
    dataset_close(&d);
    store_close(&store);
    schema_release(&s);
    assert_int_equal(remove(path), 0);
}

static void new_patients_from_one_file_are_refused_with_a_way_out(void **state)
{
    (void)state;
    struct error err = {0};
    struct cohort_rows *r = NULL;
    const struct cohort_bytes file = {.data = table, .n = strlen(table)};
    struct imported i;
    OPEN(&i, EVENTS, table, "id,t,v,x\np,1,HR,1\n");
    assert_int_equal(cohort_read_rows_from(&i.schema, "new.csv", &file, &cohort_limits, &r, &i.sum,
                                           &i.issues, &err),
                     RC_INVALID);
    assert_non_null(strstr(err.text, "'t' needs 'vitals' beside it"));
    imported_close(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grid_is_last_value_mask_and_time_since_last_seen),
        cmocka_unit_test(an_absent_series_is_a_bit_and_not_a_row_of_zeros),
        cmocka_unit_test(the_event_form_keeps_the_last_events_in_order_of_time),
        cmocka_unit_test(what_is_left_out_is_counted_and_what_is_odd_is_warned_of),
        cmocka_unit_test(all_problems_of_all_files_are_named_at_once),
        cmocka_unit_test(a_refused_import_leaves_the_old_cohort),
        cmocka_unit_test(the_version_knows_the_values_and_not_where_they_stood),
        cmocka_unit_test(a_long_file_in_any_order_gives_the_same),
        cmocka_unit_test(several_rows_of_a_patient_are_told_apart_by_their_own_names),
        cmocka_unit_test(without_features_a_patient_whom_no_modality_knows_is_left_out),
        cmocka_unit_test(a_site_reads_its_own_files_and_patients),
        cmocka_unit_test(a_pick_takes_its_patients_series_along),
        cmocka_unit_test(a_damaged_piece_is_refused),
        cmocka_unit_test(a_cohort_imported_by_an_older_program_is_still_read),
        cmocka_unit_test(new_patients_from_one_file_are_refused_with_a_way_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
