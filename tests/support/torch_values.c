#include "tests/support/torch_values.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NUMBERS_MAX = 4096, OUTPUT_MAX = 1024 };

static const double tolerance = sizeof(real) == sizeof(float) ? 1e-5 : 1e-9;

/* 32-bit FNV-1a of the name, stepped by the golden ratio, then the finaliser of MurmurHash3. */
void torch_fill(float *to, size_t n, const char *name, const char *part)
{
    char full[2 * PARAM_NAME_MAX];
    const int length = snprintf(full, sizeof full, "%s/%s", name, part);
    assert_true(length > 0 && (size_t)length < sizeof full);
    uint32_t seed = 0x811c9dc5u;
    for (const char *c = full; *c != '\0'; c++) {
        seed = (seed ^ (unsigned char)*c) * 0x01000193u;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t h = seed + (uint32_t)i * 0x9e3779b9u;
        h = (h ^ (h >> 16)) * 0x85ebca6bu;
        h = (h ^ (h >> 13)) * 0xc2b2ae35u;
        h ^= h >> 16;
        to[i] = (float)(h >> 8) / 8388608.0f - 1.0f;
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

/* A tensor of the running case. */
struct tensor {
    char name[PARAM_NAME_MAX];
    size_t n;
    double v[NUMBERS_MAX];
};

static bool next_tensor(FILE *f, struct tensor *x)
{
    assert_int_equal(fscanf(f, "%63s", x->name), 1);
    if (strcmp(x->name, "end") == 0) {
        return false;
    }
    assert_int_equal(fscanf(f, "%zu", &x->n), 1);
    assert_true(x->n > 0 && x->n <= NUMBERS_MAX);
    for (size_t i = 0; i < x->n; i++) {
        assert_int_equal(fscanf(f, "%lf", &x->v[i]), 1);
    }
    return true;
}

/* At the first tensor of the case. */
static FILE *case_open(const char *name)
{
    char line[256];
    char head[PARAM_NAME_MAX + 8];
    (void)snprintf(head, sizeof head, "case %s\n", name);
    FILE *f = fopen("tests/golden/torch_values.txt", "re");
    if (f == NULL) {
        fail_msg("no tests/golden/torch_values.txt here: run at the top of the repository");
    }
    while (fgets(line, sizeof line, f) != NULL) {
        if (strcmp(line, head) == 0) {
            return f;
        }
    }
    fail_msg("torch_values.txt has no case '%s'", name);
    return NULL;
}

static double largest(const double *v, size_t n)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs(v[i]));
    }
    return most;
}

static void compare(const char *name, const struct tensor *want, const double *got, size_t n,
                    double scale)
{
    assert_int_equal(want->n, n);
    for (size_t i = 0; i < n; i++) {
        const double off = fabs(got[i] - want->v[i]) / scale;
        if (!(off <= tolerance)) {
            fail_msg("%s: %s[%zu] is %.9g, torch has %.9g: off by %.2g of the largest", name,
                     want->name, i, got[i], want->v[i], off);
        }
    }
}

/* ---- ours ------------------------------------------------------------------------------------ */

/* What we make of a case. */
struct result {
    size_t n_output;
    double output[OUTPUT_MAX], *norm, *grad; /* [n_output], [B], [P] */
};

/* loss_b = the sum of the sample's outputs times a fixed projection [B, n]. */
static struct node *project(struct tape *t, const char *name, struct node *out)
{
    float projection[OUTPUT_MAX];
    if (out == NULL) {
        return NULL;
    }
    size_t n = 1;
    for (size_t i = 1; i < out->shape.rank; i++) {
        n *= out->shape.dim[i];
    }
    assert_true(t->B * n <= OUTPUT_MAX);
    torch_fill(projection, t->B * n, name, "projection");
    struct node *p = tape_input_shaped(t, projection, 2, (size_t[]){n, 1});
    struct node *loss = tape_matmul(t, tape_reshape(t, out, 2, (size_t[]){1, n}), p);
    return tape_reshape(t, loss, 1, (size_t[]){1});
}

