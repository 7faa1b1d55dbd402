#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "common/base/rng.h"
#include "common/mask/mask.h"
#include "common/mask/mask_internal.h"

enum { N_SITES = 6, WORDS = 40, ROUND = 7 };
static const size_t site[3] = {0, 2, 5};
static const struct mask_terms terms = {N_SITES, 3, 0, 0, 0, 0};
static const struct mask_terms five = {5, 3, 0, 0, 0, 0}, fewer = {N_SITES - 1, 3, 0, 0, 0, 0};

static struct hash filled(int byte)
{
    struct hash h;
    memset(h.b, byte, sizeof h.b);
    return h;
}

/* ---- the golden attempt: three sites of six, seeds a0, a2, a5 -------------------------------- */

struct golden {
    struct hash attempt, members, clique;
    struct mask_secrets secrets[3];
    struct mask_announcement announced[3];
    struct mask_deal deal[3];
};

static void golden_attempt(struct golden *g)
{
    const struct hash study = filled(0x11), roster = filled(0x22), model = filled(0x33);
    g->attempt = mask_attempt(&study, ROUND, &roster, &model, &terms);
    for (size_t i = 0; i < 3; i++) {
        struct mask_seed seed;
        memset(seed.b, 0xa0 + (int)site[i], sizeof seed.b);
        g->announced[i].site = site[i];
        mask_secrets_from(&seed, &g->attempt, &g->secrets[i], &g->announced[i].key,
                          &g->announced[i].box);
    }
    g->members = mask_members(&g->attempt, g->announced, 3);
    for (size_t i = 0; i < 3; i++) {
        g->deal[i].site = site[i];
        g->deal[i].root = filled(0x40 + (int)site[i]);
        g->deal[i].self = mask_commit_self(&g->members, site[i], &g->secrets[i].self);
    }
    g->clique = mask_clique(&g->members, g->deal, 3);
}

static struct mask_pair pair_of(const struct golden *g, size_t i, size_t j)
{
    struct error err;
    const size_t low = site[i] < site[j] ? i : j;
    const size_t high = site[i] < site[j] ? j : i;
    struct mask_pair p = {
        site[low], site[high], g->announced[low].key, g->announced[high].key, {{0}}};
    assert_int_equal(mask_agree(&g->secrets[i].key, &g->announced[j].key, &p.secret, &err), RC_OK);
    return p;
}

static struct mask_pair box_pair_of(const struct golden *g, size_t i, size_t j)
{
    struct error err;
    const size_t low = site[i] < site[j] ? i : j;
    const size_t high = site[i] < site[j] ? j : i;
    struct mask_pair p = {
        site[low], site[high], g->announced[low].box, g->announced[high].box, {{0}}};
    assert_int_equal(mask_agree(&g->secrets[i].box, &g->announced[j].box, &p.secret, &err), RC_OK);
    return p;
}

/* The line "name: hex" of tests/golden/mask_v1.txt is these bytes. */
static void assert_golden(const char *name, const void *bytes, size_t n)
{
    enum { LINE = 512 };
    char line[LINE], want[LINE], hex[2 * WORDS * 4 + 1];
    FILE *f = fopen("tests/golden/mask_v1.txt", "re");
    assert_non_null(f);
    assert_true(n <= sizeof hex / 2);
    (void)sodium_bin2hex(hex, sizeof hex, bytes, n);
    (void)snprintf(want, sizeof want, "%s: %s\n", name, hex);
    int found = 0;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, want, strlen(name) + 2) == 0) {
            assert_string_equal(line, want);
            found = 1;
        }
    }
    (void)fclose(f);
    assert_true(found);
}

