/**
 * @file pool_internal.h
 * The worlds of a sweep: who runs which, and where what they leave behind is put.
 */
#ifndef SIM_SWEEP_POOL_INTERNAL_H
#define SIM_SWEEP_POOL_INTERNAL_H

#include <pthread.h>

#include "sim/sweep/archive_internal.h"

struct pool {
    const struct sweep *s;
    struct sweep_work work;
    size_t *part;                   /**< [n_seeds, n_patients] */
    double *rounds_s;               /**< [worlds] that ran here; else 0 */
    double *score;                  /**< [rows, n_patients, sweep_outputs] */
    double *epsilon;                /**< [rows, folds, n_sites] */
    double *curve;                  /**< [rows, folds, s->curves] */
    struct sweep_plan *plan;        /**< [n_settings] */
    double *seconds;                /**< [rows, folds] */
    bool *there;                    /**< [rows, folds] finished, now or before */
    size_t *missing;                /**< [rows] folds that are not there */
    struct report_row *row;         /**< [rows] made when the last fold is there */
    struct report_site *site;       /**< [rows, n_sites] */
    struct report_pattern *pattern; /**< [rows, sweep_patterns_most] */
    struct report_point *point;     /**< [rows, s->curves] */
    struct cost *cost;              /**< what is left of them */

    pthread_mutex_t lock; /**< of all that follows, and of the archive */
    size_t *order;        /**< [worlds] in which they are handed out */
    size_t next, todo, done;
    bool failed;
    struct error err; /**< of the first failure in order of worlds */
    size_t failed_world;
};

/** Of a pool with `s` and `work`: memory, folds and plans. Release it also after a failure. */
RC pool_open(struct pool *pool, struct error *err);
void pool_release(struct pool *pool);

/** The plan of a row's cells. */
const struct sweep_plan *pool_plan(const struct pool *pool, size_t row);
/** A world with its places for results. */
struct sweep_world pool_world(const struct pool *pool, size_t world);
/** Is it ours, where several processes share the rows? */
bool pool_ours(const struct pool *pool, size_t row);

/** Takes from the archive what is there. */
RC pool_load(struct pool *pool, struct error *err);
/** Fills pool->order. @retval RC_NOMEM */
RC pool_order(struct pool *pool, struct error *err);
/** Runs the others on s->jobs threads. */
RC pool_run(struct pool *pool, struct error *err);
/** The next world that is to be run here, if any. */
bool pool_take(struct pool *pool, size_t *world);
/** It is kept, and told; or it failed, and with it the sweep. pool->seconds of it is filled. */
void pool_finish(struct pool *pool, size_t world, enum rc rc, const struct sweep_world *w,
                 struct error *err);

/** Fills pool->row[i] from its worlds, all of which are there. */
RC pool_row(struct pool *pool, size_t i, struct error *err);

#endif
