#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/session/session.h"

/* ---- every cell, against a list written by hand from docs/PROTOCOL.md ------------------------ */

/* The session of the grid: round 6 is ours, 5 is settled; the timer has rung, the round goes on. */
enum { OURS = 6, NOW = 2000, DEADLINE = 1500, ROUND_DEADLINE = 9000 };

/* An event as the document's "fields first" table tells it apart. */
enum variant {
    V_STUDY,
    V_YES,
    V_NO,
    V_NEWER,
    V_AGAIN,
    V_FORFEITED,
    V_TRAINED,
    V_FOUND,
    V_CANNOT,
    V_COMMITTED,
    V_COMMITTED_MOOT,
    V_NOT_COMMITTED,
    V_NOT_COMMITTED_MOOT,
    V_SENT,
    V_ACK,
    V_ACK_NEWER,
    V_OLD_OUTCOME,
    V_OUTCOME,
    V_OUTCOME_NEWER,
    V_DONE,
    V_TIMED_OUT,
    V_TIME_UP,
    V_WITHDRAWN,
    VARIANTS
};

static const struct {
    enum session_event event;
    uint64_t round, settled, forfeited;
    int64_t now_ms;
} variant[VARIANTS] = {
    [V_STUDY] = {SESSION_GOT_STUDY, 0, 5, 0, NOW},
    [V_YES] = {SESSION_POLICY_YES, 0, 5, 0, NOW},
    [V_NO] = {SESSION_POLICY_NO, 0, 5, 0, NOW},
    [V_NEWER] = {SESSION_GOT_ROUND, 7, 5, 0, NOW},
    [V_AGAIN] = {SESSION_GOT_ROUND, 6, 5, 0, NOW},
    [V_FORFEITED] = {SESSION_GOT_ROUND, 6, 5, 6, NOW},
    [V_TRAINED] = {SESSION_TRAINED, 6, 5, 0, NOW},
    [V_FOUND] = {SESSION_FOUND_STORED, 6, 5, 0, NOW},
    [V_CANNOT] = {SESSION_CANNOT_TRAIN, 6, 5, 0, NOW},
    [V_COMMITTED] = {SESSION_COMMITTED, 6, 5, 0, NOW},
    [V_COMMITTED_MOOT] = {SESSION_COMMITTED, 6, 6, 0, NOW},
    [V_NOT_COMMITTED] = {SESSION_NOT_COMMITTED, 6, 5, 0, NOW},
    [V_NOT_COMMITTED_MOOT] = {SESSION_NOT_COMMITTED, 6, 6, 0, NOW},
    [V_SENT] = {SESSION_SENT, 6, 5, 0, NOW},
    [V_ACK] = {SESSION_GOT_ACK, 6, 5, 0, NOW},
    [V_ACK_NEWER] = {SESSION_GOT_ACK, 8, 5, 0, NOW},
    [V_OLD_OUTCOME] = {SESSION_GOT_OUTCOME, 5, 5, 0, NOW},
    [V_OUTCOME] = {SESSION_GOT_OUTCOME, 6, 5, 0, NOW},
    [V_OUTCOME_NEWER] = {SESSION_GOT_OUTCOME, 8, 5, 0, NOW},
    [V_DONE] = {SESSION_GOT_DONE, 0, 5, 0, NOW},
    [V_TIMED_OUT] = {SESSION_TIMED_OUT, 0, 5, 0, NOW},
    [V_TIME_UP] = {SESSION_TIMED_OUT, 0, 5, 0, ROUND_DEADLINE},
    [V_WITHDRAWN] = {SESSION_WITHDRAWN, 0, 5, 0, NOW},
};

