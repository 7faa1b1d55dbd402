/* The trainer process: one loop over its end of the socket pair. It holds everything that patients'
 * data can be read from, and no way out but messages of common/wire. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>

#include "agent/app/process.h"
#include "agent/app/trainer_internal.h"
#include "agent/sandbox/sandbox.h"
#include "common/base/clock.h"
#include "common/base/heap.h"
#include "common/base/log.h"

/* QUIET: so long after an ACK nothing else has come, and the receipt is kept: what comes with it is there by then. */
enum { CONSENT_POLL_MS = 1000, IDLE_WAIT_MS = 1000, QUIET_MS = 5 };

enum rc trainer_say(struct trainer *t, struct wire_message *m, const void *raw, size_t raw_n,
                    struct error *err)
{
    return pair_send(t->pair, m, raw, raw_n, err);
}

/* ---- what is open ---------------------------------------------------------------------------- */

static void close_all(struct trainer *t)
{
    consent_close(&t->consent);
    ledger_close(&t->ledger);
    dataset_close(&t->data);
    site_release(&t->site);
}

enum rc trainer_reopen(struct trainer *t, struct error *err)
{
    struct config_issues *issues = calloc(1, sizeof *issues); /* large */
    struct trainer fresh = {0};
    if (issues == NULL) {
        return error_set(err, RC_NOMEM, "no memory to read site.yaml");
    }
    enum rc rc = site_open(t->folder, &fresh.site, issues, err);
    free(issues);
    if (rc == RC_OK) {
        rc = site_dataset(&fresh.site, &fresh.data, err);
    }
    if (rc == RC_OK) {
        rc = site_ledger(&fresh.site, &fresh.ledger, err);
    }
    if (rc == RC_OK) {
        rc = site_consent(t->folder, &fresh.consent, err);
    }
    if (rc != RC_OK) {
        close_all(&fresh);
        return rc;
    }
    close_all(t);
    t->site = fresh.site;
    t->data = fresh.data;
    t->ledger = fresh.ledger;
    t->consent = fresh.consent;
    return RC_OK;
}

static enum rc enter_sandbox(const char *folder, struct sandbox_state *state, struct error *err)
{
    const struct sandbox_rules rules = {.n_write = 1, .write = {folder}, .network = false};
    return sandbox_enter(&rules, state, err);
}

static enum rc start(struct trainer *t, const struct process_params *p, struct sandbox_state *state,
                     struct error *err)
{
    t->folder = p->folder;
    t->round.model_in.fd = -1;
    t->final.in.fd = -1;
    enum rc rc = sandbox_harden(true, err);
    if (rc == RC_OK) {
        rc = enter_sandbox(p->folder, state, err);
    }
    if (rc == RC_OK) {
        rc = pair_open(p->pair_fd, "trainer", "gateway", &t->pair, err);
    }
    if (rc == RC_OK) {
        pair_leave_chunks(t->pair); /* models are verified as a whole */
    }
    if (rc == RC_OK) {
        rc = entropy_init(&t->entropy, err);
    }
    if (rc == RC_OK) {
        rc = site_coordinator(p->folder, &t->coordinator, err);
    }
    if (rc == RC_OK) {
        rc = trainer_reopen(t, err);
    }
    if (rc == RC_OK) {
        t->inbox = calloc(TRAINER_INBOX, sizeof *t->inbox);
        rc = t->inbox != NULL ? RC_OK : error_set(err, RC_NOMEM, "no memory for the inbox");
    }
    return rc;
}

/* What came in one piece with the end of the pair counts, too. */
static void keep_last_receipt(struct trainer *t)
{
    struct error ignored = {0};
    if (t->ledger == NULL) {
        return;
    }
    for (size_t i = 0; i < t->inbox_n; i++) {
        if (t->inbox[i].m.kind == WIRE_RECEIPT) {
            error_ignore(round_receipt(t, t->inbox[i].raw, t->inbox[i].raw_n, &ignored));
        }
    }
    error_ignore(round_keep_receipt(t, &ignored));
}

