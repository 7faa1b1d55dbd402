/*
 * Masked sums where each site draws the neighbours that hold its shares: what a lying coordinator could
 * gain from the graph, and what sites do about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/masking/masking_internal.h"
#include "aggregator/unmasking/unmasking.h"
#include "tests/support/masked.h"

enum { N = MASKED_MAX, ROUND = 1, K = 8, T = 6 };

/* With these nobody can be cut off, whoever the one colluding site is: neighbours_risk is zero. */
static const struct mask_terms terms = {N, 9, 1, 0, K, T};

static struct {
    struct masked_sites s;
    struct unmasking *c;
    struct mask_set holders[N];
} t;

static unsigned feed(size_t site, struct unmasking_input in)
{
    struct error err;
    in.site = site;
    in.round = ROUND;
    return unmasking_step(t.c, &in, &err);
}

/* Everybody has announced; the coordinator is open. */
static void sit_down_with(struct mask_terms given, uint64_t seed)
{
    struct error err;
    masked_init(&t.s, given, seed);
    struct unmasking_setup setup = {.study = t.s.study,
                                    .roster = t.s.roster,
                                    .model = t.s.model,
                                    .round = ROUND,
                                    .terms = given,
                                    .sign = t.s.sign,
                                    .phase_ms = 1000,
                                    .update_ms = 1000};
    for (size_t i = 0; i < N; i++) {
        mask_set_add(&setup.invited, i);
    }
    assert_int_equal(unmasking_open(&setup, &t.c, &err), RC_OK);
    for (size_t i = 0; i < N; i++) {
        assert_true(masked_open(&t.s, i, ROUND, &err) & MASKING_SAY_ANNOUNCEMENT);
        const struct mask_announcement a = masked_announcement(&t.s, i);
        t.holders[i] = t.s.site[i].m->r.holders;
        (void)feed(i, (struct unmasking_input){.event = UNMASKING_GOT_ANNOUNCEMENT,
                                               .announcement = &a});
    }
    assert_int_equal(unmasking_state(t.c), UNMASKING_DEALING);
}

static void sit_down(uint64_t seed)
{
    sit_down_with(terms, seed);
}

static void get_up(void)
{
    unmasking_close(&t.c);
    masked_release(&t.s);
}

static unsigned members(size_t site, struct error *err)
{
    struct mask_announcement a[N];
    const size_t n = unmasking_members(t.c, a);
    return masked_members(&t.s, site, ROUND, a, n, err);
}

static unsigned deal_of(size_t site, const struct mask_deal *d, const struct mask_portion *portion)
{
    return feed(site, (struct unmasking_input){.event = UNMASKING_GOT_DEAL,
                                               .deal = d,
                                               .portion = portion,
                                               .n = mask_slots(&t.s.terms)});
}

static void all_deal(void)
{
    struct error err;
    for (size_t i = 0; i < N; i++) {
        struct mask_portion portion[N];
        assert_int_equal(members(i, &err), MASKING_SAY_DEAL);
        const struct mask_deal d = masked_deal(&t.s, i, portion);
        assert_false(deal_of(i, &d, portion) & UNMASKING_PROTOCOL_ERROR);
    }
    assert_int_equal(unmasking_state(t.c), UNMASKING_UPDATING);
}

static void all_mask(void)
{
    struct error err;
    for (size_t i = 0; i < N; i++) {
        struct mask_parcel p[N];
        const size_t n = unmasking_parcels(t.c, i, p);
        uint32_t y[MASKED_WORDS] = {0};
        assert_int_equal(masked_parcels(&t.s, i, ROUND, p, n, &err),
                         MASKING_CAN_MASK | MASKING_SAY_LIST);
        assert_int_equal(masking_mask(t.s.site[i].m, ROUND, y, MASKED_WORDS, &err), RC_OK);
    }
}

static unsigned list_of(size_t site)
{
    return feed(site, (struct unmasking_input){.event = UNMASKING_GOT_LIST,
                                               .list = &t.s.site[site].list});
}

static void all_update(void)
{
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(list_of(i), UNMASKING_NOTHING);
        (void)feed(i, (struct unmasking_input){.event = UNMASKING_GOT_UPDATE});
    }
    assert_int_equal(unmasking_state(t.c), UNMASKING_VOTING);
}

/* ---- the draw -------------------------------------------------------------------------------- */

