/**
 * @file panel_internal.h
 * Kernel-internal: products of small matrices, which BLAS is slow at, by the register tile of
 * convolution. The right factor is packed into a panel first: K rows of O numbers and zeros.
 */
#ifndef COMMON_KERNEL_PANEL_INTERNAL_H
#define COMMON_KERNEL_PANEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/kernel/real.h"

/** Reals of a panel of K rows and O columns. */
size_t panel_size(size_t K, size_t O);
/** panel [k][o] = w[k * ld + o]. */
void panel_of_rows(real *restrict panel, const real *restrict w, size_t ld, size_t K, size_t O);
/** panel [k][o] = w[o * ld + k]: the transpose. */
void panel_of_columns(real *restrict panel, const real *restrict w, size_t ld, size_t K, size_t O);

/** Where the numbers of the left factor x [N, K] are. */
struct panel_left {
    const real *x;
    size_t row, step; /**< from one row to the next, from one number to the next */
};

/** y [N, O] = x panel, or += with `add`; ld: from one row of y to the next. */
void panel_product(real *y, size_t ld, struct panel_left x, const real *panel, size_t N, size_t O,
                   size_t K, bool add);

#endif
