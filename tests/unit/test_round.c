#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/round/round.h"
#include "common/base/rng.h"

/* ---- every cell, against a list written by hand from docs/PROTOCOL.md ------------------------ */

/*
 * The machine of the grid: 7 sites, quorum 2, round 3 of 5. Site 0 is the one that speaks; its
 * membership and part are the variant's. Sites 1 and 2 have contributed, 3 is waited for, 4 sits
 * out, 5 has declined, 6 has not answered: no single message but the timer decides anything. What
 * decides is told in the stories below.
 */
enum { SITES = 7, QUORUM = 2, ROUNDS = 5, NOW = 2000, DEADLINE = 1500 };

enum variant {
    V_HELLO,
    V_ACCEPT_FIRST,
    V_ACCEPT_WAITED, /* AGAIN, from a site waited for */
    V_ACCEPT_PART,   /* AGAIN, from a site that has answered the round */
    V_ACCEPT_DECLINED,
    V_DECLINE_FIRST,
    V_WITHDRAW, /* FIRST, of an accepted site */
    V_DECLINE_AGAIN,
    V_UPDATE_FIRST,
    V_UPDATE_AGAIN,
    V_UPDATE_MOOT,
    V_UPDATE_PAST,
    V_UPDATE_FUTURE,
    V_UPDATE_ZERO,
    V_UPDATE_UNKNOWN,
    V_UPDATE_DECLINED,
    V_CANNOT_FIRST,
    V_CANNOT_AGAIN,
    V_CANNOT_CONTRIBUTED,
    V_CANNOT_PAST,
    V_CANNOT_FUTURE,
    V_CANNOT_UNKNOWN,
    V_COMMITTED_NEXT,
    V_COMMITTED_LAST,
    V_NOT_COMMITTED,
    V_TIMED_OUT,
    V_ABORTED,
    V_UNMASKED,
    V_LOST,
    V_STRANGER, /* not on the roster */
    VARIANTS
};

static const struct {
    enum round_event event;
    enum round_member member; /* of site 0 */
    enum round_part part;
    uint64_t round;
    size_t site;
} variant[VARIANTS] = {
    [V_HELLO] = {ROUND_GOT_HELLO, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_ACCEPT_FIRST] = {ROUND_GOT_ACCEPT, ROUND_UNKNOWN, ROUND_WAITED_FOR, 0, 0},
    [V_ACCEPT_WAITED] = {ROUND_GOT_ACCEPT, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_ACCEPT_PART] = {ROUND_GOT_ACCEPT, ROUND_ACCEPTED, ROUND_CONTRIBUTED, 0, 0},
    [V_ACCEPT_DECLINED] = {ROUND_GOT_ACCEPT, ROUND_MEMBER_DECLINED, ROUND_WAITED_FOR, 0, 0},
    [V_DECLINE_FIRST] = {ROUND_GOT_DECLINE, ROUND_UNKNOWN, ROUND_WAITED_FOR, 0, 0},
    [V_WITHDRAW] = {ROUND_GOT_DECLINE, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_DECLINE_AGAIN] = {ROUND_GOT_DECLINE, ROUND_MEMBER_DECLINED, ROUND_WAITED_FOR, 0, 0},
    [V_UPDATE_FIRST] = {ROUND_GOT_UPDATE, ROUND_ACCEPTED, ROUND_WAITED_FOR, 3, 0},
    [V_UPDATE_AGAIN] = {ROUND_GOT_UPDATE, ROUND_ACCEPTED, ROUND_CONTRIBUTED, 3, 0},
    [V_UPDATE_MOOT] = {ROUND_GOT_UPDATE, ROUND_ACCEPTED, ROUND_SAT_OUT, 3, 0},
    [V_UPDATE_PAST] = {ROUND_GOT_UPDATE, ROUND_ACCEPTED, ROUND_WAITED_FOR, 2, 0},
    [V_UPDATE_FUTURE] = {ROUND_GOT_UPDATE, ROUND_ACCEPTED, ROUND_WAITED_FOR, 4, 0},
    [V_UPDATE_ZERO] = {ROUND_GOT_UPDATE, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_UPDATE_UNKNOWN] = {ROUND_GOT_UPDATE, ROUND_UNKNOWN, ROUND_WAITED_FOR, 3, 0},
    [V_UPDATE_DECLINED] = {ROUND_GOT_UPDATE, ROUND_MEMBER_DECLINED, ROUND_WAITED_FOR, 3, 0},
    [V_CANNOT_FIRST] = {ROUND_GOT_CANNOT, ROUND_ACCEPTED, ROUND_WAITED_FOR, 3, 0},
    [V_CANNOT_AGAIN] = {ROUND_GOT_CANNOT, ROUND_ACCEPTED, ROUND_SAT_OUT, 3, 0},
    [V_CANNOT_CONTRIBUTED] = {ROUND_GOT_CANNOT, ROUND_ACCEPTED, ROUND_CONTRIBUTED, 3, 0},
    [V_CANNOT_PAST] = {ROUND_GOT_CANNOT, ROUND_ACCEPTED, ROUND_WAITED_FOR, 1, 0},
    [V_CANNOT_FUTURE] = {ROUND_GOT_CANNOT, ROUND_ACCEPTED, ROUND_WAITED_FOR, 4, 0},
    [V_CANNOT_UNKNOWN] = {ROUND_GOT_CANNOT, ROUND_UNKNOWN, ROUND_WAITED_FOR, 3, 0},
    [V_COMMITTED_NEXT] = {ROUND_COMMITTED, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_COMMITTED_LAST] = {ROUND_COMMITTED, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_NOT_COMMITTED] = {ROUND_NOT_COMMITTED, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_TIMED_OUT] = {ROUND_TIMED_OUT, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_ABORTED] = {ROUND_ABORTED, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_UNMASKED] = {ROUND_UNMASKED, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_LOST] = {ROUND_LOST, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, 0},
    [V_STRANGER] = {ROUND_GOT_HELLO, ROUND_ACCEPTED, ROUND_WAITED_FOR, 0, SITES},
};

struct cell {
    enum round_state from;
    enum variant variant;
    enum round_state to;
    unsigned actions;
};

