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

/** Above so many bytes hash_of is a tree over pieces, which a processor hashes several of at a time. */
enum { HASH_PIECE = 4096, HASH_TREE_FROM = 8 * HASH_PIECE };
/**
 * n <= HASH_TREE_FROM: BLAKE2b-256. Else BLAKE2b-256 with the personalisation "wardround root 1" over
 * n (u64 LE) | leaf of each HASH_PIECE bytes, the last perhaps shorter, where a leaf is BLAKE2b-256 with
 * "wardround leaf 1". (Not what hasher_bytes of the same bytes gives.)
 */
struct hash hash_of(const void *data, size_t n);
/** hash_of of n bytes that come one part after the other; every part but the last is of whole pieces. */
struct hash_run {
    struct hasher h;
    uint64_t n, at;
};
void hash_begin(struct hash_run *run, uint64_t n);
void hash_bytes(struct hash_run *run, const void *data, size_t n);
struct hash hash_end(struct hash_run *run);
/** The leaves of so many bytes, to be part of a longer run's tree, too: what is hashed by itself when it arrives need
 *  not be hashed again for the whole. */
enum { HASH_LEAVES_MAX = 256 };
struct hash_leaves {
    size_t n; /**< bytes that they are of; 0: none are known */
    struct hash leaf[HASH_LEAVES_MAX];
};
/** hash_of. @param[out] leaves of data, where these are a tree of not more than HASH_LEAVES_MAX */
struct hash hash_and_leaves(const void *data, size_t n, struct hash_leaves *leaves);
/** hash_bytes of what the leaves are of, without its bytes. @return false, and nothing happened: none are known, or
 *  the run is no tree */
int hash_add_leaves(struct hash_run *run, const struct hash_leaves *leaves);
/** BLAKE2b-256, whatever n: what programs of the protocol's version 1 called the hash of many bytes. */
struct hash hash_before_trees(const void *data, size_t n);
/** Is `h` the hash of these bytes, by hash_of or by hash_before_trees? For what a disk has kept. */
int hash_is(const struct hash *h, const void *data, size_t n);
int hash_equal(const struct hash *a, const struct hash *b);
/** Lower-case hexadecimal with its NUL. */
void hash_hex(const struct hash *h, char out[HASH_HEX]);

/** Overwrites a key that was on the stack. */
void hash_wipe(void *bytes, size_t n);

#endif
