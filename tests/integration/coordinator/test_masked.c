/* Masked rounds of `wardround-aggregator run`, against sites that a test speaks for: what a restart makes
 * of a round that somebody has left. Real processes, real sockets on loopback. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/registry/registry.h"
#include "common/base/hash.h"
#include "common/mask/mask.h"
#include "common/store/store.h"
#include "tests/integration/coordinator/aggregator.h"
#include "tests/integration/coordinator/fake_site.h"

enum { SITES = 4 };

static struct aggregator north;
static struct fake_site site[SITES];

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < SITES; i++) {
        fake_release(&site[i]);
    }
    aggregator_remove(&north);
    return 0;
}

static void connect_all(void)
{
    for (size_t i = 0; i < SITES; i++) {
        fake_connect(&site[i], &north.card, north.port);
        fake_hello(&site[i]);
        fake_say(&site[i], WIRE_ACCEPT, 0, NULL);
    }
}

static int start(unsigned round_s, unsigned hidden)
{
    static const char *const name[SITES] = {"a", "b", "c", "d"};
    struct seal_card card[SITES];
    for (size_t i = 0; i < SITES; i++) {
        fake_init(&site[i], name[i]);
        card[i] = site[i].card;
    }
    aggregator_make(&north, &(struct study_words){.sites = "a b c d",
                                                  .quorum = 3,
                                                  .round_s = round_s,
                                                  .spare = hidden > 0,
                                                  .hidden = hidden,
                                                  .masked = card});
    for (size_t i = 0; i < SITES; i++) {
        aggregator_enrol(&north, &card[i]);
    }
    aggregator_run(&north);
    connect_all();
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return start(60, 0);
}

/* Phases end after a second. */
static int set_up_hasty(void **state)
{
    (void)state;
    return start(4, 0);
}

/* A model of which the hash is a tree's, and a round to spare. */
static int set_up_large(void **state)
{
    (void)state;
    return start(60, 100);
}

/* The name of a round with this model. */
static struct hash attempt_of(const struct fake_site *s, uint64_t round, const struct hash *model)
{
    const struct mask_terms terms = {.n_sites = SITES, .min_sites = 3};
    struct seal_public sign[SITES];
    const char *name[SITES];
    for (size_t i = 0; i < SITES; i++) {
        name[i] = site[i].name;
        sign[i] = site[i].card.sign;
    }
    const struct hash roster = mask_roster(name, sign, SITES);
    return mask_attempt(&s->study, round, &roster, model, &terms);
}

static struct mask_announcement announcement_of(size_t i, uint64_t round, const struct hash *model)
{
    struct mask_seed seed;
    struct mask_secrets secrets;
    struct mask_announcement own = {.site = i};
    memset(seed.b, (int)i + 1, sizeof seed.b);
    const struct hash attempt = attempt_of(&site[i], round, model);
    mask_secrets_from(&seed, &attempt, &secrets, &own.key, &own.box);
    mask_announcement_sign(site[i].keys, &attempt, &own);
    return own;
}

static struct wire_tensor model; /* of the last ROUND */

static void say_key(size_t i)
{
    unsigned char frame[MASK_ANNOUNCEMENT_BYTES];
    (void)fake_hear(&site[i], WIRE_ROUND);
    model = site[i].heard.tensor;
    const struct mask_announcement own = announcement_of(i, site[i].heard.round, &model.hash);
    struct wire_message m = {.kind = WIRE_MASK_KEY,
                             .study = site[i].study,
                             .round = site[i].heard.round};
    fake_send(&site[i], &m, frame, mask_pack_announcements(&own, 1, frame));
}

/* Whose key was taken is asked for shares; one of them leaves, and the coordinator is killed. All are told
 * of the same members again: another list would be a lie, and shares for it would not open. */
static void goes_on_without(size_t leaver)
{
    const size_t stayer = leaver == 0 ? 1 : 0;
    unsigned char members[SITES * MASK_ANNOUNCEMENT_BYTES];
    for (size_t i = 0; i < SITES; i++) {
        say_key(i);
    }
    (void)fake_hear(&site[stayer], WIRE_MASK_MEMBERS);
    assert_int_equal(site[stayer].heard.raw_bytes, sizeof members);
    memcpy(members, site[stayer].heard_raw, sizeof members);
    fake_say(&site[leaver], WIRE_CANNOT, 1, "the disk is full");
    (void)fake_hear(&site[leaver], WIRE_ACK); /* it is kept */

    aggregator_signal(&north, SIGKILL);
    assert_int_equal(aggregator_wait(&north), 128 + SIGKILL);
    aggregator_run(&north);
    connect_all();
    (void)fake_hear(&site[stayer], WIRE_MASK_MEMBERS);
    assert_int_equal(site[stayer].heard.round, 1);
    assert_int_equal(site[stayer].heard.raw_bytes, sizeof members);
    assert_memory_equal(site[stayer].heard_raw, members, sizeof members);
}

