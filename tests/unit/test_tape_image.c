/* Operations on images and series: gradients, books, shapes. Every check runs over every net of the table. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/tape/book.h"
#include "common/tape/image.h"
#include "tests/support/gradcheck.h"

enum { B = 3, IDS_MAX = 16 };

struct net {
    const struct kind *kind;
    struct param_table table;
    struct param_id id[IDS_MAX];
    size_t n_ids;
    struct tape *tape;
    struct arena arena;
    real *params, *grad;
    float *x, label[B];
    size_t B, first, size; /* samples recorded, from which; floats of a sample */
};

struct kind {
    const char *name;
    void (*declare)(struct net *n);
    struct node *(*record)(struct net *n, struct tape *t, struct node *x); /* -> [B, C] */
    size_t rank, dim[3];
    size_t n_checked; /* parameters checked by differences, from the first; 0: all */
};

static void add(struct net *n, size_t a, size_t b)
{
    struct error err = {0};
    char name[8] = "p";
    name[1] = (char)('a' + n->n_ids);
    assert_int_equal(param_add(&n->table, name, PARAM_SHARED, PARAM_FAN_IN, b == 0 ? 1 : 2,
                               (size_t[]){a, b}, &n->id[n->n_ids++], &err),
                     RC_OK);
}

/* ---- the nets -------------------------------------------------------------------------------- */

static void image_declare(struct net *n)
{
    add(n, 6, 9 * 2); /* 0: 3x3, 2 -> 6 */
    add(n, 6, 0);     /* 1, 2: group norm */
    add(n, 6, 0);
    add(n, 6, 9 * 6); /* 3: 3x3, used twice */
    add(n, 4, 1 * 6); /* 4: 1x1, stride 2 */
    add(n, 6, 2 * 3); /* 5: depthwise 2x3 */
    add(n, 4, 0);     /* 6: bias */
}

static struct node *image_record(struct net *n, struct tape *t, struct node *x)
{
    struct node *h = tape_conv2d(t, x, n->id[0], window_square(3, 1, 1));
    h = tape_gelu(t, tape_group_norm(t, h, n->id[1], n->id[2], 3));
    h = tape_max_pool2d(t, h, window_square(2, 1, 0));
    struct node *once = tape_tanh(t, tape_conv2d(t, h, n->id[3], window_square(3, 1, 1)));
    struct node *twice = tape_conv2d(t, once, n->id[3], window_square(3, 1, 1));
    h = tape_add(t, h, twice);
    h = tape_depthwise2d(t, h, n->id[5], (struct window){2, 3, 1, 1, 1, 0, 1, 1});
    h = tape_average_pool2d(t, h, window_square(2, 1, 0));
    h = tape_bias(t, tape_conv2d(t, h, n->id[4], window_square(1, 2, 0)), n->id[6]);
    return tape_global_average(t, h);
}

static void series_declare(struct net *n)
{
    add(n, 4, 3 * 2); /* 0: width 3, 2 -> 4 */
    add(n, 5, 2 * 4); /* 1: width 2, stride 2, and 4: gain of its rows */
    add(n, 5, 0);     /* 2, 3: group norm */
    add(n, 5, 0);
    add(n, 5, 0);
}

static struct node *series_record(struct net *n, struct tape *t, struct node *x)
{
    struct node *h = tape_gelu(t, tape_conv1d(t, x, n->id[0], window_causal(3, 2)));
    h = tape_max_pool2d(t, h, (struct window){.height = 2, .width = 1, .stride = 1, .dilation = 1});
    h = tape_conv1d_weight_norm(
        t, h, n->id[1], n->id[4],
        (struct window){.height = 2, .width = 1, .stride = 2, .dilation = 1, .top = 1});
    h = tape_tanh(t, tape_group_norm(t, h, n->id[2], n->id[3], 1));
    h = tape_average_pool2d(t, h,
                            (struct window){.height = 2, .width = 1, .stride = 2, .dilation = 1});
    return tape_global_average(t, h);
}

