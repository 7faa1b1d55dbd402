#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/error.h"
#include "common/base/rng.h"
#include "common/metrics/metrics.h"

enum { N_MAX = 64 };

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        fail_msg("got %.17g, want %.17g", got, want);
    }
}

/* `n` patients with both classes twice, on a coarse grid of scores so that many tie. */
static void draw_patients(struct rng *r, double *label, double *a, double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        label[i] = i < 2 ? 1.0 : i < 4 ? 0.0 : (double)rng_below(r, 2);
        double risk = rng_normal(r) + label[i];
        a[i] = floor(3.0 * (risk + 0.5 * rng_normal(r))) / 3.0;
        b[i] = floor(2.0 * (risk + rng_normal(r))) / 2.0;
    }
}

/* 1 if the ill one stands above the well one, 1/2 if level. */
static double wins(double ill, double well)
{
    return ill > well ? 1.0 : ill < well ? 0.0 : 0.5;
}

/* Every pair of classes, by two loops: mean, and the covariances of DeLong's structural components. */
struct brute {
    double auroc;
    double v10[N_MAX], v01[N_MAX];
    size_t m, n;
};

static void brute_force(const double *score, const double *label, size_t n, struct brute *out)
{
    *out = (struct brute){0};
    for (size_t i = 0; i < n; i++) {
        out->m += label[i] == 1.0;
        out->n += label[i] == 0.0;
    }
    size_t at10 = 0;
    size_t at01 = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < n; j++) {
            if (label[i] != label[j]) {
                sum += label[i] == 1.0 ? wins(score[i], score[j]) : wins(score[j], score[i]);
            }
        }
        if (label[i] == 1.0) {
            out->v10[at10++] = sum / (double)out->n;
            out->auroc += sum / (double)(out->m * out->n);
        } else {
            out->v01[at01++] = sum / (double)out->m;
        }
    }
}

static double covariance(const double *x, const double *y, size_t n)
{
    double mean_x = 0.0;
    double mean_y = 0.0;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        sum += (x[i] - mean_x) * (y[i] - mean_y);
    }
    return sum / (double)(n - 1);
}

static double brute_covariance(const struct brute *a, const struct brute *b)
{
    return covariance(a->v10, b->v10, a->m) / (double)a->m +
           covariance(a->v01, b->v01, a->n) / (double)a->n;
}

/* ---- one of several classes --------------------------------------------------------------------- */

enum { CLASSES = 4 };

/* Patients of all classes but the last, which nobody has. */
static void draw_classes(struct rng *r, double *label, double (*p)[CLASSES], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        label[i] = (double)(i < 6 ? i % 3 : rng_below(r, 3));
        for (size_t c = 0; c < CLASSES; c++) {
            p[i][c] = exp(floor(2.0 * rng_normal(r)) / 2.0 + ((double)c == label[i] ? 1.0 : 0.0));
            sum += p[i][c];
        }
        for (size_t c = 0; c < CLASSES; c++) {
            p[i][c] /= sum;
        }
    }
}

static void the_macro_auroc_is_the_mean_over_the_classes_that_are_there(void **state)
{
    (void)state;
    enum { SEED = 21 };
    struct rng r;
    struct error err = {0};
    rng_init(&r, SEED, "classes");
    print_message("seed %d\n", (int)SEED);
    for (size_t trial = 0; trial < 50; trial++) {
        double label[N_MAX], p[N_MAX][CLASSES], is[N_MAX], score[N_MAX];
        const size_t n = 8 + trial;
        double want = 0.0;
        struct interval got = {0};
        draw_classes(&r, label, p, n);
        for (size_t c = 0; c < 3; c++) {
            struct interval one = {0};
            for (size_t i = 0; i < n; i++) {
                is[i] = label[i] == (double)c ? 1.0 : 0.0;
                score[i] = p[i][c];
            }
            assert_int_equal(metrics_auroc(score, is, n, &one, &err), RC_OK);
            want += one.value / 3.0;
        }
        assert_int_equal(metrics_class_auroc(&p[0][0], label, n, CLASSES, &got, &err), RC_OK);
        assert_near(got.value, want, 1e-14);
        assert_true(got.low <= got.value && got.value <= got.high);
    }
}

