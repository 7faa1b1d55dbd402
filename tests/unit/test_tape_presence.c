/* Tape operations on what a sample may lack. In double; tapecheck.h says what is asserted of each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

/* All sizes differ, so that a swapped index cannot pass unnoticed. */
enum { B = 4, N = 3, D = 2, H = 5 };

struct net {
    struct param_table table;
    struct param_id in, other, head;
    float x[B * N * D], label[B];
    uint8_t there[B * N], one[B];
};

static struct net make(size_t width)
{
    struct net n = {.there = {0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1}, /* the third has nothing */
                    .one = {1, 0, 1, 0},
                    .label = {1, 0, 0, 1}};
    real x[B * N * D];
    gradcheck_fill(x, B * N * D, 8);
    for (size_t i = 0; i < B * N * D; i++) {
        n.x[i] = (float)x[i];
    }
    n.in = tapecheck_param(&n.table, "in", H, D);
    n.other = tapecheck_param(&n.table, "other", 1, D);
    n.head = tapecheck_param(&n.table, "head", 1, width);
    return n;
}

static struct node *input(struct tape *t, const struct net *n, size_t first, struct param_id w)
{
    return tape_linear(t, tape_input_shaped(t, n->x + first * N * D, 2, (size_t[]){N, D}), w);
}

static struct node *finish(struct tape *t, const struct net *n, size_t first, struct node *h)
{
    return tape_bce(t, tape_linear(t, h, n->head), n->label + first);
}

/* ---- choose ---------------------------------------------------------------------------------- */

static struct node *record_choose(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *a = tape_tanh(t, input(t, n, first, n->in));
    struct node *h = tape_choose(t, a, tape_scale(t, a, -2.0, 0.5), n->one + first);
    h = tape_add(t, h, tape_choose(t, a, NULL, n->one + first));
    struct node *s = tape_reshape(t, input(t, n, first, n->other), 1, (size_t[]){N});
    return finish(t, n, first, tape_concat(t, tape_masked_mean(t, h, NULL), s));
}

static void one_or_the_other_holds_what_every_recording_must(void **state)
{
    (void)state;
    struct net n = make(H + N);
    tapecheck(&n.table, record_choose, &n, B);
}

/* ---- softmax, mixture ------------------------------------------------------------------------ */

static struct node *record_softmax(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *s = tape_reshape(t, input(t, n, first, n->other), 1, (size_t[]){N});
    s = tape_softmax_there(t, s, n->there + first * N);
    struct node *h = tape_matmul(t, tape_reshape(t, s, 2, (size_t[]){1, N}),
                                 tape_tanh(t, input(t, n, first, n->in)));
    return finish(t, n, first, tape_reshape(t, h, 1, (size_t[]){H}));
}

static void a_softmax_of_those_there_holds_what_every_recording_must(void **state)
{
    (void)state;
    struct net n = make(H);
    tapecheck(&n.table, record_softmax, &n, B);
}

static struct node *mixed(struct tape *t, struct net *n, size_t first, bool scores)
{
    struct node *h = tape_linear(t, tape_tanh(t, input(t, n, first, n->in)), n->head);
    struct node *l = tape_reshape(t, h, 1, (size_t[]){N});
    struct node *s = tape_reshape(t, input(t, n, first, n->other), 1, (size_t[]){N});
    if (!scores) {
        l = tape_add(t, l, s);
    }
    return tape_bce(t, tape_mixture(t, l, scores ? s : NULL, n->there + first * N),
                    n->label + first);
}

static struct node *record_mixture(struct tape *t, void *ctx, size_t first)
{
    return mixed(t, ctx, first, true);
}

static struct node *record_average(struct tape *t, void *ctx, size_t first)
{
    return mixed(t, ctx, first, false);
}

static void averages_of_probabilities_hold_what_every_recording_must(void **state)
{
    (void)state;
    struct net n = make(H);
    tapecheck(&n.table, record_mixture, &n, B);
    n = make(H);
    tapecheck(&n.table, record_average, &n, B);
}

/* ---- pack ------------------------------------------------------------------------------------ */

static struct node *record_pack(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *h = tape_pack(t, tape_tanh(t, input(t, n, first, n->in)), n->there + first * N);
    struct node *last =
        tape_last(t, h, tape_counts(t, t->arena == NULL ? NULL : n->there + first * N, N));
    struct node *s = tape_reshape(t, input(t, n, first, n->other), 1, (size_t[]){N});
    return finish(t, n, first,
                  tape_concat_all(t, 3, (struct node *[]){tape_select(t, h, 0), last, s}));
}

static void packing_holds_what_every_recording_must(void **state)
{
    (void)state;
    struct net n = make(2 * H + N);
    tapecheck(&n.table, record_pack, &n, B);
}