/* What is allowed; the rest is refused. In JOINING no round is open: UPDATE, CANNOT are future. */
static const struct cell allowed[] = {
    {ROUND_JOINING, V_HELLO, ROUND_JOINING, ROUND_REPLY_STUDY},
    {ROUND_JOINING, V_ACCEPT_FIRST, ROUND_JOINING, ROUND_KEEP_MEMBER},
    {ROUND_JOINING, V_ACCEPT_WAITED, ROUND_JOINING, ROUND_NOTHING},
    {ROUND_JOINING, V_ACCEPT_PART, ROUND_JOINING, ROUND_NOTHING},
    {ROUND_JOINING, V_DECLINE_FIRST, ROUND_JOINING, ROUND_KEEP_MEMBER},
    {ROUND_JOINING, V_WITHDRAW, ROUND_JOINING, ROUND_KEEP_MEMBER},
    {ROUND_JOINING, V_DECLINE_AGAIN, ROUND_JOINING, ROUND_NOTHING},
    {ROUND_JOINING, V_TIMED_OUT, ROUND_OPEN, ROUND_CAST_ROUND},
    {ROUND_JOINING, V_ABORTED, ROUND_FAILED, ROUND_KEEP_FAILURE | ROUND_CAST_DONE},

    {ROUND_OPEN, V_HELLO, ROUND_OPEN, ROUND_REPLY_STUDY},
    {ROUND_OPEN, V_ACCEPT_FIRST, ROUND_OPEN,
     ROUND_KEEP_MEMBER | ROUND_KEEP_PART | ROUND_REPLY_OUTCOME | ROUND_REPLY_ACK},
    {ROUND_OPEN, V_ACCEPT_WAITED, ROUND_OPEN, ROUND_REPLY_OUTCOME | ROUND_REPLY_ROUND},
    {ROUND_OPEN, V_ACCEPT_PART, ROUND_OPEN, ROUND_REPLY_OUTCOME | ROUND_REPLY_ACK},
    {ROUND_OPEN, V_DECLINE_FIRST, ROUND_OPEN, ROUND_KEEP_MEMBER},
    {ROUND_OPEN, V_WITHDRAW, ROUND_OPEN, ROUND_KEEP_MEMBER},
    {ROUND_OPEN, V_DECLINE_AGAIN, ROUND_OPEN, ROUND_NOTHING},
    {ROUND_OPEN, V_UPDATE_FIRST, ROUND_OPEN, ROUND_KEEP_PART | ROUND_REPLY_ACK},
    {ROUND_OPEN, V_UPDATE_AGAIN, ROUND_OPEN, ROUND_KEEP_PART | ROUND_REPLY_ACK},
    {ROUND_OPEN, V_UPDATE_MOOT, ROUND_OPEN, ROUND_REPLY_ACK},
    {ROUND_OPEN, V_UPDATE_PAST, ROUND_OPEN, ROUND_REPLY_OUTCOME},
    {ROUND_OPEN, V_CANNOT_FIRST, ROUND_OPEN, ROUND_KEEP_PART | ROUND_REPLY_ACK},
    {ROUND_OPEN, V_CANNOT_AGAIN, ROUND_OPEN, ROUND_REPLY_ACK},
    {ROUND_OPEN, V_CANNOT_CONTRIBUTED, ROUND_OPEN, ROUND_REPLY_ACK},
    {ROUND_OPEN, V_CANNOT_PAST, ROUND_OPEN, ROUND_REPLY_OUTCOME},
    {ROUND_OPEN, V_TIMED_OUT, ROUND_MERGING, ROUND_MERGE},
    {ROUND_OPEN, V_ABORTED, ROUND_FAILED, ROUND_KEEP_FAILURE | ROUND_CAST_DONE},

    {ROUND_MERGING, V_HELLO, ROUND_MERGING, ROUND_REPLY_STUDY},
    {ROUND_MERGING, V_ACCEPT_FIRST, ROUND_MERGING, ROUND_KEEP_MEMBER | ROUND_REPLY_OUTCOME},
    {ROUND_MERGING, V_ACCEPT_WAITED, ROUND_MERGING, ROUND_REPLY_OUTCOME},
    {ROUND_MERGING, V_ACCEPT_PART, ROUND_MERGING, ROUND_REPLY_OUTCOME | ROUND_REPLY_ACK},
    {ROUND_MERGING, V_DECLINE_FIRST, ROUND_MERGING, ROUND_KEEP_MEMBER},
    {ROUND_MERGING, V_WITHDRAW, ROUND_MERGING, ROUND_KEEP_MEMBER},
    {ROUND_MERGING, V_DECLINE_AGAIN, ROUND_MERGING, ROUND_NOTHING},
    {ROUND_MERGING, V_UPDATE_FIRST, ROUND_MERGING, ROUND_NOTHING},
    {ROUND_MERGING, V_UPDATE_AGAIN, ROUND_MERGING, ROUND_REPLY_ACK},
    {ROUND_MERGING, V_UPDATE_MOOT, ROUND_MERGING, ROUND_REPLY_ACK},
    {ROUND_MERGING, V_UPDATE_PAST, ROUND_MERGING, ROUND_REPLY_OUTCOME},
    {ROUND_MERGING, V_CANNOT_FIRST, ROUND_MERGING, ROUND_NOTHING},
    {ROUND_MERGING, V_CANNOT_AGAIN, ROUND_MERGING, ROUND_REPLY_ACK},
    {ROUND_MERGING, V_CANNOT_CONTRIBUTED, ROUND_MERGING, ROUND_REPLY_ACK},
    {ROUND_MERGING, V_CANNOT_PAST, ROUND_MERGING, ROUND_REPLY_OUTCOME},
    {ROUND_MERGING, V_COMMITTED_NEXT, ROUND_OPEN, ROUND_CAST_OUTCOME | ROUND_CAST_ROUND},
    {ROUND_MERGING, V_COMMITTED_LAST, ROUND_DONE, ROUND_CAST_OUTCOME | ROUND_CAST_DONE},
    {ROUND_MERGING, V_NOT_COMMITTED, ROUND_FAILED, ROUND_KEEP_FAILURE | ROUND_CAST_DONE},

#define ENDED(state)                                                                  \
    {state, V_ABORTED, state, ROUND_NOTHING},                                         \
        {state, V_HELLO, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},              \
        {state, V_ACCEPT_FIRST, state, ROUND_REPLY_DONE},                             \
        {state, V_ACCEPT_WAITED, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},      \
        {state, V_ACCEPT_PART, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},        \
        {state, V_DECLINE_FIRST, state, ROUND_REPLY_DONE},                            \
        {state, V_WITHDRAW, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},           \
        {state, V_DECLINE_AGAIN, state, ROUND_REPLY_DONE},                            \
        {state, V_UPDATE_FIRST, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},       \
        {state, V_UPDATE_AGAIN, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},       \
        {state, V_UPDATE_MOOT, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},        \
        {state, V_UPDATE_PAST, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},        \
        {state, V_CANNOT_FIRST, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},       \
        {state, V_CANNOT_AGAIN, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME},       \
        {state, V_CANNOT_CONTRIBUTED, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME}, \
    {                                                                                 \
        state, V_CANNOT_PAST, state, ROUND_REPLY_DONE | ROUND_REPLY_OUTCOME           \
    }
    ENDED(ROUND_DONE),
    ENDED(ROUND_FAILED),
#undef ENDED
};

