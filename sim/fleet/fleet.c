#include "sim/fleet/fleet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "sim/fleet/fleet_internal.h"

void fleet_ledger_path(const char *folder, const char *site, char path[512])
{
    (void)snprintf(path, 512, "%s/%s.ledger.db", folder, site);
}

enum rc fleet_send(struct fleet *f, struct fleet_event e, int64_t delay_ms, const void *bytes,
                   size_t n, struct error *err)
{
    if (bytes != NULL) {
        e.bytes = malloc(n + 1);
        if (e.bytes == NULL) {
            return error_set(err, RC_NOMEM, "no memory for a message of %zu bytes", n);
        }
        memcpy(e.bytes, bytes, n);
        e.n = n;
    }
    e.at_ms = f->now_ms + delay_ms;
    struct fleet_queue *outbox = e.from == FLEET_COORDINATOR ? NULL : f->site[e.from].outbox;
    return queue_push(outbox != NULL ? outbox : &f->queue, e, err);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* The party whose timer is the next thing to happen, if any is due before the queue's next event. */
static bool next_timer(const struct fleet *f, size_t *party, int64_t *at_ms)
{
    const struct fleet_event *e = queue_peek(&f->queue);
    int64_t first = e == NULL ? INT64_MAX : e->at_ms;
    bool found = false;
    if (f->coordinator.machine->deadline_ms < first) {
        first = f->coordinator.machine->deadline_ms;
        *party = FLEET_COORDINATOR;
        found = true;
    }
    for (size_t i = 0; i < f->p->study->n_sites; i++) {
        if (f->site[i].session.deadline_ms < first) {
            first = f->site[i].session.deadline_ms;
            *party = i;
            found = true;
        }
    }
    *at_ms = first;
    return found;
}

static enum rc one_event(struct fleet *f, struct error *err)
{
    size_t party = 0;
    int64_t at_ms = 0;
    const bool timer = next_timer(f, &party, &at_ms);
    if (!timer && f->queue.n == 0) {
        return error_set(err, RC_STATE, "nothing is left to happen, and the study has not ended");
    }
    f->now_ms = at_ms > f->now_ms ? at_ms : f->now_ms;
    f->events++;
    if (timer) {
        return party == FLEET_COORDINATOR ? coordinator_time_out(f, err)
                                          : site_time_out(f, &f->site[party], err);
    }
    size_t handled = 0;
    enum rc rc = desks_run(f, &handled, err);
    if (rc == RC_OK && handled == 0) {
        rc = coordinator_hear(f, &handled, err);
    }
    if (rc != RC_OK || handled > 0) {
        f->events += handled > 0 ? handled - 1 : 0;
        return rc;
    }
    struct fleet_event e = queue_pop(&f->queue);
    rc = e.to == FLEET_COORDINATOR ? coordinator_handle(f, &e, err)
                                   : site_handle(f, &f->site[e.to], &e, f->room[0], err);
    free(e.bytes);
    return rc;
}

static enum rc kill_due(struct fleet *f, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < f->p->n_kills; i++) {
        if (f->p->kill[i].after != f->events) {
            continue;
        }
        const size_t party = f->p->kill[i].party;
        queue_forget(&f->queue, party);
        if (party == FLEET_COORDINATOR) {
            coordinator_stop(&f->coordinator);
            rc = coordinator_start(f, err);
        } else {
            site_stop(&f->site[party]);
            rc = site_start(f, &f->site[party], err);
        }
    }
    return rc;
}

/* People decide, and the machines are told as soon as they can hear it. */
static enum rc decisions_due(struct fleet *f, struct error *err)
{
    enum rc rc = RC_OK;
    if (f->p->n_decisions == 0) {
        return RC_OK; /* a thousand sites need not be asked after each event */
    }
    for (size_t i = 0; rc == RC_OK && i < f->p->n_decisions; i++) {
        if (f->p->decision[i].after != f->events) {
            continue;
        }
        if (f->p->decision[i].party == FLEET_COORDINATOR) {
            f->coordinator.abort_due = true;
        } else {
            rc = site_withdraw(f, &f->site[f->p->decision[i].party], err);
        }
    }
    for (size_t i = 0; rc == RC_OK && i < f->p->study->n_sites; i++) {
        rc = site_decide(f, &f->site[i], err);
    }
    return rc == RC_OK ? coordinator_decide(f, err) : rc;
}