/* Of two classes with p and 1 - p it is one figure twice: DeLong's, whose sums are over m - 1. */
static void with_two_classes_the_macro_auroc_has_delongs_interval(void **state)
{
    (void)state;
    struct rng r;
    struct error err = {0};
    enum { N = 60 };
    double label[N], score[N], p[N][2];
    struct interval one = {0}, both = {0};
    rng_init(&r, 5, "two");
    for (size_t i = 0; i < N; i++) {
        label[i] = i < N / 2 ? 1.0 : 0.0;
        score[i] = 1.0 / (1.0 + exp(-rng_normal(&r) - label[i]));
        p[i][1] = score[i];
        p[i][0] = 1.0 - score[i];
    }
    assert_int_equal(metrics_auroc(score, label, N, &one, &err), RC_OK);
    assert_int_equal(metrics_class_auroc(&p[0][0], label, N, 2, &both, &err), RC_OK);
    assert_near(both.value, one.value, 1e-14);
    const double shrink = sqrt((N / 2 - 1.0) / (N / 2)); /* m and n are the same here */
    assert_near(both.high - both.value, shrink * (one.high - one.value), 1e-12);
}

/* The interval knows that the classes' figures are of the same patients: its width is that of the spread over
 * fresh draws. */
static void the_macro_interval_covers_as_often_as_it_says(void **state)
{
    (void)state;
    enum { SEED = 8, TRIALS = 400 };
    struct rng r;
    struct error err = {0};
    double value[TRIALS], half = 0.0, mean, sd;
    rng_init(&r, SEED, "coverage");
    print_message("seed %d\n", (int)SEED);
    for (size_t t = 0; t < TRIALS; t++) {
        double label[N_MAX], p[N_MAX][CLASSES];
        struct interval got = {0};
        draw_classes(&r, label, p, N_MAX);
        assert_int_equal(metrics_class_auroc(&p[0][0], label, N_MAX, CLASSES, &got, &err), RC_OK);
        value[t] = got.value;
        half += (got.high - got.value) / TRIALS;
    }
    metrics_mean_sd(value, TRIALS, &mean, &sd);
    assert_near(half / 1.96, sd, 0.15 * sd);
}

static void figures_of_classes_in_small(void **state)
{
    (void)state;
    struct error err = {0};
    struct interval got = {0};
    const double p[4][3] = {{.5, .3, .2}, {.1, .8, .1}, {.4, .4, .2}, {.2, .2, .6}};
    const double label[4] = {0, 1, 1, 2};
    assert_near(metrics_class_accuracy(&p[0][0], label, 4, 3), 0.75, 0); /* a tie is the first's */
    assert_int_equal(metrics_class_auroc(&p[0][0], label, 4, 3, &got, &err), RC_OK);
    assert_near(got.value, (1.0 + 1.0 + 1.0) / 3.0, 1e-15);
    assert_near(got.low, 0.0, 0); /* one patient in a class */
    const double same[4] = {1, 1, 1, 1};
    assert_int_equal(metrics_class_auroc(&p[0][0], same, 4, 3, &got, &err), RC_STATE);
    const double none[4] = {0, 1, 1, 3};
    assert_int_equal(metrics_class_auroc(&p[0][0], none, 4, 3, &got, &err), RC_INVALID);
}

static void auroc_equals_counting_every_pair(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11, "auroc");
    for (size_t n = 4; n <= N_MAX; n++) {
        double label[N_MAX], a[N_MAX], b[N_MAX];
        struct interval got = {0};
        struct brute want;
        struct error err = {0};
        draw_patients(&r, label, a, b, n);
        brute_force(a, label, n, &want);
        double half = 1.959963984540054 * sqrt(brute_covariance(&want, &want));
        assert_int_equal(metrics_auroc(a, label, n, &got, &err), RC_OK);
        assert_near(got.value, want.auroc, 1e-14);
        assert_near(got.low, fmax(0.0, want.auroc - half), 1e-13);
        assert_near(got.high, fmin(1.0, want.auroc + half), 1e-13);
    }
}

