/**
 * @file book.h
 * What the books say after tape_backward: the norm of each sample's gradient, weighted sums of the
 * samples' gradients, and, for tests and rare cases, one sample's gradient formed in full.
 *
 * A parameter used more than once has cross terms, ||g1 + g2||^2 != ||g1||^2 + ||g2||^2: its
 * per-sample gradients are formed one by one. All norms are in double.
 */
#ifndef COMMON_TAPE_BOOK_H
#define COMMON_TAPE_BOOK_H

#include <stddef.h>

#include "common/tape/tape.h"

/** Scratch that book_norms_sq takes, in bytes of arena; also of a measuring tape. */
size_t book_scratch_cost(struct tape *t);

/**
 * norm_sq [B] = squared norm of each sample's gradient over all P parameters, shared and site.
 * Gradients that are kept stay in the scratch until book_weighted_sum has read them: rewind it after.
 */
void book_norms_sq(struct tape *t, struct arena *scratch, double *norm_sq);

/**
 * grad [P] += sum_b c[b] g_b; c [B] finite, NULL for all ones (ordinary training). Scales G in place:
 * call once.
 */
void book_weighted_sum(struct tape *t, const double *c, real *grad);

/** grad [P] += g_b of one sample. */
void book_form(const struct tape *t, size_t b, real *grad);

/** Blanks a sample whose gradient is not finite, so that a weight of 0 makes it 0 and not NaN. */
void book_drop_sample(struct tape *t, size_t b);

#endif
