/*
 * A site of masked sums against whoever lies to it: the coordinator, invented sites, other sites. And
 * the coordinator against sites that lie. The liar here holds everything that honest sites say.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/masking/masking_internal.h"
#include "aggregator/unmasking/unmasking.h"
#include "tests/support/masked.h"

enum { N = 5, ROUND = 1 };

/* A round as an honest coordinator would relay it; tests bend one thing. */
struct table {
    struct masked_sites s;
    struct mask_announcement a[MASKED_MAX];
    struct mask_deal deal[MASKED_MAX];
    struct mask_portion portion[MASKED_MAX][MASKED_MAX];
};

static struct table t;

static void sit_down(struct mask_terms terms, uint64_t seed)
{
    memset(&t, 0, sizeof t);
    masked_init(&t.s, terms, seed);
}

static size_t sites(void)
{
    return t.s.terms.n_sites;
}

static enum masking_state state_of(size_t site)
{
    return masking_state(t.s.site[site].m);
}

static void all_announce(uint64_t round)
{
    struct error err;
    for (size_t i = 0; i < sites(); i++) {
        assert_int_equal(masked_open(&t.s, i, round, &err),
                         MASKING_KEEP_ROUND | MASKING_SAY_ANNOUNCEMENT);
        t.a[i] = masked_announcement(&t.s, i);
    }
}

static void all_deal(uint64_t round)
{
    struct error err;
    all_announce(round);
    for (size_t i = 0; i < sites(); i++) {
        assert_int_equal(masked_members(&t.s, i, round, t.a, sites(), &err), MASKING_SAY_DEAL);
        t.deal[i] = masked_deal(&t.s, i, t.portion[i]);
    }
}

static void parcels(size_t receiver, struct mask_parcel *out)
{
    static struct mask_tree tree;
    for (size_t i = 0; i < sites(); i++) {
        mask_tree_build(t.portion[i], sites(), &tree);
        out[i].deal = t.deal[i];
        out[i].held = true;
        out[i].box = t.portion[i][receiver].box;
        mask_tree_path(&tree, receiver, &out[i].path);
    }
}

static void all_mask(uint64_t round)
{
    struct error err;
    all_deal(round);
    for (size_t i = 0; i < sites(); i++) {
        struct mask_parcel p[MASKED_MAX];
        parcels(i, p);
        assert_int_equal(masked_parcels(&t.s, i, round, p, sites(), &err), MASKING_CAN_MASK);
        struct masked_site *site = &t.s.site[i];
        memcpy(site->y, site->x, sizeof site->y);
        assert_int_equal(masking_mask(site->m, round, site->y, MASKED_WORDS, &err), RC_OK);
    }
}

static struct mask_set everybody(void)
{
    struct mask_set s = {{0}};
    for (size_t i = 0; i < sites(); i++) {
        mask_set_add(&s, i);
    }
    return s;
}

static struct mask_set without(struct mask_set s, size_t site)
{
    s.b[site / 8] = (unsigned char)(s.b[site / 8] & ~(1U << site % 8));
    return s;
}

static const struct mask_terms plain = {N, 3, 0, 0, 0, 0}; /* t = 3 */

/* To the byte: a refusal changes nothing. */
static void assert_refused(size_t site, const struct masking *before, unsigned actions)
{
    assert_int_equal(actions, MASKING_PROTOCOL_ERROR);
    assert_memory_equal(t.s.site[site].m, before, sizeof *before);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void keys_of_another_round_are_refused(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 1);
    all_announce(ROUND);
    const struct mask_announcement old = t.a[3];
    all_announce(ROUND + 1);
    t.a[3] = old;
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_members(&t.s, 0, ROUND + 1, t.a, N, &err));
    assert_non_null(strstr(err.text, "site 3"));
    masked_release(&t.s);
}

static void a_key_that_the_coordinator_made_up_is_refused(void **state)
{
    (void)state;
    struct error err;
    struct seal_keys *liar = NULL;
    sit_down(plain, 2);
    all_announce(ROUND);
    assert_int_equal(seal_keys_random(&liar, &err), RC_OK);
    mask_announcement_sign(liar, masking_attempt(t.s.site[0].m), &t.a[3]);
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_members(&t.s, 0, ROUND, t.a, N, &err));
    seal_keys_close(&liar);
    masked_release(&t.s);
}

static void signed_keys_that_are_no_points_are_refused(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 2);
    all_announce(ROUND);
    const struct mask_announcement good = t.a[3];
    const struct masking before = *t.s.site[0].m;
    for (size_t way = 0; way < 4; way++) {
        t.a[3] = good;
        struct mask_point *key = way % 2 == 0 ? &t.a[3].key : &t.a[3].box;
        memset(key->b, way < 2 ? 0 : 0xff, sizeof key->b); /* the identity; no element */
        mask_announcement_sign(t.s.site[3].keys, masking_attempt(t.s.site[3].m), &t.a[3]);
        assert_refused(0, &before, masked_members(&t.s, 0, ROUND, t.a, N, &err));
    }
    t.a[3] = good;
    assert_int_equal(masked_members(&t.s, 0, ROUND, t.a, N, &err), MASKING_SAY_DEAL);
    masked_release(&t.s);
}

