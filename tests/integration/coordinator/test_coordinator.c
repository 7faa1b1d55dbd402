/* `wardround-aggregator run` against sites that a test speaks for: a whole study, every refusal,
 * deadlines, kills. Real processes, real sockets on loopback, no patients. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/checkpoint/checkpoint.h"
#include "tests/integration/coordinator/aggregator.h"
#include "tests/integration/coordinator/fake_site.h"

static struct aggregator north;
static struct fake_site a, b, stranger;
static unsigned char *update; /* of the present test */
static size_t update_n;

static int tear_down(void **state)
{
    (void)state;
    fake_release(&a);
    fake_release(&b);
    fake_release(&stranger);
    aggregator_remove(&north);
    free(update);
    update = NULL;
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    fake_init(&a, "a");
    fake_init(&b, "b");
    fake_init(&stranger, "stranger");
    update_n = 0;
    return 0;
}

/* A coordinator with a and b enrolled, running, both connected. */
static void begin(const struct study_words *words)
{
    aggregator_make(&north, words);
    aggregator_enrol(&north, &a.card);
    aggregator_enrol(&north, &b.card);
    aggregator_run(&north);
    fake_connect(&a, &north.card, north.port);
    fake_connect(&b, &north.card, north.port);
}

static void join(struct fake_site *s)
{
    fake_hello(s);
    fake_say(s, WIRE_ACCEPT, 0, NULL);
}

/* Small numbers on the grid, other ones for each seed: four bytes for each of the model's. */
static unsigned char *make_update(const struct fake_site *s, unsigned seed)
{
    assert_int_equal(s->heard.kind, WIRE_ROUND);
    update_n = (size_t)s->heard.tensor.bytes;
    free(update);
    update = calloc(update_n, 1);
    assert_non_null(update);
    for (size_t i = 0; i < update_n; i += 4) {
        update[i] = (unsigned char)(i / 4 * 31 + seed);
        update[i + 1] = (unsigned char)(i / 4 * 7 + seed);
    }
    return update;
}

static void upload(struct fake_site *s, uint64_t round, unsigned seed)
{
    const unsigned char *bytes = make_update(s, seed);
    fake_upload(s, round, bytes, update_n);
}

static uint64_t count_of(const char *kind)
{
    return (uint64_t)json_integer_value(json_object_get(north.event, kind));
}

/* Both sites, from their joining to the end. Their updates differ. */
static void finish_study(unsigned rounds)
{
    join(&a);
    join(&b);
    for (unsigned r = 1; r <= rounds; r++) {
        do {
            (void)fake_hear(&a, WIRE_ROUND);
        } while (a.heard.round < r);
        upload(&a, r, r);
        do {
            (void)fake_hear(&b, WIRE_ROUND);
        } while (b.heard.round < r);
        upload(&b, r, r + 100);
    }
    (void)fake_hear(&a, WIRE_DONE);
    (void)fake_hear(&b, WIRE_DONE);
    assert_true(a.heard.done);
    assert_true(b.heard.done);
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    fake_say(&b, WIRE_GOODBYE, 0, NULL);
}

/* ---- a study --------------------------------------------------------------------------------- */

static void two_sites_carry_out_a_study(void **state)
{
    (void)state;
    struct checkpoint model = {0};
    struct error err = {0};
    char path[256];
    begin(&(struct study_words){.hidden = 500}); /* a model of several chunks */
    join(&a);
    assert_string_equal(
        json_string_value(json_object_get(aggregator_event(&north, "joined"), "site")), "a");
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    assert_int_equal(a.heard.round, 1);
    assert_true(a.heard.left_ms > 0 && a.heard.left_ms <= 60000);
    assert_true(a.heard.tensor.bytes > 3 * TRANSFER_CHUNK);
    const struct wire_message round = a.heard;
    free(fake_download(&a, &round.tensor));
    a.heard = round;
    upload(&a, 1, 1);
    (void)fake_hear(&b, WIRE_ROUND);
    upload(&b, 1, 2);

    (void)fake_hear(&a, WIRE_OUTCOME);
    assert_int_equal(a.heard.round, 1);
    assert_int_equal(a.heard.n_sites, 2);
    assert_int_equal(a.heard.contributed[0], 3);
    assert_string_equal(a.heard.text, "2 of 2: a b");
    assert_false(hash_equal(&a.heard.tensor.hash, &round.tensor.hash));
    const json_t *event = aggregator_event(&north, "round");
    assert_int_equal(json_array_size(json_object_get(event, "contributed")), 2);
    assert_int_equal(json_array_size(json_object_get(event, "absent")), 0);

    (void)fake_hear(&a, WIRE_ROUND);
    upload(&a, 2, 3);
    (void)fake_hear(&b, WIRE_ROUND);
    upload(&b, 2, 4);
    (void)fake_hear(&a, WIRE_DONE);
    assert_true(a.heard.done);
    assert_int_equal(a.heard.round, 2);
    const struct wire_tensor final = a.heard.tensor;
    free(fake_download(&a, &final)); /* also served after the end */

    event = aggregator_event(&north, "done");
    assert_true(json_is_true(json_object_get(event, "done")));
    (void)snprintf(path, sizeof path, "%s", json_string_value(json_object_get(event, "file")));
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    (void)fake_hear(&b, WIRE_DONE);
    fake_say(&b, WIRE_GOODBYE, 0, NULL);
    assert_int_equal(aggregator_wait(&north), 0);

    assert_int_equal(checkpoint_read(path, &model, &err), RC_OK);
    assert_true(hash_equal(&model.id, &final.hash));
    assert_int_equal(model.round, 2);
    checkpoint_release(&model);
}

