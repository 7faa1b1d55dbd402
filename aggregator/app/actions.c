/* The machine's actions, in the order that docs/PROTOCOL.md demands: what must be durable comes before
 * anybody is answered. */
#include <stdio.h>
#include <string.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/app/report.h"
#include "common/base/log.h"
#include "common/checkpoint/checkpoint.h"

/* ---- what must be durable -------------------------------------------------------------------- */

static void contributed_of(const struct round_machine *m, bool *contributed)
{
    for (size_t i = 0; i < m->n_sites; i++) {
        contributed[i] = m->part[i] == ROUND_CONTRIBUTED;
    }
}

static enum rc keep_member(struct coordinator *c, const struct said *said, struct error *err)
{
    const bool accepted = c->machine.member[said->site] == ROUND_ACCEPTED;
    const char *reason = said->reason != NULL ? said->reason : "";
    const enum rc rc = registry_keep_member(c->registry, coordinator_study(c), said->site,
                                            c->machine.member[said->site], reason, c->wall_ms, err);
    if (rc == RC_OK) {
        log_event(LOG_LEVEL_INFO, accepted ? "site_accepted" : "site_declined", "site=%s",
                  site_name(c, said->site));
        tell_joined(c, said->site, accepted, reason);
    }
    if (rc == RC_OK && !accepted) {
        uploads_drop(c, said->site, false);
    }
    return rc;
}

/* That it sits the round out, or joined too late for it. An update has been kept before (settling.c). */
static enum rc keep_part(struct coordinator *c, const struct said *said, bool *dropped,
                         struct error *err)
{
    const bool late = said->event == ROUND_GOT_ACCEPT;
    if (said->event == ROUND_GOT_UPDATE) {
        return RC_OK;
    }
    /* The step that decided may have moved on already: the part is of the round it named. */
    const uint64_t round = late ? c->machine.round : said->round;
    const char *reason =
        late ? "joined after the round had opened" : (said->reason != NULL ? said->reason : "");
    struct error fault = {0};
    const enum rc rc = registry_keep_part(c->registry, coordinator_study(c), round, said->site,
                                          NULL, 0, reason, c->wall_ms, &fault);
    if (rc == RC_STATE) { /* other than what is kept: the sender's fault, and it gets no reply */
        *dropped = true;
        refuse(c, REFUSED_OTHER, site_name(c, said->site), fault.text);
        return RC_OK;
    }
    if (rc != RC_OK) {
        return error_set(err, rc, "%s", fault.text);
    }
    log_event(LOG_LEVEL_INFO, "site_sits_out", "site=%s round=%llu reason=\"%s\"",
              site_name(c, said->site), (unsigned long long)round, reason);
    return RC_OK;
}

/* Appended: "; the update was not finite at a, b and 9 more: lower local.rate" and then "; c: what it said". */
static enum rc say_why_sat_out(struct coordinator *c, char text[REASON_MAX], struct error *err)
{
    enum { NAMES_ROOM = REASON_MAX - 48 };
    const struct round_machine *m = &c->machine;
    char others[REASON_MAX] = "";
    char reason[REASON_MAX] = "";
    size_t n = 0;
    size_t unnamed = 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        if (m->part[i] != ROUND_SAT_OUT) {
            continue;
        }
        const enum rc rc =
            registry_absence(c->registry, coordinator_study(c), m->round, i, reason, err);
        if (rc != RC_OK) {
            return rc;
        }
        const bool diverged = strcmp(reason, WIRE_DIVERGED) == 0;
        char *to = diverged ? text : others;
        const size_t used = strlen(to);
        if (diverged && n > 0 && used + 2 + strlen(site_name(c, i)) > NAMES_ROOM) {
            unnamed++;
        } else if (diverged) {
            (void)snprintf(to + used, REASON_MAX - used, "%s%s",
                           n == 0 ? "; the update was not finite at " : ", ", site_name(c, i));
            n++;
        } else {
            (void)snprintf(to + used, REASON_MAX - used, "; %s: %s", site_name(c, i), reason);
        }
    }
    char more[40] = "";
    if (unnamed > 0) {
        (void)snprintf(more, sizeof more, " and %zu more", unnamed);
    }
    const size_t used = strlen(text);
    (void)snprintf(text + used, REASON_MAX - used, "%s%s%s", more,
                   n > 0 ? ": lower local.rate" : "", others);
    return RC_OK;
}