static void keys_shares_and_names_are_what_a_second_implementation_computes(void **state)
{
    (void)state;
    static struct golden g;
    char name[64];
    static const char *const secret[2] = {"key", "self"};
    golden_attempt(&g);
    assert_golden("attempt", g.attempt.b, 32);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "key %zu", site[i]);
        assert_golden(name, g.secrets[i].key.b, 32);
        (void)snprintf(name, sizeof name, "self %zu", site[i]);
        assert_golden(name, g.secrets[i].self.b, 32);
        (void)snprintf(name, sizeof name, "public %zu", site[i]);
        assert_golden(name, g.announced[i].key.b, 32);
        (void)snprintf(name, sizeof name, "box public %zu", site[i]);
        assert_golden(name, g.announced[i].box.b, 32);
    }
    assert_golden("members", g.members.b, 32);
    static struct mask_polynomials p;
    mask_polynomials_make(&g.secrets[1], &g.members, 2, &p);
    for (size_t i = 0; i < 3; i++) {
        struct mask_openings o;
        mask_deal_share(&p, &g.members, site[i], &o);
        for (size_t which = 0; which < 2; which++) {
            const struct hash c =
                mask_commit(&g.members, 2, site[i], (enum mask_secret)which, &o.of[which]);
            (void)snprintf(name, sizeof name, "share 2 %zu %s", site[i], secret[which]);
            assert_golden(name, o.of[which].share.b, 32);
            (void)snprintf(name, sizeof name, "commitment 2 %zu %s", site[i], secret[which]);
            assert_golden(name, c.b, 32);
        }
    }
    assert_golden("hidden 2", g.deal[1].self.b, 32);
    assert_golden("clique", g.clique.b, 32);
    const struct mask_pair pair = box_pair_of(&g, 1, 2);
    unsigned char key[32];
    mask_pair_key(&pair, "wardround mask box v1", &g.members, 2, key);
    assert_golden("box key 2 to 5", key, sizeof key);
}

static size_t streams_of(const struct golden *g, size_t i, struct mask_stream *out)
{
    size_t n = 0;
    for (size_t j = 0; j < 3; j++) {
        if (j == i) {
            mask_stream_self(&g->secrets[i].self, &g->clique, site[i], &out[n++]);
        } else {
            const struct mask_pair p = pair_of(g, i, j);
            mask_stream_pair(&p, &g->clique, site[i], &out[n++]);
        }
    }
    return n;
}

static void masked_updates_are_what_a_second_implementation_computes(void **state)
{
    (void)state;
    static struct golden g;
    golden_attempt(&g);
    for (size_t i = 0; i < 3; i++) {
        struct mask_stream stream[3];
        uint32_t x[WORDS];
        char name[64];
        for (size_t w = 0; w < WORDS; w++) {
            x[w] = (uint32_t)(1000 * site[i] + w);
        }
        mask_apply(x, WORDS, 0, stream, streams_of(&g, i, stream));
        (void)snprintf(name, sizeof name, "masked %zu", site[i]);
        assert_golden(name, x, sizeof x);
    }
}

static void pair_masks_cancel_in_the_sum_and_self_masks_do_not(void **state)
{
    (void)state;
    enum { N = 5000 };
    static struct golden g;
    static uint32_t sum[N], x[N];
    golden_attempt(&g);
    memset(sum, 0, sizeof sum);
    for (size_t i = 0; i < 3; i++) {
        struct mask_stream stream[3];
        memset(x, 0, sizeof x);
        mask_apply(x, N, 0, stream, streams_of(&g, i, stream));
        for (size_t w = 0; w < N; w++) {
            sum[w] += x[w];
        }
    }
    size_t zeros = 0;
    for (size_t w = 0; w < N; w++) {
        zeros += sum[w] == 0;
    }
    assert_true(zeros < 3);
    for (size_t i = 0; i < 3; i++) {
        struct mask_stream self;
        mask_stream_self(&g.secrets[i].self, &g.clique, site[i], &self);
        self.subtract = true;
        mask_apply(sum, N, 0, &self, 1);
    }
    for (size_t w = 0; w < N; w++) {
        assert_int_equal(sum[w], 0);
    }
}

static void slices_masked_apart_are_the_whole_masked_at_once(void **state)
{
    (void)state;
    enum { N = 3 * 2048 + 77 };
    static struct golden g;
    static uint32_t whole[N];
    static unsigned char apart[4 * N + 1]; /* also at an odd address */
    struct mask_stream stream[3];
    golden_attempt(&g);
    const size_t count = streams_of(&g, 1, stream);
    memset(whole, 0, sizeof whole);
    memset(apart, 0, sizeof apart);
    mask_apply(whole, N, 0, stream, count);
    static const size_t cut[] = {0, 16, 16 * 17, 2048, 4096 + 16, N};
    for (size_t i = 5; i-- > 0;) {
        mask_apply(apart + 1 + 4 * cut[i], cut[i + 1] - cut[i], cut[i], stream, count);
    }
    assert_memory_equal(whole, apart + 1, 4 * N);
}