static void a_site_that_misses_the_deadline_is_named_with_its_last_progress(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1, .quorum = 1, .round_s = 2});
    join(&a);
    join(&b);
    (void)fake_hear(&b, WIRE_ROUND);
    struct wire_message pulse = {
        .kind = WIRE_PULSE, .study = b.study, .round = 1, .step = 12, .steps = 40};
    fake_send(&b, &pulse, NULL, 0);
    (void)fake_hear(&a, WIRE_ROUND);
    upload(&a, 1, 1);

    const json_t *event = aggregator_event(&north, "round");
    const json_t *absent = json_array_get(json_object_get(event, "absent"), 0);
    assert_string_equal(json_string_value(json_object_get(absent, "site")), "b");
    const char *reason = json_string_value(json_object_get(absent, "reason"));
    assert_non_null(strstr(reason, "no answer before the deadline"));
    assert_non_null(strstr(reason, "step 12 of 40"));
    (void)fake_hear(&b, WIRE_OUTCOME);
    assert_int_equal(b.heard.contributed[0], 1);
    assert_non_null(strstr(b.heard.text, "1 of 2: a; b: no answer"));
}

static void below_quorum_the_study_fails_and_the_exit_code_says_so(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 2});
    join(&a);
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    fake_say(&a, WIRE_CANNOT, 1, WIRE_DIVERGED);
    (void)fake_hear(&b, WIRE_DONE);
    assert_false(b.heard.done);
    assert_non_null(strstr(b.heard.text, "quorum is 2; the update was not finite at "));
    assert_non_null(strstr(b.heard.text, ": lower local.rate"));
    (void)fake_hear(&a, WIRE_DONE);
    const json_t *event = aggregator_event(&north, "done");
    assert_false(json_is_true(json_object_get(event, "done")));
    assert_int_equal(json_array_size(json_object_get(event, "absent")), 2);
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    fake_say(&b, WIRE_GOODBYE, 0, NULL);
    assert_int_equal(aggregator_wait(&north), 1);
}

static void a_site_that_declines_is_told_of_with_its_reason(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1, .quorum = 1});
    fake_hello(&b);
    fake_say(&b, WIRE_DECLINE, 0, "policy: no such models here");
    const json_t *event = aggregator_event(&north, "joined");
    assert_false(json_is_true(json_object_get(event, "accepted")));
    assert_string_equal(json_string_value(json_object_get(event, "reason")),
                        "policy: no such models here");
    join(&a);
    (void)fake_hear(&a, WIRE_ROUND);
    upload(&a, 1, 1);
    event = aggregator_event(&north, "round");
    const json_t *absent = json_array_get(json_object_get(event, "absent"), 0);
    assert_string_equal(json_string_value(json_object_get(absent, "reason")),
                        "policy: no such models here");
}

static void too_few_acceptances_fail_the_study_before_its_first_round(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1, .join_s = 1});
    join(&a);
    const json_t *event = aggregator_event(&north, "done");
    assert_false(json_is_true(json_object_get(event, "done")));
    assert_non_null(strstr(json_string_value(json_object_get(event, "reason")), "1 of 2"));
    assert_int_equal(json_array_size(json_object_get(event, "accepted")), 1);
    const json_t *absent = json_array_get(json_object_get(event, "absent"), 0);
    assert_string_equal(json_string_value(json_object_get(absent, "site")), "b");
    assert_string_equal(json_string_value(json_object_get(absent, "reason")),
                        "never heard of since this start");
    (void)fake_hear(&a, WIRE_DONE);
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    assert_int_equal(aggregator_wait(&north), 1);
}

/* ---- what is not listened to ----------------------------------------------------------------- */

static void a_wrongly_signed_message_is_refused(void **state)
{
    (void)state;
    unsigned char header[NET_HEADER_MAX];
    begin(&(struct study_words){0});
    struct wire_message hello = {.kind = WIRE_HELLO};
    wire_set_text(&hello, "not a");
    const size_t n = fake_seal(&a, &hello, NULL, 0, b.keys, header);
    fake_send_bytes(&a, header, n, NULL, 0);
    memset(header, 0, 64); /* and unsigned */
    fake_send_bytes(&a, header, n, NULL, 0);
    assert_true(fake_hears_nothing(&a, WIRE_STUDY, 300));
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("signature"), 2);
    assert_true(aggregator_logged(&north, "refused_signature"));
    assert_int_equal(aggregator_wait(&north), 0);
}

static void a_raw_frame_that_was_exchanged_is_refused(void **state)
{
    (void)state;
    unsigned char header[NET_HEADER_MAX];
    begin(&(struct study_words){0});
    fake_hello(&a);
    struct wire_message chunk = {.kind = WIRE_CHUNK,
                                 .study = a.study,
                                 .tensor = {.hash = hash_of("x", 1), .bytes = 5}};
    const size_t n = fake_seal(&a, &chunk, "12345", 5, NULL, header);
    fake_send_bytes(&a, header, n, "12346", 5);
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("signature"), 1);
}

static void a_replayed_message_is_refused(void **state)
{
    (void)state;
    unsigned char header[NET_HEADER_MAX];
    begin(&(struct study_words){0});
    struct wire_message hello = {.kind = WIRE_HELLO};
    wire_set_text(&hello, "fake site");
    const size_t n = fake_seal(&a, &hello, NULL, 0, NULL, header);
    fake_send_bytes(&a, header, n, NULL, 0);
    (void)fake_hear(&a, WIRE_STUDY);
    fake_send_bytes(&a, header, n, NULL, 0);
    assert_true(fake_hears_nothing(&a, WIRE_STUDY, 300));
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("replay"), 1);
}

