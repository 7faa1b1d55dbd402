/* Messages to events, and the session machine's actions to messages (docs/PROTOCOL.md). Which study
 * the session is about is decided here; everything else the machine decides. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/app/gateway_internal.h"
#include "agent/app/screen.h"
#include "common/base/clock.h"
#include "common/base/log.h"

static bool is_zero(const struct hash *h)
{
    const struct hash zero = {{0}};
    return hash_equal(h, &zero);
}

enum { REASON_MAX = 240, PULSE_HELD_MS = 200 };

static enum rc act(struct gateway *g, unsigned actions, const struct wire_message *m,
                   const void *raw, size_t raw_n, struct error *err);

static enum rc refuse_message(struct gateway *g, enum refusal kind, const char *why)
{
    refusals_note(&g->refusals, kind, why);
    return RC_OK;
}

/* One event: the machine's answer is carried out before anything else is read. */
static enum rc step(struct gateway *g, struct session_input in, const struct wire_message *m,
                    const void *raw, size_t raw_n, struct error *err)
{
    const enum session_state before = g->session.state;
    in.now_ms = clock_monotonic_ms();
    const unsigned actions = session_step(&g->session, &in);
    if (g->session.state != before) {
        log_event(LOG_LEVEL_INFO, "session", "event=%s from=%s to=%s round=%" PRIu64,
                  session_event_name(in.event), session_state_name(before),
                  session_state_name(g->session.state), g->session.round);
    }
    return act(g, actions, m, raw, raw_n, err);
}

/* ---- actions --------------------------------------------------------------------------------- */

static enum rc say(struct gateway *g, enum wire_kind kind, const char *text, struct error *err)
{
    bool sent = false;
    g->out = (struct wire_message){.kind = kind};
    if (kind != WIRE_HELLO) {
        g->out.study = g->study;
    }
    if (kind == WIRE_CANNOT) {
        g->out.round = g->session.round;
    }
    wire_set_text(&g->out, text);
    return gateway_say(g, &g->out, NULL, 0, &sent, err);
}

static enum rc tell_trainer(struct gateway *g, enum wire_kind kind, uint64_t round,
                            struct error *err)
{
    g->out = (struct wire_message){.kind = kind, .study = g->study, .round = round};
    if (kind == WIRE_TRAIN) {
        const int64_t left = g->session.round_deadline_ms - clock_monotonic_ms();
        g->out.tensor = g->model.wanted;
        g->out.left_ms = left > 1 ? left : 1;
    }
    return pair_send(g->pair, &g->out, NULL, 0, err);
}

static enum rc ask_policy(struct gateway *g, const struct wire_message *m, const void *raw,
                          size_t raw_n, struct error *err)
{
    g->policy_due = true;
    g->out = (struct wire_message){.kind = WIRE_STUDY,
                                   .study = g->study,
                                   .anchor = m != NULL ? m->anchor : (struct hash){{0}}};
    return pair_send(g->pair, &g->out, raw, raw_n, err);
}

static enum rc ask_trainer(struct gateway *g, unsigned actions, const struct wire_message *m,
                           const void *raw, size_t raw_n, struct error *err)
{
    enum rc rc = RC_OK;
    if (actions & SESSION_CANCEL_TRAINING) {
        g->training = false;
        rc = tell_trainer(g, WIRE_CANCEL, g->training_round, err);
    }
    if (rc == RC_OK && (actions & SESSION_CHECK_POLICY)) {
        rc = ask_policy(g, m, raw, raw_n, err);
    }
    if (rc == RC_OK && (actions & SESSION_START_TRAINING)) {
        g->training = true;
        g->training_round = g->session.round;
        g->trains_out++;
        rc = tell_trainer(g, WIRE_TRAIN, g->session.round, err);
    }
    if (rc == RC_OK && (actions & SESSION_COMMIT_SPEND)) {
        rc = tell_trainer(g, WIRE_COMMIT, g->session.round, err);
    }
    return rc;
}

