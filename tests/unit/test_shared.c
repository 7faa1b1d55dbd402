/* Noise that several sites share: what a site adds, what the sum hides, and that nothing else is left over. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/train/train.h"
#include "aggregator/merge/merge.h"
#include "common/accountant/accountant.h"
#include "common/accountant/audit.h"
#include "common/base/replay.h"
#include "common/dp/share.h"
#include "common/update/update.h"
#include "tests/support/cohort.h"
#include "tests/support/seed.h"
#include "tests/support/study.h"

enum { SITES = 4, PATIENTS = 40, NOMINAL = 50 };

static const char *const names[SITES] = {"s0", "s1", "s2", "s3"};

/* Three of four sites must be in a sum, and one may collude: the noise is that of two. */
struct world {
    struct schema schema;
    struct study study;
    struct study_site site[SITES];
    struct model model;
    struct dataset *data[SITES];
    real *global; /* [P] */
    struct train_result result;
};

static void world_init(struct world *w, size_t adapter)
{
    struct error err = {0};
    *w = (struct world){0};
    test_schema(&w->schema);
    w->study = test_study(names, SITES, w->site);
    w->study.model = (struct study_model){.name = "mlp",
                                          .n_hidden = 1,
                                          .hidden = {5},
                                          .embedding = 3,
                                          .activation = "gelu",
                                          .adapter = adapter};
    w->study.privacy.noise = STUDY_NOISE_SHARED;
    w->study.quorum = w->study.min_sites = 3;
    w->study.max_colluding = 1;
    w->study.masked = true;
    for (size_t i = 0; i < SITES; i++) {
        w->site[i].nominal = NOMINAL * (i + 1); /* far from the truth, and different */
        w->data[i] = test_dataset(&w->schema, w->site[i].name, PATIENTS, 11 + i, SIZE_MAX);
    }
    assert_int_equal(model_open(&w->study.model, &w->schema, &w->model, &err), RC_OK);
    w->global = calloc(w->model.table.P, sizeof *w->global);
    param_init_values(&w->model.table, 1, w->global);
}

static void world_release(struct world *w)
{
    train_result_release(&w->result);
    for (size_t i = 0; i < SITES; i++) {
        dataset_close(&w->data[i]);
    }
    model_release(&w->model);
    schema_release(&w->schema);
    free(w->global);
}