/* What is otherwise in a masked study. */
static const struct cell masked[] = {
    {ROUND_OPEN, V_TIMED_OUT, ROUND_OPEN, ROUND_KEEP_LOST | ROUND_CAST_ROUND},
    {ROUND_OPEN, V_LOST, ROUND_OPEN, ROUND_KEEP_LOST | ROUND_CAST_ROUND},
    {ROUND_OPEN, V_UNMASKED, ROUND_MERGING, ROUND_MERGE},
};

/* The one entry of a list for a cell. NULL: none. */
static const struct cell *listed(const struct cell *list, size_t n, int from, int v)
{
    const struct cell *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if ((int)list[i].from == from && (int)list[i].variant == v) {
            assert_null(found); /* the list names a cell once */
            found = &list[i];
        }
    }
    return found;
}

static void grid_machine(struct round_machine *m, enum round_state state, enum variant v, bool mask)
{
    round_init(m, SITES, QUORUM, ROUNDS, 100, 200, 0);
    if (mask) {
        round_mask(m, 1, 50);
        m->finished = state == ROUND_JOINING ? 0 : v == V_COMMITTED_LAST ? ROUNDS - 1 : 2;
    }
    m->state = state;
    m->round = state == ROUND_JOINING ? 0 : v == V_COMMITTED_LAST ? ROUNDS : 3;
    m->deadline_ms = DEADLINE;
    for (size_t i = 1; i <= 4; i++) {
        m->member[i] = ROUND_ACCEPTED;
    }
    m->part[1] = m->part[2] = ROUND_CONTRIBUTED;
    m->part[4] = ROUND_SAT_OUT;
    m->member[5] = ROUND_MEMBER_DECLINED;
    m->member[0] = variant[v].member;
    m->part[0] = variant[v].part;
    if (state == ROUND_JOINING) {
        memset(m->part, 0, sizeof m->part);
    }
}

static void walk_the_grid(bool mask)
{
    static struct round_machine m, before;
    for (int from = 0; from < ROUND_STATES; from++) {
        for (int v = 0; v < VARIANTS; v++) {
            grid_machine(&m, (enum round_state)from, (enum variant)v, mask);
            memcpy(&before, &m, sizeof m);
            const struct round_input in = {.event = variant[v].event,
                                           .now_ms = NOW,
                                           .site = variant[v].site,
                                           .round = variant[v].round};
            const unsigned actions = round_step(&m, &in);

            const struct cell *cell =
                mask ? listed(masked, sizeof masked / sizeof masked[0], from, v) : NULL;
            if (cell == NULL) {
                cell = listed(allowed, sizeof allowed / sizeof allowed[0], from, v);
            }
            const bool right = cell != NULL ? m.state == cell->to && actions == cell->actions
                                            : actions == ROUND_PROTOCOL_ERROR &&
                                                  memcmp(&m, &before, sizeof m) == 0;
            if (!right) {
                fail_msg("%s + %s (variant %d, masked %d) -> %s, actions %#x",
                         round_state_name((enum round_state)from),
                         round_event_name(variant[v].event), v, mask, round_state_name(m.state),
                         actions);
            }
            assert_true(m.round >= before.round);
        }
    }
}

static void every_cell_moves_as_written_or_refuses_untouched(void **state)
{
    (void)state;
    walk_the_grid(false);
}

static void every_cell_of_a_masked_study_moves_as_written_or_refuses_untouched(void **state)
{
    (void)state;
    walk_the_grid(true);
}

static void a_stale_timer_is_ignored_in_every_state(void **state)
{
    (void)state;
    static struct round_machine m, before;
    for (int from = 0; from < ROUND_STATES; from++) {
        grid_machine(&m, (enum round_state)from, V_TIMED_OUT, false);
        memcpy(&before, &m, sizeof m);
        const struct round_input in = {.event = ROUND_TIMED_OUT, .now_ms = DEADLINE - 1};
        assert_int_equal(round_step(&m, &in), ROUND_NOTHING);
        assert_memory_equal(&m, &before, sizeof m);
    }
}

/* ---- paragraphs of the protocol as stories --------------------------------------------------- */

static struct round_machine m; /* the one of the present story */

static unsigned tell(enum round_event event, size_t site, uint64_t round)
{
    const struct round_input in = {.event = event, .now_ms = 50, .site = site, .round = round};
    return round_step(&m, &in);
}

static unsigned ring(void)
{
    const struct round_input in = {.event = ROUND_TIMED_OUT, .now_ms = m.deadline_ms};
    return round_step(&m, &in);
}

/* A study of 3 rounds in which everybody accepted: round 1 is open. */
static void open_study(size_t n_sites, size_t quorum)
{
    round_init(&m, n_sites, quorum, 3, 1000, 2000, 0);
    for (size_t i = 0; i < n_sites; i++) {
        const unsigned actions = tell(ROUND_GOT_ACCEPT, i, 0);
        assert_int_equal(actions, i + 1 < n_sites ? ROUND_KEEP_MEMBER
                                                  : ROUND_KEEP_MEMBER | ROUND_CAST_ROUND);
    }
    assert_int_equal(m.state, ROUND_OPEN);
    assert_int_equal(m.round, 1);
}

static void a_study_of_three_rounds_runs_to_its_end(void **state)
{
    (void)state;
    open_study(2, 2);
    for (uint64_t round = 1; round <= 3; round++) {
        assert_int_equal(m.deadline_ms, 2050);
        assert_int_equal(tell(ROUND_GOT_UPDATE, 1, round), ROUND_KEEP_PART | ROUND_REPLY_ACK);
        assert_int_equal(tell(ROUND_GOT_UPDATE, 0, round),
                         ROUND_KEEP_PART | ROUND_REPLY_ACK | ROUND_MERGE);
        assert_int_equal(m.deadline_ms, ROUND_NEVER);
        assert_int_equal(round_contributors(&m), 2);
        assert_int_equal(round_finished(&m), round - 1);
        assert_int_equal(tell(ROUND_COMMITTED, 0, 0),
                         ROUND_CAST_OUTCOME | (round < 3 ? ROUND_CAST_ROUND : ROUND_CAST_DONE));
        assert_int_equal(round_finished(&m), round);
    }
    assert_int_equal(m.state, ROUND_DONE);
    assert_int_equal(m.round, 3);
    assert_int_equal(m.deadline_ms, ROUND_NEVER);
}

static void joining_waits_for_everybody_or_the_deadline(void **state)
{
    (void)state;
    round_init(&m, 4, 2, 3, 1000, 2000, 5);
    assert_int_equal(m.deadline_ms, 1005);
    tell(ROUND_GOT_ACCEPT, 0, 0);
    tell(ROUND_GOT_ACCEPT, 2, 0);
    tell(ROUND_GOT_DECLINE, 1, 0);
    assert_int_equal(m.state, ROUND_JOINING);
    assert_int_equal(ring(), ROUND_CAST_ROUND);
    assert_int_equal(m.state, ROUND_OPEN);
    assert_int_equal(m.deadline_ms, 3005);
}

