/* Attacks on our own mechanism, by somebody who has put a canary in and sees everything but the noise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/accountant/accountant.h"
#include "common/accountant/audit.h"
#include "common/base/replay.h"
#include "common/dp/noise.h"
#include "common/dp/sampler.h"
#include "tests/support/seed.h"

/* ---- the bounds themselves ------------------------------------------------------------------- */

static void bounds_are_clopper_and_pearson_s(void **state)
{
    (void)state;
    /* none of 100 at 2.5 %: 1 - .025^(1/100) */
    const double none = 1.0 - pow(0.025, 0.01);
    const struct audit_counts perfect = {.in = 100, .in_found = 100, .out = 100, .out_found = 0};
    const struct audit_bounds b = audit_lower(&perfect, 1e-5, 0.05);
    assert_true(fabs(b.epsilon - log((1.0 - none - 1e-5) / none)) < 1e-8);
    assert_true(b.mu > 3.5 && b.mu < 3.7);
    const struct audit_counts guess = {.in = 1000, .in_found = 500, .out = 1000, .out_found = 500};
    const struct audit_bounds g = audit_lower(&guess, 1e-5, 0.05);
    assert_true(g.epsilon == 0.0 && g.mu == 0.0 && g.epsilon_gaussian == 0.0);
    const struct audit_counts empty = {0};
    assert_true(audit_lower(&empty, 1e-5, 0.05).epsilon == 0.0);
    /* 10 of 50 at 2.5 %: at most .3372 (tables of Clopper and Pearson) */
    const struct audit_counts some = {.in = 1, .in_found = 0, .out = 50, .out_found = 10};
    assert_true(audit_lower(&some, 1e-5, 0.05).mu == 0.0);
    const struct audit_counts tabled = {
        .in = 100000, .in_found = 100000, .out = 50, .out_found = 10};
    assert_true(fabs(exp(-audit_lower(&tabled, 1e-9, 0.05).epsilon) - 0.3372) < 1e-3);
}

/* Against the theorem summed in exact binomials elsewhere; and all of 1,000 without delta:
 * (e^eps / (1 + e^eps))^1000 = .05. */
static void one_run_s_bound_is_the_theorem_s(void **state)
{
    (void)state;
    const struct {
        struct audit_guesses g;
        double delta, epsilon;
    } want[] = {{{100, 100, 75}, 1e-5, 0.7019407979996},
                {{1000, 200, 200}, 1e-5, 4.1664901767},
                {{1000, 200, 130}, 1e-3, 0.0503838783443}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_true(fabs(audit_one_run(&want[i].g, want[i].delta, 0.05) - want[i].epsilon) < 1e-6);
    }
    const struct audit_guesses all = {1000, 1000, 1000};
    const double p = pow(0.05, 1e-3);
    assert_true(fabs(audit_one_run(&all, 1e-15, 0.05) - log(p / (1.0 - p))) < 1e-4);
    const struct audit_guesses half = {1000, 200, 100};
    assert_true(audit_one_run(&half, 1e-5, 0.05) == 0.0);
    const struct audit_guesses none = {1000, 0, 0};
    assert_true(audit_one_run(&none, 1e-5, 0.05) == 0.0);
}

/* ---- a white-box attacker -------------------------------------------------------------------- */

enum { P = 40 };

struct plan {
    double q, claimed, real; /* noise multipliers: what is accounted, what is added */
    uint64_t steps;
};

/* One run: the log likelihood ratio of all that was released, for a canary whose gradient is always C in
 * the first place. The canary is patient 0 of those who may be sampled. */
static double ratio_of(const struct plan *plan, bool in, struct entropy *e)
{
    static const size_t first_row[] = {0, 1};
    static const struct hash canary = {.b = {42}};
    const double C = 0.7;
    const double deviation = noise_deviation(1.0, plan->claimed, P);
    double S[P] = {0.0};
    double mean[P];
    double total = 0.0;
    struct coin_key key;
    struct error err = {0};
    entropy_bytes(e, key.b, sizeof key.b);
    for (uint64_t t = 0; t < plan->steps; t++) {
        size_t row = 0;
        size_t who = 0;
        const bool drawn = sampler_draw(&key, t, plan->q, &canary, first_row, 1, &row, &who) == 1;
        S[0] = in && drawn ? C : 0.0;
        assert_int_equal(noise_release(S, P, C, plan->real, 10.0, e, mean, &err), RC_OK);
        const double x = mean[0] * 10.0 / C;
        total += log1p(plan->q * expm1((x - 0.5) / (deviation * deviation)));
    }
    return total;
}

