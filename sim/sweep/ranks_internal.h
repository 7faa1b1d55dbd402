/**
 * @file ranks_internal.h
 * The pool across processes: rank 0 hands out worlds and keeps what comes back, the others run them.
 * ranks_mpi.c does it over MPI (any implementation of version 3; thread level SERIALIZED), ranks_alone.c
 * stands in its place in a build without: one rank.
 *
 *   worker to rank 0   WANT   nothing
 *                      DONE   {world, rc, seconds}, then the outcome (outcome.c), or the sentence of a failure
 *                      BYE    nothing: all threads of the rank have stopped
 *   rank 0 to worker   WORLD  a world, or RANKS_STOP, in answer to each WANT
 */
#ifndef SIM_SWEEP_RANKS_INTERNAL_H
#define SIM_SWEEP_RANKS_INTERNAL_H

#include "sim/sweep/pool_internal.h"

#define RANKS_STOP UINT64_MAX

/** Everybody takes the plans of rank 0: another machine's might differ in the last digit. */
void ranks_share_plans(struct sweep_plan *plan, size_t n);

/** Rank 0: answers the others until they have all said BYE. Its own worlds run on other threads. */
RC ranks_serve(struct pool *pool, struct error *err);

/** Others: the next world of rank 0's pool. Under the pool's lock. */
bool ranks_take(struct pool *pool, size_t *world);
/** Others: what became of it. Under the pool's lock. */
void ranks_give(struct pool *pool, size_t world, enum rc rc, const struct sweep_world *w,
                const struct error *err);
void ranks_bye(void);

#endif