/* One site's round. */
static void train(struct world *w, size_t site, uint64_t seed)
{
    struct error err = {0};
    struct entropy e;
    replay_init(&e, seed, w->site[site].name);
    const struct train_job job = {.study = &w->study,
                                  .model = &w->model,
                                  .data = w->data[site],
                                  .site = site,
                                  .round = 1,
                                  .global = w->global};
    train_result_release(&w->result);
    if (train_round(&job, &e, &w->result, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

/* Of all sites but `without`, as whole numbers of the grid. sum [S] */
static void sum_of(struct world *w, size_t without, uint64_t seed, double *sum)
{
    const size_t S = w->model.table.S;
    struct error err = {0};
    uint32_t *ring = calloc(S, sizeof *ring);
    for (size_t i = 0; i < SITES; i++) {
        if (i != without) {
            train(w, i, seed);
            assert_int_equal(update_add(ring, S, w->result.update, w->result.update_bytes, &err),
                             RC_OK);
        }
    }
    update_decode(ring, S, 1.0, 0, sum);
    free(ring);
}

/* In units of the grid: sigma (C + gamma sqrt(P)) / gamma, of the whole noise. */
static double whole_noise(const struct world *w)
{
    const struct study_privacy *dp = &w->study.privacy;
    const size_t bits = study_share_bits(&w->study);
    return dp->noise_multiplier * share_sensitivity(dp->clip, bits, w->model.table.P) /
           ldexp(dp->clip, -(int)bits);
}

static double own_of(const struct world *w, size_t i)
{
    double x = 0.0;
    memcpy(&x, w->result.site_state + 40 + i * sizeof x, sizeof x); /* behind five words */
    return x;
}

/* ---- noise ----------------------------------------------------------------------------------- */

/* With q so small that nobody is sampled all that comes is noise. */
static void the_sum_has_the_noise_that_is_accounted_and_a_part_has_a_share(void **state)
{
    (void)state;
    enum { RUNS = 60 };
    struct world w;
    world_init(&w, 2);
    w.study.privacy.sample_rate = 1e-9;
    const uint64_t seed = seed_of_run();
    const size_t S = w.model.table.S;
    const size_t A = w.model.table.P - S;
    const double want = whole_noise(&w);
    double *sum = calloc(S, sizeof *sum);
    double sq[2] = {0.0, 0.0}; /* of three sites; of one */
    double own_sq = 0.0;
    assert_true(A > 0);
    for (uint64_t r = 0; r < RUNS; r++) {
        sum_of(&w, 1, seed + r, sum);
        for (size_t i = 0; i < S; i++) {
            sq[0] += sum[i] * sum[i];
        }
        uint32_t *ring = calloc(S, sizeof *ring);
        struct error err = {0};
        train(&w, 0, seed + r);
        assert_int_equal(update_add(ring, S, w.result.update, w.result.update_bytes, &err), RC_OK);
        update_decode(ring, S, 1.0, 0, sum);
        free(ring);
        for (size_t i = 0; i < S; i++) {
            sq[1] += sum[i] * sum[i];
        }
        for (size_t i = 0; i < A; i++) { /* w - rate mean, in units of the grid */
            const double mean = (double)w.global[S + i] - own_of(&w, i);
            const double gamma = ldexp(w.study.privacy.clip, -(int)study_share_bits(&w.study));
            const double x = mean * w.study.privacy.sample_rate * NOMINAL / gamma;
            own_sq += x * x;
        }
    }
    const double n = (double)S * RUNS;
    const double m = (double)A * RUNS;
    assert_true(fabs(sqrt(sq[0] / n) / (want * sqrt(3.0 / 2.0)) - 1.0) < 5.0 / sqrt(2.0 * n));
    assert_true(fabs(sqrt(sq[1] / n) / (want * sqrt(1.0 / 2.0)) - 1.0) < 5.0 / sqrt(2.0 * n));
    assert_true(fabs(sqrt(own_sq / m) / want - 1.0) < 5.0 / sqrt(2.0 * m)); /* all of it */
    free(sum);
    world_release(&w);
}

/*
 * The sum of n rounded normals is, to all that can be seen, round(G + U_2 + ... + U_n), with G normal of n
 * times the variance and U uniform in (-1/2, 1/2): post-processing of one Gaussian release. What is left is
 * below 3 n exp(-2 pi^2 s^2 (1 - 1/n)) a number (docs/PRIVACY.md), which can be measured at s = 1 only.
 */
static void rounded_normals_add_up_as_one_normal_does(void **state)
{
    (void)state;
    enum { M = 30, W = 2 * M + 1, FINE = 2000 };
    const double s = 1.0;
    double one[W];
    double two[W] = {0};
    double three[W] = {0};
    for (int j = -M; j <= M; j++) {
        one[j + M] = 0.5 * (erfc((j - 0.5) / (s * sqrt(2.0))) - erfc((j + 0.5) / (s * sqrt(2.0))));
    }
    for (int i = 0; i < W; i++) {
        for (int j = 0; j < W; j++) {
            const int k = i + j - M;
            two[k < 0 || k >= W ? 0 : k] += k < 0 || k >= W ? 0.0 : one[i] * one[j];
        }
    }
    for (int i = 0; i < W; i++) {
        for (int j = 0; j < W; j++) {
            const int k = i + j - M;
            three[k < 0 || k >= W ? 0 : k] += k < 0 || k >= W ? 0.0 : two[i] * one[j];
        }
    }
    const double pi = 3.14159265358979323846;
    const double bound = 9.0 * exp(-4.0 / 3.0 * pi * pi * s * s);
    double most = 0.0;
    for (int j = -12; j <= 12; j++) {
        /* density of G + U + U + U at j: over the three uniforms' sum, of density h (Irwin, Hall) */
        double g = 0.0;
        for (int k = 0; k < 3 * FINE; k++) {
            const double u = -1.5 + (k + 0.5) / FINE;
            const double h = fabs(u) < 0.5 ? 0.75 - u * u : 0.5 * (1.5 - fabs(u)) * (1.5 - fabs(u));
            const double x = (j - u) / (s * sqrt(3.0));
            g += h * exp(-0.5 * x * x) / (s * sqrt(6.0 * pi)) / FINE;
        }
        most = fmax(most, fabs(g - three[j + M]));
    }
    print_message("largest difference %.2g, bound %.2g\n", most, bound);
    assert_true(most < bound && most > 1e-12);
    assert_true(fabs(three[M] - 1.0 / (s * sqrt(6.0 * pi))) >
                100.0 * bound); /* not the normal's own */
}

/* ---- what moves and what stays ---------------------------------------------------------------- */

static void neighbours_move_the_sum_and_the_site_s_own_by_at_most_the_bound(void **state)
{
    (void)state;
    struct world with;
    struct world without;
    double largest = 0.0;
    world_init(&with, 2);
    world_init(&without, 2);
    /* Large noise, equal on both sides: a scale that depends on data would move all of it. */
    with.study.privacy.clip = without.study.privacy.clip = 0.05;
    with.study.privacy.noise_multiplier = without.study.privacy.noise_multiplier = 50.0;
    const size_t S = with.model.table.S;
    const size_t A = with.model.table.P - S;
    const double C = with.study.privacy.clip;
    const size_t bits = study_share_bits(&with.study);
    const double divisor = with.study.privacy.sample_rate * NOMINAL * 3;
    double *a = calloc(2 * S, sizeof *a);
    double *b = a + S;
    for (size_t gone = 0; gone < PATIENTS; gone += 5) {
        dataset_close(&without.data[2]);
        without.data[2] = test_dataset(&without.schema, "s2", PATIENTS, 13, gone);
        sum_of(&with, 3, 1 + gone, a);
        sum_of(&without, 3, 1 + gone, b);
        double sq = 0.0;
        for (size_t i = 0; i < S; i++) {
            const double d = ldexp((a[i] - b[i]) * C, -(int)bits);
            sq += d * d;
        }
        train(&with, 2, 1 + gone);
        train(&without, 2, 1 + gone);
        for (size_t i = 0; i < A; i++) {
            const double d = (own_of(&with, i) - own_of(&without, i)) * divisor;
            sq += d * d;
        }
        assert_true(sqrt(sq) <=
                    share_sensitivity(C, bits, with.model.table.P) + 60.0 * C * 0x1p-23);
        largest = fmax(largest, sqrt(sq));
    }
    assert_true(largest > 0.9 * C); /* the bound is met: the test could fail */
    free(a);
    world_release(&with);
    world_release(&without);
}

/* The site's state may be read by its next round: the part of the sum, with little noise, is not in it. */
static void nothing_of_a_part_stays_at_the_site(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    train(&w, 0, 1);
    const size_t n = w.result.site_state_bytes;
    unsigned char *before = malloc(n);
    memcpy(before, w.result.site_state, n);
    unsigned char first[16];
    memcpy(first, w.result.update, sizeof first);
    train(&w, 0, 2);
    assert_memory_not_equal(w.result.update, first, sizeof first);
    /* Shared numbers stand in no state; moments of a plain step are none. */
    for (size_t i = 16; i < n; i++) {
        if (i < 24 || i >= 32) { /* but for the count of steps */
            assert_int_equal(w.result.site_state[i], before[i]);
        }
    }
    free(before);
    world_release(&w);
}

/* ---- the step -------------------------------------------------------------------------------- */

/* The model after a round of the sites but `without`. */
static void merged(struct world *w, size_t without, uint64_t seed, real *model)
{
    struct error err = {0};
    struct merge *m = NULL;
    const size_t S = w->model.table.S;
    unsigned char none[1] = {0};
    memcpy(model, w->global, S * sizeof *model);
    assert_int_equal(merge_open(&w->study, w->model.span, S, &m, &err), RC_OK);
    for (size_t i = 0; i < SITES; i++) {
        if (i != without) {
            train(w, i, seed);
            assert_int_equal(merge_add(m, i, w->result.update, w->result.update_bytes, &err),
                             RC_OK);
        }
    }
    assert_int_equal(merge_finish(m, 1, model, none, 0, &err), RC_OK);
    merge_close(&m);
}

static void the_step_is_that_of_plain_updates_but_for_the_noise(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    w.study.privacy.noise_multiplier = 4e-3;
    w.study.privacy.clip = 0.05;
    const size_t S = w.model.table.S;
    real *shared = calloc(2 * S, sizeof *shared);
    real *site = shared + S;
    for (size_t without = 1; without <= SITES; without += SITES - 1) { /* of three; of all */
        w.study.privacy.noise = STUDY_NOISE_SHARED;
        merged(&w, without, 5, shared);
        w.study.privacy.noise = STUDY_NOISE_SITE;
        merged(&w, without, 5, site);
        double largest = 0.0;
        const double noise = 4e-3 * 0.05 * 2.0; /* four sites' on top of each other */
        const double divisor = 0.5 * NOMINAL * 8;
        for (size_t i = 0; i < S; i++) {
            assert_true(fabs((double)(shared[i] - site[i])) < 8.0 * noise / divisor + 1e-7);
            largest = fmax(largest, fabs((double)(site[i] - w.global[i])));
        }
        assert_true(largest > 100.0 * noise / divisor);
    }
    free(shared);
    world_release(&w);
}

static void no_sum_leaves_the_ring_and_a_part_is_cut_before_its_noise(void **state)
{
    (void)state;
    struct world w;
    struct error err = {0};
    world_init(&w, 0);
    for (int k = 0; k < 40; k++) {
        for (size_t i = 0; i < SITES; i++) {
            w.site[i].nominal = (size_t)1 << (k % 20);
        }
        w.study.privacy.noise_multiplier = ldexp(0.01, k / 3);
        const size_t bits = study_share_bits(&w.study);
        double most = 14.0 * 2.0 * w.study.privacy.noise_multiplier * sqrt(SITES / 2.0);
        for (size_t i = 0; i < SITES; i++) {
            most += study_share_most(&w.study, i);
        }
        assert_true(bits == 0 || (ldexp(most, (int)bits) < 0x1p31 && bits <= 20));
        assert_true(bits == 20 || bits == 0 || ldexp(most, (int)bits + 1) > 0x1p31 - 0x1p13);
    }
    w.study.privacy.noise_multiplier = 1e-5; /* rounded away */
    assert_int_equal(study_share_bits(&w.study), 0);
    world_release(&w);

    struct entropy e;
    replay_init(&e, seed_of_run(), "cut");
    const struct share a = {.gamma = 0.25, .most = 100.0, .deviation = 0.5};
    const double S[] = {1e6, -1e6, 24.9, 0.0};
    double part[4];
    assert_int_equal(share_add_noise(S, 4, &a, &e, part, &err), RC_OK);
    const double want[] = {100.0, -100.0, 100.0, 0.0};
    for (size_t i = 0; i < 4; i++) {
        assert_true(fabs(part[i] - want[i]) < 2.0 * 14.0);
        assert_true(part[i] == rint(part[i]));
    }
    const double bad[] = {0.0, (double)NAN};
    assert_int_equal(share_add_noise(bad, 2, &a, &e, part, &err), RC_NUMERIC);
}

/* ---- an audit -------------------------------------------------------------------------------- */

/* A masked sum of `honest` parts, with the canary's gradient in one of them or not: as many trials as numbers.
 * The attacker knows all that colluding sites added, and everything but the noise. @return how many he calls
 * "in": the likelihood ratio is above 1 */
enum { AT_ONCE = 1000 };

static size_t called_in(double sigma, size_t honest, bool in, struct entropy *e)
{
    const double C = 0.7;
    const size_t bits = 18;
    const struct share a = {.gamma = ldexp(C, -18),
                            .most = HUGE_VAL,
                            .deviation = sigma * share_sensitivity(C, bits, 4) / sqrt(3.0)};
    double S[AT_ONCE];
    double part[AT_ONCE];
    double sum[AT_ONCE] = {0.0};
    struct error err = {0};
    size_t found = 0;
    for (size_t k = 0; k < honest; k++) {
        for (size_t i = 0; i < AT_ONCE; i++) {
            S[i] = k == 0 && in ? C : 0.0;
        }
        assert_int_equal(share_add_noise(S, AT_ONCE, &a, e, part, &err), RC_OK);
        for (size_t i = 0; i < AT_ONCE; i++) {
            sum[i] += part[i];
        }
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        found += sum[i] * a.gamma / C > 0.5;
    }
    return found;
}

static double audited(double sigma, size_t honest, double risk, struct entropy *e)
{
    enum { TRIALS = 10 * AT_ONCE };
    struct audit_counts c = {.in = TRIALS, .out = TRIALS};
    for (size_t i = 0; i < TRIALS; i += AT_ONCE) {
        c.in_found += called_in(sigma, honest, true, e);
        c.out_found += called_in(sigma, honest, false, e);
    }
    return audit_lower(&c, 1e-5, risk).epsilon_gaussian;
}

/* min_sites 4, max_colluding 1: three honest parts keep the claim, four are below it; one alone, or three
 * with half the noise, are caught. */
static void an_attacker_finds_most_of_the_claim_in_the_sum_and_more_in_a_part(void **state)
{
    (void)state;
    enum { AUDITS = 40 };
    struct error err = {0};
    struct entropy e;
    double sigma = 0.0;
    double mean = 0.0;
    size_t beyond = 0;
    assert_int_equal(accountant_sigma(1.0, 1e-5, 1.0, 1, &sigma, &err), RC_OK);
    replay_init(&e, seed_of_run(), "shared");
    for (int i = 0; i < AUDITS; i++) {
        const double found = audited(sigma, 3, 0.05, &e);
        beyond += found > 1.0;
        mean += found / AUDITS;
    }
    const double four = audited(sigma, 4, 0.05, &e);
    const double alone = audited(sigma, 1, 1e-6, &e);
    const double halved = audited(0.5 * sigma, 3, 1e-6, &e);
    print_message(
        "lower bounds: three honest parts %.3f (mean of %d, %zu above the claim of 1), four "
        "%.3f, a part alone %.3f, half the noise %.3f\n",
        mean, AUDITS, beyond, four, alone, halved);
    assert_true(beyond <= 4);
    assert_true(mean > 0.6);
    assert_true(four < 1.0);
    assert_true(alone > 1.0);
    assert_true(halved > 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_has_the_noise_that_is_accounted_and_a_part_has_a_share),
        cmocka_unit_test(rounded_normals_add_up_as_one_normal_does),
        cmocka_unit_test(neighbours_move_the_sum_and_the_site_s_own_by_at_most_the_bound),
        cmocka_unit_test(nothing_of_a_part_stays_at_the_site),
        cmocka_unit_test(the_step_is_that_of_plain_updates_but_for_the_noise),
        cmocka_unit_test(no_sum_leaves_the_ring_and_a_part_is_cut_before_its_noise),
        cmocka_unit_test(an_attacker_finds_most_of_the_claim_in_the_sum_and_more_in_a_part),
    };
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
