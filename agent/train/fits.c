/* Whether a site's data, and the first model, are what the study says of them. */
#include <stdbool.h>

#include "agent/train/train.h"

enum rc train_fits(const struct study *study, const struct model *model, const struct dataset *data,
                   size_t site, struct error *err)
{
    for (size_t k = 0; k < study->model.n_lacked; k++) {
        const size_t part = model->lacked_part[k];
        if (study_lacks(study, site, k) && part < data->n_parts &&
            data->part[part].first[data->n_rows] > 0) {
            return error_set(
                err, RC_INVALID,
                "the study says that site '%s' lacks '%s', and its data has some; take "
                "it off the site's `lacks`, or out of its files",
                study->site[site].name, study->model.lacked[k]);
        }
    }
    return RC_OK;
}

bool train_begins(const struct study *study, const struct model *model, uint64_t round,
                  const real *global)
{
    if (!study->start.there || round != 1) {
        return true;
    }
    const struct hash found = model_start_hash(model, &study->start, global);
    return hash_equal(&found, &study->start.numbers) != 0;
}
