/*
 * The updates of open rounds: bytes one behind the other in a file beside the registry, PATH-held, and of each a
 * row of `place` that says where. In the database they would pass through its log, be copied into the file,
 * be overwritten when they are dropped, and that again through the log; here they are written once.
 *
 * Large ones begin at a page of the file, and where memory lies so, too, and the file system can, they go past its page
 * cache: nobody reads them again but after a restart, and a page costs more to find and to fill than to write.
 *
 * A row is committed when its bytes are on the disk. Bytes that no row names (killed in between, or of rounds
 * that are over) are nothing: the next update is written over them, and the end of a round cuts them off.
 * Where the registry is in memory its updates are, too (table `held`, which has those of older programs as well).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_DIRECT */
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/registry/registry_internal.h"
#include "common/base/file.h"

enum { PAGE = 4096, LARGE = 1 << 18 };

static RC system_refused(const struct registry *r, const char *doing, int why, struct error *err)
{
    return error_set(err, RC_IO, "cannot %s '%s': %s%s", doing, r->held.path, strerror(why),
                     why == ENOSPC ? "; make room on its disk" : "");
}

enum rc registry_held_name(struct registry *r, const char *path, struct error *err)
{
    r->held.fd = -1;
    r->held.direct = -1;
    if (strcmp(path, ":memory:") == 0) {
        return RC_OK;
    }
    if (snprintf(r->held.path, sizeof r->held.path, "%s-held", path) >= (int)sizeof r->held.path) {
        return error_set(err, RC_LIMIT, "the path '%.40s...' is too long", path);
    }
    return RC_OK;
}

void registry_held_close(struct registry *r)
{
    if (r->held.fd >= 0) {
        (void)close(r->held.fd);
    }
    if (r->held.direct >= 0) {
        (void)close(r->held.direct);
    }
    r->held.fd = -1;
    r->held.direct = -1;
    registry_held_forget(r);
}

void registry_held_forget(struct registry *r)
{
    free(r->held.bytes);
    r->held.bytes = NULL;
    r->held.room = 0;
}

/* Its name is on the disk before anything in it counts. */
static RC open_file(struct registry *r, struct error *err)
{
    if (r->held.fd >= 0) {
        return RC_OK;
    }
    const int fd = open(r->held.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return system_refused(r, "open", errno, err);
    }
    const enum rc rc = file_sync_folder(r->held.path, err);
    if (rc != RC_OK) {
        (void)close(fd);
        return rc;
    }
    r->held.fd = fd;
    r->held.direct = open(r->held.path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECT); /* or not */
    return RC_OK;
}

/* Behind everything that a row names. */
static RC end_of_rows(struct registry *r, int64_t *end, struct error *err)
{
    struct statement *st = r->st[REGISTRY_END_OF_PLACES];
    bool row = false;
    const enum rc rc = statement_step(st, &row, err);
    *end = rc == RC_OK && row ? statement_i64(st, 0) : 0;
    if (row) {
        statement_reset(st);
    }
    return rc;
}

/* Past the page cache, as much of it as is whole pages. @return so many bytes are written; 0 where that cannot be */
static size_t write_pages(struct registry *r, const unsigned char *bytes, size_t n, int64_t at)
{
    const bool lies_so = n >= LARGE && (uintptr_t)bytes % PAGE == 0 && at % PAGE == 0;
    if (!lies_so || r->held.direct < 0) {
        return 0;
    }
    const ssize_t wrote = pwrite(r->held.direct, bytes, n - n % PAGE, (off_t)at);
    return wrote > 0 ? (size_t)wrote : 0;
}

static RC write_at(struct registry *r, const unsigned char *bytes, size_t n, int64_t at,
                   struct error *err)
{
    r->held.unsynced = true;
    for (size_t done = write_pages(r, bytes, n, at); done < n;) {
        const ssize_t wrote =
            pwrite(r->held.fd, bytes + done, n - done, (off_t)(at + (int64_t)done));
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return system_refused(r, "write", wrote < 0 ? errno : ENOSPC, err);
        }
        done += (size_t)wrote;
    }
    return RC_OK;
}

static RC hold_in_table(struct registry *r, const struct registry_standing *s, uint64_t round,
                        size_t site, const void *update, size_t n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_HELD];
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, (int64_t)site);
    statement_bind_blob(st, update, n);
    return statement_run(st, err);
}

enum rc registry_hold(struct registry *r, const struct registry_standing *s, uint64_t round,
                      size_t site, const void *update, size_t n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_PLACE];
    int64_t at = 0;
    if (r->held.path[0] == '\0') {
        return hold_in_table(r, s, round, site, update, n, err);
    }
    enum rc rc = open_file(r, err);
    if (rc == RC_OK) {
        rc = end_of_rows(r, &at, err);
    }
    if (rc == RC_OK && r->together && at < r->held.floor) {
        at = r->held.floor;
    }
    if (n >= LARGE) {
        at += (PAGE - at % PAGE) % PAGE;
    }
    if (rc == RC_OK) {
        rc = write_at(r, update, n, at, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, (int64_t)site);
    statement_bind_i64(st, at);
    statement_bind_i64(st, (int64_t)n);
    return statement_run(st, err);
}

enum rc registry_held_guard(struct registry *r, struct error *err)
{
    return end_of_rows(r, &r->held.floor, err);
}

enum rc registry_held_sync(struct registry *r, struct error *err)
{
    if (r->held.unsynced && fdatasync(r->held.fd) != 0) {
        return system_refused(r, "bring to the disk", errno, err);
    }
    r->held.unsynced = false;
    return RC_OK;
}

/* A file that is longer than it need be is no fault. */
void registry_held_cut(struct registry *r)
{
    struct error ignored = {0};
    int64_t end = 0;
    if (r->together || r->held.path[0] == '\0' || access(r->held.path, F_OK) != 0) {
        return;
    }
    if (open_file(r, &ignored) == RC_OK && end_of_rows(r, &end, &ignored) == RC_OK &&
        lseek(r->held.fd, 0, SEEK_END) > end) {
        (void)!ftruncate(r->held.fd, end);
    }
}

static RC room_for(struct registry *r, size_t n, struct error *err)
{
    if (n <= r->held.room) {
        return RC_OK;
    }
    registry_held_forget(r);
    r->held.bytes = malloc(n);
    if (r->held.bytes == NULL) {
        return error_set(err, RC_NOMEM, "no memory for an update of %zu bytes", n);
    }
    r->held.room = n;
    return RC_OK;
}

enum rc registry_held_read(struct registry *r, int64_t at, size_t n, const void **bytes,
                           struct error *err)
{
    enum rc rc = open_file(r, err);
    if (rc != RC_OK) {
        return rc;
    }
    const off_t end = lseek(r->held.fd, 0, SEEK_END);
    if (at < 0 || end < at || n > (size_t)(end - at)) {
        return error_set(err, RC_FORMAT, "the registry is damaged: '%s' was cut", r->held.path);
    }
    rc = room_for(r, n, err);
    for (size_t done = 0; rc == RC_OK && done < n;) {
        const ssize_t got =
            pread(r->held.fd, r->held.bytes + done, n - done, (off_t)(at + (int64_t)done));
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            return system_refused(r, "read", got < 0 ? errno : EIO, err);
        }
        done += got > 0 ? (size_t)got : 0;
    }
    *bytes = r->held.bytes;
    return rc;
}
