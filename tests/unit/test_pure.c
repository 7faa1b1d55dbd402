#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/accountant/accountant.h"
#include "common/accountant/pld.h"
#include "common/accountant/rdp.h"

static const double epsilons[] = {1e-4, 0.05, 0.5, 1.0, 3.0, 12.0, 40.0};
enum { EPSILONS = sizeof epsilons / sizeof epsilons[0] };

static struct mechanism pure(double epsilon, uint64_t steps)
{
    return (struct mechanism){.pure = epsilon, .steps = steps};
}

/* ---- Rényi's curve --------------------------------------------------------------------------- */

/* sum of p^a r^(1-a) over the two answers of randomised response. */
static double divergence(double epsilon, double order)
{
    const double p = 1.0 / (1.0 + exp(-epsilon));
    const double r = 1.0 / (1.0 + exp(epsilon));
    return log(pow(p, order) * pow(r, 1.0 - order) + pow(r, order) * pow(p, 1.0 - order)) /
           (order - 1.0);
}

static void the_curve_is_that_of_randomised_response_and_never_above_epsilon(void **state)
{
    (void)state;
    const double *order = NULL;
    const size_t orders = rdp_orders(&order);
    for (size_t k = 0; k < EPSILONS; k++) {
        double before = 0.0;
        for (size_t i = 0; i < orders; i++) {
            const double got = rdp_pure(epsilons[k], order[i]);
            assert_true(got > 0.0 && got <= epsilons[k]);
            assert_true(got >= before * (1.0 - 1e-12)); /* it rises with the order */
            before = got;
            if (epsilons[k] >= 0.05 && order[i] < 200.0 && order[i] * epsilons[k] < 300.0) {
                const double want = divergence(epsilons[k], order[i]);
                if (!(fabs(got / want - 1.0) < 1e-8)) {
                    fail_msg("epsilon %g, order %g: %.12g, should be %.12g", epsilons[k], order[i],
                             got, want);
                }
            }
        }
    }
    /* a small one is a Gaussian of mu = epsilon: a epsilon^2 / 2; a large order knows the worst case */
    assert_true(fabs(rdp_pure(1e-4, 2.0) / (2.0 * 1e-8 / 2.0) - 1.0) < 1e-4);
    assert_true(rdp_pure(3.0, 1024.0) > 3.0 * 0.999);
}

/* ---- the distribution of losses -------------------------------------------------------------- */

/* E max(0, 1 - exp(eps - L)) of k answers: binomial (Kairouz, Oh, Viswanath 2015, Thm. 3.3). */
static double exact_delta(double epsilon, unsigned k, double at)
{
    const double log_p = -log1p(exp(-epsilon));
    const double log_r = -log1p(exp(epsilon));
    double delta = 0.0;
    for (unsigned j = 0; j <= k; j++) {
        const double loss = epsilon * (2.0 * j - k);
        if (loss > at) {
            const double ways = lgamma(k + 1.0) - lgamma(j + 1.0) - lgamma(k - j + 1.0);
            delta -= exp(ways + j * log_p + (k - j) * log_r) * expm1(at - loss);
        }
    }
    return delta;
}

static void many_releases_cost_what_the_binomial_says_and_never_less(void **state)
{
    (void)state;
    const unsigned ks[] = {1, 2, 20, 300};
    const double es[] = {0.01, 0.3, 1.0, 3.0};
    for (size_t a = 0; a < 4; a++) {
        for (size_t b = 0; b < 4; b++) {
            if (es[b] * ks[a] > 300.0) {
                continue; /* no grid holds it */
            }
            const struct mechanism m = pure(es[b], ks[a]);
            const double got = accountant_epsilon(&m, 1, 1e-5);
            const double there = exact_delta(es[b], ks[a], got);
            const double nearer = exact_delta(es[b], ks[a], got * (1.0 - 1.2e-3) - 1e-4);
            if (there > 1e-5 * (1.0 + 1e-9) || nearer < 1e-5 * (1.0 - 1e-9)) {
                fail_msg("%u of %g: %.9g has delta %.9g, just below %.9g", ks[a], es[b], got, there,
                         nearer);
            }
            assert_true(got <= es[b] * ks[a] * (1.0 + 1e-3));
        }
    }
}

