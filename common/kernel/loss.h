/**
 * @file loss.h
 * Kernel: sigmoid with binary cross-entropy, from logits, so that neither overflows.
 *
 *   loss_i = log(1 + exp(z_i)) - y_i z_i      d loss_i / d z_i = sigmoid(z_i) - y_i
 */
#ifndef COMMON_KERNEL_LOSS_H
#define COMMON_KERNEL_LOSS_H

#include <stddef.h>

#include "common/kernel/real.h"

real sigmoid(real z);

/** @param[out] loss [n]  @param[in] z, y [n]; y in [0, 1] */
void bce_forward(real *restrict loss, const real *restrict z, const real *restrict y, size_t n);
/** dz += dloss (sigmoid(z) - y). */
void bce_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                  const real *restrict y, size_t n);

#endif
