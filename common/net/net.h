/**
 * @file net.h
 * CURVE sockets over ZeroMQ: one server (ROUTER) or one client (DEALER), an in-memory allow-list
 * answered in the caller's own loop (ZAP), limits, and one wait for sockets and file descriptors.
 * Frames in, frames out: nothing here knows a message. Home of <zmq.h>.
 *
 * Fails closed: without the handler, or for a key that is not on the list, the handshake is refused;
 * and the key is looked up again for every message, so that a removed peer is out at its next one.
 * docs: the traps are listed in common/net/README.md, each with its test.
 */
#ifndef COMMON_NET_NET_H
#define COMMON_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/seal/seal.h"

enum {
    NET_HEADER_MAX = 64 << 10,
    NET_RAW_MAX = 1 << 20,
    NET_PEERS_MAX = 1024,
    NET_QUEUE = 32, /**< messages queued for one peer (HWM), either way */
    NET_HANDSHAKE_MS = 3000
};

/** One received message. Views live until the next receive on the same socket, and may be unaligned:
 *  memcpy before reading numbers. */
struct net_frames {
    const void *header;
    size_t header_n;
    const void *raw; /**< NULL: none */
    size_t raw_n;
};

/* ---- server ---------------------------------------------------------------------------------- */

struct net_server; /* opaque: context, ROUTER, ZAP handler; one thread */

/** What happened at the door, since open. For status and logs. */
struct net_counts {
    uint64_t admitted, refused_key;    /**< handshakes; reconnections counted again */
    uint64_t dropped_revoked;          /**< messages of a key no longer on the list */
    uint64_t dropped_malformed;        /**< wrong number or size of frames */
    uint64_t dropped_endless;          /**< connections ended: 16 MiB without a whole message */
    uint64_t unsent_gone, unsent_full; /**< messages to a peer that left, or does not read */
};

/**
 * Binds. @param endpoint an address and port such as tcp://127.0.0.1:7100, or a star for all addresses;
 * port 0: the system picks one, net_server_port tells.
 * @retval RC_IO the address is in use or not ours (says which); RC_INVALID not an endpoint
 * @retval RC_STATE this libzmq cannot CURVE or cannot enforce ZAP: nothing is bound
 */
RC net_server_open(const char *endpoint, const struct seal_keys *keys, struct net_server **out,
                   struct error *err);
void net_server_close(struct net_server **s);
unsigned net_server_port(const struct net_server *s);

/** Peer numbers are the caller's, below NET_PEERS_MAX. A key replaces the peer's earlier one.
 *  @retval RC_STATE another peer has this key */
RC net_server_allow(struct net_server *s, size_t peer, const struct seal_curve *key,
                    struct error *err);
/** Its handshakes are refused from now on; its next message is dropped, counted, and its connection
 *  ended, so that it learns from its next try that it is refused. */
void net_server_forbid(struct net_server *s, size_t peer);

/**
 * The next message of an allowed peer, without waiting; also answers ZAP requests, so call it until
 * *got = false: nothing there (or 64 bad ones in a row: net_wait returns at once). Malformed and
 * forbidden ones are counted and skipped.
 */
RC net_server_receive(struct net_server *s, bool *got, size_t *peer, struct net_frames *out,
                      struct error *err);
/**
 * To the connection on which the peer spoke last, without waiting. *sent = false: gone or full;
 * counted, and the protocol's repetition makes up for it. True only says that it is queued.
 * @retval RC_LIMIT header empty or beyond NET_HEADER_MAX, raw beyond NET_RAW_MAX
 */
RC net_server_send(struct net_server *s, size_t peer, const void *header, size_t header_n,
                   const void *raw, size_t raw_n, bool *sent, struct error *err);
const struct net_counts *net_server_counts(const struct net_server *s);

/* ---- client ---------------------------------------------------------------------------------- */

struct net_client; /* opaque: context, DEALER, monitor; one thread */

enum net_state {
    NET_CONNECTING, /**< no connection yet, or lost */
    NET_CONNECTED,  /**< handshake done: both ends proved their keys */
    NET_REFUSED,    /**< the server does not know our key; tried again every NET_REFUSED_RETRY_MS */
    NET_WRONG_SERVER /**< somebody answers, and not with the key we trust: three times running the
                          connection was hung up in the handshake */
};
enum { NET_REFUSED_RETRY_MS = 2000 };

/**
 * Connects in the background and again after each loss.
 * @retval RC_INVALID not an endpoint
 */
RC net_client_open(const char *endpoint, const struct seal_curve *server,
                   const struct seal_keys *keys, struct net_client **out, struct error *err);
void net_client_close(struct net_client **c);

/** Reads the monitor, and connects again when it is time: call it in every turn of the loop.
 *  *changed if the state is another one than at the last call, or a connection was lost and made
 *  again between, or (once) if there has been no news for the first five seconds: NET_CONNECTING is
 *  where it begins, and must be said where it stays. @param now_ms monotonic */
enum net_state net_client_state(struct net_client *c, int64_t now_ms, bool *changed);
/** One sentence for the operator: what is wrong and what to do; "connected" if nothing is. */
const char *net_state_sentence(enum net_state state);
/** Connections made so far: a number that grew says that what was in flight may be lost. */
uint64_t net_client_connections(const struct net_client *c);

RC net_client_receive(struct net_client *c, bool *got, struct net_frames *out, struct error *err);
/** *sent = false: not connected, or the queue is full. True only says that it is queued: what is on
 *  its way when the link is lost is lost. @retval RC_LIMIT as net_server_send */
RC net_client_send(struct net_client *c, const void *header, size_t header_n, const void *raw,
                   size_t raw_n, bool *sent, struct error *err);

/* ---- waiting --------------------------------------------------------------------------------- */

enum { NET_WAIT_FDS = 8 };

/** What to wait for; NULL and n_fds = 0 are fine. */
struct net_wait {
    struct net_server *server;
    struct net_client *client;
    size_t n_fds;
    struct {
        int fd;
        bool want_write;         /**< also wait until it can be written */
        bool readable, writable; /**< [out] */
    } fd[NET_WAIT_FDS];
};

/** Until something is there, or `timeout_ms` (-1: for ever), or half a second while connections
 *  must be looked after (net_client_state, net_server_receive). Interrupted by a signal: returns RC_OK with nothing ready. Messages already
 *  read into libzmq are never slept over. A descriptor whose other end is gone counts as ready. */
RC net_wait(struct net_wait *w, int64_t timeout_ms, struct error *err);

#endif