/* The test "ratio above 0" is fixed beforehand. */
static struct audit_bounds audit(const struct plan *plan, size_t trials, double delta, double risk,
                                 struct entropy *e)
{
    struct audit_counts c = {.in = trials, .out = trials};
    for (size_t i = 0; i < trials; i++) {
        c.in_found += ratio_of(plan, true, e) > 0.0;
        c.out_found += ratio_of(plan, false, e) > 0.0;
    }
    return audit_lower(&c, delta, risk);
}

/* A hundred audits of one Gaussian release of epsilon 1. At a risk of 5 % each, few exceed the claim; and a
 * bound that was far below it would prove little. */
static void a_single_release_is_audited_to_most_of_its_claim(void **state)
{
    (void)state;
    enum { AUDITS = 100, TRIALS = 10000 };
    struct error err = {0};
    struct entropy e;
    double sigma = 0.0;
    size_t beyond = 0;
    double least = HUGE_VAL;
    double mean = 0.0;
    assert_int_equal(accountant_sigma(1.0, 1e-5, 1.0, 1, &sigma, &err), RC_OK);
    const struct plan plan = {.q = 1.0, .claimed = sigma, .real = sigma, .steps = 1};
    replay_init(&e, seed_of_run(), "audit");
    for (int i = 0; i < AUDITS; i++) {
        const double found = audit(&plan, TRIALS, 1e-5, 0.05, &e).epsilon_gaussian;
        beyond += found > 1.0;
        least = fmin(least, found);
        mean += found / AUDITS;
    }
    print_message("lower bounds: mean %.3f, least %.3f, %zu of %d above the claim of 1\n", mean,
                  least, beyond, AUDITS);
    assert_true(beyond <= 5);
    assert_true(mean >= 0.6);
}

/* The heart study's mechanism (q = 1, 20 steps, epsilon 4 at 1e-3), and a sampled one. */
static void whole_plans_stay_below_their_claims(void **state)
{
    (void)state;
    const struct {
        double q, epsilon, delta;
        uint64_t steps;
    } ask[] = {{1.0, 4.0, 1e-3, 20}, {0.2, 4.0, 1e-3, 20}};
    struct entropy e;
    replay_init(&e, seed_of_run(), "plans");
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        double sigma = 0.0;
        assert_int_equal(accountant_sigma(ask[i].epsilon, ask[i].delta, ask[i].q, ask[i].steps,
                                          &sigma, &err),
                         RC_OK);
        const struct plan plan = {
            .q = ask[i].q, .claimed = sigma, .real = sigma, .steps = ask[i].steps};
        const struct audit_bounds b = audit(&plan, 4000, ask[i].delta, 0.001, &e);
        print_message("q %g: epsilon is at least %.3f (Gaussian: %.3f) of %g claimed\n", ask[i].q,
                      b.epsilon, b.epsilon_gaussian, ask[i].epsilon);
        assert_true(b.epsilon <= ask[i].epsilon);
        assert_true(b.epsilon > 0.1 * ask[i].epsilon);
        if (ask[i].q == 1.0) {
            assert_true(b.epsilon_gaussian <= ask[i].epsilon);
            assert_true(b.epsilon_gaussian > 0.6 * ask[i].epsilon);
        }
    }
}

static void half_the_noise_is_caught(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy e;
    double sigma = 0.0;
    assert_int_equal(accountant_sigma(1.0, 1e-5, 1.0, 1, &sigma, &err), RC_OK);
    const struct plan halved = {.q = 1.0, .claimed = sigma, .real = 0.5 * sigma, .steps = 1};
    replay_init(&e, seed_of_run(), "halved");
    const struct audit_bounds b = audit(&halved, 10000, 1e-5, 1e-6, &e);
    print_message("with half the noise: epsilon is at least %.3f of 1 claimed\n",
                  b.epsilon_gaussian);
    assert_true(b.epsilon_gaussian > 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_are_clopper_and_pearson_s),
        cmocka_unit_test(one_run_s_bound_is_the_theorem_s),
        cmocka_unit_test(a_single_release_is_audited_to_most_of_its_claim),
        cmocka_unit_test(whole_plans_stay_below_their_claims),
        cmocka_unit_test(half_the_noise_is_caught),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
