#include "common/store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pthread.h>
#include <sqlite3.h>

#include "common/store/store_internal.h"

enum { STORE_PATH_MAX = 1024, LOG_PAGES = 1000 /* as SQLite has it */ };

struct store {
    sqlite3 *db;
    const char *what;
    struct statement *first; /* all statements, newest first */
    int log_pages;           /* in the log at the last commit, not carried over since */
    int log_pages_most;      /* from so many on, a commit does it */
    size_t cache_kib;        /* of pages in memory; 0: SQLite's own measure */
    bool together, within;   /* store_together; and a transaction that is a part of it */
};

struct statement {
    struct store *store;
    const char *sql;    /* not compiled yet: then stmt is NULL */
    sqlite3_stmt *stmt; /* NULL with a fault: it could not be compiled, `refusal` says why */
    struct error refusal;
    int n_bound;
    bool running;  /* stepped and not yet reset */
    enum rc fault; /* of a bind; reported by the next step */
    struct statement *next;
};

/* What the caller can do about each of SQLite's answers. */
static enum rc kind_of(int answer)
{
    switch (answer & 0xff) { /* the low byte is the primary code */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return RC_STATE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return RC_FORMAT;
    case SQLITE_TOOBIG:
        return RC_LIMIT;
    case SQLITE_NOMEM:
        return RC_NOMEM;
    default:
        return RC_IO;
    }
}

/* A full disk is the one failure of a disk that people mend at once. SQLite says "disk I/O error"
 * where it was the file for its shared memory that could not grow. */
static bool disk_is_full(struct store *s)
{
    const int answer = sqlite3_extended_errcode(s->db);
    return (answer & 0xff) == SQLITE_FULL || answer == SQLITE_IOERR_SHMSIZE ||
           ((answer & 0xff) == SQLITE_IOERR && sqlite3_system_errno(s->db) == ENOSPC);
}

/* What people can mend, behind SQLite's own words. */
static const char *mend_of(struct store *s, int answer)
{
    if (disk_is_full(s)) {
        return "; make room on its disk";
    }
    const int primary = answer & 0xff;
    if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT) {
        return "; it is damaged or not ours: put it aside and a whole copy in its place";
    }
    return primary == SQLITE_READONLY || primary == SQLITE_CANTOPEN
               ? "; its folder and disk must be writable: run this as the user that owns the folder"
               : "";
}

/* SQLite's messages name tables, columns and checks, never the values refused. */
static RC refused(struct store *s, int answer, const char *doing, struct error *err)
{
    return error_set(err, kind_of(answer), "%s: %s: %s%s", s->what, doing, sqlite3_errmsg(s->db),
                     mend_of(s, answer));
}

static RC run_sql(struct store *s, const char *sql, const char *doing, struct error *err)
{
    const int answer = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return answer == SQLITE_OK ? RC_OK : refused(s, answer, doing, err);
}

/* The first column of the first row. */
static RC ask_i64(struct store *s, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    enum rc rc = RC_OK;

    int answer = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (answer == SQLITE_OK) {
        answer = sqlite3_step(stmt);
    }
    if (answer == SQLITE_ROW) {
        *out = sqlite3_column_int64(stmt, 0);
    } else {
        rc = refused(s, answer, "reading its header", err);
    }
    (void)sqlite3_finalize(stmt); /* repeats the answer already reported */
    return rc;
}

/* A new file has no id, no version and no tables; any other id is a stranger's. */
static RC check_owner(struct store *s, const struct store_kind *kind, int64_t *found,
                      struct error *err)
{
    int64_t id = 0;
    int64_t version = 0;
    int64_t n_tables = 0;