static void a_decline_can_be_the_last_answer(void **state)
{
    (void)state;
    round_init(&m, 3, 2, 3, 1000, 2000, 0);
    tell(ROUND_GOT_ACCEPT, 0, 0);
    tell(ROUND_GOT_ACCEPT, 1, 0);
    assert_int_equal(tell(ROUND_GOT_DECLINE, 2, 0), ROUND_KEEP_MEMBER | ROUND_CAST_ROUND);
}

static void joining_below_quorum_at_the_deadline_fails(void **state)
{
    (void)state;
    round_init(&m, 4, 2, 3, 1000, 2000, 0);
    tell(ROUND_GOT_ACCEPT, 0, 0);
    assert_int_equal(ring(), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_FAILED);
    assert_int_equal(round_finished(&m), 0);
    assert_int_equal(tell(ROUND_GOT_ACCEPT, 1, 0), ROUND_REPLY_DONE);
}

static void acceptances_that_can_no_longer_reach_quorum_fail_at_once(void **state)
{
    (void)state;
    round_init(&m, 4, 3, 3, 1000, 2000, 0);
    assert_int_equal(tell(ROUND_GOT_DECLINE, 0, 0), ROUND_KEEP_MEMBER);
    assert_int_equal(tell(ROUND_GOT_DECLINE, 1, 0),
                     ROUND_KEEP_MEMBER | ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_FAILED);
}

static void nobody_is_waited_for_beyond_the_deadline_of_a_round(void **state)
{
    (void)state;
    open_study(3, 2);
    tell(ROUND_GOT_UPDATE, 0, 1);
    tell(ROUND_GOT_UPDATE, 2, 1);
    assert_int_equal(ring(), ROUND_MERGE);
    assert_int_equal(round_contributors(&m), 2);
    assert_int_equal(m.part[1], ROUND_WAITED_FOR); /* late: the outcome will say so */
    /* Its update comes while merging: not kept, and in the next round it is in the past. */
    assert_int_equal(tell(ROUND_GOT_UPDATE, 1, 1), ROUND_NOTHING);
    tell(ROUND_COMMITTED, 0, 0);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 1, 1), ROUND_REPLY_OUTCOME);
    assert_int_equal(m.part[1], ROUND_WAITED_FOR);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 1, 2), ROUND_KEEP_PART | ROUND_REPLY_ACK);
}

static void a_round_below_quorum_at_its_deadline_is_a_failed_study(void **state)
{
    (void)state;
    open_study(3, 2);
    tell(ROUND_GOT_UPDATE, 0, 1);
    assert_int_equal(ring(), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_FAILED);
    assert_int_equal(m.round, 1);
}

static void a_round_that_can_no_longer_reach_quorum_fails_before_more_is_spent(void **state)
{
    (void)state;
    open_study(3, 2);
    assert_int_equal(tell(ROUND_GOT_CANNOT, 0, 1), ROUND_KEEP_PART | ROUND_REPLY_ACK);
    assert_int_equal(tell(ROUND_GOT_CANNOT, 1, 1),
                     ROUND_KEEP_PART | ROUND_REPLY_ACK | ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
}

static void
a_site_that_sits_out_does_not_hold_up_the_round_and_is_asked_again_next_time(void **state)
{
    (void)state;
    open_study(3, 2);
    tell(ROUND_GOT_CANNOT, 0, 1);
    tell(ROUND_GOT_UPDATE, 1, 1);
    assert_true(tell(ROUND_GOT_UPDATE, 2, 1) & ROUND_MERGE);
    assert_int_equal(round_contributors(&m), 2);
    tell(ROUND_COMMITTED, 0, 0);
    assert_int_equal(m.part[0], ROUND_WAITED_FOR);
}

static void the_first_answer_to_a_round_stands(void **state)
{
    (void)state;
    open_study(3, 1);
    tell(ROUND_GOT_CANNOT, 0, 1);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 0, 1), ROUND_REPLY_ACK);
    assert_int_equal(m.part[0], ROUND_SAT_OUT);
    tell(ROUND_GOT_UPDATE, 1, 1);
    assert_int_equal(tell(ROUND_GOT_CANNOT, 1, 1), ROUND_REPLY_ACK);
    assert_int_equal(m.part[1], ROUND_CONTRIBUTED);
}

static void a_failed_commit_fails_the_study(void **state)
{
    (void)state;
    open_study(1, 1);
    tell(ROUND_GOT_UPDATE, 0, 1);
    assert_int_equal(tell(ROUND_NOT_COMMITTED, 0, 0), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_FAILED);
}

static void a_commit_outside_merging_is_refused(void **state)
{
    (void)state;
    open_study(2, 1);
    assert_int_equal(tell(ROUND_COMMITTED, 0, 0), ROUND_PROTOCOL_ERROR);
    assert_int_equal(m.round, 1);
}

static void a_restarted_site_gets_back_in_by_hello_and_accept(void **state)
{
    (void)state;
    open_study(3, 2);
    assert_int_equal(tell(ROUND_GOT_HELLO, 0, 0), ROUND_REPLY_STUDY);
    assert_int_equal(tell(ROUND_GOT_ACCEPT, 0, 0), ROUND_REPLY_ROUND);
    tell(ROUND_GOT_UPDATE, 0, 1);
    assert_int_equal(tell(ROUND_GOT_HELLO, 0, 0), ROUND_REPLY_STUDY);
    assert_int_equal(tell(ROUND_GOT_ACCEPT, 0, 0), ROUND_REPLY_ACK);
    tell(ROUND_GOT_UPDATE, 1, 1);
    tell(ROUND_GOT_UPDATE, 2, 1);
    tell(ROUND_COMMITTED, 0, 0);
    assert_int_equal(tell(ROUND_GOT_ACCEPT, 0, 0), ROUND_REPLY_OUTCOME | ROUND_REPLY_ROUND);
}

