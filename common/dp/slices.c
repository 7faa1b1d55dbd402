#include "common/dp/slices.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/dp/crew.h"

/* Numbers of a range: enough to be worth handing out, few enough that nobody waits long for the last. */
enum { RANGE = 4096 };

/* What slices_ranges was asked for. */
struct ranges {
    slices_range *each;
    void *ctx;
    size_t n;
};

/* One slice's result, until it is added up. */
struct slot {
    real *grad; /* [P] */
    double loss;
    struct clip_counts counts;
    struct error err;
};

struct worker {
    struct tape *tape;
    struct arena step;
};

struct slices {
    struct slices_plan plan;
    struct arena memory; /* the slots' gradients */
    struct slot slot[2 * SLICES_THREADS_MAX];
    size_t n_slots;
    struct worker worker[SLICES_THREADS_MAX];
    struct crew *crew;

    /* Of the step: */
    const real *params;
    size_t B;
    double C;
    double *sum;
    size_t first, n; /* of the slices in the slots */
};

static enum rc compute(struct slices *s, size_t thread, size_t slice, struct slot *out,
                       struct error *err)
{
    struct worker *w = &s->worker[thread];
    const size_t at = slice * s->plan.physical;
    const size_t B = s->B - at < s->plan.physical ? s->B - at : s->plan.physical;
    const size_t P = s->plan.table->P;
    const size_t mark = arena_mark(&w->step);

    memset(out->grad, 0, P * sizeof *out->grad);
    out->loss = 0.0;
    out->counts = (struct clip_counts){0};
    tape_start(w->tape, &w->step, s->plan.table, s->params, B);
    struct node *loss = s->plan.record(s->plan.ctx, thread, w->tape, at);
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

static void compute_piece(void *ctx, size_t thread, size_t piece)
{
    struct slices *s = ctx;
    struct slot *slot = &s->slot[piece];
    slot->err = (struct error){0};
    error_ignore(compute(s, thread, s->first + piece, slot, &slot->err));
}

static enum rc worker_init(struct slices *s, size_t number, struct error *err)
{
    struct worker *w = &s->worker[number];
    tape_start(w->tape, NULL, s->plan.table, NULL, s->plan.physical);
    struct node *loss = s->plan.record(s->plan.ctx, number, w->tape, 0);
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
        rc = worker_init(s, i, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    rc = crew_open(plan->threads, &s->crew, err); /* number 0 is whoever asks for a step */
    if (rc != RC_OK) {
        goto out;
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
    crew_close(&s->crew);
    slices_wipe(s);
    for (size_t i = 0; i < SLICES_THREADS_MAX; i++) {
        arena_release(&s->worker[i].step);
        free(s->worker[i].tape);
    }
    arena_release(&s->memory);
    free(s);
    *sp = NULL;
}

static void range_piece(void *ctx, size_t thread, size_t piece)
{
    (void)thread;
    const struct ranges *r = ctx;
    const size_t from = piece * RANGE;
    r->each(r->ctx, from, r->n - from < RANGE ? r->n : from + RANGE);
}

void slices_ranges(struct slices *s, slices_range *each, void *ctx, size_t n)
{
    struct ranges r = {each, ctx, n};
    crew_do(s->crew, range_piece, &r, (n + RANGE - 1) / RANGE);
}

/* In the order of the slices; a few numbers at a time, so that the sum is read and written once. */
static void add_up(void *ctx, size_t from, size_t to)
{
    enum { CHUNK = 1024 };
    const struct slices *s = ctx;
    for (; from < to; from += CHUNK) {
        const size_t end = to - from < CHUNK ? to : from + CHUNK;
        for (size_t k = 0; k < s->n; k++) {
            const real *grad = s->slot[k].grad; /* [P] */
            for (size_t i = from; i < end; i++) {
                s->sum[i] += (double)grad[i];
            }
        }
    }
}

/* What the slots hold, unless one of them has failed. */
static enum rc take_wave(struct slices *s, struct clip_counts *counts, double *loss,
                         struct error *err)
{
    for (size_t k = 0; k < s->n; k++) {
        if (s->slot[k].err.rc != RC_OK) {
            return error_set(err, s->slot[k].err.rc, "%s", s->slot[k].err.text);
        }
    }
    slices_ranges(s, add_up, s, s->plan.table->P);
    for (size_t k = 0; k < s->n; k++) {
        *loss += s->slot[k].loss;
        counts->samples += s->slot[k].counts.samples;
        counts->clipped += s->slot[k].counts.clipped;
        counts->dropped += s->slot[k].counts.dropped;
    }
    return RC_OK;
}

enum rc slices_accumulate(struct slices *s, const real *params, size_t B, double C, double *sum,
                          struct clip_counts *counts, double *loss, struct error *err)
{
    const size_t n = (B + s->plan.physical - 1) / s->plan.physical;
    s->params = params;
    s->B = B;
    s->C = C;
    s->sum = sum;
    for (s->first = 0; s->first < n; s->first += s->n) {
        s->n = n - s->first < s->n_slots ? n - s->first : s->n_slots;
        crew_do(s->crew, compute_piece, s, s->n);
        const enum rc rc = take_wave(s, counts, loss, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}