static void the_paired_test_equals_delong_by_hand(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 12, "paired");
    for (size_t n = 6; n <= N_MAX; n++) {
        double label[N_MAX], a[N_MAX], b[N_MAX];
        struct interval got = {0};
        struct brute of_a, of_b;
        struct error err = {0};
        double p = -1.0;
        draw_patients(&r, label, a, b, n);
        brute_force(a, label, n, &of_a);
        brute_force(b, label, n, &of_b);
        double value = of_a.auroc - of_b.auroc;
        double sd = sqrt(brute_covariance(&of_a, &of_a) + brute_covariance(&of_b, &of_b) -
                         2.0 * brute_covariance(&of_a, &of_b));
        assert_int_equal(metrics_auroc_compare(a, b, label, n, &got, &p, &err), RC_OK);
        assert_near(got.value, value, 1e-14);
        assert_near(got.low, fmax(-1.0, value - 1.959963984540054 * sd), 1e-9);
        assert_near(got.high, fmin(1.0, value + 1.959963984540054 * sd), 1e-9);
        assert_near(p, fabs(value) < 1e-14 ? 1.0 : erfc(fabs(value) / sd / sqrt(2.0)), 1e-9);

        struct interval back = {0};
        double p_back = -1.0;
        assert_int_equal(metrics_auroc_compare(b, a, label, n, &back, &p_back, &err), RC_OK);
        assert_true(back.value == -got.value);
        assert_true(p_back == p);
    }
}

static void a_worked_example_of_auroc(void **state)
{
    (void)state;
    /* ill 3 5 5, well 1 3 5 : wins 1 ½ 0, 1 1 ½, 1 1 ½ = 6.5 of 9 */
    const double score[] = {5, 1, 3, 3, 5, 5};
    const double label[] = {1, 0, 1, 0, 0, 1};
    struct interval got = {0};
    struct error err = {0};
    assert_int_equal(metrics_auroc(score, label, 6, &got, &err), RC_OK);
    assert_near(got.value, 6.5 / 9.0, 1e-15);
    /* V10 = 1/2 5/6 5/6, V01 = 1 5/6 1/3; S10 = 1/27, S01 = 13/108; variance = 17/324 */
    assert_near(got.low, 6.5 / 9.0 - 1.959963984540054 * sqrt(17.0 / 324.0), 1e-14);
    assert_true(got.high == 1.0); /* cut */
}

static void a_perfect_score_has_a_point_for_an_interval(void **state)
{
    (void)state;
    const double score[] = {0.7, 0.1, 0.9, 0.2, 0.3, 0.8, 0.75};
    const double label[] = {1, 0, 1, 0, 0, 1, 1};
    double opposite[7];
    struct interval got = {0};
    struct error err = {0};
    for (size_t i = 0; i < 7; i++) {
        opposite[i] = -score[i];
    }
    assert_int_equal(metrics_auroc(score, label, 7, &got, &err), RC_OK);
    assert_true(got.value == 1.0 && got.low == 1.0 && got.high == 1.0);
    assert_int_equal(metrics_auroc(opposite, label, 7, &got, &err), RC_OK);
    assert_true(got.value == 0.0 && got.low == 0.0 && got.high == 0.0);

    double p = -1.0; /* and the two differ for certain, as far as Wald can see */
    assert_int_equal(metrics_auroc_compare(score, opposite, label, 7, &got, &p, &err), RC_OK);
    assert_true(got.value == 1.0 && got.low == 1.0 && got.high == 1.0);
    assert_true(p == 0.0);
}

