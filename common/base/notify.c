#include "common/base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum rc notify_manager(const char *state, struct error *err)
{
    const char *where = getenv("NOTIFY_SOCKET");
    if (where == NULL || where[0] == '\0') {
        return RC_OK;
    }
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const size_t n = strlen(where);
    if ((where[0] != '/' && where[0] != '@') || n >= sizeof to.sun_path) {
        return error_set(err, RC_INVALID, "NOTIFY_SOCKET is neither a path nor an abstract socket");
    }
    memcpy(to.sun_path, where, n);
    if (where[0] == '@') {
        to.sun_path[0] = '\0'; /* abstract: the length says where the name ends */
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0) {
        return error_set(err, RC_IO, "cannot tell the service manager: %s", strerror(errno));
    }
    const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    const ssize_t sent =
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, length);
    const int why = errno;
    (void)close(fd);
    return sent >= 0 ? RC_OK
                     : error_set(err, RC_IO, "cannot tell the service manager: %s", strerror(why));
}