/* What is allowed; the rest is refused. */
static const struct {
    enum session_state from;
    enum variant variant;
    enum session_state to;
    unsigned actions;
} allowed[] = {
    {SESSION_OFFLINE, V_STUDY, SESSION_CHECKING, SESSION_CHECK_POLICY},
    {SESSION_OFFLINE, V_NEWER, SESSION_OFFLINE, SESSION_SAY_HELLO},
    {SESSION_OFFLINE, V_ACK, SESSION_OFFLINE, SESSION_NOTHING},
    {SESSION_OFFLINE, V_ACK_NEWER, SESSION_OFFLINE, SESSION_NOTHING},
    {SESSION_OFFLINE, V_OUTCOME, SESSION_OFFLINE, SESSION_NOTHING},
    {SESSION_OFFLINE, V_OUTCOME_NEWER, SESSION_OFFLINE, SESSION_NOTHING},
    {SESSION_OFFLINE, V_DONE, SESSION_DONE, SESSION_NOTHING},
    {SESSION_OFFLINE, V_TIMED_OUT, SESSION_OFFLINE, SESSION_SAY_HELLO},
    {SESSION_OFFLINE, V_TIME_UP, SESSION_OFFLINE, SESSION_SAY_HELLO},
    {SESSION_OFFLINE, V_WITHDRAWN, SESSION_OFFLINE, SESSION_NOTHING},

    {SESSION_CHECKING, V_STUDY, SESSION_CHECKING, SESSION_NOTHING},
    {SESSION_CHECKING, V_NEWER, SESSION_CHECKING, SESSION_NOTHING},
    {SESSION_CHECKING, V_ACK, SESSION_CHECKING, SESSION_NOTHING},
    {SESSION_CHECKING, V_ACK_NEWER, SESSION_CHECKING, SESSION_NOTHING},
    {SESSION_CHECKING, V_OUTCOME, SESSION_CHECKING, SESSION_NOTHING},
    {SESSION_CHECKING, V_OUTCOME_NEWER, SESSION_CHECKING, SESSION_NOTHING},
    {SESSION_CHECKING, V_YES, SESSION_READY, SESSION_SAY_ACCEPT},
    {SESSION_CHECKING, V_NO, SESSION_DECLINED, SESSION_SAY_DECLINE},
    {SESSION_CHECKING, V_DONE, SESSION_DONE, SESSION_NOTHING},
    {SESSION_CHECKING, V_TIMED_OUT, SESSION_CHECKING, SESSION_SAY_HELLO},
    {SESSION_CHECKING, V_TIME_UP, SESSION_CHECKING, SESSION_SAY_HELLO},
    {SESSION_CHECKING, V_WITHDRAWN, SESSION_DECLINED, SESSION_SAY_DECLINE},

    {SESSION_DECLINED, V_STUDY, SESSION_DECLINED, SESSION_SAY_DECLINE},
    {SESSION_DECLINED, V_YES, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_NO, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_NEWER, SESSION_DECLINED, SESSION_SAY_DECLINE},
    {SESSION_DECLINED, V_AGAIN, SESSION_DECLINED, SESSION_SAY_DECLINE},
    {SESSION_DECLINED, V_FORFEITED, SESSION_DECLINED, SESSION_SAY_DECLINE},
    {SESSION_DECLINED, V_TRAINED, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_FOUND, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_CANNOT, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_SENT, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_OLD_OUTCOME, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_ACK, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_ACK_NEWER, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_OUTCOME, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_OUTCOME_NEWER, SESSION_DECLINED, SESSION_NOTHING},
    {SESSION_DECLINED, V_DONE, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DECLINED, V_TIMED_OUT, SESSION_DECLINED, SESSION_SAY_HELLO},
    {SESSION_DECLINED, V_TIME_UP, SESSION_DECLINED, SESSION_SAY_HELLO},
    {SESSION_DECLINED, V_WITHDRAWN, SESSION_DECLINED, SESSION_NOTHING},

    {SESSION_READY, V_STUDY, SESSION_READY, SESSION_SAY_ACCEPT},
    {SESSION_READY, V_NEWER, SESSION_TRAINING, SESSION_START_TRAINING},
    {SESSION_READY, V_AGAIN, SESSION_TRAINING, SESSION_START_TRAINING},
    {SESSION_READY, V_FORFEITED, SESSION_READY, SESSION_SAY_CANNOT},
    {SESSION_READY, V_TRAINED, SESSION_READY, SESSION_NOTHING},
    {SESSION_READY, V_FOUND, SESSION_READY, SESSION_NOTHING},
    {SESSION_READY, V_CANNOT, SESSION_READY, SESSION_NOTHING},
    {SESSION_READY, V_SENT, SESSION_READY, SESSION_NOTHING},
    {SESSION_READY, V_ACK, SESSION_READY, SESSION_NOTHING},
    {SESSION_READY, V_ACK_NEWER, SESSION_READY, SESSION_NOTHING},
    {SESSION_READY, V_OLD_OUTCOME, SESSION_READY, SESSION_KEEP_OUTCOME},
    {SESSION_READY, V_OUTCOME, SESSION_READY, SESSION_KEEP_OUTCOME},
    {SESSION_READY, V_OUTCOME_NEWER, SESSION_READY, SESSION_KEEP_OUTCOME},
    {SESSION_READY, V_DONE, SESSION_DONE, SESSION_NOTHING},
    {SESSION_READY, V_TIMED_OUT, SESSION_READY, SESSION_SAY_HELLO},
    {SESSION_READY, V_TIME_UP, SESSION_READY, SESSION_SAY_HELLO},
    {SESSION_READY, V_WITHDRAWN, SESSION_DECLINED, SESSION_SAY_DECLINE},

    {SESSION_TRAINING, V_STUDY, SESSION_TRAINING, SESSION_NOTHING},
    {SESSION_TRAINING, V_SENT, SESSION_TRAINING, SESSION_NOTHING},
    {SESSION_TRAINING, V_NEWER, SESSION_TRAINING, SESSION_CANCEL_TRAINING | SESSION_START_TRAINING},
    {SESSION_TRAINING, V_AGAIN, SESSION_TRAINING, SESSION_NOTHING},
    {SESSION_TRAINING, V_TRAINED, SESSION_SPEND, SESSION_COMMIT_SPEND},
    {SESSION_TRAINING, V_FOUND, SESSION_SPENT, SESSION_SEND_UPDATE},
    {SESSION_TRAINING, V_CANNOT, SESSION_READY, SESSION_SAY_CANNOT},
    {SESSION_TRAINING, V_ACK, SESSION_READY, SESSION_CANCEL_TRAINING},
    {SESSION_TRAINING, V_ACK_NEWER, SESSION_READY, SESSION_CANCEL_TRAINING},
    {SESSION_TRAINING, V_OLD_OUTCOME, SESSION_TRAINING, SESSION_KEEP_OUTCOME},
    {SESSION_TRAINING, V_OUTCOME, SESSION_READY, SESSION_CANCEL_TRAINING | SESSION_KEEP_OUTCOME},
    {SESSION_TRAINING, V_OUTCOME_NEWER, SESSION_READY,
     SESSION_CANCEL_TRAINING | SESSION_KEEP_OUTCOME},
    {SESSION_TRAINING, V_DONE, SESSION_DONE, SESSION_CANCEL_TRAINING},
    {SESSION_TRAINING, V_TIMED_OUT, SESSION_READY, SESSION_CANCEL_TRAINING | SESSION_SAY_HELLO},
    {SESSION_TRAINING, V_TIME_UP, SESSION_READY, SESSION_CANCEL_TRAINING | SESSION_SAY_HELLO},
    {SESSION_TRAINING, V_WITHDRAWN, SESSION_DECLINED,
     SESSION_CANCEL_TRAINING | SESSION_SAY_DECLINE},

    {SESSION_SPEND, V_STUDY, SESSION_SPEND, SESSION_NOTHING},
    {SESSION_SPEND, V_NEWER, SESSION_SPEND, SESSION_NOTHING},
    {SESSION_SPEND, V_AGAIN, SESSION_SPEND, SESSION_NOTHING},
    {SESSION_SPEND, V_COMMITTED, SESSION_SPENT, SESSION_SEND_UPDATE},
    {SESSION_SPEND, V_COMMITTED_MOOT, SESSION_READY, SESSION_SAY_HELLO},
    {SESSION_SPEND, V_NOT_COMMITTED, SESSION_READY, SESSION_SAY_CANNOT},
    {SESSION_SPEND, V_NOT_COMMITTED_MOOT, SESSION_READY, SESSION_SAY_HELLO},
    {SESSION_SPEND, V_ACK, SESSION_SPEND, SESSION_NOTHING},
    {SESSION_SPEND, V_ACK_NEWER, SESSION_SPEND, SESSION_NOTHING},
    {SESSION_SPEND, V_OLD_OUTCOME, SESSION_SPEND, SESSION_KEEP_OUTCOME},
    {SESSION_SPEND, V_OUTCOME, SESSION_SPEND, SESSION_KEEP_OUTCOME},
    {SESSION_SPEND, V_OUTCOME_NEWER, SESSION_SPEND, SESSION_KEEP_OUTCOME},
    {SESSION_SPEND, V_DONE, SESSION_DONE, SESSION_NOTHING},

    {SESSION_SPENT, V_STUDY, SESSION_SPENT, SESSION_NOTHING},
    {SESSION_SPENT, V_NEWER, SESSION_TRAINING, SESSION_START_TRAINING},
    {SESSION_SPENT, V_AGAIN, SESSION_SPENT, SESSION_SEND_UPDATE},
    {SESSION_SPENT, V_SENT, SESSION_SEND, SESSION_NOTHING},
    {SESSION_SPENT, V_ACK, SESSION_READY, SESSION_NOTHING},
    {SESSION_SPENT, V_ACK_NEWER, SESSION_READY, SESSION_NOTHING},
    {SESSION_SPENT, V_OLD_OUTCOME, SESSION_SPENT, SESSION_KEEP_OUTCOME},
    {SESSION_SPENT, V_OUTCOME, SESSION_READY, SESSION_KEEP_OUTCOME},
    {SESSION_SPENT, V_OUTCOME_NEWER, SESSION_READY, SESSION_KEEP_OUTCOME},
    {SESSION_SPENT, V_DONE, SESSION_DONE, SESSION_NOTHING},
    {SESSION_SPENT, V_TIMED_OUT, SESSION_READY, SESSION_SAY_HELLO},
    {SESSION_SPENT, V_TIME_UP, SESSION_READY, SESSION_SAY_HELLO},
    {SESSION_SPENT, V_WITHDRAWN, SESSION_DECLINED, SESSION_SAY_DECLINE},

    {SESSION_SEND, V_STUDY, SESSION_SEND, SESSION_NOTHING},
    {SESSION_SEND, V_SENT, SESSION_SEND, SESSION_NOTHING},
    {SESSION_SEND, V_NEWER, SESSION_TRAINING, SESSION_START_TRAINING},
    {SESSION_SEND, V_AGAIN, SESSION_SPENT, SESSION_SEND_UPDATE},
    {SESSION_SEND, V_ACK, SESSION_READY, SESSION_NOTHING},
    {SESSION_SEND, V_ACK_NEWER, SESSION_READY, SESSION_NOTHING},
    {SESSION_SEND, V_OLD_OUTCOME, SESSION_SEND, SESSION_KEEP_OUTCOME},
    {SESSION_SEND, V_OUTCOME, SESSION_READY, SESSION_KEEP_OUTCOME},
    {SESSION_SEND, V_OUTCOME_NEWER, SESSION_READY, SESSION_KEEP_OUTCOME},
    {SESSION_SEND, V_DONE, SESSION_DONE, SESSION_NOTHING},
    {SESSION_SEND, V_TIMED_OUT, SESSION_SPENT, SESSION_SEND_UPDATE},
    {SESSION_SEND, V_TIME_UP, SESSION_READY, SESSION_SAY_HELLO},
    {SESSION_SEND, V_WITHDRAWN, SESSION_DECLINED, SESSION_SAY_DECLINE},

    {SESSION_DONE, V_STUDY, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_YES, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_NO, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_NEWER, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_AGAIN, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_FORFEITED, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_TRAINED, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_FOUND, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_CANNOT, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_COMMITTED, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_COMMITTED_MOOT, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_NOT_COMMITTED, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_NOT_COMMITTED_MOOT, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_SENT, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_ACK, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_ACK_NEWER, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_OLD_OUTCOME, SESSION_DONE, SESSION_KEEP_OUTCOME},
    {SESSION_DONE, V_OUTCOME, SESSION_DONE, SESSION_KEEP_OUTCOME},
    {SESSION_DONE, V_OUTCOME_NEWER, SESSION_DONE, SESSION_KEEP_OUTCOME},
    {SESSION_DONE, V_DONE, SESSION_DONE, SESSION_NOTHING},
    {SESSION_DONE, V_WITHDRAWN, SESSION_DONE, SESSION_NOTHING},
};

