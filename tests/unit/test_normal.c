#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/replay.h"
#include "common/base/rng.h"
#include "common/dp/normal.h"
#include "common/dp/normal_internal.h"
#include "tests/support/seed.h"

/* ---- the functions --------------------------------------------------------------------------- */

static void the_quick_logarithm_is_good_to_two_units(void **state)
{
    (void)state;
    for (double u = 1.0 - 0x1p-53; u > 0x1p-64; u *= 0.99977) {
        const long double want = logl((long double)u);
        const double got = normal_log(u);
        if (fabsl((long double)got / want - 1.0L) > 2.0L * (long double)DBL_EPSILON) {
            fail_msg("log %a: %a, want %La", u, got, want);
        }
    }
    for (int k = 0; k <= 64; k++) {
        assert_true(fabs(normal_log(ldexp(1.0, -k)) + (double)k * log(2.0)) < 1e-14 * (k + 1));
    }
    assert_true(normal_log(1.0) == 0.0);
}

static void the_quick_turn_is_good_to_one_unit(void **state)
{
    (void)state;
    const long double turn = 2.0L * acosl(-1.0L);
    for (double v = 0.0; v < 1.0; v += 0x1.9p-16) {
        double c = 9.0;
        double s = 9.0;
        normal_turn(v, &c, &s);
        assert_true(fabsl((long double)c - cosl(turn * (long double)v)) < (long double)DBL_EPSILON);
        assert_true(fabsl((long double)s - sinl(turn * (long double)v)) < (long double)DBL_EPSILON);
    }
}

static void a_pair_computed_finely_is_what_long_double_says(void **state)
{
    (void)state;
    const long double turn = 2.0L * acosl(-1.0L);
    struct rng r;
    rng_init(&r, seed_of_run(), "fine");
    for (int i = 0; i < 20000; i++) {
        struct normal_bits bits = {rng_u64(&r), rng_u64(&r)};
        const struct normal_bits more = {rng_u64(&r), rng_u64(&r)};
        bits.first >>= i % 3 == 0 ? i % 50 : 0; /* also where r is tiny */
        const long double rest =
            ldexpl((long double)bits.first, -64) + ldexpl((long double)more.first + 0.5L, -128);
        const long double v = ldexpl((long double)(bits.second >> 12), -52) +
                              ldexpl((long double)more.second + 0.5L, -116);
        const long double radius = sqrtl(-2.0L * log1pl(-rest));
        const long double want[2] = {radius * cosl(turn * v), radius * sinl(turn * v)};
        double got[2];
        const double spread = 0x1p40;
        normal_fine(bits, more, spread, got);
        for (size_t k = 0; k < 2; k++) {
            assert_true(got[k] == rint(got[k]));
            if (fabsl((long double)got[k] - (long double)spread * want[k]) > 0.5L + 1e-4L) {
                fail_msg("%a %a: %a, want %La", (double)bits.first, (double)bits.second, got[k],
                         (long double)spread * want[k]);
            }
        }
    }
}

static void the_ends_of_the_lattice_are_numbers(void **state)
{
    (void)state;
    const uint64_t ends[] = {0, 1, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 5; j++) {
            for (size_t k = 0; k < 5; k++) {
                const struct normal_bits bits = {ends[i], ends[j]};
                const struct normal_bits more = {ends[k], ends[j]};
                double N[2];
                normal_fine(bits, more, 0x1p20, N);
                const double radius = sqrt(N[0] * N[0] + N[1] * N[1]) * 0x1p-20;
                assert_true(radius <= 13.5);
                assert_true(radius > 9.3 || ends[i] != UINT64_MAX);
                assert_true(radius < 1e-5 || ends[i] > 1);
            }
        }
    }
}

/* ---- rounding -------------------------------------------------------------------------------- */

