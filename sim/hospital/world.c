#include "sim/hospital/world.h"

#include <stdio.h>
#include <string.h>

#include "sim/hospital/folder.h"
#include "sim/hospital/hospital_internal.h"
#include "sim/hospital/partition.h"

enum rc hospital_world_read(const struct config_node *map, struct hospital_world *out,
                            struct config_issues *issues, struct error *err)
{
    struct hospital_world w = {0};
    const struct config_node *kind = config_get(map, "kind");
    const char *word = NULL;
    if (kind != NULL && config_as_text(kind, &word, NULL)) {
        w.kind = strcmp(word, hospital_kinds[HOSPITAL_KIND_ICU]) == 0       ? HOSPITAL_KIND_ICU
                 : strcmp(word, hospital_kinds[HOSPITAL_KIND_SOFTMAX]) == 0 ? HOSPITAL_KIND_SOFTMAX
                                                                            : HOSPITAL_KIND_TABLE;
    }
    enum rc rc = RC_OK;
    switch (w.kind) {
    case HOSPITAL_KIND_TABLE:
        rc = hospital_params_read(map, &w.table, issues, err);
        break;
    case HOSPITAL_KIND_ICU:
        rc = icu_params_read(map, &w.icu, issues, err);
        break;
    case HOSPITAL_KIND_SOFTMAX:
        rc = softmax_params_read(map, &w.softmax, issues, err);
        break;
    }
    if (rc == RC_OK) {
        *out = w;
    }
    return rc;
}

void hospital_world_print_reference(FILE *to)
{
    static const struct config_part table = {"`generate: {kind: table}`", hospital_keys,
                                             HOSPITAL_KEYS};
    config_print_parts(&table, 1, to);
    (void)fputs("\n### `generate: {kind: icu}`\n\n", to);
    icu_params_print(to);
    (void)fputs("\n### `partition`\n\n", to);
    hospital_partition_print(to);
}

size_t hospital_world_sites(const struct hospital_world *w)
{
    switch (w->kind) {
    case HOSPITAL_KIND_ICU:
        return w->icu.base.hospitals;
    case HOSPITAL_KIND_SOFTMAX:
        return w->softmax.hospitals;
    case HOSPITAL_KIND_TABLE:
        break;
    }
    return w->table.hospitals;
}

enum rc hospital_world_generate(const struct hospital_world *w, uint64_t seed,
                                struct schema *schema, struct dataset **out, struct error *err)
{
    if (w->kind == HOSPITAL_KIND_ICU) {
        return icu_generate(&w->icu, seed, schema, out, err);
    }
    if (w->kind == HOSPITAL_KIND_SOFTMAX) {
        return softmax_generate(&w->softmax, seed, schema, out, err);
    }
    struct schema s = {0};
    enum rc rc = hospital_schema(&s, err);
    if (rc == RC_OK) {
        rc = hospital_generate(&w->table, seed, out, err);
    }
    if (rc == RC_OK) {
        *schema = s;
        s = (struct schema){0};
    }
    schema_release(&s);
    return rc;
}

enum rc hospital_world_write(const struct hospital_world *w, uint64_t seed, const char *folder,
                             struct error *err)
{
    if (w->kind == HOSPITAL_KIND_ICU) {
        return icu_write_folders(&w->icu, seed, folder, err);
    }
    if (w->kind == HOSPITAL_KIND_SOFTMAX) {
        return error_set(err, RC_INVALID,
                         "hospitals of kind softmax are made in memory alone; kinds table and icu "
                         "are written as files");
    }
    struct schema s = {0};
    struct dataset *d = NULL;
    enum rc rc = hospital_world_generate(w, seed, &s, &d, err);
    for (size_t i = 0; rc == RC_OK && i < d->n_sites; i++) {
        char path[512];
        if (snprintf(path, sizeof path, "%s/%s", folder, d->site_name[i]) >= (int)sizeof path) {
            rc = error_set(err, RC_LIMIT, "the folder's name is too long");
        } else {
            rc = hospital_write_folder(&s, d, i, path, err);
        }
    }
    dataset_close(&d);
    schema_release(&s);
    return rc;
}
