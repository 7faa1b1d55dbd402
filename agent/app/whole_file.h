/**
 * @file whole_file.h
 * A small file read, made or replaced as a whole: after a crash it is the old one or the new one.
 */
#ifndef AGENT_APP_WHOLE_FILE_H
#define AGENT_APP_WHOLE_FILE_H

#include <stddef.h>

#include "common/base/error.h"

/** Mode 0600; synced, then renamed over `path`; the folder above it is made (0700) where it is
 *  missing. @retval RC_IO nothing changed */
RC whole_file_write(const char *path, const void *bytes, size_t n, struct error *err);
/** The same of a name that a person gave, never over something: what has the name stays, also one that came in
 *  between, and no folder is made. @retval RC_STATE the name is taken */
RC whole_file_create(const char *path, const void *bytes, size_t n, struct error *err);
/** @param out malloc'ed for the caller. @retval RC_LIMIT more than `max` bytes; RC_IO */
RC whole_file_read(const char *path, size_t max, unsigned char **out, size_t *n, struct error *err);

#endif