static void a_late_acceptance_takes_part_from_the_next_round(void **state)
{
    (void)state;
    round_init(&m, 3, 2, 3, 1000, 2000, 0);
    tell(ROUND_GOT_ACCEPT, 0, 0);
    tell(ROUND_GOT_ACCEPT, 1, 0);
    ring();
    assert_int_equal(tell(ROUND_GOT_ACCEPT, 2, 0),
                     ROUND_KEEP_MEMBER | ROUND_KEEP_PART | ROUND_REPLY_ACK);
    assert_int_equal(tell(ROUND_GOT_ACCEPT, 2, 0), ROUND_REPLY_ACK);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 2, 1), ROUND_REPLY_ACK);
    tell(ROUND_GOT_UPDATE, 0, 1);
    assert_true(tell(ROUND_GOT_UPDATE, 1, 1) & ROUND_MERGE);
    assert_int_equal(round_contributors(&m), 2);
    tell(ROUND_COMMITTED, 0, 0);
    tell(ROUND_GOT_UPDATE, 0, 2);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 1, 2), ROUND_KEEP_PART | ROUND_REPLY_ACK);
    assert_true(tell(ROUND_GOT_UPDATE, 2, 2) & ROUND_MERGE);
}

static void a_late_refusal_is_recorded_and_changes_nothing_else(void **state)
{
    (void)state;
    round_init(&m, 3, 2, 3, 1000, 2000, 0);
    tell(ROUND_GOT_ACCEPT, 0, 0);
    tell(ROUND_GOT_ACCEPT, 1, 0);
    ring();
    assert_int_equal(tell(ROUND_GOT_DECLINE, 2, 0), ROUND_KEEP_MEMBER);
    assert_int_equal(m.state, ROUND_OPEN);
    assert_int_equal(tell(ROUND_GOT_DECLINE, 2, 0), ROUND_NOTHING);
}

static void a_site_may_withdraw_and_an_old_acceptance_does_not_bring_it_back(void **state)
{
    (void)state;
    open_study(3, 2);
    tell(ROUND_GOT_UPDATE, 0, 1);
    tell(ROUND_GOT_UPDATE, 1, 1);
    assert_int_equal(tell(ROUND_GOT_DECLINE, 2, 0), ROUND_KEEP_MEMBER | ROUND_MERGE);
    assert_int_equal(tell(ROUND_GOT_ACCEPT, 2, 0), ROUND_PROTOCOL_ERROR);
    assert_int_equal(m.member[2], ROUND_MEMBER_DECLINED);
}

static void what_a_withdrawn_site_had_contributed_stays(void **state)
{
    (void)state;
    open_study(3, 2);
    tell(ROUND_GOT_UPDATE, 2, 1);
    assert_int_equal(tell(ROUND_GOT_DECLINE, 2, 0), ROUND_KEEP_MEMBER);
    tell(ROUND_GOT_UPDATE, 0, 1);
    assert_true(tell(ROUND_GOT_UPDATE, 1, 1) & ROUND_MERGE);
    assert_int_equal(round_contributors(&m), 3);
}

static void withdrawals_below_quorum_fail_the_next_round_at_its_opening(void **state)
{
    (void)state;
    open_study(2, 2);
    tell(ROUND_GOT_UPDATE, 0, 1);
    tell(ROUND_GOT_UPDATE, 1, 1);
    assert_int_equal(tell(ROUND_GOT_DECLINE, 1, 0), ROUND_KEEP_MEMBER); /* while merging */
    assert_int_equal(tell(ROUND_COMMITTED, 0, 0),
                     ROUND_CAST_OUTCOME | ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_FAILED);
    assert_int_equal(m.round, 2);
    assert_int_equal(round_finished(&m), 1);
}

static void who_is_not_on_the_roster_is_refused_whatever_it_says(void **state)
{
    (void)state;
    open_study(3, 2);
    for (int event = ROUND_GOT_HELLO; event <= ROUND_GOT_CANNOT; event++) {
        assert_int_equal(tell((enum round_event)event, 3, 1), ROUND_PROTOCOL_ERROR);
        assert_int_equal(tell((enum round_event)event, SIZE_MAX, 1), ROUND_PROTOCOL_ERROR);
    }
}

static void an_aborted_study_fails_at_once_and_for_good(void **state)
{
    (void)state;
    round_init(&m, 3, 2, 3, 1000, 2000, 0);
    tell(ROUND_GOT_ACCEPT, 0, 0);
    assert_int_equal(tell(ROUND_ABORTED, 0, 0), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.round, 0);

    open_study(3, 2);
    tell(ROUND_GOT_UPDATE, 0, 1);
    assert_int_equal(tell(ROUND_ABORTED, 0, 0), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_FAILED);
    assert_int_equal(m.deadline_ms, ROUND_NEVER);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 1, 1), ROUND_REPLY_DONE);
    assert_int_equal(tell(ROUND_ABORTED, 0, 0), ROUND_NOTHING);
}

static void an_abort_while_merging_waits_for_the_commit(void **state)
{
    (void)state;
    open_study(2, 2);
    for (uint64_t round = 1; round <= 3; round++) {
        tell(ROUND_GOT_UPDATE, 0, round);
        tell(ROUND_GOT_UPDATE, 1, round);
        assert_int_equal(tell(ROUND_ABORTED, 0, 0), ROUND_PROTOCOL_ERROR);
        tell(ROUND_COMMITTED, 0, 0);
        if (round == 2) { /* the model of round 2 exists, and no other comes */
            struct round_machine open = m;
            assert_int_equal(tell(ROUND_ABORTED, 0, 0), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
            assert_int_equal(round_finished(&m), 2);
            m = open;
        }
    }
    assert_int_equal(tell(ROUND_ABORTED, 0, 0), ROUND_NOTHING); /* it came too late: done */
    assert_int_equal(m.state, ROUND_DONE);
}

/* ---- rounds of some sites ---------------------------------------------------------------------- */

/* Nine sites, three a round, quorum 2. */
static void open_sampled(void)
{
    round_init(&m, 9, 2, 3, 1000, 2000, 0);
    round_sample(&m, 3, 77);
    for (size_t i = 0; i < 9; i++) {
        tell(ROUND_GOT_ACCEPT, i, 0);
    }
    assert_int_equal(m.state, ROUND_OPEN);
}

/* The site that is number `k` of those whose part in the present round is this. */
static size_t with_part(enum round_part part, size_t k)
{
    size_t i = 0;
    while (i < m.n_sites && (m.part[i] != part || k-- > 0)) {
        i++;
    }
    return i;
}

static void a_round_of_some_sites_waits_for_those_who_are_drawn_alone(void **state)
{
    (void)state;
    bool drawn[3][9];
    open_sampled();
    for (uint64_t round = 1; round <= 3; round++) {
        size_t n = 0;
        for (size_t i = 0; i < 9; i++) {
            drawn[round - 1][i] = m.part[i] == ROUND_WAITED_FOR;
            n += drawn[round - 1][i];
        }
        assert_int_equal(n, 3);
        const size_t rests = with_part(ROUND_NOT_DRAWN, 0);
        assert_int_equal(tell(ROUND_GOT_UPDATE, rests, round), ROUND_PROTOCOL_ERROR);
        assert_int_equal(tell(ROUND_GOT_CANNOT, rests, round), ROUND_REPLY_ACK);
        assert_true((tell(ROUND_GOT_ACCEPT, rests, 0) & ROUND_REPLY_ROUND) == 0);
        tell(ROUND_GOT_UPDATE, with_part(ROUND_WAITED_FOR, 0), round);
        tell(ROUND_GOT_UPDATE, with_part(ROUND_WAITED_FOR, 0), round);
        assert_int_equal(tell(ROUND_GOT_UPDATE, with_part(ROUND_WAITED_FOR, 0), round),
                         ROUND_KEEP_PART | ROUND_REPLY_ACK | ROUND_MERGE);
        assert_int_equal(round_contributors(&m), 3);
        tell(ROUND_COMMITTED, 0, 0);
    }
    assert_int_equal(m.state, ROUND_DONE);
    assert_memory_not_equal(drawn[0], drawn[1], sizeof drawn[0]);
    assert_memory_not_equal(drawn[1], drawn[2], sizeof drawn[0]);
}

/* Who is drawn is public, and anybody may compute it: docs/PROTOCOL.md says how. */
static void the_draw_is_that_of_the_seed_and_the_round(void **state)
{
    (void)state;
    bool drawn[9];
    struct rng r;
    open_sampled();
    rng_init(&r, 77, "sites of round 1");
    rng_choose(&r, 9, 3, drawn);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(m.part[i], drawn[i] ? ROUND_WAITED_FOR : ROUND_NOT_DRAWN);
    }
}

