/* Rows of many pages: few calls, and nobody sees anything else than without them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/store/store.h"
#include "tests/support/seed.h"

enum { LARGEST = 700000, ROWS = 6 };

static const char *const migrations[] = {
    "CREATE TABLE row (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"};
static const struct store_kind kind = {
    .application_id = 0x57520003, .what = "test file", .n_migrations = 1, .migration = migrations};

static char folder[256];
static char path[300];

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/wr_gather_XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/a.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const end[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
        char file[400];
        (void)snprintf(file, sizeof file, "%s%s", path, end[i]);
        (void)unlink(file);
    }
    return rmdir(folder);
}

/* One connection and its two statements. */
struct end {
    struct store *s;
    struct statement *set, *get;
};

static struct end opened(void)
{
    struct error err = {0};
    struct end e = {0};
    assert_int_equal(store_open(path, &kind, &e.s, &err), RC_OK);
    assert_int_equal(store_prepare(e.s,
                                   "INSERT INTO row (id, bytes) VALUES (?, ?) ON CONFLICT (id) DO"
                                   " UPDATE SET bytes = excluded.bytes",
                                   &e.set, &err),
                     RC_OK);
    assert_int_equal(store_prepare(e.s, "SELECT bytes FROM row WHERE id = ?", &e.get, &err), RC_OK);
    return e;
}

static RC set(struct end *e, int64_t id, const void *bytes, size_t n)
{
    struct error err = {0};
    statement_bind_i64(e->set, id);
    statement_bind_blob(e->set, bytes, n);
    return statement_run(e->set, &err);
}

static bool has(struct end *e, int64_t id, const void *bytes, size_t n)
{
    struct error err = {0};
    bool row = false;
    size_t size = 0;
    statement_bind_i64(e->get, id);
    if (statement_step(e->get, &row, &err) != RC_OK || !row) {
        return false;
    }
    const void *found = statement_blob(e->get, 0, &size);
    const bool same = size == n && (n == 0 || memcmp(found, bytes, n) == 0);
    statement_reset(e->get);
    return same;
}

/* What the rows should hold: bytes that follow from a number. */
struct row {
    size_t n; /* 0: not there yet */
    uint64_t of;
};

static void draw(struct row row, unsigned char *out)
{
    uint64_t x = row.of;
    for (size_t i = 0; i < row.n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        out[i] = (unsigned char)(x >> 56);
    }
}

static unsigned char bytes[LARGEST];

static void check_all(struct end *e, const struct row row[ROWS])
{
    for (int64_t i = 0; i < ROWS; i++) {
        if (row[i].n > 0) {
            draw(row[i], bytes);
            assert_true(has(e, i, bytes, row[i].n));
        }
    }
}

/* Its own connection, in a process of its own: what it finds is in the file. */
static void check_elsewhere(const struct row row[ROWS])
{
    int status = 1;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct end e = opened();
        bool good = true;
        for (int64_t i = 0; i < ROWS; i++) {
            draw(row[i], bytes);
            good = good && (row[i].n == 0 || has(&e, i, bytes, row[i].n));
        }
        _exit(good ? 0 : 1); /* without closing, which would take the log away */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void what_one_connection_commits_the_others_read_at_once(void **state)
{
    (void)state;
    const uint64_t seed = seed_of_run();
    struct row row[ROWS] = {{0}};
    struct rng r;
    rng_init(&r, seed, "gather");
    struct end end[2] = {opened(), opened()};
    for (int turn = 0; turn < 250; turn++) {
        struct end *e = &end[rng_below(&r, 2)];
        struct error err = {0};
        const size_t i = (size_t)rng_below(&r, ROWS);
        const uint64_t what = rng_below(&r, 10);
        if (what < 6) {
            row[i].n = 1 + (size_t)rng_below(&r, rng_below(&r, 2) == 0 ? 9000 : LARGEST - 1);
            row[i].of = rng_u64(&r);
            draw(row[i], bytes);
            assert_int_equal(set(e, (int64_t)i, bytes, row[i].n), RC_OK);
        } else if (what == 6) { /* what is rolled back was never there */
            assert_int_equal(store_begin(e->s, &err), RC_OK);
            memset(bytes, 7, sizeof bytes);
            assert_int_equal(set(e, (int64_t)i, bytes, sizeof bytes), RC_OK);
            store_rollback(e->s);
        } else if (what == 7) {
            store_checkpoint(e->s);
        } else if (what == 8) {
            store_close(&e->s);
            *e = opened();
        }
        check_all(&end[rng_below(&r, 2)], row);
        if (turn % 25 == 0) {
            check_elsewhere(row);
        }
    }
    store_close(&end[0].s);
    store_close(&end[1].s);
    end[0] = opened();
    check_all(&end[0], row);
    store_close(&end[0].s);
}

/* Calls that write, of this process so far. -1: this system does not say. */
static long long writes(void)
{
    char line[100];
    long long n = -1;
    FILE *f = fopen("/proc/self/io", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        n = strncmp(line, "syscw: ", 7) == 0 ? strtoll(line + 7, NULL, 10) : n;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return n;
}

/* A hundred pages in a log are two hundred writes to SQLite, and a hundred more on their way into the file. */
static void a_row_of_a_hundred_pages_takes_a_dozen_writes(void **state)
{
    (void)state;
    struct end e = opened();
    assert_int_equal(set(&e, 1, bytes, 100), RC_OK);
    const long long before = writes();
    assert_int_equal(set(&e, 2, bytes, 400000), RC_OK);
    const long long committed = writes();
    store_checkpoint(e.s);
    const long long carried = writes();
    store_close(&e.s);
    if (before < 0) {
        skip();
    }
    assert_in_range(committed - before, 1, 12);
    assert_in_range(carried - committed, 1, 12);
}

/* In a child: a limit is for good. */
static void meet_a_limit(void)
{
    struct end e = opened();
    struct rlimit limit = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
    const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    memset(bytes, 1, sizeof bytes);
    bool good = set(&e, 1, bytes, 1000) == RC_OK;
    (void)signal(SIGXFSZ, SIG_IGN);
    good = good && setrlimit(RLIMIT_FSIZE, &limit) == 0;
    good = good && set(&e, 1, bytes, 600000) == RC_IO; /* the log cannot grow so far */
    good = good && has(&e, 1, bytes, 1000);
    good = good && setrlimit(RLIMIT_FSIZE, &none) == 0;
    good = good && set(&e, 2, bytes, 600000) == RC_OK;
    good = good && has(&e, 1, bytes, 1000) && has(&e, 2, bytes, 600000);
    store_close(&e.s);
    e = opened();
    good = good && has(&e, 1, bytes, 1000) && has(&e, 2, bytes, 600000);
    _exit(good ? 0 : 1);
}

static void a_write_that_fails_late_fails_its_commit_and_nothing_else(void **state)
{
    (void)state;
    int status = 1;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        meet_a_limit();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_one_connection_commits_the_others_read_at_once),
        IN_FOLDER(a_row_of_a_hundred_pages_takes_a_dozen_writes),
        IN_FOLDER(a_write_that_fails_late_fails_its_commit_and_nothing_else),
    };
    return cmocka_run_group_tests_name("store_gather", tests, NULL, NULL);
}
