/**
 * @file modality_internal.h
 * One encoder as a study calls it: how it declares itself for a modality and what it records of a batch.
 */
#ifndef COMMON_MODEL_MODALITY_INTERNAL_H
#define COMMON_MODEL_MODALITY_INTERNAL_H

#include "common/model/encoder/encoder_internal.h"
#include "common/model/modality.h"

struct modality_kind {
    const char *word;
    RC(*declare)
    (struct modality *m, struct param_table *table, const char *name,
     const struct study_model *spec, struct error *err);
    /** [B, width] */
    struct node *(*record)(const struct modality *m, struct tape *t, const struct batch *batch,
                           const struct tape_dropout *drop);
    /** [B, count, width]; NULL, both: all that it gives is the vector */
    struct encoder_positions (*positions)(const struct modality *m, struct tape *t,
                                          const struct batch *batch,
                                          const struct tape_dropout *drop);
    size_t (*count)(const struct modality *m);
};

/** Lists that end where the word is NULL. */
extern const struct modality_kind MODALITY_TABLE[], MODALITY_SERIES[], MODALITY_EVENTS[],
    MODALITY_IMAGE[], MODALITY_NOTES[];

/** Codes of events or of a text; what is beyond their length is padding: -1, in the step arena. */
const int32_t *modality_codes(const struct modality *m, struct tape *t, const struct batch *batch);

/** The transformer of an encoder. */
struct transformer modality_body(const struct study_model *spec);

#endif
