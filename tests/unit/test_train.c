#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/train/train.h"
#include "common/base/replay.h"
#include "common/dp/noise.h"
#include "common/update/update.h"
#include "tests/support/cohort.h"
#include "tests/support/study.h"

enum { PATIENTS = 60, NOMINAL = 50 };

struct world {
    struct schema schema;
    struct study study;
    struct study_site site[1];
    struct model model;
    struct dataset *data;
    real *global; /* [S] */
    double *last; /* [S] change of the shared parameters of the last round */
    struct train_result result;
    uint64_t drawn;
};

static void of_many_modalities(struct study_model *m)
{
    (void)snprintf(m->fusion, sizeof m->fusion, "attention");
    (void)snprintf(m->missing, sizeof m->missing, "token");
    (void)snprintf(m->table, sizeof m->table, "mlp");
    m->width = 8;
    m->heads = 2;
    m->layers = 1;
    m->dropout = 0.5;
}

/* "MODEL of classes": its label is one of three. */
static void world_init(struct world *w, const char *words, size_t adapter)
{
    struct error err = {0};
    char model[32];
    *w = (struct world){0};
    (void)snprintf(model, sizeof model, "%.*s", (int)strcspn(words, " "), words);
    if (strcmp(words, model) == 0) {
        test_schema(&w->schema);
    } else {
        test_schema_of_classes(&w->schema);
    }
    w->study = test_study(&(const char *){"a"}, 1, w->site);
    w->site[0].nominal = NOMINAL;
    w->study.model = (struct study_model){.n_hidden = strcmp(model, "mlp") == 0 ? 1 : 0,
                                          .hidden = {7},
                                          .embedding = 3,
                                          .activation = "gelu",
                                          .layer_norm = true,
                                          .adapter = adapter};
    (void)snprintf(w->study.model.name, sizeof w->study.model.name, "%s", model);
    if (strcmp(model, "multimodal") == 0) {
        of_many_modalities(&w->study.model);
    }
    assert_int_equal(model_open(&w->study.model, &w->schema, &w->model, &err), RC_OK);
    w->data = test_dataset(&w->schema, "a", PATIENTS, 11, SIZE_MAX);
    w->global = calloc(w->model.table.P, sizeof *w->global);
    w->last = calloc(w->model.table.S, sizeof *w->last);
    param_init_values(&w->model.table, 1, w->global);
}

static void world_release(struct world *w)
{
    train_result_release(&w->result);
    dataset_close(&w->data);
    model_release(&w->model);
    schema_release(&w->schema);
    free(w->global);
    free(w->last);
}

/* One round from a replayed state. `last` is what the coordinator would read. */
static enum rc run(struct world *w, uint64_t seed, struct error *err)
{
    struct entropy e;
    replay_init(&e, seed, "a");
    const struct train_job job = {
        .study = &w->study, .model = &w->model, .data = w->data, .round = 1, .global = w->global};
    train_result_release(&w->result);
    const enum rc rc = train_round(&job, &e, &w->result, err);
    w->drawn = e.drawn;
    if (rc == RC_OK) {
        uint32_t *sum = calloc(w->model.table.S, sizeof *sum);
        assert_int_equal(update_add(sum, w->model.table.S, w->result.update, w->result.update_bytes,
                                    err),
                         RC_OK);
        update_decode(sum, w->model.table.S, 1.0, w->study.fraction_bits, w->last);
        free(sum);
    }
    return rc;
}

static void must_run(struct world *w, uint64_t seed)
{
    struct error err = {0};
    const enum rc rc = run(w, seed, &err);
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
}

/* Own parameters after the round: they follow the magic and sizes in the site state. */
static const double *own(const struct world *w)
{
    return (const double *)(const void *)(w->result.site_state + 5 * sizeof(uint64_t));
}

