/**
 * @file folder.h
 * One hospital of a dataset as the folder that a real one would have: patients.csv and cohort.yaml.
 * What a rehearsal of the deployed programs starts from where no real data is at hand.
 */
#ifndef SIM_HOSPITAL_FOLDER_H
#define SIM_HOSPITAL_FOLDER_H

#include <stddef.h>

#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/schema/schema.h"

/**
 * Writes `folder`/patients.csv and `folder`/cohort.yaml for the patients of site index `site`; makes
 * the folder. Values are scaled back to their units with nine significant digits, so an import
 * gives the dataset's numbers up to rounding in float.
 * @param schema of the dataset; one row a patient, columns named after the features
 * @retval RC_STATE a file is there already: nothing is overwritten; @retval RC_IO
 */
RC hospital_write_folder(const struct schema *schema, const struct dataset *data, size_t site,
                         const char *folder, struct error *err);

#endif
