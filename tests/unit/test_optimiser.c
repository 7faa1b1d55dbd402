/* Optimisers and the schedule against numbers computed apart from them, with a few lines of Python that
 * follow the papers' algorithms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/train/optimiser.h"
#include "common/model/model.h"
#include "common/study/study.h"
#include "tests/support/cohort.h"

enum { P = 3 };

/* Two weights and a bias. */
static struct param_table make_table(void)
{
    struct param_table t = {0};
    struct error err = {0};
    struct param_id id;
    assert_int_equal(param_add(&t, "head.weight", PARAM_SHARED, PARAM_ZERO, 2, (size_t[]){1, 2},
                               &id, &err),
                     RC_OK);
    assert_int_equal(
        param_add(&t, "head.bias", PARAM_SHARED, PARAM_ZERO, 1, (size_t[]){1}, &id, &err), RC_OK);
    param_table_seal(&t);
    assert_int_equal(t.P, P);
    return t;
}

static const double gradient[2][P] = {{0.5, -1.0, 2.0}, {0.25, 1.0, -1.0}};
static const double rate[2] = {0.1, 0.05};

static void follows(enum study_optimiser which, double weight_decay, double momentum,
                    const double want[2][P])
{
    struct param_table t = make_table();
    const struct study_local local = {.optimiser = which,
                                      .rate = 7.0, /* the step's own rate counts */
                                      .momentum = momentum,
                                      .beta1 = 0.9,
                                      .beta2 = 0.99,
                                      .epsilon = 1e-8,
                                      .weight_decay = weight_decay};
    double m[P] = {0}, v[P] = {0};
    struct optimiser o = {.m = m, .v = v};
    double w[P] = {1.0, -2.0, 3.0};
    for (size_t k = 0; k < 2; k++) {
        optimiser_step(&o, &local, rate[k], &t, gradient[k], w);
        for (size_t i = 0; i < P; i++) {
            if (!(fabs(w[i] - want[k][i]) < 1e-14)) {
                fail_msg("step %zu, number %zu: %.17g, want %.17g", k, i, w[i], want[k][i]);
            }
        }
    }
    assert_int_equal(o.t, 2);
    param_table_release(&t);
}

static void adamw_takes_the_recorded_steps_and_leaves_the_bias_undecayed(void **state)
{
    (void)state;
    static const double want[2][P] = {
        {0.880000002, -1.860000001, 2.9000000005},
        {0.824527603073884, -1.84403157991105, 2.88666502913057},
    };
    follows(STUDY_ADAMW, 0.2, 0.0, want);
}

static void adam_is_adamw_without_decay(void **state)
{
    (void)state;
    struct param_table t = make_table();
    double a[P] = {1.0, -2.0, 3.0}, b[P] = {1.0, -2.0, 3.0};
    double m[2][P] = {{0}}, v[2][P] = {{0}};
    struct optimiser oa = {.m = m[0], .v = v[0]}, ob = {.m = m[1], .v = v[1]};
    struct study_local local = {.optimiser = STUDY_ADAM,
                                .beta1 = 0.9,
                                .beta2 = 0.99,
                                .epsilon = 1e-8,
                                .weight_decay = 0.5 /* not adam's */};
    optimiser_step(&oa, &local, 0.1, &t, gradient[0], a);
    local.optimiser = STUDY_ADAMW;
    local.weight_decay = 0.0;
    optimiser_step(&ob, &local, 0.1, &t, gradient[0], b);
    assert_memory_equal(a, b, sizeof a);
    param_table_release(&t);
}

static void sgd_keeps_a_share_of_its_last_step(void **state)
{
    (void)state;
    /* m = g1, then g1 / 2 + g2 */
    static const double want[2][P] = {{0.95, -1.9, 2.8}, {0.925, -1.925, 2.8}};
    follows(STUDY_SGD, 0.0, 0.5, want);
}

