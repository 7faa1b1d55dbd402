#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model/model.h"
#include "common/tape/book.h"
#include "tests/support/cohort.h"
#include "tests/support/gradcheck.h"

enum { B = 6 };

/* Every registered model, and the mlp in its variants. */
static const struct study_model specs[] = {
    {.name = "logistic"},
    {.name = "mlp", .n_hidden = 1, .hidden = {5}, .embedding = 2, .activation = "gelu"},
    {.name = "mlp",
     .n_hidden = 2,
     .hidden = {5, 3},
     .embedding = 2,
     .activation = "tanh",
     .layer_norm = true,
     .adapter = 2},
    {.name = "mlp",
     .n_hidden = 1,
     .hidden = {4},
     .embedding = 1,
     .activation = "relu",
     .adapter = 3},
    {.name = "additive"},
};
/* And of labels with three classes. */
static const struct study_model class_specs[] = {
    {.name = "logistic"},
    {.name = "mlp",
     .n_hidden = 1,
     .hidden = {5},
     .embedding = 2,
     .activation = "tanh",
     .adapter = 2},
};
enum {
    YES_OR_NO = sizeof specs / sizeof specs[0],
    SPECS = YES_OR_NO + sizeof class_specs / sizeof class_specs[0]
};

struct fixture {
    struct schema schema;
    struct model model;
    struct dataset *data;
    struct tape *tape;
    struct arena arena;
    real *params;
    float label[B];
    int32_t class_of[B];
    size_t first, used;
};

static struct node *record(struct fixture *f, struct arena *arena)
{
    const struct batch batch = {.B = f->used,
                                .values = f->data->values + f->first * f->data->n_values,
                                .codes = f->data->codes + f->first * f->data->n_codes,
                                .label = f->label + f->first,
                                .class_of = f->class_of + f->first};
    tape_start(f->tape, arena, &f->model.table, f->params, f->used);
    return model_loss(&f->model, f->tape, &batch);
}

static void fixture_init_of(struct fixture *f, const struct study_model *spec, bool classes)
{
    struct error err = {0};
    size_t cost = 0;
    *f = (struct fixture){.used = B};
    if (classes) {
        test_schema_of_classes(&f->schema);
    } else {
        test_schema(&f->schema);
    }
    assert_int_equal(model_open(spec, &f->schema, &f->model, &err), RC_OK);
    f->data = test_dataset(&f->schema, "a", B, 3, SIZE_MAX);
    f->tape = malloc(sizeof *f->tape);
    f->params = calloc(f->model.table.P, sizeof *f->params);
    gradcheck_fill(f->params, f->model.table.P, 5); /* adapters too: not their zero start */
    for (size_t b = 0; b < B; b++) {
        f->label[b] = (float)(b % 2);
        f->class_of[b] = (int32_t)(b % 3);
    }
    assert_int_equal(model_step_cost(&f->model, f->tape, B, &cost, &err), RC_OK);
    assert_int_equal(arena_init(&f->arena, cost, &err), RC_OK);
}

static void fixture_init(struct fixture *f, const struct study_model *spec)
{
    fixture_init_of(f, spec, false);
}

/* The i-th of all. */
static void fixture_init_at(struct fixture *f, size_t i)
{
    fixture_init_of(f, i < YES_OR_NO ? &specs[i] : &class_specs[i - YES_OR_NO], i >= YES_OR_NO);
}

static void fixture_release(struct fixture *f)
{
    arena_release(&f->arena);
    free(f->tape);
    free(f->params);
    dataset_close(&f->data);
    model_release(&f->model);
    schema_release(&f->schema);
}

static double loss(void *ctx)
{
    struct fixture *f = ctx;
    arena_rewind(&f->arena, 0);
    const struct node *l = record(f, &f->arena);
    double sum = 0.0;
    for (size_t b = 0; b < f->used; b++) {
        sum += (double)l->v[b];
    }
    return sum;
}

static void sweep(struct fixture *f)
{
    arena_rewind(&f->arena, 0);
    tape_backward(f->tape, record(f, &f->arena));
}

static void every_model_agrees_with_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPECS; i++) {
        struct fixture f;
        fixture_init_at(&f, i);
        const size_t P = f.model.table.P;
        real *grad = calloc(P, sizeof *grad);
        sweep(&f);
        for (size_t b = 0; b < B; b++) {
            book_form(f.tape, b, grad);
        }
        assert_true(gradcheck(loss, &f, f.params, grad, P, 1e-5) < 1e-6);
        free(grad);
        fixture_release(&f);
    }
}

static void a_patients_gradient_in_a_batch_is_that_patients_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPECS; i++) {
        struct fixture f;
        fixture_init_at(&f, i);
        const size_t P = f.model.table.P;
        for (size_t b = 0; b < B; b++) {
            real *inside = calloc(P, sizeof *inside);
            real *alone = calloc(P, sizeof *alone);
            f.first = 0;
            f.used = B;
            sweep(&f);
            book_form(f.tape, b, inside);
            f.first = b;
            f.used = 1;
            sweep(&f);
            book_form(f.tape, 0, alone);
            for (size_t p = 0; p < P; p++) {
                assert_true(fabs((double)(inside[p] - alone[p])) < 1e-13);
            }
            free(inside);
            free(alone);
        }
        fixture_release(&f);
    }
}

