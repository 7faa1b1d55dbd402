/*
 * The driver of one hospital: session and masking as docs/PROTOCOL.md puts them together ("How it meets
 * the rest"), its ledger on disk, and the order of what is durable before what.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/replay.h"
#include "sim/faults/faults_internal.h"

static RC act(struct world *w, struct hospital *h, unsigned actions, struct error *err);

enum rc hospital_start(struct world *w, struct hospital *h, struct error *err)
{
    char path[600];
    struct masking_peer peer[SITES];
    (void)snprintf(path, sizeof path, "%s/%zu.ledger.db", w->p->folder, h->index);
    for (size_t i = 0; i < sites_of(w); i++) {
        peer[i] =
            (struct masking_peer){.sign = w->sign[i],
                                  .confirmed = !w->s.stranger[i] && !w->s.unsure[h->index][i]};
    }
    struct masking_setup setup = {.study = w->study_hash,
                                  .roster = w->roster_hash,
                                  .terms = w->s.terms,
                                  .site = h->index,
                                  .peer = peer};
    h->session = (struct session){0};
    disk_before(w, h->index);
    enum rc rc = ledger_open(path, &disk_policy, &h->ledger, err);
    disk_after();
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "its ledger does not open");
    }
    rc = ledger_masked_round(h->ledger, &w->study_hash, &setup.used_round, err);
    if (rc != RC_OK && rc != RC_STATE) { /* STATE: not joined yet */
        return error_set(err, RC_IO, "its ledger does not read");
    }
    rc = masking_open(&setup, &h->masking, err);
    h->up = rc == RC_OK;
    return rc;
}

void hospital_stop(struct hospital *h)
{
    ledger_close(&h->ledger);
    if (h->masking != NULL) {
        masking_close(&h->masking);
    }
    h->up = h->training = h->has_trained = h->word = false;
    h->life++;
    h->request++;
    h->session = (struct session){0};
    h->n_members = 0;
}

static RC say(struct world *w, struct hospital *h, enum kind kind, uint64_t round,
              unsigned char *raw, size_t n, struct error *err)
{
    struct letter l = {.kind = kind, .to = CENTER, .from = h->index, .round = round};
    (void)snprintf(l.reason, sizeof l.reason, "%s", h->reason);
    if (w->s.liar_site == h->index) {
        lying_site_bends(w, h, &l, raw, &n);
    }
    note(w, "  says %s of round %llu", kind_name(l.kind), (unsigned long long)l.round);
    tracker_sent(w, h, &l, raw, n);
    const enum rc rc = send_letter(w, l, raw, n, err);
    return rc == RC_OK ? point(w, h->index, err) : rc;
}

static RC answer(struct world *w, struct hospital *h, enum session_event event, uint64_t round,
                 int64_t delay_ms, struct error *err)
{
    return do_later(w,
                    (struct letter){.kind = ANSWER,
                                    .to = h->index,
                                    .round = round,
                                    .life = h->life,
                                    .request = h->request,
                                    .answer = (int)event},
                    delay_ms, err);
}

static RC later(struct world *w, struct hospital *h, enum kind kind, uint64_t round,
                int64_t delay_ms, struct error *err)
{
    return do_later(
        w,
        (struct letter){
            .kind = kind, .to = h->index, .round = round, .life = h->life, .request = h->request},
        delay_ms, err);
}

/* ---- masking --------------------------------------------------------------------------------- */

/* The plain update is there and so is the clique: masked, it can be committed. */
static RC mask_if_ready(struct world *w, struct hospital *h, struct error *err)
{
    if (!h->has_trained || masking_state(h->masking) != MASKING_READY ||
        masking_round(h->masking) != h->trained_round) {
        return RC_OK;
    }
    memcpy(h->y, h->x, sizeof h->y);
    const enum rc rc = masking_mask(h->masking, h->trained_round, h->y, WORDS, err);
    if (rc != RC_OK) {
        return error_set(err, RC_STATE, "masking was READY and did not mask");
    }
    tracker_masked(w, h);
    note(w, "  masks its update");
    return answer(w, h, SESSION_TRAINED, h->trained_round, 0, err);
}

static RC keep_round(struct world *w, struct hospital *h, struct error *err)
{
    disk_before(w, h->index);
    const enum rc rc =
        ledger_keep_masked_round(h->ledger, &w->study_hash, masking_used(h->masking), err);
    disk_after();
    if (rc == RC_STATE) { /* used, or none of the study's: nothing is said under it */
        const struct masking_input closed = {.event = MASKING_CLOSED,
                                             .round = masking_round(h->masking)};
        struct error none;
        (void)masking_step(h->masking, &closed, &none);
        note(w, "  its ledger refuses the number: %s", err->text);
        return RC_STATE;
    }
    return rc == RC_OK ? point(w, h->index, err)
                       : error_set(err, RC_IO, "cannot keep the round's number");
}

