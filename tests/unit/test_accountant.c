#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/accountant/accountant.h"
#include "common/accountant/planning.h"
#include "common/accountant/rdp.h"
#include "common/base/error.h"
#include "tests/support/reference.h"

static double epsilon_of(double q, double sigma, uint64_t steps, double delta)
{
    const struct mechanism m = {.q = q, .sigma = sigma, .steps = steps};
    return accountant_epsilon(&m, 1, delta);
}

/* ---- epsilon --------------------------------------------------------------------------------- */

static void nothing_costs_nothing_and_no_noise_everything(void **state)
{
    (void)state;
    const struct mechanism idle[] = {{.q = 0.0, .sigma = 0.0, .steps = 9},
                                     {.q = 0.5, .sigma = 0.0, .steps = 0}};
    assert_true(accountant_epsilon(idle, 2, 1e-5) == 0.0);
    assert_true(accountant_epsilon(NULL, 0, 1e-5) == 0.0);
    assert_true(isinf(epsilon_of(0.1, 0.0, 1, 1e-5)));
}

static void epsilon_grows_with_steps_and_rate_and_falls_with_noise_and_delta(void **state)
{
    (void)state;
    double before = 0.0;
    for (uint64_t steps = 1; steps < 500000; steps += steps / 2 + 1) {
        const double now = epsilon_of(0.02, 1.1, steps, 1e-5);
        assert_true(now > before);
        before = now;
    }
    before = 0.0;
    for (double q = 1e-4; q <= 1.0; q *= 1.3) {
        const double now = epsilon_of(q, 0.9, 100, 1e-5);
        assert_true(now > before);
        before = now;
    }
    before = HUGE_VAL;
    for (double sigma = 0.05; sigma < 200.0; sigma *= 1.2) {
        const double now = epsilon_of(0.05, sigma, 300, 1e-5);
        assert_true(now < before || now == 0.0);
        before = now;
    }
    before = 0.0;
    for (double delta = 1e-2; delta > 1e-12; delta *= 0.1) {
        const double now = epsilon_of(0.02, 1.1, 100, delta);
        assert_true(now > before);
        before = now;
    }
}

/* Balle, Wang 2018, Theorem 8, for moderate epsilon. */
static double gaussian_delta(double mu, double epsilon)
{
    const double a = (epsilon / mu - 0.5 * mu) / sqrt(2.0);
    const double b = (epsilon / mu + 0.5 * mu) / sqrt(2.0);
    return 0.5 * erfc(a) - exp(epsilon) * 0.5 * erfc(b);
}

static void taking_everybody_is_the_gaussian_mechanism_exactly(void **state)
{
    (void)state;
    for (double mu = 0.05; mu < 4.0; mu *= 1.5) {
        for (double delta = 1e-2; delta > 1e-8; delta *= 0.1) {
            const struct mechanism m[] = {{.q = 1.0, .sigma = 5.0 / mu, .steps = 16},
                                          {.q = 1.0, .sigma = 5.0 / (3.0 * mu), .steps = 1}};
            const double epsilon = accountant_epsilon(m, 2, delta); /* 16 + 9 = 25 parts of mu^2 */
            if (epsilon > 0.0) {
                assert_true(fabs(gaussian_delta(mu, epsilon) / delta - 1.0) < 1e-6);
            } else {
                assert_true(gaussian_delta(mu, 0.0) <= delta);
            }
        }
    }
    assert_true(epsilon_of(1.0, 0.01, 1, 1e-5) >
                5000.0); /* also where nothing is left of privacy */
}

static void epsilon_is_never_above_renyi_s(void **state)
{
    (void)state;
    const double qs[] = {1e-3, 0.05, 0.7};
    const double sigmas[] = {0.01, 0.1, 0.6, 3.0, 100.0};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 5; j++) {
            const struct mechanism m[] = {{.q = qs[i], .sigma = sigmas[j], .steps = 500},
                                          {.q = 0.01, .sigma = 2.0, .steps = 80}};
            struct rdp_curve curve = {{0.0}};
            rdp_compose(m, 2, &curve);
            const double epsilon = accountant_epsilon(m, 2, 1e-5);
            assert_true(epsilon > 0.0 && epsilon <= rdp_epsilon(&curve, 1e-5, NULL));
        }
    }
}

