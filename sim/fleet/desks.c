/* Sites that are asked at the same instant. Where it is their ledgers, each of them waits for its disk and none for
 * another's; where they train, each has a room and a thread. */
#include <assert.h>
#include <stdlib.h>

#include "sim/fleet/fleet_internal.h"

enum { DESKS_MAX = 64 };
static_assert((int)TRAIN_THREADS_MAX <= (int)DESKS_MAX, "a desk for each room");

struct desk {
    struct fleet_event event;
    struct fleet_queue outbox;
    struct error err;
    enum rc rc;
};

struct desks {
    struct fleet *f;
    struct desk *desk; /* [n] */
    size_t n, next;
    pthread_mutex_t lock; /* of next */
};

/* Threads that sit down at the desks, kept for the life of the world. All is guarded by the lock. */
struct desks_crew {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    struct desks *job;   /* NULL: none */
    size_t wanted, came; /* for this job, beside the caller */
    size_t busy;
    bool stop;
    pthread_t thread[DESKS_MAX];
    size_t n;
};

/* A look at the policy, a commit, the end of a study: each is a question to the ledger. Training has as many desks
 * as there are rooms. @return 1: nobody has one */
static size_t desks_for(const struct fleet *f, const struct fleet_event *e)
{
    switch (e->kind) {
    case FLEET_CHECK_DUE:
    case FLEET_COMMIT_DUE:
    case FLEET_DONE:
        return f->p->desks < DESKS_MAX ? f->p->desks : DESKS_MAX;
    case FLEET_TRAIN_DUE:
        return f->n_rooms;
    case FLEET_HELLO:
    case FLEET_ACCEPT:
    case FLEET_DECLINE:
    case FLEET_UPDATE:
    case FLEET_CANNOT:
    case FLEET_STUDY:
    case FLEET_ROUND:
    case FLEET_ACK:
    case FLEET_OUTCOME:
    case FLEET_ANSWER:
    case FLEET_MERGE_DUE:
    case FLEET_MERGED:
        break;
    }
    return 1;
}

bool desks_allowed(const struct fleet *f)
{
    return f->p->n_kills == 0 && f->p->n_decisions == 0;
}

static void sit(struct fleet *f, struct fleet_site *s, bool down)
{
    (void)pthread_mutex_lock(&f->lock);
    s->at_desk = down;
    (void)pthread_mutex_unlock(&f->lock);
}

/* @param number of the thread: 0 is the caller */
static void work_at(struct desks *d, size_t number)
{
    struct train_room *room = number < d->f->n_rooms ? d->f->room[number] : NULL;
    for (;;) {
        (void)pthread_mutex_lock(&d->lock);
        const size_t i = d->next++;
        (void)pthread_mutex_unlock(&d->lock);
        if (i >= d->n) {
            return;
        }
        struct desk *at = &d->desk[i];
        struct fleet_site *s = &d->f->site[at->event.to];
        sit(d->f, s, true);
        at->rc = site_handle(d->f, s, &at->event, room, &at->err);
        sit(d->f, s, false);
    }
}