static void every_site_draws_so_many_others_and_each_as_often(void **state)
{
    (void)state;
    enum { DRAWS = 6000, ROSTER = 150, EACH = 20 };
    static const struct mask_terms many = {ROSTER, 140, 0, 0, EACH, 10};
    size_t drawn[ROSTER] = {0};
    const struct hash attempt = hash_of("attempt", 7);
    struct mask_set set;
    for (uint32_t i = 0; i < DRAWS; i++) {
        struct mask_draw draw = {{0}};
        memcpy(draw.b, &i, sizeof i);
        mask_holders(&many, &attempt, 130, &draw, &set);
        assert_int_equal(mask_set_count(&set), EACH);
        assert_false(mask_set_has(&set, 130));
        for (size_t k = 0; k < ROSTER; k++) {
            drawn[k] += mask_set_has(&set, k);
        }
    }
    double chi2 = 0.0;
    const double want = (double)DRAWS * EACH / (ROSTER - 1);
    for (size_t k = 0; k < ROSTER; k++) {
        const double off = (double)drawn[k] - want;
        chi2 += k == 130 ? 0.0 : off * off / (want * (1.0 - (double)EACH / (ROSTER - 1)));
    }
    assert_true(chi2 > 90.0 &&
                chi2 < 240.0); /* of 148: 3.4 and 5.3 deviations; the draws are fixed */
}

static void a_draw_is_of_its_site_and_attempt(void **state)
{
    (void)state;
    const struct hash attempt = hash_of("attempt", 7), later = hash_of("later", 5);
    const struct mask_draw draw = {{1}};
    struct mask_set a, b, c;
    mask_holders(&terms, &attempt, 0, &draw, &a);
    mask_holders(&terms, &attempt, 1, &draw, &b);
    mask_holders(&terms, &later, 0, &draw, &c);
    assert_false(mask_set_equal(&a, &b));
    assert_false(mask_set_equal(&a, &c));
    const struct hash one = mask_draw_commit(&attempt, 0, &draw);
    const struct hash two = mask_draw_commit(&attempt, 1, &draw);
    assert_false(hash_equal(&one, &two));
}

/* ---- what the coordinator relays ------------------------------------------------------------- */

static void a_draw_that_was_not_committed_to_is_refused(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[N];
    sit_down(1);
    all_deal();
    for (size_t dealer = 1; dealer < N; dealer++) {
        const size_t n = unmasking_parcels(t.c, 0, p);
        struct mask_set holders;
        do { /* one with which we are told the same of our share */
            p[dealer].deal.draw.b[5]++;
            mask_holders(&terms, masking_attempt(t.s.site[0].m), dealer, &p[dealer].deal.draw,
                         &holders);
        } while (mask_set_has(&holders, 0) != p[dealer].held ||
                 mask_set_equal(&holders, &t.holders[dealer]));
        assert_int_equal(masked_parcels(&t.s, 0, ROUND, p, n, &err), MASKING_PROTOCOL_ERROR);
        assert_non_null(strstr(err.text, "another draw"));
        assert_int_equal(masking_state(t.s.site[0].m), MASKING_DEALT);
    }
    get_up();
}

static void a_share_comes_from_whoever_drew_us_and_from_nobody_else(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[N];
    sit_down(2);
    all_deal();
    for (size_t dealer = 1; dealer < N; dealer++) {
        const size_t n = unmasking_parcels(t.c, 0, p);
        assert_int_equal(p[dealer].held, mask_set_has(&t.holders[dealer], 0));
        p[dealer].held = !p[dealer].held;
        assert_int_equal(masked_parcels(&t.s, 0, ROUND, p, n, &err), MASKING_PROTOCOL_ERROR);
    }
    get_up();
}

static void the_coordinator_refuses_a_dealer_that_draws_anew(void **state)
{
    (void)state;
    struct error err;
    struct mask_portion portion[K];
    sit_down(3);
    assert_int_equal(members(4, &err), MASKING_SAY_DEAL);
    struct mask_deal d = masked_deal(&t.s, 4, portion);
    d.draw.b[0] ^= 1;
    assert_true(deal_of(4, &d, portion) & UNMASKING_PROTOCOL_ERROR);
    d.draw.b[0] ^= 1;
    d.draws = false;
    assert_true(deal_of(4, &d, portion) & UNMASKING_PROTOCOL_ERROR);
    d.draws = true;
    assert_false(deal_of(4, &d, portion) & UNMASKING_PROTOCOL_ERROR);
    get_up();
}

