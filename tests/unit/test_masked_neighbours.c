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
static void sit_down(uint64_t seed)
{
    struct error err;
    masked_init(&t.s, terms, seed);
    struct unmasking_setup setup = {.study = t.s.study,
                                    .roster = t.s.roster,
                                    .model = t.s.model,
                                    .round = ROUND,
                                    .terms = terms,
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
    return feed(site, (struct unmasking_input){
                          .event = UNMASKING_GOT_DEAL, .deal = d, .portion = portion, .n = K});
}

static void all_deal(void)
{
    struct error err;
    for (size_t i = 0; i < N; i++) {
        struct mask_portion portion[K];
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
        assert_int_equal(masked_parcels(&t.s, i, ROUND, p, n, &err), MASKING_CAN_MASK);
        assert_int_equal(masking_mask(t.s.site[i].m, ROUND, y, MASKED_WORDS, &err), RC_OK);
    }
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
                         enough ? MASKING_CAN_MASK : MASKING_GIVE_UP);
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
        assert_int_equal(masked_votes(&t.s, i, ROUND, v, N, &err), MASKING_SAY_REVEAL);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
