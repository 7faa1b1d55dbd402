#include "tests/support/tapecheck.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/gradcheck.h"

struct bench {
    struct tape *tape;
    struct arena arena;
    const struct param_table *table;
    real *params;
    tapecheck_record *record;
    void *ctx;
    size_t B;
};

struct param_id tapecheck_param(struct param_table *table, const char *name, size_t a, size_t b)
{
    struct error err = {0};
    struct param_id id = {0};
    assert_int_equal(param_add(table, name, PARAM_SHARED, PARAM_FAN_IN, b == 0 ? 1 : 2,
                               (size_t[]){a, b}, &id, &err),
                     RC_OK);
    return id;
}

static struct node *record(struct bench *k, struct arena *arena, size_t first, size_t B)
{
    struct error err = {0};
    tape_start(k->tape, arena, k->table, k->params, B);
    struct node *loss = k->record(k->tape, k->ctx, first);
    if (tape_verdict(k->tape, &err) != RC_OK) {
        fail_msg("recording: %s", err.text);
    }
    return loss;
}

static void sweep(struct bench *k, size_t first, size_t B)
{
    arena_rewind(&k->arena, 0);
    tape_backward(k->tape, record(k, &k->arena, first, B));
}

static double total_loss(void *ctx)
{
    struct bench *k = ctx;
    arena_rewind(&k->arena, 0);
    const struct node *loss = record(k, &k->arena, 0, k->B);
    double sum = 0.0;
    for (size_t b = 0; b < k->B; b++) {
        sum += (double)loss->v[b];
    }
    return sum;
}

static real *zeros(size_t n)
{
    real *v = calloc(n, sizeof *v);
    assert_non_null(v);
    return v;
}

static void sums_agree_with_finite_differences(struct bench *k)
{
    real *grad = zeros(k->table->P);
    double *ones = calloc(k->B, sizeof *ones);
    for (size_t b = 0; b < k->B; b++) {
        ones[b] = 1.0;
    }
    sweep(k, 0, k->B);
    book_weighted_sum(k->tape, ones, grad);
    for (size_t i = 0; i < k->table->n; i++) {
        const struct param *p = &k->table->param[i];
        for (size_t j = 0; p->frozen && j < p->size; j++) {
            assert_true(grad[p->offset + j] == 0);
        }
        if (p->frozen) {
            continue;
        }
        const double worst =
            gradcheck(total_loss, k, k->params + p->offset, grad + p->offset, p->size, 1e-5);
        if (!(worst < 1e-6)) {
            fail_msg("parameter '%s' is off by %g", p->name, worst);
        }
    }
    free(grad);
    free(ones);
}

/* Slope of the loss along `d` [n], by central differences over h. */
static double slope(struct bench *k, real *v, const real *d, size_t n, double h)
{
    double loss[2];
    real *saved = zeros(n);
    memcpy(saved, v, n * sizeof *saved);
    for (size_t side = 0; side < 2; side++) {
        for (size_t j = 0; j < n; j++) {
            v[j] = saved[j] + (real)(side == 0 ? h : -h) * d[j];
        }
        loss[side] = total_loss(k);
    }
    memcpy(v, saved, n * sizeof *saved);
    free(saved);
    return (loss[0] - loss[1]) / (2.0 * h);
}

/* One slice: an error in any of its numbers changes the slope along a random direction. */
static void slopes_agree(struct bench *k, const struct param *p, const real *grad)
{
    enum { DIRECTIONS = 3 };
    const double floor_abs = 1e-3; /* below this, compare absolutely: as gradcheck */
    real *d = zeros(p->size);
    for (unsigned i = 0; i < DIRECTIONS; i++) {
        double norm_sq = 0.0;
        double exact = 0.0;
        gradcheck_fill(d, p->size, 100 + i);
        for (size_t j = 0; j < p->size; j++) {
            norm_sq += (double)d[j] * (double)d[j];
        }
        for (size_t j = 0; j < p->size; j++) {
            d[j] /= (real)sqrt(norm_sq);
            exact += (double)d[j] * (double)grad[p->offset + j];
        }
        const double numeric = slope(k, k->params + p->offset, d, p->size, 1e-5);
        const double scale = fmax(fmax(fabs(numeric), fabs(exact)), floor_abs);
        if (!(fabs(numeric - exact) < 1e-6 * scale)) {
            fail_msg("parameter '%s', direction %u: slope %.9g, want %.9g", p->name, i, exact,
                     numeric);
        }
    }
    free(d);
}