static void a_constant_score_knows_nothing(void **state)
{
    (void)state;
    const double score[] = {2, 2, 2, 2, 2};
    const double label[] = {1, 0, 0, 1, 0};
    struct interval got = {0};
    struct error err = {0};
    double out = -1.0;
    assert_int_equal(metrics_auroc(score, label, 5, &got, &err), RC_OK);
    assert_true(got.value == 0.5 && got.low == 0.5 && got.high == 0.5);
    assert_int_equal(metrics_auprc(score, label, 5, &out, &err), RC_OK);
    assert_near(out, 0.4, 1e-15); /* the prevalence */
    assert_int_equal(metrics_sensitivity_at(score, label, 5, 0.01, &out, &err), RC_OK);
    assert_true(out == 0.0);
    assert_int_equal(metrics_sensitivity_at(score, label, 5, 0.0, &out, &err), RC_OK);
    assert_true(out == 1.0);
}

static void one_patient_in_a_class_leaves_the_interval_open(void **state)
{
    (void)state;
    const double score[] = {3, 1, 2, 4};
    const double label[] = {1, 0, 0, 0};
    struct interval got = {0};
    struct error err = {0};
    assert_int_equal(metrics_auroc(score, label, 4, &got, &err), RC_OK);
    assert_near(got.value, 2.0 / 3.0, 1e-15);
    assert_true(got.low == 0.0 && got.high == 1.0);

    double p = -1.0;
    struct interval untouched = {.value = 7.0};
    assert_int_equal(metrics_auroc_compare(score, score, label, 4, &untouched, &p, &err), RC_STATE);
    assert_true(untouched.value == 7.0 && p == -1.0);
}

static void a_score_does_not_differ_from_itself(void **state)
{
    (void)state;
    struct rng r;
    double label[N_MAX], a[N_MAX], b[N_MAX];
    struct interval got = {.value = 7.0};
    struct error err = {0};
    double p = -1.0;
    rng_init(&r, 13, "itself");
    draw_patients(&r, label, a, b, N_MAX);
    for (size_t i = 0; i < N_MAX; i++) {
        b[i] = exp(0.3 * a[i]) - 5.0; /* the same order */
    }
    assert_int_equal(metrics_auroc_compare(a, b, label, N_MAX, &got, &p, &err), RC_OK);
    assert_true(got.value == 0.0 && got.low == 0.0 && got.high == 0.0);
    assert_true(p == 1.0);
}

static void the_order_of_the_patients_does_not_matter(void **state)
{
    (void)state;
    struct rng r;
    double label[N_MAX], a[N_MAX], b[N_MAX], label2[N_MAX], a2[N_MAX];
    size_t index[N_MAX];
    struct interval got = {0};
    struct interval again = {0};
    struct error err = {0};
    double precision = 0.0;
    double precision2 = 0.0;
    rng_init(&r, 14, "order");
    draw_patients(&r, label, a, b, N_MAX);
    for (size_t i = 0; i < N_MAX; i++) {
        index[i] = i;
    }
    rng_shuffle(&r, index, N_MAX);
    for (size_t i = 0; i < N_MAX; i++) {
        label2[i] = label[index[i]];
        a2[i] = a[index[i]];
    }
    assert_int_equal(metrics_auroc(a, label, N_MAX, &got, &err), RC_OK);
    assert_int_equal(metrics_auroc(a2, label2, N_MAX, &again, &err), RC_OK);
    assert_true(got.value == again.value); /* exact: a sum of halves */
    assert_near(got.low, again.low, 1e-14);
    assert_int_equal(metrics_auprc(a, label, N_MAX, &precision, &err), RC_OK);
    assert_int_equal(metrics_auprc(a2, label2, N_MAX, &precision2, &err), RC_OK);
    assert_true(precision == precision2);
}

/* At every distinct threshold, by counting: recall steps and precision. */
static double brute_auprc(const double *score, const double *label, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double hits = 0.0;
        double called = 0.0;
        for (size_t j = 0; j < n; j++) {
            called += score[j] >= score[i];
            hits += score[j] >= score[i] && label[j] == 1.0;
        }
        sum += label[i] == 1.0 ? hits / called : 0.0; /* each ill one at its own threshold */
    }
    double n_ill = 0.0;
    for (size_t i = 0; i < n; i++) {
        n_ill += label[i];
    }
    return sum / n_ill;
}