static enum rc speak(struct gateway *g, unsigned actions, struct error *err)
{
    enum rc rc = RC_OK;
    if (actions & SESSION_SAY_HELLO) {
        rc = say(g, WIRE_HELLO, "wardround-agent " WARDROUND_VERSION, err);
    }
    if (rc == RC_OK && (actions & SESSION_SAY_ACCEPT)) {
        rc = say(g, WIRE_ACCEPT, "", err);
    }
    if (rc == RC_OK && (actions & SESSION_SAY_DECLINE)) {
        rc = say(g, WIRE_DECLINE, g->reason, err);
    }
    if (rc == RC_OK && (actions & SESSION_SAY_CANNOT)) {
        rc = say(g, WIRE_CANNOT, g->reason, err);
    }
    return rc;
}

/* The trainer closes the study in its ledger and keeps the final model; then GOODBYE. */
static enum rc end_study(struct gateway *g, const struct wire_message *done, struct error *err)
{
    g->ending = true;
    g->end_done = done->done;
    screen_say("study ended: %s%s%s", done->done ? "done" : "failed",
               done->text[0] != '\0' ? "; " : "", done->text);
    if (done->round > 0 && done->tensor.bytes > 0) {
        tensor_want_model(g, &done->tensor);
    }
    struct wire_message *m = &g->out;
    *m = *done;
    memset(&m->raw, 0, sizeof m->raw);
    m->raw_bytes = 0;
    return pair_send(g->pair, m, NULL, 0, err);
}

/* The trainer wipes what it had for that round's masks. */
static enum rc hand_outcome(struct gateway *g, const struct wire_message *m, struct error *err)
{
    if (g->said.round == 0) {
        return RC_OK; /* it had none */
    }
    masking_settled(g, m->round);
    struct wire_message *out = &g->out;
    *out = *m;
    return pair_send(g->pair, out, NULL, 0, err);
}

static enum rc act(struct gateway *g, unsigned actions, const struct wire_message *m,
                   const void *raw, size_t raw_n, struct error *err)
{
    if (actions & SESSION_PROTOCOL_ERROR) {
        char why[REASON_MAX];
        (void)snprintf(why, sizeof why, "%s of round %" PRIu64 ", in state %s at round %" PRIu64,
                       m != NULL ? wire_kind_name(m->kind) : "an event of time",
                       m != NULL ? m->round : 0, session_state_name(g->session.state),
                       g->session.round);
        return refuse_message(g, REFUSED_PROTOCOL, why);
    }
    if (actions & SESSION_KEEP_OUTCOME) {
        screen_say("round %" PRIu64 ": %s", m->round, m->text);
        log_event(LOG_LEVEL_INFO, "round_outcome", "round=%" PRIu64 " text=\"%s\"", m->round,
                  m->text);
    }
    enum rc rc = actions & SESSION_KEEP_OUTCOME ? hand_outcome(g, m, err) : RC_OK;
    if (rc == RC_OK) {
        rc = ask_trainer(g, actions, m, raw, raw_n, err);
    }
    if (rc == RC_OK) {
        rc = speak(g, actions, err);
    }
    const bool uploading = g->session.state == SESSION_SPENT || g->session.state == SESSION_SEND;
    if (rc == RC_OK && (actions & SESSION_SEND_UPDATE)) {
        rc = tensor_send_update(g, err);
    } else if (rc == RC_OK && !uploading && g->update.sending) {
        tensor_settle_update(g);
    }
    if (rc == RC_OK && g->session.state == SESSION_DONE && !g->ending && m != NULL &&
        m->kind == WIRE_DONE) {
        rc = end_study(g, m, err);
    }
    return rc;
}

/* ---- from the coordinator -------------------------------------------------------------------- */

/* A session is for one study; a new one begins with a new session. */
static void begin_study(struct gateway *g, const struct hash *study)
{
    const struct wire_order order = g->order;
    tensor_settle_update(g);
    g->session = (struct session){0};
    g->study = *study;
    g->order = order;
    g->training = false;
    g->trains_out = 0;
    g->receipt_round = 0;
    g->pulse.held = false;
    g->withdrawn = false;
    g->policy_due = false;
    g->ending = false;
    g->said.round = 0;
    g->reason[0] = '\0';
}

