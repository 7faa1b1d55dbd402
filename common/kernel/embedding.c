#include "common/kernel/embedding.h"

#include <string.h>

void embedding_forward(real *restrict y, const real *restrict table, const int32_t *restrict code,
                       size_t stride, size_t B, size_t D)
{
    for (size_t i = 0; i < B; i++) {
        memcpy(y + i * D, table + (size_t)code[i * stride] * D, D * sizeof *y);
    }
}

void embedding_scatter(real *restrict dtable, const real *restrict dy, const double *restrict c,
                       const int32_t *restrict code, size_t stride, size_t B, size_t D)
{
    for (size_t i = 0; i < B; i++) {
        const real c_i = c == NULL ? 1 : (real)c[i];
        real *row = dtable + (size_t)code[i * stride] * D; /* [D] */
        for (size_t d = 0; d < D; d++) {
            row[d] += c_i * dy[i * D + d];
        }
    }
}
