/* Whole studies in which one hospital has no notes. */
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
#include "common/update/update.h"
#include "sim/fleet/fleet.h"
#include "tests/support/imported.h"

enum { SITES = 2, ROUNDS = 2 };

static const char yaml[] = "cohort: t\nfiles: [{path: a.csv, site: s}]\npatient: {column: id}\n"
                           "label: {column: y, positive: [1], negative: [0]}\n"
                           "features:\n- {name: age, type: continuous, range: [20, 80]}\n"
                           "modalities:\n- {name: notes, type: notes, tokens: 4, vocabulary: 16, "
                           "files: [{path: n.csv}], columns: {patient: id, text: note}}\n";

static const char table[] = "id,y,age\np,0,30\nq,1,60\nr,0,25\ns,1,70\n";
static const char notes[] = "id,note\np,well and at home\nq,worse again\ns,very ill\n";
static const char no_notes[] = "id,note\nz,of somebody else\n";

struct world {
    struct imported site[SITES];
    struct study study;
    struct study_site roster[SITES];
    struct model model;
    const struct dataset *data[SITES];
    struct ledger_policy policy[SITES];
    int32_t update[SITES][4096]; /* of the first round */
};

static void world_init(struct world *w, const char *second, enum study_noise noise)
{
    struct error err = {0};
    memset(w, 0, sizeof *w);
    imported_open(&w->site[0], yaml, NULL, (const char *const[6]){table, notes});
    imported_open(&w->site[1], yaml, NULL, (const char *const[6]){table, second});
    for (size_t i = 0; i < SITES; i++) {
        (void)imported_batch(&w->site[i]); /* or it says why not */
    }
    w->study = (struct study){
        .name = "s",
        .model = {.name = "multimodal",
                  .embedding = 2,
                  .fusion = "attention",
                  .missing = "skip",
                  .table = "mlp",
                  .series = "gru",
                  .image = "cnn",
                  .notes = "bag",
                  .width = 4,
                  .heads = 2,
                  .layers = 1,
                  .n_lacked = 1,
                  .lacked = {"notes"}},
        .local = {.rate = 0.5, .steps = 2, .physical_batch = 16},
        .server = {.rule = STUDY_FEDAVG, .rate = 1.0},
        .privacy = {.noise = noise,
                    .epsilon = noise == STUDY_NOISE_NONE ? HUGE_VAL : 5.0,
                    .delta = noise == STUDY_NOISE_NONE ? 0.0 : 1e-3,
                    .clip = 1.0,
                    .sample_rate = 1.0},
        .seed = 3,
        .rounds = ROUNDS,
        .quorum = 1,
        .min_sites = 1,
        .fraction_bits = 24,
        .join_deadline_ms = 600000,
        .round_deadline_ms = 600000,
        .n_sites = SITES,
        .site = w->roster,
    };
    w->roster[0] = (struct study_site){.name = "a", .nominal = 4};
    w->roster[1] = (struct study_site){.name = "b", .nominal = 12, .lacks = 1};
    assert_int_equal(study_plan(&w->study, &err), RC_OK);
    for (size_t i = 0; i < SITES; i++) {
        w->data[i] = w->site[i].data;
        w->policy[i] = (struct ledger_policy){.max_epsilon_per_study = HUGE_VAL,
                                              .max_epsilon_total = HUGE_VAL,
                                              .max_delta_per_study = 0.01,
                                              .min_patients = 1,
                                              .min_sites = 1};
    }
    if (model_open(&w->study.model, &w->site[0].schema, &w->model, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_true(w->model.table.S <= sizeof w->update[0] / sizeof w->update[0][0]);
}

static void world_release(struct world *w)
{
    model_release(&w->model);
    for (size_t i = 0; i < SITES; i++) {
        imported_close(&w->site[i]);
    }
}

static void seen_leaving(void *ctx, size_t site, uint64_t round, const void *update, size_t n)
{
    struct world *w = ctx;
    if (round == 1) {
        assert_int_equal(n, w->model.table.S * sizeof w->update[0][0]);
        memcpy(w->update[site], update, n);
    }
}

static enum rc run(struct world *w, struct fleet_result *r, struct error *err)
{
    const struct fleet_params p = {.study = &w->study,
                                   .schema = &w->site[0].schema,
                                   .model = &w->model,
                                   .data = w->data,
                                   .policy = w->policy,
                                   .seed = 5,
                                   .watch = {.ctx = w, .release = seen_leaving}};
    return fleet_run(&p, r, err);
}

/* With noise, too: what leaves is not noise that others would have to average away. */
static void who_lacks_notes_sends_zeros_in_their_encoder_and_there_alone(void **state)
{
    (void)state;
    static struct world w;
    struct error err = {0};
    struct fleet_result r = {0};
    world_init(&w, no_notes, STUDY_NOISE_SITE);
    assert_int_equal(run(&w, &r, &err), RC_OK);
    assert_int_equal(r.contributors, SITES);
    const struct study_span *span = &w.model.span[0];
    assert_true(span->end > span->first);
    size_t moved[SITES] = {0, 0}, outside = 0;
    for (size_t i = 0; i < w.model.table.S; i++) {
        const bool in = i >= span->first && i < span->end;
        for (size_t k = 0; k < SITES; k++) {
            moved[k] += in && w.update[k][i] != 0;
        }
        outside += !in && w.update[1][i] != 0;
    }
    assert_int_equal(moved[0], span->end - span->first);
    assert_int_equal(moved[1], 0);
    assert_true(outside > 0);
    fleet_result_release(&r);
    world_release(&w);
}

/* By weight "b" has three quarters of the say elsewhere, and none here. */
static void the_encoder_of_notes_is_trained_by_those_who_have_notes(void **state)
{
    (void)state;
    static struct world w;
    struct error err = {0};
    struct fleet_result r = {0};
    world_init(&w, no_notes, STUDY_NOISE_NONE);
    w.study.rounds = 1;
    const size_t S = w.model.table.S;
    real *global = calloc(w.model.table.P, sizeof *global);
    double *change = calloc(S, sizeof *change);
    uint32_t *ring = calloc(S, sizeof *ring);
    struct train_result alone = {0};
    struct entropy e;
    param_init_values(&w.model.table, w.study.seed, global);
    const struct train_job job = {.study = &w.study,
                                  .model = &w.model,
                                  .data = w.data[0],
                                  .site = 0,
                                  .round = 1,
                                  .global = global};
    replay_init(&e, 1, "not drawn from");
    assert_int_equal(train_round(&job, &e, &alone, &err), RC_OK);
    assert_int_equal(update_add(ring, S, alone.update, alone.update_bytes, &err), RC_OK);
    update_decode(ring, S, study_weight(&w.study, 0), w.study.fraction_bits, change);
    assert_int_equal(run(&w, &r, &err), RC_OK);
    size_t like_a = 0, unlike_a = 0;
    for (size_t i = 0; i < S; i++) {
        const bool same = fabs((double)r.model[i] - ((double)global[i] + change[i])) < 1e-6;
        if (i >= w.model.span[0].first && i < w.model.span[0].end) {
            assert_true(same);
            like_a += change[i] != 0.0;
        } else {
            unlike_a += !same;
        }
    }
    assert_true(like_a > 0 && unlike_a > 0);
    free(global);
    free(change);
    free(ring);
    train_result_release(&alone);
    fleet_result_release(&r);
    world_release(&w);
}

static void a_site_that_has_what_it_is_said_to_lack_is_told(void **state)
{
    (void)state;
    static struct world w;
    struct error err = {0};
    struct fleet_result r = {0};
    world_init(&w, notes, STUDY_NOISE_NONE);
    assert_int_equal(run(&w, &r, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "the study says that site 'b' lacks 'notes', and its data has "
                                     "some; take it off the site's `lacks`"));
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_lacks_notes_sends_zeros_in_their_encoder_and_there_alone),
        cmocka_unit_test(the_encoder_of_notes_is_trained_by_those_who_have_notes),
        cmocka_unit_test(a_site_that_has_what_it_is_said_to_lack_is_told),
    };
    return cmocka_run_group_tests_name("modalities that a site lacks", tests, NULL, NULL);
}
