/* How much multimodal virtual hospitals say: the ceiling is Bayes', stands where it was fixed, what is
 * drawn can be turned back, and linear models of pixels or means stay below. */
#include <assert.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics/metrics.h"
#include "sim/hospital/icu_internal.h"

/* ---- the posterior --------------------------------------------------------------------------- */

static struct icu_site some_site(const struct icu_params *p)
{
    return icu_site_draw(p, 1, 0, hospital_weight_total(&p->base, 1));
}

/* P(death | u of `look`) by weighing draws of the state with the likelihood of u. */
static double by_importance(const struct icu_params *p, double alpha, const struct icu_site *s,
                            const struct icu_patient *x, const bool look[ICU_CHANNELS])
{
    double sum = 0.0, weight = 0.0;
    for (size_t i = 0; i < 40000; i++) {
        const struct icu_patient z = icu_patient_draw(p, 77, 0, s, "importance", i);
        double log_likelihood = 0.0;
        for (size_t k = 0; k < ICU_CHANNELS; k++) {
            if (look[k]) {
                double g[ICU_STATES];
                const double r = icu_channel_at((enum icu_channel)k, x->film_age_h, g);
                double off = x->u[k];
                for (size_t j = 0; j < ICU_STATES; j++) {
                    off -= g[j] * z.z[j];
                }
                log_likelihood -= 0.5 * off * off / r;
            }
        }
        const double w = exp(log_likelihood);
        weight += w;
        sum += w * hospital_probability(&p->base, alpha, z.drive);
    }
    return sum / weight;
}

static void the_posterior_is_that_of_weighted_draws(void **state)
{
    (void)state;
    struct icu_params p = icu_params_default();
    p.base.missing = 0.0;
    const double alpha = icu_intercept(&p, 1);
    const struct icu_site s = some_site(&p);
    const bool look[ICU_CHANNELS] = {
        [ICU_ADMISSION] = true, [ICU_COMA] = true, [ICU_LACTATE_RISE] = true, [ICU_SPOT] = true};
    for (size_t i = 0; i < 3; i++) {
        const struct icu_patient x = icu_patient_draw(&p, 1, 0, &s, "patient", i);
        const double exact = icu_posterior(&p, alpha, &s, &x, look);
        const double drawn = by_importance(&p, alpha, &s, &x, look);
        if (fabs(exact - drawn) > 0.01) {
            fail_msg("patient %zu: %.4f, by weighted draws %.4f", i, exact, drawn);
        }
    }
}

/* A posterior is a probability: among patients who get q, a share of q die. */
static void of_patients_with_posterior_q_a_share_of_q_die(void **state)
{
    (void)state;
    struct icu_params p = icu_params_default();
    const double alpha = icu_intercept(&p, 1);
    const struct icu_site s = some_site(&p);
    double expected[4] = {0}, died[4] = {0}, variance[4] = {0};
    for (size_t i = 0; i < 8000; i++) {
        const struct icu_patient x = icu_patient_draw(&p, 1, 0, &s, "patient", i);
        bool look[ICU_CHANNELS] = {false};
        for (size_t k = icu_first_channel[ICU_FILM]; k < icu_first_channel[ICU_FILM + 1]; k++) {
            look[k] = true;
        }
        const double q = icu_posterior(&p, alpha, &s, &x, look);
        const size_t bin = q < 0.05 ? 0 : q < 0.15 ? 1 : q < 0.4 ? 2 : 3;
        expected[bin] += q;
        variance[bin] += q * (1.0 - q);
        died[bin] += x.chance < hospital_probability(&p.base, alpha, x.drive) ? 1.0 : 0.0;
    }
    for (size_t bin = 0; bin < 4; bin++) {
        if (fabs(died[bin] - expected[bin]) > 3.5 * sqrt(variance[bin])) {
            fail_msg("bin %zu: %.0f died, %.1f expected", bin, died[bin], expected[bin]);
        }
    }
}

/* ---- the ceiling ----------------------------------------------------------------------------- */

