/* Built twice: in double against central differences, and in float, whose tile has other widths. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/kernel/conv.h"
#include "common/kernel/conv_tile_internal.h"
#include "tests/support/gradcheck.h"

/* Sums of up to a few hundred terms of size 1. */
static const double near = sizeof(real) == 8 ? 1e-12 : 1e-4;

static real *filled(size_t n, unsigned seed)
{
    real *v = calloc(n + 1, sizeof *v);
    assert_non_null(v);
    gradcheck_fill(v, n, seed);
    return v;
}

static double worst(const real *a, const real *b, size_t n)
{
    double w = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)(a[i] - b[i]));
        w = d <= w ? w : d; /* NaN is worst */
    }
    return w;
}

/* One shape with everything it needs. */
struct fixture {
    struct conv_shape s;
    size_t B, n_x, n_y, n_w;
    real *x, *w, *y, *r, *scratch;
};

static struct fixture make(struct conv_shape s, size_t B)
{
    assert_true(conv_fits(&s));
    struct fixture f = {.s = s, .B = B};
    f.n_x = B * s.H * s.W * s.C;
    f.n_y = B * conv_out_height(&s) * conv_out_width(&s) * s.O;
    f.n_w = s.O * s.KH * s.KW * s.C;
    f.x = filled(f.n_x, 1);
    f.w = filled(f.n_w, 2);
    f.r = filled(f.n_y, 3);
    f.y = filled(f.n_y, 4);
    f.scratch = filled(conv_scratch(&s), 5); /* dirty: contents must not matter */
    return f;
}

static void drop(struct fixture *f)
{
    free(f->x);
    free(f->w);
    free(f->y);
    free(f->r);
    free(f->scratch);
}

static void agrees_with_the_loops(struct fixture *f)
{
    real *plain = filled(f->n_y, 6);
    conv_forward(f->y, f->x, f->w, &f->s, f->B, f->scratch);
    conv_forward_plain(plain, f->x, f->w, &f->s, f->B);
    assert_true(worst(plain, f->y, f->n_y) < near);
    free(plain);

    real *dx = filled(f->n_x, 7); /* both accumulate onto the same */
    real *dx_plain = filled(f->n_x, 7);
    conv_backward_input(dx, f->r, f->w, &f->s, f->B, f->scratch);
    conv_backward_input_plain(dx_plain, f->r, f->w, &f->s, f->B);
    assert_true(worst(dx, dx_plain, f->n_x) < near);
    memset(dx_plain, 0, f->n_x * sizeof *dx_plain);
    conv_backward_input_set(dx, f->r, f->w, &f->s, f->B, f->scratch);
    conv_backward_input_plain(dx_plain, f->r, f->w, &f->s, f->B);
    assert_true(worst(dx, dx_plain, f->n_x) < near);
    free(dx);
    free(dx_plain);

    real *dw = filled(f->n_w, 8);
    real *dw_plain = filled(f->n_w, 8);
    conv_weight_sum(dw, f->r, f->x, &f->s, f->B, f->scratch);
    conv_weight_sum_plain(dw_plain, f->r, f->x, &f->s, f->B);
    assert_true(worst(dw, dw_plain, f->n_w) < near * (double)f->B);

    gradcheck_fill(dw, f->n_w, 8);
    real *each = filled(f->B * f->n_w, 9);
    conv_weight_each(each, f->r, f->x, &f->s, f->B, f->scratch);
    for (size_t b = 0; b < f->B; b++) {
        conv_weight_add(dw, each + b * f->n_w, &f->s);
    }
    assert_true(worst(dw, dw_plain, f->n_w) < near * (double)f->B);
    free(dw);
    free(dw_plain);
    free(each);
}

static size_t draw(uint64_t *state, size_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (size_t)((*state >> 33) % n);
}

