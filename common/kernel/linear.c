#include "common/kernel/linear.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <cblas.h>
#include <pthread.h>
#undef I /* cblas.h drags in complex.h */

#include "common/kernel/linear_internal.h"
#include "common/kernel/rows.h"
#include "common/kernel/wide.h"

/*
 * Who may multiply at the same time depends on how OpenBLAS was built. Debian's pthread build is safe
 * for many callers, and is told at the start to compute each product in the caller's own thread:
 * parallelism is ours. It has started a thread by then, which would never get work and which blocks no
 * signal: a program that waits for SIGTERM would see it go there. So that thread is ended before main;
 * asking again later would start it anew. The serial build hands out one packing buffer without a lock,
 * so that two products at once write over each other's: there, and in a build we do not know, they take
 * turns. Alone, the lock costs some 20 ns.
 */
static pthread_mutex_t one_product = PTHREAD_MUTEX_INITIALIZER;
static bool in_turns = true; /* written once, before main */

enum { OPENBLAS_PTHREADS = 1 };

/* Of the pthread build: what it does itself before a fork. */
__attribute__((weak)) int blas_thread_shutdown_(void);

__attribute__((constructor)) static void choose(void)
{
    openblas_set_num_threads(1);
    in_turns = openblas_get_parallel() != OPENBLAS_PTHREADS;
    if (!in_turns && blas_thread_shutdown_ != NULL) {
        (void)blas_thread_shutdown_();
    }
}

static void begin_product(void)
{
    if (in_turns) {
        (void)pthread_mutex_lock(&one_product);
    }
}

static void end_product(void)
{
    if (in_turns) {
        (void)pthread_mutex_unlock(&one_product);
    }
}

/* c [M, N] = op(a) op(b) + beta c */
static void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, size_t M, size_t N, size_t K,
                 const real *a, size_t lda, const real *b, size_t ldb, real beta, real *c,
                 size_t ldc)
{
    if (M == 0 || N == 0 || K == 0) {
        return;
    }
    begin_product();
#ifdef REAL_IS_DOUBLE
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)M, (blasint)N, (blasint)K, 1.0, a, (blasint)lda, b,
                (blasint)ldb, beta, c, (blasint)ldc);
#else
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)M, (blasint)N, (blasint)K, 1.0f, a, (blasint)lda, b,
                (blasint)ldb, beta, c, (blasint)ldc);
#endif
    end_product();
}

/* The lower half of c [T, T] = a a^T, a [T, D]. */
static void gram(real *c, const real *a, size_t T, size_t D)
{
    begin_product();
#ifdef REAL_IS_DOUBLE
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (blasint)T, (blasint)D, 1.0, a, (blasint)D,
                0.0, c, (blasint)T);
#else
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, (blasint)T, (blasint)D, 1.0f, a,
                (blasint)D, 0.0f, c, (blasint)T);
#endif
    end_product();
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

void linear_weight_sum_set(real *restrict dw, const real *restrict dy, const real *restrict x,
                           size_t N, size_t D, size_t O)
{
    gemm(CblasTrans, CblasNoTrans, O, D, N, dy, O, x, D, 0, dw, D);
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

void linear_norms_sq_plain(double *restrict norm_sq, const real *restrict dy,
                           const real *restrict x, size_t B, size_t T, size_t D, size_t O)
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

size_t linear_norms_scratch(size_t T)
{
    return T == 1 ? 0 : 2 * T * T;
}

/* <a, b> over row t below the diagonal, in double; lanes added in order. */
static inline double row_dot(const real *a, const real *b, size_t n)
{
    double lane[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t j = 0; j < 8; j++) {
            lane[j] += (double)a[i + j] * (double)b[i + j];
        }
    }
    double sum = 0.0;
    for (size_t j = 0; j < 8; j++) {
        sum += lane[j];
    }
    for (; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

WIDE static double gram_product(const real *X, const real *G, size_t T)
{
    const double rounding = sizeof(real) == sizeof(float) ? 0x1p-24 : 0x1p-53;
    double below = 0.0;
    double diagonal = 0.0;
    double most = 0.0; /* sum_t ||x_t|| ||dy_t|| */
    for (size_t t = 0; t < T; t++) {
        const double both = (double)X[t * T + t] * (double)G[t * T + t];
        diagonal += both;
        most += sqrt(both);
        below += row_dot(X + t * T, G + t * T, t);
    }
    const double exact = diagonal + 2.0 * below;
    return (exact > 0.0 || isnan(exact) ? exact : 0.0) + 8.0 * rounding * most * most;
}

void linear_norms_sq(double *restrict norm_sq, const real *restrict dy, const real *restrict x,
                     real *restrict scratch, size_t B, size_t T, size_t D, size_t O)
{
    for (size_t i = 0; i < B; i++) {
        const real *x_i = x + i * T * D;   /* [T, D] */
        const real *dy_i = dy + i * T * O; /* [T, O] */
        if (T == 1) {
            norm_sq[i] += sum_of_squares(x_i, D) * sum_of_squares(dy_i, O);
            continue;
        }
        gram(scratch, x_i, T, D);
        gram(scratch + T * T, dy_i, T, O);
        norm_sq[i] += gram_product(scratch, scratch + T * T, T);
    }
}