static void lists_with_a_site_twice_out_of_order_or_off_the_roster_are_refused(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 3);
    all_announce(ROUND);
    const struct masking before = *t.s.site[0].m;
    struct mask_announcement a[N + 1];
    memcpy(a, t.a, N * sizeof *a);
    a[3] = a[2];
    assert_refused(0, &before, masked_members(&t.s, 0, ROUND, a, N, &err));
    a[3] = t.a[4];
    a[4] = t.a[3];
    assert_refused(0, &before, masked_members(&t.s, 0, ROUND, a, N, &err));
    memcpy(a, t.a, N * sizeof *a);
    a[N] = a[N - 1];
    a[N].site = N;
    assert_refused(0, &before, masked_members(&t.s, 0, ROUND, a, N + 1, &err));
    masked_release(&t.s);
}

static void too_few_members_make_a_site_give_up(void **state)
{
    (void)state;
    struct error err;
    sit_down((struct mask_terms){N, 4, 0, 0, 0, 0}, 4);
    all_announce(ROUND);
    assert_int_equal(masked_members(&t.s, 0, ROUND, t.a, 3, &err), MASKING_GIVE_UP);
    assert_int_equal(state_of(0), MASKING_OUT);
    /* And a list that leaves the site itself out. */
    assert_int_equal(masked_members(&t.s, 4, ROUND, t.a, 4, &err), MASKING_GIVE_UP);
    masked_release(&t.s);
}

static void a_second_list_of_members_is_refused_and_the_first_answered_again(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 5);
    all_deal(ROUND);
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_members(&t.s, 0, ROUND, t.a, N - 1, &err));
    assert_int_equal(masked_members(&t.s, 0, ROUND, t.a, N, &err), MASKING_SAY_DEAL);
    assert_memory_equal(t.s.site[0].m, &before, sizeof before);
    masked_release(&t.s);
}

/* ---- invented sites -------------------------------------------------------------------------- */

static void sites_that_nobody_confirmed_do_not_count_towards_the_floor(void **state)
{
    (void)state;
    struct error err;
    sit_down((struct mask_terms){N, 4, 0, 5, 0, 0},
             6); /* t = 5: two unknown are no threat to the shares */
    t.s.peer[3].confirmed = false;
    t.s.peer[4].confirmed = false;
    masked_restart(&t.s, 0); /* reads its confirmed cards */
    all_announce(ROUND);
    assert_int_equal(masked_members(&t.s, 0, ROUND, t.a, N, &err), MASKING_GIVE_UP);
    assert_non_null(strstr(err.text, "only 3 of 5"));
    /* A site that has confirmed them goes on. */
    assert_int_equal(masked_members(&t.s, 1, ROUND, t.a, N, &err), MASKING_SAY_DEAL);
    masked_release(&t.s);
}

static void sites_that_nobody_confirmed_count_as_working_with_the_coordinator(void **state)
{
    (void)state;
    struct error err;
    sit_down((struct mask_terms){N, 3, 0, 0, 0, 0}, 7); /* t = 3: 2 t = 6 > 5, but not > 5 + 2 */
    t.s.peer[3].confirmed = false;
    t.s.peer[4].confirmed = false;
    masked_restart(&t.s, 0);
    all_announce(ROUND);
    assert_int_equal(masked_members(&t.s, 0, ROUND, t.a, N, &err), MASKING_GIVE_UP);
    assert_non_null(strstr(err.text, "2 of 5"));
    masked_release(&t.s);
    sit_down((struct mask_terms){N, 3, 0, 4, 0, 0}, 7); /* 2 t = 8 > 5 + 2 */
    t.s.peer[3].confirmed = false;
    t.s.peer[4].confirmed = false;
    masked_restart(&t.s, 0);
    all_announce(ROUND);
    assert_int_equal(masked_members(&t.s, 0, ROUND, t.a, N, &err), MASKING_SAY_DEAL);
    masked_release(&t.s);
}

