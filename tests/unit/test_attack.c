/* Attacks on small federations: they find what is there, nothing where nothing is, and a broken defence. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/accountant/pld.h"
#include "common/base/rng.h"
#include "sim/attack/attack_internal.h"
#include "sim/fleet/fleet.h"
#include "tests/support/seed.h"
#include "tests/support/study.h"

enum { SITES = 3, OF_A_SITE = 12, FEATURES = 4, ROUNDS = 5 };

static const char *const names[SITES] = {"a", "b", "c"};

/* Three hospitals, four features in [-1, 1], no value missing: logistic regression has five numbers. */
struct world {
    struct schema schema;
    struct schema_feature feature[FEATURES];
    struct study study, open;
    struct study_site site[SITES];
    struct model model;
    struct dataset *data;
    struct attack_params params;
};

static struct dataset *patients(void)
{
    struct dataset *d = NULL;
    struct error err = {0};
    struct rng r;
    const size_t n = SITES * OF_A_SITE;
    rng_init(&r, 5, "patients");
    assert_int_equal(dataset_reserve(n, n, FEATURES, 0, SITES, &d, &err), RC_OK);
    for (size_t i = 0; i < SITES; i++) {
        (void)snprintf(d->site_name[i], sizeof d->site_name[i], "%s", names[i]);
    }
    for (size_t p = 0; p < n; p++) {
        double severity = 0.0;
        (void)snprintf(d->patient_id[p], sizeof d->patient_id[p], "p%03zu", p);
        d->patient[p] = hash_of(d->patient_id[p], strlen(d->patient_id[p]));
        d->first_row[p + 1] = p + 1;
        d->site[p] = (uint32_t)(p % SITES);
        for (size_t i = 0; i < FEATURES; i++) {
            const double x = 2.0 * rng_uniform(&r) - 1.0;
            d->values[p * FEATURES + i] = (float)x;
            severity += x;
        }
        d->label[p] = severity + 0.5 * rng_normal(&r) > 0.0 ? 1.0f : 0.0f;
    }
    return d;
}

static void world_open(struct world *w, double epsilon)
{
    struct error err = {0};
    *w = (struct world){0};
    w->schema = (struct schema){.n_features = FEATURES, .feature = w->feature};
    for (size_t i = 0; i < FEATURES; i++) {
        (void)snprintf(w->feature[i].name, sizeof w->feature[i].name, "f%zu", i);
        w->feature[i].low = -1.0;
        w->feature[i].high = 1.0;
    }
    w->study = test_study(names, SITES, w->site);
    w->study.model = (struct study_model){.name = "logistic"};
    w->study.privacy =
        (struct study_privacy){.noise = isfinite(epsilon) ? STUDY_NOISE_SITE : STUDY_NOISE_NONE,
                               .epsilon = epsilon,
                               .delta = isfinite(epsilon) ? 1e-3 : 0.0,
                               .clip = 0.5,
                               .sample_rate = 1.0};
    w->study.seed = 3;
    w->study.rounds = ROUNDS;
    for (size_t i = 0; i < SITES; i++) {
        w->site[i].nominal = OF_A_SITE + i;
    }
    assert_int_equal(study_plan(&w->study, &err), RC_OK);
    w->open = w->study;
    w->open.privacy.noise = STUDY_NOISE_NONE;
    w->open.privacy.epsilon = HUGE_VAL;
    w->open.privacy.noise_multiplier = 0.0;
    assert_int_equal(model_open(&w->study.model, &w->schema, &w->model, &err), RC_OK);
    w->data = patients();
    w->params = attack_params_default();
    w->params.patients = 4;
    w->params.references = 8;
    w->params.trials = 300;
}

static void world_close(struct world *w)
{
    dataset_close(&w->data);
    model_release(&w->model);
}

static void count_runs(void *ctx, size_t done, size_t of)
{
    assert_true(done <= of);
    ++*(size_t *)ctx;
}

/* @param archive NULL: none. @param made counts runs; NULL: nobody does */
static struct attack *attack_from(const struct world *w, uint64_t seed, size_t jobs,
                                  struct attack_archive *archive, size_t *made)
{
    struct error err = {0};
    struct attack *a = NULL;
    const struct attack_setup setup = {.params = &w->params,
                                       .open = &w->open,
                                       .schema = &w->schema,
                                       .model = &w->model,
                                       .data = w->data,
                                       .seed = seed,
                                       .jobs = jobs,
                                       .archive = archive,
                                       .progress = made != NULL ? count_runs : NULL,
                                       .progress_ctx = made};
    assert_int_equal(attack_open(&setup, &a, &err), RC_OK);
    return a;
}

