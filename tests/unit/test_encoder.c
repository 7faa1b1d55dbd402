/* Encoders of each modality. In double; tapecheck.h says what is asserted of each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/encoder/encoder.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

/* All sizes differ, so that a swapped index cannot pass unnoticed. */
enum { B = 3, T = 5, V = 2, F = 3, C = 2, WIDTH = 4, WORDS = 11, TALL = 4, BROAD = 6, DEEP = 2 };

enum kind { GRU, LSTM, SUMMARY, SERIES, TABLE, BAG, TEXT, IMAGE };

/* One encoder and a head, on three samples of every modality; the last sample has next to nothing. */
struct net {
    enum kind kind;
    bool pooled;  /* the mean of the encoder's positions, in the place of its vector */
    size_t steps; /* of series: T, or fewer for a sample alone */
    struct param_table table;
    struct param_id head;
    union {
        struct gru_encoder gru;
        struct lstm_encoder lstm;
        struct summary_encoder summary;
        struct series_transformer series;
        struct feature_transformer features;
        struct ngram_bag bag;
        struct text_transformer text;
        struct vit vit;
    } e;
    float series[3][B * T * V], numbers[B * F], pixels[B * TALL * BROAD * DEEP], label[B];
    int32_t length[B], words[B * T], codes[B * C];
    uint8_t there[B * (F + C)];
    uint64_t sample[B];
};

static void fill(float *to, size_t n, unsigned seed)
{
    real v[B * TALL * BROAD * DEEP];
    gradcheck_fill(v, n, seed);
    for (size_t i = 0; i < n; i++) {
        to[i] = (float)v[i];
    }
}

static struct net make(enum kind kind)
{
    struct net n = {.kind = kind,
                    .steps = T,
                    .length = {3, T, 0},
                    .words = {3, 1, -1, 3, 7, 10, 0, 2, 2, 2, -1, -1, -1, -1, -1},
                    .codes = {1, 0, 2, 3, 0, 3},
                    .there = {1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0},
                    .label = {1.0f, 0.0f, 1.0f},
                    .sample = {17, 4, 99}};
    for (unsigned i = 0; i < 3; i++) {
        fill(n.series[i], B * T * V, 20 + i);
    }
    fill(n.numbers, B * F, 30);
    fill(n.pixels, B * TALL * BROAD * DEEP, 31);
    return n;
}

static struct node *encode(struct tape *t, const struct net *n, size_t first, bool some)
{
    const struct tape_dropout coins = {.rate = 0.2, .seed = 3, .sample = n->sample + first};
    const struct tape_dropout *drop = some ? &coins : NULL;
    const size_t at = first * T * V;
    const struct encoder_series series = {.T = n->steps,
                                          .V = V,
                                          .values = n->series[0] + at,
                                          .seen = n->series[1] + at,
                                          .since = n->series[2] + at,
                                          .length = n->length + first};
    const struct encoder_codes words = {.T = T, .code = n->words + first * T};
    const struct encoder_table row = {.values = n->numbers + first * F,
                                      .there = n->there + first * (F + C),
                                      .codes = n->codes + first * C};
    const struct encoder_image image = {.pixels = n->pixels + first * TALL * BROAD * DEEP};
    struct encoder_positions p = {0};
    switch (n->pooled ? n->kind : BAG) {
    case GRU:
        p = gru_encoder_positions(&n->e.gru, t, &series, drop);
        break;
    case LSTM:
        p = lstm_encoder_positions(&n->e.lstm, t, &series, drop);
        break;
    case SERIES:
        p = series_transformer_positions(&n->e.series, t, &series, drop);
        break;
    case TABLE:
        p = feature_transformer_positions(&n->e.features, t, &row, drop);
        break;
    case TEXT:
        p = text_transformer_positions(&n->e.text, t, &words, drop);
        break;
    case IMAGE:
        p = vit_positions(&n->e.vit, t, &image, drop);
        break;
    case SUMMARY:
    case BAG:
        break;
    }
    if (n->pooled) {
        return tape_masked_mean(t, p.x, p.key);
    }
    switch (n->kind) {
    case GRU:
        return gru_encoder_record(&n->e.gru, t, &series, drop);
    case LSTM:
        return lstm_encoder_record(&n->e.lstm, t, &series, drop);
    case SUMMARY:
        return summary_encoder_record(&n->e.summary, t, &series, drop);
    case SERIES:
        return series_transformer_record(&n->e.series, t, &series, drop);
    case TABLE:
        return feature_transformer_record(&n->e.features, t, &row, drop);
    case BAG:
        return ngram_bag_record(&n->e.bag, t, &words, drop);
    case TEXT:
        return text_transformer_record(&n->e.text, t, &words, drop);
    case IMAGE:
        return vit_record(&n->e.vit, t, &image, drop);
    }
    return NULL;
}

