/**
 * @file seal_internal.h
 * What the files of this folder share: the start of libsodium, and how files reach the disk.
 */
#ifndef COMMON_SEAL_SEAL_INTERNAL_H
#define COMMON_SEAL_SEAL_INTERNAL_H

#include <stddef.h>

#include "common/base/error.h"

/** Before the first call of libsodium; any number of times. @retval RC_IO no randomness */
RC seal_start(struct error *err);

/** All of it and onto the disk. */
RC seal_write_synced(int fd, const char *path, const void *data, size_t n, struct error *err);

#endif