static struct attack *attack_of(const struct world *w, uint64_t seed, size_t jobs)
{
    return attack_from(w, seed, jobs, NULL, NULL);
}

/* ---- arithmetic -------------------------------------------------------------------------------- */

/* H = [(2, 0), (1, 1)], b = (1, 0), so r = (2, 0): A = [4 2; 2 2], y = (4, 2). */
static void two_subjects_in_one_sum_are_told_apart(void **state)
{
    (void)state;
    struct error err = {0};
    struct attack_detector d = {0};
    double score[2];
    assert_int_equal(attack_detector_open(2, &d, &err), RC_OK);
    memcpy(d.gram, (double[]){4, 2, 2, 2}, 4 * sizeof(double));
    memcpy(d.match, (double[]){4, 2}, 2 * sizeof(double));
    /* (A + I) x = y - A 1/2 = (1, 0): x = (3, -2) / 11 */
    assert_int_equal(attack_detector_guess(&d, 0.25, score, &err), RC_OK);
    assert_true(fabs(score[0] - (0.5 + 3.0 / 11.0)) < 1e-12);
    assert_true(fabs(score[1] - (0.5 - 2.0 / 11.0)) < 1e-12);
    assert_int_equal(attack_detector_guess(&d, 0.0, score, &err), RC_OK);
    assert_true(fabs(score[0] - 1.0) < 0.01);
    assert_true(fabs(score[1]) < 0.01);
    attack_detector_release(&d);
}

/* One subject, two references with (means 2) and two without (mean 0), each 0.5 off: the pooled variance is
 * 4 x .25 / 2 = .5, and the ratio at x is 2 (x - 1) / .5. */
static void a_likelihood_ratio_is_that_of_two_normals(void **state)
{
    (void)state;
    struct error err = {0};
    const bool in[4] = {true, true, false, false};
    const double confidence[4] = {1.5, 2.5, -0.5, 0.5};
    const struct attack_runs references = {.runs = 4, .n = 1, .in = in, .confidence = confidence};
    const bool target_in[2] = {true, false};
    const double seen[2] = {1.75, 0.25};
    const struct attack_runs target = {.runs = 2, .n = 1, .in = target_in, .confidence = seen};
    double score[4];
    assert_int_equal(attack_lira(&target, &references, score, &err), RC_OK);
    assert_true(fabs(score[0] - 3.0) < 1e-9);
    assert_true(fabs(score[1] + 3.0) < 1e-9);
    /* a run is no reference of itself: without 1.5 the mean with is 2.5 */
    assert_int_equal(attack_lira(&references, &references, score, &err), RC_OK);
    const double variance = (0.5 + 8.0 * 0.5) / (1.0 + 8.0);
    assert_true(fabs(score[0] - 2.5 * (1.5 - 1.25) / variance) < 1e-9);
}

/* Out: 1 ... 200; at FPR 1 % the two largest are accused. In: 40 of 100 are above 198. */
static void rates_are_counted_at_their_threshold(void **state)
{
    (void)state;
    enum { OUT = 200, IN = 100 };
    struct error err = {0};
    struct attack_row row = {.epsilon = HUGE_VAL};
    double score[OUT + IN];
    bool in[OUT + IN];
    for (size_t i = 0; i < OUT + IN; i++) {
        in[i] = i >= OUT;
        score[i] = !in[i] ? 1.0 + (double)i : i < OUT + 40 ? 198.5 : 0.5;
    }
    assert_int_equal(attack_rates(score, in, OUT + IN, NULL, &row, &err), RC_OK);
    assert_int_equal(row.in, IN);
    assert_int_equal(row.out, OUT);
    assert_true(fabs(row.hundredth.fpr.value - 0.01) < 1e-12);
    assert_true(fabs(row.hundredth.tpr.value - 0.4) < 1e-12);
    /* Clopper and Pearson's interval of 40 of 100, from tables */
    assert_true(fabs(row.hundredth.tpr.low - 0.3033) < 1e-4);
    assert_true(fabs(row.hundredth.tpr.high - 0.5028) < 1e-4);
    assert_true(!row.has_thousandth);
    assert_true(row.hundredth.bound == 1.0);
}

