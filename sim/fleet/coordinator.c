/* The driver of the coordinator: what aggregator/app will be, with a queue in place of sockets. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broadcast/broadcast.h"
#include "common/checkpoint/checkpoint.h"
#include "common/wire/wire.h"
#include "sim/fleet/fleet_internal.h"

static size_t model_bytes(const struct fleet *f)
{
    return f->p->model->table.S * sizeof(real);
}

static size_t state_size(const struct fleet *f)
{
    return merge_state_bytes(f->p->study, f->p->model->table.S);
}

/* ---- start, stop ----------------------------------------------------------------------------- */

static enum rc reserve(struct fleet *f, struct error *err)
{
    struct fleet_coordinator *c = &f->coordinator;
    c->machine = calloc(1, sizeof *c->machine);
    c->model = calloc(f->p->model->table.P + 1, sizeof *c->model); /* P: initial values fill all */
    c->state = calloc(state_size(f) + 1, 1);
    c->sent = malloc(broadcast_bytes(f->p->study, f->p->model->table.S) + 1);
    if (c->machine == NULL || c->model == NULL || c->sent == NULL || c->state == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the coordinator");
    }
    return merge_open(f->p->study, f->p->model->span, f->p->model->table.S, &c->merge, err);
}

/* As rounds send it. */
static enum rc pack_model(struct fleet *f, enum rc rc, struct error *err)
{
    struct fleet_coordinator *c = &f->coordinator;
    return rc == RC_OK ? broadcast_pack(f->p->study, c->model, f->p->model->table.S, c->sent, err)
                       : rc;
}

/* The newest model and server state that were committed. */
static enum rc load_model(struct fleet *f, struct error *err)
{
    struct fleet_coordinator *c = &f->coordinator;
    uint64_t round = 0;
    const void *model = NULL;
    size_t n = 0;
    const enum rc rc = registry_model(c->registry, &f->study_hash, &round, &model, &n, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (n != model_bytes(f)) {
        return error_set(err, RC_FORMAT, "the registry's model is not of this study");
    }
    memcpy(c->model, model, n);
    return pack_model(f, registry_state(c->registry, &f->study_hash, c->state, state_size(f), err),
                      err);
}

static enum rc act(struct fleet *f, unsigned actions, const struct fleet_event *e,
                   struct error *err);

/* Between two events of one instant nobody dies or decides: then they may wait for the disk together. */
static bool keeps_together(const struct fleet *f)
{
    return f->p->folder != NULL && desks_allowed(f);
}

enum rc coordinator_start(struct fleet *f, struct error *err)
{
    struct fleet_coordinator *c = &f->coordinator;
    const struct study *study = f->p->study;
    char path[512] = ":memory:";
    bool resumed = false;

