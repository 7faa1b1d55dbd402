/* The driver of one hospital: what agent/app will be, with a queue in place of sockets and pipes. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/replay.h"
#include "common/broadcast/broadcast.h"
#include "common/wire/wire.h"
#include "sim/fleet/fleet_internal.h"

static enum rc act(struct fleet *f, struct fleet_site *s, unsigned actions, struct error *err);

static const char withdrew[] = "the hospital has withdrawn from the study";

static const struct study *study_of(const struct fleet *f)
{
    return f->p->study;
}

/* Under the lock: the ledger that has not been asked for longest and is at no desk, if as many are open as may
 * be. Taken out, for the caller to close. */
static struct ledger *make_room(struct fleet *f)
{
    struct fleet_site *oldest = NULL;
    size_t n = 0;
    if (f->p->folder == NULL || f->p->ledgers_open == 0) {
        return NULL; /* in memory a closed one would be gone */
    }
    for (size_t i = 0; i < study_of(f)->n_sites; i++) {
        struct fleet_site *s = &f->site[i];
        if (s->ledger != NULL) {
            n++;
            oldest = !s->at_desk && (oldest == NULL || s->ledger_used < oldest->ledger_used)
                         ? s
                         : oldest;
        }
    }
    if (n < f->p->ledgers_open || oldest == NULL) {
        return NULL;
    }
    struct ledger *out = oldest->ledger;
    oldest->ledger = NULL;
    return out;
}

enum rc site_ledger(struct fleet *f, struct fleet_site *s, struct ledger **out, struct error *err)
{
    enum rc rc = RC_OK;
    struct ledger *old = NULL;
    (void)pthread_mutex_lock(&f->lock);
    s->ledger_used = ++f->ledgers_asked;
    old = s->ledger == NULL ? make_room(f) : NULL;
    (void)pthread_mutex_unlock(&f->lock);
    ledger_close(&old); /* waits for the disk, as opening does */
    if (s->ledger == NULL) {
        struct ledger *opened = NULL;
        char path[512] = ":memory:";
        if (f->p->folder != NULL) {
            fleet_ledger_path(f->p->folder, study_of(f)->site[s->index].name, path);
        }
        rc = ledger_open(path, &f->p->policy[s->index], &opened, err);
        (void)pthread_mutex_lock(&f->lock);
        s->ledger = opened;
        (void)pthread_mutex_unlock(&f->lock);
    }
    *out = s->ledger;
    return rc;
}

enum rc site_start(struct fleet *f, struct fleet_site *s, struct error *err)
{
    struct ledger *ledger = NULL;
    s->session = (struct session){0};
    if (f->p->folder != NULL && f->p->ledgers_open > 0) {
        return RC_OK; /* the first question opens it: it would be closed again before that */
    }
    return site_ledger(f, s, &ledger, err);
}

void site_stop(struct fleet_site *s)
{
    ledger_close(&s->ledger);
    train_result_release(&s->trained);
    free(s->model);
    s->model = NULL;
    s->has_trained = false;
    s->request++; /* whatever was asked for dies with the process */
    s->incarnation++;
    s->session = (struct session){0};
    s->reason[0] = '\0';
    free(s->read.state);
    s->read = (struct fleet_site_result){0};
    s->has_read = false;
}

static enum rc say(struct fleet *f, const struct fleet_site *s, enum fleet_kind kind,
                   struct error *err)
{
    struct fleet_event e = {
        .kind = kind, .to = FLEET_COORDINATOR, .from = s->index, .round = s->session.round};
    (void)snprintf(e.reason, sizeof e.reason, "%s", s->reason);
    return fleet_send(f, e, FLEET_LATENCY_MS, NULL, 0, err);
}

/* Something this party does by itself, after `delay_ms`. */
static enum rc later(struct fleet *f, const struct fleet_site *s, enum fleet_kind kind,
                     int64_t delay_ms, struct error *err)
{
    const struct fleet_event e = {.kind = kind,
                                  .to = s->index,
                                  .from = s->index,
                                  .round = s->session.round,
                                  .request = s->request};
    return fleet_send(f, e, delay_ms, NULL, 0, err);
}