/* ---- one convex world, computed by hand ---------------------------------------------------------- */

/* Federated logistic regression without noise, as its equations say it. @return w, b */
static void by_hand(const struct world *w, const struct attack_group *g, const bool *in,
                    double theta[FEATURES + 1])
{
    const struct study *s = &w->study;
    const struct dataset *d = g->data;
    for (size_t i = 0; i <= FEATURES; i++) {
        theta[i] = 0.0;
    }
    for (size_t round = 0; round < s->rounds; round++) {
        double step[FEATURES + 1] = {0.0};
        for (size_t p = 0; p < d->n_patients; p++) {
            bool here = true;
            for (size_t j = 0; j < g->n; j++) {
                here = here && (g->patient[j] != p || in[j]);
            }
            double z = theta[FEATURES];
            double norm = 1.0;
            for (size_t i = 0; i < FEATURES; i++) {
                const double x = (double)d->values[p * FEATURES + i];
                z += theta[i] * x;
                norm += x * x;
            }
            const double residual = 1.0 / (1.0 + exp(-z)) - (double)d->label[p];
            const double scale = fmin(1.0, s->privacy.clip / (fabs(residual) * sqrt(norm)));
            /* weight n_k / N times 1 / n_k: every patient counts 1 / N */
            const double share = s->local.rate * scale * residual / (double)study_nominal_total(s);
            for (size_t i = 0; here && i <= FEATURES; i++) {
                step[i] += share * (i < FEATURES ? (double)d->values[p * FEATURES + i] : 1.0);
            }
        }
        for (size_t i = 0; i <= FEATURES; i++) {
            theta[i] -= step[i];
        }
    }
}

static void a_convex_world_is_seen_as_its_equations_say(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    struct attack_group g = {0};
    const bool in[SITES] = {true, false, true};
    double update[SITES];
    double sum[SITES];
    double confidence[SITES];
    double theta[FEATURES + 1];
    world_open(&w, HUGE_VAL);
    assert_int_equal(attack_group_open(&w.study, w.data, ATTACK_PATIENT, 1, 9, &g, &err), RC_OK);
    assert_int_equal(attack_group_ready(&g, &err), RC_OK);
    const struct attack_world run = {.group = &g,
                                     .study = &w.study,
                                     .model = &w.model,
                                     .in = in,
                                     .seed = 1,
                                     .known_others = true,
                                     .update = update,
                                     .sum = sum,
                                     .confidence = confidence};
    assert_int_equal(attack_world_run(&run, &err), RC_OK);
    by_hand(&w, &g, in, theta);
    for (size_t j = 0; j < SITES; j++) {
        double z = theta[FEATURES];
        for (size_t i = 0; i < FEATURES; i++) {
            z += theta[i] * (double)w.data->values[g.patient[j] * FEATURES + i];
        }
        z = w.data->label[g.patient[j]] > 0.5f ? z : -z;
        assert_true(fabs(confidence[j] - z) < 1e-5);
        /* alone in its update: 1/2 +- A / (A + A / 1000) / 2 */
        const double half = 0.5 / 1.001;
        assert_true(fabs(update[j] - (in[j] ? 0.5 + half : 0.5 - half)) < 1e-3);
        assert_true(fabs(sum[j] - (in[j] ? 1.0 : 0.0)) < 0.05);
    }
    attack_group_release(&g);
    world_close(&w);
}

