/* From a plan to rows: subjects, runs on threads, scores, rates. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "common/accountant/pld.h"
#include "common/accountant/rdp.h"
#include "common/base/clock.h"
#include "common/base/rng.h"
#include "sim/attack/attack_internal.h"

/* Runs of one group under one study. */
struct runs {
    size_t n, runs;
    bool *in;                    /* [runs, n] */
    double *score[ATTACK_VIEWS]; /* [runs, n]; of the model: confidences */
};

struct attack {
    struct attack_setup setup;
    struct attack_group group[ATTACK_SUBJECTS];
    struct runs reference; /* of ordinary patients, without noise; runs = 0: not made yet */
    size_t done, of;       /* runs of the present cell */
};

const char *attack_view_name(enum attack_view v)
{
    static const char *const name[] = {"update", "sum", "model"};
    return name[v];
}

static enum rc runs_open(size_t n, size_t runs, struct runs *out, struct error *err)
{
    struct runs r = {.n = n, .runs = runs, .in = calloc(runs * n + 1, sizeof(bool))};
    bool room = r.in != NULL;
    for (size_t v = 0; v < ATTACK_VIEWS; v++) {
        r.score[v] = calloc(runs * n + 1, sizeof(double));
        room = room && r.score[v] != NULL;
    }
    *out = r;
    return room ? RC_OK : error_set(err, RC_NOMEM, "no memory for %zu runs of an attack", runs);
}

static void runs_release(struct runs *r)
{
    free(r->in);
    for (size_t v = 0; v < ATTACK_VIEWS; v++) {
        free(r->score[v]);
    }
    *r = (struct runs){0};
}

/* ---- the pool: as in a sweep, each run writes into a place of its own ------------------------------- */

struct pool {
    struct attack *a;
    const struct attack_group *group;
    const struct study *study;
    struct runs *runs;
    uint64_t seed; /* of this pool's coins and noise */
    pthread_mutex_t lock;
    size_t next;
    bool failed;
    struct error err;
};

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

static enum rc one_run(const struct pool *p, size_t run, struct error *err)
{
    const size_t n = p->group->n;
    const struct attack_params *params = p->a->setup.params;
    struct rng r;
    bool *in = p->runs->in + run * n;
    rng_init(&r, mixed(p->seed, "coins", p->study, run), "coins");
    for (size_t j = 0; j < n; j++) {
        in[j] = rng_below(&r, 2) == 1;
    }
    const struct attack_world w = {
        .group = p->group,
        .study = p->study,
        .model = p->a->setup.model,
        .in = in,
        .seed = mixed(p->seed, "noise", p->study, run),
        .known_others = params->known_others,
        .update = p->runs->score[ATTACK_UPDATE] + run * n,
        .sum = p->runs->score[ATTACK_SUM] + run * n,
        .confidence = p->runs->score[ATTACK_MODEL] + run * n,
    };
    return attack_world_run(&w, err);
}

static void *work(void *ctx)
{
    struct pool *p = ctx;
    const struct attack_setup *setup = &p->a->setup;
    for (;;) {
        (void)pthread_mutex_lock(&p->lock);
        const size_t run = p->next;
        const bool stop = p->failed || run >= p->runs->runs;
        p->next += stop ? 0 : 1;
        (void)pthread_mutex_unlock(&p->lock);
        if (stop) {
            return NULL;
        }
        struct error err = {0};
        const enum rc rc = one_run(p, run, &err);
        (void)pthread_mutex_lock(&p->lock);
        if (rc != RC_OK && !p->failed) {
            p->failed = true;
            p->err = err;
        }
        p->a->done++;
        if (setup->progress != NULL) {
            setup->progress(setup->progress_ctx, p->a->done, p->a->of);
        }
        (void)pthread_mutex_unlock(&p->lock);
    }
}

static enum rc run_all(struct attack *a, const struct attack_group *group,
                       const struct study *study, uint64_t seed, struct runs *runs,
                       struct error *err)
{
    struct pool pool = {.a = a, .group = group, .study = study, .runs = runs, .seed = seed};
    pthread_t thread[ATTACK_JOBS_MAX];
    size_t started = 0;
    assert(a->setup.jobs >= 1);
    assert(a->setup.jobs <= ATTACK_JOBS_MAX);
    (void)pthread_mutex_init(&pool.lock, NULL);
    while (started + 1 < a->setup.jobs &&
           pthread_create(&thread[started], NULL, work, &pool) == 0) {
        started++; /* fewer threads than asked for only take longer */
    }
    (void)work(&pool);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    (void)pthread_mutex_destroy(&pool.lock);
    return pool.failed ? error_set(err, pool.err.rc, "%s", pool.err.text) : RC_OK;
}

