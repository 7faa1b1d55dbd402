#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/replay.h"
#include "common/base/rng.h"
#include "common/dp/clip.h"
#include "common/dp/noise.h"
#include "common/dp/sampler.h"
#include "common/dp/slices.h"

/* ---- sampler --------------------------------------------------------------------------------- */

enum { PATIENTS = 400, STEPS = 200 };

struct people {
    struct hash patient[PATIENTS];
    size_t first_row[PATIENTS + 1];
};

static void people_init(struct people *p, size_t rows_each)
{
    for (size_t i = 0; i < PATIENTS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "p%zu", i);
        p->patient[i] = hash_of(id, strlen(id));
        p->first_row[i] = i * rows_each;
    }
    p->first_row[PATIENTS] = PATIENTS * rows_each;
}

static void removing_a_patient_leaves_the_others_coins_alone(void **state)
{
    (void)state;
    struct people all;
    people_init(&all, 1);
    struct people fewer = all;
    const size_t gone = 17;
    memmove(&fewer.patient[gone], &fewer.patient[gone + 1],
            (PATIENTS - gone - 1) * sizeof fewer.patient[0]);
    const struct coin_key key = {.b = {1, 2, 3}};
    for (uint64_t step = 0; step < 20; step++) {
        size_t row[2][PATIENTS];
        size_t who[2][PATIENTS];
        const size_t n =
            sampler_draw(&key, step, 0.3, all.patient, all.first_row, PATIENTS, row[0], who[0]);
        const size_t m = sampler_draw(&key, step, 0.3, fewer.patient, fewer.first_row, PATIENTS - 1,
                                      row[1], who[1]);
        size_t at = 0;
        for (size_t i = 0; i < n; i++) {
            if (who[0][i] == gone) {
                continue;
            }
            assert_true(at < m);
            assert_int_equal(who[1][at], who[0][i] - (who[0][i] > gone));
            at++;
        }
        assert_int_equal(at, m);
    }
}

static void every_patient_joins_with_the_stated_rate(void **state)
{
    (void)state;
    struct people p;
    people_init(&p, 1);
    const double q = 0.2;
    const struct coin_key key = {.b = {7}};
    size_t joined[PATIENTS] = {0};
    double total = 0.0;
    for (uint64_t step = 0; step < STEPS; step++) {
        size_t row[PATIENTS];
        size_t who[PATIENTS];
        const size_t n = sampler_draw(&key, step, q, p.patient, p.first_row, PATIENTS, row, who);
        for (size_t i = 0; i < n; i++) {
            joined[who[i]]++;
        }
        total += (double)n;
    }
    const double draws = (double)PATIENTS * STEPS;
    assert_true(fabs(total - q * draws) < 5.0 * sqrt(draws * q * (1.0 - q)));
    double chi = 0.0; /* independent binomials over patients: about PATIENTS */
    for (size_t i = 0; i < PATIENTS; i++) {
        const double d = (double)joined[i] - q * STEPS;
        chi += d * d / (STEPS * q * (1.0 - q));
    }
    assert_true(fabs(chi - PATIENTS) < 5.0 * sqrt(2.0 * PATIENTS));
}

static void batch_sizes_vary_as_poisson_sampling_does(void **state)
{
    (void)state; /* shuffled or fixed batches would have no variance */
    struct people p;
    people_init(&p, 1);
    const double q = 0.2;
    const struct coin_key key = {.b = {8}};
    double sum = 0.0;
    double sum_sq = 0.0;
    for (uint64_t step = 0; step < STEPS; step++) {
        size_t row[PATIENTS];
        size_t who[PATIENTS];
        const double n =
            (double)sampler_draw(&key, step, q, p.patient, p.first_row, PATIENTS, row, who);
        sum += n;
        sum_sq += n * n;
    }
    const double var = sum_sq / STEPS - sum * sum / STEPS / STEPS;
    const double want = PATIENTS * q * (1.0 - q);
    assert_true(var > 0.6 * want && var < 1.5 * want);
}

