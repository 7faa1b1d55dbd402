/* BLAKE2b (RFC 7693, section 3) of LANES pieces side by side: word i of all lanes is one vector. Included once for
 * each width, with LANES_NAME, LANES_TARGET and LANES defined. */
#include <stdint.h>
#include <string.h>

#define LANES_WORDS LANES_NAME(struct_words)
typedef uint64_t LANES_WORDS __attribute__((vector_size(8 * LANES)));

LANES_TARGET static inline __attribute__((always_inline)) LANES_WORDS
LANES_NAME(rotate)(LANES_WORDS x, int by)
{
    return (x >> by) | (x << (64 - by));
}

/* Word `i` of block `at` of each piece. */
LANES_TARGET static inline __attribute__((always_inline)) LANES_WORDS
LANES_NAME(word)(const unsigned char *data, size_t at, size_t i)
{
    LANES_WORDS out;
    for (size_t lane = 0; lane < LANES; lane++) {
        uint64_t w;
        memcpy(&w, data + lane * HASH_PIECE + at + 8 * i, sizeof w);
        out[lane] = w;
    }
    return out;
}

#define LANES_G(a, b, c, d, x, y)                   \
    do {                                            \
        v[a] += v[b] + (x);                         \
        v[d] = LANES_NAME(rotate)(v[d] ^ v[a], 32); \
        v[c] += v[d];                               \
        v[b] = LANES_NAME(rotate)(v[b] ^ v[c], 24); \
        v[a] += v[b] + (y);                         \
        v[d] = LANES_NAME(rotate)(v[d] ^ v[a], 16); \
        v[c] += v[d];                               \
        v[b] = LANES_NAME(rotate)(v[b] ^ v[c], 63); \
    } while (0)

/* LANES whole pieces one behind the other in data; out [LANES][HASH_BYTES]. */
LANES_TARGET static void LANES_NAME(run)(const uint64_t h0[8], const unsigned char *data,
                                         struct hash *out)
{
    LANES_WORDS h[8];
    for (size_t i = 0; i < 8; i++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            h[i][lane] = h0[i];
        }
    }
    for (size_t at = 0; at < HASH_PIECE; at += BLOCK) {
        LANES_WORDS m[16];
        LANES_WORDS v[16];
        const uint64_t last = at + BLOCK == HASH_PIECE ? UINT64_MAX : 0;
        for (size_t i = 0; i < 16; i++) {
            m[i] = LANES_NAME(word)(data, at, i);
        }
        for (size_t i = 0; i < 8; i++) {
            v[i] = h[i];
            v[i + 8] = (LANES_WORDS){0} + iv[i];
        }
        v[12] ^= (uint64_t)(at + BLOCK);
        v[14] ^= last;
        for (size_t r = 0; r < 12; r++) {
            const unsigned char *s = sigma[r % 10];
            LANES_G(0, 4, 8, 12, m[s[0]], m[s[1]]);
            LANES_G(1, 5, 9, 13, m[s[2]], m[s[3]]);
            LANES_G(2, 6, 10, 14, m[s[4]], m[s[5]]);
            LANES_G(3, 7, 11, 15, m[s[6]], m[s[7]]);
            LANES_G(0, 5, 10, 15, m[s[8]], m[s[9]]);
            LANES_G(1, 6, 11, 12, m[s[10]], m[s[11]]);
            LANES_G(2, 7, 8, 13, m[s[12]], m[s[13]]);
            LANES_G(3, 4, 9, 14, m[s[14]], m[s[15]]);
        }
        for (size_t i = 0; i < 8; i++) {
            h[i] ^= v[i] ^ v[i + 8];
        }
    }
    for (size_t lane = 0; lane < LANES; lane++) {
        for (size_t i = 0; i < HASH_BYTES / 8; i++) {
            const uint64_t w = h[i][lane];
            memcpy(out[lane].b + 8 * i, &w, sizeof w);
        }
    }
}

#undef LANES_G
#undef LANES_WORDS
