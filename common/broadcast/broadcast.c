#include "common/broadcast/broadcast.h"

#include <stdint.h>
#include <string.h>

enum {
    HALF_BYTES = 2,
    SIGN = 0x8000,
    INFINITE = 0x7c00,              /* and all above it that are not finite */
    NO_HALF = 0x10000,              /* beyond 65504, or not finite */
    SHIFT = 23 - 10,                /* of fractions: 23 bits and 10 */
    EXPONENTS = 127 - 15,           /* between the two biases */
    NORMAL_FROM = (127 - 14) << 23, /* 2^-14 as a float: below it halves have no leading one */
    HALF_OF_ONE = 126 << 23, /* .5 as a float, whose last place is 2^-24: a half's least number */
};

static bool is_half(const struct study *study)
{
    return study->broadcast == STUDY_FLOAT16;
}

size_t broadcast_bytes(const struct study *study, size_t n)
{
    return n * (is_half(study) ? (size_t)HALF_BYTES : sizeof(real));
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* To the nearest, ties to even, both ways: by the carry into the exponent, and, where the last place is
 * 2^-24 whatever the number, by the processor's own rounding of the sum with .5. */
static uint32_t half_of(float x)
{
    const uint32_t all = bits_of(x);
    const uint32_t sign = (all >> 16) & SIGN;
    const uint32_t u = all & 0x7fffffff;
    uint32_t h;
    if (u < NORMAL_FROM) {
        h = bits_of(float_of(u) + float_of(HALF_OF_ONE)) - HALF_OF_ONE;
    } else {
        const uint32_t odd = (u >> SHIFT) & 1;
        h = (u - ((uint32_t)EXPONENTS << 23) + (1U << (SHIFT - 1)) - 1 + odd) >> SHIFT;
    }
    return h < INFINITE ? sign | h : NO_HALF;
}

/* A half's bits in a float's places are 2^-112 of what they mean, without a leading one, too. */
static float float_of_half(uint32_t h)
{
    const uint32_t u = (h & (SIGN - 1)) << SHIFT;
    return float_of(bits_of(float_of(u) * 0x1p112F) | (h & SIGN) << 16);
}

enum rc broadcast_pack(const struct study *study, const real *model, size_t n, void *out,
                       struct error *err)
{
    unsigned char *to = out;
    if (!is_half(study)) {
        memcpy(out, model, n * sizeof *model);
        return RC_OK;
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t h = half_of((float)model[i]);
        if (h == NO_HALF) {
            return error_set(err, RC_NUMERIC,
                             "parameter %zu of the model is not within what 16 bits hold "
                             "(65504); leave out broadcast: float16",
                             i);
        }
        to[HALF_BYTES * i] = (unsigned char)(h & 0xff);
        to[HALF_BYTES * i + 1] = (unsigned char)(h >> 8);
    }
    return RC_OK;
}

enum rc broadcast_unpack(const struct study *study, const void *bytes, size_t n, real *out,
                         struct error *err)
{
    const unsigned char *from = bytes;
    if (!is_half(study)) {
        memcpy(out, bytes, n * sizeof *out);
        return RC_OK;
    }
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        const uint32_t h = (uint32_t)from[HALF_BYTES * i] | (uint32_t)from[HALF_BYTES * i + 1] << 8;
        finite = finite && (h & INFINITE) != INFINITE;
        out[i] = (real)float_of_half(h);
    }
    return finite ? RC_OK
                  : error_set(err, RC_FORMAT, "the round's model has numbers that are not finite");
}