static void the_extreme_rates_take_nobody_and_everybody(void **state)
{
    (void)state;
    struct people p;
    people_init(&p, 1);
    const struct coin_key key = {.b = {9}};
    size_t row[PATIENTS];
    size_t who[PATIENTS];
    assert_int_equal(sampler_draw(&key, 1, 0.0, p.patient, p.first_row, PATIENTS, row, who), 0);
    assert_int_equal(sampler_draw(&key, 1, 1.0, p.patient, p.first_row, PATIENTS, row, who),
                     PATIENTS);
}

static void a_patient_with_several_rows_contributes_one_of_them(void **state)
{
    (void)state;
    enum { ROWS = 3 };
    struct people p;
    people_init(&p, ROWS);
    const struct coin_key key = {.b = {10}};
    size_t chosen[ROWS] = {0};
    for (uint64_t step = 0; step < 20; step++) {
        size_t row[PATIENTS];
        size_t who[PATIENTS];
        const size_t n = sampler_draw(&key, step, 1.0, p.patient, p.first_row, PATIENTS, row, who);
        assert_int_equal(n, PATIENTS);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(row[i] / ROWS, who[i]);
            chosen[row[i] % ROWS]++;
        }
    }
    for (size_t r = 0; r < ROWS; r++) {
        const double want = 20.0 * PATIENTS / ROWS;
        assert_true(fabs((double)chosen[r] - want) < 5.0 * sqrt(want));
    }
}

/* ---- noise ----------------------------------------------------------------------------------- */

enum { P = 20000 };

static void the_release_has_the_stated_standard_deviation(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy e;
    double *S = calloc(P, sizeof *S);
    double *mean = calloc(P, sizeof *mean);
    const double C = 0.5;
    const double sigma = 1.7;
    const double divisor = 40.0;
    replay_init(&e, 3, "release");
    assert_int_equal(noise_release(S, P, C, sigma, divisor, &e, mean, &err), RC_OK);
    double sum = 0.0;
    double sum_sq = 0.0;
    for (size_t i = 0; i < P; i++) {
        sum += mean[i] * divisor;
        sum_sq += mean[i] * divisor * mean[i] * divisor;
    }
    const double want = noise_deviation(C, sigma, P);
    assert_true(fabs(want / (sigma * C) - (1.0 + 0x1p-20 * sqrt(P))) < 1e-12);
    assert_true(fabs(sum) / sqrt(P) < 5.0 * want);
    assert_true(fabs(sqrt(sum_sq / P) / want - 1.0) < 5.0 / sqrt(2.0 * P));
    free(S);
    free(mean);
}

static void released_numbers_lie_on_the_public_grid(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy e;
    struct rng r;
    double S[64];
    double mean[64];
    const double C = 1.0;
    rng_init(&r, 5, "sums");
    for (size_t i = 0; i < 64; i++) {
        S[i] = 10.0 * rng_normal(&r);
    }
    replay_init(&e, 4, "release");
    assert_int_equal(noise_release(S, 64, C, 2.0, 1.0, &e, mean, &err), RC_OK);
    for (size_t i = 0; i < 64; i++) {
        const double steps = mean[i] / noise_grid(C);
        assert_true(steps == nearbyint(steps));
    }
}

static void noise_and_its_draws_do_not_depend_on_the_sum(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy a;
    struct entropy b;
    double zero[7] = {0};
    double other[7] = {1.0, -2.0, 3.5, 0.0, 1e3, -1e3, 0.25};
    double noise[7];
    double both[7];
    replay_init(&a, 1, "x");
    replay_init(&b, 1, "x");
    assert_int_equal(noise_release(zero, 7, 1.0, 0.3, 1.0, &a, noise, &err), RC_OK);
    assert_int_equal(noise_release(other, 7, 1.0, 0.3, 1.0, &b, both, &err), RC_OK);
    assert_int_equal(a.drawn, b.drawn);
    assert_true(a.drawn > 0);
    for (size_t i = 0; i < 7; i++) { /* all of it is on the grid, hence exact */
        assert_true(both[i] - noise[i] == other[i]);
    }
}

