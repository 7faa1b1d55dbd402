/* Operations of the tape beside PyTorch's: tests/support/torch_values.h says what is compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/tape/image.h"
#include "tests/support/torch_values.h"

enum { B = 3, PARTS = 10, INPUT_MAX = 288 };

/* A case: its parameters, of which p[0] (and p[1]) are added to an input, and what it records. */
struct operation {
    const char *sentence, *name;
    torch_record *record;
    struct {
        const char *name;
        size_t a, b; /* b = 0: a vector */
    } param[PARTS];
    struct param_id p[PARTS];
};

/* Input i [B, dim…], different for every sample, plus parameter i, which has its gradient. */
static struct node *input(struct tape *t, const struct operation *k, size_t i, size_t rank,
                          const size_t *dim)
{
    float values[INPUT_MAX];
    char part[32];
    const size_t n = k->param[i].a;
    assert_true(t->B * n <= INPUT_MAX);
    (void)snprintf(part, sizeof part, "%s.data", k->param[i].name);
    torch_fill(values, t->B * n, k->name, part);
    return tape_reshape(t, tape_bias(t, tape_input(t, values, n), k->p[i]), rank, dim);
}

static struct node *rows(struct tape *t, const struct operation *k)
{
    return input(t, k, 0, 2, (size_t[]){2, 5});
}

/* ---- linear maps and norms ------------------------------------------------------------------- */

static struct node *linear(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    return tape_affine(t, rows(t, k), k->p[1], k->p[2]);
}

static struct node *layer_norm(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    return tape_layer_norm(t, rows(t, k), k->p[1], k->p[2]);
}

static struct node *group_norm(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    struct node *x = input(t, k, 0, 3, (size_t[]){4, 2, 6});
    return tape_group_norm(t, x, k->p[1], k->p[2], 3);
}

/* ---- convolutions and pools ------------------------------------------------------------------ */

static struct node *conv2d(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    struct node *x = input(t, k, 0, 3, (size_t[]){5, 6, 2});
    return tape_conv2d(t, x, k->p[1], window_square(3, 2, 1));
}

static struct node *depthwise(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    struct node *x = input(t, k, 0, 3, (size_t[]){5, 6, 3});
    return tape_depthwise2d(t, x, k->p[1], window_square(3, 2, 1));
}

static struct node *conv1d(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    struct node *x = input(t, k, 0, 2, (size_t[]){7, 2});
    return tape_conv1d(t, x, k->p[1], window_causal(3, 2));
}

static struct node *conv1d_weight_norm(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    struct node *x = input(t, k, 0, 2, (size_t[]){7, 2});
    x = tape_conv1d_weight_norm(t, x, k->p[1], k->p[2], window_causal(3, 2));
    return tape_bias(t, x, k->p[3]);
}

static struct node *max_pool(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    struct node *x = input(t, k, 0, 3, (size_t[]){4, 6, 2});
    return tape_max_pool2d(t, x, window_square(2, 2, 0));
}

static struct node *average_pool(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    struct node *x = input(t, k, 0, 3, (size_t[]){4, 6, 2});
    return tape_average_pool2d(t, x, window_square(3, 1, 0));
}

/* ---- activations ----------------------------------------------------------------------------- */

static struct node *relu(struct tape *t, void *ctx)
{
    return tape_relu(t, tape_scale(t, rows(t, ctx), 4.0, 0.0));
}

static struct node *gelu(struct tape *t, void *ctx)
{
    return tape_gelu(t, tape_scale(t, rows(t, ctx), 4.0, 0.0));
}

static struct node *hyperbolic(struct tape *t, void *ctx)
{
    return tape_tanh(t, tape_scale(t, rows(t, ctx), 4.0, 0.0));
}

static struct node *logistic(struct tape *t, void *ctx)
{
    return tape_sigmoid(t, tape_scale(t, rows(t, ctx), 4.0, 0.0));
}

static struct node *softmax(struct tape *t, void *ctx)
{
    return tape_softmax(t, tape_scale(t, rows(t, ctx), 4.0, 0.0));
}

/* ---- sequences ------------------------------------------------------------------------------- */

static const int32_t length[B] = {3, 5, 0};

static struct node *lstm(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    return tape_lstm(t, input(t, k, 0, 2, (size_t[]){5, 2}), k->p[1], k->p[2], length);
}

static struct node *gru(struct tape *t, void *ctx)
{
    const struct operation *k = ctx;
    const struct tape_gru_params p = {.w = k->p[1], .b = k->p[2], .u = k->p[3], .d = k->p[4]};
    return tape_gru(t, input(t, k, 0, 2, (size_t[]){5, 2}), &p, length);
}

static struct node *attention(struct tape *t, void *ctx)
{
    static const uint8_t key[B * 4] = {1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1};
    const struct operation *k = ctx;
    struct node *y = input(t, k, 1, 2, (size_t[]){4, 6});
    struct node *q = tape_affine(t, input(t, k, 0, 2, (size_t[]){3, 6}), k->p[2], k->p[3]);
    struct node *m = tape_affine(t, y, k->p[4], k->p[5]);
    struct node *v = tape_affine(t, y, k->p[6], k->p[7]);
    return tape_affine(t, tape_attention(t, q, m, v, 2, key), k->p[8], k->p[9]);
}

