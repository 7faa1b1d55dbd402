/*
 * The coordinator's machine of one masked sum: every phase with every event, what closes a phase, and
 * what is refused. An honest round is played once; tests feed pieces of it to fresh machines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/unmasking/unmasking.h"
#include "tests/support/masked.h"

enum { N = 5, ROUND = 2, T = 3, MIN_SITES = 3, PHASE_MS = 10, UPDATE_MS = 100 };

/* What all sites say in an honest round with everybody. */
struct script {
    struct masked_sites s;
    struct mask_announcement a[N];
    struct mask_deal deal[N];
    struct mask_portion portion[N][N];
    struct mask_set everybody;
    struct mask_vote vote[N];
    struct mask_reveal reveal[N][N];
};
static struct script script;
static struct unmasking *c;

static struct unmasking_input of(enum unmasking_event event, size_t site)
{
    return (struct unmasking_input){.event = event,
                                    .site = site,
                                    .round = ROUND,
                                    .announcement = &script.a[site],
                                    .deal = &script.deal[site],
                                    .portion = script.portion[site],
                                    .survivors = &script.everybody,
                                    .list = &script.vote[site],
                                    .vote = &script.vote[site],
                                    .reveal = script.reveal[site],
                                    .n = N};
}

static unsigned say(enum unmasking_event event, size_t site)
{
    struct error err;
    const struct unmasking_input in = of(event, site);
    return unmasking_step(c, &in, &err);
}

static unsigned time_out(int64_t now_ms, struct error *err)
{
    const struct unmasking_input in = {.event = UNMASKING_TIMED_OUT, .now_ms = now_ms};
    return unmasking_step(c, &in, err);
}

static struct mask_set silent; /* not waited for in the rounds that are opened; mostly nobody */

static void open_round_of(size_t quorum)
{
    struct error err;
    const struct unmasking_setup setup = {.study = script.s.study,
                                          .roster = script.s.roster,
                                          .model = script.s.model,
                                          .round = ROUND,
                                          .terms = script.s.terms,
                                          .sign = script.s.sign,
                                          .invited = script.everybody,
                                          .silent = silent,
                                          .quorum = quorum,
                                          .phase_ms = PHASE_MS,
                                          .update_ms = UPDATE_MS};
    unmasking_close(&c);
    assert_int_equal(unmasking_open(&setup, &c, &err), RC_OK);
}

static void open_round(void)
{
    open_round_of(0);
}

/* A machine in `state`, which nobody has answered yet. */
static void bring_to(enum unmasking_state state)
{
    static const size_t answers[] = {N, N, N, T, T};
    open_round();
    for (size_t phase = 0; phase < (size_t)state && phase < UNMASKING_DONE; phase++) {
        for (size_t i = 0; i < answers[phase]; i++) {
            (void)say((enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase), i);
        }
    }
    assert_int_equal(unmasking_state(c), state);
}

static int play_once(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[N];
    struct masked_sites *s = &script.s;
    masked_init(s, (struct mask_terms){N, MIN_SITES, 0, 0, 0, 0}, 3);
    for (size_t i = 0; i < N; i++) {
        mask_set_add(&script.everybody, i);
        (void)masked_open(s, i, ROUND, &err);
        script.a[i] = masked_announcement(s, i);
    }
    for (size_t i = 0; i < N; i++) {
        (void)masked_members(s, i, ROUND, script.a, N, &err);
        script.deal[i] = masked_deal(s, i, script.portion[i]);
    }
    bring_to(UNMASKING_UPDATING);
    for (size_t i = 0; i < N; i++) {
        const size_t n = unmasking_parcels(c, i, p);
        (void)masked_parcels(s, i, ROUND, p, n, &err);
        if (masking_mask(s->site[i].m, ROUND, s->site[i].y, MASKED_WORDS, &err) != RC_OK) {
            return 1;
        }
        (void)masked_survivors(s, i, ROUND, &script.everybody, &err);
        script.vote[i] = masked_vote(s, i, &script.everybody);
    }
    for (size_t i = 0; i < N; i++) {
        (void)masked_votes(s, i, ROUND, script.vote, N, &err);
        if (masking_reveal(s->site[i].m, script.reveal[i]) != N) {
            return 1;
        }
    }
    return 0;
}