static double brute_sensitivity(const double *score, const double *label, size_t n, double wanted)
{
    double best = 0.0;
    for (size_t i = 0; i < n; i++) {
        double hits = 0.0, n_ill = 0.0, cleared = 0.0, n_well = 0.0;
        for (size_t j = 0; j < n; j++) {
            n_ill += label[j] == 1.0;
            n_well += label[j] == 0.0;
            hits += label[j] == 1.0 && score[j] >= score[i];
            cleared += label[j] == 0.0 && score[j] < score[i];
        }
        if (cleared / n_well >= wanted) {
            best = fmax(best, hits / n_ill);
        }
    }
    return best;
}

static void precision_and_sensitivity_equal_counting(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 15, "counting");
    for (size_t n = 4; n <= N_MAX; n++) {
        double label[N_MAX], a[N_MAX], b[N_MAX];
        struct error err = {0};
        double got = -1.0;
        draw_patients(&r, label, a, b, n);
        assert_int_equal(metrics_auprc(a, label, n, &got, &err), RC_OK);
        assert_near(got, brute_auprc(a, label, n), 1e-14);
        const double wanted[] = {0.0, 0.3, 0.5, 0.8, 0.9, 1.0};
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            assert_int_equal(metrics_sensitivity_at(a, label, n, wanted[i], &got, &err), RC_OK);
            assert_true(got == brute_sensitivity(a, label, n, wanted[i]));
        }
    }
}

static void a_worked_example_of_average_precision(void **state)
{
    (void)state;
    /* Sorted: 0.8 ill, 0.4 well, 0.35 ill, 0.1 well: 1/2 x 1 + 1/2 x 2/3 */
    const double score[] = {0.1, 0.4, 0.35, 0.8};
    const double label[] = {0, 0, 1, 1};
    struct error err = {0};
    double got = -1.0;
    assert_int_equal(metrics_auprc(score, label, 4, &got, &err), RC_OK);
    assert_near(got, 5.0 / 6.0, 1e-15);
}

static void nine_of_ten_cleared_is_a_specificity_of_nine_tenths(void **state)
{
    (void)state;
    double score[12];
    double label[12] = {0};
    for (size_t i = 0; i < 12; i++) {
        score[i] = (double)i;
    }
    label[9] = 1.0; /* one well patient (11 is ill, 10 is well) stands above it */
    label[11] = 1.0;
    struct error err = {0};
    double got = -1.0;
    assert_int_equal(metrics_sensitivity_at(score, label, 12, 0.9, &got, &err), RC_OK);
    assert_true(got == 1.0);
    assert_int_equal(metrics_sensitivity_at(score, label, 12, 0.95, &got, &err), RC_OK);
    assert_true(got == 0.5);
}

/* The method of operating.c in its plainest words: resample, sort nothing, count everything. */
static struct interval slow_interval(const double *score, const double *label, size_t n,
                                     double specificity, struct rng *r)
{
    enum { RESAMPLES = 1000 };
    const double zz = 1.959963984540054 * 1.959963984540054;
    double share[RESAMPLES];
    double mean = 0.0;
    double sd = 0.0;
    double value = 0.0;
    double m = 0.0;
    struct error err = {0};
    for (size_t i = 0; i < n; i++) {
        m += label[i];
    }
    for (size_t b = 0; b < RESAMPLES; b++) {
        double x[N_MAX];
        for (size_t i = 0; i < n; i++) {
            size_t j = rng_below(r, n);
            while (label[j] != label[i]) {
                j = rng_below(r, n);
            }
            x[i] = score[j];
        }
        assert_int_equal(metrics_sensitivity_at(x, label, n, specificity, &value, &err), RC_OK);
        share[b] = (value * m + zz / 2.0) / (m + zz);
    }
    metrics_mean_sd(share, RESAMPLES, &mean, &sd);
    assert_int_equal(metrics_sensitivity_at(score, label, n, specificity, &value, &err), RC_OK);
    const double p = (value * m + zz / 2.0) / (m + zz);
    const double inflation = fmax(1.0, sd * sd / (p * (1.0 - p) * m / ((m + zz) * (m + zz))));
    const double e = m / inflation;
    const double middle = (value + zz / (2.0 * e)) / (1.0 + zz / e);
    const double half =
        sqrt(zz * value * (1.0 - value) / e + zz * zz / (4.0 * e * e)) / (1.0 + zz / e);
    return (struct interval){value, middle - half, middle + half};
}

