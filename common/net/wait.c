#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <poll.h>

#include "common/base/clock.h"
#include "common/net/net_internal.h"

enum { ITEMS = 4 + NET_WAIT_FDS };

static size_t add_sockets(zmq_pollitem_t *item, size_t n, const struct net_sockets *sockets)
{
    for (size_t i = 0; i < 2; i++) {
        item[n++] = (zmq_pollitem_t){.socket = sockets->socket[i], .events = ZMQ_POLLIN};
    }
    return n;
}

static void told_of_fds(struct net_wait *w, const zmq_pollitem_t *item)
{
    for (size_t i = 0; i < w->n_fds; i++) {
        /* An end that was closed is found out by reading or writing. */
        const short ready = item[i].revents;
        w->fd[i].readable = (ready & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0;
        w->fd[i].writable = w->fd[i].want_write && (ready & (ZMQ_POLLOUT | ZMQ_POLLERR)) != 0;
    }
}

static RC refused(const char *why, struct error *err)
{
    return error_set(err, RC_IO, "network library: wait: %s", why);
}

/* One call of poll: zmq_poll asks each socket before and after, which is a dozen of them. @return is anything ready? */
static RC wait_once(struct net_wait *w, int64_t timeout_ms, bool *ready, struct error *err)
{
    struct pollfd p[2 + NET_WAIT_FDS] = {{0}};
    bool sockets[2] = {false, false};
    int fds[2] = {-1, -1};
    net_client_fds(w->client, fds);
    for (size_t i = 0; i < 2; i++) {
        p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    for (size_t i = 0; i < w->n_fds; i++) {
        p[2 + i] = (struct pollfd){.fd = w->fd[i].fd,
                                   .events = (short)(POLLIN | (w->fd[i].want_write ? POLLOUT : 0))};
    }
    const int wait_ms = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    const int n = poll(p, 2 + w->n_fds, wait_ms);
    if (n < 0 && errno != EINTR) {
        return refused(strerror(errno), err);
    }
    *ready = n < 0; /* a signal: whoever waits looks */
    for (size_t i = 0; n > 0 && i < w->n_fds; i++) {
        const short found = p[2 + i].revents;
        w->fd[i].readable = (found & ~POLLOUT) != 0;
        w->fd[i].writable = w->fd[i].want_write && (found & ~POLLIN) != 0;
        *ready = *ready || w->fd[i].readable || w->fd[i].writable;
    }
    sockets[0] = n > 0 && p[0].revents != 0;
    sockets[1] = n > 0 && p[1].revents != 0;
    *ready = net_client_waited(w->client, sockets) || *ready;
    return RC_OK;
}

/* Of a client alone. */
static RC wait_for_client(struct net_wait *w, int64_t timeout_ms, struct error *err)
{
    int64_t left_ms = net_client_has_news(w->client) ? 0 : timeout_ms;
    const int64_t until = left_ms > 0 ? clock_monotonic_ms() + left_ms : 0;
    for (;;) {
        bool ready = false;
        const enum rc rc = wait_once(w, left_ms, &ready, err);
        if (rc != RC_OK || ready || left_ms == 0) {
            return rc;
        }
        if (left_ms > 0) {
            const int64_t now = clock_monotonic_ms();
            left_ms = now < until ? until - now : 0;
        }
    }
}

enum rc net_wait(struct net_wait *w, int64_t timeout_ms, struct error *err)
{
    zmq_pollitem_t item[ITEMS];
    size_t n = 0;
    struct net_sockets sockets;
    bool soon = false;

    assert(w->n_fds <= NET_WAIT_FDS);
    for (size_t i = 0; i < w->n_fds; i++) {
        w->fd[i].readable = false;
        w->fd[i].writable = false;
    }
    if (w->server == NULL && w->client != NULL) {
        const bool look = net_client_sockets(w->client).soon;
        const bool longer = timeout_ms < 0 || timeout_ms > NET_LOOK_MS;
        return wait_for_client(w, look && longer ? NET_LOOK_MS : timeout_ms, err);
    }
    if (w->server != NULL) {
        sockets = net_server_sockets(w->server);
        soon = soon || sockets.soon;
        n = add_sockets(item, n, &sockets);
    }
    if (w->client != NULL) {
        sockets = net_client_sockets(w->client);
        n = add_sockets(item, n, &sockets);
        soon = soon || sockets.soon;
    }
    if (soon && (timeout_ms < 0 || timeout_ms > NET_LOOK_MS)) {
        timeout_ms = NET_LOOK_MS;
    }
    const size_t first_fd = n;
    for (size_t i = 0; i < w->n_fds; i++) {
        item[n++] = (zmq_pollitem_t){
            .fd = w->fd[i].fd,
            .events = (short)(ZMQ_POLLIN | (w->fd[i].want_write ? ZMQ_POLLOUT : 0)),
        };
    }
    /* zmq_poll asks each socket before it sleeps, so what libzmq has read already counts. */
    const int ready = zmq_poll(item, (int)n, timeout_ms < 0 ? -1 : (long)timeout_ms);
    if (ready < 0 && errno != EINTR) {
        return refused(zmq_strerror(errno), err);
    }
    if (ready > 0) {
        told_of_fds(w, item + first_fd);
    }
    return RC_OK;
}