static void *work(void *ctx)
{
    struct desks_crew *c = ctx;
    (void)pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        if (c->job == NULL || c->came == c->wanted) {
            (void)pthread_cond_wait(&c->begin, &c->lock);
            continue;
        }
        struct desks *job = c->job;
        const size_t number = ++c->came;
        c->busy++;
        (void)pthread_mutex_unlock(&c->lock);
        work_at(job, number);
        (void)pthread_mutex_lock(&c->lock);
        if (--c->busy == 0) {
            (void)pthread_cond_signal(&c->end);
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* With fewer threads than asked for it only takes longer. */
static struct desks_crew *crew_of(struct fleet *f, size_t threads)
{
    if (f->crew == NULL) {
        f->crew = calloc(1, sizeof *f->crew);
        if (f->crew == NULL) {
            return NULL;
        }
        (void)pthread_mutex_init(&f->crew->lock, NULL);
        (void)pthread_cond_init(&f->crew->begin, NULL);
        (void)pthread_cond_init(&f->crew->end, NULL);
    }
    while (f->crew->n < threads &&
           pthread_create(&f->crew->thread[f->crew->n], NULL, work, f->crew) == 0) {
        f->crew->n++;
    }
    return f->crew;
}

void desks_release(struct fleet *f)
{
    struct desks_crew *c = f->crew;
    if (c == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    c->stop = true;
    (void)pthread_cond_broadcast(&c->begin);
    (void)pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->n; i++) {
        (void)pthread_join(c->thread[i], NULL);
    }
    (void)pthread_cond_destroy(&c->begin);
    (void)pthread_cond_destroy(&c->end);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
    f->crew = NULL;
}

/* Everything at the desks, by the caller and up to `others` more. */
static void work_together(struct fleet *f, struct desks *d, size_t others)
{
    struct desks_crew *c = others > 0 ? crew_of(f, others) : NULL;
    if (c == NULL) {
        work_at(d, 0);
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    c->job = d;
    c->came = 0;
    c->wanted = others;
    (void)pthread_cond_broadcast(&c->begin);
    (void)pthread_mutex_unlock(&c->lock);
    work_at(d, 0);
    (void)pthread_mutex_lock(&c->lock);
    c->job = NULL; /* whoever has not come by now is not needed */
    while (c->busy > 0) {
        (void)pthread_cond_wait(&c->end, &c->lock);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

/* Into `d`, until another instant, another kind, or a site that has a desk already. */
static enum rc gather(struct fleet *f, struct desks *d, struct error *err)
{
    const struct fleet_event *first = queue_peek(&f->queue);
    const int64_t at_ms = first->at_ms;
    const enum fleet_kind kind = first->kind;
    size_t room = 0;
    for (const struct fleet_event *e = first; e != NULL; e = queue_peek(&f->queue)) {
        if (e->at_ms != at_ms || e->kind != kind || f->site[e->to].seated) {
            break;
        }
        if (d->n == room) {
            room = room == 0 ? 16 : 2 * room;
            struct desk *more = realloc(d->desk, room * sizeof *more);
            if (more == NULL) {
                return error_set(err, RC_NOMEM, "no memory for %zu desks", room);
            }
            d->desk = more;
        }
        d->desk[d->n] = (struct desk){.event = queue_pop(&f->queue), .rc = RC_OK};
        f->site[d->desk[d->n++].event.to].seated = true;
    }
    for (size_t i = 0; i < d->n; i++) { /* once they stay where they are */
        f->site[d->desk[i].event.to].outbox = &d->desk[i].outbox;
    }
    return RC_OK;
}

/* What they sent, in the order of the events; the first failure counts. */
static enum rc send_all(struct fleet *f, struct desks *d, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; i < d->n; i++) {
        struct desk *at = &d->desk[i];
        while (rc == RC_OK && at->outbox.n > 0) {
            rc = queue_push(&f->queue, queue_pop(&at->outbox), err);
        }
        if (rc == RC_OK && at->rc != RC_OK) {
            *err = at->err;
            rc = at->rc;
        }
    }
    return rc;
}

enum rc desks_run(struct fleet *f, size_t *handled, struct error *err)
{
    const struct fleet_event *first = queue_peek(&f->queue);
    const size_t most = first != NULL ? desks_for(f, first) : 0;
    struct desks d = {.f = f};
    *handled = 0;
    if (most < 2 || !desks_allowed(f)) {
        return RC_OK;
    }
    enum rc rc = gather(f, &d, err);
    if (rc == RC_OK) {
        (void)pthread_mutex_init(&d.lock, NULL);
        work_together(f, &d, (d.n < most ? d.n : most) - 1);
        (void)pthread_mutex_destroy(&d.lock);
    }
    for (size_t i = 0; i < d.n; i++) {
        f->site[d.desk[i].event.to].outbox = NULL;
        f->site[d.desk[i].event.to].seated = false;
    }
    *handled = d.n;
    rc = rc == RC_OK ? send_all(f, &d, err) : rc;
    for (size_t i = 0; i < d.n; i++) {
        free(d.desk[i].event.bytes);
        queue_release(&d.desk[i].outbox);
    }
    free(d.desk);
    return rc;
}