static struct node *record(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    return tape_bce(t, tape_linear(t, encode(t, n, first, false), n->head), n->label + first);
}

static struct node *record_dropped(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    return tape_bce(t, tape_linear(t, encode(t, n, first, true), n->head), n->label + first);
}

static const struct transformer body = {.width = WIDTH, .heads = 2, .hidden = 5, .layers = 2};

static enum rc declare(struct net *n, struct error *err)
{
    switch (n->kind) {
    case GRU:
        n->e.gru = (struct gru_encoder){.variables = V, .width = WIDTH, .layers = 2};
        return gru_encoder_declare(&n->table, "x", &n->e.gru, err);
    case LSTM:
        n->e.lstm = (struct lstm_encoder){.variables = V, .width = WIDTH, .layers = 2};
        return lstm_encoder_declare(&n->table, "x", &n->e.lstm, err);
    case SUMMARY:
        n->e.summary = (struct summary_encoder){.variables = V, .width = WIDTH};
        return summary_encoder_declare(&n->table, "x", &n->e.summary, err);
    case SERIES:
        n->e.series = (struct series_transformer){.variables = V, .body = body};
        return series_transformer_declare(&n->table, "x", &n->e.series, err);
    case TABLE:
        n->e.features = (struct feature_transformer){
            .numbers = F, .columns = C, .categories = {3, 4}, .body = body};
        return feature_transformer_declare(&n->table, "x", &n->e.features, err);
    case BAG:
        n->e.bag = (struct ngram_bag){.vocabulary = WORDS, .embedding = 3, .width = WIDTH};
        return ngram_bag_declare(&n->table, "x", &n->e.bag, err);
    case TEXT:
        n->e.text = (struct text_transformer){.vocabulary = WORDS, .body = body};
        return text_transformer_declare(&n->table, "x", &n->e.text, err);
    case IMAGE:
        n->e.vit = (struct vit){
            .height = TALL, .width = BROAD, .channels = DEEP, .patch = 2, .body = body};
        return vit_declare(&n->table, "x", &n->e.vit, err);
    }
    return RC_INVALID;
}

static void check(enum kind kind)
{
    tapecheck_record *const how[2] = {record, record_dropped};
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        struct net n = make(kind);
        assert_int_equal(declare(&n, &err), RC_OK);
        n.head = tapecheck_param(&n.table, "head", 1, WIDTH);
        tapecheck(&n.table, how[i], &n, B);
    }
}

static void the_gru_encoder_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(GRU);
}

static void the_lstm_encoder_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(LSTM);
}

static void the_summary_encoder_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(SUMMARY);
}

static void an_lstm_begins_by_remembering(void **state)
{
    (void)state;
    struct error err = {0};
    struct net n = make(LSTM);
    assert_int_equal(declare(&n, &err), RC_OK);
    param_table_seal(&n.table);
    real *params = calloc(n.table.P, sizeof *params);
    assert_non_null(params);
    param_init_values(&n.table, 1, params);
    for (size_t layer = 0; layer < 2; layer++) {
        const real *bias = params + param_at(&n.table, n.e.lstm.layer[layer].b)->offset;
        for (size_t j = 0; j < 4 * (size_t)WIDTH; j++) {
            assert_true(bias[j] == (real)(j / WIDTH == 1 ? 1 : 0)); /* gates i, f, g, o */
        }
    }
    free(params);
    param_table_release(&n.table);
}

static void the_series_transformer_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(SERIES);
}

static void the_feature_transformer_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(TABLE);
}

static void the_bag_of_ngrams_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(BAG);
}

static void the_text_transformer_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(TEXT);
}

static void the_vision_transformer_holds_what_every_recording_must(void **state)
{
    (void)state;
    check(IMAGE);
}

/* ---- what must not matter -------------------------------------------------------------------- */

