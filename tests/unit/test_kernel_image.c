/* Pooling, group normalisation and depthwise convolution. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/kernel/depthwise.h"
#include "common/kernel/group_norm.h"
#include "common/kernel/pool.h"
#include "tests/support/gradcheck.h"

enum { ROOM = 8192 };

/* A function of x, projected onto r. */
struct fixture {
    void (*forward)(struct fixture *f);
    struct conv_shape conv;
    struct pool_shape pool;
    size_t B, T, C, G, n_x, n_y;
    real x[ROOM], y[ROOM], r[ROOM], dx[ROOM], w[ROOM], dw[ROOM], gain[ROOM], shift[ROOM];
    real mean[ROOM], rstd[ROOM], dgain[ROOM], dshift[ROOM], scratch[ROOM];
};

static struct fixture *make(void (*forward)(struct fixture *f), size_t n_x, size_t n_y)
{
    assert_true(n_x <= ROOM);
    assert_true(n_y <= ROOM);
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->forward = forward;
    f->n_x = n_x;
    f->n_y = n_y;
    gradcheck_fill(f->x, n_x, 1);
    gradcheck_fill(f->r, n_y, 2);
    gradcheck_fill(f->y, n_y, 3); /* dirty */
    gradcheck_fill(f->w, ROOM, 4);
    gradcheck_fill(f->gain, ROOM, 5);
    gradcheck_fill(f->shift, ROOM, 6);
    return f;
}

static double projected(void *ctx)
{
    struct fixture *f = ctx;
    f->forward(f);
    double sum = 0.0;
    for (size_t i = 0; i < f->n_y; i++) {
        sum += (double)f->r[i] * (double)f->y[i];
    }
    return sum;
}

static double error_of(struct fixture *f, real *v, const real *g, size_t n)
{
    return gradcheck(projected, f, v, g, n, 1e-5);
}

/* ---- pooling --------------------------------------------------------------------------------- */

static const struct pool_shape pools[] = {
    {6, 4, 3, 2, 2, 2},  /* as in the benchmark */
    {7, 5, 67, 3, 2, 2}, /* windows that overlap, an edge left out, more channels than a block */
    {9, 1, 2, 3, 1, 3},  /* a series */
};

static void run_max(struct fixture *f)
{
    max_pool_forward(f->y, f->x, &f->pool, f->B);
}

static void run_average(struct fixture *f)
{
    average_pool_forward(f->y, f->x, &f->pool, f->B);
}

static struct fixture *make_pool(void (*forward)(struct fixture *f), const struct pool_shape *s)
{
    const size_t B = 2;
    assert_true(pool_fits(s));
    struct fixture *f =
        make(forward, B * s->H * s->W * s->C, B * pool_out_height(s) * pool_out_width(s) * s->C);
    f->B = B;
    f->pool = *s;
    return f;
}

static void pooling_agrees_with_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        struct fixture *f = make_pool(run_max, &pools[i]);
        run_max(f);
        max_pool_backward(f->dx, f->r, f->x, f->y, &f->pool, f->B);
        assert_true(error_of(f, f->x, f->dx, f->n_x) < 1e-6);
        gradcheck_fill(f->dx, f->n_x, 9);
        max_pool_backward_set(f->dx, f->r, f->x, f->y, &f->pool, f->B);
        assert_true(error_of(f, f->x, f->dx, f->n_x) < 1e-6);
        f->forward = run_average;
        memset(f->dx, 0, sizeof f->dx);
        average_pool_backward(f->dx, f->r, &f->pool, f->B);
        assert_true(error_of(f, f->x, f->dx, f->n_x) < 1e-6);
        free(f);
    }
}

static void pooling_is_the_largest_and_the_mean_of_each_window(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        const struct pool_shape *s = &pools[i];
        struct fixture *f = make_pool(run_max, s);
        real *average = calloc(f->n_y, sizeof *average);
        run_max(f);
        average_pool_forward(average, f->x, s, f->B);
        size_t at = 0;
        for (size_t b = 0; b < f->B; b++) {
            for (size_t y = 0; y < pool_out_height(s); y++) {
                for (size_t x = 0; x < pool_out_width(s); x++) {
                    for (size_t c = 0; c < s->C; c++, at++) {
                        double most = -HUGE_VAL;
                        double sum = 0.0;
                        for (size_t k = 0; k < s->KH * s->KW; k++) {
                            const size_t row = y * s->stride + k / s->KW;
                            const size_t col = x * s->stride + k % s->KW;
                            const double v =
                                (double)f->x[((b * s->H + row) * s->W + col) * s->C + c];
                            most = fmax(most, v);
                            sum += v;
                        }
                        assert_true((double)f->y[at] == most);
                        assert_true(fabs((double)average[at] - sum / (double)(s->KH * s->KW)) <
                                    1e-14);
                    }
                }
            }
        }
        assert_int_equal(at, f->n_y);
        free(average);
        free(f);
    }
}