static void truncated_and_oversized_messages_are_refused(void **state)
{
    (void)state;
    unsigned char header[NET_HEADER_MAX];
    static unsigned char big[NET_HEADER_MAX];
    begin(&(struct study_words){0});
    struct wire_message hello = {.kind = WIRE_HELLO};
    wire_set_text(&hello, "fake site");
    const size_t n = fake_seal(&a, &hello, NULL, 0, NULL, header);
    fake_send_bytes(&a, header, n - 1, NULL, 0);
    fake_send_bytes(&a, header, 63, NULL, 0);
    fake_send_bytes(&a, header, 1, NULL, 0);
    fake_send_bytes(&a, big, sizeof big, big, NET_RAW_MAX > sizeof big ? sizeof big : 1);
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("signature") + count_of("malformed"), 4);
}

static void messages_for_others_of_others_or_of_other_studies_are_refused(void **state)
{
    (void)state;
    begin(&(struct study_words){0});
    fake_hello(&a);
    struct wire_message to = {.kind = WIRE_HELLO, .to = "south"};
    wire_set_text(&to, "fake site");
    fake_send(&a, &to, NULL, 0);
    struct wire_message from = {.kind = WIRE_HELLO, .from = "b"};
    wire_set_text(&from, "fake site");
    fake_send(&a, &from, NULL, 0);
    struct wire_message foreign = {.kind = WIRE_ACCEPT, .study = hash_of("another", 7)};
    fake_send(&a, &foreign, NULL, 0);
    struct wire_message ours = {.kind = WIRE_ACK, .study = a.study, .round = 1};
    fake_send(&a, &ours, NULL, 0);
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("address"), 2);
    assert_int_equal(count_of("study"), 1);
    assert_int_equal(count_of("kind"), 1);
}

static void what_the_protocol_forbids_is_refused_and_the_study_goes_on(void **state)
{
    (void)state;
    begin(&(struct study_words){0});
    fake_hello(&a);
    fake_say(&a, WIRE_CANNOT, 1, "before the first round");
    const unsigned char bytes[8] = {0};
    fake_offer(&a, 1, bytes, sizeof bytes); /* the same, and of a wrong size */
    struct wire_message credit = {.kind = WIRE_CREDIT,
                                  .study = a.study,
                                  .tensor = {.hash = hash_of("x", 1), .bytes = 5},
                                  .until = 1};
    fake_send(&a, &credit, NULL, 0); /* has not accepted */
    join(&a);
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    const struct wire_message round = a.heard;
    fake_offer(&a, 1, bytes, sizeof bytes);
    fake_offer(&a, 7, bytes, sizeof bytes);
    struct wire_message greedy = {
        .kind = WIRE_CREDIT, .study = a.study, .tensor = round.tensor, .until = 2};
    fake_send(&a, &greedy, NULL, 0); /* beyond the end of a model of one chunk */
    struct wire_message unasked = {.kind = WIRE_CHUNK,
                                   .study = a.study,
                                   .tensor = {.hash = hash_of("x", 1), .bytes = 5}};
    fake_send(&a, &unasked, "12345", 5);
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("protocol"), 3);
    assert_int_equal(count_of("size"), 1);
    assert_int_equal(count_of("credit"), 2);
}

static void an_update_again_is_acknowledged_and_another_one_is_refused(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1});
    join(&a);
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    unsigned char *bytes = make_update(&a, 1);
    fake_upload(&a, 1, bytes, update_n);
    fake_upload(&a, 1, bytes, update_n);
    bytes[0] ^= 1;
    fake_offer(&a, 1, bytes, update_n);
    assert_true(fake_hears_nothing(&a, WIRE_ACK, 300));

    /* also when the coordinator knows of the first one from its disk only */
    aggregator_signal(&north, SIGKILL);
    assert_int_equal(aggregator_wait(&north), 128 + SIGKILL);
    aggregator_run(&north);
    fake_connect(&a, &north.card, north.port);
    fake_connect(&b, &north.card, north.port);
    fake_offer(&a, 1, bytes, update_n);
    assert_true(fake_hears_nothing(&a, WIRE_ACK, 300));
    bytes[0] ^= 1;
    fake_upload(&a, 1, bytes, update_n);
    fake_hello(&b);
    fake_say(&b, WIRE_ACCEPT, 0, NULL);
    (void)fake_hear(&b, WIRE_ROUND);
    upload(&b, 1, 2);
    (void)aggregator_event(&north, "done");
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    fake_say(&b, WIRE_GOODBYE, 0, NULL);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("other_update"), 1);
    assert_int_equal(aggregator_wait(&north), 0);
}

/* What a site needs to notice that its files were put back from an old copy. */
static void the_anchor_of_an_update_is_signed_in_its_ack_and_said_with_every_study(void **state)
{
    (void)state;
    const struct hash none = {{0}};
    begin(&(struct study_words){.rounds = 2});
    join(&a);
    assert_true(hash_equal(&a.heard.anchor, &none));
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    a.anchor = hash_of("row 57", 6);
    upload(&a, 1, 1);
    assert_true(hash_equal(&a.heard.anchor, &a.anchor));
    (void)fake_hear(&b, WIRE_ROUND);
    upload(&b, 1, 2); /* of an agent that says none */
    assert_true(hash_equal(&b.heard.anchor, &none));
    (void)fake_hear(&a, WIRE_ROUND);

    aggregator_signal(&north, SIGKILL); /* it stands in the registry, not in memory */
    assert_int_equal(aggregator_wait(&north), 128 + SIGKILL);
    aggregator_run(&north);
    fake_connect(&a, &north.card, north.port);
    fake_connect(&b, &north.card, north.port);
    fake_hello(&a);
    assert_int_equal(a.heard.kind, WIRE_STUDY);
    assert_true(hash_equal(&a.heard.anchor, &a.anchor));
    fake_hello(&b);
    assert_true(hash_equal(&b.heard.anchor, &none));
}

