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
    w.multimodal = kind != NULL && config_as_text(kind, &word, NULL) &&
                   strcmp(word, hospital_kinds[HOSPITAL_KIND_ICU]) == 0;
    const enum rc rc = w.multimodal ? icu_params_read(map, &w.icu, issues, err)
                                    : hospital_params_read(map, &w.table, issues, err);
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
    return w->multimodal ? w->icu.base.hospitals : w->table.hospitals;
}

enum rc hospital_world_generate(const struct hospital_world *w, uint64_t seed,
                                struct schema *schema, struct dataset **out, struct error *err)
{
    if (w->multimodal) {
        return icu_generate(&w->icu, seed, schema, out, err);
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
    if (w->multimodal) {
        return icu_write_folders(&w->icu, seed, folder, err);
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
