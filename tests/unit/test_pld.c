#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/accountant/fft.h"
#include "common/accountant/pld.h"
#include "common/base/rng.h"

/* ---- the transform --------------------------------------------------------------------------- */

enum { FFT_MOST = 2048 };

static void a_transform_is_its_definition_and_has_an_inverse(void **state)
{
    (void)state;
    static struct complex x[FFT_MOST], y[FFT_MOST], work[FFT_MOST], root[FFT_MOST];
    const double turn = -2.0 * acos(-1.0);
    struct rng r;
    rng_init(&r, 7, "fft");
    for (size_t n = 1; n <= FFT_MOST; n *= 2) {
        fft_roots(root, n);
        for (size_t i = 0; i < n; i++) {
            x[i] = y[i] = (struct complex){rng_normal(&r), rng_normal(&r)};
        }
        fft(y, work, root, n);
        for (size_t k = 0; k < n; k += n / 16 + 1) {
            struct complex want = {0.0, 0.0};
            for (size_t j = 0; j < n; j++) {
                const double angle = turn * (double)(j * k % n) / (double)n;
                want.re += x[j].re * cos(angle) - x[j].im * sin(angle);
                want.im += x[j].re * sin(angle) + x[j].im * cos(angle);
            }
            assert_true(fabs(y[k].re - want.re) + fabs(y[k].im - want.im) < 1e-13 * (double)n);
        }
        for (size_t k = 0; k < n; k++) {
            y[k].im = -y[k].im;
        }
        fft(y, work, root, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(fabs(y[i].re / (double)n - x[i].re) < 1e-13);
            assert_true(fabs(-y[i].im / (double)n - x[i].im) < 1e-13);
        }
    }
}

/* ---- what is known exactly ------------------------------------------------------------------- */

static double upper(double z)
{
    return 0.5 * erfc(z / sqrt(2.0));
}

/* delta(eps) of one step, both directions, from where the densities cross. */
static double exact_delta(double q, double sigma, double epsilon)
{
    const double at_remove = sigma * sigma * log1p(expm1(epsilon) / q) + 0.5;
    const double remove =
        (1.0 - q - exp(epsilon)) * upper(at_remove / sigma) + q * upper((at_remove - 1.0) / sigma);
    double add = 0.0;
    if (expm1(-epsilon) / q > -1.0) {
        const double at = sigma * sigma * log1p(expm1(-epsilon) / q) + 0.5;
        add = upper(-at / sigma) * (1.0 - exp(epsilon) * (1.0 - q)) -
              exp(epsilon) * q * upper((1.0 - at) / sigma);
    }
    return fmax(remove, add);
}

/* Balle, Wang 2018, Theorem 8. */
static double gaussian_delta(double mu, double epsilon)
{
    return upper(epsilon / mu - 0.5 * mu) - exp(epsilon) * upper(epsilon / mu + 0.5 * mu);
}

