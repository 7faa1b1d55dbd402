/* Rows out of worlds. Worlds come from the pool or from the archive, each has a place of its own, and rows
 * are made of them alone: neither the number of threads nor an interruption changes a byte. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sweep/cost_internal.h"
#include "sim/sweep/pool_internal.h"
#include "sim/sweep/ranks_internal.h"

size_t sweep_train_threads(const struct sweep *s, size_t worlds)
{
    const size_t each = s->jobs / worlds;
    if (each == 0) {
        return 1;
    }
    return each < TRAIN_THREADS_MAX ? each : TRAIN_THREADS_MAX;
}

/* Means over the folds that have the number. Those of a row have the same plan, and so the same rounds. */
static void curve_of_row(const struct pool *pool, size_t i, enum sweep_mode mode,
                         struct report_row *row)
{
    const struct sweep *s = pool->s;
    row->n_curve = sweep_curve_points(s, mode, row->rounds);
    row->curve = pool->point + i * s->curves;
    for (size_t k = 0; k < row->n_curve; k++) {
        double sum = 0.0;
        size_t n = 0;
        for (size_t fold = 0; fold < row->folds; fold++) {
            const double auroc = pool->curve[(i * row->folds + fold) * s->curves + k];
            if (isfinite(auroc)) {
                sum += auroc;
                n++;
            }
        }
        row->curve[k] =
            (struct report_point){.round = sweep_curve_round(k, row->n_curve, row->rounds),
                                  .auroc = n > 0 ? sum / (double)n : (double)NAN};
    }
}

enum rc pool_row(struct pool *pool, size_t i, struct error *err)
{
    struct report_row *row = &pool->row[i];
    const struct sweep *s = pool->s;
    const size_t folds = sweep_folds(s);
    const size_t n = s->data->n_patients;
    const struct sweep_cell cell = sweep_cell_at(s, i);
    row->site = pool->site + i * s->data->n_sites;
    row->pattern = pool->pattern + i * sweep_patterns_most(s);
    memcpy(row->ablation, cell.ablation->name, sizeof row->ablation);
    (void)snprintf(row->mode, sizeof row->mode, "%s", sweep_mode_name(cell.mode));
    (void)snprintf(row->noise, sizeof row->noise, "%s", study_noise_name(cell.noise));
    row->epsilon = cell.epsilon;
    row->delta = cell.delta;
    row->seed = cell.seed;
    const struct sweep_plan *plan = pool_plan(pool, i);
    row->rounds = plan->rounds;
    row->steps = plan->rounds * cell.ablation->study.local.steps;
    row->sample_rate = plan->sample_rate;
    row->folds = folds;
    row->n_sites = s->data->n_sites;
    row->first_sites = cell.ablation->first_sites;
    row->noise_multiplier = plan->noise_multiplier;
    for (size_t k = 0; k < folds; k++) {
        row->seconds += pool->seconds[i * folds + k];
        row->seconds_rounds += pool->rounds_s[i * folds + k];
        for (size_t site = 0; site < row->n_sites; site++) {
            const double spent = pool->epsilon[(i * folds + k) * row->n_sites + site];
            row->site[site].epsilon_spent = fmax(row->site[site].epsilon_spent, spent);
        }
    }
    curve_of_row(pool, i, cell.mode, row);
    const size_t *part = pool->part + i % s->n_seeds * n;
    const double *score = pool->score + i * n * sweep_outputs(s);
    const enum rc rc = sweep_evaluate(s, &cell, part, score, row, err);
    return rc == RC_OK ? sweep_patterns(s, &cell, part, score, row, err) : rc;
}

static enum rc reserve(struct pool *pool, struct error *err)
{
    const struct sweep *s = pool->s;
    const size_t rows = sweep_rows(s);
    const size_t worlds = sweep_worlds(s);
    const size_t n = s->data->n_patients;
    pool->part = calloc(s->n_seeds * n + 1, sizeof *pool->part);
    pool->score = calloc(rows * n * sweep_outputs(s) + 1, sizeof *pool->score);
    pool->epsilon = calloc(worlds * s->data->n_sites + 1, sizeof *pool->epsilon);
    pool->curve = calloc(worlds * s->curves + 1, sizeof *pool->curve);
    pool->plan = calloc(s->n_settings + 1, sizeof *pool->plan);
    pool->seconds = calloc(worlds + 1, sizeof *pool->seconds);
    pool->rounds_s = calloc(worlds + 1, sizeof *pool->rounds_s);
    pool->there = calloc(worlds + 1, sizeof *pool->there);
    pool->missing = calloc(rows + 1, sizeof *pool->missing);
    pool->row = calloc(rows + 1, sizeof *pool->row);
    pool->site = calloc(rows * s->data->n_sites + 1, sizeof *pool->site);
    pool->pattern = calloc(rows * sweep_patterns_most(s) + 1, sizeof *pool->pattern);
    pool->point = calloc(rows * s->curves + 1, sizeof *pool->point);
    if (pool->part == NULL || pool->score == NULL || pool->epsilon == NULL || pool->plan == NULL ||
        pool->seconds == NULL || pool->rounds_s == NULL || pool->there == NULL ||
        pool->missing == NULL || pool->row == NULL || pool->site == NULL || pool->pattern == NULL ||
        pool->curve == NULL || pool->point == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu rows of %zu patients", rows, n);
    }
    return RC_OK;
}

