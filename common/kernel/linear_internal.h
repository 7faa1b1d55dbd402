/**
 * @file linear_internal.h
 * Kernel-internal: products of parts of matrices, by OpenBLAS. Every array is row-major with a
 * distance between rows of its own; c accumulates.
 *
 *   nn: c [M, N] += a [M, K] b [K, N]
 *   nt: c [M, N] += a [M, K] b [N, K]^T
 *   tn: c [M, N] += a [K, M]^T b [K, N]
 */
#ifndef COMMON_KERNEL_LINEAR_INTERNAL_H
#define COMMON_KERNEL_LINEAR_INTERNAL_H

#include <stddef.h>

#include "common/kernel/real.h"

void product_nn(size_t M, size_t N, size_t K, const real *a, size_t lda, const real *b, size_t ldb,
                real *c, size_t ldc);
void product_nt(size_t M, size_t N, size_t K, const real *a, size_t lda, const real *b, size_t ldb,
                real *c, size_t ldc);
void product_tn(size_t M, size_t N, size_t K, const real *a, size_t lda, const real *b, size_t ldb,
                real *c, size_t ldc);

#endif