static int release(void **state)
{
    (void)state;
    unmasking_close(&c);
    masked_release(&script.s);
    return 0;
}

/* ---- every phase, every event ---------------------------------------------------------------- */

/* From site 0, which has not answered the present phase. */
enum { REFUSED = UNMASKING_PROTOCOL_ERROR };

/* clang-format off */
static const unsigned table[UNMASKING_STATES][UNMASKING_EVENTS] = {
    [UNMASKING_ANNOUNCING] = {0, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, 0, 0, 0},
    [UNMASKING_DEALING]    = {UNMASKING_REPLY_MEMBERS, 0, REFUSED, REFUSED, REFUSED, REFUSED, 0,
                              UNMASKING_REPLY_MEMBERS, 0},
    [UNMASKING_UPDATING]   = {UNMASKING_REPLY_PARCELS, UNMASKING_REPLY_PARCELS, 0, REFUSED, REFUSED, REFUSED, 0,
                              UNMASKING_REPLY_PARCELS, 0},
    [UNMASKING_VOTING]     = {UNMASKING_REPLY_SURVIVORS, UNMASKING_REPLY_SURVIVORS,
                              UNMASKING_REPLY_SURVIVORS, 0, REFUSED, UNMASKING_REPLY_SURVIVORS, 0,
                              UNMASKING_REPLY_SURVIVORS, 0},
    [UNMASKING_REVEALING]  = {UNMASKING_REPLY_VOTES, UNMASKING_REPLY_VOTES, UNMASKING_REPLY_VOTES,
                              UNMASKING_REPLY_VOTES, 0, UNMASKING_REPLY_VOTES, 0, UNMASKING_REPLY_VOTES, 0},
};
/* clang-format on */

static void every_event_in_every_phase_does_what_the_protocol_says(void **state)
{
    (void)state;
    for (size_t phase = 0; phase < UNMASKING_FAILED; phase++) {
        for (size_t event = 0; event < UNMASKING_EVENTS; event++) {
            bring_to((enum unmasking_state)phase);
            const unsigned actions = say((enum unmasking_event)event, 0);
            if (actions != table[phase][event]) {
                print_error("%s, event %zu: %#x, want %#x\n",
                            unmasking_state_name((enum unmasking_state)phase), event, actions,
                            table[phase][event]);
            }
            assert_int_equal(actions, table[phase][event]);
            assert_int_equal(unmasking_state(c), phase);
        }
    }
}

/* A site answers a repeated MEMBERS, SURVIVORS or VOTES again: if that were answered with the same message
 * once more, one repeated letter would go to and fro for ever. */
static void an_answer_that_is_there_already_is_not_answered(void **state)
{
    (void)state;
    for (size_t phase = 0; phase < UNMASKING_DONE; phase++) {
        bring_to((enum unmasking_state)phase);
        const enum unmasking_event event =
            (enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase);
        (void)say(event, 1);
        assert_int_equal(unmasking_state(c), phase);
        assert_int_equal(say(event, 1), UNMASKING_NOTHING);
    }
}

static void the_last_answer_closes_a_phase_and_its_set_is_kept_before_it_is_cast(void **state)
{
    (void)state;
    static const unsigned closes[] = {UNMASKING_KEEP | UNMASKING_CAST_MEMBERS,
                                      UNMASKING_KEEP | UNMASKING_CAST_PARCELS,
                                      UNMASKING_KEEP | UNMASKING_CAST_SURVIVORS};
    open_round();
    for (size_t phase = 0; phase < 3; phase++) {
        const enum unmasking_event event =
            (enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase);
        for (size_t i = 0; i + 1 < N; i++) {
            assert_int_equal(say(event, i), UNMASKING_NOTHING);
        }
        struct mask_set last = unmasking_waited_for(c);
        assert_int_equal(mask_set_count(&last), 1);
        assert_true(mask_set_has(&last, N - 1));
        assert_int_equal(say(event, N - 1), closes[phase]);
    }
    for (size_t i = 0; i < T; i++) { /* t are enough; nobody is waited for */
        assert_int_equal(say(UNMASKING_GOT_VOTE, i),
                         i + 1 < T ? UNMASKING_NOTHING : UNMASKING_CAST_VOTES);
    }
    for (size_t i = 0; i < T; i++) {
        assert_int_equal(say(UNMASKING_GOT_REVEAL, N - 1 - i),
                         i + 1 < T ? UNMASKING_NOTHING : UNMASKING_UNMASK);
    }
    assert_int_equal(unmasking_deadline(c), INT64_MAX);
    assert_int_equal(mask_set_count(unmasking_survivors(c)), N);
}