static void an_unknown_key_is_not_let_in(void **state)
{
    (void)state;
    begin(&(struct study_words){0});
    fake_connect(&stranger, &north.card, north.port);
    enum net_state is = NET_CONNECTING;
    for (int i = 0; i < 500 && is != NET_REFUSED; i++) {
        struct net_wait w = {.client = stranger.client};
        struct error err = {0};
        bool changed = false;
        assert_int_equal(net_wait(&w, 20, &err), RC_OK);
        is = net_client_state(stranger.client, i * 20, &changed);
    }
    assert_int_equal(is, NET_REFUSED);
    for (int i = 0; i < 300 && !aggregator_logged(&north, "refused at the door: "); i++) {
        assert_int_equal(aggregator_command(&north, "status", (char *)NULL), 0);
    }
    assert_true(aggregator_logged(&north, "refused at the door: "));
    assert_true(aggregator_logged(&north, "refused_key since_last_line=1 total=1 reason=\"a key of "
                                          "no enrolled card; if a site waits, enrol its card: "));
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_true(count_of("keys") >= 1);
    assert_int_equal(aggregator_wait(&north), 0);
    assert_true(aggregator_logged(&north, "aggregator_stopped state=done refused="));
    assert_false(aggregator_logged(&north, "aggregator_stopped state=done refused=0"));
}

static void
an_enrolled_site_that_is_not_on_the_roster_may_only_ask_whether_we_are_here(void **state)
{
    (void)state;
    aggregator_make(&north, &(struct study_words){0});
    aggregator_run(&north);
    aggregator_enrol(&north, &stranger.card); /* while it runs */
    aggregator_enrol(&north, &a.card);
    aggregator_enrol(&north, &b.card);
    fake_connect(&stranger, &north.card, north.port);
    fake_connect(&a, &north.card, north.port);
    fake_connect(&b, &north.card, north.port);
    fake_say(&stranger, WIRE_PROBE, 0, NULL);
    (void)fake_hear(&stranger, WIRE_PROBED);
    assert_true(stranger.heard.now_ms > 0);
    fake_say(&stranger, WIRE_HELLO, 0, "fake site");
    fake_say(&stranger, WIRE_HELLO, 0, "fake site");
    assert_true(fake_hears_nothing(&stranger, WIRE_STUDY, 300));
    finish_study(2);
    (void)aggregator_event(&north, "counts");
    assert_int_equal(count_of("roster"), 2);
}

/* ---- who is missing -------------------------------------------------------------------------- */

static const char *reason_of(const json_t *event, const char *site)
{
    const json_t *absent = json_object_get(event, "absent");
    for (size_t i = 0; i < json_array_size(absent); i++) {
        const json_t *one = json_array_get(absent, i);
        if (strcmp(json_string_value(json_object_get(one, "site")), site) == 0) {
            return json_string_value(json_object_get(one, "reason"));
        }
    }
    fail_msg("nobody says why '%s' is absent", site);
    return NULL;
}

static void revoke_b(void)
{
    assert_int_equal(aggregator_command(&north, "revoke", "b", "--reason", "lost", (char *)NULL),
                     0);
}

/* As `status` says it to people, perhaps only when live.json is written. */
static void status_says(const char *text)
{
    for (int i = 0; i < 300 && !aggregator_logged(&north, text); i++) {
        assert_int_equal(aggregator_command(&north, "status", (char *)NULL), 0);
    }
    assert_true(aggregator_logged(&north, text));
}

static void a_site_that_has_not_accepted_is_told_from_one_that_was_never_there(void **state)
{
    (void)state;
    begin(&(struct study_words){.sites = "a b c", .rounds = 1, .quorum = 1, .join_s = 3});
    fake_hello(&b);
    join(&a);
    status_says(
        " b                    connected, has not accepted the study yet (a person there must "
        "approve it or confirm cards, or its policy forbids it: its log says which); heard of ");
    status_says(" c                    not enrolled yet");
    (void)fake_hear(&a, WIRE_ROUND);
    upload(&a, 1, 1);
    const json_t *event = aggregator_event(&north, "round");
    const char *reason = reason_of(event, "b");
    assert_non_null(strstr(reason, "connected, has not accepted the study yet"));
    assert_non_null(strstr(reason, "; heard of "));
    assert_string_equal(reason_of(event, "c"), "not enrolled yet");
}

static void a_revoked_site_that_the_quorum_needs_is_named_so_at_the_deadline(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1, .round_s = 3});
    join(&a);
    join(&b);
    (void)fake_hear(&b, WIRE_ROUND);
    revoke_b();
    (void)fake_hear(&a, WIRE_ROUND);
    upload(&a, 1, 1);
    status_says(" b                    accepted; round 1: its card is revoked\n");
    const json_t *event = aggregator_event(&north, "done");
    assert_string_equal(reason_of(event, "b"), "its card is revoked");
}