/* The same study by the fleet, with machines, ledgers and registry: the same model to the byte. */
static void an_attacked_federation_is_the_fleet_s(void **state)
{
    (void)state;
    const struct {
        double epsilon;
        enum study_broadcast broadcast;
    } kind[] = {{HUGE_VAL, STUDY_FLOAT32}, {2.0, STUDY_FLOAT32}, {2.0, STUDY_FLOAT16}};
    for (size_t e = 0; e < sizeof kind / sizeof kind[0]; e++) {
        struct error err = {0};
        struct world w;
        struct attack_group g = {0};
        struct dataset *data[SITES] = {NULL};
        struct ledger_policy policy[SITES];
        struct fleet_result r = {0};
        const bool in[SITES] = {false, true, true};
        world_open(&w, kind[e].epsilon);
        w.study.broadcast = kind[e].broadcast;
        real *params = calloc(w.model.table.P, sizeof *params);
        assert_non_null(params);
        assert_int_equal(attack_group_open(&w.study, w.data, ATTACK_CANARY, 1, 9, &g, &err), RC_OK);
        const struct attack_world run = {.group = &g,
                                         .study = &w.study,
                                         .model = &w.model,
                                         .in = in,
                                         .seed = 11,
                                         .params = params};
        assert_int_equal(attack_world_run(&run, &err), RC_OK);
        for (size_t i = 0; i < SITES; i++) {
            assert_int_equal(attack_group_pick(&g, &w.study, i, in, &data[i], &err), RC_OK);
            policy[i] = (struct ledger_policy){.max_epsilon_per_study = HUGE_VAL,
                                               .max_epsilon_total = HUGE_VAL,
                                               .max_delta_per_study = 0.01,
                                               .min_sites = 1};
        }
        const struct fleet_params p = {.study = &w.study,
                                       .schema = &w.schema,
                                       .model = &w.model,
                                       .data = (const struct dataset *const *)data,
                                       .policy = policy,
                                       .seed = 11};
        assert_int_equal(fleet_run(&p, &r, &err), RC_OK);
        assert_true(r.done);
        assert_memory_equal(params, r.model, w.model.table.S * sizeof *params);
        fleet_result_release(&r);
        for (size_t i = 0; i < SITES; i++) {
            dataset_close(&data[i]);
        }
        attack_group_release(&g);
        free(params);
        world_close(&w);
    }
}

/* ---- what attacks find ---------------------------------------------------------------------------- */

static void without_noise_canaries_are_found(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    struct attack_row row[ATTACK_ROWS_MAX];
    size_t n = 0;
    world_open(&w, HUGE_VAL);
    struct attack *a = attack_of(&w, seed_of_run(), 1);
    assert_int_equal(attack_cell(a, &w.study, row, &n, &err), RC_OK);
    assert_int_equal(n, ATTACK_ROWS_MAX);
    for (size_t i = 0; i < n; i++) {
        print_message("%s, %s: TPR %.3f, balanced %.3f\n", attack_subject_name(row[i].subject),
                      attack_view_name(row[i].view), row[i].hundredth.tpr.value,
                      row[i].balanced.value);
        if (row[i].subject == ATTACK_CANARY) { /* also through masks, and from the model alone */
            assert_true(row[i].hundredth.tpr.low > 0.5);
            assert_true(row[i].epsilon_low > 2.0);
        }
        assert_true(attack_row_within(&row[i]));
    }
    attack_close(&a);
    world_close(&w);
}