static void a_limit_is_looked_at_as_closely_as_it_takes(void **state)
{
    (void)state;
    const struct mechanism m = {.q = 0.01, .sigma = 0.7, .steps = 1000};
    const double once = accountant_epsilon(&m, 1, 1e-5);
    const double truth = accountant_epsilon_against(&m, 1, 1e-5, once * (1.0 - 4e-4));
    assert_true(truth < once); /* closer */
    const double between = 0.5 * (truth + once);
    assert_true(accountant_epsilon_against(&m, 1, 1e-5, between) <= between);
    assert_true(accountant_epsilon_against(&m, 1, 1e-5, once) == once);
    assert_true(accountant_epsilon_against(&m, 1, 1e-5, 0.5 * once) == once); /* hopeless */
}

/* ---- noise and steps ------------------------------------------------------------------------- */

static const struct {
    double epsilon, q;
    uint64_t steps;
} plans[] = {{0.5, 0.01, 1000}, {1.0, 1.0, 1},    {3.0, 1.0, 100},    {2.0, 0.05, 500},
             {8.0, 0.3, 60},    {30.0, 0.2, 9},   {0.05, 0.02, 77},   {1000.0, 0.9, 40},
             {0.002, 0.5, 3},   {1e-3, 1.0, 100}, {4.0, 0.99999, 20}, {1.0, 1e-3, 1}};

static void sigma_reaches_the_target_and_a_thousandth_less_does_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        struct error err = {0};
        double sigma = 0.0;
        assert_int_equal(accountant_sigma(plans[i].epsilon, 1e-5, plans[i].q, plans[i].steps,
                                          &sigma, &err),
                         RC_OK);
        const struct mechanism m = {.q = plans[i].q, .sigma = sigma, .steps = plans[i].steps};
        const struct mechanism less = {.q = plans[i].q,
                                       .sigma = 0.999 * sigma - 1e-6,
                                       .steps = plans[i].steps};
        assert_true(sigma == round(sigma * 1e6) / 1e6);
        assert_true(accountant_epsilon(&m, 1, 1e-5) <= plans[i].epsilon);
        if (accountant_epsilon_against(&less, 1, 1e-5, plans[i].epsilon) <= plans[i].epsilon) {
            fail_msg("epsilon %g, q %g, %llu steps: %g is more than it takes", plans[i].epsilon,
                     plans[i].q, (unsigned long long)plans[i].steps, sigma);
        }
    }
}

static void an_impossible_plan_is_refused(void **state)
{
    (void)state;
    const struct {
        double epsilon, delta, q;
        uint64_t steps;
        enum rc rc;
    } ask[] = {
        {0.0, 1e-5, 0.1, 10, RC_INVALID},         {-1.0, 1e-5, 0.1, 10, RC_INVALID},
        {(double)NAN, 1e-5, 0.1, 10, RC_INVALID}, {HUGE_VAL, 1e-5, 0.1, 10, RC_INVALID},
        {1.0, 0.0, 0.1, 10, RC_INVALID},          {1.0, 1.0, 0.1, 10, RC_INVALID},
        {1.0, (double)NAN, 0.1, 10, RC_INVALID},  {1.0, 1e-5, 0.0, 10, RC_INVALID},
        {1.0, 1e-5, 1.01, 10, RC_INVALID},        {1.0, 1e-5, (double)NAN, 10, RC_INVALID},
        {1.0, 1e-5, 0.1, 0, RC_INVALID},          {0.01, 1e-5, 1.0, UINT64_MAX, RC_LIMIT},
        {0.01, 1e-5, 0.5, UINT64_MAX, RC_LIMIT},
    };
    for (size_t i = 0; i < sizeof ask / sizeof *ask; i++) {
        struct error err = {0};
        double sigma = -7.0;
        assert_int_equal(accountant_sigma(ask[i].epsilon, ask[i].delta, ask[i].q, ask[i].steps,
                                          &sigma, &err),
                         ask[i].rc);
        assert_int_equal(err.rc, ask[i].rc);
        assert_true(err.text[0] != '\0');
        assert_true(sigma == -7.0);
    }
}

static void steps_are_as_many_as_the_budget_has(void **state)
{
    (void)state;
    const struct {
        double epsilon, q, sigma;
        uint64_t most, want;
    } edge[] = {{1.0, 0.1, 0.01, 1000, 0}, /* not one */
                {0.3, 0.01, 5.0, 40, 40},  /* all that were asked for */
                {1e-9, 1.0, 1.0, 1, 0}};
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++) {
        assert_int_equal(accountant_steps(edge[i].epsilon, 1e-5, edge[i].q, edge[i].sigma,
                                          edge[i].most),
                         edge[i].want);
    }
    const uint64_t n = accountant_steps(2.0, 1e-5, 0.05, 2.0, 1000000);
    assert_true(n > 1 && n < 1000000);
    assert_true(epsilon_of(0.05, 2.0, n, 1e-5) <= 2.0);
    assert_true(epsilon_of(0.05, 2.0, n + 1, 1e-5) > 2.0);
}