static void without_noise_nothing_is_drawn_and_the_sum_comes_back(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy e;
    const double S[3] = {1.25, -0.5, 3.0};
    double mean[3];
    replay_init(&e, 1, "x");
    assert_int_equal(noise_release(S, 3, 1.0, 0.0, 2.0, &e, mean, &err), RC_OK);
    assert_int_equal(e.drawn, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(mean[i] == S[i] / 2.0);
    }
}

static void a_sum_that_is_not_finite_is_not_released(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy e;
    const double S[2] = {1.0, (double)NAN};
    double mean[2] = {42.0, 42.0};
    replay_init(&e, 1, "x");
    assert_int_equal(noise_release(S, 2, 1.0, 1.0, 1.0, &e, mean, &err), RC_NUMERIC);
    assert_true(mean[0] == 42.0 && e.drawn == 0);
}

/* ---- clip ------------------------------------------------------------------------------------ */

enum { B = 12, D = 6 };

struct net {
    struct param_table table;
    struct param_id w, a;
    struct tape *tape;
    struct arena arena;
    real params[2 * D];
    float x[B * D], label[B];
};

/* logit = (w + a) x with w shared and a of the site: both take part in one norm. */
static struct node *record(struct net *n, struct arena *arena, size_t from, size_t count)
{
    tape_start(n->tape, arena, &n->table, n->params, count);
    struct node *x = tape_input(n->tape, n->x + from * D, D);
    struct node *z =
        tape_add(n->tape, tape_linear(n->tape, x, n->w), tape_linear(n->tape, x, n->a));
    return tape_bce(n->tape, z, n->label + from);
}

static struct net *net_make(double scale)
{
    struct error err = {0};
    struct net *n = calloc(1, sizeof *n);
    struct rng r;
    n->tape = malloc(sizeof *n->tape);
    const size_t dims[2] = {1, D};
    assert_int_equal(param_add(&n->table, "w", PARAM_SHARED, PARAM_FAN_IN, 2, dims, &n->w, &err),
                     RC_OK);
    assert_int_equal(param_add(&n->table, "a", PARAM_SITE, PARAM_FAN_IN, 2, dims, &n->a, &err),
                     RC_OK);
    param_table_seal(&n->table);
    param_init_values(&n->table, 5, n->params);
    rng_init(&r, 6, "batch");
    for (size_t i = 0; i < B * D; i++) {
        n->x[i] = (float)(scale * rng_normal(&r));
    }
    for (size_t i = 0; i < B; i++) {
        n->label[i] = (float)rng_below(&r, 2);
    }
    tape_backward(n->tape, record(n, NULL, 0, B));
    assert_int_equal(arena_init(&n->arena, n->tape->cost + clip_scratch_cost(n->tape, B), &err),
                     RC_OK);
    return n;
}

static void net_drop(struct net *n)
{
    arena_release(&n->arena);
    param_table_release(&n->table);
    free(n->tape);
    free(n);
}

static void add(struct net *n, size_t from, size_t count, double C, double *sum,
                struct clip_counts *counts)
{
    arena_rewind(&n->arena, 0);
    tape_backward(n->tape, record(n, &n->arena, from, count));
    clip_accumulate(n->tape, &n->arena, C, sum, counts);
}

static double norm(const double *v, size_t n)
{
    double sq = 0.0;
    for (size_t i = 0; i < n; i++) {
        sq += v[i] * v[i];
    }
    return sqrt(sq);
}

static void one_patient_moves_the_sum_by_at_most_the_bound(void **state)
{
    (void)state;
    const double scales[] = {0.01, 1.0, 100.0, 1e6};
    for (size_t k = 0; k < sizeof scales / sizeof scales[0]; k++) {
        struct net *n = net_make(scales[k]);
        for (size_t b = 0; b < B; b++) {
            double sum[2 * D] = {0};
            struct clip_counts counts = {0};
            add(n, b, 1, 0.7, sum, &counts);
            assert_true(norm(sum, 2 * D) <= 0.7);
        }
        net_drop(n);
    }
}

