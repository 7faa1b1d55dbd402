/* Runs of one group under one study: coins, threads, and what is finished from and to the disk. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "sim/attack/attack_internal.h"

static uint64_t mixed(uint64_t seed, const char *what, const struct study *study, uint64_t number)
{
    struct hasher h;
    uint64_t out = 0;
    hasher_init(&h);
    hasher_u64(&h, seed);
    hasher_text(&h, what);
    hasher_u64(&h, (uint64_t)study->privacy.noise);
    hasher_f64(&h, study->privacy.noise_multiplier);
    hasher_u64(&h, number);
    const struct hash digest = hasher_final(&h);
    memcpy(&out, digest.b, sizeof out);
    return out;
}

/* ---- on the disk ------------------------------------------------------------------------------- */

/* The scores of a run, view after view. */
static enum rc kept_open(const struct attack_trials *t, size_t run, struct attack_kept *out,
                         struct error *err)
{
    const size_t bytes = ATTACK_VIEWS * t->n * sizeof(double);
    *out = (struct attack_kept){.key = t->key, .number = run, .data = malloc(bytes), .n = bytes};
    return out->data != NULL ? RC_OK : error_set(err, RC_NOMEM, "no memory for a run's scores");
}

static enum rc load_one(struct attack_archive *from, struct attack_trials *t, size_t run,
                        struct error *err)
{
    struct attack_kept kept = {0};
    bool found = false;
    enum rc rc = kept_open(t, run, &kept, err);
    if (rc == RC_OK) {
        rc = attack_archive_find(from, &kept, &found, err);
    }
    for (size_t v = 0; rc == RC_OK && found && v < ATTACK_VIEWS; v++) {
        memcpy(t->score[v] + run * t->n, (const double *)kept.data + v * t->n,
               t->n * sizeof(double));
    }
    if (rc == RC_OK && found) {
        t->seconds[run] = kept.seconds;
    }
    free(kept.data);
    return rc;
}

static enum rc keep_one(struct attack_archive *in, const struct attack_trials *t, size_t run,
                        struct error *err)
{
    struct attack_kept kept = {0};
    enum rc rc = kept_open(t, run, &kept, err);
    for (size_t v = 0; rc == RC_OK && v < ATTACK_VIEWS; v++) {
        memcpy((double *)kept.data + v * t->n, t->score[v] + run * t->n, t->n * sizeof(double));
    }
    kept.seconds = t->seconds[run];
    rc = rc == RC_OK ? attack_archive_keep(in, &kept, err) : rc;
    free(kept.data);
    return rc;
}

static enum rc load_all(const struct attack_setup *setup, struct attack_trials *t,
                        struct error *err)
{
    const struct attack_origin origin = {.setup = setup,
                                         .what = attack_subject_name(t->group->kind),
                                         .study = t->study,
                                         .seed = t->seed,
                                         .each = t->group->each};
    enum rc rc = attack_archive_begin(setup->archive, &origin, &t->key, err);
    for (size_t run = 0; rc == RC_OK && run < t->runs; run++) {
        rc = load_one(setup->archive, t, run, err);
    }
    return rc;
}

/* ---- opening ----------------------------------------------------------------------------------- */

enum rc attack_trials_open(const struct attack_setup *setup, const struct attack_group *group,
                           const struct study *study, uint64_t number, size_t runs,
                           struct attack_trials *out, struct error *err)
{
    const char *what = group->kind == ATTACK_PATIENT ? "patients" : "canaries";
    struct attack_trials t = {.group = group,
                              .study = study,
                              .seed = mixed(setup->seed, what, study, number),
                              .n = group->n,
                              .runs = runs,
                              .in = calloc(runs * group->n + 1, sizeof *t.in),
                              .seconds = calloc(runs + 1, sizeof *t.seconds)};
    bool room = t.in != NULL && t.seconds != NULL;
    enum rc rc = RC_OK;
    for (size_t v = 0; v < ATTACK_VIEWS; v++) {
        t.score[v] = calloc(runs * t.n + 1, sizeof *t.score[v]);
        room = room && t.score[v] != NULL;
    }
    if (!room) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu runs of an attack", runs);
    }
    for (size_t run = 0; rc == RC_OK && run < runs; run++) {
        struct rng r;
        rng_init(&r, mixed(t.seed, "coins", study, run), "coins");
        for (size_t j = 0; j < t.n; j++) {
            t.in[run * t.n + j] = rng_below(&r, 2) == 1;
        }
        t.seconds[run] = -1.0;
    }
    if (rc == RC_OK && setup->archive != NULL) {
        rc = load_all(setup, &t, err);
    }
    if (rc == RC_OK) {
        *out = t;
        t = (struct attack_trials){0}; /* ownership moved */
    }
    attack_trials_release(&t);
    return rc;
}