static void equal_pixels_share_no_gradient_the_first_has_it(void **state)
{
    (void)state;
    const struct pool_shape s = {2, 2, 1, 2, 2, 2};
    const real x[4] = {0, 3, 3, 3};
    const real dy = 5;
    real y;
    real dx[4] = {0};
    max_pool_forward(&y, x, &s, 1);
    max_pool_backward(dx, &dy, x, &y, &s, 1);
    assert_true(dx[0] == 0 && dx[1] == 5 && dx[2] == 0 && dx[3] == 0);
}

static void a_nan_survives_the_maximum(void **state)
{
    (void)state;
    const struct pool_shape s = {2, 2, 1, 2, 2, 2};
    for (size_t i = 0; i < 4; i++) {
        real x[4] = {1, 2, 3, 4};
        real y;
        x[i] = (real)NAN;
        max_pool_forward(&y, x, &s, 1);
        assert_true(isnan((double)y));
    }
}

static void run_global(struct fixture *f)
{
    global_average_forward(f->y, f->x, f->B, f->T, f->C);
}

static void the_global_average_agrees_with_finite_differences(void **state)
{
    (void)state;
    const size_t B = 2, T = 5, C = 67;
    struct fixture *f = make(run_global, B * T * C, B * C);
    f->B = B;
    f->T = T;
    f->C = C;
    run_global(f);
    for (size_t i = 0; i < f->n_y; i++) {
        double sum = 0.0;
        for (size_t t = 0; t < T; t++) {
            sum += (double)f->x[(i / C * T + t) * C + i % C];
        }
        assert_true(fabs(sum / (double)T - (double)f->y[i]) < 1e-14);
    }
    global_average_backward(f->dx, f->r, B, T, C);
    assert_true(error_of(f, f->x, f->dx, f->n_x) < 1e-6);
    gradcheck_fill(f->dx, f->n_x, 9);
    global_average_backward_set(f->dx, f->r, B, T, C);
    assert_true(error_of(f, f->x, f->dx, f->n_x) < 1e-6);
    free(f);
}

static void windows_larger_than_the_image_are_told(void **state)
{
    (void)state;
    assert_false(pool_fits(&(struct pool_shape){1, 4, 1, 2, 2, 2}));
    assert_false(pool_fits(&(struct pool_shape){4, 1, 1, 2, 2, 2}));
    assert_false(pool_fits(&(struct pool_shape){4, 4, 1, 2, 2, 0}));
}

/* ---- group normalisation --------------------------------------------------------------------- */

static const size_t groups[][3] = {/* T, C, G */
                                   {6, 6, 3},
                                   {5, 32, 2},
                                   {4, 40, 5},
                                   {7, 3, 1},
                                   {9, 4, 4}};

static void run_norm(struct fixture *f)
{
    group_norm_forward(f->y, f->mean, f->rstd, f->x, f->gain, f->shift, f->B, f->T, f->C, f->G);
}

static struct fixture *make_norm(size_t i)
{
    const size_t B = 2;
    const size_t n = B * groups[i][0] * groups[i][1];
    struct fixture *f = make(run_norm, n, n);
    f->B = B;
    f->T = groups[i][0];
    f->C = groups[i][1];
    f->G = groups[i][2];
    return f;
}

static void group_norm_agrees_with_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct fixture *f = make_norm(i);
        run_norm(f);
        group_norm_backward(f->dx, f->dgain, f->dshift, f->r, f->x, f->mean, f->rstd, f->gain, f->B,
                            f->T, f->C, f->G);
        for (size_t c = 0; c < f->C; c++) { /* both samples' */
            f->dgain[c] += f->dgain[f->C + c];
            f->dshift[c] += f->dshift[f->C + c];
        }
        assert_true(error_of(f, f->x, f->dx, f->n_x) < 1e-6);
        assert_true(error_of(f, f->gain, f->dgain, f->C) < 1e-6);
        assert_true(error_of(f, f->shift, f->dshift, f->C) < 1e-6);
        free(f);
    }
}

static void group_norm_sweeps_in_place_and_without_an_input_gradient(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct fixture *f = make_norm(i);
        run_norm(f);
        group_norm_backward(f->dx, f->dgain, f->dshift, f->r, f->x, f->mean, f->rstd, f->gain, f->B,
                            f->T, f->C, f->G);
        group_norm_backward_set(NULL, f->w, f->scratch, f->r, f->x, f->mean, f->rstd, f->gain, f->B,
                                f->T, f->C, f->G);
        assert_memory_equal(f->w, f->dgain, f->B * f->C * sizeof *f->w);
        assert_memory_equal(f->scratch, f->dshift, f->B * f->C * sizeof *f->w);
        group_norm_backward_set(f->r, f->w, f->scratch, f->r, f->x, f->mean, f->rstd, f->gain, f->B,
                                f->T, f->C, f->G);
        for (size_t k = 0; k < f->n_x; k++) {
            assert_true(f->r[k] == f->dx[k]);
        }
        free(f);
    }
}