/* A session whose padding is zero too, so that it can be compared to the byte. */
static void grid_session(struct session *s, enum session_state state)
{
    memset(s, 0, sizeof *s);
    s->state = state;
    s->round = OURS;
    s->settled = OURS - 1;
    s->deadline_ms = DEADLINE;
    s->round_deadline_ms = ROUND_DEADLINE;
}

static void every_cell_moves_as_written_or_refuses_untouched(void **state)
{
    (void)state;
    for (int from = 0; from < SESSION_STATES; from++) {
        for (int v = 0; v < VARIANTS; v++) {
            struct session s, before;
            grid_session(&s, (enum session_state)from);
            s.settled = variant[v].settled;
            s.forfeited = variant[v].forfeited;
            memcpy(&before, &s, sizeof s);
            const struct session_input in = {.event = variant[v].event,
                                             .now_ms = variant[v].now_ms,
                                             .round = variant[v].round,
                                             .round_deadline_ms = 20000};
            const unsigned actions = session_step(&s, &in);

            int found = -1;
            for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
                if ((int)allowed[i].from == from && (int)allowed[i].variant == v) {
                    assert_int_equal(found, -1); /* the list names a cell once */
                    found = (int)i;
                }
            }
            const bool right =
                found >= 0
                    ? s.state == allowed[found].to && actions == allowed[found].actions
                    : actions == SESSION_PROTOCOL_ERROR && memcmp(&s, &before, sizeof s) == 0;
            if (!right) {
                fail_msg("%s + %s (variant %d) -> %s, actions %#x",
                         session_state_name((enum session_state)from),
                         session_event_name(variant[v].event), v, session_state_name(s.state),
                         actions);
            }
            assert_true(s.round >= before.round);
            assert_true(s.settled >= before.settled);
        }
    }
}