static enum rc split(struct pool *pool, struct error *err)
{
    const struct sweep *s = pool->s;
    size_t *scratch = calloc(sweep_split_scratch(s), sizeof *scratch);
    if (scratch == NULL) {
        return error_set(err, RC_NOMEM, "no memory for folds of %zu patients", s->data->n_patients);
    }
    for (size_t i = 0; i < s->n_seeds; i++) {
        sweep_split(s, s->seed[i], pool->part + i * s->data->n_patients, scratch);
    }
    free(scratch);
    return RC_OK;
}

/* What is solved is the same in every world and every mode, and takes longer than many a world. */
static const struct sweep_plan *solved(const struct pool *pool, size_t i)
{
    const struct sweep_setting *at = pool->s->setting;
    for (size_t k = 0; k < i; k++) {
        const bool same = !(at[k].epsilon < at[i].epsilon || at[k].epsilon > at[i].epsilon);
        if (same && (at[k].noise == at[i].noise || isinf(at[i].epsilon))) {
            return &pool->plan[k];
        }
    }
    return NULL;
}

/* The noise of each setting; with a wish also rate and rounds. */
static enum rc solve_plans(struct pool *pool, struct error *err)
{
    const struct sweep *s = pool->s;
    struct study study = {0};
    enum rc rc = study_copy(&s->study, &study, err);
    for (size_t i = 0; rc == RC_OK && i < s->n_settings; i++) {
        const struct sweep_plan *before = solved(pool, i);
        if (before != NULL) {
            pool->plan[i] = *before;
            continue;
        }
        const double epsilon = s->setting[i].epsilon;
        study.privacy.noise = isfinite(epsilon) ? s->setting[i].noise : STUDY_NOISE_NONE;
        study.privacy.epsilon = epsilon;
        study.privacy.delta = isfinite(epsilon) ? s->delta : 0.0;
        rc = study_plan(&study, err);
        pool->plan[i] = (struct sweep_plan){.sample_rate = study.privacy.sample_rate,
                                            .noise_multiplier = study.privacy.noise_multiplier,
                                            .rounds = study.rounds};
    }
    study_release(&study);
    return rc;
}

enum rc pool_open(struct pool *pool, struct error *err)
{
    (void)pthread_mutex_init(&pool->lock, NULL);
    enum rc rc = reserve(pool, err);
    if (rc == RC_OK) {
        rc = solve_plans(pool, err);
    }
    return rc == RC_OK ? split(pool, err) : rc;
}

void pool_release(struct pool *pool)
{
    (void)pthread_mutex_destroy(&pool->lock);
    cost_close(&pool->cost);
    free(pool->part);
    free(pool->score);
    free(pool->epsilon);
    free(pool->curve);
    free(pool->point);
    free(pool->plan);
    free(pool->seconds);
    free(pool->rounds_s);
    free(pool->there);
    free(pool->missing);
    free(pool->order);
    free(pool->row);
    free(pool->site);
    free(pool->pattern);
}

enum rc sweep_continue(const struct sweep *s, const struct sweep_work *work,
                       struct sweep_results *out, struct error *err)
{
    struct pool pool = {.s = s, .work = *work};
    assert(work->parts == 0 || work->part < work->parts);
    enum rc rc = pool_open(&pool, err);
    if (rc == RC_OK) {
        rc = pool_load(&pool, err);
    }
    for (size_t i = 0; rc == RC_OK && i < sweep_rows(s); i++) {
        const bool unmade = pool.missing[i] == 0 && pool.row[i].folds == 0;
        rc = unmade ? pool_row(&pool, i, err) : RC_OK;
    }
    if (rc == RC_OK) {
        rc = cost_open(&pool, &pool.cost, err);
    }
    if (rc == RC_OK) {
        rc = pool_order(&pool, err);
    }
    if (rc == RC_OK) {
        ranks_share_plans(pool.plan, s->n_settings);
        rc = pool_run(&pool, err);
    }
    if (rc == RC_OK && work->parts == 0 && sweep_rank() == 0) {
        *out = (struct sweep_results){.n = sweep_rows(s),
                                      .row = pool.row,
                                      .site = pool.site,
                                      .pattern = pool.pattern,
                                      .point = pool.point};
        pool.row = NULL;
        pool.site = NULL;
        pool.pattern = NULL;
        pool.point = NULL;
    } else if (rc == RC_OK) {
        *out = (struct sweep_results){0};
    }
    pool_release(&pool);
    return rc;
}

enum rc sweep_run(const struct sweep *s, const struct sweep_progress *progress,
                  struct sweep_results *out, struct error *err)
{
    const struct sweep_work work = {.progress = progress};
    return sweep_continue(s, &work, out, err);
}

void sweep_results_release(struct sweep_results *r)
{
    free(r->row);
    free(r->site);
    free(r->pattern);
    free(r->point);
    *r = (struct sweep_results){0};
}