static void a_revoked_site_is_named_so_when_its_study_is_stopped_and_ever_after(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1});
    join(&a);
    join(&b);
    (void)fake_hear(&b, WIRE_ROUND);
    revoke_b();
    assert_int_equal(aggregator_command(&north, "abort", "trial", (char *)NULL), 0);
    const json_t *event = aggregator_event(&north, "done");
    assert_string_equal(reason_of(event, "b"), "its card is revoked");
    assert_string_equal(reason_of(event, "a"), "had not answered yet");
    (void)fake_hear(&a, WIRE_DONE);
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    assert_int_equal(aggregator_wait(&north), 1);

    fake_release(&b); /* back with new keys: that changes nothing of what was */
    fake_init(&b, "b");
    aggregator_enrol(&north, &b.card);
    status_says(" b                    accepted; round 1: its card is revoked\n");
    aggregator_run(&north);
    event = aggregator_event(&north, "done");
    assert_string_equal(reason_of(event, "b"), "its card is revoked");
}

static void a_site_that_is_revoked_before_it_accepted_is_named_so(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1, .join_s = 2});
    fake_hello(&b);
    join(&a);
    revoke_b();
    status_says(" b                    its card is revoked\n");
    const json_t *event = aggregator_event(&north, "done");
    assert_string_equal(reason_of(event, "b"), "its card is revoked");
    (void)fake_hear(&a, WIRE_DONE);
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    assert_int_equal(aggregator_wait(&north), 1);
    assert_int_equal(aggregator_command(&north, "status", "--json", (char *)NULL), 0);
    assert_true(aggregator_logged(&north, "\"pending\": \"its card is revoked\""));
    aggregator_run(&north);
    event = aggregator_event(&north, "done");
    assert_string_equal(reason_of(event, "b"), "its card is revoked");
}

/* ---- what people decide ---------------------------------------------------------------------- */

static void a_site_that_is_revoked_while_connected_is_out_at_its_next_message(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1, .quorum = 1});
    join(&a);
    join(&b);
    (void)fake_hear(&b, WIRE_ROUND);
    assert_int_equal(aggregator_command(&north, "revoke", "b", "--reason", "lost", (char *)NULL),
                     0);
    unsigned char *bytes = make_update(&b, 1);
    fake_offer(&b, 1, bytes, update_n);
    assert_true(fake_hears_nothing(&b, WIRE_CREDIT, 300));
    (void)fake_hear(&a, WIRE_ROUND);
    upload(&a, 1, 1);
    const json_t *event = aggregator_event(&north, "round");
    const json_t *absent = json_array_get(json_object_get(event, "absent"), 0);
    assert_string_equal(json_string_value(json_object_get(absent, "reason")),
                        "its card is revoked");
    aggregator_signal(&north, SIGTERM); /* b will not say goodbye */
    (void)aggregator_event(&north, "counts");
    assert_true(count_of("revoked") >= 1);
    assert_int_equal(aggregator_wait(&north), 0);
}

static void an_abort_ends_the_study_with_its_reason(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1});
    join(&a);
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    assert_int_equal(aggregator_command(&north, "abort", "trial", "--reason", "a mistake in it",
                                        (char *)NULL),
                     0);
    (void)fake_hear(&a, WIRE_DONE);
    assert_false(a.heard.done);
    assert_non_null(strstr(a.heard.text, "a mistake in it"));
    (void)fake_hear(&b, WIRE_DONE);
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    fake_say(&b, WIRE_GOODBYE, 0, NULL);
    assert_int_equal(aggregator_wait(&north), 1);
}

static void a_second_run_on_the_folder_is_refused(void **state)
{
    (void)state;
    char who[64];
    begin(&(struct study_words){0});
    assert_int_equal(aggregator_command(&north, "run", "--study", north.study, (char *)NULL), 1);
    (void)snprintf(who, sizeof who, "process %d", (int)north.pid);
    assert_true(aggregator_logged(&north, who));
    finish_study(2);
    assert_int_equal(aggregator_wait(&north), 0);
}

/* ---- stopped and killed ---------------------------------------------------------------------- */

static void a_run_that_was_told_to_stop_dies_by_that_signal(void **state)
{
    (void)state;
    begin(&(struct study_words){0});
    aggregator_signal(&north, SIGINT);
    assert_int_equal(aggregator_wait(&north), 128 + SIGINT);
    assert_true(aggregator_logged(&north, "aggregator_stopped"));
    assert_true(aggregator_logged(&north, "run the same command again to resume"));
}

/* Of its numbers, little endian. */
static void negate(unsigned char *bytes)
{
    for (size_t i = 0; i < update_n; i += 4) {
        uint32_t x;
        memcpy(&x, bytes + i, sizeof x);
        x = 0U - x;
        memcpy(bytes + i, &x, sizeof x);
    }
}

static void a_stopped_run_is_no_success_and_the_next_one_resumes(void **state)
{
    (void)state;
    begin(&(struct study_words){0});
    join(&a);
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    const struct hash first = a.heard.tensor.hash;
    upload(&a, 1, 1);
    aggregator_signal(&north, SIGTERM);
    assert_int_equal(aggregator_wait(&north), 128 + SIGTERM);
    assert_true(aggregator_logged(&north, "resume"));

    aggregator_run(&north);
    assert_true(json_is_true(json_object_get(north.event, "resumed")));
    const json_int_t left = json_integer_value(json_object_get(north.event, "left_s"));
    assert_true(left > 55 && left <= 60);
    fake_connect(&a, &north.card, north.port);
    fake_connect(&b, &north.card, north.port);
    fake_hello(&a);
    fake_say(&a, WIRE_ACCEPT, 0, NULL);
    (void)fake_hear(&a, WIRE_ACK); /* its update was kept */
    assert_int_equal(a.heard.round, 1);
    fake_hello(&b);
    fake_say(&b, WIRE_ACCEPT, 0, NULL);
    (void)fake_hear(&b, WIRE_ROUND);
    negate(make_update(&b, 1));
    fake_upload(&b, 1, update, update_n);
    (void)fake_hear(&a, WIRE_OUTCOME);
    assert_int_equal(a.heard.contributed[0], 3);
    assert_true(hash_equal(&a.heard.tensor.hash, &first)); /* both are in the sum: it is zero */
}

