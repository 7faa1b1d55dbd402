/**
 * @file slices.h
 * A logical batch in slices of a fixed size, by one or more threads.
 *
 * A slice has a tape and an arena of its own while it is computed, and a gradient of its own; the
 * gradients are added in the order of the slices, each number's by one thread. Where a slice begins and ends follows from the
 * physical batch and not from the number of threads, so any number of threads gives the same bytes.
 *
 * Threads live from slices_open to slices_close and sleep where there is no slice for them.
 */
#ifndef COMMON_DP_SLICES_H
#define COMMON_DP_SLICES_H

#include <stddef.h>

#include "common/dp/clip.h"
#include "common/dp/crew.h"

/** More threads than this are refused. */
enum { SLICES_THREADS_MAX = CREW_MAX };

/**
 * Records the samples [at, at + t->B) on `t` and returns their loss [B, 1]; of a measuring tape
 * (t->arena NULL) no sample is there yet. Called by several threads at once, with different tapes and
 * different `thread` < plan->threads: of `ctx` it writes to what is that thread's alone.
 */
typedef struct node *slices_record(void *ctx, size_t thread, struct tape *t, size_t at);

struct slices_plan {
    const struct param_table *table;
    size_t physical; /**< samples of a slice, > 0 */
    size_t threads;  /**< 1 .. SLICES_THREADS_MAX */
    slices_record *record;
    void *ctx;
};

struct slices;

/** Something for each number of [from, to), whichever thread does it. */
typedef void slices_range(void *ctx, size_t from, size_t to);

/** @retval RC_LIMIT too many threads  @retval RC_NOMEM  @retval RC_INVALID shapes do not fit */
RC slices_open(const struct slices_plan *plan, struct slices **out, struct error *err);
void slices_close(struct slices **s);
/** Overwrites what was computed from patients; slices_close does so, too. Not during a step. */
void slices_wipe(struct slices *s);

/**
 * sum [P] += the gradients of B samples, each clipped to C; C = 0: as they are (ordinary training,
 * no norms are computed).
 * @param params [P]  @param[out] loss += the samples' losses
 * @retval RC_INVALID what a recording said
 */
RC slices_accumulate(struct slices *s, const real *params, size_t B, double C, double *sum,
                     struct clip_counts *counts, double *loss, struct error *err);

/** Calls `each` for ranges that cover [0, n) once, by all threads: for what a step does with each number. */
void slices_ranges(struct slices *s, slices_range *each, void *ctx, size_t n);

#endif