    enum rc rc = reserve(f, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (f->p->folder != NULL &&
        snprintf(path, sizeof path, "%s/registry.db", f->p->folder) >= (int)sizeof path) {
        return error_set(err, RC_LIMIT, "the folder's name is too long");
    }
    rc = registry_open(path, &c->registry, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (keeps_together(f)) {
        registry_tidy_apart(c->registry);
    }
    rc = checkpoint_first(study, f->p->model, c->model, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = registry_start(c->registry, study->name, &f->study_hash, study->n_sites, c->model,
                        model_bytes(f), f->now_ms, &resumed, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = load_model(f, err);
    if (rc != RC_OK) {
        return rc;
    }
    round_init(c->machine, study->n_sites, study->quorum, study->rounds, study->join_deadline_ms,
               study->round_deadline_ms, f->now_ms);
    if (study->sites_per_round > 0) {
        round_sample(c->machine, study->sites_per_round, study->seed);
    }
    if (!resumed) {
        return RC_OK;
    }
    rc = registry_restore(c->registry, &f->study_hash, c->machine, err);
    return rc == RC_OK ? act(f, round_restore(c->machine, f->now_ms), NULL, err) : rc;
}

void coordinator_stop(struct fleet_coordinator *c)
{
    registry_close(&c->registry);
    merge_close(&c->merge);
    free(c->machine);
    free(c->model);
    free(c->sent);
    free(c->state);
    *c = (struct fleet_coordinator){.abort_due = c->abort_due};
}

/* ---- actions --------------------------------------------------------------------------------- */

static enum rc reply(struct fleet *f, size_t site, enum fleet_kind kind, struct error *err)
{
    const struct round_machine *m = f->coordinator.machine;
    struct fleet_event e = {.kind = kind, .to = site, .from = FLEET_COORDINATOR, .round = m->round};
    const void *bytes = NULL;
    size_t n = 0;
    if (kind == FLEET_ROUND) {
        e.left_ms = m->deadline_ms - f->now_ms;
        bytes = f->coordinator.sent;
        n = broadcast_bytes(f->p->study, f->p->model->table.S);
    }
    if (kind == FLEET_OUTCOME) {
        e.round = round_finished(m);
    }
    return fleet_send(f, e, FLEET_LATENCY_MS, bytes, n, err);
}

enum audience { EVERYBODY, ACCEPTED, WAITED_FOR };

static enum rc cast(struct fleet *f, enum fleet_kind kind, enum audience audience,
                    struct error *err)
{
    const struct round_machine *m = f->coordinator.machine;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < m->n_sites; i++) {
        const bool accepted = m->member[i] == ROUND_ACCEPTED;
        if (audience == EVERYBODY || (accepted && audience == ACCEPTED) ||
            (accepted && m->part[i] == ROUND_WAITED_FOR)) {
            rc = reply(f, i, kind, err);
        }
    }
    return rc;
}

static void contributed_of(const struct round_machine *m, bool *contributed)
{
    for (size_t i = 0; i < m->n_sites; i++) {
        contributed[i] = m->part[i] == ROUND_CONTRIBUTED;
    }
}

/* With what to do where sites had no finite update: the first of them by name, so that there is room for it. */
static void why_below_quorum(const struct fleet *f, const struct round_machine *m, char *out,
                             size_t room)
{
    enum { NAMES_ROOM = 48 };
    char names[STUDY_NAME_MAX + NAMES_ROOM] = "";
    char more[40] = "";
    size_t n = 0;
    size_t unnamed = 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        if (m->part[i] == ROUND_CONTRIBUTED || strcmp(f->site[i].reason, WIRE_DIVERGED) != 0) {
            continue;
        }
        const char *name = f->p->study->site[i].name;
        const size_t at = strlen(names);
        if (n > 0 && at + 2 + strlen(name) > NAMES_ROOM) {
            unnamed++;
        } else {
            (void)snprintf(names + at, sizeof names - at, "%s%s", n == 0 ? "" : ", ", name);
        }
        n++;
    }
    if (unnamed > 0) {
        (void)snprintf(more, sizeof more, " and %zu more", unnamed);
    }
    (void)snprintf(out, room, "%zu of %zu contributed, quorum is %zu%s%s%s%s",
                   round_contributors(m), m->n_sites, m->quorum,
                   n > 0 ? "; the update was not finite at " : "", names, more,
                   n > 0 ? ": lower local.rate" : "");
}

/* What must be durable before anybody is answered. *dropped: the sender's fault, no reply. */
static enum rc keep(struct fleet *f, unsigned actions, const struct fleet_event *e, bool *dropped,
                    struct error *err)
{
    struct fleet_coordinator *c = &f->coordinator;
    struct round_machine *m = c->machine;
    enum rc rc = RC_OK;
    if (actions & ROUND_KEEP_MEMBER) {
        rc = registry_keep_member(c->registry, &f->study_hash, e->from, m->member[e->from],
                                  e->reason, f->now_ms, err);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_PART)) {
        const bool update = e->kind == FLEET_UPDATE;
        const char *reason =
            e->kind == FLEET_ACCEPT ? "joined after the round had opened" : e->reason;
        /* The step that decided may already have moved on: the part is of the round it named. */
        const uint64_t round = e->kind == FLEET_ACCEPT ? m->round : e->round;
        struct error fault = {0};
        rc = registry_keep_part(c->registry, &f->study_hash, round, e->from,
                                update ? e->bytes : NULL, update ? e->n : 0, reason, f->now_ms,
                                &fault);
        *dropped = rc == RC_STATE;
        rc = *dropped ? RC_OK : rc;
        if (rc != RC_OK) {
            rc = error_set(err, rc, "%s", fault.text);
        }
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_FAILURE)) {
        bool contributed[ROUND_SITES_MAX];
        contributed_of(m, contributed);
        char reason[240];
        if (c->abort_due) {
            (void)snprintf(reason, sizeof reason, "stopped by the coordinator's people");
        } else {
            why_below_quorum(f, m, reason, sizeof reason);
        }
        rc = registry_commit_failure(c->registry, &f->study_hash, m->round, contributed, m->n_sites,
                                     reason, f->now_ms, err);
    }
    return rc;
}

static enum rc replies(struct fleet *f, unsigned actions, size_t to, struct error *err)
{
    static const struct {
        enum round_action action;
        enum fleet_kind kind;
    } message[] = {{ROUND_REPLY_STUDY, FLEET_STUDY},
                   {ROUND_REPLY_OUTCOME, FLEET_OUTCOME},
                   {ROUND_REPLY_ROUND, FLEET_ROUND},
                   {ROUND_REPLY_ACK, FLEET_ACK},
                   {ROUND_REPLY_DONE, FLEET_DONE}};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof message / sizeof message[0]; i++) {
        if (actions & message[i].action) {
            rc = reply(f, to, message[i].kind, err);
        }
    }
    return rc;
}