static void keys_without_a_draw_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct mask_announcement a[N];
    sit_down(4);
    const size_t n = unmasking_members(t.c, a);
    a[3].draws = false;
    mask_announcement_sign(t.s.site[3].keys, masking_attempt(t.s.site[3].m), &a[3]);
    assert_int_equal(masked_members(&t.s, 0, ROUND, a, n, &err), MASKING_PROTOCOL_ERROR);
    a[3] = masked_announcement(&t.s, 3);
    a[3].draw.b[9] ^= 1; /* signed, too */
    assert_int_equal(masked_members(&t.s, 0, ROUND, a, n, &err), MASKING_PROTOCOL_ERROR);
    get_up();
}

/* ---- who is left ----------------------------------------------------------------------------- */

static void nobody_signs_survivors_who_do_not_hold_enough_of_every_secret(void **state)
{
    (void)state;
    struct error err;
    size_t refused = 0, signed_ = 0;
    for (uint64_t seed = 10; seed < 14; seed++) {
        for (size_t first = 0; first < N; first++) {
            struct mask_set left = {{0}};
            sit_down(seed);
            all_deal();
            all_mask();
            for (size_t i = 0; i < 9 + seed % 2; i++) { /* min_sites or one more, from `first` on */
                mask_set_add(&left, (first + i) % N);
            }
            bool enough = true;
            for (size_t i = 0; i < N; i++) {
                enough = enough && mask_set_common(&t.holders[i], &left) >= T;
            }
            const unsigned actions = masked_survivors(&t.s, first, ROUND, &left, &err);
            assert_int_equal(actions, enough ? MASKING_SAY_VOTE : MASKING_GIVE_UP);
            refused += !enough;
            signed_ += enough;
            get_up();
        }
    }
    assert_true(refused > 0 && signed_ > 0);
}

static void nobody_goes_on_with_dealers_who_do_not_hold_enough_of_every_secret(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[N], fewer[N];
    size_t refused = 0;
    for (size_t first = 0; first < N; first++) {
        struct mask_set left = {{0}};
        sit_down(11);
        all_deal();
        const size_t n = unmasking_parcels(t.c, first, p);
        for (size_t i = 0; i < 9; i++) {
            mask_set_add(&left, (first + i) % N);
        }
        size_t m = 0;
        bool enough = true;
        for (size_t i = 0; i < n; i++) {
            if (mask_set_has(&left, p[i].deal.site)) {
                enough = enough && mask_set_common(&t.holders[i], &left) >= T;
                fewer[m++] = p[i];
            }
        }
        assert_int_equal(masked_parcels(&t.s, first, ROUND, fewer, m, &err),
                         enough ? MASKING_CAN_MASK | MASKING_SAY_LIST : MASKING_GIVE_UP);
        refused += !enough;
        get_up();
    }
    assert_true(refused > 0);
}

static void strangers_among_whom_we_draw_are_counted_as_colluding(void **state)
{
    (void)state;
    struct error err;
    sit_down(5);
    for (size_t i = 0; i < 3; i++) { /* enough are confirmed, and 2 t > n + c + 3 does not hold */
        t.s.site[0].m->peer[N - 1 - i].confirmed = false;
    }
    assert_int_equal(members(0, &err), MASKING_GIVE_UP);
    get_up();
    /* 2 t is enough for two strangers, the neighbours are not. */
    static const struct mask_terms loose = {N, 9, 1, 11, 7, 3};
    masked_init(&t.s, loose, 6);
    for (size_t i = 0; i < N; i++) {
        (void)masked_open(&t.s, i, ROUND, &err);
    }
    struct mask_announcement a[N];
    for (size_t i = 0; i < N; i++) {
        a[i] = masked_announcement(&t.s, i);
    }
    t.s.site[0].m->peer[N - 1].confirmed = t.s.site[0].m->peer[N - 2].confirmed = false;
    assert_int_equal(masked_members(&t.s, 0, ROUND, a, N, &err), MASKING_GIVE_UP);
    assert_non_null(strstr(err.text, "neighbours"));
    assert_int_equal(masked_members(&t.s, 1, ROUND, a, N, &err), MASKING_SAY_DEAL);
    masked_release(&t.s);
}