/* Everything a neighbour moves: shared and site parameters, in units of the clipped sum. */
static double moved(struct world *a, struct world *b, uint64_t seed)
{
    must_run(a, seed);
    must_run(b, seed);
    const size_t S = a->model.table.S;
    const double divisor = a->study.privacy.sample_rate * NOMINAL; /* public, and so the same */
    double sq = 0.0;
    for (size_t i = 0; i < S; i++) {
        const double d = (a->last[i] - b->last[i]) * divisor;
        sq += d * d;
    }
    for (size_t i = 0; i < a->model.table.P - S; i++) {
        /* initial values are the same, so the difference is that of the steps */
        const double d = (own(a)[i] - own(b)[i]) * divisor;
        sq += d * d;
    }
    return sqrt(sq);
}

static void neighbours_differ_by_at_most_the_bound(const char *model, size_t adapter)
{
    double largest = 0.0;
    for (size_t gone = 0; gone < PATIENTS; gone += 7) {
        struct world with;
        struct world without;
        world_init(&with, model, adapter);
        world_init(&without, model, adapter);
        with.study.privacy.clip = without.study.privacy.clip = 0.05; /* nearly all are clipped */
        /* Large noise, equal on both sides: a scale that depends on data would move all of it. */
        with.study.privacy.noise_multiplier = without.study.privacy.noise_multiplier = 200.0;
        dataset_close(&without.data);
        without.data = test_dataset(&without.schema, "a", PATIENTS, 11, gone);
        for (uint64_t seed = 1; seed <= 3; seed++) {
            const double P = (double)with.model.table.P;
            const double C = with.study.privacy.clip;
            const double divisor = with.study.privacy.sample_rate * NOMINAL;
            /* grid of the sum, grid of the update, float arithmetic of about 30 summands */
            const double rounding =
                noise_grid(C) * sqrt(P) + divisor * ldexp(sqrt(P), -24) + 60.0 * C * 0x1p-23;
            const double d = moved(&with, &without, seed);
            assert_int_equal(with.drawn, without.drawn);
            assert_true(d <= C + rounding);
            largest = fmax(largest, d);
        }
        world_release(&with);
        world_release(&without);
    }
    assert_true(largest > 0.9 * 0.05); /* the bound is met: the test could fail */
}

static void neighbouring_cohorts_differ_by_at_most_the_clip_bound(void **state)
{
    (void)state;
    neighbours_differ_by_at_most_the_bound("logistic", 0);
}

/* A neighbour must not move anybody else's coins: one that did would move all that they drop. */
static void neighbours_are_bounded_where_numbers_are_dropped_at_random(void **state)
{
    (void)state;
    neighbours_differ_by_at_most_the_bound("multimodal", 2);
}

static void neighbours_are_bounded_with_hidden_layers_and_adapter_too(void **state)
{
    (void)state;
    neighbours_differ_by_at_most_the_bound("mlp", 2);
}

static void neighbours_are_bounded_where_the_label_is_one_of_several_classes(void **state)
{
    (void)state;
    neighbours_differ_by_at_most_the_bound("logistic of classes", 0);
    neighbours_differ_by_at_most_the_bound("additive of classes", 0);
    neighbours_differ_by_at_most_the_bound("mlp of classes", 2);
}

/* With q so small that nobody is sampled, the released step is noise alone. */
static void noise_has_the_accounted_deviation(const char *model, size_t adapter)
{
    struct world w;
    world_init(&w, model, adapter);
    w.study.privacy.sample_rate = 1e-9;
    const double divisor = 1e-9 * NOMINAL;
    w.study.local.rate = divisor; /* so that the update is the sum itself */
    double shared_sq = 0.0;
    double own_sq = 0.0;
    enum { RUNS = 200 };
    const size_t S = w.model.table.S;
    const size_t A = w.model.table.P - S;
    real *initial = calloc(w.model.table.P, sizeof *initial);
    param_init_values(&w.model.table, 1, initial);
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        must_run(&w, seed);
        assert_int_equal(w.result.report.empty_steps, 1);
        for (size_t i = 0; i < S; i++) {
            shared_sq += w.last[i] * w.last[i];
        }
        for (size_t i = 0; i < A; i++) {
            const double d = own(&w)[i] - (double)initial[S + i];
            own_sq += d * d;
        }
    }
    free(initial);
    const double want =
        noise_deviation(w.study.privacy.clip, w.study.privacy.noise_multiplier, w.model.table.P);
    const double n = (double)S * RUNS;
    assert_true(fabs(sqrt(shared_sq / n) / want - 1.0) < 5.0 / sqrt(2.0 * n));
    if (A > 0) {
        const double m = (double)A * RUNS;
        assert_true(fabs(sqrt(own_sq / m) / want - 1.0) < 5.0 / sqrt(2.0 * m));
    }
    world_release(&w);
}