static void survivors_that_nobody_confirmed_do_not_count_either(void **state)
{
    (void)state;
    struct error err;
    sit_down((struct mask_terms){N, 3, 0, 4, 0, 0}, 8);
    t.s.peer[4].confirmed = false;
    masked_restart(&t.s, 0);
    all_mask(ROUND);
    /* Four survivors, of whom 0, 2, 3 count: enough. With a floor of 4 they would not be. */
    const struct mask_set four = without(everybody(), 1);
    assert_int_equal(masked_survivors(&t.s, 0, ROUND, &four, &err), MASKING_SAY_VOTE);
    masked_release(&t.s);
    sit_down((struct mask_terms){N, 4, 0, 4, 0, 0}, 8);
    t.s.peer[4].confirmed = false;
    masked_restart(&t.s, 0);
    all_mask(ROUND);
    assert_int_equal(masked_survivors(&t.s, 0, ROUND, &four, &err), MASKING_GIVE_UP);
    assert_non_null(strstr(err.text, "only 3 of 4"));
    masked_release(&t.s);
}

/* ---- shares ---------------------------------------------------------------------------------- */

static void shares_for_other_members_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[MASKED_MAX];
    sit_down(plain, 9);
    all_announce(ROUND);
    for (size_t i = 0; i < N; i++) { /* site 4 is told that there are four, the others five */
        const size_t first = i == 4 ? 1 : 0;
        assert_int_equal(masked_members(&t.s, i, ROUND, t.a + first, N - first, &err),
                         MASKING_SAY_DEAL);
        t.deal[i] = masked_deal(&t.s, i, t.portion[i]);
    }
    parcels(0, p);
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_parcels(&t.s, 0, ROUND, p, N, &err));
    masked_release(&t.s);
}

static void a_share_that_is_not_what_was_committed_to_makes_its_receiver_give_up(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[MASKED_MAX];
    for (size_t lie = 0; lie < 3; lie++) {
        sit_down(plain, 10 + lie);
        all_deal(ROUND);
        parcels(0, p);
        if (lie == 0) {
            p[2].box.b[7] ^= 1; /* on the way */
        } else if (lie == 1) {
            p[2].path.sibling[0].b[0] ^= 1;
        } else { /* by the dealer: a sealed and signed share that is another one */
            const struct masking *m = t.s.site[2].m;
            struct mask_openings o;
            struct mask_pair pair;
            assert_int_equal(masking_box_pair(m, 0, &pair, &err), RC_OK);
            memset(&o, 1, sizeof o);
            memset(&o.of[0].share.b[16], 0, 16);
            memset(&o.of[1].share.b[16], 0, 16);
            mask_box_seal(&pair, masking_members(m), 2, &o, &t.portion[2][0].box);
            struct mask_tree tree;
            mask_tree_build(t.portion[2], N, &tree);
            t.deal[2].root = tree.node[1];
            mask_deal_sign(t.s.site[2].keys, masking_members(m), &t.deal[2]);
            parcels(0, p);
        }
        assert_int_equal(masked_parcels(&t.s, 0, ROUND, p, N, &err), MASKING_GIVE_UP);
        assert_non_null(strstr(err.text, "site 2"));
        assert_int_equal(state_of(0), MASKING_OUT);
        masked_release(&t.s);
    }
}

static void other_shares_under_our_name_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[MASKED_MAX];
    sit_down(plain, 14);
    all_deal(ROUND);
    parcels(0, p);
    p[0].deal.root.b[0] ^= 1;
    mask_deal_sign(t.s.site[0].keys, masking_members(t.s.site[0].m), &p[0].deal);
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_parcels(&t.s, 0, ROUND, p, N, &err));
    masked_release(&t.s);
}

static void different_dealers_make_masks_that_do_not_cancel(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[MASKED_MAX];
    uint32_t sum[MASKED_WORDS] = {0};
    sit_down(plain, 15);
    all_deal(ROUND);
    for (size_t i = 0; i < N;
         i++) { /* sites 0 and 1 are told of four dealers, the others of five */
        struct masked_site *site = &t.s.site[i];
        parcels(i, p);
        assert_int_equal(masked_parcels(&t.s, i, ROUND, p, i < 2 ? N - 1 : N, &err),
                         MASKING_CAN_MASK);
        memset(site->y, 0, sizeof site->y);
        const struct mask_secrets secrets = site->m->r.secrets;
        assert_int_equal(masking_mask(site->m, ROUND, site->y, MASKED_WORDS, &err), RC_OK);
        struct mask_stream self; /* even with all self masks known */
        mask_stream_self(&secrets.self, masking_clique(site->m), i, &self);
        self.subtract = true;
        mask_apply(site->y, MASKED_WORDS, 0, &self, 1);
        for (size_t w = 0; w < MASKED_WORDS; w++) {
            sum[w] += site->y[w];
        }
    }
    size_t zeros = 0;
    for (size_t w = 0; w < MASKED_WORDS; w++) {
        zeros += sum[w] == 0;
    }
    assert_true(zeros < 2);
    masked_release(&t.s);
}

/* ---- survivors ------------------------------------------------------------------------------- */

/* Late, or called dropped by a liar: its masked update is there, and t sites show the secret of its key.
 * If that opened its boxes, t of them would give its self mask, and with it the update alone. */