/* Too large to keep, behind something that wants a gradient. */
static void large_declare(struct net *n)
{
    add(n, 70, 2 * 3);
    add(n, 950, 2 * 70);
}

static struct node *large_record(struct net *n, struct tape *t, struct node *x)
{
    struct node *h = tape_gelu(t, tape_conv1d(t, x, n->id[0], window_causal(2, 1)));
    return tape_global_average(t, tape_tanh(t, tape_conv1d(t, h, n->id[1], window_causal(2, 1))));
}

/* Gradients share memory where they can: a norm whose input wants none, beside a bias that is booked, and both
 * behind a view. */
static void behind_declare(struct net *n)
{
    add(n, 3, 0);
    add(n, 3, 0);
    add(n, 3, 0);
    add(n, 4, 9 * 3);
}

static struct node *behind_record(struct net *n, struct tape *t, struct node *x)
{
    struct node *norm = tape_group_norm(t, x, n->id[1], n->id[2], 3);
    struct node *h = tape_add(t, norm, tape_bias(t, x, n->id[0]));
    h = tape_reshape(t, h, 3, (size_t[]){4, 3, 3});
    h = tape_tanh(t, tape_conv2d(t, h, n->id[3], window_square(3, 1, 1)));
    return tape_global_average(t, h);
}

/* Norm, relu and pool in one, and the same as three operations: the oracle. */
static void fused_declare(struct net *n)
{
    add(n, 18, 9 * 2); /* more channels than the lanes of one step */
    add(n, 18, 0);
    add(n, 18, 0);
    add(n, 4, 9 * 18);
    add(n, 4, 0);
    add(n, 4, 0);
}

static struct node *fused_record(struct net *n, struct tape *t, struct node *x)
{
    struct node *h = tape_conv2d(t, x, n->id[0], window_square(3, 1, 1));
    h = tape_group_norm_relu_pool(t, h, n->id[1], n->id[2], 3, window_square(2, 2, 0));
    h = tape_conv2d(t, h, n->id[3], window_square(3, 1, 1));
    return tape_global_average(t, tape_group_norm_relu(t, h, n->id[4], n->id[5], 2));
}

static struct node *unfused_record(struct net *n, struct tape *t, struct node *x)
{
    struct node *h = tape_conv2d(t, x, n->id[0], window_square(3, 1, 1));
    h = tape_relu(t, tape_group_norm(t, h, n->id[1], n->id[2], 3));
    h = tape_max_pool2d(t, h, window_square(2, 2, 0));
    h = tape_conv2d(t, h, n->id[3], window_square(3, 1, 1));
    h = tape_relu(t, tape_group_norm(t, h, n->id[4], n->id[5], 2));
    return tape_global_average(t, h);
}

/* Straight above an input, and above something that another operation reads too. */
static void fused_above_declare(struct net *n)
{
    add(n, 2, 0);
    add(n, 2, 0);
    add(n, 2, 0);
    add(n, 2, 0);
    add(n, 2, 0);
}

static struct node *fused_above_record(struct net *n, struct tape *t, struct node *x)
{
    struct node *h = tape_group_norm_relu(t, x, n->id[0], n->id[1], 1);
    h = tape_bias(t, h, n->id[2]);
    struct node *left = tape_gelu(t, h);
    struct node *right = tape_group_norm_relu(t, h, n->id[3], n->id[4], 2);
    return tape_global_average(t, tape_add(t, left, right));
}

