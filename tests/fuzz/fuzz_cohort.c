/*
 * Any bytes are the files of a cohort. The first byte picks a schema, the rest is the file; of a schema
 * with modalities, the files, with a byte 1c between two. After an import,
 * either there is a problem and the store holds what it held, or the store holds a dataset that
 * opens, whose values are in their ranges, and that the same bytes give again. The same bytes are
 * also a file of new patients: what imports can be scored, row for row. Of modalities every number of a
 * batch is in its range, and absent are those that have none. One more first byte: the rest is a PNG.
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
    "cohort: f\nfiles: [{path: f}]\npatient: {column: id, rows: many, record: r}\n"
    "site: {column: s}\n" FEATURES "modalities:\n"
    "- {name: v, type: series, window: [-1, 3], grid: {steps: 3, fill: last}, time_unit: minutes,\n"
    "   variables: [{name: h, range: [0, 9], missing: [-1]}, {name: k, code: K, range: [-2, 2]}],\n"
    "   files: [{path: g}], columns: {patient: r, time: t, variable: v, value: x}}\n"
    "- {name: n, type: notes, tokens: 5, vocabulary: 7, ngrams: 2, files: [{path: h}],\n"
    "   columns: {patient: r, text: n, time: t}}\n"
    "- {name: i, type: image, size: [2, 2], format: raw, files: [{path: i}]}\n",
    "cohort: f\nfiles: [{path: f, site: x, prefix: p}]\npatient: {column: id, rows: first}\n"
    "label: {column: y, positive: [1], negative: [0]}\nmissing: [\"\"]\nmodalities:\n"
    "- {name: v, type: series, window: [0, 3], events: 2, variables: [{name: h, range: [0, 9]}],\n"
    "   files: [{path: g, prefix: p}], columns: {patient: id, time: t, variable: v, value: x}}\n"
    "- {name: n, type: notes, tokens: 9, unit: bytes, files: [{path: h, prefix: p}],\n"
    "   columns: {patient: id, text: n}}\n",
};
enum { TABLES = 3, SCHEMAS = sizeof yaml / sizeof yaml[0], PNG = SCHEMAS, CHOICES = PNG + 1 };
enum { FILES_MAX = 4, SEPARATOR = 0x1c };

static const struct cohort_limits limits = {
    .rows = 64, .file_bytes = 1 << 16, .row_bytes = 512, .cell_bytes = 64, .items = 256};

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

static void look_at_part(const struct schema_part *shape, const struct batch_part *p, bool present,
                         size_t b)
{
    float sum = 0;
    for (size_t i = b * shape->n_values; i < (b + 1) * shape->n_values; i++) {
        assert(p->values[i] >= (shape->kind == SCHEMA_IMAGE ? -2.0F : -1.0F));
        assert(p->values[i] <= (shape->kind == SCHEMA_IMAGE ? 2.0F : 1.0F));
        sum += p->values[i] < 0 ? -p->values[i] : p->values[i];
    }
    for (size_t i = b * shape->n_mask; i < (b + 1) * shape->n_mask; i++) {
        assert(p->mask[i] >= 1.0F || p->mask[i] <= 0.0F);
        sum += p->mask[i];
    }
    for (size_t i = b * shape->n_delta; i < (b + 1) * shape->n_delta; i++) {
        assert(p->delta[i] >= 0.0F);
        assert(p->delta[i] <= 1.0F);
        sum += p->delta[i];
    }
    const size_t n_codes = shape->kind == SCHEMA_SERIES ? shape->variables : shape->vocabulary;
    for (size_t i = b * shape->n_codes; i < (b + 1) * shape->n_codes; i++) {
        assert(p->codes[i] >= 0);
        assert((size_t)p->codes[i] < n_codes);
    }
    if (shape->has_length) {
        assert((size_t)p->length[b] <= shape->items);
        assert((p->length[b] > 0) == present);
    }
    assert(present || sum <= 0.0F);
}

static void look_at_batch(const struct schema *s, const struct dataset *d)
{
    const struct schema_layout layout = schema_layout(s);
    struct error err = {0};
    struct arena memory = {0};
    struct batch_room room;
    const enum rc rc = arena_init(&memory, batch_room_cost(&layout, 1), &err);
    assert(rc == RC_OK);
    batch_room_take(&room, &layout, 1, &memory);
    for (size_t p = 0; p < d->n_patients; p++) {
        for (size_t row = d->first_row[p]; row < d->first_row[p + 1]; row++) {
            bool any = s->n_features > 0;
            dataset_gather(d, &row, &p, 1, &room);
            for (size_t k = 0; k < layout.n_parts; k++) {
                look_at_part(&layout.part[k], &room.view[k], room.present[1 + k], 0);
                any = any || room.present[1 + k];
            }
            assert(any || s->n_features == 0);
        }
    }
    arena_release(&memory);
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
    for (size_t i = 0; i < d->n_rows * d->n_codes; i++) {
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
    look_at_batch(&schema[which], d);
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

static void read_png(const uint8_t *data, size_t size)
{
    static const struct schema_image image[] = {
        {.height = 3, .width = 5},
        {.height = 3, .width = 5, .resize = SCHEMA_RESIZE_AREA},
        {.height = 3, .width = 5, .resize = SCHEMA_RESIZE_BILINEAR},
    };
    for (size_t i = 0; i < 3; i++) {
        struct error err = {0};
        unsigned char pixels[15];
        const enum rc rc = png_read(&image[i], data, size, pixels, &err);
        assert(rc == RC_OK || (rc == RC_INVALID && err.text[0] != '\0'));
    }
}

/* Files of a schema: as many as it names, the last with all that is left. */
static void cut(const uint8_t *data, size_t size, size_t n, struct cohort_bytes file[FILES_MAX])
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *end = i + 1 < n ? memchr(data, SEPARATOR, size) : NULL;
        const size_t length = end != NULL ? (size_t)(end - data) : size;
        file[i] = (struct cohort_bytes){.data = data, .n = length};
        data += end != NULL ? length + 1 : length;
        size -= end != NULL ? length + 1 : length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    open_once();
    const size_t which = data[0] % CHOICES;
    if (which == PNG) {
        read_png(data + 1, size - 1);
        return 0;
    }
    struct cohort_bytes file[FILES_MAX] = {{0}};
    cut(data + 1, size - 1, 1 + schema[which].n_modalities, file);
    struct config_issues issues = {0};
    struct cohort_summary sum = {0};
    struct error err = {0};
    struct hash before;
    struct hash after;

    const bool held = stored(which, &before);
    const enum rc rc =
        cohort_import_from(&schema[which], NULL, file, &limits, store[which], &issues, &sum, &err);
    const bool holds = stored(which, &after);
    if (which < TABLES) {
        read_as_new(which, file, rc == RC_OK, sum.n_rows);
    }
    if (rc == RC_OK) {
        assert(issues.n == 0);
        assert(holds);
        assert(hash_equal(&sum.version, &after));
        const enum rc again = cohort_import_from(&schema[which], NULL, file, &limits, store[which],
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