/* The coordinator is done or has failed, and every site knows. */
static bool ended(const struct fleet *f)
{
    const enum round_state s = f->coordinator.machine->state;
    bool known = s == ROUND_DONE || s == ROUND_FAILED;
    for (size_t i = 0; known && i < f->p->study->n_sites; i++) {
        known = f->site[i].session.state == SESSION_DONE;
    }
    return known;
}

/* ---- result ---------------------------------------------------------------------------------- */

enum rc fleet_state(struct fleet *f, size_t site, const void **state, size_t *n, struct error *err)
{
    uint64_t round = 0;
    struct ledger *ledger = NULL;
    enum rc rc = site_ledger(f, &f->site[site], &ledger, err);
    if (rc == RC_OK) {
        rc = ledger_site_state(ledger, &f->study_hash, &round, state, n, err);
    }
    if (rc == RC_OK && round == 0) {
        *state = NULL;
        *n = 0;
    }
    return rc;
}

static enum rc site_result(struct fleet *f, size_t i, struct fleet_site_result *r,
                           struct error *err)
{
    struct fleet_site *s = &f->site[i];
    const struct round_machine *m = f->coordinator.machine;
    const enum rc rc = site_read(f, s, err);
    if (rc != RC_OK) {
        return rc;
    }
    *r = s->read; /* ownership moved */
    s->read = (struct fleet_site_result){0};
    r->contributed = m->state == ROUND_DONE && m->part[i] == ROUND_CONTRIBUTED;
    if (m->member[i] != ROUND_ACCEPTED) {
        (void)snprintf(r->declined, sizeof r->declined, "%s",
                       s->reason[0] != '\0' ? s->reason : "did not answer");
    }
    return RC_OK;
}

static enum rc collect(struct fleet *f, struct fleet_result *r, struct error *err)
{
    const struct round_machine *m = f->coordinator.machine;
    const size_t S = f->p->model->table.S;
    r->done = m->state == ROUND_DONE;
    r->rounds = round_finished(m);
    r->events = f->events;
    r->refused = f->refused;
    r->rounds_s = (double)(f->closed_ms - f->opened_ms) / 1000.0;
    r->contributors = round_contributors(m);
    r->n_sites = m->n_sites;
    r->model = calloc(S + 1, sizeof *r->model);
    r->site = calloc(m->n_sites, sizeof *r->site);
    if (r->model == NULL || r->site == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the result");
    }
    memcpy(r->model, f->coordinator.model, S * sizeof *r->model);
    enum rc rc = RC_OK;
    if (!r->done) { /* as committed: a coordinator that was killed has it from there */
        bool contributed[ROUND_SITES_MAX];
        bool found = false;
        bool failed = false;
        rc = registry_outcome(f->coordinator.registry, &f->study_hash, m->round, &found,
                              contributed, m->n_sites, &failed, r->reason, err);
    }
    for (size_t i = 0; rc == RC_OK && i < m->n_sites; i++) {
        rc = site_result(f, i, &r->site[i], err);
    }
    return rc;
}

void fleet_result_release(struct fleet_result *r)
{
    for (size_t i = 0; r->site != NULL && i < r->n_sites; i++) {
        free(r->site[i].state);
    }
    free(r->site);
    free(r->model);
    *r = (struct fleet_result){0};
}

/* ---- a world --------------------------------------------------------------------------------- */