static const struct kind kinds[] = {
    {"image", image_declare, image_record, 3, {6, 5, 2}, 0},
    {"series", series_declare, series_record, 2, {9, 2}, 0},
    {"large", large_declare, large_record, 2, {4, 3}, 450},
    {"behind a view", behind_declare, behind_record, 3, {3, 4, 3}, 0},
    {"fused", fused_declare, fused_record, 3, {6, 5, 2}, 0},
    {"unfused", fused_declare, unfused_record, 3, {6, 5, 2}, 0},
    {"fused, above", fused_above_declare, fused_above_record, 3, {4, 3, 2}, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- around them ----------------------------------------------------------------------------- */

static struct node *record(struct net *n, struct arena *arena)
{
    struct tape *t = n->tape;
    tape_start(t, arena, &n->table, n->params, n->B);
    struct node *x = tape_input_shaped(t, n->x + n->first * n->size, n->kind->rank, n->kind->dim);
    struct node *z = tape_linear(t, n->kind->record(n, t, x), n->id[n->n_ids - 1]);
    return tape_bce(t, z, n->label + n->first);
}

static void measure(struct net *n)
{
    struct error err = {0};
    struct node *loss = record(n, NULL);
    assert_int_equal(tape_verdict(n->tape, &err), RC_OK);
    tape_backward(n->tape, loss);
}

static struct net *make(const struct kind *kind, size_t width)
{
    struct error err = {0};
    struct net *n = calloc(1, sizeof *n);
    n->kind = kind;
    n->tape = malloc(sizeof *n->tape);
    kind->declare(n);
    add(n, 1, width); /* the head, last */
    param_table_seal(&n->table);
    n->params = calloc(n->table.P, sizeof *n->params);
    n->grad = calloc(n->table.P, sizeof *n->grad);
    gradcheck_fill(n->params, n->table.P, 7);
    n->size = 1;
    for (size_t i = 0; i < kind->rank; i++) {
        n->size *= kind->dim[i];
    }
    n->x = calloc(B * n->size, sizeof *n->x);
    real *x = calloc(B * n->size, sizeof *x);
    gradcheck_fill(x, B * n->size, 8);
    for (size_t i = 0; i < B * n->size; i++) {
        n->x[i] = (float)x[i];
    }
    free(x);
    n->label[1] = 1.0f;
    n->B = B;
    measure(n);
    assert_int_equal(arena_init(&n->arena, n->tape->cost + book_scratch_cost(n->tape), &err),
                     RC_OK);
    return n;
}

static const size_t widths[KINDS] = {4, 5, 950, 4, 4, 4, 2};

static struct net *make_nth(size_t i)
{
    return make(&kinds[i], widths[i]);
}

static void drop(struct net *n)
{
    arena_release(&n->arena);
    param_table_release(&n->table);
    free(n->tape);
    free(n->params);
    free(n->grad);
    free(n->x);
    free(n);
}

static double total_loss(void *ctx)
{
    struct net *n = ctx;
    const size_t mark = arena_mark(&n->arena);
    const struct node *loss = record(n, &n->arena);
    double sum = 0.0;
    for (size_t i = 0; i < n->B; i++) {
        sum += (double)loss->v[i];
    }
    arena_rewind(&n->arena, mark);
    return sum;
}

static void sweep(struct net *n)
{
    arena_rewind(&n->arena, 0);
    tape_backward(n->tape, record(n, &n->arena));
}

/* ---- the checks ------------------------------------------------------------------------------ */

static void the_sum_of_gradients_agrees_with_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct net *n = make_nth(i);
        const double ones[B] = {1, 1, 1};
        sweep(n);
        book_weighted_sum(n->tape, ones, n->grad);
        arena_rewind(&n->arena, 0);
        const size_t P = kinds[i].n_checked > 0 ? kinds[i].n_checked : n->table.P;
        assert_true(gradcheck(total_loss, n, n->params, n->grad, P, 1e-5) < 1e-6);
        drop(n);
    }
}

static void a_gradient_in_a_batch_is_that_gradient_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct net *n = make_nth(i);
        const size_t P = n->table.P;
        real *in_batch = calloc(B * P, sizeof *in_batch);
        sweep(n);
        for (size_t b = 0; b < B; b++) {
            book_form(n->tape, b, in_batch + b * P);
        }
        for (size_t b = 0; b < B; b++) {
            const double one = 1.0;
            n->B = 1;
            n->first = b;
            memset(n->grad, 0, P * sizeof *n->grad);
            sweep(n);
            book_weighted_sum(n->tape, &one, n->grad);
            for (size_t k = 0; k < P; k++) {
                assert_true(fabs((double)(n->grad[k] - in_batch[b * P + k])) < 1e-13);
            }
        }
        free(in_batch);
        drop(n);
    }
}

