#include "agent/train/train.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/train/release.h"
#include "agent/train/room_internal.h"
#include "agent/train/state_internal.h"
#include "common/base/rng.h"
#include "common/update/update.h"

/* Everything of one round: arrays of the round arena. */
struct round_work {
    struct arena *round;            /* of the room, and kept by it */
    struct train_room *room, *made; /* made: of this round alone */
    double *w;                      /* [P] local parameters */
    double *start;                  /* [S] where the round began */
    double *sum;                    /* [P] clipped sum of a step */
    double *mean;                   /* [P] what is released of it */
    real *params;                   /* [P] what the tapes read */
    struct optimiser optimiser;
    size_t *row, *who; /* [n_patients] the step's sample */
};

static enum rc reserve(struct round_work *k, const struct train_job *job, struct error *err)
{
    const size_t P = job->model->table.P;
    const size_t S = job->model->table.S;
    const size_t n = job->data->n_patients;
    enum rc rc = RC_OK;

    k->room = job->room;
    if (k->room == NULL) {
        rc = train_room_open(job->model, job->study->local.physical_batch,
                             job->threads == 0 ? 1 : job->threads, &k->made, err);
        k->room = k->made;
    }
    if (rc != RC_OK) {
        return rc;
    }
    rc = room_arrays(k->room,
                     5 * arena_cost(P, sizeof(double)) + arena_cost(S, sizeof(double)) +
                         arena_cost(P, sizeof(real)) + 2 * arena_cost(n, sizeof(size_t)),
                     &k->round, err);
    if (rc != RC_OK) {
        return rc;
    }
    k->w = arena_take(k->round, P, sizeof(double));
    k->sum = arena_take(k->round, P, sizeof(double));
    k->mean = arena_take(k->round, P, sizeof(double));
    k->optimiser.m = arena_take(k->round, P, sizeof(double));
    k->optimiser.v = arena_take(k->round, P, sizeof(double));
    k->start = arena_take(k->round, S, sizeof(double));
    k->params = arena_take(k->round, P, sizeof(real));
    k->row = arena_take(k->round, n, sizeof(size_t));
    k->who = arena_take(k->round, n, sizeof(size_t));
    return RC_OK;
}

static void work_release(struct round_work *k)
{
    if (k->room != NULL && k->made == NULL) {
        room_wipe(k->room);
    }
    train_room_close(&k->made); /* wipes it, too */
    *k = (struct round_work){0};
}

/* Global shared parameters; own ones from the stored state, or as they begin. */
static enum rc begin(struct round_work *k, const struct train_job *job, struct error *err)
{
    const struct param_table *table = &job->model->table;
    const bool own = table->P > table->S && job->site_state == NULL;
    if (own) { /* draws every parameter: half of a round's time where there are many and few patients */
        param_init_values(table, job->study->seed, k->params);
    }
    for (size_t i = 0; i < table->S; i++) {
        k->w[i] = (double)job->global[i];
    }
    for (size_t i = table->S; own && i < table->P; i++) {
        k->w[i] = (double)k->params[i];
    }
    memcpy(k->start, k->w, table->S * sizeof *k->start);
    if (job->site_state == NULL) {
        return RC_OK;
    }
    return state_read(job->model, &job->study->local, job->site_state, job->site_state_bytes, k->w,
                      &k->optimiser, err);
}

/* Secret coins at finite epsilon; from the public seed without noise, so that runs repeat. */
static struct coin_key coins(const struct train_job *job, struct entropy *entropy)
{
    struct coin_key key;
    if (job->study->privacy.noise != STUDY_NOISE_NONE) {
        entropy_bytes(entropy, key.b, sizeof key.b);
        return key;
    }
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "public coins");
    hasher_u64(&h, job->study->seed);
    hasher_text(&h, job->study->site[job->site].name);
    hasher_u64(&h, job->round);
    const struct hash digest = hasher_final(&h);
    memcpy(key.b, digest.b, sizeof key.b);
    return key;
}

/* Secret where the sampler's are. */
static uint64_t coins_of_dropout(const struct coin_key *key, uint64_t step)
{
    struct hasher h;
    uint64_t seed = 0;
    hasher_init_keyed(&h, key->b);
    hasher_text(&h, "dropout");
    hasher_u64(&h, step);
    const struct hash digest = hasher_final(&h);
    memcpy(&seed, digest.b, sizeof seed);
    return seed;
}

/* FedProx, mu (w - w_global): of released numbers alone, so it follows the noise and takes no room
 * under the clip bound (Li et al. 2020, eq. 2). A site's own parameters have no global ones. */
static void pull(struct round_work *k, double mu, size_t S)
{
    for (size_t i = 0; mu > 0.0 && i < S; i++) {
        k->mean[i] += mu * (k->w[i] - k->start[i]);
    }
}

/* Of those drawn, the ones that may be trained on: the others are as if they had never been here. */
static size_t trained_on(const struct study *study, const struct dataset *d, size_t *row,
                         size_t *who, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!study_holds_out(study, &d->patient[who[i]])) {
            row[kept] = row[i];
            who[kept] = who[i];
            kept++;
        }
    }
    return kept;
}

/* One step: sample, clipped sum, noise, mean by a public divisor, optimiser. */
static enum rc step(struct round_work *k, const struct train_job *job, const struct coin_key *key,
                    uint64_t number, struct entropy *entropy, struct train_result *r,
                    struct error *err)
{
    struct train_report *report = &r->report;
    const struct study_privacy *dp = &job->study->privacy;
    const struct study_local *local = &job->study->local;
    const struct dataset *d = job->data;
    const size_t P = job->model->table.P;