static void shared_and_site_parameters_are_clipped_as_one_vector(void **state)
{
    (void)state;
    struct net *n = net_make(100.0);
    double sum[2 * D] = {0};
    struct clip_counts counts = {0};
    size_t b = 0;
    while (counts.clipped == 0) {
        memset(sum, 0, sizeof sum);
        add(n, b++, 1, 1.0, sum, &counts);
    }
    assert_true(fabs(norm(sum, 2 * D) - 1.0) < 1e-4);
    assert_true(fabs(norm(sum, D) - sqrt(0.5)) < 1e-4); /* equal halves, by construction */
    net_drop(n);
}

static void a_small_gradient_is_left_alone(void **state)
{
    (void)state;
    struct net *n = net_make(0.01);
    double sum[2 * D] = {0};
    real plain[2 * D] = {0};
    struct clip_counts counts = {0};
    add(n, 0, B, 1.0, sum, &counts);
    assert_int_equal(counts.clipped, 0);
    assert_int_equal(counts.samples, B);
    arena_rewind(&n->arena, 0);
    tape_backward(n->tape, record(n, &n->arena, 0, B));
    for (size_t b = 0; b < B; b++) {
        book_form(n->tape, b, plain);
    }
    for (size_t i = 0; i < 2 * D; i++) {
        assert_true(fabs(sum[i] - (double)plain[i]) < 1e-6);
    }
    net_drop(n);
}

static void any_split_of_a_batch_gives_the_same_sum(void **state)
{
    (void)state;
    struct net *n = net_make(3.0);
    const double C = 0.5;
    double once[2 * D] = {0};
    struct clip_counts counts = {0};
    add(n, 0, B, C, once, &counts);
    for (size_t part = 1; part < B; part++) {
        double sum[2 * D] = {0};
        for (size_t at = 0; at < B; at += part) {
            add(n, at, B - at < part ? B - at : part, C, sum, &counts);
        }
        for (size_t i = 0; i < 2 * D; i++) {
            assert_true(fabs(sum[i] - once[i]) < (sizeof(real) == 8 ? 1e-12 : 1e-6) * C * B);
        }
    }
    net_drop(n);
}

static void a_gradient_that_is_not_finite_counts_as_zero_and_is_counted(void **state)
{
    (void)state;
    struct net *n = net_make(1.0);
    double clean[2 * D] = {0};
    double sum[2 * D] = {0};
    struct clip_counts counts = {0};
    for (size_t b = 0; b < B; b++) {
        if (b != 4) {
            add(n, b, 1, 1.0, clean, &counts);
        }
    }
    n->x[4 * D + 2] = INFINITY;
    counts = (struct clip_counts){0};
    add(n, 0, B, 1.0, sum, &counts);
    assert_int_equal(counts.dropped, 1);
    for (size_t i = 0; i < 2 * D; i++) {
        assert_true(fabs(sum[i] - clean[i]) < 1e-5);
    }
    net_drop(n);
}

/* ---- slices ---------------------------------------------------------------------------------- */

static struct node *record_slice(void *ctx, size_t thread, struct tape *t, size_t at)
{
    (void)thread;
    const struct net *n = ctx;
    struct node *x = tape_input(t, n->x + at * D, D);
    struct node *z = tape_add(t, tape_linear(t, x, n->w), tape_linear(t, x, n->a));
    return tape_bce(t, z, n->label + at);
}

static void sliced(struct net *n, size_t physical, size_t threads, double C, double *sum)
{
    struct error err = {0};
    struct slices *s = NULL;
    struct clip_counts counts = {0};
    double loss = 0.0;
    const struct slices_plan plan = {.table = &n->table,
                                     .physical = physical,
                                     .threads = threads,
                                     .record = record_slice,
                                     .ctx = n};
    assert_int_equal(slices_open(&plan, &s, &err), RC_OK);
    for (size_t step = 0; step < 50; step++) { /* often, so that threads meet in every order */
        memset(sum, 0, 2 * D * sizeof *sum);
        assert_int_equal(slices_accumulate(s, n->params, B, C, sum, &counts, &loss, &err), RC_OK);
    }
    assert_int_equal(counts.samples, 50 * B);
    slices_close(&s);
    assert_null(s);
}