/* Each state meets the event; nothing may change, and this must be the answer. */
static void always(enum session_event event, uint64_t round, uint64_t settled, int64_t now_ms,
                   unsigned answer)
{
    for (int from = 0; from < SESSION_STATES; from++) {
        struct session s, before;
        grid_session(&s, (enum session_state)from);
        s.settled = settled;
        memcpy(&before, &s, sizeof s);
        const struct session_input in = {
            .event = event, .now_ms = now_ms, .round = round, .round_deadline_ms = 20000};
        assert_int_equal(session_step(&s, &in), answer);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

static void an_older_round_is_refused_in_every_state(void **state)
{
    (void)state;
    always(SESSION_GOT_ROUND, OURS - 1, OURS - 1, NOW, SESSION_PROTOCOL_ERROR);
}

static void round_zero_is_refused_in_every_state(void **state)
{
    (void)state;
    always(SESSION_GOT_ROUND, 0, OURS - 1, NOW, SESSION_PROTOCOL_ERROR);
    always(SESSION_GOT_ACK, 0, OURS - 1, NOW, SESSION_PROTOCOL_ERROR);
    always(SESSION_GOT_OUTCOME, 0, OURS - 1, NOW, SESSION_PROTOCOL_ERROR);

    struct session s = {.state = SESSION_READY};
    const struct session_input zero = {.event = SESSION_GOT_ROUND, .now_ms = NOW};
    assert_int_equal(session_step(&s, &zero), SESSION_PROTOCOL_ERROR);
}

static void a_settled_round_announced_again_is_ignored_in_every_state(void **state)
{
    (void)state;
    always(SESSION_GOT_ROUND, OURS, OURS, NOW, SESSION_NOTHING);
    always(SESSION_GOT_ROUND, OURS + 1, OURS + 1, NOW, SESSION_NOTHING);
}

static void a_stale_timer_is_ignored_in_every_state(void **state)
{
    (void)state;
    always(SESSION_TIMED_OUT, 0, OURS - 1, DEADLINE - 1, SESSION_NOTHING);
}

static void an_old_acknowledgement_is_ignored_in_every_state(void **state)
{
    (void)state;
    always(SESSION_GOT_ACK, OURS - 1, OURS - 1, NOW, SESSION_NOTHING);
}

static void
local_answers_about_an_older_round_are_ignored_and_about_a_newer_one_refused(void **state)
{
    (void)state;
    static const enum session_event local[] = {SESSION_TRAINED,       SESSION_FOUND_STORED,
                                               SESSION_CANNOT_TRAIN,  SESSION_COMMITTED,
                                               SESSION_NOT_COMMITTED, SESSION_SENT};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        always(local[i], OURS - 1, OURS - 1, NOW, SESSION_NOTHING);
        always(local[i], OURS + 1, OURS - 1, NOW, SESSION_PROTOCOL_ERROR);
    }
}

/* ---- paragraphs of the protocol as stories --------------------------------------------------- */

static unsigned tell(struct session *s, enum session_event event, uint64_t round, int64_t now_ms)
{
    const struct session_input in = {.event = event,
                                     .now_ms = now_ms,
                                     .round = round,
                                     .round_deadline_ms =
                                         event == SESSION_GOT_ROUND ? now_ms + 60000 : 0};
    return session_step(s, &in);
}

static struct session ready(void)
{
    struct session s = {0};
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, 0), SESSION_SAY_HELLO);
    assert_int_equal(tell(&s, SESSION_GOT_STUDY, 0, 10), SESSION_CHECK_POLICY);
    assert_int_equal(tell(&s, SESSION_POLICY_YES, 0, 20), SESSION_SAY_ACCEPT);
    return s;
}