/* Sixteen numbers are one block, which libsodium makes; of many a wide processor makes sixteen blocks at a time. */
static void a_mask_is_the_same_however_many_blocks_are_made_at_a_time(void **state)
{
    (void)state;
    enum { N = 3 * 256 + 77 };
    static const size_t first[] = {0, ((size_t)1 << 36) - 5 * MASK_BLOCK}; /* block 2^32 - 5 */
    static unsigned char wide[4 * N + 1]; /* also at an odd address */
    static unsigned char narrow[4 * N];
    struct mask_stream stream = {.subtract = false};
    for (size_t i = 0; i < sizeof stream.key; i++) {
        stream.key[i] = (unsigned char)(7 * i + 1);
    }
    for (size_t way = 0; way < 4; way++) {
        stream.subtract = way % 2 == 1;
        memset(wide, 0xa5, sizeof wide);
        memset(narrow, 0xa5, sizeof narrow);
        mask_apply(wide + 1, N, first[way / 2], &stream, 1);
        for (size_t at = 0; at < N; at += MASK_BLOCK) {
            const size_t n = N - at < MASK_BLOCK ? N - at : MASK_BLOCK;
            mask_apply(narrow + 4 * at, n, first[way / 2] + at, &stream, 1);
        }
        assert_memory_equal(wide + 1, narrow, sizeof narrow);
    }
}

static void a_mask_depends_on_clique_pair_and_round(void **state)
{
    (void)state;
    static struct golden g;
    struct mask_stream a, b;
    golden_attempt(&g);
    struct mask_pair p = pair_of(&g, 0, 1);
    mask_stream_pair(&p, &g.clique, 0, &a);
    mask_stream_pair(&p, &g.members, 0, &b); /* another clique */
    assert_memory_not_equal(a.key, b.key, 32);
    p.secret.b[0] ^= 1;
    mask_stream_pair(&p, &g.clique, 0, &b);
    assert_memory_not_equal(a.key, b.key, 32);
    const struct hash study = filled(0x11), roster = filled(0x22), model = filled(0x33);
    const struct hash next = mask_attempt(&study, ROUND + 1, &roster, &model, &terms);
    assert_false(hash_equal(&next, &g.attempt));
    struct mask_secrets s;
    struct mask_point key, box;
    mask_secrets_from(&g.secrets[0].seed, &next, &s, &key, &box); /* even from the same seed */
    assert_memory_not_equal(key.b, g.announced[0].key.b, 32);
    assert_memory_not_equal(box.b, g.announced[0].box.b, 32);
    assert_memory_not_equal(box.b, key.b, 32);
    assert_memory_not_equal(s.self.b, g.secrets[0].self.b, 32);
}

/* ---- shares ---------------------------------------------------------------------------------- */

static void any_t_shares_open_a_secret_and_others_do_not(void **state)
{
    (void)state;
    static struct golden g;
    static struct mask_polynomials p;
    static struct mask_lagrange l;
    struct error err;
    struct rng rng;
    const uint64_t seed = 20261128;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, "shares");
    golden_attempt(&g);
    for (size_t trial = 0; trial < 60; trial++) {
        const size_t n = 3 + rng_below(&rng, MASK_SLOTS_MAX - 2);
        const size_t t = 2 + rng_below(&rng, n - 1);
        size_t who[MASK_SLOTS_MAX];
        struct mask_scalar share[MASK_SLOTS_MAX], secret;
        const enum mask_secret which = trial % 2 == 0 ? MASK_KEY : MASK_SELF;
        const struct mask_secrets *s = &g.secrets[trial % 3];
        for (size_t i = 0; i < n; i++) {
            who[i] = i;
        }
        rng_shuffle(&rng, who, n);
        mask_polynomials_make(s, &g.members, t, &p);
        for (size_t i = 0; i < t; i++) {
            struct mask_openings o;
            mask_deal_share(&p, &g.members, who[i], &o);
            share[i] = o.of[which].share;
        }
        const struct mask_scalar *want = which == MASK_KEY ? &s->key : &s->self;
        assert_int_equal(mask_lagrange_at(who, t, &l, &err), RC_OK);
        assert_int_equal(mask_combine(&l, t, who, share, t, &secret, &err), RC_OK);
        assert_memory_equal(secret.b, want->b, 32);
        /* One fewer is another polynomial's value. */
        assert_int_equal(mask_lagrange_at(who, t - 1, &l, &err), RC_OK);
        assert_int_equal(mask_combine(&l, t - 1, who, share, t - 1, &secret, &err), RC_OK);
        assert_memory_not_equal(secret.b, want->b, 32);
        assert_int_equal(mask_combine(&l, t, who, share, t - 1, &secret, &err), RC_INVALID);
    }
}

