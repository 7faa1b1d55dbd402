/**
 * @file encoder_internal.h
 * What encoders declare themselves with.
 */
#ifndef COMMON_MODEL_ENCODER_ENCODER_INTERNAL_H
#define COMMON_MODEL_ENCODER_ENCODER_INTERNAL_H

#include "common/model/encoder/encoder.h"

/** A shared slice "prefix.name"; b = 0: a vector [a]. */
RC encoder_param(struct param_table *table, const char *prefix, const char *name,
                 enum param_init init, size_t a, size_t b, struct param_id *id, struct error *err);

/** Gain or shift [width] of a normalisation: shared, or the site's where the table says so. */
RC encoder_norm_param(struct param_table *table, const char *prefix, const char *name,
                      enum param_init init, size_t width, struct param_id *id, struct error *err);

/** "prefix.part" as the prefix of a part. */
struct encoder_name {
    char text[PARAM_NAME_MAX];
};
struct encoder_name encoder_part(const char *prefix, const char *part, size_t number);

/** RC_INVALID "encoder 'prefix': what must be at least 1" for a size of 0, or above `most`. */
RC encoder_size(const char *prefix, const char *what, size_t size, size_t most, struct error *err);

#endif
