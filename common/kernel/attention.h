/**
 * @file attention.h
 * Kernel: scaled dot-product attention of several heads (Vaswani et al. 2017, eq. 1 and 3.2.2,
 * without the four linear maps, which are operations of their own):
 *
 *   O_h = softmax(Q_h K_h^T / sqrt(D / heads)) V_h      head h: columns [h D/heads, (h+1) D/heads)
 *
 *   q, o [B, N, D]   k, v [B, M, D]   p [B, heads, N, M]: the softmax
 *   key [B, M]: 0 = nobody looks there (NULL: all there); a sample without keys has p = 0, o = 0
 */
#ifndef COMMON_KERNEL_ATTENTION_H
#define COMMON_KERNEL_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "common/kernel/real.h"

struct attention_size {
    size_t B, N, M, D, heads; /**< heads divides D */
};

/** Reals of scratch that forward and backward want. */
size_t attention_scratch(struct attention_size s);

void attention_forward(real *restrict o, real *restrict p, real *restrict scratch, const real *q,
                       const real *k, const real *v, const uint8_t *key, struct attention_size s);
/** The same by loops: the oracle of the tests. */
void attention_forward_plain(real *restrict o, real *restrict p, const real *q, const real *k,
                             const real *v, const uint8_t *key, struct attention_size s);

/** dq, dk, dv += the adjoint; they may be the same array (self-attention of one node). */
void attention_backward(real *dq, real *dk, real *dv, real *restrict scratch,
                        const real *restrict d_o, const real *restrict p, const real *q,
                        const real *k, const real *v, struct attention_size s);

#endif
