#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/accountant/rdp.h"
#include "tests/support/reference.h"

static double composed(const struct mechanism *m, size_t n, double delta)
{
    struct rdp_curve curve = {{0.0}};
    rdp_compose(m, n, &curve);
    return rdp_epsilon(&curve, delta, NULL);
}

static double epsilon_of(double q, double sigma, uint64_t steps, double delta)
{
    const struct mechanism m = {.q = q, .sigma = sigma, .steps = steps};
    return composed(&m, 1, delta);
}

static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* (1+x)^order - 1 - order x, without cancellation near 0. */
static double bernoulli_gap(double x, double order)
{
    if (fabs(x) > 1e-2) {
        return expm1(order * log1p(x)) - order * x;
    }
    double term = order * x;
    double sum = 0.0;
    for (int k = 2; k < 14; k++) {
        term *= (order - (double)k + 1.0) / (double)k * x;
        sum += term;
    }
    return sum;
}

/*
 * The definition, by another road: E_{z ~ N(0, sigma^2)} [(1 - q + q exp((2z-1) / 2 sigma^2))^order],
 * by the trapezoidal rule, which converges geometrically here. E[u] = 0 lets the linear part go.
 */
static double rdp_by_quadrature(double q, double sigma, double order)
{
    const double variance = sigma * sigma;
    const double step = fmin(sigma, 3.0 * variance) / 24.0;
    const double end = order + 16.0 * sigma;
    double sum = 0.0;

    for (double z = -16.0 * sigma; z < end; z += step) {
        double x = q * expm1((2.0 * z - 1.0) / (2.0 * variance));
        double log_density = -z * z / (2.0 * variance);
        double log_power = order * log1p(x);
        sum += log_power > 40.0 ? exp(log_power + log_density)
                                : exp(log_density) * bernoulli_gap(x, order);
    }
    return log1p(sum * step / (sigma * sqrt(2.0 * acos(-1.0)))) / (order - 1.0);
}

static void the_grid_is_the_documented_one(void **state)
{
    (void)state;
    const double *order = NULL;
    assert_int_equal(rdp_orders(&order), RDP_ORDERS);
    size_t at = 0;
    for (int tenth = 11; tenth <= 109; tenth++) {
        assert_true(order[at++] == (double)tenth / 10.0);
    }
    for (int whole = 11; whole <= 63; whole++) {
        assert_true(order[at++] == (double)whole);
    }
    const double last[] = {64.0, 80.0, 96.0, 128.0, 192.0, 256.0, 512.0, 1024.0};
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        assert_true(order[at++] == last[i]);
    }
    assert_int_equal(at, RDP_ORDERS);
}

static void both_formulas_agree_with_the_integral_they_stand_for(void **state)
{
    (void)state;
    const double qs[] = {1e-4, 0.01, 0.1, 0.5, 0.9, 0.999};
    const double sigmas[] = {0.5, 0.9, 4.0, 20.0};
    const double some[] = {1.1, 1.5, 2.0, 2.3, 3.9, 5.0, 7.7, 10.9, 13.0};
    for (size_t i = 0; i < sizeof qs / sizeof *qs; i++) {
        for (size_t j = 0; j < sizeof sigmas / sizeof *sigmas; j++) {
            for (size_t k = 0; k < sizeof some / sizeof *some; k++) {
                double got = rdp_step(qs[i], sigmas[j], some[k]);
                double want = rdp_by_quadrature(qs[i], sigmas[j], some[k]);
                /* 1e-14 / (order - 1) is the stated rounding up of the fractional series */
                double slack = 2e-14 / (some[k] - 1.0);
                if (!(got >= want * (1.0 - 1e-12) && got <= want * (1.0 + 1e-12) + slack)) {
                    fail_msg("q %g sigma %g order %g: %.17g, integral %.17g", qs[i], sigmas[j],
                             some[k], got, want);
                }
            }
        }
    }
}

static void order_two_has_its_closed_form(void **state)
{
    (void)state;
    /* A = 1 + q^2 (exp(1/sigma^2) - 1) */
    for (double sigma = 0.3; sigma < 40.0; sigma *= 1.7) {
        double want = log1p(0.03 * 0.03 * expm1(1.0 / (sigma * sigma)));
        assert_true(fabs(rdp_step(0.03, sigma, 2.0) / want - 1.0) < 1e-13);
    }
}

static void taking_everybody_is_the_gaussian_mechanism(void **state)
{
    (void)state;
    assert_true(rdp_step(1.0, 2.0, 5.0) == 5.0 / 8.0);
    assert_true(rdp_step(1.0, 0.5, 1.5) == 3.0);
    /* and the sampled formulas lead there */
    assert_true(fabs(rdp_step(1.0 - 1e-12, 2.0, 5.0) / 0.625 - 1.0) < 1e-10);
    assert_true(fabs(rdp_step(1.0 - 1e-12, 0.5, 1.5) / 3.0 - 1.0) < 1e-10);
}