/* Another study than the session's: taken up unless something is being committed right now. */
static bool takes_up(const struct gateway *g, const struct wire_message *m)
{
    const bool names_a_study = m->kind == WIRE_STUDY || m->kind == WIRE_DONE;
    const enum session_state s = g->session.state;
    if (is_zero(&g->study)) {
        return names_a_study;
    }
    return m->kind == WIRE_STUDY && s != SESSION_SPEND;
}

static enum rc on_protocol_message(struct gateway *g, const struct wire_message *m, const void *raw,
                                   size_t raw_n, struct error *err)
{
    static const struct {
        enum wire_kind kind;
        enum session_event event;
    } events[] = {{WIRE_STUDY, SESSION_GOT_STUDY},
                  {WIRE_ROUND, SESSION_GOT_ROUND},
                  {WIRE_ACK, SESSION_GOT_ACK},
                  {WIRE_OUTCOME, SESSION_GOT_OUTCOME},
                  {WIRE_DONE, SESSION_GOT_DONE}};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (events[i].kind != m->kind) {
            continue;
        }
        struct session_input in = {.event = events[i].event, .round = m->round};
        if (m->kind == WIRE_DONE) {
            in.round = 0;
        }
        if (m->kind == WIRE_ROUND) {
            in.round_deadline_ms = clock_monotonic_ms() + m->left_ms;
            if (m->round >= g->session.round) {
                tensor_want_model(g, &m->tensor);
            }
        }
        return step(g, in, m, raw, raw_n, err);
    }
    char why[REASON_MAX];
    (void)snprintf(why, sizeof why, "%s does not go to a site", wire_kind_name(m->kind));
    return refuse_message(g, REFUSED_KIND, why);
}

/* The session is about no study any more; what ended is named by hand. */
static enum rc goodbye_again(struct gateway *g, struct error *err)
{
    bool sent = false;
    g->out = (struct wire_message){.kind = WIRE_GOODBYE, .study = g->ended};
    return gateway_say(g, &g->out, NULL, 0, &sent, err);
}

static enum rc dispatch(struct gateway *g, const struct wire_message *m, const void *raw,
                        size_t raw_n, struct error *err)
{
    if (m->kind == WIRE_CHUNK) {
        return tensor_chunk_from_coordinator(g, m, raw, raw_n, err);
    }
    if (m->kind == WIRE_CREDIT) {
        return tensor_credit_from_coordinator(g, m, err);
    }
    if (m->kind == WIRE_PULSE || m->kind == WIRE_PROBED) {
        return RC_OK;
    }
    if (m->kind ==
        WIRE_EVALUATE) { /* mostly of a study that has ended: no business of the session */
        return evaluation_from_coordinator(g, m, raw, raw_n, err);
    }
    if (!is_zero(&g->ended) && hash_equal(&m->study, &g->ended)) {
        return m->kind == WIRE_DONE ? goodbye_again(g, err) : RC_OK; /* all kept already */
    }
    if (!hash_equal(&m->study, &g->study)) {
        if (!takes_up(g, m)) {
            char why[REASON_MAX];
            (void)snprintf(why, sizeof why, "%s about another study than the one in hand",
                           wire_kind_name(m->kind));
            return refuse_message(g, REFUSED_STUDY, why);
        }
        begin_study(g, &m->study);
    }
    if (masking_is_from_coordinator(m->kind)) {
        return masking_from_coordinator(g, m, raw, raw_n, err);
    }
    if (m->kind == WIRE_STUDY && g->session.state == SESSION_CHECKING && g->policy_due) {
        return ask_policy(g, m, raw, raw_n, err); /* what came before could not be verified */
    }
    return on_protocol_message(g, m, raw, raw_n, err);
}

/* The coarse kinds of wire_open in ours. */
static enum refusal unreadable(enum rc rc)
{
    if (rc == RC_AUTH) {
        return REFUSED_SIGNATURE;
    }
    return rc == RC_STATE ? REFUSED_VERSION : REFUSED_MALFORMED;
}

/* The trainer keeps the frame as it was signed. Once for each round: an ACK may come again. */
static enum rc hand_receipt(struct gateway *g, const struct wire_message *m,
                            const struct net_frames *frames, struct error *err)
{
    if (g->receipt_round == m->round) {
        return RC_OK;
    }
    g->receipt_round = m->round;
    g->out = (struct wire_message){.kind = WIRE_RECEIPT, .study = m->study, .round = m->round};
    return pair_send(g->pair, &g->out, frames->header, frames->header_n, err);
}