static RC say_masks(struct world *w, struct hospital *h, unsigned actions, struct error *err)
{
    static unsigned char raw[MASK_RAW_MAX];
    static struct mask_portion portion[SITES];
    struct masking *m = h->masking;
    const uint64_t round = masking_round(m);
    enum rc rc = RC_OK;
    if (actions & MASKING_SAY_ANNOUNCEMENT) {
        struct mask_announcement a = masking_announcement(m);
        mask_announcement_sign(h->keys, masking_attempt(m), &a);
        rc = say(w, h, KEY, round, raw, mask_pack_announcements(&a, 1, raw), err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_DEAL)) {
        struct mask_deal d = masking_deal(m, portion);
        mask_deal_sign(h->keys, masking_members(m), &d);
        rc = say(w, h, SHARES, round, raw,
                 mask_pack_shares(&d, portion, mask_slots(&w->s.terms), raw), err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_LIST)) {
        struct mask_vote v = masking_list(m);
        mask_list_sign(h->keys, masking_clique(m), &v);
        rc = say(w, h, LIST, round, raw, mask_pack_votes(&v, 1, raw), err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_VOTE)) {
        struct mask_set survivors;
        struct mask_vote v = masking_vote(m, &survivors);
        mask_vote_sign(h->keys, masking_clique(m), &survivors, &v);
        rc = say(w, h, VOTE, round, raw, mask_pack_vote(&survivors, &v, raw), err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_REVEAL)) {
        struct mask_reveal r[2 * SITES];
        const size_t n = masking_reveal(m, r);
        rc = say(w, h, REVEAL, round, raw, mask_pack_reveals(r, n, raw), err);
    }
    return rc;
}

static RC masks(struct world *w, struct hospital *h, const struct masking_input *in,
                struct error *err)
{
    struct error why = {0};
    const unsigned actions = masking_step(h->masking, in, &why);
    enum rc rc = RC_OK;
    if (actions & (MASKING_GIVE_UP | MASKING_PROTOCOL_ERROR)) {
        w->result->refused += (actions & MASKING_PROTOCOL_ERROR) != 0;
        note(w, "  %s: %s", actions & MASKING_GIVE_UP ? "gives up" : "refuses", why.text);
    }
    if (actions & MASKING_KEEP_ROUND) {
        tracker_seed(w, h, in->seed);
        rc = keep_round(w, h, err);
    }
    if (rc == RC_STATE) {
        h->training = h->has_trained = false;
        return answer(w, h, SESSION_CANNOT_TRAIN, in->round, 0, err);
    }
    if (rc == RC_OK && (actions & MASKING_CAN_MASK)) {
        tracker_parcels(w, h, in->parcel, in->n);
        rc = mask_if_ready(w, h, err);
    }
    if (rc == RC_OK && (actions & MASKING_SAY_DEAL) && in->event == MASKING_GOT_MEMBERS) {
        memcpy(h->members, in->announced, in->n * sizeof *in->announced);
        h->n_members = in->n;
        tracker_members(w, h);
    }
    if (rc == RC_OK) {
        rc = say_masks(w, h, actions, err);
    }
    if (rc == RC_OK && (actions & MASKING_GIVE_UP) && h->training) {
        (void)snprintf(h->reason, sizeof h->reason, "%.190s", why.text);
        h->training = h->has_trained = false;
        rc = answer(w, h, SESSION_CANNOT_TRAIN, in->round, 0, err);
    }
    return rc;
}

static RC close_masks(struct world *w, struct hospital *h, uint64_t round, struct error *err)
{
    const struct masking_input in = {.event = MASKING_CLOSED, .round = round};
    return masks(w, h, &in, err);
}

