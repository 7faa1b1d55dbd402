/**
 * @file hash.h
 * BLAKE2b-256, plain and keyed: content hashes of cohorts, studies and models, and the keyed
 * coins of the sampler. (RFC 7693.)
 */
#ifndef COMMON_BASE_HASH_H
#define COMMON_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_BYTES = 32, HASH_HEX = 2 * HASH_BYTES + 1 };

struct hash {
    unsigned char b[HASH_BYTES];
};

/** Feeds pieces; `hash_u64` and `hash_text` frame them so that two piece lists never collide. */
struct hasher {
    _Alignas(64) unsigned char state[384]; /**< crypto_generichash_state, checked in hash.c */
};

void hasher_init(struct hasher *h);
/** Keyed: a pseudo-random function for whoever lacks the key. */
void hasher_init_keyed(struct hasher *h, const unsigned char key[HASH_BYTES]);
void hasher_bytes(struct hasher *h, const void *data, size_t n);
/** Eight bytes, little endian. */
void hasher_u64(struct hasher *h, uint64_t x);
/** The bit pattern of a double; -0 counts as 0. */
void hasher_f64(struct hasher *h, double x);
/** Length, then bytes. */
void hasher_text(struct hasher *h, const char *text);
struct hash hasher_final(struct hasher *h);

struct hash hash_of(const void *data, size_t n);
int hash_equal(const struct hash *a, const struct hash *b);
/** Lower-case hexadecimal with its NUL. */
void hash_hex(const struct hash *h, char out[HASH_HEX]);

/** Overwrites a key that was on the stack. */
void hash_wipe(void *bytes, size_t n);

#endif
