/* The pool: worlds are handed out in order, each writes into a place of its own, rows are made
 * afterwards in order, so the number of threads changes no byte. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "common/base/clock.h"
#include "sim/sweep/sweep_internal.h"

struct pool {
    const struct sweep *s;
    const struct sweep_progress *progress;
    size_t *part;            /* [n_seeds, n_patients] */
    double *score;           /* [rows, n_patients] */
    double *epsilon;         /* [rows, folds, n_sites] */
    struct sweep_plan *plan; /* [n_epsilons] */
    double *seconds;         /* [rows, folds] */
    pthread_mutex_t lock;
    size_t next, done;
    bool failed;
    struct error err; /* of the first failure in order of worlds */
    size_t failed_world;
};

size_t sweep_rows(const struct sweep *s)
{
    return s->n_ablations * s->n_modes * s->n_epsilons * s->n_seeds;
}

size_t sweep_worlds(const struct sweep *s)
{
    return sweep_rows(s) * sweep_folds(s);
}

size_t sweep_train_threads(const struct sweep *s, size_t worlds)
{
    const size_t each = s->jobs / worlds;
    if (each == 0) {
        return 1;
    }
    return each < TRAIN_THREADS_MAX ? each : TRAIN_THREADS_MAX;
}

struct sweep_cell sweep_cell_at(const struct sweep *s, size_t row)
{
    const double epsilon = s->epsilon[row / s->n_seeds % s->n_epsilons];
    const bool noisy = isfinite(epsilon);
    const size_t mode = row / s->n_seeds / s->n_epsilons;
    return (struct sweep_cell){.ablation = &s->ablation[mode / s->n_modes],
                               .mode = s->mode[mode % s->n_modes],
                               .noise = noisy ? s->noise : STUDY_NOISE_NONE,
                               .epsilon = epsilon,
                               .delta = noisy ? s->delta : 0.0,
                               .seed = s->seed[row % s->n_seeds]};
}

static enum rc one_world(struct pool *pool, size_t world, struct error *err)
{
    const struct sweep *s = pool->s;
    const size_t folds = sweep_folds(s);
    const size_t row = world / folds;
    const size_t n = s->data->n_patients;
    struct sweep_world w = {
        .s = s,
        .cell = sweep_cell_at(s, row),
        .fold = world % folds,
        .plan = pool->plan[row / s->n_seeds % s->n_epsilons],
        .part = pool->part + row % s->n_seeds * n,
        .score = pool->score + row * n,
        .epsilon = pool->epsilon + world * s->data->n_sites,
    };
    const int64_t begun = clock_monotonic_ms();
    const enum rc rc = sweep_world_run(&w, err);
    pool->seconds[world] = (double)(clock_monotonic_ms() - begun) / 1000.0;
    return rc;
}

static void *work(void *ctx)
{
    struct pool *pool = ctx;
    const size_t worlds = sweep_worlds(pool->s);
    for (;;) {
        (void)pthread_mutex_lock(&pool->lock);
        const size_t world = pool->next;
        const bool stop = pool->failed || world >= worlds;
        pool->next += stop ? 0 : 1;
        (void)pthread_mutex_unlock(&pool->lock);
        if (stop) {
            return NULL;
        }
        struct error err = {0};
        const enum rc rc = one_world(pool, world, &err);
        (void)pthread_mutex_lock(&pool->lock);
        if (rc != RC_OK && (!pool->failed || world < pool->failed_world)) {
            pool->failed = true;
            pool->failed_world = world;
            pool->err = err;
        }
        pool->done++;
        if (pool->progress != NULL && pool->progress->done != NULL) {
            pool->progress->done(pool->progress->ctx, pool->done, worlds);
        }
        (void)pthread_mutex_unlock(&pool->lock);
    }
}

static enum rc run_pool(struct pool *pool, struct error *err)
{
    pthread_t thread[SWEEP_JOBS_MAX];
    size_t started = 0;
    assert(pool->s->jobs >= 1);
    assert(pool->s->jobs <= SWEEP_JOBS_MAX);
    while (started + 1 < pool->s->jobs && pthread_create(&thread[started], NULL, work, pool) == 0) {
        started++; /* fewer threads than asked for only take longer */
    }
    (void)work(pool);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    return pool->failed ? error_set(err, pool->err.rc, "%s", pool->err.text) : RC_OK;
}

static const char *mode_name(enum sweep_mode mode)
{
    static const char *const name[] = {"pooled", "federated", "local_only"};
    return name[mode];
}