static struct icu_ceiling ceiling(const struct icu_params *p, uint64_t seed, size_t n)
{
    struct error err = {0};
    struct icu_ceiling c = {0};
    if (icu_bayes(p, seed, n, &c, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return c;
}

static void the_ceiling_stands_where_it_was_fixed(void **state)
{
    (void)state;
    const struct icu_params p = icu_params_default();
    const struct icu_ceiling c = ceiling(&p, 1, 12000);
    double best = 0.0;
    for (size_t m = 0; m < ICU_MODALITIES; m++) {
        assert_true(c.alone[m] >= 0.82 && c.alone[m] <= 0.88);
        assert_true(c.without[m] < c.all);
        assert_true(c.without[m] > c.alone[m]);
        best = fmax(best, c.alone[m]);
    }
    assert_true(c.all >= 0.90 && c.all <= 0.92);
    assert_true(c.recorded < c.all && c.recorded > best + 0.02);
    assert_true(c.latent > c.all && c.latent < 0.95);
}

static void what_hides_the_state_lowers_the_ceiling(void **state)
{
    (void)state;
    enum { N = 3000 };
    const struct icu_params p = icu_params_default();
    const struct icu_ceiling c = ceiling(&p, 1, N);
    struct icu_params q = p;
    q.film_age_h = 72.0;
    const struct icu_ceiling old = ceiling(&q, 1, N);
    assert_true(old.alone[ICU_FILM] < c.alone[ICU_FILM] - 0.01);
    assert_true(fabs(old.alone[ICU_NOTE] - c.alone[ICU_NOTE]) < 1e-9);
    q = p;
    q.base.label_noise = 0.2;
    assert_true(ceiling(&q, 1, N).all < c.all - 0.03);
    q = p;
    q.base.missing = 0.5;
    const struct icu_ceiling sparse = ceiling(&q, 1, N);
    assert_true(sparse.alone[ICU_TABLE] < c.alone[ICU_TABLE] - 0.01);
    assert_true(fabs(sparse.alone[ICU_FILM] - c.alone[ICU_FILM]) < 1e-9);
    q = p;
    q.no_film = 0.9;
    q.no_note = q.several = 0.0;
    assert_true(ceiling(&q, 1, N).recorded < c.recorded);
}

static void a_ceiling_of_one_patient_is_refused(void **state)
{
    (void)state;
    const struct icu_params p = icu_params_default();
    struct error err = {0};
    struct icu_ceiling c;
    assert_int_equal(icu_bayes(&p, 1, 1, &c, &err), RC_INVALID);
}

/* ---- patients as a model sees them ----------------------------------------------------------- */

struct patients {
    struct schema schema;
    struct schema_layout layout;
    struct dataset *data;
    struct arena memory;
    struct batch_room room;
    size_t n;
    double *label; /* [n] */
};

enum { TRAIN_PARTS = 4, PARTS = 5 };

static int gather(void **state)
{
    static struct patients all;
    struct icu_params p = icu_params_default();
    struct error err = {0};
    all = (struct patients){0};
    p.base.hospitals = 4;
    p.base.patients = 4000;
    p.no_film = p.no_note = p.several = 0.0;
    if (icu_generate(&p, 1, &all.schema, &all.data, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    all.n = all.data->n_patients;
    all.layout = schema_layout(&all.schema);
    size_t *row = calloc(all.n, sizeof *row);
    all.label = calloc(all.n, sizeof *all.label);
    assert_non_null(row);
    assert_non_null(all.label);
    assert_int_equal(arena_init(&all.memory, batch_room_cost(&all.layout, all.n), &err), RC_OK);
    batch_room_take(&all.room, &all.layout, all.n, &all.memory);
    for (size_t i = 0; i < all.n; i++) {
        row[i] = i;
    }
    struct rng r;
    rng_init(&r, 1, "order");
    rng_shuffle(&r, row, all.n);
    dataset_gather(all.data, row, row, all.n, &all.room);
    for (size_t i = 0; i < all.n; i++) {
        all.label[i] = (double)all.room.batch.label[i];
    }
    free(row);
    *state = &all;
    return 0;
}

static int give_back(void **state)
{
    struct patients *all = *state;
    free(all->label);
    arena_release(&all->memory);
    dataset_close(&all->data);
    schema_release(&all->schema);
    return 0;
}

/* ---- our own logistic regression ------------------------------------------------------------- */

/* Columns of x [n, d] less their mean, over their deviation, in the train part. */
static void standardise(double *x, size_t n, size_t train, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        double mean = 0.0, square = 0.0;
        for (size_t i = 0; i < train; i++) {
            mean += x[i * d + j] / (double)train;
        }
        for (size_t i = 0; i < train; i++) {
            square += (x[i * d + j] - mean) * (x[i * d + j] - mean) / (double)train;
        }
        for (size_t i = 0; i < n; i++) {
            x[i * d + j] = (x[i * d + j] - mean) / (sqrt(square) + 1e-9);
        }
    }
}

/* AUROC on the last fifth of a ridge logistic regression on the others, by gradients with momentum. */
static double logistic_auroc(const struct patients *all, double *x, size_t d, double ridge)
{
    const size_t n = all->n, train = n * TRAIN_PARTS / PARTS;
    double *w = calloc(4 * (d + 1) + n, sizeof *w);
    assert_non_null(w);
    double *speed = w + d + 1, *ahead = speed + d + 1, *slope = ahead + d + 1,
           *score = slope + d + 1;
    const double rate = 4.0 / (1.0 + (d < 200 ? (double)d : (double)d / 4.0));
    standardise(x, n, train, d);
    for (size_t step = 0; step < 120; step++) {
        for (size_t j = 0; j <= d; j++) {
            ahead[j] = w[j] + 0.95 * speed[j];
            slope[j] = j < d ? ridge * ahead[j] : 0.0;
        }
        for (size_t i = 0; i < train; i++) {
            double z = ahead[d];
            for (size_t j = 0; j < d; j++) {
                z += ahead[j] * x[i * d + j];
            }
            const double e = (hospital_sigmoid(z) - all->label[i]) / (double)train;
            for (size_t j = 0; j < d; j++) {
                slope[j] += e * x[i * d + j];
            }
            slope[d] += e;
        }
        for (size_t j = 0; j <= d; j++) {
            speed[j] = 0.95 * speed[j] - rate * slope[j];
            w[j] += speed[j];
        }
    }
    for (size_t i = train; i < n; i++) {
        score[i] = w[d];
        for (size_t j = 0; j < d; j++) {
            score[i] += w[j] * x[i * d + j];
        }
    }
    struct interval auroc = {0};
    struct error err = {0};
    assert_int_equal(metrics_auroc(score + train, all->label + train, n - train, &auroc, &err),
                     RC_OK);
    free(w);
    return auroc.value;
}

/* ---- series ---------------------------------------------------------------------------------- */

/* Mean, slope and log of the power about the line, of what was seen of one variable. */
static void line_of(const float *value, const float *mask, size_t T, size_t V, double out[3])
{
    double n = 0.0, y = 0.0, t1 = 0.0, t2 = 0.0, ty = 0.0, power = 0.0;
    for (size_t t = 0; t < T; t++) {
        if (mask[t * V] > 0.0F) {
            const double x = (double)t, v = (double)value[t * V];
            n += 1.0;
            y += v;
            t1 += x;
            t2 += x * x;
            ty += x * v;
        }
    }
    const double slope = n > 1.0 ? (ty - t1 * y / n) / (t2 - t1 * t1 / n + 1e-9) : 0.0;
    for (size_t t = 0; t < T; t++) {
        if (mask[t * V] > 0.0F) {
            const double off = (double)value[t * V] - y / n - slope * ((double)t - t1 / n);
            power += off * off / n;
        }
    }
    out[0] = n > 0.0 ? y / n : 0.0;
    out[1] = slope;
    out[2] = log(power + 1e-4);
}

static void means_of_series_stay_far_below_what_looks_at_time(void **state)
{
    const struct patients *all = *state;
    const struct batch_part *course = &all->room.batch.part[0];
    const size_t T = all->layout.part[0].steps, V = all->layout.part[0].variables;
    double *mean = calloc(all->n * V, sizeof *mean), *line = calloc(all->n * V * 3, sizeof *line);
    assert_non_null(mean);
    assert_non_null(line);
    for (size_t i = 0; i < all->n; i++) {
        for (size_t k = 0; k < V; k++) {
            double *x = line + (i * V + k) * 3;
            line_of(course->values + i * T * V + k, course->mask + i * T * V + k, T, V, x);
            mean[i * V + k] = x[0];
        }
    }
    const double linear = logistic_auroc(all, mean, V, 1e-4);
    const double right = logistic_auroc(all, line, V * 3, 1e-4);
    print_message("series: means %.4f, lines and power %.4f\n", linear, right);
    assert_true(linear < right - 0.04);
    assert_true(right > 0.83);
    free(mean);
    free(line);
}

/* ---- films ----------------------------------------------------------------------------------- */

/* What a person would measure: how rough the lungs are, their brightest spot, sides compared, the heart. */
enum { MEASURES = 9 };

static double box(const float *pixel, size_t side, size_t y, size_t x, size_t reach)
{
    double sum = 0.0;
    for (size_t i = y - reach; i <= y + reach; i++) {
        for (size_t j = x - reach; j <= x + reach; j++) {
            sum += (double)pixel[i * side + j];
        }
    }
    return sum / (double)((2 * reach + 1) * (2 * reach + 1));
}

static double window(const float *pixel, size_t side, size_t y0, size_t y1, size_t x0, size_t x1)
{
    double sum = 0.0;
    for (size_t y = y0; y < y1; y++) {
        for (size_t x = x0; x < x1; x++) {
            sum += (double)pixel[y * side + x];
        }
    }
    return sum / (double)((y1 - y0) * (x1 - x0));
}

static void measure(const float *pixel, size_t side, double out[MEASURES])
{
    double fine = 1e-3, coarse = 1e-3, spot = 0.0;
    for (size_t y = 6; y < 18; y++) {
        for (size_t x = 6; x < 26; x++) {
            if (x >= 13 && x < 19) {
                continue; /* between the lungs */
            }
            const double three = box(pixel, side, y, x, 1);
            const double d = (double)pixel[y * side + x] - three;
            const double c = three - box(pixel, side, y, x, 3);
            fine += d * d;
            coarse += c * c;
            spot = fmax(spot, c);
        }
    }
    const double right = window(pixel, side, 16, 25, 6, 11);
    const double left = window(pixel, side, 16, 25, 23, 27);
    out[0] = log(fine);
    out[1] = log(coarse);
    out[2] = spot;
    out[3] = fabs(left - right);
    out[4] = left + right;
    out[5] = window(pixel, side, 18, 22, 20, 24);
    out[6] = window(pixel, side, 18, 22, 9, 13);
    out[7] = window(pixel, side, 2, 28, 15, 17);
    out[8] = window(pixel, side, 0, 4, 0, 4);
}

static void pixels_stay_far_below_what_sees_patterns(void **state)
{
    const struct patients *all = *state;
    const struct schema_part *shape = &all->layout.part[1];
    const float *pixels = all->room.batch.part[1].values;
    const size_t P = shape->height * shape->width;
    double *x = calloc(all->n * P, sizeof *x), *m = calloc(all->n * MEASURES, sizeof *m);
    assert_non_null(x);
    assert_non_null(m);
    for (size_t i = 0; i < all->n; i++) {
        for (size_t k = 0; k < P; k++) {
            x[i * P + k] = (double)pixels[i * P + k];
        }
        measure(pixels + i * P, shape->width, m + i * MEASURES);
    }
    const double linear = logistic_auroc(all, x, P, 0.5); /* the best of .01, .1, .5, 2 */
    const double right = logistic_auroc(all, m, MEASURES, 1e-4);
    print_message("film: pixels %.4f, eight measures %.4f\n", linear, right);
    assert_true(linear < right - 0.04);
    free(x);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_posterior_is_that_of_weighted_draws),
        cmocka_unit_test(of_patients_with_posterior_q_a_share_of_q_die),
        cmocka_unit_test(the_ceiling_stands_where_it_was_fixed),
        cmocka_unit_test(what_hides_the_state_lowers_the_ceiling),
        cmocka_unit_test(a_ceiling_of_one_patient_is_refused),
    };
    const struct CMUnitTest of_patients[] = {
        cmocka_unit_test(means_of_series_stay_far_below_what_looks_at_time),
        cmocka_unit_test(pixels_stay_far_below_what_sees_patterns),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(of_patients, gather, give_back);
}