static void a_site_shows_shares_of_those_who_drew_it_only(void **state)
{
    (void)state;
    struct error err;
    struct mask_set all = {{0}};
    struct mask_vote v[N];
    struct mask_reveal r[N];
    sit_down(7);
    all_deal();
    all_mask();
    for (size_t i = 0; i < N; i++) {
        mask_set_add(&all, i);
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(masked_survivors(&t.s, i, ROUND, &all, &err), MASKING_SAY_VOTE);
        struct mask_set set;
        v[i] = masked_vote(&t.s, i, &set);
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(masked_votes(&t.s, i, ROUND, v, mask_threshold(&terms) - 1, &err),
                         MASKING_PROTOCOL_ERROR);
        assert_int_equal(masked_votes(&t.s, i, ROUND, v, mask_threshold(&terms), &err),
                         MASKING_SAY_REVEAL);
        const size_t n = masking_reveal(t.s.site[i].m, r);
        size_t want = 0;
        for (size_t k = 0; k < N; k++) {
            want += mask_set_has(&t.holders[k], i);
        }
        assert_int_equal(n, want);
        for (size_t k = 0; k < n; k++) {
            assert_true(mask_set_has(&t.holders[r[k].dealer], i));
            assert_int_equal(r[k].which, MASK_SELF);
        }
    }
    get_up();
}

static void a_survivor_that_vanishes_before_it_has_signed_costs_nothing(void **state)
{
    (void)state;
    struct error err;
    struct mask_vote v[N];
    struct mask_reveal r[N];
    enum { GONE = 3 };
    const size_t want = mask_threshold(&terms);
    unsigned actions = 0;
    sit_down(9);
    all_deal();
    all_mask();
    all_update();
    const struct mask_set all = *unmasking_survivors(t.c);
    assert_int_equal(feed(GONE, (struct unmasking_input){.event = UNMASKING_GOT_CANNOT}),
                     UNMASKING_NOTHING);
    for (size_t i = 0, signed_by = 0; i < N; i++) {
        struct mask_set set;
        if (i == GONE) {
            continue;
        }
        assert_int_equal(masked_survivors(&t.s, i, ROUND, &all, &err), MASKING_SAY_VOTE);
        v[i] = masked_vote(&t.s, i, &set);
        actions = feed(i, (struct unmasking_input){
                              .event = UNMASKING_GOT_VOTE, .survivors = &all, .vote = &v[i]});
        signed_by++;
        assert_int_equal(actions, signed_by == want  ? UNMASKING_CAST_VOTES
                                  : signed_by < want ? UNMASKING_NOTHING
                                                     : UNMASKING_REPLY_VOTES);
    }
    const size_t votes = unmasking_votes(t.c, v);
    assert_int_equal(votes, want);
    for (size_t i = 0; i < N && unmasking_state(t.c) == UNMASKING_REVEALING; i++) {
        if (i != GONE) {
            assert_int_equal(masked_votes(&t.s, i, ROUND, v, votes, &err), MASKING_SAY_REVEAL);
            const size_t n = masking_reveal(t.s.site[i].m, r);
            actions =
                feed(i,
                     (struct unmasking_input){.event = UNMASKING_GOT_REVEAL, .reveal = r, .n = n});
        }
    }
    assert_int_equal(actions, UNMASKING_UNMASK);
    get_up();
}

/* Half of the sites hear of one survivor less. A friend of the coordinator's signs both. */
static void two_survivor_sets_told_to_two_halves_are_not_both_opened(void **state)
{
    (void)state;
    struct error err;
    struct mask_set set[2] = {{{0}}, {{0}}}, signed_set;
    struct mask_vote v[2][N];
    size_t votes[2] = {0}, opened[2] = {0};
    enum { SPY = N - 1, LEFT_OUT = 0 };
    sit_down(10);
    all_deal();
    all_mask();
    for (size_t i = 0; i < N; i++) {
        mask_set_add(&set[0], i);
        if (i != LEFT_OUT) {
            mask_set_add(&set[1], i);
        }
    }
    for (size_t i = 0; i < SPY; i++) {
        const size_t half = i % 2;
        assert_int_equal(masked_survivors(&t.s, i, ROUND, &set[half], &err), MASKING_SAY_VOTE);
        v[half][votes[half]++] = masked_vote(&t.s, i, &signed_set);
    }
    for (size_t half = 0; half < 2; half++) {
        struct mask_vote *spy = &v[half][votes[half]++];
        spy->site = SPY;
        mask_vote_sign(t.s.site[SPY].keys, masking_clique(t.s.site[SPY].m), &set[half], spy);
    }
    for (size_t i = 0; i < SPY; i++) {
        opened[i % 2] +=
            (masked_votes(&t.s, i, ROUND, v[i % 2], votes[i % 2], &err) & MASKING_SAY_REVEAL) != 0;
    }
    assert_true(opened[0] == 0 || opened[1] == 0);
    get_up();
}