static void a_killed_coordinator_fetches_the_rest_of_an_update(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1, .quorum = 1, .hidden = 500});
    join(&a);
    join(&b);
    (void)fake_hear(&a, WIRE_ROUND);
    const unsigned char *bytes = make_update(&a, 1);
    fake_offer(&a, 1, bytes, update_n);
    do {
        (void)fake_hear(&a, WIRE_CREDIT);
    } while (a.heard.first < 2);
    aggregator_signal(&north, SIGKILL);
    assert_int_equal(aggregator_wait(&north), 128 + SIGKILL);

    aggregator_run(&north);
    fake_connect(&a, &north.card, north.port);
    fake_connect(&b, &north.card, north.port);
    fake_offer(&a, 1, bytes, update_n);
    (void)fake_hear(&a, WIRE_CREDIT);
    assert_true(a.heard.first >= 2);
    assert_true(a.heard.resume);
    (void)fake_hear(&a, WIRE_ACK);
    fake_say(&b, WIRE_CANNOT, 1, "no");
    (void)fake_hear(&a, WIRE_DONE);
    assert_true(a.heard.done);
}

enum { FEW = 4, LARGE = 1000 /* hidden units: updates of 4 MB, of which three fit into memory */ };

static struct fake_site few[FEW];
static unsigned char *of_few[FEW];

/* Past round 1, in which nothing was known of their links; each has made its update of round 2. */
static void begin_with_good_links(void)
{
    static char name[FEW][8];
    char roster[FEW * 8] = "";
    for (size_t i = 0; i < FEW; i++) {
        (void)snprintf(name[i], sizeof name[i], "s%zu", i);
        (void)snprintf(roster + strlen(roster), sizeof roster - strlen(roster), "%s ", name[i]);
        fake_init(&few[i], name[i]);
    }
    aggregator_make(&north, &(struct study_words){.sites = roster, .hidden = LARGE});
    for (size_t i = 0; i < FEW; i++) {
        aggregator_enrol(&north, &few[i].card);
    }
    aggregator_run(&north);
    for (size_t i = 0; i < FEW; i++) {
        fake_connect(&few[i], &north.card, north.port);
        join(&few[i]);
    }
    for (size_t i = 0; i < FEW; i++) {
        (void)fake_hear(&few[i], WIRE_ROUND);
        upload(&few[i], 1, (unsigned)i);
    }
    for (size_t i = 0; i < FEW; i++) {
        do {
            (void)fake_hear(&few[i], WIRE_ROUND);
        } while (few[i].heard.round < 2);
        of_few[i] = make_update(&few[i], (unsigned)i + 50);
        update = NULL; /* each site has its own */
    }
}

static void end_with_good_links(void)
{
    for (size_t i = 0; i < FEW; i++) {
        fake_release(&few[i]);
        free(of_few[i]);
        of_few[i] = NULL;
    }
}

static size_t files_in_spool(void)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/spool", north.folder);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    size_t n = 0;
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        n += e->d_name[0] != '.';
    }
    (void)closedir(folder);
    return n;
}

/* Three are kept in memory. They do not send, so the fourth, which waits for their room, does not get it, and soon has
 * a file. */
static void over_good_links_updates_need_files_only_where_memory_ends(void **state)
{
    (void)state;
    begin_with_good_links();
    assert_int_equal(files_in_spool(), 0);
    for (size_t i = 0; i < FEW; i++) {
        fake_offer(&few[i], 2, of_few[i], update_n);
        do {
            assert_true(fake_next(&few[i], FAKE_WAIT_MS));
        } while (few[i].heard.kind != WIRE_CREDIT);
        assert_int_equal(few[i].heard.first, 0);
        assert_int_equal(few[i].heard.until, TRANSFER_WINDOW); /* at once: its link is good */
        assert_int_equal(files_in_spool(), i < 3 ? 0 : 1);
    }
    for (size_t i = FEW; i-- > 0;) {
        fake_offer(&few[i], 2, of_few[i], update_n); /* asked again, and now answered */
        (void)fake_hear(&few[i], WIRE_ACK);
    }
    for (size_t i = 0; i < FEW; i++) {
        (void)fake_hear(&few[i], WIRE_DONE);
        assert_true(few[i].heard.done);
        assert_int_equal(few[i].heard.contributed[0], 15);
    }
    assert_int_equal(files_in_spool(), 0);
    end_with_good_links();
}

/* Nobody was told that it had it. */
static void a_killed_coordinator_fetches_anew_what_it_had_in_memory(void **state)
{
    (void)state;
    begin_with_good_links();
    for (size_t i = 0; i < 2; i++) {
        fake_offer(&few[i], 2, of_few[i], update_n);
    }
    do {
        (void)fake_hear(&few[0], WIRE_CREDIT);
    } while (few[0].heard.first < 16);
    aggregator_signal(&north, SIGKILL);
    assert_int_equal(aggregator_wait(&north), 128 + SIGKILL);
    aggregator_run(&north);
    for (size_t i = 0; i < FEW; i++) {
        fake_connect(&few[i], &north.card, north.port);
        fake_offer(&few[i], 2, of_few[i], update_n);
        (void)fake_hear(&few[i], WIRE_CREDIT);
        assert_int_equal(few[i].heard.first, 0);
        (void)fake_hear(&few[i], WIRE_ACK);
    }
    for (size_t i = 0; i < FEW; i++) {
        (void)fake_hear(&few[i], WIRE_DONE);
        assert_int_equal(few[i].heard.contributed[0], 15);
    }
    end_with_good_links();
}