/* Rows of canaries at epsilon 4; the study does `done` of what it claims. */
static void canaries_at_four(const struct world *w, const struct study *done, uint64_t seed,
                             struct attack_row row[ATTACK_VIEWS])
{
    struct error err = {0};
    struct attack_row all[ATTACK_ROWS_MAX];
    size_t n = 0;
    struct attack *a = attack_of(w, seed, 1);
    assert_int_equal(attack_cell_against(a, done, &w->study, all, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        if (all[i].subject == ATTACK_CANARY) {
            row[all[i].view] = all[i];
        }
    }
    attack_close(&a);
}

static void canaries_stay_within_their_bound_and_come_near_it(void **state)
{
    (void)state;
    struct world w;
    struct attack_row row[ATTACK_VIEWS];
    world_open(&w, 4.0);
    w.params.trials = 1000;
    canaries_at_four(&w, &w.study, seed_of_run(), row);
    for (size_t v = 0; v < ATTACK_VIEWS; v++) {
        print_message("%s: TPR %.3f, bound %.3f, epsilon %.2f, %.2f\n",
                      attack_view_name((enum attack_view)v), row[v].hundredth.tpr.value,
                      row[v].hundredth.bound, row[v].epsilon_low, row[v].epsilon_low_gaussian);
        assert_true(attack_row_within(&row[v]));
    }
    /* whoever sees every update of a site of known patients has nearly all that the bound allows */
    assert_true(row[ATTACK_UPDATE].balanced.value > row[ATTACK_UPDATE].bound_balanced - 0.08);
    assert_true(row[ATTACK_SUM].balanced.value < row[ATTACK_UPDATE].balanced.value);
    world_close(&w);
}

static void half_the_noise_is_caught(void **state)
{
    (void)state;
    struct world w;
    struct attack_row row[ATTACK_VIEWS];
    world_open(&w, 4.0);
    w.params.trials = 500;
    struct study halved = w.study;
    halved.privacy.noise_multiplier *= 0.5;
    canaries_at_four(&w, &halved, seed_of_run(), row);
    print_message("half the noise: TPR %.3f, bound %.3f, epsilon is at least %.2f\n",
                  row[ATTACK_UPDATE].hundredth.tpr.value, row[ATTACK_UPDATE].hundredth.bound,
                  row[ATTACK_UPDATE].epsilon_low_gaussian);
    assert_false(attack_row_within(&row[ATTACK_UPDATE]));
    assert_true(row[ATTACK_UPDATE].epsilon_low_gaussian > 4.0);
    world_close(&w);
}

/* Noise for gradients of at most 0.5, and gradients of any size. */
static void a_clip_that_is_ignored_is_caught(void **state)
{
    (void)state;
    struct world w;
    struct attack_row row[ATTACK_VIEWS];
    world_open(&w, 4.0);
    w.params.trials = 500;
    struct study loose = w.study;
    loose.privacy.clip *= 1000.0;
    loose.privacy.noise_multiplier /= 1000.0;
    canaries_at_four(&w, &loose, seed_of_run(), row);
    print_message("no clip: TPR %.3f, bound %.3f\n", row[ATTACK_UPDATE].hundredth.tpr.value,
                  row[ATTACK_UPDATE].hundredth.bound);
    assert_false(attack_row_within(&row[ATTACK_UPDATE]));
    world_close(&w);
}

/* The model of a run in which nobody of the subjects was, compared with references as if coins had been
 * thrown: whoever is accused is accused at random. */
static void where_nobody_was_in_as_many_are_accused_of_either_kind(void **state)
{
    (void)state;
    enum { RUNS = 24, EACH = 4, N = SITES * EACH };
    struct error err = {0};
    struct world w;
    struct attack_group g = {0};
    struct rng r;
    static bool in[RUNS * N], thrown[RUNS * N], nobody[N];
    static double seen[RUNS * N], compare[RUNS * N], score[RUNS * N];
    world_open(&w, 8.0);
    rng_init(&r, seed_of_run(), "thrown");
    assert_int_equal(attack_group_open(&w.study, w.data, ATTACK_PATIENT, EACH, 9, &g, &err), RC_OK);
    for (size_t i = 0; i < RUNS * N; i++) {
        in[i] = rng_below(&r, 2) == 1;
        thrown[i] = rng_below(&r, 2) == 1;
    }
    for (size_t i = 0; i < RUNS; i++) {
        struct attack_world run = {.group = &g,
                                   .study = &w.study,
                                   .model = &w.model,
                                   .in = in + i * N,
                                   .seed = i,
                                   .confidence = compare + i * N};
        assert_int_equal(attack_world_run(&run, &err), RC_OK);
        run.in = nobody;
        run.seed = RUNS + i;
        run.confidence = seen + i * N;
        assert_int_equal(attack_world_run(&run, &err), RC_OK);
    }
    const struct attack_runs references = {RUNS, N, in, compare};
    const struct attack_runs target = {RUNS, N, thrown, seen};
    struct attack_row row = {.epsilon = HUGE_VAL};
    assert_int_equal(attack_lira(&target, &references, score, &err), RC_OK);
    assert_int_equal(attack_rates(score, thrown, RUNS * N, NULL, &row, &err), RC_OK);
    print_message("TPR %.3f [%.3f, %.3f] at FPR %.3f, balanced %.3f\n", row.hundredth.tpr.value,
                  row.hundredth.tpr.low, row.hundredth.tpr.high, row.hundredth.fpr.value,
                  row.balanced.value);
    assert_true(row.hundredth.tpr.low <= row.hundredth.fpr.high);
    assert_true(row.balanced.low <= 0.5 && 0.5 <= row.balanced.high);
    assert_true(row.epsilon_low < 1.0);
    attack_group_release(&g);
    world_close(&w);
}

/* Without noise the first layer of logistic regression is the record itself; with noise that hides it,
 * names are guesses. */
static void one_update_gives_a_patient_away_unless_it_is_noised(void **state)
{
    (void)state;
    const double epsilon[] = {HUGE_VAL, 0.1};
    for (size_t e = 0; e < 2; e++) {
        struct error err = {0};
        struct world w;
        struct attack_inversion found[ATTACK_INVERSIONS];
        size_t n = 0;
        world_open(&w, epsilon[e]);
        const struct attack_inverted of = {.study = &w.study,
                                           .schema = &w.schema,
                                           .model = &w.model,
                                           .data = w.data,
                                           .seed = 4,
                                           .updates = 720};
        assert_int_equal(attack_invert(&of, found, &n, &err), RC_OK);
        assert_int_equal(n, 2); /* there is no image */
        for (size_t i = 0; i < n; i++) {
            print_message("epsilon %g, %s: %.3f of %zu candidates, bound %.3f\n", epsilon[e],
                          attack_inversion_name(found[i].kind), found[i].named.value,
                          found[i].candidates, found[i].bound);
            assert_int_equal(found[i].candidates, SITES * OF_A_SITE);
            assert_true(found[i].named.low <= found[i].bound);
            assert_true(isfinite(epsilon[e]) ? found[i].named.low < 1.0 / 36.0
                                             : found[i].named.value == 1.0);
        }
        world_close(&w);
    }
}

/* ---- the rest ------------------------------------------------------------------------------------- */

static void threads_change_no_byte(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    struct attack_row row[2][ATTACK_ROWS_MAX];
    world_open(&w, 4.0);
    w.params.trials = 60;
    for (size_t i = 0; i < 2; i++) {
        size_t n = 0;
        struct attack *a = attack_of(&w, 7, 1 + 2 * i);
        assert_int_equal(attack_cell(a, &w.study, row[i], &n, &err), RC_OK);
        attack_close(&a);
    }
    for (size_t k = 0; k < ATTACK_ROWS_MAX; k++) {
        row[0][k].seconds = row[1][k].seconds = 0.0;
        assert_memory_equal(&row[0][k].balanced, &row[1][k].balanced, sizeof row[0][k].balanced);
        assert_memory_equal(&row[0][k].hundredth, &row[1][k].hundredth, sizeof row[0][k].hundredth);
    }
    world_close(&w);
}

/* ---- what is kept ----------------------------------------------------------------------------------- */

struct folder {
    char path[64], db[96];
};

static void folder_make(struct folder *f)
{
    (void)snprintf(f->path, sizeof f->path, "/tmp/attack-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    (void)snprintf(f->db, sizeof f->db, "%s/attacks.db", f->path);
}

static void folder_drop(const struct folder *f)
{
    (void)unlink(f->db);
    assert_int_equal(rmdir(f->path), 0); /* nothing else was left there */
}

/* Rows of a whole attack, without noise and then with the study's. @return how many runs it made */
static size_t rows_from(const struct world *w, uint64_t seed, const struct folder *f,
                        struct attack_row row[2 * ATTACK_ROWS_MAX])
{
    struct error err = {0};
    struct attack_archive *archive = NULL;
    size_t made = 0;
    size_t n = 0;
    memset(row, 0, 2 * ATTACK_ROWS_MAX * sizeof *row);
    if (f != NULL) {
        assert_int_equal(attack_archive_open(f->db, &archive, &err), RC_OK);
    }
    struct attack *a = attack_from(w, seed, 2, archive, &made);
    assert_int_equal(attack_cell(a, &w->open, row, &n, &err), RC_OK);
    assert_int_equal(attack_cell(a, &w->study, row + ATTACK_ROWS_MAX, &n, &err), RC_OK);
    attack_close(&a);
    attack_archive_close(&archive);
    return made;
}

static void assert_same_rows(const struct attack_row *a, const struct attack_row *b)
{
    char *text[2] = {NULL, NULL};
    size_t bytes = 0;
    const struct attack_row *const row[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        struct attack_row copy[2 * ATTACK_ROWS_MAX];
        memcpy(copy, row[i], sizeof copy);
        for (size_t k = 0; k < 2 * ATTACK_ROWS_MAX; k++) {
            copy[k].seconds = 0.0;
        }
        FILE *to = open_memstream(&text[i], &bytes);
        assert_non_null(to);
        attack_print_csv(to, copy, 2 * ATTACK_ROWS_MAX);
        assert_int_equal(fclose(to), 0);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}

static void what_is_there_is_not_run_again_and_gives_the_same_rows(void **state)
{
    (void)state;
    struct folder f;
    struct world w;
    struct attack_row without[2 * ATTACK_ROWS_MAX];
    struct attack_row with[2 * ATTACK_ROWS_MAX];
    const uint64_t seed = seed_of_run();
    world_open(&w, 4.0);
    folder_make(&f);
    w.params.trials = 100;
    const size_t few = rows_from(&w, seed, &f, with);
    w.params.trials = 150;
    const size_t all = rows_from(&w, seed, NULL, without);
    /* as if it had been interrupted after so many */
    assert_int_equal(rows_from(&w, seed, &f, with), all - few);
    assert_same_rows(without, with);
    assert_int_equal(rows_from(&w, seed, &f, with), 0);
    assert_same_rows(without, with);
    folder_drop(&f);
    world_close(&w);
}

static void runs_of_others_are_not_taken(void **state)
{
    (void)state;
    struct folder f;
    struct world w;
    struct attack_row row[2 * ATTACK_ROWS_MAX];
    world_open(&w, 4.0);
    folder_make(&f);
    w.params.trials = 60;
    const size_t all = rows_from(&w, 1, &f, row);
    assert_int_equal(rows_from(&w, 2, &f, row), all); /* another seed */
    w.study.rounds--;                                 /* another plan: runs without noise stay */
    assert_int_equal(rows_from(&w, 1, &f, row), 60 / (4 * SITES) + 60 / SITES);
    w.study.rounds++;
    w.data->version.b[0] ^= 1; /* other patients */
    assert_int_equal(rows_from(&w, 1, &f, row), all);
    w.params.known_others = !w.params.known_others;
    assert_int_equal(rows_from(&w, 1, &f, row), all);
    assert_int_equal(rows_from(&w, 1, &f, row), 0);
    folder_drop(&f);
    world_close(&w);
}

static void one_process_works_on_a_file_and_an_empty_one_goes(void **state)
{
    (void)state;
    struct error err = {0};
    struct folder f;
    struct attack_archive *a = NULL;
    struct attack_archive *b = NULL;
    folder_make(&f);
    assert_int_equal(attack_archive_open(f.db, &a, &err), RC_OK);
    assert_int_equal(attack_archive_open(f.db, &b, &err), RC_STATE);
    assert_non_null(strstr(err.text, "another process is at work on it"));
    assert_null(b);
    assert_int_equal(access(f.db, F_OK), 0); /* whoever is refused takes nothing away */
    attack_archive_close(&a);
    assert_int_not_equal(access(f.db, F_OK), 0);
    assert_int_equal(rmdir(f.path), 0);
}

static void a_site_of_few_patients_is_refused_by_name(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    struct attack *a = NULL;
    world_open(&w, HUGE_VAL);
    w.params.patients = OF_A_SITE;
    const struct attack_setup setup = {.params = &w.params,
                                       .open = &w.open,
                                       .schema = &w.schema,
                                       .model = &w.model,
                                       .data = w.data,
                                       .seed = 1,
                                       .jobs = 1};
    assert_int_equal(attack_open(&setup, &a, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "site 'a'"));
    assert_null(a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_subjects_in_one_sum_are_told_apart),
        cmocka_unit_test(a_likelihood_ratio_is_that_of_two_normals),
        cmocka_unit_test(rates_are_counted_at_their_threshold),
        cmocka_unit_test(a_convex_world_is_seen_as_its_equations_say),
        cmocka_unit_test(an_attacked_federation_is_the_fleet_s),
        cmocka_unit_test(without_noise_canaries_are_found),
        cmocka_unit_test(canaries_stay_within_their_bound_and_come_near_it),
        cmocka_unit_test(half_the_noise_is_caught),
        cmocka_unit_test(a_clip_that_is_ignored_is_caught),
        cmocka_unit_test(where_nobody_was_in_as_many_are_accused_of_either_kind),
        cmocka_unit_test(one_update_gives_a_patient_away_unless_it_is_noised),
        cmocka_unit_test(threads_change_no_byte),
        cmocka_unit_test(what_is_there_is_not_run_again_and_gives_the_same_rows),
        cmocka_unit_test(runs_of_others_are_not_taken),
        cmocka_unit_test(one_process_works_on_a_file_and_an_empty_one_goes),
        cmocka_unit_test(a_site_of_few_patients_is_refused_by_name),
    };
    return cmocka_run_group_tests_name("attack", tests, NULL, NULL);
}
