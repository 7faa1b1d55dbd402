/**
 * @file file.h
 * A small file that is either the old one or the new one, also after a power cut.
 */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include <stddef.h>

#include "common/base/error.h"

enum { FILE_PATH_MAX = 1024 };

/**
 * Writes PATH.new (for its owner alone), brings it to the disk and renames it to PATH.
 * @retval RC_IO  nothing was changed, except after "perhaps not on the disk yet"
 * @retval RC_LIMIT the path is too long
 */
RC file_replace(const char *path, const void *bytes, size_t n, struct error *err);
/** Brings the folder of PATH to the disk: a name is there after a power cut only once its folder is, too. */
RC file_sync_folder(const char *path, struct error *err);

#endif
