/**
 * @file sampler.h
 * Poisson sampling by patient with keyed coins. Patient p joins step s when
 * BLAKE2b(key; s, id of p) / 2^64 < q: independent Bernoulli(q) for whoever lacks the key, and
 * removing a patient leaves everybody else's coin as it was. A patient with several rows contributes
 * one, chosen by another 64 bits of the same hash.
 *
 * The key is secret at finite epsilon (a public one voids the amplification). Batches are never
 * padded, capped or resampled; an empty one is a step too.
 */
#ifndef COMMON_DP_SAMPLER_H
#define COMMON_DP_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/hash.h"

struct coin_key {
    unsigned char b[HASH_BYTES];
};

/**
 * @param patient   [n] hashed ids  @param first_row [n + 1] rows of each patient
 * @param[out] row, who  room for n each: the sampled rows and their patients, in patient order
 * @return how many
 */
size_t sampler_draw(const struct coin_key *key, uint64_t step, double q, const struct hash *patient,
                    const size_t *first_row, size_t n, size_t *row, size_t *who);

#endif