static void norms_and_weighted_sums_are_those_of_the_formed_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct net *n = make_nth(i);
        const size_t P = n->table.P;
        const double c[B] = {0.25, 1.0, 0.5};
        double norm_sq[B];
        real *want = calloc(P, sizeof *want);
        real *one = calloc(P, sizeof *one);
        sweep(n);
        book_norms_sq(n->tape, &n->arena, norm_sq);
        for (size_t b = 0; b < B; b++) {
            double formed = 0.0;
            memset(one, 0, P * sizeof *one);
            book_form(n->tape, b, one);
            for (size_t k = 0; k < P; k++) {
                formed += (double)one[k] * (double)one[k];
                want[k] += (real)(c[b] * (double)one[k]);
            }
            assert_true(formed > 0.0);
            assert_true(fabs(formed - norm_sq[b]) < 1e-12 * (1.0 + formed));
        }
        book_weighted_sum(n->tape, c, n->grad);
        for (size_t k = 0; k < P; k++) {
            assert_true(fabs((double)(want[k] - n->grad[k])) < 1e-13);
        }
        free(want);
        free(one);
        drop(n);
    }
}

static void the_fused_norm_is_norm_relu_and_pool_in_less_memory(void **state)
{
    (void)state;
    struct net *one = make_nth(4);
    struct net *three = make_nth(5);
    assert_true(one->tape->cost < three->tape->cost);
    sweep(one);
    sweep(three);
    for (size_t b = 0; b < B; b++) {
        assert_true(one->tape->node[one->tape->n_nodes - 1].v[b] ==
                    three->tape->node[three->tape->n_nodes - 1].v[b]);
        book_form(one->tape, b, one->grad);
        book_form(three->tape, b, three->grad);
    }
    for (size_t k = 0; k < one->table.P; k++) {
        assert_true(fabs((double)(one->grad[k] - three->grad[k])) < 1e-14);
    }
    drop(one);
    drop(three);
}

static void a_sample_that_is_not_finite_is_dropped_and_the_others_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct net *n = make_nth(i);
        const double c[B] = {1, 0, 1};
        double norm_sq[B];
        real *clean = calloc(n->table.P, sizeof *clean);
        sweep(n);
        book_weighted_sum(n->tape, c, clean);
        n->x[n->size + 1] = NAN;
        sweep(n);
        book_norms_sq(n->tape, &n->arena, norm_sq);
        assert_true(isnan(norm_sq[1]));
        assert_true(isfinite(norm_sq[0]) && isfinite(norm_sq[2]));
        book_drop_sample(n->tape, 1);
        book_weighted_sum(n->tape, c, n->grad);
        for (size_t k = 0; k < n->table.P; k++) {
            assert_true(fabs((double)(clean[k] - n->grad[k])) < 1e-13);
        }
        free(clean);
        drop(n);
    }
}

static void a_measuring_tape_sums_exactly_what_a_step_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct net *n = make_nth(i);
        measure(n);
        const size_t foretold = n->tape->cost;
        sweep(n);
        assert_int_equal(n->tape->cost, foretold);
        drop(n);
    }
}

static void refused(struct net *n, const struct node *node, const char *sentence)
{
    struct error err = {0};
    assert_null(node);
    assert_int_equal(tape_verdict(n->tape, &err), RC_INVALID);
    assert_string_equal(err.text, sentence);
    arena_rewind(&n->arena, 0);
}

static struct node *start(struct net *n)
{
    tape_start(n->tape, &n->arena, &n->table, n->params, B);
    return tape_input_shaped(n->tape, n->x, n->kind->rank, n->kind->dim);
}

