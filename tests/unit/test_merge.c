#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aggregator/merge/merge.h"
#include "common/update/update.h"

enum { S = 4, SITES = 3 };

static struct study_site sites[SITES] = {{.name = "a", .nominal = 100},
                                         {.name = "b", .nominal = 300},
                                         {.name = "c", .nominal = 600}};

static struct study make_study(void)
{
    return (struct study){
        .name = "s",
        .server = {.rule = STUDY_FEDAVG, .rate = 1.0, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-3},
        .rounds = 2,
        .fraction_bits = 24,
        .n_sites = SITES,
        .site = sites};
}

static void add(struct merge *m, size_t site, const double *delta)
{
    struct error err = {0};
    unsigned char bytes[4 * S];
    assert_int_equal(update_encode(delta, S, (double)sites[site].nominal / 1000.0, 24, bytes, &err),
                     RC_OK);
    assert_int_equal(merge_add(m, site, bytes, sizeof bytes, &err), RC_OK);
}

static const double delta[SITES][S] = {{1.0, 0.0, -1.0, 0.5},
                                       {0.0, 2.0, 1.0, 0.5},
                                       {-1.0, 1.0, 0.0, 0.5}};

static void fedavg_adds_the_mean_weighted_by_public_sizes(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = make_study();
    struct merge *m = NULL;
    real model[S] = {1, 1, 1, 1};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, S, &m, &err), RC_OK);
    for (size_t k = 0; k < SITES; k++) {
        add(m, k, delta[k]);
    }
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S), &err), RC_OK);
    const double want[S] = {1.0 + 0.1 - 0.6, 1.0 + 0.6 + 0.6, 1.0 - 0.1 + 0.3, 1.5};
    for (size_t i = 0; i < S; i++) {
        assert_true(fabs((double)model[i] - want[i]) < 1e-6);
    }
    merge_close(&m);
}

static void those_who_are_missing_are_divided_out(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = make_study();
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, S, &m, &err), RC_OK);
    add(m, 0, delta[0]);
    add(m, 1, delta[1]);
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S), &err), RC_OK);
    const double want[S] = {0.25, 1.5, 0.5, 0.5};
    for (size_t i = 0; i < S; i++) {
        assert_true(fabs((double)model[i] - want[i]) < 1e-6);
    }
    merge_close(&m);
}

static void fedadam_follows_its_algorithm_over_two_rounds(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.rule = STUDY_FEDADAM;
    s.server.rate = 0.1;
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, S, &m, &err), RC_OK);
    double w = 0.0;
    double first = 0.0;
    double second = 0.0;
    for (uint64_t round = 1; round <= 2; round++) {
        merge_restart(m);
        add(m, 2, delta[2]);
        assert_int_equal(merge_finish(m, round, model, st, merge_state_bytes(&s, S), &err), RC_OK);
        first = 0.9 * first + 0.1 * -1.0;
        second = 0.99 * second + 0.01;
        w += 0.1 * first / (sqrt(second) + 1e-3);
        assert_true(fabs((double)model[0] - w) < 1e-6);
    }
    merge_close(&m);
}

static void averaged_iterates_are_the_last_rounds_model(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.average_iterates = true;
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, S, &m, &err), RC_OK);
    for (uint64_t round = 1; round <= 2; round++) {
        merge_restart(m);
        add(m, 2, delta[2]);
        assert_int_equal(merge_finish(m, round, model, st, merge_state_bytes(&s, S), &err), RC_OK);
    }
    assert_true(fabs((double)model[1] - 1.5) < 1e-6); /* of 1 and 2 */
    merge_close(&m);
}

static void a_site_counts_once(void **state)
{
    (void)state;
    struct error err = {0};
    const struct study s = make_study();
    struct merge *m = NULL;
    const unsigned char bytes[4 * S] = {0};
    assert_int_equal(merge_open(&s, S, &m, &err), RC_OK);
    assert_int_equal(merge_add(m, 1, bytes, sizeof bytes, &err), RC_OK);
    assert_int_equal(merge_add(m, 1, bytes, sizeof bytes, &err), RC_STATE);
    assert_int_equal(merge_add(m, 0, bytes, sizeof bytes - 4, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "site 'a'"));
    merge_restart(m);
    assert_int_equal(merge_add(m, 1, bytes, sizeof bytes, &err), RC_OK);
    merge_close(&m);
    merge_close(&m);
}

static void a_model_that_is_not_finite_is_never_made(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.rate = HUGE_VAL;
    struct merge *m = NULL;
    real model[S] = {1, 2, 3, 4};
    unsigned char st[3 * S * sizeof(double)] = {0};
    assert_int_equal(merge_open(&s, S, &m, &err), RC_OK);
    add(m, 2, delta[2]);
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S), &err), RC_NUMERIC);
    assert_true(model[0] == 1 && model[3] == 4);
    assert_int_equal(merge_finish(m, 1, model, st, merge_state_bytes(&s, S) + 1, &err), RC_FORMAT);
    merge_close(&m);
}

static void a_model_too_large_for_its_numbers_is_never_made(void **state)
{
    (void)state;
    struct error err = {0};
    struct study s = make_study();
    s.server.rate = 1e39; /* finite in double, and more than a float can be */
    struct merge *m = NULL;
    real model[S] = {0};
    unsigned char st[1];
    assert_int_equal(merge_open(&s, S, &m, &err), RC_OK);
    add(m, 2, delta[2]);
    assert_int_equal(merge_finish(m, 1, model, st, 0, &err), RC_NUMERIC);
    assert_true(model[0] == 0);
    merge_close(&m);
}

static void a_rule_keeps_only_what_it_needs(void **state)
{
    (void)state;
    struct study s = make_study();
    assert_int_equal(merge_state_bytes(&s, S), 0);
    s.server.average_iterates = true;
    assert_int_equal(merge_state_bytes(&s, S), S * sizeof(double));
    s.server.rule = STUDY_FEDADAM;
    assert_int_equal(merge_state_bytes(&s, S), 3 * S * sizeof(double));
    s.server.average_iterates = false;
    assert_int_equal(merge_state_bytes(&s, S), 2 * S * sizeof(double));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fedavg_adds_the_mean_weighted_by_public_sizes),
        cmocka_unit_test(those_who_are_missing_are_divided_out),
        cmocka_unit_test(fedadam_follows_its_algorithm_over_two_rounds),
        cmocka_unit_test(averaged_iterates_are_the_last_rounds_model),
        cmocka_unit_test(a_site_counts_once),
        cmocka_unit_test(a_model_that_is_not_finite_is_never_made),
        cmocka_unit_test(a_model_too_large_for_its_numbers_is_never_made),
        cmocka_unit_test(a_rule_keeps_only_what_it_needs),
    };
    return cmocka_run_group_tests_name("aggregator/merge", tests, NULL, NULL);
}
