/* Masked rounds of `wardround-agent run`, against a coordinator that a test speaks for: a round's number
 * stands for one key and one model, over lies and restarts. Real processes, real sockets on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/site/agent.h"
#include "tests/integration/site/fake_coordinator.h"

enum { PEERS = 2 };

static struct agent north;
static struct fake_coordinator hub;
static struct seal_card peer[PEERS];

/* Another hospital, whose card this one has compared. */
static void confirm(const char *name, struct seal_card *card)
{
    struct seal_keys *keys = NULL;
    struct error err = {0};
    char path[128];
    char fingerprint[SEAL_FINGERPRINT];
    assert_int_equal(seal_keys_random(&keys, &err), RC_OK);
    assert_int_equal(seal_card_make(keys, SEAL_SITE, name, "", card, &err), RC_OK);
    seal_keys_close(&keys);
    (void)snprintf(path, sizeof path, "%s/%s.card", north.root, name);
    assert_int_equal(seal_card_write(path, card, &err), RC_OK);
    seal_fingerprint(card, fingerprint);
    assert_int_equal(agent_command(&north, "trust", path, "--peer", "--fingerprint", fingerprint,
                                   (char *)NULL),
                     0);
}

static void join(void)
{
    fake_send_study(&hub);
    (void)fake_hear(&hub, WIRE_ACCEPT);
}

static int set_up(void **state)
{
    (void)state;
    fake_open(&hub, &north);
    confirm("south", &peer[0]);
    confirm("west", &peer[1]);
    hub.peer = peer;
    hub.n_peers = PEERS;
    fake_study(&hub, "masked", NULL, NULL);
    agent_run(&north);
    fake_greet(&hub);
    join();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    agent_remove(&north);
    fake_close(&hub);
    return 0;
}

static void gives_up(uint64_t round, const char *why)
{
    (void)fake_hear(&hub, WIRE_CANNOT);
    assert_int_equal(hub.heard.round, round);
    assert_non_null(strstr(hub.heard.text, why));
}

/* A coordinator that gave each site a model of its own could choose those on which all sites but one have
 * nothing to add, and read that one's update off the sum. So masks are made for one model; here the second
 * one comes after the masks' key, when the first has run out of time. */
static void what_is_trained_on_a_second_model_is_not_hidden_by_masks_for_the_first(void **state)
{
    (void)state;
    struct wire_message brief = {
        .kind = WIRE_ROUND, .study = hub.study, .round = 1, .tensor = hub.tensor, .left_ms = 500};
    hub.mute = true;
    fake_send(&hub, &brief, NULL, 0);
    (void)fake_hear(&hub, WIRE_MASK_KEY);
    (void)fake_hear(&hub, WIRE_HELLO); /* too late */
    hub.mute = false;
    fake_other_model(&hub);
    fake_open_round(&hub, 1);
    gives_up(1, "two models under one round number");
    fake_open_round(&hub, 2);
    (void)fake_hear(&hub, WIRE_MASK_KEY);
    assert_int_equal(hub.heard.round, 2);
}

/* Its keys are gone, so nothing of that round is of use: said at once, and not after training. */
static void after_a_restart_a_masked_round_is_given_up_before_its_model_is_there(void **state)
{
    (void)state;
    hub.mute = true;
    fake_open_round(&hub, 1);
    (void)fake_hear(&hub, WIRE_MASK_KEY);
    assert_int_equal(agent_stop(&north), 0);
    agent_run(&north);
    fake_greet(&hub);
    join();
    fake_open_round(&hub, 1);
    gives_up(1, "this site was started anew in round 1 and has lost its masks");
}

/* A plain update, or one that hides behind a part of shared noise only, must not be committed: what is
 * committed leaves. This gateway has one asked for that waits for the others' keys. */
static void
what_waits_for_its_masks_is_not_committed_for_a_gateway_that_was_broken_into(void **state)
{
    (void)state;
    assert_int_equal(agent_stop(&north), 0);
    agent_run_program(&north, BROKEN_AGENT);
    fake_greet(&hub);
    join();
    fake_open_round(&hub, 1);
    (void)fake_hear(&hub, WIRE_PULSE); /* the model is there, and training begins */
    fake_open_round(&hub, 1);
    fake_await_log(&hub, "kind=protocol count=1 ", "NOT_COMMITTED of round 1");
    json_t *spent = agent_spent(&north);
    assert_int_equal(json_object_size(spent), 0);
    json_decref(spent);
    assert_int_equal(hub.n_updates, 0);
}

int main(void)
{
#define SENTENCE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SENTENCE(what_is_trained_on_a_second_model_is_not_hidden_by_masks_for_the_first),
        SENTENCE(what_waits_for_its_masks_is_not_committed_for_a_gateway_that_was_broken_into),
        SENTENCE(after_a_restart_a_masked_round_is_given_up_before_its_model_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
