#include "tests/support/imported.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void imported_open_bytes(struct imported *i, const char *yaml, const char *site,
                         const struct cohort_bytes *file)
{
    struct error err = {0};
    *i = (struct imported){0};
    if (schema_parse("cohort.yaml", yaml, strlen(yaml), &i->schema, &i->issues, &err) != RC_OK) {
        fail_msg("%s in\n%s", err.text, yaml);
    }
    assert_int_equal(store_open(":memory:", &cohort_store_kind, &i->store, &err), RC_OK);
    i->rc = cohort_import_from(&i->schema, site, file, &cohort_limits, i->store, &i->issues,
                               &i->sum, &err);
    if (i->rc == RC_OK && dataset_open(&i->schema, i->store, &i->data, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(i->rc != RC_OK || hash_equal(&i->data->version, &i->sum.version));
}

void imported_open(struct imported *i, const char *yaml, const char *site,
                   const char *const file[IMPORTED_FILES_MAX])
{
    struct cohort_bytes bytes[IMPORTED_FILES_MAX] = {0};
    for (size_t k = 0; k < IMPORTED_FILES_MAX && file[k] != NULL; k++) {
        bytes[k] = (struct cohort_bytes){.data = file[k], .n = strlen(file[k])};
    }
    imported_open_bytes(i, yaml, site, bytes);
}

const struct batch *imported_batch(struct imported *i)
{
    struct error err = {0};
    if (i->rc != RC_OK) {
        config_print_issues(&i->issues, stderr);
        fail_msg("it was refused");
    }
    const struct dataset *d = i->data;
    const struct schema_layout layout = schema_layout(&i->schema);
    size_t *row = calloc(2 * d->n_rows, sizeof *row);
    assert_non_null(row);
    for (size_t p = 0; p < d->n_patients; p++) {
        for (size_t r = d->first_row[p]; r < d->first_row[p + 1]; r++) {
            row[r] = r;
            row[d->n_rows + r] = p;
        }
    }
    arena_release(&i->memory);
    assert_int_equal(arena_init(&i->memory, batch_room_cost(&layout, d->n_rows), &err), RC_OK);
    batch_room_take(&i->room, &layout, d->n_rows, &i->memory);
    assert_int_equal(i->memory.used, i->memory.size);
    memset(i->memory.base, 0x5a, i->memory.size); /* what a batch before may have left */
    dataset_gather(d, row, row + d->n_rows, d->n_rows, &i->room);
    free(row);
    return &i->room.batch;
}

void imported_refused(const struct imported *i, const char *const *line, size_t n)
{
    bool right = i->rc == RC_INVALID && i->issues.n == n && i->data == NULL;
    for (size_t k = 0; right && k < n; k++) {
        right = strncmp(i->issues.line[k], line[k], strlen(line[k])) == 0;
    }
    if (!right) {
        config_print_issues(&i->issues, stderr);
        fail_msg("wanted %zu problems, the first '%s'", n, line[0]);
    }
}

void imported_close(struct imported *i)
{
    dataset_close(&i->data);
    store_close(&i->store);
    schema_release(&i->schema);
    arena_release(&i->memory);
}