static void shares_of_one_site_twice_or_of_none_are_refused(void **state)
{
    (void)state;
    static struct mask_lagrange l;
    struct error err;
    static const size_t twice[] = {4, 1, 4}, none[] = {4, 1, MASK_SITES_MAX};
    assert_int_equal(mask_lagrange_at(twice, 3, &l, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "same site 4"));
    assert_int_equal(mask_lagrange_at(none, 3, &l, &err), RC_INVALID);
    assert_int_equal(mask_lagrange_at(none, 0, &l, &err), RC_INVALID);
    static const size_t good[] = {4, 1}, other[] = {1, 4};
    struct mask_scalar share[2] = {{{1}}, {{2}}}, secret;
    assert_int_equal(mask_lagrange_at(good, 2, &l, &err), RC_OK);
    assert_int_equal(mask_combine(&l, 2, other, share, 2, &secret, &err), RC_INVALID);
}

static void two_sets_of_t_signers_always_share_more_than_the_colluding(void **state)
{
    (void)state;
    for (size_t n = 3; n <= MASK_SITES_MAX; n++) {
        for (size_t c = 0; c + 2 <= n; c++) {
            const struct mask_terms a = {n, n, c, 0, 0, 0};
            const size_t t = mask_threshold(&a);
            assert_true(2 * t > n + c);
            assert_true(2 * (t - 1) <= n + c);
            assert_true(t <= n);
        }
    }
    const struct mask_terms higher = {10, 5, 0, 8, 0, 0};
    assert_int_equal(mask_threshold(&higher), 8);
}

static void terms_that_hide_nothing_are_refused(void **state)
{
    (void)state;
    struct error err;
    static const struct mask_terms bad[] = {
        {2, 2, 0, 0, 0, 0},          {3, 2, 0, 0, 0, 0},         {4, 3, 2, 0, 0, 0},
        {4, 5, 0, 0, 0, 0},          {4, 4, 0, 5, 0, 0},         {129, 129, 0, 0, 0, 0},
        {12, 10, 1, 0, 0, 4},        {12, 10, 1, 0, 12, 9},      {12, 10, 1, 0, 6, 7},
        {12, 10, 1, 0, 6, 0},        {12, 10, 1, 0, 3, 2},       {1000, 900, 100, 0, 52, 22},
        {1000, 900, 101, 0, 40, 20}, {1025, 1025, 0, 0, 60, 30},
    };
    static const struct mask_terms good[] = {{3, 3, 0, 0, 0, 0},   {3, 3, 1, 0, 0, 0},
                                             {4, 4, 2, 4, 0, 0},   {128, 3, 1, 0, 0, 0},
                                             {12, 10, 1, 0, 8, 6}, {1000, 900, 100, 0, 52, 28}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(mask_terms_check(&bad[i], 0, &err), RC_INVALID);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(mask_terms_check(&good[i], 0, &err), RC_OK);
    }
    /* Strangers count as colluding: 52 neighbours are for 100 of them, and not for 130. */
    assert_int_equal(mask_terms_check(&good[5], 30, &err), RC_INVALID);
    const struct mask_terms spare = {1000, 900, 70, 0, 52, 28};
    assert_int_equal(mask_terms_check(&spare, 30, &err), RC_OK);
}

/* ---- boxes and commitments ------------------------------------------------------------------- */

