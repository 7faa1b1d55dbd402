/*
 * What the monitor says, in the order of a connection's life, and what we make of it:
 *
 *   CONNECTED                 TCP stands; the handshake begins
 *   HANDSHAKE_SUCCEEDED       NET_CONNECTED
 *   HANDSHAKE_FAILED_AUTH     NET_REFUSED
 *   HANDSHAKE_FAILED_..., or  hung up in the handshake: a server that cannot read our greeting, since
 *   DISCONNECTED before it    it is sealed for another key, does that, and whoever speaks another
 *   succeeded                 protocol; so does a link that is cut just then. Three in a row:
 *                             NET_WRONG_SERVER. One that timed out is not counted: a frozen server
 *   DISCONNECTED              the connection was lost
 *   CLOSED                    TCP did not come about: nobody there
 *
 * libzmq connects again after a lost link, and never after a refusal or bytes it does not understand
 * (it calls both final). We do: if it stays silent after a loss, we connect afresh.
 *
 * Each question to a socket of libzmq's is three calls of the system and more, also for the answer "nothing". So we
 * remember what we know: once a receive has found nothing, nothing is there until the descriptor behind the socket
 * (ZMQ_FD) is readable or we have called libzmq about it; any call may take the news off that descriptor. Of a
 * socket that was never asked nothing is known: its first news does not show there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/net_internal.h"

enum { STRIKES = 3, SILENCE_MS = 5000 }; /* libzmq's own attempts are at most 2.1 s apart */
enum { FIRST_NEWS_MS = 5000 };           /* a first connection may take so long without a word */

struct net_client {
    void *context, *dealer, *monitor;
    char endpoint[NET_ENDPOINT_MAX];
    enum net_state state, told; /* told: at the last call */
    bool watched, told_once;    /* net_client_state was called, from watched_ms on; had news */
    int64_t watched_ms;
    uint64_t connections, connections_told;
    bool shaking; /* hands: TCP stands since tcp_ms */
    int64_t tcp_ms;
    int strikes;  /* handshakes in a row that were hung up */
    bool retries; /* we connect again at retry_ms, unless libzmq does before */
    int64_t retry_ms;
    int fd[2];       /* behind dealer and monitor */
    bool settled[2]; /* it had nothing when it was asked, and was not called since */
    bool quiet[2];   /* the last wait found nothing: the next question need not be asked */
    struct net_inbox in;
};