static void the_released_noise_has_the_accounted_deviation(void **state)
{
    (void)state;
    noise_has_the_accounted_deviation("logistic", 0);
}

static void adapters_are_noised_like_shared_parameters(void **state)
{
    (void)state;
    noise_has_the_accounted_deviation("mlp", 2);
}

static void the_size_of_a_physical_batch_changes_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "mlp", 2);
    w.study.privacy.noise = STUDY_NOISE_NONE;
    w.study.privacy.noise_multiplier = 0.0;
    must_run(&w, 1);
    const size_t S = w.model.table.S;
    double *once = calloc(S, sizeof *once);
    memcpy(once, w.last, S * sizeof *once);
    for (size_t batch = 1; batch < PATIENTS; batch += 9) {
        w.study.local.physical_batch = batch;
        must_run(&w, 1);
        const double divisor = w.study.privacy.sample_rate * NOMINAL;
        for (size_t i = 0; i < S; i++) {
            const double bound = 1e-6 * w.study.privacy.clip * PATIENTS + divisor * 0x1p-23;
            assert_true(fabs(w.last[i] - once[i]) * divisor < bound);
        }
    }
    free(once);
    world_release(&w);
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    struct world a;
    struct world b;
    world_init(&a, "mlp", 2);
    world_init(&b, "mlp", 2);
    must_run(&a, 9);
    must_run(&b, 9);
    assert_memory_equal(a.result.update, b.result.update, a.result.update_bytes);
    assert_memory_equal(a.result.site_state, b.result.site_state, a.result.site_state_bytes);
    must_run(&b, 10);
    assert_memory_not_equal(a.result.update, b.result.update, a.result.update_bytes);
    world_release(&a);
    world_release(&b);
}

static void without_noise_the_coins_come_from_the_public_seed(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "logistic", 0);
    w.study.privacy.noise = STUDY_NOISE_NONE;
    w.study.privacy.noise_multiplier = 0.0;
    must_run(&w, 1);
    const double first = w.last[0];
    assert_int_equal(w.drawn, 0);
    must_run(&w, 2);
    assert_true(w.last[0] == first);
    w.study.seed = 2;
    must_run(&w, 1);
    assert_true(w.last[0] != first);
    world_release(&w);
}

/* A step at lr so small that nothing moves: who was sampled is what the report counts. */
static void with_noise_the_coins_are_secret_and_new_in_each_step(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "logistic", 0);
    w.study.local.steps = 1;
    bool other_people = false;
    for (uint64_t seed = 1; seed <= 8; seed++) { /* same study, site and round: other entropy */
        must_run(&w, seed);
        const size_t once = w.result.report.counts.samples;
        must_run(&w, seed + 100);
        other_people = other_people || w.result.report.counts.samples != once;
    }
    assert_true(other_people);

    /* Steps with the same coins would sample a multiple of one step's number, every time. */
    bool other_steps = false;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        w.study.local.steps = 8;
        must_run(&w, seed);
        other_steps = other_steps || w.result.report.counts.samples % 8 != 0;
    }
    assert_true(other_steps);
    world_release(&w);
}

static void an_empty_cohort_is_a_noise_only_round(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    world_init(&w, "mlp", 2);
    dataset_close(&w.data);
    const struct schema_layout l = w.model.layout;
    assert_int_equal(dataset_reserve(0, 0, l.n_values, l.n_codes, 1, &w.data, &err), RC_OK);
    must_run(&w, 1);
    assert_int_equal(w.result.report.empty_steps, 1);
    assert_true(w.last[0] != 0.0);
    world_release(&w);
}

