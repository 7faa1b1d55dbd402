/* The model of many modalities: every encoder, every fusion, and what is absent. In double; tapecheck.h
 * says what is asserted of each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/fusion/fusion.h"
#include "common/model/model.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

enum { B = 4, STEPS = 4, V = 2, SIDE = 8, TOKENS = 5, WORDS = 11, VALUES = 3, CODES = 1, M = 4 };

static const char features[] =
    "label: {name: dead}\nfeatures:\n"
    "- {name: age, type: continuous, range: [20, 80]}\n- {name: sex, type: binary, required: "
    "true}\n"
    "- {name: ca, type: categorical, categories: [0, 1, 2]}\nmodalities:\n"
    "- {name: vitals, type: series, window: [0, 48], grid: {steps: 4, fill: last}, variables:"
    " [{name: hr, unit: 1/min, range: [20, 220]}, {name: k, range: [2, 8]}]}\n"
    "- {name: xray, type: image, size: [8, 8]}\n"
    "- {name: letter, type: notes, tokens: 5, vocabulary: 11}\n";

static const struct study_model base = {.name = "multimodal",
                                        .embedding = 2,
                                        .fusion = "attention",
                                        .missing = "skip",
                                        .table = "mlp",
                                        .series = "gru",
                                        .image = "cnn",
                                        .notes = "bag",
                                        .width = 8,
                                        .heads = 2,
                                        .layers = 1};

struct net {
    struct schema schema;
    struct model model;
    float values[B * VALUES], series[3][B * STEPS * V], pixels[B * SIDE * SIDE], label[B];
    int32_t codes[B * CODES], words[B * TOKENS], length[B];
    uint8_t present[B * M];
    uint64_t sample[B];
    size_t tokens; /* room of a letter */
    bool training;
};

static void fill(float *to, size_t n, unsigned seed)
{
    real v[B * SIDE * SIDE];
    gradcheck_fill(v, n, seed);
    for (size_t i = 0; i < n; i++) {
        to[i] = (float)v[i];
    }
}