static void run(struct tape *t, struct arena *arena, const char *name, torch_record *record,
                void *ctx, struct result *r)
{
    struct error err = {0};
    struct node *out = record(t, ctx);
    struct node *loss = project(t, name, out);
    if (tape_verdict(t, &err) != RC_OK || out == NULL) {
        fail_msg("%s: %s", name, err.text);
        return;
    }
    r->n_output = 1;
    for (size_t i = 0; i < out->shape.rank; i++) {
        r->n_output *= out->shape.dim[i];
    }
    for (size_t i = 0; arena != NULL && i < r->n_output; i++) {
        r->output[i] = (double)out->v[i];
    }
    tape_backward(t, loss);
}

/* Parameters are half of what the names give. */
static void fill_params(real *params, const char *name, const struct param_table *table)
{
    float v[NUMBERS_MAX];
    for (size_t i = 0; i < table->n; i++) {
        const struct param *p = &table->param[i];
        assert_true(p->size <= NUMBERS_MAX);
        torch_fill(v, p->size, name, p->name);
        for (size_t j = 0; j < p->size; j++) {
            params[p->offset + j] = (real)v[j] / 2;
        }
    }
}

static void compute(const char *name, const struct param_table *table, torch_record *record,
                    void *ctx, size_t B, struct result *r)
{
    struct error err = {0};
    struct arena arena = {0};
    struct tape *t = calloc(1, sizeof *t);
    real *params = calloc(table->P, sizeof *params);
    real *grad = calloc(table->P, sizeof *grad);
    assert_true(t != NULL && params != NULL && grad != NULL);
    fill_params(params, name, table);
    tape_start(t, NULL, table, params, B);
    run(t, NULL, name, record, ctx, r);
    assert_int_equal(arena_init(&arena, t->cost + book_scratch_cost(t), &err), RC_OK);
    tape_start(t, &arena, table, params, B);
    run(t, &arena, name, record, ctx, r);
    book_norms_sq(t, &arena, r->norm);
    book_weighted_sum(t, NULL, grad);
    for (size_t b = 0; b < B; b++) {
        r->norm[b] = sqrt(r->norm[b]);
    }
    for (size_t i = 0; i < table->P; i++) {
        r->grad[i] = (double)grad[i];
    }
    arena_release(&arena);
    free(grad);
    free(params);
    free(t);
}

/* ---- both ------------------------------------------------------------------------------------ */

static const struct param *param_named(const struct param_table *table, const char *name)
{
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->param[i].name, name) == 0) {
            return &table->param[i];
        }
    }
    fail_msg("we have no parameter '%s'", name);
    return NULL;
}

static void compare_gradients(FILE *f, const char *name, const struct param_table *table,
                              const struct result *r)
{
    struct tensor want;
    size_t n = 0;
    const double most = largest(r->grad, table->P);
    for (; next_tensor(f, &want); n++) {
        const struct param *p = param_named(table, want.name);
        if (p == NULL) {
            return;
        }
        const double own = largest(want.v, want.n);
        compare(name, &want, r->grad + p->offset, p->size, own > 1e-12 * most ? own : most);
    }
    assert_int_equal(n, table->n);
}

void torch_agrees(const char *name, struct param_table *table, torch_record *record, void *ctx,
                  size_t B)
{
    struct tensor want;
    param_table_seal(table);
    struct result r = {.norm = calloc(B, sizeof *r.norm), .grad = calloc(table->P, sizeof *r.grad)};
    assert_true(r.norm != NULL && r.grad != NULL);
    compute(name, table, record, ctx, B, &r);
    FILE *f = case_open(name);
    assert_true(next_tensor(f, &want));
    assert_string_equal(want.name, "output");
    compare(name, &want, r.output, r.n_output, largest(want.v, want.n));
    assert_true(next_tensor(f, &want));
    assert_string_equal(want.name, "norms");
    compare(name, &want, r.norm, B, largest(want.v, want.n));
    compare_gradients(f, name, table, &r);
    (void)fclose(f);
    free(r.norm);
    free(r.grad);
    param_table_release(table);
}
