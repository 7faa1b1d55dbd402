/**
 * @file checkpoint.h
 * A trained model as a file: safetensors (little-endian u64 header length, JSON header, tensors), so
 * that others can read it, with everything needed to score in its metadata: the study document, the
 * features it reads, round and hashes. The same model gives the same bytes on every machine: sorted
 * keys, no time, no path.
 *
 * Shared parameters only: adapters never leave a site. Home of <jansson.h> beside the programs.
 */
#ifndef COMMON_CHECKPOINT_CHECKPOINT_H
#define COMMON_CHECKPOINT_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "common/agreement/agreement.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/kernel/real.h"
#include "common/model/model.h"

enum { CHECKPOINT_BYTES_MAX = 1 << 30 };

/** Owned; released by checkpoint_release. Zeroed is empty. */
struct checkpoint {
    struct agreement agreement; /**< study and features; unsigned here */
    struct model model;
    uint64_t round;
    struct hash id; /**< BLAKE2b of the parameters' bytes: the hash that rounds speak of */
    real *params;   /**< [S] */
};

/** Writes atomically (temporary file, sync, rename), also over an earlier file, into a folder that is made where it is
 *  missing. @param params [model->table.S]
 *  @retval RC_IO says what to do */
RC checkpoint_write(const char *path, const struct agreement *agreement, const struct model *model,
                    uint64_t round, const real *params, struct error *err);
/** The same, at a path that a person named: a file that is there already stays as it is, whoever is
 *  faster, and no folder is made. @retval RC_STATE it is there already; RC_IO says what to do */
RC checkpoint_write_new(const char *path, const struct agreement *agreement,
                        const struct model *model, uint64_t round, const real *params,
                        struct error *err);
/** Checks sizes, names, shapes and hashes against the study inside. Every text names the path.
 *  @retval RC_IO, RC_FORMAT, RC_INVALID, RC_LIMIT, RC_NOMEM */
RC checkpoint_read(const char *path, struct checkpoint *out, struct error *err);
void checkpoint_release(struct checkpoint *c);

/**
 * The model of round 0: as the study's seed begins it, or out of the checkpoint that it starts from. Any
 * safetensors file will do, also of another program: each tensor in it is one of the model's shared
 * slices, by name, shape and type (F32), and each slice is in it, but for the blocks that the study says
 * are new. The numbers must have the study's hash.
 * @param params [P]  @retval RC_IO  @retval RC_FORMAT, RC_LIMIT no safetensors
 * @retval RC_INVALID the first tensor that does not fit, or another hash than the study's, which it says
 */
RC checkpoint_first(const struct study *study, const struct model *model, real *params,
                    struct error *err);

#endif