static enum rc answer(struct fleet *f, const struct fleet_site *s, enum session_event event,
                      uint64_t round, struct error *err)
{
    const struct fleet_event e = {.kind = FLEET_ANSWER,
                                  .to = s->index,
                                  .from = s->index,
                                  .round = round,
                                  .request = s->request,
                                  .answer = (int)event};
    return fleet_send(f, e, 0, NULL, 0, err);
}

/* A withdrawal that could not be heard before: raised after the step, and before its actions are
 * carried out. An update that was only just committed does not leave any more. */
static unsigned with_withdrawal(const struct fleet *f, struct fleet_site *s, unsigned actions)
{
    if (!s->withdrawal_due || s->session.state == SESSION_SPEND) {
        return actions; /* a commit that was asked for is answered first */
    }
    s->withdrawal_due = false;
    (void)snprintf(s->reason, sizeof s->reason, "%s", withdrew);
    const struct session_input in = {.event = SESSION_WITHDRAWN, .now_ms = f->now_ms};
    return (actions & ~(unsigned)SESSION_SEND_UPDATE) | session_step(&s->session, &in);
}

static enum rc step(struct fleet *f, struct fleet_site *s, const struct session_input *in,
                    struct error *err)
{
    return act(f, s, with_withdrawal(f, s, session_step(&s->session, in)), err);
}

/* ---- the trainer's side ---------------------------------------------------------------------- */

static size_t patients_of(const struct fleet *f, size_t site)
{
    return f->p->data != NULL ? f->p->data[site]->n_patients : f->p->cohorts.n_patients[site];
}