static void site_state_carries_adapters_and_momentum_to_the_next_round(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    world_init(&w, "mlp", 2);
    w.study.local.momentum = 0.9;
    must_run(&w, 1);
    unsigned char *kept = malloc(w.result.site_state_bytes);
    const size_t n = w.result.site_state_bytes;
    memcpy(kept, w.result.site_state, n);
    real *params = calloc(w.model.table.P, sizeof *params);
    assert_int_equal(train_parameters(&w.model, &w.study, w.global, kept, n, params, &err), RC_OK);
    const size_t S = w.model.table.S;
    for (size_t i = S; i < w.model.table.P; i++) {
        assert_true(params[i] == (real)own(&w)[i - S]);
    }
    /* a state cut short is refused, and nothing comes out */
    const struct train_job cut = {.study = &w.study,
                                  .model = &w.model,
                                  .data = w.data,
                                  .round = 2,
                                  .global = w.global,
                                  .site_state = kept,
                                  .site_state_bytes = n - 8};
    struct entropy e;
    struct train_result r = {0};
    replay_init(&e, 1, "a");
    assert_int_equal(train_round(&cut, &e, &r, &err), RC_FORMAT);
    assert_null(r.update);
    free(params);
    free(kept);
    world_release(&w);
}

static void training_that_diverges_commits_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    world_init(&w, "logistic", 0);
    w.study.local.rate = 1e6;
    assert_int_equal(run(&w, 1, &err), RC_NUMERIC);
    assert_null(w.result.update);
    world_release(&w);
}

/* Says yes to the first `yes` questions; sees which steps it was asked about. */
struct asked {
    size_t yes, times, steps;
    bool in_order;
};

static bool asked_until(void *ctx, size_t step, size_t steps)
{
    struct asked *a = ctx;
    a->in_order = a->in_order && step == a->times;
    a->times++;
    a->steps = steps;
    return a->times <= a->yes;
}

static void a_cancelled_round_stops_before_its_next_step_and_releases_nothing(void **state)
{
    (void)state;
    enum { STEPS = 5 };
    struct world w;
    world_init(&w, "mlp", 2);
    w.study.local.steps = STEPS;
    must_run(&w, 1);
    const uint64_t drawn = w.drawn;
    for (size_t yes = 0; yes <= STEPS; yes++) {
        struct error err = {0};
        struct entropy e;
        struct train_result r = {0};
        struct asked asked = {.yes = yes, .in_order = true};
        const struct train_job job = {.study = &w.study,
                                      .model = &w.model,
                                      .data = w.data,
                                      .round = 1,
                                      .global = w.global,
                                      .go_on = asked_until,
                                      .go_on_ctx = &asked};
        replay_init(&e, 1, "a");
        const enum rc rc = train_round(&job, &e, &r, &err);
        assert_true(asked.in_order);
        assert_int_equal(asked.steps, STEPS);
        if (yes < STEPS) {
            assert_int_equal(rc, RC_STATE);
            assert_non_null(strstr(err.text, "training was cancelled"));
            assert_int_equal(asked.times, yes + 1);
            assert_null(r.update);
            assert_null(r.site_state);
            assert_true(e.drawn < drawn); /* no step was taken after the no */
        } else {                          /* a question changes nothing */
            assert_int_equal(rc, RC_OK);
            assert_int_equal(asked.times, STEPS);
            assert_memory_equal(r.update, w.result.update, r.update_bytes);
        }
        train_result_release(&r);
    }
    world_release(&w);
}

static void training_learns_what_the_cohort_holds(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "logistic", 0);
    w.study.privacy.noise = STUDY_NOISE_NONE;
    w.study.privacy.noise_multiplier = 0.0;
    w.study.privacy.sample_rate = 1.0;
    w.study.local.steps = 30;
    must_run(&w, 1);
    assert_true(w.last[1] > 0.3); /* "lab" follows severity, and so does the label */
    world_release(&w);
}

