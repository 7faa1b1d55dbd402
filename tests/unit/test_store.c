#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/store/hold.h"
#include "common/store/store.h"

static const char *const migrations[] = {
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " x REAL CHECK (x >= 0), data BLOB) STRICT;",
    "CREATE TABLE part (entry INTEGER NOT NULL REFERENCES entry(id)) STRICT;"
    "INSERT INTO entry (id, name, x, data) VALUES (100, 'made by migration 2', 0, NULL);",
};
static const struct store_kind kind = {
    .application_id = 0x57520001, .what = "test file", .n_migrations = 2, .migration = migrations};
static const struct store_kind older = {
    .application_id = 0x57520001, .what = "test file", .n_migrations = 1, .migration = migrations};
static const struct store_kind stranger = {
    .application_id = 0xF7520002, .what = "other file", .n_migrations = 1, .migration = migrations};

static char folder[256];
static char path[300];

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/wr_store_XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/a.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const name[] = {"a.db", "a.db-wal", "a.db-shm", "a.db-journal"};
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        char file[400];
        (void)snprintf(file, sizeof file, "%s/%s", folder, name[i]);
        (void)unlink(file);
    }
    return rmdir(folder);
}

static struct store *opened(const char *where, const struct store_kind *k)
{
    struct error err = {0};
    struct store *s = NULL;
    if (store_open(where, k, &s, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return s;
}

static struct statement *prepared(struct store *s, const char *sql)
{
    struct error err = {0};
    struct statement *st = NULL;
    if (store_prepare(s, sql, &st, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return st;
}

static int64_t asked(struct store *s, const char *sql)
{
    struct error err = {0};
    bool row = false;
    struct statement *st = prepared(s, sql);
    assert_int_equal(statement_step(st, &row, &err), RC_OK);
    assert_true(row);
    const int64_t x = statement_i64(st, 0);
    statement_reset(st);
    return x;
}

static RC insert(struct statement *st, const char *name, double x, struct error *err)
{
    statement_bind_text(st, name);
    statement_bind_real(st, x);
    return statement_run(st, err);
}

static void what_is_written_is_read_after_reopening(void **state)
{
    (void)state;
    struct error err = {0};
    static const unsigned char bytes[5] = {0, 1, 0, 255, 7};
    struct store *s = opened(path, &kind);
    struct statement *st = prepared(s, "INSERT INTO entry VALUES (?, ?, ?, ?)");
    for (int64_t i = 0; i < 3; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%d", (int)i);
        statement_bind_i64(st, i - 1);
        statement_bind_text(st, name);
        if (i == 1) {
            statement_bind_null(st);
        } else {
            statement_bind_real(st, 0.1 * (double)i);
        }
        statement_bind_blob(st, bytes, i == 0 ? 0 : sizeof bytes);
        assert_int_equal(statement_run(st, &err), RC_OK);
    }
    store_close(&s);
    assert_null(s);
    store_close(&s); /* NULL is fine */

    s = opened(path, &kind);
    struct statement *read =
        prepared(s, "SELECT id, name, x, data FROM entry WHERE id < ? ORDER BY id");
    statement_bind_i64(read, 50);
    bool row = false;
    for (int64_t i = 0; i < 3; i++) {
        size_t n = 99;
        assert_int_equal(statement_step(read, &row, &err), RC_OK);
        assert_true(row);
        assert_int_equal(statement_i64(read, 0), i - 1);
        assert_int_equal(statement_text(read, 1)[1], '0' + i);
        assert_int_equal(statement_is_null(read, 2), i == 1);
        assert_true(statement_real(read, 2) == (i == 1 ? 0.0 : 0.1 * (double)i));
        const void *data = statement_blob(read, 3, &n);
        assert_false(statement_is_null(read, 3)); /* an empty blob is not NULL */
        assert_int_equal(n, i == 0 ? 0 : sizeof bytes);
        if (i > 0) {
            assert_memory_equal(data, bytes, sizeof bytes);
        }
    }
    assert_int_equal(statement_step(read, &row, &err), RC_OK);
    assert_false(row);
    statement_bind_i64(read, 0); /* it has reset itself: position 1 again */
    assert_int_equal(statement_step(read, &row, &err), RC_OK);
    assert_true(row);
    assert_int_equal(statement_i64(read, 0), -1);
    store_close(&s); /* with a statement still on a row */
}

static void a_file_is_opened_with_log_full_sync_and_foreign_keys(void **state)
{
    (void)state;
    struct store *s = opened(path, &kind);
    struct error err = {0};
    bool row = false;
    struct statement *mode = prepared(s, "PRAGMA journal_mode");
    assert_int_equal(statement_step(mode, &row, &err), RC_OK);
    assert_string_equal(statement_text(mode, 0), "wal");
    assert_int_equal(asked(s, "PRAGMA synchronous"), 2);
    assert_int_equal(asked(s, "PRAGMA foreign_keys"), 1);
    assert_int_equal(asked(s, "PRAGMA secure_delete"), 1);
    assert_int_equal(asked(s, "PRAGMA busy_timeout"), STORE_BUSY_MS);
    assert_int_equal(asked(s, "PRAGMA application_id"), 0x57520001);
    assert_int_equal(asked(s, "PRAGMA user_version"), 2);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    store_close(&s);
}

static void an_older_file_is_migrated_and_keeps_its_rows(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &older);
    assert_int_equal(asked(s, "PRAGMA user_version"), 1);
    assert_int_equal(
        insert(prepared(s, "INSERT INTO entry (name, x) VALUES (?, ?)"), "old", 3, &err), RC_OK);
    store_close(&s);
    s = opened(path, &kind);
    assert_int_equal(asked(s, "PRAGMA user_version"), 2);
    assert_int_equal(asked(s, "SELECT count(*) FROM entry"), 2);
    store_close(&s);
    s = opened(path, &kind); /* a second time changes nothing */
    assert_int_equal(asked(s, "SELECT count(*) FROM entry"), 2);
    store_close(&s);
}

/* Some of them meet while the file is being made: one makes it, and nobody's row is lost. */
static void processes_that_make_a_file_at_once_make_one(void **state)
{
    (void)state;
    enum { MAKERS = 4, TIMES = 5 };
    for (int time = 0; time < TIMES; time++) {
        pid_t child[MAKERS];
        for (int i = 0; i < MAKERS; i++) {
            child[i] = fork();
            assert_true(child[i] >= 0);
            if (child[i] == 0) {
                struct error err = {0};
                struct store *s = NULL;
                struct statement *st = NULL;
                char name[8];
                (void)snprintf(name, sizeof name, "of %d", i);
                const bool good = store_open(path, &kind, &s, &err) == RC_OK &&
                                  store_prepare(s, "INSERT INTO entry (name, x) VALUES (?, ?)", &st,
                                                &err) == RC_OK &&
                                  insert(st, name, 1, &err) == RC_OK;
                store_close(&s);
                _exit(good ? 0 : 1);
            }
        }
        for (int i = 0; i < MAKERS; i++) {
            int status = 0;
            assert_int_equal(waitpid(child[i], &status, 0), child[i]);
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
        }
        struct store *s = opened(path, &kind);
        assert_int_equal(asked(s, "SELECT count(*) FROM entry"), MAKERS + 1);
        store_close(&s);
        assert_int_equal(unlink(path), 0); /* and remove_folder finds nothing else */
    }
}

static void
a_statement_for_later_is_compiled_when_it_is_used_and_then_says_what_is_wrong(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &kind);
    struct statement *good = NULL;
    struct statement *bad = NULL;
    bool row = true;
    assert_int_equal(
        store_prepare_later(s, "INSERT INTO entry (name, x) VALUES (?, ?)", &good, &err), RC_OK);
    assert_int_equal(store_prepare_later(s, "SELECT id FROM later WHERE id = ?", &bad, &err),
                     RC_OK);
    assert_int_equal(insert(good, "one", 1, &err), RC_OK);
    assert_int_equal(insert(good, "two", 2, &err), RC_OK);
    statement_bind_i64(bad, 7);
    assert_int_equal(statement_step(bad, &row, &err), RC_IO);
    assert_non_null(strstr(err.text, "no such table: later"));
    assert_int_equal(statement_run(prepared(s, "CREATE TABLE later (id INTEGER) STRICT"), &err),
                     RC_OK);
    statement_bind_i64(bad, 7); /* now there is one */
    assert_int_equal(statement_step(bad, &row, &err), RC_OK);
    assert_false(row);
    store_close(&s);
}

static void a_failing_migration_leaves_the_file_at_its_old_version(void **state)
{
    (void)state;
    const char *const broken[] = {migrations[0], "CREATE TABLE more (x INTEGER) STRICT;"
                                                 "INSERT INTO no_such_table VALUES (1);"};
    struct store_kind bad = kind;
    bad.migration = broken;
    struct error err = {0};
    struct store *s = NULL;
    assert_int_equal(store_open(path, &bad, &s, &err), RC_IO); /* a new file: none of them */
    assert_null(s);
    struct store_kind first = stranger;
    s = opened(path, &first); /* still nobody's */
    store_close(&s);
    assert_int_equal(unlink(path), 0);
    s = opened(path, &older);
    store_close(&s);
    assert_int_equal(store_open(path, &bad, &s, &err), RC_IO);
    assert_null(s);
    s = opened(path, &older);
    assert_int_equal(asked(s, "PRAGMA user_version"), 1);
    assert_int_equal(asked(s, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"), 0);
    store_close(&s);
}

static void a_newer_file_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &kind);
    store_close(&s);
    assert_int_equal(store_open(path, &older, &s, &err), RC_STATE);
    assert_non_null(strstr(err.text, "newer program"));
    assert_null(s);
}

static void a_strangers_file_is_refused_and_not_touched(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &stranger);
    assert_int_equal(asked(s, "PRAGMA application_id"), (int64_t)(int32_t)0xF7520002);
    store_close(&s);
    s = opened(path, &stranger); /* an id above 2^31 is recognised */
    store_close(&s);
    assert_int_equal(store_open(path, &kind, &s, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "another program"));
    assert_null(s);

    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_true(fputs("patient,age\n1,2\nthis is a text file that is longer than a header of one "
                      "hundred bytes, so that it cannot be taken for anything else\n",
                      f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(store_open(path, &kind, &s, &err), RC_FORMAT);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size > 100 && info.st_size < 200);
}

static void a_database_with_tables_but_no_id_is_a_strangers(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &kind);
    assert_int_equal(statement_run(prepared(s, "PRAGMA application_id = 0"), &err), RC_OK);
    store_close(&s);
    assert_int_equal(store_open(path, &kind, &s, &err), RC_FORMAT);
    assert_null(s);
}

static void a_path_that_cannot_be_opened_is_an_io_error(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = NULL;
    char nowhere[400];
    (void)snprintf(nowhere, sizeof nowhere, "%s/none/a.db", folder);
    assert_int_equal(store_open(nowhere, &kind, &s, &err), RC_IO);
    assert_int_equal(store_open(folder, &kind, &s, &err), RC_IO);
    assert_int_equal(store_open("", &kind, &s, &err), RC_INVALID);
    assert_null(s);
}

static void a_constraint_is_a_state_error_and_the_statement_can_be_used_again(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(":memory:", &kind);
    struct statement *st = prepared(s, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_equal(insert(st, "a", 1, &err), RC_OK);
    assert_int_equal(insert(st, "a", 1, &err), RC_STATE);  /* UNIQUE */
    assert_int_equal(insert(st, "b", -1, &err), RC_STATE); /* CHECK */
    assert_null(strstr(err.text, "-1"));
    assert_int_equal(insert(st, "b", 1, &err), RC_OK);
    struct statement *part = prepared(s, "INSERT INTO part VALUES (?)");
    statement_bind_i64(part, 77);
    assert_int_equal(statement_run(part, &err), RC_STATE); /* FOREIGN KEY */
    statement_bind_text(part, "one");
    assert_int_equal(statement_run(part, &err), RC_STATE); /* STRICT */
    store_close(&s);
}

static void a_nan_is_refused_instead_of_becoming_null(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(":memory:", &kind);
    struct statement *st = prepared(s, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_equal(insert(st, "a", (double)NAN, &err), RC_NUMERIC);
    assert_int_equal(insert(st, "a", (double)INFINITY, &err), RC_OK);
    assert_int_equal(asked(s, "SELECT count(*) FROM entry WHERE name = 'a'"), 1);
    store_close(&s);
}

static void what_is_rolled_back_is_gone(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &kind);
    struct statement *st = prepared(s, "INSERT INTO entry (name, x) VALUES (?, ?)");
    store_rollback(s); /* nothing open: fine */
    assert_int_equal(store_begin(s, &err), RC_OK);
    assert_int_equal(insert(st, "a", 1, &err), RC_OK);
    store_rollback(s);
    assert_int_equal(store_commit(s, &err), RC_STATE);
    assert_int_equal(store_begin(s, &err), RC_OK);
    assert_int_equal(insert(st, "b", 1, &err), RC_OK);
    assert_int_equal(store_commit(s, &err), RC_OK);
    assert_int_equal(store_begin(s, &err), RC_OK);
    assert_int_equal(insert(st, "c", 1, &err), RC_OK);
    store_close(&s); /* closed without a commit */
    s = opened(path, &kind);
    assert_int_equal(asked(s, "SELECT count(*) FROM entry WHERE name IN ('a', 'b', 'c')"), 1);
    assert_int_equal(asked(s, "SELECT count(*) FROM entry WHERE name = 'b'"), 1);
    store_close(&s);
}

static void a_statement_can_be_closed_before_its_store(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(":memory:", &kind);
    struct statement *a = prepared(s, "SELECT 1");
    struct statement *b = prepared(s, "SELECT 2");
    struct statement *c = prepared(s, "SELECT 3");
    bool row = false;
    assert_int_equal(statement_step(b, &row, &err), RC_OK); /* on a row */
    statement_close(&b);
    assert_null(b);
    statement_close(&b);
    statement_close(&a);
    assert_int_equal(statement_step(c, &row, &err), RC_OK);
    assert_int_equal(statement_i64(c, 0), 3);
    store_close(&s);
}

static void two_memory_stores_share_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *a = opened(":memory:", &kind);
    struct store *b = opened(":memory:", &kind);
    assert_int_equal(insert(prepared(a, "INSERT INTO entry (name, x) VALUES (?, ?)"), "a", 1, &err),
                     RC_OK);
    assert_int_equal(asked(a, "SELECT count(*) FROM entry"), 2);
    assert_int_equal(asked(b, "SELECT count(*) FROM entry"), 1);
    store_close(&a);
    store_close(&b);
}

/* Commits entry after entry, says so, and is killed wherever it is. */
static void write_until_killed(int say)
{
    struct error err = {0};
    struct store *s = NULL;
    struct statement *st = NULL;
    if (store_open(path, &kind, &s, &err) != RC_OK ||
        store_prepare(s, "INSERT INTO entry (name, x) VALUES (?, ?)", &st, &err) != RC_OK) {
        _exit(1);
    }
    for (int i = 0; i < 100000; i++) {
        char a[16];
        char b[16];
        (void)snprintf(a, sizeof a, "a%d", i);
        (void)snprintf(b, sizeof b, "b%d", i);
        if (store_begin(s, &err) != RC_OK || insert(st, a, i, &err) != RC_OK ||
            insert(st, b, i, &err) != RC_OK || store_commit(s, &err) != RC_OK ||
            write(say, "+", 1) != 1) {
            _exit(1);
        }
    }
    _exit(0);
}

static void a_killed_writer_loses_nothing_it_committed_and_tears_nothing(void **state)
{
    (void)state;
    int64_t committed = 0;
    for (int64_t kills = 0; kills < 5; kills++) {
        int pipe_end[2];
        assert_int_equal(pipe(pipe_end), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(pipe_end[0]);
            (void)unlink(path);
            char wal[400];
            (void)snprintf(wal, sizeof wal, "%s-wal", path);
            (void)unlink(wal);
            (void)snprintf(wal, sizeof wal, "%s-shm", path);
            (void)unlink(wal);
            write_until_killed(pipe_end[1]);
        }
        (void)close(pipe_end[1]);
        char c;
        committed = 0;
        while (committed < 3 + 7 * kills && read(pipe_end[0], &c, 1) == 1) {
            committed++;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(pipe_end[0], &c, 1) == 1) {
            committed++;
        }
        (void)close(pipe_end[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        struct store *s = opened(path, &kind);
        const int64_t a = asked(s, "SELECT count(*) FROM entry WHERE name LIKE 'a%'");
        const int64_t b = asked(s, "SELECT count(*) FROM entry WHERE name LIKE 'b%'");
        assert_int_equal(a, b);
        assert_true(a >= committed && a <= committed + 1); /* committed, perhaps not yet said */
        store_close(&s);
    }
}

/* Another process opens the file when it is told to, reads, and closes it: the last one to close
 * removes the log, and whoever has it open must not be taken for gone. */
static void read_when_told(int told)
{
    struct error err = {0};
    struct store *s = NULL;
    char c;
    if (read(told, &c, 1) != 1 || store_open(path, &kind, &s, &err) != RC_OK) {
        _exit(1);
    }
    store_close(&s);
    _exit(0);
}

static void a_second_connection_of_a_process_does_not_cost_the_first_one_its_log(void **state)
{
    (void)state;
    struct error err = {0};
    int tell[2];
    int status = 1;
    assert_int_equal(pipe(tell), 0);
    const pid_t child = fork(); /* before anything is open: locks are a process's own */
    assert_true(child >= 0);
    if (child == 0) {
        read_when_told(tell[0]);
    }
    struct store *first = opened(path, &kind);
    struct store *second = opened(path, &kind);
    store_close(&second);
    assert_int_equal(write(tell[1], "+", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct statement *st = prepared(first, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_equal(insert(st, "after the others have gone", 1, &err), RC_OK);
    second = opened(path, &kind);
    assert_int_equal(asked(second, "SELECT count(*) FROM entry WHERE name LIKE 'after%'"), 1);
    store_close(&second);
    store_close(&first);
    (void)close(tell[0]);
    (void)close(tell[1]);
    first = opened(path, &kind);
    assert_int_equal(asked(first, "SELECT count(*) FROM entry WHERE name LIKE 'after%'"), 1);
    store_close(&first);
}

/* ---- many at once ---------------------------------------------------------------------------- */

/* How many rows of ours are in the file for somebody who opens it now. */
static int64_t on_disk(void)
{
    struct store *other = opened(path, &kind);
    const int64_t n = asked(other, "SELECT count(*) FROM entry WHERE x = 7");
    store_close(&other);
    return n;
}

static void
what_is_kept_together_is_there_for_others_when_it_is_settled_and_not_before(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &kind);
    struct statement *st = prepared(s, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_equal(store_together(s, &err), RC_OK);
    assert_int_equal(store_begin(s, &err), RC_OK);
    assert_int_equal(insert(st, "a", 7, &err), RC_OK);
    assert_int_equal(store_commit(s, &err), RC_OK);
    store_rollback(s); /* as every caller does at its end */
    assert_int_equal(store_begin(s, &err), RC_OK);
    assert_int_equal(insert(st, "dropped", 7, &err), RC_OK);
    store_rollback(s);
    assert_int_equal(store_begin(s, &err), RC_OK);
    assert_int_equal(insert(st, "b", 7, &err), RC_OK);
    assert_int_equal(store_commit(s, &err), RC_OK);
    assert_int_equal(asked(s, "SELECT count(*) FROM entry WHERE x = 7"), 2);
    assert_int_equal(on_disk(), 0);
    assert_int_equal(store_settle(s, &err), RC_OK);
    assert_int_equal(on_disk(), 2);
    assert_int_equal(store_begin(s, &err), RC_OK); /* and then each is one by itself again */
    assert_int_equal(insert(st, "c", 7, &err), RC_OK);
    assert_int_equal(store_commit(s, &err), RC_OK);
    assert_int_equal(on_disk(), 3);
    store_close(&s);
}

static void what_is_kept_together_and_never_settled_is_gone(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = opened(path, &kind);
    struct statement *st = prepared(s, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_equal(store_together(s, &err), RC_OK);
    assert_int_equal(store_begin(s, &err), RC_OK);
    assert_int_equal(insert(st, "a", 7, &err), RC_OK);
    assert_int_equal(store_commit(s, &err), RC_OK);
    store_close(&s);
    assert_int_equal(on_disk(), 0);
}

/* Whether another process may read the file now. A child asks for the lock, and SQLite's copy in it is not asked:
 * that one has inherited who has the file. */
static bool another_process_reads(const char *where)
{
    int status = 1;
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct flock all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
        const int fd = open(where, O_RDONLY | O_CLOEXEC);
        _exit(fd >= 0 && fcntl(fd, F_GETLK, &all) == 0 && all.l_type == F_UNLCK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status == 0;
}

static void
a_file_in_a_folder_of_ours_alone_is_locked_for_others_and_its_neighbour_is_not(void **state)
{
    (void)state;
    struct error err = {0};
    char above[256];
    char shm[400];
    (void)snprintf(above, sizeof above, "%s", folder);
    *strrchr(above, '/') = '\0';
    store_alone_below(folder);
    struct store *s = opened(path, &kind); /* in the folder itself */
    assert_true(another_process_reads(path));
    store_close(&s);
    store_alone_below(above);
    s = opened(path, &kind);
    struct statement *st = prepared(s, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_equal(insert(st, "a", 7, &err), RC_OK);
    (void)snprintf(shm, sizeof shm, "%s-shm", path);
    assert_int_equal(access(shm, F_OK), -1); /* in memory */
    assert_false(another_process_reads(path));
    store_close(&s);
    store_alone_below("");
    assert_true(another_process_reads(path));
    assert_int_equal(on_disk(), 1);
}

/* ---- reading only ---------------------------------------------------------------------------- */

static struct store *read_only(const char *where)
{
    struct error err = {0};
    struct store *s = NULL;
    if (store_open_reading(where, &kind, &s, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return s;
}

static void a_reader_has_one_view_and_keeps_nobody_from_writing(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *writer = opened(path, &kind);
    struct statement *st = prepared(writer, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_equal(insert(st, "a", 1.0, &err), RC_OK);
    struct store *reader = read_only(path);
    assert_int_equal(store_begin_reading(reader, &err), RC_OK);
    assert_int_equal(insert(st, "b", 1.0, &err), RC_OK); /* committed at once, under its eyes */
    assert_int_equal(store_begin(writer, &err), RC_OK);
    assert_int_equal(insert(st, "c", 1.0, &err), RC_OK);
    assert_int_equal(store_commit(writer, &err), RC_OK);
    assert_int_equal(asked(reader, "SELECT count(*) FROM entry"), 2); /* a migration made one */
    store_rollback(reader);
    assert_int_equal(asked(reader, "SELECT count(*) FROM entry"), 4);
    struct statement *no = prepared(reader, "INSERT INTO entry (name, x) VALUES (?, ?)");
    assert_int_not_equal(insert(no, "d", 1.0, &err), RC_OK);
    store_close(&reader);
    store_close(&writer);
}

static void a_reader_makes_and_migrates_nothing(void **state)
{
    (void)state;
    struct error err = {0};
    struct store *s = NULL;
    assert_int_equal(store_open_reading(path, &kind, &s, &err), RC_IO);
    assert_int_equal(access(path, F_OK), -1);
    s = opened(path, &older);
    store_close(&s);
    assert_int_equal(store_open_reading(path, &kind, &s, &err), RC_STATE);
    assert_non_null(strstr(err.text, "older program"));
    s = opened(path, &older); /* would refuse a newer one */
    store_close(&s);
    assert_int_equal(store_open_reading(path, &stranger, &s, &err), RC_FORMAT);
    assert_int_equal(store_open_reading(":memory:", &kind, &s, &err), RC_INVALID);
}

/* In a child that is nobody in particular, since root may write everywhere. 0: read; else what failed. */
static int read_as_nobody(const char *where)
{
    const pid_t child = fork();
    if (child == 0) {
        struct error err = {0};
        struct store *s = NULL;
        if (getuid() == 0 && setuid(65534) != 0) {
            _exit(2);
        }
        if (store_open_reading(where, &kind, &s, &err) != RC_OK) {
            (void)fprintf(stderr, "%s\n", err.text);
            _exit(3);
        }
        const int64_t n = asked(s, "SELECT count(*) FROM entry");
        store_close(&s);
        _exit(n == 1 ? 0 : 4);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_folder_where_nothing_may_be_written_is_read_if_no_log_lies_there(void **state)
{
    (void)state;
    char odd[300]; /* what a URI would take apart */
    char log[320];
    struct store *s = opened(path, &kind);
    store_close(&s);
    (void)snprintf(odd, sizeof odd, "%s/50%%41?b#c.db", folder);
    (void)snprintf(log, sizeof log, "%s-wal", odd);
    assert_int_equal(rename(path, odd), 0);
    assert_int_equal(chmod(odd, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(read_as_nobody(odd), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    /* What somebody has committed may be in there: it is not passed over. */
    FILE *f = fopen(log, "we");
    assert_non_null(f);
    assert_true(fputs("a log", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(read_as_nobody(odd), 3);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(unlink(log), 0);
    assert_int_equal(unlink(odd), 0);
}

static void a_file_is_held_once_until_it_is_let_go(void **state)
{
    (void)state;
    struct error err = {0};
    int held = -1, again = -1;
    assert_int_equal(store_hold(path, "--out", &held, &err), RC_OK);
    assert_int_equal(store_hold(path, "--out", &again, &err), RC_STATE);
    assert_non_null(strstr(err.text, "another process is at work on it"));
    assert_non_null(strstr(err.text, "another --out"));
    store_let_go(&again);
    store_let_go(&held);
    assert_int_equal(held, -1);
    assert_int_equal(store_hold(path, "--out", &again, &err), RC_OK);
    store_let_go(&again);
    store_let_go(&again);
}

static void a_folder_is_held_like_a_file(void **state)
{
    (void)state;
    struct error err = {0};
    int held = -1, again = -1;
    assert_int_equal(store_hold(folder, "--ledgers", &held, &err), RC_OK);
    assert_int_equal(store_hold(folder, "--ledgers", &again, &err), RC_STATE);
    assert_non_null(strstr(err.text, "another --ledgers"));
    store_let_go(&again);
    store_let_go(&held);
    assert_int_equal(store_hold(folder, "--ledgers", &held, &err), RC_OK);
    store_let_go(&held);
}

/* As a full disk leaves it, where SQLite cannot carry the log over when it closes. */
static void a_log_is_discarded_with_its_file(void **state)
{
    (void)state;
    struct error err = {0};
    char log[400];
    (void)snprintf(log, sizeof log, "%s-wal", path);
    struct store *old = opened(path, &kind);
    assert_int_equal(
        statement_run(prepared(old, "INSERT INTO entry VALUES (1, 'old', 0, NULL)"), &err), RC_OK);
    assert_int_equal(access(log, F_OK), 0);
    store_discard(path);
    assert_int_not_equal(access(log, F_OK), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    store_discard(path); /* what is not there is fine */
    struct store *new = opened(path, &kind);
    struct statement *st = prepared(new, "SELECT count(*) FROM entry WHERE name = 'old'");
    bool row = false;
    assert_int_equal(statement_step(st, &row, &err), RC_OK);
    assert_int_equal(statement_i64(st, 0), 0);
    store_close(&new);
    store_close(&old);
}

static size_t log_before_commit(size_t n, bool expected)
{
    struct error err = {0};
    struct store *s = opened(path, &kind);
    struct statement *st = prepared(s, "INSERT INTO entry (name, x, data) VALUES (?, 0, ?)");
    unsigned char *bytes = calloc(1, n);
    assert_non_null(bytes);
    if (expected) {
        store_expect(s, n);
    }
    assert_int_equal(store_begin(s, &err), RC_OK);
    statement_bind_text(st, expected ? "expected" : "not expected");
    statement_bind_blob(st, bytes, n);
    assert_int_equal(statement_run(st, &err), RC_OK);
    const size_t before = store_log_bytes(s);
    assert_int_equal(store_commit(s, &err), RC_OK);
    assert_true(store_log_bytes(s) > n);
    store_checkpoint(s);
    free(bytes);
    store_close(&s);
    return before;
}

static void what_a_transaction_was_expected_to_write_is_written_at_its_commit(void **state)
{
    (void)state;
    enum { N = 5 << 20 };
    struct store *s = opened(path, &kind);
    store_checkpoint(s); /* of its making */
    store_close(&s);
    assert_true(log_before_commit(N, false) > N / 4); /* or the next line shows nothing */
    assert_int_equal(log_before_commit(N, true), 0);
}

int main(void)
{
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_written_is_read_after_reopening),
        IN_FOLDER(a_file_is_opened_with_log_full_sync_and_foreign_keys),
        IN_FOLDER(an_older_file_is_migrated_and_keeps_its_rows),
        IN_FOLDER(processes_that_make_a_file_at_once_make_one),
        IN_FOLDER(a_statement_for_later_is_compiled_when_it_is_used_and_then_says_what_is_wrong),
        IN_FOLDER(a_failing_migration_leaves_the_file_at_its_old_version),
        IN_FOLDER(a_newer_file_is_refused),
        IN_FOLDER(a_strangers_file_is_refused_and_not_touched),
        IN_FOLDER(a_database_with_tables_but_no_id_is_a_strangers),
        IN_FOLDER(a_path_that_cannot_be_opened_is_an_io_error),
        IN_FOLDER(a_reader_has_one_view_and_keeps_nobody_from_writing),
        IN_FOLDER(a_reader_makes_and_migrates_nothing),
        IN_FOLDER(a_folder_where_nothing_may_be_written_is_read_if_no_log_lies_there),
        cmocka_unit_test(a_constraint_is_a_state_error_and_the_statement_can_be_used_again),
        cmocka_unit_test(a_nan_is_refused_instead_of_becoming_null),
        IN_FOLDER(what_is_rolled_back_is_gone),
        cmocka_unit_test(a_statement_can_be_closed_before_its_store),
        cmocka_unit_test(two_memory_stores_share_nothing),
        IN_FOLDER(a_file_is_held_once_until_it_is_let_go),
        IN_FOLDER(a_folder_is_held_like_a_file),
        IN_FOLDER(a_log_is_discarded_with_its_file),
        IN_FOLDER(a_second_connection_of_a_process_does_not_cost_the_first_one_its_log),
        IN_FOLDER(what_is_kept_together_is_there_for_others_when_it_is_settled_and_not_before),
        IN_FOLDER(what_is_kept_together_and_never_settled_is_gone),
        IN_FOLDER(a_file_in_a_folder_of_ours_alone_is_locked_for_others_and_its_neighbour_is_not),
        IN_FOLDER(what_a_transaction_was_expected_to_write_is_written_at_its_commit),
        IN_FOLDER(a_killed_writer_loses_nothing_it_committed_and_tears_nothing),
    };
#undef IN_FOLDER
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