/* Bits that were not drawn could not have changed a number that was settled without them. */
static void a_settled_number_is_settled_whatever_the_missing_bits(void **state)
{
    (void)state;
    static const double spreads[] = {0.3, 1.0, 1234.5, 0x1p20, 0x1p36, 0x1p40, 0x1p43, 0x1p46};
    const uint64_t seed = seed_of_run();
    enum { PAIRS = NORMAL_AT_ONCE / 2, TIMES = 60 };
    for (size_t k = 0; k < sizeof spreads / sizeof *spreads; k++) {
        struct entropy e;
        struct entropy twin;
        size_t fine_draws = 0;
        replay_init(&e, seed, "settled");
        replay_init(&twin, seed, "settled");
        for (int t = 0; t < TIMES; t++) {
            double N[NORMAL_AT_ONCE];
            uint64_t word[NORMAL_AT_ONCE];
            unsigned char skipped[16];
            const uint64_t before = e.drawn;
            normal_rounded(&e, spreads[k], N, NORMAL_AT_ONCE);
            entropy_bytes(&twin, word, sizeof word);
            for (size_t extra = sizeof word; extra < e.drawn - before; extra += sizeof skipped) {
                entropy_bytes(&twin, skipped, sizeof skipped);
                fine_draws++;
            }
            for (size_t i = 0; i < PAIRS; i++) {
                const struct normal_bits bits = {word[i], word[PAIRS + i]};
                double least[2];
                double most[2];
                normal_fine(bits, (struct normal_bits){0, 0}, spreads[k], least);
                normal_fine(bits, (struct normal_bits){UINT64_MAX, UINT64_MAX}, spreads[k], most);
                for (size_t j = 0; j < 2; j++) {
                    const double got = N[j * PAIRS + i];
                    /* where both agree there is one answer; else something in their neighbourhood */
                    assert_true(got == rint(got));
                    assert_true(least[j] != most[j]
                                    ? fabs(got - least[j]) < 0x1p-30 * spreads[k] + 2
                                    : got == least[j]);
                }
            }
        }
        assert_true(spreads[k] < 0x1p45 || fine_draws == (size_t)TIMES * PAIRS); /* margin > 1/2 */
        assert_true(spreads[k] > 0x1p20 || fine_draws < 10);
    }
}

/* x as the quick path has it, against 2^-46 of the truth: the margin holds where it is relied on. */
static void the_quick_path_is_within_its_margin(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, seed_of_run(), "margin");
    for (int i = 0; i < 200000; i++) {
        struct normal_bits bits = {rng_u64(&r), rng_u64(&r)};
        const int side = i % 8; /* also at both ends of where it is used */
        bits.first = side == 0   ? ((uint64_t)1 << 47) + (bits.first >> 20)
                     : side == 1 ? UINT64_MAX - ((uint64_t)1 << 44) - (bits.first >> 22)
                                 : bits.first;
        const double u = (1.0 - ldexp((double)(bits.first >> 12), -52)) -
                         ldexp((double)(bits.first & 0xfffu), -64);
        const double radius = sqrt(-2.0 * normal_log(u));
        double turn[2];
        double truth[2];
        const struct normal_bits more = {rng_u64(&r), rng_u64(&r)};
        normal_turn(ldexp((double)(bits.second >> 12), -52), &turn[0], &turn[1]);
        normal_fine(bits, more, 0x1p46, truth);
        if (u >= 0x1p-20 && u <= 1.0 - 0x1p-17) {
            for (size_t k = 0; k < 2; k++) {
                assert_true(fabs(radius * turn[k] - truth[k] * 0x1p-46) < 0x1p-44 - 0x1p-46);
            }
        }
    }
}

/* ---- the distribution ------------------------------------------------------------------------ */

enum { MANY = 4000000 };

static double upper(double z)
{
    return 0.5 * erfc(z / sqrt(2.0));
}

