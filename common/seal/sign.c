/*
 * Ed25519ph (RFC 8032, section 5.1) over: u64 LE length of domain | domain | data. The prehash takes
 * the message in pieces, so that signing a large document needs no memory for a joined copy.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "common/seal/keys_internal.h"

static_assert(sizeof(struct seal_signature) == crypto_sign_BYTES, "Ed25519");

static void feed(crypto_sign_state *s, const char *domain, const void *data, size_t n)
{
    unsigned char length[8];
    const uint64_t n_domain = strlen(domain);
    for (size_t i = 0; i < sizeof length; i++) {
        length[i] = (unsigned char)(n_domain >> (8 * i));
    }
    (void)crypto_sign_init(s);
    (void)crypto_sign_update(s, length, sizeof length);
    (void)crypto_sign_update(s, (const unsigned char *)domain, n_domain);
    (void)crypto_sign_update(s, data, n);
}

void seal_sign(const struct seal_keys *k, const char *domain, const void *data, size_t n,
               struct seal_signature *out)
{
    crypto_sign_state s;
    feed(&s, domain, data, n);
    const struct seal_secret *secret = seal_keys_borrow(k);
    (void)crypto_sign_final_create(&s, out->b, NULL, secret->sign);
    seal_keys_return(k);
}

enum rc seal_verify(const struct seal_public *signer, const char *domain, const void *data,
                    size_t n, const struct seal_signature *signature, struct error *err)
{
    crypto_sign_state s;
    unsigned char copy[crypto_sign_BYTES]; /* 1.0.18 takes a pointer that is not const */
    memcpy(copy, signature->b, sizeof copy);
    feed(&s, domain, data, n);
    if (crypto_sign_final_verify(&s, copy, signer->b) != 0) {
        return error_set(err, RC_AUTH, "the signature is not this key's over these bytes");
    }
    return RC_OK;
}
