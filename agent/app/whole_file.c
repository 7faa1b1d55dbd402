#include "agent/app/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"

static enum rc write_all(int fd, const unsigned char *bytes, size_t n, const char *path,
                         struct error *err)
{
    while (n > 0) {
        const ssize_t did = write(fd, bytes, n);
        if (did < 0 && errno != EINTR) {
            return error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
        }
        bytes += did > 0 ? did : 0;
        n -= did > 0 ? (size_t)did : 0;
    }
    return fsync(fd) == 0 ? RC_OK
                          : error_set(err, RC_IO, "cannot sync '%s': %s", path, strerror(errno));
}

/* The folder above `path`. */
static void folder_of(const char *path, char folder[512])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, 512, "%.*s", slash == NULL || slash == path ? 1 : (int)(slash - path),
                   slash == NULL ? "." : path);
}

static enum rc make_folder_of(const char *path, struct error *err)
{
    char folder[512];
    folder_of(path, folder);
    return mkdir(folder, 0700) == 0 || errno == EEXIST
               ? RC_OK
               : error_set(err, RC_IO, "cannot make folder '%s': %s", folder, strerror(errno));
}

/* A name that a person gave: a folder that is not there is more likely a slip than a wish. */
static enum rc folder_is_there(const char *path, struct error *err)
{
    char folder[512];
    struct stat there;
    folder_of(path, folder);
    return stat(folder, &there) == 0 && S_ISDIR(there.st_mode)
               ? RC_OK
               : error_set(err, RC_IO, "cannot write '%s': there is no folder '%s'; make it first",
                           path, folder);
}

/* A new file, whole and synced. */
static enum rc write_new(const char *fresh, const void *bytes, size_t n, struct error *err)
{
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set(err, RC_IO, "cannot write '%s': %s", fresh, strerror(errno));
    }
    const enum rc rc = write_all(fd, bytes, n, fresh, err);
    (void)close(fd);
    if (rc != RC_OK) {
        (void)unlink(fresh);
    }
    return rc;
}

enum rc whole_file_write(const char *path, const void *bytes, size_t n, struct error *err)
{
    const enum rc rc = make_folder_of(path, err);
    return rc == RC_OK ? file_replace(path, bytes, n, err) : rc;
}

static enum rc name_is_taken(const char *path, struct error *err)
{
    return error_set(err, RC_STATE, "'%s' is there already; name another file or remove it", path);
}

/* link(2) gives the name to a file that is whole, or fails where the name is taken. Some disks have no
 * links (FAT): there the name is taken first, by an empty file of ours, and renamed over. */
static enum rc give_name(const char *fresh, const char *path, struct error *err)
{
    bool named = link(fresh, path) == 0;
    if (!named && (errno == EPERM || errno == EOPNOTSUPP)) {
        const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            (void)close(fd);
            named = rename(fresh, path) == 0;
        }
        if (fd >= 0 && !named) {
            (void)unlink(path); /* the empty one, which is ours */
        }
    }
    const int why = errno;
    if (named) {
        return RC_OK;
    }
    return why == EEXIST ? name_is_taken(path, err)
                         : error_set(err, RC_IO, "cannot make '%s': %s", path, strerror(why));
}

enum rc whole_file_create(const char *path, const void *bytes, size_t n, struct error *err)
{
    char fresh[512];
    struct stat there;
    if (snprintf(fresh, sizeof fresh, "%s.%ld.new", path, (long)getpid()) >= (int)sizeof fresh) {
        return error_set(err, RC_LIMIT, "the path '%.40s...' is too long", path);
    }
    if (lstat(path, &there) == 0) { /* the usual case, before anything is written */
        return name_is_taken(path, err);
    }
    enum rc rc = folder_is_there(path, err);
    if (rc == RC_OK) {
        rc = write_new(fresh, bytes, n, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    rc = give_name(fresh, path, err);
    (void)unlink(fresh); /* the second name; after a rename there is none */
    return rc == RC_OK ? file_sync_folder(path, err) : rc;
}

enum rc whole_file_read(const char *path, size_t max, unsigned char **out, size_t *n,
                        struct error *err)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    unsigned char *bytes = malloc(max + 1);
    size_t got = 0;
    enum rc rc = RC_OK;
    if (bytes == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory to read '%s'", path);
        goto out;
    }
    got = fread(bytes, 1, max + 1, f);
    if (ferror(f)) {
        rc = error_set(err, RC_IO, "cannot read '%s'", path);
    } else if (got > max) {
        rc = error_set(err, RC_LIMIT, "'%s' is larger than %zu bytes", path, max);
    }
out:
    (void)fclose(f);
    if (rc != RC_OK) {
        free(bytes);
        return rc;
    }
    *out = bytes;
    *n = got;
    return RC_OK;
}
