/**
 * @file embedding.h
 * Kernel: rows of a table by code, and the scatter that is its adjoint. Codes were checked where
 * they were read: code[i * stride] in [0, V).
 */
#ifndef COMMON_KERNEL_EMBEDDING_H
#define COMMON_KERNEL_EMBEDDING_H

#include <stddef.h>
#include <stdint.h>

#include "common/kernel/real.h"

/** y_i = table[code[i * stride]].  @param[out] y [B, D]  @param[in] table [V, D] */
void embedding_forward(real *restrict y, const real *restrict table, const int32_t *restrict code,
                       size_t stride, size_t B, size_t D);
/** dtable[code_i] += c_i dy_i for each i; c [B] may be NULL for all ones. */
void embedding_scatter(real *restrict dtable, const real *restrict dy, const double *restrict c,
                       const int32_t *restrict code, size_t stride, size_t B, size_t D);

#endif