static void numbers_have_a_normal_s_moments_shape_tails_and_independence(void **state)
{
    (void)state;
    enum { BINS = 64, BEYOND = 4 };
    static const double beyond[BEYOND] = {3.0, 4.0, 4.5, 5.0};
    const double spread = 0x1.8p20;
    struct entropy e;
    double *N = calloc(MANY, sizeof *N);
    double moment[7] = {0.0};
    double bin[BINS] = {0.0};
    double tail[BEYOND][2] = {{0.0}};
    assert_non_null(N);
    replay_init(&e, seed_of_run(), "many");
    normal_rounded(&e, spread, N, MANY);
    for (size_t i = 0; i < MANY; i++) {
        const double z = N[i] / spread;
        double power = 1.0;
        for (size_t k = 1; k < 7; k++) {
            power *= z;
            moment[k] += power / MANY;
        }
        size_t at = (size_t)(BINS * upper(-z));
        bin[at < BINS ? at : BINS - 1] += 1.0;
        for (size_t k = 0; k < BEYOND; k++) {
            tail[k][0] += z > beyond[k];
            tail[k][1] += z < -beyond[k];
        }
    }
    /* E z^2k = 1, 3, 15; their variances 2, 96, 10170 and 1, 15, 945 of the odd ones */
    static const double want[7] = {0, 0, 1, 0, 3, 0, 15};
    static const double variance[7] = {0, 1, 2, 15, 96, 945, 10170};
    for (size_t k = 1; k < 7; k++) {
        assert_true(fabs(moment[k] - want[k]) < 5.0 * sqrt(variance[k] / MANY));
    }
    double chi = 0.0;
    for (size_t k = 0; k < BINS; k++) {
        const double expected = (double)MANY / BINS;
        chi += (bin[k] - expected) * (bin[k] - expected) / expected;
    }
    assert_true(fabs(chi - (BINS - 1)) < 5.0 * sqrt(2.0 * (BINS - 1)));
    for (size_t k = 0; k < BEYOND; k++) {
        const double expected = MANY * upper(beyond[k]);
        for (size_t side = 0; side < 2; side++) {
            assert_true(fabs(tail[k][side] - expected) < 5.0 * sqrt(expected) + 3.0);
        }
    }
    /* with the neighbours, with the other of the pair, with the next lot: products and squares */
    static const size_t lags[] = {1, 2, 3, NORMAL_AT_ONCE / 2, NORMAL_AT_ONCE};
    for (size_t k = 0; k < sizeof lags / sizeof *lags; k++) {
        double product = 0.0;
        double squares = 0.0;
        for (size_t i = 0; i + lags[k] < MANY; i++) {
            const double a = N[i] / spread;
            const double b = N[i + lags[k]] / spread;
            product += a * b;
            squares += (a * a - 1.0) * (b * b - 1.0);
        }
        assert_true(fabs(product) < 5.0 * sqrt(MANY));
        assert_true(fabs(squares) < 5.0 * sqrt(4.0 * MANY));
    }
    free(N);
}

static void any_count_is_filled_and_draws_by_whole_lots(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 2 * NORMAL_AT_ONCE + 1; n += 43) {
        struct entropy e;
        double N[2 * NORMAL_AT_ONCE + 2];
        const size_t lots = (n + NORMAL_AT_ONCE - 1) / NORMAL_AT_ONCE;
        for (size_t i = 0; i < sizeof N / sizeof *N; i++) {
            N[i] = 0.5;
        }
        replay_init(&e, 3, "count");
        normal_rounded(&e, 100.0, N, n);
        assert_int_equal(e.drawn, lots * NORMAL_AT_ONCE * sizeof(uint64_t));
        for (size_t i = 0; i < sizeof N / sizeof *N; i++) {
            assert_true((N[i] == 0.5) == (i >= n));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quick_logarithm_is_good_to_two_units),
        cmocka_unit_test(the_quick_turn_is_good_to_one_unit),
        cmocka_unit_test(a_pair_computed_finely_is_what_long_double_says),
        cmocka_unit_test(the_ends_of_the_lattice_are_numbers),
        cmocka_unit_test(a_settled_number_is_settled_whatever_the_missing_bits),
        cmocka_unit_test(the_quick_path_is_within_its_margin),
        cmocka_unit_test(numbers_have_a_normal_s_moments_shape_tails_and_independence),
        cmocka_unit_test(any_count_is_filled_and_draws_by_whole_lots),
    };
    return cmocka_run_group_tests_name("normal", tests, NULL, NULL);
}
