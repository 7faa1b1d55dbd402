#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/tape/book.h"
#include "tests/support/gradcheck.h"

enum { B = 4, D = 3, E = 2, H = 5, V = 6, L = 3, K = 4, P_MAX = 384 };

/* One net with every operation; w2 and the table of codes are used twice. */
struct net {
    struct param_table table;
    struct param_id w1, b1, gain, shift, w2, b2, token, table_e, table_s, w3, b3, w4, down, head,
        bias;
    struct tape *tape;
    struct arena arena;
    real params[P_MAX];
    float x[B * D], label[B];
    int32_t code[B], word[B * L];
    uint8_t present[B];
    size_t used; /* samples recorded: B, or 1 */
    size_t first;
};

static struct param_id add(struct net *n, const char *name, enum param_scope scope, size_t a,
                           size_t b)
{
    struct error err = {0};
    struct param_id id = {0};
    assert_int_equal(param_add(&n->table, name, scope, PARAM_FAN_IN, b == 0 ? 1 : 2,
                               (size_t[]){a, b}, &id, &err),
                     RC_OK);
    return id;
}

/* [B, L] words, some padding, some twice -> [B, H]; several positions per sample. */
static struct node *sequence(struct net *n)
{
    struct tape *t = n->tape;
    struct node *s = tape_embedding_sequence(t, n->table_s, n->word + n->first * L, L);
    struct node *again = tape_embedding_sequence(t, n->table_e, n->word + n->first * L, L);
    struct node *wide = tape_affine(t, s, n->w3, n->b3); /* [B, L, K] */
    s = tape_concat_all(t, 3, (struct node *[]){again, wide, s});
    s = tape_reshape(t, s, 1, (size_t[]){L * (K + 2 * E)});
    return tape_linear(t, s, n->w4);
}

static struct node *record(struct net *n, struct arena *arena)
{
    struct tape *t = n->tape;
    tape_start(t, arena, &n->table, n->params, n->used);
    struct node *x = tape_input(t, n->x + n->first * D, D);
    struct node *e = tape_embedding(t, n->table_e, n->code + n->first, 1);
    struct node *h = tape_concat(t, x, e);
    h = tape_gelu(t, tape_layer_norm(t, tape_bias(t, tape_linear(t, h, n->w1), n->b1), n->gain,
                                     n->shift));
    h = tape_token(t, h, n->token, n->present + n->first);
    struct node *s = sequence(n);
    struct node *once = tape_tanh(t, tape_bias(t, tape_linear(t, h, n->w2), n->b2));
    struct node *twice = tape_relu_over(t, tape_linear(t, once, n->w2)); /* w2 again: cross terms */
    h = tape_add(t, tape_add(t, twice, s), tape_linear(t, h, n->down));
    struct node *z = tape_bias(t, tape_linear(t, h, n->head), n->bias);
    return tape_bce(t, z, n->label + n->first);
}