/* Why the study failed, by its counts and what sites have said, unless somebody knew better. */
static enum rc failure_reason(struct coordinator *c, struct error *err)
{
    enum rc rc = RC_OK;
    const struct round_machine *m = &c->machine;
    size_t accepted = 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        accepted += m->member[i] == ROUND_ACCEPTED;
    }
    if (c->why[0] != '\0') {
        (void)snprintf(c->failure, sizeof c->failure, "%s", c->why);
        rc = masked_lost(c) ? say_why_sat_out(c, c->failure, err) : RC_OK;
    } else if (m->round == 0) {
        (void)snprintf(c->failure, sizeof c->failure,
                       "%zu of %zu sites accepted the study, the quorum is %zu", accepted,
                       m->n_sites, m->quorum);
    } else {
        (void)snprintf(c->failure, sizeof c->failure,
                       "round %llu: %zu of %zu contributed, the quorum is %zu",
                       (unsigned long long)m->round, round_contributors(m), m->n_sites, m->quorum);
        rc = say_why_sat_out(c, c->failure, err);
    }
    c->why[0] = '\0';
    return rc;
}

/* A round that fails ends before its deadline gave reasons. That of a revoked site must be kept now: its
 * card may be another one by the time that somebody asks. */
static enum rc keep_revoked(struct coordinator *c, struct error *err)
{
    const struct round_machine *m = &c->machine;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && m->round > 0 && i < c->n_sites; i++) {
        if (m->member[i] == ROUND_ACCEPTED && m->part[i] == ROUND_WAITED_FOR &&
            absence_is_revoked(c, i)) {
            rc = registry_keep_part(c->registry, coordinator_study(c), m->round, i, NULL, 0,
                                    REPORT_REVOKED, c->wall_ms, err);
        }
    }
    return rc;
}

static enum rc keep(struct coordinator *c, unsigned actions, const struct said *said, bool *dropped,
                    struct error *err)
{
    enum rc rc = RC_OK;
    if (actions & ROUND_KEEP_MEMBER) {
        rc = keep_member(c, said, err);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_PART)) {
        rc = keep_part(c, said, dropped, err);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_LOST)) {
        const uint64_t lost = c->machine.round - 1; /* the step has opened the next one */
        if (c->why[0] == '\0') {
            (void)snprintf(c->why, sizeof c->why, "round %llu: its sum was not opened in time",
                           (unsigned long long)lost);
        }
        log_event(LOG_LEVEL_WARN, "round_lost", "round=%llu reason=\"%s\"",
                  (unsigned long long)lost, c->why);
        rc = registry_lose_round(c->registry, coordinator_study(c), lost, c->why, c->wall_ms, err);
        c->why[0] = '\0';
        settling_forget(c);
        uploads_drop_all(c, false);
    }
    if (rc == RC_OK && (actions & ROUND_KEEP_FAILURE)) {
        bool contributed[ROUND_SITES_MAX];
        contributed_of(&c->machine, contributed);
        rc = failure_reason(c, err);
        if (rc == RC_OK) {
            rc = keep_revoked(c, err);
        }
        if (rc == RC_OK) {
            rc = registry_commit_failure_with(c->registry, coordinator_study(c), c->machine.round,
                                              c->closing.update, c->closing.n, contributed,
                                              c->n_sites, c->failure, c->wall_ms, err);
            c->closing.n = 0; /* DONE tells their sites */
        }
    }
    return rc;
}

/* ---- actions --------------------------------------------------------------------------------- */

static enum rc replies(struct coordinator *c, unsigned actions, size_t site, struct error *err)
{
    static const struct {
        enum round_action action;
        enum wire_kind kind;
    } message[] = {{ROUND_REPLY_STUDY, WIRE_STUDY},
                   {ROUND_REPLY_OUTCOME, WIRE_OUTCOME},
                   {ROUND_REPLY_ROUND, WIRE_ROUND},
                   {ROUND_REPLY_ACK, WIRE_ACK},
                   {ROUND_REPLY_DONE, WIRE_DONE}};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof message / sizeof message[0]; i++) {
        if (actions & message[i].action) {
            rc = answer_reply(c, site, message[i].kind, err);
        }
    }
    return rc;
}

static enum rc announce_round(struct coordinator *c, struct error *err)
{
    const struct round_machine *m = &c->machine;
    const enum rc rc =
        registry_open_round(c->registry, coordinator_study(c), m->round, c->wall_ms, err);
    if (rc != RC_OK) {
        return rc;
    }
    size_t waited = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        c->site[i].moved_ms = c->now_ms;
        c->site[i].stalled = false;
        waited += m->member[i] == ROUND_ACCEPTED && m->part[i] == ROUND_WAITED_FOR;
    }
    if (masked_is(c)) {
        const enum rc opened = masked_open_round(c, err);
        if (opened != RC_OK) {
            return opened;
        }
    }
    log_event(LOG_LEVEL_INFO, "round_opened", "study=%s round=%llu waiting_for=%zu",
              study_of(c)->name, (unsigned long long)m->round, waited);
    return answer_cast(c, WIRE_ROUND, WAITED_FOR, err);
}