static void a_restart_draws_the_same_sites(void **state)
{
    (void)state;
    open_sampled();
    const size_t done = with_part(ROUND_WAITED_FOR, 1);
    tell(ROUND_GOT_UPDATE, done, 1);
    const struct round_machine before = m;
    round_init(&m, 9, 2, 3, 1000, 2000, 0);
    round_sample(&m, 3, 77);
    m.state = ROUND_OPEN;
    m.round = 1;
    memcpy(m.member, before.member, sizeof m.member);
    m.part[done] = ROUND_CONTRIBUTED;
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_ROUND);
    assert_memory_equal(m.part, before.part, sizeof m.part);
}

/* The quorum leaves room for those who were drawn and do not come. */
static void nobody_is_drawn_in_the_place_of_a_site_that_is_missing(void **state)
{
    (void)state;
    open_sampled();
    assert_int_equal(tell(ROUND_GOT_DECLINE, with_part(ROUND_WAITED_FOR, 0), 0), ROUND_KEEP_MEMBER);
    size_t waited = 0;
    for (size_t i = 0; i < 9; i++) {
        waited += m.part[i] == ROUND_WAITED_FOR && m.member[i] == ROUND_ACCEPTED;
    }
    assert_int_equal(waited, 2);
    const size_t rests = with_part(ROUND_NOT_DRAWN, 0);
    m.member[rests] = ROUND_UNKNOWN; /* who joins late and was not drawn sits nothing out */
    assert_int_equal(tell(ROUND_GOT_ACCEPT, rests, 0), ROUND_KEEP_MEMBER | ROUND_REPLY_ACK);
    assert_int_equal(m.part[rests], ROUND_NOT_DRAWN);
}

/* ---- restart --------------------------------------------------------------------------------- */

/* As the registry would fill it. */
static void rebuilt(enum round_state at, uint64_t round, const enum round_member member[3],
                    const enum round_part part[3])
{
    round_init(&m, 3, 2, 3, 1000, 2000, 0);
    m.state = at;
    m.round = round;
    memcpy(m.member, member, 3 * sizeof *member);
    memcpy(m.part, part, 3 * sizeof *part);
}

static const enum round_member all_in[3] = {ROUND_ACCEPTED, ROUND_ACCEPTED, ROUND_ACCEPTED};
static const enum round_part none[3] = {ROUND_WAITED_FOR, ROUND_WAITED_FOR, ROUND_WAITED_FOR};

static void restored_while_joining_it_waits_on_with_a_fresh_deadline(void **state)
{
    (void)state;
    static const enum round_member some[3] = {ROUND_ACCEPTED, ROUND_UNKNOWN, ROUND_ACCEPTED};
    rebuilt(ROUND_JOINING, 0, some, none);
    assert_int_equal(round_restore(&m, 7000), ROUND_NOTHING);
    assert_int_equal(m.state, ROUND_JOINING);
    assert_int_equal(m.deadline_ms, 8000);
}

static void restored_with_all_answers_it_opens_round_one(void **state)
{
    (void)state;
    rebuilt(ROUND_JOINING, 0, all_in, none);
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_ROUND);
    assert_int_equal(m.state, ROUND_OPEN);
    assert_int_equal(m.round, 1);
    assert_int_equal(m.deadline_ms, 9000);
}

static void restored_below_reach_of_quorum_it_fails(void **state)
{
    (void)state;
    static const enum round_member few[3] = {ROUND_MEMBER_DECLINED, ROUND_UNKNOWN,
                                             ROUND_MEMBER_DECLINED};
    rebuilt(ROUND_JOINING, 0, few, none);
    assert_int_equal(round_restore(&m, 7000), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
}

static void restored_in_an_open_round_it_announces_it_again(void **state)
{
    (void)state;
    static const enum round_part one[3] = {ROUND_CONTRIBUTED, ROUND_WAITED_FOR, ROUND_WAITED_FOR};
    rebuilt(ROUND_OPEN, 1, all_in, one);
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_ROUND);
    assert_int_equal(m.deadline_ms, 9000);
    rebuilt(ROUND_OPEN, 2, all_in, one);
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_OUTCOME | ROUND_CAST_ROUND);
    assert_int_equal(m.round, 2);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 0, 2), ROUND_KEEP_PART | ROUND_REPLY_ACK);
}

static void restored_with_all_parts_it_merges_again(void **state)
{
    (void)state;
    static const enum round_part all[3] = {ROUND_CONTRIBUTED, ROUND_CONTRIBUTED, ROUND_SAT_OUT};
    rebuilt(ROUND_OPEN, 1, all_in, all);
    assert_int_equal(round_restore(&m, 7000), ROUND_MERGE);
    assert_int_equal(m.state, ROUND_MERGING);
    assert_int_equal(m.deadline_ms, ROUND_NEVER);
    rebuilt(ROUND_MERGING, 1, all_in, all);
    assert_int_equal(round_restore(&m, 7000), ROUND_MERGE);
}

static void restored_with_all_parts_below_quorum_it_fails(void **state)
{
    (void)state;
    static const enum round_part out[3] = {ROUND_CONTRIBUTED, ROUND_SAT_OUT, ROUND_SAT_OUT};
    rebuilt(ROUND_OPEN, 1, all_in, out);
    assert_int_equal(round_restore(&m, 7000), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
}

static void restored_after_the_last_round_it_is_done(void **state)
{
    (void)state;
    rebuilt(ROUND_OPEN, 4, all_in, none); /* the first round without an outcome */
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_OUTCOME | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_DONE);
    assert_int_equal(m.round, 3);
    rebuilt(ROUND_DONE, 3, all_in, none);
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_OUTCOME | ROUND_CAST_DONE);
    assert_int_equal(m.deadline_ms, ROUND_NEVER);
}

