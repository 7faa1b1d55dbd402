/**
 * @file loss.h
 * Kernel: losses from logits, so that nothing overflows; one number per sample, and a sample's
 * depends on that sample alone.
 */
#ifndef COMMON_KERNEL_LOSS_H
#define COMMON_KERNEL_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "common/kernel/real.h"

real sigmoid(real z);

/**
 * Binary cross-entropy: loss_i = log(1 + exp(z_i)) - y_i z_i.
 * @param[out] loss [n]  @param[in] z, y [n]; y in [0, 1]
 */
void bce_forward(real *restrict loss, const real *restrict z, const real *restrict y, size_t n);
/** dz += dloss (sigmoid(z) - y). */
void bce_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                  const real *restrict y, size_t n);

/**
 * The mean of binary cross-entropies over the labels that are known; 0 where none is.
 * @param[out] loss [B]  @param[in] z, y [B, K]  @param[in] known [B, K], 0 = not known; NULL: all are
 */
void multilabel_forward(real *restrict loss, const real *restrict z, const real *restrict y,
                        const uint8_t *restrict known, size_t B, size_t K);
void multilabel_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                         const real *restrict y, const uint8_t *restrict known, size_t B, size_t K);

/**
 * Softmax cross-entropy: loss_i = log sum_k exp(z_ik) - z_i,label. A negative label is not known:
 * loss 0.
 * @param[out] loss [B]  @param[out] p [B, K] softmax of z  @param[in] label [B], below K
 */
void cross_entropy_forward(real *restrict loss, real *restrict p, const real *restrict z,
                           const int32_t *restrict label, size_t B, size_t K);
/** dz += dloss (p - one-hot label). */
void cross_entropy_backward(real *restrict dz, const real *restrict dloss, const real *restrict p,
                            const int32_t *restrict label, size_t B, size_t K);

/**
 * Focal loss (Lin et al. 2017, eq. 5): -a (1 - p)^gamma log p, p the probability of what is true,
 * a = alpha where that is 1 and 1 - alpha where it is 0. gamma >= 0.
 * @param[out] loss [n]  @param[in] z, y [n]; y is 0 or 1
 */
void focal_forward(real *restrict loss, const real *restrict z, const real *restrict y, real alpha,
                   real gamma, size_t n);
void focal_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                    const real *restrict y, real alpha, real gamma, size_t n);

#endif
