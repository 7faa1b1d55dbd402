#include "common/kernel/loss.h"

#include <tgmath.h>

real sigmoid(real z)
{
    if (z >= 0) {
        return 1 / (1 + exp(-z));
    }
    const real e = exp(z);
    return e / (1 + e);
}

void bce_forward(real *restrict loss, const real *restrict z, const real *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const real above = z[i] > 0 ? z[i] : 0;
        loss[i] = above + log1p(exp(-fabs(z[i]))) - y[i] * z[i];
    }
}

void bce_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                  const real *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dz[i] += dloss[i] * (sigmoid(z[i]) - y[i]);
    }
}
