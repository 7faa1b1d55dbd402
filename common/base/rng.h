/**
 * @file rng.h
 * Seeded, replayable numbers for what must be the same everywhere: initial weights, folds, and, at
 * epsilon = infinity, sampling. Counter-based: a (seed, stream name) pair names a sequence, and the
 * n-th number of it does not depend on who else drew.
 *
 * Not for noise: `struct entropy` (entropy.h) is another type on purpose.
 */
#ifndef COMMON_BASE_RNG_H
#define COMMON_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Plain struct; copy it to remember a position. */
struct rng {
    unsigned char key[32]; /**< BLAKE2b of (seed, stream) */
    uint64_t counter;      /**< next number */
};

/** @param stream a name such as "weights" or "folds"; two names give independent sequences. */
void rng_init(struct rng *r, uint64_t seed, const char *stream);

/** The next 64 uniform bits. */
uint64_t rng_u64(struct rng *r);

/** `n` uniform bytes, quicker than number by number. Takes the next ceil(n / 64) numbers of the sequence, of
 *  each its whole block: the first 8 bytes of one are what rng_u64 would have said, low byte first. */
void rng_bytes(struct rng *r, unsigned char *out, size_t n);

/** Uniform in [0, 1), 53 bits. */
double rng_uniform(struct rng *r);

/** Uniform in [0, n) without modulo bias; n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);

/** Standard normal (Box and Muller 1958; one of the pair is dropped so that the counter is plain). */
double rng_normal(struct rng *r);

/** Fisher-Yates shuffle of `n` indices in place. */
void rng_shuffle(struct rng *r, size_t *index, size_t n);

/** `k` of `n` without replacement, every such set as likely as any other (Floyd's algorithm F2: Bentley,
 *  Floyd 1987); k <= n, k numbers are drawn. @param[out] chosen [n] */
void rng_choose(struct rng *r, size_t n, size_t k, bool *chosen);

#endif
