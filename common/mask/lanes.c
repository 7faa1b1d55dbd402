/*
 * ChaCha20's keystream (RFC 8439, 2.1 to 2.3, with a counter of 64 bits as libsodium's) of sixteen blocks side by
 * side, added where it is made: word i of all blocks is one vector. libsodium makes eight at a time, writes them
 * down and reads zeros for it; here a block costs half of that, and masks are most of what a site computes.
 */
#include <assert.h>
#include <string.h>

#include "common/mask/mask_internal.h"

#if defined(__x86_64__)

enum { BLOCKS = MASK_LANES_WORDS / MASK_BLOCK, WORDS = MASK_BLOCK, ROUNDS = 20 };
static_assert(BLOCKS == 16 && WORDS == 16, "a square of words is turned over");

typedef uint32_t words __attribute__((vector_size(4 * BLOCKS)));

#define WIDE __attribute__((target("avx512f")))
#define PART WIDE static inline __attribute__((always_inline))

PART words rotate(words x, int by)
{
    return (x << by) | (x >> (32 - by));
}

PART void quarter(words v[WORDS], size_t a, size_t b, size_t c, size_t d)
{
    v[a] += v[b];
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 12);
    v[a] += v[b];
    v[d] = rotate(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 7);
}

/* Word i of block j becomes word j of row i: each step exchanges halves of what it is given, pair by pair. */
PART void turn_over(words v[WORDS])
{
    words w[WORDS];
    for (size_t i = 0; i < 8; i++) { /* i and i + 8 by eights */
        w[i] = __builtin_shufflevector(v[i], v[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20,
                                       21, 22, 23);
        w[i + 8] = __builtin_shufflevector(v[i], v[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26,
                                           27, 28, 29, 30, 31);
    }
    for (size_t i = 0; i < 16; i++) { /* by fours */
        if ((i & 4) == 0) {
            v[i] = __builtin_shufflevector(w[i], w[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11,
                                           24, 25, 26, 27);
            v[i + 4] = __builtin_shufflevector(w[i], w[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13,
                                               14, 15, 28, 29, 30, 31);
        }
    }
    for (size_t i = 0; i < 16; i++) { /* by twos */
        if ((i & 2) == 0) {
            w[i] = __builtin_shufflevector(v[i], v[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25,
                                           12, 13, 28, 29);
            w[i + 2] = __builtin_shufflevector(v[i], v[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11,
                                               26, 27, 14, 15, 30, 31);
        }
    }
    for (size_t i = 0; i < 16; i += 2) { /* one by one */
        v[i] = __builtin_shufflevector(w[i], w[i + 1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26,
                                       12, 28, 14, 30);
        v[i + 1] = __builtin_shufflevector(w[i], w[i + 1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11,
                                           27, 13, 29, 15, 31);
    }
}

/* The state before the rounds, but for the blocks' numbers. A nonce of zeros: a key, a mask. */
PART void begin(words first[WORDS], const unsigned char key[32])
{
    static const uint32_t constant[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    const words none = {0};
    uint32_t of_key[8];
    memcpy(of_key, key, sizeof of_key);
    for (size_t i = 0; i < 4; i++) {
        first[i] = none + constant[i];
        first[4 + i] = none + of_key[i];
        first[8 + i] = none + of_key[4 + i];
        first[12 + i] = none;
    }
    hash_wipe(of_key, sizeof of_key);
}

/* numbers [MASK_LANES_WORDS]; sign: 0 to add, all ones to subtract, in which case -x = (x ^ sign) - sign. */
PART void sixteen(unsigned char *numbers, words first[WORDS], uint64_t block, words sign,
                  words v[WORDS])
{
    for (size_t j = 0; j < BLOCKS; j++) {
        first[12][j] = (uint32_t)(block + j);
        first[13][j] = (uint32_t)((block + j) >> 32);
    }
    memcpy(v, first, WORDS * sizeof v[0]);
    for (size_t r = 0; r < ROUNDS; r += 2) {
        quarter(v, 0, 4, 8, 12);
        quarter(v, 1, 5, 9, 13);
        quarter(v, 2, 6, 10, 14);
        quarter(v, 3, 7, 11, 15);
        quarter(v, 0, 5, 10, 15);
        quarter(v, 1, 6, 11, 12);
        quarter(v, 2, 7, 8, 13);
        quarter(v, 3, 4, 9, 14);
    }
    for (size_t i = 0; i < WORDS; i++) {
        v[i] += first[i];
    }
    turn_over(v);
    for (size_t j = 0; j < BLOCKS; j++) {
        words x;
        memcpy(&x, numbers + j * sizeof x, sizeof x);
        x += (v[j] ^ sign) - sign;
        memcpy(numbers + j * sizeof x, &x, sizeof x);
    }
}

/* Neither the key nor the mask stays on the stack. */
WIDE static void run(unsigned char *numbers, size_t n, uint64_t block,
                     const struct mask_stream *stream)
{
    const words sign = (words){0} - (uint32_t)stream->subtract;
    words first[WORDS], v[WORDS];
    begin(first, stream->key);
    for (size_t at = 0; at < n; at += MASK_LANES_WORDS, block += BLOCKS) {
        sixteen(numbers + 4 * at, first, block, sign, v);
    }
    hash_wipe(first, sizeof first);
    hash_wipe(v, sizeof v);
}

size_t mask_lanes(void *numbers, size_t n, uint64_t block, const struct mask_stream *stream)
{
    const size_t whole = n - n % MASK_LANES_WORDS;
    if (!__builtin_cpu_supports("avx512f")) {
        return 0;
    }
    run(numbers, whole, block, stream);
    return whole;
}

#else

size_t mask_lanes(void *numbers, size_t n, uint64_t block, const struct mask_stream *stream)
{
    (void)numbers;
    (void)n;
    (void)block;
    (void)stream;
    return 0;
}

#endif
