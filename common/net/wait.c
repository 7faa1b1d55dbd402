#include <assert.h>
#include <errno.h>

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

enum rc net_wait(struct net_wait *w, int64_t timeout_ms, struct error *err)
{
    zmq_pollitem_t item[ITEMS];
    size_t n = 0;
    struct net_sockets sockets;
    bool soon = false;

    assert(w->n_fds <= NET_WAIT_FDS);
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
        w->fd[i].readable = false;
        w->fd[i].writable = false;
    }
    /* zmq_poll asks each socket before it sleeps, so what libzmq has read already counts. */
    const int ready = zmq_poll(item, (int)n, timeout_ms < 0 ? -1 : (long)timeout_ms);
    if (ready < 0 && errno != EINTR) {
        return error_set(err, RC_IO, "network library: wait: %s", zmq_strerror(errno));
    }
    if (ready > 0) {
        told_of_fds(w, item + first_fd);
    }
    return RC_OK;
}