static void shapes_that_do_not_fit_are_both_named(void **state)
{
    (void)state;
    struct net *n = make_nth(0);
    struct node *x = start(n);
    refused(n, tape_conv2d(n->tape, x, n->id[3], window_square(3, 1, 1)),
            "convolution 2-D: shapes [3,6,5,2] and [6,54] do not fit");
    x = start(n);
    refused(n, tape_conv2d(n->tape, x, n->id[0], window_square(3, 0, 1)),
            "convolution 2-D: shapes [3,6,5,2] and [3,3] do not fit");
    x = start(n);
    refused(n, tape_conv1d(n->tape, x, n->id[0], window_causal(9, 1)),
            "convolution 1-D: shapes [3,6,5,2] and [6,18] do not fit");
    x = start(n);
    refused(n, tape_depthwise2d(n->tape, x, n->id[5], window_square(2, 1, 0)),
            "depthwise convolution: shapes [3,6,5,2] and [6,6] do not fit");
    x = start(n);
    refused(n, tape_max_pool2d(n->tape, x, window_square(6, 1, 0)),
            "maximum pool: shapes [3,6,5,2] and [6,6] do not fit");
    x = start(n);
    refused(n, tape_average_pool2d(n->tape, x, window_square(2, 2, 1)),
            "average pool: shapes [3,6,5,2] and [2,2] do not fit");
    x = start(n);
    refused(n, tape_group_norm(n->tape, x, n->id[1], n->id[2], 1),
            "group norm: shapes [3,6,5,2] and [6] do not fit");
    x = start(n);
    refused(n, tape_group_norm_relu(n->tape, x, n->id[1], n->id[2], 1),
            "group norm: shapes [3,6,5,2] and [6] do not fit");
    x = tape_conv2d(n->tape, start(n), n->id[0], window_square(3, 1, 1));
    refused(n, tape_group_norm_relu_pool(n->tape, x, n->id[1], n->id[2], 3, window_square(6, 1, 0)),
            "maximum pool: shapes [3,6,5,6] and [6,6] do not fit");
    x = tape_conv2d(n->tape, start(n), n->id[0], window_square(3, 1, 1));
    refused(n, tape_group_norm(n->tape, x, n->id[1], n->id[2], 4),
            "group norm: shapes [3,6,5,6] and [4] do not fit");
    drop(n);
    n = make_nth(1);
    x = start(n);
    refused(n, tape_conv1d_weight_norm(n->tape, x, n->id[0], n->id[4], window_causal(3, 1)),
            "convolution 1-D: shapes [3,9,2] and [5] do not fit");
    x = start(n);
    refused(n, tape_conv1d(n->tape, x, n->id[0], window_square(3, 1, 1)),
            "convolution 1-D: shapes [3,9,2] and [4,6] do not fit");
    drop(n);
}

/* Or its test would be a copy of the others. */
static void the_large_net_is_formed_and_dropped(void **state)
{
    (void)state;
    struct net *large = make_nth(2);
    const size_t size = param_at(&large->table, large->id[1])->size;
    assert_true(size > TAPE_KEPT_MAX);
    assert_true(large->tape->cost < B * size * sizeof(real));
    drop(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_of_gradients_agrees_with_finite_differences),
        cmocka_unit_test(a_gradient_in_a_batch_is_that_gradient_alone),
        cmocka_unit_test(norms_and_weighted_sums_are_those_of_the_formed_gradients),
        cmocka_unit_test(the_fused_norm_is_norm_relu_and_pool_in_less_memory),
        cmocka_unit_test(a_sample_that_is_not_finite_is_dropped_and_the_others_stay),
        cmocka_unit_test(a_measuring_tape_sums_exactly_what_a_step_takes),
        cmocka_unit_test(shapes_that_do_not_fit_are_both_named),
        cmocka_unit_test(the_large_net_is_formed_and_dropped),
    };
    return cmocka_run_group_tests_name("common/tape image", tests, NULL, NULL);
}
