/**
 * @file product.h
 * Kernel: a product of two matrices per sample.
 *
 *   y [B, N, M]   a [B, N, K]   b [B, K, M]
 */
#ifndef COMMON_KERNEL_PRODUCT_H
#define COMMON_KERNEL_PRODUCT_H

#include <stddef.h>

#include "common/kernel/real.h"

/** y = a b. */
void products_forward(real *restrict y, const real *a, const real *b, size_t B, size_t N, size_t M,
                      size_t K);
/** da += dy b^T, db += a^T dy. */
void products_backward(real *da, real *db, const real *restrict dy, const real *a, const real *b,
                       size_t B, size_t N, size_t M, size_t K);

#endif