static void nothing_taken_or_no_step_costs_nothing(void **state)
{
    (void)state;
    const struct mechanism idle[] = {{.q = 0.0, .sigma = 0.0, .steps = 9},
                                     {.q = 0.5, .sigma = 0.0, .steps = 0},
                                     {.q = 0.0, .sigma = 1.0, .steps = 3}};
    double best = -1.0;
    struct rdp_curve curve = {{0.0}};
    assert_true(rdp_step(0.0, 1.0, 2.0) == 0.0);
    assert_true(composed(idle, 3, 1e-5) == 0.0);
    assert_true(composed(NULL, 0, 1e-5) == 0.0);
    assert_true(rdp_epsilon(&curve, 1e-5, &best) == 0.0);
    assert_true(best == 0.0);
}

static void without_noise_epsilon_is_infinite(void **state)
{
    (void)state;
    const struct mechanism m[] = {{.q = 0.1, .sigma = 3.0, .steps = 4},
                                  {.q = 0.1, .sigma = 0.0, .steps = 1}};
    double best = -1.0;
    struct rdp_curve curve = {{0.0}};
    assert_true(isinf(rdp_step(1e-9, 0.0, 1.1)));
    assert_true(isinf(composed(m, 2, 1e-5)));
    rdp_add(&curve, &m[1]);
    assert_true(isinf(rdp_epsilon(&curve, 1e-5, &best)));
    assert_true(best == 0.0);
}

static void more_noise_costs_less(void **state)
{
    (void)state;
    const double qs[] = {1e-3, 0.05, 0.6, 1.0};
    for (size_t i = 0; i < sizeof qs / sizeof *qs; i++) {
        double before = HUGE_VAL;
        for (double sigma = 0.05; sigma < 200.0; sigma *= 1.07) {
            double now = epsilon_of(qs[i], sigma, 300, 1e-5);
            assert_true(now < before);
            before = now;
        }
    }
}

static void more_steps_cost_more(void **state)
{
    (void)state;
    double before = 0.0;
    for (uint64_t steps = 1; steps < 5000000; steps += steps / 3 + 1) {
        double now = epsilon_of(0.02, 1.1, steps, 1e-5);
        assert_true(now > before);
        before = now;
    }
}

static void a_larger_sampling_rate_costs_more(void **state)
{
    (void)state;
    double before = 0.0;
    for (double q = 1e-5; q < 1.0; q *= 1.1) {
        double now = epsilon_of(q, 0.9, 100, 1e-5);
        assert_true(now > before);
        before = now;
    }
    assert_true(epsilon_of(1.0, 0.9, 100, 1e-5) > before);
}

static void a_smaller_delta_costs_more(void **state)
{
    (void)state;
    double before = 0.0;
    for (double delta = 1e-2; delta > 1e-12; delta *= 0.3) {
        double now = epsilon_of(0.02, 1.1, 100, delta);
        assert_true(now > before);
        before = now;
    }
}

/* Balle, Wang 2018, Theorem 8: the exact delta of a Gaussian mechanism of sensitivity 1. */
static double gaussian_delta(double sigma, double epsilon)
{
    double a = 0.5 / sigma - epsilon * sigma;
    double b = -0.5 / sigma - epsilon * sigma;
    return 0.5 * erfc(-a / sqrt(2.0)) - exp(epsilon) * 0.5 * erfc(-b / sqrt(2.0));
}

static void epsilon_is_never_below_the_exact_gaussian(void **state)
{
    (void)state;
    const uint64_t steps[] = {1, 7, 60};
    for (size_t i = 0; i < 3; i++) {
        for (double sigma = 0.5; sigma < 60.0; sigma *= 1.3) {
            for (double delta = 1e-3; delta > 1e-9; delta *= 0.1) {
                double epsilon = epsilon_of(1.0, sigma, steps[i], delta);
                double one = sigma / sqrt((double)steps[i]); /* composed, it is one Gaussian */
                assert_true(gaussian_delta(one, epsilon) <= delta);
                if (epsilon > 0.1 && epsilon < 100.0) { /* and not far above it */
                    assert_true(gaussian_delta(one, epsilon / 1.3) > delta);
                }
            }
        }
    }
}

static void sixty_rounds_cost_what_sixty_steps_cost_to_the_bit(void **state)
{
    (void)state;
    struct mechanism rounds[60];
    for (size_t i = 0; i < 60; i++) {
        rounds[i] = (struct mechanism){.q = 0.037, .sigma = 1.3, .steps = 1};
    }
    double apart = composed(rounds, 60, 1e-6);
    assert_true(same_bits(apart, epsilon_of(0.037, 1.3, 60, 1e-6)));

    struct rdp_curve once = {{0.0}};
    rdp_add(&once, &(struct mechanism){.q = 0.037, .sigma = 1.3, .steps = 60});
    assert_true(same_bits(apart, rdp_epsilon(&once, 1e-6, NULL)));
}

