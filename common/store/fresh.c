/*
 * A new file in one piece. Its tables are made once in memory; their image is written beside the place and
 * renamed to it. By statements in the file itself the same takes a rollback journal, two transactions and eight
 * waits for the disk, and the tables are parsed for every file anew: a thousand ledgers notice.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* renameat2 */
#endif
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pthread.h>
#include <sqlite3.h>

#include "common/base/hash.h"
#include "common/store/store_internal.h"

enum {
    WRITE_VERSION_AT = 18, /* fileformat2.html, 1.3: 2 in both for WAL */
    READ_VERSION_AT = 19,
    HEADER_BYTES = 100,
    NAME_MAX_BYTES = 1100
};

/* The images of the kinds that were asked for. A program has a few; they stay. */
enum { KINDS_MAX = 8 };
struct image {
    struct hash of;
    unsigned char *bytes;
    size_t n;
};
static struct {
    pthread_mutex_t lock;
    struct image image[KINDS_MAX];
    size_t n;
} drawn = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct hash name_of(const struct store_kind *kind)
{
    struct hasher h;
    hasher_init(&h);
    hasher_u64(&h, kind->application_id);
    hasher_u64(&h, kind->n_migrations);
    for (size_t i = 0; i < kind->n_migrations; i++) {
        hasher_text(&h, kind->migration[i]);
    }
    return hasher_final(&h);
}

/* NULL: a migration fails, which store_open will say. To be freed by sqlite3_free. */
static unsigned char *draw(const struct store_kind *kind, size_t *n)
{
    sqlite3 *db = NULL;
    sqlite3_int64 size = 0;
    char stamp[96];
    unsigned char *image = NULL;
    (void)snprintf(stamp, sizeof stamp, "PRAGMA application_id = %lld; PRAGMA user_version = %zu",
                   (long long)store_as_stored(kind->application_id), kind->n_migrations);
    bool good = sqlite3_open_v2(":memory:", &db,
                                SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                NULL) == SQLITE_OK;
    good =
        good && sqlite3_exec(db, "PRAGMA foreign_keys = ON; BEGIN", NULL, NULL, NULL) == SQLITE_OK;
    for (size_t i = 0; good && i < kind->n_migrations; i++) {
        good = sqlite3_exec(db, kind->migration[i], NULL, NULL, NULL) == SQLITE_OK;
    }
    good = good && sqlite3_exec(db, stamp, NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    image = good ? sqlite3_serialize(db, "main", &size, 0) : NULL;
    (void)sqlite3_close(db);
    if (image != NULL && size < HEADER_BYTES) {
        sqlite3_free(image);
        image = NULL;
    }
    if (image != NULL) {
        image[WRITE_VERSION_AT] = 2;
        image[READ_VERSION_AT] = 2;
        *n = (size_t)size;
    }
    return image;
}

/* @return 0 or -1 */
static int write_all(int fd, const unsigned char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t wrote = write(fd, bytes, n);
        if (wrote <= 0) {
            return -1;
        }
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return fsync(fd);
}

/* NULL: it cannot be drawn, or there is no room to remember it. */
static const struct image *image_of(const struct store_kind *kind)
{
    const struct hash of = name_of(kind);
    struct image *found = NULL;
    (void)pthread_mutex_lock(&drawn.lock);
    for (size_t i = 0; found == NULL && i < drawn.n; i++) {
        found = hash_equal(&drawn.image[i].of, &of) ? &drawn.image[i] : NULL;
    }
    if (found == NULL && drawn.n < KINDS_MAX) {
        struct image fresh = {.of = of};
        fresh.bytes = draw(kind, &fresh.n);
        if (fresh.bytes != NULL) {
            found = &drawn.image[drawn.n++];
            *found = fresh;
        }
    }
    (void)pthread_mutex_unlock(&drawn.lock);
    return found;
}

bool store_place_new(const char *path, const struct store_kind *kind)
{
    char fresh[NAME_MAX_BYTES];
    if (access(path, F_OK) == 0 ||
        snprintf(fresh, sizeof fresh, "%s.%ld.new", path, (long)getpid()) >= (int)sizeof fresh) {
        return false;
    }
    const struct image *image = image_of(kind);
    if (image == NULL) {
        return false;
    }
    (void)unlink(fresh); /* of a process of this number that was killed here */
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return false;
    }
    bool good = write_all(fd, image->bytes, image->n) == 0; /* waits for the disk */
    good = close(fd) == 0 && good;
    /* If another process was first, its file stays. */
    good = good && renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) == 0;
    if (!good) {
        (void)unlink(fresh);
    }
    return good;
}