static RC got_masks(struct world *w, struct hospital *h, const struct letter *l, struct error *err)
{
    struct mask_announcement a[SITES];
    struct mask_parcel p[SITES];
    struct mask_vote v[SITES];
    struct mask_set s;
    struct masking_input in = {.round = l->round};
    struct error bad;
    enum rc rc = RC_FORMAT;
    if (l->kind == MEMBERS) {
        in.event = MASKING_GOT_MEMBERS;
        in.announced = a;
        rc = mask_unpack_announcements(l->raw, l->n, &w->s.terms, a, &in.n, &bad);
    } else if (l->kind == PARCELS) {
        in.event = MASKING_GOT_PARCELS;
        in.parcel = p;
        rc = mask_unpack_parcels(l->raw, l->n, &w->s.terms, p, &in.n, &bad);
    } else if (l->kind == SURVIVORS) {
        in.event = MASKING_GOT_SURVIVORS;
        in.survivors = &s;
        in.vote = v;
        rc = mask_unpack_survivors(l->raw, l->n, sites_of(w), &s, v, &in.n, &bad);
    } else if (l->kind == VOTES) {
        in.event = MASKING_GOT_VOTES;
        in.vote = v;
        rc = mask_unpack_votes(l->raw, l->n, sites_of(w), v, &in.n, &bad);
    }
    if (rc != RC_OK) {
        w->result->refused++;
        return RC_OK;
    }
    return masks(w, h, &in, err);
}

/* ---- trainer --------------------------------------------------------------------------------- */

static RC check_policy(struct world *w, struct hospital *h, struct error *err)
{
    struct error why = {0};
    if (w->s.declines[h->index]) {
        (void)snprintf(h->reason, sizeof h->reason, "people said no");
        return answer(w, h, SESSION_POLICY_NO, 0, 0, err);
    }
    disk_before(w, h->index);
    const enum rc rc = ledger_join(h->ledger, &w->study, &w->study_hash, 100, w->now_ms, &why);
    disk_after();
    if (rc != RC_OK && rc != RC_STATE && rc != RC_LIMIT) {
        return error_set(err, RC_IO, "cannot join: %.150s", why.text);
    }
    (void)snprintf(h->reason, sizeof h->reason, "%.190s", why.text);
    const enum rc killed = point(w, h->index, err);
    return killed != RC_OK
               ? killed
               : answer(w, h, rc == RC_OK ? SESSION_POLICY_YES : SESSION_POLICY_NO, 0, 0, err);
}

/* The ledger first: a round that it holds is not trained again. Then masks, beside the training. */
static RC start_training(struct world *w, struct hospital *h, struct error *err)
{
    const uint64_t round = h->session.round;
    const void *bytes;
    size_t n;
    bool found = false;
    h->request++;
    h->has_trained = false;
    enum rc rc = ledger_stored(h->ledger, &w->study_hash, round, &found, &bytes, &n, err);
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "cannot read its ledger");
    }
    if (found) {
        return answer(w, h, SESSION_FOUND_STORED, round, 1, err);
    }
    struct mask_seed seed;
    struct entropy entropy;
    char stream[80];
    (void)snprintf(stream, sizeof stream, "site %zu life %llu round %llu", h->index,
                   (unsigned long long)h->life, (unsigned long long)round);
    replay_init(&entropy, w->p->seed, stream);
    entropy_bytes(&entropy, seed.b, sizeof seed.b);
    entropy_bytes(&entropy, h->x, sizeof h->x);
    entropy_release(&entropy);
    h->training = true;
    rc = later(w, h, TRAIN_DUE, round, w->s.train_ms[h->index], err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct masking_input in = {
        .event = MASKING_OPENED, .round = round, .model = &h->model, .seed = &seed};
    rc = masks(w, h, &in, err);
    hash_wipe(&seed, sizeof seed);
    return rc;
}

static RC commit(struct world *w, struct hospital *h, uint64_t round, struct error *err)
{
    struct error why = {0};
    const struct ledger_spend spend = {.study = w->study_hash,
                                       .round = round,
                                       .mechanism = {.q = w->study.privacy.sample_rate,
                                                     .sigma = w->study.privacy.noise_multiplier,
                                                     .steps = w->study.local.steps},
                                       .clip = w->study.privacy.clip,
                                       .cohort = w->roster_hash,
                                       .model = h->model,
                                       .update = h->y,
                                       .update_bytes = sizeof h->y,
                                       .site_state = "",
                                       .site_state_bytes = 0,
                                       .now_ms = w->now_ms};
    disk_before(w, h->index);
    const enum rc rc = ledger_spend(h->ledger, &spend, &why);
    disk_after();
    h->has_trained = h->training = false;
    if (rc != RC_OK && rc != RC_LIMIT && rc != RC_STATE) {
        return error_set(err, RC_IO, "cannot commit: %.150s", why.text);
    }
    const enum rc killed = point(w, h->index, err);
    if (killed != RC_OK) {
        return killed;
    }
    if (rc == RC_OK) {
        tracker_spent(w, h);
    }
    note(w, "  %s%s", rc == RC_OK ? "has committed its spend" : "spends nothing: ", why.text);
    (void)snprintf(h->reason, sizeof h->reason, "%.190s", why.text);
    return answer(w, h, rc == RC_OK ? SESSION_COMMITTED : SESSION_NOT_COMMITTED, round, 0, err);
}

