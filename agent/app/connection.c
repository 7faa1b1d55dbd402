#include "agent/app/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/app/site.h"
#include "agent/app/whole_file.h"

enum { LINE_MAX_BYTES = 128 };

static const char *const names[] = {
    [NET_CONNECTING] = "connecting",
    [NET_CONNECTED] = "connected",
    [NET_REFUSED] = "refused",
    [NET_WRONG_SERVER] = "wrong_server",
};
enum { N_NAMES = sizeof names / sizeof names[0] };

enum rc connection_write(const char *folder, const struct connection *c, struct error *err)
{
    char path[SITE_PATH_MAX];
    char fresh[SITE_PATH_MAX];
    enum rc rc = site_path(folder, CONNECTION_FILE, path, err);
    if (rc == RC_OK) {
        rc = site_path(folder, CONNECTION_FILE ".new", fresh, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && dprintf(fd, "%s %" PRId64 " %" PRId64 "\n", names[c->state],
                                   c->written_ms, c->heard_ms) > 0;
    if (fd >= 0) {
        good = close(fd) == 0 && good;
    }
    good = good && rename(fresh, path) == 0;
    return good ? RC_OK : error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
}

enum rc connection_read(const char *folder, struct connection *out, struct error *err)
{
    char path[SITE_PATH_MAX];
    char line[LINE_MAX_BYTES + 1];
    char name[16] = "";
    unsigned char *bytes = NULL;
    size_t n = 0;
    struct connection c = {0};
    enum rc rc = site_path(folder, CONNECTION_FILE, path, err);
    if (rc == RC_OK) {
        rc = whole_file_read(path, LINE_MAX_BYTES, &bytes, &n, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    memcpy(line, bytes, n);
    line[n] = '\0';
    free(bytes);
    const int found = sscanf(line, "%15s %" SCNd64 " %" SCNd64, name, &c.written_ms, &c.heard_ms);
    size_t i = 0;
    while (i < N_NAMES && strcmp(names[i], name) != 0) {
        i++;
    }
    if (found != 3 || i == N_NAMES) {
        return error_set(err, RC_FORMAT, "'%s' does not say how the connection is", path);
    }
    c.state = (enum net_state)i;
    *out = c;
    return RC_OK;
}

bool connection_is_stale(const struct connection *c, int64_t now_ms)
{
    return c->written_ms < now_ms - CONNECTION_STALE_MS ||
           c->written_ms > now_ms + CONNECTION_STALE_MS;
}