/* ---- planning -------------------------------------------------------------------------------- */

static void a_plan_takes_the_largest_rate_that_may_be_computed(void **state)
{
    (void)state;
    struct planning_choice c[PLANNING_CHOICES];
    struct error err = {0};
    size_t n = 0;
    size_t best = 99;
    const struct planning_wish wish = {
        .epsilon = 5.0, .delta = 1e-5, .passes = 5.0, .steps_least = 20, .steps_most = 700};
    assert_int_equal(planning_choose(&wish, c, &n, &best, &err), RC_OK);
    assert_int_equal(n, 6); /* 20, 40, … 640 */
    assert_int_equal(best, 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(c[i].steps, 20u << i);
        assert_true(c[i].q * (double)c[i].steps <= 5.0 * (1.0 + 1e-12));
        assert_true(epsilon_of(c[i].q, c[i].sigma, c[i].steps, 1e-5) <= 5.0);
        assert_true(fabs(c[i].signal - c[i].q * sqrt((double)c[i].steps) / c[i].sigma) < 1e-12);
        assert_true(c[i].signal <= c[0].signal);
    }
}

/* Everybody in every step: the signal does not depend on how many there are, and few are preferred. */
static void with_room_to_compute_a_plan_takes_everybody_in_few_steps(void **state)
{
    (void)state;
    struct planning_choice c[PLANNING_CHOICES];
    struct error err = {0};
    size_t n = 0;
    size_t best = 99;
    const struct planning_wish wish = {
        .epsilon = 1.0, .delta = 1e-5, .passes = 1e6, .steps_least = 7, .steps_most = UINT64_MAX};
    assert_int_equal(planning_choose(&wish, c, &n, &best, &err), RC_OK);
    assert_int_equal(n, PLANNING_CHOICES);
    assert_int_equal(best, 0);
    assert_true(c[0].q == 1.0 && c[0].steps == 7);
    assert_true(fabs(c[5].signal / c[0].signal - 1.0) < 1e-5);
}

static void a_wish_out_of_range_is_refused(void **state)
{
    (void)state;
    const struct planning_wish good = {
        .epsilon = 1.0, .delta = 1e-5, .passes = 3.0, .steps_least = 2, .steps_most = 4};
    struct planning_wish wish[6] = {good, good, good, good, good, good};
    wish[0].epsilon = 0.0;
    wish[1].delta = 1.0;
    wish[2].passes = 0.0;
    wish[3].passes = (double)NAN;
    wish[4].steps_least = 0;
    wish[5].steps_most = 1;
    for (size_t i = 0; i < 6; i++) {
        struct planning_choice c[PLANNING_CHOICES];
        struct error err = {0};
        size_t n = 77;
        size_t best = 77;
        assert_int_equal(planning_choose(&wish[i], c, &n, &best, &err), RC_INVALID);
        assert_true(n == 77 && best == 77 && err.text[0] != '\0');
    }
}

/* ---- attacks --------------------------------------------------------------------------------- */

static void an_attacker_s_bound_has_its_edges(void **state)
{
    (void)state;
    const struct mechanism m = {.q = 0.1, .sigma = 1.0, .steps = 10};
    const struct mechanism bare = {.q = 0.1, .sigma = 0.0, .steps = 1};
    struct error err = {0};
    double tpr = -7.0;
    assert_int_equal(accountant_tpr(&m, 1, 0.0, &tpr, &err), RC_INVALID);
    assert_int_equal(accountant_tpr(&m, 1, 1.0, &tpr, &err), RC_INVALID);
    assert_int_equal(accountant_tpr(&m, 1, (double)NAN, &tpr, &err), RC_INVALID);
    assert_int_equal(accountant_tpr(&bare, 1, 0.1, &tpr, &err), RC_LIMIT);
    assert_true(tpr == -7.0);
    double before = 0.0;
    for (double fpr = 1e-6; fpr < 1.0; fpr *= 3.0) {
        assert_int_equal(accountant_tpr(&m, 1, fpr, &tpr, &err), RC_OK);
        assert_true(tpr > fpr && tpr > before && tpr <= 1.0);
        before = tpr;
    }
}

