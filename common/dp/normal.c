#include "common/dp/normal.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/dp/normal_internal.h"

/* Several numbers at a time, where the processor has the registers. No contraction of a product and a
 * sum, so that all processors give the same bytes. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

static inline double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t to_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define ONE       0x3ff0000000000000u /* bits of 1.0 */
#define FRACTION  0x000fffffffffffffu /* of the mantissa */
#define ROOT_HALF 0x3fe6a09e667f3bcdu /* bits of sqrt(1/2) */
#define WHOLE     0x1.8p52            /* added and taken away it rounds to a whole number */

/*
 * u = 2^k m, m in [sqrt 1/2, sqrt 2), and log m = 2 atanh s, s = (m-1) / (m+1), |s| < .1716:
 * 2 s (1 + s^2/3 + s^4/5 + ...), whose terms beyond s^20/21 are below 2^-54 of the sum.
 */
static inline double log_of(double u)
{
    const double ln2_high = 0x1.62e42fefa38p-1; /* 42 bits: k ln2_high is exact */
    const double ln2_low = 0x1.ef35793c7673p-45;
    const uint64_t shifted = to_bits(u) - ROOT_HALF; /* the exponent of u / sqrt(1/2), on top */
    const uint64_t exponent = shifted & ~FRACTION;
    const double m = from_bits(to_bits(u) - exponent);
    /* k as a number: its 12 bits, made positive, in the low bits of 1.5 2^52 */
    const double k = from_bits(((shifted >> 52) ^ 0x800u) + 0x4338000000000000u) - (WHOLE + 2048.0);
    const double s = (m - 1.0) / (m + 1.0);
    const double z = s * s;
    double p = 1.0 / 21.0;
    p = p * z + 1.0 / 19.0;
    p = p * z + 1.0 / 17.0;
    p = p * z + 1.0 / 15.0;
    p = p * z + 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z + 1.0 / 3.0;
    return k * ln2_high + (2.0 * s + (2.0 * s * z * p + k * ln2_low));
}

/* Quarters of a turn: v = (j + f) / 4, |f| <= 1/2, and the angle f pi/2 is within pi/4. Taylor's
 * polynomials; the terms left out are below 2^-56. */
static inline void turn_of(double v, double *cosine, double *sine)
{
    const double quarters = 4.0 * v;
    const double rounded = quarters + WHOLE;
    const double f = quarters - (rounded - WHOLE);
    const uint64_t j = to_bits(rounded) & 3u;
    const double x = f * 0x1.921fb54442d18p+0; /* pi/2 */
    const double x2 = x * x;
    double s = -1.0 / 1307674368000.0;
    s = s * x2 + 1.0 / 6227020800.0;
    s = s * x2 - 1.0 / 39916800.0;
    s = s * x2 + 1.0 / 362880.0;
    s = s * x2 - 1.0 / 5040.0;
    s = s * x2 + 1.0 / 120.0;
    s = s * x2 - 1.0 / 6.0;
    s = x + x * x2 * s;
    double c = 1.0 / 20922789888000.0;
    c = c * x2 - 1.0 / 87178291200.0;
    c = c * x2 + 1.0 / 479001600.0;
    c = c * x2 - 1.0 / 3628800.0;
    c = c * x2 + 1.0 / 40320.0;
    c = c * x2 - 1.0 / 720.0;
    c = c * x2 + 1.0 / 24.0;
    c = c * x2 - 0.5;
    c = 1.0 + x2 * c;
    /* j: 0 (c, s)  1 (-s, c)  2 (-c, -s)  3 (s, -c); by masks, not branches */
    const uint64_t odd = 0u - (j & 1u);
    const uint64_t a = (to_bits(c) & ~odd) | (to_bits(s) & odd);
    const uint64_t b = (to_bits(s) & ~odd) | (to_bits(c) & odd);
    *cosine = from_bits(a ^ (((j + 1u) & 2u) << 62));
    *sine = from_bits(b ^ ((j & 2u) << 62));
}

