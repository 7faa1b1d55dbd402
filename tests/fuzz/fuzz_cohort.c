/*
 * Any bytes are a CSV file. The first byte picks a schema, the rest is the file. After an import,
 * either there is a problem and the store holds what it held, or the store holds a dataset that
 * opens, whose values are in their ranges, and that the same bytes give again. The same bytes are
 * also a file of new patients: what imports can be scored, row for row.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/cohort/cohort_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FEATURES                                                    \
    "label: {column: y, positive: [1], negative: [0, no]}\n"        \
    "missing: [\"\", \"?\"]\n"                                      \
    "features:\n"                                                   \
    "- {name: a, type: continuous, range: [0, 9], missing: [-1]}\n" \
    "- {name: b, type: binary, required: true}\n"                   \
    "- {name: c, type: categorical, categories: [1, 2, x]}\n"

static const char *const yaml[] = {
    "cohort: f\nfiles: [{path: f}]\npatient: {column: id}\nsite: {column: s}\n" FEATURES,
    "cohort: f\nfiles: [{path: f}]\npatient: {column: id, rows: many}\nsite: {column: s}\n"
    "header: false\ncolumns: [id, s, y, a, b, c]\n" FEATURES,
    "cohort: f\nfiles: [{path: f, site: here}]\npatient: {from: line}\nseparator: \";\"\n"
    "header: false\ncolumns: [y, a, b, c]\n" FEATURES,
};
enum { SCHEMAS = sizeof yaml / sizeof yaml[0] };

static const struct cohort_limits limits = {
    .rows = 64, .file_bytes = 1 << 16, .row_bytes = 512, .cell_bytes = 64};

/* Opened once: what one input leaves behind is what the next one must not disturb when it fails. */
static struct schema schema[SCHEMAS];
static struct store *store[SCHEMAS];

static void open_once(void)
{
    for (size_t i = 0; i < SCHEMAS && store[i] == NULL; i++) {
        struct error err = {0};
        struct config_issues issues = {0};
        enum rc rc = schema_parse("fuzz", yaml[i], strlen(yaml[i]), &schema[i], &issues, &err);
        assert(rc == RC_OK);
        rc = store_open(":memory:", &cohort_store_kind, &store[i], &err);
        assert(rc == RC_OK);
    }
}

/* The version in the store; false: nothing imported yet. */
static bool stored(size_t which, struct hash *version)
{
    struct error err = {0};
    struct dataset *d = NULL;
    const enum rc rc = dataset_open(&schema[which], store[which], &d, &err);
    if (rc == RC_STATE) {
        return false;
    }
    assert(rc == RC_OK);
    *version = d->version;
    for (size_t i = 0; i < d->n_rows * d->n_values; i++) {
        assert(d->values[i] >= -1.0F);
        assert(d->values[i] <= 1.0F);
    }
    for (size_t i = 0; i < d->n_rows; i++) {
        assert(d->codes[i] >= 0);
        assert(d->codes[i] <= 3);
    }
    assert(d->n_patients > 0);
    assert(d->first_row[d->n_patients] == d->n_rows);
    for (size_t p = 0; p < d->n_patients; p++) {
        assert(d->first_row[p] < d->first_row[p + 1]);
        assert(d->site[p] < d->n_sites);
        assert(p == 0 || strcmp(d->patient_id[p - 1], d->patient_id[p]) < 0);
    }
    dataset_close(&d);
    return true;
}

static void read_as_new(size_t which, const struct cohort_bytes *file, bool imports, size_t n_rows)
{
    struct config_issues issues = {0};
    struct cohort_summary found = {0};
    struct error err = {0};
    struct cohort_rows *r = NULL;
    const enum rc rc =
        cohort_read_rows_from(&schema[which], "new", file, &limits, &r, &found, &issues, &err);
    if (rc != RC_OK) {
        assert(rc == RC_INVALID);
        assert(issues.n > 0);
        assert(!imports);
        return;
    }
    assert(r->n > 0);
    assert(r->n == found.n_rows);
    assert(!imports || r->n == n_rows);
    for (size_t i = 0; i < r->n * r->n_values; i++) {
        assert(r->values[i] >= -1.0F);
        assert(r->values[i] <= 1.0F);
    }
    for (size_t i = 0; i < r->n; i++) {
        assert(r->codes[i] >= 0);
        assert(r->codes[i] <= 3);
        assert(r->patient[i][0] != '\0');
    }
    cohort_rows_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    open_once();
    const size_t which = data[0] % SCHEMAS;
    const struct cohort_bytes file = {data + 1, size - 1};
    struct config_issues issues = {0};
    struct cohort_summary sum = {0};
    struct error err = {0};
    struct hash before;
    struct hash after;

    const bool held = stored(which, &before);
    const enum rc rc =
        cohort_import_from(&schema[which], NULL, &file, &limits, store[which], &issues, &sum, &err);
    const bool holds = stored(which, &after);
    read_as_new(which, &file, rc == RC_OK, sum.n_rows);
    if (rc == RC_OK) {
        assert(issues.n == 0);
        assert(holds);
        assert(hash_equal(&sum.version, &after));
        const enum rc again = cohort_import_from(&schema[which], NULL, &file, &limits, store[which],
                                                 &issues, &sum, &err);
        assert(again == RC_OK);
        assert(hash_equal(&sum.version, &after));
    } else {
        assert(rc == RC_INVALID);
        assert(issues.n > 0);
        assert(err.text[0] != '\0');
        assert(holds == held);
        assert(!held || hash_equal(&before, &after));
    }
    return 0;
}
