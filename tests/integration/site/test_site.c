/* `wardround-agent run` against a coordinator that a test speaks for. Each sentence ends with a round
 * as it should be: what was refused has cost nothing, and what left is what the ledger holds. Real
 * processes, real sockets on loopback, no patients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "tests/integration/site/agent.h"
#include "tests/integration/site/fake_coordinator.h"

static struct agent north;
static struct fake_coordinator hub;
static struct seal_keys *stranger;

static int set_up(void **state)
{
    struct error err = {0};
    (void)state;
    if (seal_keys_random(&stranger, &err) != RC_OK) {
        return -1;
    }
    fake_open(&hub, &north);
    agent_run(&north);
    fake_greet(&hub);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    agent_remove(&north);
    fake_close(&hub);
    seal_keys_close(&stranger);
    stranger = NULL;
    return 0;
}

static void join(void)
{
    fake_send_study(&hub);
    (void)fake_hear(&hub, WIRE_ACCEPT);
}

static void is_refused(const char *kind)
{
    char text[64];
    (void)snprintf(text, sizeof text, "kind=%s count=1 ", kind);
    fake_await_log(&hub, "message_refused", text);
}

static void rounds_in_the_ledger(size_t n)
{
    json_t *spent = agent_spent(&north);
    assert_int_equal(json_object_size(spent), n);
    json_decref(spent);
}

static void nothing_was_spent_or_said(void)
{
    rounds_in_the_ledger(0);
    assert_int_equal(hub.n_updates, 0);
    assert_int_equal(hub.n_update_chunks, 0);
}

/* Stopped by its people. `refused` is all that the agent has refused, with counts. */
static void it_has_refused(const char *refused)
{
    char text[256];
    assert_int_equal(agent_stop(&north), 0);
    (void)snprintf(text, sizeof text, "refused=\"%s\"", refused);
    if (agent_logged(&north, "gateway_stopped", text) != 1) {
        (void)snprintf(text, sizeof text, "grep gateway_stopped '%s' >&2", north.log);
        (void)!system(text);
        fail_msg("not all that was refused: %s", refused);
    }
    assert_int_equal(agent_logged(&north, "process_died", ""), 0);
    assert_int_equal(agent_logged(&north, "agent_started", ""), 1);
}