size_t attack_trials_missing(const struct attack_trials *t)
{
    size_t n = 0;
    for (size_t run = 0; run < t->runs; run++) {
        n += t->seconds[run] < 0.0 ? 1 : 0;
    }
    return n;
}

double attack_trials_seconds(const struct attack_trials *t)
{
    double sum = 0.0;
    for (size_t run = 0; run < t->runs; run++) {
        sum += t->seconds[run];
    }
    return sum;
}

void attack_trials_release(struct attack_trials *t)
{
    free(t->in);
    free(t->seconds);
    for (size_t v = 0; v < ATTACK_VIEWS; v++) {
        free(t->score[v]);
    }
    *t = (struct attack_trials){0};
}

/* ---- the pool: as in a sweep, each run writes into a place of its own ------------------------------- */

struct pool {
    const struct attack_setup *setup;
    struct attack_trials *t;
    struct attack_count *count;
    pthread_mutex_t lock; /* of all below, of the count and of the archive */
    size_t next;
    bool failed;
    struct error err;
};

static enum rc one_run(const struct pool *p, size_t run, struct error *err)
{
    const struct attack_trials *t = p->t;
    const struct attack_world w = {
        .group = t->group,
        .study = t->study,
        .model = p->setup->model,
        .in = t->in + run * t->n,
        .seed = mixed(t->seed, "noise", t->study, run),
        .known_others = p->setup->params->known_others,
        .update = t->score[ATTACK_UPDATE] + run * t->n,
        .sum = t->score[ATTACK_SUM] + run * t->n,
        .confidence = t->score[ATTACK_MODEL] + run * t->n,
    };
    const int64_t begun = clock_monotonic_ms();
    const enum rc rc = attack_world_run(&w, err);
    t->seconds[run] = (double)(clock_monotonic_ms() - begun) / 1000.0;
    return rc;
}

/* The next run that is missing; all of them if none is. */
static size_t take_next(struct pool *p)
{
    while (p->next < p->t->runs && p->t->seconds[p->next] >= 0.0) {
        p->next++;
    }
    return p->next < p->t->runs ? p->next++ : p->next;
}

static void *work(void *ctx)
{
    struct pool *p = ctx;
    const struct attack_setup *setup = p->setup;
    for (;;) {
        struct error err = {0};
        (void)pthread_mutex_lock(&p->lock);
        const size_t run = p->failed ? p->t->runs : take_next(p);
        (void)pthread_mutex_unlock(&p->lock);
        if (run >= p->t->runs) {
            return NULL;
        }
        enum rc rc = one_run(p, run, &err);
        (void)pthread_mutex_lock(&p->lock);
        if (rc == RC_OK && setup->archive != NULL) {
            rc = keep_one(setup->archive, p->t, run, &err);
        }
        if (rc != RC_OK && !p->failed) {
            p->failed = true;
            p->err = err;
        }
        p->count->done++;
        if (setup->progress != NULL) {
            setup->progress(setup->progress_ctx, p->count->done, p->count->of);
        }
        (void)pthread_mutex_unlock(&p->lock);
    }
}

enum rc attack_trials_train(const struct attack_setup *setup, struct attack_trials *t,
                            struct attack_count *count, struct error *err)
{
    struct pool pool = {.setup = setup, .t = t, .count = count};
    pthread_t thread[ATTACK_JOBS_MAX];
    size_t started = 0;
    assert(setup->jobs >= 1);
    assert(setup->jobs <= ATTACK_JOBS_MAX);
    (void)pthread_mutex_init(&pool.lock, NULL);
    while (started + 1 < setup->jobs && pthread_create(&thread[started], NULL, work, &pool) == 0) {
        started++; /* fewer threads than asked for only take longer */
    }
    (void)work(&pool);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    (void)pthread_mutex_destroy(&pool.lock);
    const enum rc rc = setup->archive != NULL ? attack_archive_settle(setup->archive, err) : RC_OK;
    return pool.failed ? error_set(err, pool.err.rc, "%s", pool.err.text) : rc;
}
