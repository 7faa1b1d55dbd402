#include "common/kernel/attention.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/kernel/panel_internal.h"
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

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* A panel, and for backward the gradients of p and of the scores. */
size_t attention_scratch(struct attention_size s)
{
    const size_t E = s.D / s.heads;
    const size_t panel = larger(panel_size(E, s.M), panel_size(larger(s.N, s.M), E));
    return panel + 2 * s.N * s.M;
}

/* Rows of a head, D apart. */
static struct panel_left rows_of(const real *x, size_t D)
{
    return (struct panel_left){.x = x, .row = D, .step = 1};
}

/* Rows of the transpose of a matrix with M columns. */
static struct panel_left columns_of(const real *x, size_t M)
{
    return (struct panel_left){.x = x, .row = 1, .step = M};
}

void attention_forward(real *restrict o, real *restrict p, real *restrict scratch, const real *q,
                       const real *k, const real *v, const uint8_t *key, struct attention_size s)
{
    const size_t E = s.D / s.heads;
    for (size_t i = 0; i < s.B * s.heads; i++) {
        const size_t b = i / s.heads;
        const size_t at_q = b * s.N * s.D + i % s.heads * E; /* [N, E] of rows D apart */
        const size_t at_k = b * s.M * s.D + i % s.heads * E; /* [M, E] */
        real *p_h = p + i * s.N * s.M;                       /* [N, M] */
        panel_of_columns(scratch, k + at_k, s.D, E, s.M);
        panel_product(p_h, s.M, rows_of(q + at_q, s.D), scratch, s.N, s.M, E, false); /* Q K^T */
        scale_and_mask(p_h, key == NULL ? NULL : key + b * s.M, score_scale(s), s.N, s.M);
        softmax_forward(p_h, p_h, s.N, s.M);
        panel_of_rows(scratch, v + at_k, s.D, s.M, E);
        panel_product(o + at_q, s.D, rows_of(p_h, s.M), scratch, s.N, E, s.M, false); /* P V */
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

void attention_backward(real *dq, real *dk, real *dv, real *restrict scratch,
                        const real *restrict d_o, const real *restrict p, const real *q,
                        const real *k, const real *v, struct attention_size s)
{
    const size_t E = s.D / s.heads;
    real *dp = scratch;               /* [N, M] */
    real *dscore = dp + s.N * s.M;    /* [N, M] */
    real *panel = dscore + s.N * s.M; /* each factor in turn */
    for (size_t i = 0; i < s.B * s.heads; i++) {
        const size_t b = i / s.heads;
        const size_t at_q = b * s.N * s.D + i % s.heads * E;
        const size_t at_k = b * s.M * s.D + i % s.heads * E;
        const real *p_h = p + i * s.N * s.M; /* [N, M] */
        panel_of_columns(panel, v + at_k, s.D, E, s.M);
        panel_product(dp, s.M, rows_of(d_o + at_q, s.D), panel, s.N, s.M, E, false); /* dO V^T */
        panel_of_rows(panel, d_o + at_q, s.D, s.N, E);
        panel_product(dv + at_k, s.D, columns_of(p_h, s.M), panel, s.M, E, s.N, true); /* P^T dO */
        memset(dscore, 0, s.N * s.M * sizeof *dscore);
        softmax_backward(dscore, dp, p_h, s.N, s.M);
        scale_and_mask(dscore, NULL, score_scale(s), s.N, s.M); /* p = 0 made it 0 already */
        panel_of_rows(panel, k + at_k, s.D, s.M, E);
        panel_product(dq + at_q, s.D, rows_of(dscore, s.M), panel, s.N, E, s.M, true);
        panel_of_rows(panel, q + at_q, s.D, s.N, E);
        panel_product(dk + at_k, s.D, columns_of(dscore, s.M), panel, s.M, E, s.N, true);
    }
}