static void restored_after_a_failure_it_says_so_again(void **state)
{
    (void)state;
    rebuilt(ROUND_FAILED, 0, all_in, none);
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_DONE);
    rebuilt(ROUND_FAILED, 2, all_in, none);
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_OUTCOME | ROUND_CAST_DONE);
    assert_int_equal(round_finished(&m), 1);
    assert_int_equal(m.deadline_ms, ROUND_NEVER);
}

/* ---- masked studies -------------------------------------------------------------------------- */

/* 2 rounds, 2 may be lost; everybody accepted, round 1 is open. */
static void open_masked(size_t n_sites, size_t quorum)
{
    round_init(&m, n_sites, quorum, 2, 1000, 2000, 0);
    round_mask(&m, 2, 300);
    for (size_t i = 0; i < n_sites; i++) {
        tell(ROUND_GOT_ACCEPT, i, 0);
    }
    assert_int_equal(m.state, ROUND_OPEN);
    assert_int_equal(m.round, 1);
}

static void a_masked_round_merges_when_its_sum_can_be_opened_and_not_before(void **state)
{
    (void)state;
    open_masked(3, 3);
    assert_int_equal(m.deadline_ms, 2350);
    assert_int_equal(round_left_ms(&m, 50), 2000); /* what the sites are told */
    assert_int_equal(round_left_ms(&m, 2060), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tell(ROUND_UNMASKED, 0, 0), ROUND_PROTOCOL_ERROR); /* below quorum */
        assert_int_equal(tell(ROUND_GOT_UPDATE, i, 1), ROUND_KEEP_PART | ROUND_REPLY_ACK);
    }
    assert_int_equal(m.state, ROUND_OPEN);
    assert_int_equal(tell(ROUND_UNMASKED, 0, 0), ROUND_MERGE);
    assert_int_equal(tell(ROUND_LOST, 0, 0), ROUND_PROTOCOL_ERROR);
    assert_int_equal(tell(ROUND_COMMITTED, 0, 0), ROUND_CAST_OUTCOME | ROUND_CAST_ROUND);
    assert_int_equal(round_finished(&m), 1);
}

static void a_lost_round_takes_the_next_number_and_everybody_is_asked_again(void **state)
{
    (void)state;
    open_masked(3, 2);
    tell(ROUND_GOT_UPDATE, 0, 1);
    tell(ROUND_GOT_CANNOT, 1, 1);
    assert_int_equal(tell(ROUND_LOST, 0, 0), ROUND_KEEP_LOST | ROUND_CAST_ROUND);
    assert_int_equal(m.round, 2);
    assert_int_equal(round_finished(&m), 0);
    assert_int_equal(round_contributors(&m), 0);
    /* what is late for the lost round brings its sender to the present one, and nothing of it counts */
    assert_int_equal(tell(ROUND_GOT_UPDATE, 0, 1), ROUND_REPLY_ROUND);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 0, 2), ROUND_KEEP_PART | ROUND_REPLY_ACK);
    assert_int_equal(tell(ROUND_GOT_UPDATE, 0, 1), ROUND_NOTHING);
    tell(ROUND_GOT_UPDATE, 1, 2);
    tell(ROUND_UNMASKED, 0, 0);
    assert_int_equal(tell(ROUND_COMMITTED, 0, 0), ROUND_CAST_OUTCOME | ROUND_CAST_ROUND);
    assert_int_equal(m.round, 3); /* one of two rounds is done, so this is not the last */
    tell(ROUND_LOST, 0, 0);
    assert_int_equal(round_finished(&m), 2);
    assert_int_equal(tell(ROUND_GOT_CANNOT, 2, 2), ROUND_REPLY_OUTCOME);
    assert_int_equal(tell(ROUND_GOT_CANNOT, 2, 3), ROUND_REPLY_OUTCOME | ROUND_REPLY_ROUND);
    tell(ROUND_GOT_UPDATE, 0, 4);
    tell(ROUND_GOT_UPDATE, 2, 4);
    tell(ROUND_UNMASKED, 0, 0);
    assert_int_equal(tell(ROUND_COMMITTED, 0, 0), ROUND_CAST_OUTCOME | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_DONE);
    assert_int_equal(round_finished(&m), 4);
    assert_int_equal(m.round, 4);
}

static void so_many_rounds_may_be_lost_and_no_more(void **state)
{
    (void)state;
    open_masked(3, 3);
    tell(ROUND_LOST, 0, 0);
    assert_int_equal(ring(), ROUND_KEEP_LOST | ROUND_CAST_ROUND); /* the last resort */
    assert_int_equal(m.round, 3);
    assert_int_equal(tell(ROUND_LOST, 0, 0), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_FAILED);
    assert_int_equal(m.round, 3);
}

static void a_lost_round_with_too_few_sites_left_is_a_failed_study(void **state)
{
    (void)state;
    open_masked(3, 3);
    for (size_t i = 0; i < 3; i++) {
        tell(ROUND_GOT_UPDATE, i, 1);
    }
    /* it withdraws after its update, which may still be opened; there is no next round for three */
    assert_int_equal(tell(ROUND_GOT_DECLINE, 1, 0), ROUND_KEEP_MEMBER);
    assert_int_equal(tell(ROUND_LOST, 0, 0), ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
    assert_int_equal(m.round, 1);

    open_masked(3, 3); /* before its update: at once */
    assert_int_equal(tell(ROUND_GOT_DECLINE, 1, 0),
                     ROUND_KEEP_MEMBER | ROUND_KEEP_FAILURE | ROUND_CAST_DONE);
}

static void a_study_that_is_not_masked_has_no_lost_rounds(void **state)
{
    (void)state;
    open_study(2, 2);
    assert_int_equal(tell(ROUND_LOST, 0, 0), ROUND_PROTOCOL_ERROR);
    assert_int_equal(tell(ROUND_UNMASKED, 0, 0), ROUND_PROTOCOL_ERROR);
    assert_int_equal(round_left_ms(&m, 50), 2000);
}

static void restored_after_lost_rounds_it_goes_on_with_the_number_after_them(void **state)
{
    (void)state;
    static const enum round_part one[3] = {ROUND_CONTRIBUTED, ROUND_WAITED_FOR, ROUND_WAITED_FOR};
    round_init(&m, 3, 2, 3, 1000, 2000, 0); /* round 1 was lost, 2 has an outcome */
    round_mask(&m, 1, 300);
    m.state = ROUND_OPEN;
    m.round = 3;
    m.lost = 1;
    m.finished = 2;
    memcpy(m.member, all_in, sizeof all_in);
    memcpy(m.part, one, sizeof one);
    const struct round_machine kept = m;
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_OUTCOME | ROUND_CAST_ROUND);
    assert_int_equal(m.deadline_ms, 9300);
    tell(ROUND_GOT_UPDATE, 1, 3);
    tell(ROUND_UNMASKED, 0, 0);
    assert_int_equal(tell(ROUND_COMMITTED, 0, 0), ROUND_CAST_OUTCOME | ROUND_CAST_ROUND);
    m = kept;
    m.round = 5; /* 1 was lost, 2, 3 and 4 have outcomes */
    m.finished = 4;
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_OUTCOME | ROUND_CAST_DONE);
    assert_int_equal(m.state, ROUND_DONE);
    assert_int_equal(m.round, 4);
    m = kept;
    m.round = 3; /* 1 was lost, 2 has an outcome, and 3 was the end of the study */
    m.state = ROUND_FAILED;
    assert_int_equal(round_restore(&m, 7000), ROUND_CAST_OUTCOME | ROUND_CAST_DONE);
    assert_int_equal(round_finished(&m), 2);
}

