/**
 * @file torch_values.h
 * What another implementation made of the same model: tests/golden/torch_values.txt, written by
 * torch_values.py beside it, which says what a case consists of. Inputs and parameters are not in the
 * file: both sides make them from names.
 *
 * A number agrees when it is off by at most `tolerance` (1e-5 in float, 1e-9 in double) times the
 * largest number of its tensor; where torch's whole gradient is nothing but rounding (a key's bias
 * does not move a softmax), times the largest of the case's gradients.
 */
#ifndef TESTS_SUPPORT_TORCH_VALUES_H
#define TESTS_SUPPORT_TORCH_VALUES_H

#include <stddef.h>

#include "common/tape/book.h"

/** The n numbers of "name/part", in [-1, 1): a float holds them exactly. */
void torch_fill(float *to, size_t n, const char *name, const char *part);

/** Records a case's output [t->B, …]. */
typedef struct node *torch_record(struct tape *t, void *ctx);

/**
 * Fails the running cmocka test where outputs, norms of the samples' gradients or summed gradients of
 * case `name` disagree, or the two sides know different parameters. Seals the table and releases it.
 */
void torch_agrees(const char *name, struct param_table *table, torch_record *record, void *ctx,
                  size_t B);

#endif