static void a_normalised_group_has_mean_0_and_variance_1(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct fixture *f = make_norm(i);
        for (size_t c = 0; c < f->C; c++) {
            f->gain[c] = 1;
            f->shift[c] = 0;
        }
        run_norm(f);
        const size_t each = f->C / f->G;
        for (size_t bg = 0; bg < f->B * f->G; bg++) {
            double sum = 0.0;
            double square = 0.0;
            for (size_t k = 0; k < f->T * each; k++) {
                const size_t row = bg / f->G * f->T + k / each;
                const double v = (double)f->y[row * f->C + bg % f->G * each + k % each];
                sum += v;
                square += v * v;
            }
            assert_true(fabs(sum) < 1e-10);
            assert_true(fabs(square / (double)(f->T * each) - 1.0) < 1e-3); /* the floor's share */
        }
        free(f);
    }
}

static void a_constant_group_stays_finite(void **state)
{
    (void)state;
    struct fixture *f = make_norm(0);
    for (size_t i = 0; i < f->n_x; i++) {
        f->x[i] = 3;
    }
    run_norm(f);
    for (size_t i = 0; i < f->n_y; i++) {
        assert_true(fabs((double)(f->y[i] - f->shift[i % f->C])) < 1e-9);
    }
    free(f);
}

/* ---- depthwise ------------------------------------------------------------------------------- */

static const struct conv_shape depths[] = {
    {5, 4, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1},
    {7, 6, 17, 17, 3, 2, 2, 1, 1, 0, 0, 1},
    {11, 1, 4, 4, 3, 1, 1, 2, 4, 0, 0, 0},
};

static void run_depthwise(struct fixture *f)
{
    depthwise_forward(f->y, f->x, f->w, &f->conv, f->B, f->scratch);
}

static struct fixture *make_depthwise(const struct conv_shape *s)
{
    const size_t B = 2;
    assert_true(conv_fits(s));
    struct fixture *f = make(run_depthwise, B * s->H * s->W * s->C,
                             B * conv_out_height(s) * conv_out_width(s) * s->C);
    f->B = B;
    f->conv = *s;
    return f;
}

static void depthwise_agrees_with_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        const struct conv_shape *s = &depths[i];
        const size_t size = s->KH * s->KW * s->C;
        struct fixture *f = make_depthwise(s);
        real *each = calloc(f->B * size, sizeof *each);
        depthwise_backward_input(f->dx, f->r, f->w, s, f->B, f->scratch);
        depthwise_weight_each(each, f->r, f->x, s, f->B);
        depthwise_weight_add(f->dw, each, s);
        depthwise_weight_add(f->dw, each + size, s);
        assert_true(error_of(f, f->x, f->dx, f->n_x) < 1e-6);
        assert_true(error_of(f, f->w, f->dw, size) < 1e-6);
        free(each);
        free(f);
    }
}

/* w [C, taps] as the [C, taps, C] of a convolution that is zero where channels differ. */
static void depthwise_is_a_convolution_with_a_diagonal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        const struct conv_shape *s = &depths[i];
        const size_t taps = s->KH * s->KW;
        struct fixture *f = make_depthwise(s);
        real *full = calloc(s->C * taps * s->C, sizeof *full);
        real *want = calloc(f->n_y, sizeof *want);
        for (size_t k = 0; k < s->C * taps; k++) {
            full[k * s->C + k / taps] = f->w[k];
        }
        conv_forward_plain(want, f->x, full, s, f->B);
        run_depthwise(f);
        for (size_t k = 0; k < f->n_y; k++) {
            assert_true(fabs((double)(f->y[k] - want[k])) < 1e-13);
        }
        free(full);
        free(want);
        free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pooling_agrees_with_finite_differences),
        cmocka_unit_test(pooling_is_the_largest_and_the_mean_of_each_window),
        cmocka_unit_test(equal_pixels_share_no_gradient_the_first_has_it),
        cmocka_unit_test(a_nan_survives_the_maximum),
        cmocka_unit_test(the_global_average_agrees_with_finite_differences),
        cmocka_unit_test(windows_larger_than_the_image_are_told),
        cmocka_unit_test(group_norm_agrees_with_finite_differences),
        cmocka_unit_test(group_norm_sweeps_in_place_and_without_an_input_gradient),
        cmocka_unit_test(a_normalised_group_has_mean_0_and_variance_1),
        cmocka_unit_test(a_constant_group_stays_finite),
        cmocka_unit_test(depthwise_agrees_with_finite_differences),
        cmocka_unit_test(depthwise_is_a_convolution_with_a_diagonal),
    };
    return cmocka_run_group_tests_name("common/kernel image", tests, NULL, NULL);
}
