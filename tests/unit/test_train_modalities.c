/* A round of training over every kind of data: what a patient can move, and what threads cannot. */
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
#include "common/base/rng.h"
#include "common/dp/noise.h"
#include "common/update/update.h"
#include "tests/support/imported.h"

enum { PATIENTS = 30, NOMINAL = 28, SIDE = 8, HOURS = 4, TEXT = 1 << 14, SEEDS = 2 };

/* ---- a cohort of four modalities ------------------------------------------------------------- */

static const char schema[] =
    "cohort: t\nfiles: [{path: a.csv, site: a}]\npatient: {column: id}\n"
    "label: {column: dead, positive: [1], negative: [0]}\nmissing: [\"\"]\nfeatures:\n"
    "- {name: age, column: age, type: continuous, range: [20, 80]}\n"
    "- {name: ward, column: ward, type: categorical, categories: [0, 1, 2]}\nmodalities:\n"
    "- {name: vitals, type: series, window: [0, 4], time_unit: hours, grid: {steps: 4, fill: last},"
    " files: [{path: v.csv}], columns: {patient: p, time: t, variable: v, value: x},"
    " variables: [{name: hr, range: [20, 220]}, {name: k, range: [2, 8]}]}\n"
    "- {name: xray, type: image, size: [8, 8], format: raw, files: [{path: x.u8}]}\n"
    "- {name: letter, type: notes, files: [{path: n.csv}], columns: {patient: p, text: s}, tokens: "
    "5,"
    " vocabulary: 31}\n";

struct texts {
    char table[TEXT], vitals[TEXT], letter[TEXT];
    unsigned char xray[PATIENTS * SIDE * SIDE];
};

static void add(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *to, const char *format, ...)
{
    const size_t used = strlen(to);
    va_list list;
    va_start(list, format);
    assert_true((size_t)vsnprintf(to + used, TEXT - used, format, list) < TEXT - used);
    va_end(list);
}

/* Some lack their series, some their notes: the others' gradients must not notice. */
static void invent(struct texts *t)
{
    static const char *const words[] = {"fever", "calm", "pain", "oedema", "clear", "cough"};
    struct rng r;
    rng_init(&r, 7, "four modalities");
    add(t->table, "id,age,ward,dead\n");
    add(t->vitals, "p,t,v,x\n");
    add(t->letter, "p,s\n");
    for (size_t p = 0; p < PATIENTS; p++) {
        add(t->table, "%zu,%zu,%zu,%zu\n", p, 20 + (size_t)rng_below(&r, 60),
            (size_t)rng_below(&r, 3), (size_t)rng_below(&r, 2));
        for (size_t hour = 0; p % 5 != 1 && hour < HOURS; hour++) {
            add(t->vitals, "%zu,%zu,hr,%zu\n%zu,%zu,k,%zu\n", p, hour,
                40 + (size_t)rng_below(&r, 120), p, hour, 2 + (size_t)rng_below(&r, 6));
        }
        for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
            t->xray[p * SIDE * SIDE + i] = (unsigned char)rng_below(&r, 256);
        }
        if (p % 4 != 2) {
            add(t->letter, "%zu,%s %s %s\n", p, words[rng_below(&r, 6)], words[rng_below(&r, 6)],
                words[rng_below(&r, 6)]);
        }
    }
}

static void cohort_open(struct imported *i)
{
    struct texts *t = calloc(1, sizeof *t);
    assert_non_null(t);
    invent(t);
    const struct cohort_bytes file[IMPORTED_FILES_MAX] = {
        {.data = t->table, .n = strlen(t->table)},
        {.data = t->vitals, .n = strlen(t->vitals)},
        {.data = t->xray, .n = sizeof t->xray},
        {.data = t->letter, .n = strlen(t->letter)}};
    imported_open_bytes(i, schema, NULL, file);
    (void)imported_batch(i); /* fails the test, with the reasons, if it was refused */
    assert_int_equal(i->data->n_patients, PATIENTS);
    free(t);
}

/* Who is left when `gone` leaves. */
static struct dataset *without(const struct imported *i, size_t gone)
{
    struct error err = {0};
    struct dataset *d = NULL;
    size_t who[PATIENTS];
    size_t n = 0;
    for (size_t p = 0; p < PATIENTS; p++) {
        who[n] = p;
        n += p != gone;
    }
    assert_int_equal(dataset_pick(i->data, who, n, &d, &err), RC_OK);
    return d;
}

/* ---- a round --------------------------------------------------------------------------------- */