static void a_deadline_closes_a_phase_that_has_enough_and_fails_one_that_has_not(void **state)
{
    (void)state;
    for (size_t phase = 0; phase < UNMASKING_DONE; phase++) {
        const enum unmasking_event event =
            (enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase);
        for (size_t have = T - 1; have <= T; have++) {
            struct error err = {RC_OK, ""};
            bring_to((enum unmasking_state)phase);
            const int64_t deadline = unmasking_deadline(c);
            assert_int_equal(deadline, phase == UNMASKING_UPDATING ? UPDATE_MS : PHASE_MS);
            for (size_t i = 0; i < have; i++) {
                (void)say(event, i);
            }
            if (have == T && phase >= UNMASKING_VOTING) {
                assert_int_equal(unmasking_state(c), phase + 1); /* already */
                continue;
            }
            assert_int_equal(time_out(deadline - 1, &err), UNMASKING_NOTHING);
            const unsigned actions = time_out(deadline, &err);
            assert_int_equal(unmasking_state(c), have == T ? phase + 1 : UNMASKING_FAILED);
            assert_true((actions & UNMASKING_FAIL) == (have == T ? 0U : UNMASKING_FAIL));
            if (have < T) {
                assert_non_null(strstr(err.text, "2 of 5 sites"));
                assert_int_equal(time_out(INT64_MAX, &err), UNMASKING_NOTHING); /* it is over */
            }
        }
    }
}

static void sites_that_cannot_are_not_waited_for_and_too_many_fail_at_once(void **state)
{
    (void)state;
    for (size_t phase = 0; phase < UNMASKING_VOTING; phase++) {
        const enum unmasking_event event =
            (enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase);
        bring_to((enum unmasking_state)phase);
        assert_int_equal(say(UNMASKING_GOT_CANNOT, 4), UNMASKING_NOTHING);
        assert_int_equal(say(UNMASKING_GOT_CANNOT, 4), UNMASKING_NOTHING);
        assert_int_equal(say(UNMASKING_GOT_CANNOT, 3), UNMASKING_NOTHING);
        for (size_t i = 0; i < T; i++) {
            (void)say(event, i);
        }
        assert_int_equal(unmasking_state(c), phase + 1);
        bring_to((enum unmasking_state)phase);
        (void)say(UNMASKING_GOT_CANNOT, 4);
        (void)say(UNMASKING_GOT_CANNOT, 3);
        assert_int_equal(say(UNMASKING_GOT_CANNOT, 2), UNMASKING_FAIL);
        assert_int_equal(unmasking_state(c), UNMASKING_FAILED);
    }
}

