/* One run: rounds as the programs train and merge them, and what a coordinator sees of each. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/train/train.h"
#include "aggregator/merge/merge.h"
#include "common/base/replay.h"
#include "common/broadcast/broadcast.h"
#include "common/checkpoint/checkpoint.h"
#include "common/kernel/product.h"
#include "common/update/update.h"
#include "sim/attack/attack_internal.h"

/* A hospital, and the attacker's idea of it. */
struct site {
    struct dataset *data; /* owned: of this run */
    unsigned char *state; /* owned: as the ledger keeps it; NULL before the first round */
    size_t state_bytes;
    unsigned char *guessed; /* the same of the hospital without its subjects */
    size_t guessed_bytes;
    struct attack_detector detector;
};

struct run {
    const struct attack_world *w;
    struct study guess; /* the study without noise, as an attacker computes what to expect */
    struct site *site;  /* [n_sites] */
    struct merge *merge;
    unsigned char *server;
    size_t server_bytes;
    struct train_room *room;
    struct attack_gradient *gradient;
    real *model;              /* [P] global, own numbers as they begin */
    real *sent;               /* [P] the same as the round's sites got it (common/broadcast) */
    void *packed;             /* on its way */
    double *sum;              /* [P] scratch of a gradient */
    uint32_t *ring;           /* [S] */
    double *change, *without; /* [S] mean change of a site: seen; expected without its subjects */
    real *seen, *total;       /* [S] what is left of one update, of all, in units of gradients */
    real *h;                  /* [n, S] what each subject would add */
    real *turned, *gram;      /* [S, n], [n, n] */
    real *match;              /* [n] */
    struct attack_detector all;
};

static bool observed(const struct attack_world *w)
{
    return w->update != NULL || w->sum != NULL;
}

static bool open_coins(const struct attack_world *w)
{
    return w->study->privacy.noise == STUDY_NOISE_NONE;
}

static bool linear(const struct attack_world *w)
{
    return w->study->local.optimiser == STUDY_SGD;
}

/* What others do is subtracted where an attacker can compute it: without noise coins are public; with it
 * the mean over secret ones will do if a step is linear in the sampled sum. */
static bool subtracts(const struct attack_world *w)
{
    return observed(w) && (open_coins(w) || (w->known_others && linear(w)));
}

static enum rc reserve(struct run *k, struct error *err)
{
    const struct attack_world *w = k->w;
    const size_t P = w->model->table.P;
    const size_t S = w->model->table.S;
    const size_t n = observed(w) ? w->group->n : 0;
    k->server_bytes = merge_state_bytes(w->study, S);
    k->site = calloc(w->study->n_sites, sizeof *k->site);
    k->server = calloc(k->server_bytes + 1, 1);
    k->model = calloc(P + 1, sizeof *k->model);
    k->sent = calloc(P + 1, sizeof *k->sent);
    k->packed = malloc(broadcast_bytes(w->study, S) + 1);
    k->sum = calloc(P + 1, sizeof *k->sum);
    k->ring = calloc(S + 1, sizeof *k->ring);
    k->change = calloc(S + 1, sizeof *k->change);
    k->without = calloc(S + 1, sizeof *k->without);
    k->seen = calloc(S + 1, sizeof *k->seen);
    k->total = calloc(S + 1, sizeof *k->total);
    k->h = calloc(n * S + 1, sizeof *k->h);
    k->turned = calloc(n * S + 1, sizeof *k->turned);
    k->gram = calloc(n * n + 1, sizeof *k->gram);
    k->match = calloc(n + 1, sizeof *k->match);
    if (k->site == NULL || k->server == NULL || k->model == NULL || k->sent == NULL ||
        k->packed == NULL || k->sum == NULL || k->ring == NULL || k->change == NULL ||
        k->without == NULL || k->seen == NULL || k->total == NULL || k->h == NULL ||
        k->turned == NULL || k->gram == NULL || k->match == NULL) {
        return error_set(err, RC_NOMEM, "no memory for an attacked federation of %zu sites",
                         w->study->n_sites);
    }
    return RC_OK;
}

