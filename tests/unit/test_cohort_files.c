/* Imports of files: packed, damaged, absent; the samples of configs/sites. */
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

#include "tests/support/import_text.h"

static RC import_folder(const char *yaml, struct dataset **d, struct error *err)
{
    struct schema s = import_schema(yaml);
    struct store *store = import_store();
    (void)snprintf(s.folder, sizeof s.folder, "%s", import_folder_path);
    enum rc rc = cohort_import(&s, NULL, store, &import_issues, &import_sum, err);
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
    import_write("a.csv", import_good, strlen(import_good));
    assert_int_equal(import_folder(import_one_file, &d, &err), RC_OK);
    import_write("a.csv", packed,
                 import_pack(import_good, strlen(import_good), packed, sizeof packed));
    assert_int_equal(import_folder(import_one_file, &e, &err), RC_OK);
    assert_true(hash_equal(&d->version, &e->version));
    dataset_close(&e);
    /* Two members one after the other are one text. */
    size_t n = import_pack(import_good, 30, packed, sizeof packed);
    n += import_pack(import_good + 30, strlen(import_good) - 30, packed + n, sizeof packed - n);
    import_write("a.csv", packed, n);
    assert_int_equal(import_folder(import_one_file, &e, &err), RC_OK);
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
    const size_t n = import_pack(import_good, strlen(import_good), packed, sizeof packed);
    for (size_t cut = 0; cut < n; cut++) {
        import_write("a.csv", packed, cut);
        assert_int_equal(import_folder(import_one_file, &d, &err), RC_INVALID);
        assert_int_equal(import_issues.n, 1);
        if (cut > 18) {
            assert_non_null(strstr(import_issues.line[0], "ends too early"));
        }
    }
    packed[n - 6] ^= 1; /* the checksum */
    import_write("a.csv", packed, n);
    assert_int_equal(import_folder(import_one_file, &d, &err), RC_INVALID);
    assert_non_null(strstr(import_issues.line[0], "is damaged"));
    assert_null(d);
}