/* The first vectors [count, WIDTH] with parameters that are all different from zero. */
static void vectors(const struct net *n, size_t count, real *out)
{
    static struct tape t;
    static real params[4096];
    struct arena arena = {0};
    struct error err = {0};
    assert_true(n->table.P <= 4096);
    gradcheck_fill(params, n->table.P, 5);
    assert_int_equal(arena_init(&arena, (size_t)1 << 20, &err), RC_OK);
    tape_start(&t, &arena, &n->table, params, count);
    const struct node *h = encode(&t, n, 0, false);
    assert_int_equal(tape_verdict(&t, &err), RC_OK);
    if (h == NULL) {
        fail();
        return;
    }
    assert_int_equal(h->shape.rank, 2);
    assert_int_equal(h->shape.dim[1], WIDTH);
    memcpy(out, h->v, count * WIDTH * sizeof *out);
    arena_release(&arena);
}

/* Whatever stands where the mask says that nothing is. */
static void spoil(struct net *n)
{
    for (size_t i = 0; i < B * T; i++) {
        for (size_t v = 0; (int32_t)(i % T) >= n->length[i / T] && v < V; v++) {
            n->series[0][i * V + v] = 1e6f;
        }
    }
    for (size_t i = 0; i < B * F; i++) {
        n->numbers[i] = n->there[i / F * (F + C) + i % F] ? n->numbers[i] : 1e6f;
    }
    for (size_t i = 0; i < B * C; i++) {
        n->codes[i] = n->there[i / C * (F + C) + F + i % C] ? n->codes[i] : 1;
    }
    for (size_t i = 0; i < B * T; i++) {
        n->words[i] = n->words[i] < 0 ? -7 : n->words[i];
    }
}

static void what_is_missing_is_not_looked_at(void **state)
{
    (void)state;
    const enum kind masked[] = {BAG, SUMMARY, GRU, LSTM, SERIES, TABLE, TEXT};
    const size_t K = sizeof masked / sizeof masked[0];
    for (size_t i = 0; i < 2 * K - 2; i++) { /* vectors, then positions of all but the first two */
        struct error err = {0};
        struct net n = make(masked[i < K ? i : i - K + 2]);
        n.pooled = i >= K;
        real before[B * WIDTH];
        real after[B * WIDTH];
        assert_int_equal(declare(&n, &err), RC_OK);
        param_table_seal(&n.table);
        vectors(&n, B, before);
        spoil(&n);
        vectors(&n, B, after);
        for (size_t j = 0; j < B * WIDTH; j++) {
            assert_true(isfinite((double)before[j]));
            assert_true(fabs((double)(before[j] - after[j])) < 1e-12);
        }
        param_table_release(&n.table);
    }
}

static void a_series_has_the_vector_and_the_positions_of_the_steps_it_has(void **state)
{
    (void)state;
    const enum kind kind[4] = {GRU, LSTM, SERIES, SUMMARY}; /* the last has no positions */
    for (size_t i = 0; i < 7; i++) {
        struct error err = {0};
        struct net n = make(kind[i % 4]);
        n.pooled = i >= 4;
        real padded[B * WIDTH];
        real cut[WIDTH];
        assert_int_equal(declare(&n, &err), RC_OK);
        param_table_seal(&n.table);
        vectors(&n, B, padded);
        n.steps = (size_t)n.length[0];
        vectors(&n, 1, cut);
        for (size_t j = 0; j < WIDTH; j++) {
            assert_true(cut[j] != 0 && fabs((double)(padded[j] - cut[j])) < 1e-13);
        }
        param_table_release(&n.table);
    }
}

/* A grid may say anything where nothing was seen: zeros, or the last value again. */
static void a_summary_is_of_the_steps_that_were_seen(void **state)
{
    (void)state;
    struct error err = {0};
    struct net n = make(SUMMARY);
    real before[B * WIDTH];
    real after[B * WIDTH];
    size_t unseen = 0;
    assert_int_equal(declare(&n, &err), RC_OK);
    param_table_seal(&n.table);
    vectors(&n, B, before);
    for (size_t i = 0; i < B * T * V; i++) {
        if (n.series[1][i] <= 0.0f) {
            n.series[0][i] = 1e6f;
            unseen++;
        }
    }
    assert_true(unseen > 0 && unseen < B * T * V);
    vectors(&n, B, after);
    assert_memory_equal(before, after, sizeof after);
    param_table_release(&n.table);
}

/* What a summary is of one variable: W1 takes one statistic out, twice, with both signs, and W2 puts
 * what is left of it by the rectifier together again. */