static void is_a_weight_where_its_name_says_so(const struct study_model *spec)
{
    struct error err = {0};
    struct schema schema;
    struct model model;
    size_t weights = 0, others = 0;
    test_schema(&schema);
    if (model_open(spec, &schema, &model, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < model.table.n; i++) {
        const struct param *p = &model.table.param[i];
        const char *dot = strrchr(p->name, '.');
        const char *last = dot == NULL ? p->name : dot + 1;
        const bool weight = strcmp(last, "weight") == 0;
        const bool other =
            strcmp(last, "bias") == 0 || strcmp(last, "gain") == 0 || strcmp(last, "shift") == 0;
        if ((weight && !param_decays(p)) || (other && param_decays(p))) {
            fail_msg("'%s' of rank %zu", p->name, p->rank);
        }
        weights += weight;
        others += other;
    }
    assert_true(weights > 0 && others > 0);
    model_release(&model);
    schema_release(&schema);
}

static void weights_decay_and_biases_gains_and_shifts_do_not(void **state)
{
    (void)state;
    static const char *const tables[] = {"mlp", "transformer"};
    struct study_model spec = {.name = "logistic"};
    is_a_weight_where_its_name_says_so(&spec);
    spec = (struct study_model){.name = "mlp",
                                .n_hidden = 1,
                                .hidden = {7},
                                .embedding = 3,
                                .activation = "relu",
                                .layer_norm = true,
                                .adapter = 2};
    is_a_weight_where_its_name_says_so(&spec);
    for (size_t i = 0; i < 2; i++) {
        spec = (struct study_model){.name = "multimodal",
                                    .fusion = "attention",
                                    .embedding = 3,
                                    .missing = "token",
                                    .width = 8,
                                    .heads = 2,
                                    .layers = 1};
        (void)snprintf(spec.table, sizeof spec.table, "%s", tables[i]);
        is_a_weight_where_its_name_says_so(&spec);
    }
}

/* ---- the schedule ---------------------------------------------------------------------------- */

/* Rounds of 3 steps, 12 in all. */
static struct study four_rounds(void)
{
    return (struct study){.local = {.rate = 0.5, .steps = 3}, .rounds = 4};
}

static void warm_up_and_cosine_give_the_recorded_rates(void **state)
{
    (void)state;
    struct study s = four_rounds();
    s.local.schedule = STUDY_COSINE;
    s.local.warmup_steps = 4;
    s.local.rate_floor = 0.1;
    static const double want[] = {
        0.125,
        0.25,
        0.375,
        0.5,
        0.5,
        0.48287289481504,
        0.434099025766973,
        0.361103772282145,
        0.275,
        0.188896227717855,
        0.115900974233027,
        0.0671271051849605,
    };
    for (size_t k = 0; k < 12; k++) {
        const double r = study_rate(&s, 1 + k / 3, k % 3);
        if (!(fabs(r - want[k]) < 1e-14)) {
            fail_msg("step %zu: %.17g, want %.17g", k, r, want[k]);
        }
    }
}

static void without_a_schedule_every_step_has_the_rate(void **state)
{
    (void)state;
    const struct study s = four_rounds();
    for (size_t k = 0; k < 12; k++) {
        assert_true(study_rate(&s, 1 + k / 3, k % 3) == 0.5);
    }
}

/* With a floor of 0, too: every step was paid for out of the budget. */
static void no_step_of_a_study_has_the_rate_zero(void **state)
{
    (void)state;
    struct study s = four_rounds();
    s.local.schedule = STUDY_COSINE;
    for (size_t warmup = 0; warmup < 12; warmup++) {
        s.local.warmup_steps = warmup;
        for (size_t k = 0; k < 12; k++) {
            const double r = study_rate(&s, 1 + k / 3, k % 3);
            assert_true(r > 0.0 && r <= 0.5);
        }
        assert_true(study_rate(&s, 5, 0) ==
                    study_rate(&s, 4, 2)); /* a spare round of a masked study */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_takes_the_recorded_steps_and_leaves_the_bias_undecayed),
        cmocka_unit_test(adam_is_adamw_without_decay),
        cmocka_unit_test(sgd_keeps_a_share_of_its_last_step),
        cmocka_unit_test(weights_decay_and_biases_gains_and_shifts_do_not),
        cmocka_unit_test(warm_up_and_cosine_give_the_recorded_rates),
        cmocka_unit_test(without_a_schedule_every_step_has_the_rate),
        cmocka_unit_test(no_step_of_a_study_has_the_rate_zero),
    };
    return cmocka_run_group_tests_name("agent/train optimiser", tests, NULL, NULL);
}