static void an_adapter_starts_as_the_identity(void **state)
{
    (void)state;
    struct fixture with;
    struct fixture without;
    struct study_model plain = specs[2];
    plain.adapter = 0;
    fixture_init(&with, &specs[2]);
    fixture_init(&without, &plain);
    param_init_values(&with.model.table, 4, with.params);
    param_init_values(&without.model.table, 4, without.params);
    assert_true(with.model.table.P > with.model.table.S);
    assert_int_equal(with.model.table.S, without.model.table.P);
    assert_true(loss(&with) == loss(&without));
    fixture_release(&with);
    fixture_release(&without);
}

static void only_adapters_stay_at_the_site(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &specs[2]);
    for (size_t i = 0; i < f.model.table.n; i++) {
        const struct param *p = &f.model.table.param[i];
        assert_int_equal(p->scope == PARAM_SITE, strncmp(p->name, "adapter.", 8) == 0);
    }
    fixture_release(&f);
}

static void scores_do_not_depend_on_the_slices(void **state)
{
    (void)state;
    struct error err = {0};
    struct fixture f;
    fixture_init(&f, &specs[2]);
    const struct batch batch = {.B = B, .values = f.data->values, .codes = f.data->codes};
    double one[B];
    double all[B];
    assert_int_equal(model_score(&f.model, f.params, &batch, 1, one, &err), RC_OK);
    assert_int_equal(model_score(&f.model, f.params, &batch, 4, all, &err), RC_OK);
    for (size_t b = 0; b < B; b++) {
        assert_true(all[b] > 0.0 && all[b] < 1.0);
        assert_true(fabs(one[b] - all[b]) < 1e-14);
    }
    fixture_release(&f);
}

static void scores_of_classes_are_a_softmax_of_the_logits(void **state)
{
    (void)state;
    struct error err = {0};
    struct fixture f;
    for (size_t k = YES_OR_NO; k < SPECS; k++) {
        double p[B][3], one[B][3];
        fixture_init_at(&f, k);
        assert_int_equal(f.model.layout.n_outputs, 3);
        const struct batch batch = {.B = B, .values = f.data->values, .codes = f.data->codes};
        assert_int_equal(model_score(&f.model, f.params, &batch, 1, &one[0][0], &err), RC_OK);
        assert_int_equal(model_score(&f.model, f.params, &batch, 4, &p[0][0], &err), RC_OK);
        tape_start(f.tape, &f.arena, &f.model.table, f.params, B);
        const struct node *z = model_logit(&f.model, f.tape, &batch);
        for (size_t b = 0; b < B; b++) {
            double sum = 0.0;
            for (size_t c = 0; c < 3; c++) {
                sum += exp((double)z->v[3 * b + c]);
            }
            for (size_t c = 0; c < 3; c++) {
                assert_true(fabs(p[b][c] - exp((double)z->v[3 * b + c]) / sum) < 1e-14);
                assert_true(fabs(p[b][c] - one[b][c]) < 1e-14);
            }
        }
        fixture_release(&f);
    }
}

static void the_loss_of_classes_is_the_logarithm_of_the_right_one(void **state)
{
    (void)state;
    struct error err = {0};
    struct fixture f;
    double p[B][3];
    double want = 0.0;
    fixture_init_at(&f, YES_OR_NO);
    const struct batch batch = {.B = B, .values = f.data->values, .codes = f.data->codes};
    assert_int_equal(model_score(&f.model, f.params, &batch, B, &p[0][0], &err), RC_OK);
    for (size_t b = 0; b < B; b++) {
        want -= log(p[b][f.class_of[b]]);
    }
    assert_true(fabs(loss(&f) - want) < 1e-12);
    fixture_release(&f);
}

static void many_modalities_say_yes_or_no_only(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema schema;
    struct model m = {0};
    test_schema_of_classes(&schema);
    assert_int_equal(model_open(&(struct study_model){.name = "multimodal", .width = 4}, &schema,
                                &m, &err),
                     RC_INVALID);
    assert_non_null(strstr(err.text, "the label 'label' is one of 3 classes; use logistic or mlp"));
    schema_release(&schema);
}

static void an_unknown_model_is_refused_with_the_names_there_are(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema schema;
    struct model m = {0};
    test_schema(&schema);
    assert_int_equal(model_open(&(struct study_model){.name = "logistics"}, &schema, &m, &err),
                     RC_INVALID);
    const char *const *name;
    for (size_t i = 0; i < model_names(&name); i++) {
        assert_non_null(strstr(err.text, name[i]));
    }
    assert_null(m.code_table);
    schema_release(&schema);
}

static void a_model_that_cannot_be_is_refused(void **state)
{
    (void)state;
    const struct study_model bad[] = {{.name = "logistic", .adapter = 2},
                                      {.name = "additive", .adapter = 2},
                                      {.name = "mlp", .embedding = 2},
                                      {.name = "mlp", .n_hidden = 1, .hidden = {4}}};
    struct schema schema;
    test_schema(&schema);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        struct model m = {0};
        assert_int_equal(model_open(&bad[i], &schema, &m, &err), RC_INVALID);
    }
    schema_release(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_agrees_with_finite_differences),
        cmocka_unit_test(a_patients_gradient_in_a_batch_is_that_patients_alone),
        cmocka_unit_test(an_adapter_starts_as_the_identity),
        cmocka_unit_test(only_adapters_stay_at_the_site),
        cmocka_unit_test(scores_do_not_depend_on_the_slices),
        cmocka_unit_test(scores_of_classes_are_a_softmax_of_the_logits),
        cmocka_unit_test(the_loss_of_classes_is_the_logarithm_of_the_right_one),
        cmocka_unit_test(many_modalities_say_yes_or_no_only),
        cmocka_unit_test(an_unknown_model_is_refused_with_the_names_there_are),
        cmocka_unit_test(a_model_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("common/model", tests, NULL, NULL);
}