static enum rc open_run(struct run *k, struct error *err)
{
    const struct attack_world *w = k->w;
    enum rc rc = reserve(k, err);
    for (size_t i = 0; rc == RC_OK && i < w->study->n_sites; i++) {
        rc = attack_group_pick(w->group, w->study, i, w->in, &k->site[i].data, err);
        if (rc == RC_OK && observed(w)) {
            rc = attack_detector_open(w->group->each, &k->site[i].detector, err);
        }
    }
    if (rc == RC_OK && observed(w)) {
        rc = attack_detector_open(w->group->n, &k->all, err);
    }
    if (rc == RC_OK) {
        rc = attack_gradient_open(w->model, &k->gradient, err);
    }
    if (rc == RC_OK) {
        rc = train_room_open(w->model, w->study->local.physical_batch, 1, &k->room, err);
    }
    if (rc == RC_OK) {
        rc = merge_open(w->study, w->model->span, w->model->table.S, &k->merge, err);
    }
    if (rc == RC_OK) {
        rc = checkpoint_first(w->study, w->model, k->model, err);
    }
    if (rc == RC_OK) {
        memcpy(k->sent, k->model, w->model->table.P * sizeof *k->sent);
    }
    if (rc == RC_OK) {
        rc = study_copy(w->study, &k->guess, err);
    }
    if (rc == RC_OK && w->study->privacy.noise != STUDY_NOISE_NONE) {
        k->guess.privacy.noise = STUDY_NOISE_NONE;
        k->guess.privacy.noise_multiplier = 0.0;
        k->guess.privacy.sample_rate = 1.0; /* the mean over secret coins */
    }
    return rc;
}

static void close_run(struct run *k)
{
    for (size_t i = 0; k->site != NULL && i < k->w->study->n_sites; i++) {
        dataset_close(&k->site[i].data);
        free(k->site[i].state);
        free(k->site[i].guessed);
        attack_detector_release(&k->site[i].detector);
    }
    attack_detector_release(&k->all);
    attack_gradient_close(&k->gradient);
    train_room_close(&k->room);
    merge_close(&k->merge);
    study_release(&k->guess);
    free(k->site);
    free(k->server);
    free(k->model);
    free(k->sent);
    free(k->packed);
    free(k->sum);
    free(k->ring);
    free(k->change);
    free(k->without);
    free(k->seen);
    free(k->total);
    free(k->h);
    free(k->turned);
    free(k->gram);
    free(k->match);
}

/* ---- training ---------------------------------------------------------------------------------- */

/* One round of one hospital by `study`; *state becomes the new one. */
static enum rc train(struct run *k, const struct study *study, const struct dataset *data,
                     size_t site, uint64_t round, unsigned char **state, size_t *state_bytes,
                     struct train_result *out, struct error *err)
{
    char stream[128];
    struct entropy entropy;
    const struct train_job job = {.study = study,
                                  .model = k->w->model,
                                  .data = data,
                                  .site = site,
                                  .round = round,
                                  .global = k->sent,
                                  .site_state = *state,
                                  .site_state_bytes = *state_bytes,
                                  .room = k->room};
    /* the stream that sim/fleet draws a site's noise from */
    (void)snprintf(stream, sizeof stream, "site %s round %llu life 0", study->site[site].name,
                   (unsigned long long)round);
    replay_init(&entropy, k->w->seed, stream);
    const enum rc rc = train_round(&job, &entropy, out, err);
    entropy_release(&entropy);
    if (rc == RC_OK) {
        free(*state);
        *state = out->site_state;
        *state_bytes = out->site_state_bytes;
        out->site_state = NULL; /* ownership moved */
    }
    return rc;
}

/* The mean change of the shared numbers that an update says. */
static enum rc read_update(struct run *k, const struct train_result *r, size_t site, double *change,
                           struct error *err)
{
    const struct study *s = k->w->study;
    const size_t S = k->w->model->table.S;
    memset(k->ring, 0, S * sizeof *k->ring);
    const enum rc rc = update_add(k->ring, S, r->update, r->update_bytes, err);
    if (rc == RC_OK) {
        update_decode(k->ring, S, study_weight(s, site), s->fraction_bits, change);
    }
    return rc;
}

/* ---- what is seen of a round -------------------------------------------------------------------- */

static void keep(struct run *k, size_t subject, size_t i, double x)
{
    k->h[subject * k->w->model->table.S + i] = (real)x;
    k->turned[i * k->w->group->n + subject] = (real)x;
}

/* From a mean change of the model to the sampled sum of gradients behind it. */
static double unit(const struct study *s, size_t site, uint64_t round)
{
    double rate = 0.0;
    for (size_t step = 0; step < s->local.steps; step++) {
        rate += study_rate(s, round, step) / (double)s->local.steps;
    }
    return -s->privacy.sample_rate * (double)s->site[site].nominal / rate;
}

/* Without noise it is known when each subject is sampled, and what it adds is what training on it alone
 * does. */
static enum rc expect_openly(struct run *k, size_t site, uint64_t round, struct error *err)
{
    const struct attack_group *g = k->w->group;
    const double scale = unit(k->w->study, site, round);
    enum rc rc = RC_OK;
    for (size_t j = site * g->each; rc == RC_OK && j < (site + 1) * g->each; j++) {
        struct train_result r = {0};
        unsigned char *state = NULL;
        size_t state_bytes = 0;
        rc = train(k, k->w->study, g->alone[j], site, round, &state, &state_bytes, &r, err);
        if (rc == RC_OK) {
            rc = read_update(k, &r, site, k->without, err);
        }
        for (size_t i = 0; rc == RC_OK && i < k->w->model->table.S; i++) {
            keep(k, j, i, scale * k->without[i]);
        }
        free(state);
        train_result_release(&r);
    }
    return rc;
}