static void adam_takes_the_step_of_its_paper(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "logistic", 0);
    w.study.privacy.noise = STUDY_NOISE_NONE;
    w.study.privacy.noise_multiplier = 0.0;
    w.study.privacy.sample_rate = 1.0;
    must_run(&w, 1); /* SGD: the mean gradient with its sign turned */
    const size_t S = w.model.table.S;
    double *g = calloc(S, sizeof *g);
    memcpy(g, w.last, S * sizeof *g);
    w.study.local = (struct study_local){.optimiser = STUDY_ADAM,
                                         .rate = 0.01,
                                         .beta1 = 0.9,
                                         .beta2 = 0.999,
                                         .epsilon = 1e-8,
                                         .steps = 1,
                                         .physical_batch = 16};
    must_run(&w, 1);
    for (size_t i = 0; i < S; i++) {
        if (fabs(g[i]) > 1e-3) { /* the first step is rate * sign(g) */
            assert_true(fabs(w.last[i] - copysign(0.01, g[i])) < 1e-6);
        }
    }
    free(g);
    world_release(&w);
}

/* Without noise and with everybody in every step: what training does is a function of the data. */
static void world_init_plain(struct world *w, const char *model, size_t adapter)
{
    world_init(w, model, adapter);
    w->study.privacy.noise = STUDY_NOISE_NONE;
    w->study.privacy.noise_multiplier = 0.0;
    w->study.privacy.sample_rate = 1.0;
}

/* The second step's gradient has mu (w - w_global) more; w - w_global is the first step. */
static void the_proximal_term_pulls_shared_parameters_to_the_global_model(void **state)
{
    (void)state;
    const double mu = 0.3, rate = 1.0;
    struct world one, two, pulled;
    world_init_plain(&one, "mlp", 2);
    world_init_plain(&two, "mlp", 2);
    world_init_plain(&pulled, "mlp", 2);
    two.study.local.steps = pulled.study.local.steps = 2;
    pulled.study.local.proximal = mu;
    must_run(&one, 1);
    must_run(&two, 1);
    must_run(&pulled, 1);
    const size_t S = one.model.table.S;
    double largest = 0.0;
    for (size_t i = 0; i < S; i++) {
        const double want = two.last[i] - rate * mu * one.last[i];
        assert_true(fabs(pulled.last[i] - want) < 1e-6); /* the grid's steps are 6e-8 */
        largest = fmax(largest, fabs(pulled.last[i] - two.last[i]));
    }
    assert_true(largest > 1e-3);
    for (size_t i = 0; i < one.model.table.P - S; i++) { /* nobody's but the site's */
        assert_true(own(&pulled)[i] == own(&two)[i]);
    }
    world_release(&one);
    world_release(&two);
    world_release(&pulled);
}

/* It would eat the clip bound's room, and the bound would no longer be of patients alone. */
static void neighbours_are_bounded_with_decay_and_a_proximal_term(void **state)
{
    (void)state;
    struct world with, without;
    world_init(&with, "mlp", 2);
    world_init(&without, "mlp", 2);
    dataset_close(&without.data);
    without.data = test_dataset(&without.schema, "a", PATIENTS, 11, 3);
    for (int i = 0; i < 2; i++) {
        struct study *s = i == 0 ? &with.study : &without.study;
        s->privacy.clip = 0.05;
        s->privacy.noise_multiplier = 200.0;
        s->local.optimiser = STUDY_ADAMW;
        s->local.beta1 = 0.0;
        s->local.beta2 = 0.0;
        s->local.epsilon = 1e9; /* then Adam's direction is the gradient, scaled */
        s->local.rate = 1e9;
        s->local.weight_decay = 1e-10;
        s->local.proximal = 10.0;
    }
    const double C = with.study.privacy.clip;
    const double d = moved(&with, &without, 1);
    assert_true(d <= C * 1.001);
    assert_true(with.drawn == without.drawn);
    world_release(&with);
    world_release(&without);
}

static void freeze(struct world *w, const char *const *block, size_t n)
{
    struct error err = {0};
    model_release(&w->model);
    w->study.model.n_frozen = n;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(w->study.model.frozen[i], sizeof w->study.model.frozen[i], "%s", block[i]);
    }
    assert_int_equal(model_open(&w->study.model, &w->schema, &w->model, &err), RC_OK);
}

