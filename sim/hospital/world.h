/**
 * @file world.h
 * A `generate:` map of either kind: hospitals of tables (hospital.h), or multimodal ones (icu.h).
 */
#ifndef SIM_HOSPITAL_WORLD_H
#define SIM_HOSPITAL_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/hospital/hospital.h"
#include "sim/hospital/icu.h"

/** What the map asks for. Plain data. */
struct hospital_world {
    bool multimodal; /**< icu counts; else table */
    struct hospital_params table;
    struct icu_params icu;
};

/** @retval RC_INVALID problems were added to `issues`; `out` is untouched */
RC hospital_world_read(const struct config_node *map, struct hospital_world *out,
                       struct config_issues *issues, struct error *err);

/** Every key of the maps `generate:` (of both kinds) and `partition:`, as Markdown tables. */
void hospital_world_print_reference(FILE *to);

size_t hospital_world_sites(const struct hospital_world *w);

/** As hospital_generate and icu_generate.
 *  @param[out] schema schema_release when done @param[out] out dataset_close when done */
RC hospital_world_generate(const struct hospital_world *w, uint64_t seed, struct schema *schema,
                           struct dataset **out, struct error *err);

/**
 * The same patients as folders that agents import: `folder`/hospital-01 … of files with a cohort.yaml
 * in each. `folder` is there.
 * @retval RC_STATE a file is there already: nothing is overwritten; @retval RC_IO; @retval RC_NOMEM
 */
RC hospital_world_write(const struct hospital_world *w, uint64_t seed, const char *folder,
                        struct error *err);

#endif