static double upper(double z)
{
    return 0.5 * erfc(z / sqrt(2.0));
}

/* Of one Gaussian of this mu, at any epsilon, also below 0. */
static double gaussian_delta(double mu, double at)
{
    return upper(at / mu - 0.5 * mu) - exp(at) * upper(at / mu + 0.5 * mu);
}

static void training_and_one_release_together_are_what_the_definition_says(void **state)
{
    (void)state;
    const double mu = 1.0 / 1.6 * sqrt(4.0);
    for (size_t k = 1; k < 5; k++) {
        const double e = epsilons[k];
        const struct mechanism m[] = {{.q = 1.0, .sigma = 1.6, .steps = 4}, pure(e, 1)};
        struct rdp_curve curve = {{0.0}};
        struct pld *p = NULL;
        struct error err = {0};
        rdp_compose(m, 2, &curve);
        assert_int_equal(pld_open(m, 2, &curve, 1e-6, 1 << 16, &p, &err), RC_OK);
        for (double at = 0.2; at < 6.0; at += 0.7) {
            const double want = gaussian_delta(mu, at - e) / (1.0 + exp(-e)) +
                                gaussian_delta(mu, at + e) / (1.0 + exp(e));
            const double got = pld_delta(p, at);
            if (!(got >= want - 1e-11 && got <= want * (1.0 + 1e-3) + 1e-11)) {
                fail_msg("epsilon %g at %g: %.12g, should be %.12g", e, at, got, want);
            }
        }
        pld_close(&p);
        /* and never more than the two apart, nor than the curves' sum */
        const double together = accountant_epsilon(m, 2, 1e-5);
        assert_true(together <= (accountant_epsilon(m, 1, 1e-5) + e) * (1.0 + 1e-3));
        assert_true(together <= rdp_epsilon(&curve, 1e-5, NULL));
    }
}

static void an_attacker_finds_no_more_than_the_answer_betrays(void **state)
{
    (void)state;
    const struct mechanism m = pure(1.0, 1);
    struct error err = {0};
    double tpr = 0.0;
    assert_int_equal(accountant_tpr(&m, 1, 0.01, &tpr, &err), RC_OK);
    assert_true(fabs(tpr / (0.01 * exp(1.0)) - 1.0) < 2e-3);
}

static void releases_of_one_kind_are_one_whatever_their_order(void **state)
{
    (void)state;
    const struct mechanism parts[] = {
        pure(0.5, 1), {.q = 0.2, .sigma = 1.5, .steps = 7}, pure(0.25, 2), pure(0.5, 2)};
    const struct mechanism whole[] = {pure(0.25, 2),
                                      pure(0.5, 3),
                                      {.q = 0.2, .sigma = 1.5, .steps = 7}};
    const double a = accountant_epsilon(parts, 4, 1e-5);
    const double b = accountant_epsilon(whole, 3, 1e-5);
    assert_memory_equal(&a, &b, sizeof a);
    struct rdp_curve of_parts = {{0.0}};
    struct rdp_curve of_whole = {{0.0}};
    rdp_compose(parts, 4, &of_parts);
    rdp_compose(whole, 3, &of_whole);
    assert_memory_equal(&of_parts, &of_whole, sizeof of_parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_curve_is_that_of_randomised_response_and_never_above_epsilon),
        cmocka_unit_test(many_releases_cost_what_the_binomial_says_and_never_less),
        cmocka_unit_test(training_and_one_release_together_are_what_the_definition_says),
        cmocka_unit_test(an_attacker_finds_no_more_than_the_answer_betrays),
        cmocka_unit_test(releases_of_one_kind_are_one_whatever_their_order),
    };
    return cmocka_run_group_tests_name("pure", tests, NULL, NULL);
}