/* Long, so that damage is unpacked into rows before the checksum tells of it. */
static void damage_in_the_middle_is_one_problem_and_not_one_for_each_row(void **state)
{
    (void)state;
    enum { ROWS = 4000, ROOM = 1 << 18 };
    const char *header_end = strchr(import_good, '\n') + 1;
    const char *row_end = strchr(header_end, '\n') + 1;
    char *text = malloc(ROOM);
    unsigned char *packed = malloc(ROOM);
    struct error err = {0};
    struct dataset *d = NULL;
    assert_non_null(text);
    assert_non_null(packed);
    size_t length = (size_t)(header_end - import_good);
    memcpy(text, import_good, length);
    for (size_t i = 0; i < ROWS; i++) { /* ids that differ: there is something to import_pack */
        length += (size_t)snprintf(text + length, ROOM - length, "q%zu%.*s", i * 7919 % 10007,
                                   (int)(row_end - header_end), header_end);
    }
    const size_t n = import_pack(text, length, packed, ROOM);
    import_write("a.csv", packed, n);
    assert_int_equal(import_folder(import_one_file, &d, &err), RC_OK);
    dataset_close(&d);
    for (size_t at = 20; at < n - 8; at += n / 40) {
        packed[at] ^= 0x10;
        import_write("a.csv", packed, n);
        assert_int_equal(import_folder(import_one_file, &d, &err), RC_INVALID);
        assert_int_equal(import_issues.n, 1);
        assert_non_null(strstr(import_issues.line[0], "the packed file is"));
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
    const size_t n = import_pack(text, ROOM, packed, ROOM);
    assert_true(n < 4096);
    import_write("a.csv", packed, n);
    const struct cohort_limits limits = {
        .rows = 10, .file_bytes = 100000, .row_bytes = 1000, .cell_bytes = 100};
    struct schema s = import_schema(import_one_file);
    struct store *store = import_store();
    (void)snprintf(s.folder, sizeof s.folder, "%s", import_folder_path);
    assert_int_equal(cohort_import_from(&s, NULL, NULL, &limits, store, &import_issues, &import_sum,
                                        &err),
                     RC_INVALID);
    assert_int_equal(import_issues.n, 1);
    assert_non_null(strstr(import_issues.line[0], "longer than 100000 bytes"));
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
    assert_int_equal(import_folder(import_two_files, &d, &err), RC_INVALID);
    assert_int_equal(import_issues.n, 2);
    assert_non_null(strstr(import_issues.line[0], "a.csv: error: cannot open: "));
    assert_non_null(strstr(import_issues.line[1], "b.csv: error: cannot open: "));
    char path[400];
    (void)snprintf(path, sizeof path, "%s/a.csv", import_folder_path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(import_folder(import_one_file, &d, &err), RC_INVALID);
    assert_non_null(strstr(import_issues.line[0], "a.csv: error: cannot open: not a file"));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* does not hang */
    assert_int_equal(import_folder(import_one_file, &d, &err), RC_INVALID);
    assert_non_null(strstr(import_issues.line[0], "not a file"));
    assert_null(d);
}

static void an_absent_data_folder_names_the_variable_to_set(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    static const char yaml[] =
        IMPORT_COLUMNS "files: [{path: $WARDROUND_DATA/no-such-set/a.csv}]\nsite: {column: where}\n"
                       "patient: {column: id}\n";
    assert_int_equal(import_folder(yaml, &d, &err), RC_INVALID);
    assert_non_null(
        strstr(import_issues.line[0], "$WARDROUND_DATA/no-such-set/a.csv: error: cannot"));
    assert_non_null(strstr(import_issues.line[0], "set WARDROUND_DATA to"));
}

static void an_import_survives_reopening_and_an_interrupted_one_leaves_no_trace(void **state)
{
    (void)state;
    struct error err = {0};
    struct dataset *d = NULL;
    struct store *store = NULL;
    char path[400];
    struct schema s = import_schema(import_one_file);
    (void)snprintf(path, sizeof path, "%s/cohort.db", import_folder_path);
    assert_int_equal(store_open(path, &cohort_store_kind, &store, &err), RC_OK);
    assert_int_equal(import_bytes(&s, store, NULL, import_good, strlen(import_good), NULL, &err),
                     RC_OK);
    const struct hash version = import_sum.version;
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

/* ---- samples and real data --------------------------------------------------------------------- */

static struct dataset *sample(const char *path)
{
    struct error err = {0};
    struct schema s = {0};
    struct dataset *d = NULL;
    struct store *store = import_store();
    import_issues = (struct config_issues){0};
    if (schema_open(path, &s, &import_issues, &err) != RC_OK ||
        cohort_import(&s, NULL, store, &import_issues, &import_sum, &err) != RC_OK ||
        dataset_open(&s, store, &d, &err) != RC_OK) {
        config_print_issues(&import_issues, stderr);
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
    assert_int_equal(import_sum.n_positive, 9);
    assert_int_equal(import_sum.n_warnings, 0);
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
    assert_int_equal(import_sum.n_positive, 509);
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
    const struct cohort_summary four = import_sum;
    struct dataset *e = sample("configs/sites/heart_joined/cohort.yaml");
    assert_int_equal(four.n_missing_cells, import_sum.n_missing_cells);
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
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, import_make_folder, import_remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(plain_and_packed_files_are_told_apart_by_content),
        IN_FOLDER(a_packed_file_cut_or_damaged_anywhere_is_refused),
        IN_FOLDER(damage_in_the_middle_is_one_problem_and_not_one_for_each_row),
        IN_FOLDER(a_bomb_stops_at_the_limit),
        IN_FOLDER(files_that_cannot_be_opened_are_all_named),
        IN_FOLDER(an_absent_data_folder_names_the_variable_to_set),
        IN_FOLDER(an_import_survives_reopening_and_an_interrupted_one_leaves_no_trace),
        cmocka_unit_test(the_example_hospital_imports),
        cmocka_unit_test(the_four_heart_hospitals_import_as_they_are),
        cmocka_unit_test(both_ways_to_the_heart_give_the_same_dataset),
    };
    return cmocka_run_group_tests_name("cohort_files", tests, NULL, NULL);
}