/* The study wants four: three could open a sum, and it would be thrown away. */
/* It costs a round nothing, is in if it answers in time, and counts where it is needed. */
static void a_silent_site_is_waited_for_only_if_the_round_needs_it(void **state)
{
    (void)state;
    struct error err;
    mask_set_add(&silent, 1);
    open_round();
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(unmasking_state(c), UNMASKING_ANNOUNCING);
        if (i != 1) {
            (void)say(UNMASKING_GOT_ANNOUNCEMENT, i);
        }
    }
    assert_int_equal(unmasking_state(c), UNMASKING_DEALING);
    assert_int_equal(mask_set_count(unmasking_announced(c)), N - 1);
    assert_int_equal(say(UNMASKING_GOT_ANNOUNCEMENT, 1), UNMASKING_NOTHING); /* the next round's */

    open_round();
    (void)say(UNMASKING_GOT_ANNOUNCEMENT, 1);
    for (size_t i = 0; i < N; i++) {
        (void)say(UNMASKING_GOT_ANNOUNCEMENT, i);
    }
    assert_int_equal(unmasking_state(c), UNMASKING_DEALING);
    assert_true(mask_set_has(unmasking_announced(c), 1));
    for (size_t i = 0; i < N; i++) { /* in it, it is waited for like all others */
        assert_int_equal(unmasking_state(c), UNMASKING_DEALING);
        (void)say(UNMASKING_GOT_DEAL, i == N - 1 ? 1 : i == 1 ? N - 1 : i);
    }
    assert_int_equal(unmasking_state(c), UNMASKING_UPDATING);

    open_round_of(N); /* too small without it: a number used up at once would help nobody */
    for (size_t i = 0; i < N; i++) {
        if (i != 1) {
            assert_int_equal(say(UNMASKING_GOT_ANNOUNCEMENT, i), UNMASKING_NOTHING);
        }
    }
    assert_int_equal(unmasking_state(c), UNMASKING_ANNOUNCING);
    assert_int_equal(time_out(unmasking_deadline(c), &err), UNMASKING_FAIL);
    silent = (struct mask_set){{0}};
}

static void a_sum_below_the_quorum_is_not_opened(void **state)
{
    (void)state;
    struct error err;
    for (size_t phase = 0; phase < UNMASKING_VOTING; phase++) {
        open_round_of(4);
        for (size_t before = 0; before < phase; before++) {
            for (size_t i = 0; i < N; i++) {
                (void)say((enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + before), i);
            }
        }
        for (size_t i = 0; i < 3; i++) {
            (void)say((enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase), i);
        }
        assert_int_equal(time_out(phase == UNMASKING_UPDATING ? UPDATE_MS : PHASE_MS, &err),
                         UNMASKING_FAIL);
        assert_non_null(strstr(err.text, "4 are needed"));
    }
    open_round_of(4);
    for (size_t phase = 0; phase < UNMASKING_VOTING; phase++) {
        for (size_t i = 0; i < N; i++) {
            (void)say((enum unmasking_event)(UNMASKING_GOT_ANNOUNCEMENT + phase), i);
        }
    }
    for (size_t i = 0; i < T; i++) { /* who signs and shows are as many as ever */
        (void)say(UNMASKING_GOT_VOTE, i);
    }
    assert_int_equal(unmasking_state(c), UNMASKING_REVEALING);
}

static void a_site_that_missed_a_phase_is_told_nothing_of_the_next(void **state)
{
    (void)state;
    struct error err;
    bring_to(UNMASKING_DEALING);
    for (size_t i = 0; i < 4; i++) {
        (void)say(UNMASKING_GOT_DEAL, i);
    }
    (void)time_out(PHASE_MS, &err);
    assert_int_equal(unmasking_state(c), UNMASKING_UPDATING);
    assert_int_equal(say(UNMASKING_GOT_DEAL, 4), UNMASKING_NOTHING);
    assert_int_equal(say(UNMASKING_GOT_POLL, 4), UNMASKING_NOTHING);
    assert_int_equal(say(UNMASKING_GOT_UPDATE, 4), UNMASKING_PROTOCOL_ERROR);
    assert_int_equal(say(UNMASKING_GOT_POLL, 0), UNMASKING_REPLY_PARCELS);
    assert_false(mask_set_has(unmasking_dealers(c), 4));
}

/* ---- what is refused ------------------------------------------------------------------------- */

static unsigned bent(struct unmasking_input in)
{
    struct error err = {RC_OK, ""};
    const unsigned actions = unmasking_step(c, &in, &err);
    assert_true(!(actions & UNMASKING_PROTOCOL_ERROR) || err.text[0] != '\0');
    return actions;
}

