#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/update/update.h"

enum { N = 5, SITES = 4, BITS = 24 };

static void a_mean_over_sites_comes_back_within_the_grid(void **state)
{
    (void)state;
    struct error err = {0};
    struct rng r;
    rng_init(&r, 1, "updates");
    const double weight[SITES] = {0.1, 0.2, 0.3, 0.4};
    uint32_t sum[N] = {0};
    double want[N] = {0};
    for (size_t k = 0; k < SITES; k++) {
        double delta[N];
        unsigned char bytes[4 * N];
        for (size_t i = 0; i < N; i++) {
            delta[i] = 20.0 * rng_normal(&r);
            want[i] += weight[k] * delta[i];
        }
        assert_int_equal(update_encode(delta, N, weight[k], BITS, bytes, &err), RC_OK);
        assert_int_equal(update_add(sum, N, bytes, sizeof bytes, &err), RC_OK);
    }
    double mean[N];
    update_decode(sum, N, 1.0, BITS, mean);
    for (size_t i = 0; i < N; i++) {
        assert_true(fabs(mean[i] - want[i]) <= SITES * 0.5 * 0x1p-24);
    }
}

static void the_sum_does_not_depend_on_the_order_of_arrival(void **state)
{
    (void)state;
    struct error err = {0};
    struct rng r;
    rng_init(&r, 2, "updates");
    unsigned char bytes[SITES][4 * N];
    for (size_t k = 0; k < SITES; k++) {
        double delta[N];
        for (size_t i = 0; i < N; i++) {
            delta[i] = rng_normal(&r);
        }
        assert_int_equal(update_encode(delta, N, 0.25, BITS, bytes[k], &err), RC_OK);
    }
    uint32_t there[N] = {0};
    uint32_t back[N] = {0};
    for (size_t k = 0; k < SITES; k++) {
        assert_int_equal(update_add(there, N, bytes[k], sizeof bytes[k], &err), RC_OK);
        assert_int_equal(update_add(back, N, bytes[SITES - 1 - k], sizeof bytes[k], &err), RC_OK);
    }
    assert_memory_equal(there, back, sizeof there);
}

static void a_missing_site_is_divided_out(void **state)
{
    (void)state;
    struct error err = {0};
    const double delta[N] = {1.0, -2.0, 0.5, 0.0, 3.0};
    unsigned char bytes[4 * N];
    uint32_t sum[N] = {0};
    double mean[N];
    assert_int_equal(update_encode(delta, N, 0.25, BITS, bytes, &err), RC_OK);
    assert_int_equal(update_add(sum, N, bytes, sizeof bytes, &err), RC_OK);
    update_decode(sum, N, 0.25, BITS, mean);
    for (size_t i = 0; i < N; i++) {
        assert_true(fabs(mean[i] - delta[i]) < 1e-6);
    }
}

static void what_leaves_the_ring_is_an_error_and_writes_nothing(void **state)
{
    (void)state;
    const double bad[] = {128.0, -128.0, (double)NAN, HUGE_VAL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        double delta[N] = {0};
        unsigned char bytes[4 * N];
        unsigned char before[4 * N];
        memset(bytes, 0xAB, sizeof bytes);
        memcpy(before, bytes, sizeof bytes);
        delta[3] = bad[i];
        assert_int_equal(update_encode(delta, N, 1.0, BITS, bytes, &err), RC_NUMERIC);
        assert_memory_equal(bytes, before, sizeof bytes);
        assert_non_null(strstr(err.text, "parameter 3 of 5"));
    }
}

static void an_update_of_another_length_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned char bytes[4 * N + 1] = {0};
    uint32_t sum[N] = {0};
    assert_int_equal(update_add(sum, N, bytes, sizeof bytes, &err), RC_FORMAT);
    assert_int_equal(update_add(sum, N, bytes, 4 * N - 4, &err), RC_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mean_over_sites_comes_back_within_the_grid),
        cmocka_unit_test(the_sum_does_not_depend_on_the_order_of_arrival),
        cmocka_unit_test(a_missing_site_is_divided_out),
        cmocka_unit_test(what_leaves_the_ring_is_an_error_and_writes_nothing),
        cmocka_unit_test(an_update_of_another_length_is_refused),
    };
    return cmocka_run_group_tests_name("common/update", tests, NULL, NULL);
}