static void the_shown_key_of_a_dropped_site_opens_no_box(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 32);
    all_deal(ROUND);
    const struct masking *dropped = t.s.site[2].m;
    const struct mask_scalar *shown = &dropped->r.secrets.key;
    const struct hash *members = masking_members(dropped);
    for (size_t i = 0; i < N; i++) {
        const size_t low = i < 2 ? i : 2, high = i < 2 ? 2 : i;
        for (size_t kind = 0; i != 2 && kind < 3; kind++) {
            struct mask_pair pair = {low, high, t.a[low].key, t.a[high].key, {{0}}};
            if (kind > 0) {
                pair.key_low = t.a[low].box;
                pair.key_high = t.a[high].box;
            }
            assert_int_equal(
                mask_agree(shown, kind < 2 ? &t.a[i].key : &t.a[i].box, &pair.secret, &err), RC_OK);
            struct mask_openings o;
            assert_int_equal(mask_box_open(&pair, members, 2, &t.portion[2][i].box, &o, &err),
                             RC_AUTH);
            assert_int_equal(mask_box_open(&pair, members, i, &t.portion[i][2].box, &o, &err),
                             RC_AUTH);
        }
    }
    masked_release(&t.s);
}

static void a_second_survivor_set_is_refused(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 16);
    all_mask(ROUND);
    const struct mask_set one = without(everybody(), 4), other = without(everybody(), 3);
    assert_int_equal(masked_survivors(&t.s, 0, ROUND, &one, &err), MASKING_SAY_VOTE);
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_survivors(&t.s, 0, ROUND, &other, &err));
    assert_int_equal(masked_survivors(&t.s, 0, ROUND, &one, &err), MASKING_SAY_VOTE);
    masked_release(&t.s);
}

static void an_outcome_is_believed_if_it_names_the_survivors_that_were_signed(void **state)
{
    (void)state;
    struct error err;
    struct mask_set set = {{0}};
    sit_down(plain, 34);
    all_mask(ROUND);
    const struct masking *m = t.s.site[0].m;
    for (size_t i = 0; i < 4; i++) {
        mask_set_add(&set, i);
    }
    assert_int_equal(masking_outcome(m, ROUND, &set, &err), RC_STATE); /* nothing signed yet */
    assert_int_equal(masked_survivors(&t.s, 0, ROUND, &set, &err), MASKING_SAY_VOTE);
    assert_int_equal(masking_outcome(m, ROUND, &set, &err), RC_OK);
    assert_int_equal(masking_outcome(m, ROUND + 1, &set, &err), RC_STATE);
    mask_set_add(&set, 4);
    assert_int_equal(masking_outcome(m, ROUND, &set, &err), RC_AUTH);
    masked_release(&t.s);
}

static void survivors_without_us_of_nobody_or_too_few_get_no_signature(void **state)
{
    (void)state;
    struct error err;
    for (size_t lie = 0; lie < 3; lie++) {
        sit_down((struct mask_terms){N, 4, 0, 0, 0, 0}, 17 + lie);
        all_mask(ROUND);
        struct mask_set set = everybody();
        if (lie == 0) {
            set = without(set, 0);
        } else if (lie == 1) {
            mask_set_add(&set, N);
        } else {
            set = without(without(set, 1), 2);
        }
        const unsigned actions = masked_survivors(&t.s, 0, ROUND, &set, &err);
        assert_int_equal(actions, lie == 1 ? MASKING_PROTOCOL_ERROR : MASKING_GIVE_UP);
        masked_release(&t.s);
    }
}

static void survivors_before_our_own_update_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct mask_parcel p[MASKED_MAX];
    sit_down(plain, 20);
    all_deal(ROUND);
    parcels(0, p);
    assert_int_equal(masked_parcels(&t.s, 0, ROUND, p, N, &err), MASKING_CAN_MASK);
    const struct mask_set set = everybody();
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_survivors(&t.s, 0, ROUND, &set, &err));
    masked_release(&t.s);
}

static void shares_are_shown_for_t_distinct_signatures_only(void **state)
{
    (void)state;
    struct error err;
    struct mask_vote v[N];
    sit_down(plain, 21);
    all_mask(ROUND);
    struct mask_set set = everybody(), other = without(set, 3);
    for (size_t i = 0; i < N; i++) { /* 3 and 4 sign another set */
        assert_int_equal(masked_survivors(&t.s, i, ROUND, i < 3 ? &set : &other, &err),
                         i == 3 ? MASKING_GIVE_UP : MASKING_SAY_VOTE);
        if (i != 3) {
            v[i] = masked_vote(&t.s, i, i < 3 ? &set : &other);
        }
    }
    const struct masking before = *t.s.site[0].m;
    const struct mask_vote twice[] = {v[0], v[1], v[1], v[1]};
    assert_refused(0, &before, masked_votes(&t.s, 0, ROUND, twice, 4, &err));
    assert_non_null(strstr(err.text, "2 survivors"));
    const struct mask_vote of_another_set[] = {v[0], v[1], v[4]};
    assert_refused(0, &before, masked_votes(&t.s, 0, ROUND, of_another_set, 3, &err));
    struct mask_vote renamed[] = {v[0], v[1], v[1]};
    renamed[2].site = 2;
    assert_refused(0, &before, masked_votes(&t.s, 0, ROUND, renamed, 3, &err));
    renamed[2].site = MASK_SITES_MAX + 5;
    assert_refused(0, &before, masked_votes(&t.s, 0, ROUND, renamed, 3, &err));
    assert_refused(0, &before, masked_votes(&t.s, 0, ROUND, v, 2, &err));
    assert_int_equal(masked_votes(&t.s, 0, ROUND, v, 3, &err), MASKING_SAY_REVEAL);
    masked_release(&t.s);
}