static struct net *make(void)
{
    struct error err = {0};
    struct net *n = calloc(1, sizeof *n);
    n->tape = malloc(sizeof *n->tape);
    n->w1 = add(n, "w1", PARAM_SHARED, H, D + E);
    n->down = add(n, "down", PARAM_SITE, H, H); /* a site slice declared in the middle */
    n->b1 = add(n, "b1", PARAM_SHARED, H, 0);
    n->gain = add(n, "gain", PARAM_SHARED, H, 0);
    n->shift = add(n, "shift", PARAM_SHARED, H, 0);
    n->w2 = add(n, "w2", PARAM_SHARED, H, H);
    n->b2 = add(n, "b2", PARAM_SHARED, H, 0);
    n->token = add(n, "token", PARAM_SHARED, H, 0);
    n->table_e = add(n, "codes", PARAM_SHARED, V, E);
    n->table_s = add(n, "words", PARAM_SHARED, V, E);
    n->w3 = add(n, "w3", PARAM_SHARED, K, E);
    n->b3 = add(n, "b3", PARAM_SHARED, K, 0);
    n->w4 = add(n, "w4", PARAM_SHARED, H, L * (K + 2 * E));
    n->head = add(n, "head", PARAM_SHARED, 1, H);
    n->bias = add(n, "bias", PARAM_SHARED, 1, 0);
    param_table_seal(&n->table);
    assert_true(n->table.P <= P_MAX);
    gradcheck_fill(n->params, n->table.P, 7);
    real x[B * D];
    gradcheck_fill(x, B * D, 8);
    for (size_t i = 0; i < B * D; i++) {
        n->x[i] = (float)x[i];
    }
    const int32_t code[B] = {1, 4, 1, 5};
    memcpy(n->code, code, sizeof code);
    const int32_t word[B * L] = {2, 0, 2, 3, -1, -1, -1, -1, -1, 5, 5, 5};
    memcpy(n->word, word, sizeof word);
    const uint8_t present[B] = {1, 0, 1, 1};
    memcpy(n->present, present, sizeof present);
    n->label[1] = n->label[2] = 1.0f;
    n->used = B;

    tape_backward(n->tape, record(n, NULL)); /* measure */
    assert_int_equal(tape_verdict(n->tape, &err), RC_OK);
    assert_int_equal(arena_init(&n->arena, n->tape->cost + book_scratch_cost(n->tape), &err),
                     RC_OK);
    return n;
}

static void drop(struct net *n)
{
    arena_release(&n->arena);
    param_table_release(&n->table);
    free(n->tape);
    free(n);
}