static RC send_update(struct world *w, struct hospital *h, struct error *err)
{
    const uint64_t round = h->session.round;
    const void *bytes = NULL;
    unsigned char raw[sizeof h->y];
    size_t n = 0;
    bool found = false;
    enum rc rc = ledger_stored(h->ledger, &w->study_hash, round, &found, &bytes, &n, err);
    if (rc != RC_OK) {
        return error_set(err, RC_IO, "cannot read its ledger");
    }
    if (!found || n != sizeof raw) {
        broken(w, 3, "site %zu was to send an update of round %llu that its ledger does not hold",
               h->index, (unsigned long long)round);
        return RC_OK;
    }
    memcpy(raw, bytes, n);
    rc = say(w, h, UPDATE, round, raw, n, err);
    return rc == RC_OK ? answer(w, h, SESSION_SENT, round, 2, err) : rc;
}

/* ---- actions and events ---------------------------------------------------------------------- */

static RC act(struct world *w, struct hospital *h, unsigned actions, struct error *err)
{
    static const struct {
        enum session_action action;
        enum kind kind;
    } message[] = {{SESSION_SAY_HELLO, HELLO},
                   {SESSION_SAY_ACCEPT, ACCEPT},
                   {SESSION_SAY_DECLINE, DECLINE},
                   {SESSION_SAY_CANNOT, CANNOT}};
    enum rc rc = RC_OK;
    w->result->refused += (actions & SESSION_PROTOCOL_ERROR) != 0;
    if (actions & SESSION_CANCEL_TRAINING) {
        h->request++;
        h->training = h->has_trained = false;
    }
    if ((actions & SESSION_KEEP_OUTCOME) && h->hears != NULL) {
        tracker_outcome(w, h, h->hears);
    }
    if (actions & SESSION_CHECK_POLICY) {
        rc = later(w, h, CHECK_DUE, 0, 2, err);
    }
    if (rc == RC_OK && (actions & SESSION_START_TRAINING)) {
        rc = start_training(w, h, err);
    }
    if (rc == RC_OK && (actions & SESSION_COMMIT_SPEND)) {
        rc = later(w, h, COMMIT_DUE, h->session.round, 2, err);
    }
    for (size_t i = 0; rc == RC_OK && i < sizeof message / sizeof message[0]; i++) {
        if (actions & message[i].action) {
            rc = say(w, h, message[i].kind, h->session.round, NULL, 0, err);
        }
    }
    if (rc == RC_OK && (actions & SESSION_SEND_UPDATE)) {
        rc = send_update(w, h, err);
    }
    if (rc == RC_OK && h->session.state == SESSION_DONE) {
        rc = close_masks(w, h, masking_round(h->masking), err);
    }
    return rc;
}

static RC step(struct world *w, struct hospital *h, const struct session_input *in,
               struct error *err)
{
    return act(w, h, session_step(&h->session, in), err);
}

static RC got_round(struct world *w, struct hospital *h, const struct letter *l, struct error *err)
{
    const struct session_input in = {.event = SESSION_GOT_ROUND,
                                     .now_ms = w->now_ms,
                                     .round = l->round,
                                     .round_deadline_ms = w->now_ms + l->left_ms};
    const unsigned actions = session_step(&h->session, &in);
    if (actions & SESSION_START_TRAINING) {
        h->model = l->model;
    }
    enum rc rc = act(w, h, actions, err);
    if (rc == RC_OK && h->training && !(actions & SESSION_START_TRAINING) &&
        l->round == masking_round(h->masking)) { /* the same again: our key may be missing */
        const struct mask_seed none = {{0}};
        const struct masking_input again = {
            .event = MASKING_OPENED, .round = l->round, .model = &l->model, .seed = &none};
        rc = masks(w, h, &again, err);
    }
    return rc;
}

/* Believed if it names the survivors that we signed; of another round it is a record for people. */
static RC got_outcome(struct world *w, struct hospital *h, const struct letter *l,
                      struct error *err)
{
    struct error why;
    const enum rc believed = masking_outcome(h->masking, l->round, &l->set, &why);
    if (believed == RC_AUTH) {
        note(w, "  does not believe it");
        w->result->refused++;
        return RC_OK;
    }
    h->hears = believed == RC_OK ? l : NULL;
    const struct session_input in = {.event = SESSION_GOT_OUTCOME,
                                     .now_ms = w->now_ms,
                                     .round = l->round};
    enum rc rc = step(w, h, &in, err);
    h->hears = NULL;
    return rc == RC_OK ? close_masks(w, h, l->round, err) : rc;
}

