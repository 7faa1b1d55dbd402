#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/kernel/curve.h"

/* Distance in units in the last place of the true value, rounded to float. */
static double ulps(float got, double truth)
{
    const float near = (float)truth;
    const double unit = (double)nextafterf(fabsf(near), INFINITY) - (double)fabsf(near);
    return fabs((double)got - truth) / unit;
}

/* Every 61st float of a range of magnitudes, both signs. */
static double worst(float (*f)(float), double (*truth)(double), float from, float to)
{
    uint32_t bits;
    uint32_t end;
    double w = 0.0;
    memcpy(&bits, &from, sizeof bits);
    memcpy(&end, &to, sizeof end);
    for (; bits < end; bits += 61) {
        float x;
        memcpy(&x, &bits, sizeof x);
        w = fmax(w, ulps(f(x), truth((double)x)));
        w = fmax(w, ulps(f(-x), truth(-(double)x)));
    }
    return w;
}

static float fast_exp(float x)
{
    return curve_exp(x);
}

static float fast_sigmoid(float x)
{
    return curve_sigmoid(x);
}

static float fast_tanh(float x)
{
    return curve_tanh(x);
}

static double true_sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static void the_fast_exponential_is_that_of_libm_within_two_units(void **state)
{
    (void)state;
    assert_true(worst(fast_exp, exp, 1e-6f, 87.0f) < 2.0);
    assert_true(curve_exp(0.0f) == 1.0f);
}

static void the_fast_sigmoid_is_that_of_libm_within_three_units(void **state)
{
    (void)state;
    assert_true(worst(fast_sigmoid, true_sigmoid, 1e-6f, 87.0f) < 3.0);
    assert_true(curve_sigmoid(0.0f) == 0.5f);
}

static void the_fast_tangent_is_that_of_libm_within_three_units(void **state)
{
    (void)state;
    assert_true(worst(fast_tanh, tanh, 1e-6f, 40.0f) < 3.0);
    assert_true(curve_tanh(0.0f) == 0.0f);
}

static void huge_arguments_saturate(void **state)
{
    (void)state;
    assert_true(isfinite(curve_exp(1e30f)) && curve_exp(-1e30f) >= 0.0f);
    assert_true(curve_exp(-1e30f) < 1e-37f);
    assert_true(curve_sigmoid(1e30f) == 1.0f && curve_sigmoid(-1e30f) < 1e-37f);
    assert_true(curve_tanh(1e30f) == 1.0f && curve_tanh(-1e30f) == -1.0f);
    assert_true(curve_tanh(INFINITY) == 1.0f);
}

static void not_a_number_stays_one(void **state)
{
    (void)state;
    assert_true(isnan(curve_exp(NAN)));
    assert_true(isnan(curve_sigmoid(NAN)));
    assert_true(isnan(curve_tanh(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fast_exponential_is_that_of_libm_within_two_units),
        cmocka_unit_test(the_fast_sigmoid_is_that_of_libm_within_three_units),
        cmocka_unit_test(the_fast_tangent_is_that_of_libm_within_three_units),
        cmocka_unit_test(huge_arguments_saturate),
        cmocka_unit_test(not_a_number_stays_one),
    };
    return cmocka_run_group_tests_name("common/kernel curves", tests, NULL, NULL);
}