/* What each subject of a site would add to the sampled sums of a round: its clipped gradient at the round's
 * first model, as often as it is sampled on average. */
static enum rc expect(struct run *k, size_t site, uint64_t round, struct error *err)
{
    if (open_coins(k->w) && linear(k->w)) {
        return expect_openly(k, site, round, err);
    }
    const struct attack_world *w = k->w;
    const struct attack_group *g = w->group;
    const size_t P = w->model->table.P;
    const size_t S = w->model->table.S;
    const double often = w->study->privacy.sample_rate * (double)w->study->local.steps;
    for (size_t j = site * g->each; j < (site + 1) * g->each; j++) {
        const size_t p = g->patient[j];
        const size_t first = g->data->first_row[p];
        const size_t rows = g->data->first_row[p + 1] - first;
        memset(k->sum, 0, P * sizeof *k->sum);
        for (size_t row = first; row < first + rows; row++) {
            const enum rc rc = attack_gradient_add(k->gradient, g->data, row, p, k->sent,
                                                   w->study->privacy.clip, k->sum, err);
            if (rc != RC_OK) {
                return rc;
            }
        }
        for (size_t i = 0; i < S; i++) {
            keep(k, j, i, often / (double)rows * k->sum[i]);
        }
    }
    return RC_OK;
}

/* A site's change, less what is expected of the others, as a sum of gradients. */
static enum rc look(struct run *k, size_t site, uint64_t round, struct error *err)
{
    const struct attack_world *w = k->w;
    const struct study *s = w->study;
    const size_t S = w->model->table.S;
    const double scale = unit(s, site, round);
    memset(k->without, 0, S * sizeof *k->without);
    if (subtracts(w)) {
        struct site *of = &k->site[site];
        struct train_result r = {0};
        enum rc rc = train(k, &k->guess, w->group->others[site], site, round, &of->guessed,
                           &of->guessed_bytes, &r, err);
        if (rc == RC_OK) {
            rc = read_update(k, &r, site, k->without, err);
        }
        train_result_release(&r);
        if (rc != RC_OK) {
            return rc;
        }
    }
    for (size_t i = 0; i < S; i++) {
        k->seen[i] = (real)(scale * (k->change[i] - k->without[i]));
        k->total[i] += k->seen[i];
    }
    return RC_OK;
}

static void match(const struct run *k, const real *seen, size_t from, size_t n, double *to)
{
    const size_t S = k->w->model->table.S;
    products_forward(k->match, k->h + from * S, seen, 1, n, 1, S);
    for (size_t j = 0; j < n; j++) {
        to[j] += (double)k->match[j];
    }
}

static void add_grams(struct run *k)
{
    const struct attack_group *g = k->w->group;
    products_forward(k->gram, k->h, k->turned, 1, g->n, g->n, k->w->model->table.S);
    for (size_t i = 0; i < g->n; i++) {
        double *own = k->site[i / g->each].detector.gram + i % g->each * g->each;
        for (size_t j = 0; j < g->n; j++) {
            const double x = (double)k->gram[i * g->n + j];
            k->all.gram[i * g->n + j] += x;
            if (i / g->each == j / g->each) {
                own[j % g->each] += x;
            }
        }
    }
}

/* ---- rounds ------------------------------------------------------------------------------------- */

static enum rc one_site(struct run *k, size_t i, uint64_t round, unsigned char **update, size_t *n,
                        struct error *err)
{
    const struct attack_world *w = k->w;
    struct site *site = &k->site[i];
    struct train_result r = {0};
    enum rc rc =
        train(k, w->study, site->data, i, round, &site->state, &site->state_bytes, &r, err);
    if (rc == RC_OK) {
        rc = merge_add(k->merge, i, r.update, r.update_bytes, err);
    }
    if (rc == RC_OK && observed(w)) {
        rc = read_update(k, &r, i, k->change, err);
        if (rc == RC_OK) {
            rc = expect(k, i, round, err);
        }
        if (rc == RC_OK) {
            rc = look(k, i, round, err);
        }
        if (rc == RC_OK) {
            match(k, k->seen, i * w->group->each, w->group->each, site->detector.match);
        }
    }
    *update = r.update;
    *n = r.update_bytes;
    r.update = NULL; /* ownership moved */
    train_result_release(&r);
    return rc;
}

