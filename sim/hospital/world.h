/**
 * @file world.h
 * A `generate:` map of any kind: hospitals of tables (hospital.h), multimodal ones (icu.h), or those of
 * several classes (softmax.h).
 */
#ifndef SIM_HOSPITAL_WORLD_H
#define SIM_HOSPITAL_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/hospital/hospital.h"
#include "sim/hospital/icu.h"
#include "sim/hospital/softmax.h"

enum hospital_kind { HOSPITAL_KIND_TABLE, HOSPITAL_KIND_ICU, HOSPITAL_KIND_SOFTMAX };

/** What the map asks for. Plain data. */
struct hospital_world {
    enum hospital_kind kind; /**< which of the three counts */
    struct hospital_params table;
    struct icu_params icu;
    struct softmax_params softmax;
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
 * in each. `folder` is there. Not of kind softmax, which is made for speed and stays in memory: RC_INVALID.
 * @retval RC_STATE a file is there already: nothing is overwritten; @retval RC_IO; @retval RC_NOMEM
 */
RC hospital_world_write(const struct hospital_world *w, uint64_t seed, const char *folder,
                        struct error *err);

#endif
