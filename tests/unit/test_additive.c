/* The additive model: what it reads, what it makes of it, and that nothing else moves it. In double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/model.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

/* VALUES: age, whether it is missing, sex. */
enum { B = 3, STEPS = 4, V = 2, WORDS = 2, VALUES = 3, PARTS = 2, LEVELS = 4 };
enum { WEIGHTS = VALUES + 1 + LEVELS * V, CATEGORIES = 3, P = WEIGHTS + 1 + CATEGORIES };

static const char features[] =
    "label: {name: dead}\nfeatures:\n"
    "- {name: age, type: continuous, range: [20, 80]}\n"
    "- {name: sex, type: binary, required: true}\n"
    "- {name: ward, type: categorical, categories: [a, b]}\nmodalities:\n"
    "- {name: vitals, type: series, window: [0, 48], grid: {steps: 4, fill: last}, variables:"
    " [{name: hr, range: [20, 220]}, {name: k, range: [2, 8]}]}\n"
    "- {name: letter, type: notes, tokens: 2, vocabulary: 5}\n";

static const struct study_model spec = {.name = "additive"};

/* The second patient has no age, the third no vitals. */
static const float values[B * VALUES] = {-0.5f, 0, 1, 0, 1, 0, 0.25f, 0, 1};
static const int32_t codes[B] = {0, 1, 2};
static const float label[B] = {0, 1, 1};
static const float grid[B * STEPS * V] = {0.5f, 9, 0.25f, 0.5f, 9, -0.25f, -0.75f, 9,
                                          9,    9, 9,     1.0f, 9, 9,      9,      9};
static const float seen[B * STEPS * V] = {1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 1};

struct net {
    struct schema schema;
    struct model model;
    float grid[B * STEPS * V];
    int32_t words[B * WORDS];
};

static void open_net(struct net *n)
{
    struct error err = {0};
    struct config_issues issues = {0};
    *n = (struct net){0};
    if (schema_parse_features("study", features, strlen(features), &n->schema, &issues, &err) !=
            RC_OK ||
        model_open(&spec, &n->schema, &n->model, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    memcpy(n->grid, grid, sizeof grid);
}

static void close_net(struct net *n)
{
    model_release(&n->model);
    schema_release(&n->schema);
}

static struct node *recorded(struct tape *t, const struct net *n, size_t first, bool loss)
{
    const struct batch_part part[PARTS] = {{.values = n->grid + first * STEPS * V,
                                            .mask = seen + first * STEPS * V},
                                           {.codes = n->words + first * WORDS}};
    const struct batch batch = {.B = t->B,
                                .values = values + first * VALUES,
                                .codes = codes + first,
                                .label = label + first,
                                .part = part};
    const struct batch nobody = {.B = t->B};
    const struct batch *x = t->arena == NULL ? &nobody : &batch;
    return loss ? model_loss(&n->model, t, x) : model_logit(&n->model, t, x);
}

static struct node *record(struct tape *t, void *ctx, size_t first)
{
    return recorded(t, ctx, first, true);
}

static void logits(const struct net *n, const real *params, real out[B])
{
    static struct tape t;
    struct error err = {0};
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, (size_t)1 << 16, &err), RC_OK);
    tape_start(&t, &arena, &n->model.table, params, B);
    const struct node *z = recorded(&t, n, 0, false);
    assert_int_equal(tape_verdict(&t, &err), RC_OK);
    memcpy(out, z->v, B * sizeof *out);
    arena_release(&arena);
}

static void it_adds_up_values_squares_and_levels(void **state)
{
    (void)state;
    /* Value and indicator of age, sex, age^2; then last, mean, mean^2 and share of hr, and of k. */
    static const double want[B][WEIGHTS] = {{-0.5, 0, 1, 0.25, -0.75, 0, 0, 0.75, -0.25, 0.125,
                                             0.015625, 0.5},
                                            {0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0.25},
                                            {0.25, 0, 1, 0.0625}};
    struct net n;
    real params[P];
    real z[B];
    open_net(&n);
    assert_int_equal(n.model.table.P, P);
    gradcheck_fill(params, P, 3);
    logits(&n, params, z);
    const real *w = params + param_at(&n.model.table, n.model.head.w)->offset;
    const real *e = params + param_at(&n.model.table, n.model.code_table[0])->offset;
    for (size_t b = 0; b < B; b++) {
        double sum =
            (double)params[param_at(&n.model.table, n.model.head.b)->offset] + (double)e[codes[b]];
        for (size_t i = 0; i < WEIGHTS; i++) {
            sum += (double)w[i] * want[b][i];
        }
        if (fabs((double)z[b] - sum) > 1e-12) {
            fail_msg("patient %zu has %.9f, want %.9f", b, (double)z[b], sum);
        }
    }
    close_net(&n);
}

static void it_knows_nothing_at_the_start(void **state)
{
    (void)state;
    struct net n;
    real params[P];
    real z[B];
    open_net(&n);
    param_init_values(&n.model.table, 7, params);
    logits(&n, params, z);
    for (size_t b = 0; b < B; b++) {
        assert_true(z[b] == 0);
    }
    close_net(&n);
}

static void it_holds_what_a_tape_promises(void **state)
{
    (void)state;
    struct net n;
    open_net(&n);
    tapecheck(&n.model.table, record, &n, B);
    close_net(&n);
}

static void hours_without_a_value_and_words_do_not_move_it(void **state)
{
    (void)state;
    struct net n;
    real params[P];
    real before[B];
    real after[B];
    open_net(&n);
    gradcheck_fill(params, P, 3);
    logits(&n, params, before);
    for (size_t i = 0; i < sizeof grid / sizeof grid[0]; i++) {
        n.grid[i] = seen[i] > 0.0f ? n.grid[i] : -3.0f;
    }
    for (size_t i = 0; i < sizeof n.words / sizeof n.words[0]; i++) {
        n.words[i] = 4;
    }
    logits(&n, params, after);
    assert_memory_equal(before, after, sizeof after);
    close_net(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_adds_up_values_squares_and_levels),
        cmocka_unit_test(it_knows_nothing_at_the_start),
        cmocka_unit_test(it_holds_what_a_tape_promises),
        cmocka_unit_test(hours_without_a_value_and_words_do_not_move_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
