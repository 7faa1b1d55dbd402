/**
 * @file partition.h
 * A real cohort dealt out to hospitals that it did not come from: how unlike each other they are is
 * chosen instead of found.
 */
#ifndef SIM_HOSPITAL_PARTITION_H
#define SIM_HOSPITAL_PARTITION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"

/** The `partition:` map. Plain data. */
struct hospital_partition {
    size_t hospitals;
    double alpha; /**< of the Dirichlet distribution: 0.1 hardly shares a label, 100 deals evenly */
    size_t patients_min; /**< of each hospital; drawn again until it holds */
};

/** Its keys, as a Markdown table. */
void hospital_partition_print(FILE *to);

/** @retval RC_INVALID problems were added to `issues`; `out` is untouched */
RC hospital_partition_read(const struct config_node *map, struct hospital_partition *out,
                           struct config_issues *issues, struct error *err);

/**
 * Patients of each label go to hospitals in shares drawn from a Dirichlet distribution (Hsu, Qi,
 * Brown 2019, section 3, label by label instead of hospital by hospital). Everything of a patient goes
 * with him; sites are hospital-01 …, whatever they were.
 * @param[out] out a copy; dataset_close when done
 * @retval RC_INVALID no draw of 100 leaves patients_min to everybody: fewer hospitals, or a larger alpha
 * @retval RC_NOMEM
 */
RC hospital_partition_deal(const struct hospital_partition *p, uint64_t seed,
                           const struct dataset *from, struct dataset **out, struct error *err);

#endif
