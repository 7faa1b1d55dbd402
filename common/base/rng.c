#include "common/base/rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include <sodium.h>

void rng_init(struct rng *r, uint64_t seed, const char *stream)
{
    unsigned char seed_bytes[8];
    for (size_t i = 0; i < sizeof seed_bytes; i++) {
        seed_bytes[i] = (unsigned char)(seed >> (8 * i));
    }
    crypto_generichash_state h;
    (void)crypto_generichash_init(&h, NULL, 0, sizeof r->key);
    (void)crypto_generichash_update(&h, seed_bytes, sizeof seed_bytes);
    (void)crypto_generichash_update(&h, (const unsigned char *)stream, strlen(stream));
    (void)crypto_generichash_final(&h, r->key, sizeof r->key);
    r->counter = 0;
}

uint64_t rng_u64(struct rng *r)
{
    /* One ChaCha20 block a number: slow enough not to matter here, and random access for free. */
    static const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {0};
    unsigned char block[8] = {0};
    (void)crypto_stream_chacha20_xor_ic(block, block, sizeof block, nonce, r->counter, r->key);
    r->counter++;
    uint64_t x = 0;
    for (size_t i = 0; i < sizeof block; i++) {
        x |= (uint64_t)block[i] << (8 * i);
    }
    return x;
}

void rng_bytes(struct rng *r, unsigned char *out, size_t n)
{
    static const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {0};
    const size_t block = 64;
    memset(out, 0, n);
    (void)crypto_stream_chacha20_xor_ic(out, out, n, nonce, r->counter, r->key);
    r->counter += (n + block - 1) / block;
}

double rng_uniform(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    const uint64_t unfair =
        (UINT64_MAX % n + 1) % n; /* numbers at the top that would favour some */
    uint64_t x = rng_u64(r);
    while (x > UINT64_MAX - unfair) {
        x = rng_u64(r);
    }
    return x % n;
}

double rng_normal(struct rng *r)
{
    const double u = 1.0 - rng_uniform(r); /* (0, 1] */
    const double v = rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void rng_shuffle(struct rng *r, size_t *index, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)rng_below(r, i);
        const size_t held = index[i - 1];
        index[i - 1] = index[j];
        index[j] = held;
    }
}

void rng_choose(struct rng *r, size_t n, size_t k, bool *chosen)
{
    assert(k <= n);
    for (size_t i = 0; i < n; i++) {
        chosen[i] = false;
    }
    for (size_t last = n - k; last < n; last++) {
        const size_t one = (size_t)rng_below(r, last + 1);
        chosen[chosen[one] ? last : one] = true;
    }
}