static void stop(struct trainer *t)
{
    keep_last_receipt(t);
    study_forget(t);
    round_release(t);
    masking_forget(t);
    for (size_t i = 0; i < t->inbox_n; i++) {
        free(t->inbox[i].raw);
    }
    free(t->inbox);
    close_all(t);
    entropy_release(&t->entropy);
    pair_close(&t->pair);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* About a round of another study, or before there is one: a message that a restart overtook. */
static bool concerns_us(const struct trainer *t, const struct wire_message *m)
{
    return t->study.known && hash_equal(&m->study, &t->study.agreement.study_hash);
}

static bool is_masking(enum wire_kind kind)
{
    return kind == WIRE_MASK_MEMBERS || kind == WIRE_MASK_PARCELS || kind == WIRE_MASK_SURVIVORS ||
           kind == WIRE_MASK_VOTES;
}

static enum rc take(struct trainer *t, const struct wire_message *m, const void *raw, size_t raw_n,
                    struct error *err)
{
    if (m->kind == WIRE_STUDY) {
        return study_arrived(t, m, raw, raw_n, err);
    }
    if (m->kind == WIRE_DONE) {
        return study_ended(t, m, err);
    }
    if (m->kind == WIRE_CHUNK) {
        return round_chunk(t, m, raw, raw_n, err);
    }
    if (m->kind == WIRE_CREDIT) {
        return round_credit(t, m, err);
    }
    if (m->kind == WIRE_EVALUATE) {
        return evaluation_asked(t, m, raw, raw_n, err);
    }
    if (!concerns_us(t, m)) {
        log_event(LOG_LEVEL_WARN, "trainer_ignored", "kind=%s reason=\"another study\"",
                  wire_kind_name(m->kind));
        return RC_OK;
    }
    if (m->kind == WIRE_TRAIN) {
        return round_train(t, m, err);
    }
    if (m->kind == WIRE_CANCEL) {
        return round_cancel(t, m->round, err);
    }
    if (m->kind == WIRE_COMMIT) {
        return round_commit(t, m, err);
    }
    if (m->kind == WIRE_RECEIPT) {
        return round_receipt(t, raw, raw_n, err);
    }
    if (m->kind == WIRE_OUTCOME) {
        return masking_over(t, m, err);
    }
    if (is_masking(m->kind)) {
        return masking_heard(t, m, raw, raw_n, err);
    }
    return error_set(err, RC_STATE, "the gateway sent %s, which is not for a trainer",
                     wire_kind_name(m->kind));
}

enum rc trainer_listen(struct trainer *t, struct error *err)
{
    enum rc rc = pair_flush(t->pair, err);
    for (bool got = true; rc == RC_OK && got;) {
        struct trainer_message in = {0};
        const void *raw = NULL;
        rc = pair_receive(t->pair, &got, &in.m, &raw, &in.raw_n, err);
        if (rc != RC_OK || !got) {
            break;
        }
        if (t->round.running != 0 && is_masking(in.m.kind)) { /* these do not wait for training */
            rc = concerns_us(t, &in.m) ? masking_heard(t, &in.m, raw, in.raw_n, err) : RC_OK;
            continue;
        }
        if (t->round.running != 0 && in.m.kind == WIRE_EVALUATE) {
            continue; /* between rounds; it is asked again */
        }
        if (t->inbox_n == TRAINER_INBOX) {
            return error_set(err, RC_LIMIT, "the gateway sent more than %d messages during a round",
                             (int)TRAINER_INBOX);
        }
        if (in.raw_n > 0) {
            in.raw = malloc(in.raw_n);
            if (in.raw == NULL) {
                return error_set(err, RC_NOMEM, "no memory for a message");
            }
            memcpy(in.raw, raw, in.raw_n);
        }
        t->round.cancelled = t->round.cancelled ||
                             (in.m.kind == WIRE_CANCEL && in.m.round == t->round.running) ||
                             in.m.kind == WIRE_DONE;
        t->inbox[t->inbox_n++] = in;
    }
    return rc;
}

/* What waited during a round first, in order; handling one may train again and refill the inbox. */
static enum rc take_inbox(struct trainer *t, struct error *err)
{
    enum rc rc = RC_OK;
    while (rc == RC_OK && t->inbox_n > 0) {
        const struct trainer_message in = t->inbox[0];
        t->inbox_n--;
        memmove(&t->inbox[0], &t->inbox[1], t->inbox_n * sizeof t->inbox[0]);
        rc = take(t, &in.m, in.raw, in.raw_n, err);
        free(in.raw);
    }
    return rc;
}

static enum rc one_turn(struct trainer *t, struct error *err)
{
    struct pollfd fd = {.fd = pair_fd(t->pair),
                        .events = (short)(POLLIN | (pair_wants_write(t->pair) ? POLLOUT : 0))};
    const bool quiet = poll(&fd, 1, t->receipt.frame != NULL ? QUIET_MS : IDLE_WAIT_MS) == 0;
    enum rc rc = trainer_listen(t, err);
    if (rc == RC_OK) {
        rc = take_inbox(t, err);
    }
    if (rc == RC_OK && round_receipt_is_due(t, quiet)) {
        rc = round_keep_receipt(t, err);
    }
    const int64_t now = clock_monotonic_ms();
    if (rc == RC_OK && now >= t->consent_due_ms) {
        t->consent_due_ms = now + CONSENT_POLL_MS;
        rc = study_poll_consent(t, err);
    }
    return rc == RC_OK ? round_pump(t, err) : rc;
}

/* The usual end: the agent is stopped, and the gateway has left first. */
static bool gateway_is_gone(const struct trainer *t)
{
    struct pollfd fd = {.fd = t->pair != NULL ? pair_fd(t->pair) : -1};
    return poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR)) != 0;
}

enum process_end trainer_main(const struct process_params *p)
{
    struct trainer *t = calloc(1, sizeof *t);
    struct error err = {0};
    struct sandbox_state state = {0};
    char identity[96];
    char refused[REFUSALS_TEXT];
    heap_keep(); /* a round is as large as the one before */
    if (t == NULL) {
        return PROCESS_AGAIN;
    }
    enum rc rc = start(t, p, &state, &err);
    (void)snprintf(identity, sizeof identity, "site=%s proc=trainer", t->site.name);
    log_identity(identity);
    if (rc == RC_OK) {
        log_event(state.files && state.calls ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "trainer_started",
                  "sandbox=\"%s\"", state.sentence);
        struct wire_message ready = {.kind = WIRE_READY};
        rc = trainer_say(t, &ready, NULL, 0, &err);
    }
    while (rc == RC_OK) {
        rc = one_turn(t, &err);
    }
    if (!gateway_is_gone(t)) {
        log_event(LOG_LEVEL_ERROR, "trainer_failed", "reason=\"%s\"", err.text);
    }
    log_event(LOG_LEVEL_INFO, "trainer_stopped", "refused=\"%s\"",
              refusals_text(&t->refusals, refused));
    stop(t);
    free(t);
    log_identity(NULL);
    return rc == RC_IO || rc == RC_NOMEM ? PROCESS_AGAIN : PROCESS_FAILED;
}