/* A round as it should be, then the end. */
static void ends_well(uint64_t round, const char *refused)
{
    const uint64_t updates = hub.n_updates;
    fake_whole_round(&hub, round);
    assert_int_equal(hub.n_updates, updates + 1);
    rounds_in_the_ledger(round); /* they count from 1, and each was trained */
    it_has_refused(refused);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void an_unsigned_or_wrongly_signed_message_is_refused(void **state)
{
    (void)state;
    unsigned char header[NET_HEADER_MAX];
    struct wire_message study = {.kind = WIRE_STUDY, .study = hub.study};
    size_t n = fake_seal(&hub, &study, hub.signed_bytes, hub.signed_n, stranger, header);
    fake_send_bytes(&hub, header, n, hub.signed_bytes, hub.signed_n);
    is_refused("signature");
    memset(header, 0, 64);
    fake_send_bytes(&hub, header, n, hub.signed_bytes, hub.signed_n);
    fake_send_bytes(&hub, header + 64, n - 64, hub.signed_bytes, hub.signed_n);
    struct wire_message done = {.kind = WIRE_DONE, .study = hub.study};
    wire_set_text(&done, "stopped by its people");
    n = fake_seal(&hub, &done, NULL, 0, NULL, header);
    header[n - 1] ^= 1;
    fake_send_bytes(&hub, header, n, NULL, 0);
    join();
    ends_well(1, "signature=4");
}

static void a_raw_frame_that_was_exchanged_or_left_out_is_refused(void **state)
{
    (void)state;
    unsigned char header[NET_HEADER_MAX];
    struct wire_message study = {.kind = WIRE_STUDY, .study = hub.study};
    size_t n = fake_seal(&hub, &study, hub.signed_bytes, hub.signed_n, NULL, header);
    hub.signed_bytes[hub.signed_n - 1] ^= 1;
    fake_send_bytes(&hub, header, n, hub.signed_bytes, hub.signed_n);
    is_refused("signature");
    hub.signed_bytes[hub.signed_n - 1] ^= 1;
    fake_send_bytes(&hub, header, n, hub.signed_bytes, hub.signed_n - 1);
    fake_send_bytes(&hub, header, n, NULL, 0);
    struct wire_message ack = {.kind = WIRE_ACK, .study = hub.study, .round = 1};
    n = fake_seal(&hub, &ack, NULL, 0, NULL, header);
    fake_send_bytes(&hub, header, n, "more", 4);
    join();
    ends_well(1, "signature=4");
}

static void a_message_from_or_to_somebody_else_is_refused(void **state)
{
    (void)state;
    struct wire_message m = {.kind = WIRE_STUDY, .study = hub.study, .to = "south"};
    fake_send(&hub, &m, hub.signed_bytes, hub.signed_n);
    is_refused("address");
    m = (struct wire_message){.kind = WIRE_STUDY, .study = hub.study, .from = "north"};
    fake_send(&hub, &m, hub.signed_bytes, hub.signed_n);
    join();
    ends_well(1, "address=2");
}

static void a_replayed_or_reordered_message_is_refused(void **state)
{
    (void)state;
    unsigned char first[NET_HEADER_MAX];
    unsigned char second[NET_HEADER_MAX];
    struct wire_message study = {.kind = WIRE_STUDY, .study = hub.study};
    struct wire_message round = {
        .kind = WIRE_ROUND, .study = hub.study, .round = 7, .tensor = hub.tensor, .left_ms = 60000};
    const size_t first_n = fake_seal(&hub, &round, NULL, 0, NULL, first);
    const size_t second_n = fake_seal(&hub, &study, hub.signed_bytes, hub.signed_n, NULL, second);
    fake_send_bytes(&hub, second, second_n, hub.signed_bytes, hub.signed_n);
    (void)fake_hear(&hub, WIRE_ACCEPT);
    fake_send_bytes(&hub, first, first_n, NULL, 0); /* overtaken on its way */
    is_refused("replay");
    fake_send_bytes(&hub, second, second_n, hub.signed_bytes, hub.signed_n);
    hub.epoch = 2; /* another life of the coordinator; the first is over */
    hub.sequence = 0;
    fake_send_study(&hub);
    round.epoch = 1;
    round.sequence = 1000;
    fake_send(&hub, &round, NULL, 0);
    nothing_was_spent_or_said();
    ends_well(1, "replay=3");
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    (void)state;
    static unsigned char header[NET_HEADER_MAX];
    static const char domain[] = "wardround message v1";
    struct seal_signature signature;
    char text[64];
    struct wire_message study = {.kind = WIRE_STUDY, .study = hub.study};
    size_t n = fake_seal(&hub, &study, hub.signed_bytes, hub.signed_n, NULL, header);
    const size_t truncated = (n + 36) / 37;
    for (size_t cut = 1; cut <= n; cut += 37) {
        fake_send_bytes(&hub, header, n - cut, hub.signed_bytes, hub.signed_n);
    }
    is_refused("signature");
    memset(header, 0x5a, sizeof header); /* signed, and as large as a header can be */
    seal_sign(hub.keys, domain, header + 64, sizeof header - 64, &signature);
    memcpy(header, signature.b, sizeof signature.b);
    fake_send_bytes(&hub, header, sizeof header, NULL, 0);
    is_refused("malformed");
    n = fake_seal(&hub, &study, hub.signed_bytes, hub.signed_n, NULL, header);
    assert_int_equal(header[64], 0x08); /* the first field: the version, a varint */
    header[65] = 99;
    seal_sign(hub.keys, domain, header + 64, n - 64, &signature);
    memcpy(header, signature.b, sizeof signature.b);
    fake_send_bytes(&hub, header, n, hub.signed_bytes, hub.signed_n);
    is_refused("version");
    join();
    (void)snprintf(text, sizeof text, "signature=%zu malformed=1 version=1", truncated);
    ends_well(1, text);
}

static void what_only_sites_say_is_refused(void **state)
{
    (void)state;
    struct wire_message hello = {.kind = WIRE_HELLO, .text = "hub"};
    fake_send(&hub, &hello, NULL, 0);
    is_refused("kind");
    join();
    fake_say(&hub, WIRE_ACCEPT, 0, NULL);
    fake_say(&hub, WIRE_COMMIT, 1, NULL);
    fake_say(&hub, WIRE_CANCEL, 1, NULL);
    nothing_was_spent_or_said();
    ends_well(1, "kind=4");
}

static void what_the_protocol_does_not_foresee_is_refused(void **state)
{
    (void)state;
    fake_open_round(&hub, 1); /* before any study */
    is_refused("study");
    join();
    nothing_was_spent_or_said();
    fake_whole_round(&hub, 1);
    fake_whole_round(&hub, 2);
    fake_open_round(&hub, 1); /* over */
    is_refused("protocol");
    const struct hash study = hub.study;
    memset(&hub.study, 7, sizeof hub.study);
    fake_open_round(&hub, 3);
    fake_say(&hub, WIRE_DONE, 0, "another study has failed");
    hub.study = study;
    ends_well(3, "study=3 protocol=1");
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Well before its timer would ring, which is 15 s when it is ready. */
static void greets_within(int64_t most_ms)
{
    fake_restart(&hub);
    const int64_t born_ms = clock_monotonic_ms();
    fake_greet(&hub);
    assert_true(clock_monotonic_ms() - born_ms < most_ms);
}

static void a_coordinator_that_comes_back_is_greeted_at_once(void **state)
{
    (void)state;
    join();
    greets_within(8000);
    join();
    fake_whole_round(&hub, 1);
    greets_within(8000);
    join();
    ends_well(2, "none");
}

static void check_beside_a_running_agent_says_when_the_coordinator_was_heard_of(void **state)
{
    (void)state;
    join();
    const int64_t until = clock_monotonic_ms() + FAKE_WAIT_MS;
    do { /* its gateway says so within a few seconds */
        (void)agent_command(&north, "check", (char *)NULL);
        assert_true(clock_monotonic_ms() < until);
    } while (!agent_said(&north, "PASS reach: the agent is running and connected to 'hub'") ||
             !agent_said(&north, "which it has heard of "));
    ends_well(1, "none");
}

/* ---- studies --------------------------------------------------------------------------------- */

static void a_study_that_cannot_be_verified_is_refused_and_taken_up_when_it_can(void **state)
{
    (void)state;
    hub.signed_bytes[hub.signed_n - 9] ^= 1;
    fake_send_study(&hub);
    fake_await_log(&hub, "kind=agreement count=1 ", "is not signed by the coordinator");
    hub.signed_bytes[hub.signed_n - 9] ^= 1;
    const struct hash study = hub.study;
    memset(&hub.study, 7, sizeof hub.study); /* signed, and announced as another */
    fake_send_study(&hub);
    hub.study = study;
    fake_study(&hub, "trial", NULL, stranger);
    fake_send_study(&hub);
    hub.signed_bytes[0] ^= 1;
    fake_send_study(&hub);
    fake_open_round(&hub, 1);
    nothing_was_spent_or_said();
    assert_int_equal(agent_logged(&north, "study_joined", ""), 0);
    fake_study(&hub, "trial", NULL, NULL); /* the same, as it should be */
    assert_true(hash_equal(&hub.study, &study));
    join();
    assert_int_equal(agent_logged(&north, "study_joined", ""), 1);
    ends_well(1, "none");
    assert_int_equal(agent_logged(&north, "trainer_stopped", "refused=\"agreement=4\""), 1);
}

/* Its coordinator gave up the first one: nobody waits for what the trainer had in hand. */
static void a_study_that_comes_in_the_middle_of_a_round_begins_with_nothing_of_it(void **state)
{
    (void)state;
    join();
    hub.mute = true;
    fake_open_round(&hub, 1);
    (void)fake_hear(&hub, WIRE_CREDIT); /* it waits for the model */
    hub.mute = false;
    fake_study(&hub, "another", NULL, NULL);
    join();
    ends_well(1, "none");
}

static void a_study_on_other_features_waits_and_says_which(void **state)
{
    (void)state;
    static const char features[] =
        "separator: \",\"\nheader: true\npatient: {column: id, rows: one}\nsite: {from: file}\n"
        "missing: [\"\"]\nlabel: {column: died, positive: [1], negative: [0]}\nfeatures:\n"
        "  - {name: age, type: continuous, unit: years, range: [18, 100]}\n"
        "  - {name: smoker, type: binary}\n"
        "  - {name: lactate, type: continuous, unit: mg/dl, range: [2, 135]}\n";
    fake_study(&hub, "foreign", features, NULL);
    fake_send_study(&hub);
    fake_await_log(&hub, "study_waits", "lactate");
    fake_open_round(&hub, 1);
    fake_study(&hub, "trial", NULL, NULL);
    join();
    assert_int_equal(agent_logged(&north, "study_joined", ""), 1);
    assert_int_equal(agent_logged(&north, "study_joined", "trial"), 1);
    nothing_was_spent_or_said();
    ends_well(1, "none");
}

static void a_study_that_has_ended_is_neither_approved_nor_withdrawn_from(void **state)
{
    (void)state;
    join();
    fake_whole_round(&hub, 1);
    fake_say(&hub, WIRE_DONE, 0, "stopped by its people");
    (void)fake_hear(&hub, WIRE_GOODBYE);
    assert_int_equal(agent_command(&north, "approve", "trial", (char *)NULL), 1);
    assert_int_equal(agent_logged(&north, "study 'trial' has ended here on ",
                                  "; nothing is left to approve"),
                     1);
    assert_int_equal(agent_command(&north, "withdraw", "trial", (char *)NULL), 1);
    assert_int_equal(agent_logged(&north, "study 'trial' has ended here on ",
                                  "; nothing is left to withdraw from"),
                     1);
    assert_int_equal(agent_command(&north, "approve", (char *)NULL), 0);
    assert_true(agent_said(&north, " failed on "));
    it_has_refused("none");
    assert_int_equal(agent_logged(&north, "study_withdrawn", ""), 0);
}

/* Who withdrew is in it: an empty new one would take part again. */
static void a_consent_file_that_is_gone_is_not_begun_anew(void **state)
{
    (void)state;
    char path[128];
    join();
    fake_whole_round(&hub, 1);
    it_has_refused("none");
    (void)snprintf(path, sizeof path, "%s/consent.db", north.folder);
    assert_int_equal(unlink(path), 0);
    static const char *const words[] = {"approve", "run"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        assert_int_equal(agent_command(&north, words[i], (char *)NULL), 1);
        assert_int_equal(agent_logged(&north, "/consent.db' is gone", "restore it from a backup"),
                         i + 1);
    }
    assert_int_equal(agent_command(&north, "withdraw", "trial", (char *)NULL), 1);
    assert_int_equal(agent_logged(&north, "/consent.db' is gone", "restore it from a backup"), 3);
    assert_int_equal(agent_command(&north, "check", (char *)NULL), 1);
    assert_true(agent_said(&north, "FAIL consent: "));
    assert_int_equal(access(path, F_OK), -1);
}

/* ---- receipts -------------------------------------------------------------------------------- */

static void verify_counts(size_t receipts)
{
    char text[64];
    (void)snprintf(text, sizeof text, "a coordinator has signed for is there (receipts %zu of ",
                   receipts);
    assert_int_equal(agent_command(&north, "ledger", "--verify", (char *)NULL), 0);
    assert_true(agent_said(&north, text));
}

static void what_was_acknowledged_is_a_receipt(void **state)
{
    (void)state;
    join();
    fake_whole_round(&hub, 1);
    fake_whole_round(&hub, 2);
    it_has_refused("none");
    verify_counts(2);
}

/* Else a lie would make the hospital's own ledger look forged. */
static void a_receipt_for_what_was_never_sent_is_not_kept(void **state)
{
    (void)state;
    const struct hash other = hash_of("other", 5);
    join();
    fake_open_round(&hub, 1);
    (void)fake_hear(&hub, WIRE_UPDATE);
    fake_ack(&hub, 1, &other);
    fake_say(&hub, WIRE_OUTCOME, 1, "0 of 1");
    fake_await_log(&hub, "message_refused", "a receipt for what this site never sent");
    fake_whole_round(&hub, 2);
    it_has_refused("none");
    verify_counts(1);
}

/* The folder as it is, or as it was: all but receipts/. */
static void carry(const char *from, const char *to)
{
    static const char *const name[] = {"ledger.db", "ledger.db.mark"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char command[600];
        (void)snprintf(command, sizeof command, "cp '%s%s/%s' '%s%s/%s'", north.root, from, name[i],
                       north.root, to, name[i]);
        assert_int_equal(system(command), 0);
    }
}

static void
a_ledger_that_was_put_back_with_its_mark_is_found_by_receipt_and_by_coordinator(void **state)
{
    (void)state;
    char command[300];
    const char *site = north.folder + strlen(north.root);
    join();
    fake_whole_round(&hub, 1);
    assert_int_equal(agent_stop(&north), 0);
    (void)snprintf(command, sizeof command, "mkdir '%s/old' '%s/new'", north.root, north.root);
    assert_int_equal(system(command), 0);
    carry(site, "/old");
    agent_run(&north);
    fake_greet(&hub);
    join();
    fake_open_round(&hub, 2);
    (void)fake_hear(&hub, WIRE_UPDATE);
    const struct hash second = hub.heard.anchor;
    fake_ack(&hub, 2, &second);
    fake_say(&hub, WIRE_OUTCOME, 2, "1 of 1: north");
    fake_await_log(&hub, "round_outcome", "round=2");
    assert_int_equal(agent_stop(&north), 0);
    verify_counts(2);
    carry(site, "/new");

    carry("/old", site);
    assert_int_equal(agent_command(&north, "ledger", "--verify", (char *)NULL), 1);
    assert_int_equal(agent_logged(&north, "coordinator 'hub' has signed that round 2", "put back"),
                     1);
    char to[160];
    char page[400];
    (void)snprintf(to, sizeof to, "%s/report", north.root);
    assert_int_equal(agent_command(&north, "ledger", "--export", to, (char *)NULL), 1);
    (void)snprintf(page, sizeof page, "grep -q 'NOT VERIFIED' '%s/ledger.html'", to);
    assert_int_equal(system(page), 0);
    (void)snprintf(page, sizeof page, "grep -q 'has signed that round 2' '%s/ledger.html'", to);
    assert_int_equal(system(page), 0);
    (void)snprintf(command, sizeof command, "mv '%s/receipts' '%s/gone'", north.folder, north.root);
    assert_int_equal(system(command), 0);
    hub.anchor = second; /* everything was put back: only the coordinator remembers */
    agent_run(&north);
    fake_greet(&hub);
    fake_send_study(&hub);
    fake_await_log(&hub, "study_waits", "an old copy was put back");
    assert_int_equal(agent_stop(&north), 0);

    carry("/new", site);
    agent_run(&north);
    fake_greet(&hub);
    join();
    fake_whole_round(&hub, 3);
    rounds_in_the_ledger(3);
    assert_int_equal(agent_stop(&north), 0);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static void chunks_that_are_not_the_next_ones_are_refused(void **state)
{
    (void)state;
    const struct wire_tensor other = {.hash = hash_of("other", 5), .bytes = hub.tensor.bytes};
    join();
    fake_chunk(&hub, &hub.tensor, 0, hub.model, TRANSFER_CHUNK); /* before anybody has asked */
    is_refused("late_chunk");
    hub.mute = true;
    fake_open_round(&hub, 1);
    (void)fake_hear(&hub, WIRE_CREDIT);
    assert_int_equal(hub.heard.first, 0);
    fake_chunk(&hub, &hub.tensor, 2, hub.model + 2 * (size_t)TRANSFER_CHUNK, TRANSFER_CHUNK);
    fake_chunk(&hub, &other, 0, hub.model, TRANSFER_CHUNK);
    fake_chunk(&hub, &hub.tensor, 0, hub.model, 5);
    is_refused("chunk");
    fake_chunk(&hub, &hub.tensor, 0, hub.model, TRANSFER_CHUNK);
    (void)fake_hear(&hub, WIRE_CREDIT); /* and goes on from there */
    assert_int_equal(hub.heard.first, 1);
    fake_chunk(&hub, &hub.tensor, 0, hub.model, TRANSFER_CHUNK); /* twice */
    hub.mute = false;
    fake_serve(&hub);
    ends_well(1, "chunk=1 late_chunk=4");
}

static void a_model_with_other_bytes_is_fetched_again(void **state)
{
    (void)state;
    unsigned char *good = hub.model;
    unsigned char *bad = malloc(hub.tensor.bytes);
    assert_non_null(bad);
    memcpy(bad, good, hub.tensor.bytes);
    bad[hub.tensor.bytes - 1] ^= 1;
    hub.model = bad;
    join();
    fake_open_round(&hub, 1);
    fake_await_log(&hub, "kind=chunk count=1 ", "their hash is another one than announced");
    hub.model = good;
    free(bad);
    ends_well(1, "chunk=1");
}

static void a_model_of_another_size_is_not_even_fetched(void **state)
{
    (void)state;
    const struct wire_tensor tensor = hub.tensor;
    join();
    hub.tensor.bytes -= 4;
    fake_open_round(&hub, 1);
    (void)fake_hear(&hub, WIRE_CANNOT);
    assert_int_equal(hub.heard.round, 1);
    assert_non_null(strstr(hub.heard.text, "another size"));
    hub.tensor.bytes = (uint64_t)1 << 30;
    fake_open_round(&hub, 2);
    (void)fake_hear(&hub, WIRE_CANNOT);
    assert_int_equal(hub.heard.round, 2);
    nothing_was_spent_or_said();
    hub.tensor = tensor;
    fake_whole_round(&hub, 3);
    rounds_in_the_ledger(1);
    it_has_refused("none");
}

static void credit_beyond_the_end_or_for_what_is_not_there_is_refused(void **state)
{
    (void)state;
    const struct wire_tensor other = {.hash = hash_of("other", 5), .bytes = 5};
    join();
    fake_credit(&hub, &other, 0, 1);
    is_refused("late_credit");
    fake_open_round(&hub, 1);
    (void)fake_hear(&hub, WIRE_UPDATE);
    const struct wire_tensor update = hub.heard.tensor;
    const uint64_t end = transfer_chunks(update.bytes);
    assert_int_equal(update.bytes, hub.tensor.bytes);
    fake_credit(&hub, &update, 0, TRANSFER_WINDOW + 1);
    is_refused("credit");
    fake_credit(&hub, &update, end, end + 1);
    fake_credit(&hub, &update, 1000, 1001);
    fake_credit(&hub, &update, 0, update.bytes);
    fake_credit(&hub, &hub.tensor, 0, 1); /* the model is theirs, but not on offer */
    fake_say(&hub, WIRE_ACK, 1, NULL);    /* settled: what was on offer is not any more */
    fake_say(&hub, WIRE_OUTCOME, 1, "0 of 1");
    fake_await_log(&hub, "round_outcome", "round=1");
    fake_credit(&hub, &update, 0, 1);
    assert_int_equal(hub.n_update_chunks, 0);
    ends_well(2, "credit=4 late_credit=3");
}

int main(void)
{
#define SENTENCE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SENTENCE(an_unsigned_or_wrongly_signed_message_is_refused),
        SENTENCE(a_raw_frame_that_was_exchanged_or_left_out_is_refused),
        SENTENCE(a_message_from_or_to_somebody_else_is_refused),
        SENTENCE(a_replayed_or_reordered_message_is_refused),
        SENTENCE(bytes_that_are_no_message_are_refused),
        SENTENCE(what_only_sites_say_is_refused),
        SENTENCE(what_the_protocol_does_not_foresee_is_refused),
        SENTENCE(a_coordinator_that_comes_back_is_greeted_at_once),
        SENTENCE(check_beside_a_running_agent_says_when_the_coordinator_was_heard_of),
        SENTENCE(a_study_that_cannot_be_verified_is_refused_and_taken_up_when_it_can),
        SENTENCE(a_study_that_comes_in_the_middle_of_a_round_begins_with_nothing_of_it),
        SENTENCE(a_study_on_other_features_waits_and_says_which),
        SENTENCE(a_study_that_has_ended_is_neither_approved_nor_withdrawn_from),
        SENTENCE(a_consent_file_that_is_gone_is_not_begun_anew),
        SENTENCE(what_was_acknowledged_is_a_receipt),
        SENTENCE(a_receipt_for_what_was_never_sent_is_not_kept),
        SENTENCE(a_ledger_that_was_put_back_with_its_mark_is_found_by_receipt_and_by_coordinator),
        SENTENCE(chunks_that_are_not_the_next_ones_are_refused),
        SENTENCE(a_model_with_other_bytes_is_fetched_again),
        SENTENCE(a_model_of_another_size_is_not_even_fetched),
        SENTENCE(credit_beyond_the_end_or_for_what_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