/* The study is over: everybody hears of it, and a finished model becomes a file. */
static enum rc announce_end(struct coordinator *c, struct error *err)
{
    const bool done = c->machine.state == ROUND_DONE;
    enum rc rc = answer_cast(c, WIRE_DONE, EVERYBODY, err);
    if (rc != RC_OK || c->ended_ms >= 0) {
        return rc;
    }
    if (done) {
        char name[STUDY_NAME_MAX + 32];
        (void)snprintf(name, sizeof name, "models/%s.safetensors", study_of(c)->name);
        rc = folder_path(c->folder.path, name, c->model_path, err);
        if (rc == RC_OK) {
            rc = checkpoint_write(c->model_path, &c->agreement, &c->model, c->machine.round,
                                  c->params, err);
        }
        if (rc != RC_OK) {
            return error_context(err, "the study is done, but its model is not written; make room "
                                      "or mend the folder and run again");
        }
    }
    c->ended_ms = c->now_ms;
    log_event(done ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, done ? "study_done" : "study_failed",
              "study=%s round=%llu reason=\"%s\"", study_of(c)->name,
              (unsigned long long)c->machine.round, done ? "" : c->failure);
    tell_end(c, done);
    return RC_OK;
}

enum rc coordinator_act(struct coordinator *c, unsigned actions, const struct said *said,
                        struct error *err)
{
    bool dropped = false;
    c->live_due = c->live_due || actions != ROUND_NOTHING;
    enum rc rc = keep(c, actions, said, &dropped, err);
    if (rc != RC_OK || dropped) {
        return rc;
    }
    if (c->machine.state != ROUND_OPEN) {
        uploads_drop_all(c, false);
    }
    if (said != NULL && c->closing.n > 0) { /* settling_closed will acknowledge */
        actions &= ~(unsigned)ROUND_REPLY_ACK;
    }
    if (said != NULL) {
        rc = replies(c, actions, said->site, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_OUTCOME)) {
        rc = answer_cast(c, WIRE_OUTCOME, ACCEPTED, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_ROUND)) {
        rc = announce_round(c, err);
    }
    if (rc == RC_OK && (actions & ROUND_CAST_DONE)) {
        rc = announce_end(c, err);
    }
    c->merge_due = c->merge_due || (actions & ROUND_MERGE);
    return rc;
}

/* Too early or too late for the sum: the outcome will say so. */
static bool is_outside_the_sum(const struct coordinator *c, const struct said *said)
{
    const struct round_machine *m = &c->machine;
    return masked_is(c) && said->event == ROUND_GOT_UPDATE && m->state == ROUND_OPEN &&
           said->round == m->round && m->part[said->site] == ROUND_WAITED_FOR &&
           !masked_wants_update(c, said->site);
}

enum rc coordinator_step(struct coordinator *c, const struct said *said, struct error *err)
{
    if (is_outside_the_sum(c, said)) {
        return RC_OK;
    }
    const struct round_input in = {
        .event = said->event, .now_ms = c->now_ms, .site = said->site, .round = said->round};
    const enum round_state before = c->machine.state;
    const unsigned actions = round_step(&c->machine, &in);
    if (actions & ROUND_PROTOCOL_ERROR) {
        char why[REASON_MAX];
        (void)snprintf(why, sizeof why, "%s of round %llu, while the study is %s at round %llu",
                       round_event_name(said->event), (unsigned long long)said->round,
                       round_state_name(before), (unsigned long long)c->machine.round);
        refuse(c, REFUSED_PROTOCOL, site_name(c, said->site), why);
        return RC_OK;
    }
    const uint64_t round = c->machine.round;
    const enum rc rc = coordinator_act(c, actions, said, err);
    /* The sum's machine hears of it when it is durable, and of nothing that opened a round. */
    return rc == RC_OK && masked_is(c) && before == ROUND_OPEN && c->machine.round == round
               ? masked_said(c, said, err)
               : rc;
}

bool coordinator_ended(const struct coordinator *c)
{
    return c->machine.state == ROUND_DONE || c->machine.state == ROUND_FAILED;
}