    const size_t drawn = sampler_draw(key, number, dp->sample_rate, d->patient, d->first_row,
                                      d->n_patients, k->row, k->who);
    const size_t n = trained_on(job->study, d, k->row, k->who, drawn);
    for (size_t i = 0; i < P; i++) {
        k->params[i] = (real)k->w[i];
        k->sum[i] = 0.0;
    }
    const struct room_sample sample = {
        .data = d, .row = k->row, .who = k->who, .n = n, .coins = coins_of_dropout(key, number)};
    enum rc rc = room_clipped_sum(k->room, &sample, k->params, dp->clip, k->sum, report, err);
    if (rc != RC_OK) {
        return rc;
    }
    report->empty_steps += n == 0; /* a noise-only step, like any other */

    const double divisor = dp->sample_rate * (double)job->study->site[job->site].nominal;
    if (dp->noise == STUDY_NOISE_SHARED) {
        rc = release_share(&job->model->table, job->study, job->site, k->sum, entropy, r->update,
                           k->mean, err);
    } else {
        rc = release_mean(&job->model->table, dp, divisor, k->sum, entropy, k->mean, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    pull(k, local->proximal, job->model->table.S);
    optimiser_step(&k->optimiser, local, study_rate(job->study, job->round, (size_t)number),
                   &job->model->table, k->mean, k->w);
    return RC_OK;
}

static enum rc begin_result(const struct train_job *job, struct train_result *r, struct error *err)
{
    r->update_bytes = update_bytes(job->model->table.S);
    r->site_state_bytes = state_bytes(job->model, &job->study->local);
    r->update = malloc(r->update_bytes + 1);
    r->site_state = malloc(r->site_state_bytes);
    return r->update != NULL && r->site_state != NULL
               ? RC_OK
               : error_set(err, RC_NOMEM, "no memory for an update of %zu bytes", r->update_bytes);
}

static enum rc finish(struct round_work *k, const struct train_job *job, struct train_result *r,
                      struct error *err)
{
    const size_t S = job->model->table.S;
    state_write(job->model, &job->study->local, k->w, &k->optimiser, r->site_state);
    if (job->study->privacy.noise == STUDY_NOISE_SHARED) {
        return RC_OK; /* the step has written what goes into the sum */
    }
    for (size_t i = 0; i < S; i++) {
        k->mean[i] = k->w[i] - k->start[i];
    }
    for (size_t b = 0; b < job->study->model.n_lacked; b++) { /* noise alone: no weight there */
        const struct study_span *span = &job->model->span[b];
        for (size_t i = span->first; study_lacks(job->study, job->site, b) && i < span->end; i++) {
            k->mean[i] = 0.0;
        }
    }
    return update_encode(k->mean, S, study_weight(job->study, job->site), job->study->fraction_bits,
                         r->update, err);
}

enum rc train_round(const struct train_job *job, struct entropy *entropy, struct train_result *out,
                    struct error *err)
{
    assert(job->site < job->study->n_sites);
    assert(job->round >= 1);
    assert(job->study->privacy.noise != STUDY_NOISE_SHARED || job->study->local.steps == 1);
    assert(job->data->n_values == job->model->layout.n_values);
    assert(job->data->n_codes == job->model->layout.n_codes);
    assert(job->room == NULL || room_fits(job->room, job->model, job->study->local.physical_batch));
    struct round_work k = {0};
    struct train_result r = {0};
    struct coin_key key = {{0}};
    enum rc rc;

    rc = reserve(&k, job, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = begin(&k, job, err);
    if (rc == RC_OK) {
        rc = begin_result(job, &r, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    key = coins(job, entropy);
    for (size_t s = 0; s < job->study->local.steps; s++) {
        if (job->go_on != NULL && !job->go_on(job->go_on_ctx, s, job->study->local.steps)) {
            rc = error_set(err, RC_STATE, "training was cancelled");
            goto out;
        }
        rc = step(&k, job, &key, s, entropy, &r, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    if (r.report.counts.samples > 0) {
        r.report.loss /= (double)r.report.counts.samples;
    }
    rc = finish(&k, job, &r, err);
    if (rc != RC_OK) {
        goto out;
    }
    *out = r;
    r = (struct train_result){0}; /* ownership moved */
out:
    if (rc != RC_OK) {
        rc = error_context(err, "training round %llu", (unsigned long long)job->round);
    }
    hash_wipe(key.b, sizeof key.b);
    train_result_release(&r);
    work_release(&k);
    return rc;
}

void train_result_release(struct train_result *r)
{
    if (r->update != NULL) {
        hash_wipe(r->update, r->update_bytes); /* with shared noise a part of a sum is a secret */
    }
    free(r->update);
    free(r->site_state);
    *r = (struct train_result){0};
}

enum rc train_parameters(const struct model *model, const struct study *study, const real *global,
                         const void *site_state, size_t site_state_bytes, real *params,
                         struct error *err)
{
    const size_t P = model->table.P;
    const size_t S = model->table.S;
    if (P > S) {
        param_init_values(&model->table, study->seed, params);
    }
    memcpy(params, global, S * sizeof *params);
    if (site_state == NULL || P == S) {
        return RC_OK;
    }
    struct arena scratch = {0};
    enum rc rc = arena_init(&scratch, 3 * arena_cost(P, sizeof(double)), err);
    if (rc == RC_OK) {
        double *w = arena_take(&scratch, P, sizeof *w);
        struct optimiser o = {.m = arena_take(&scratch, P, sizeof(double)),
                              .v = arena_take(&scratch, P, sizeof(double))};
        rc = state_read(model, &study->local, site_state, site_state_bytes, w, &o, err);
        for (size_t i = S; rc == RC_OK && i < P; i++) {
            params[i] = (real)w[i];
        }
    }
    arena_release(&scratch);
    return rc;
}
