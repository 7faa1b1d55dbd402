#include "common/dp/slices.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

/* One slice's result, until it is added up. */
struct slot {
    real *grad; /* [P] */
    double loss;
    struct clip_counts counts;
};

struct worker {
    struct slices *all;
    size_t number;
    struct tape *tape;
    struct arena step;
    pthread_t thread;
};

struct slices {
    struct slices_plan plan;
    struct arena memory; /* the slots' gradients */
    struct slot slot[2 * SLICES_THREADS_MAX];
    size_t n_slots;
    struct worker worker[SLICES_THREADS_MAX];
    size_t n_threads; /* started beside the caller's */

    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    /* Guarded by the lock: */
    bool stop;
    size_t next, until, done; /* slices: to be taken, of this wave, finished in it */
    size_t first;             /* slice of the wave's slot 0 */
    const real *params;
    size_t B;
    double C;
    struct error err; /* the first failure of the step */
};

static enum rc compute(struct worker *w, size_t slice, struct slot *out, struct error *err)
{
    const struct slices *s = w->all;
    const size_t at = slice * s->plan.physical;
    const size_t B = s->B - at < s->plan.physical ? s->B - at : s->plan.physical;
    const size_t P = s->plan.table->P;
    const size_t mark = arena_mark(&w->step);

    memset(out->grad, 0, P * sizeof *out->grad);
    out->loss = 0.0;
    out->counts = (struct clip_counts){0};
    tape_start(w->tape, &w->step, s->plan.table, s->params, B);
    struct node *loss = s->plan.record(s->plan.ctx, w->number, w->tape, at);
    const enum rc rc = tape_verdict(w->tape, err);
    if (rc == RC_OK) {
        tape_backward(w->tape, loss);
        for (size_t b = 0; b < B; b++) {
            out->loss += (double)loss->v[b];
        }
        if (s->C > 0.0) {
            clip_gradient(w->tape, &w->step, s->C, out->grad, &out->counts);
        } else {
            book_weighted_sum(w->tape, NULL, out->grad);
            out->counts.samples = B;
        }
    }
    arena_rewind(&w->step, mark);
    return rc;
}