/* ---- other people's numbers ------------------------------------------------------------------ */

static void epsilon_lies_within_the_reference_s_bracket(void **state)
{
    (void)state;
    struct reference t;
    size_t rows = 0;
    reference_open(&t, "accounting_reference.csv");
    while (reference_next(&t)) {
        const double got =
            epsilon_of(reference_number(&t, "q"), reference_number(&t, "sigma"),
                       (uint64_t)reference_number(&t, "T"), reference_number(&t, "delta"));
        const double low = reference_number(&t, "best_lower") * (1.0 - 1e-6);
        const double high = 1.001 * reference_number(&t, "best_upper") + 1e-4;
        if (!(got >= low && got <= high)) {
            fail_msg("row %zu: %.9g is not in [%.9g, %.9g]", rows + 1, got, low, high);
        }
        rows++;
    }
    reference_close(&t);
    assert_true(rows >= 44);
}

static void noise_is_the_reference_s(void **state)
{
    (void)state;
    struct reference t;
    size_t rows = 0;
    reference_open(&t, "calibration_reference.csv");
    while (reference_next(&t)) {
        struct error err = {0};
        double sigma = 0.0;
        assert_int_equal(accountant_sigma(reference_number(&t, "target_eps"),
                                          reference_number(&t, "delta"), reference_number(&t, "q"),
                                          (uint64_t)reference_number(&t, "T"), &sigma, &err),
                         RC_OK);
        const double ratio = sigma / reference_number(&t, "sigma_pld");
        if (!(ratio > 1.0 - 1e-6 && ratio < 1.0002)) {
            fail_msg("row %zu: %.9g times the reference's", rows + 1, ratio);
        }
        rows++;
    }
    reference_close(&t);
    assert_true(rows >= 21);
}

static void an_attacker_s_bound_is_the_reference_s(void **state)
{
    (void)state;
    static const struct {
        const char *column;
        double fpr;
    } at[] = {{"tpr_at_fpr_0.0001", 1e-4}, {"tpr_at_fpr_0.001", 1e-3}, {"tpr_at_fpr_0.01", 1e-2},
              {"tpr_at_fpr_0.05", 0.05},   {"tpr_at_fpr_0.1", 0.1},    {"tpr_at_fpr_0.5", 0.5}};
    struct reference t;
    size_t rows = 0;
    reference_open(&t, "tpr_bounds.csv");
    while (reference_next(&t)) {
        if (strstr(t.line, "(remove)") == NULL) {
            continue;
        }
        const struct mechanism m = {.q = reference_number(&t, "q"),
                                    .sigma = reference_number(&t, "sigma"),
                                    .steps = (uint64_t)reference_number(&t, "T")};
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            struct error err = {0};
            double tpr = 0.0;
            assert_int_equal(accountant_tpr(&m, 1, at[i].fpr, &tpr, &err), RC_OK);
            const double ratio = tpr / reference_number(&t, at[i].column);
            if (!(ratio > 0.9999 && ratio < 1.001)) {
                fail_msg("row %zu, FPR %g: %.9g times the reference's", rows + 1, at[i].fpr, ratio);
            }
        }
        rows++;
    }
    reference_close(&t);
    assert_true(rows >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_costs_nothing_and_no_noise_everything),
        cmocka_unit_test(epsilon_grows_with_steps_and_rate_and_falls_with_noise_and_delta),
        cmocka_unit_test(taking_everybody_is_the_gaussian_mechanism_exactly),
        cmocka_unit_test(epsilon_is_never_above_renyi_s),
        cmocka_unit_test(a_limit_is_looked_at_as_closely_as_it_takes),
        cmocka_unit_test(sigma_reaches_the_target_and_a_thousandth_less_does_not),
        cmocka_unit_test(an_impossible_plan_is_refused),
        cmocka_unit_test(steps_are_as_many_as_the_budget_has),
        cmocka_unit_test(a_plan_takes_the_largest_rate_that_may_be_computed),
        cmocka_unit_test(with_room_to_compute_a_plan_takes_everybody_in_few_steps),
        cmocka_unit_test(a_wish_out_of_range_is_refused),
        cmocka_unit_test(an_attacker_s_bound_has_its_edges),
        cmocka_unit_test(epsilon_lies_within_the_reference_s_bracket),
        cmocka_unit_test(noise_is_the_reference_s),
        cmocka_unit_test(an_attacker_s_bound_is_the_reference_s),
    };
    return cmocka_run_group_tests_name("accountant", tests, NULL, NULL);
}