static struct session training(uint64_t round)
{
    struct session s = ready();
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, round, 100), SESSION_START_TRAINING);
    return s;
}

static struct session spending(uint64_t round)
{
    struct session s = training(round);
    assert_int_equal(tell(&s, SESSION_TRAINED, round, 200), SESSION_COMMIT_SPEND);
    return s;
}

static struct session sent(uint64_t round)
{
    struct session s = spending(round);
    assert_int_equal(tell(&s, SESSION_COMMITTED, round, 300), SESSION_SEND_UPDATE);
    assert_int_equal(tell(&s, SESSION_SENT, round, 400), SESSION_NOTHING);
    return s;
}

static void
a_zeroed_session_is_offline_and_says_hello_at_once_and_again_every_five_seconds(void **state)
{
    (void)state;
    struct session s = {0};
    assert_int_equal(s.state, SESSION_OFFLINE);
    assert_int_equal(s.deadline_ms, 0);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, 7), SESSION_SAY_HELLO);
    assert_int_equal(s.deadline_ms, 5007);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, 5006), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, 5007), SESSION_SAY_HELLO);
    assert_int_equal(s.deadline_ms, 10007);
}

static void two_rounds_and_the_end(void **state)
{
    (void)state;
    struct session s = sent(1);
    assert_int_equal(tell(&s, SESSION_GOT_ACK, 1, 500), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_READY);
    assert_int_equal(tell(&s, SESSION_GOT_OUTCOME, 1, 600), SESSION_KEEP_OUTCOME);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 2, 601), SESSION_START_TRAINING);
    assert_int_equal(s.round, 2);
    assert_int_equal(s.deadline_ms, 60601);
    assert_int_equal(tell(&s, SESSION_TRAINED, 2, 700), SESSION_COMMIT_SPEND);
    assert_int_equal(s.deadline_ms, SESSION_NEVER);
    assert_int_equal(tell(&s, SESSION_COMMITTED, 2, 710), SESSION_SEND_UPDATE);
    assert_int_equal(tell(&s, SESSION_SENT, 2, 720), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ACK, 2, 730), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_OUTCOME, 2, 740), SESSION_KEEP_OUTCOME);
    assert_int_equal(tell(&s, SESSION_GOT_DONE, 0, 750), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_DONE);
    assert_int_equal(s.deadline_ms, SESSION_NEVER);
}

static void a_refused_study_is_declined_again_whenever_asked(void **state)
{
    (void)state;
    struct session s = {0};
    tell(&s, SESSION_GOT_STUDY, 0, 10);
    assert_int_equal(tell(&s, SESSION_POLICY_NO, 0, 20), SESSION_SAY_DECLINE);
    assert_int_equal(s.deadline_ms, 60020);
    assert_int_equal(tell(&s, SESSION_GOT_STUDY, 0, 30), SESSION_SAY_DECLINE);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 1, 40), SESSION_SAY_DECLINE);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, s.deadline_ms), SESSION_SAY_HELLO);
    assert_int_equal(s.state, SESSION_DECLINED);
}

static void
while_a_person_decides_the_site_asks_every_minute_whether_the_study_has_ended(void **state)
{
    (void)state;
    struct session s = {0};
    assert_int_equal(tell(&s, SESSION_GOT_STUDY, 0, 10), SESSION_CHECK_POLICY);
    for (int64_t days = 0, now_ms = 60010; days < 3 * 24 * 60; days++, now_ms += 60000) {
        assert_int_equal(s.deadline_ms, now_ms);
        assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, now_ms), SESSION_SAY_HELLO);
        assert_int_equal(tell(&s, SESSION_GOT_STUDY, 0, now_ms), SESSION_NOTHING);
        assert_int_equal(s.state, SESSION_CHECKING);
    }
    struct session late = s;
    assert_int_equal(tell(&s, SESSION_POLICY_YES, 0, s.deadline_ms), SESSION_SAY_ACCEPT);
    assert_int_equal(tell(&late, SESSION_GOT_DONE, 0, late.deadline_ms), SESSION_NOTHING);
    assert_int_equal(late.state, SESSION_DONE);
}

static void a_withdrawal_stops_training_and_is_said_again_until_the_end(void **state)
{
    (void)state;
    struct session s = training(3);
    assert_int_equal(tell(&s, SESSION_WITHDRAWN, 0, 200),
                     SESSION_CANCEL_TRAINING | SESSION_SAY_DECLINE);
    assert_int_equal(s.deadline_ms, 60200);
    assert_int_equal(tell(&s, SESSION_TRAINED, 3, 210), SESSION_NOTHING); /* nothing is spent */
    assert_int_equal(tell(&s, SESSION_POLICY_YES, 0, 220), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 230), SESSION_SAY_DECLINE); /* DECLINE lost */
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 4, 240), SESSION_SAY_DECLINE);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, s.deadline_ms), SESSION_SAY_HELLO);
    assert_int_equal(tell(&s, SESSION_GOT_STUDY, 0, 70000), SESSION_SAY_DECLINE);
    assert_int_equal(tell(&s, SESSION_WITHDRAWN, 0, 70001), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_DECLINED);
    assert_int_equal(tell(&s, SESSION_GOT_DONE, 0, 70002), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_DONE);
}