static void sums_agree_along_directions(struct bench *k)
{
    real *grad = zeros(k->table->P);
    sweep(k, 0, k->B);
    book_weighted_sum(k->tape, NULL, grad);
    for (size_t i = 0; i < k->table->n; i++) {
        const struct param *p = &k->table->param[i];
        if (!p->frozen) {
            slopes_agree(k, p, grad);
        }
        for (size_t j = 0; p->frozen && j < p->size; j++) {
            assert_true(grad[p->offset + j] == 0);
        }
    }
    free(grad);
}

static void check_sample(struct bench *k, size_t b, real *weighted, double c)
{
    const size_t P = k->table->P;
    real *inside = zeros(P);
    real *alone = zeros(P);
    double *norm_sq = calloc(k->B, sizeof *norm_sq);
    double formed = 0.0;
    sweep(k, 0, k->B);
    book_form(k->tape, b, inside);
    book_norms_sq(k->tape, &k->arena, norm_sq);
    sweep(k, b, 1);
    book_form(k->tape, 0, alone);
    for (size_t i = 0; i < P; i++) {
        assert_true(fabs((double)(inside[i] - alone[i])) < 1e-13);
        formed += (double)inside[i] * (double)inside[i];
        weighted[i] += (real)c * inside[i];
    }
    assert_true(fabs(norm_sq[b] - formed) <= 1e-12 * (1e-3 + formed));
    free(inside);
    free(alone);
    free(norm_sq);
}

static void samples_agree_with_themselves_alone(struct bench *k)
{
    const size_t P = k->table->P;
    real *want = zeros(P);
    real *got = zeros(P);
    double *c = calloc(k->B, sizeof *c);
    for (size_t b = 0; b < k->B; b++) {
        c[b] = (double)(b % 3) / 2.0; /* one of them is left out */
        check_sample(k, b, want, c[b]);
    }
    sweep(k, 0, k->B);
    book_weighted_sum(k->tape, c, got);
    for (size_t i = 0; i < P; i++) {
        assert_true(fabs((double)(want[i] - got[i])) < 1e-12);
    }
    free(want);
    free(got);
    free(c);
}

static void every_parameter_has_a_gradient(struct bench *k)
{
    real *grad = zeros(k->table->P);
    sweep(k, 0, k->B);
    for (size_t b = 0; b < k->B; b++) {
        book_form(k->tape, b, grad);
    }
    for (size_t i = 0; i < k->table->n; i++) {
        const struct param *p = &k->table->param[i];
        double size = 0.0;
        for (size_t j = 0; j < p->size; j++) {
            size += fabs((double)grad[p->offset + j]);
        }
        if (!p->frozen && !(size > 0.0)) {
            fail_msg("parameter '%s' has no gradient", p->name);
        }
    }
    free(grad);
}

static void add_clipped(struct bench *k, size_t first, size_t B, double C, real *sum)
{
    double *c = calloc(k->B, sizeof *c);
    sweep(k, first, B);
    book_norms_sq(k->tape, &k->arena, c);
    for (size_t b = 0; b < B; b++) {
        c[b] = fmin(1.0, C / sqrt(c[b]));
    }
    book_weighted_sum(k->tape, c, sum);
    free(c);
}