/* Every optimiser, and noise enough: what does not move has got none. */
static void frozen_numbers_stay_and_take_no_noise(void **state)
{
    (void)state;
    static const char *const block[] = {"hidden0", "adapter.down"};
    static const enum study_optimiser optimiser[] = {STUDY_SGD, STUDY_ADAM, STUDY_ADAMW};
    for (size_t k = 0; k < 3; k++) {
        struct world w;
        world_init(&w, "mlp", 2);
        freeze(&w, block, 2);
        w.study.local.optimiser = optimiser[k];
        w.study.local.steps = 3;
        w.study.local.rate = 0.1;
        w.study.local.beta1 = 0.9;
        w.study.local.beta2 = 0.99;
        w.study.local.epsilon = 1e-8;
        w.study.local.weight_decay = 0.1;
        w.study.local.proximal = 0.1;
        must_run(&w, 1);
        const size_t S = w.model.table.S;
        real *initial = calloc(w.model.table.P, sizeof *initial);
        param_init_values(&w.model.table, 1, initial);
        size_t frozen = 0, moved = 0;
        for (size_t i = 0; i < w.model.table.n; i++) {
            const struct param *p = &w.model.table.param[i];
            for (size_t j = p->offset; j < p->offset + p->size; j++) {
                const double change = j < S ? w.last[j] : own(&w)[j - S] - (double)initial[j];
                assert_true(!p->frozen || change == 0.0);
                frozen += p->frozen;
                moved += !p->frozen && change != 0.0;
            }
        }
        assert_true(frozen > 20 && moved > 10);
        free(initial);
        world_release(&w);
    }
}

static void what_is_trained_beside_frozen_numbers_has_the_accounted_noise(void **state)
{
    (void)state;
    enum { RUNS = 200 };
    static const char *const block[] = {"hidden0"};
    struct world w;
    world_init(&w, "mlp", 0);
    freeze(&w, block, 1);
    w.study.privacy.sample_rate = 1e-9; /* nobody is sampled: the release is noise alone */
    w.study.local.rate = 1e-9 * NOMINAL;
    double sq = 0.0;
    size_t trained = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        must_run(&w, seed);
        trained = 0;
        for (size_t i = 0; i < w.model.table.n; i++) {
            const struct param *p = &w.model.table.param[i];
            for (size_t j = p->offset; !p->frozen && j < p->offset + p->size; j++) {
                sq += w.last[j] * w.last[j];
                trained++;
            }
        }
    }
    const double n = (double)trained * RUNS;
    const double want =
        noise_deviation(w.study.privacy.clip, w.study.privacy.noise_multiplier, trained);
    assert_true(trained > 10);
    assert_true(fabs(sqrt(sq / n) / want - 1.0) < 5.0 / sqrt(2.0 * n));
    world_release(&w);
}

static void neighbours_are_bounded_where_a_block_is_frozen(void **state)
{
    (void)state;
    static const char *const block[] = {"hidden0"};
    const double C = 0.05;
    double largest = 0.0;
    for (size_t gone = 1; gone < PATIENTS; gone += 11) {
        struct world with, without;
        world_init(&with, "mlp", 2);
        world_init(&without, "mlp", 2);
        freeze(&with, block, 1);
        freeze(&without, block, 1);
        with.study.privacy.clip = without.study.privacy.clip = C;
        with.study.privacy.noise_multiplier = without.study.privacy.noise_multiplier = 200.0;
        dataset_close(&without.data);
        without.data = test_dataset(&without.schema, "a", PATIENTS, 11, gone);
        for (uint64_t seed = 1; seed <= 3; seed++) {
            const double d = moved(&with, &without, seed);
            assert_true(d <= C * 1.001);
            largest = fmax(largest, d);
        }
        world_release(&with);
        world_release(&without);
    }
    assert_true(largest > 0.9 * C); /* the norm that is clipped is that of what is trained */
}

/* Round 2's first step is not round 1's: the schedule counts the study's steps. */
static void labels_turned(struct world *w, bool held_out)
{
    for (size_t p = 0; p < w->data->n_patients; p++) {
        if (study_holds_out(&w->study, &w->data->patient[p]) == held_out) {
            w->data->label[p] = 1.0F - w->data->label[p];
        }
    }
}