static void a_box_opens_for_its_receiver_and_shows_every_changed_byte(void **state)
{
    (void)state;
    static struct golden g;
    static struct mask_polynomials p;
    struct mask_openings o, got;
    struct mask_box box;
    struct error err;
    golden_attempt(&g);
    mask_polynomials_make(&g.secrets[1], &g.members, 2, &p);
    mask_deal_share(&p, &g.members, 5, &o);
    const struct mask_pair ours = box_pair_of(&g, 1, 2), theirs = box_pair_of(&g, 2, 1);
    mask_box_seal(&ours, &g.members, 2, &o, &box);
    assert_int_equal(mask_box_open(&theirs, &g.members, 2, &box, &got, &err), RC_OK);
    assert_memory_equal(&got, &o, sizeof o);
    memset(&got, 0, sizeof got);
    const struct mask_openings untouched = got;
    for (size_t i = 0; i < sizeof box.b; i++) {
        box.b[i] ^= 4;
        assert_int_equal(mask_box_open(&theirs, &g.members, 2, &box, &got, &err), RC_AUTH);
        box.b[i] ^= 4;
    }
    /* Turned round, of other members, or for somebody else. */
    assert_int_equal(mask_box_open(&theirs, &g.members, 5, &box, &got, &err), RC_AUTH);
    assert_int_equal(mask_box_open(&theirs, &g.clique, 2, &box, &got, &err), RC_AUTH);
    const struct mask_pair other = box_pair_of(&g, 0, 1);
    assert_int_equal(mask_box_open(&other, &g.members, 2, &box, &got, &err), RC_AUTH);
    assert_memory_equal(&got, &untouched, sizeof got);
}

static void a_box_with_a_number_that_is_no_scalar_is_refused(void **state)
{
    (void)state;
    static struct golden g;
    struct mask_openings o, got;
    struct mask_box box;
    struct error err;
    golden_attempt(&g);
    memset(&o, 0, sizeof o);
    memset(o.of[MASK_SELF].share.b, 0xff, 32);
    const struct mask_pair pair = box_pair_of(&g, 1, 2);
    mask_box_seal(&pair, &g.members, 2, &o, &box);
    assert_int_equal(mask_box_open(&pair, &g.members, 2, &box, &got, &err), RC_AUTH);
}

static void a_commitment_depends_on_everything_it_is_about(void **state)
{
    (void)state;
    static struct golden g;
    golden_attempt(&g);
    struct mask_opening o;
    memset(&o, 7, sizeof o);
    struct hash c[7];
    size_t n = 0;
    c[n++] = mask_commit(&g.members, 2, 5, MASK_KEY, &o);
    c[n++] = mask_commit(&g.attempt, 2, 5, MASK_KEY, &o);
    c[n++] = mask_commit(&g.members, 5, 2, MASK_KEY, &o);
    c[n++] = mask_commit(&g.members, 2, 0, MASK_KEY, &o);
    c[n++] = mask_commit(&g.members, 2, 5, MASK_SELF, &o);
    o.share.b[31] ^= 1;
    c[n++] = mask_commit(&g.members, 2, 5, MASK_KEY, &o);
    o.share.b[31] ^= 1;
    o.blinding[0] ^= 1;
    c[n++] = mask_commit(&g.members, 2, 5, MASK_KEY, &o);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&c[i], &c[j]));
        }
    }
}

static void a_tree_holds_each_leaf_at_its_place_and_no_other(void **state)
{
    (void)state;
    static const size_t sizes[] = {3, 4, 5, 8, 100, MASK_SLOTS_MAX};
    static struct mask_portion portion[MASK_SLOTS_MAX];
    static struct mask_tree tree;
    for (size_t i = 0; i < MASK_SLOTS_MAX; i++) {
        memset(&portion[i].commitments, (int)i, sizeof portion[i].commitments);
        memset(&portion[i].box, (int)i + 1, sizeof portion[i].box);
    }
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const size_t n = sizes[k];
        mask_tree_build(portion, n, &tree);
        const struct hash root = tree.node[1];
        for (size_t i = 0; i < n; i++) {
            struct mask_path path;
            mask_tree_path(&tree, i, &path);
            assert_true(mask_tree_holds(&root, n, i, &portion[i], &path));
            const size_t j = (i + 1) % n;
            assert_false(mask_tree_holds(&root, n, j, &portion[i], &path));
            assert_false(mask_tree_holds(&root, n, i, &portion[j], &path));
            struct mask_portion changed = portion[i];
            changed.box.b[MASK_BOX_BYTES - 1] ^= 1;
            assert_false(mask_tree_holds(&root, n, i, &changed, &path));
            changed = portion[i];
            changed.commitments.of[MASK_SELF].b[31] ^= 1;
            assert_false(mask_tree_holds(&root, n, i, &changed, &path));
            path.sibling[0].b[5] ^= 1;
            assert_false(mask_tree_holds(&root, n, i, &portion[i], &path));
        }
        assert_false(mask_tree_holds(&root, n, n, &portion[0], &(struct mask_path){{{{0}}}}));
    }
}

