#include "aggregator/merge/merge.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/update/update.h"

/* The server's state as bytes, on one machine: f64 m[S] | f64 v[S] | f64 sum of iterates[S]. */
enum { PARTS = 3 };

struct merge {
    const struct study *study; /* borrowed */
    size_t S;
    double weight; /* of the sites added */
    bool *added;   /* [n_sites] */
    uint32_t *sum; /* [S] */
    double *mean;  /* [S] */
    double *state; /* [PARTS, S] */
    real *next;    /* [S] */
};

size_t merge_state_bytes(size_t S)
{
    return PARTS * S * sizeof(double);
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
                            .state = calloc(PARTS * S + 1, sizeof *m->state),
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

/* One number under the server's rule: the model's new value. */
static double rule(const struct study_server_rule *r, double w, double mean, double *m, double *v)
{
    if (r->rule == STUDY_FEDADAM) {
        *m = r->beta1 * *m + (1.0 - r->beta1) * mean;
        *v = r->beta2 * *v + (1.0 - r->beta2) * mean * mean;
        return w + r->rate * *m / (sqrt(*v) + r->epsilon);
    }
    return w + r->rate * mean;
}

enum rc merge_finish(struct merge *m, uint64_t round, real *model, unsigned char *state,
                     size_t state_bytes, struct error *err)
{
    assert(m->weight > 0.0);
    const struct study *s = m->study;
    const size_t S = m->S;
    if (state_bytes != merge_state_bytes(S)) {
        return error_set(err, RC_FORMAT, "the stored server state has %zu bytes, want %zu",
                         state_bytes, merge_state_bytes(S));
    }
    memcpy(m->state, state, state_bytes);
    double *iterates = m->state + 2 * S; /* [S] */
    const bool average = s->server.average_iterates && round == s->rounds;

    update_decode(m->sum, S, m->weight, s->fraction_bits, m->mean);
    for (size_t i = 0; i < S; i++) {
        double w = rule(&s->server, (double)model[i], m->mean[i], &m->state[i], &m->state[S + i]);
        iterates[i] += w;
        w = average ? iterates[i] / (double)s->rounds : w;
        if (!isfinite(w)) {
            return error_set(err, RC_NUMERIC, "round %llu: the new model is not finite",
                             (unsigned long long)round);
        }
        m->next[i] = (real)w;
    }
    memcpy(model, m->next, S * sizeof *model);
    memcpy(state, m->state, state_bytes);
    return RC_OK;
}