/* ---- who has said its list ------------------------------------------------------------------- */

/* It restarted before its list had arrived: its update is stored, and could not be opened with others. */
static void an_update_is_fetched_only_of_a_site_that_has_said_its_list_of_dealers(void **state)
{
    (void)state;
    enum { RESTARTED = 2 };
    sit_down(11);
    all_deal();
    all_mask();
    for (size_t i = 0; i < N; i++) {
        assert_false(unmasking_wants_update(t.c, i));
        if (i != RESTARTED) {
            assert_int_equal(list_of(i), UNMASKING_NOTHING);
            assert_true(unmasking_wants_update(t.c, i));
            (void)feed(i, (struct unmasking_input){.event = UNMASKING_GOT_UPDATE});
            assert_false(unmasking_wants_update(t.c, i));
        }
    }
    struct error err;
    const struct unmasking_input late = {.event = UNMASKING_TIMED_OUT, .now_ms = 1000000};
    assert_int_equal(unmasking_step(t.c, &late, &err), UNMASKING_KEEP | UNMASKING_CAST_SURVIVORS);
    assert_false(mask_set_has(unmasking_survivors(t.c), RESTARTED));
    assert_int_equal(mask_set_count(unmasking_survivors(t.c)), N - 1);
    get_up();
}

/* It restarted behind its list: its update is masked on it, whoever sends it, and others sign. */
static void a_list_that_was_said_before_a_restart_still_counts(void **state)
{
    (void)state;
    struct error err;
    sit_down(12);
    all_deal();
    all_mask();
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(list_of(i), UNMASKING_NOTHING);
    }
    masked_restart(&t.s, 4);
    assert_true(masked_open(&t.s, 4, ROUND, &err) & MASKING_GIVE_UP); /* no second key, no vote */
    assert_true(unmasking_wants_update(t.c, 4));
    for (size_t i = 0; i < N; i++) {
        (void)feed(i, (struct unmasking_input){.event = UNMASKING_GOT_UPDATE});
    }
    assert_true(mask_set_has(unmasking_survivors(t.c), 4));
    assert_int_equal(unmasking_state(t.c), UNMASKING_VOTING);
    get_up();
}

/* Updates that were kept before the coordinator restarted: their lists were not. */
static void an_update_whose_list_does_not_come_again_costs_the_round(void **state)
{
    (void)state;
    struct error err;
    sit_down(13);
    all_deal();
    all_mask();
    for (size_t i = 0; i < N; i++) {
        (void)feed(i, (struct unmasking_input){.event = UNMASKING_GOT_UPDATE});
        assert_int_equal(i == 5 ? UNMASKING_NOTHING : list_of(i), UNMASKING_NOTHING);
    }
    assert_int_equal(unmasking_state(t.c), UNMASKING_UPDATING);
    const struct unmasking_input late = {.event = UNMASKING_TIMED_OUT, .now_ms = 1000000};
    assert_int_equal(unmasking_step(t.c, &late, &err), UNMASKING_FAIL);
    assert_non_null(strstr(err.text, "list of dealers"));
    get_up();
}

