/*
 * SQLite's own way to files, with fewer calls of the system: bytes that follow each other in a database or in its
 * log are written together. A row with 400 KB in it is a hundred pages, and SQLite writes each page of a log in two
 * calls and each page that goes from there into the database in one more; here they are a few.
 *
 * What is durable, and when, is as ever:
 *   - what was gathered goes to the file before that file is synced, read, measured, cut, asked anything or closed;
 *   - a commit's pages are in the log, and synced (synchronous=FULL), before its index names them to other
 *     connections; should they not be, they go there before the barrier behind which the index may name them;
 *   - a write that fails is told by the call that wanted it done, and SQLite undoes what it was part of;
 *   - what was read ahead of a log is forgotten at each call about locks: under the locks that a reader holds, the
 *     part of a log that it may read does not change.
 * A process that is killed loses what it had gathered, which no sync had promised: to SQLite it was killed earlier.
 */
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sqlite3.h>

#include "common/store/store_internal.h"

/* SQLite's unix files take the low 17 bits of a length, so one call moves less than 128 KiB. */
enum { ROOM = 124 << 10, AHEAD = 64 << 10, FRAME_HEADER = 24 };

/* In SQLite's memory, followed by the file of the way below. */
struct file {
    sqlite3_file base; /* first: what SQLite sees */
    sqlite3_file *real;
    struct file *log;    /* of a database: its log, while one is open */
    struct file *of;     /* of a log: its database */
    unsigned char *room; /* [ROOM], while there is something in it */
    sqlite3_int64 at;    /* where in the file it belongs */
    size_t n;
    unsigned char *ahead;            /* [AHEAD] of a log, from `ahead_at` on; NULL: nothing */
    sqlite3_int64 ahead_at, read_to; /* read_to: where the last read ended */
};

static sqlite3_vfs *below;
static sqlite3_vfs ours;

static struct file *of(sqlite3_file *f)
{
    return (struct file *)(void *)f; /* its first member */
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return of(f)->real;
}

/* What fails is told once: the transaction that it was part of is undone. */
static int flush(struct file *f)
{
    if (f->n == 0) {
        return SQLITE_OK;
    }
    const int n = (int)f->n;
    f->n = 0;
    return f->real->pMethods->xWrite(f->real, f->room, n, f->at);
}

static void forget_ahead(struct file *f)
{
    free(f->ahead);
    f->ahead = NULL;
    f->read_to = -1;
}

static void put_away(struct file *f)
{
    free(f->room);
    f->room = NULL;
    f->n = 0;
}

/* ---- the calls that differ ------------------------------------------------------------------- */

static int gather(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    struct file *f = of(file);
    const size_t size = (size_t)n;
    forget_ahead(f);
    if (f->n > 0 && (at != f->at + (sqlite3_int64)f->n || size > ROOM - f->n)) {
        const int answer = flush(f);
        if (answer != SQLITE_OK) {
            return answer;
        }
    }
    if (f->room == NULL) {
        f->room = malloc(ROOM);
    }
    if (f->room == NULL || size > ROOM) {
        return f->real->pMethods->xWrite(f->real, bytes, n, at);
    }
    if (f->n == 0) {
        f->at = at;
    }
    memcpy(f->room + f->n, bytes, size);
    f->n += size;
    return SQLITE_OK;
}

static int close_file(sqlite3_file *file)
{
    struct file *f = of(file);
    const int flushed = flush(f);
    const int answer = f->real->pMethods->xClose(f->real);
    put_away(f);
    forget_ahead(f);
    if (f->of != NULL) {
        f->of->log = NULL;
    }
    return flushed != SQLITE_OK ? flushed : answer;
}

/* Page follows page in a log that is carried into its database, or looked through after a crash. */
static bool is_ahead(struct file *f, int n, sqlite3_int64 at)
{
    const bool follows = f->of != NULL && (at == f->read_to || at == f->read_to + FRAME_HEADER);
    if (f->ahead != NULL && at >= f->ahead_at && at + n <= f->ahead_at + AHEAD) {
        return true;
    }
    if (!follows || n > AHEAD) {
        return false;
    }
    if (f->ahead == NULL) {
        f->ahead = malloc(AHEAD);
    }
    if (f->ahead == NULL ||
        f->real->pMethods->xRead(f->real, f->ahead, AHEAD, at) != SQLITE_OK) { /* near its end */
        forget_ahead(f);
        return false;
    }
    f->ahead_at = at;
    return true;
}

