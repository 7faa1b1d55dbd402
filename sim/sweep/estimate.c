/* What a sweep will take, by running a few rounds of each kind of its cells: time is that of a world of
 * one round of one step, and for each further one what it adds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "sim/sweep/memory_internal.h"
#include "sim/sweep/pool_internal.h"

/* Long enough for a clock that counts milliseconds. */
static const double ENOUGH_S = 0.1;

static enum rc timed(const struct pool *pool, size_t world, size_t rounds, size_t steps, bool curve,
                     double *seconds, struct error *err)
{
    struct sweep_world w = pool_world(pool, world);
    w.plan.rounds = rounds;
    w.steps = steps;
    w.curve = curve ? w.curve : NULL;
    const int64_t begun = clock_monotonic_ms();
    const enum rc rc = sweep_world_run(&w, err);
    *seconds = (double)(clock_monotonic_ms() - begun) / 1000.0;
    return rc;
}

/* Seconds that one more round (of a step), or one more step (of a round), adds to `first`. */
static enum rc one_more(const struct pool *pool, size_t world, bool round, size_t most,
                        double first, double *each, struct error *err)
{
    enum rc rc = RC_OK;
    size_t n = 1;
    *each = 0.0;
    while (rc == RC_OK && n < most && *each * (double)(n - 1) < ENOUGH_S) {
        double seconds = 0.0;
        n = 4 * n < most ? 4 * n : most;
        rc = timed(pool, world, round ? n : 1, round ? 1 : n, false, &seconds, err);
        *each = seconds > first ? (seconds - first) / (double)(n - 1) : 0.0;
    }
    return rc;
}

static enum rc measure(const struct pool *pool, size_t world, struct sweep_kind *k,
                       struct error *err)
{
    const struct sweep_cell cell = sweep_cell_at(pool->s, world / sweep_folds(pool->s));
    const size_t steps = cell.ablation->study.local.steps;
    double first = 0.0;
    double round = 0.0;
    double step = 0.0;
    const size_t points = sweep_curve_points(pool->s, cell.mode, k->rounds);
    double scored = 0.0;
    enum rc rc = timed(pool, world, 1, 1, false, &first, err);
    if (rc == RC_OK && points > 0) {
        rc = timed(pool, world, 1, 1, true, &scored, err);
    }
    if (rc == RC_OK) {
        rc = one_more(pool, world, true, k->rounds, first, &round, err);
    }
    if (rc == RC_OK) {
        rc = one_more(pool, world, false, steps, first, &step, err);
    }
    k->seconds = first + (double)(k->rounds - 1) * round +
                 (double)k->rounds * (double)(steps - 1) * step +
                 (double)points * fmax(scored - first, 0.0);
    return rc;
}

static void describe(const struct pool *pool, size_t row, struct sweep_kind *k)
{
    const struct sweep_cell cell = sweep_cell_at(pool->s, row);
    const struct sweep_plan *plan = pool_plan(pool, row);
    *k = (struct sweep_kind){.ablation = cell.ablation->name,
                             .model = cell.ablation->study.model.name,
                             .mode = sweep_mode_name(cell.mode),
                             .noise = study_noise_name(cell.noise),
                             .epsilon = cell.epsilon,
                             .delta = cell.delta,
                             .n_sites = cell.ablation->study.n_sites,
                             .rounds = plan->rounds,
                             .steps = plan->rounds * cell.ablation->study.local.steps,
                             .sample_rate = plan->sample_rate,
                             .noise_multiplier = plan->noise_multiplier};
}

enum rc sweep_estimate(const struct sweep *s, const struct sweep_work *work,
                       struct sweep_estimate *out, struct error *err)
{
    struct pool pool = {.s = s, .work = *work};
    const size_t folds = sweep_folds(s);
    const size_t n = sweep_rows(s) / s->n_seeds;
    const size_t each = folds * s->n_seeds; /* worlds of a kind: seeds are quickest */
    struct sweep_kind *kind = calloc(n + 1, sizeof *kind);
    enum rc rc = pool_open(&pool, err);
    if (rc == RC_OK && kind == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu kinds of cells", n);
    }
    if (rc == RC_OK) {
        rc = pool_load(&pool, err);
    }
    const size_t before = memory_now();
    memory_watch();
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        describe(&pool, i * s->n_seeds, &kind[i]);
        for (size_t world = i * each; world < (i + 1) * each; world++) {
            kind[i].left += !pool.there[world] && pool_ours(&pool, world / folds) ? 1 : 0;
        }
        if (kind[i].left > 0) {
            rc = measure(&pool, i * each, &kind[i], err);
        }
        if (rc == RC_OK && work->progress != NULL) {
            work->progress->done(work->progress->ctx, i + 1, n, (double)NAN);
        }
    }
    pool_release(&pool);
    if (rc == RC_OK) {
        const size_t most = memory_most();
        *out = (struct sweep_estimate){.n = n,
                                       .kind = kind,
                                       .bytes = before,
                                       .bytes_world = most > before ? most - before : 0};
        kind = NULL;
    }
    free(kind);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const struct sweep_kind *k = &out->kind[i];
        out->left += k->left;
        out->seconds += (double)k->left * k->seconds;
    }
    const size_t busy = rc == RC_OK && out->left < s->jobs ? out->left : s->jobs;
    if (rc == RC_OK && busy > 0) {
        out->seconds /= (double)busy;
        out->bytes += busy * out->bytes_world;
    }
    return rc;
}

void sweep_estimate_release(struct sweep_estimate *e)
{
    free(e->kind);
    *e = (struct sweep_estimate){0};
}
