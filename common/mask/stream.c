/*
 * Masks. The keystream is made in a buffer that stays in the first-level cache together with the
 * piece of the update that it goes over; ChaCha20's block counter gives each piece its place.
 */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "common/mask/mask_internal.h"

enum { PIECE = 4096 }; /* numbers: 16 KB of update and 16 KB of keystream */
static_assert(PIECE % MASK_BLOCK == 0, "a piece begins at a block");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "updates are added as they lie in memory");

void mask_stream_pair(const struct mask_pair *pair, const struct hash *clique, size_t site,
                      struct mask_stream *out)
{
    assert(site == pair->low || site == pair->high);
    mask_pair_key(pair, "wardround mask pair v1", clique, 0, out->key);
    out->subtract = site == pair->low;
}

void mask_stream_self(const struct mask_scalar *self, const struct hash *clique, size_t site,
                      struct mask_stream *out)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask self mask v1");
    hasher_bytes(&h, clique->b, sizeof clique->b);
    hasher_u64(&h, site);
    hasher_bytes(&h, self->b, sizeof self->b);
    struct hash k = hasher_final(&h);
    memcpy(out->key, k.b, sizeof out->key);
    out->subtract = false;
    sodium_memzero(&k, sizeof k);
    sodium_memzero(&h, sizeof h);
}

/* Through memcpy: an update may stand at any address. */
static void add(unsigned char *numbers, const uint32_t *stream, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t x;
        memcpy(&x, numbers + 4 * i, sizeof x);
        x += stream[i];
        memcpy(numbers + 4 * i, &x, sizeof x);
    }
}

static void subtract(unsigned char *numbers, const uint32_t *stream, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t x;
        memcpy(&x, numbers + 4 * i, sizeof x);
        x -= stream[i];
        memcpy(numbers + 4 * i, &x, sizeof x);
    }
}

/* By libsodium. */
static void apply(unsigned char *numbers, size_t n, uint64_t block,
                  const struct mask_stream *stream, uint32_t keystream[PIECE])
{
    static const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {0}; /* a key, a mask */
    static const unsigned char zeros[4 * PIECE]; /* with them the keystream itself comes out */
    (void)crypto_stream_chacha20_xor_ic((unsigned char *)keystream, zeros, 4 * n, nonce, block,
                                        stream->key);
    if (stream->subtract) {
        subtract(numbers, keystream, n);
    } else {
        add(numbers, keystream, n);
    }
}

void mask_apply(void *numbers, size_t n, size_t first, const struct mask_stream *stream,
                size_t count)
{
    uint32_t keystream[PIECE];
    unsigned char *at = numbers;

    assert(first % MASK_BLOCK == 0);
    for (size_t begin = 0; begin < n; begin += PIECE) {
        const size_t piece = n - begin < PIECE ? n - begin : PIECE;
        const uint64_t block = (first + begin) / MASK_BLOCK;
        for (size_t k = 0; k < count; k++) {
            const size_t done = mask_lanes(at + 4 * begin, piece, block, &stream[k]);
            if (done < piece) {
                apply(at + 4 * (begin + done), piece - done, block + done / MASK_BLOCK, &stream[k],
                      keystream);
            }
        }
    }
    sodium_memzero(keystream, sizeof keystream);
}