/* ---- by hand --------------------------------------------------------------------------------- */

struct bare {
    struct tape tape;
    struct param_table table;
    struct arena arena;
};

static struct tape *start(size_t samples)
{
    static struct bare k;
    static real nothing[1];
    struct error err = {0};
    arena_release(&k.arena);
    assert_int_equal(arena_init(&k.arena, (size_t)1 << 16, &err), RC_OK);
    tape_start(&k.tape, &k.arena, &k.table, nothing, samples);
    return &k.tape;
}

static void values_are_those_worked_out_by_hand(void **state)
{
    (void)state;
    struct tape *t = start(2);
    const float x[2 * N] = {1.0f, 2.0f, (float)NAN, (float)NAN, 7.0f, (float)NAN};
    const uint8_t there[2 * N] = {1, 1, 0, 0, 1, 0};
    struct node *in = tape_input(t, x, N);
    const struct node *s = tape_softmax_there(t, in, there);
    const real want[2 * N] = {0.2689414213699951, 0.7310585786300049, 0, 0, 1, 0};
    for (size_t i = 0; i < 2 * N; i++) {
        assert_true(fabs((double)(s->v[i] - want[i])) < 1e-15);
    }
    /* equal shares: p = (sigmoid(1) + sigmoid(2)) / 2 = 0.80592782... ; one alone: itself */
    const struct node *m = tape_mixture(t, in, NULL, there);
    const double p = (1.0 / (1.0 + exp(-1.0)) + 1.0 / (1.0 + exp(-2.0))) / 2.0;
    assert_true(fabs((double)m->v[0] - log(p / (1.0 - p))) < 1e-14);
    assert_true(fabs((double)m->v[1] - 7.0) < 1e-14);
    const struct node *k = tape_pack(t, tape_reshape(t, in, 2, (size_t[]){N, 1}), there);
    assert_true(k->v[0] == 1 && k->v[1] == 2 && k->v[2] == 0);
    assert_true(k->v[3] == 7 && k->v[4] == 0 && k->v[5] == 0);
    const int32_t *count = tape_counts(t, there, N);
    assert_true(count[0] == 2 && count[1] == 1);
    const struct node *c = tape_choose(t, in, NULL, (const uint8_t[]){1, 0});
    assert_true(c->v[0] == 1 && c->v[1] == 2 && c->v[3] == 0 && c->v[4] == 0 && c->v[5] == 0);
}

static void an_average_of_extreme_probabilities_is_finite(void **state)
{
    (void)state;
    struct tape *t = start(1);
    const uint8_t there[N] = {1, 1, 1};
    struct node *l = tape_input(t, (const float[]){-900.0f, -900.0f, 900.0f}, N);
    const struct node *m = tape_mixture(t, l, NULL, there);
    assert_true(fabs((double)m->v[0] + log(2.0)) < 1e-12); /* p = 1/3 */
    const struct node *none = tape_mixture(t, l, NULL, (const uint8_t[N]){0});
    assert_true(none->v[0] == 0);
}

static void shapes_that_do_not_fit_are_named(void **state)
{
    (void)state;
    struct error err = {0};
    struct tape *t = start(1);
    const float x[4] = {0};
    assert_null(tape_mixture(t, tape_input(t, x, 2), tape_input(t, x, 3), NULL));
    assert_int_equal(tape_verdict(t, &err), RC_INVALID);
    assert_string_equal(err.text, "mixture: shapes [1,2] and [1,3] do not fit");
    t = start(1);
    assert_null(tape_choose(t, tape_input(t, x, 2), tape_input(t, x, 3), NULL));
    assert_int_equal(tape_verdict(t, &err), RC_INVALID);
    t = start(1);
    assert_null(tape_pack(t, tape_input(t, x, 2), NULL));
    assert_int_equal(tape_verdict(t, &err), RC_INVALID);
    t = start(1);
    assert_null(tape_softmax_there(t, tape_input_shaped(t, x, 2, (size_t[]){2, 2}), NULL));
    assert_int_equal(tape_verdict(t, &err), RC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_or_the_other_holds_what_every_recording_must),
        cmocka_unit_test(a_softmax_of_those_there_holds_what_every_recording_must),
        cmocka_unit_test(averages_of_probabilities_hold_what_every_recording_must),
        cmocka_unit_test(packing_holds_what_every_recording_must),
        cmocka_unit_test(values_are_those_worked_out_by_hand),
        cmocka_unit_test(an_average_of_extreme_probabilities_is_finite),
        cmocka_unit_test(shapes_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests_name("common/tape presence", tests, NULL, NULL);
}
