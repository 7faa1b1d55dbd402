#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* @return 0 or an errno */
static int put(int fd, const unsigned char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t wrote = write(fd, bytes, n);
        if (wrote < 0 && errno != EINTR) {
            return errno;
        }
        if (wrote > 0) {
            bytes += wrote;
            n -= (size_t)wrote;
        }
    }
    return fsync(fd) != 0 ? errno : 0;
}

/* A name is there after a power cut only once its folder is on the disk, too. */
static int sync_folder_of(const char *path)
{
    char folder[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
                   slash == NULL ? "." : path);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    const int why = fsync(fd) != 0 ? errno : 0;
    (void)close(fd);
    return why;
}

enum rc file_replace(const char *path, const void *bytes, size_t n, struct error *err)
{
    char fresh[FILE_PATH_MAX];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh) {
        return error_set(err, RC_LIMIT, "the path '%.40s...' is too long", path);
    }
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int why = fd < 0 ? errno : put(fd, bytes, n);
    if (fd >= 0 && close(fd) != 0 && why == 0) {
        why = errno;
    }
    if (why == 0 && rename(fresh, path) != 0) {
        why = errno;
    }
    if (why != 0) {
        if (fd >= 0) {
            (void)unlink(fresh);
        }
        return error_set(err, RC_IO, "cannot write '%s': %s; make room, or see who may write there",
                         path, strerror(why));
    }
    return file_sync_folder(path, err);
}

enum rc file_sync_folder(const char *path, struct error *err)
{
    const int why = sync_folder_of(path);
    return why == 0 ? RC_OK
                    : error_set(err, RC_IO, "'%s' is written, and perhaps not on the disk yet: %s",
                                path, strerror(why));
}