static void any_convolution_agrees_with_the_loops(void **state)
{
    (void)state;
    uint64_t rng = 20261128;
    (void)printf("seed %llu\n", (unsigned long long)rng);
    const size_t widths[] = {1, 2, 3, 5, 15, 16, 17, 32, 33, 48};
    size_t done = 0;
    while (done < 300) {
        struct conv_shape s = {.H = 1 + draw(&rng, 9),
                               .W = 1 + draw(&rng, 9),
                               .C = widths[draw(&rng, 7)],
                               .O = widths[draw(&rng, 10)],
                               .KH = 1 + draw(&rng, 4),
                               .KW = 1 + draw(&rng, 4),
                               .stride = 1 + draw(&rng, 3),
                               .dilation = 1,
                               .top = draw(&rng, 4),
                               .bottom = draw(&rng, 4),
                               .left = draw(&rng, 4),
                               .right = draw(&rng, 4)};
        s.dilation = s.stride == 1 ? 1 + draw(&rng, 3) : 1;
        if (!conv_fits(&s)) {
            continue;
        }
        struct fixture f = make(s, 1 + draw(&rng, 3));
        agrees_with_the_loops(&f);
        drop(&f);
        done++;
    }
}

static void the_benchmarks_convolutions_agree_with_the_loops(void **state)
{
    (void)state;
    const size_t size[3][3] = {{64, 1, 16}, {32, 16, 32}, {16, 32, 64}};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f = make((struct conv_shape){.H = size[i][0],
                                                    .W = size[i][0],
                                                    .C = size[i][1],
                                                    .O = size[i][2],
                                                    .KH = 3,
                                                    .KW = 3,
                                                    .stride = 1,
                                                    .dilation = 1,
                                                    .top = 1,
                                                    .bottom = 1,
                                                    .left = 1,
                                                    .right = 1},
                                2);
        agrees_with_the_loops(&f);
        drop(&f);
    }
}

static double projected(void *ctx)
{
    struct fixture *f = ctx;
    conv_forward(f->y, f->x, f->w, &f->s, f->B, f->scratch);
    double sum = 0.0;
    for (size_t i = 0; i < f->n_y; i++) {
        sum += (double)f->r[i] * (double)f->y[i];
    }
    return sum;
}

static void convolutions_agree_with_finite_differences(void **state)
{
    (void)state;
    if (sizeof(real) != 8) {
        return; /* float bottoms out near 5e-3: the loops above are its oracle */
    }
    const struct conv_shape shapes[] = {
        {5, 4, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1},  /* image */
        {7, 6, 2, 3, 3, 2, 2, 1, 1, 1, 0, 1},  /* with a stride */
        {7, 5, 3, 2, 1, 1, 2, 1, 0, 0, 0, 0},  /* a strided shortcut: most pixels are not read */
        {11, 1, 3, 4, 3, 1, 1, 2, 4, 0, 0, 0}, /* series, dilated and causal */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct fixture f = make(shapes[i], 2);
        real *dx = calloc(f.n_x, sizeof *dx);
        real *dw = calloc(f.n_w, sizeof *dw);
        conv_backward_input(dx, f.r, f.w, &f.s, f.B, f.scratch);
        conv_weight_sum(dw, f.r, f.x, &f.s, f.B, f.scratch);
        assert_true(gradcheck(projected, &f, f.x, dx, f.n_x, 1e-5) < 1e-6);
        assert_true(gradcheck(projected, &f, f.w, dw, f.n_w, 1e-5) < 1e-6);
        free(dx);
        free(dw);
        drop(&f);
    }
}

static void a_causal_convolution_sees_no_future(void **state)
{
    (void)state;
    struct fixture f = make((struct conv_shape){12, 1, 2, 3, 3, 1, 1, 2, 4, 0, 0, 0}, 1);
    assert_int_equal(conv_out_height(&f.s), 12);
    conv_forward(f.y, f.x, f.w, &f.s, 1, f.scratch);
    real before[12 * 3];
    memcpy(before, f.y, sizeof before);
    f.x[7 * 2] += 1; /* time 7 */
    conv_forward(f.y, f.x, f.w, &f.s, 1, f.scratch);
    assert_memory_equal(before, f.y, 7 * 3 * sizeof(real));
    assert_true(before[7 * 3] != f.y[7 * 3]);
    drop(&f);
}

