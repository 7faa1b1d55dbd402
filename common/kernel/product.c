#include "common/kernel/product.h"

#include <string.h>

#include "common/kernel/linear_internal.h"

void products_forward(real *restrict y, const real *a, const real *b, size_t B, size_t N, size_t M,
                      size_t K)
{
    memset(y, 0, B * N * M * sizeof *y);
    for (size_t i = 0; i < B; i++) {
        product_nn(N, M, K, a + i * N * K, K, b + i * K * M, M, y + i * N * M, M);
    }
}

void products_backward(real *da, real *db, const real *restrict dy, const real *a, const real *b,
                       size_t B, size_t N, size_t M, size_t K)
{
    for (size_t i = 0; i < B; i++) {
        const real *dy_i = dy + i * N * M; /* [N, M] */
        product_nt(N, K, M, dy_i, M, b + i * K * M, M, da + i * N * K, K);
        product_tn(K, M, N, a + i * N * K, K, dy_i, M, db + i * K * M, M);
    }
}
