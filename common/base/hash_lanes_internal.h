/**
 * @file hash_lanes_internal.h
 * Between hash.c and hash_lanes.c; tests look at each variant.
 */
#ifndef COMMON_BASE_HASH_LANES_INTERNAL_H
#define COMMON_BASE_HASH_LANES_INTERNAL_H

#include "common/base/hash.h"

/** BLAKE2b's personalisation (16 bytes) of a leaf and of the root. */
#define HASH_LEAF "wardround leaf 1" /* no NUL: the array is full */
#define HASH_ROOT "wardround root 1"

enum { HASH_LANES_MAX = 8 };

/**
 * Hashes the first 2, 4 or 8 whole pieces of data.
 * @param variant 0: the widest that this processor has; 1: at most 4; 2: at most 2
 * @param data    [HASH_LANES_MAX * HASH_PIECE]
 * @return how many
 */
size_t hash_lanes(size_t variant, const unsigned char *data, struct hash *out);

#endif