static void a_withdrawal_while_spending_waits_for_the_ledger(void **state)
{
    (void)state;
    struct session s = spending(3);
    struct session before;
    memcpy(&before, &s, sizeof s);
    assert_int_equal(tell(&s, SESSION_WITHDRAWN, 0, 300), SESSION_PROTOCOL_ERROR);
    assert_memory_equal(&s, &before, sizeof s);
    /* The ledger had ended the study before the withdrawal was said: it refuses. */
    assert_int_equal(tell(&s, SESSION_NOT_COMMITTED, 3, 310), SESSION_SAY_CANNOT);
    assert_int_equal(tell(&s, SESSION_WITHDRAWN, 0, 310), SESSION_SAY_DECLINE);
    assert_int_equal(s.state, SESSION_DECLINED);
}

static void after_a_withdrawal_the_stored_update_is_not_sent_again(void **state)
{
    (void)state;
    struct session s = sent(3);
    assert_int_equal(tell(&s, SESSION_WITHDRAWN, 0, 500), SESSION_SAY_DECLINE);
    assert_int_equal(tell(&s, SESSION_SENT, 3, 510), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 520), SESSION_SAY_DECLINE);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, s.deadline_ms), SESSION_SAY_HELLO);
    assert_int_equal(s.state, SESSION_DECLINED);
}

static void ready_asks_again_in_case_messages_were_lost(void **state)
{
    (void)state;
    struct session s = ready();
    assert_int_equal(s.deadline_ms, 15020);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, 15020), SESSION_SAY_HELLO);
    assert_int_equal(s.deadline_ms, 30020);
    assert_int_equal(tell(&s, SESSION_GOT_STUDY, 0, 15100), SESSION_SAY_ACCEPT);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 4, 15200), SESSION_START_TRAINING);
    assert_int_equal(s.round, 4);
}

static void a_repeated_round_does_not_disturb_training_but_its_deadline_counts(void **state)
{
    (void)state;
    struct session s = training(3);
    assert_int_equal(s.deadline_ms, 60100);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 5000), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_TRAINING);
    assert_int_equal(s.deadline_ms, 65000);
}

static void a_repeated_round_while_spending_leaves_the_commit_alone(void **state)
{
    (void)state;
    struct session s = spending(3);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 5000), SESSION_NOTHING);
    assert_int_equal(s.deadline_ms, SESSION_NEVER);
    assert_int_equal(s.round_deadline_ms, 65000);
    assert_int_equal(tell(&s, SESSION_COMMITTED, 3, 5100), SESSION_SEND_UPDATE);
}

static void what_the_ledger_holds_is_sent_and_never_trained_again(void **state)
{
    (void)state;
    struct session s = training(3); /* after a restart; the trainer looks into the ledger */
    assert_int_equal(tell(&s, SESSION_FOUND_STORED, 3, 150), SESSION_SEND_UPDATE);
    assert_int_equal(s.state, SESSION_SPENT);
}

static void a_repeated_round_sends_the_stored_update_again(void **state)
{
    (void)state;
    struct session s = sent(3);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 500), SESSION_SEND_UPDATE);
    assert_int_equal(s.state, SESSION_SPENT);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 600), SESSION_SEND_UPDATE);
    assert_int_equal(s.state, SESSION_SPENT);
}

static void an_update_is_sent_again_until_the_rounds_deadline_then_the_site_asks(void **state)
{
    (void)state;
    struct session s = sent(3); /* deadline of the round: 60100 */
    assert_int_equal(s.deadline_ms, 10400);
    int64_t now_ms = s.deadline_ms;
    size_t sent_again = 0;
    while (tell(&s, SESSION_TIMED_OUT, 0, now_ms) == SESSION_SEND_UPDATE) {
        sent_again++;
        assert_int_equal(s.state, SESSION_SPENT);
        assert_int_equal(tell(&s, SESSION_SENT, 3, now_ms + 5), SESSION_NOTHING);
        now_ms = s.deadline_ms;
    }
    assert_int_equal(sent_again, 5); /* at 10.4 s and every 10.005 s after, before 60.1 s */
    assert_true(now_ms >= 60100);
    assert_int_equal(s.state, SESSION_READY);
    assert_true(s.deadline_ms > now_ms);
}

static void a_transport_that_never_takes_the_update_ends_in_asking(void **state)
{
    (void)state;
    struct session s = spending(3);
    assert_int_equal(tell(&s, SESSION_COMMITTED, 3, 59000), SESSION_SEND_UPDATE);
    assert_int_equal(s.deadline_ms, 69000); /* later than the round's: a try is always given */
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, 69000), SESSION_SAY_HELLO);
    assert_int_equal(s.state, SESSION_READY);
    assert_int_equal(tell(&s, SESSION_SENT, 3, 69001), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 69002), SESSION_START_TRAINING);
    assert_int_equal(tell(&s, SESSION_FOUND_STORED, 3, 69003), SESSION_SEND_UPDATE);
}

