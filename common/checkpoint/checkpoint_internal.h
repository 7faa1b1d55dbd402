/**
 * @file checkpoint_internal.h
 * The header as a JSON object, which both directions share: writing dumps it, reading makes it once
 * more from the study inside and compares. For this folder, its tests and its fuzz target.
 */
#ifndef COMMON_CHECKPOINT_CHECKPOINT_INTERNAL_H
#define COMMON_CHECKPOINT_CHECKPOINT_INTERNAL_H

#include <stdio.h>

#include <jansson.h>

#include "common/checkpoint/checkpoint.h"

#define CHECKPOINT_FORMAT "wardround-model 1"

enum {
    CHECKPOINT_LENGTH_BYTES = 8, /**< of the header, little-endian, at the start of the file */
    CHECKPOINT_ALIGN = 8,        /**< the header is padded with spaces up to here */
    /** Document and schema are at most 1 MiB together, and JSON's escapes make six bytes of one. */
    CHECKPOINT_HEADER_BYTES_MAX = 8 << 20,
    CHECKPOINT_DEPTH_MAX = 3 /**< object, tensor, shape */
};

/** @param[out] out json_decref when done. @retval RC_INVALID a text that is not UTF-8; RC_NOMEM */
RC checkpoint_header(const struct agreement *agreement, const struct model *model, uint64_t round,
                     const struct hash *id, json_t **out, struct error *err);

/** A file and its size; the texts here and below do not name it. @retval RC_IO not a file that opens */
RC checkpoint_open_file(const char *path, FILE **out, size_t *size, struct error *err);
/** Bounded, and JSON. @param[out] out json_decref when done  @param[out] n_header bytes of its text
 *  @retval RC_LIMIT, RC_FORMAT, RC_IO, RC_NOMEM */
RC checkpoint_read_header(FILE *f, size_t size, json_t **out, size_t *n_header, struct error *err);
RC checkpoint_read_exactly(FILE *f, void *to, size_t n, struct error *err);

/** The whole file from a stream of `size` bytes; the texts do not name it. */
RC checkpoint_read_stream(FILE *f, size_t size, struct checkpoint *out, struct error *err);

/** What checkpoint_first takes out of a stream of `size` bytes. @param params [P] changed also on failure */
RC checkpoint_start_stream(FILE *f, size_t size, const struct study_start *start,
                           const struct model *model, real *params, struct error *err);

#endif
