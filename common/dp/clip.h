/**
 * @file clip.h
 * The clipped sum: flat clipping of each patient's whole gradient, shared and site parameters
 * together (Abadi et al. 2016, Alg. 1, "Clip gradient"), read off the tape's books.
 *
 *   c_i = min(1, C / ||g_i||)      S = sum_i c_i g_i       ||c_i g_i|| <= C
 *
 * A gradient that is not finite counts as zero and is reported at the site. Physical batches
 * accumulate into one double sum, so any split gives the same S up to rounding.
 */
#ifndef COMMON_DP_CLIP_H
#define COMMON_DP_CLIP_H

#include <stddef.h>

#include "common/tape/book.h"

/** What happened: stays at the site. */
struct clip_counts {
    size_t samples, clipped, dropped;
};

/** Bytes of step arena that clip_accumulate takes beside the tape's. */
size_t clip_scratch_cost(struct tape *t, size_t B);

/** After tape_backward: grad [P] += the clipped gradients of the tape's samples. Uses up the books. */
void clip_gradient(struct tape *t, struct arena *scratch, double C, real *grad,
                   struct clip_counts *counts);

/**
 * After tape_backward: sum [P] += the clipped gradients of the tape's samples.
 * Uses up the books (book_weighted_sum scales them).
 */
void clip_accumulate(struct tape *t, struct arena *scratch, double C, double *sum,
                     struct clip_counts *counts);

#endif