static void the_largest_roster_and_time_are_met_without_overflow(void **state)
{
    (void)state;
    round_init(&m, ROUND_SITES_MAX, ROUND_SITES_MAX, 1, 1000, 2000, INT64_MAX);
    assert_true(m.deadline_ms == INT64_MAX);
    for (size_t i = 0; i < ROUND_SITES_MAX; i++) {
        tell(ROUND_GOT_ACCEPT, i, 0);
    }
    assert_int_equal(m.state, ROUND_OPEN);
    for (size_t i = 0; i < ROUND_SITES_MAX; i++) {
        tell(ROUND_GOT_UPDATE, i, 1);
    }
    assert_int_equal(m.state, ROUND_MERGING);
    assert_int_equal(round_contributors(&m), ROUND_SITES_MAX);
}

static void every_state_and_event_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < ROUND_STATES; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(round_state_name((enum round_state)i),
                                    round_state_name((enum round_state)j));
        }
    }
    for (int i = 0; i < ROUND_EVENTS; i++) {
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(round_event_name((enum round_event)i),
                                    round_event_name((enum round_event)j));
        }
    }
    assert_string_equal(round_state_name(ROUND_MERGING), "merging");
    assert_string_equal(round_event_name(ROUND_GOT_CANNOT), "got_cannot");
    assert_string_equal(round_event_name(ROUND_TIMED_OUT), "timed_out");
    assert_string_equal(round_event_name(ROUND_ABORTED), "aborted");
    assert_string_equal(round_state_name(ROUND_STATES), "?");
    assert_string_equal(round_event_name(ROUND_EVENTS), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_moves_as_written_or_refuses_untouched),
        cmocka_unit_test(every_cell_of_a_masked_study_moves_as_written_or_refuses_untouched),
        cmocka_unit_test(a_stale_timer_is_ignored_in_every_state),
        cmocka_unit_test(a_study_of_three_rounds_runs_to_its_end),
        cmocka_unit_test(joining_waits_for_everybody_or_the_deadline),
        cmocka_unit_test(a_decline_can_be_the_last_answer),
        cmocka_unit_test(joining_below_quorum_at_the_deadline_fails),
        cmocka_unit_test(acceptances_that_can_no_longer_reach_quorum_fail_at_once),
        cmocka_unit_test(nobody_is_waited_for_beyond_the_deadline_of_a_round),
        cmocka_unit_test(a_round_below_quorum_at_its_deadline_is_a_failed_study),
        cmocka_unit_test(a_round_that_can_no_longer_reach_quorum_fails_before_more_is_spent),
        cmocka_unit_test(
            a_site_that_sits_out_does_not_hold_up_the_round_and_is_asked_again_next_time),
        cmocka_unit_test(the_first_answer_to_a_round_stands),
        cmocka_unit_test(a_failed_commit_fails_the_study),
        cmocka_unit_test(a_commit_outside_merging_is_refused),
        cmocka_unit_test(a_restarted_site_gets_back_in_by_hello_and_accept),
        cmocka_unit_test(a_late_acceptance_takes_part_from_the_next_round),
        cmocka_unit_test(a_late_refusal_is_recorded_and_changes_nothing_else),
        cmocka_unit_test(a_site_may_withdraw_and_an_old_acceptance_does_not_bring_it_back),
        cmocka_unit_test(what_a_withdrawn_site_had_contributed_stays),
        cmocka_unit_test(withdrawals_below_quorum_fail_the_next_round_at_its_opening),
        cmocka_unit_test(who_is_not_on_the_roster_is_refused_whatever_it_says),
        cmocka_unit_test(an_aborted_study_fails_at_once_and_for_good),
        cmocka_unit_test(an_abort_while_merging_waits_for_the_commit),
        cmocka_unit_test(a_round_of_some_sites_waits_for_those_who_are_drawn_alone),
        cmocka_unit_test(the_draw_is_that_of_the_seed_and_the_round),
        cmocka_unit_test(a_restart_draws_the_same_sites),
        cmocka_unit_test(nobody_is_drawn_in_the_place_of_a_site_that_is_missing),
        cmocka_unit_test(restored_while_joining_it_waits_on_with_a_fresh_deadline),
        cmocka_unit_test(restored_with_all_answers_it_opens_round_one),
        cmocka_unit_test(restored_below_reach_of_quorum_it_fails),
        cmocka_unit_test(restored_in_an_open_round_it_announces_it_again),
        cmocka_unit_test(restored_with_all_parts_it_merges_again),
        cmocka_unit_test(restored_with_all_parts_below_quorum_it_fails),
        cmocka_unit_test(restored_after_the_last_round_it_is_done),
        cmocka_unit_test(restored_after_a_failure_it_says_so_again),
        cmocka_unit_test(a_masked_round_merges_when_its_sum_can_be_opened_and_not_before),
        cmocka_unit_test(a_lost_round_takes_the_next_number_and_everybody_is_asked_again),
        cmocka_unit_test(so_many_rounds_may_be_lost_and_no_more),
        cmocka_unit_test(a_lost_round_with_too_few_sites_left_is_a_failed_study),
        cmocka_unit_test(a_study_that_is_not_masked_has_no_lost_rounds),
        cmocka_unit_test(restored_after_lost_rounds_it_goes_on_with_the_number_after_them),
        cmocka_unit_test(the_largest_roster_and_time_are_met_without_overflow),
        cmocka_unit_test(every_state_and_event_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests_name("aggregator/round", tests, NULL, NULL);
}
