/* Rows of a dataset through a model, a physical batch at a time: their order decides nothing. */
#include "agent/train/train.h"

enum { AT_ONCE = 256 };

enum rc train_score(const struct model *model, const real *params, const struct dataset *data,
                    const size_t *row, const size_t *who, size_t n, double *probability,
                    struct error *err)
{
    struct arena memory = {0};
    struct batch_room room;
    enum rc rc = arena_init(&memory, batch_room_cost(&model->layout, AT_ONCE), err);
    if (rc != RC_OK) {
        return rc;
    }
    batch_room_take(&room, &model->layout, AT_ONCE, &memory);
    for (size_t at = 0; rc == RC_OK && at < n; at += AT_ONCE) {
        const size_t B = n - at < AT_ONCE ? n - at : AT_ONCE;
        dataset_gather(data, row + at, who + at, B, &room);
        rc = model_score(model, params, &room.batch, B, probability + at * model->layout.n_outputs,
                         err);
    }
    arena_wipe(&memory); /* patients' rows */
    arena_release(&memory);
    return rc;
}