/* What the sites of a round train on. */
static enum rc broadcast(struct run *k, struct error *err)
{
    const struct study *s = k->w->study;
    const size_t S = k->w->model->table.S;
    const enum rc rc = broadcast_pack(s, k->model, S, k->packed, err);
    return rc == RC_OK ? broadcast_unpack(s, k->packed, S, k->sent, err) : rc;
}

static enum rc one_round(struct run *k, uint64_t round, struct error *err)
{
    const struct attack_world *w = k->w;
    const size_t n = w->study->n_sites;
    enum rc rc = broadcast(k, err);
    unsigned char **update = calloc(n, sizeof(unsigned char *));
    size_t *bytes = calloc(n, sizeof *bytes);
    if (update == NULL || bytes == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for the updates of %zu sites", n);
        goto out;
    }
    if (rc != RC_OK) {
        goto out;
    }
    memset(k->total, 0, w->model->table.S * sizeof *k->total);
    merge_restart(k->merge);
    for (size_t i = 0; i < n; i++) {
        rc = one_site(k, i, round, &update[i], &bytes[i], err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    if (observed(w)) {
        add_grams(k);
        match(k, k->total, 0, w->group->n, k->all.match);
    }
    while (merge_again(k->merge)) { /* a robust mean looks again */
        for (size_t i = 0; i < n; i++) {
            rc = merge_add(k->merge, i, update[i], bytes[i], err);
            if (rc != RC_OK) {
                goto out;
            }
        }
    }
    rc = merge_finish(k->merge, round, k->model, k->server, k->server_bytes, err);
out:
    for (size_t i = 0; update != NULL && i < n; i++) {
        free(update[i]);
    }
    free(update);
    free(bytes);
    return rc;
}

/* ---- the end ------------------------------------------------------------------------------------ */

/* log p / (1 - p) of a subject's own label, the mean of its rows. */
static enum rc confidences(const struct run *k, struct error *err)
{
    static const double SMALLEST = 1e-12;
    const struct attack_group *g = k->w->group;
    const struct dataset *d = g->data;
    enum rc rc = RC_OK;
    size_t n = 0;
    size_t *row = calloc(d->n_rows + 1, sizeof *row);
    size_t *who = calloc(d->n_rows + 1, sizeof *who);
    double *probability = calloc(d->n_rows + 1, sizeof *probability);
    if (row == NULL || who == NULL || probability == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for the scores of %zu subjects", g->n);
        goto out;
    }
    for (size_t j = 0; j < g->n; j++) {
        for (size_t i = d->first_row[g->patient[j]]; i < d->first_row[g->patient[j] + 1]; i++) {
            row[n] = i;
            who[n++] = g->patient[j];
        }
    }
    rc = train_score(k->w->model, k->model, d, row, who, n, probability, err);
    if (rc != RC_OK) {
        goto out;
    }
    n = 0;
    for (size_t j = 0; j < g->n; j++) {
        const size_t p = g->patient[j];
        const size_t rows = d->first_row[p + 1] - d->first_row[p];
        double logit = 0.0;
        for (size_t i = 0; i < rows; i++) {
            const double x = fmin(fmax(probability[n++], SMALLEST), 1.0 - SMALLEST);
            logit += log(x / (1.0 - x)) / (double)rows;
        }
        k->w->confidence[j] = d->label[p] > 0.5f ? logit : -logit;
    }
out:
    free(row);
    free(who);
    free(probability);
    return rc;
}

static enum rc guess(const struct run *k, struct error *err)
{
    const struct attack_world *w = k->w;
    const struct study_privacy *dp = &w->study->privacy;
    const size_t each = w->group->each;
    const double deviation = dp->noise_multiplier * dp->clip;
    const double variance = deviation * deviation * (double)w->study->local.steps; /* of a round */
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && w->update != NULL && i < w->study->n_sites; i++) {
        rc = attack_detector_guess(&k->site[i].detector, variance, w->update + i * each, err);
    }
    if (rc == RC_OK && w->sum != NULL) {
        rc = attack_detector_guess(&k->all, variance * (double)w->study->n_sites, w->sum, err);
    }
    return rc;
}

enum rc attack_world_run(const struct attack_world *w, struct error *err)
{
    struct run k = {.w = w};
    enum rc rc = open_run(&k, err);
    for (uint64_t round = 1; rc == RC_OK && round <= w->study->rounds; round++) {
        rc = one_round(&k, round, err);
    }
    if (rc == RC_OK && observed(w)) {
        rc = guess(&k, err);
    }
    if (rc == RC_OK && w->confidence != NULL) {
        rc = confidences(&k, err);
    }
    if (rc == RC_OK && w->params != NULL) {
        memcpy(w->params, k.model, w->model->table.P * sizeof *k.model);
    }
    close_run(&k);
    return rc;
}
