#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/net/net_internal.h"

enum { ROUTE_MAX = 255 };

struct peer {
    bool allowed;
    struct seal_curve key;
    char id[NET_KEY_ID]; /* of the key; the User-Id of its connections */
    /* Where it spoke last: an address for the answer, no proof of anything. */
    unsigned char route[ROUTE_MAX];
    size_t route_n;
};

struct net_server {
    void *context, *router, *zap;
    struct net_meter *meter;
    unsigned port;
    struct net_inbox in;
    struct net_counts counts;
    struct peer peer[NET_PEERS_MAX];
};

static RC cannot_bind(const char *endpoint, struct error *err)
{
    const int why = errno;
    const char *mend = why == EADDRINUSE ? "another program has this port; stop it or take another"
                       : why == EACCES   ? "ports below 1024 need a privilege; take a higher one"
                       : why == EADDRNOTAVAIL ? "this machine does not have that address"
                       : why == ENODEV        ? "this machine does not have that address"
                                              : zmq_strerror(why);
    return error_set(err, why == EINVAL ? RC_INVALID : RC_IO, "cannot listen on %s: %s", endpoint,
                     mend);
}

static RC listen_on(struct net_server *s, const char *endpoint, struct error *err)
{
    char bound[NET_ENDPOINT_MAX + 32];
    size_t n = sizeof bound;

    if (zmq_bind(s->router, endpoint) != 0) {
        return cannot_bind(endpoint, err);
    }
    if (zmq_getsockopt(s->router, ZMQ_LAST_ENDPOINT, bound, &n) != 0) {
        return error_set(err, RC_IO, "network library: no port: %s", zmq_strerror(errno));
    }
    const char *colon = strrchr(bound, ':');
    s->port = colon != NULL ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
    return RC_OK;
}