static void order_and_splitting_do_not_change_a_bit(void **state)
{
    (void)state;
    const struct mechanism whole[] = {{.q = 0.01, .sigma = 1.0, .steps = 700},
                                      {.q = 0.01, .sigma = 2.0, .steps = 31},
                                      {.q = 0.3, .sigma = 1.0, .steps = 3},
                                      {.q = 1.0, .sigma = 9.0, .steps = 5}};
    const struct mechanism parts[] = {
        {.q = 1.0, .sigma = 9.0, .steps = 5},    {.q = 0.01, .sigma = 2.0, .steps = 30},
        {.q = 0.01, .sigma = 1.0, .steps = 1},   {.q = 0.3, .sigma = 1.0, .steps = 3},
        {.q = 0.01, .sigma = 1.0, .steps = 699}, {.q = 0.01, .sigma = 2.0, .steps = 1}};
    double sum = composed(whole, 4, 1e-5);
    assert_true(same_bits(sum, composed(parts, 6, 1e-5)));
    for (size_t i = 0; i < 4; i++) { /* and each of them counts */
        struct mechanism less[4];
        memcpy(less, whole, sizeof less);
        less[i].steps--;
        assert_true(composed(less, 4, 1e-5) < sum);
    }
}

static void a_sum_of_steps_does_not_wrap(void **state)
{
    (void)state;
    const struct mechanism m[] = {{.q = 0.5, .sigma = 1.0, .steps = UINT64_MAX},
                                  {.q = 0.5, .sigma = 1.0, .steps = 5}};
    assert_true(composed(m, 2, 1e-5) > 1e15);
}

static void the_best_order_is_the_one_that_gives_epsilon(void **state)
{
    (void)state;
    struct rdp_curve curve = {{0.0}};
    double best = 0.0;
    rdp_add(&curve, &(struct mechanism){.q = 0.05, .sigma = 2.0, .steps = 500});
    double epsilon = rdp_epsilon(&curve, 1e-5, &best);
    double again = 500.0 * rdp_step(0.05, 2.0, best) + log1p(-1.0 / best) -
                   (log(1e-5) + log(best)) / (best - 1.0);
    assert_true(best > 1.1 && best < 1024.0);
    assert_true(same_bits(epsilon, again));
}

static void the_edges_of_double_give_numbers(void **state)
{
    (void)state;
    const double qs[] = {1e-300, 1e-20, 0.5, 1.0 - 1e-16};
    const double sigmas[] = {1e-200, 1e-80, 1e-6, 1e-3, 1e3, 1e6, 1e80, 1e200, HUGE_VAL};
    const double *order = NULL;
    size_t n = rdp_orders(&order);
    for (size_t i = 0; i < sizeof qs / sizeof *qs; i++) {
        for (size_t j = 0; j < sizeof sigmas / sizeof *sigmas; j++) {
            for (size_t k = 0; k < n; k++) {
                double rdp = rdp_step(qs[i], sigmas[j], order[k]);
                assert_true(rdp >= 0.0); /* not NaN; infinite only without noise to speak of */
                assert_true(rdp <= order[k] / (2.0 * sigmas[j] * sigmas[j]));
            }
        }
    }
}

static void the_curve_stands_beside_the_reference_libraries(void **state)
{
    (void)state;
    struct reference t;
    size_t rows = 0;
    reference_open(&t, "accounting_reference.csv");
    while (reference_next(&t)) {
        double got = epsilon_of(reference_number(&t, "q"), reference_number(&t, "sigma"),
                                (uint64_t)reference_number(&t, "T"), reference_number(&t, "delta"));
        double other = fmin(reference_number(&t, "google_rdp"), reference_number(&t, "opacus_rdp"));
        /* Their grids are parts of ours, so we may be below; they print 8 digits. */
        if (!(got >= reference_number(&t, "best_lower") && got <= other * (1.0 + 1e-7) &&
              got > other * 0.98)) {
            fail_msg("row %zu: %.9g, others %.9g", rows + 1, got, other);
        }
        rows++;
    }
    reference_close(&t);
    assert_true(rows >= 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grid_is_the_documented_one),
        cmocka_unit_test(both_formulas_agree_with_the_integral_they_stand_for),
        cmocka_unit_test(order_two_has_its_closed_form),
        cmocka_unit_test(taking_everybody_is_the_gaussian_mechanism),
        cmocka_unit_test(nothing_taken_or_no_step_costs_nothing),
        cmocka_unit_test(without_noise_epsilon_is_infinite),
        cmocka_unit_test(more_noise_costs_less),
        cmocka_unit_test(more_steps_cost_more),
        cmocka_unit_test(a_larger_sampling_rate_costs_more),
        cmocka_unit_test(a_smaller_delta_costs_more),
        cmocka_unit_test(epsilon_is_never_below_the_exact_gaussian),
        cmocka_unit_test(sixty_rounds_cost_what_sixty_steps_cost_to_the_bit),
        cmocka_unit_test(order_and_splitting_do_not_change_a_bit),
        cmocka_unit_test(a_sum_of_steps_does_not_wrap),
        cmocka_unit_test(the_best_order_is_the_one_that_gives_epsilon),
        cmocka_unit_test(the_edges_of_double_give_numbers),
        cmocka_unit_test(the_curve_stands_beside_the_reference_libraries),
    };
    return cmocka_run_group_tests_name("rdp", tests, NULL, NULL);
}
