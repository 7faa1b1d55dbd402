/* Kernels: losses from logits. In double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/kernel/loss.h"
#include "tests/support/gradcheck.h"

enum { B = 4, K = 3 };

static const uint8_t known[B * K] = {1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0}; /* all, two, none, one */
static const int32_t class[B] = {2, 0, -1, 1};

struct fixture {
    const uint8_t *known;
    real z[B * K], y[B * K], r[B], loss[B], p[B * K];
    real alpha, gamma;
    void (*forward)(struct fixture *f);
};

static double projected(void *ctx)
{
    struct fixture *f = ctx;
    f->forward(f);
    double sum = 0.0;
    for (size_t b = 0; b < B; b++) {
        sum += (double)f->r[b] * (double)f->loss[b];
    }
    return sum;
}

static struct fixture make(void (*forward)(struct fixture *f))
{
    struct fixture f = {.forward = forward, .alpha = (real)0.25, .gamma = 2};
    gradcheck_fill(f.z, B * K, 1);
    gradcheck_fill(f.r, B, 2);
    for (size_t i = 0; i < B * K; i++) {
        f.z[i] *= 3;
        f.y[i] = (real)(i % 2);
    }
    return f;
}

static bool near(real a, real b)
{
    return fabs((double)(a - b)) < 1e-13;
}

static void run_multilabel(struct fixture *f)
{
    multilabel_forward(f->loss, f->z, f->y, f->known, B, K);
}

static void multilabel_agrees_with_finite_differences(void **state)
{
    (void)state;
    const uint8_t *const which[2] = {NULL, known};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = make(run_multilabel);
        real dz[B * K] = {0};
        f.known = which[i];
        multilabel_backward(dz, f.r, f.z, f.y, f.known, B, K);
        assert_true(gradcheck(projected, &f, f.z, dz, B * K, 1e-5) < 1e-6);
    }
}

static void labels_that_are_not_known_do_not_count(void **state)
{
    (void)state;
    struct fixture f = make(run_multilabel);
    real single[B * K];
    f.known = known;
    run_multilabel(&f);
    bce_forward(single, f.z, f.y, B * K);
    assert_true(near(f.loss[0], (single[0] + single[1] + single[2]) / 3));
    assert_true(near(f.loss[1], (single[3] + single[5]) / 2));
    assert_true(f.loss[2] == 0);
    assert_true(near(f.loss[3], single[10]));
}

static void run_classes(struct fixture *f)
{
    cross_entropy_forward(f->loss, f->p, f->z, class, B, K);
}

static void softmax_cross_entropy_agrees_with_finite_differences(void **state)
{
    (void)state;
    struct fixture f = make(run_classes);
    real dz[B * K] = {0};
    run_classes(&f);
    cross_entropy_backward(dz, f.r, f.p, class, B, K);
    assert_true(gradcheck(projected, &f, f.z, dz, B * K, 1e-5) < 1e-6);
    for (size_t b = 0; b < B; b++) {
        const real want = class[b] < 0 ? 0 : (real)-log((double)f.p[b * K + (size_t) class[b]]);
        assert_true(near(f.loss[b], want));
    }
}

static void softmax_cross_entropy_of_huge_logits_is_finite(void **state)
{
    (void)state;
    const real z[2][2] = {{1000, -1000}, {1000, -1000}};
    const int32_t label[2] = {0, 1};
    real loss[2];
    real p[2][2];
    cross_entropy_forward(loss, p[0], z[0], label, 2, 2);
    assert_true(loss[0] == 0 && loss[1] == 2000);
}

static void run_focal(struct fixture *f)
{
    focal_forward(f->loss, f->z, f->y, f->alpha, f->gamma, B);
}

static void focal_loss_agrees_with_finite_differences(void **state)
{
    (void)state;
    const real gamma[3] = {0, 2, (real)0.5};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f = make(run_focal);
        real dz[B * K] = {0};
        f.gamma = gamma[i];
        focal_backward(dz, f.r, f.z, f.y, f.alpha, f.gamma, B);
        assert_true(gradcheck(projected, &f, f.z, dz, B, 1e-5) < 1e-6);
    }
}

static void focal_loss_is_weighted_cross_entropy_at_gamma_zero_and_the_papers_above(void **state)
{
    (void)state;
    struct fixture f = make(run_focal);
    real plain[B];
    bce_forward(plain, f.z, f.y, B);
    f.gamma = 0;
    run_focal(&f);
    for (size_t b = 0; b < B; b++) {
        assert_true(near(f.loss[b], plain[b] * (f.y[b] > 0 ? (real)0.25 : (real)0.75)));
    }
    f.gamma = 2;
    run_focal(&f);
    for (size_t b = 0; b < B; b++) {
        const double p = exp(-(double)plain[b]); /* the probability of what is true */
        const double a = f.y[b] > 0 ? 0.25 : 0.75;
        assert_true(near(f.loss[b], (real)(-a * (1 - p) * (1 - p) * log(p))));
    }
}

static void focal_loss_of_huge_logits_is_finite(void **state)
{
    (void)state;
    const real z[4] = {1000, -1000, 1000, -1000};
    const real y[4] = {1, 0, 0, 1};
    const real one[4] = {1, 1, 1, 1};
    real loss[4];
    real dz[4] = {0};
    focal_forward(loss, z, y, (real)0.25, 2, 4);
    focal_backward(dz, one, z, y, (real)0.25, 2, 4);
    assert_true(loss[0] == 0 && loss[1] == 0 && loss[2] == 750 && loss[3] == 250);
    assert_true(dz[0] == 0 && dz[1] == 0 && dz[2] == (real)0.75 && dz[3] == (real)-0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multilabel_agrees_with_finite_differences),
        cmocka_unit_test(labels_that_are_not_known_do_not_count),
        cmocka_unit_test(softmax_cross_entropy_agrees_with_finite_differences),
        cmocka_unit_test(softmax_cross_entropy_of_huge_logits_is_finite),
        cmocka_unit_test(focal_loss_agrees_with_finite_differences),
        cmocka_unit_test(focal_loss_is_weighted_cross_entropy_at_gamma_zero_and_the_papers_above),
        cmocka_unit_test(focal_loss_of_huge_logits_is_finite),
    };
    return cmocka_run_group_tests_name("common/kernel losses", tests, NULL, NULL);
}