static void an_outcome_while_training_cancels_and_nothing_is_spent(void **state)
{
    (void)state;
    struct session s = training(3);
    assert_int_equal(tell(&s, SESSION_GOT_OUTCOME, 3, 500),
                     SESSION_CANCEL_TRAINING | SESSION_KEEP_OUTCOME);
    assert_int_equal(s.state, SESSION_READY);
    assert_int_equal(tell(&s, SESSION_TRAINED, 3, 501), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_READY);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 502), SESSION_NOTHING); /* a delayed copy */
    assert_int_equal(s.state, SESSION_READY);
}

static void the_rounds_deadline_while_training_cancels_and_asks(void **state)
{
    (void)state;
    struct session s = training(3);
    assert_int_equal(tell(&s, SESSION_TIMED_OUT, 0, 60100),
                     SESSION_CANCEL_TRAINING | SESSION_SAY_HELLO);
    assert_int_equal(s.state, SESSION_READY);
    /* The coordinator had only restarted, with a fresh deadline: nothing was spent, so train. */
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 61000), SESSION_START_TRAINING);
}

static void a_round_closed_while_spending_is_not_sent(void **state)
{
    (void)state;
    struct session s = spending(3);
    assert_int_equal(tell(&s, SESSION_GOT_OUTCOME, 3, 500), SESSION_KEEP_OUTCOME);
    assert_int_equal(s.state, SESSION_SPEND);
    assert_int_equal(tell(&s, SESSION_COMMITTED, 3, 600), SESSION_SAY_HELLO);
    assert_int_equal(s.state, SESSION_READY);
}

static void a_newer_round_while_spending_waits_for_the_ledger(void **state)
{
    (void)state;
    struct session s = spending(3);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 5, 500), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_SPEND);
    assert_int_equal(s.round, 3);
    assert_int_equal(tell(&s, SESSION_COMMITTED, 3, 600), SESSION_SAY_HELLO);
    assert_int_equal(s.round, 4);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 5, 700), SESSION_START_TRAINING);
    assert_int_equal(s.round, 5);
}

static void an_outcome_of_a_newer_round_while_spending_is_remembered(void **state)
{
    (void)state;
    struct session s = spending(3);
    tell(&s, SESSION_GOT_OUTCOME, 4, 500);
    assert_int_equal(s.round, 3);
    assert_int_equal(tell(&s, SESSION_NOT_COMMITTED, 3, 600), SESSION_SAY_HELLO);
    assert_int_equal(s.round, 4);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 610), SESSION_PROTOCOL_ERROR);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 4, 620), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 5, 630), SESSION_START_TRAINING);
}

static void a_newer_round_replaces_training_and_the_old_answer_is_dropped(void **state)
{
    (void)state;
    struct session s = training(3);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 4, 500),
                     SESSION_CANCEL_TRAINING | SESSION_START_TRAINING);
    assert_int_equal(s.round, 4);
    assert_int_equal(s.deadline_ms, 60500);
    assert_int_equal(tell(&s, SESSION_TRAINED, 3, 501), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_TRAINING);
    assert_int_equal(tell(&s, SESSION_TRAINED, 4, 502), SESSION_COMMIT_SPEND);
}

static void a_newer_round_ends_waiting_for_an_acknowledgement(void **state)
{
    (void)state;
    struct session s = sent(3);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 4, 500), SESSION_START_TRAINING);
    assert_int_equal(tell(&s, SESSION_GOT_ACK, 3, 510), SESSION_NOTHING); /* late, for round 3 */
    assert_int_equal(s.state, SESSION_TRAINING);
    assert_int_equal(tell(&s, SESSION_GOT_OUTCOME, 3, 520), SESSION_KEEP_OUTCOME);
    assert_int_equal(s.state, SESSION_TRAINING);
}

static void a_refused_spend_forfeits_the_round_for_good(void **state)
{
    (void)state;
    struct session s = spending(3);
    assert_int_equal(tell(&s, SESSION_NOT_COMMITTED, 3, 300), SESSION_SAY_CANNOT);
    assert_int_equal(s.state, SESSION_READY);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 400), SESSION_SAY_CANNOT);
    assert_int_equal(s.state, SESSION_READY);
    assert_int_equal(tell(&s, SESSION_GOT_ACK, 3, 500), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 600), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 4, 700), SESSION_START_TRAINING);
}

static void a_trainer_that_cannot_makes_the_site_sit_out(void **state)
{
    (void)state;
    struct session s = training(3);
    assert_int_equal(tell(&s, SESSION_CANNOT_TRAIN, 3, 300), SESSION_SAY_CANNOT);
    assert_int_equal(s.state, SESSION_READY);
}

static void an_acknowledged_round_is_not_sent_again(void **state)
{
    (void)state;
    struct session s = sent(3);
    tell(&s, SESSION_GOT_ACK, 3, 500);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 600), SESSION_NOTHING);
    assert_int_equal(s.state, SESSION_READY);
}

static void a_restarted_site_whose_update_is_held_is_told_so_and_waits(void **state)
{
    (void)state;
    struct session s = ready();
    assert_int_equal(tell(&s, SESSION_GOT_ACK, 3, 100), SESSION_NOTHING);
    assert_int_equal(s.round, 3);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 3, 110), SESSION_NOTHING);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, 4, 120), SESSION_START_TRAINING);
}

static void an_acknowledgement_of_an_earlier_life_stops_training(void **state)
{
    (void)state;
    struct session s = training(3);
    assert_int_equal(tell(&s, SESSION_GOT_ACK, 3, 200), SESSION_CANCEL_TRAINING);
    assert_int_equal(s.state, SESSION_READY);
}