static void of_each_dealer_one_share_is_shown_and_of_the_right_secret(void **state)
{
    (void)state;
    struct error err;
    struct mask_vote v[N];
    struct mask_reveal r[MASKED_MAX];
    sit_down(plain, 22);
    all_mask(ROUND);
    struct mask_set set = without(everybody(), 1);
    size_t n = 0;
    for (size_t i = 0; i < N; i++) {
        if (i != 1) {
            assert_int_equal(masked_survivors(&t.s, i, ROUND, &set, &err), MASKING_SAY_VOTE);
            v[n++] = masked_vote(&t.s, i, &set);
        }
    }
    assert_int_equal(masked_votes(&t.s, 0, ROUND, v, n, &err), MASKING_SAY_REVEAL);
    assert_int_equal(masking_reveal(t.s.site[0].m, r), N);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(r[i].dealer, i);
        assert_int_equal(r[i].which, i == 1 ? MASK_KEY : MASK_SELF);
        const struct hash c =
            mask_commit(masking_members(t.s.site[0].m), i, 0, r[i].which, &r[i].opening);
        assert_true(hash_equal(&c, &t.portion[i][0].commitments.of[r[i].which]));
    }
    masked_release(&t.s);
}

/* What a coordinator with c sites on its side can learn by telling every honest site what it likes. */
static void no_two_survivor_sets_are_opened_however_the_sites_are_divided(void **state)
{
    (void)state;
    enum { TRIALS = 80 };
    struct rng rng;
    const uint64_t seed = 23;
    print_message("seed %" PRIu64 "\n", seed);
    rng_init(&rng, seed, "divisions");
    size_t opened = 0;
    for (size_t trial = 0; trial < TRIALS; trial++) {
        struct mask_terms terms = {.n_sites = 3 + rng_below(&rng, MASKED_MAX - 2)};
        terms.min_sites = 3 + rng_below(&rng, terms.n_sites - 2);
        terms.max_colluding = rng_below(&rng, terms.min_sites - 1);
        const size_t n = terms.n_sites, c = terms.max_colluding; /* the first c sites collude */
        sit_down(terms, seed + trial);
        all_mask(ROUND);
        struct error err;
        struct mask_set set[2] = {everybody(), everybody()};
        set[1] = without(set[1], rng_below(&rng, n));
        struct mask_vote v[2][MASKED_MAX];
        size_t n_votes[2] = {0, 0}, told[MASKED_MAX];
        const size_t threshold = mask_threshold(&terms);
        for (size_t i = 0; i < n; i++) {
            told[i] = rng_below(&rng, 2);
            for (size_t k = 0; k < 2; k++) {
                if (i < c) { /* signs whatever helps */
                    struct mask_vote own = {.site = i};
                    mask_vote_sign(t.s.site[i].keys, masking_clique(t.s.site[i].m), &set[k], &own);
                    v[k][n_votes[k]++] = own;
                } else if (masked_survivors(&t.s, i, ROUND, &set[told[i] ^ k], &err) &
                           MASKING_SAY_VOTE) {
                    struct mask_set signed_set;
                    const struct mask_vote own = masked_vote(&t.s, i, &signed_set);
                    const size_t which = mask_set_equal(&signed_set, &set[1]) ? 1 : 0;
                    v[which][n_votes[which]++] = own;
                }
            }
        }
        size_t shares[2][MASKED_MAX] = {{0}};
        bool sets[2] = {false, false};
        for (size_t i = 0; i < n; i++) {
            for (size_t dealer = 0; i < c && dealer < n; dealer++) { /* colluders show both */
                shares[MASK_KEY][dealer]++;
                shares[MASK_SELF][dealer]++;
            }
            for (size_t k = 0; i >= c && k < 2; k++) {
                if (masked_votes(&t.s, i, ROUND, v[k], n_votes[k], &err) & MASKING_SAY_REVEAL) {
                    struct mask_reveal r[MASKED_MAX];
                    const size_t shown = masking_reveal(t.s.site[i].m, r);
                    struct mask_set signed_set;
                    (void)masked_vote(&t.s, i, &signed_set);
                    sets[mask_set_equal(&signed_set, &set[1]) ? 1 : 0] = true;
                    for (size_t j = 0; j < shown; j++) {
                        shares[r[j].which][r[j].dealer]++;
                    }
                    break; /* the machine answers a repeat with the same shares */
                }
            }
        }
        assert_false(sets[0] && sets[1]);
        opened += sets[0] || sets[1];
        for (size_t dealer = c; dealer < n; dealer++) {
            assert_false(shares[MASK_KEY][dealer] >= threshold &&
                         shares[MASK_SELF][dealer] >= threshold);
        }
        masked_release(&t.s);
    }
    assert_true(opened > 5 && opened < TRIALS);
}