/* Between them: every encoder and every fusion; without a fusion the sum of points, of all that it reads. */
static const struct {
    const char *table, *series, *image, *notes, *fusion, *missing;
} models[] = {
    {"mlp", "gru", "cnn", "bag", "attention", "skip"},
    {"transformer", "lstm", "vit", "transformer", "concat", "token"},
    {"mlp", "cnn", "cnn", "transformer", "gmu", "zero"},
    {"transformer", "transformer", "vit", "bag", "late", "skip"},
    {"mlp", "gru", "vit", "bag", "projected", "zero"},
    {"mlp", "lstm", "cnn", "bag", "gate", "token"},
    {"mlp", "cnn", "vit", "bag", "gmu_heads", "zero"},
    {"mlp", "gru", "cnn", "transformer", "medfuse", "skip"},
    {"mlp", "cnn", "vit", "bag", "hierarchical", "token"},
    {"mlp", "lstm", "cnn", "bag", "tri_branch", "zero"},
    {"additive", "shape", "contrasts", "words", "", ""},
};
enum { MODELS = sizeof models / sizeof models[0] };

struct world {
    struct study study;
    struct study_site site[1];
    struct model model;
    real *global; /* [S] */
};

static void word(char *to, size_t room, const char *text)
{
    assert_true((size_t)snprintf(to, room, "%s", text) < room);
}

