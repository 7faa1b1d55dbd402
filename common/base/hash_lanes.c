/* The leaves of hash_of's tree: BLAKE2b of pieces side by side, as many as the processor has room for. libsodium
 * hashes one message at a time, and there each step waits for the one before. */
#include <assert.h>

#include "common/base/hash_lanes_internal.h"

enum { BLOCK = 128 };

static_assert(HASH_PIECE % BLOCK == 0, "whole blocks only");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they stand");

/* RFC 7693, 2.6 and 2.7 */
static const uint64_t iv[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                               0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                               0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
static const unsigned char sigma[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                            {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                            {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                            {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                            {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                            {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                            {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                            {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                            {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                            {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

#if defined(__x86_64__)
#define LANES_TARGET     __attribute__((target("avx512f")))
#define LANES_NAME(name) name##_avx512
#define LANES            8
#include "common/base/hash_lanes_body.h"
#undef LANES_TARGET
#undef LANES_NAME
#undef LANES

#define LANES_TARGET     __attribute__((target("avx2")))
#define LANES_NAME(name) name##_avx2
#define LANES            4
#include "common/base/hash_lanes_body.h"
#undef LANES_TARGET
#undef LANES_NAME
#undef LANES
#endif

#define LANES_TARGET
#define LANES_NAME(name) name##_any
#define LANES            2
#include "common/base/hash_lanes_body.h"

size_t hash_lanes(size_t variant, const unsigned char *data, struct hash *out)
{
    /* The parameter block (2.5 of the BLAKE2 document): digest length, fanout and depth 1, and whose it is. */
    static const unsigned char whose[16] = HASH_LEAF;
    uint64_t h[8];
    uint64_t person[2];
    memcpy(h, iv, sizeof h);
    memcpy(person, whose, sizeof person);
    h[0] ^= 0x01010000U ^ HASH_BYTES;
    h[6] ^= person[0];
    h[7] ^= person[1];
#if defined(__x86_64__)
    if (variant == 0 && __builtin_cpu_supports("avx512f")) {
        run_avx512(h, data, out);
        return 8;
    }
    if (variant <= 1 && __builtin_cpu_supports("avx2")) {
        run_avx2(h, data, out);
        return 4;
    }
#endif
    (void)variant;
    run_any(h, data, out);
    return 2;
}
