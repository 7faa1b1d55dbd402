/* Kernels over sequences: LSTM, GRU. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/kernel/gru.h"
#include "common/kernel/linear.h"
#include "common/kernel/lstm.h"
#include "tests/support/gradcheck.h"

/* Also built with float, where values are compared and gradients are not. */
static const double near = sizeof(real) == 8 ? 1e-14 : 2e-6;

/* All sizes differ, so that a swapped index cannot pass unnoticed. */
enum { B = 4, T = 5, D = 3, H = 2, K = D + H, N = B * T };

/* One runs to the end, one is empty, two stop between. */
static const int32_t uneven[B] = {3, T, 0, 1};

struct fixture {
    const int32_t *length;
    real x[N * D], w[4 * H * K], u[3 * H * H], b[4 * H], d[3 * H], r[N * H];
    real h[N * H], a[N * K], e[N * H], z[N * 4 * H], q[N * 3 * H], c[N * H];
    void (*forward)(struct fixture *f);
};

static void run_lstm(struct fixture *f)
{
    lstm_forward(f->h, f->a, f->z, f->c, f->x, f->w, f->b, f->length, B, T, D, H);
}

static void run_gru(struct fixture *f)
{
    gru_forward(f->h, f->a, f->e, f->z, f->q, f->x, f->w, f->u, f->b, f->d, f->length, B, T, D, H);
}

static double projected(void *ctx)
{
    struct fixture *f = ctx;
    f->forward(f);
    double sum = 0.0;
    for (size_t i = 0; i < N * H; i++) {
        sum += (double)f->r[i] * (double)f->h[i];
    }
    return sum;
}

static struct fixture make(void (*forward)(struct fixture *f), const int32_t *length)
{
    struct fixture f = {.forward = forward, .length = length};
    gradcheck_fill(f.x, N * D, 1);
    gradcheck_fill(f.w, sizeof f.w / sizeof f.w[0], 2);
    gradcheck_fill(f.u, sizeof f.u / sizeof f.u[0], 3);
    gradcheck_fill(f.b, sizeof f.b / sizeof f.b[0], 4);
    gradcheck_fill(f.d, sizeof f.d / sizeof f.d[0], 5);
    gradcheck_fill(f.r, N * H, 6);
    return f;
}

static double worst(const real *a, const real *b, size_t n)
{
    double w = 0.0;
    for (size_t i = 0; i < n; i++) {
        w = fmax(w, fabs((double)(a[i] - b[i])));
    }
    return w;
}

static void the_fused_lstm_agrees_with_the_loops(void **state)
{
    (void)state;
    const int32_t *const lengths[2] = {NULL, uneven};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_lstm, lengths[i]);
        real h[N * H];
        real c[N * H];
        run_lstm(&f);
        lstm_forward_plain(h, c, f.x, f.w, f.b, f.length, B, T, D, H);
        assert_true(worst(h, f.h, N * H) < near);
        assert_true(worst(c, f.c, N * H) < near);
    }
}

static void the_fused_gru_agrees_with_the_loops(void **state)
{
    (void)state;
    const int32_t *const lengths[2] = {NULL, uneven};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_gru, lengths[i]);
        real h[N * H];
        run_gru(&f);
        gru_forward_plain(h, f.x, f.w, f.u, f.b, f.d, f.length, B, T, D, H);
        assert_true(worst(h, f.h, N * H) < near);
    }
}

/* The columns' sum of a [N, O]. */
static void add_up(real *sum, const real *a, size_t O)
{
    for (size_t i = 0; i < N * O; i++) {
        sum[i % O] += a[i];
    }
}

static void the_lstm_agrees_with_finite_differences(void **state)
{
    (void)state;
    if (sizeof(real) != 8) {
        skip();
    }
    const int32_t *const lengths[2] = {NULL, uneven};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_lstm, lengths[i]);
        real dx[N * D] = {0};
        real dw[4 * H * K] = {0};
        real db[4 * H] = {0};
        real back[2 * B * H];
        real z[N * 4 * H];
        real a[N * K];
        run_lstm(&f);
        lstm_backward(dx, f.z, back, f.r, f.c, f.w, f.length, B, T, D, H);
        memcpy(z, f.z, sizeof z);
        memcpy(a, f.a, sizeof a);
        linear_weight_sum(dw, z, a, N, K, 4 * H);
        add_up(db, z, 4 * H);
        assert_true(gradcheck(projected, &f, f.x, dx, N * D, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.w, dw, 4 * H * K, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.b, db, 4 * H, 1e-5) < 1e-6);
    }
}

static void the_gru_agrees_with_finite_differences(void **state)
{
    (void)state;
    if (sizeof(real) != 8) {
        skip();
    }
    const int32_t *const lengths[2] = {NULL, uneven};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_gru, lengths[i]);
        real dx[N * D] = {0};
        real dw[3 * H * D] = {0};
        real du[3 * H * H] = {0};
        real db[3 * H] = {0};
        real dd[3 * H] = {0};
        real back[B * H];
        run_gru(&f);
        gru_backward(dx, f.z, f.q, back, f.r, f.e, f.w, f.u, f.length, B, T, D, H);
        linear_weight_sum(dw, f.z, f.a, N, D, 3 * H);
        linear_weight_sum(du, f.q, f.e, N, H, 3 * H);
        add_up(db, f.z, 3 * H);
        add_up(dd, f.q, 3 * H);
        assert_true(gradcheck(projected, &f, f.x, dx, N * D, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.w, dw, 3 * H * D, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.u, du, 3 * H * H, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.b, db, 3 * H, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.d, dd, 3 * H, 1e-5) < 1e-6);
    }
}

static void what_lies_beyond_the_end_is_not_read(void **state)
{
    (void)state;
    void (*const each[2])(struct fixture *) = {run_lstm, run_gru};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(each[i], uneven);
        each[i](&f);
        real before[N * H];
        memcpy(before, f.h, sizeof before);
        for (size_t n = 0; n < N; n++) {
            for (size_t d = 0; (int32_t)(n % T) >= uneven[n / T] && d < D; d++) {
                f.x[n * D + d] = (real)NAN;
            }
        }
        each[i](&f);
        assert_memory_equal(before, f.h, sizeof before);
        for (size_t n = 0; n < N; n++) {
            assert_true(((int32_t)(n % T) < uneven[n / T]) == (f.h[n * H] != 0));
        }
    }
}

static void a_sequence_alone_has_the_states_it_has_in_a_batch(void **state)
{
    (void)state;
    struct fixture f = make(run_lstm, uneven);
    real h[T * H];
    real a[T * K];
    real z[T * 4 * H];
    real c[T * H];
    run_lstm(&f);
    for (size_t b = 0; b < B; b++) {
        lstm_forward(h, a, z, c, f.x + b * T * D, f.w, f.b, uneven + b, 1, T, D, H);
        assert_true(worst(h, f.h + b * T * H, T * H) < near);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fused_lstm_agrees_with_the_loops),
        cmocka_unit_test(the_fused_gru_agrees_with_the_loops),
        cmocka_unit_test(the_lstm_agrees_with_finite_differences),
        cmocka_unit_test(the_gru_agrees_with_finite_differences),
        cmocka_unit_test(what_lies_beyond_the_end_is_not_read),
        cmocka_unit_test(a_sequence_alone_has_the_states_it_has_in_a_batch),
    };
    return cmocka_run_group_tests_name("common/kernel recurrent", tests, NULL, NULL);
}
