/**
 * @file tapecheck.h
 * What must hold of everything that is recorded on a tape, asserted at once, in double:
 *
 *   - the sum of gradients agrees with central differences (1e-6)
 *   - a sample's gradient inside a batch is that of the sample alone
 *   - norms from the books are the norms of formed gradients, weighted sums their weighted sums
 *   - a clipped sum is at most C B, and the same for a batch in two parts, wherever it is cut
 *   - a measuring tape foretells what recording and sweeping take
 *   - every parameter has a gradient (of some sample), and a frozen one has none
 */
#ifndef TESTS_SUPPORT_TAPECHECK_H
#define TESTS_SUPPORT_TAPECHECK_H

#include <stddef.h>

#include "common/tape/book.h"

/** Records the loss [t->B, 1] of samples [first, first + t->B). */
typedef struct node *tapecheck_record(struct tape *t, void *ctx, size_t first);

/** Fails the running cmocka test where something does not hold. Seals the table and releases it. */
void tapecheck(struct param_table *table, tapecheck_record *record, void *ctx, size_t B);

/** The same of a whole model, whose operations are checked number by number elsewhere: of each slice the
 *  slopes along three random directions, into which every number goes. */
void tapecheck_composed(struct param_table *table, tapecheck_record *record, void *ctx, size_t B);

/**
 * A sample with a NaN in its input has a norm that says so, no other sample notices, and once it is
 * dropped the weighted sum is that of the others. @param x [B, n]: the input, whose second sample is
 * spoilt. Seals the table and releases it.
 */
void tapecheck_dropped(struct param_table *table, tapecheck_record *record, void *ctx, size_t B,
                       float *x, size_t n);

/** A slice, shared, asserted to be declared. b = 0: a vector. */
struct param_id tapecheck_param(struct param_table *table, const char *name, size_t a, size_t b);

#endif
