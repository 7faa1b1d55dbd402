#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/kernel/activation.h"
#include "common/kernel/embedding.h"
#include "common/kernel/linear.h"
#include "common/kernel/loss.h"
#include "common/kernel/norm.h"
#include "tests/support/gradcheck.h"

/* All sizes differ, so that a swapped index cannot pass unnoticed. */
enum { B = 3, T = 2, N = B * T, D = 5, O = 4 };

struct fixture {
    real x[N * D], w[O * D], b[O], gain[D], shift[D], label[N], y[N * D], h[N * D], s[N], r[N * D];
    void (*forward)(struct fixture *f);
    size_t n_out;
};

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

static struct fixture make(void (*forward)(struct fixture *f), size_t n_out)
{
    struct fixture f = {.forward = forward, .n_out = n_out};
    gradcheck_fill(f.x, N * D, 1);
    gradcheck_fill(f.w, O * D, 2);
    gradcheck_fill(f.b, O, 3);
    gradcheck_fill(f.r, N * D, 4);
    gradcheck_fill(f.gain, D, 5);
    gradcheck_fill(f.shift, D, 6);
    for (size_t i = 0; i < N; i++) {
        f.label[i] = (real)(i % 2);
    }
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

static void run_linear(struct fixture *f)
{
    linear_forward(f->y, f->x, f->w, f->b, N, D, O);
}

static void the_product_agrees_with_the_loops(void **state)
{
    (void)state;
    struct fixture f = make(run_linear, N * O);
    real plain[N * O];
    run_linear(&f);
    linear_forward_plain(plain, f.x, f.w, f.b, N, D, O);
    assert_true(worst(plain, f.y, N * O) < 1e-14);

    real dw[O * D] = {0};
    real dw_plain[O * D] = {0};
    linear_weight_sum(dw, f.r, f.x, N, D, O);
    linear_weight_sum_plain(dw_plain, f.r, f.x, N, D, O);
    assert_true(worst(dw, dw_plain, O * D) < 1e-14);
}

static void linear_agrees_with_finite_differences(void **state)
{
    (void)state;
    struct fixture f = make(run_linear, N * O);
    real dx[N * D] = {0};
    real dw[O * D] = {0};
    linear_backward_input(dx, f.r, f.w, N, D, O);
    linear_weight_sum(dw, f.r, f.x, N, D, O);
    assert_true(gradcheck(projected, &f, f.x, dx, N * D, 1e-5) < 1e-6);
    assert_true(gradcheck(projected, &f, f.w, dw, O * D, 1e-5) < 1e-6);
}

static void the_gram_norm_is_the_norm_of_the_formed_gradient(void **state)
{
    (void)state;
    struct fixture f = make(run_linear, N * O);
    double norm_sq[B] = {0};
    real scratch[2 * T * T];
    assert_true(linear_norms_scratch(T) <= 2 * T * T);
    linear_norms_sq(norm_sq, f.r, f.x, scratch, B, T, D, O);
    for (size_t b = 0; b < B; b++) {
        real dw[O * D] = {0};
        double formed = 0.0;
        linear_weight_sum(dw, f.r + b * T * O, f.x + b * T * D, T, D, O);
        for (size_t i = 0; i < O * D; i++) {
            formed += (double)dw[i] * (double)dw[i];
        }
        assert_true(fabs(formed - norm_sq[b]) < 1e-12 * (1.0 + formed));
    }
}

static void run_relu(struct fixture *f)
{
    relu_forward(f->y, f->x, N * D);
}

static void run_gelu(struct fixture *f)
{
    gelu_forward(f->y, f->x, N * D);
}

static void run_tanh(struct fixture *f)
{
    tanh_forward(f->y, f->x, N * D);
}

static void run_sigmoid(struct fixture *f)
{
    sigmoid_forward(f->y, f->x, N * D);
}

static void activations_agree_with_finite_differences(void **state)
{
    (void)state;
    struct fixture f = make(run_relu, N * D);
    real dx[4][N * D] = {{0}};
    relu_backward(dx[0], f.r, f.x, N * D);
    assert_true(gradcheck(projected, &f, f.x, dx[0], N * D, 1e-5) < 1e-6);
    f.forward = run_gelu;
    gelu_backward(dx[1], f.r, f.x, N * D);
    assert_true(gradcheck(projected, &f, f.x, dx[1], N * D, 1e-5) < 1e-6);
    f.forward = run_tanh;
    run_tanh(&f);
    tanh_backward(dx[2], f.r, f.y, N * D);
    assert_true(gradcheck(projected, &f, f.x, dx[2], N * D, 1e-5) < 1e-6);
    f.forward = run_sigmoid;
    run_sigmoid(&f);
    sigmoid_backward(dx[3], f.r, f.y, N * D);
    assert_true(gradcheck(projected, &f, f.x, dx[3], N * D, 1e-5) < 1e-6);
}

static void run_norm(struct fixture *f)
{
    layer_norm_forward(f->y, f->h, f->s, f->x, f->gain, f->shift, N, D);
}

static void layer_norm_agrees_with_finite_differences(void **state)
{
    (void)state;
    struct fixture f = make(run_norm, N * D);
    real dx[N * D] = {0};
    run_norm(&f);
    layer_norm_backward_input(dx, f.r, f.h, f.s, f.gain, N, D);
    assert_true(gradcheck(projected, &f, f.x, dx, N * D, 1e-5) < 1e-6);
}

static void a_constant_row_stays_finite_under_layer_norm(void **state)
{
    (void)state;
    struct fixture f = make(run_norm, N * D);
    for (size_t d = 0; d < D; d++) {
        f.x[d] = 3;
    }
    run_norm(&f);
    for (size_t d = 0; d < D; d++) {
        assert_true(fabs((double)(f.y[d] - f.shift[d])) < 1e-9);
    }
}

static void run_bce(struct fixture *f)
{
    bce_forward(f->y, f->x, f->label, N);
}

static void cross_entropy_agrees_with_finite_differences(void **state)
{
    (void)state;
    struct fixture f = make(run_bce, N);
    real dz[N] = {0};
    bce_backward(dz, f.r, f.x, f.label, N);
    assert_true(gradcheck(projected, &f, f.x, dz, N, 1e-5) < 1e-6);
}

static void cross_entropy_of_huge_logits_is_finite(void **state)
{
    (void)state;
    const real z[4] = {1000, -1000, 1000, -1000};
    const real y[4] = {1, 0, 0, 1};
    real loss[4];
    bce_forward(loss, z, y, 4);
    assert_true(loss[0] == 0 && loss[1] == 0);
    assert_true(loss[2] == 1000 && loss[3] == 1000);
    assert_true(sigmoid(-1000) == 0 && sigmoid(1000) == 1);
}

static void the_embedding_scatter_is_the_adjoint_of_the_gather(void **state)
{
    (void)state;
    enum { V = 6 };
    real table[V * D];
    real dtable[V * D] = {0};
    real y[B * D];
    real r[B * D];
    const int32_t code[B * 2] = {4, 0, 1, 0, 4, 0}; /* at stride 2; one code twice */
    const double c[B] = {0.5, 1.0, 0.25};
    gradcheck_fill(table, V * D, 1);
    gradcheck_fill(r, B * D, 2);
    embedding_forward(y, table, code, 2, B, D);
    embedding_scatter(dtable, r, c, code, 2, B, D);
    double left = 0.0; /* <c r, gather(table)> = <scatter(c r), table> */
    double right = 0.0;
    for (size_t i = 0; i < B * D; i++) {
        left += c[i / D] * (double)r[i] * (double)y[i];
    }
    for (size_t i = 0; i < V * D; i++) {
        right += (double)dtable[i] * (double)table[i];
    }
    assert_true(fabs(left - right) < 1e-13);
    assert_true(dtable[0] == 0); /* a code nobody had */
}

/* One that blocks no signal would take those that the programs wait for. */
static void no_thread_of_a_library_is_there_when_main_begins(void **state)
{
    (void)state;
    char line[128];
    long threads = 0;
    FILE *f = fopen("/proc/self/status", "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "Threads:", 8) == 0) {
            threads = strtol(line + 8, NULL, 10);
        }
    }
    (void)fclose(f);
    assert_int_equal(threads, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_thread_of_a_library_is_there_when_main_begins),
        cmocka_unit_test(the_product_agrees_with_the_loops),
        cmocka_unit_test(linear_agrees_with_finite_differences),
        cmocka_unit_test(the_gram_norm_is_the_norm_of_the_formed_gradient),
        cmocka_unit_test(activations_agree_with_finite_differences),
        cmocka_unit_test(layer_norm_agrees_with_finite_differences),
        cmocka_unit_test(a_constant_row_stays_finite_under_layer_norm),
        cmocka_unit_test(cross_entropy_agrees_with_finite_differences),
        cmocka_unit_test(cross_entropy_of_huge_logits_is_finite),
        cmocka_unit_test(the_embedding_scatter_is_the_adjoint_of_the_gather),
    };
    return cmocka_run_group_tests_name("common/kernel", tests, NULL, NULL);
}