static void answers_that_are_not_the_sites_own_are_refused(void **state)
{
    (void)state;
    bring_to(UNMASKING_ANNOUNCING);
    struct unmasking_input in = of(UNMASKING_GOT_ANNOUNCEMENT, 1);
    in.announcement = &script.a[0]; /* another's, as it was signed */
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    struct mask_announcement a = script.a[1];
    a.key.b[0] ^= 2;
    in.announcement = &a;
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    in = of(UNMASKING_GOT_ANNOUNCEMENT, N); /* not on the roster */
    in.announcement = &script.a[0];
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);

    bring_to(UNMASKING_DEALING);
    in = of(UNMASKING_GOT_DEAL, 1);
    in.deal = &script.deal[0];
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    in = of(UNMASKING_GOT_DEAL, 1);
    in.portion = script.portion[0]; /* not what the root is of */
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    in = of(UNMASKING_GOT_DEAL, 1);
    in.n = N - 1;
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    assert_int_equal(say(UNMASKING_GOT_DEAL, 1), UNMASKING_NOTHING);

    bring_to(UNMASKING_VOTING);
    struct mask_set fewer = {{0x0f}};
    in = of(UNMASKING_GOT_VOTE, 1);
    in.survivors = &fewer;
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    in = of(UNMASKING_GOT_VOTE, 1);
    in.vote = &script.vote[0];
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    assert_int_equal(say(UNMASKING_GOT_VOTE, 1), UNMASKING_NOTHING);
}

static void other_rounds_are_ignored_if_old_and_refused_if_new(void **state)
{
    (void)state;
    bring_to(UNMASKING_ANNOUNCING);
    struct unmasking_input in = of(UNMASKING_GOT_ANNOUNCEMENT, 1);
    in.round = ROUND - 1;
    assert_int_equal(bent(in), UNMASKING_NOTHING);
    in.round = ROUND + 1;
    assert_int_equal(bent(in), UNMASKING_PROTOCOL_ERROR);
    assert_int_equal(mask_set_count(unmasking_announced(c)), 0);
}

static void the_first_answer_stands(void **state)
{
    (void)state;
    struct mask_announcement out[N];
    bring_to(UNMASKING_ANNOUNCING);
    (void)say(UNMASKING_GOT_ANNOUNCEMENT, 1);
    struct mask_announcement second = script.a[1];
    mask_public(&(struct mask_scalar){{5}}, &second.key);
    struct unmasking_input in = of(UNMASKING_GOT_ANNOUNCEMENT, 1);
    in.announcement = &second;
    assert_int_equal(bent(in), UNMASKING_NOTHING);
    assert_int_equal(unmasking_members(c, out), 1);
    assert_memory_equal(out[0].key.b, script.a[1].key.b, 32);
}

static void a_restarted_coordinator_casts_its_phase_again(void **state)
{
    (void)state;
    static const unsigned casts[UNMASKING_STATES] = {0, UNMASKING_CAST_MEMBERS,
                                                     UNMASKING_CAST_PARCELS,
                                                     UNMASKING_CAST_SURVIVORS};
    for (size_t phase = 0; phase <= UNMASKING_VOTING; phase++) {
        bring_to((enum unmasking_state)phase);
        assert_int_equal(unmasking_resume(c, 5000), casts[phase]);
        assert_int_equal(unmasking_deadline(c),
                         5000 + (phase == UNMASKING_UPDATING ? UPDATE_MS : PHASE_MS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_phase_does_what_the_protocol_says),
        cmocka_unit_test(the_last_answer_closes_a_phase_and_its_set_is_kept_before_it_is_cast),
        cmocka_unit_test(a_deadline_closes_a_phase_that_has_enough_and_fails_one_that_has_not),
        cmocka_unit_test(sites_that_cannot_are_not_waited_for_and_too_many_fail_at_once),
        cmocka_unit_test(a_silent_site_is_waited_for_only_if_the_round_needs_it),
        cmocka_unit_test(a_sum_below_the_quorum_is_not_opened),
        cmocka_unit_test(a_site_that_missed_a_phase_is_told_nothing_of_the_next),
        cmocka_unit_test(answers_that_are_not_the_sites_own_are_refused),
        cmocka_unit_test(other_rounds_are_ignored_if_old_and_refused_if_new),
        cmocka_unit_test(the_first_answer_stands),
        cmocka_unit_test(an_answer_that_is_there_already_is_not_answered),
        cmocka_unit_test(a_restarted_coordinator_casts_its_phase_again),
    };
    return cmocka_run_group_tests(tests, play_once, release);
}