static void a_round_goes_on_after_a_restart_without_the_last_that_gave_its_key(void **state)
{
    (void)state;
    goes_on_without(SITES - 1);
}

static void a_round_goes_on_after_a_restart_without_the_first_that_gave_its_key(void **state)
{
    (void)state;
    goes_on_without(0);
}

/* What a coordinator of the protocol's version 1 would have kept of the round: keys signed for a model that is named
 * by the hash of those days. */
static void keep_older_keys(const struct hash *before)
{
    struct mask_announcement own[SITES];
    unsigned char bytes[SITES * MASK_ANNOUNCEMENT_BYTES];
    char path[256];
    struct store *store = NULL;
    struct statement *st = NULL;
    struct error err = {0};
    for (size_t i = 0; i < SITES; i++) {
        own[i] = announcement_of(i, 1, before);
    }
    (void)snprintf(path, sizeof path, "%s/registry.db", north.folder);
    assert_int_equal(store_open(path, &registry_store_kind, &store, &err), RC_OK);
    assert_int_equal(store_prepare(store, "UPDATE phase SET bytes = ? WHERE round = 1", &st, &err),
                     RC_OK);
    statement_bind_blob(st, bytes, mask_pack_announcements(own, SITES, bytes));
    assert_int_equal(statement_run(st, &err), RC_OK);
    statement_close(&st);
    store_close(&store);
}

static void a_round_that_an_older_program_began_is_lost_and_the_next_one_opens(void **state)
{
    (void)state;
    for (size_t i = 0; i < SITES; i++) {
        say_key(i);
    }
    (void)fake_hear(&site[0], WIRE_MASK_MEMBERS);
    unsigned char *bytes = fake_download(&site[0], &model);
    const struct hash before = hash_before_trees(bytes, model.bytes);
    free(bytes);
    assert_false(hash_equal(&before, &model.hash));

    aggregator_signal(&north, SIGKILL);
    assert_int_equal(aggregator_wait(&north), 128 + SIGKILL);
    keep_older_keys(&before);
    aggregator_run(&north);
    connect_all();
    (void)fake_hear(&site[0], WIRE_ROUND);
    assert_int_equal(site[0].heard.round, 2);
    assert_true(aggregator_logged(&north, "round 1: it was begun by an older program"));
}

/* Two of four, and three are needed: no spare round is left, and people want to know whom to call. */
static void a_round_lost_for_want_of_answers_says_whose(void **state)
{
    (void)state;
    say_key(0);
    say_key(2);
    const json_t *end = aggregator_event(&north, "done");
    assert_string_equal(
        json_string_value(json_object_get(end, "reason")),
        "round 1: 2 of 4 sites announced a round key in time, 3 are needed; without b d");
    const json_t *absent = json_object_get(end, "absent");
    assert_int_equal(json_array_size(absent), SITES);
    assert_string_equal(json_string_value(json_object_get(json_array_get(absent, 0), "reason")),
                        "no sum was opened");
}

static void a_round_lost_to_updates_that_are_not_finite_says_what_to_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < SITES; i++) {
        say_key(i);
    }
    (void)fake_hear(&site[0], WIRE_MASK_MEMBERS);
    fake_say(&site[1], WIRE_CANNOT, 1, WIRE_DIVERGED);
    fake_say(&site[3], WIRE_CANNOT, 1, WIRE_DIVERGED);
    const json_t *end = aggregator_event(&north, "done");
    assert_string_equal(json_string_value(json_object_get(end, "reason")),
                        "round 1: 0 of 4 sites dealt shares in time, 3 are needed; the update was "
                        "not finite at b, d: lower local.rate");
}

int main(void)
{
#define SENTENCE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SENTENCE(a_round_goes_on_after_a_restart_without_the_last_that_gave_its_key),
        SENTENCE(a_round_goes_on_after_a_restart_without_the_first_that_gave_its_key),
        SENTENCE(a_round_lost_to_updates_that_are_not_finite_says_what_to_do),
        cmocka_unit_test_setup_teardown(
            a_round_that_an_older_program_began_is_lost_and_the_next_one_opens, set_up_large,
            tear_down),
        cmocka_unit_test_setup_teardown(a_round_lost_for_want_of_answers_says_whose, set_up_hasty,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
