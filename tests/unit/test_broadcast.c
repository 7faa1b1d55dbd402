#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/broadcast/broadcast.h"
#include "tests/support/seed.h"

enum { HALVES = 1 << 16, INFINITE = 0x7c00, DRAWS = 200000 };

static const struct study whole = {.broadcast = STUDY_FLOAT32};
static const struct study half = {.broadcast = STUDY_FLOAT16};

/* What IEEE 754 says that the bits mean, in its own words. */
static double meaning(unsigned h)
{
    const int exponent = (int)(h >> 10 & 31);
    const double fraction = (double)(h & 1023) / 1024.0;
    const double size = exponent == 0 ? ldexp(fraction, -14) : ldexp(1.0 + fraction, exponent - 15);
    return (h & 0x8000) != 0 ? -size : size;
}

static unsigned packed(real x)
{
    unsigned char b[2] = {0};
    struct error err = {0};
    assert_int_equal(broadcast_pack(&half, &x, 1, b, &err), RC_OK);
    return b[0] | (unsigned)b[1] << 8;
}

static real unpacked(unsigned h)
{
    const unsigned char b[2] = {(unsigned char)(h & 0xff), (unsigned char)(h >> 8)};
    struct error err = {0};
    real x = 0;
    assert_int_equal(broadcast_unpack(&half, b, 1, &x, &err), RC_OK);
    return x;
}

static void as_it_is_a_model_keeps_each_byte(void **state)
{
    (void)state;
    const real model[3] = {(real)1e-30, (real)-2.5, (real)1e30};
    real back[3] = {0};
    unsigned char bytes[sizeof model];
    struct error err = {0};
    assert_int_equal(broadcast_bytes(&whole, 3), sizeof model);
    assert_int_equal(broadcast_pack(&whole, model, 3, bytes, &err), RC_OK);
    assert_memory_equal(bytes, model, sizeof model);
    assert_int_equal(broadcast_unpack(&whole, bytes, 3, back, &err), RC_OK);
    assert_memory_equal(back, model, sizeof model);
}

static void each_of_the_16_bit_numbers_means_what_the_standard_says_and_comes_back(void **state)
{
    (void)state;
    assert_int_equal(broadcast_bytes(&half, 7), 14);
    for (unsigned h = 0; h < HALVES; h++) {
        if ((h & INFINITE) != INFINITE) {
            const real x = unpacked(h);
            assert_true((double)x == meaning(h));
            assert_int_equal(packed(x), h); /* of zeros, too: minus is kept */
        }
    }
}

/* The two nearest, by the order of the bits; in a tie the one whose last bit is 0. */
static void a_number_goes_to_its_nearest_and_from_the_middle_to_the_even_one(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, seed_of_run(), "halves");
    for (size_t i = 0; i < DRAWS; i++) {
        const double size = ldexp(1.0 + rng_uniform(&r), (int)rng_below(&r, 44) - 30);
        const float x = (float)(rng_below(&r, 2) == 0 ? size : -size);
        if (fabsf(x) >= 65504.0F) {
            continue;
        }
        const unsigned h = packed((real)x);
        const double off = fabs(meaning(h) - (double)x);
        assert_true(off <= fabs((double)x) * 0x1p-11 || off <= 0x1p-25);
        assert_true(off <= fabs(meaning(h + 1) - (double)x) || ((h + 1) & INFINITE) == INFINITE);
        assert_true((h & 0x7fff) == 0 || off <= fabs(meaning(h - 1) - (double)x));
    }
    for (unsigned h = 0; h + 1 < INFINITE; h++) { /* every middle, as a float has it exactly */
        const real middle = (real)((meaning(h) + meaning(h + 1)) / 2.0);
        assert_int_equal(packed(middle), h % 2 == 0 ? h : h + 1);
        assert_int_equal(packed(-middle), 0x8000U | (h % 2 == 0 ? h : h + 1));
    }
}

static void what_16_bits_cannot_hold_is_refused_at_its_place_and_not_said(void **state)
{
    (void)state;
    static const float bad[] = {65520.0F, -70000.0F, FLT_MAX, INFINITY, -INFINITY, NAN};
    unsigned char out[6];
    struct error err = {0};
    assert_int_equal(packed((real)65519.0F), 0x7bff);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const real model[3] = {0, (real)bad[i], 1};
        err = (struct error){0};
        assert_int_equal(broadcast_pack(&half, model, 3, out, &err), RC_NUMERIC);
        assert_non_null(strstr(err.text, "parameter 1 of the model"));
        assert_null(strstr(err.text, "70000"));
    }
}

static void bytes_that_nobody_packed_are_refused(void **state)
{
    (void)state;
    static const unsigned char bad[][2] = {{0x00, 0x7c}, {0x00, 0xfc}, {0x01, 0x7e}};
    struct error err = {0};
    real out = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(broadcast_unpack(&half, bad[i], 1, &out, &err), RC_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_it_is_a_model_keeps_each_byte),
        cmocka_unit_test(each_of_the_16_bit_numbers_means_what_the_standard_says_and_comes_back),
        cmocka_unit_test(a_number_goes_to_its_nearest_and_from_the_middle_to_the_even_one),
        cmocka_unit_test(what_16_bits_cannot_hold_is_refused_at_its_place_and_not_said),
        cmocka_unit_test(bytes_that_nobody_packed_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