/* ---- opening ------------------------------------------------------------------------------------ */

/* A model of the study without noise and without any canary says what each is to look like. */
static enum rc make_canaries(struct attack *a, struct error *err)
{
    struct attack_group *g = &a->group[ATTACK_CANARY];
    const struct attack_setup *s = &a->setup;
    real *params = calloc(s->model->table.P + 1, sizeof *params);
    bool *nobody = calloc(g->n + 1, sizeof *nobody);
    enum rc rc = RC_OK;
    if (params == NULL || nobody == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for a pilot run");
    }
    const struct attack_world w = {.group = g,
                                   .study = s->open,
                                   .model = s->model,
                                   .in = nobody,
                                   .seed = s->seed,
                                   .params = params};
    if (rc == RC_OK) {
        rc = attack_world_run(&w, err);
    }
    if (rc == RC_OK) {
        rc = attack_canaries_make(g, s->schema, s->model, params, s->seed, err);
    }
    free(params);
    free(nobody);
    return rc;
}

enum rc attack_open(const struct attack_setup *setup, struct attack **out, struct error *err)
{
    assert(setup->open->privacy.noise == STUDY_NOISE_NONE);
    const struct attack_params *p = setup->params;
    if (setup->schema->n_classes > 0) {
        return error_set(err, RC_INVALID,
                         "attacks are on labels that are yes or no, and this one is one of %zu "
                         "classes",
                         setup->schema->n_classes);
    }
    struct attack *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return error_set(err, RC_NOMEM, "no memory for an attack");
    }
    a->setup = *setup;
    enum rc rc = attack_group_open(setup->open, setup->data, ATTACK_PATIENT, p->patients,
                                   setup->seed, &a->group[ATTACK_PATIENT], err);
    if (rc == RC_OK) {
        rc = attack_group_open(setup->open, setup->data, ATTACK_CANARY, p->canaries, setup->seed,
                               &a->group[ATTACK_CANARY], err);
    }
    if (rc == RC_OK) {
        rc = make_canaries(a, err);
    }
    for (size_t i = 0; rc == RC_OK && i < ATTACK_SUBJECTS; i++) {
        rc = attack_group_ready(&a->group[i], err);
    }
    if (rc == RC_OK) {
        *out = a;
        a = NULL; /* ownership moved */
    }
    attack_close(&a);
    return rc;
}

void attack_close(struct attack **ap)
{
    struct attack *a = *ap;
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < ATTACK_SUBJECTS; i++) {
        attack_group_release(&a->group[i]);
    }
    runs_release(&a->reference);
    free(a);
    *ap = NULL;
}

/* ---- one plan ------------------------------------------------------------------------------------ */

static size_t runs_for(const struct attack *a, enum attack_subject kind, bool open)
{
    const size_t coins = a->group[kind].n;
    const size_t wanted = (a->setup.params->trials + coins - 1) / coins;
    const size_t references = a->setup.params->references;
    return kind == ATTACK_PATIENT && open && wanted < references ? references : wanted;
}

/* The runs without noise are made once: for their own rows, and as references. */
static enum rc need_references(struct attack *a, struct error *err)
{
    const struct attack_group *g = &a->group[ATTACK_PATIENT];
    if (a->reference.runs > 0) {
        return RC_OK;
    }
    struct runs runs = {0};
    enum rc rc = runs_open(g->n, runs_for(a, ATTACK_PATIENT, true), &runs, err);
    if (rc == RC_OK) {
        rc = run_all(a, g, a->setup.open, mixed(a->setup.seed, "patients", a->setup.open, 0), &runs,
                     err);
    }
    if (rc == RC_OK) {
        a->reference = runs;
        runs = (struct runs){0};
    }
    runs_release(&runs);
    return rc;
}

static enum rc bounds_of(const struct study *study, /* as claimed */
                         struct pld **out, struct error *err)
{
    enum { POINTS = 1 << 15 };
    const struct mechanism m = {.q = study->privacy.sample_rate,
                                .sigma = study->privacy.noise_multiplier,
                                .steps = study_steps(study)};
    struct rdp_curve curve = {{0.0}};
    if (study->privacy.noise == STUDY_NOISE_NONE) {
        return RC_OK;
    }
    rdp_compose(&m, 1, &curve);
    return pld_open(&m, 1, &curve, 1e-7, POINTS, out, err);
}