static void world_init(struct world *w, const struct schema *s, size_t kind)
{
    struct error err = {0};
    *w = (struct world){0};
    w->site[0] = (struct study_site){.name = "a", .nominal = NOMINAL};
    w->study = (struct study){
        .name = "s",
        .model = {.name = "multimodal",
                  .embedding = 2,
                  .width = 8,
                  .heads = 2,
                  .layers = 1,
                  .adapter = 2,
                  .dropout = 0.25},
        .local = {.rate = 1.0, .steps = 1, .physical_batch = 4},
        .privacy =
            {.noise = STUDY_NOISE_SITE,
             .epsilon = 1,
             .delta = 1e-3,
             .clip = 0.05, /* nearly all are clipped */
             .sample_rate = 0.75,
             /* large, and equal on both sides: a scale that depends on data would move all */
             .noise_multiplier = 200.0},
        .seed = 1,
        .rounds = 3,
        .quorum = 1,
        .min_sites = 1,
        .fraction_bits = 24,
        .n_sites = 1,
        .site = w->site,
    };
    struct study_model *m = &w->study.model;
    word(m->table, sizeof m->table, models[kind].table);
    word(m->series, sizeof m->series, models[kind].series);
    word(m->image, sizeof m->image, models[kind].image);
    word(m->notes, sizeof m->notes, models[kind].notes);
    word(m->fusion, sizeof m->fusion, models[kind].fusion);
    word(m->missing, sizeof m->missing, models[kind].missing);
    if (models[kind].fusion[0] == '\0') {
        *m = (struct study_model){.name = "additive",
                                  .points = STUDY_POINTS_SHAPE | STUDY_POINTS_CONTRASTS |
                                            STUDY_POINTS_WORDS};
    }
    if (model_open(m, s, &w->model, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    w->global = calloc(w->model.table.P, sizeof *w->global);
    assert_non_null(w->global);
    param_init_values(&w->model.table, 1, w->global);
}

static void world_release(struct world *w)
{
    model_release(&w->model);
    free(w->global);
}

static struct train_result train(const struct world *w, const struct dataset *d, size_t threads,
                                 struct train_room *room, uint64_t seed)
{
    struct error err = {0};
    struct entropy e;
    struct train_result r = {0};
    replay_init(&e, seed, "a");
    const struct train_job job = {.study = &w->study,
                                  .model = &w->model,
                                  .data = d,
                                  .round = 1,
                                  .global = w->global,
                                  .room = room,
                                  .threads = threads};
    if (train_round(&job, &e, &r, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return r;
}

static void assert_same(const struct train_result *a, const struct train_result *b)
{
    assert_int_equal(a->update_bytes, b->update_bytes);
    assert_memory_equal(a->update, b->update, a->update_bytes);
    assert_int_equal(a->site_state_bytes, b->site_state_bytes);
    assert_memory_equal(a->site_state, b->site_state, a->site_state_bytes);
    assert_int_equal(a->report.counts.samples, b->report.counts.samples);
    assert_int_equal(a->report.counts.clipped, b->report.counts.clipped);
}

/* ---- neighbours ------------------------------------------------------------------------------ */

/* Everything that leaves or stays, in units of the clipped sum. */
static double moved(const struct world *w, const struct train_result *a,
                    const struct train_result *b)
{
    struct error err = {0};
    const size_t S = w->model.table.S;
    const size_t own = w->model.table.P - S;
    const double divisor = w->study.privacy.sample_rate * NOMINAL; /* public, and so the same */
    double sq = 0.0;
    uint32_t *sum = calloc(2 * S, sizeof *sum);
    double *change = calloc(2 * S, sizeof *change);
    const struct train_result *of[] = {a, b};
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(update_add(sum + k * S, S, of[k]->update, of[k]->update_bytes, &err),
                         RC_OK);
        update_decode(sum + k * S, S, 1.0, w->study.fraction_bits, change + k * S);
    }
    for (size_t i = 0; i < S; i++) {
        sq += pow((change[i] - change[S + i]) * divisor, 2.0);
    }
    for (size_t i = 0; i < own; i++) { /* adapters: behind the head of the state */
        double x[2];
        for (size_t k = 0; k < 2; k++) {
            memcpy(&x[k], of[k]->site_state + 5 * sizeof(uint64_t) + i * sizeof x[k], sizeof x[k]);
        }
        sq += pow((x[0] - x[1]) * divisor, 2.0);
    }
    free(sum);
    free(change);
    return sqrt(sq);
}

static void a_patient_of_any_modality_moves_a_round_by_at_most_the_clip_bound(void **state)
{
    (void)state;
    struct imported i;
    cohort_open(&i);
    for (size_t kind = 0; kind < MODELS; kind++) {
        struct world w;
        world_init(&w, &i.schema, kind);
        const double C = w.study.privacy.clip;
        const double divisor = w.study.privacy.sample_rate * NOMINAL;
        const double root = sqrt((double)w.model.table.P);
        /* grid of the sum, grid of the update, float arithmetic of about 30 summands */
        const double rounding =
            noise_grid(C) * root + divisor * ldexp(root, -24) + 60.0 * C * 0x1p-23;
        double largest = 0.0;
        /* has everything; no notes; no series; neither: invent */
        static const size_t leaves[] = {0, 10, 11, 6};
        for (size_t k = 0; k < sizeof leaves / sizeof leaves[0]; k++) {
            struct dataset *rest = without(&i, leaves[k]);
            for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                struct train_result a = train(&w, i.data, 1, NULL, seed);
                struct train_result b = train(&w, rest, 1, NULL, seed);
                const double d = moved(&w, &a, &b);
                if (d > C + rounding) {
                    fail_msg("%s, %s, %s, %s, %s: %g over the bound %g (patient %zu, seed %llu)",
                             models[kind].table, models[kind].series, models[kind].image,
                             models[kind].notes, models[kind].fusion, d, C, leaves[k],
                             (unsigned long long)seed);
                }
                largest = fmax(largest, d);
                train_result_release(&a);
                train_result_release(&b);
            }
            dataset_close(&rest);
        }
        assert_true(largest > 0.9 * C); /* the bound is met: the test could fail */
        world_release(&w);
    }
    imported_close(&i);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void a_round_has_the_same_bytes_on_any_number_of_threads(void **state)
{
    (void)state;
    struct imported i;
    cohort_open(&i);
    for (size_t kind = 0; kind < MODELS; kind++) {
        struct world w;
        world_init(&w, &i.schema, kind);
        w.study.local.steps = 6; /* often, so that threads meet in every order */
        w.study.privacy.noise_multiplier = 0.1;
        struct train_result one = train(&w, i.data, 1, NULL, 3);
        for (size_t threads = 2; threads <= 3; threads++) {
            struct train_result many = train(&w, i.data, threads, NULL, 3);
            assert_same(&one, &many);
            train_result_release(&many);
        }
        train_result_release(&one);
        world_release(&w);
    }
    imported_close(&i);
}

static void a_lent_room_changes_no_byte_of_the_rounds_in_it(void **state)
{
    (void)state;
    struct error err = {0};
    struct imported i;
    cohort_open(&i);
    struct world w;
    world_init(&w, &i.schema, 0);
    struct dataset *few = without(&i, 3);
    const struct dataset *data[] = {i.data, few, i.data};
    for (size_t threads = 1; threads <= 2; threads++) {
        struct train_room *room = NULL;
        assert_int_equal(
            train_room_open(&w.model, w.study.local.physical_batch, threads, &room, &err), RC_OK);
        for (size_t k = 0; k < 3; k++) {
            struct train_result made = train(&w, data[k], 1, NULL, 5 + k);
            struct train_result lent = train(&w, data[k], 1, room, 5 + k);
            assert_same(&made, &lent);
            train_result_release(&made);
            train_result_release(&lent);
        }
        train_room_close(&room);
        assert_null(room);
    }
    dataset_close(&few);
    world_release(&w);
    imported_close(&i);
}

static void more_threads_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct imported i;
    cohort_open(&i);
    struct world w;
    struct train_room *room = NULL;
    world_init(&w, &i.schema, 0);
    assert_int_equal(train_room_open(&w.model, 4, TRAIN_THREADS_MAX + 1, &room, &err), RC_LIMIT);
    assert_null(room);
    world_release(&w);
    imported_close(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_patient_of_any_modality_moves_a_round_by_at_most_the_clip_bound),
        cmocka_unit_test(a_round_has_the_same_bytes_on_any_number_of_threads),
        cmocka_unit_test(a_lent_room_changes_no_byte_of_the_rounds_in_it),
        cmocka_unit_test(more_threads_than_there_is_room_for_are_refused),
    };
    return cmocka_run_group_tests_name("agent/train, modalities", tests, NULL, NULL);
}