static void lists_of_others_rounds_and_dealers_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct mask_set all = {{0}};
    struct mask_vote list[N];
    sit_down(14);
    all_deal();
    all_mask();
    size_t dealer = N;
    for (size_t i = 0; i < N; i++) {
        mask_set_add(&all, i);
        list[i] = t.s.site[i].list;
        dealer = i != 0 && mask_set_has(&t.holders[i], 0) ? i : dealer;
    }
    assert_true(dealer < N);
    const struct mask_vote own = list[dealer];
    const struct hash other = hash_of("another list", 12);
    for (size_t bend = 0; bend < 4; bend++) {
        list[dealer] = own;
        if (bend == 0) { /* what it said of another list */
            mask_list_sign(t.s.site[dealer].keys, &other, &list[dealer]);
        } else if (bend == 1) { /* somebody else's word */
            mask_list_sign(t.s.site[1 + dealer % (N - 1)].keys, masking_clique(t.s.site[0].m),
                           &list[dealer]);
        } else if (bend == 2) { /* its signature under another kind of statement */
            mask_vote_sign(t.s.site[dealer].keys, masking_clique(t.s.site[0].m),
                           &(struct mask_set){{0}}, &list[dealer]);
        } else { /* nothing: another's twice */
            list[dealer] = list[dealer == 1 ? 2 : 1];
        }
        assert_int_equal(masked_survivors_listed(&t.s, 0, ROUND, &all, list, N, &err),
                         MASKING_PROTOCOL_ERROR);
        if (bend < 3) {
            assert_true(feed(dealer, (struct unmasking_input){.event = UNMASKING_GOT_LIST,
                                                              .list = &list[dealer]}) &
                        UNMASKING_PROTOCOL_ERROR);
        }
    }
    list[dealer] = own;
    assert_int_equal(masked_survivors_listed(&t.s, 0, ROUND, &all, list, N, &err),
                     MASKING_SAY_VOTE);
    get_up();
}

/* ---- two lists of dealers -------------------------------------------------------------------- */

/* The coordinator's friend, and the victim's neighbours on the list that it alone is told: of those the
 * others hear as dropped. */
enum { FRIEND = N - 1 };
static const struct mask_terms sparse = {N, 7, 1, 0, 9, 2}; /* neighbours_risk: zero */

/* A victim and a site that no mask ties to it: both are survivors on either list. */
static bool find_strangers(size_t *victim, size_t *other)
{
    for (size_t a = 0; a < FRIEND; a++) {
        for (size_t b = 0; b < FRIEND; b++) {
            if (a != b && !mask_set_has(&t.holders[a], b) && !mask_set_has(&t.holders[b], a)) {
                *victim = a;
                *other = b;
                return true;
            }
        }
    }
    return false;
}

static bool is_neighbour(size_t a, size_t b)
{
    return mask_set_has(&t.holders[a], b) || mask_set_has(&t.holders[b], a);
}

/* What was shown of one dealer, combined. */
static struct mask_scalar opened(size_t dealer, enum mask_secret which,
                                 struct mask_reveal shown[N][N], const size_t n[N])
{
    struct error err;
    struct mask_lagrange l;
    struct mask_scalar share[2], secret = {{0}};
    size_t site[2], have = 0;
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < n[i] && have < 2; k++) {
            if (shown[i][k].dealer == dealer && shown[i][k].which == which) {
                site[have] = i;
                share[have++] = shown[i][k].opening.share;
                break;
            }
        }
    }
    if (have == 2) {
        assert_int_equal(mask_lagrange_at(site, 2, &l, &err), RC_OK);
        assert_int_equal(mask_combine(&l, 2, site, share, 2, &secret, &err), RC_OK);
    }
    return secret;
}

