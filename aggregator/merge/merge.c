#include "aggregator/merge/merge.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/merge/robust_internal.h"
#include "common/update/update.h"

enum { WINDOW_BYTES = 64 << 20 }; /* of what a robust mean looks at in one go */

/* The server's state as bytes, on one machine: f64 m[S] | f64 v[S], with FedAdam and FedYogi, or
 * f64 m[S] with FedAvgM; then f64 sum of iterates[S], where they are averaged. Plain FedAvg remembers
 * nothing, and a robust mean is made anew of each round's updates. */
static size_t moments_of(const struct study *s)
{
    switch (s->server.rule) {
    case STUDY_FEDADAM:
    case STUDY_FEDYOGI:
        return 2;
    case STUDY_FEDAVGM:
        return 1;
    case STUDY_FEDAVG:
        break;
    }
    return 0;
}

static size_t parts_of(const struct study *s)
{
    return moments_of(s) + (s->server.average_iterates ? 1 : 0);
}

struct merge {
    const struct study *study; /* borrowed */
    size_t S;
    double weight;                            /* of the sites added */
    struct study_span span[STUDY_BLOCKS_MAX]; /* [model.n_lacked] */
    double having[STUDY_BLOCKS_MAX];          /* weight of those of them that have the modality */
    bool *added;                              /* [n_sites] */
    uint32_t *sum;                            /* [S], or NULL with: */
    struct robust *robust;
};

size_t merge_state_bytes(const struct study *study, size_t S)
{
    return parts_of(study) * S * sizeof(double);
}

enum rc merge_open(const struct study *study, const struct study_span *span, size_t S,
                   struct merge **out, struct error *err)
{
    const bool robust = study->server.combine != STUDY_MEAN;
    struct merge *m = calloc(1, sizeof *m);
    if (m != NULL) {
        *m = (struct merge){.study = study,
                            .S = S,
                            .added = calloc(study->n_sites, sizeof *m->added),
                            .sum = robust ? NULL : calloc(S + 1, sizeof *m->sum)};
    }
    if (m == NULL || m->added == NULL || (!robust && m->sum == NULL)) {
        merge_close(&m);
        return error_set(err, RC_NOMEM, "no memory to merge %zu parameters", S);
    }
    for (size_t k = 0; k < study->model.n_lacked; k++) {
        assert(span[k].end <= S);
        m->span[k] = span[k];
    }
    const enum rc rc =
        robust ? robust_open(study, m->span, S, WINDOW_BYTES, &m->robust, err) : RC_OK;
    if (rc != RC_OK) {
        merge_close(&m);
        return rc;
    }
    *out = m;
    return RC_OK;
}

void merge_close(struct merge **m)
{
    if (*m != NULL) {
        free((*m)->added);
        free((*m)->sum);
        robust_close(&(*m)->robust);
        free(*m);
        *m = NULL;
    }
}

static void forget_sites(struct merge *m)
{
    m->weight = 0.0;
    for (size_t k = 0; k < STUDY_BLOCKS_MAX; k++) {
        m->having[k] = 0.0;
    }
    memset(m->added, 0, m->study->n_sites * sizeof *m->added);
}

void merge_restart(struct merge *m)
{
    forget_sites(m);
    if (m->robust != NULL) {
        robust_restart(m->robust);
    } else {
        memset(m->sum, 0, m->S * sizeof *m->sum);
    }
}

bool merge_again(struct merge *m)
{
    if (m->robust == NULL || !robust_next(m->robust)) {
        return false;
    }
    forget_sites(m);
    return true;
}

void merge_unmask(struct merge *m, const struct mask_stream *stream, size_t count)
{
    assert(m->robust == NULL);
    mask_apply(m->sum, m->S, 0, stream, count);
}

/* Of the right length. */
static RC take(struct merge *m, size_t site, const void *update, size_t bytes, struct error *err)
{
    if (m->robust == NULL) {
        return update_add(m->sum, m->S, update, bytes, err);
    }
    if (bytes != update_bytes(m->S)) {
        return error_set(err, RC_FORMAT, "an update of %zu bytes, want %zu", bytes,
                         update_bytes(m->S));
    }
    robust_add(m->robust, site, update);
    return RC_OK;
}

enum rc merge_add(struct merge *m, size_t site, const void *update, size_t bytes, struct error *err)
{
    assert(site < m->study->n_sites);
    if (m->added[site]) {
        return error_set(err, RC_STATE, "site '%s' was added twice", m->study->site[site].name);
    }
    const enum rc rc = take(m, site, update, bytes, err);
    if (rc != RC_OK) {
        return error_context(err, "site '%s'", m->study->site[site].name);
    }
    m->added[site] = true;
    const double weight = study_weight(m->study, site);
    m->weight += weight;
    for (size_t k = 0; k < m->study->model.n_lacked; k++) {
        m->having[k] += study_lacks(m->study, site, k) ? 0.0 : weight;
    }
    return RC_OK;
}

/* ---- the server's rule ------------------------------------------------------------------------ */

/* Some neighbouring numbers at a time: with a model of 60 MB the whole in double would be 120. */
enum { PIECE = 1024 };

struct piece {
    size_t n;
    double mean[PIECE];
    double part[3][PIECE]; /* of the server's state */
    real next[PIECE];
};

/* Part k of the state at number i. */
static size_t offset_of(size_t k, size_t S, size_t i)
{
    return (k * S + i) * sizeof(double);
}

