/**
 * @file state_internal.h
 * The site state as bytes: what a site keeps between rounds and never sends. Written and read on
 * one machine, in its own byte order:
 *
 *   u64 magic | u64 P | u64 S | u64 optimiser steps | u64 moments | f64 own[P - S] | f64 moment[moments][P]
 *
 * with as many moments as the optimiser remembers: those of a plain step would be 16 bytes a number for
 * nothing, and all of it is hashed and committed in each round. The form before ("WRSTATE1") had no word
 * for it and always both; it is still read.
 */
#ifndef AGENT_TRAIN_STATE_INTERNAL_H
#define AGENT_TRAIN_STATE_INTERNAL_H

#include "agent/train/optimiser.h"
#include "common/base/error.h"
#include "common/model/model.h"

size_t state_bytes(const struct model *model, const struct study_local *local);
void state_write(const struct model *model, const struct study_local *local, const double *w,
                 const struct optimiser *o, unsigned char *out);
/** Fills w[S..P) and `o`. @retval RC_FORMAT not of this model and optimiser */
RC state_read(const struct model *model, const struct study_local *local, const void *bytes,
              size_t n, double *w, struct optimiser *o, struct error *err);

#endif