static enum rc make_row(const struct pool *pool, size_t i, struct report_row *row,
                        struct error *err)
{
    const struct sweep *s = pool->s;
    const size_t folds = sweep_folds(s);
    const size_t n = s->data->n_patients;
    const struct sweep_cell cell = sweep_cell_at(s, i);
    memcpy(row->ablation, cell.ablation->name, sizeof row->ablation);
    (void)snprintf(row->mode, sizeof row->mode, "%s", mode_name(cell.mode));
    (void)snprintf(row->noise, sizeof row->noise, "%s", study_noise_name(cell.noise));
    row->epsilon = cell.epsilon;
    row->delta = cell.delta;
    row->seed = cell.seed;
    const struct sweep_plan *plan = &pool->plan[i / s->n_seeds % s->n_epsilons];
    row->rounds = plan->rounds;
    row->steps = plan->rounds * cell.ablation->study.local.steps;
    row->sample_rate = plan->sample_rate;
    row->folds = folds;
    row->n_sites = s->data->n_sites;
    row->noise_multiplier = plan->noise_multiplier;
    for (size_t k = 0; k < folds; k++) {
        row->seconds += pool->seconds[i * folds + k];
        for (size_t site = 0; site < row->n_sites; site++) {
            const double spent = pool->epsilon[(i * folds + k) * row->n_sites + site];
            row->site[site].epsilon_spent = fmax(row->site[site].epsilon_spent, spent);
        }
    }
    const size_t *part = pool->part + i % s->n_seeds * n;
    const double *score = pool->score + i * n;
    const enum rc rc = sweep_evaluate(s, &cell, part, score, row, err);
    return rc == RC_OK ? sweep_patterns(s, &cell, part, score, row, err) : rc;
}

static enum rc reserve(struct pool *pool, struct sweep_results *r, size_t **scratch,
                       struct error *err)
{
    const struct sweep *s = pool->s;
    const size_t rows = sweep_rows(s);
    const size_t worlds = sweep_worlds(s);
    const size_t n = s->data->n_patients;
    *scratch = calloc(n + 1, sizeof **scratch);
    pool->part = calloc(s->n_seeds * n + 1, sizeof *pool->part);
    pool->score = calloc(rows * n + 1, sizeof *pool->score);
    pool->epsilon = calloc(worlds * s->data->n_sites + 1, sizeof *pool->epsilon);
    pool->plan = calloc(s->n_epsilons + 1, sizeof *pool->plan);
    pool->seconds = calloc(worlds + 1, sizeof *pool->seconds);
    r->row = calloc(rows + 1, sizeof *r->row);
    r->site = calloc(rows * s->data->n_sites + 1, sizeof *r->site);
    r->pattern = calloc(rows * sweep_patterns_most(s) + 1, sizeof *r->pattern);
    if (*scratch == NULL || pool->part == NULL || pool->score == NULL || pool->epsilon == NULL ||
        pool->plan == NULL || pool->seconds == NULL || r->row == NULL || r->site == NULL ||
        r->pattern == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu rows of %zu patients", rows, n);
    }
    return RC_OK;
}

/* The noise of each epsilon, with a wish also rate and rounds, once: it is the same in every world, and
 * takes longer than many a world. */
static enum rc solve_plans(struct pool *pool, struct error *err)
{
    const struct sweep *s = pool->s;
    struct study study = {0};
    enum rc rc = study_copy(&s->study, &study, err);
    for (size_t i = 0; rc == RC_OK && i < s->n_epsilons; i++) {
        const struct sweep_cell cell = sweep_cell_at(s, i * s->n_seeds);
        study.privacy.noise = cell.noise;
        study.privacy.epsilon = cell.epsilon;
        study.privacy.delta = cell.delta;
        rc = study_plan(&study, err);
        pool->plan[i] = (struct sweep_plan){.sample_rate = study.privacy.sample_rate,
                                            .noise_multiplier = study.privacy.noise_multiplier,
                                            .rounds = study.rounds};
    }
    study_release(&study);
    return rc;
}

enum rc sweep_run(const struct sweep *s, const struct sweep_progress *progress,
                  struct sweep_results *out, struct error *err)
{
    struct pool pool = {.s = s, .progress = progress};
    struct sweep_results r = {0};
    size_t *scratch = NULL;
    (void)pthread_mutex_init(&pool.lock, NULL);
    enum rc rc = reserve(&pool, &r, &scratch, err);
    if (rc == RC_OK) {
        rc = solve_plans(&pool, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t i = 0; i < s->n_seeds; i++) {
        sweep_split(s, s->seed[i], pool.part + i * s->data->n_patients, scratch);
    }
    rc = run_pool(&pool, err);
    for (size_t i = 0; rc == RC_OK && i < sweep_rows(s); i++) {
        r.row[i].site = r.site + i * s->data->n_sites;
        r.row[i].pattern = r.pattern + i * sweep_patterns_most(s);
        rc = make_row(&pool, i, &r.row[i], err);
        r.n = i + 1;
    }
    if (rc == RC_OK) {
        *out = r;
        r = (struct sweep_results){0};
    }
out:
    (void)pthread_mutex_destroy(&pool.lock);
    free(scratch);
    free(pool.part);
    free(pool.score);
    free(pool.epsilon);
    free(pool.plan);
    free(pool.seconds);
    sweep_results_release(&r);
    return rc;
}

void sweep_results_release(struct sweep_results *r)
{
    free(r->row);
    free(r->site);
    free(r->pattern);
    *r = (struct sweep_results){0};
}
