#include <math.h>
#include <stdlib.h>

#include "sim/sweep/cost_internal.h"

struct kind {
    double passes;  /* of one world */
    double seconds; /* of `n` worlds that were run */
    size_t n, left;
};

struct cost {
    const struct pool *pool;
    size_t n_kinds;
    struct kind *kind;
};

double cost_passes(const struct sweep_cell *cell, const struct sweep_plan *plan)
{
    const struct study *study = &cell->ablation->study;
    const double steps = (double)plan->rounds * (double)study->local.steps;
    const double sites = cell->mode == SWEEP_POOLED ? 1.0 : (double)study->n_sites;
    /* A step costs something even where it draws nobody: its noise, its round, its commit. */
    return steps * (plan->sample_rate * (double)study_nominal_total(study) + 4.0 * sites);
}

static size_t kind_of(const struct cost *c, size_t world)
{
    return world / sweep_folds(c->pool->s) / c->pool->s->n_seeds;
}

enum rc cost_open(const struct pool *pool, struct cost **out, struct error *err)
{
    const struct sweep *s = pool->s;
    struct cost *c = calloc(1, sizeof *c);
    const size_t n = sweep_rows(s) / s->n_seeds;
    struct kind *kind = calloc(n + 1, sizeof *kind);
    if (c == NULL || kind == NULL) {
        free(c);
        free(kind);
        return error_set(err, RC_NOMEM, "no memory for %zu kinds of cells", n);
    }
    *c = (struct cost){.pool = pool, .n_kinds = n, .kind = kind};
    for (size_t world = 0; world < sweep_worlds(s); world++) {
        const size_t row = world / sweep_folds(s);
        const struct sweep_cell cell = sweep_cell_at(s, row);
        struct kind *k = &kind[kind_of(c, world)];
        k->passes = cost_passes(&cell, pool_plan(pool, row));
        k->left += !pool->there[world] && pool_ours(pool, row) ? 1 : 0;
    }
    *out = c;
    return RC_OK;
}

void cost_close(struct cost **c)
{
    if (*c != NULL) {
        free((*c)->kind);
        free(*c);
        *c = NULL;
    }
}

void cost_finished(struct cost *c, size_t world, double seconds)
{
    struct kind *k = &c->kind[kind_of(c, world)];
    k->seconds += seconds;
    k->n++;
    k->left--;
}

double cost_left(const struct cost *c, size_t jobs)
{
    double seconds = 0.0;
    double passes = 0.0;
    size_t left = 0;
    for (size_t i = 0; i < c->n_kinds; i++) {
        seconds += c->kind[i].seconds;
        passes += c->kind[i].passes * (double)c->kind[i].n;
        left += c->kind[i].left;
    }
    if (!(passes > 0.0)) {
        return (double)NAN;
    }
    double sum = 0.0;
    for (size_t i = 0; i < c->n_kinds; i++) {
        const struct kind *k = &c->kind[i];
        const double each = k->n > 0 ? k->seconds / (double)k->n : k->passes * seconds / passes;
        sum += (double)k->left * each;
    }
    const size_t busy = left < jobs ? left : jobs;
    return busy > 0 ? sum / (double)busy : 0.0;
}
