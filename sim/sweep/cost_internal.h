/**
 * @file cost_internal.h
 * How long what is left will take. Worlds of one kind (all that differs is seed and fold) take the same
 * time; of a kind that has not been seen yet the patients that pass through training are counted, at
 * the pace of those that have.
 */
#ifndef SIM_SWEEP_COST_INTERNAL_H
#define SIM_SWEEP_COST_INTERNAL_H

#include "sim/sweep/pool_internal.h"

struct cost;

/** Borrows the pool, whose `there` says what is left. @retval RC_NOMEM */
RC cost_open(const struct pool *pool, struct cost **out, struct error *err);
void cost_close(struct cost **c);

/** A world that was run now took so long. */
void cost_finished(struct cost *c, size_t world, double seconds);
/** Seconds until `jobs` threads have run what is left; NAN as long as nothing has been finished. */
double cost_left(const struct cost *c, size_t jobs);

/** Patients that pass through training in a world of this kind: what its time grows with. */
double cost_passes(const struct sweep_cell *cell, const struct sweep_plan *plan);

#endif
