/**
 * @file archive_internal.h
 * The file of finished worlds, as the pool in run.c uses it. Not for two threads at once.
 */
#ifndef SIM_SWEEP_ARCHIVE_INTERNAL_H
#define SIM_SWEEP_ARCHIVE_INTERNAL_H

#include "common/store/store.h"
#include "sim/sweep/sweep_internal.h"

extern const struct store_kind archive_kind;

struct sweep_archive {
    struct store *store;
    size_t kept;
    int held; /**< file that is locked as long as we are at work; -1: none */
    struct statement *find_cell, *add_cell, *find_world, *add_world, *finish_cell;
};

/**
 * Is this world there? Then its scores and epsilons are put into `w`, as if it had just run.
 * @retval RC_FORMAT what is there is not of this fold
 */
RC archive_find(struct sweep_archive *a, struct sweep_world *w, bool *found, double *seconds,
                struct error *err);

/**
 * One transaction: the world, and with `row` the figures of its cell, which it completed.
 * @retval RC_STATE the world is there already
 */
RC archive_keep(struct sweep_archive *a, const struct sweep_world *w, double seconds,
                const struct report_row *row, struct error *err);

#endif
