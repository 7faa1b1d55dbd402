/**
 * @file kept_internal.h
 * The rule of the books for per-sample gradients that an operation formed itself in its sweep.
 *
 * e.G [B, e.O] are the gradients, e.O = size of the slice, e.T = 1. Each is kept transposed, [e.O/e.D, e.D] of a
 * parameter [e.D, e.O/e.D]; e.D = 1: as the parameter is.
 */
#ifndef COMMON_TAPE_KEPT_INTERNAL_H
#define COMMON_TAPE_KEPT_INTERNAL_H

#include "common/tape/tape_internal.h"

extern const struct book_rule BOOK_KEPT;

/** The line for `kept` [B, size], to be filled in the sweep. */
struct book_entry kept_entry(struct param_id param, real *kept, size_t size, size_t transposed);

#endif
