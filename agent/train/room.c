#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/train/room_internal.h"

/* What one thread writes a physical batch into. */
struct place {
    struct batch_room batch;
    uint64_t *sample; /* [physical batch] whose coins of dropout */
};

struct train_room {
    const struct model *model;
    size_t physical_batch, threads;
    struct arena memory; /* the places' */
    struct arena arrays; /* the round's */
    struct place place[SLICES_THREADS_MAX];
    struct slices *slices;
    const struct room_sample *now; /* the step's */
};

/* Abadi et al. 2016, Alg. 1, "Compute gradient", for one physical batch. */
static struct node *record(void *ctx, size_t thread, struct tape *t, size_t at)
{
    struct train_room *r = ctx;
    struct place *p = &r->place[thread];
    struct batch batch = {.B = t->B};
    if (t->arena != NULL) { /* not while measuring */
        const struct room_sample *s = r->now;
        dataset_gather(s->data, s->row + at, s->who + at, t->B, &p->batch);
        for (size_t b = 0; b < t->B;
             b++) { /* a patient's, whoever else there is: as the sampler's */
            memcpy(&p->sample[b], s->data->patient[s->who[at + b]].b, sizeof p->sample[b]);
        }
        batch = p->batch.batch;
        batch.coins = s->coins;
        batch.sample = p->sample;
    }
    batch.training = true;
    return model_loss(r->model, t, &batch);
}

static void take_places(struct train_room *r)
{
    for (size_t i = 0; i < r->threads; i++) {
        batch_room_take(&r->place[i].batch, &r->model->layout, r->physical_batch, &r->memory);
        r->place[i].sample = arena_take(&r->memory, r->physical_batch, sizeof(uint64_t));
    }
}

enum rc train_room_open(const struct model *model, size_t physical_batch, size_t threads,
                        struct train_room **out, struct error *err)
{
    const size_t B = physical_batch;
    enum rc rc;
    struct train_room *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return error_set(err, RC_NOMEM, "no memory for training");
    }
    r->model = model;
    r->physical_batch = B;
    r->threads = threads;
    if (threads > SLICES_THREADS_MAX) {
        rc = error_set(err, RC_LIMIT, "%zu threads; at most %d", threads, SLICES_THREADS_MAX);
        goto out;
    }
    rc =
        arena_init(&r->memory,
                   threads * (batch_room_cost(&model->layout, B) + arena_cost(B, sizeof(uint64_t))),
                   err);
    if (rc != RC_OK) {
        goto out;
    }
    take_places(r);
    const struct slices_plan plan = {
        .table = &model->table, .physical = B, .threads = threads, .record = record, .ctx = r};
    rc = slices_open(&plan, &r->slices, err);
    if (rc != RC_OK) {
        goto out;
    }
    *out = r;
    r = NULL; /* ownership moved */
out:
    train_room_close(&r);
    return rc;
}

void train_room_close(struct train_room **rp)
{
    struct train_room *r = *rp;
    if (r == NULL) {
        return;
    }
    slices_close(&r->slices);
    arena_wipe(&r->memory);
    arena_release(&r->memory);
    arena_wipe(&r->arrays); /* computed from patients, too */
    arena_release(&r->arrays);
    free(r);
    *rp = NULL;
}

enum rc room_arrays(struct train_room *r, size_t cost, struct arena **out, struct error *err)
{
    if (r->arrays.size < cost) {
        arena_wipe(&r->arrays);
        arena_release(&r->arrays);
        const enum rc rc = arena_init(&r->arrays, cost, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    arena_rewind(&r->arrays, 0);
    *out = &r->arrays;
    return RC_OK;
}

void room_wipe(struct train_room *r)
{
    arena_rewind(&r->arrays, 0);
    arena_wipe(&r->arrays);
    slices_wipe(r->slices);
    arena_wipe(&r->memory);
    arena_rewind(&r->memory, 0);
    take_places(r);
}

bool room_fits(const struct train_room *r, const struct model *model, size_t physical_batch)
{
    return r->model == model && r->physical_batch == physical_batch;
}

enum rc room_clipped_sum(struct train_room *r, const struct room_sample *sample, const real *params,
                         double C, double *sum, struct train_report *report, struct error *err)
{
    r->now = sample;
    const enum rc rc = slices_accumulate(r->slices, params, sample->n, C, sum, &report->counts,
                                         &report->loss, err);
    r->now = NULL;
    return rc;
}
