/* Training follows the loss that a model says of itself, not one that it is thought to have. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/train/train.h"
#include "common/base/replay.h"
#include "tests/support/imported.h"

enum { PATIENTS = 5 };

static const char yaml[] =
    "cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\nmissing: [\"\"]\n"
    "label: {column: y, positive: [1], negative: [0]}\nfeatures:\n"
    "- {name: age, type: continuous, range: [20, 80]}\nmodalities:\n"
    "- {name: letter, type: notes, tokens: 4, vocabulary: 16, files: [{path: n.csv}],"
    " columns: {patient: id, text: note}}\n";
static const char table[] = "id,y,age\np,0,31\nq,1,70\nr,0,44\ns,1,59\nt,0,25\n";
static const char notes[] = "id,note\np,well at home\nq,very ill\ns,ill\nt,well\n"; /* r has none */

static const struct study_model branches = {.name = "multimodal",
                                            .fusion = "tri_branch",
                                            .missing = "skip",
                                            .table = "mlp",
                                            .notes = "bag",
                                            .branch_weights = "equal",
                                            .width = 8,
                                            .heads = 2,
                                            .layers = 1};

/* The mean over the cohort of what is recorded of it at these parameters. */
static double mean_loss(const struct model *m, const real *params, const struct batch *b, bool own)
{
    struct error err = {0};
    struct arena arena = {0};
    double sum = 0.0;
    struct tape *t = malloc(sizeof *t);
    assert_non_null(t);
    assert_int_equal(arena_init(&arena, (size_t)1 << 20, &err), RC_OK);
    tape_start(t, &arena, &m->table, params, b->B);
    const struct node *loss =
        own ? model_loss(m, t, b) : tape_bce(t, model_logit(m, t, b), b->label);
    assert_int_equal(tape_verdict(t, &err), RC_OK);
    for (size_t i = 0; i < b->B; i++) {
        sum += (double)loss->v[i];
    }
    arena_release(&arena);
    free(t);
    return sum / (double)b->B;
}

static void a_round_reports_and_follows_the_model_s_own_loss(void **state)
{
    (void)state;
    struct error err = {0};
    struct entropy e;
    struct imported i;
    struct model model;
    struct train_result result = {0};
    struct study_site site = {.name = "a", .nominal = PATIENTS};
    const struct study study = {
        .name = "s",
        .model = branches,
        .local = {.rate = 0.1, .steps = 1, .physical_batch = 2},
        .privacy = {.noise = STUDY_NOISE_NONE, .clip = 100.0, .sample_rate = 1.0},
        .seed = 1,
        .rounds = 1,
        .quorum = 1,
        .min_sites = 1,
        .fraction_bits = 24,
        .n_sites = 1,
        .site = &site};
    imported_open(&i, yaml, NULL, (const char *const[6]){table, notes});
    const struct batch *b = imported_batch(&i);
    assert_int_equal(b->B, PATIENTS);
    assert_int_equal(model_open(&study.model, &i.schema, &model, &err), RC_OK);
    real *global = calloc(model.table.P, sizeof *global);
    assert_non_null(global);
    param_init_values(&model.table, study.seed, global);
    const double own = mean_loss(&model, global, b, true);
    assert_true(fabs(own - mean_loss(&model, global, b, false)) > 1e-3);

    replay_init(&e, 1, "a");
    const struct train_job job = {
        .study = &study, .model = &model, .data = i.data, .round = 1, .global = global};
    if (train_round(&job, &e, &result, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(fabs(result.report.loss - own) < 1e-6);
    train_result_release(&result);
    free(global);
    model_release(&model);
    imported_close(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_reports_and_follows_the_model_s_own_loss),
    };
    return cmocka_run_group_tests_name("training's loss", tests, NULL, NULL);
}