/* ---- what is signed -------------------------------------------------------------------------- */

static void a_statement_holds_for_its_signer_its_name_and_its_words_only(void **state)
{
    (void)state;
    static struct golden g;
    struct seal_keys *keys = NULL, *others = NULL;
    struct seal_public sign, other;
    struct seal_curve curve;
    struct error err;
    golden_attempt(&g);
    assert_int_equal(seal_keys_random(&keys, &err), RC_OK);
    assert_int_equal(seal_keys_random(&others, &err), RC_OK);
    seal_keys_public(keys, &sign, &curve);
    seal_keys_public(others, &other, &curve);

    struct mask_announcement a = g.announced[1];
    mask_announcement_sign(keys, &g.attempt, &a);
    assert_int_equal(mask_announcement_verify(&sign, &g.attempt, &a, &err), RC_OK);
    assert_int_equal(mask_announcement_verify(&other, &g.attempt, &a, &err), RC_AUTH);
    assert_int_equal(mask_announcement_verify(&sign, &g.members, &a, &err), RC_AUTH);
    a.site = 1;
    assert_int_equal(mask_announcement_verify(&sign, &g.attempt, &a, &err), RC_AUTH);
    a = g.announced[1];
    memset(a.key.b, 0, sizeof a.key.b); /* the identity, signed rightly */
    mask_announcement_sign(keys, &g.attempt, &a);
    assert_int_equal(mask_announcement_verify(&sign, &g.attempt, &a, &err), RC_AUTH);
    memset(a.key.b, 0xff, sizeof a.key.b); /* no element */
    mask_announcement_sign(keys, &g.attempt, &a);
    assert_int_equal(mask_announcement_verify(&sign, &g.attempt, &a, &err), RC_AUTH);
    a = g.announced[1];
    memset(a.box.b, 0, sizeof a.box.b);
    mask_announcement_sign(keys, &g.attempt, &a);
    assert_int_equal(mask_announcement_verify(&sign, &g.attempt, &a, &err), RC_AUTH);
    a = g.announced[1];
    mask_announcement_sign(keys, &g.attempt, &a);
    a.box = g.announced[0].box; /* the key for boxes is signed, too */
    assert_int_equal(mask_announcement_verify(&sign, &g.attempt, &a, &err), RC_AUTH);

    struct mask_deal d = g.deal[1];
    mask_deal_sign(keys, &g.members, &d);
    assert_int_equal(mask_deal_verify(&sign, &g.members, &d, &err), RC_OK);
    assert_int_equal(mask_deal_verify(&sign, &g.attempt, &d, &err), RC_AUTH);
    d.self.b[0] ^= 1;
    assert_int_equal(mask_deal_verify(&sign, &g.members, &d, &err), RC_AUTH);
    d.self.b[0] ^= 1;
    d.root.b[0] ^= 1;
    assert_int_equal(mask_deal_verify(&sign, &g.members, &d, &err), RC_AUTH);

    struct mask_set survivors = {{0}}, less = {{0}};
    mask_set_add(&survivors, 2);
    mask_set_add(&survivors, 5);
    mask_set_add(&less, 2);
    struct mask_vote v = {.site = 2};
    mask_vote_sign(keys, &g.clique, &survivors, &v);
    assert_int_equal(mask_vote_verify(&sign, &g.clique, &survivors, &v, &err), RC_OK);
    assert_int_equal(mask_vote_verify(&sign, &g.clique, &less, &v, &err), RC_AUTH);
    assert_int_equal(mask_vote_verify(&sign, &g.members, &survivors, &v, &err), RC_AUTH);
    v.site = 5;
    assert_int_equal(mask_vote_verify(&sign, &g.clique, &survivors, &v, &err), RC_AUTH);
    seal_keys_close(&keys);
    seal_keys_close(&others);
}

