#include "aggregator/merge/merge.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/update/update.h"

/* The server's state as bytes, on one machine: f64 m[S] | f64 v[S], with FedAdam; then
 * f64 sum of iterates[S], where they are averaged. Plain FedAvg remembers nothing. */
static size_t moments_of(const struct study *s)
{
    return s->server.rule == STUDY_FEDADAM ? 2 : 0;
}

static size_t parts_of(const struct study *s)
{
    return moments_of(s) + (s->server.average_iterates ? 1 : 0);
}

struct merge {
    const struct study *study; /* borrowed */
    size_t S;
    double weight; /* of the sites added */
    bool *added;   /* [n_sites] */
    uint32_t *sum; /* [S] */
    double *mean;  /* [S] */
    double *state; /* [parts_of(study), S] */
    real *next;    /* [S] */
};

size_t merge_state_bytes(const struct study *study, size_t S)
{
    return parts_of(study) * S * sizeof(double);
}

enum rc merge_open(const struct study *study, size_t S, struct merge **out, struct error *err)
{
    struct merge *m = calloc(1, sizeof *m);
    if (m != NULL) {
        *m = (struct merge){.study = study,
                            .S = S,
                            .added = calloc(study->n_sites, sizeof *m->added),
                            .sum = calloc(S + 1, sizeof *m->sum),
                            .mean = calloc(S + 1, sizeof *m->mean),
                            .state = calloc(parts_of(study) * S + 1, sizeof *m->state),
                            .next = calloc(S + 1, sizeof *m->next)};
    }
    if (m == NULL || m->added == NULL || m->sum == NULL || m->mean == NULL || m->state == NULL ||
        m->next == NULL) {
        merge_close(&m);
        return error_set(err, RC_NOMEM, "no memory to merge %zu parameters", S);
    }
    *out = m;
    return RC_OK;
}

void merge_close(struct merge **m)
{
    if (*m != NULL) {
        free((*m)->added);
        free((*m)->sum);
        free((*m)->mean);
        free((*m)->state);
        free((*m)->next);
        free(*m);
        *m = NULL;
    }
}

void merge_restart(struct merge *m)
{
    m->weight = 0.0;
    memset(m->added, 0, m->study->n_sites * sizeof *m->added);
    memset(m->sum, 0, m->S * sizeof *m->sum);
}

enum rc merge_add(struct merge *m, size_t site, const void *update, size_t bytes, struct error *err)
{
    assert(site < m->study->n_sites);
    if (m->added[site]) {
        return error_set(err, RC_STATE, "site '%s' was added twice", m->study->site[site].name);
    }
    const enum rc rc = update_add(m->sum, m->S, update, bytes, err);
    if (rc != RC_OK) {
        return error_context(err, "site '%s'", m->study->site[site].name);
    }
    m->added[site] = true;
    m->weight += (double)m->study->site[site].nominal / (double)study_nominal_total(m->study);
    return RC_OK;
}

/* Number i under the server's rule: the model's new value. `state` holds moments with FedAdam only. */
static double rule(const struct study_server_rule *r, double w, double mean, double *state,
                   size_t S, size_t i)
{
    if (r->rule == STUDY_FEDADAM) {
        double *m = state;     /* [S] */
        double *v = state + S; /* [S] */
        m[i] = r->beta1 * m[i] + (1.0 - r->beta1) * mean;
        v[i] = r->beta2 * v[i] + (1.0 - r->beta2) * mean * mean;
        return w + r->rate * m[i] / (sqrt(v[i]) + r->epsilon);
    }
    return w + r->rate * mean;
}

enum rc merge_finish(struct merge *m, uint64_t round, real *model, unsigned char *state,
                     size_t state_bytes, struct error *err)
{
    assert(m->weight > 0.0);
    const struct study *s = m->study;
    const size_t S = m->S;
    if (state_bytes != merge_state_bytes(s, S)) {
        return error_set(err, RC_FORMAT, "the stored server state has %zu bytes, want %zu",
                         state_bytes, merge_state_bytes(s, S));
    }
    if (state_bytes > 0) {
        memcpy(m->state, state, state_bytes);
    }
    double *iterates = m->state + moments_of(s) * S; /* [S], where they are averaged */
    const bool last = round == s->rounds;

    update_decode(m->sum, S, m->weight, s->fraction_bits, m->mean);
    for (size_t i = 0; i < S; i++) {
        double w = rule(&s->server, (double)model[i], m->mean[i], m->state, S, i);
        if (s->server.average_iterates) {
            iterates[i] += w;
            w = last ? iterates[i] / (double)s->rounds : w;
        }
        m->next[i] = (real)w;
        if (!isfinite(w) || !isfinite(m->next[i])) { /* also: too large for the model's numbers */
            return error_set(err, RC_NUMERIC, "round %llu: the new model is not finite",
                             (unsigned long long)round);
        }
    }
    memcpy(model, m->next, S * sizeof *model);
    if (state_bytes > 0) {
        memcpy(state, m->state, state_bytes);
    }
    return RC_OK;
}