/* @param tokens at most TOKENS, of which letters fill 3 */
static struct net *make_of(const struct study_model *spec, size_t tokens)
{
    static const uint8_t present[B * M] = {1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1};
    static const int32_t codes[B] = {2, 0, 3, 1};
    static const int32_t words[B * TOKENS] = {3, 1, 3, 0, 0, 7, 10, 0, 2, 2,
                                              4, 0, 0, 0, 0, 5, 6,  5, 0, 0};
    struct error err = {0};
    struct config_issues issues = {0};
    struct net *n = calloc(1, sizeof *n);
    assert_non_null(n);
    char text[sizeof features];
    memcpy(text, features, sizeof features);
    *(strstr(text, "tokens: ") + strlen("tokens: ")) = (char)('0' + tokens);
    n->tokens = tokens;
    if (schema_parse_features("study", text, strlen(text), &n->schema, &issues, &err) != RC_OK ||
        model_open(spec, &n->schema, &n->model, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(n->model.layout.n_values, VALUES);
    assert_int_equal(n->model.layout.n_parts, M - 1);
    fill(n->values, B * VALUES, 1);
    for (unsigned i = 0; i < 3; i++) {
        fill(n->series[i], B * STEPS * V, 2 + i);
    }
    fill(n->pixels, B * SIDE * SIDE, 7);
    memcpy(n->codes, codes, sizeof codes);
    memcpy(n->words, words, sizeof words);
    memcpy(n->present, present, sizeof present);
    for (size_t b = 0; b < B; b++) {
        n->label[b] = (float)(b % 2);
        n->length[b] = b == 2 ? 1 : 3;
        n->sample[b] = 1000 + 7 * b;
    }
    return n;
}

static struct net *make(const struct study_model *spec)
{
    return make_of(spec, TOKENS);
}

static void drop(struct net *n)
{
    model_release(&n->model);
    schema_release(&n->schema);
    free(n);
}

/* The logits of samples from `first` on, or their losses. */
static struct node *recorded(struct tape *t, const struct net *n, size_t first, bool loss)
{
    const struct batch_part part[M - 1] = {{.values = n->series[0] + first * STEPS * V,
                                            .mask = n->series[1] + first * STEPS * V,
                                            .delta = n->series[2] + first * STEPS * V},
                                           {.values = n->pixels + first * SIDE * SIDE},
                                           {.codes = n->words + first * n->tokens,
                                            .length = n->length + first}};
    const struct batch batch = {.B = t->B,
                                .values = n->values + first * VALUES,
                                .codes = n->codes + first * CODES,
                                .label = n->label + first,
                                .present = n->present + first * M,
                                .part = part,
                                .training = n->training,
                                .coins = 13,
                                .sample = n->sample + first};
    const struct batch nobody = {.B = t->B, .training = n->training};
    const struct batch *x = t->arena == NULL ? &nobody : &batch;
    return loss ? model_loss(&n->model, t, x) : model_logit(&n->model, t, x);
}

static struct node *record(struct tape *t, void *ctx, size_t first)
{
    return recorded(t, ctx, first, true);
}

static void check(const struct study_model *spec, bool training)
{
    struct net *n = make(spec);
    n->training = training;
    print_message("%s, %s, %s, %s, %s, missing %s%s\n", spec->fusion, spec->table, spec->series,
                  spec->image, spec->notes, spec->missing, training ? ", training" : "");
    tapecheck_composed(&n->model.table, record, n, B);
    drop(n);
}

static void word(char *to, size_t room, const char *text)
{
    (void)snprintf(to, room, "%s", text);
}

/* A cohort without a table, whose series comes as events. */
static const char others[] = "label: {name: dead}\nmodalities:\n"
                             "- {name: vitals, type: series, window: [0, 48], events: 5, "
                             "variables: [{name: hr, unit: 1/min, "
                             "range: [20, 220]}, {name: k, range: [2, 8]}]}\n"
                             "- {name: skin, type: image, size: [8, 8]}\n";

struct other {
    struct schema schema;
    struct model model;
    float values[B * TOKENS], when[B * TOKENS], pixels[B * SIDE * SIDE];
    int32_t codes[B * TOKENS], length[B];
};

static void other_open(struct other *o, const struct study_model *spec)
{
    static const int32_t codes[B * TOKENS] = {0, 1, 1, 0, 0, 1, 0, 1, 0, 1,
                                              1, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    static const int32_t length[B] = {5, 3, 1, 0};
    struct error err = {0};
    struct config_issues issues = {0};
    *o = (struct other){0};
    if (schema_parse_features("study", others, strlen(others), &o->schema, &issues, &err) !=
            RC_OK ||
        model_open(spec, &o->schema, &o->model, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    fill(o->values, (size_t)B * TOKENS, 1);
    fill(o->when, (size_t)B * TOKENS, 2);
    fill(o->pixels, (size_t)B * SIDE * SIDE, 3);
    memcpy(o->codes, codes, sizeof codes);
    memcpy(o->length, length, sizeof length);
}

static void other_close(struct other *o)
{
    model_release(&o->model);
    schema_release(&o->schema);
}

static struct node *record_other(struct tape *t, void *ctx, size_t first)
{
    static const float label[B] = {1, 0, 0, 1};
    const struct other *o = ctx;
    const struct batch_part part[2] = {{.values = o->values + first * TOKENS,
                                        .delta = o->when + first * TOKENS,
                                        .codes = o->codes + first * TOKENS,
                                        .length = o->length + first},
                                       {.values = o->pixels + first * SIDE * SIDE}};
    const struct batch batch = {.B = t->B, .part = part, .label = label + first};
    const struct batch nobody = {.B = t->B};
    return model_loss(&o->model, t, t->arena == NULL ? &nobody : &batch);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* What a site that lacks a modality has no weight in. */
static void the_encoder_of_a_modality_is_one_span_of_the_shared_numbers(void **state)
{
    (void)state;
    struct study_model spec = base;
    spec.adapter = 3; /* stays at the site: in no span */
    spec.n_lacked = 2;
    word(spec.lacked[0], sizeof spec.lacked[0], "letter");
    word(spec.lacked[1], sizeof spec.lacked[1], "vitals");
    struct net *n = make(&spec);
    const struct param_table *t = &n->model.table;
    size_t inside[2] = {0, 0};
    for (size_t i = 0; i < t->n; i++) {
        const struct param *p = &t->param[i];
        for (size_t k = 0; k < 2; k++) {
            const struct study_span *s = &n->model.span[k];
            const bool in = p->offset >= s->first && p->offset + p->size <= s->end;
            const bool out = p->offset + p->size <= s->first || p->offset >= s->end;
            const bool own =
                p->scope == PARAM_SHARED && begins(p->name, k == 0 ? "letter." : "vitals.");
            assert_true(own ? in : out);
            inside[k] += own ? p->size : 0;
        }
    }
    for (size_t k = 0; k < 2; k++) {
        assert_true(inside[k] > 0);
        assert_int_equal(inside[k], n->model.span[k].end - n->model.span[k].first);
    }
    assert_int_equal(n->model.lacked_part[0], 2);
    assert_int_equal(n->model.lacked_part[1], 0);
    drop(n);
}

static void a_modality_that_the_cohort_does_not_have_cannot_be_lacking(void **state)
{
    (void)state;
    struct error err = {0};
    struct study_model spec = base;
    struct model model;
    struct net *n = make(&base);
    spec.n_lacked = 1;
    static const char *const wrong[] = {"notes", "table", "fusion", ""};
    for (size_t i = 0; i < 4; i++) {
        word(spec.lacked[0], sizeof spec.lacked[0], wrong[i]);
        assert_int_equal(model_open(&spec, &n->schema, &model, &err), RC_INVALID);
        assert_non_null(strstr(err.text, "is no modality of the cohort; there are: vitals, xray, "
                                         "letter"));
    }
    drop(n);
}

static void every_encoder_holds_what_a_tape_promises(void **state)
{
    (void)state;
    static const char *const words[][4] = {{"mlp", "gru", "cnn", "bag"},
                                           {"transformer", "lstm", "vit", "transformer"},
                                           {"mlp", "cnn", "vit", "bag"},
                                           {"mlp", "transformer", "cnn", "bag"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct study_model spec = base;
        word(spec.table, sizeof spec.table, words[i][0]);
        word(spec.series, sizeof spec.series, words[i][1]);
        word(spec.image, sizeof spec.image, words[i][2]);
        word(spec.notes, sizeof spec.notes, words[i][3]);
        check(&spec, false);
    }
}

/* Nothing else moves for it: norms and sums are those of what is trained. */
static void frozen_blocks_have_no_gradient_and_the_others_have_theirs(void **state)
{
    (void)state;
    static const char *const words[][4] = {{"mlp", "gru", "cnn", "bag"},
                                           {"transformer", "lstm", "vit", "transformer"},
                                           {"mlp", "cnn", "vit", "bag"}};
    static const char *const frozen[][4] = {
        {"vitals", "letter"}, {"xray", "table"}, {"fusion", "head.out"}, {"head", "xray"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (size_t j = 0; j < sizeof frozen / sizeof frozen[0]; j++) {
            struct study_model spec = base;
            word(spec.table, sizeof spec.table, words[i][0]);
            word(spec.series, sizeof spec.series, words[i][1]);
            word(spec.image, sizeof spec.image, words[i][2]);
            word(spec.notes, sizeof spec.notes, words[i][3]);
            spec.n_frozen = 2;
            for (size_t k = 0; k < 2; k++) {
                word(spec.frozen[k], sizeof spec.frozen[k], frozen[j][k]);
            }
            check(&spec, false);
        }
    }
}

static void what_is_frozen_is_told_by_its_name(void **state)
{
    (void)state;
    struct error err = {0};
    struct study_model spec = base;
    struct model model;
    spec.n_frozen = 1;
    word(spec.frozen[0], sizeof spec.frozen[0], "head.out");
    struct net *n = make(&spec);
    for (size_t i = 0; i < n->model.table.n; i++) {
        const struct param *p = &n->model.table.param[i];
        assert_int_equal(p->frozen, begins(p->name, "head.out."));
    }
    static const char *const wrong[] = {"hea", "head.", "letters", "head.out.weight.x"};
    for (size_t i = 0; i < 4; i++) {
        word(spec.frozen[0], sizeof spec.frozen[0], wrong[i]);
        assert_int_equal(model_open(&spec, &n->schema, &model, &err), RC_INVALID);
        assert_non_null(strstr(err.text, "its blocks are: table, vitals, xray, letter, fusion, "
                                         "head"));
    }
    static const char *const all[] = {"table", "vitals", "xray", "letter", "fusion", "head"};
    spec.n_frozen = 6;
    for (size_t i = 0; i < 6; i++) {
        word(spec.frozen[i], sizeof spec.frozen[i], all[i]);
    }
    assert_int_equal(model_open(&spec, &n->schema, &model, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "nothing of the model is left to train"));
    drop(n);
}

static void events_hold_what_a_tape_promises(void **state)
{
    (void)state;
    struct study_model spec = base;
    word(spec.series, sizeof spec.series, "transformer");
    for (size_t i = 0; i < 2; i++) { /* as a vector, and each by itself */
        struct other o;
        word(spec.fusion, sizeof spec.fusion, i == 0 ? "attention" : "asymmetric");
        other_open(&o, &spec);
        tapecheck_composed(&o.model.table, record_other, &o, B);
        other_close(&o);
    }
}

static void an_encoder_of_grids_refuses_events_and_says_what_reads_them(void **state)
{
    (void)state;
    struct error err = {0};
    struct config_issues issues = {0};
    struct schema schema;
    struct model m = {0};
    assert_int_equal(schema_parse_features("study", others, strlen(others), &schema, &issues, &err),
                     RC_OK);
    assert_int_equal(model_open(&base, &schema, &m, &err), RC_INVALID);
    assert_string_equal(err.text, "encoder 'gru' reads series on a grid, and 'vitals' comes as "
                                  "events; say series: transformer, or give the cohort a grid");
    schema_release(&schema);
}

static real loss_of_other(struct other *o, size_t b)
{
    struct error err = {0};
    struct arena arena = {0};
    size_t cost = 0;
    struct tape *t = malloc(sizeof *t);
    real *params = calloc(o->model.table.P, sizeof *params);
    assert_non_null(t);
    assert_non_null(params);
    gradcheck_fill(params, o->model.table.P, 9);
    assert_int_equal(model_step_cost(&o->model, t, B, &cost, &err), RC_OK);
    assert_int_equal(arena_init(&arena, cost, &err), RC_OK);
    tape_start(t, &arena, &o->model.table, params, B);
    const struct node *z = record_other(t, o, 0);
    assert_int_equal(tape_verdict(t, &err), RC_OK);
    const real loss = z->v[b];
    arena_release(&arena);
    free(params);
    free(t);
    return loss;
}

static void every_event_of_a_patient_counts_and_its_place_does_not(void **state)
{
    (void)state;
    struct study_model spec = base;
    struct other o;
    word(spec.series, sizeof spec.series, "transformer");
    other_open(&o, &spec);
    const real before = loss_of_other(&o, 1);
    o.codes[TOKENS + 3] = 1; /* beyond its three events */
    o.values[TOKENS + 4] = 0.5f;
    assert_true(loss_of_other(&o, 1) == before);
    const float value = o.values[TOKENS];
    const float when = o.when[TOKENS];
    o.values[TOKENS] = o.values[TOKENS + 2]; /* both of variable 1 */
    o.when[TOKENS] = o.when[TOKENS + 2];
    o.values[TOKENS + 2] = value;
    o.when[TOKENS + 2] = when;
    assert_int_equal(o.codes[TOKENS], 1);
    const int32_t code = o.codes[TOKENS + 2];
    o.codes[TOKENS + 2] = o.codes[TOKENS];
    o.codes[TOKENS] = code;
    assert_true(fabs((double)loss_of_other(&o, 1) - (double)before) < 1e-12);
    o.when[TOKENS] += 0.25f;
    assert_true(fabs((double)loss_of_other(&o, 1) - (double)before) > 1e-9);
    other_close(&o);
}

/* Whether it cannot do without a vector for every modality. */
static bool needs_all(const char *fusion)
{
    return strcmp(fusion, "concat") == 0 || strcmp(fusion, "projected") == 0 ||
           strcmp(fusion, "hierarchical") == 0;
}

static void every_fusion_holds_what_a_tape_promises(void **state)
{
    (void)state;
    for (size_t i = 0; i < fusion_count(); i++) {
        struct study_model spec = base;
        word(spec.fusion, sizeof spec.fusion, fusion_name(i));
        word(spec.image, sizeof spec.image, "vit"); /* has a fifth of the cnn's parameters */
        word(spec.missing, sizeof spec.missing, needs_all(fusion_name(i)) ? "token" : "skip");
        check(&spec, false);
        if (strcmp(fusion_name(i), "tri_branch") == 0) {
            word(spec.branch_weights, sizeof spec.branch_weights, "learned");
            check(&spec, false);
        }
    }
}

/* Beside the last test, which has gru and vit. */
static void positions_of_every_encoder_hold_what_a_tape_promises(void **state)
{
    (void)state;
    static const struct {
        const char *fusion, *missing, *table, *series, *image, *notes;
        size_t adapter;
        bool training;
    } of[] = {{"cross_attention", "skip", "transformer", "lstm", "vit", "transformer", 0, false},
              {"asymmetric", "token", "mlp", "gru", "cnn", "bag", 0, false},
              {"asymmetric", "skip", "mlp", "cnn", "vit", "transformer", 0, false},
              {"cross_attention", "zero", "mlp", "transformer", "vit", "bag", 5, true}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        struct study_model spec = base;
        word(spec.fusion, sizeof spec.fusion, of[i].fusion);
        word(spec.missing, sizeof spec.missing, of[i].missing);
        word(spec.table, sizeof spec.table, of[i].table);
        word(spec.series, sizeof spec.series, of[i].series);
        word(spec.image, sizeof spec.image, of[i].image);
        word(spec.notes, sizeof spec.notes, of[i].notes);
        word(spec.primary, sizeof spec.primary, "xray");
        spec.adapter = of[i].adapter;
        spec.dropout = spec.modality_dropout = of[i].training ? 0.25 : 0.0;
        check(&spec, of[i].training);
    }
}

static void dropping_numbers_and_modalities_keeps_what_a_tape_promises(void **state)
{
    (void)state;
    struct study_model spec = base;
    spec.dropout = 0.25;
    spec.modality_dropout = 0.25;
    check(&spec, true);
}

/* The logit, or the loss, of patient b. */
static real number_of(struct net *n, size_t b, bool loss)
{
    struct error err = {0};
    struct arena arena = {0};
    size_t cost = 0;
    struct tape *t = malloc(sizeof *t);
    real *params = calloc(n->model.table.P, sizeof *params);
    assert_non_null(t);
    assert_non_null(params);
    gradcheck_fill(params, n->model.table.P, 5);
    assert_int_equal(model_step_cost(&n->model, t, B, &cost, &err), RC_OK);
    assert_int_equal(arena_init(&arena, cost, &err), RC_OK);
    tape_start(t, &arena, &n->model.table, params, B);
    const struct node *z = recorded(t, n, 0, loss);
    assert_int_equal(tape_verdict(t, &err), RC_OK);
    const real logit = z->v[b];
    arena_release(&arena);
    free(params);
    free(t);
    return logit;
}

static real logit_of(struct net *n, size_t b)
{
    return number_of(n, b, false);
}

static void what_a_patient_lacks_has_no_influence_and_what_it_has_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < fusion_count(); i++) {
        struct study_model spec = base;
        word(spec.fusion, sizeof spec.fusion, fusion_name(i));
        word(spec.missing, sizeof spec.missing, needs_all(fusion_name(i)) ? "zero" : "skip");
        struct net *n = make(&spec);
        print_message("%s\n", spec.fusion);
        const real second = logit_of(n, 1); /* neither series nor notes */
        const real first = logit_of(n, 0);
        for (size_t k = 0; k < STEPS * V; k++) {
            n->series[0][k] += 1.0f;                  /* the first patient's */
            n->series[0][STEPS * V + k] = (float)NAN; /* the second's */
        }
        n->words[TOKENS] = 1;
        assert_true(logit_of(n, 1) == second);
        assert_true(logit_of(n, 0) != first);
        for (size_t k = 0; k < SIDE; k++) {
            n->pixels[SIDE * SIDE + k] += 1.0f;
        }
        assert_true(logit_of(n, 1) != second);
        drop(n);
    }
}

static void nobody_looks_at_the_padding_of_a_short_letter(void **state)
{
    (void)state;
    struct study_model spec = base;
    word(spec.fusion, sizeof spec.fusion, "cross_attention");
    word(spec.notes, sizeof spec.notes, "transformer");
    struct net *padded = make(&spec);
    struct net *cut = make_of(&spec, 3);
    for (size_t b = 0; b < B; b++) {
        assert_true(cut->length[b] <= 3);
        memcpy(cut->words + b * 3, padded->words + b * TOKENS, 3 * sizeof *cut->words);
    }
    for (size_t b = 0; b < B; b++) {
        assert_true(fabs((double)(logit_of(padded, b) - logit_of(cut, b))) < 1e-12);
    }
    drop(padded);
    drop(cut);
}

static void the_primary_modality_is_the_one_that_the_study_names_or_the_first(void **state)
{
    (void)state;
    struct study_model spec = base;
    word(spec.fusion, sizeof spec.fusion, "asymmetric");
    word(spec.series, sizeof spec.series, "transformer");
    struct net *table_first = make(&spec);
    word(spec.primary, sizeof spec.primary, "table");
    struct net *named = make(&spec);
    word(spec.primary, sizeof spec.primary, "vitals");
    struct net *series_first = make(&spec);
    assert_true(logit_of(table_first, 0) == logit_of(named, 0));
    assert_true(logit_of(table_first, 0) != logit_of(series_first, 0));
    drop(table_first);
    drop(named);
    drop(series_first);
}

static void what_is_dropped_while_training_is_there_when_scoring(void **state)
{
    (void)state;
    struct study_model spec = base;
    spec.modality_dropout = 0.9;
    struct net *n = make(&spec);
    const real whole = logit_of(n, 0);
    n->training = true;
    const real thinned = logit_of(n, 0);
    assert_true(whole != thinned); /* by this seed's coins */
    assert_true(logit_of(n, 0) == thinned);
    drop(n);
}

static void images_move_while_training_and_stand_still_when_scoring(void **state)
{
    (void)state;
    struct study_model spec = base;
    struct net *still = make(&spec);
    const real asked = logit_of(still, 0);
    drop(still);
    spec.shift = 2;
    struct net *n = make(&spec);
    assert_true(logit_of(n, 0) == asked);
    n->training = true;
    const real moved = logit_of(n, 0);
    assert_true(moved != asked); /* by this seed's coins */
    const uint64_t other = n->sample[1];
    n->sample[1] = 5; /* somebody else's coins */
    assert_true(logit_of(n, 0) == moved);
    n->sample[1] = other;
    word(spec.image, sizeof spec.image, "vit");
    drop(n);
    check(&spec, true);
}

static void one_adapter_for_each_modality_stays_at_the_site(void **state)
{
    (void)state;
    struct study_model spec = base;
    spec.adapter = 3;
    struct net *n = make(&spec);
    const struct param_table *table = &n->model.table;
    size_t site = 0;
    for (size_t i = 0; i < table->n; i++) {
        const bool adapter = strstr(table->param[i].name, ".adapter.") != NULL;
        assert_int_equal(table->param[i].scope == PARAM_SITE, adapter);
        site += adapter;
    }
    assert_int_equal(site, 4 * M);
    drop(n);
}

static void norms_stay_at_the_site_where_the_study_says_so(void **state)
{
    (void)state;
    struct study_model spec = base;
    spec.site_norm = true;
    struct net *n = make(&spec);
    size_t own = 0;
    for (size_t i = 0; i < n->model.table.n; i++) {
        const struct param *p = &n->model.table.param[i];
        const char *end = strrchr(p->name, '.');
        const bool norm = strcmp(end, ".gain") == 0 || strcmp(end, ".shift") == 0;
        assert_int_equal(p->scope == PARAM_SITE, norm);
        own += norm;
    }
    assert_int_equal(own, 2 * (1 + 3 * 2 + 2) + 2 * 3); /* the cnn's convolutions, the fusion's */
    drop(n);

    struct error err = {0};
    struct config_issues issues = {0};
    struct schema schema;
    struct model m = {0};
    word(spec.fusion, sizeof spec.fusion, "medfuse");
    word(spec.image, sizeof spec.image, "cnn");
    static const char table_only[] =
        "label: {name: dead}\nfeatures:\n- {name: age, type: continuous, range: [20, 80]}\n";
    assert_int_equal(schema_parse_features("study", table_only, strlen(table_only), &schema,
                                           &issues, &err),
                     RC_OK);
    assert_int_equal(model_open(&spec, &schema, &m, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "nothing in this model is normalised"));
    schema_release(&schema);
}

/* Of a fusion that has branches with losses of their own; of others the cross-entropy of the logit. */
static void a_model_s_loss_is_that_of_its_fusion(void **state)
{
    (void)state;
    static const char *const fusion[3] = {"tri_branch", "late", "gmu"};
    for (size_t i = 0; i < 3; i++) {
        struct study_model spec = base;
        word(spec.fusion, sizeof spec.fusion, fusion[i]);
        struct net *n = make(&spec);
        const double z = (double)logit_of(n, 1); /* its label is 1 */
        const double loss = (double)number_of(n, 1, true);
        const double entropy = log1p(exp(-z));
        assert_true((fabs(loss - entropy) < 1e-12) == (i > 0));
        drop(n);
    }
}

static void what_it_cannot_read_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *fusion, *missing, *series, *primary;
        size_t heads;
        const char *says;
    } bad[] = {{"attention", "skip", "rnn", "", 2, "modality 'vitals' has no encoder named 'rnn'"},
               {"blend", "skip", "gru", "", 2, "blend"},
               {"attention", "skip", "gru", "", 3, "heads"},
               {"asymmetric", "skip", "gru", "lungs", 2,
                "model: primary: no modality is named 'lungs'; the cohort has: table, vitals, "
                "xray, letter"},
               {"concat", "skip", "gru", "", 2, "concat"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct study_model spec = base;
        struct error err = {0};
        struct config_issues issues = {0};
        struct schema schema;
        struct model m = {0};
        word(spec.fusion, sizeof spec.fusion, bad[i].fusion);
        word(spec.missing, sizeof spec.missing, bad[i].missing);
        word(spec.series, sizeof spec.series, bad[i].series);
        word(spec.primary, sizeof spec.primary, bad[i].primary);
        spec.heads = bad[i].heads;
        assert_int_equal(schema_parse_features("study", features, strlen(features), &schema,
                                               &issues, &err),
                         RC_OK);
        const enum rc rc = model_open(&spec, &schema, &m, &err);
        if (rc != RC_INVALID || strstr(err.text, bad[i].says) == NULL) {
            fail_msg("want '%s', got %s: %s", bad[i].says, rc_name(rc), err.text);
        }
        schema_release(&schema);
    }
}

/* A softmax over one key is 1, whoever asks. */
static void looking_at_positions_is_refused_where_nobody_has_more_than_one(void **state)
{
    (void)state;
    static const char table_and_notes[] =
        "label: {name: dead}\nfeatures:\n- {name: age, type: continuous, range: [20, 80]}\n"
        "modalities:\n- {name: letter, type: notes, tokens: 5, vocabulary: 11}\n";
    struct error err = {0};
    struct config_issues issues = {0};
    struct schema schema;
    struct model m = {0};
    struct study_model spec = base;
    word(spec.fusion, sizeof spec.fusion, "cross_attention");
    assert_int_equal(schema_parse_features("study", table_and_notes, strlen(table_and_notes),
                                           &schema, &issues, &err),
                     RC_OK);
    assert_int_equal(model_open(&spec, &schema, &m, &err), RC_INVALID);
    assert_string_equal(err.text,
                        "model: fusion 'cross_attention' looks at positions, and every modality "
                        "has only one; choose encoders that have more (table: transformer, notes: "
                        "transformer), or another fusion, such as attention");
    word(spec.notes, sizeof spec.notes, "transformer");
    assert_int_equal(model_open(&spec, &schema, &m, &err), RC_OK);
    model_release(&m);
    schema_release(&schema);
}

/* Names stand in the study's keys and in the model's tables, which do not know each other. */
static void every_word_that_a_study_may_say_names_something(void **state)
{
    (void)state;
    static const struct {
        const char *key, *words[13];
    } keys[] = {{"table", {"mlp", "transformer"}},
                {"series", {"gru", "lstm", "cnn", "transformer", "summary"}},
                {"image", {"cnn", "vit"}},
                {"notes", {"bag", "transformer"}}};
    static const char form[] =
        "study: s\nrounds: 1\nquorum: 1\nmin_sites: 1\nmodel: {name: multimodal, missing: token, "
        "width: 8, heads: 2, %s: %s}\nlocal: {rate: 1}\nprivacy: {noise: none, epsilon: inf, clip: "
        "1}\nsites: [{name: a, "
        "nominal: 9}]\n";
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] + 1; i++) {
        const bool fusions = i == sizeof keys / sizeof keys[0];
        for (size_t k = 0;; k++) {
            const char *said = fusions ? fusion_name(k) : keys[i].words[k];
            char text[512];
            struct study study = {0};
            struct config_issues issues = {0};
            struct error err = {0};
            if (said == NULL) {
                break;
            }
            (void)snprintf(text, sizeof text, form, fusions ? "fusion" : keys[i].key, said);
            const enum rc rc = study_parse("s", text, strlen(text), &study, &issues, &err);
            if (rc != RC_OK) {
                fail_msg("%s: %s", said, err.text);
            }
            drop(make(&study.model));
            study_release(&study);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_encoder_of_a_modality_is_one_span_of_the_shared_numbers),
        cmocka_unit_test(a_modality_that_the_cohort_does_not_have_cannot_be_lacking),
        cmocka_unit_test(every_encoder_holds_what_a_tape_promises),
        cmocka_unit_test(frozen_blocks_have_no_gradient_and_the_others_have_theirs),
        cmocka_unit_test(what_is_frozen_is_told_by_its_name),
        cmocka_unit_test(events_hold_what_a_tape_promises),
        cmocka_unit_test(an_encoder_of_grids_refuses_events_and_says_what_reads_them),
        cmocka_unit_test(every_event_of_a_patient_counts_and_its_place_does_not),
        cmocka_unit_test(norms_stay_at_the_site_where_the_study_says_so),
        cmocka_unit_test(every_fusion_holds_what_a_tape_promises),
        cmocka_unit_test(positions_of_every_encoder_hold_what_a_tape_promises),
        cmocka_unit_test(dropping_numbers_and_modalities_keeps_what_a_tape_promises),
        cmocka_unit_test(what_a_patient_lacks_has_no_influence_and_what_it_has_does),
        cmocka_unit_test(what_is_dropped_while_training_is_there_when_scoring),
        cmocka_unit_test(images_move_while_training_and_stand_still_when_scoring),
        cmocka_unit_test(one_adapter_for_each_modality_stays_at_the_site),
        cmocka_unit_test(a_model_s_loss_is_that_of_its_fusion),
        cmocka_unit_test(what_it_cannot_read_is_said),
        cmocka_unit_test(nobody_looks_at_the_padding_of_a_short_letter),
        cmocka_unit_test(the_primary_modality_is_the_one_that_the_study_names_or_the_first),
        cmocka_unit_test(looking_at_positions_is_refused_where_nobody_has_more_than_one),
        cmocka_unit_test(every_word_that_a_study_may_say_names_something),
    };
    return cmocka_run_group_tests_name("multimodal", tests, NULL, NULL);
}
