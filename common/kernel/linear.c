#include "common/kernel/linear.h"

#include <string.h>

#include <cblas.h>
#include <pthread.h>
#undef I /* cblas.h drags in complex.h */

#include "common/kernel/linear_internal.h"

/* Debian's serial OpenBLAS hands out one packing buffer without a lock: two products at once write
 * over each other's. Threads of a simulation therefore take turns; alone it costs some 20 ns. */
static pthread_mutex_t one_product = PTHREAD_MUTEX_INITIALIZER;

/* c [M, N] = op(a) op(b) + beta c */
static void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, size_t M, size_t N, size_t K,
                 const real *a, size_t lda, const real *b, size_t ldb, real beta, real *c,
                 size_t ldc)
{
    if (M == 0 || N == 0 || K == 0) {
        return;
    }
    (void)pthread_mutex_lock(&one_product);
#ifdef REAL_IS_DOUBLE
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)M, (blasint)N, (blasint)K, 1.0, a, (blasint)lda, b,
                (blasint)ldb, beta, c, (blasint)ldc);
#else
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)M, (blasint)N, (blasint)K, 1.0f, a, (blasint)lda, b,
                (blasint)ldb, beta, c, (blasint)ldc);
#endif
    (void)pthread_mutex_unlock(&one_product);
}

void product_nn(size_t M, size_t N, size_t K, const real *a, size_t lda, const real *b, size_t ldb,
                real *c, size_t ldc)
{
    gemm(CblasNoTrans, CblasNoTrans, M, N, K, a, lda, b, ldb, 1, c, ldc);
}

void product_nt(size_t M, size_t N, size_t K, const real *a, size_t lda, const real *b, size_t ldb,
                real *c, size_t ldc)
{
    gemm(CblasNoTrans, CblasTrans, M, N, K, a, lda, b, ldb, 1, c, ldc);
}

void product_tn(size_t M, size_t N, size_t K, const real *a, size_t lda, const real *b, size_t ldb,
                real *c, size_t ldc)
{
    gemm(CblasTrans, CblasNoTrans, M, N, K, a, lda, b, ldb, 1, c, ldc);
}

static void start_with_bias(real *restrict y, const real *restrict b, size_t N, size_t O)
{
    for (size_t n = 0; n < N; n++) {
        if (b != NULL) {
            memcpy(y + n * O, b, O * sizeof *y);
        } else {
            memset(y + n * O, 0, O * sizeof *y);
        }
    }
}

void linear_forward(real *restrict y, const real *restrict x, const real *restrict w,
                    const real *restrict b, size_t N, size_t D, size_t O)
{
    if (b != NULL || D == 0) {
        start_with_bias(y, b, N, O);
    }
    gemm(CblasNoTrans, CblasTrans, N, O, D, x, D, w, D, b == NULL ? 0 : 1, y, O);
}

void linear_forward_plain(real *restrict y, const real *restrict x, const real *restrict w,
                          const real *restrict b, size_t N, size_t D, size_t O)
{
    start_with_bias(y, b, N, O);
    for (size_t n = 0; n < N; n++) {
        const real *x_n = x + n * D; /* [D] */
        for (size_t o = 0; o < O; o++) {
            const real *w_o = w + o * D; /* [D] */
            for (size_t d = 0; d < D; d++) {
                y[n * O + o] += w_o[d] * x_n[d];
            }
        }
    }
}

void linear_backward_input(real *restrict dx, const real *restrict dy, const real *restrict w,
                           size_t N, size_t D, size_t O)
{
    gemm(CblasNoTrans, CblasNoTrans, N, D, O, dy, O, w, D, 1, dx, D);
}

void linear_backward_input_set(real *restrict dx, const real *restrict dy, const real *restrict w,
                               size_t N, size_t D, size_t O)
{
    gemm(CblasNoTrans, CblasNoTrans, N, D, O, dy, O, w, D, 0, dx, D);
}

void linear_weight_sum(real *restrict dw, const real *restrict dy, const real *restrict x, size_t N,
                       size_t D, size_t O)
{
    gemm(CblasTrans, CblasNoTrans, O, D, N, dy, O, x, D, 1, dw, D);
}

void linear_weight_sum_plain(real *restrict dw, const real *restrict dy, const real *restrict x,
                             size_t N, size_t D, size_t O)
{
    for (size_t n = 0; n < N; n++) {
        for (size_t o = 0; o < O; o++) {
            for (size_t d = 0; d < D; d++) {
                dw[o * D + d] += dy[n * O + o] * x[n * D + d];
            }
        }
    }
}

static double dot(const real *a, const real *b, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

void linear_norms_sq(double *restrict norm_sq, const real *restrict dy, const real *restrict x,
                     size_t B, size_t T, size_t D, size_t O)
{
    for (size_t i = 0; i < B; i++) {
        const real *x_i = x + i * T * D;   /* [T, D] */
        const real *dy_i = dy + i * T * O; /* [T, O] */
        for (size_t s = 0; s < T; s++) {
            norm_sq[i] += dot(x_i + s * D, x_i + s * D, D) * dot(dy_i + s * O, dy_i + s * O, O);
            for (size_t t = s + 1; t < T; t++) {
                norm_sq[i] +=
                    2.0 * dot(x_i + s * D, x_i + t * D, D) * dot(dy_i + s * O, dy_i + t * O, O);
            }
        }
    }
}
