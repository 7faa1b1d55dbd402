#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "common/seal/seal_internal.h"

enum rc seal_start(struct error *err)
{
    if (sodium_init() < 0) {
        return error_set(err, RC_IO, "cannot start libsodium: no source of randomness");
    }
    return RC_OK;
}

enum rc seal_write_synced(int fd, const char *path, const void *data, size_t n, struct error *err)
{
    const unsigned char *from = data;
    while (n > 0) {
        const ssize_t done = write(fd, from, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return error_set(err, RC_IO, "%.120s: cannot write: %s", path, strerror(errno));
        }
        from += done;
        n -= (size_t)done;
    }
    if (fsync(fd) != 0) {
        return error_set(err, RC_IO, "%.120s: cannot bring it to the disk: %s", path,
                         strerror(errno));
    }
    return RC_OK;
}
