/**
 * @file room_internal.h
 * Where a step's clipped sum is computed: tapes, threads and memory of a physical batch, one a thread.
 */
#ifndef AGENT_TRAIN_ROOM_INTERNAL_H
#define AGENT_TRAIN_ROOM_INTERNAL_H

#include "agent/train/train.h"

/** Who is in a step: n rows, each with its patient. Borrowed. */
struct room_sample {
    const struct dataset *data;
    const size_t *row, *who; /**< [n] */
    size_t n;
    uint64_t coins; /**< seed of what is dropped at random in this step */
};

/**
 * sum [P] += the gradients of the sample, each clipped to C. The same bytes for any number of threads.
 * @param params [P]  @retval RC_INVALID, RC_NOMEM of a recording
 */
RC room_clipped_sum(struct train_room *r, const struct room_sample *sample, const real *params,
                    double C, double *sum, struct train_report *report, struct error *err);

/** Room for a round's arrays of together `cost` bytes, kept from one round to the next: reserved anew for each, the
 *  system would zero them page by page. Lives until room_wipe. @retval RC_NOMEM */
RC room_arrays(struct train_room *r, size_t cost, struct arena **out, struct error *err);

/** After a round: nothing of a patient stays. */
void room_wipe(struct train_room *r);

/** Is it a room for this model and size of a physical batch? */
bool room_fits(const struct train_room *r, const struct model *model, size_t physical_batch);

#endif
