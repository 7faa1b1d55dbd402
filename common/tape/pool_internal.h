/**
 * @file pool_internal.h
 * Shapes of pools, for the operations that have one.
 */
#ifndef COMMON_TAPE_POOL_INTERNAL_H
#define COMMON_TAPE_POOL_INTERNAL_H

#include "common/kernel/pool.h"
#include "common/tape/image.h"
#include "common/tape/tape_internal.h"

/** The kernel's sizes of a pool over x; false and an error where it does not fit. */
bool pool_shape_of(struct tape *t, const char *op, const struct shape *x, struct window window,
                   struct pool_shape *out);
/** What it leaves of x. */
struct shape pool_result(const struct shape *x, const struct pool_shape *s);
/** Into n->number, from n->number. */
void pool_remember(struct node *n, const struct pool_shape *s);
struct pool_shape pool_recall(const struct node *n);

#endif
