#include "common/kernel/loss.h"

#include <stdbool.h>

#include <tgmath.h>
#undef I /* an index elsewhere */

#include "common/kernel/softmax.h"

real sigmoid(real z)
{
    if (z >= 0) {
        return 1 / (1 + exp(-z));
    }
    const real e = exp(z);
    return e / (1 + e);
}

/* log(1 + exp(z)) */
static real softplus(real z)
{
    return (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
}

void bce_forward(real *restrict loss, const real *restrict z, const real *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        loss[i] = softplus(z[i]) - y[i] * z[i];
    }
}

void bce_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                  const real *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dz[i] += dloss[i] * (sigmoid(z[i]) - y[i]);
    }
}

/* 1 / how many labels of a sample are known; 0 for none. known [K] or NULL */
static real weight_of(const uint8_t *known, size_t K)
{
    size_t count = known == NULL ? K : 0;
    for (size_t k = 0; known != NULL && k < K; k++) {
        count += known[k] != 0;
    }
    return count == 0 ? 0 : 1 / (real)count;
}

void multilabel_forward(real *restrict loss, const real *restrict z, const real *restrict y,
                        const uint8_t *restrict known, size_t B, size_t K)
{
    for (size_t b = 0; b < B; b++) {
        const real weight = weight_of(known == NULL ? NULL : known + b * K, K);
        loss[b] = 0;
        for (size_t i = b * K; i < (b + 1) * K; i++) {
            if (known == NULL || known[i]) {
                loss[b] += weight * (softplus(z[i]) - y[i] * z[i]);
            }
        }
    }
}

void multilabel_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                         const real *restrict y, const uint8_t *restrict known, size_t B, size_t K)
{
    for (size_t b = 0; b < B; b++) {
        const real weight = weight_of(known == NULL ? NULL : known + b * K, K);
        for (size_t i = b * K; i < (b + 1) * K; i++) {
            if (known == NULL || known[i]) {
                dz[i] += dloss[b] * weight * (sigmoid(z[i]) - y[i]);
            }
        }
    }
}

void cross_entropy_forward(real *restrict loss, real *restrict p, const real *restrict z,
                           const int32_t *restrict label, size_t B, size_t K)
{
    softmax_forward(p, z, B, K);
    for (size_t b = 0; b < B; b++) {
        const real *z_b = z + b * K; /* [K] */
        real top = z_b[0];
        real sum = 0;
        for (size_t k = 1; k < K; k++) {
            top = z_b[k] > top ? z_b[k] : top;
        }
        for (size_t k = 0; k < K; k++) {
            sum += exp(z_b[k] - top);
        }
        loss[b] = label[b] < 0 ? 0 : log(sum) + top - z_b[label[b]];
    }
}

void cross_entropy_backward(real *restrict dz, const real *restrict dloss, const real *restrict p,
                            const int32_t *restrict label, size_t B, size_t K)
{
    for (size_t b = 0; b < B; b++) {
        for (size_t k = 0; label[b] >= 0 && k < K; k++) {
            dz[b * K + k] += dloss[b] * (p[b * K + k] - (k == (size_t)label[b] ? 1 : 0));
        }
    }
}

void focal_forward(real *restrict loss, const real *restrict z, const real *restrict y, real alpha,
                   real gamma, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const bool is = y[i] > (real)0.5;
        const real m = is ? z[i] : -z[i]; /* p = sigmoid(m) */
        loss[i] = (is ? alpha : 1 - alpha) * pow(sigmoid(-m), gamma) * softplus(-m);
    }
}

void focal_backward(real *restrict dz, const real *restrict dloss, const real *restrict z,
                    const real *restrict y, real alpha, real gamma, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const bool is = y[i] > (real)0.5;
        const real m = is ? z[i] : -z[i];
        const real miss = sigmoid(-m); /* 1 - p */
        /* d loss / d m = -a (1-p)^gamma ((1-p) - gamma p log p) */
        const real dm = -(is ? alpha : 1 - alpha) * pow(miss, gamma) *
                        (miss + gamma * sigmoid(m) * softplus(-m));
        dz[i] += dloss[i] * (is ? dm : -dm);
    }
}