static int read_file(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
    struct file *f = of(file);
    int answer = flush(f);
    if (answer == SQLITE_OK && is_ahead(f, n, at)) {
        memcpy(out, f->ahead + (at - f->ahead_at), (size_t)n);
    } else if (answer == SQLITE_OK) {
        answer = f->real->pMethods->xRead(f->real, out, n, at);
    }
    f->read_to = at + n;
    return answer;
}

static int cut(sqlite3_file *file, sqlite3_int64 size)
{
    forget_ahead(of(file));
    const int answer = flush(of(file));
    return answer != SQLITE_OK ? answer : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

/* The room is put away: a thousand ledgers may be open, and one at a time is written. */
static int sync_file(sqlite3_file *file, int flags)
{
    const int answer = flush(of(file));
    put_away(of(file));
    return answer != SQLITE_OK ? answer : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int measure(sqlite3_file *file, sqlite3_int64 *size)
{
    const int answer = flush(of(file));
    return answer != SQLITE_OK ? answer : real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int control(sqlite3_file *file, int op, void *arg)
{
    const int answer = flush(of(file));
    return answer != SQLITE_OK ? answer
                               : real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int unlock(sqlite3_file *file, int level)
{
    const int flushed = flush(of(file));
    const int answer = real_of(file)->pMethods->xUnlock(real_of(file), level);
    return flushed != SQLITE_OK ? flushed : answer;
}

static int lock_index(sqlite3_file *file, int offset, int n, int flags)
{
    if (of(file)->log != NULL) {
        forget_ahead(of(file)->log);
    }
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

/* Behind it the index may name what is in the log. It cannot fail; what it could not write, nobody has synced. */
static void barrier(sqlite3_file *file)
{
    if (of(file)->log != NULL) {
        (void)flush(of(file)->log);
    }
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

/* ---- the others ------------------------------------------------------------------------------ */

static int lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int is_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int map_index(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int unmap_index(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

/* Version 2: files are not mapped, so nothing is read past us. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = gather,
    .xTruncate = cut,
    .xSync = sync_file,
    .xFileSize = measure,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = is_reserved,
    .xFileControl = control,
    .xSectorSize = sector,
    .xDeviceCharacteristics = device,
    .xShmMap = map_index,
    .xShmLock = lock_index,
    .xShmBarrier = barrier,
    .xShmUnmap = unmap_index,
};

/* ---- opening --------------------------------------------------------------------------------- */

/* Journals and temporary files go the old way: they are rare and small. */
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct file *f = of(file);
    (void)vfs;
    if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0) {
        return below->xOpen(below, name, file, flags, out);
    }
    *f = (struct file){.real = (sqlite3_file *)(void *)(f + 1)};
    const int answer = below->xOpen(below, name, f->real, flags, out);
    if (f->real->pMethods == NULL) { /* there is nothing to close */
        return answer;
    }
    f->base.pMethods = &methods;
    if ((flags & SQLITE_OPEN_WAL) != 0) {
        f->of = of(sqlite3_database_file_object(name));
        f->of->log = f;
    }
    return answer;
}

/* All but opening is done by the functions below, which find in a copy what they had in theirs. */
static void begin(void)
{
    below = sqlite3_vfs_find(NULL);
    if (below == NULL || below->iVersion < 1) {
        below = NULL;
        return;
    }
    ours = *below;
    ours.zName = "wardround";
    ours.szOsFile = (int)sizeof(struct file) + below->szOsFile;
    ours.xOpen = open_file;
    ours.pNext = NULL;
    if (sqlite3_vfs_register(&ours, 0) != SQLITE_OK) {
        below = NULL;
    }
}

const char *store_way(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, begin);
    return below != NULL ? ours.zName : NULL;
}
