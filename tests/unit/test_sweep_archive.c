/* Sweeps that are killed at any time and gone on with: the same results, no world twice; and what an
 * old file of results is not taken for. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "sim/sweep/cost_internal.h"
#include "tests/support/mortal_store.h"

static const char base[] = "name: t\n"
                           "generate: {hospitals: 2, patients: 80, prevalence: 0.4}\n"
                           "study:\n"
                           "  study: t\n"
                           "  rounds: 1\n"
                           "  quorum: 2\n"
                           "  min_sites: 2\n"
                           "  model: {name: logistic}\n"
                           "  local: {rate: 2.0}\n"
                           "  privacy: {noise: none, epsilon: inf, clip: 1.0}\n"
                           "  sites:\n"
                           "    - {name: hospital-01, nominal: 30}\n"
                           "    - {name: hospital-02, nominal: 30}\n"
                           "split: {folds: 2}\n"
                           "tradeoff:\n"
                           "  modes: [federated, local_only]\n"
                           "  epsilons: [inf, 2]\n"
                           "  delta: 1.0e-3\n"
                           "  seeds: [1, 2]\n"
                           "  curves: 1\n";

static const size_t ROWS = 2 * 2 * 2, WORLDS = 2 * 2 * 2 * 2;

struct folder {
    char path[64], db[96], csv[96], curves[96];
};

static void folder_make(struct folder *f)
{
    (void)snprintf(f->path, sizeof f->path, "/tmp/archive-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    (void)snprintf(f->db, sizeof f->db, "%s/results.db", f->path);
    (void)snprintf(f->csv, sizeof f->csv, "%s/results.csv", f->path);
    (void)snprintf(f->curves, sizeof f->curves, "%s/curves.csv", f->path);
}

static void folder_drop(const struct folder *f)
{
    static const char *const tail[] = {"", "-wal", "-shm"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s%s", f->db, tail[i]);
        (void)unlink(path);
    }
    (void)unlink(f->csv);
    (void)unlink(f->curves);
    assert_int_equal(rmdir(f->path), 0);
}

/* `base` with `from` replaced by `to`. */
static void open_changed(const char *from, const char *to, struct sweep *s)
{
    static struct config_issues issues;
    const struct sweep_overrides none = {0};
    struct error err = {0};
    char path[64] = "/tmp/sweep-XXXXXX";
    const char *at = strstr(base, from);
    assert_non_null(at);
    FILE *f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    (void)fprintf(f, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
    assert_int_equal(fclose(f), 0);
    issues = (struct config_issues){0};
    const enum rc rc = sweep_open(path, true, &none, s, &issues, &err);
    (void)unlink(path);
    if (rc != RC_OK) {
        print_error("%s\n", err.text);
    }
    assert_int_equal(rc, RC_OK);
}

/* The sweep of `base`, and where its results are kept. */
struct desk {
    struct sweep s;
    struct folder f;
};

static void desk_open(struct desk *d)
{
    *d = (struct desk){0};
    folder_make(&d->f);
    open_changed("t\n", "t\n", &d->s);
}

static void desk_close(struct desk *d)
{
    sweep_release(&d->s);
    folder_drop(&d->f);
}

/* The same folder, another sweep. */
static void desk_change(struct desk *d, const char *from, const char *to)
{
    sweep_release(&d->s);
    open_changed(from, to, &d->s);
}

/* Are the folder's results those of the sweep? */
static enum rc takes(const struct desk *d, struct error *err)
{
    struct sweep_archive *a = NULL;
    *err = (struct error){0};
    const enum rc rc = sweep_archive_open(d->f.db, &d->s, &a, err);
    sweep_archive_close(&a);
    return rc;
}

static void count(void *ctx, size_t worlds, size_t of, double left_s)
{
    size_t *n = ctx;
    (void)worlds;
    (void)of;
    assert_true(left_s >= 0.0);
    n[0]++;
}

/* Everything of `work` that is not there yet. */
static enum rc work_through(const struct sweep *s, const char *db, struct sweep_work work,
                            struct sweep_results *r, struct error *err)
{
    struct sweep_archive *a = NULL;
    enum rc rc = sweep_archive_open(db, s, &a, err);
    if (rc == RC_OK) {
        work.archive = a;
        rc = sweep_continue(s, &work, r, err);
    }
    sweep_archive_close(&a);
    return rc;
}

/* n[0] counts what was run. */
static void go_on(const struct desk *d, size_t part, size_t parts, size_t *n,
                  struct sweep_results *r)
{
    struct error err = {0};
    const struct sweep_progress progress = {.done = count, .ctx = n};
    const struct sweep_work work = {.progress = &progress, .part = part, .parts = parts};
    if (work_through(&d->s, d->f.db, work, r, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

/* Tables as files, without what a clock says. */
struct table {
    char text[16384];
    size_t n;
};

static void append_file(const char *path, struct table *out)
{
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    out->n += fread(out->text + out->n, 1, sizeof out->text - out->n, f);
    assert_true(out->n < sizeof out->text);
    (void)fclose(f);
}

static void table_of(const struct desk *d, const struct sweep_results *r, struct table *out)
{
    struct error err = {0};
    for (size_t i = 0; i < r->n; i++) {
        r->row[i].seconds = 0.0;
    }
    assert_int_equal(report_write_csv(d->f.csv, r->row, r->n, &err), RC_OK);
    assert_int_equal(report_write_curves_csv(d->f.curves, r->row, r->n, &err), RC_OK);
    assert_true(r->row[0].n_curve == 1 && r->row[0].curve[0].auroc > 0.0);
    out->n = 0;
    append_file(d->f.csv, out);
    append_file(d->f.curves, out);
}

static void table_in_one_piece(const struct desk *d, struct table *out)
{
    struct sweep_results r = {0};
    struct error err = {0};
    assert_int_equal(sweep_run(&d->s, NULL, &r, &err), RC_OK);
    table_of(d, &r, out);
    sweep_results_release(&r);
}

/* Nothing is left to do, and this is what was done. */
static void whole_table_is(const struct desk *d, const struct table *want)
{
    static struct table got;
    struct sweep_results r = {0};
    size_t n = 0;
    go_on(d, 0, 0, &n, &r);
    assert_int_equal(n, 0);
    assert_int_equal(r.n, ROWS);
    table_of(d, &r, &got);
    assert_int_equal(got.n, want->n);
    assert_memory_equal(got.text, want->text, want->n);
    sweep_results_release(&r);
}

/* ---- killed ---------------------------------------------------------------------------------- */

/* A life tells each world that it has run: whoever is killed cannot do it later. */
static void tell(void *ctx, size_t worlds, size_t of, double left_s)
{
    const int *pipe_end = ctx;
    (void)worlds;
    (void)of;
    (void)left_s;
    assert_int_equal(write(*pipe_end, "", 1), 1);
}

static enum rc live_to_the_end(const struct desk *d, int pipe_end)
{
    struct sweep_results r = {0};
    struct error err = {0};
    const struct sweep_progress progress = {.done = tell, .ctx = &pipe_end};
    const struct sweep_work work = {.progress = &progress};
    const enum rc rc = work_through(&d->s, d->f.db, work, &r, &err);
    if (rc != RC_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
    }
    return rc;
}

/* One life: killed at call `die_at` of the store, or the end. @return whether it was killed */
static bool live(const struct desk *d, int die_at, size_t *n)
{
    int ends[2];
    char told[64];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mortal_restart();
        mortal_die_at = die_at;
        _exit(live_to_the_end(d, ends[1]) == RC_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(close(ends[1]), 0);
    const ssize_t got = read(ends[0], told, sizeof told);
    assert_true(got >= 0);
    *n += (size_t)got;
    assert_int_equal(close(ends[0]), 0);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return killed;
}

static void a_killed_sweep_gives_the_same_results_and_runs_no_world_twice(void **state)
{
    (void)state;
    static struct table want;
    enum { SEEDS = 3 };
    struct desk d;
    desk_open(&d);
    table_in_one_piece(&d, &want);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct rng rng;
        size_t killed = 0;
        size_t n = 0;
        rng_init(&rng, seed, "kills of a sweep");
        folder_drop(&d.f);
        folder_make(&d.f);
        while (live(&d, (int)rng_below(&rng, 3000), &n)) {
            killed++;
            assert_true(killed < 200);
        }
        if (killed < 2 || n > WORLDS || n + killed < WORLDS) {
            print_error("seed %d: %zu worlds in %zu lives\n", (int)seed, n, killed + 1);
        }
        assert_true(killed >= 2);
        assert_true(n <= WORLDS);          /* none twice */
        assert_true(n + killed >= WORLDS); /* one may be kept and not counted in each life */
        whole_table_is(&d, &want);
    }
    desk_close(&d);
}

/* ---- shared ---------------------------------------------------------------------------------- */

static void parts_run_rows_of_their_own_and_the_whole_takes_them(void **state)
{
    (void)state;
    static struct table want;
    struct desk d;
    struct sweep_results r = {0};
    size_t n = 0;
    desk_open(&d);
    table_in_one_piece(&d, &want);
    for (size_t part = 0; part < 3; part++) {
        const size_t before = n;
        go_on(&d, part, 3, &n, &r);
        assert_int_equal(r.n, 0); /* not all are there */
        assert_int_equal(n - before, 2 * (part < 2 ? 3 : 2));
    }
    assert_int_equal(n, WORLDS);
    whole_table_is(&d, &want);
    desk_close(&d);
}

static void a_grid_that_has_grown_runs_what_is_new(void **state)
{
    (void)state;
    struct desk d;
    struct sweep_results r = {0};
    size_t n = 0;
    desk_open(&d);
    go_on(&d, 0, 0, &n, &r);
    sweep_results_release(&r);
    assert_int_equal(n, WORLDS);
    desk_change(&d, "seeds: [1, 2]", "seeds: [3, 1, 2]");
    go_on(&d, 0, 0, &n, &r);
    assert_int_equal(n, WORLDS + WORLDS / 2);
    assert_int_equal(r.n, ROWS + ROWS / 2);
    sweep_results_release(&r);
    desk_close(&d);
}

static void two_processes_do_not_work_on_one_file(void **state)
{
    (void)state;
    struct desk d;
    struct sweep_archive *a = NULL;
    struct error err = {0};
    desk_open(&d);
    assert_int_equal(sweep_archive_open(d.f.db, &d.s, &a, &err), RC_OK);
    assert_int_equal(takes(&d, &err), RC_STATE);
    assert_non_null(strstr(err.text, "another process is at work"));
    sweep_archive_close(&a);
    assert_int_equal(takes(&d, &err), RC_OK);
    desk_close(&d);
}

/* ---- what is left ---------------------------------------------------------------------------- */

/* 4 kinds of 4 worlds (2 seeds, 2 folds): federated without and with noise, then local_only. */
static void what_is_left_takes_what_worlds_of_its_kind_took(void **state)
{
    (void)state;
    struct desk d;
    struct error err = {0};
    desk_open(&d);
    struct pool pool = {.s = &d.s};
    assert_int_equal(pool_open(&pool, &err), RC_OK);
    assert_int_equal(pool_load(&pool, &err), RC_OK);
    assert_int_equal(pool.todo, WORLDS);
    assert_int_equal(cost_open(&pool, &pool.cost, &err), RC_OK);
    assert_true(isnan(cost_left(pool.cost, 1))); /* nothing is known yet */
    cost_finished(pool.cost, 0, 2.0);
    assert_true(fabs(cost_left(pool.cost, 1) - (15 * 2.0)) < 1e-9); /* kinds of as many passes */
    assert_true(fabs(cost_left(pool.cost, 3) - (5 * 2.0)) < 1e-9);
    cost_finished(pool.cost, 9, 10.0);
    assert_true(fabs(cost_left(pool.cost, 1) - (3 * 2.0 + 3 * 10.0 + 8 * 6.0)) < 1e-9);
    cost_finished(pool.cost, 1, 4.0);
    assert_true(fabs(cost_left(pool.cost, 1) - (2 * 3.0 + 3 * 10.0 + 8 * 16.0 / 3.0)) < 1e-9);
    pool_release(&pool);
    desk_close(&d);
}

static void an_estimate_has_every_kind_and_counts_what_is_not_there_yet(void **state)
{
    (void)state;
    struct desk d;
    struct sweep_results r = {0};
    struct sweep_estimate e = {0};
    struct sweep_archive *a = NULL;
    struct error err = {0};
    size_t n = 0;
    desk_open(&d);
    go_on(&d, 0, 2, &n, &r); /* the first seed of each kind */
    assert_int_equal(sweep_archive_open(d.f.db, &d.s, &a, &err), RC_OK);
    const struct sweep_work work = {.archive = a};
    assert_int_equal(sweep_estimate(&d.s, &work, &e, &err), RC_OK);
    assert_int_equal(e.n, 4);
    assert_int_equal(e.left, WORLDS - n);
    double seconds = 0.0;
    for (size_t i = 0; i < e.n; i++) {
        assert_int_equal(e.kind[i].left, 2);
        assert_int_equal(e.kind[i].rounds, 1);
        assert_string_equal(e.kind[i].mode, i < 2 ? "federated" : "local_only");
        assert_true(isinf(e.kind[i].epsilon) == (i % 2 == 0));
        seconds += 2 * e.kind[i].seconds;
    }
    assert_true(fabs(e.seconds - (seconds)) < 1e-9);
    assert_true(e.bytes >= e.bytes_world);
    assert_int_equal(sweep_archive_kept(a), 0);
    sweep_estimate_release(&e);
    sweep_archive_close(&a);
    desk_close(&d);
}

/* ---- refused --------------------------------------------------------------------------------- */

static void results_of_something_else_are_refused_with_what_has_changed(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *sentence; /* NULL: taken */
    } change[] = {
        {"name: t\n", "name: u\n", NULL},
        {"epsilons: [inf, 2]", "epsilons: [4]", NULL},
        {"delta: 1.0e-3", "delta: 1.0e-4", NULL},
        {"modes: [federated, local_only]", "modes: [pooled]", NULL},
        {"patients: 80", "patients: 120", "another cohort"},
        {"prevalence: 0.4", "prevalence: 0.41", "another cohort"},
        {"folds: 2", "folds: 3", "another split"},
        {"curves: 1", "curves: 2", "results with curves: 1, and curves: is 2 now"},
        {"  curves: 1\n", "", "say curves: 1, choose another --out"},
        {"rounds: 1", "rounds: 2", "another study 'base'"},
        {"rate: 2.0", "rate: 2.1", "another study 'base'"},
        {"{name: logistic}", "{name: mlp, hidden: [3]}", "another study 'base'"},
        {"clip: 1.0", "clip: 1.5", "another study 'base'"},
        {"clip: 1.0", "clip: 1.0, sample_rate: 0.5", "another study 'base'"},
        {"nominal: 30", "nominal: 31", "another study 'base'"},
    };
    struct desk d;
    struct error err;
    desk_open(&d);
    assert_int_equal(takes(&d, &err), RC_OK);
    for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
        desk_change(&d, change[i].from, change[i].to);
        const enum rc rc = takes(&d, &err);
        if ((rc == RC_OK) != (change[i].sentence == NULL)) {
            print_error("%s: %s\n", change[i].to, err.text);
        }
        assert_int_equal(rc, change[i].sentence == NULL ? RC_OK : RC_INVALID);
        if (change[i].sentence != NULL) {
            assert_non_null(strstr(err.text, change[i].sentence));
            assert_non_null(strstr(err.text, d.f.db));
        }
    }
    desk_close(&d);
}

/* Before there were curves: what such a file holds is what a sweep without them would find. */
static void a_file_of_old_goes_on_without_curves(void **state)
{
    (void)state;
    static const char *const back[] = {"ALTER TABLE sweep DROP COLUMN curves",
                                       "PRAGMA user_version = 1"};
    struct desk d;
    struct error err = {0};
    struct sweep_results r = {0};
    size_t n = 0;
    desk_open(&d);
    desk_change(&d, "  curves: 1\n", "");
    go_on(&d, 0, 0, &n, &r);
    sweep_results_release(&r);
    struct store *store = NULL;
    assert_int_equal(store_open(d.f.db, &archive_kind, &store, &err), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        struct statement *st = NULL;
        assert_int_equal(store_prepare(store, back[i], &st, &err), RC_OK);
        assert_int_equal(statement_run(st, &err), RC_OK);
        statement_close(&st);
    }
    store_close(&store);
    desk_change(&d, "t\n", "t\n");
    assert_int_equal(takes(&d, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "results with curves: 0, and"));
    desk_change(&d, "  curves: 1\n", "");
    go_on(&d, 0, 0, &n, &r);
    assert_int_equal(n, WORLDS); /* none twice */
    assert_int_equal(r.n, ROWS);
    sweep_results_release(&r);
    desk_close(&d);
}

/* An ablation of the same name that leaves out something else; a new one is welcome. */
static void an_ablation_of_the_same_name_is_the_same_ablation(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        enum rc rc;
    } grid[] = {
        {"tradeoff:\n  ablations: [{name: one, without_sites: [hospital-01]}]\n", RC_OK},
        {"tradeoff:\n  ablations: [{name: one, without_sites: [hospital-02]}]\n", RC_INVALID},
        {"tradeoff:\n  ablations: [{name: two, without_sites: [hospital-02]}]\n", RC_OK},
    };
    struct desk d;
    struct error err;
    desk_open(&d);
    for (size_t i = 0; i < 3; i++) {
        desk_change(&d, "tradeoff:\n", grid[i].list);
        assert_int_equal(takes(&d, &err), grid[i].rc);
        assert_true((strstr(err.text, "another study 'one'") != NULL) == (grid[i].rc != RC_OK));
    }
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_sweep_gives_the_same_results_and_runs_no_world_twice),
        cmocka_unit_test(parts_run_rows_of_their_own_and_the_whole_takes_them),
        cmocka_unit_test(a_grid_that_has_grown_runs_what_is_new),
        cmocka_unit_test(two_processes_do_not_work_on_one_file),
        cmocka_unit_test(what_is_left_takes_what_worlds_of_its_kind_took),
        cmocka_unit_test(an_estimate_has_every_kind_and_counts_what_is_not_there_yet),
        cmocka_unit_test(results_of_something_else_are_refused_with_what_has_changed),
        cmocka_unit_test(a_file_of_old_goes_on_without_curves),
        cmocka_unit_test(an_ablation_of_the_same_name_is_the_same_ablation),
    };
    return cmocka_run_group_tests_name("sim/sweep archive", tests, NULL, NULL);
}