    enum rc rc = ask_i64(s, "PRAGMA application_id", &id, err);
    if (rc == RC_OK) {
        rc = ask_i64(s, "PRAGMA user_version", &version, err);
    }
    if (rc == RC_OK && id == 0) {
        rc = ask_i64(s, "SELECT count(*) FROM sqlite_schema", &n_tables, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const bool is_new = id == 0 && version == 0 && n_tables == 0;
    if (!is_new && id != store_as_stored(kind->application_id)) {
        return error_set(err, RC_FORMAT, "not a %s: the file belongs to another program",
                         kind->what);
    }
    if (version < 0 || (uint64_t)version > kind->n_migrations) {
        return error_set(err, RC_STATE,
                         "%s: written by a newer program (version %lld, this one knows %zu)",
                         kind->what, (long long)version, kind->n_migrations);
    }
    *found = version;
    return RC_OK;
}

/* Each migration commits with its number; those of a new file, which holds nothing yet, all at once: a commit
 * waits for the disk. The number is read again under the write lock, because another process may have migrated
 * since. */
static RC migrate(struct store *s, const struct store_kind *kind, struct error *err)
{
    int64_t version = 0;
    enum rc rc = ask_i64(s, "PRAGMA user_version", &version, err);

    while (rc == RC_OK && (uint64_t)version < kind->n_migrations) {
        char stamp[96];

        rc = store_begin(s, err);
        if (rc == RC_OK) {
            rc = ask_i64(s, "PRAGMA user_version", &version, err);
        }
        if (rc == RC_OK && version >= 0 && (uint64_t)version < kind->n_migrations) {
            const bool is_new = version == 0;
            do {
                rc = run_sql(s, kind->migration[version], "migrating", err);
                version++;
            } while (rc == RC_OK && is_new && (uint64_t)version < kind->n_migrations);
            (void)snprintf(stamp, sizeof stamp,
                           "PRAGMA application_id = %lld; PRAGMA user_version = %lld",
                           (long long)store_as_stored(kind->application_id), (long long)version);
            if (rc == RC_OK) {
                rc = run_sql(s, stamp, "migrating", err);
            }
        }
        if (rc == RC_OK) {
            rc = store_commit(s, err);
        }
        store_rollback(s);
    }
    return rc == RC_OK ? check_owner(s, kind, &version, err) : rc;
}

/*
 * SQLite would make the file readable by the group; made first, ours is private. A file that is there
 * is not opened here: closing it would drop the locks that another connection of this process has on
 * it (POSIX), and a third party would then delete the write-ahead log under it.
 */
static RC touch(const char *path, struct error *err)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && (errno != EEXIST || access(path, R_OK | W_OK) != 0)) {
        const bool closed = errno == EACCES || errno == EPERM || errno == EROFS;
        return error_set(err, RC_IO, "cannot open '%s': %s%s", path, strerror(errno),
                         closed ? "; it and its folder must be writable: run this as the user that "
                                  "owns the folder"
                                : "");
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return RC_OK;
}

/* Answers "wal", or "memory" where there is no file. */
static RC use_wal(struct store *s, struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    enum rc rc = RC_OK;

    int answer = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    if (answer == SQLITE_OK) {
        answer = sqlite3_step(stmt);
    }
    if (answer != SQLITE_ROW) {
        rc = refused(s, answer, "turning on its log", err);
    } else {
        const char *mode = (const char *)sqlite3_column_text(stmt, 0);
        if (mode == NULL || (strcmp(mode, "wal") != 0 && strcmp(mode, "memory") != 0)) {
            rc = error_set(err, RC_IO,
                           "%s: this disk cannot keep a write-ahead log: use a local one", s->what);
        }
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

void store_alone(void)
{
    /* Both are refused once SQLite has begun; then it counts and locks as ever. */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_vfs *own = sqlite3_vfs_find("unix-excl"); /* begins it */
    if (own != NULL) {
        (void)sqlite3_vfs_register(own, 1);
    }
}

/* After each commit; what SQLite would do by itself, and the number is kept. */
static int after_commit(void *store, sqlite3 *db, const char *name, int pages)
{
    struct store *s = store;
    s->log_pages = pages;
    if (pages >= s->log_pages_most) {
        (void)sqlite3_wal_checkpoint(db, name); /* else with one that follows */
    }
    return SQLITE_OK; /* it is committed */
}

/* Written once, before any file is opened and any thread begins. */
static char alone_below[STORE_PATH_MAX];

void store_alone_below(const char *folder)
{
    const int n = snprintf(alone_below, sizeof alone_below, "%s/", folder);
    if (folder[0] == '\0' || n >= (int)sizeof alone_below) {
        alone_below[0] = '\0'; /* then as everybody else */
    }
}

static const char *vfs_of(const char *path)
{
    const size_t n = strlen(alone_below);
    return n > 0 && strncmp(path, alone_below, n) == 0 && strchr(path + n, '/') != NULL
               ? "unix-excl"
               : NULL;
}

/* SQLite counts its memory under a lock that all of its threads share, and nobody asks for the count. */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void do_not_count(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum rc store_open(const char *path, const struct store_kind *kind, struct store **out,
                   struct error *err)
{
    assert(kind->application_id != 0);
    assert(kind->n_migrations > 0);

    struct store *s = NULL;
    enum rc rc = RC_OK;
    int64_t version = 0;
    int answer;

    if (path[0] == '\0') {
        return error_set(err, RC_INVALID, "%s: no path", kind->what); /* SQLite: a temporary file */
    }
    s = calloc(1, sizeof *s);
    if (s == NULL) {
        return error_set(err, RC_NOMEM, "%s: no memory", kind->what);
    }
    s->what = kind->what;
    (void)pthread_once(&once, do_not_count); /* before SQLite begins */
    if (strcmp(path, ":memory:") != 0 && !store_place_new(path, kind)) {
        rc = touch(path, err);
        if (rc != RC_OK) {
            goto out;
        }
    }
    answer = sqlite3_open_v2(path, &s->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                             vfs_of(path));
    if (answer != SQLITE_OK) {
        rc = error_set(err, kind_of(answer), "cannot open: %s", sqlite3_errstr(answer));
        goto out;
    }
    s->log_pages_most = LOG_PAGES;
    (void)sqlite3_wal_hook(s->db, after_commit, s);
    (void)sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    rc = check_owner(s, kind, &version, err); /* before anything is written to a stranger's file */
    if (rc == RC_OK) {
        rc = use_wal(s, err);
    }
    if (rc == RC_OK) {
        rc = run_sql(s,
                     "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                     "PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;"
                     "PRAGMA journal_size_limit = 16777216;" /* once it has gone into the file */
                     "PRAGMA temp_store = MEMORY",           /* never a patient's row in /tmp */
                     "setting up", err);
    }
    if (rc == RC_OK && (uint64_t)version < kind->n_migrations) {
        rc = migrate(s, kind, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    *out = s;
    s = NULL;
out:
    store_close(&s);
    return rc == RC_OK ? RC_OK : error_context(err, "'%s'", path);
}

/* ---- opening to read ------------------------------------------------------------------------- */

/* What a URI would take for something else is written as its number. */
static bool as_uri(const char *path, char *out, size_t room)
{
    size_t n = (size_t)snprintf(out, room, "file:");
    for (; *path != '\0' && n + 4 < room; path++) {
        const bool plain = strchr("%?#", *path) == NULL;
        n += (size_t)snprintf(out + n, room - n, plain ? "%c" : "%%%02X",
                              (unsigned)(unsigned char)*path);
    }
    return *path == '\0' && n + (size_t)snprintf(out + n, room - n, "?immutable=1") < room;
}

/*
 * A reader of a write-ahead log makes files beside the database. Where that cannot be and no log lies there,
 * nobody writes through this folder, and SQLite may be told that the file does not change.
 */
static bool is_still(const char *path)
{
    char name[STORE_PATH_MAX];
    struct stat log = {0};
    (void)snprintf(name, sizeof name, "%s-wal", path);
    if (stat(name, &log) == 0 ? log.st_size > 0 : errno != ENOENT) {
        return false;
    }
    const char *slash = strrchr(path, '/');
    (void)snprintf(name, sizeof name, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
                   slash == NULL ? "." : path);
    return access(name, W_OK) != 0;
}

static RC check_version(const struct store_kind *kind, int64_t version, struct error *err)
{
    if ((uint64_t)version != kind->n_migrations) {
        return error_set(
            err, RC_STATE,
            "%s: written by an older program (version %lld, this one wants %zu) and not "
            "brought up to date yet; where it may be written, open it with this one first",
            kind->what, (long long)version, kind->n_migrations);
    }
    return RC_OK;
}

enum rc store_open_reading(const char *path, const struct store_kind *kind, struct store **out,
                           struct error *err)
{
    struct store *s = NULL;
    char uri[3 * STORE_PATH_MAX];
    enum rc rc = RC_OK;
    int64_t version = 0;
    int answer;

    if (path[0] == '\0' || strcmp(path, ":memory:") == 0) {
        return error_set(err, RC_INVALID, "%s: no path", kind->what);
    }
    if (strlen(path) + sizeof "-wal" > STORE_PATH_MAX || !as_uri(path, uri, sizeof uri)) {
        return error_set(err, RC_INVALID, "the path '%.40s...' is too long", path);
    }
    if (access(path, R_OK) != 0) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    s = calloc(1, sizeof *s);
    if (s == NULL) {
        return error_set(err, RC_NOMEM, "%s: no memory", kind->what);
    }
    s->what = kind->what;
    answer =
        is_still(path)
            ? sqlite3_open_v2(uri, &s->db,
                              SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL)
            : sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (answer != SQLITE_OK) {
        rc = error_set(err, kind_of(answer), "cannot open: %s", sqlite3_errstr(answer));
        goto out;
    }
    (void)sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    rc = check_owner(s, kind, &version, err);
    if (rc == RC_OK) {
        rc = check_version(kind, version, err);
    }
    if (rc == RC_OK) {
        rc = run_sql(s, "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY", "setting up",
                     err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    *out = s;
    s = NULL;
out:
    store_close(&s);
    return rc == RC_OK ? RC_OK : error_context(err, "'%s'", path);
}

static void finalise(struct statement *st)
{
    (void)sqlite3_finalize(st->stmt); /* repeats an old answer, if any */
    free(st);
}

void store_close(struct store **s)
{
    struct store *gone = *s;
    if (gone == NULL) {
        return;
    }
    while (gone->first != NULL) {
        struct statement *st = gone->first;
        gone->first = st->next;
        finalise(st);
    }
    const int answer = sqlite3_close(gone->db); /* NULL is fine; rolls back what is open */
    assert(answer == SQLITE_OK);                /* busy only if a statement were left */
    free(gone);
    *s = NULL;
}

/* NULL: no memory for it. */
static struct statement *new_statement(struct store *s, const char *sql, struct error *err)
{
    struct statement *st = calloc(1, sizeof *st);
    if (st == NULL) {
        error_ignore(error_set(err, RC_NOMEM, "%s: no memory for a statement", s->what));
        return NULL;
    }
    st->store = s;
    st->sql = sql;
    st->next = s->first;
    s->first = st;
    return st;
}

enum rc store_prepare_later(struct store *s, const char *sql, struct statement **out,
                            struct error *err)
{
    struct statement *st = new_statement(s, sql, err);
    if (st == NULL) {
        return err->rc;
    }
    *out = st;
    return RC_OK;
}

/* Of a statement that is not compiled yet. */
static RC compile(struct statement *st, struct error *err)
{
    const char *rest = NULL;
    const int answer =
        sqlite3_prepare_v3(st->store->db, st->sql, -1, SQLITE_PREPARE_PERSISTENT, &st->stmt, &rest);
    if (answer != SQLITE_OK) {
        return refused(st->store, answer, "preparing a statement", err);
    }
    assert(st->stmt != NULL); /* not a comment only */
    assert(rest[0] == '\0');  /* one statement: a second would never run */
    return RC_OK;
}

enum rc store_prepare(struct store *s, const char *sql, struct statement **out, struct error *err)
{
    struct statement *st = new_statement(s, sql, err);
    if (st == NULL) {
        return err->rc;
    }
    const enum rc rc = compile(st, err);
    if (rc != RC_OK) {
        statement_close(&st);
        return rc;
    }
    *out = st;
    return RC_OK;
}

void statement_close(struct statement **st)
{
    struct statement *gone = *st;
    if (gone == NULL) {
        return;
    }
    struct statement **place = &gone->store->first;
    while (*place != gone) {
        place = &(*place)->next;
    }
    *place = gone->next;
    finalise(gone);
    *st = NULL;
}

void statement_reset(struct statement *st)
{
    if (st->stmt != NULL) {
        (void)sqlite3_reset(st->stmt); /* repeats the answer of the last step */
        (void)sqlite3_clear_bindings(st->stmt);
    }
    st->n_bound = 0;
    st->running = false;
    st->fault = RC_OK;
}

/* Compiled, at the latest now? If it cannot be, the step tells. */
static bool is_ready(struct statement *st)
{
    if (st->stmt == NULL && st->fault == RC_OK) {
        st->fault = compile(st, &st->refusal);
    }
    return st->stmt != NULL;
}

/* The place of the next parameter, 0: it cannot be bound. Binding a running statement, or more than it
 * has, is our bug. */
static int next_place(struct statement *st)
{
    assert(!st->running);
    if (!is_ready(st)) {
        return 0;
    }
    st->n_bound++;
    assert(st->n_bound <= sqlite3_bind_parameter_count(st->stmt));
    return st->n_bound;
}

static void note_bind(struct statement *st, int answer)
{
    assert(st->stmt == NULL || answer != SQLITE_MISUSE);
    assert(answer != SQLITE_RANGE);
    if (answer != SQLITE_OK && st->fault == RC_OK) {
        st->fault = kind_of(answer);
    }
}

void statement_bind_i64(struct statement *st, int64_t x)
{
    const int place = next_place(st); /* compiles it: before st->stmt is read */
    note_bind(st, sqlite3_bind_int64(st->stmt, place, x));
}

void statement_bind_real(struct statement *st, double x)
{
    const int place = next_place(st);
    note_bind(st, sqlite3_bind_double(st->stmt, place, x));
    if (isnan(x) && st->fault == RC_OK) {
        st->fault = RC_NUMERIC; /* SQLite would store NULL */
    }
}

void statement_bind_text(struct statement *st, const char *text)
{
    assert(text != NULL);
    const int place = next_place(st);
    note_bind(st,
              sqlite3_bind_text64(st->stmt, place, text, strlen(text), SQLITE_STATIC, SQLITE_UTF8));
}

void statement_bind_blob(struct statement *st, const void *data, size_t n)
{
    const int place = next_place(st);
    if (n == 0) {
        note_bind(st, sqlite3_bind_zeroblob(st->stmt, place, 0));
    } else {
        assert(data != NULL);
        note_bind(st, sqlite3_bind_blob64(st->stmt, place, data, n, SQLITE_STATIC));
    }
}

void statement_bind_null(struct statement *st)
{
    const int place = next_place(st);
    note_bind(st, sqlite3_bind_null(st->stmt, place));
}

enum rc statement_step(struct statement *st, bool *row, struct error *err)
{
    if (!is_ready(st)) {
        *err = st->refusal;
        statement_reset(st); /* tried again by the next one who asks */
        return err->rc;
    }
    assert(st->n_bound == sqlite3_bind_parameter_count(st->stmt));
    if (st->fault != RC_OK) {
        const enum rc fault = st->fault;
        statement_reset(st);
        return error_set(err, fault, "%s: %s", st->store->what,
                         fault == RC_NUMERIC ? "a NaN cannot be stored"
                                             : "a value cannot be bound");
    }
    st->running = true;
    const int answer = sqlite3_step(st->stmt);
    if (answer == SQLITE_ROW) {
        *row = true;
        return RC_OK;
    }
    enum rc rc = RC_OK;
    if (answer == SQLITE_DONE) {
        *row = false;
    } else {
        rc = refused(st->store, answer, "statement", err); /* before reset: it keeps the message */
    }
    statement_reset(st);
    return rc;
}

enum rc statement_run(struct statement *st, struct error *err)
{
    bool row = true;
    enum rc rc = RC_OK;
    while (rc == RC_OK && row) {
        rc = statement_step(st, &row, err);
    }
    return rc;
}

static void check_column(const struct statement *st, int column)
{
    assert(st->running);
    assert(column >= 0);
    assert(column < sqlite3_data_count(st->stmt));
}

int64_t statement_i64(struct statement *st, int column)
{
    check_column(st, column);
    return sqlite3_column_int64(st->stmt, column);
}

double statement_real(struct statement *st, int column)
{
    check_column(st, column);
    return sqlite3_column_double(st->stmt, column);
}

const char *statement_text(struct statement *st, int column)
{
    check_column(st, column);
    return (const char *)sqlite3_column_text(st->stmt, column);
}

const void *statement_blob(struct statement *st, int column, size_t *n)
{
    check_column(st, column);
    const void *data = sqlite3_column_blob(st->stmt, column); /* first: it may convert */
    *n = (size_t)sqlite3_column_bytes(st->stmt, column);
    return data;
}

bool statement_is_null(struct statement *st, int column)
{
    check_column(st, column);
    return sqlite3_column_type(st->stmt, column) == SQLITE_NULL;
}

enum rc store_begin(struct store *s, struct error *err)
{
    if (s->together) {
        assert(!s->within);
        const enum rc rc = run_sql(s, "SAVEPOINT part", "starting a transaction", err);
        s->within = rc == RC_OK;
        return rc;
    }
    assert(sqlite3_get_autocommit(s->db) != 0); /* transactions do not nest */
    return run_sql(s, "BEGIN IMMEDIATE", "starting a transaction", err);
}

enum rc store_begin_reading(struct store *s, struct error *err)
{
    int64_t ignored = 0;
    assert(sqlite3_get_autocommit(s->db) != 0);
    enum rc rc = run_sql(s, "BEGIN", "starting to read", err);
    if (rc == RC_OK) { /* the view begins with the first row that is read, not with BEGIN */
        rc = ask_i64(s, "SELECT count(*) FROM sqlite_schema", &ignored, err);
    }
    if (rc != RC_OK) {
        store_rollback(s);
    }
    return rc;
}

enum rc store_commit(struct store *s, struct error *err)
{
    if (sqlite3_get_autocommit(s->db) != 0) {
        return error_set(err, RC_STATE, "%s: nothing to commit: it was rolled back", s->what);
    }
    const enum rc rc = run_sql(s, s->together ? "RELEASE part" : "COMMIT", "committing", err);
    if (rc != RC_OK) {
        store_rollback(s);
    }
    s->within = false;
    return rc;
}

void store_rollback(struct store *s)
{
    if (s->together) {
        if (s->within && sqlite3_get_autocommit(s->db) == 0) {
            (void)sqlite3_exec(s->db, "ROLLBACK TO part; RELEASE part", NULL, NULL, NULL);
        }
        s->within = false;
        return;
    }
    if (sqlite3_get_autocommit(s->db) == 0) {
        /* Fails only where SQLite has rolled back by itself. */
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

enum rc store_together(struct store *s, struct error *err)
{
    assert(!s->together);
    const enum rc rc = store_begin(s, err);
    s->together = rc == RC_OK;
    return rc;
}

enum rc store_settle(struct store *s, struct error *err)
{
    assert(s->together);
    assert(!s->within);
    s->together = false;
    return store_commit(s, err);
}

void store_checkpoint(struct store *s)
{
    (void)sqlite3_busy_timeout(s->db, 0); /* a reader is not waited for */
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    s->log_pages = 0;
}

void store_carry_over(struct store *s)
{
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    s->log_pages = 0;
}

void store_expect(struct store *s, size_t bytes)
{
    enum { OWN_KIB = 2000, MOST_KIB = 64 << 10, BESIDE_KIB = 1 << 10 };
    const size_t pages = bytes / 1024 + bytes / 8192; /* each has some 250 bytes beside it */
    const size_t kib = pages + BESIDE_KIB < MOST_KIB ? pages + BESIDE_KIB : MOST_KIB;
    char sql[64];
    if (kib <= OWN_KIB || kib <= s->cache_kib) {
        return;
    }
    s->cache_kib = kib;
    (void)snprintf(sql, sizeof sql, "PRAGMA cache_size = -%zu", kib);
    (void)sqlite3_exec(s->db, sql, NULL, NULL, NULL); /* refused, it is slower */
}

size_t store_pages_waiting(const struct store *s)
{
    return (size_t)s->log_pages;
}

size_t store_log_bytes(struct store *s)
{
    struct stat log = {0};
    char name[STORE_PATH_MAX];
    const char *path = sqlite3_db_filename(s->db, "main");
    const bool named = path != NULL && path[0] != '\0' &&
                       snprintf(name, sizeof name, "%s-wal", path) < (int)sizeof name;
    return named && stat(name, &log) == 0 && log.st_size > 0 ? (size_t)log.st_size : 0;
}

void store_log_pages(struct store *s, int pages)
{
    s->log_pages_most = pages;
}

/* The name is taken first, by an empty file of ours: SQLite itself would write into any that is there. */
static RC take_name(const char *path, struct error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        return error_set(err, RC_STATE, "'%s' is there already; name another file or remove it",
                         path);
    }
    if (fd < 0) {
        return error_set(err, RC_IO, "cannot make '%s': %s", path, strerror(errno));
    }
    (void)close(fd);
    return RC_OK;
}

enum rc store_backup(struct store *s, const char *path, struct error *err)
{
    sqlite3 *to = NULL;
    enum rc rc = take_name(path, err);
    if (rc != RC_OK) {
        return rc;
    }
    int answer = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL);
    sqlite3_backup *backup =
        answer == SQLITE_OK ? sqlite3_backup_init(to, "main", s->db, "main") : NULL;
    if (backup != NULL) {
        (void)sqlite3_backup_step(backup, -1); /* page by page it would never end under writes */
        (void)sqlite3_backup_finish(backup);
    }
    answer = to != NULL ? sqlite3_errcode(to) : SQLITE_NOMEM;
    if (answer != SQLITE_OK) {
        rc = error_set(err, RC_IO, "%s: copying to '%s': %s; make room, or name another place",
                       s->what, path, sqlite3_errstr(answer));
    }
    if (sqlite3_close(to) != SQLITE_OK && rc == RC_OK) {
        rc = error_set(err, RC_IO, "%s: copying to '%s': not closed", s->what, path);
    }
    if (rc != RC_OK) {
        (void)unlink(path);
    }
    return rc;
}
