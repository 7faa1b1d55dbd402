/*
 * A message of frames without end. libzmq gathers a whole message before it shows us any of it, and
 * neither the high-water mark nor MAXMSGSIZE counts its frames: an enrolled site could fill our
 * memory with one message (600 frames: 597 MiB, tests/bench/bench_net frames). So the kernel is asked
 * how much each connection has received; one that has received METER_MAX since its last whole
 * message is ended, which frees what was gathered.
 *
 * The monitor tells which sockets libzmq has accepted and closed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/net/net_internal.h"

enum {
    METER_MAX = 16 << 20, /* a whole message, and what the kernel's buffers may hold beside it */
    METER_EVERY_MS = 20,
    LINES_MAX = 4096 /* beyond every usual limit of open files */
};

struct net_meter {
    void *monitor;
    unsigned port;
    int64_t next_ms;
    size_t n_open;
    struct line {
        bool open;
        uint64_t base; /* received until its last whole message */
    } line[LINES_MAX];
};

enum rc net_meter_open(void *context, void *router, struct net_meter **out, struct error *err)
{
    static const char name[] = "inproc://net-meter";
    const int linger = 0;
    struct net_meter *m = calloc(1, sizeof *m);

    if (m == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the network server");
    }
    if (zmq_socket_monitor(router, name, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) == 0) {
        m->monitor = zmq_socket(context, ZMQ_PAIR);
    }
    if (m->monitor == NULL || zmq_setsockopt(m->monitor, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_connect(m->monitor, name) != 0) {
        const int why = errno;
        net_meter_close(&m, router);
        return error_set(err, RC_IO, "network library: no monitor: %s", zmq_strerror(why));
    }
    *out = m;
    return RC_OK;
}

void net_meter_close(struct net_meter **m, void *router)
{
    if (*m != NULL) {
        (void)zmq_socket_monitor(router, NULL, 0);
        net_socket_close(&(*m)->monitor);
        free(*m);
        *m = NULL;
    }
}

void net_meter_port(struct net_meter *m, unsigned port)
{
    m->port = port;
}

bool net_meter_busy(const struct net_meter *m)
{
    return m->n_open > 0;
}

/* Is it (still) a connection to our port? A number may by now belong to another file. */
static bool is_ours(const struct net_meter *m, int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } here = {0};
    socklen_t n = sizeof here;
    int listening = 0;
    socklen_t n_listening = sizeof listening;

    if (fd < 0 || getsockname(fd, &here.any, &n) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n_listening) != 0 || listening) {
        return false;
    }
    const unsigned port = here.any.sa_family == AF_INET    ? ntohs(here.v4.sin_port)
                          : here.any.sa_family == AF_INET6 ? ntohs(here.v6.sin6_port)
                                                           : 0;
    return port == m->port;
}

void net_meter_hang_up(struct net_meter *m, int fd)
{
    if (is_ours(m, fd)) {
        (void)shutdown(fd, SHUT_RDWR);
    }
}

/* Bytes of payload since the connection began; 0: not known. */
static uint64_t received(int fd)
{
    /* Linux >= 4.1; glibc's struct tcp_info ends before this field. */
    enum { AT = 128 };
    unsigned char info[256] = {0};
    socklen_t n = sizeof info;
    uint64_t bytes = 0;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &n) == 0 && n >= AT + sizeof bytes) {
        memcpy(&bytes, info + AT, sizeof bytes);
    }
    return bytes;
}

static void listen_to_monitor(struct net_meter *m)
{
    struct net_event event;
    while (net_next_event(m->monitor, &event)) {
        if (event.value >= LINES_MAX) {
            continue;
        }
        struct line *line = &m->line[event.value];
        const bool open = event.number == ZMQ_EVENT_ACCEPTED;
        m->n_open += open && !line->open ? 1 : 0;
        m->n_open -= !open && line->open ? 1 : 0;
        *line = (struct line){.open = open};
    }
}

void net_meter_whole(struct net_meter *m, int fd)
{
    if (fd >= 0 && fd < LINES_MAX) {
        m->line[fd].base = received(fd);
    }
}

size_t net_meter_check(struct net_meter *m, int64_t now_ms)
{
    size_t ended = 0;

    listen_to_monitor(m);
    if (now_ms < m->next_ms || m->n_open == 0) {
        return 0;
    }
    m->next_ms = now_ms + METER_EVERY_MS;
    for (int fd = 0; fd < LINES_MAX; fd++) {
        struct line *line = &m->line[fd];
        const uint64_t now = line->open ? received(fd) : 0;
        if (now < line->base) {
            line->base = now; /* the number belongs to a newer connection */
        }
        if (now - line->base > METER_MAX && is_ours(m, fd)) {
            net_meter_hang_up(m, fd);
            line->base = now; /* once is enough; the monitor will say that it ended */
            ended++;
        }
    }
    return ended;
}