/* Each half is enough for the floor, and knows nothing of the other. */
static void a_divided_roster_does_not_end_one_round_twice(void **state)
{
    (void)state;
    struct error err;
    const struct mask_terms eight = {8, 3, 0, 0, 0, 0};
    sit_down(eight, 33);
    all_announce(ROUND);
    for (size_t i = 0; i < 8; i++) {
        const struct mask_announcement *half = &t.a[i < 4 ? 0 : 4];
        assert_int_equal(masked_members(&t.s, i, ROUND, half, 4, &err), MASKING_GIVE_UP);
        assert_non_null(strstr(err.text, "cannot hold 5 shares"));
    }
    masked_release(&t.s);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void a_restarted_site_has_no_second_key_under_a_number_it_used(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 24);
    all_announce(4);
    masked_restart(&t.s, 0);
    assert_int_equal(masked_open(&t.s, 0, 4, &err), MASKING_GIVE_UP);
    assert_int_equal(masked_open(&t.s, 0, 3, &err), MASKING_GIVE_UP);
    assert_int_equal(state_of(0), MASKING_IDLE);
    assert_int_equal(masked_open(&t.s, 0, 5, &err), MASKING_KEEP_ROUND | MASKING_SAY_ANNOUNCEMENT);
    masked_release(&t.s);
}

static void an_update_is_masked_once(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 25);
    all_mask(ROUND);
    uint32_t y[MASKED_WORDS] = {1, 2, 3};
    const uint32_t same[MASKED_WORDS] = {1, 2, 3};
    assert_int_equal(masking_mask(t.s.site[0].m, ROUND, y, MASKED_WORDS, &err), RC_STATE);
    assert_memory_equal(y, same, sizeof y);
    masked_release(&t.s);
}

static void the_keys_of_a_mask_are_wiped_when_it_is_made(void **state)
{
    (void)state;
    static const struct mask_secrets none;
    static const struct masking_round nothing;
    sit_down(plain, 26);
    all_mask(ROUND);
    struct masking *m = t.s.site[0].m;
    assert_memory_equal(&m->r.secrets, &none, sizeof none);
    for (size_t i = 0; i < N; i++) {
        static const struct mask_point zero;
        assert_memory_equal(&m->at.agreed[i], &zero, sizeof zero);
        assert_memory_equal(&m->at.agreed_boxes[i], &zero, sizeof zero);
    }
    struct error err;
    const struct masking_input closed = {.event = MASKING_CLOSED, .round = ROUND};
    assert_int_equal(masking_step(m, &closed, &err), MASKING_NOTHING);
    assert_memory_equal(&m->r, &nothing, sizeof nothing);
    for (size_t i = 0; i < m->at.bytes; i++) {
        assert_int_equal(m->at.first[i], 0);
    }
    masked_release(&t.s);
}

static void two_models_under_one_number_are_refused(void **state)
{
    (void)state;
    struct error err;
    sit_down(plain, 27);
    all_announce(ROUND);
    t.s.model = hash_of("another", 7);
    const struct masking before = *t.s.site[0].m;
    assert_refused(0, &before, masked_open(&t.s, 0, ROUND, &err));
    masked_release(&t.s);
}

/* ---- sites that lie to the coordinator ------------------------------------------------------- */

static unsigned feed(struct unmasking *c, struct unmasking_input in, struct error *err)
{
    in.round = ROUND;
    return unmasking_step(c, &in, err);
}

