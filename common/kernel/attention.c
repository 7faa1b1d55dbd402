#include "common/kernel/attention.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/kernel/linear_internal.h"
#include "common/kernel/softmax.h"
#include "common/kernel/wide.h"

/* s *= scale, and -infinity where the key is not there. s [N, M] */
WIDE static void scale_and_mask(real *restrict s, const uint8_t *restrict key, real scale, size_t N,
                                size_t M)
{
    for (size_t i = 0; i < N * M; i++) {
        s[i] *= scale;
    }
    for (size_t n = 0; key != NULL && n < N; n++) {
        for (size_t m = 0; m < M; m++) {
            s[n * M + m] = key[m] ? s[n * M + m] : -(real)INFINITY;
        }
    }
}

static real score_scale(struct attention_size s)
{
    return (real)(1.0 / sqrt((double)(s.D / s.heads)));
}

void attention_forward(real *restrict o, real *restrict p, const real *q, const real *k,
                       const real *v, const uint8_t *key, struct attention_size s)
{
    const size_t E = s.D / s.heads;
    for (size_t b = 0; b < s.B; b++) {
        memset(o + b * s.N * s.D, 0, s.N * s.D * sizeof *o);
        for (size_t h = 0; h < s.heads; h++) {
            const real *q_h = q + b * s.N * s.D + h * E;   /* [N, E] of rows D apart */
            const real *k_h = k + b * s.M * s.D + h * E;   /* [M, E] */
            const real *v_h = v + b * s.M * s.D + h * E;   /* [M, E] */
            real *p_h = p + (b * s.heads + h) * s.N * s.M; /* [N, M] */
            memset(p_h, 0, s.N * s.M * sizeof *p); /* here, so that it is still in the cache */
            product_nt(s.N, s.M, E, q_h, s.D, k_h, s.D, p_h, s.M); /* Q K^T */
            scale_and_mask(p_h, key == NULL ? NULL : key + b * s.M, score_scale(s), s.N, s.M);
            softmax_forward(p_h, p_h, s.N, s.M);
            product_nn(s.N, E, s.M, p_h, s.M, v_h, s.D, o + b * s.N * s.D + h * E, s.D); /* P V */
        }
    }
}

void attention_forward_plain(real *restrict o, real *restrict p, const real *q, const real *k,
                             const real *v, const uint8_t *key, struct attention_size s)
{
    const size_t E = s.D / s.heads;
    memset(o, 0, s.B * s.N * s.D * sizeof *o);
    for (size_t i = 0; i < s.B * s.heads * s.N; i++) {
        const size_t b = i / (s.heads * s.N);
        const size_t h = i / s.N % s.heads;
        const size_t n = i % s.N;
        real *p_n = p + i * s.M; /* [M] */
        real sum = 0;
        for (size_t m = 0; m < s.M; m++) {
            real score = 0;
            for (size_t e = h * E; e < (h + 1) * E; e++) {
                score += q[(b * s.N + n) * s.D + e] * k[(b * s.M + m) * s.D + e];
            }
            const bool there = key == NULL || key[b * s.M + m];
            p_n[m] = there ? (real)exp((double)(score * score_scale(s))) : 0;
            sum += p_n[m];
        }
        for (size_t m = 0; m < s.M; m++) {
            p_n[m] = sum > 0 ? p_n[m] / sum : 0;
            for (size_t e = h * E; e < (h + 1) * E; e++) {
                o[(b * s.N + n) * s.D + e] += p_n[m] * v[(b * s.M + m) * s.D + e];
            }
        }
    }
}

void attention_backward(real *dq, real *dk, real *dv, real *restrict dp, const real *restrict d_o,
                        const real *restrict p, const real *q, const real *k, const real *v,
                        struct attention_size s)
{
    const size_t E = s.D / s.heads;
    real *dscore = dp + s.N * s.M; /* [N, M] */
    for (size_t b = 0; b < s.B; b++) {
        for (size_t h = 0; h < s.heads; h++) {
            const size_t at_q = b * s.N * s.D + h * E;
            const size_t at_k = b * s.M * s.D + h * E;
            const real *p_h = p + (b * s.heads + h) * s.N * s.M; /* [N, M] */
            memset(dp, 0, 2 * s.N * s.M * sizeof *dp);
            product_nt(s.N, s.M, E, d_o + at_q, s.D, v + at_k, s.D, dp, s.M);   /* dP = dO V^T */
            product_tn(s.M, E, s.N, p_h, s.M, d_o + at_q, s.D, dv + at_k, s.D); /* dV = P^T dO */
            softmax_backward(dscore, dp, p_h, s.N, s.M);
            scale_and_mask(dscore, NULL, score_scale(s), s.N, s.M); /* p = 0 made it 0 already */
            product_nn(s.N, E, s.M, dscore, s.M, k + at_k, s.D, dq + at_q, s.D);
            product_tn(s.M, E, s.N, dscore, s.M, q + at_q, s.D, dk + at_k, s.D);
        }
    }
}