static void fleet_release(struct fleet *f)
{
    desks_release(f);
    for (size_t i = 0; f->site != NULL && i < f->p->study->n_sites; i++) {
        site_stop(&f->site[i]);
    }
    free(f->site);
    for (size_t i = 0; i < f->n_rooms; i++) {
        train_room_close(&f->room[i]);
    }
    coordinator_stop(&f->coordinator);
    queue_release(&f->queue);
}

/* One with all threads, or for each thread one. */
static enum rc open_rooms(struct fleet *f, struct error *err)
{
    const size_t threads = f->p->train_threads == 0 ? 1 : f->p->train_threads;
    const bool apart = f->p->study->n_sites > 1 && desks_allowed(f);
    const size_t rooms = apart ? threads : 1;
    enum rc rc = rooms > TRAIN_THREADS_MAX
                     ? error_set(err, RC_LIMIT, "%zu threads; at most %d", rooms, TRAIN_THREADS_MAX)
                     : RC_OK;
    while (rc == RC_OK && f->n_rooms < rooms) {
        rc = train_room_open(f->p->model, f->p->study->local.physical_batch, apart ? 1 : threads,
                             &f->room[f->n_rooms], err);
        f->n_rooms += rc == RC_OK;
    }
    return rc;
}

static enum rc start(struct fleet *f, struct error *err)
{
    const struct schema *schema = f->p->schema;
    const struct hash h = schema_hash(schema);
    f->study_hash = study_hash(f->p->study, &h);
    f->site = calloc(f->p->study->n_sites, sizeof *f->site);
    if (f->site == NULL) {
        return error_set(err, RC_NOMEM, "no memory for %zu sites", f->p->study->n_sites);
    }
    enum rc rc = open_rooms(f, err);
    for (size_t i = 0; rc == RC_OK && f->p->data != NULL && i < f->p->study->n_sites; i++) {
        rc = train_fits(f->p->study, f->p->model, f->p->data[i], i, err);
    }
    if (rc == RC_OK) {
        rc = coordinator_start(f, err);
    }
    for (size_t i = 0; rc == RC_OK && i < f->p->study->n_sites; i++) {
        f->site[i].index = i;
        rc = site_start(f, &f->site[i], err);
    }
    return rc;
}

/* The wall clock is looked at twice, and decides nothing. */
static void note_time(struct fleet *f)
{
    const struct round_machine *m = f->coordinator.machine;
    if (f->opened_ms == 0 && m->round > 0) {
        f->opened_ms = clock_monotonic_ms();
    }
    if (f->closed_ms == 0 && f->opened_ms > 0 &&
        (m->state == ROUND_DONE || m->state == ROUND_FAILED)) {
        f->closed_ms = clock_monotonic_ms();
    }
}

enum rc fleet_run(const struct fleet_params *p, struct fleet_result *out, struct error *err)
{
    assert(p->study->n_sites <= ROUND_SITES_MAX);
    assert(p->n_kills == 0 || p->folder != NULL);
    /* Far above the ~10 events a site and round needs: only a machine that turns in circles gets here. */
    const uint64_t limit = 1000 + 200 * (uint64_t)p->study->n_sites * (p->study->rounds + 4);
    struct fleet f = {.p = p};
    struct fleet_result r = {0};
    (void)pthread_mutex_init(&f.lock, NULL);
    enum rc rc = start(&f, err);
    while (rc == RC_OK && !ended(&f)) {
        if (f.events >= limit) {
            rc = error_set(err, RC_LIMIT, "the study did not end within %llu events",
                           (unsigned long long)limit);
            break;
        }
        rc = one_event(&f, err);
        note_time(&f);
        if (rc == RC_OK) {
            rc = kill_due(&f, err);
        }
        if (rc == RC_OK) {
            rc = decisions_due(&f, err);
        }
    }
    if (rc == RC_OK) {
        rc = collect(&f, &r, err);
    }
    if (rc == RC_OK) {
        *out = r;
        r = (struct fleet_result){0};
    }
    fleet_result_release(&r);
    fleet_release(&f);
    (void)pthread_mutex_destroy(&f.lock);
    return rc;
}
