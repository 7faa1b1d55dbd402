/* Worlds are handed out in order, or where several run at a time the longest first, so that none is left alone at the
 * end; each writes into a place of its own, and what is finished is kept before the next begins. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "sim/sweep/cost_internal.h"
#include "sim/sweep/pool_internal.h"
#include "sim/sweep/ranks_internal.h"

const struct sweep_plan *pool_plan(const struct pool *pool, size_t row)
{
    return &pool->plan[row / pool->s->n_seeds % pool->s->n_settings];
}

struct sweep_world pool_world(const struct pool *pool, size_t world)
{
    const struct sweep *s = pool->s;
    const size_t folds = sweep_folds(s);
    const size_t row = world / folds;
    const size_t n = s->data->n_patients;
    return (struct sweep_world){
        .s = s,
        .cell = sweep_cell_at(s, row),
        .fold = world % folds,
        .plan = *pool_plan(pool, row),
        .part = pool->part + row % s->n_seeds * n,
        .score = pool->score + row * n * sweep_outputs(s),
        .epsilon = pool->epsilon + world * s->data->n_sites,
        .curve = pool->curve + world * s->curves,
    };
}

bool pool_ours(const struct pool *pool, size_t row)
{
    return pool->work.parts == 0 || row % pool->work.parts == pool->work.part;
}

/* Under the lock: the world is there, perhaps its row is made, and the disk knows. */
static enum rc keep(struct pool *pool, size_t world, const struct sweep_world *w, struct error *err)
{
    const size_t row = world / sweep_folds(pool->s);
    const bool last = pool->missing[row] == 1;
    enum rc rc = last ? pool_row(pool, row, err) : RC_OK;
    if (rc == RC_OK && pool->work.archive != NULL) {
        rc = archive_keep(pool->work.archive, w, pool->seconds[world],
                          last ? &pool->row[row] : NULL, err);
    }
    if (rc == RC_OK) {
        pool->there[world] = true;
        pool->missing[row]--;
    }
    return rc;
}

/* From the archive, or from those of other processes: then it is kept in ours, too. */
static enum rc find(struct pool *pool, size_t world, struct error *err)
{
    struct sweep_world w = pool_world(pool, world);
    const struct sweep_work *work = &pool->work;
    double *seconds = &pool->seconds[world];
    bool found = false;
    enum rc rc =
        work->archive != NULL ? archive_find(work->archive, &w, &found, seconds, err) : RC_OK;
    if (rc == RC_OK && found) {
        pool->there[world] = true;
        pool->missing[world / sweep_folds(pool->s)]--;
        return RC_OK;
    }
    for (size_t i = 0; rc == RC_OK && !found && i < work->n_others; i++) {
        rc = archive_find(work->other[i], &w, &found, seconds, err);
    }
    return rc == RC_OK && found ? keep(pool, world, &w, err) : rc;
}

enum rc pool_load(struct pool *pool, struct error *err)
{
    const size_t folds = sweep_folds(pool->s);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < sweep_rows(pool->s); i++) {
        pool->missing[i] = folds;
    }
    for (size_t world = 0; rc == RC_OK && world < sweep_worlds(pool->s); world++) {
        rc = find(pool, world, err);
        pool->todo += !pool->there[world] && pool_ours(pool, world / folds) ? 1 : 0;
    }
    return rc;
}

struct length {
    size_t world;
    double passes;
};

static int longer_first(const void *a, const void *b)
{
    const struct length *x = a;
    const struct length *y = b;
    if (x->passes < y->passes || x->passes > y->passes) {
        return x->passes > y->passes ? -1 : 1;
    }
    return x->world < y->world ? -1 : 1;
}

