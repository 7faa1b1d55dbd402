/**
 * @file entropy.h
 * Secret randomness: noise, sampling coins, keys. A stream of ChaCha20 keystream under 32 bytes
 * fresh from the kernel (libsodium `randombytes_buf`); the kernel alone is ten times slower than
 * noise for a large model needs.
 *
 * There is no way to seed it here. Replayable noise, for the simulator and the tests only, is
 * replay.h, which the include lint keeps out of every other folder.
 */
#ifndef COMMON_BASE_ENTROPY_H
#define COMMON_BASE_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { ENTROPY_KEY_BYTES = 32, ENTROPY_BUFFER_BYTES = 1024 };

/** Owner wipes it with entropy_release. Not shared between threads. */
struct entropy {
    unsigned char key[ENTROPY_KEY_BYTES];
    uint64_t block;                             /**< next ChaCha20 block */
    uint64_t drawn;                             /**< bytes handed out: tests compare two runs */
    unsigned char buffer[ENTROPY_BUFFER_BYTES]; /**< keystream made in advance */
    size_t ready;                               /**< unused bytes at the end of buffer */
};

/** @retval RC_IO the random library cannot start. */
RC entropy_init(struct entropy *e, struct error *err);

/** Wipes. Idempotent. */
void entropy_release(struct entropy *e);

/** `n` secret bytes. */
void entropy_bytes(struct entropy *e, void *out, size_t n);

/** 64 secret bits. */
uint64_t entropy_u64(struct entropy *e);

#endif