static void a_finished_study_that_is_run_again_tells_the_end_again(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1});
    finish_study(1);
    assert_int_equal(aggregator_wait(&north), 0);
    aggregator_run(&north);
    const json_t *event = aggregator_event(&north, "waiting");
    assert_int_equal(json_integer_value(json_object_get(event, "sites")), 2);
    assert_int_equal(json_integer_value(json_object_get(event, "seconds")), 30);
    fake_connect(&a, &north.card, north.port);
    fake_connect(&b, &north.card, north.port);
    fake_say(&a, WIRE_HELLO, 0, "fake site");
    (void)fake_hear(&a, WIRE_DONE);
    assert_true(a.heard.done);
    assert_int_equal(a.heard.round, 1);
    assert_int_equal(a.heard.contributed[0], 3);
    fake_say(&a, WIRE_GOODBYE, 0, NULL);
    fake_say(&b, WIRE_GOODBYE, 0, NULL);
    assert_int_equal(aggregator_wait(&north), 0);
}

/* ---- what is written for others -------------------------------------------------------------- */

static void live_json_tells_what_run_is_doing(void **state)
{
    (void)state;
    begin(&(struct study_words){.rounds = 1});
    join(&a);
    fake_hello(&b);
    fake_say(&b, WIRE_ACCEPT, 0, NULL);
    (void)fake_hear(&a, WIRE_ROUND);
    json_t *live = NULL;
    for (int i = 0; i < 100; i++) { /* it is written at most once a second */
        json_decref(live);
        live = aggregator_live(&north);
        const char *now = json_string_value(json_object_get(live, "state"));
        if (now != NULL && strcmp(now, "open") == 0) {
            break;
        }
        (void)fake_next(&a, 100);
    }
    assert_string_equal(json_string_value(json_object_get(live, "state")), "open");
    assert_int_equal(json_integer_value(json_object_get(live, "port")), north.port);
    assert_int_equal(json_integer_value(json_object_get(live, "pid")), north.pid);
    assert_true(json_is_true(json_object_get(live, "running")));
    const json_t *site = json_array_get(json_object_get(live, "sites"), 1);
    assert_string_equal(json_string_value(json_object_get(site, "name")), "b");
    assert_string_equal(json_string_value(json_object_get(site, "member")), "accepted");
    assert_string_equal(json_string_value(json_object_get(site, "part")), "waited_for");
    json_decref(live);
}

/* sd_notify(3): one datagram each to the socket that the variable names, here an abstract one. */
static void the_service_manager_hears_of_ready_and_stopping(void **state)
{
    (void)state;
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    char name[64];
    char word[64] = "";
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const int n = snprintf(name, sizeof name, "@wardround-test-%d", (int)getpid());
    memcpy(here.sun_path, name, (size_t)n);
    here.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (const struct sockaddr *)&here,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    begin(&(struct study_words){0});
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    assert_int_equal(recv(fd, word, sizeof word - 1, 0), (int)strlen("READY=1"));
    assert_string_equal(word, "READY=1");
    aggregator_signal(&north, SIGTERM);
    assert_int_equal(aggregator_wait(&north), 128 + SIGTERM);
    assert_int_equal(recv(fd, word, sizeof word - 1, MSG_DONTWAIT), (int)strlen("STOPPING=1"));
    (void)close(fd);
}

/* ---- many sites ------------------------------------------------------------------------------ */

enum { MANY = 24 };

/* Listens to them by turns: whoever is not listened to holds a place and sends nothing, and on a
 * machine slow enough to make that UPLOAD_FROZEN_MS its place would go to one still further behind. */
static void all_are_acknowledged(struct fake_site *site, size_t n)
{
    const int64_t until = clock_monotonic_ms() + FAKE_WAIT_MS;
    bool known[MANY] = {false};
    assert_true(n <= MANY);
    size_t left = n;
    while (left > 0) {
        for (size_t i = 0; i < n; i++) {
            if (!known[i] && !fake_hears_nothing(&site[i], WIRE_ACK, 5)) {
                known[i] = true;
                left--;
            }
        }
        if (clock_monotonic_ms() > until) {
            fail_msg("%zu sites waited in vain for ACK", left);
        }
    }
}

/* Sixteen are fetched at once; others wait in the order of asking. One that does not send what it is
 * asked for keeps its place for a while, and all others arrive past it. */
