/* Tape operations over sequences and sets. In double; tapecheck.h says what is asserted of each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

/* All sizes differ, so that a swapped index cannot pass unnoticed. */
enum { B = 4, T = 5, D = 3, H = 6, V = 7, K = 2 };

struct net {
    struct param_table table;
    struct param_id p[12];
    bool whole; /* sequences are complete: no lengths, no masks */
    float x[B * T * D], label[B * K];
    int32_t length[B], code[B * T], class[B];
    uint8_t there[B * T], known[B * K];
    uint64_t sample[B];
};

static struct net make(void)
{
    struct net n = {.length = {3, T, 0, 1}, .class = {1, -1, 0, 1}};
    real x[B * T * D];
    gradcheck_fill(x, B * T * D, 8);
    for (size_t i = 0; i < B * T * D; i++) {
        n.x[i] = (float)x[i];
    }
    for (size_t i = 0; i < B * T; i++) {
        n.there[i] = i / T != 2 && i % 3 != 1; /* the third sample has nothing */
        n.code[i] = i / T == 2 || i % 4 == 3 ? -1 : (int32_t)(i * i % V);
    }
    for (size_t i = 0; i < B * K; i++) {
        n.label[i] = (float)(i % 3 == 1);
        n.known[i] = i != 2 && i != 4 && i != 5;
    }
    for (size_t b = 0; b < B; b++) {
        n.sample[b] = 1000 + 7 * b;
    }
    n.p[0] = tapecheck_param(&n.table, "in.weight", H, D);
    n.p[1] = tapecheck_param(&n.table, "head.weight", 1, H);
    return n;
}

static struct node *input(struct tape *t, const struct net *n, size_t first)
{
    struct node *x = tape_input_shaped(t, n->x + first * T * D, 2, (size_t[]){T, D});
    return tape_linear(t, x, n->p[0]); /* [B, T, H]: gradients of inputs show in its weight */
}

static struct node *finish(struct tape *t, const struct net *n, size_t first, struct node *h)
{
    return tape_bce(t, tape_linear(t, h, n->p[1]), n->label + first);
}

static const int32_t *length_of(const struct net *n, size_t first)
{
    return n->whole ? NULL : n->length + first;
}

static const uint8_t *there_of(const struct net *n, size_t first)
{
    return n->whole ? NULL : n->there + first * T;
}

/* ---- recurrent ------------------------------------------------------------------------------- */

static struct node *record_lstm(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    const int32_t *length = length_of(n, first);
    struct node *h = tape_lstm(t, input(t, n, first), n->p[2], n->p[3], length);
    struct node *all = tape_masked_mean(t, h, NULL); /* every state, not only the last */
    return finish(t, n, first, tape_add(t, all, tape_last(t, h, length)));
}

static void an_lstm_holds_what_every_operation_must(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        struct net n = make();
        n.whole = whole;
        n.p[2] = tapecheck_param(&n.table, "lstm.weight", 4 * H, H + H);
        n.p[3] = tapecheck_param(&n.table, "lstm.bias", 4 * H, 0);
        tapecheck(&n.table, record_lstm, &n, B);
    }
}

static struct node *record_stacked_lstm(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    const int32_t *length = length_of(n, first);
    struct node *h = tape_lstm(t, input(t, n, first), n->p[2], n->p[3], length);
    h = tape_lstm(t, tape_bias(t, h, n->p[4]), n->p[2], n->p[3], length); /* the same cell twice */
    return finish(t, n, first, tape_last(t, h, length));
}

static void a_cell_used_in_two_layers_gets_its_cross_terms(void **state)
{
    (void)state;
    struct net n = make();
    n.p[2] = tapecheck_param(&n.table, "lstm.weight", 4 * H, H + H);
    n.p[3] = tapecheck_param(&n.table, "lstm.bias", 4 * H, 0);
    n.p[4] = tapecheck_param(&n.table, "between.bias", H, 0);
    tapecheck(&n.table, record_stacked_lstm, &n, B);
}

static struct node *record_gru(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    const int32_t *length = length_of(n, first);
    const struct tape_gru_params p = {.w = n->p[2], .b = n->p[3], .u = n->p[4], .d = n->p[5]};
    struct node *h = tape_gru(t, input(t, n, first), &p, length);
    struct node *all = tape_masked_mean(t, h, NULL);
    return finish(t, n, first, tape_add(t, all, tape_last(t, h, length)));
}