static enum rc act(struct fleet *f, unsigned actions, const struct fleet_event *e,
                   struct error *err)
{
    bool dropped = false;
    f->refused += (actions & ROUND_PROTOCOL_ERROR) != 0;
    enum rc rc = keep(f, actions, e, &dropped, err);
    if (rc != RC_OK || dropped) {
        return rc;
    }
    if (e != NULL && e->from != FLEET_COORDINATOR) {
        rc = replies(f, actions, e->from, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_OUTCOME)) {
        rc = cast(f, FLEET_OUTCOME, ACCEPTED, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_ROUND)) {
        rc = registry_open_round(f->coordinator.registry, &f->study_hash,
                                 f->coordinator.machine->round, f->now_ms, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_ROUND)) {
        rc = cast(f, FLEET_ROUND, WAITED_FOR, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_DONE)) {
        rc = cast(f, FLEET_DONE, EVERYBODY, err);
    }
    if (rc == RC_OK && (actions & ROUND_MERGE)) {
        const struct fleet_event due = {.kind = FLEET_MERGE_DUE,
                                        .to = FLEET_COORDINATOR,
                                        .from = FLEET_COORDINATOR,
                                        .round = f->coordinator.machine->round};
        rc = fleet_send(f, due, FLEET_COMMIT_MS, NULL, 0, err);
    }
    return rc;
}

/* ---- merging --------------------------------------------------------------------------------- */

static enum rc add_update(void *ctx, size_t site, const void *update, size_t n, struct error *err)
{
    struct fleet *f = ctx;
    if (f->coordinator.machine->part[site] != ROUND_CONTRIBUTED) {
        return RC_OK;
    }
    return merge_add(f->coordinator.merge, site, update, n, err);
}