static RC listen_to_monitor(struct net_client *c, struct error *err)
{
    static const char name[] = "inproc://net-monitor";
    const int events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED |
                       ZMQ_EVENT_CLOSED;
    const int linger = 0;

    if (zmq_socket_monitor(c->dealer, name, events) == 0) {
        c->monitor = zmq_socket(c->context, ZMQ_PAIR);
    }
    if (c->monitor == NULL || zmq_setsockopt(c->monitor, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_connect(c->monitor, name) != 0) {
        return error_set(err, RC_IO, "network library: no monitor: %s", zmq_strerror(errno));
    }
    return RC_OK;
}

static RC find_fds(struct net_client *c, struct error *err)
{
    size_t n = sizeof c->fd[0];
    if (zmq_getsockopt(c->dealer, ZMQ_FD, &c->fd[0], &n) != 0 ||
        zmq_getsockopt(c->monitor, ZMQ_FD, &c->fd[1], &n) != 0) {
        return error_set(err, RC_IO, "network library: no descriptor: %s", zmq_strerror(errno));
    }
    return RC_OK;
}

enum rc net_client_open(const char *endpoint, const struct seal_curve *server,
                        const struct seal_keys *keys, struct net_client **out, struct error *err)
{
    struct net_client *c = NULL;
    enum rc rc = net_check_endpoint(endpoint, false, err);
    if (rc != RC_OK) {
        return rc;
    }
    c = calloc(1, sizeof *c);
    if (c == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the network client");
    }
    net_inbox_init(&c->in);
    (void)snprintf(c->endpoint, sizeof c->endpoint, "%s", endpoint);
    rc = net_context_open(&c->context, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = net_dealer_open(c->context, server, keys, &c->dealer, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = listen_to_monitor(c, err);
    if (rc == RC_OK) {
        rc = find_fds(c, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (zmq_connect(c->dealer, c->endpoint) != 0) {
        rc = error_set(err, errno == EINVAL ? RC_INVALID : RC_IO, "cannot connect to %s: %s",
                       c->endpoint, zmq_strerror(errno));
        goto out;
    }
    *out = c;
    c = NULL;
out:
    net_client_close(&c);
    return rc;
}

void net_client_close(struct net_client **c)
{
    if (*c == NULL) {
        return;
    }
    net_inbox_release(&(*c)->in);
    if ((*c)->dealer != NULL) {
        (void)zmq_socket_monitor((*c)->dealer, NULL, 0);
    }
    net_socket_close(&(*c)->monitor);
    net_socket_close(&(*c)->dealer);
    net_context_close(&(*c)->context);
    free(*c);
    *c = NULL;
}

static void retry_in(struct net_client *c, int64_t now_ms, int64_t after_ms)
{
    c->retries = true;
    c->retry_ms = now_ms + after_ms;
}

static void hung_up(struct net_client *c, int64_t now_ms)
{
    if (!c->shaking) {
        return;
    }
    c->shaking = false;
    c->strikes += now_ms - c->tcp_ms < NET_HANDSHAKE_MS / 2 ? 1 : 0;
    c->state = c->strikes >= STRIKES ? NET_WRONG_SERVER : c->state;
}

static void heard(struct net_client *c, unsigned event, int64_t now_ms)
{
    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        c->shaking = true;
        c->tcp_ms = now_ms;
        c->retries = false;
        break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        c->shaking = false;
        c->state = NET_CONNECTED;
        c->connections++;
        c->strikes = 0;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        c->shaking = false;
        c->state = NET_REFUSED;
        c->strikes = 0;
        retry_in(c, now_ms, NET_REFUSED_RETRY_MS);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        hung_up(c, now_ms);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        hung_up(c, now_ms);
        c->state = c->state == NET_CONNECTED ? NET_CONNECTING : c->state;
        if (!c->retries) {
            retry_in(c, now_ms, SILENCE_MS);
        }
        break;
    case ZMQ_EVENT_CLOSED:
        c->state = NET_CONNECTING;
        c->strikes = 0;
        c->retries = false;
        break;
    default:
        break;
    }
}

enum net_state net_client_state(struct net_client *c, int64_t now_ms, bool *changed)
{
    struct net_event event;
    while (!c->quiet[1] && net_next_event(c->monitor, &event)) {
        heard(c, event.number, now_ms);
    }
    c->settled[1] = true;
    c->quiet[1] = false;
    if (c->retries && now_ms >= c->retry_ms) {
        c->retries = false;
        c->settled[0] = false;
        c->quiet[0] = false;
        (void)zmq_disconnect(c->dealer, c->endpoint); /* it may have ended by itself */
        (void)zmq_connect(c->dealer, c->endpoint);    /* it was good once */
    }
    if (!c->watched) {
        c->watched = true;
        c->watched_ms = now_ms;
    }
    *changed = c->state != c->told || c->connections != c->connections_told ||
               (!c->told_once && now_ms - c->watched_ms >= FIRST_NEWS_MS);
    c->told_once = c->told_once || *changed;
    c->told = c->state;
    c->connections_told = c->connections;
    return c->state;
}

const char *net_state_sentence(enum net_state state)
{
    switch (state) {
    case NET_CONNECTING:
        return "no connection to the coordinator; is it running, is its address right, does a "
               "firewall let us out? Trying again";
    case NET_CONNECTED:
        return "connected";
    case NET_REFUSED:
        return "the coordinator does not know this site's key, or has revoked it: send it this "
               "site's card and let it enrol the card. Trying again";
    case NET_WRONG_SERVER:
        return "somebody answers at the coordinator's address who does not have the key of its "
               "card: compare the card's fingerprint with the coordinator's, and check the "
               "address. Trying again";
    }
    return "?";
}

uint64_t net_client_connections(const struct net_client *c)
{
    return c->connections;
}

enum rc net_client_receive(struct net_client *c, bool *got, struct net_frames *out,
                           struct error *err)
{
    enum net_arrival what = NET_MALFORMED;

    if (c->quiet[0]) {
        c->quiet[0] = false;
        *got = false;
        return RC_OK;
    }
    c->settled[0] = false;
    for (int i = 0; i < NET_AT_ONCE && what == NET_MALFORMED; i++) {
        const enum rc rc = net_read(c->dealer, 0, &c->in, out, &what, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    c->settled[0] = what == NET_NOTHING;
    *got = what == NET_MESSAGE;
    return RC_OK;
}

enum rc net_client_send(struct net_client *c, const void *header, size_t header_n, const void *raw,
                        size_t raw_n, bool *sent, struct error *err)
{
    const struct net_part part[] = {{header, header_n}, {raw, raw_n}};
    int refused = 0;
    enum rc rc = net_check_sizes(header_n, raw_n, err);

    c->settled[0] = false;
    c->quiet[0] = false;
    if (rc == RC_OK) {
        rc = net_write(c->dealer, part, raw_n > 0 ? 2 : 1, &refused, err);
    }
    if (rc == RC_OK) {
        *sent = refused == 0;
    }
    return rc;
}

struct net_sockets net_client_sockets(const struct net_client *c)
{
    return (struct net_sockets){.socket = {c->dealer, c->monitor}, .soon = c->retries};
}

void net_client_fds(const struct net_client *c, int out[2])
{
    out[0] = c->fd[0];
    out[1] = c->fd[1];
}

static bool readable(void *socket)
{
    int events = 0;
    size_t n = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &n) != 0 || (events & ZMQ_POLLIN) != 0;
}

bool net_client_has_news(struct net_client *c)
{
    c->settled[0] = c->settled[0] || !readable(c->dealer);
    c->settled[1] = c->settled[1] || !readable(c->monitor);
    return !c->settled[0] || !c->settled[1];
}

bool net_client_waited(struct net_client *c, const bool ready[2])
{
    c->settled[0] = c->settled[0] && !(ready[0] && readable(c->dealer));
    c->settled[1] = c->settled[1] && !(ready[1] && readable(c->monitor));
    c->quiet[0] = c->settled[0];
    c->quiet[1] = c->settled[1];
    return !c->quiet[0] || !c->quiet[1];
}