static enum rc check_policy(struct fleet *f, struct fleet_site *s, struct error *err)
{
    struct error refusal = {0};
    if (s->withdrawn) {
        (void)snprintf(s->reason, sizeof s->reason, "%s", withdrew);
        return answer(f, s, SESSION_POLICY_NO, 0, err);
    }
    struct ledger *ledger = NULL;
    enum rc rc = site_ledger(f, s, &ledger, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = ledger_join(ledger, study_of(f), &f->study_hash, patients_of(f, s->index), f->now_ms,
                     &refusal);
    if (rc == RC_OK) {
        return answer(f, s, SESSION_POLICY_YES, 0, err);
    }
    if (rc != RC_LIMIT && rc != RC_STATE) {
        return error_set(err, rc, "%s", refusal.text);
    }
    (void)snprintf(s->reason, sizeof s->reason, "%s", refusal.text);
    return answer(f, s, SESSION_POLICY_NO, 0, err);
}

/* Secret entropy in deployment; here one stream for each (site, round, life). */
static void entropy_for(const struct fleet *f, const struct fleet_site *s, uint64_t round,
                        struct entropy *entropy)
{
    char stream[128];
    (void)snprintf(stream, sizeof stream, "site %s round %llu life %llu",
                   study_of(f)->site[s->index].name, (unsigned long long)round,
                   (unsigned long long)s->incarnation);
    replay_init(entropy, f->p->seed, stream);
}

/* Into s->trained. */
static enum rc train_on(struct fleet *f, struct fleet_site *s, struct train_job *job,
                        struct error *err)
{
    struct dataset *own = NULL;
    struct entropy entropy;
    enum rc rc = RC_OK;
    if (f->p->data == NULL) {
        rc = f->p->cohorts.open(f->p->cohorts.ctx, s->index, &own, err);
        rc = rc == RC_OK ? train_fits(study_of(f), f->p->model, own, s->index, err) : rc;
    }
    if (rc == RC_OK) {
        job->data = own != NULL ? own : f->p->data[s->index];
        s->cohort = job->data->version;
        entropy_for(f, s, job->round, &entropy);
        train_result_release(&s->trained);
        rc = train_round(job, &entropy, &s->trained, err);
        entropy_release(&entropy);
    }
    dataset_close(&own);
    return rc;
}

static enum rc train(struct fleet *f, struct fleet_site *s, uint64_t round, struct train_room *room,
                     struct error *err)
{
    const void *bytes = NULL;
    size_t n = 0;
    bool found = false;
    struct ledger *ledger = NULL;
    enum rc rc = site_ledger(f, s, &ledger, err);
    if (rc == RC_OK) {
        rc = ledger_stored(ledger, &f->study_hash, round, &found, &bytes, &n, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (found) {
        return answer(f, s, SESSION_FOUND_STORED, round, err);
    }
    assert(s->model != NULL);
    if (!train_begins(study_of(f), f->p->model, round, s->model)) {
        (void)snprintf(s->reason, sizeof s->reason, TRAIN_BEGINS_NOT);
        return answer(f, s, SESSION_CANNOT_TRAIN, round, err);
    }
    uint64_t state_round = 0;
    rc = ledger_site_state(ledger, &f->study_hash, &state_round, &bytes, &n, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct train_job job = {.study = study_of(f),
                            .model = f->p->model,
                            .site = s->index,
                            .round = round,
                            .global = s->model,
                            .site_state = state_round == 0 ? NULL : bytes,
                            .site_state_bytes = n,
                            .room = room};
    struct error failure = {0};
    rc = train_on(f, s, &job, &failure);
    free(s->model);
    s->model = NULL;
    if (rc == RC_NUMERIC) { /* why stays at the site: it was read off numbers not accounted for */
        (void)snprintf(s->reason, sizeof s->reason, "%s", WIRE_DIVERGED);
        return answer(f, s, SESSION_CANNOT_TRAIN, round, err);
    }
    if (rc != RC_OK) {
        return error_set(err, rc, "%s", failure.text);
    }
    s->has_trained = true;
    s->trained_round = round;
    return answer(f, s, SESSION_TRAINED, round, err);
}

static enum rc commit(struct fleet *f, struct fleet_site *s, uint64_t round, struct error *err)
{
    assert(s->has_trained);
    assert(s->trained_round == round);
    const struct study *study = study_of(f);
    const struct ledger_spend spend = {
        .study = f->study_hash,
        .round = round,
        .mechanism = {.q = study->privacy.sample_rate,
                      .sigma = study->privacy.noise_multiplier,
                      .steps = study->local.steps},
        .clip = study->privacy.clip,
        .cohort = s->cohort,
        .model = s->model_hash,
        .update = s->trained.update,
        .update_bytes = s->trained.update_bytes,
        .site_state = s->trained.site_state,
        .site_state_bytes = s->trained.site_state_bytes,
        .now_ms = f->now_ms,
    };
    struct error failure = {0};
    struct ledger *ledger = NULL;
    enum rc rc = site_ledger(f, s, &ledger, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = ledger_spend(ledger, &spend, &failure);
    train_result_release(&s->trained);
    s->has_trained = false;
    if (rc == RC_OK) {
        return answer(f, s, SESSION_COMMITTED, round, err);
    }
    if (rc != RC_LIMIT && rc != RC_STATE) {
        return error_set(err, rc, "%s", failure.text);
    }
    (void)snprintf(s->reason, sizeof s->reason, "%s", failure.text);
    return answer(f, s, SESSION_NOT_COMMITTED, round, err);
}

static enum rc send_update(struct fleet *f, struct fleet_site *s, struct error *err)
{
    const uint64_t round = s->session.round;
    const void *bytes = NULL;
    size_t n = 0;
    bool found = false;
    struct ledger *ledger = NULL;
    enum rc rc = site_ledger(f, s, &ledger, err);
    if (rc == RC_OK) {
        rc = ledger_stored(ledger, &f->study_hash, round, &found, &bytes, &n, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (!found) {
        return error_set(err, RC_STATE,
                         "round %llu was to be sent, and the ledger has no row of it",
                         (unsigned long long)round);
    }
    if (f->p->watch.release != NULL) {
        f->p->watch.release(f->p->watch.ctx, s->index, round, bytes, n);
    }
    const struct fleet_event e = {
        .kind = FLEET_UPDATE, .to = FLEET_COORDINATOR, .from = s->index, .round = round};
    rc = fleet_send(f, e, FLEET_LATENCY_MS, bytes, n, err);
    return rc == RC_OK ? answer(f, s, SESSION_SENT, round, err) : rc;
}

enum rc site_read(struct fleet *f, struct fleet_site *s, struct error *err)
{
    uint64_t round = 0;
    const void *state = NULL;
    size_t n = 0;
    struct ledger *ledger = NULL;
    if (s->has_read) {
        return RC_OK;
    }
    enum rc rc = site_ledger(f, s, &ledger, err);
    if (rc == RC_OK) {
        rc = ledger_site_state(ledger, &f->study_hash, &round, &state, &n, err);
    }
    if (rc == RC_OK && round > 0) {
        s->read.state = malloc(n + 1);
        if (s->read.state == NULL) {
            return error_set(err, RC_NOMEM, "no memory for a site's state");
        }
        memcpy(s->read.state, state, n);
        s->read.state_bytes = n;
    }
    if (rc == RC_OK) { /* without noise epsilon is infinite at any delta */
        const struct study_privacy *p = &study_of(f)->privacy;
        rc = ledger_epsilon(ledger, &f->study_hash, p->noise == STUDY_NOISE_NONE ? 0.5 : p->delta,
                            &s->read.epsilon_spent, err);
    }
    s->has_read = rc == RC_OK;
    return rc;
}

/* What the study had been promised and did not use is free again. Harmless to repeat. */
static enum rc end_study(struct fleet *f, struct fleet_site *s, struct error *err)
{
    struct error why = {0};
    struct ledger *ledger = NULL;
    if (s->has_read) {
        return RC_OK; /* it was read when it had ended, and closed */
    }
    enum rc rc = site_ledger(f, s, &ledger, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = ledger_end_study(ledger, &f->study_hash, f->now_ms, &why);
    if (rc != RC_OK && rc != RC_STATE) { /* STATE: declined, so it was never joined */
        return error_set(err, rc, "%s", why.text);
    }
    if (f->p->folder == NULL || f->p->ledgers_open == 0 || s->session.state != SESSION_DONE) {
        return RC_OK;
    }
    /* Nothing is spent any more: read and closed now, while others do the same beside it. */
    rc = site_read(f, s, err);
    (void)pthread_mutex_lock(&f->lock);
    ledger = s->ledger;
    s->ledger = NULL;
    (void)pthread_mutex_unlock(&f->lock);
    ledger_close(&ledger);
    return rc;
}

/* ---- actions and events ---------------------------------------------------------------------- */

static enum rc ask_trainer(struct fleet *f, struct fleet_site *s, unsigned actions,
                           struct error *err)
{
    enum rc rc = RC_OK;
    if (actions & SESSION_CHECK_POLICY) {
        rc = later(f, s, FLEET_CHECK_DUE, FLEET_COMMIT_MS, err);
    }
    if (rc == RC_OK && (actions & SESSION_START_TRAINING)) {
        s->request++;
        rc = later(f, s, FLEET_TRAIN_DUE, FLEET_TRAIN_MS, err);
    }
    if (rc == RC_OK && (actions & SESSION_COMMIT_SPEND)) {
        rc = later(f, s, FLEET_COMMIT_DUE, FLEET_COMMIT_MS, err);
    }
    return rc;
}

/* SESSION_KEEP_OUTCOME is a record for people, and worlds have none. */
static enum rc act(struct fleet *f, struct fleet_site *s, unsigned actions, struct error *err)
{
    static const struct {
        enum session_action action;
        enum fleet_kind kind;
    } message[] = {{SESSION_SAY_HELLO, FLEET_HELLO},
                   {SESSION_SAY_ACCEPT, FLEET_ACCEPT},
                   {SESSION_SAY_DECLINE, FLEET_DECLINE},
                   {SESSION_SAY_CANNOT, FLEET_CANNOT}};
    (void)pthread_mutex_lock(&f->lock);
    f->refused += (actions & SESSION_PROTOCOL_ERROR) != 0;
    (void)pthread_mutex_unlock(&f->lock);
    if (actions & SESSION_CANCEL_TRAINING) {
        s->request++;
        s->has_trained = false;
    }
    enum rc rc = ask_trainer(f, s, actions, err);
    for (size_t i = 0; rc == RC_OK && i < sizeof message / sizeof message[0]; i++) {
        if (actions & message[i].action) {
            rc = say(f, s, message[i].kind, err);
        }
    }
    if (rc == RC_OK && (actions & SESSION_SEND_UPDATE)) {
        rc = send_update(f, s, err);
    }
    return rc == RC_OK && s->session.state == SESSION_DONE ? end_study(f, s, err) : rc;
}

static enum rc got_round(struct fleet *f, struct fleet_site *s, const struct fleet_event *e,
                         struct error *err)
{
    const struct session_input in = {.event = SESSION_GOT_ROUND,
                                     .now_ms = f->now_ms,
                                     .round = e->round,
                                     .round_deadline_ms = f->now_ms + e->left_ms};
    const unsigned actions = session_step(&s->session, &in);
    if (actions & SESSION_START_TRAINING) { /* the model of the round we are about to train */
        const size_t numbers = f->p->model->table.S;
        const size_t want = broadcast_bytes(f->p->study, numbers);
        if (e->n != want) {
            return error_set(err, RC_FORMAT, "a model of %zu bytes, want %zu", e->n, want);
        }
        if (s->model == NULL) {
            s->model = malloc(numbers * sizeof *s->model + 1);
        }
        if (s->model == NULL) {
            return error_set(err, RC_NOMEM, "no memory for a model");
        }
        const enum rc rc = broadcast_unpack(f->p->study, e->bytes, numbers, s->model, err);
        if (rc != RC_OK) {
            return rc;
        }
        s->model_hash = hash_of(e->bytes, e->n);
    }
    return act(f, s, actions, err);
}

/* Answers that die with a cancelled request. */
static bool about_training(enum session_event event)
{
    return event == SESSION_TRAINED || event == SESSION_FOUND_STORED ||
           event == SESSION_CANNOT_TRAIN;
}

enum rc site_handle(struct fleet *f, struct fleet_site *s, const struct fleet_event *e,
                    struct train_room *room, struct error *err)
{
    const bool stale = e->request != s->request;
    struct session_input in = {.now_ms = f->now_ms, .round = e->round};
    switch (e->kind) {
    case FLEET_STUDY:
        in.event = SESSION_GOT_STUDY;
        return step(f, s, &in, err);
    case FLEET_ROUND:
        return got_round(f, s, e, err);
    case FLEET_ACK:
        in.event = SESSION_GOT_ACK;
        return step(f, s, &in, err);
    case FLEET_OUTCOME:
        in.event = SESSION_GOT_OUTCOME;
        return step(f, s, &in, err);
    case FLEET_DONE:
        in.event = SESSION_GOT_DONE;
        return step(f, s, &in, err);
    case FLEET_CHECK_DUE:
        return check_policy(f, s, err);
    case FLEET_TRAIN_DUE:
        return stale ? RC_OK : train(f, s, e->round, room, err);
    case FLEET_COMMIT_DUE: /* a commit that was asked for is not unasked */
        return commit(f, s, e->round, err);
    case FLEET_ANSWER:
        in.event = (enum session_event)e->answer;
        return stale && about_training(in.event) ? RC_OK : step(f, s, &in, err);
    case FLEET_HELLO:
    case FLEET_ACCEPT:
    case FLEET_DECLINE:
    case FLEET_UPDATE:
    case FLEET_CANNOT:
    case FLEET_MERGE_DUE:
    case FLEET_MERGED:
        break;
    }
    return error_set(err, RC_STATE, "message %d does not go to a site", (int)e->kind);
}

/* The ledger first: whatever is on its way to it, such as a commit, is refused from now on. */
enum rc site_withdraw(struct fleet *f, struct fleet_site *s, struct error *err)
{
    s->withdrawn = true;
    s->withdrawal_due = true;
    return end_study(f, s, err);
}

enum rc site_decide(struct fleet *f, struct fleet_site *s, struct error *err)
{
    return act(f, s, with_withdrawal(f, s, SESSION_NOTHING), err);
}

enum rc site_time_out(struct fleet *f, struct fleet_site *s, struct error *err)
{
    const struct session_input in = {.event = SESSION_TIMED_OUT, .now_ms = f->now_ms};
    return step(f, s, &in, err);
}