static void updates_of_many_sites_queue_and_all_arrive(void **state)
{
    (void)state;
    enum { SITES = MANY, AT_ONCE = 16 };
    static struct fake_site site[SITES];
    static char name[SITES][8];
    unsigned char *bytes[SITES];
    char roster[SITES * 8] = "";
    for (size_t i = 0; i < SITES; i++) {
        (void)snprintf(name[i], sizeof name[i], "s%zu", i);
        const size_t used = strlen(roster);
        (void)snprintf(roster + used, sizeof roster - used, "%s ", name[i]);
        fake_init(&site[i], name[i]);
    }
    aggregator_make(&north, &(struct study_words){.sites = roster, .rounds = 1, .hidden = 400});
    aggregator_run(&north);
    for (size_t i = 0; i < SITES; i++) {
        aggregator_enrol(&north, &site[i].card);
        fake_connect(&site[i], &north.card, north.port);
        join(&site[i]);
    }
    for (size_t i = 0; i < SITES; i++) {
        (void)fake_hear(&site[i], WIRE_ROUND);
        bytes[i] = make_update(&site[i], (unsigned)i);
        update = NULL; /* each site has its own */
        assert_true(update_n > 2 * TRANSFER_CHUNK);
    }

    for (size_t i = 0; i < AT_ONCE; i++) {
        fake_offer(&site[i], 1, bytes[i], update_n);
        (void)fake_hear(&site[i], WIRE_CREDIT); /* one chunk goes, more when it is listened to */
    }
    for (size_t i = AT_ONCE; i < SITES; i++) {
        fake_offer(&site[i], 1, bytes[i], update_n);
        assert_true(fake_hears_nothing(&site[i], WIRE_CREDIT, 100));
    }
    (void)fake_hear(&site[1], WIRE_ACK);
    (void)fake_hear(&site[AT_ONCE], WIRE_CREDIT); /* who has waited longest */
    assert_true(fake_hears_nothing(&site[AT_ONCE + 1], WIRE_CREDIT, 100));
    all_are_acknowledged(site + 2, SITES - 2);
    (void)fake_hear(&site[0], WIRE_ACK);

    for (size_t i = 0; i < SITES; i++) {
        (void)fake_hear(&site[i], WIRE_DONE);
        assert_true(site[i].heard.done);
        assert_int_equal(site[i].heard.contributed[0], 0xff);
        assert_int_equal(site[i].heard.contributed[2], 0xff);
        fake_say(&site[i], WIRE_GOODBYE, 0, NULL);
    }
    assert_int_equal(aggregator_wait(&north), 0);
    for (size_t i = 0; i < SITES; i++) {
        fake_release(&site[i]);
        free(bytes[i]);
    }
}

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_REAL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_IS_REAL 0
#endif
#endif
#ifndef MEMORY_IS_REAL
#define MEMORY_IS_REAL 1
#endif

/* Enrolled, connected, past their first exchange: what they cost while nothing happens. */
static void a_hundred_idle_sites_take_little_memory(void **state)
{
    (void)state;
    enum { SITES = 100, MODEL = 4 << 20 };
    static struct fake_site site[SITES];
    static char name[SITES][8];
    char roster[SITES * 8] = "";
    for (size_t i = 0; i < SITES; i++) {
        (void)snprintf(name[i], sizeof name[i], "s%zu", i);
        const size_t used = strlen(roster);
        (void)snprintf(roster + used, sizeof roster - used, "%s ", name[i]);
        fake_init(&site[i], name[i]);
    }
    /* more than 4 MB of parameters; nobody accepts, so all stay connected and idle */
    aggregator_make(&north, &(struct study_words){.sites = roster, .hidden = 1024});
    aggregator_run(&north);
    for (size_t i = 0; i < SITES; i++) {
        aggregator_enrol(&north, &site[i].card);
        fake_connect(&site[i], &north.card, north.port);
        fake_hello(&site[i]);
    }
    const size_t bytes = aggregator_memory(&north);
    print_message("           resident: %zu KiB\n", bytes >> 10);
    if (MEMORY_IS_REAL) {
        assert_true(bytes <= (50U << 20) + 4U * MODEL);
    }
    for (size_t i = 0; i < SITES; i++) {
        fake_release(&site[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* usage: test_coordinator [PATTERN]: the tests whose names match it, such as '*refused*' */
int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(two_sites_carry_out_a_study),
        TEST(a_site_that_misses_the_deadline_is_named_with_its_last_progress),
        TEST(below_quorum_the_study_fails_and_the_exit_code_says_so),
        TEST(a_site_that_declines_is_told_of_with_its_reason),
        TEST(too_few_acceptances_fail_the_study_before_its_first_round),
        TEST(a_wrongly_signed_message_is_refused),
        TEST(a_raw_frame_that_was_exchanged_is_refused),
        TEST(a_replayed_message_is_refused),
        TEST(truncated_and_oversized_messages_are_refused),
        TEST(messages_for_others_of_others_or_of_other_studies_are_refused),
        TEST(what_the_protocol_forbids_is_refused_and_the_study_goes_on),
        TEST(an_update_again_is_acknowledged_and_another_one_is_refused),
        TEST(the_anchor_of_an_update_is_signed_in_its_ack_and_said_with_every_study),
        TEST(an_unknown_key_is_not_let_in),
        TEST(an_enrolled_site_that_is_not_on_the_roster_may_only_ask_whether_we_are_here),
        TEST(a_site_that_has_not_accepted_is_told_from_one_that_was_never_there),
        TEST(a_revoked_site_that_the_quorum_needs_is_named_so_at_the_deadline),
        TEST(a_revoked_site_is_named_so_when_its_study_is_stopped_and_ever_after),
        TEST(a_site_that_is_revoked_before_it_accepted_is_named_so),
        TEST(a_site_that_is_revoked_while_connected_is_out_at_its_next_message),
        TEST(an_abort_ends_the_study_with_its_reason),
        TEST(a_second_run_on_the_folder_is_refused),
        TEST(a_run_that_was_told_to_stop_dies_by_that_signal),
        TEST(a_stopped_run_is_no_success_and_the_next_one_resumes),
        TEST(a_killed_coordinator_fetches_the_rest_of_an_update),
        TEST(over_good_links_updates_need_files_only_where_memory_ends),
        TEST(a_killed_coordinator_fetches_anew_what_it_had_in_memory),
        TEST(a_finished_study_that_is_run_again_tells_the_end_again),
        TEST(live_json_tells_what_run_is_doing),
        TEST(the_service_manager_hears_of_ready_and_stopping),
        TEST(updates_of_many_sites_queue_and_all_arrive),
        TEST(a_hundred_idle_sites_take_little_memory),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
