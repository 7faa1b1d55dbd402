/* Encoders beside PyTorch's modules: tests/support/torch_values.h says what is compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/encoder/cnn.h"
#include "common/model/encoder/encoder.h"
#include "common/model/encoder/tcn.h"
#include "tests/support/torch_values.h"

enum { B = 3, T = 5, V = 2, F = 3, C = 2, WIDTH = 4, WORDS = 11, PIXELS_MAX = 4 * 6 * 2 };

/* The arrays of a batch; the last sample has next to nothing. */
struct batch {
    const char *name;
    float values[B * T * V], seen[B * T * V], since[B * T * V], pixels[B * PIXELS_MAX];
    struct encoder_series series;
    union {
        struct gru_encoder gru;
        struct lstm_encoder lstm;
        struct summary_encoder summary;
        struct series_transformer series;
        struct event_transformer events;
        struct feature_transformer features;
        struct ngram_bag bag;
        struct text_transformer text;
        struct vit vit;
        struct cnn cnn;
        struct tcn tcn;
    } e;
};

static const int32_t length[B] = {3, T, 0};
static const int32_t words[B * T] = {3, 1, -1, 3, 7, 10, 0, 2, 2, 2, -1, -1, -1, -1, -1};
static const struct encoder_codes note = {.T = T, .code = words};
static const struct transformer body = {.width = WIDTH, .heads = 2, .hidden = 5, .layers = 2};

static struct batch batch(const char *name)
{
    return (struct batch){.name = name};
}

static const struct encoder_series *series(struct batch *k)
{
    torch_fill(k->values, B * T * V, k->name, "values");
    torch_fill(k->seen, B * T * V, k->name, "seen");
    torch_fill(k->since, B * T * V, k->name, "since");
    k->series = (struct encoder_series){
        .T = T, .V = V, .values = k->values, .seen = k->seen, .since = k->since, .length = length};
    return &k->series;
}

/* ---- series ---------------------------------------------------------------------------------- */

static struct node *gru(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    return gru_encoder_record(&k->e.gru, t, series(k), NULL);
}

static void the_gru_encoder_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("gru_encoder");
    k.e.gru = (struct gru_encoder){.variables = V, .width = WIDTH, .layers = 2};
    assert_int_equal(gru_encoder_declare(&table, "e", &k.e.gru, &err), RC_OK);
    torch_agrees(k.name, &table, gru, &k, B);
}

static struct node *lstm(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    return lstm_encoder_record(&k->e.lstm, t, series(k), NULL);
}

static void the_lstm_encoder_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("lstm_encoder");
    k.e.lstm = (struct lstm_encoder){.variables = V, .width = WIDTH, .layers = 2};
    assert_int_equal(lstm_encoder_declare(&table, "e", &k.e.lstm, &err), RC_OK);
    torch_agrees(k.name, &table, lstm, &k, B);
}

static struct node *summary(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    return summary_encoder_record(&k->e.summary, t, series(k), NULL);
}

static void the_summary_encoder_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("summary_encoder");
    k.e.summary = (struct summary_encoder){.variables = V, .width = WIDTH};
    assert_int_equal(summary_encoder_declare(&table, "e", &k.e.summary, &err), RC_OK);
    torch_agrees(k.name, &table, summary, &k, B);
}

static struct node *transformed_series(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    return series_transformer_record(&k->e.series, t, series(k), NULL);
}

static void the_series_transformer_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("series_transformer");
    k.e.series = (struct series_transformer){.variables = V, .body = body};
    assert_int_equal(series_transformer_declare(&table, "e", &k.e.series, &err), RC_OK);
    torch_agrees(k.name, &table, transformed_series, &k, B);
}

static struct node *events(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    torch_fill(k->values, (size_t)B * T, k->name, "values");
    torch_fill(k->since, (size_t)B * T, k->name, "since");
    const struct encoder_events x = {.T = T, .values = k->values, .when = k->since, .code = words};
    return event_transformer_record(&k->e.events, t, &x, NULL);
}

static void the_event_transformer_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("event_series");
    k.e.events = (struct event_transformer){.variables = WORDS, .body = body};
    assert_int_equal(event_transformer_declare(&table, "e", &k.e.events, &err), RC_OK);
    torch_agrees(k.name, &table, events, &k, B);
}

static struct node *tcn(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    return tcn_record(&k->e.tcn, t, encoder_series_record(t, series(k)), length);
}