/* Takes slices of this wave until none is left. Called and left with the lock held. */
static void take_slices(struct worker *w)
{
    struct slices *s = w->all;
    while (s->next < s->until) {
        const size_t slice = s->next++;
        struct error err = {0};
        (void)pthread_mutex_unlock(&s->lock);
        const enum rc rc = compute(w, slice, &s->slot[slice - s->first], &err);
        (void)pthread_mutex_lock(&s->lock);
        if (rc != RC_OK && s->err.rc == RC_OK) {
            s->err = err;
        }
        s->done++;
        if (s->done == s->until - s->first) {
            (void)pthread_cond_signal(&s->end);
        }
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct slices *s = w->all;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        take_slices(w);
        if (!s->stop) {
            (void)pthread_cond_wait(&s->begin, &s->lock);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

static enum rc worker_init(struct worker *w, struct slices *s, size_t number, struct error *err)
{
    w->all = s;
    w->number = number;
    tape_start(w->tape, NULL, s->plan.table, NULL, s->plan.physical);
    struct node *loss = s->plan.record(s->plan.ctx, w->number, w->tape, 0);
    const enum rc rc = tape_verdict(w->tape, err);
    if (rc != RC_OK) {
        return rc;
    }
    tape_backward(w->tape, loss);
    return arena_init(&w->step, w->tape->cost + clip_scratch_cost(w->tape, s->plan.physical), err);
}

static void take_slots(struct slices *s)
{
    for (size_t i = 0; i < s->n_slots && s->memory.base != NULL; i++) {
        s->slot[i].grad = arena_take_unset(&s->memory, s->plan.table->P, sizeof(real));
    }
}

enum rc slices_open(const struct slices_plan *plan, struct slices **out, struct error *err)
{
    assert(plan->physical > 0);
    assert(plan->threads > 0);
    enum rc rc;
    struct slices *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return error_set(err, RC_NOMEM, "no memory for slices of a batch");
    }
    s->plan = *plan;
    s->n_slots = plan->threads == 1 ? 1 : 2 * plan->threads; /* nobody waits for the slowest */
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->begin, NULL);
    (void)pthread_cond_init(&s->end, NULL);
    if (plan->threads > SLICES_THREADS_MAX) {
        rc = error_set(err, RC_LIMIT, "%zu threads; at most %d", plan->threads, SLICES_THREADS_MAX);
        goto out;
    }
    rc = arena_init(&s->memory, s->n_slots * arena_cost(plan->table->P, sizeof(real)), err);
    if (rc != RC_OK) {
        goto out;
    }
    take_slots(s);
    for (size_t i = 0; i < plan->threads; i++) {
        s->worker[i].tape = malloc(sizeof *s->worker[i].tape);
        if (s->worker[i].tape == NULL) {
            rc = error_set(err, RC_NOMEM, "no memory for a tape");
            goto out;
        }
        rc = worker_init(&s->worker[i], s, i, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    for (size_t i = 1; i < plan->threads; i++) { /* worker 0 is whoever asks for a step */
        if (pthread_create(&s->worker[i].thread, NULL, work, &s->worker[i]) != 0) {
            rc = error_set(err, RC_NOMEM, "no more threads");
            goto out;
        }
        s->n_threads++;
    }
    *out = s;
    s = NULL; /* ownership moved */
out:
    slices_close(&s);
    return rc;
}

void slices_wipe(struct slices *s)
{
    for (size_t i = 0; i < SLICES_THREADS_MAX; i++) {
        arena_wipe(&s->worker[i].step);
    }
    arena_wipe(&s->memory);
    arena_rewind(&s->memory, 0);
    take_slots(s);
}

void slices_close(struct slices **sp)
{
    struct slices *s = *sp;
    if (s == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_cond_broadcast(&s->begin);
    (void)pthread_mutex_unlock(&s->lock);
    for (size_t i = 1; i <= s->n_threads; i++) {
        (void)pthread_join(s->worker[i].thread, NULL);
    }
    slices_wipe(s);
    for (size_t i = 0; i < SLICES_THREADS_MAX; i++) {
        arena_release(&s->worker[i].step);
        free(s->worker[i].tape);
    }
    arena_release(&s->memory);
    (void)pthread_cond_destroy(&s->begin);
    (void)pthread_cond_destroy(&s->end);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    *sp = NULL;
}

/* In the order of the slices; a few numbers at a time, so that the sum is read and written once. */
static void add_up(const struct slices *s, size_t n, double *sum)
{
    enum { CHUNK = 1024 };
    const size_t P = s->plan.table->P;
    for (size_t from = 0; from < P; from += CHUNK) {
        const size_t to = P - from < CHUNK ? P : from + CHUNK;
        for (size_t k = 0; k < n; k++) {
            const real *grad = s->slot[k].grad; /* [P] */
            for (size_t i = from; i < to; i++) {
                sum[i] += (double)grad[i];
            }
        }
    }
}

enum rc slices_accumulate(struct slices *s, const real *params, size_t B, double C, double *sum,
                          struct clip_counts *counts, double *loss, struct error *err)
{
    const size_t n = (B + s->plan.physical - 1) / s->plan.physical;
    (void)pthread_mutex_lock(&s->lock);
    s->params = params;
    s->B = B;
    s->C = C;
    s->err = (struct error){0};
    for (size_t first = 0; first < n && s->err.rc == RC_OK; first += s->n_slots) {
        s->first = first;
        s->next = first;
        s->until = n - first < s->n_slots ? n : first + s->n_slots;
        s->done = 0;
        if (s->until - first > 1) {
            (void)pthread_cond_broadcast(&s->begin);
        }
        take_slices(&s->worker[0]);
        while (s->done < s->until - first) {
            (void)pthread_cond_wait(&s->end, &s->lock);
        }
        if (s->err.rc == RC_OK) {
            add_up(s, s->until - first, sum);
        }
        for (size_t k = 0; k < s->until - first && s->err.rc == RC_OK; k++) {
            *loss += s->slot[k].loss;
            counts->samples += s->slot[k].counts.samples;
            counts->clipped += s->slot[k].counts.clipped;
            counts->dropped += s->slot[k].counts.dropped;
        }
    }
    const enum rc rc = s->err.rc == RC_OK ? RC_OK : error_set(err, s->err.rc, "%s", s->err.text);
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}