enum rc net_server_open(const char *endpoint, const struct seal_keys *keys, struct net_server **out,
                        struct error *err)
{
    struct net_server *s = NULL;
    enum rc rc = net_check_endpoint(endpoint, true, err);
    if (rc != RC_OK) {
        return rc;
    }
    s = calloc(1, sizeof *s);
    if (s == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the network server");
    }
    net_inbox_init(&s->in);
    rc = net_context_open(&s->context, err);
    if (rc != RC_OK) {
        goto out;
    }
    /* The door has its keeper before it opens. */
    s->zap = zmq_socket(s->context, ZMQ_REP);
    if (s->zap == NULL || zmq_bind(s->zap, "inproc://zeromq.zap.01") != 0) {
        rc = error_set(err, RC_STATE, "network library: no admission: %s", zmq_strerror(errno));
        goto out;
    }
    rc = net_router_open(s->context, keys, &s->router, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = net_meter_open(s->context, s->router, &s->meter, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = listen_on(s, endpoint, err);
    if (rc != RC_OK) {
        goto out;
    }
    net_meter_port(s->meter, s->port);
    *out = s;
    s = NULL;
out:
    net_server_close(&s);
    return rc;
}

void net_server_close(struct net_server **s)
{
    if (*s == NULL) {
        return;
    }
    net_inbox_release(&(*s)->in);
    net_meter_close(&(*s)->meter, (*s)->router);
    net_socket_close(&(*s)->router);
    net_socket_close(&(*s)->zap);
    net_context_close(&(*s)->context);
    free(*s);
    *s = NULL;
}

unsigned net_server_port(const struct net_server *s)
{
    return s->port;
}

const struct net_counts *net_server_counts(const struct net_server *s)
{
    return &s->counts;
}

enum rc net_server_allow(struct net_server *s, size_t peer, const struct seal_curve *key,
                         struct error *err)
{
    assert(peer < NET_PEERS_MAX);
    for (size_t i = 0; i < NET_PEERS_MAX; i++) {
        if (i != peer && s->peer[i].allowed &&
            memcmp(s->peer[i].key.b, key->b, sizeof key->b) == 0) {
            return error_set(err, RC_STATE,
                             "two peers with the same transport key: let one of "
                             "them make new keys");
        }
    }
    if (s->peer[peer].allowed && memcmp(s->peer[peer].key.b, key->b, sizeof key->b) == 0) {
        return RC_OK; /* and its connection stays known */
    }
    s->peer[peer] = (struct peer){.allowed = true, .key = *key};
    net_key_id(key->b, s->peer[peer].id);
    return RC_OK;
}

void net_server_forbid(struct net_server *s, size_t peer)
{
    assert(peer < NET_PEERS_MAX);
    s->peer[peer] = (struct peer){0};
}

static bool knows(void *who, const unsigned char key[32])
{
    struct net_server *s = who;
    for (size_t i = 0; i < NET_PEERS_MAX; i++) {
        if (s->peer[i].allowed && memcmp(s->peer[i].key.b, key, 32) == 0) {
            s->counts.admitted++;
            return true;
        }
    }
    s->counts.refused_key++;
    return false;
}

static struct peer *by_id(struct net_server *s, const char *id)
{
    for (size_t i = 0; id != NULL && i < NET_PEERS_MAX; i++) {
        if (s->peer[i].allowed && strcmp(s->peer[i].id, id) == 0) {
            return &s->peer[i];
        }
    }
    return NULL;
}

static void remember_route(struct peer *p, zmq_msg_t *route)
{
    p->route_n = zmq_msg_size(route);
    assert(p->route_n <= ROUTE_MAX); /* ZMTP's own limit */
    memcpy(p->route, zmq_msg_data(route), p->route_n);
}

/* What was read: is it from somebody, and in shape? @return the peer, or NULL: counted */
static struct peer *sender_of(struct net_server *s, enum net_arrival what)
{
    /* On the header: libzmq 4.3.4 leaves the metadata off the routing id where it was polled for. */
    zmq_msg_t *const header = &s->in.part[1];
    struct peer *p = by_id(s, zmq_msg_gets(header, "User-Id"));
    const int fd = zmq_msg_get(header, ZMQ_SRCFD);
    net_meter_whole(s->meter, fd);
    if (p == NULL) {
        s->counts.dropped_revoked++;
        net_meter_hang_up(s->meter, fd);
        return NULL;
    }
    if (what == NET_MALFORMED) {
        s->counts.dropped_malformed++;
        return NULL;
    }
    remember_route(p, &s->in.part[0]);
    return p;
}

static RC answer_door(struct net_server *s, struct error *err)
{
    bool got = true;
    enum rc rc = RC_OK;
    for (int i = 0; i < NET_AT_ONCE && got && rc == RC_OK; i++) {
        rc = net_zap_answer(s->zap, knows, s, &got, err);
    }
    return rc;
}

enum rc net_server_receive(struct net_server *s, bool *got, size_t *peer, struct net_frames *out,
                           struct error *err)
{
    enum rc rc = answer_door(s, err);
    if (rc != RC_OK) {
        return rc;
    }
    /* Somebody who sends rubbish without end must not keep us here. */
    for (int skipped = 0; skipped < NET_AT_ONCE; skipped++) {
        struct net_frames frames;
        enum net_arrival what = NET_NOTHING;

        rc = net_read(s->router, 1, &s->in, &frames, &what, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (what == NET_NOTHING) {
            s->counts.dropped_endless += net_meter_check(s->meter, clock_monotonic_ms());
            break;
        }
        const struct peer *p = sender_of(s, what);
        if (p != NULL) {
            *got = true;
            *peer = (size_t)(p - s->peer);
            *out = frames;
            return RC_OK;
        }
    }
    *got = false;
    return RC_OK;
}

enum rc net_server_send(struct net_server *s, size_t peer, const void *header, size_t header_n,
                        const void *raw, size_t raw_n, bool *sent, struct error *err)
{
    assert(peer < NET_PEERS_MAX);
    struct peer *p = &s->peer[peer];
    const struct net_part part[] = {{p->route, p->route_n}, {header, header_n}, {raw, raw_n}};
    int refused = EHOSTUNREACH;
    enum rc rc = net_check_sizes(header_n, raw_n, err);

    if (rc == RC_OK && p->allowed && p->route_n > 0) {
        rc = net_write(s->router, part, raw_n > 0 ? 3 : 2, &refused, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    s->counts.unsent_gone += refused == EHOSTUNREACH ? 1 : 0;
    s->counts.unsent_full += refused == EAGAIN ? 1 : 0;
    *sent = refused == 0;
    return RC_OK;
}

struct net_sockets net_server_sockets(const struct net_server *s)
{
    return (struct net_sockets){.socket = {s->router, s->zap}, .soon = net_meter_busy(s->meter)};
}