static void a_sample_in_a_batch_is_that_sample_alone(void **state)
{
    (void)state;
    struct fixture f = make((struct conv_shape){6, 5, 3, 17, 3, 3, 1, 1, 1, 1, 1, 1}, 3);
    const size_t one_y = f.n_y / 3;
    const size_t one_x = f.n_x / 3;
    conv_forward(f.y, f.x, f.w, &f.s, 3, f.scratch);
    real *alone = filled(f.n_y, 6);
    conv_forward(alone, f.x + one_x, f.w, &f.s, 1, f.scratch);
    assert_memory_equal(alone, f.y + one_y, one_y * sizeof *alone);
    real *each = filled(3 * f.n_w, 9);
    real *each_alone = filled(f.n_w, 9);
    conv_weight_each(each, f.r, f.x, &f.s, 3, f.scratch);
    conv_weight_each(each_alone, f.r + one_y, f.x + one_x, &f.s, 1, f.scratch);
    assert_memory_equal(each + f.n_w, each_alone, f.n_w * sizeof *each);
    free(alone);
    free(each);
    free(each_alone);
    drop(&f);
}

static void windows_that_do_not_fit_are_told(void **state)
{
    (void)state;
    const struct conv_shape good = {3, 3, 1, 1, 3, 3, 1, 1, 0, 0, 0, 0};
    assert_true(conv_fits(&good));
    struct conv_shape s = good;
    s.KH = 4;
    assert_false(conv_fits(&s));
    s = good;
    s.W = 2;
    assert_false(conv_fits(&s));
    s = good;
    s.stride = 0;
    assert_false(conv_fits(&s));
    s = good;
    s.stride = s.dilation = 2; /* nobody needs it and the input gradient does not know it */
    s.H = 9;
    assert_false(conv_fits(&s));
}

/* Every version, also those that conv.c does not choose on this machine. */
static void every_version_of_the_tile_agrees_with_its_formula(void **state)
{
    (void)state;
    enum { RUNS = 3, RUN = 5, X = 400, COLS = 48 };
    real *x = filled(X, 1);
    real *w = filled(RUNS * RUN * COLS, 2);
    size_t versions = 0;
    for (const struct tile *tile = NULL; (tile = tile_variant(versions)) != NULL; versions++) {
        for (size_t n = 1; n <= tile->rows; n++) {
            for (size_t O = 1; O <= tile->cols; O++) {
                real *y = filled(tile->rows * COLS, 3);
                real *want = filled(tile->rows * COLS, 3);
                struct tile_job job = {.w = w,
                                       .n = n,
                                       .O = O,
                                       .runs = RUNS,
                                       .run = RUN,
                                       .x_run = 31,
                                       .x_step = 2,
                                       .w_run = RUN * COLS,
                                       .w_step = COLS,
                                       .add = O % 2 == 0};
                for (size_t p = 0; p < tile->rows; p++) {
                    job.x[p] = x + 7 * (p < n ? p : 0);
                    job.y[p] = y + p * COLS;
                }
                tile->run(&job);
                for (size_t p = 0; p < n; p++) {
                    for (size_t o = 0; o < O; o++) {
                        double sum = job.add ? (double)want[p * COLS + o] : 0.0;
                        for (size_t k = 0; k < RUNS * RUN; k++) {
                            sum += (double)x[7 * p + k / RUN * 31 + k % RUN * 2] *
                                   (double)w[k * COLS + o];
                        }
                        want[p * COLS + o] = (real)sum;
                    }
                }
                assert_true(worst(y, want, tile->rows * COLS) <
                            near); /* and nothing else written */
                free(y);
                free(want);
            }
        }
    }
    assert_true(versions >= 1);
    free(x);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_of_the_tile_agrees_with_its_formula),
        cmocka_unit_test(any_convolution_agrees_with_the_loops),
        cmocka_unit_test(the_benchmarks_convolutions_agree_with_the_loops),
        cmocka_unit_test(convolutions_agree_with_finite_differences),
        cmocka_unit_test(a_causal_convolution_sees_no_future),
        cmocka_unit_test(a_sample_in_a_batch_is_that_sample_alone),
        cmocka_unit_test(windows_that_do_not_fit_are_told),
    };
    return cmocka_run_group_tests_name("common/kernel convolution", tests, NULL, NULL);
}
