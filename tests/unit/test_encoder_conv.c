/* The residual network for images and the temporal network for series. In double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/encoder/cnn.h"
#include "common/model/encoder/tcn.h"
#include "tests/support/gradcheck.h"
#include "tests/support/tapecheck.h"

enum { B = 3, H = 6, W = 5, T = 9, C = 2, ROOM = B * 64 * 8 };

struct net {
    struct param_table table;
    struct cnn cnn;
    struct tcn tcn;
    struct param_id head;
    float x[ROOM], label[B];
    int32_t length[B];
};

static struct net *make(void)
{
    struct net *n = calloc(1, sizeof *n);
    real *x = calloc(ROOM, sizeof *x);
    assert_non_null(n);
    assert_non_null(x);
    gradcheck_fill(x, ROOM, 8);
    for (size_t i = 0; i < ROOM; i++) {
        n->x[i] = (float)x[i];
    }
    free(x);
    n->label[1] = 1.0f;
    n->length[0] = 5;
    n->length[1] = T;
    n->length[2] = 1;
    return n;
}

static struct net *make_cnn(const struct cnn_spec *spec)
{
    struct error err = {0};
    struct net *n = make();
    assert_int_equal(cnn_declare(&n->cnn, &n->table, "image", spec, &err), RC_OK);
    n->head = tapecheck_param(&n->table, "head", 1, cnn_width(spec));
    return n;
}

static struct net *make_tcn(const struct tcn_spec *spec)
{
    struct error err = {0};
    struct net *n = make();
    assert_int_equal(tcn_declare(&n->tcn, &n->table, "series", spec, &err), RC_OK);
    n->head = tapecheck_param(&n->table, "head", 1, spec->width);
    return n;
}

static struct node *image(struct tape *t, const struct net *n, size_t first)
{
    return tape_input_shaped(t, n->x + first * H * W * C, 3, (size_t[]){H, W, C});
}

static struct node *series(struct tape *t, const struct net *n, size_t first)
{
    return tape_input_shaped(t, n->x + first * T * C, 2, (size_t[]){T, C});
}

static struct node *record_cnn(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *h = cnn_record(&n->cnn, t, image(t, n, first));
    return tape_bce(t, tape_linear(t, h, n->head), n->label + first);
}

static struct node *record_tcn(struct tape *t, void *ctx, size_t first)
{
    struct net *n = ctx;
    struct node *h = tcn_record(&n->tcn, t, series(t, n, first), n->length + first);
    return tape_bce(t, tape_linear(t, h, n->head), n->label + first);
}

static const struct cnn_spec three = {.channels = C, .first = 4, .stages = 3, .groups = 2};
static const struct tcn_spec two = {.channels = C, .width = 5, .blocks = 2, .size = 3};

static void the_residual_network_keeps_what_a_tape_promises(void **state)
{
    (void)state;
    struct net *n = make_cnn(&three);
    tapecheck(&n->table, record_cnn, n, B);
    free(n);
    n = make_cnn(&(struct cnn_spec){.channels = C, .first = 3, .stages = 1, .groups = 1});
    tapecheck(&n->table, record_cnn, n, B);
    free(n);
}

static void the_mean_of_the_cells_is_the_image_s_vector(void **state)
{
    (void)state;
    static struct tape t;
    static real params[8192];
    struct error err = {0};
    struct arena arena = {0};
    struct net *n = make_cnn(&three);
    param_table_seal(&n->table);
    assert_true(n->table.P <= 8192);
    gradcheck_fill(params, n->table.P, 5);
    assert_int_equal(arena_init(&arena, (size_t)1 << 22, &err), RC_OK);
    tape_start(&t, &arena, &n->table, params, B);
    const struct node *vector = cnn_record(&n->cnn, &t, image(&t, n, 0));
    struct node *cells = cnn_record_cells(&n->cnn, &t, image(&t, n, 0));
    const struct node *mean = tape_masked_mean(&t, cells, NULL);
    assert_int_equal(tape_verdict(&t, &err), RC_OK);
    assert_int_equal(cells->shape.dim[1], cnn_cells(&three, H, W));
    assert_int_equal(cells->shape.dim[2], cnn_width(&three));
    for (size_t i = 0; i < B * cnn_width(&three); i++) {
        assert_true(fabs((double)(mean->v[i] - vector->v[i])) < 1e-13);
    }
    arena_release(&arena);
    param_table_release(&n->table);
    free(n);
}

static void the_temporal_network_keeps_what_a_tape_promises(void **state)
{
    (void)state;
    struct net *n = make_tcn(&two);
    tapecheck(&n->table, record_tcn, n, B);
    free(n);
    n = make_tcn(&(struct tcn_spec){.channels = C, .width = C, .blocks = 1, .size = 2});
    tapecheck(&n->table, record_tcn, n, B); /* no shortcut of its own */
    free(n);
}

static void the_residual_network_has_the_parameters_that_are_counted_by_hand(void **state)
{
    (void)state;
    struct net *n = make_cnn(&three);
    param_table_seal(&n->table);
    size_t want = 4 * 9 * C + 8;                              /* stem */
    want += 2 * (4 * 9 * 4 + 8);                              /* 4 -> 4 */
    want += 8 * 9 * 4 + 16 + 8 * 9 * 8 + 16 + 8 * 4 + 16;     /* 4 -> 8 */
    want += 16 * 9 * 8 + 32 + 16 * 9 * 16 + 32 + 16 * 8 + 32; /* 8 -> 16 */
    assert_int_equal(n->table.P, want + 16);                  /* and the head */
    assert_int_equal(cnn_width(&three), 16);
    assert_string_equal(param_at(&n->table, n->cnn.stage[1].shortcut.gain)->name,
                        "image.stage2.shortcut.gain");
    param_table_release(&n->table);
    free(n);
}