static struct node *embedding(struct tape *t, void *ctx)
{
    static const int32_t code[B * 5] = {3, 1, -1, 3, 7, 10, 0, 2, 2, 2, -1, -1, -1, -1, -1};
    const struct operation *k = ctx;
    return tape_embedding_sequence(t, k->p[0], code, 5);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static const float label[B] = {1.0f, 0.0f, 1.0f};

static struct node *bce(struct tape *t, void *ctx)
{
    return tape_bce(t, input(t, ctx, 0, 1, (size_t[]){1}), label);
}

static struct node *multilabel(struct tape *t, void *ctx)
{
    static const float y[B * 4] = {1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1};
    static const uint8_t known[B * 4] = {1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0};
    return tape_multilabel(t, input(t, ctx, 0, 1, (size_t[]){4}), y, known);
}

static struct node *cross_entropy(struct tape *t, void *ctx)
{
    static const int32_t which[B] = {2, 0, -1};
    return tape_cross_entropy(t, input(t, ctx, 0, 1, (size_t[]){4}), which);
}

static struct node *focal(struct tape *t, void *ctx)
{
    struct node *z = tape_scale(t, input(t, ctx, 0, 1, (size_t[]){1}), 3.0, 0.0);
    return tape_focal(t, z, label, 0.25, 2.0);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static struct operation operations[] = {
    {"a_linear_map_agrees",
     "linear",
     linear,
     {{"x", 10, 0}, {"l.weight", 4, 5}, {"l.bias", 4, 0}},
     {{0}}},
    {"layer_norm_agrees",
     "layer_norm",
     layer_norm,
     {{"x", 10, 0}, {"n.gain", 5, 0}, {"n.shift", 5, 0}},
     {{0}}},
    {"group_norm_agrees",
     "group_norm",
     group_norm,
     {{"x", 48, 0}, {"n.gain", 6, 0}, {"n.shift", 6, 0}},
     {{0}}},
    {"a_convolution_with_stride_and_padding_agrees",
     "conv2d",
     conv2d,
     {{"x", 60, 0}, {"w", 4, 18}},
     {{0}}},
    {"a_depthwise_convolution_agrees", "depthwise", depthwise, {{"x", 90, 0}, {"w", 3, 9}}, {{0}}},
    {"a_dilated_causal_convolution_agrees", "conv1d", conv1d, {{"x", 14, 0}, {"w", 4, 6}}, {{0}}},
    {"a_convolution_with_weight_norm_agrees",
     "conv1d_weight_norm",
     conv1d_weight_norm,
     {{"x", 14, 0}, {"w.direction", 4, 6}, {"w.gain", 4, 0}, {"w.bias", 4, 0}},
     {{0}}},
    {"a_maximum_pool_agrees", "max_pool", max_pool, {{"x", 48, 0}}, {{0}}},
    {"an_average_pool_agrees", "average_pool", average_pool, {{"x", 48, 0}}, {{0}}},
    {"relu_agrees", "relu", relu, {{"x", 10, 0}}, {{0}}},
    {"gelu_agrees", "gelu", gelu, {{"x", 10, 0}}, {{0}}},
    {"tanh_agrees", "tanh", hyperbolic, {{"x", 10, 0}}, {{0}}},
    {"the_sigmoid_agrees", "sigmoid", logistic, {{"x", 10, 0}}, {{0}}},
    {"softmax_agrees", "softmax", softmax, {{"x", 10, 0}}, {{0}}},
    {"an_lstm_over_sequences_of_any_length_agrees",
     "lstm",
     lstm,
     {{"x", 10, 0}, {"w", 16, 6}, {"b", 16, 0}},
     {{0}}},
    {"a_gru_over_sequences_of_any_length_agrees",
     "gru",
     gru,
     {{"x", 10, 0}, {"w", 12, 2}, {"b", 12, 0}, {"u", 12, 4}, {"d", 12, 0}},
     {{0}}},
    {"attention_of_two_heads_with_a_key_mask_agrees",
     "attention",
     attention,
     {{"x", 18, 0},
      {"y", 24, 0},
      {"query.weight", 6, 6},
      {"query.bias", 6, 0},
      {"key.weight", 6, 6},
      {"key.bias", 6, 0},
      {"value.weight", 6, 6},
      {"value.bias", 6, 0},
      {"out.weight", 6, 6},
      {"out.bias", 6, 0}},
     {{0}}},
    {"an_embedding_with_padding_agrees", "embedding", embedding, {{"table", 11, 3}}, {{0}}},
    {"binary_cross_entropy_agrees", "bce", bce, {{"x", 1, 0}}, {{0}}},
    {"cross_entropy_of_known_labels_agrees", "multilabel", multilabel, {{"x", 4, 0}}, {{0}}},
    {"softmax_cross_entropy_agrees", "cross_entropy", cross_entropy, {{"x", 4, 0}}, {{0}}},
    {"focal_loss_agrees", "focal", focal, {{"x", 1, 0}}, {{0}}},
};

enum { N_OPERATIONS = sizeof operations / sizeof operations[0] };

static void an_operation_agrees(void **state)
{
    struct operation *k = *state;
    struct param_table table = {0};
    struct error err = {0};
    for (size_t i = 0; i < PARTS && k->param[i].name != NULL; i++) {
        const size_t rank = k->param[i].b == 0 ? 1 : 2;
        const size_t dim[2] = {k->param[i].a, k->param[i].b};
        assert_int_equal(param_add(&table, k->param[i].name, PARAM_SHARED, PARAM_ZERO, rank, dim,
                                   &k->p[i], &err),
                         RC_OK);
    }
    torch_agrees(k->name, &table, k->record, k, B);
}

int main(void)
{
    struct CMUnitTest tests[N_OPERATIONS];
    for (size_t i = 0; i < N_OPERATIONS; i++) {
        tests[i] = (struct CMUnitTest){.name = operations[i].sentence,
                                       .test_func = an_operation_agrees,
                                       .initial_state = &operations[i]};
    }
    return cmocka_run_group_tests_name("common/tape beside PyTorch", tests, NULL, NULL);
}