/* One site is told of few dealers, the others of all, and that just those few have dropped out. */
static void an_update_that_was_masked_on_another_list_of_dealers_stays_hidden(void **state)
{
    (void)state;
    struct error err;
    size_t victim = 0, other = 0;
    uint64_t seed = 20;
    for (sit_down_with(sparse, seed); !find_strangers(&victim, &other);) {
        get_up();
        sit_down_with(sparse, ++seed);
    }
    all_deal();
    struct mask_set few = {{0}}, survivors = {{0}};
    size_t rest = 0;
    for (size_t i = 0; i < N; i++) {
        const bool both = i == victim || i == other || i == FRIEND;
        if (both || rest++ < 4) {
            mask_set_add(&few, i);
        }
        if (both || !mask_set_has(&few, i)) {
            mask_set_add(&survivors, i);
        }
    }
    const struct mask_scalar friends = t.s.site[FRIEND].m->r.secrets.key;
    uint32_t y[MASKED_WORDS] = {0};
    for (size_t i = 0; i < N; i++) {
        struct mask_parcel p[N];
        uint32_t ignored[MASKED_WORDS] = {0};
        size_t told = 0;
        const size_t n = unmasking_parcels(t.c, i, p);
        for (size_t k = 0; k < n; k++) {
            if (i != victim || mask_set_has(&few, p[k].deal.site)) {
                p[told++] = p[k];
            }
        }
        assert_int_equal(masked_parcels(&t.s, i, ROUND, p, told, &err),
                         MASKING_CAN_MASK | MASKING_SAY_LIST);
        memcpy(y, i == victim ? t.s.site[i].x : y, sizeof y);
        assert_int_equal(masking_mask(t.s.site[i].m, ROUND, i == victim ? y : ignored, MASKED_WORDS,
                                      &err),
                         RC_OK);
    }
    struct mask_vote v[N];
    size_t votes = 0;
    for (size_t i = 0; i < N; i++) {
        if (i == victim || !mask_set_has(&survivors, i)) {
            continue;
        }
        /* Who holds a share of the victim's sees that it signed another list, or none. */
        const bool sees = mask_set_has(&t.holders[victim], i);
        const unsigned actions = masked_survivors(&t.s, i, ROUND, &survivors, &err);
        assert_int_equal(actions, sees ? MASKING_PROTOCOL_ERROR : MASKING_SAY_VOTE);
        v[votes].site = i;
        if (!sees || i == FRIEND) {
            mask_vote_sign(t.s.site[i].keys, masking_clique(t.s.site[i].m), &survivors, &v[votes]);
            votes++;
        }
    }
    static struct mask_reveal shown[N][N];
    size_t n[N] = {0};
    for (size_t i = 0; i < N; i++) {
        if (i != victim && mask_set_has(&survivors, i) &&
            (masked_votes(&t.s, i, ROUND, v, votes, &err) & MASKING_SAY_REVEAL)) {
            n[i] = masking_reveal(t.s.site[i].m, shown[i]);
        }
    }
    /* Off with the self mask, and with what the victim put on for those who "dropped out". */
    const struct hash *clique = masking_clique(t.s.site[victim].m);
    const struct mask_scalar self = opened(victim, MASK_SELF, shown, n);
    struct mask_stream stream[N];
    size_t count = 1;
    mask_stream_self(&self, clique, victim, &stream[0]);
    stream[0].subtract = true;
    for (size_t i = 0; i < N; i++) {
        if (i == victim || !mask_set_has(&few, i) || !is_neighbour(victim, i)) {
            continue;
        }
        const struct mask_scalar x = i == FRIEND ? friends : opened(i, MASK_KEY, shown, n);
        const struct mask_point ours = t.s.site[victim].m->r.own_keys.key;
        const struct mask_point theirs = t.s.site[i].m->r.own_keys.key;
        const bool low = victim < i;
        struct mask_pair pair = {
            low ? victim : i, low ? i : victim, low ? ours : theirs, low ? theirs : ours, {{0}}};
        error_ignore(mask_agree(&x, &ours, &pair.secret, &err));
        mask_stream_pair(&pair, clique, victim, &stream[count]);
        stream[count].subtract = !stream[count].subtract;
        count++;
    }
    mask_apply(y, MASKED_WORDS, 0, stream, count);
    assert_memory_not_equal(y, t.s.site[victim].x, sizeof y);
    get_up();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_site_draws_so_many_others_and_each_as_often),
        cmocka_unit_test(a_draw_is_of_its_site_and_attempt),
        cmocka_unit_test(a_draw_that_was_not_committed_to_is_refused),
        cmocka_unit_test(a_share_comes_from_whoever_drew_us_and_from_nobody_else),
        cmocka_unit_test(the_coordinator_refuses_a_dealer_that_draws_anew),
        cmocka_unit_test(keys_without_a_draw_are_refused),
        cmocka_unit_test(nobody_signs_survivors_who_do_not_hold_enough_of_every_secret),
        cmocka_unit_test(nobody_goes_on_with_dealers_who_do_not_hold_enough_of_every_secret),
        cmocka_unit_test(strangers_among_whom_we_draw_are_counted_as_colluding),
        cmocka_unit_test(a_site_shows_shares_of_those_who_drew_it_only),
        cmocka_unit_test(a_survivor_that_vanishes_before_it_has_signed_costs_nothing),
        cmocka_unit_test(two_survivor_sets_told_to_two_halves_are_not_both_opened),
        cmocka_unit_test(an_update_is_fetched_only_of_a_site_that_has_said_its_list_of_dealers),
        cmocka_unit_test(a_list_that_was_said_before_a_restart_still_counts),
        cmocka_unit_test(an_update_whose_list_does_not_come_again_costs_the_round),
        cmocka_unit_test(lists_of_others_rounds_and_dealers_are_refused),
        cmocka_unit_test(an_update_that_was_masked_on_another_list_of_dealers_stays_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