static void the_temporal_convolutional_network_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("tcn");
    const struct tcn_spec spec = {.channels = 3 * V, .width = WIDTH, .blocks = 2, .size = 3};
    assert_int_equal(tcn_declare(&k.e.tcn, &table, "e", &spec, &err), RC_OK);
    torch_agrees(k.name, &table, tcn, &k, B);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static struct node *features(struct tape *t, void *ctx)
{
    static const uint8_t there[B * (F + C)] = {1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0};
    static const int32_t codes[B * C] = {1, 0, 2, 3, 0, 3};
    struct batch *k = ctx;
    torch_fill(k->values, B * F, k->name, "values");
    const struct encoder_table row = {.values = k->values, .there = there, .codes = codes};
    return feature_transformer_record(&k->e.features, t, &row, NULL);
}

static void the_feature_transformer_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("feature_transformer");
    k.e.features = (struct feature_transformer){
        .numbers = F, .columns = C, .categories = {3, 4}, .body = body};
    assert_int_equal(feature_transformer_declare(&table, "e", &k.e.features, &err), RC_OK);
    torch_agrees(k.name, &table, features, &k, B);
}

/* ---- notes ----------------------------------------------------------------------------------- */

static struct node *bag(struct tape *t, void *ctx)
{
    const struct batch *k = ctx;
    return ngram_bag_record(&k->e.bag, t, &note, NULL);
}

static void the_bag_of_ngrams_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("ngram_bag");
    k.e.bag = (struct ngram_bag){.vocabulary = WORDS, .embedding = 3, .width = WIDTH};
    assert_int_equal(ngram_bag_declare(&table, "e", &k.e.bag, &err), RC_OK);
    torch_agrees(k.name, &table, bag, &k, B);
}

static struct node *text(struct tape *t, void *ctx)
{
    const struct batch *k = ctx;
    return text_transformer_record(&k->e.text, t, &note, NULL);
}

static void the_text_transformer_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("text_transformer");
    k.e.text = (struct text_transformer){.vocabulary = WORDS, .body = body};
    assert_int_equal(text_transformer_declare(&table, "e", &k.e.text, &err), RC_OK);
    torch_agrees(k.name, &table, text, &k, B);
}

/* ---- images ---------------------------------------------------------------------------------- */

static struct node *vit(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    torch_fill(k->pixels, B * PIXELS_MAX, k->name, "pixels");
    return vit_record(&k->e.vit, t, &(struct encoder_image){.pixels = k->pixels}, NULL);
}

static void the_vision_transformer_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("vit");
    k.e.vit = (struct vit){.height = 4, .width = 6, .channels = 2, .patch = 2, .body = body};
    assert_int_equal(vit_declare(&table, "e", &k.e.vit, &err), RC_OK);
    torch_agrees(k.name, &table, vit, &k, B);
}

static struct node *cnn(struct tape *t, void *ctx)
{
    struct batch *k = ctx;
    torch_fill(k->pixels, B * (size_t)5 * 6, k->name, "pixels");
    return cnn_record(&k->e.cnn, t, tape_input_shaped(t, k->pixels, 3, (size_t[]){5, 6, 1}));
}

static void the_residual_network_agrees(void **state)
{
    (void)state;
    struct error err = {0};
    struct param_table table = {0};
    struct batch k = batch("cnn");
    const struct cnn_spec spec = {.channels = 1, .first = 2, .stages = 2, .groups = 2};
    assert_int_equal(cnn_declare(&k.e.cnn, &table, "e", &spec, &err), RC_OK);
    torch_agrees(k.name, &table, cnn, &k, B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gru_encoder_agrees),
        cmocka_unit_test(the_lstm_encoder_agrees),
        cmocka_unit_test(the_summary_encoder_agrees),
        cmocka_unit_test(the_series_transformer_agrees),
        cmocka_unit_test(the_event_transformer_agrees),
        cmocka_unit_test(the_temporal_convolutional_network_agrees),
        cmocka_unit_test(the_feature_transformer_agrees),
        cmocka_unit_test(the_bag_of_ngrams_agrees),
        cmocka_unit_test(the_text_transformer_agrees),
        cmocka_unit_test(the_vision_transformer_agrees),
        cmocka_unit_test(the_residual_network_agrees),
    };
    return cmocka_run_group_tests_name("encoders beside PyTorch", tests, NULL, NULL);
}