static struct pld *opened(const struct mechanism *m, size_t n, double smallest, size_t points)
{
    struct rdp_curve curve = {{0.0}};
    struct pld *p = NULL;
    struct error err = {0};
    rdp_compose(m, n, &curve);
    if (pld_open(m, n, &curve, smallest, points, &p, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return p;
}

static void one_step_is_never_below_the_truth_and_hardly_above(void **state)
{
    (void)state;
    const double qs[] = {1e-4, 0.003, 0.1, 0.5, 0.9, 1.0};
    const double sigmas[] = {0.5, 0.9, 2.0, 10.0};
    for (size_t i = 0; i < sizeof qs / sizeof *qs; i++) {
        for (size_t j = 0; j < sizeof sigmas / sizeof *sigmas; j++) {
            const struct mechanism m = {.q = qs[i], .sigma = sigmas[j], .steps = 1};
            struct pld *p = opened(&m, 1, 1e-9, 1 << 16);
            for (double epsilon = 0.0; epsilon < 12.0; epsilon += 0.37) {
                const double want = exact_delta(qs[i], sigmas[j], epsilon);
                const double got = pld_delta(p, epsilon);
                if (want > 1e-9 && !(got >= want && got <= 1.002 * want + 1e-10)) {
                    fail_msg("q %g sigma %g epsilon %g: %.12g, exactly %.12g", qs[i], sigmas[j],
                             epsilon, got, want);
                }
                if (want > 1e-9 && want < 0.9) {
                    const double back = pld_epsilon(p, want);
                    assert_true(back >= epsilon);
                    assert_true(exact_delta(qs[i], sigmas[j], back) >= 0.998 * want - 1e-9);
                }
            }
            pld_close(&p);
        }
    }
}

/* Composition, the transform and its rounding: a million Gaussian steps are one Gaussian. */
static void many_gaussian_steps_are_one(void **state)
{
    (void)state;
    const struct {
        double sigma;
        uint64_t steps;
    } ask[] = {{2.0, 1}, {3.0, 17}, {40.0, 1000}, {500.0, 100000}, {3000.0, 1000000}};
    for (size_t i = 0; i < sizeof ask / sizeof *ask; i++) {
        const struct mechanism m = {.q = 1.0, .sigma = ask[i].sigma, .steps = ask[i].steps};
        const double mu = sqrt((double)ask[i].steps) / ask[i].sigma;
        struct pld *p = opened(&m, 1, 1e-8, 1 << 18);
        for (double epsilon = 0.0; epsilon < 3.0; epsilon += 0.25) {
            const double want = gaussian_delta(mu, epsilon);
            const double got = pld_delta(p, epsilon);
            /* what the transform may lose is counted: 16 epsilons a step */
            const double most = 1.01 * want + 4e-15 * (double)ask[i].steps;
            if (want > 1e-8 && !(got >= want && got <= most)) {
                fail_msg("sigma %g, %llu steps, epsilon %g: %.12g, exactly %.12g", ask[i].sigma,
                         (unsigned long long)ask[i].steps, epsilon, got, want);
            }
        }
        for (double fpr = 1e-4; fpr < 0.6; fpr *= 3.0) { /* TPR = Phi(Phi^-1(fpr) + mu) */
            double z = 0.0;
            for (double step = 4.0; step > 1e-13; step *= 0.5) {
                z += upper(z) > fpr ? step : -step;
            }
            const double want = upper(z - mu);
            const double got = pld_tpr(p, fpr);
            assert_true(got >= want * (1.0 - 1e-9) && got <= 1.001 * want);
        }
        pld_close(&p);
    }
}

static void kinds_compose(void **state)
{
    (void)state;
    const struct mechanism apart[] = {{.q = 1.0, .sigma = 4.0, .steps = 3},
                                      {.q = 1.0, .sigma = 7.0, .steps = 11}};
    const double mu = sqrt(3.0 / 16.0 + 11.0 / 49.0);
    struct pld *p = opened(apart, 2, 1e-7, 1 << 16);
    for (double epsilon = 0.0; epsilon < 3.0; epsilon += 0.2) {
        const double want = gaussian_delta(mu, epsilon);
        const double got = pld_delta(p, epsilon);
        assert_true(want < 1e-7 || (got >= want && got <= 1.01 * want));
    }
    pld_close(&p);
}

/* delta(eps) of two different steps by the definition, over a plane of outcomes. */
static double delta_of_two(const struct mechanism m[2], double epsilon, bool add)
{
    enum { CELLS = 900 };
    double total = 0.0;
    const double step[2] = {(1.0 + 20.0 * m[0].sigma) / CELLS, (1.0 + 20.0 * m[1].sigma) / CELLS};
    for (size_t i = 0; i < CELLS; i++) {
        for (size_t j = 0; j < CELLS; j++) {
            const double x[2] = {-10.0 * m[0].sigma + ((double)i + 0.5) * step[0],
                                 -10.0 * m[1].sigma + ((double)j + 0.5) * step[1]};
            double without = 1.0;
            double ratio = 1.0;
            for (size_t k = 0; k < 2; k++) {
                const double s2 = m[k].sigma * m[k].sigma;
                without *= exp(-0.5 * x[k] * x[k] / s2) / sqrt(2.0 * acos(-1.0) * s2);
                ratio *= 1.0 - m[k].q + m[k].q * exp((x[k] - 0.5) / s2);
            }
            const double with = without * ratio;
            total += fmax(0.0, add ? without - exp(epsilon) * with : with - exp(epsilon) * without);
        }
    }
    return total * step[0] * step[1];
}

static void two_different_sampled_steps_are_what_the_definition_says(void **state)
{
    (void)state;
    const struct mechanism m[] = {{.q = 0.3, .sigma = 0.8, .steps = 1},
                                  {.q = 0.07, .sigma = 0.6, .steps = 1}};
    struct pld *p = opened(m, 2, 1e-6, 1 << 16);
    for (double epsilon = 0.1; epsilon < 4.0; epsilon += 0.6) {
        const double want = fmax(delta_of_two(m, epsilon, false), delta_of_two(m, epsilon, true));
        const double got = pld_delta(p, epsilon);
        assert_true(fabs(got / want - 1.0) < 2e-4); /* the plane has cells, too */
    }
    pld_close(&p);
}

/* ---- what must hold of any ------------------------------------------------------------------- */

static void a_finer_grid_never_costs_more(void **state)
{
    (void)state;
    const struct mechanism m[] = {{.q = 0.01, .sigma = 0.7, .steps = 300},
                                  {.q = 0.2, .sigma = 3.0, .steps = 20}};
    double before[2] = {HUGE_VAL, HUGE_VAL};
    for (size_t points = PLD_POINTS_MIN; points <= 1 << 18; points *= 2) {
        struct pld *p = opened(m, 2, 1e-6, points);
        const double now[2] = {pld_epsilon(p, 1e-5), pld_epsilon(p, 1e-3)};
        for (size_t i = 0; i < 2; i++) {
            assert_true(now[i] > 0.0 && now[i] <= before[i] + 1e-9);
            before[i] = now[i];
        }
        pld_close(&p);
    }
}

static void order_and_splitting_do_not_change_a_bit(void **state)
{
    (void)state;
    const struct mechanism whole[] = {{.q = 0.01, .sigma = 1.0, .steps = 70},
                                      {.q = 0.3, .sigma = 2.0, .steps = 3},
                                      {.q = 0.0, .sigma = 1.0, .steps = 8}};
    const struct mechanism parts[] = {{.q = 0.3, .sigma = 2.0, .steps = 1},
                                      {.q = 0.01, .sigma = 1.0, .steps = 69},
                                      {.q = 0.3, .sigma = 2.0, .steps = 2},
                                      {.q = 0.01, .sigma = 1.0, .steps = 1}};
    struct pld *a = opened(whole, 3, 1e-5, 1 << 13);
    struct pld *b = opened(parts, 4, 1e-5, 1 << 13);
    const double of_a = pld_epsilon(a, 1e-5);
    const double of_b = pld_epsilon(b, 1e-5);
    assert_memory_equal(&of_a, &of_b, sizeof of_a);
    pld_close(&a);
    pld_close(&b);
}

static void probabilities_are_probabilities(void **state)
{
    (void)state;
    const struct mechanism m = {.q = 0.05, .sigma = 0.8, .steps = 100};
    struct pld *p = opened(&m, 1, 1e-7, 1 << 14);
    double before = 1.0;
    for (double epsilon = 0.0; epsilon < 60.0; epsilon += 0.5) {
        const double delta = pld_delta(p, epsilon);
        assert_true(delta > 0.0 && delta <= before);
        before = delta;
    }
    before = 0.0;
    for (double fpr = 0.0; fpr <= 1.0; fpr += 1.0 / 64.0) {
        const double tpr = pld_tpr(p, fpr);
        assert_true(tpr >= fpr * (1.0 - 1e-6) && tpr <= 1.0 && tpr >= before);
        before = tpr;
    }
    assert_true(isinf(pld_epsilon(p, 1e-16))); /* below what it was made for */
    pld_close(&p);
}

static void what_no_grid_can_hold_is_refused(void **state)
{
    (void)state;
    const struct mechanism ask[] = {{.q = 0.1, .sigma = 0.0, .steps = 1},
                                    {.q = 0.1, .sigma = 0.01, .steps = 1},
                                    {.q = 0.9, .sigma = 0.5, .steps = 100000}};
    for (size_t i = 0; i < sizeof ask / sizeof *ask; i++) {
        struct rdp_curve curve = {{0.0}};
        struct pld *p = NULL;
        struct error err = {0};
        rdp_compose(&ask[i], 1, &curve);
        assert_int_equal(pld_open(&ask[i], 1, &curve, 1e-5, 1 << 13, &p, &err), RC_LIMIT);
        assert_null(p);
    }
    const struct mechanism idle = {.q = 0.0, .sigma = 1.0, .steps = 5};
    const struct rdp_curve nothing = {{0.0}};
    struct pld *p = NULL;
    struct error err = {0};
    assert_int_equal(pld_open(&idle, 1, &nothing, 1e-5, 1 << 13, &p, &err), RC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transform_is_its_definition_and_has_an_inverse),
        cmocka_unit_test(one_step_is_never_below_the_truth_and_hardly_above),
        cmocka_unit_test(many_gaussian_steps_are_one),
        cmocka_unit_test(kinds_compose),
        cmocka_unit_test(two_different_sampled_steps_are_what_the_definition_says),
        cmocka_unit_test(a_finer_grid_never_costs_more),
        cmocka_unit_test(order_and_splitting_do_not_change_a_bit),
        cmocka_unit_test(probabilities_are_probabilities),
        cmocka_unit_test(what_no_grid_can_hold_is_refused),
    };
    return cmocka_run_group_tests_name("pld", tests, NULL, NULL);
}