static void the_number_of_threads_changes_no_byte(void **state)
{
    (void)state;
    struct net *n = net_make(3.0);
    for (size_t physical = 1; physical <= B; physical++) {
        double one[2 * D];
        double two[2 * D];
        double three[2 * D];
        sliced(n, physical, 1, 0.5, one);
        sliced(n, physical, 2, 0.5, two);
        sliced(n, physical, 3, 0.5, three);
        assert_memory_equal(one, two, sizeof one);
        assert_memory_equal(one, three, sizeof one);
    }
    net_drop(n);
}

static void slices_add_up_to_what_one_batch_gives(void **state)
{
    (void)state;
    struct net *n = net_make(3.0);
    double once[2 * D] = {0};
    double sum[2 * D];
    struct clip_counts counts = {0};
    add(n, 0, B, 0.5, once, &counts);
    sliced(n, 5, 2, 0.5, sum);
    for (size_t i = 0; i < 2 * D; i++) {
        assert_true(fabs(sum[i] - once[i]) < (sizeof(real) == 8 ? 1e-12 : 1e-6) * 0.5 * B);
    }
    net_drop(n);
}

static void without_a_bound_slices_add_up_the_gradients_themselves(void **state)
{
    (void)state;
    struct net *n = net_make(3.0);
    double sum[2 * D];
    real plain[2 * D] = {0};
    sliced(n, 5, 2, 0.0, sum);
    tape_backward(n->tape, record(n, &n->arena, 0, B));
    book_weighted_sum(n->tape, NULL, plain);
    for (size_t i = 0; i < 2 * D; i++) {
        assert_true(fabs(sum[i] - (double)plain[i]) < 1e-5);
    }
    net_drop(n);
}

static void more_threads_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    struct net *n = net_make(1.0);
    struct error err = {0};
    struct slices *s = NULL;
    const struct slices_plan plan = {.table = &n->table,
                                     .physical = 4,
                                     .threads = SLICES_THREADS_MAX + 1,
                                     .record = record_slice,
                                     .ctx = n};
    assert_int_equal(slices_open(&plan, &s, &err), RC_LIMIT);
    assert_null(s);
    net_drop(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removing_a_patient_leaves_the_others_coins_alone),
        cmocka_unit_test(every_patient_joins_with_the_stated_rate),
        cmocka_unit_test(batch_sizes_vary_as_poisson_sampling_does),
        cmocka_unit_test(the_extreme_rates_take_nobody_and_everybody),
        cmocka_unit_test(a_patient_with_several_rows_contributes_one_of_them),
        cmocka_unit_test(the_release_has_the_stated_standard_deviation),
        cmocka_unit_test(released_numbers_lie_on_the_public_grid),
        cmocka_unit_test(noise_and_its_draws_do_not_depend_on_the_sum),
        cmocka_unit_test(without_noise_nothing_is_drawn_and_the_sum_comes_back),
        cmocka_unit_test(a_sum_that_is_not_finite_is_not_released),
        cmocka_unit_test(one_patient_moves_the_sum_by_at_most_the_bound),
        cmocka_unit_test(shared_and_site_parameters_are_clipped_as_one_vector),
        cmocka_unit_test(a_small_gradient_is_left_alone),
        cmocka_unit_test(any_split_of_a_batch_gives_the_same_sum),
        cmocka_unit_test(the_number_of_threads_changes_no_byte),
        cmocka_unit_test(slices_add_up_to_what_one_batch_gives),
        cmocka_unit_test(without_a_bound_slices_add_up_the_gradients_themselves),
        cmocka_unit_test(more_threads_than_there_is_room_for_are_refused),
        cmocka_unit_test(a_gradient_that_is_not_finite_counts_as_zero_and_is_counted),
    };
    return cmocka_run_group_tests_name("common/dp", tests, NULL, NULL);
}
