/* Threads that share a job, and a batch in slices by them: more numbers than one range holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/dp/slices.h"

/* ---- crew ------------------------------------------------------------------------------------ */

enum { PIECES = 23, JOBS = 2000, THREADS = 4 };

struct job {
    int times[PIECES];   /* each written by whoever has the piece */
    size_t by[PIECES];   /* the thread that had it */
    size_t own[THREADS]; /* pieces that a thread has counted for itself */
    bool slow;
};

/* Longer than a thread looks for the next job, or for the end of one: it sleeps, and must be woken. */
static void leave_them_alone(void)
{
    volatile double x = 1.0;
    for (size_t i = 0; i < 300000; i++) {
        x = x * 1.0000001;
    }
}

static void note(void *ctx, size_t thread, size_t piece)
{
    struct job *j = ctx;
    if (j->slow && thread > 0) {
        leave_them_alone(); /* and whoever asked must wait for it */
    }
    j->times[piece]++;
    j->by[piece] = thread;
    j->own[thread]++;
}

static void every_piece_is_done_once_before_the_job_returns(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= THREADS; threads++) {
        struct crew *c = NULL;
        struct error err = {0};
        assert_int_equal(crew_open(threads, &c, &err), RC_OK);
        for (size_t i = 0; i < JOBS; i++) {
            struct job j = {.slow = i % 100 == 50};
            const size_t n = i % (PIECES + 1);
            if (i % 100 == 99) {
                leave_them_alone();
            }
            crew_do(c, note, &j, n);
            size_t counted = 0;
            for (size_t k = 0; k < PIECES; k++) {
                assert_int_equal(j.times[k], k < n ? 1 : 0);
                assert_true(j.by[k] < threads);
            }
            for (size_t t = 0; t < THREADS; t++) {
                counted += j.own[t];
            }
            assert_int_equal(counted, n);
        }
        crew_close(&c);
        assert_null(c);
    }
}

static void a_crew_without_a_job_ends_and_too_many_are_refused(void **state)
{
    (void)state;
    struct crew *c = NULL;
    struct error err = {0};
    assert_int_equal(crew_open(CREW_MAX, &c, &err), RC_OK);
    crew_close(&c);
    crew_close(&c); /* nothing is left to close */
    assert_int_equal(crew_open(CREW_MAX + 1, &c, &err), RC_LIMIT);
    assert_null(c);
}

/* ---- slices ---------------------------------------------------------------------------------- */

enum { B = 11, D = 9001 }; /* ranges that are full, and one that is not */

struct wide {
    struct param_table table;
    struct param_id w;
    real params[D];
    float x[B * D], label[B];
    size_t refuse; /* the slice that begins here cannot be recorded; B: all can */
    double seen[D];
    int times[D];
};

static struct node *record(void *ctx, size_t thread, struct tape *t, size_t at)
{
    (void)thread;
    const struct wide *k = ctx;
    const size_t width = t->arena != NULL && at == k->refuse ? D - 1 : D;
    return tape_bce(t, tape_linear(t, tape_input(t, k->x + at * D, width), k->w), k->label + at);
}

static struct wide *wide_make(void)
{
    struct error err = {0};
    struct rng r;
    struct wide *k = calloc(1, sizeof *k);
    const size_t dims[2] = {1, D};
    assert_non_null(k);
    assert_int_equal(param_add(&k->table, "w", PARAM_SHARED, PARAM_FAN_IN, 2, dims, &k->w, &err),
                     RC_OK);
    param_table_seal(&k->table);
    param_init_values(&k->table, 5, k->params);
    rng_init(&r, 7, "wide");
    for (size_t i = 0; i < (size_t)B * D; i++) {
        k->x[i] = (float)rng_normal(&r);
    }
    for (size_t i = 0; i < B; i++) {
        k->label[i] = (float)rng_below(&r, 2);
    }
    k->refuse = B;
    return k;
}

static void wide_drop(struct wide *k)
{
    param_table_release(&k->table);
    free(k);
}

static struct slices *opened(struct wide *k, size_t physical, size_t threads)
{
    struct error err = {0};
    struct slices *s = NULL;
    const struct slices_plan plan = {
        .table = &k->table, .physical = physical, .threads = threads, .record = record, .ctx = k};
    assert_int_equal(slices_open(&plan, &s, &err), RC_OK);
    return s;
}

static void of_many_numbers_threads_change_no_byte(void **state)
{
    (void)state;
    struct wide *k = wide_make();
    double *sum[3];
    for (size_t threads = 1; threads <= 3; threads++) {
        struct slices *s = opened(k, 2, threads);
        sum[threads - 1] = calloc(D, sizeof(double));
        for (size_t step = 0; step < 20; step++) {
            struct error err = {0};
            struct clip_counts counts = {0};
            double loss = 0.0;
            memset(sum[threads - 1], 0, D * sizeof(double));
            assert_int_equal(slices_accumulate(s, k->params, B, 0.5, sum[threads - 1], &counts,
                                               &loss, &err),
                             RC_OK);
            assert_int_equal(counts.samples, B);
            assert_memory_equal(sum[threads - 1], sum[0], D * sizeof(double));
        }
        slices_close(&s);
    }
    assert_true(sum[0][D - 1] != 0.0);
    for (size_t i = 0; i < 3; i++) {
        free(sum[i]);
    }
    wide_drop(k);
}

static void touch(void *ctx, size_t from, size_t to)
{
    struct wide *k = ctx;
    for (size_t i = from; i < to; i++) {
        k->times[i]++;
    }
}

static void ranges_cover_every_number_once(void **state)
{
    (void)state;
    struct wide *k = wide_make();
    for (size_t threads = 1; threads <= 3; threads++) {
        struct slices *s = opened(k, 2, threads);
        for (size_t n = 0; n <= D; n += n == 0 ? 1 : 1000) {
            memset(k->times, 0, sizeof k->times);
            slices_ranges(s, touch, k, n);
            for (size_t i = 0; i < D; i++) {
                assert_int_equal(k->times[i], i < n ? 1 : 0);
            }
        }
        slices_close(&s);
    }
    wide_drop(k);
}

static void a_slice_that_fails_fails_the_step_and_not_the_next(void **state)
{
    (void)state;
    struct wide *k = wide_make();
    for (size_t threads = 1; threads <= 3; threads++) {
        struct slices *s = opened(k, 2, threads);
        struct error err = {0};
        struct clip_counts counts = {0};
        double loss = 0.0;
        k->refuse = 4;
        assert_int_equal(slices_accumulate(s, k->params, B, 0.5, k->seen, &counts, &loss, &err),
                         RC_INVALID);
        assert_true(err.text[0] != '\0');
        k->refuse = B;
        err = (struct error){0};
        counts = (struct clip_counts){0};
        assert_int_equal(slices_accumulate(s, k->params, B, 0.5, k->seen, &counts, &loss, &err),
                         RC_OK);
        assert_int_equal(counts.samples, B);
        slices_close(&s);
    }
    wide_drop(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_is_done_once_before_the_job_returns),
        cmocka_unit_test(a_crew_without_a_job_ends_and_too_many_are_refused),
        cmocka_unit_test(of_many_numbers_threads_change_no_byte),
        cmocka_unit_test(ranges_cover_every_number_once),
        cmocka_unit_test(a_slice_that_fails_fails_the_step_and_not_the_next),
    };
    return cmocka_run_group_tests_name("slices", tests, NULL, NULL);
}