/* An honest round up to the shares: the coordinator waits for reveals of everybody. */
static void up_to_reveals(struct unmasking **out, size_t lying_dealer)
{
    struct error err;
    struct unmasking_setup setup = {.study = t.s.study,
                                    .roster = t.s.roster,
                                    .model = t.s.model,
                                    .round = ROUND,
                                    .terms = t.s.terms,
                                    .sign = t.s.sign,
                                    .invited = everybody(),
                                    .phase_ms = 10,
                                    .update_ms = 10};
    assert_int_equal(unmasking_open(&setup, out, &err), RC_OK);
    struct unmasking *c = *out;
    all_deal(ROUND);
    for (size_t i = 0; i < N; i++) {
        (void)feed(c,
                   (struct unmasking_input){
                       .event = UNMASKING_GOT_ANNOUNCEMENT, .site = i, .announcement = &t.a[i]},
                   &err);
    }
    if (lying_dealer < N) { /* commits to another self mask than it shares */
        const struct mask_scalar other = {{9}};
        struct masking *m = t.s.site[lying_dealer].m;
        m->r.deal.self = mask_commit_self(masking_members(m), lying_dealer, &other);
        t.deal[lying_dealer] = masked_deal(&t.s, lying_dealer, t.portion[lying_dealer]);
    }
    for (size_t i = 0; i < N; i++) {
        (void)feed(c,
                   (struct unmasking_input){.event = UNMASKING_GOT_DEAL,
                                            .site = i,
                                            .deal = &t.deal[i],
                                            .portion = t.portion[i],
                                            .n = N},
                   &err);
    }
    assert_int_equal(unmasking_state(c), UNMASKING_UPDATING);
    struct mask_vote v[N];
    for (size_t i = 0; i < N; i++) {
        struct mask_parcel p[MASKED_MAX];
        struct masked_site *site = &t.s.site[i];
        const size_t n = unmasking_parcels(c, i, p);
        assert_int_equal(masked_parcels(&t.s, i, ROUND, p, n, &err), MASKING_CAN_MASK);
        memcpy(site->y, site->x, sizeof site->y);
        assert_int_equal(masking_mask(site->m, ROUND, site->y, MASKED_WORDS, &err), RC_OK);
        (void)feed(c, (struct unmasking_input){.event = UNMASKING_GOT_UPDATE, .site = i}, &err);
    }
    for (size_t i = 0; i < N; i++) {
        struct mask_set set = *unmasking_survivors(c);
        assert_int_equal(masked_survivors(&t.s, i, ROUND, &set, &err), MASKING_SAY_VOTE);
        v[i] = masked_vote(&t.s, i, &set);
        (void)feed(c,
                   (struct unmasking_input){
                       .event = UNMASKING_GOT_VOTE, .site = i, .survivors = &set, .vote = &v[i]},
                   &err);
    }
    assert_int_equal(unmasking_state(c), UNMASKING_REVEALING);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(masked_votes(&t.s, i, ROUND, v, N, &err), MASKING_SAY_REVEAL);
    }
}

static unsigned reveal(struct unmasking *c, size_t site, size_t wrong, struct error *err)
{
    struct mask_reveal r[MASKED_MAX];
    const size_t n = masking_reveal(t.s.site[site].m, r);
    if (wrong < n) {
        r[wrong].opening.share.b[3] ^= 1;
    }
    return feed(
        c,
        (struct unmasking_input){.event = UNMASKING_GOT_REVEAL, .site = site, .reveal = r, .n = n},
        err);
}

static void assert_opened(const struct unmasking *c)
{
    uint32_t sum[MASKED_WORDS] = {0}, want[MASKED_WORDS] = {0};
    size_t count;
    for (size_t i = 0; i < N; i++) {
        for (size_t w = 0; w < MASKED_WORDS; w++) {
            sum[w] += t.s.site[i].y[w];
            want[w] += t.s.site[i].x[w];
        }
    }
    const struct mask_stream *stream = unmasking_streams(c, &count);
    mask_apply(sum, MASKED_WORDS, 0, stream, count);
    assert_memory_equal(sum, want, sizeof sum);
}

static void a_wrong_share_names_its_sender_and_the_others_open_the_sum(void **state)
{
    (void)state;
    struct error err;
    struct unmasking *c = NULL;
    sit_down(plain, 28);
    up_to_reveals(&c, N);
    assert_int_equal(reveal(c, 1, 3, &err), UNMASKING_LIAR | UNMASKING_PROTOCOL_ERROR);
    assert_int_equal(unmasking_liar(c), 1);
    assert_non_null(strstr(err.text, "site 1"));
    assert_non_null(strstr(err.text, "site 3"));
    assert_int_equal(reveal(c, 0, N, &err), UNMASKING_NOTHING);
    assert_int_equal(reveal(c, 2, N, &err), UNMASKING_NOTHING);
    assert_int_equal(reveal(c, 4, N, &err), UNMASKING_UNMASK);
    assert_opened(c);
    unmasking_close(&c);
    masked_release(&t.s);
}

