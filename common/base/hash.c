#include "common/base/hash.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

static crypto_generichash_state *state_of(struct hasher *h)
{
    static_assert(sizeof h->state >= sizeof(crypto_generichash_state), "room for the state");
    return (crypto_generichash_state *)(void *)h->state;
}

void hasher_init(struct hasher *h)
{
    (void)crypto_generichash_init(state_of(h), NULL, 0, HASH_BYTES);
}

void hasher_init_keyed(struct hasher *h, const unsigned char key[HASH_BYTES])
{
    (void)crypto_generichash_init(state_of(h), key, HASH_BYTES, HASH_BYTES);
}

void hasher_bytes(struct hasher *h, const void *data, size_t n)
{
    (void)crypto_generichash_update(state_of(h), data, n);
}

void hasher_u64(struct hasher *h, uint64_t x)
{
    unsigned char b[8];
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = (unsigned char)(x >> (8 * i));
    }
    hasher_bytes(h, b, sizeof b);
}

void hasher_f64(struct hasher *h, double x)
{
    uint64_t bits;
    const double plain = x == 0.0 ? 0.0 : x;
    memcpy(&bits, &plain, sizeof bits);
    hasher_u64(h, bits);
}

void hasher_text(struct hasher *h, const char *text)
{
    const size_t n = strlen(text);
    hasher_u64(h, n);
    hasher_bytes(h, text, n);
}

struct hash hasher_final(struct hasher *h)
{
    struct hash out;
    (void)crypto_generichash_final(state_of(h), out.b, sizeof out.b);
    sodium_memzero(h, sizeof *h);
    return out;
}

struct hash hash_of(const void *data, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_bytes(&h, data, n);
    return hasher_final(&h);
}

int hash_equal(const struct hash *a, const struct hash *b)
{
    return sodium_memcmp(a->b, b->b, sizeof a->b) == 0;
}

void hash_hex(const struct hash *h, char out[HASH_HEX])
{
    (void)sodium_bin2hex(out, HASH_HEX, h->b, sizeof h->b);
}

void hash_wipe(void *bytes, size_t n)
{
    sodium_memzero(bytes, n);
}
