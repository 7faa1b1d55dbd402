#include "tests/support/import_text.h"

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
#include <zlib.h>

struct config_issues import_issues;

struct cohort_summary import_sum;

const char import_one_file[] =
    IMPORT_COLUMNS "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id}\n";

const char import_many_rows[] = IMPORT_COLUMNS
    "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id, rows: many}\n";

const char import_two_files[] = IMPORT_COLUMNS
    "files: [{path: a.csv}, {path: b.csv}]\nsite: {column: where}\npatient: {column: id}\n";

const char import_by_line[] = IMPORT_COLUMNS
    "files: [{path: a.csv, site: one}, {path: b.csv, site: two}]\npatient: {from: line}\n";

const char import_with_header[] =
    "cohort: t\nmissing: [\"\", \"?\"]\n" IMPORT_LABEL IMPORT_FEATURES
    "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id}\n";

const char import_with_semicolons[] =
    "separator: \";\"\n" IMPORT_COLUMNS
    "files: [{path: a.csv}]\nsite: {column: where}\npatient: {column: id}\n";

struct schema import_schema(const char *yaml)
{
    struct error err = {0};
    struct schema s = {0};
    import_issues = (struct config_issues){0};
    if (schema_parse("cohort.yaml", yaml, strlen(yaml), &s, &import_issues, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    import_issues = (struct config_issues){0};
    return s;
}

struct store *import_store(void)
{
    struct error err = {0};
    struct store *store = NULL;
    assert_int_equal(store_open(":memory:", &cohort_store_kind, &store, &err), RC_OK);
    return store;
}

enum rc import_bytes(const struct schema *s, struct store *store, const char *site, const char *a,
                     size_t n_a, const char *b, struct error *err)
{
    const struct cohort_bytes file[2] = {{.data = a, .n = n_a},
                                         {.data = b, .n = b != NULL ? strlen(b) : 0}};
    import_issues = (struct config_issues){.path = "kept"};
    import_sum = (struct cohort_summary){.n_rows = 4242};
    const enum rc rc =
        cohort_import_from(s, site, file, &cohort_limits, store, &import_issues, &import_sum, err);
    assert_string_equal(import_issues.path, "kept");
    return rc;
}

/* Imports and opens, or fails with all problems. */
struct dataset *import_open(const char *yaml, const char *a, const char *b)
{
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = import_schema(yaml);
    struct store *store = import_store();
    if (import_bytes(&s, store, NULL, a, strlen(a), b, &err) != RC_OK) {
        config_print_issues(&import_issues, stderr);
        fail_msg("%s", err.text);
    }
    if (dataset_open(&s, store, &d, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(hash_equal(&d->version, &import_sum.version));
    assert_int_equal(d->n_rows, import_sum.n_rows);
    assert_int_equal(d->n_patients, import_sum.n_patients);
    assert_int_equal(d->n_sites, import_sum.n_sites);
    store_close(&store);
    schema_release(&s);
    return d;
}

/* Exactly these problems, one a line, as text after "error: " may go on. */
void import_refused(const char *yaml, const char *a, size_t n_a, const char *b,
                    const char *const *line, size_t n)
{
    struct error err = {0};
    struct dataset *d = NULL;
    struct schema s = import_schema(yaml);
    struct store *store = import_store();
    const enum rc rc = import_bytes(&s, store, NULL, a, n_a, b, &err);
    bool right = rc == RC_INVALID && import_issues.n == n;
    for (size_t i = 0; right && i < n; i++) {
        right = strncmp(import_issues.line[i], line[i], strlen(line[i])) == 0;
    }
    if (!right) {
        config_print_issues(&import_issues, stderr);
        fail_msg("wanted %zu: '%s'", n, line[0]);
    }
    assert_int_equal(import_sum.n_rows, 4242); /* outputs are written on success only */
    assert_int_equal(dataset_open(&s, store, &d, &err), RC_STATE);
    assert_null(d);
    store_close(&store);
    schema_release(&s);
}

void assert_real(float x, double want)
{
    if (!(fabs((double)x - want) < 1e-6)) {
        fail_msg("%g, not %g", (double)x, want);
    }
}

const char import_good[] = "p2,a,50,350,1,6.0,0\n"
                           "p1,b,20,0,?,x,1\n"
                           "p10,a,95,,0,?,2\n";

char import_folder_path[200];

static const char *const names[] = {"a.csv", "b.csv", "cohort.db", "cohort.db-wal",
                                    "cohort.db-shm"};

int import_make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(import_folder_path, sizeof import_folder_path, "%s/wr_cohort_XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    return mkdtemp(import_folder_path) == NULL ? -1 : 0;
}

int import_remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[400];
        (void)snprintf(path, sizeof path, "%s/%s", import_folder_path, names[i]);
        (void)remove(path);
    }
    return rmdir(import_folder_path);
}

void import_write(const char *name, const void *data, size_t n)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", import_folder_path, name);
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* gzip of a text, `room` bytes at most. */
size_t import_pack(const char *text, size_t n, unsigned char *out, size_t room)
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
