/* Kernels over sets of positions: softmax, attention, masked mean. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/kernel/attention.h"
#include "common/kernel/mean.h"
#include "common/kernel/softmax.h"
#include "tests/support/gradcheck.h"

/* Also built with float, where values are compared and gradients are not. */
static const double near = sizeof(real) == 8 ? 1e-14 : 2e-6;

/* More keys than a reduction has lanes; all sizes differ. */
enum { B = 3, N = 4, M = 19, D = 6, HEADS = 2 };

static const struct attention_size size = {.B = B, .N = N, .M = M, .D = D, .heads = HEADS};

struct fixture {
    const uint8_t *key;
    real q[B * N * D], k[B * M * D], v[B * M * D], r[B * M * D];
    real y[B * M * D], p[B * HEADS * N * M], scratch[1024];
    void (*forward)(struct fixture *f);
    size_t n_out;
};

static uint8_t some_keys[B * M]; /* the second sample has none */

static int choose_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < B * M; i++) {
        some_keys[i] = i / M != 1 && i % 3 != 1;
    }
    return 0;
}

static double projected(void *ctx)
{
    struct fixture *f = ctx;
    f->forward(f);
    double sum = 0.0;
    for (size_t i = 0; i < f->n_out; i++) {
        sum += (double)f->r[i] * (double)f->y[i];
    }
    return sum;
}

static struct fixture make(void (*forward)(struct fixture *f), size_t n_out, const uint8_t *key)
{
    struct fixture f = {.forward = forward, .n_out = n_out, .key = key};
    gradcheck_fill(f.q, B * N * D, 1);
    gradcheck_fill(f.k, B * M * D, 2);
    gradcheck_fill(f.v, B * M * D, 3);
    gradcheck_fill(f.r, B * M * D, 4);
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

static void run_softmax(struct fixture *f)
{
    softmax_forward(f->y, f->k, B * D, M);
}

static void softmax_rows_sum_to_one_and_agree_with_finite_differences(void **state)
{
    (void)state;
    if (sizeof(real) != 8) {
        skip();
    }
    struct fixture f = make(run_softmax, B * D * M, NULL);
    real dx[B * D * M] = {0};
    run_softmax(&f);
    for (size_t n = 0; n < B * D; n++) {
        double sum = 0.0;
        for (size_t m = 0; m < M; m++) {
            sum += (double)f.y[n * M + m];
        }
        assert_true(fabs(sum - 1.0) < near);
    }
    softmax_backward(dx, f.r, f.y, B * D, M);
    assert_true(gradcheck(projected, &f, f.k, dx, B * D * M, 1e-5) < 1e-6);
}

static void softmax_survives_huge_and_absent_scores(void **state)
{
    (void)state;
    const real x[3][3] = {{1000, 999, -1000},
                          {-(real)INFINITY, 5, -(real)INFINITY},
                          {-(real)INFINITY, -(real)INFINITY, -(real)INFINITY}};
    real y[3][3];
    softmax_forward(y[0], x[0], 3, 3);
    assert_true(fabs((double)y[0][0] - 1.0 / (1.0 + exp(-1.0))) < near);
    assert_true(y[1][0] == 0 && y[1][1] == 1 && y[1][2] == 0);
    assert_true(y[2][0] == 0 && y[2][1] == 0 && y[2][2] == 0);
}

static void softmax_of_not_a_number_is_not_hidden(void **state)
{
    (void)state;
    const real x[2][2] = {{(real)NAN, 1}, {(real)NAN, (real)NAN}};
    real y[2][2];
    softmax_forward(y[0], x[0], 2, 2);
    assert_true(y[0][0] != y[0][0] && y[0][1] != y[0][1] && y[1][0] != y[1][0]);
}

static void run_attention(struct fixture *f)
{
    assert_true(attention_scratch(size) <= sizeof f->scratch / sizeof f->scratch[0]);
    attention_forward(f->y, f->p, f->scratch, f->q, f->k, f->v, f->key, size);
}

static void attention_by_products_agrees_with_the_loops(void **state)
{
    (void)state;
    const uint8_t *const keys[2] = {NULL, some_keys};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_attention, B * N * D, keys[i]);
        real o[B * N * D];
        real p[B * HEADS * N * M];
        run_attention(&f);
        attention_forward_plain(o, p, f.q, f.k, f.v, f.key, size);
        assert_true(worst(o, f.y, B * N * D) < near);
        assert_true(worst(p, f.p, B * HEADS * N * M) < near);
    }
}

static void attention_agrees_with_finite_differences(void **state)
{
    (void)state;
    if (sizeof(real) != 8) {
        skip();
    }
    const uint8_t *const keys[2] = {NULL, some_keys};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_attention, B * N * D, keys[i]);
        real dq[B * N * D] = {0};
        real dk[B * M * D] = {0};
        real dv[B * M * D] = {0};
        run_attention(&f);
        attention_backward(dq, dk, dv, f.scratch, f.r, f.p, f.q, f.k, f.v, size);
        assert_true(gradcheck(projected, &f, f.q, dq, B * N * D, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.k, dk, B * M * D, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.v, dv, B * M * D, 1e-5) < 1e-6);
    }
}

static void a_sample_without_keys_attends_to_nothing(void **state)
{
    (void)state;
    struct fixture f = make(run_attention, B * N * D, some_keys);
    run_attention(&f);
    for (size_t i = 0; i < N * D; i++) {
        assert_true(f.y[N * D + i] == 0);
        assert_true(f.y[i] != 0);
    }
}

static void run_mean(struct fixture *f)
{
    masked_mean_forward(f->y, f->k, f->key, B, M, D);
}

static void the_masked_mean_is_that_of_the_positions_there(void **state)
{
    (void)state;
    struct fixture f = make(run_mean, B * D, some_keys);
    run_mean(&f);
    for (size_t d = 0; d < D; d++) {
        double sum = 0.0;
        double count = 0.0;
        for (size_t m = 0; m < M; m++) {
            sum += some_keys[m] ? (double)f.k[m * D + d] : 0.0;
            count += some_keys[m];
        }
        assert_true(fabs((double)f.y[d] - sum / count) < near);
        assert_true(f.y[D + d] == 0); /* nobody there */
    }
}

static void the_masked_mean_agrees_with_finite_differences(void **state)
{
    (void)state;
    if (sizeof(real) != 8) {
        skip();
    }
    const uint8_t *const keys[2] = {NULL, some_keys};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_mean, B * D, keys[i]);
        real dx[B * M * D] = {0};
        masked_mean_backward(dx, f.r, f.key, B, M, D);
        assert_true(gradcheck(projected, &f, f.k, dx, B * M * D, 1e-5) < 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_rows_sum_to_one_and_agree_with_finite_differences),
        cmocka_unit_test(softmax_survives_huge_and_absent_scores),
        cmocka_unit_test(softmax_of_not_a_number_is_not_hidden),
        cmocka_unit_test(attention_by_products_agrees_with_the_loops),
        cmocka_unit_test(attention_agrees_with_finite_differences),
        cmocka_unit_test(a_sample_without_keys_attends_to_nothing),
        cmocka_unit_test(the_masked_mean_is_that_of_the_positions_there),
        cmocka_unit_test(the_masked_mean_agrees_with_finite_differences),
    };
    return cmocka_run_group_tests_name("common/kernel attention", tests, choose_keys, NULL);
}
