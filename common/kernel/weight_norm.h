/**
 * @file weight_norm.h
 * Kernel: weight normalisation (Salimans, Kingma 2016, eq. 2-3): direction and length of every row of a weight
 * are parameters of their own.
 *
 *   w_o = g_o v_o / |v_o|    |v| = sqrt(sum v^2 + 1e-12)    w, v [O, K]   g [O]
 *
 * It normalises over weights, never over samples: a sample's gradient stays its own.
 */
#ifndef COMMON_KERNEL_WEIGHT_NORM_H
#define COMMON_KERNEL_WEIGHT_NORM_H

#include <stddef.h>

#include "common/kernel/real.h"

void weight_norm_forward(real *restrict w, const real *restrict v, const real *restrict g, size_t O,
                         size_t K);

/**
 * Each sample's gradient of w to its gradients of v and g: each [B, K, O], transposed as a convolution leaves
 * it, in place; dg [B, O] is set. With u = v/|v|:  dg = <dw, u>,  dv = g/|v| (dw - dg u).
 * @param scratch K*O + O reals
 */
void weight_norm_backward_each(real *restrict each, real *restrict dg, const real *restrict v,
                               const real *restrict g, size_t B, size_t O, size_t K,
                               real *restrict scratch);

#endif
