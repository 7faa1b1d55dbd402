/* Sites whose ledgers are asked at the same instant: each of them waits for its disk, and none for another's. */
#include <stdlib.h>

#include "sim/fleet/fleet_internal.h"

enum { DESKS_MAX = 64 };

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

/* A look at the policy, a commit, the end of a study: each is a question to the ledger. Training is not here:
 * it has threads of its own. */
static bool is_for_a_desk(const struct fleet_event *e)
{
    return e->kind == FLEET_CHECK_DUE || e->kind == FLEET_COMMIT_DUE || e->kind == FLEET_DONE;
}

static void sit(struct fleet *f, struct fleet_site *s, bool down)
{
    (void)pthread_mutex_lock(&f->lock);
    s->at_desk = down;
    (void)pthread_mutex_unlock(&f->lock);
}

static void *work(void *ctx)
{
    struct desks *d = ctx;
    for (;;) {
        (void)pthread_mutex_lock(&d->lock);
        const size_t i = d->next++;
        (void)pthread_mutex_unlock(&d->lock);
        if (i >= d->n) {
            return NULL;
        }
        struct desk *at = &d->desk[i];
        struct fleet_site *s = &d->f->site[at->event.to];
        sit(d->f, s, true);
        at->rc = site_handle(d->f, s, &at->event, &at->err);
        sit(d->f, s, false);
    }
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
    const size_t most = f->p->desks < DESKS_MAX ? f->p->desks : DESKS_MAX;
    pthread_t thread[DESKS_MAX];
    size_t started = 0;
    struct desks d = {.f = f};
    *handled = 0;
    if (most < 2 || f->p->n_kills > 0 || f->p->n_decisions > 0 || first == NULL ||
        !is_for_a_desk(first)) {
        return RC_OK;
    }
    enum rc rc = gather(f, &d, err);
    if (rc == RC_OK) {
        (void)pthread_mutex_init(&d.lock, NULL);
        while (started + 1 < most && started + 1 < d.n &&
               pthread_create(&thread[started], NULL, work, &d) == 0) {
            started++; /* fewer threads than asked for only take longer */
        }
        (void)work(&d);
        for (size_t i = 0; i < started; i++) {
            (void)pthread_join(thread[i], NULL);
        }
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