static void a_key_outside_the_group_agrees_with_nobody(void **state)
{
    (void)state;
    static struct golden g;
    struct error err;
    golden_attempt(&g);
    struct mask_point bad, out;
    memset(bad.b, 0, sizeof bad.b);
    assert_int_equal(mask_agree(&g.secrets[0].key, &bad, &out, &err), RC_AUTH);
    memset(bad.b, 0xff, sizeof bad.b);
    assert_int_equal(mask_agree(&g.secrets[0].key, &bad, &out, &err), RC_AUTH);
}

static void sets_know_their_members(void **state)
{
    (void)state;
    struct mask_set a = {{0}}, b = {{0}};
    mask_set_add(&a, 0);
    mask_set_add(&a, 127);
    mask_set_add(&b, 127);
    assert_true(mask_set_has(&a, 0));
    assert_false(mask_set_has(&a, 1));
    assert_false(mask_set_has(&a, 128));
    assert_int_equal(mask_set_count(&a), 2);
    assert_true(mask_set_within(&b, &a));
    assert_false(mask_set_within(&a, &b));
    assert_false(mask_set_equal(&a, &b));
    mask_set_add(&b, 0);
    assert_true(mask_set_equal(&a, &b));
}

/* ---- raw frames ------------------------------------------------------------------------------ */