/* One number under the server's rule: the model's new value. */
static double rule(const struct study_server_rule *r, double w, double mean, double *m, double *v)
{
    const double square = mean * mean;
    switch (r->rule) {
    case STUDY_FEDAVG:
        break;
    case STUDY_FEDAVGM:
        *m = r->momentum * *m + mean;
        return w + r->rate * *m;
    case STUDY_FEDADAM:
        *m = r->beta1 * *m + (1.0 - r->beta1) * mean;
        *v = r->beta2 * *v + (1.0 - r->beta2) * square;
        return w + r->rate * *m / (sqrt(*v) + r->epsilon);
    case STUDY_FEDYOGI:
        *m = r->beta1 * *m + (1.0 - r->beta1) * mean;
        *v -= (1.0 - r->beta2) * square * (double)((*v > square) - (*v < square));
        return w + r->rate * *m / (sqrt(*v) + r->epsilon);
    }
    return w + r->rate * mean;
}

/* The numbers from `at` on that belong together: at most a piece. @param[out] weight of those that have
 * a say in them */
static size_t run_from(const struct merge *m, size_t at, double *weight)
{
    size_t end = m->S - at < PIECE ? m->S : at + PIECE;
    *weight = m->weight;
    for (size_t k = 0; k < m->study->model.n_lacked; k++) {
        const struct study_span *s = &m->span[k];
        if (s->first > at && s->first < end) {
            end = s->first;
        }
        if (s->first <= at && at < s->end) {
            *weight = m->having[k];
            end = s->end < end ? s->end : end;
        }
    }
    return end - at;
}

/* Shared noise: the sum is of gradients, in units of clip 2^-bits, and the step is taken here. Its divisor
 * is the expected batch of those who are in the sum: q times their nominal sizes. */
static void step_of_sum(const struct merge *m, uint64_t round, size_t at, size_t n, double weight,
                        double *mean)
{
    const struct study *s = m->study;
    const double expected = s->privacy.sample_rate * (double)study_nominal_total(s);
    const double scale = -study_rate(s, round, 0) * s->privacy.clip / expected;
    update_decode(m->sum + at, n, weight, study_share_bits(s), mean);
    for (size_t i = 0; i < n; i++) {
        mean[i] *= scale;
    }
}

/* What the sites say of n numbers from `at` on. */
static void mean_of(const struct merge *m, uint64_t round, size_t at, size_t n, double weight,
                    double *mean)
{
    if (m->study->privacy.noise == STUDY_NOISE_SHARED) {
        step_of_sum(m, round, at, n, weight, mean);
        return;
    }
    if (m->robust == NULL) {
        update_decode(m->sum + at, n, weight, m->study->fraction_bits, mean);
        return;
    }
    const real *robust = robust_mean(m->robust) + at;
    for (size_t i = 0; i < n; i++) {
        mean[i] = (double)robust[i];
    }
}

/* The numbers from `at` on, into p. @return false: not all are finite */
static bool next_piece(const struct merge *m, uint64_t round, const real *model,
                       const unsigned char *state, size_t at, struct piece *p)
{
    const struct study *s = m->study;
    const uint64_t from = s->server.average_from > 1 ? s->server.average_from : 1;
    const bool average = s->server.average_iterates && round >= from;
    const bool last = round == s->rounds;
    double *iterates = p->part[moments_of(s)]; /* [n], where they are averaged */
    bool finite = true;
    double weight = 0.0;

    p->n = run_from(m, at, &weight);
    for (size_t k = 0; k < parts_of(s); k++) {
        memcpy(p->part[k], state + offset_of(k, m->S, at), p->n * sizeof(double));
    }
    const bool stays = !(weight > 0.0); /* nobody who came has the modality; moments stay, too */
    if (!stays) {
        mean_of(m, round, at, p->n, weight, p->mean);
    }
    for (size_t i = 0; i < p->n; i++) {
        double w = (double)model[at + i];
        if (!stays) {
            w = rule(&s->server, w, p->mean[i], &p->part[0][i], &p->part[1][i]);
        }
        if (average) {
            iterates[i] += w;
            w = last ? iterates[i] / (double)(s->rounds - from + 1) : w;
        }
        p->next[i] = (real)w; /* too large for the model's numbers: infinite only here */
        finite = finite && isfinite(p->next[i]);
    }
    return finite;
}

enum rc merge_finish(struct merge *m, uint64_t round, real *model, unsigned char *state,
                     size_t state_bytes, struct error *err)
{
    assert(m->weight > 0.0);
    const struct study *s = m->study;
    struct piece p;
    if (state_bytes != merge_state_bytes(s, m->S)) {
        return error_set(err, RC_FORMAT, "the stored server state has %zu bytes, want %zu",
                         state_bytes, merge_state_bytes(s, m->S));
    }
    /* All numbers are looked at before one of them is changed: so that no second model is needed,
     * they are computed twice. */
    for (size_t at = 0; at < m->S; at += p.n) {
        if (!next_piece(m, round, model, state, at, &p)) {
            return error_set(err, RC_NUMERIC, "round %llu: the new model is not finite",
                             (unsigned long long)round);
        }
    }
    for (size_t at = 0; at < m->S; at += p.n) {
        (void)next_piece(m, round, model, state, at, &p);
        memcpy(model + at, p.next, p.n * sizeof *model);
        for (size_t k = 0; k < parts_of(s); k++) {
            memcpy(state + offset_of(k, m->S, at), p.part[k], p.n * sizeof(double));
        }
    }
    return RC_OK;
}
