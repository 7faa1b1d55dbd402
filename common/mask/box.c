#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "common/mask/mask_internal.h"

static_assert(sizeof(struct mask_openings) + crypto_aead_xchacha20poly1305_ietf_ABYTES ==
                  sizeof(struct mask_box),
              "a box is two openings and a tag");

/* A key seals one box, so that one nonce is enough. */
static const unsigned char nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES] = {0};

static void box_key(const struct mask_pair *pair, const struct hash *members, size_t dealer,
                    unsigned char key[32])
{
    assert(dealer == pair->low || dealer == pair->high);
    mask_pair_key(pair, "wardround mask box v1", members, dealer, key);
}

void mask_box_seal(const struct mask_pair *pair, const struct hash *members, size_t dealer,
                   const struct mask_openings *o, struct mask_box *out)
{
    unsigned char key[32];
    box_key(pair, members, dealer, key);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out->b, NULL, (const unsigned char *)o,
                                                     sizeof *o, NULL, 0, NULL, nonce, key);
    sodium_memzero(key, sizeof key);
}

/* libsodium 1.0.18 has no question for it: canonical is what reducing leaves alone. */
static bool is_scalar(const struct mask_scalar *s)
{
    unsigned char wide[crypto_core_ristretto255_NONREDUCEDSCALARBYTES] = {0};
    unsigned char reduced[sizeof s->b];
    memcpy(wide, s->b, sizeof s->b);
    crypto_core_ristretto255_scalar_reduce(reduced, wide);
    const bool same = sodium_memcmp(reduced, s->b, sizeof reduced) == 0;
    sodium_memzero(wide, sizeof wide);
    sodium_memzero(reduced, sizeof reduced);
    return same;
}

enum rc mask_box_open(const struct mask_pair *pair, const struct hash *members, size_t dealer,
                      const struct mask_box *box, struct mask_openings *out, struct error *err)
{
    unsigned char key[32];
    struct mask_openings o;
    enum rc rc = RC_OK;

    box_key(pair, members, dealer, key);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)&o, NULL, NULL, box->b,
                                                   sizeof box->b, NULL, 0, nonce, key) != 0) {
        rc = error_set(err, RC_AUTH, "the box of site %zu's shares does not open", dealer);
        goto out;
    }
    if (!is_scalar(&o.of[MASK_KEY].share) || !is_scalar(&o.of[MASK_SELF].share)) {
        rc = error_set(err, RC_AUTH, "the box of site %zu holds no shares", dealer);
        goto out;
    }
    *out = o;
out:
    sodium_memzero(key, sizeof key);
    sodium_memzero(&o, sizeof o);
    return rc;
}