static void the_end_of_the_study_is_final_from_everywhere(void **state)
{
    (void)state;
    for (int from = 0; from < SESSION_STATES; from++) {
        struct session s;
        grid_session(&s, (enum session_state)from);
        const unsigned actions = tell(&s, SESSION_GOT_DONE, 0, NOW);
        assert_int_equal(actions,
                         from == SESSION_TRAINING ? SESSION_CANCEL_TRAINING : SESSION_NOTHING);
        assert_int_equal(s.state, SESSION_DONE);
        assert_int_equal(tell(&s, SESSION_COMMITTED, OURS, NOW), SESSION_NOTHING);
        assert_int_equal(s.state, SESSION_DONE);
    }
}

static void the_largest_round_and_time_are_met_without_overflow(void **state)
{
    (void)state;
    struct session s = ready();
    assert_int_equal(tell(&s, SESSION_GOT_OUTCOME, UINT64_MAX, INT64_MAX), SESSION_KEEP_OUTCOME);
    assert_true(s.round == UINT64_MAX);
    assert_true(s.deadline_ms == INT64_MAX);
    assert_int_equal(tell(&s, SESSION_GOT_ROUND, UINT64_MAX, 0), SESSION_NOTHING);
}

static void every_state_and_event_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < SESSION_STATES; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(session_state_name((enum session_state)i),
                                    session_state_name((enum session_state)j));
        }
    }
    for (int i = 0; i < SESSION_EVENTS; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(session_event_name((enum session_event)i),
                                    session_event_name((enum session_event)j));
        }
    }
    assert_string_equal(session_state_name(SESSION_SPENT), "spent");
    assert_string_equal(session_event_name(SESSION_GOT_ACK), "got_ack");
    assert_string_equal(session_event_name(SESSION_TIMED_OUT), "timed_out");
    assert_string_equal(session_event_name(SESSION_WITHDRAWN), "withdrawn");
    assert_string_equal(session_state_name(SESSION_STATES), "?");
    assert_string_equal(session_event_name(SESSION_EVENTS), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_moves_as_written_or_refuses_untouched),
        cmocka_unit_test(an_older_round_is_refused_in_every_state),
        cmocka_unit_test(round_zero_is_refused_in_every_state),
        cmocka_unit_test(a_settled_round_announced_again_is_ignored_in_every_state),
        cmocka_unit_test(a_stale_timer_is_ignored_in_every_state),
        cmocka_unit_test(an_old_acknowledgement_is_ignored_in_every_state),
        cmocka_unit_test(
            local_answers_about_an_older_round_are_ignored_and_about_a_newer_one_refused),
        cmocka_unit_test(
            a_zeroed_session_is_offline_and_says_hello_at_once_and_again_every_five_seconds),
        cmocka_unit_test(two_rounds_and_the_end),
        cmocka_unit_test(a_refused_study_is_declined_again_whenever_asked),
        cmocka_unit_test(
            while_a_person_decides_the_site_asks_every_minute_whether_the_study_has_ended),
        cmocka_unit_test(a_withdrawal_stops_training_and_is_said_again_until_the_end),
        cmocka_unit_test(a_withdrawal_while_spending_waits_for_the_ledger),
        cmocka_unit_test(after_a_withdrawal_the_stored_update_is_not_sent_again),
        cmocka_unit_test(ready_asks_again_in_case_messages_were_lost),
        cmocka_unit_test(a_repeated_round_does_not_disturb_training_but_its_deadline_counts),
        cmocka_unit_test(a_repeated_round_while_spending_leaves_the_commit_alone),
        cmocka_unit_test(what_the_ledger_holds_is_sent_and_never_trained_again),
        cmocka_unit_test(a_repeated_round_sends_the_stored_update_again),
        cmocka_unit_test(an_update_is_sent_again_until_the_rounds_deadline_then_the_site_asks),
        cmocka_unit_test(a_transport_that_never_takes_the_update_ends_in_asking),
        cmocka_unit_test(an_outcome_while_training_cancels_and_nothing_is_spent),
        cmocka_unit_test(the_rounds_deadline_while_training_cancels_and_asks),
        cmocka_unit_test(a_round_closed_while_spending_is_not_sent),
        cmocka_unit_test(a_newer_round_while_spending_waits_for_the_ledger),
        cmocka_unit_test(an_outcome_of_a_newer_round_while_spending_is_remembered),
        cmocka_unit_test(a_newer_round_replaces_training_and_the_old_answer_is_dropped),
        cmocka_unit_test(a_newer_round_ends_waiting_for_an_acknowledgement),
        cmocka_unit_test(a_refused_spend_forfeits_the_round_for_good),
        cmocka_unit_test(a_trainer_that_cannot_makes_the_site_sit_out),
        cmocka_unit_test(an_acknowledged_round_is_not_sent_again),
        cmocka_unit_test(a_restarted_site_whose_update_is_held_is_told_so_and_waits),
        cmocka_unit_test(an_acknowledgement_of_an_earlier_life_stops_training),
        cmocka_unit_test(the_end_of_the_study_is_final_from_everywhere),
        cmocka_unit_test(the_largest_round_and_time_are_met_without_overflow),
        cmocka_unit_test(every_state_and_event_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests_name("agent/session", tests, NULL, NULL);
}