static void the_interval_of_a_sensitivity_equals_plain_resampling(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 23, "resampling");
    for (size_t n = N_MAX / 2; n <= N_MAX; n += 3) {
        double label[N_MAX], a[N_MAX], b[N_MAX];
        const double wanted[] = {0.3, 0.8, 1.0};
        draw_patients(&r, label, a, b, n);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            struct interval got = {0};
            struct error err = {0};
            assert_int_equal(metrics_sensitivity_interval(a, label, n, wanted[i], &got, &err),
                             RC_OK);
            const struct interval want = slow_interval(a, label, n, wanted[i], &r);
            assert_near(got.low, want.low, 0.05); /* two bootstraps differ by 0.008, rms */
            assert_near(got.high, want.high, 0.05);
        }
    }
}

static void the_interval_of_a_sensitivity_covers_it(void **state)
{
    (void)state;
    enum { SAMPLES = 150, ILL = 30, WELL = 30, N = ILL + WELL };
    /* Normal scores 1.5 apart: the truth is Phi(1.5 - 1.2816). */
    const double truth = 0.5 * erfc(-(1.5 - 1.2815515655446004) / sqrt(2.0));
    struct error err = {0};
    struct rng r;
    size_t covered = 0;
    rng_init(&r, 7, "coverage");
    for (size_t t = 0; t < SAMPLES; t++) {
        double score[N];
        double label[N];
        struct interval got = {0};
        double value = -1.0;
        for (size_t i = 0; i < N; i++) {
            label[i] = i < ILL ? 1.0 : 0.0;
            score[i] = rng_normal(&r) + 1.5 * label[i];
        }
        assert_int_equal(metrics_sensitivity_interval(score, label, N, 0.9, &got, &err), RC_OK);
        assert_int_equal(metrics_sensitivity_at(score, label, N, 0.9, &value, &err), RC_OK);
        assert_true(got.value == value);
        assert_true(got.low <= value);
        assert_true(got.high >= value);
        covered += got.low <= truth && truth <= got.high;
    }
    /* Nominal 0.95, measured 0.93 over many samples; Wilson's interval alone has 0.73. */
    assert_in_range(covered, SAMPLES * 88 / 100, SAMPLES);
}