static void too_many_wrong_shares_fail_the_round_and_open_nothing(void **state)
{
    (void)state;
    struct error err;
    struct unmasking *c = NULL;
    sit_down(plain, 29);
    up_to_reveals(&c, N);
    assert_int_equal(reveal(c, 1, 0, &err), UNMASKING_LIAR | UNMASKING_PROTOCOL_ERROR);
    assert_int_equal(reveal(c, 2, 0, &err), UNMASKING_LIAR | UNMASKING_PROTOCOL_ERROR);
    assert_int_equal(reveal(c, 3, 0, &err),
                     UNMASKING_LIAR | UNMASKING_PROTOCOL_ERROR | UNMASKING_FAIL);
    assert_int_equal(unmasking_state(c), UNMASKING_FAILED);
    unmasking_close(&c);
    masked_release(&t.s);
}

static void a_dealer_of_another_secret_than_it_committed_to_is_named(void **state)
{
    (void)state;
    struct error err;
    struct unmasking *c = NULL;
    sit_down(plain, 30);
    up_to_reveals(&c, 2);
    assert_int_equal(reveal(c, 0, N, &err), UNMASKING_NOTHING);
    assert_int_equal(reveal(c, 1, N, &err), UNMASKING_NOTHING);
    assert_int_equal(reveal(c, 3, N, &err), UNMASKING_LIAR | UNMASKING_FAIL);
    assert_int_equal(unmasking_liar(c), 2);
    assert_non_null(strstr(err.text, "site 2"));
    unmasking_close(&c);
    masked_release(&t.s);
}

static void shares_that_nobody_asked_for_are_refused(void **state)
{
    (void)state;
    struct error err;
    struct unmasking *c = NULL;
    sit_down(plain, 31);
    up_to_reveals(&c, N);
    struct mask_reveal r[MASKED_MAX];
    const size_t n = masking_reveal(t.s.site[0].m, r);
    r[2].which = MASK_KEY; /* of a survivor */
    r[2].opening = t.s.site[0].m->at.held[2].of[MASK_KEY];
    assert_true(feed(c,
                     (struct unmasking_input){
                         .event = UNMASKING_GOT_REVEAL, .site = 0, .reveal = r, .n = n},
                     &err) &
                UNMASKING_LIAR);
    (void)masking_reveal(t.s.site[1].m, r);
    assert_true(feed(c,
                     (struct unmasking_input){.event = UNMASKING_GOT_REVEAL,
                                              .site = 1,
                                              .reveal = r,
                                              .n = n - 1}, /* one is missing */
                     &err) &
                UNMASKING_LIAR);
    unmasking_close(&c);
    masked_release(&t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_another_round_are_refused),
        cmocka_unit_test(a_key_that_the_coordinator_made_up_is_refused),
        cmocka_unit_test(signed_keys_that_are_no_points_are_refused),
        cmocka_unit_test(lists_with_a_site_twice_out_of_order_or_off_the_roster_are_refused),
        cmocka_unit_test(too_few_members_make_a_site_give_up),
        cmocka_unit_test(a_second_list_of_members_is_refused_and_the_first_answered_again),
        cmocka_unit_test(sites_that_nobody_confirmed_do_not_count_towards_the_floor),
        cmocka_unit_test(sites_that_nobody_confirmed_count_as_working_with_the_coordinator),
        cmocka_unit_test(survivors_that_nobody_confirmed_do_not_count_either),
        cmocka_unit_test(shares_for_other_members_are_refused),
        cmocka_unit_test(a_share_that_is_not_what_was_committed_to_makes_its_receiver_give_up),
        cmocka_unit_test(other_shares_under_our_name_are_refused),
        cmocka_unit_test(different_dealers_make_masks_that_do_not_cancel),
        cmocka_unit_test(the_shown_key_of_a_dropped_site_opens_no_box),
        cmocka_unit_test(a_second_survivor_set_is_refused),
        cmocka_unit_test(an_outcome_is_believed_if_it_names_the_survivors_that_were_signed),
        cmocka_unit_test(survivors_without_us_of_nobody_or_too_few_get_no_signature),
        cmocka_unit_test(survivors_before_our_own_update_are_refused),
        cmocka_unit_test(shares_are_shown_for_t_distinct_signatures_only),
        cmocka_unit_test(of_each_dealer_one_share_is_shown_and_of_the_right_secret),
        cmocka_unit_test(no_two_survivor_sets_are_opened_however_the_sites_are_divided),
        cmocka_unit_test(a_divided_roster_does_not_end_one_round_twice),
        cmocka_unit_test(a_restarted_site_has_no_second_key_under_a_number_it_used),
        cmocka_unit_test(an_update_is_masked_once),
        cmocka_unit_test(the_keys_of_a_mask_are_wiped_when_it_is_made),
        cmocka_unit_test(two_models_under_one_number_are_refused),
        cmocka_unit_test(a_wrong_share_names_its_sender_and_the_others_open_the_sum),
        cmocka_unit_test(too_many_wrong_shares_fail_the_round_and_open_nothing),
        cmocka_unit_test(a_dealer_of_another_secret_than_it_committed_to_is_named),
        cmocka_unit_test(shares_that_nobody_asked_for_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
