#include "common/kernel/weight_norm.h"

#include <string.h>

#include <tgmath.h>

static double length(const real *v, size_t K)
{
    double sum = 1e-12; /* a row of zeros stays finite */
    for (size_t k = 0; k < K; k++) {
        sum += (double)v[k] * (double)v[k];
    }
    return sqrt(sum);
}

void weight_norm_forward(real *restrict w, const real *restrict v, const real *restrict g, size_t O,
                         size_t K)
{
    for (size_t o = 0; o < O; o++) {
        const double scale = (double)g[o] / length(v + o * K, K);
        for (size_t k = 0; k < K; k++) {
            w[o * K + k] = (real)(scale * (double)v[o * K + k]);
        }
    }
}

void weight_norm_backward_each(real *restrict each, real *restrict dg, const real *restrict v,
                               const real *restrict g, size_t B, size_t O, size_t K,
                               real *restrict scratch)
{
    real *u = scratch;             /* [K, O] */
    real *scale = scratch + K * O; /* [O]: g/|v| */
    for (size_t o = 0; o < O; o++) {
        const double size = length(v + o * K, K);
        scale[o] = (real)((double)g[o] / size);
        for (size_t k = 0; k < K; k++) {
            u[k * O + o] = (real)((double)v[o * K + k] / size);
        }
    }
    memset(dg, 0, B * O * sizeof *dg);
    for (size_t b = 0; b < B; b++) {
        real *dw_b = each + b * K * O; /* [K, O] */
        real *dg_b = dg + b * O;       /* [O] */
        for (size_t k = 0; k < K; k++) {
            for (size_t o = 0; o < O; o++) {
                dg_b[o] += dw_b[k * O + o] * u[k * O + o];
            }
        }
        for (size_t k = 0; k < K; k++) {
            for (size_t o = 0; o < O; o++) {
                dw_b[k * O + o] = scale[o] * (dw_b[k * O + o] - dg_b[o] * u[k * O + o]);
            }
        }
    }
}