static void a_summary_has_the_statistics_of_what_was_seen(void **state)
{
    (void)state;
    enum { STEPS = 6, STATISTICS = 7 };
    static const float value[STEPS] = {0.5f, 9.0f, -0.75f, 0.25f, 1.0f, 9.0f};
    static const float seen[STEPS] = {1, 0, 1, 1, 1, 0};
    static const double want[STATISTICS] = {0.5,    1.0, -0.75, 1.0, 0.25, 0.6373774391990981,
                                            4.0 / 6};
    static struct tape t;
    struct error err = {0};
    struct arena arena = {0};
    struct param_table table = {0};
    struct summary_encoder e = {.variables = 1, .width = 2};
    const struct encoder_series x = {.T = STEPS, .V = 1, .values = value, .seen = seen};
    assert_int_equal(summary_encoder_declare(&table, "x", &e, &err), RC_OK);
    param_table_seal(&table);
    assert_int_equal(table.P, 2 * STATISTICS + 2 + 2 * 2 + 2);
    assert_int_equal(arena_init(&arena, (size_t)1 << 16, &err), RC_OK);
    for (size_t k = 0; k < STATISTICS; k++) {
        real params[2 * STATISTICS + 2 + 2 * 2 + 2] = {0};
        real *in = params + param_at(&table, e.in.w)->offset;
        real *out = params + param_at(&table, e.out.w)->offset;
        in[k] = out[0] = 1;
        in[STATISTICS + k] = out[1] = -1;
        arena_rewind(&arena, 0);
        tape_start(&t, &arena, &table, params, 1);
        const struct node *h = summary_encoder_record(&e, &t, &x, NULL);
        assert_int_equal(tape_verdict(&t, &err), RC_OK);
        assert_non_null(h);
        if (fabs((double)h->v[0] - want[k]) > 1e-7) {
            fail_msg("statistic %zu is %.9f, want %.9f", k, (double)h->v[0], want[k]);
        }
    }
    arena_release(&arena);
    param_table_release(&table);
}

static void the_mean_of_the_positions_is_the_vector_where_that_is_a_mean(void **state)
{
    (void)state;
    const enum kind kind[3] = {SERIES, TEXT, IMAGE};
    for (size_t i = 0; i < 3; i++) {
        struct error err = {0};
        struct net n = make(kind[i]);
        real vector[B * WIDTH];
        real mean[B * WIDTH];
        assert_int_equal(declare(&n, &err), RC_OK);
        param_table_seal(&n.table);
        vectors(&n, B, vector);
        n.pooled = true;
        vectors(&n, B, mean);
        assert_memory_equal(vector, mean, sizeof mean);
        param_table_release(&n.table);
    }
}

static void a_bag_does_not_know_the_order_of_words_but_a_transformer_does(void **state)
{
    (void)state;
    const enum kind kind[2] = {BAG, TEXT};
    for (size_t i = 0; i < 2; i++) {
        struct error err = {0};
        struct net n = make(kind[i]);
        real before[B * WIDTH];
        real after[B * WIDTH];
        assert_int_equal(declare(&n, &err), RC_OK);
        param_table_seal(&n.table);
        vectors(&n, B, before);
        n.words[0] = 1;
        n.words[1] = 3;
        vectors(&n, B, after);
        double moved = 0.0;
        for (size_t j = 0; j < WIDTH; j++) {
            moved = fmax(moved, fabs((double)(before[j] - after[j])));
        }
        assert_true(kind[i] == BAG ? moved < 1e-14 : moved > 1e-6);
        param_table_release(&n.table);
    }
}

/* ---- words ----------------------------------------------------------------------------------- */

static void words_and_pairs_are_hashed_alike_whatever_surrounds_them(void **state)
{
    (void)state;
    int32_t a[8];
    int32_t b[8];
    const char plain[] = "no chest pain";
    const char noisy[] = "--No,  CHEST\n(pain)!";
    assert_int_equal(ngram_codes(plain, sizeof plain - 1, 2, 4096, a, 8), 5);
    assert_int_equal(ngram_codes(noisy, sizeof noisy - 1, 2, 4096, b, 8), 5);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(a[5], -1);
    assert_int_equal(ngram_codes(plain, sizeof plain - 1, 1, 4096, b, 8), 3);
    assert_true(b[0] == a[0] && b[1] == a[1] && b[2] == a[3] && b[3] == -1);
    for (size_t i = 0; i < 5; i++) {
        assert_true(a[i] >= 0 && a[i] < 4096);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(a[i], a[j]);
        }
    }
    assert_int_equal(ngram_codes("chest no", 8, 2, 4096, b, 8), 3);
    assert_int_not_equal(b[2], a[2]); /* a pair has an order */
}