static void a_gru_holds_what_every_operation_must(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        struct net n = make();
        n.whole = whole;
        n.p[2] = tapecheck_param(&n.table, "gru.w", 3 * H, H);
        n.p[3] = tapecheck_param(&n.table, "gru.b", 3 * H, 0);
        n.p[4] = tapecheck_param(&n.table, "gru.u", 3 * H, H);
        n.p[5] = tapecheck_param(&n.table, "gru.d", 3 * H, 0);
        tapecheck(&n.table, record_gru, &n, B);
    }
}

/* ---- attention ------------------------------------------------------------------------------- */

static struct node *record_attention(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    const uint8_t *there = there_of(n, first);
    struct node *x = tape_sinusoids(t, input(t, n, first));
    struct node *q = tape_linear(t, x, n->p[2]);
    struct node *k = tape_linear(t, x, n->p[3]);
    struct node *v = tape_linear(t, x, n->p[4]);
    x = tape_add(t, x, tape_linear(t, tape_attention(t, q, k, v, 2, there), n->p[5]));
    return finish(t, n, first, tape_masked_mean(t, x, there));
}

static void attention_holds_what_every_operation_must(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        struct net n = make();
        n.whole = whole;
        n.p[2] = tapecheck_param(&n.table, "query", H, H);
        n.p[3] = tapecheck_param(&n.table, "key", H, H);
        n.p[4] = tapecheck_param(&n.table, "value", H, H);
        n.p[5] = tapecheck_param(&n.table, "out", H, H);
        tapecheck(&n.table, record_attention, &n, B);
    }
}

/* One node is query, key and value at once; and a few queries look at other keys. */
static struct node *record_cross(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    const uint8_t *there = there_of(n, first);
    struct node *x = input(t, n, first);
    struct node *self = tape_attention(t, x, x, x, 3, there);
    struct node *two[2] = {tape_select(t, self, 1), tape_select(t, self, 4)};
    struct node *q = tape_stack(t, 2, two);
    struct node *cross = tape_attention(t, q, x, self, 1, there);
    return finish(t, n, first, tape_masked_mean(t, tape_chain(t, cross, x), NULL));
}

static void attention_across_sequences_holds_what_every_operation_must(void **state)
{
    (void)state;
    struct net n = make();
    tapecheck(&n.table, record_cross, &n, B);
}

/* Attention of one head, from its parts. */
static struct node *record_parts(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *x = input(t, n, first); /* [B, T, H] */
    struct node *y = tape_linear(t, x, n->p[2]);
    struct node *key = tape_reshape(t, y, 2, (size_t[]){H, T}); /* some [B, H, T] */
    struct node *p = tape_softmax(t, tape_scale(t, tape_matmul(t, x, key), 0.7, 0.2));
    return finish(t, n, first, tape_masked_mean(t, tape_matmul(t, p, y), NULL));
}

static void products_and_softmax_hold_what_every_operation_must(void **state)
{
    (void)state;
    struct net n = make();
    n.p[2] = tapecheck_param(&n.table, "key", H, H);
    tapecheck(&n.table, record_parts, &n, B);
}

static void scores_by_parts_are_those_of_attention(void **state)
{
    (void)state;
    struct net n = make();
    struct error err = {0};
    struct arena arena = {0};
    struct tape *t = calloc(1, sizeof *t);
    real params[H * D + H];
    gradcheck_fill(params, H * D + H, 3);
    param_table_seal(&n.table);
    assert_int_equal(arena_init(&arena, (size_t)1 << 20, &err), RC_OK);
    tape_start(t, &arena, &n.table, params, 1);
    struct node *x = tape_reshape(t, tape_select(t, input(t, &n, 0), 0), 2, (size_t[]){1, H});
    struct node *keys = input(t, &n, 1);
    real turned[H * T];
    for (size_t i = 0; i < T * H; i++) {
        turned[i % H * T + i / H] = keys->v[i];
    }
    struct node *k = tape_reshape(t, keys, 2, (size_t[]){H, T});
    struct node *whole = tape_attention(t, x, keys, keys, 1, NULL);
    real want[H];
    memcpy(want, whole->v, sizeof want);
    memcpy(k->v, turned, sizeof turned);
    struct node *p = tape_softmax(t, tape_scale(t, tape_matmul(t, x, k), 1 / sqrt(H), 0));
    keys = input(t, &n, 1);
    struct node *parts = tape_matmul(t, p, keys);
    for (size_t h = 0; h < H; h++) {
        assert_true(fabs((double)(want[h] - parts->v[h])) < 1e-14);
    }
    assert_int_equal(tape_verdict(t, &err), RC_OK);
    arena_release(&arena);
    param_table_release(&n.table);
    free(t);
}

