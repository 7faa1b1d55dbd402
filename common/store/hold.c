#include "common/store/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum rc store_hold(const char *path, const char *otherwise, int *held, struct error *err)
{
    *held = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*held < 0 && errno == EISDIR) {
        *held = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (*held < 0) {
        return error_set(err, RC_IO, "cannot open '%s': %s", path, strerror(errno));
    }
    if (flock(*held, LOCK_EX | LOCK_NB) == 0) {
        return RC_OK;
    }
    return errno == EWOULDBLOCK
               ? error_set(err, RC_STATE,
                           "'%.120s': another process is at work on it; wait for it, or choose "
                           "another %s",
                           path, otherwise)
               : error_set(err, RC_IO, "cannot lock '%s': %s", path, strerror(errno));
}

void store_let_go(int *held)
{
    if (*held >= 0) {
        (void)close(*held);
    }
    *held = -1;
}

void store_discard(const char *path)
{
    static const char *const beside[] = {"-wal", "-shm", ""}; /* the log never outlives its file */
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        char name[4096];
        if (snprintf(name, sizeof name, "%s%s", path, beside[i]) < (int)sizeof name) {
            (void)unlink(name);
        }
    }
}