/* Rows of one group. `own` runs are under `study`; models are compared with `references`. */
static enum rc make_rows(const struct attack *a, enum attack_subject kind,
                         const struct study *study, const struct runs *own,
                         const struct runs *references, const struct pld *pld,
                         struct attack_row *row, size_t *n, struct error *err)
{
    const size_t trials = own->runs * own->n;
    const struct attack_runs target = {own->runs, own->n, own->in, own->score[ATTACK_MODEL]};
    const struct attack_runs compare = {references->runs, references->n, references->in,
                                        references->score[ATTACK_MODEL]};
    enum rc rc = RC_OK;
    double *ratio = calloc(trials + 1, sizeof *ratio);
    if (ratio == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu trials", trials);
    }
    rc = attack_lira(&target, &compare, ratio, err);
    for (int v = ATTACK_UPDATE; rc == RC_OK && v < ATTACK_VIEWS; v++) {
        const bool of_model = v == ATTACK_MODEL;
        const double *score = of_model ? ratio : own->score[v];
        struct attack_row r = {.subject = kind,
                               .view = (enum attack_view)v,
                               .noise = study->privacy.noise,
                               .epsilon = study->privacy.noise == STUDY_NOISE_NONE
                                              ? HUGE_VAL
                                              : study->privacy.epsilon,
                               .delta = study->privacy.delta,
                               .references = of_model ? compare.runs - (own == references) : 0,
                               .runs = own->runs,
                               .epsilon_low_gaussian = (double)NAN};
        (void)snprintf(r.method, sizeof r.method, "%s",
                       of_model ? "LiRA, online" : "matched gradients");
        rc = attack_rates(score, own->in, trials, pld, &r, err);
        if (rc == RC_OK && !of_model && pld != NULL && study->privacy.sample_rate >= 1.0 &&
            a->group[kind].each == 1) {
            rc = attack_audit_gaussian(score, own->in, trials, r.delta, &r.epsilon_low_gaussian,
                                       err);
        }
        if (rc == RC_OK) {
            row[(*n)++] = r;
        }
    }
    free(ratio);
    return rc;
}

enum rc attack_cell_against(struct attack *a, const struct study *study,
                            const struct study *claimed, struct attack_row row[ATTACK_ROWS_MAX],
                            size_t *n, struct error *err)
{
    const bool open = study->privacy.noise == STUDY_NOISE_NONE;
    struct runs patients = {0};
    struct runs canaries = {0};
    struct pld *pld = NULL;
    size_t rows = 0;
    const int64_t begun = clock_monotonic_ms();
    if (study->privacy.noise == STUDY_NOISE_SHARED) {
        return error_set(err, RC_INVALID,
                         "attacks do not read updates with shared noise yet: leave `noise: shared` "
                         "away, or say `noise: site`");
    }
    const size_t n_patients = runs_for(a, ATTACK_PATIENT, open);
    const size_t n_canaries = runs_for(a, ATTACK_CANARY, open);
    a->done = 0;
    a->of = n_canaries + (open ? 0 : n_patients) +
            (a->reference.runs > 0 ? 0 : runs_for(a, ATTACK_PATIENT, true));

    enum rc rc = bounds_of(claimed, &pld, err);
    if (rc == RC_OK) {
        rc = need_references(a, err);
    }
    if (rc == RC_OK && !open) {
        rc = runs_open(a->group[ATTACK_PATIENT].n, n_patients, &patients, err);
        if (rc == RC_OK) {
            rc = run_all(a, &a->group[ATTACK_PATIENT], study,
                         mixed(a->setup.seed, "patients", study, 1), &patients, err);
        }
    }
    if (rc == RC_OK) {
        rc = make_rows(a, ATTACK_PATIENT, study, open ? &a->reference : &patients, &a->reference,
                       pld, row, &rows, err);
    }
    if (rc == RC_OK) {
        rc = runs_open(a->group[ATTACK_CANARY].n, n_canaries, &canaries, err);
    }
    if (rc == RC_OK) {
        rc = run_all(a, &a->group[ATTACK_CANARY], study, mixed(a->setup.seed, "canaries", study, 2),
                     &canaries, err);
    }
    if (rc == RC_OK) {
        rc = make_rows(a, ATTACK_CANARY, study, &canaries, &canaries, pld, row, &rows, err);
    }
    const double seconds = (double)(clock_monotonic_ms() - begun) / 1000.0;
    for (size_t i = 0; i < rows; i++) {
        row[i].seconds = seconds;
    }
    if (rc == RC_OK) {
        *n = rows;
    }
    runs_release(&patients);
    runs_release(&canaries);
    pld_close(&pld);
    return rc;
}

enum rc attack_cell(struct attack *a, const struct study *study,
                    struct attack_row row[ATTACK_ROWS_MAX], size_t *n, struct error *err)
{
    return attack_cell_against(a, study, study, row, n, err);
}