static void clipped_sums_are_bounded_however_a_batch_is_split(struct bench *k)
{
    const size_t P = k->table->P;
    real *whole = zeros(P);
    double *norm_sq = calloc(k->B, sizeof *norm_sq);
    double most = 0.0;
    double sum_sq = 0.0;
    sweep(k, 0, k->B);
    book_norms_sq(k->tape, &k->arena, norm_sq);
    for (size_t b = 0; b < k->B; b++) {
        most = fmax(most, norm_sq[b]);
    }
    const double C = sqrt(most) / 2; /* some are clipped, others may not be */
    add_clipped(k, 0, k->B, C, whole);
    for (size_t i = 0; i < P; i++) {
        sum_sq += (double)whole[i] * (double)whole[i];
    }
    assert_true(sqrt(sum_sq) <= C * (double)k->B * (1.0 + 1e-12));
    for (size_t first = 1; first < k->B; first++) {
        real *parts = zeros(P);
        add_clipped(k, 0, first, C, parts);
        add_clipped(k, first, k->B - first, C, parts);
        for (size_t i = 0; i < P; i++) {
            assert_true(fabs((double)(whole[i] - parts[i])) <= 1e-12 * C * (double)k->B);
        }
        free(parts);
    }
    free(whole);
    free(norm_sq);
}

static struct bench set_up(struct param_table *table, tapecheck_record *how, void *ctx, size_t B)
{
    struct error err = {0};
    param_table_seal(table);
    struct bench k = {.tape = calloc(1, sizeof *k.tape),
                      .table = table,
                      .params = zeros(table->P),
                      .record = how,
                      .ctx = ctx,
                      .B = B};
    assert_non_null(k.tape);
    gradcheck_fill(k.params, table->P, 7);
    for (size_t i = 0; i < table->P; i++) {
        k.params[i] *= (real)0.6;
    }
    tape_backward(k.tape, record(&k, NULL, 0, B)); /* measure */
    const size_t foretold = k.tape->cost;
    assert_int_equal(arena_init(&k.arena, foretold + book_scratch_cost(k.tape), &err), RC_OK);
    sweep(&k, 0, B);
    assert_int_equal(k.tape->cost, foretold);
    return k;
}

static void tear_down(struct bench *k, struct param_table *table)
{
    arena_release(&k->arena);
    free(k->params);
    free(k->tape);
    param_table_release(table);
}

static void check(struct param_table *table, tapecheck_record *how, void *ctx, size_t B,
                  void sums(struct bench *k))
{
    struct bench k = set_up(table, how, ctx, B);
    sums(&k);
    samples_agree_with_themselves_alone(&k);
    clipped_sums_are_bounded_however_a_batch_is_split(&k);
    every_parameter_has_a_gradient(&k);
    tear_down(&k, table);
}

void tapecheck(struct param_table *table, tapecheck_record *how, void *ctx, size_t B)
{
    check(table, how, ctx, B, sums_agree_with_finite_differences);
}

void tapecheck_composed(struct param_table *table, tapecheck_record *how, void *ctx, size_t B)
{
    check(table, how, ctx, B, sums_agree_along_directions);
}

void tapecheck_dropped(struct param_table *table, tapecheck_record *how, void *ctx, size_t B,
                       float *x, size_t n)
{
    struct bench k = set_up(table, how, ctx, B);
    const size_t bad = 1;
    const float saved = x[bad * n];
    real *clean = zeros(table->P);
    real *got = zeros(table->P);
    double *c = calloc(B, sizeof *c);
    double *before = calloc(B, sizeof *before);
    double *norm_sq = calloc(B, sizeof *norm_sq);
    for (size_t b = 0; b < B; b++) {
        c[b] = b == bad ? 0.0 : 0.5 + (double)b;
    }
    book_norms_sq(k.tape, &k.arena, before);
    book_weighted_sum(k.tape, c, clean);

    x[bad * n] = (float)NAN;
    sweep(&k, 0, B);
    book_norms_sq(k.tape, &k.arena, norm_sq);
    for (size_t b = 0; b < B; b++) {
        assert_true(b == bad ? !isfinite(norm_sq[b])
                             : fabs(norm_sq[b] - before[b]) <= 1e-12 * (1e-3 + before[b]));
    }
    book_drop_sample(k.tape, bad);
    book_weighted_sum(k.tape, c, got);
    for (size_t i = 0; i < table->P; i++) {
        assert_true(fabs((double)(clean[i] - got[i])) < 1e-12);
    }
    x[bad * n] = saved;
    free(clean);
    free(got);
    free(c);
    free(before);
    free(norm_sq);
    tear_down(&k, table);
}
