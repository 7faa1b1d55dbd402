#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/evaluation/request.h"

static struct seal_keys *coordinator;
static struct seal_public signer;

static int make_keys(void **state)
{
    (void)state;
    struct error err = {0};
    struct seal_curve curve;
    if (seal_keys_random(&coordinator, &err) != RC_OK) {
        return -1;
    }
    seal_keys_public(coordinator, &signer, &curve);
    return 0;
}

static int drop_keys(void **state)
{
    (void)state;
    seal_keys_close(&coordinator);
    return 0;
}

static struct evaluation_request a_request(void)
{
    return (struct evaluation_request){.study = hash_of("study", 5),
                                       .model = hash_of("model", 5),
                                       .round = 7,
                                       .epsilon = 0.5,
                                       .asked_ms = 1750000000000,
                                       .deadline_ms = 1750000600000,
                                       .bins = evaluation_bins_default()};
}

static void a_request_arrives_as_it_was_asked(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char bytes[EVALUATION_REQUEST_BYTES_MAX];
    const struct evaluation_request asked = a_request();
    struct evaluation_request got;
    const size_t n = evaluation_request_sign(&asked, coordinator, bytes);
    assert_int_equal(evaluation_request_verify(bytes, n, &signer, &got, &err), RC_OK);
    assert_memory_equal(&got.study, &asked.study, sizeof got.study);
    assert_memory_equal(&got.model, &asked.model, sizeof got.model);
    assert_int_equal(got.round, 7);
    assert_memory_equal(&got.epsilon, &asked.epsilon, sizeof got.epsilon);
    assert_int_equal(got.asked_ms, asked.asked_ms);
    assert_int_equal(got.deadline_ms, asked.deadline_ms);
    assert_int_equal(got.bins.n, asked.bins.n);
    assert_memory_equal(got.bins.edge, asked.bins.edge, 8 * (asked.bins.n - 1));
    const struct hash a = evaluation_request_hash(&asked);
    const struct hash b = evaluation_request_hash(&got);
    assert_memory_equal(&a, &b, sizeof a);
}

static void the_name_binds_every_word_of_it(void **state)
{
    (void)state;
    struct evaluation_request r = a_request();
    struct hash seen[9];
    size_t n = 0;
    seen[n++] = evaluation_request_hash(&r);
    r.study.b[31] ^= 1;
    seen[n++] = evaluation_request_hash(&r);
    r.model.b[0] ^= 1;
    seen[n++] = evaluation_request_hash(&r);
    r.round++;
    seen[n++] = evaluation_request_hash(&r);
    r.epsilon *= 2.0;
    seen[n++] = evaluation_request_hash(&r);
    r.asked_ms++;
    seen[n++] = evaluation_request_hash(&r);
    r.deadline_ms++;
    seen[n++] = evaluation_request_hash(&r);
    r.bins.edge[r.bins.n - 2] += 1.0;
    seen[n++] = evaluation_request_hash(&r);
    r.bins.n--;
    seen[n++] = evaluation_request_hash(&r);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&seen[i], &seen[j]));
        }
    }
}

static void nothing_of_it_can_be_changed(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char bytes[EVALUATION_REQUEST_BYTES_MAX];
    const struct evaluation_request asked = a_request();
    struct evaluation_request got = {.round = 99};
    const size_t n = evaluation_request_sign(&asked, coordinator, bytes);
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= 1;
        const enum rc rc = evaluation_request_verify(bytes, n, &signer, &got, &err);
        assert_true(rc == (i < 23 ? RC_FORMAT : RC_AUTH));
        bytes[i] ^= 1;
    }
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_not_equal(evaluation_request_verify(bytes, cut, &signer, &got, &err), RC_OK);
    }
    assert_int_equal(got.round, 99);
    struct seal_public stranger = signer;
    stranger.b[3] ^= 1;
    assert_int_equal(evaluation_request_verify(bytes, n, &stranger, &got, &err), RC_AUTH);
}

/* Of a coordinator that signs what it should not. */
static void a_request_out_of_range_is_refused_though_it_is_signed(void **state)
{
    (void)state;
    struct evaluation_request bad[10];
    for (size_t i = 0; i < 10; i++) {
        bad[i] = a_request();
    }
    bad[0].epsilon = 0.0;
    bad[1].epsilon = 41.0;
    bad[2].epsilon = (double)NAN;
    bad[3].epsilon = HUGE_VAL;
    bad[4].round = 0;
    bad[5].asked_ms = -1;
    bad[6].deadline_ms = bad[6].asked_ms - 1;
    bad[7].bins.edge[3] = bad[7].bins.edge[2];
    bad[8].bins.edge[0] = -HUGE_VAL;
    bad[9].bins.edge[5] = (double)NAN;
    for (size_t i = 0; i < 10; i++) {
        struct error err = {0};
        unsigned char bytes[EVALUATION_REQUEST_BYTES_MAX];
        struct evaluation_request got;
        const size_t n = evaluation_request_sign(&bad[i], coordinator, bytes);
        assert_int_equal(evaluation_request_verify(bytes, n, &signer, &got, &err), RC_FORMAT);
    }
}

static void an_answer_arrives_as_it_was_given(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char bytes[EVALUATION_ANSWER_BYTES_MAX];
    struct evaluation_counts given = {.bins = 3, .at = {{5, -2, 0}, {1000000, 7, -1}}};
    struct evaluation_counts got = {.bins = 99};
    const size_t n = evaluation_answer_pack(&given, bytes);
    assert_int_equal(n, 48);
    assert_int_equal(evaluation_answer_unpack(bytes, n, 3, &got, &err), RC_OK);
    assert_memory_equal(&got, &given, sizeof got);
    assert_int_equal(evaluation_answer_unpack(bytes, n, 4, &got, &err), RC_FORMAT);
    assert_int_equal(evaluation_answer_unpack(bytes, n - 8, 3, &got, &err), RC_FORMAT);
    given.at[EVALUATION_ILL][2] = INT64_MIN;
    (void)evaluation_answer_pack(&given, bytes);
    assert_int_equal(evaluation_answer_unpack(bytes, n, 3, &got, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "a count that no hospital has"));
    assert_int_equal(got.at[EVALUATION_ILL][2], -1); /* untouched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_as_it_was_asked),
        cmocka_unit_test(the_name_binds_every_word_of_it),
        cmocka_unit_test(nothing_of_it_can_be_changed),
        cmocka_unit_test(a_request_out_of_range_is_refused_though_it_is_signed),
        cmocka_unit_test(an_answer_arrives_as_it_was_given),
    };
    return cmocka_run_group_tests_name("evaluation_request", tests, make_keys, drop_keys);
}