static void codes_of_words_never_change(void **state)
{
    (void)state;
    /* FNV-1a of "a" is af63dc4c8601ec8c (its authors' test vector), folded: 8601ec8c ^ af63dc4c */
    int32_t code[1];
    assert_int_equal(ngram_codes("A", 1, 1, (size_t)1 << 16, code, 1), 1);
    assert_int_equal(code[0], (int32_t)((0xec8cu ^ 0xdc4cu) & 0xffffu));
}

static void letters_beyond_ascii_are_letters_and_a_long_text_is_cut(void **state)
{
    (void)state;
    int32_t code[2];
    assert_int_equal(ngram_codes("M\xc3\xbcller hei\xc3\x9ft", 14, 1, 512, code, 2), 2);
    assert_int_equal(ngram_codes("one two three", 13, 2, 512, code, 2), 5);
    assert_true(code[0] >= 0 && code[1] >= 0);
    assert_int_equal(ngram_codes("", 0, 2, 512, code, 2), 0);
    assert_true(code[0] == -1 && code[1] == -1);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void sizes_that_do_not_fit_are_named(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct text_transformer text = {.vocabulary = 9, .body = body};
    text.body.heads = 3;
    assert_int_equal(text_transformer_declare(&table, "note", &text, &err), RC_INVALID);
    assert_string_equal(err.text, "encoder 'note': width 4 is no multiple of 3 heads");
    struct gru_encoder gru = {.variables = 2, .width = 3};
    assert_int_equal(gru_encoder_declare(&table, "vitals", &gru, &err), RC_INVALID);
    assert_string_equal(err.text, "encoder 'vitals': layers must be at least 1");
    gru.layers = ENCODER_LAYERS_MAX + 1;
    assert_int_equal(gru_encoder_declare(&table, "vitals", &gru, &err), RC_INVALID);
    assert_string_equal(err.text, "encoder 'vitals': layers must be at most 8");
    struct vit vit = {.height = 6, .width = 8, .channels = 1, .patch = 4, .body = body};
    assert_int_equal(vit_declare(&table, "xray", &vit, &err), RC_INVALID);
    assert_string_equal(err.text, "encoder 'xray': 6x8 pixels do not divide into 4x4");
    struct feature_transformer row = {.columns = ENCODER_COLUMNS_MAX + 1, .body = body};
    assert_int_equal(feature_transformer_declare(&table, "row", &row, &err), RC_LIMIT);
    param_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gru_encoder_holds_what_every_recording_must),
        cmocka_unit_test(the_lstm_encoder_holds_what_every_recording_must),
        cmocka_unit_test(an_lstm_begins_by_remembering),
        cmocka_unit_test(the_summary_encoder_holds_what_every_recording_must),
        cmocka_unit_test(the_series_transformer_holds_what_every_recording_must),
        cmocka_unit_test(the_feature_transformer_holds_what_every_recording_must),
        cmocka_unit_test(the_bag_of_ngrams_holds_what_every_recording_must),
        cmocka_unit_test(the_text_transformer_holds_what_every_recording_must),
        cmocka_unit_test(the_vision_transformer_holds_what_every_recording_must),
        cmocka_unit_test(what_is_missing_is_not_looked_at),
        cmocka_unit_test(a_series_has_the_vector_and_the_positions_of_the_steps_it_has),
        cmocka_unit_test(a_summary_is_of_the_steps_that_were_seen),
        cmocka_unit_test(a_summary_has_the_statistics_of_what_was_seen),
        cmocka_unit_test(the_mean_of_the_positions_is_the_vector_where_that_is_a_mean),
        cmocka_unit_test(a_bag_does_not_know_the_order_of_words_but_a_transformer_does),
        cmocka_unit_test(words_and_pairs_are_hashed_alike_whatever_surrounds_them),
        cmocka_unit_test(codes_of_words_never_change),
        cmocka_unit_test(letters_beyond_ascii_are_letters_and_a_long_text_is_cut),
        cmocka_unit_test(sizes_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests_name("common/model encoders", tests, NULL, NULL);
}
