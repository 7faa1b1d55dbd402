/**
 * @file mask_internal.h
 * How the files of this folder derive keys: always BLAKE2b, always a label first.
 */
#ifndef COMMON_MASK_MASK_INTERNAL_H
#define COMMON_MASK_MASK_INTERNAL_H

#include "common/mask/mask.h"

/** Uniform mod the order, by 64 bytes of BLAKE2b keyed with the seed over (label, context, index). */
void mask_scalar_from(const struct mask_seed *seed, const char *label, const struct hash *context,
                      uint64_t index, struct mask_scalar *out);
/** 32 bytes in the same way. */
void mask_bytes_from(const struct mask_seed *seed, const char *label, const struct hash *context,
                     uint64_t index, unsigned char out[32]);
/** 32 bytes over (label, context, low, high, both keys, secret, tail). */
void mask_pair_key(const struct mask_pair *pair, const char *label, const struct hash *context,
                   uint64_t tail, unsigned char out[32]);

enum { MASK_LANES_WORDS = 256 }; /* sixteen blocks */
/**
 * As mask_apply of one stream, as far as the processor is wide enough and MASK_LANES_WORDS go into n.
 * @param numbers [n]  @param block where in the keystream numbers[0] stands
 * @return so many numbers; the rest are as they were
 */
size_t mask_lanes(void *numbers, size_t n, uint64_t block, const struct mask_stream *stream);

#endif