double normal_log(double u)
{
    return log_of(u);
}

void normal_turn(double v, double *cosine, double *sine)
{
    turn_of(v, cosine, sine);
}

enum { PAIRS = NORMAL_AT_ONCE / 2 };

/* first[i] and second[i] make number i and number PAIRS + i. */
struct words {
    uint64_t first[PAIRS], second[PAIRS];
};

FOR_EACH_PROCESSOR static void quickly(double *restrict x, const struct words *w, double spread)
{
    for (size_t i = 0; i < PAIRS; i++) {
        /* 1 - first 2^-64, rounded once */
        const double coarse = 2.0 - from_bits((w->first[i] >> 12) | ONE);
        const double fine = from_bits((w->first[i] & 0xfffu) | 0x4330000000000000u) - 0x1p52;
        const double u = coarse - fine * 0x1p-64;
        const double v = from_bits((w->second[i] >> 12) | ONE) - 1.0;
        const double r = spread * sqrt(-2.0 * log_of(u));
        double c;
        double s;
        turn_of(v, &c, &s);
        x[i] = r * c;
        x[PAIRS + i] = r * s;
    }
}

/* How far from the middle between two whole numbers x must be to be settled. */
static double margin(double spread)
{
    return spread * 0x1p-44;
}

/* r is large (u < 2^-20: bits of u are missing) or tiny (u > 1 - 2^-17: rounding u has moved it). */
static bool is_extreme(uint64_t first)
{
    const uint64_t large = (uint64_t)1 << 44;
    const uint64_t tiny = (uint64_t)1 << 47;
    return first + large < tiny + large; /* wraps */
}

FOR_EACH_PROCESSOR static bool round_all(double *restrict N, const double *restrict x,
                                         const struct words *w, double settled)
{
    int doubtful = 0;
    for (size_t i = 0; i < NORMAL_AT_ONCE; i++) {
        N[i] = (x[i] + WHOLE) - WHOLE;
        doubtful |= fabs(x[i] - N[i]) > settled;
    }
    for (size_t i = 0; i < PAIRS; i++) {
        doubtful |= is_extreme(w->first[i]);
    }
    return doubtful != 0;
}

static void settle(struct entropy *entropy, double *N, const double *x, const struct words *w,
                   double spread, double settled)
{
    for (size_t i = 0; i < PAIRS; i++) {
        if (is_extreme(w->first[i]) || fabs(x[i] - N[i]) > settled ||
            fabs(x[PAIRS + i] - N[PAIRS + i]) > settled) {
            const struct normal_bits bits = {w->first[i], w->second[i]};
            const struct normal_bits more = {entropy_u64(entropy), entropy_u64(entropy)};
            double both[2];
            normal_fine(bits, more, spread, both);
            N[i] = both[0];
            N[PAIRS + i] = both[1];
        }
    }
}

void normal_rounded(struct entropy *entropy, double spread, double *N, size_t n)
{
    struct words w;
    double x[NORMAL_AT_ONCE];
    double rest[NORMAL_AT_ONCE];
    const double settled = 0.5 - margin(spread);
    assert(spread > 0.0);
    assert(spread <= NORMAL_SPREAD_MOST);
    while (n > 0) {
        const size_t take = n < NORMAL_AT_ONCE ? n : NORMAL_AT_ONCE;
        double *to = take == NORMAL_AT_ONCE ? N : rest;
        entropy_bytes(entropy, &w, sizeof w);
        quickly(x, &w, spread);
        if (round_all(to, x, &w, settled)) {
            settle(entropy, to, x, &w, spread, settled);
        }
        if (to == rest) {
            memcpy(N, rest, take * sizeof *N);
        }
        N += take;
        n -= take;
    }
    hash_wipe(&w, sizeof w);
    hash_wipe(x, sizeof x);
    hash_wipe(rest, sizeof rest);
}