/* Forward of one sample of the temporal network: all steps, [T, width]. */
static void steps_of(struct net *n, const real *params, real *steps)
{
    struct error err = {0};
    struct arena arena = {0};
    struct tape *t = malloc(sizeof *t);
    assert_non_null(t);
    tape_start(t, NULL, &n->table, params, 1);
    (void)tcn_record_steps(&n->tcn, t, series(t, n, 0));
    assert_int_equal(arena_init(&arena, t->cost, &err), RC_OK);
    tape_start(t, &arena, &n->table, params, 1);
    const struct node *h = tcn_record_steps(&n->tcn, t, series(t, n, 0));
    assert_int_equal(tape_verdict(t, &err), RC_OK);
    memcpy(steps, h->v, T * n->tcn.spec.width * sizeof *steps);
    arena_release(&arena);
    free(t);
}

static void the_temporal_network_sees_its_reach_and_no_future(void **state)
{
    (void)state;
    const struct tcn_spec spec = {.channels = C, .width = 8, .blocks = 1, .size = 3};
    assert_int_equal(tcn_reach(&spec), 5);
    assert_int_equal(tcn_reach(&two), 13);
    struct net *n = make_tcn(&spec);
    param_table_seal(&n->table);
    real *params = calloc(n->table.P, sizeof *params);
    real before[T * 8];
    real after[T * 8];
    param_init_values(&n->table, 3, params);
    for (size_t changed = 0; changed < T; changed++) {
        steps_of(n, params, before);
        const float saved = n->x[changed * C];
        n->x[changed * C] += 2.0f;
        steps_of(n, params, after);
        n->x[changed * C] = saved;
        for (size_t step = 0; step < T; step++) {
            const bool same = memcmp(before + step * 8, after + step * 8, 8 * sizeof *after) == 0;
            assert_int_equal(same, step < changed || step >= changed + tcn_reach(&spec));
        }
    }
    free(params);
    param_table_release(&n->table);
    free(n);
}

static void sizes_that_do_not_fit_are_refused_in_a_sentence(void **state)
{
    (void)state;
    struct param_table table = {0};
    struct error err = {0};
    struct cnn cnn;
    struct tcn tcn;
    assert_int_equal(
        cnn_declare(&cnn, &table, "xray",
                    &(struct cnn_spec){.channels = 1, .first = 6, .stages = 2, .groups = 4}, &err),
        RC_INVALID);
    assert_string_equal(err.text, "image encoder 'xray': 4 groups do not divide 6 channels");
    assert_int_equal(
        cnn_declare(&cnn, &table, "xray",
                    &(struct cnn_spec){.channels = 1, .first = 6, .stages = 7, .groups = 2}, &err),
        RC_INVALID);
    assert_string_equal(err.text, "image encoder 'xray': 7 stages, want 1 to 6");
    assert_int_equal(
        tcn_declare(&tcn, &table, "vitals",
                    &(struct tcn_spec){.channels = 1, .width = 4, .blocks = 1, .size = 1}, &err),
        RC_INVALID);
    assert_string_equal(err.text,
                        "series encoder 'vitals': 1 channels, width 4, windows of 1: want at "
                        "least 1, 1 and 2");
    assert_int_equal(table.n, 0);
    char prefix[PARAM_NAME_MAX];
    memset(prefix, 'p', sizeof prefix - 1);
    prefix[sizeof prefix - 1] = '\0';
    assert_int_equal(cnn_declare(&cnn, &table, prefix, &three, &err), RC_LIMIT);
    assert_int_equal(tcn_declare(&tcn, &table, prefix, &two, &err), RC_LIMIT);
    param_table_release(&table);
}

static void an_image_with_other_channels_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct net *n =
        make_cnn(&(struct cnn_spec){.channels = C + 1, .first = 4, .stages = 1, .groups = 2});
    param_table_seal(&n->table);
    struct tape *t = malloc(sizeof *t);
    assert_non_null(t);
    tape_start(t, NULL, &n->table, NULL, B);
    assert_null(cnn_record(&n->cnn, t, image(t, n, 0)));
    assert_int_equal(tape_verdict(t, &err), RC_INVALID);
    assert_string_equal(err.text, "convolution 2-D: shapes [3,6,5,2] and [4,27] do not fit");
    free(t);
    param_table_release(&n->table);
    free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_residual_network_keeps_what_a_tape_promises),
        cmocka_unit_test(the_mean_of_the_cells_is_the_image_s_vector),
        cmocka_unit_test(the_temporal_network_keeps_what_a_tape_promises),
        cmocka_unit_test(the_residual_network_has_the_parameters_that_are_counted_by_hand),
        cmocka_unit_test(the_temporal_network_sees_its_reach_and_no_future),
        cmocka_unit_test(sizes_that_do_not_fit_are_refused_in_a_sentence),
        cmocka_unit_test(an_image_with_other_channels_is_refused),
    };
    return cmocka_run_group_tests_name("common/model/encoder convolutional", tests, NULL, NULL);
}