static void who_is_held_out_moves_no_number_of_the_model(void **state)
{
    (void)state;
    struct world a;
    struct world b;
    size_t held = 0;
    world_init(&a, "mlp", 2);
    world_init(&b, "mlp", 2);
    a.study.held_out = b.study.held_out = 0.3;
    for (size_t p = 0; p < PATIENTS; p++) {
        held += study_holds_out(&a.study, &a.data->patient[p]);
    }
    assert_true(held > 5 && held < PATIENTS / 2);
    labels_turned(&b, true);
    must_run(&a, 5);
    must_run(&b, 5);
    assert_memory_equal(a.result.update, b.result.update, a.result.update_bytes);
    assert_memory_equal(a.result.site_state, b.result.site_state, a.result.site_state_bytes);
    labels_turned(&b, false); /* the others do: the test could fail */
    must_run(&b, 5);
    assert_memory_not_equal(a.result.update, b.result.update, a.result.update_bytes);
    world_release(&a);
    world_release(&b);
}

static void the_schedule_goes_on_from_round_to_round(void **state)
{
    (void)state;
    struct error err = {0};
    struct world w;
    world_init_plain(&w, "logistic", 0);
    w.study.local.warmup_steps = 2;
    struct train_result r = {0};
    double size[2] = {0.0, 0.0};
    for (uint64_t round = 1; round <= 2; round++) {
        struct entropy e;
        replay_init(&e, 1, "a");
        const struct train_job job = {.study = &w.study,
                                      .model = &w.model,
                                      .data = w.data,
                                      .round = round,
                                      .global = w.global};
        assert_int_equal(train_round(&job, &e, &r, &err), RC_OK);
        const int32_t *update = (const int32_t *)(const void *)r.update;
        for (size_t i = 0; i < w.model.table.S; i++) {
            size[round - 1] += (double)update[i] * (double)update[i];
        }
        train_result_release(&r);
    }
    /* Everybody is sampled in both, at half and at the whole rate; of patients with several rows
     * another may be drawn. */
    assert_true(fabs(sqrt(size[1] / size[0]) - 2.0) < 0.3);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbouring_cohorts_differ_by_at_most_the_clip_bound),
        cmocka_unit_test(neighbours_are_bounded_with_hidden_layers_and_adapter_too),
        cmocka_unit_test(neighbours_are_bounded_where_the_label_is_one_of_several_classes),
        cmocka_unit_test(neighbours_are_bounded_where_numbers_are_dropped_at_random),
        cmocka_unit_test(the_released_noise_has_the_accounted_deviation),
        cmocka_unit_test(adapters_are_noised_like_shared_parameters),
        cmocka_unit_test(the_size_of_a_physical_batch_changes_nothing),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(without_noise_the_coins_come_from_the_public_seed),
        cmocka_unit_test(with_noise_the_coins_are_secret_and_new_in_each_step),
        cmocka_unit_test(an_empty_cohort_is_a_noise_only_round),
        cmocka_unit_test(site_state_carries_adapters_and_momentum_to_the_next_round),
        cmocka_unit_test(training_that_diverges_commits_nothing),
        cmocka_unit_test(a_cancelled_round_stops_before_its_next_step_and_releases_nothing),
        cmocka_unit_test(training_learns_what_the_cohort_holds),
        cmocka_unit_test(adam_takes_the_step_of_its_paper),
        cmocka_unit_test(the_proximal_term_pulls_shared_parameters_to_the_global_model),
        cmocka_unit_test(neighbours_are_bounded_with_decay_and_a_proximal_term),
        cmocka_unit_test(who_is_held_out_moves_no_number_of_the_model),
        cmocka_unit_test(the_schedule_goes_on_from_round_to_round),
        cmocka_unit_test(frozen_numbers_stay_and_take_no_noise),
        cmocka_unit_test(what_is_trained_beside_frozen_numbers_has_the_accounted_noise),
        cmocka_unit_test(neighbours_are_bounded_where_a_block_is_frozen),
    };
    return cmocka_run_group_tests_name("agent/train", tests, NULL, NULL);
}
