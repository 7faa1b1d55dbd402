/**
 * @file arena.h
 * Bump allocation with one lifetime. Sizes come from numbers we have already validated, so
 * reserving can fail (RC_NOMEM) and using cannot: running out is a bug in our own sum.
 */
#ifndef COMMON_BASE_ARENA_H
#define COMMON_BASE_ARENA_H

#include <stddef.h>

#include "common/base/error.h"

/** Alignment of every block: one cache line, enough for any vector load. */
#define ARENA_ALIGN 64u

/** Plain struct: tests and owners may look. Zero-initialised is valid and empty. */
struct arena {
    unsigned char *base; /**< owned; NULL when not reserved */
    size_t size;         /**< bytes reserved */
    size_t used;         /**< bytes handed out, a multiple of ARENA_ALIGN */
    size_t peak;         /**< most bytes that were handed out at once since the last wipe */
};

/** Reserve `size` bytes. @retval RC_NOMEM the system has no room; `a` stays empty. */
RC arena_init(struct arena *a, size_t size, struct error *err);

/** Overwrite all that was ever handed out (after its last use), so that patients' rows do not outlive
 *  their use. */
void arena_wipe(struct arena *a);

/** Give the memory back. Idempotent. Every pointer taken from `a` is dead afterwards. */
void arena_release(struct arena *a);

/** `count` zeroed objects of `size` bytes each. Never NULL; aborts if the arena is full. */
void *arena_take(struct arena *a, size_t count, size_t size);

/** The same memory with arbitrary contents, for what is overwritten at once. */
void *arena_take_unset(struct arena *a, size_t count, size_t size);

/** Bytes `arena_take(count, size)` will consume: the sum that sizes an arena. */
size_t arena_cost(size_t count, size_t size);

/** Scratch: remember, work, rewind. */
size_t arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, size_t mark);

#endif