/* ---- codes ----------------------------------------------------------------------------------- */

static struct node *record_codes(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    const int32_t *code = n->code + first * T;
    struct node *e = tape_sinusoids(t, tape_embedding_sequence(t, n->p[2], code, T));
    struct node *h = tape_masked_mean(t, e, tape_coded(t, code, T));
    struct node *x = tape_masked_mean(t, input(t, n, first), tape_within(t, n->length + first, T));
    return finish(t, n, first, tape_add(t, h, x));
}

static void padded_codes_hold_what_every_operation_must(void **state)
{
    (void)state;
    struct net n = make();
    n.p[2] = tapecheck_param(&n.table, "codes", V, H);
    tapecheck(&n.table, record_codes, &n, B);
}

/* ---- tokens of numbers and of images ---------------------------------------------------------- */

static struct node *record_features(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *x =
        tape_linear(t, tape_input_shaped(t, n->x + first * T * D, 2, (size_t[]){T, D}), n->p[2]);
    struct node *f = tape_features(t, tape_reshape(t, x, 1, (size_t[]){T}), n->p[3], n->p[4]);
    const uint8_t *key = tape_flanked(t, 1, n->there + first * T, T, 1);
    struct node *ends[2] = {tape_select(t, f, 0), tape_select(t, f, 3)};
    f = tape_chain(t, tape_stack(t, 1, ends), tape_chain(t, f, tape_stack(t, 1, ends + 1)));
    struct node *h = tape_masked_mean(t, tape_attention(t, f, f, f, 2, key), NULL);
    return finish(t, n, first, tape_add(t, h, tape_masked_mean(t, input(t, n, first), NULL)));
}

static void feature_tokens_hold_what_every_operation_must(void **state)
{
    (void)state;
    struct net n = make();
    n.p[2] = tapecheck_param(&n.table, "each", 1, D);
    n.p[3] = tapecheck_param(&n.table, "tokens.weight", T, H);
    n.p[4] = tapecheck_param(&n.table, "tokens.bias", T, H);
    tapecheck(&n.table, record_features, &n, B);
}

enum { SIDE = 2, ACROSS = 3, IMAGE = 2 * SIDE * ACROSS * SIDE }; /* 4 x 6 pixels, one channel: 24 */

static struct node *record_patches(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *x = tape_reshape(t, input(t, n, first), 1, (size_t[]){T * H});
    x = tape_reshape(t, tape_part(t, x, 3, IMAGE), 3, (size_t[]){2 * SIDE, ACROSS * SIDE, 1});
    x = tape_linear(t, tape_patches(t, x, SIDE), n->p[2]); /* [B, 2 * 3, H] */
    return finish(t, n, first, tape_select(t, tape_tanh(t, x), 4));
}

static void patches_hold_what_every_operation_must(void **state)
{
    (void)state;
    struct net n = make();
    n.p[2] = tapecheck_param(&n.table, "patch.weight", H, SIDE * SIDE);
    tapecheck(&n.table, record_patches, &n, B);
}