static enum rc merge_and_commit(struct fleet *f, struct error *err)
{
    struct fleet_coordinator *c = &f->coordinator;
    struct round_machine *m = c->machine;
    enum rc rc = RC_OK;
    merge_restart(c->merge);
    do {
        rc = registry_each_update(c->registry, &f->study_hash, m->round, add_update, f, err);
    } while (rc == RC_OK && merge_again(c->merge));
    if (rc != RC_OK) {
        return rc;
    }
    rc = merge_finish(c->merge, m->round, c->model, c->state, state_size(f), err);
    rc = pack_model(f, rc, err);
    if (rc != RC_OK) {
        return rc;
    }
    bool contributed[ROUND_SITES_MAX];
    contributed_of(m, contributed);
    rc = registry_commit_round(c->registry, &f->study_hash, m->round, c->model, model_bytes(f),
                               c->state, state_size(f), contributed, m->n_sites, f->now_ms, err);
    if (rc == RC_OK && keeps_together(f)) {
        registry_tidy(c->registry);
    }
    if (rc == RC_OK && f->p->watch.committed != NULL) {
        rc = f->p->watch.committed(f->p->watch.ctx, f, m->round, c->model, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const struct fleet_event e = {.kind = FLEET_MERGED,
                                  .to = FLEET_COORDINATOR,
                                  .from = FLEET_COORDINATOR,
                                  .answer = (int)ROUND_COMMITTED};
    return fleet_send(f, e, FLEET_COMMIT_MS, NULL, 0, err);
}

static enum round_event event_of(enum fleet_kind kind)
{
    static const enum round_event event[] = {
        [FLEET_HELLO] = ROUND_GOT_HELLO,     [FLEET_ACCEPT] = ROUND_GOT_ACCEPT,
        [FLEET_DECLINE] = ROUND_GOT_DECLINE, [FLEET_UPDATE] = ROUND_GOT_UPDATE,
        [FLEET_CANNOT] = ROUND_GOT_CANNOT,
    };
    assert(kind <= FLEET_CANNOT);
    return event[kind];
}

enum rc coordinator_handle(struct fleet *f, const struct fleet_event *e, struct error *err)
{
    struct round_machine *m = f->coordinator.machine;
    if (e->kind == FLEET_MERGE_DUE) {
        return merge_and_commit(f, err);
    }
    struct round_input in = {.now_ms = f->now_ms, .site = e->from, .round = e->round};
    if (e->kind == FLEET_MERGED) {
        in.event = (enum round_event)e->answer;
        in.site = 0;
    } else {
        in.event = event_of(e->kind);
    }
    return act(f, round_step(m, &in), e, err);
}

/* What a site says to the coordinator, at this instant. */
static bool is_said_now(const struct fleet *f, const struct fleet_event *e)
{
    return e != NULL && e->to == FLEET_COORDINATOR && e->kind <= FLEET_CANNOT &&
           e->at_ms == f->now_ms;
}

/* Answers are on their way in the queue, and nothing of it is looked at before what they rest on is on the disk. */
enum rc coordinator_hear(struct fleet *f, size_t *handled, struct error *err)
{
    struct registry *r = f->coordinator.registry;
    *handled = 0;
    if (!keeps_together(f) || !is_said_now(f, queue_peek(&f->queue))) {
        return RC_OK;
    }
    enum rc rc = registry_together(r, err);
    while (rc == RC_OK && is_said_now(f, queue_peek(&f->queue))) {
        struct fleet_event e = queue_pop(&f->queue);
        rc = coordinator_handle(f, &e, err);
        free(e.bytes);
        ++*handled;
    }
    return rc == RC_OK ? registry_settle(r, err) : rc;
}

enum rc coordinator_time_out(struct fleet *f, struct error *err)
{
    const struct round_input in = {.event = ROUND_TIMED_OUT, .now_ms = f->now_ms};
    return act(f, round_step(f->coordinator.machine, &in), NULL, err);
}

enum rc coordinator_decide(struct fleet *f, struct error *err)
{
    struct fleet_coordinator *c = &f->coordinator;
    if (!c->abort_due || c->machine->state == ROUND_MERGING) {
        return RC_OK; /* the model that is being committed is announced first */
    }
    const struct round_input in = {.event = ROUND_ABORTED, .now_ms = f->now_ms};
    const enum rc rc = act(f, round_step(c->machine, &in), NULL, err);
    c->abort_due = false;
    return rc;
}
