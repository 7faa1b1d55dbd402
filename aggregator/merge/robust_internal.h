/**
 * @file robust_internal.h
 * Coordinate-wise robust means (Yin et al. 2018, Def. 1 and 2): of each number of the model, the median
 * of the sites' values, or their mean without the `trim` largest and smallest. Every site counts the
 * same: a weight would let the largest site's value be the middle of all.
 *
 * They need all sites' values of a number at once. So the updates, which the registry keeps until the
 * round has an outcome, are gone through once for each window of the model: some tens of megabytes,
 * however many sites and parameters there are.
 */
#ifndef AGGREGATOR_MERGE_ROBUST_INTERNAL_H
#define AGGREGATOR_MERGE_ROBUST_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/kernel/real.h"
#include "common/study/study.h"

struct robust; /* opaque */

/** @param span as of merge_open; borrowed @param window_bytes of all sites' values together
 *  @retval RC_NOMEM */
RC robust_open(const struct study *study, const struct study_span *span, size_t S,
               size_t window_bytes, struct robust **out, struct error *err);
void robust_close(struct robust **r);
/** Back to the first window, without a site. */
void robust_restart(struct robust *r);
/** A site's values of the present window, out of its whole update. */
void robust_add(struct robust *r, size_t site, const unsigned char *update);
/** The present window's means from the sites that were added. @return true: there is another window,
 *  for which all have to be added again */
bool robust_next(struct robust *r);
/** [S] after the last window. */
const real *robust_mean(const struct robust *r);

#endif