enum rc session_from_coordinator(struct gateway *g, const struct net_frames *frames,
                                 struct error *err)
{
    struct error fault = {0};
    struct wire_message *m = &g->in;
    if (wire_open(frames->header, frames->header_n, frames->raw, frames->raw_n,
                  &g->coordinator.sign, m, &fault) != RC_OK) {
        return refuse_message(g, unreadable(fault.rc), fault.text);
    }
    if (strcmp(m->from, g->coordinator.name) != 0 || strcmp(m->to, g->site.name) != 0) {
        char why[REASON_MAX];
        (void)snprintf(why, sizeof why, "it is from '%s' to '%s', we are '%s' of '%s'", m->from,
                       m->to, g->site.name, g->coordinator.name);
        return refuse_message(g, REFUSED_ADDRESS, why);
    }
    if (wire_order_take(&g->order, m, &fault) != RC_OK) {
        return refuse_message(g, REFUSED_REPLAY, fault.text);
    }
    g->connection.heard_ms = clock_wall_ms();
    if (m->kind == WIRE_ACK && !is_zero(&m->anchor) && hash_equal(&m->study, &g->study)) {
        const enum rc rc = hand_receipt(g, m, frames, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return dispatch(g, m, frames->raw, frames->raw_n, err);
}

/* ---- from the trainer ------------------------------------------------------------------------ */

static void keep_reason(struct gateway *g, const struct wire_message *m)
{
    (void)snprintf(g->reason, sizeof g->reason, "%.239s", m->text);
}

static enum rc on_policy(struct gateway *g, const struct wire_message *m, struct error *err)
{
    g->policy_due = false;
    if (m->policy == WIRE_POLICY_PENDING) {
        screen_say("a study waits: %s", m->text);
        return RC_OK;
    }
    if (m->policy == WIRE_POLICY_NO) {
        keep_reason(g, m);
        screen_say("declined: %s", m->text);
    }
    const struct session_input in = {.event = m->policy == WIRE_POLICY_YES ? SESSION_POLICY_YES
                                                                           : SESSION_POLICY_NO};
    return g->session.state == SESSION_CHECKING ? step(g, in, m, NULL, 0, err) : RC_OK;
}

/* Each TRAIN gets one answer, also a cancelled one: older requests' answers are dropped. */
static enum rc on_training_answer(struct gateway *g, const struct wire_message *m,
                                  enum session_event event, struct error *err)
{
    g->trains_out -= g->trains_out > 0;
    if (g->trains_out > 0 || !g->training) {
        return RC_OK;
    }
    g->training = false;
    if (event == SESSION_FOUND_STORED) {
        tensor_new_update(g, m);
    }
    if (event == SESSION_CANNOT_TRAIN) {
        keep_reason(g, m);
    }
    const struct session_input in = {.event = event, .round = m->round};
    return step(g, in, m, NULL, 0, err);
}

static enum rc on_commit_answer(struct gateway *g, const struct wire_message *m, struct error *err)
{
    const bool committed = m->kind == WIRE_COMMITTED;
    if (committed) {
        tensor_new_update(g, m);
    } else {
        keep_reason(g, m);
    }
    const struct session_input in = {.event = committed ? SESSION_COMMITTED : SESSION_NOT_COMMITTED,
                                     .round = m->round};
    return step(g, in, m, NULL, 0, err);
}

/* Said a little later, unless training is over by then: what follows says more, and each message is signed. */
static void hold_pulse(struct gateway *g, const struct wire_message *m)
{
    const int64_t due_ms = g->pulse.held ? g->pulse.due_ms : clock_monotonic_ms() + PULSE_HELD_MS;
    g->pulse = (struct gateway_pulse){
        .held = true, .round = m->round, .step = m->step, .steps = m->steps, .due_ms = due_ms};
}

static enum rc relay_pulse(struct gateway *g, struct error *err)
{
    const struct gateway_pulse p = g->pulse;
    bool sent = false;
    if (!p.held || clock_monotonic_ms() < p.due_ms) {
        return RC_OK;
    }
    g->pulse.held = false;
    if (!g->training || g->training_round != p.round) {
        return RC_OK;
    }
    g->out = (struct wire_message){
        .kind = WIRE_PULSE, .study = g->study, .round = p.round, .step = p.step, .steps = p.steps};
    return gateway_say(g, &g->out, NULL, 0, &sent, err);
}

int64_t session_due_ms(const struct gateway *g)
{
    const int64_t due_ms = g->session.deadline_ms;
    return g->pulse.held && g->pulse.due_ms < due_ms ? g->pulse.due_ms : due_ms;
}

static enum rc on_goodbye(struct gateway *g, struct error *err)
{
    if (!g->ending) {
        return RC_OK;
    }
    enum rc rc = g->p->once ? gateway_finish(g, err) : RC_OK; /* before the coordinator may leave */
    if (rc == RC_OK) {
        rc = say(g, WIRE_GOODBYE, "", err);
    }
    const struct hash none = {{0}};
    tensor_forget_model(g);
    g->ended = g->study;
    begin_study(g, &none);
    g->session.deadline_ms = g->p->once ? SESSION_NEVER : 0;
    return rc;
}

/* At once, unless the ledger is being asked: then after its answer. */
static enum rc raise_withdrawal(struct gateway *g, struct error *err)
{
    if (!g->withdrawn || g->session.state == SESSION_SPEND) {
        return RC_OK;
    }
    g->withdrawn = false;
    (void)snprintf(g->reason, sizeof g->reason, "%s", g->withdrawn_reason);
    return step(g, (struct session_input){.event = SESSION_WITHDRAWN}, NULL, NULL, 0, err);
}

enum rc session_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                             size_t raw_n, struct error *err)
{
    if (m->kind == WIRE_READY) {
        g->trainer_up = true;
        return RC_OK;
    }
    if (m->kind == WIRE_CHUNK) {
        return tensor_chunk_from_trainer(g, m, raw, raw_n, err);
    }
    if (m->kind == WIRE_CREDIT) {
        return tensor_credit_from_trainer(g, m, err);
    }
    if (m->kind == WIRE_SCORES || m->kind == WIRE_UNSCORED) {
        return evaluation_from_trainer(g, m, raw, raw_n, err);
    }
    if (!hash_equal(&m->study, &g->study)) {
        return RC_OK; /* about a study that we have left */
    }
    if (masking_is_from_trainer(m->kind)) {
        return masking_from_trainer(g, m, raw, raw_n, err);
    }
    switch ((int)m->kind) {
    case WIRE_POLICY:
        return on_policy(g, m, err);
    case WIRE_TRAINED:
        return on_training_answer(g, m, SESSION_TRAINED, err);
    case WIRE_STORED:
        return on_training_answer(g, m, SESSION_FOUND_STORED, err);
    case WIRE_CANNOT:
        return on_training_answer(g, m, SESSION_CANNOT_TRAIN, err);
    case WIRE_COMMITTED:
    case WIRE_NOT_COMMITTED:
        return on_commit_answer(g, m, err);
    case WIRE_PULSE:
        hold_pulse(g, m);
        return RC_OK;
    case WIRE_GOODBYE:
        return on_goodbye(g, err);
    case WIRE_WITHDRAWN:
        g->withdrawn = true;
        (void)snprintf(g->withdrawn_reason, sizeof g->withdrawn_reason, "%.239s", m->text);
        return raise_withdrawal(g, err);
    default:
        return error_set(err, RC_STATE, "the trainer sent %s, which is not for a gateway",
                         wire_kind_name(m->kind));
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

enum rc session_tick(struct gateway *g, struct error *err)
{
    enum rc rc = raise_withdrawal(g, err);
    if (rc == RC_OK) {
        rc = relay_pulse(g, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (clock_monotonic_ms() < g->session.deadline_ms) {
        return RC_OK;
    }
    const struct session_input in = {.event = SESSION_TIMED_OUT};
    return step(g, in, NULL, NULL, 0, err);
}

enum rc session_sent(struct gateway *g, struct error *err)
{
    const struct session_input in = {.event = SESSION_SENT, .round = g->update.round};
    return step(g, in, NULL, NULL, 0, err);
}