static double total_loss(void *ctx)
{
    struct net *n = ctx;
    const size_t mark = arena_mark(&n->arena);
    const struct node *loss = record(n, &n->arena);
    double sum = 0.0;
    for (size_t i = 0; i < n->used; i++) {
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

static void shared_parameters_come_first(void **state)
{
    (void)state;
    struct net *n = make();
    assert_int_equal(n->table.P - n->table.S, H * H);
    assert_int_equal(param_at(&n->table, n->down)->offset, n->table.S);
    drop(n);
}

static void a_measuring_tape_sums_exactly_what_is_taken(void **state)
{
    (void)state;
    struct error err = {0};
    struct net *n = make();
    tape_backward(n->tape, record(n, NULL));
    const size_t foretold = n->tape->cost;
    arena_release(&n->arena);
    assert_int_equal(arena_init(&n->arena, foretold, &err), RC_OK);
    tape_backward(n->tape, record(n, &n->arena));
    assert_int_equal(n->tape->cost, foretold);
    assert_int_equal(n->tape->used, n->arena.used);
    drop(n);
}

static void the_sum_of_gradients_agrees_with_finite_differences(void **state)
{
    (void)state;
    struct net *n = make();
    const double ones[B] = {1, 1, 1, 1};
    real grad[P_MAX] = {0};
    sweep(n);
    book_weighted_sum(n->tape, ones, grad);
    arena_rewind(&n->arena, 0);
    assert_true(gradcheck(total_loss, n, n->params, grad, n->table.P, 1e-5) < 1e-6);
    drop(n);
}

static void a_formed_gradient_is_that_of_the_sample_alone(void **state)
{
    (void)state;
    struct net *n = make();
    for (size_t b = 0; b < B; b++) {
        real inside[P_MAX] = {0};
        real alone[P_MAX] = {0};
        n->used = B;
        n->first = 0;
        sweep(n);
        book_form(n->tape, b, inside);
        n->used = 1;
        n->first = b;
        sweep(n);
        book_form(n->tape, 0, alone);
        for (size_t i = 0; i < n->table.P; i++) {
            assert_true(fabs((double)(inside[i] - alone[i])) < 1e-14);
        }
    }
    drop(n);
}

static void norms_from_the_books_are_norms_of_formed_gradients(void **state)
{
    (void)state;
    struct net *n = make();
    double norm_sq[B];
    sweep(n);
    book_norms_sq(n->tape, &n->arena, norm_sq);
    for (size_t b = 0; b < B; b++) {
        real g[P_MAX] = {0};
        double formed = 0.0;
        book_form(n->tape, b, g);
        for (size_t i = 0; i < n->table.P; i++) {
            formed += (double)g[i] * (double)g[i];
        }
        assert_true(formed > 0.0);
        assert_true(fabs(norm_sq[b] - formed) < 1e-12 * formed);
    }
    drop(n);
}

static void a_weighted_sum_is_the_weighted_sum_of_formed_gradients(void **state)
{
    (void)state;
    struct net *n = make();
    const double c[B] = {0.25, 0.0, 1.0, 0.5};
    real want[P_MAX] = {0};
    real got[P_MAX] = {0};
    sweep(n);
    for (size_t b = 0; b < B; b++) {
        real g[P_MAX] = {0};
        book_form(n->tape, b, g);
        for (size_t i = 0; i < n->table.P; i++) {
            want[i] += c[b] * g[i];
        }
    }
    book_weighted_sum(n->tape, c, got);
    for (size_t i = 0; i < n->table.P; i++) {
        assert_true(fabs((double)(want[i] - got[i])) < 1e-13);
    }
    drop(n);
}

static void norms_may_be_asked_for_in_ordinary_training(void **state)
{
    (void)state;
    struct net *n = make();
    real want[P_MAX] = {0};
    real got[P_MAX] = {0};
    double norm_sq[B];
    sweep(n);
    book_weighted_sum(n->tape, NULL, want);
    sweep(n);
    book_norms_sq(n->tape, &n->arena, norm_sq);
    book_weighted_sum(n->tape, NULL, got);
    for (size_t i = 0; i < n->table.P; i++) {
        assert_true(fabs((double)(want[i] - got[i])) < 1e-13);
    }
    drop(n);
}

static void a_dropped_sample_leaves_no_trace(void **state)
{
    (void)state;
    struct net *n = make();
    const double c[B] = {1.0, 0.0, 1.0, 1.0};
    real clean[P_MAX] = {0};
    real got[P_MAX] = {0};
    sweep(n);
    book_weighted_sum(n->tape, c, clean);

    n->x[1 * D] = NAN;
    n->present[1] = 1;
    sweep(n);
    double norm_sq[B];
    book_norms_sq(n->tape, &n->arena, norm_sq);
    assert_true(isnan(norm_sq[1]));
    assert_true(isfinite(norm_sq[0]) && isfinite(norm_sq[2]) && isfinite(norm_sq[3]));
    book_drop_sample(n->tape, 1);
    book_weighted_sum(n->tape, c, got);
    for (size_t i = 0; i < n->table.P; i++) {
        assert_true(fabs((double)(clean[i] - got[i])) < 1e-13);
    }
    drop(n);
}

static void shapes_that_do_not_fit_are_both_named(void **state)
{
    (void)state;
    struct net *n = make();
    struct error err = {0};
    tape_start(n->tape, &n->arena, &n->table, n->params, B);
    struct node *x = tape_input(n->tape, n->x, D);
    assert_null(tape_linear(n->tape, x, n->w1));
    assert_null(tape_relu(n->tape, tape_linear(n->tape, x, n->w1)));
    assert_int_equal(tape_verdict(n->tape, &err), RC_INVALID);
    assert_string_equal(err.text, "linear: shapes [4,3] and [5,5] do not fit");
    arena_rewind(&n->arena, 0);
    drop(n);
}

static void a_loss_over_a_wide_logit_is_refused_not_broadcast(void **state)
{
    (void)state;
    struct net *n = make();
    struct error err = {0};
    tape_start(n->tape, &n->arena, &n->table, n->params, B);
    assert_null(tape_bce(n->tape, tape_input(n->tape, n->x, D), n->label));
    assert_int_equal(tape_verdict(n->tape, &err), RC_INVALID);
    drop(n);
}

static void a_value_that_was_written_over_is_not_read_again(void **state)
{
    (void)state;
    struct net *n = make();
    struct error err = {0};
    struct tape *t = n->tape;
    tape_start(t, NULL, &n->table, n->params, B);
    struct node *x = tape_linear(t, tape_embedding(t, n->table_e, NULL, 1), n->w3);
    struct node *y = tape_relu_over(t, x);
    assert_non_null(y);
    (void)tape_add(t, y, x); /* x + relu(x), but x is gone */
    assert_int_equal(tape_verdict(t, &err), RC_INVALID);

    tape_start(t, NULL, &n->table, n->params, B);
    x = tape_linear(t, tape_embedding(t, n->table_e, NULL, 1), n->w3);
    (void)tape_tanh(t, x);
    assert_null(tape_relu_over(t, x)); /* tanh reads x */
    tape_start(t, NULL, &n->table, n->params, B);
    assert_null(tape_relu_over(t, tape_tanh(t, tape_input(t, NULL, D)))); /* its sweep reads it */
    drop(n);
}

static void a_smaller_batch_never_needs_more_memory(void **state)
{
    (void)state;
    struct net *n = make();
    size_t before = 0;
    for (n->used = 1; n->used <= B; n->used++) {
        tape_backward(n->tape, record(n, NULL));
        const size_t cost = n->tape->cost + book_scratch_cost(n->tape);
        assert_true(cost >= before);
        before = cost;
    }
    drop(n);
}

static void a_parameter_name_is_used_once(void **state)
{
    (void)state;
    struct param_table t = {0};
    struct param_id id;
    struct error err = {0};
    const size_t two = 2;
    assert_int_equal(param_add(&t, "w", PARAM_SHARED, PARAM_ZERO, 1, &two, &id, &err), RC_OK);
    assert_int_equal(param_add(&t, "w", PARAM_SITE, PARAM_ZERO, 1, &two, &id, &err), RC_INVALID);
    param_table_release(&t);
}

static void initial_values_of_a_slice_do_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    struct net *n = make();
    struct param_table t = {0};
    struct param_id id;
    struct error err = {0};
    const size_t dims[2] = {H, H};
    real one[H * H];
    real all[P_MAX];
    assert_int_equal(param_add(&t, "w2", PARAM_SHARED, PARAM_FAN_IN, 2, dims, &id, &err), RC_OK);
    param_table_seal(&t);
    param_init_values(&t, 11, one);
    param_init_values(&n->table, 11, all);
    assert_memory_equal(one, all + param_at(&n->table, n->w2)->offset, sizeof one);
    param_table_release(&t);
    drop(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_parameters_come_first),
        cmocka_unit_test(a_measuring_tape_sums_exactly_what_is_taken),
        cmocka_unit_test(the_sum_of_gradients_agrees_with_finite_differences),
        cmocka_unit_test(a_formed_gradient_is_that_of_the_sample_alone),
        cmocka_unit_test(norms_from_the_books_are_norms_of_formed_gradients),
        cmocka_unit_test(a_weighted_sum_is_the_weighted_sum_of_formed_gradients),
        cmocka_unit_test(norms_may_be_asked_for_in_ordinary_training),
        cmocka_unit_test(a_dropped_sample_leaves_no_trace),
        cmocka_unit_test(shapes_that_do_not_fit_are_both_named),
        cmocka_unit_test(a_loss_over_a_wide_logit_is_refused_not_broadcast),
        cmocka_unit_test(a_value_that_was_written_over_is_not_read_again),
        cmocka_unit_test(a_smaller_batch_never_needs_more_memory),
        cmocka_unit_test(a_parameter_name_is_used_once),
        cmocka_unit_test(initial_values_of_a_slice_do_not_depend_on_its_neighbours),
    };
    return cmocka_run_group_tests_name("common/tape", tests, NULL, NULL);
}