enum rc pool_order(struct pool *pool, struct error *err)
{
    const struct sweep *s = pool->s;
    const size_t worlds = sweep_worlds(s);
    const size_t folds = sweep_folds(s);
    struct length *length = calloc(worlds + 1, sizeof *length);
    pool->order = calloc(worlds + 1, sizeof *pool->order);
    if (length == NULL || pool->order == NULL) {
        free(length);
        return error_set(err, RC_NOMEM, "no memory for %zu worlds", worlds);
    }
    for (size_t i = 0; i < worlds; i++) {
        const struct sweep_cell cell = sweep_cell_at(s, i / folds);
        length[i] =
            (struct length){.world = i, .passes = cost_passes(&cell, pool_plan(pool, i / folds))};
    }
    if (s->jobs * sweep_ranks() > 1) {
        qsort(length, worlds, sizeof *length, longer_first);
    }
    for (size_t i = 0; i < worlds; i++) {
        pool->order[i] = length[i].world;
    }
    free(length);
    return RC_OK;
}

bool pool_take(struct pool *pool, size_t *world)
{
    const size_t worlds = sweep_worlds(pool->s);
    const size_t folds = sweep_folds(pool->s);
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->next < worlds && (pool->there[pool->order[pool->next]] ||
                                   !pool_ours(pool, pool->order[pool->next] / folds))) {
        pool->next++;
    }
    const bool taken = !pool->failed && pool->next < worlds;
    *world = taken ? pool->order[pool->next++] : 0;
    (void)pthread_mutex_unlock(&pool->lock);
    return taken;
}

void pool_finish(struct pool *pool, size_t world, enum rc rc, const struct sweep_world *w,
                 struct error *err)
{
    const struct sweep_progress *progress = pool->work.progress;
    (void)pthread_mutex_lock(&pool->lock);
    if (rc == RC_OK) {
        rc = keep(pool, world, w, err);
    }
    if (rc != RC_OK && (!pool->failed || world < pool->failed_world)) {
        pool->failed = true;
        pool->failed_world = world;
        pool->err = *err;
    }
    pool->done++;
    if (rc == RC_OK) {
        cost_finished(pool->cost, world, pool->seconds[world]);
    }
    if (progress != NULL && progress->done != NULL) {
        progress->done(progress->ctx, pool->done, pool->todo,
                       cost_left(pool->cost, pool->s->jobs * sweep_ranks()));
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

/* Here, or from rank 0. */
static bool take(struct pool *pool, size_t *world)
{
    if (sweep_rank() == 0) {
        return pool_take(pool, world);
    }
    (void)pthread_mutex_lock(&pool->lock);
    const bool taken = ranks_take(pool, world);
    (void)pthread_mutex_unlock(&pool->lock);
    return taken;
}

static void finish(struct pool *pool, size_t world, enum rc rc, const struct sweep_world *w,
                   struct error *err)
{
    if (sweep_rank() == 0) {
        pool_finish(pool, world, rc, w, err);
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    ranks_give(pool, world, rc, w, err);
    (void)pthread_mutex_unlock(&pool->lock);
}

static void *work(void *ctx)
{
    struct pool *pool = ctx;
    size_t world;
    while (take(pool, &world)) {
        struct sweep_world w = pool_world(pool, world);
        struct error err = {0};
        const int64_t begun = clock_monotonic_ms();
        const enum rc rc = sweep_world_run(&w, &err);
        pool->seconds[world] = (double)(clock_monotonic_ms() - begun) / 1000.0;
        pool->rounds_s[world] = w.rounds_s;
        finish(pool, world, rc, &w, &err);
    }
    return NULL;
}

enum rc pool_run(struct pool *pool, struct error *err)
{
    pthread_t thread[SWEEP_JOBS_MAX];
    size_t started = 0;
    const bool serves = sweep_rank() == 0 && sweep_ranks() > 1;
    const size_t others = pool->s->jobs - (serves ? 0 : 1); /* threads beside this one */
    enum rc rc = RC_OK;
    assert(pool->s->jobs >= 1);
    assert(pool->s->jobs <= SWEEP_JOBS_MAX);
    while (started < others && pthread_create(&thread[started], NULL, work, pool) == 0) {
        started++; /* fewer threads than asked for only take longer */
    }
    if (serves) {
        rc = ranks_serve(pool, err);
    } else {
        (void)work(pool);
    }
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    if (sweep_rank() > 0) {
        ranks_bye();
    }
    return rc == RC_OK && pool->failed ? error_set(err, pool->err.rc, "%s", pool->err.text) : rc;
}
