/*
 * Secrets of one site in one attempt, and what two sites have in common. Labels end in a version; each
 * is used in one place.
 */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "common/mask/mask_internal.h"

static_assert(sizeof(struct mask_scalar) == crypto_core_ristretto255_SCALARBYTES, "ristretto255");
static_assert(sizeof(struct mask_point) == crypto_core_ristretto255_BYTES, "ristretto255");

enum rc mask_start(struct error *err)
{
    if (sodium_init() < 0) {
        return error_set(err, RC_IO, "libsodium cannot start: no randomness from the system");
    }
    return RC_OK;
}

enum rc mask_guarded(size_t n, void **out, struct error *err)
{
    void *p = sodium_malloc((n + 15) / 16 * 16); /* its end stands at the guard page */
    if (p == NULL) {
        return error_set(err, RC_NOMEM, "no guarded memory of %zu bytes for a round's secrets", n);
    }
    sodium_memzero(p, n);
    *out = p;
    return RC_OK;
}

void mask_guarded_free(void *p)
{
    sodium_free(p); /* wipes; NULL is fine */
}

static void derive(const struct mask_seed *seed, const char *label, const struct hash *context,
                   uint64_t index, unsigned char *out, size_t n)
{
    crypto_generichash_state h;
    unsigned char eight[8];

    (void)crypto_generichash_init(&h, seed->b, sizeof seed->b, n);
    for (size_t i = 0; i < sizeof eight; i++) {
        eight[i] = (unsigned char)(strlen(label) >> (8 * i));
    }
    (void)crypto_generichash_update(&h, eight, sizeof eight);
    (void)crypto_generichash_update(&h, (const unsigned char *)label, strlen(label));
    (void)crypto_generichash_update(&h, context->b, sizeof context->b);
    for (size_t i = 0; i < sizeof eight; i++) {
        eight[i] = (unsigned char)(index >> (8 * i));
    }
    (void)crypto_generichash_update(&h, eight, sizeof eight);
    (void)crypto_generichash_final(&h, out, n);
    sodium_memzero(&h, sizeof h);
}

void mask_scalar_from(const struct mask_seed *seed, const char *label, const struct hash *context,
                      uint64_t index, struct mask_scalar *out)
{
    unsigned char wide[crypto_core_ristretto255_NONREDUCEDSCALARBYTES];
    derive(seed, label, context, index, wide, sizeof wide);
    crypto_core_ristretto255_scalar_reduce(out->b, wide);
    sodium_memzero(wide, sizeof wide);
}

void mask_bytes_from(const struct mask_seed *seed, const char *label, const struct hash *context,
                     uint64_t index, unsigned char out[32])
{
    derive(seed, label, context, index, out, 32);
}

void mask_secrets_from(const struct mask_seed *seed, const struct hash *attempt,
                       struct mask_secrets *out, struct mask_point *key, struct mask_point *box)
{
    out->seed = *seed;
    mask_scalar_from(seed, "wardround mask key v1", attempt, 0, &out->key);
    mask_scalar_from(seed, "wardround mask box key v1", attempt, 0, &out->box);
    mask_scalar_from(seed, "wardround mask self v1", attempt, 0, &out->self);
    mask_public(&out->key, key);
    mask_public(&out->box, box);
}

void mask_public(const struct mask_scalar *x, struct mask_point *out)
{
    if (crypto_scalarmult_ristretto255_base(out->b, x->b) != 0) {
        memset(out->b, 0, sizeof out->b); /* x = 0: the identity, which nobody accepts */
    }
}

enum rc mask_agree(const struct mask_scalar *x, const struct mask_point *peer,
                   struct mask_point *out, struct error *err)
{
    struct mask_point shared;
    if (crypto_scalarmult_ristretto255(shared.b, x->b, peer->b) != 0) {
        return error_set(err, RC_AUTH, "a round key is no element of the group, or its identity");
    }
    *out = shared;
    sodium_memzero(&shared, sizeof shared);
    return RC_OK;
}

void mask_pair_key(const struct mask_pair *pair, const char *label, const struct hash *context,
                   uint64_t tail, unsigned char out[32])
{
    struct hasher h;
    assert(pair->low < pair->high);
    hasher_init(&h);
    hasher_text(&h, label);
    hasher_bytes(&h, context->b, sizeof context->b);
    hasher_u64(&h, pair->low);
    hasher_u64(&h, pair->high);
    hasher_bytes(&h, pair->key_low.b, sizeof pair->key_low.b);
    hasher_bytes(&h, pair->key_high.b, sizeof pair->key_high.b);
    hasher_bytes(&h, pair->secret.b, sizeof pair->secret.b);
    hasher_u64(&h, tail);
    struct hash k = hasher_final(&h);
    memcpy(out, k.b, sizeof k.b);
    sodium_memzero(&k, sizeof k);
    sodium_memzero(&h, sizeof h);
}