static RC got_answer(struct world *w, struct hospital *h, const struct letter *l, struct error *err)
{
    const enum session_event event = (enum session_event)l->answer;
    const bool about_training =
        event == SESSION_TRAINED || event == SESSION_FOUND_STORED || event == SESSION_CANNOT_TRAIN;
    if (about_training && l->request != h->request) {
        return RC_OK; /* that request was cancelled */
    }
    const struct session_input in = {.event = event, .now_ms = w->now_ms, .round = l->round};
    unsigned actions = session_step(&h->session, &in);
    if (h->word && h->session.state != SESSION_SPEND) { /* before anything of the answer is done */
        const struct session_input word = {.event = SESSION_WITHDRAWN, .now_ms = w->now_ms};
        actions = (actions & ~(unsigned)SESSION_SEND_UPDATE) | session_step(&h->session, &word);
        h->word = false;
    }
    return act(w, h, actions, err);
}

enum rc hospital_withdraw(struct world *w, struct hospital *h, struct error *err)
{
    struct error why = {0};
    const struct letter again = {.kind = WITHDRAW_DUE, .to = h->index};
    enum rc rc = RC_STATE;
    if (h->up) {
        note(w, "%lld ms: site %zu withdraws", (long long)w->now_ms, h->index);
        disk_before(w, h->index);
        rc = ledger_end_study(h->ledger, &w->study_hash, w->now_ms, &why);
        disk_after();
    }
    if (rc != RC_OK) {
        const enum rc queued = w->now_ms < w->s.quiet_ms ? do_later(w, again, 900, err) : RC_OK;
        return queued != RC_OK || rc == RC_STATE ? queued
                                                 : error_set(err, RC_IO, "cannot withdraw");
    }
    h->withdrawn = true;
    rc = point(w, h->index, err);
    if (rc == RC_OK && masking_round(h->masking) > 0) {
        rc = close_masks(w, h, masking_round(h->masking), err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    h->word = h->session.state == SESSION_SPEND;
    const struct session_input in = {.event = SESSION_WITHDRAWN, .now_ms = w->now_ms};
    return h->word ? RC_OK : step(w, h, &in, err);
}

enum rc hospital_handle(struct world *w, struct hospital *h, const struct letter *l,
                        struct error *err)
{
    static const enum session_event plain[KINDS] = {
        [STUDY] = SESSION_GOT_STUDY, [ACK] = SESSION_GOT_ACK, [DONE] = SESSION_GOT_DONE};
    const struct session_input in = {.event = plain[l->kind],
                                     .now_ms = w->now_ms,
                                     .round = l->round};
    enum rc rc = point(w, h->index, err);
    if (rc != RC_OK) {
        return rc;
    }
    switch (l->kind) {
    case STUDY:
    case ACK:
    case DONE:
        return step(w, h, &in, err);
    case ROUND:
        return got_round(w, h, l, err);
    case OUTCOME:
        return got_outcome(w, h, l, err);
    case MEMBERS:
    case PARCELS:
    case SURVIVORS:
    case VOTES:
        return got_masks(w, h, l, err);
    case CHECK_DUE:
        return check_policy(w, h, err);
    case TRAIN_DUE:
        if (l->request != h->request || !h->training) {
            return RC_OK;
        }
        h->has_trained = true;
        h->trained_round = l->round;
        return mask_if_ready(w, h, err);
    case COMMIT_DUE:
        return commit(w, h, l->round, err);
    case ANSWER:
        return got_answer(w, h, l, err);
    case HELLO:
    case ACCEPT:
    case DECLINE:
    case UPDATE:
    case CANNOT:
    case KEY:
    case SHARES:
    case LIST:
    case VOTE:
    case REVEAL:
    case MERGE_DUE:
    case MERGED:
    case WITHDRAW_DUE:
    case COME_BACK:
    case KINDS:
        break;
    }
    return error_set(err, RC_STATE, "%s does not go to a site", kind_name(l->kind));
}

enum rc hospital_time_out(struct world *w, struct hospital *h, struct error *err)
{
    const struct session_input in = {.event = SESSION_TIMED_OUT, .now_ms = w->now_ms};
    return step(w, h, &in, err);
}