static void a_frame_comes_back_as_it_was_and_only_in_its_size(void **state)
{
    (void)state;
    static struct golden g;
    static unsigned char raw[MASK_RAW_MAX];
    struct error err;
    struct mask_announcement a[N_SITES];
    struct mask_vote v = {.site = 5}, got_vote;
    struct mask_set s = {{0}}, got_set;
    struct mask_reveal r[2] = {{2, MASK_SELF, {{{1}}, {2}}}, {5, MASK_KEY, {{{3}}, {4}}}};
    struct mask_reveal got[N_SITES];
    size_t n;
    golden_attempt(&g);
    memset(v.signature.b, 9, sizeof v.signature.b);
    mask_set_add(&s, 2);
    mask_set_add(&s, 5);

    size_t bytes = mask_pack_announcements(g.announced, 3, raw);
    assert_int_equal(mask_unpack_announcements(raw, bytes, &terms, a, &n, &err), RC_OK);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(a[i].site, site[i]);
        assert_memory_equal(a[i].key.b, g.announced[i].key.b, 32);
        assert_memory_equal(a[i].box.b, g.announced[i].box.b, 32);
    }
    assert_int_equal(mask_unpack_announcements(raw, bytes - 1, &terms, a, &n, &err), RC_FORMAT);
    assert_int_equal(mask_unpack_announcements(raw, 0, &terms, a, &n, &err), RC_FORMAT);
    assert_int_equal(mask_unpack_announcements(raw, bytes, &five, a, &n, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "site 5"));

    bytes = mask_pack_vote(&s, &v, raw);
    assert_int_equal(mask_unpack_vote(raw, bytes, N_SITES, &got_set, &got_vote, &err), RC_OK);
    assert_true(mask_set_equal(&s, &got_set));
    assert_int_equal(got_vote.site, 5);
    assert_memory_equal(got_vote.signature.b, v.signature.b, 64);
    assert_int_equal(mask_unpack_vote(raw, bytes + 1, N_SITES, &got_set, &got_vote, &err),
                     RC_FORMAT);
    struct mask_vote got_list[N_SITES];
    assert_int_equal(mask_unpack_survivors(raw, MASK_SET_BYTES, 5, &got_set, got_list, &n, &err),
                     RC_FORMAT);
    for (size_t lists = 0; lists < 3; lists++) {
        const struct mask_vote list[2] = {v, {.site = 2}};
        bytes = mask_pack_survivors(&s, list, lists, raw);
        assert_int_equal(mask_unpack_survivors(raw, bytes, N_SITES, &got_set, got_list, &n, &err),
                         RC_OK);
        assert_true(mask_set_equal(&s, &got_set));
        assert_int_equal(n, lists);
        assert_memory_equal(got_list, list, lists * sizeof list[0]);
        assert_int_equal(mask_unpack_survivors(raw, bytes + 1, N_SITES, &got_set, got_list, &n,
                                               &err),
                         RC_FORMAT);
    }

    bytes = mask_pack_reveals(r, 2, raw);
    assert_int_equal(mask_unpack_reveals(raw, bytes, N_SITES, got, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(got[0].which, MASK_SELF);
    assert_int_equal(got[1].which, MASK_KEY);
    assert_memory_equal(&got[1].opening, &r[1].opening, sizeof r[1].opening);
    raw[2] = 2;
    assert_int_equal(mask_unpack_reveals(raw, bytes, N_SITES, got, &n, &err), RC_FORMAT);
}

static void shares_and_parcels_come_back_as_they_were(void **state)
{
    (void)state;
    static struct golden g;
    static unsigned char raw[MASK_RAW_MAX];
    static struct mask_portion portion[N_SITES], got[N_SITES];
    static struct mask_parcel p[2], got_parcel[N_SITES];
    struct mask_deal d;
    struct error err;
    size_t n;
    golden_attempt(&g);
    for (size_t i = 0; i < N_SITES; i++) {
        memset(&portion[i], (int)i + 1, sizeof portion[i]);
    }
    size_t bytes = mask_pack_shares(&g.deal[1], portion, N_SITES, raw);
    assert_int_equal(mask_unpack_shares(raw, bytes, &terms, &d, got, &err), RC_OK);
    assert_int_equal(d.site, 2);
    assert_true(hash_equal(&d.root, &g.deal[1].root));
    assert_true(hash_equal(&d.self, &g.deal[1].self));
    assert_memory_equal(got, portion, sizeof portion);
    assert_int_equal(mask_unpack_shares(raw, bytes, &fewer, &d, got, &err), RC_FORMAT);
    for (size_t i = 0; i < 2; i++) {
        p[i].deal = g.deal[i];
        p[i].held = true;
        memset(&p[i].box, (int)i + 3, sizeof p[i].box);
        memset(&p[i].path, (int)i + 5, sizeof p[i].path);
    }
    bytes = mask_pack_parcels(p, 2, raw);
    assert_int_equal(mask_unpack_parcels(raw, bytes, &terms, got_parcel, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(&got_parcel[1].box, &p[1].box, sizeof p[1].box);
    assert_memory_equal(&got_parcel[1].path, &p[1].path, sizeof p[1].path);
    assert_true(hash_equal(&got_parcel[1].deal.root, &p[1].deal.root));
}

static int start(void **state)
{
    (void)state;
    struct error err;
    return mask_start(&err) != RC_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_shares_and_names_are_what_a_second_implementation_computes),
        cmocka_unit_test(masked_updates_are_what_a_second_implementation_computes),
        cmocka_unit_test(pair_masks_cancel_in_the_sum_and_self_masks_do_not),
        cmocka_unit_test(slices_masked_apart_are_the_whole_masked_at_once),
        cmocka_unit_test(a_mask_is_the_same_however_many_blocks_are_made_at_a_time),
        cmocka_unit_test(a_mask_depends_on_clique_pair_and_round),
        cmocka_unit_test(any_t_shares_open_a_secret_and_others_do_not),
        cmocka_unit_test(shares_of_one_site_twice_or_of_none_are_refused),
        cmocka_unit_test(two_sets_of_t_signers_always_share_more_than_the_colluding),
        cmocka_unit_test(terms_that_hide_nothing_are_refused),
        cmocka_unit_test(a_box_opens_for_its_receiver_and_shows_every_changed_byte),
        cmocka_unit_test(a_box_with_a_number_that_is_no_scalar_is_refused),
        cmocka_unit_test(a_commitment_depends_on_everything_it_is_about),
        cmocka_unit_test(a_tree_holds_each_leaf_at_its_place_and_no_other),
        cmocka_unit_test(a_statement_holds_for_its_signer_its_name_and_its_words_only),
        cmocka_unit_test(a_key_outside_the_group_agrees_with_nobody),
        cmocka_unit_test(sets_know_their_members),
        cmocka_unit_test(a_frame_comes_back_as_it_was_and_only_in_its_size),
        cmocka_unit_test(shares_and_parcels_come_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