static void patches_are_squares_in_reading_order(void **state)
{
    (void)state;
    struct error err = {0};
    struct arena arena = {0};
    struct param_table table = {0};
    struct tape *t = calloc(1, sizeof *t);
    /* 2 x 4 pixels of two channels: the pixel in row r, column c is 10 r + c, and 100 more */
    const float image[16] = {0, 100, 1, 101, 2, 102, 3, 103, 10, 110, 11, 111, 12, 112, 13, 113};
    const real want[16] = {0, 100, 1, 101, 10, 110, 11, 111, 2, 102, 3, 103, 12, 112, 13, 113};
    assert_int_equal(arena_init(&arena, 4096, &err), RC_OK);
    tape_start(t, &arena, &table, NULL, 1);
    struct node *x = tape_input_shaped(t, image, 3, (size_t[]){2, 4, 2});
    assert_memory_equal(tape_patches(t, x, 2)->v, want, sizeof want);
    arena_release(&arena);
    free(t);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static struct node *record_numbers(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *x = input(t, n, first);
    struct node *gate = tape_sigmoid(t, tape_part(t, x, 1, 1)); /* [B, T, 1] */
    struct node *mixed = tape_add(t, tape_mul(t, x, gate),
                                  tape_mul(t, tape_mul(t, x, x), tape_scale(t, gate, -1.0, 1.0)));
    struct node *some =
        tape_dropout(t, mixed,
                     &(struct tape_dropout){.rate = 0.4, .seed = 5, .sample = n->sample + first});
    return finish(t, n, first, tape_masked_mean(t, some, NULL));
}

static void gates_and_dropout_hold_what_every_operation_must(void **state)
{
    (void)state;
    struct net n = make();
    tapecheck(&n.table, record_numbers, &n, B);
}

static void dropout_drops_its_share_and_keeps_the_mean(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct error err = {0};
    struct arena arena = {0};
    struct param_table table = {0};
    struct tape *t = calloc(1, sizeof *t);
    float *ones = calloc(2 * MANY, sizeof *ones);
    const uint64_t sample[2] = {1, 2};
    for (size_t i = 0; i < (size_t)2 * MANY; i++) {
        ones[i] = 1.0f;
    }
    assert_int_equal(arena_init(&arena, (size_t)1 << 22, &err), RC_OK);
    tape_start(t, &arena, &table, NULL, 2);
    struct tape_dropout d = {.rate = 0.3, .seed = 1, .sample = sample};
    struct node *x = tape_input(t, ones, MANY);
    struct node *y = tape_dropout(t, x, &d);
    double mean = 0.0;
    double dropped = 0.0;
    size_t equal = 0;
    for (size_t i = 0; i < MANY; i++) {
        mean += (double)y->v[i] / MANY;
        dropped += y->v[i] == 0 ? 1.0 / MANY : 0.0;
        equal += y->v[i] == y->v[MANY + i];
    }
    /* five standard errors of the share are .0162 */
    assert_true(fabs(dropped - 0.3) < 0.0162 && fabs(mean - 1.0) < 0.0162 / 0.7);
    assert_true((double)equal < MANY * 0.62); /* two samples' coins differ: .58 agree by chance */
    struct node *again = tape_dropout(t, x, &d);
    assert_memory_not_equal(again->v, y->v, MANY * sizeof *y->v); /* so do two places' */
    d.rate = 0.0;
    assert_ptr_equal(tape_dropout(t, x, &d), x);
    arena_release(&arena);
    free(ones);
    free(t);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static struct node *record_multilabel(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *z = tape_linear(t, tape_masked_mean(t, input(t, n, first), NULL), n->p[1]);
    return tape_multilabel(t, z, n->label + first * K, n->known + first * K);
}

static struct node *record_classes(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *z = tape_linear(t, tape_masked_mean(t, input(t, n, first), NULL), n->p[1]);
    return tape_cross_entropy(t, z, n->class + first);
}

static struct node *record_focal(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *z = tape_linear(t, tape_masked_mean(t, input(t, n, first), NULL), n->p[1]);
    return tape_focal(t, z, n->label + first, 0.25, 2.0);
}

static void losses_hold_what_every_operation_must(void **state)
{
    (void)state;
    tapecheck_record *const each[3] = {record_multilabel, record_classes, record_focal};
    for (size_t i = 0; i < 3; i++) {
        struct net n = {0};
        struct net full = make();
        n = full;
        n.table = (struct param_table){0};
        n.p[0] = tapecheck_param(&n.table, "in.weight", H, D);
        n.p[1] = tapecheck_param(&n.table, "head.weight", i == 2 ? 1 : K, H);
        param_table_release(&full.table);
        tapecheck(&n.table, each[i], &n, B);
    }
}

/* ---- a sample that is not finite --------------------------------------------------------------- */

static void a_dropped_sample_leaves_no_trace(void **state)
{
    (void)state;
    const struct {
        tapecheck_record *record;
        size_t n;
        size_t p[4][2];
    } each[] = {{record_lstm, 2, {{4 * H, H + H}, {4 * H, 0}}},
                {record_gru, 4, {{3 * H, H}, {3 * H, 0}, {3 * H, H}, {3 * H, 0}}},
                {record_attention, 4, {{H, H}, {H, H}, {H, H}, {H, H}}},
                {record_cross, 0, {{0}}},
                {record_parts, 1, {{H, H}}},
                {record_numbers, 0, {{0}}},
                {record_features, 3, {{1, D}, {T, H}, {T, H}}},
                {record_patches, 1, {{H, SIDE * SIDE}}}};
    static const char *const name[4] = {"p2", "p3", "p4", "p5"};
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++) {
        struct net n = make();
        for (size_t j = 0; j < each[i].n; j++) {
            n.p[2 + j] = tapecheck_param(&n.table, name[j], each[i].p[j][0], each[i].p[j][1]);
        }
        tapecheck_dropped(&n.table, each[i].record, &n, B, n.x, T * D);
    }
}

/* ---- shapes ---------------------------------------------------------------------------------- */

#define REFUSED(call, words)                                              \
    do {                                                                  \
        struct error err_ = {0};                                          \
        tape_start(t, NULL, &n.table, NULL, B);                           \
        struct node *x = tape_input_shaped(t, NULL, 2, (size_t[]){T, H}); \
        struct node *row = tape_input(t, NULL, H);                        \
        (void)row;                                                        \
        (void)x;                                                          \
        assert_null(call);                                                \
        assert_int_equal(tape_verdict(t, &err_), RC_INVALID);             \
        assert_string_equal(err_.text, words " do not fit");              \
    } while (0)

static void shapes_that_do_not_fit_are_both_named(void **state)
{
    (void)state;
    struct net n = make();
    struct tape *t = calloc(1, sizeof *t);
    const struct param_id w = n.p[0];
    const struct tape_gru_params gru = {.w = w, .b = w, .u = w, .d = w};
    param_table_seal(&n.table);
    REFUSED(tape_lstm(t, x, w, w, NULL), "lstm: shapes [4,5,6] and [6,3]");
    REFUSED(tape_gru(t, x, &gru, NULL), "gru: shapes [4,5,6] and [6,3]");
    REFUSED(tape_last(t, row, NULL), "last state: shapes [4,6] and [4,0,6]");
    REFUSED(tape_attention(t, x, row, x, 2, NULL), "attention: shapes [4,5,6] and [4,6]");
    REFUSED(tape_attention(t, x, x, x, 4, NULL), "attention heads: shapes [4,5,6] and [4]");
    REFUSED(tape_matmul(t, x, x), "product: shapes [4,5,6] and [4,5,6]");
    REFUSED(tape_masked_mean(t, row, NULL), "masked mean: shapes [4,6] and [4,0,6]");
    REFUSED(tape_mul(t, x, row), "mul: shapes [4,5,6] and [4,6]");
    REFUSED(tape_part(t, x, 5, 2), "part: shapes [4,5,6] and [5,2]");
    REFUSED(tape_chain(t, x, row), "chain: shapes [4,5,6] and [4,6]");
    REFUSED(tape_stack(t, 2, (struct node *[]){row, x}), "stack: shapes [4,6] and [4,5,6]");
    REFUSED(tape_select(t, x, 5), "part: shapes [4,30] and [30,6]");
    REFUSED(tape_features(t, x, w, w), "features: shapes [4,5,6] and [6,3]");
    REFUSED(tape_patches(t, x, 2), "patches: shapes [4,5,6] and [2,2]");
    REFUSED(tape_sinusoids(t, row), "positions: shapes [4,6] and [4,0,6]");
    REFUSED(tape_multilabel(t, x, NULL, NULL), "multi-label: shapes [4,5,6] and [4,6]");
    REFUSED(tape_cross_entropy(t, x, NULL), "cross-entropy: shapes [4,5,6] and [4,6]");
    REFUSED(tape_focal(t, row, NULL, 0.25, 2.0), "focal loss: shapes [4,6] and [4,1]");
    param_table_release(&n.table);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_lstm_holds_what_every_operation_must),
        cmocka_unit_test(a_cell_used_in_two_layers_gets_its_cross_terms),
        cmocka_unit_test(a_gru_holds_what_every_operation_must),
        cmocka_unit_test(attention_holds_what_every_operation_must),
        cmocka_unit_test(attention_across_sequences_holds_what_every_operation_must),
        cmocka_unit_test(products_and_softmax_hold_what_every_operation_must),
        cmocka_unit_test(scores_by_parts_are_those_of_attention),
        cmocka_unit_test(padded_codes_hold_what_every_operation_must),
        cmocka_unit_test(feature_tokens_hold_what_every_operation_must),
        cmocka_unit_test(patches_hold_what_every_operation_must),
        cmocka_unit_test(patches_are_squares_in_reading_order),
        cmocka_unit_test(gates_and_dropout_hold_what_every_operation_must),
        cmocka_unit_test(dropout_drops_its_share_and_keeps_the_mean),
        cmocka_unit_test(losses_hold_what_every_operation_must),
        cmocka_unit_test(a_dropped_sample_leaves_no_trace),
        cmocka_unit_test(shapes_that_do_not_fit_are_both_named),
    };
    return cmocka_run_group_tests_name("common/tape sequences", tests, NULL, NULL);
}
