/**
 * @file store_internal.h
 * What the files of this folder share.
 */
#ifndef COMMON_STORE_STORE_INTERNAL_H
#define COMMON_STORE_STORE_INTERNAL_H

#include "common/store/store.h"

/** Both numbers of a file's header are signed 32 bits to SQLite. */
static inline int64_t store_as_stored(uint32_t id)
{
    return (int64_t)(int32_t)id;
}

/**
 * Makes the file if there is none: whole, with its tables and in WAL mode, or not at all; on the disk but for
 * its name, which the first commit's log brings there. @return false: there is one, or it cannot be made like
 * this, and store_open goes the long way, which says why
 */
bool store_place_new(const char *path, const struct store_kind *kind);

#endif
