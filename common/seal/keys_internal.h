/**
 * @file keys_internal.h
 * The secrets behind `struct seal_keys`, for the few functions that work with them.
 */
#ifndef COMMON_SEAL_KEYS_INTERNAL_H
#define COMMON_SEAL_KEYS_INTERNAL_H

#include <stdbool.h>

#include "common/seal/seal.h"

/** In guarded memory. A multiple of 16 bytes, so that the block ends at its guard page. */
struct seal_secret {
    unsigned char sign[64]; /* Ed25519: seed and public key, as libsodium keeps them */
    unsigned char curve[32];
};

/** Of the guarded page, in ordinary memory. */
struct seal_access {
    bool unlocked; /* between seal_keys_unlock and _lock */
    bool readable; /* it is, and stays so until then */
};

struct seal_keys {
    struct seal_secret *secret; /* no access between uses, or between turns */
    struct seal_access *access; /* beside a const: who signs changes no key */
    struct seal_public sign;
    struct seal_curve curve;
};

/** Readable until seal_keys_return; one borrower at a time. */
const struct seal_secret *seal_keys_borrow(const struct seal_keys *k);
void seal_keys_return(const struct seal_keys *k);

#endif