static void a_sensitivity_of_one_keeps_an_interval(void **state)
{
    (void)state;
    double score[20];
    double label[20];
    struct error err = {0};
    struct interval a = {0};
    struct interval b = {0};
    for (size_t i = 0; i < 20; i++) {
        score[i] = (double)i;
        label[i] = i >= 10 ? 1.0 : 0.0;
    }
    assert_int_equal(metrics_sensitivity_interval(score, label, 20, 0.9, &a, &err), RC_OK);
    assert_true(a.value == 1.0);
    assert_true(a.high == 1.0);
    assert_near(a.low, 10.0 / (10.0 + 1.959963984540054 * 1.959963984540054), 1e-12);
    assert_int_equal(metrics_sensitivity_interval(score, label, 20, 0.9, &b, &err), RC_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(metrics_sensitivity_interval(score, label, 20, 0.0, &a, &err), RC_OK);
    assert_true(a.value == 1.0);
    for (size_t i = 0; i < 20; i++) {
        score[i] = -score[i];
    }
    assert_int_equal(metrics_sensitivity_interval(score, label, 20, 1.0, &a, &err), RC_OK);
    assert_true(a.value == 0.0);
    assert_true(a.low == 0.0);
    assert_true(a.high > 0.2);
}

static void what_is_no_score_or_no_label_is_refused(void **state)
{
    (void)state;
    const double bad_scores[] = {(double)NAN, HUGE_VAL, -HUGE_VAL};
    const double bad_labels[] = {(double)NAN, 2.0, -1.0, 0.5};
    double good[] = {1, 2, 3, 4};
    for (size_t k = 0; k < 7; k++) {
        double score[] = {1, 2, 3, 4};
        double label[] = {0, 1, 0, 1};
        struct interval interval = {.value = 7.0};
        struct error err = {0};
        double x = 7.0;
        double p = 7.0;
        if (k < 3) {
            score[2] = bad_scores[k];
        } else {
            label[2] = bad_labels[k - 3];
        }
        assert_int_equal(metrics_auroc(score, label, 4, &interval, &err), RC_INVALID);
        assert_non_null(strstr(err.text, "row 2"));
        assert_int_equal(metrics_auroc_compare(score, good, label, 4, &interval, &p, &err),
                         RC_INVALID);
        assert_int_equal(metrics_auroc_compare(good, score, label, 4, &interval, &p, &err),
                         RC_INVALID);
        assert_int_equal(metrics_auprc(score, label, 4, &x, &err), RC_INVALID);
        assert_int_equal(metrics_sensitivity_at(score, label, 4, 0.5, &x, &err), RC_INVALID);
        assert_int_equal(metrics_sensitivity_interval(score, label, 4, 0.5, &interval, &err),
                         RC_INVALID);
        assert_true(interval.value == 7.0 && x == 7.0 && p == 7.0);
    }
}

static void one_class_or_nobody_has_no_curve(void **state)
{
    (void)state;
    const double score[] = {1, 2, 3};
    const double labels[2][3] = {{0, 0, 0}, {1, 1, 1}};
    for (size_t k = 0; k < 3; k++) {
        size_t n = k < 2 ? 3 : 0;
        const double *label = labels[k % 2];
        struct interval interval = {.value = 7.0};
        struct error err = {0};
        double x = 7.0;
        double p = 7.0;
        assert_int_equal(metrics_auroc(score, label, n, &interval, &err), RC_STATE);
        assert_int_equal(err.rc, RC_STATE);
        assert_int_equal(metrics_auroc_compare(score, score, label, n, &interval, &p, &err),
                         RC_STATE);
        assert_int_equal(metrics_auprc(score, label, n, &x, &err), RC_STATE);
        assert_int_equal(metrics_sensitivity_at(score, label, n, 0.5, &x, &err), RC_STATE);
        assert_int_equal(metrics_sensitivity_interval(score, label, n, 0.5, &interval, &err),
                         RC_STATE);
        assert_true(interval.value == 7.0 && x == 7.0 && p == 7.0);
    }
}

static void a_specificity_outside_zero_and_one_is_refused(void **state)
{
    (void)state;
    const double score[] = {1, 2};
    const double label[] = {0, 1};
    const double wanted[] = {-0.1, 1.1, (double)NAN};
    for (size_t i = 0; i < 3; i++) {
        struct error err = {0};
        double x = 7.0;
        assert_int_equal(metrics_sensitivity_at(score, label, 2, wanted[i], &x, &err), RC_INVALID);
        assert_true(x == 7.0);
    }
}

static void accuracy_counts_the_threshold_itself_as_ill(void **state)
{
    (void)state;
    const double probability[] = {0.5, 0.49, 0.9, 0.1, 0.7};
    const double label[] = {1, 1, 1, 0, 0};
    assert_near(metrics_accuracy(probability, label, 5, 0.5), 0.6, 1e-15);
    assert_near(metrics_accuracy(probability, label, 5, 0.0), 0.6, 1e-15); /* all called ill */
    assert_near(metrics_accuracy(probability, label, 5, 2.0), 0.4, 1e-15); /* none */
}

static void calibration_error_by_hand(void **state)
{
    (void)state;
    /* bins of 0.25: {0.1, 0.2 | 0 1} {0.25 | 0} {} {0.8, 1 | 1 1}
     * gaps |0.3 - 1|, |0.25 - 0|, 0, |1.8 - 2| over five patients */
    const double probability[] = {0.8, 0.1, 0.25, 1.0, 0.2};
    const double label[] = {1, 0, 0, 1, 1};
    assert_near(metrics_ece(probability, label, 5, 4), (0.7 + 0.25 + 0.2) / 5.0, 1e-15);
    assert_near(metrics_ece(probability, label, 5, 1), fabs(2.35 - 3.0) / 5.0, 1e-15);
    const double sure[] = {0.0, 1.0, 1.0};
    const double right[] = {0, 1, 1};
    const double wrong[] = {1, 0, 0};
    assert_true(metrics_ece(sure, right, 3, 15) == 0.0);
    assert_true(metrics_ece(sure, wrong, 3, 15) == 1.0);
}

static void the_calibration_of_no_probability_is_no_number(void **state)
{
    (void)state;
    const double label[] = {0, 1};
    const double bad[] = {-0.01, 1.01, (double)NAN, HUGE_VAL};
    for (size_t i = 0; i < 4; i++) {
        const double probability[] = {0.5, bad[i]};
        assert_true(isnan(metrics_ece(probability, label, 2, 10)));
    }
}

static void mean_and_sd_by_hand(void **state)
{
    (void)state;
    const double x[] = {2, 4, 4, 4, 5, 5, 7, 9};
    double mean = -1.0;
    double sd = -1.0;
    metrics_mean_sd(x, 8, &mean, &sd);
    assert_near(mean, 5.0, 1e-15);
    assert_near(sd, sqrt(32.0 / 7.0), 1e-15);
    metrics_mean_sd(x, 1, &mean, &sd);
    assert_true(mean == 2.0 && sd == 0.0);
    const double far[] = {1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0}; /* where the one-pass formula fails */
    metrics_mean_sd(far, 3, &mean, &sd);
    assert_near(sd, 1.0, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_macro_auroc_is_the_mean_over_the_classes_that_are_there),
        cmocka_unit_test(with_two_classes_the_macro_auroc_has_delongs_interval),
        cmocka_unit_test(the_macro_interval_covers_as_often_as_it_says),
        cmocka_unit_test(figures_of_classes_in_small),
        cmocka_unit_test(auroc_equals_counting_every_pair),
        cmocka_unit_test(the_paired_test_equals_delong_by_hand),
        cmocka_unit_test(a_worked_example_of_auroc),
        cmocka_unit_test(a_perfect_score_has_a_point_for_an_interval),
        cmocka_unit_test(a_constant_score_knows_nothing),
        cmocka_unit_test(one_patient_in_a_class_leaves_the_interval_open),
        cmocka_unit_test(a_score_does_not_differ_from_itself),
        cmocka_unit_test(the_order_of_the_patients_does_not_matter),
        cmocka_unit_test(precision_and_sensitivity_equal_counting),
        cmocka_unit_test(a_worked_example_of_average_precision),
        cmocka_unit_test(nine_of_ten_cleared_is_a_specificity_of_nine_tenths),
        cmocka_unit_test(the_interval_of_a_sensitivity_equals_plain_resampling),
        cmocka_unit_test(the_interval_of_a_sensitivity_covers_it),
        cmocka_unit_test(a_sensitivity_of_one_keeps_an_interval),
        cmocka_unit_test(what_is_no_score_or_no_label_is_refused),
        cmocka_unit_test(one_class_or_nobody_has_no_curve),
        cmocka_unit_test(a_specificity_outside_zero_and_one_is_refused),
        cmocka_unit_test(accuracy_counts_the_threshold_itself_as_ill),
        cmocka_unit_test(calibration_error_by_hand),
        cmocka_unit_test(the_calibration_of_no_probability_is_no_number),
        cmocka_unit_test(mean_and_sd_by_hand),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
