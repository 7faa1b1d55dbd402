/**
 * @file net_internal.h
 * What server and client share: sockets with their options set, whole messages in and out.
 */
#ifndef COMMON_NET_NET_INTERNAL_H
#define COMMON_NET_NET_INTERNAL_H

#include <zmq.h>

#include "common/net/net.h"

#define NET_ZAP_DOMAIN "wardround"

enum {
    NET_CURVE_EXTRA = 33, /**< what CURVE adds to a frame, and MAXMSGSIZE counts */
    NET_LINGER_MS = 1000, /**< at close, for what was sent last */
    NET_DEAD_LINK_MS = 60000,
    NET_LOOK_MS = 500, /**< the longest wait while a client is to connect again by the clock */
    NET_ENDPOINT_MAX = SEAL_ADDRESS_MAX,
    NET_PARTS_MAX = 3, /**< routing id, header, raw */
    NET_AT_ONCE = 64,  /**< messages skipped, or doors opened, in one call */
    NET_KEY_ID = 2 * 32 + 1
};

/** @retval RC_INVALID not tcp://HOST:PORT; port 0 only where one may be picked */
RC net_check_endpoint(const char *endpoint, bool may_pick, struct error *err);

/** A context with one I/O thread. @retval RC_STATE this libzmq has no CURVE */
RC net_context_open(void **out, struct error *err);

/** Sockets with every option of common/net/README.md set, neither bound nor connected. The secret
 *  key is wiped here; libzmq keeps its own copy. */
RC net_router_open(void *context, const struct seal_keys *keys, void **out, struct error *err);
RC net_dealer_open(void *context, const struct seal_curve *server, const struct seal_keys *keys,
                   void **out, struct error *err);
/** NULL is fine. */
void net_socket_close(void **socket);
void net_context_close(void **context);

struct net_part {
    const void *data;
    size_t n;
};

/**
 * All parts or none, without waiting.
 * @param refused 0: sent; EAGAIN: full or nobody there; EHOSTUNREACH: no such routing id
 */
RC net_write(void *socket, const struct net_part *part, size_t n, int *refused, struct error *err);
/** Header and raw are in bounds. @retval RC_LIMIT */
RC net_check_sizes(size_t header_n, size_t raw_n, struct error *err);

enum net_arrival { NET_NOTHING, NET_MESSAGE, NET_MALFORMED };

/** Parts of the last message; init once. */
struct net_inbox {
    zmq_msg_t part[NET_PARTS_MAX + 1]; /**< the last one: what is too much */
};
void net_inbox_init(struct net_inbox *in);
void net_inbox_release(struct net_inbox *in);

/** One message, `lead` parts before its header. `out` views into `in`, on NET_MESSAGE only. */
RC net_read(void *socket, size_t lead, struct net_inbox *in, struct net_frames *out,
            enum net_arrival *what, struct error *err);

/** Lower-case hexadecimal: what the User-Id of an admitted connection is. */
void net_key_id(const unsigned char key[32], char out[NET_KEY_ID]);

/** @return does this key come in? */
typedef bool net_doorman(void *who, const unsigned char key[32]);
/** Answers one request of libzmq's handshakes. *got = false: there was none. */
RC net_zap_answer(void *zap, net_doorman *knows, void *who, bool *got, struct error *err);

/** What a monitor said: number and value as zmq_socket_monitor(3) lists them. */
struct net_event {
    unsigned number;
    uint32_t value;
};
/** @return false: nothing was said */
bool net_next_event(void *monitor, struct net_event *out);

/** Ends connections on which a message does not end (meter.c). */
struct net_meter;
/** Before the router is bound. */
RC net_meter_open(void *context, void *router, struct net_meter **out, struct error *err);
void net_meter_close(struct net_meter **m, void *router);
void net_meter_port(struct net_meter *m, unsigned port);
bool net_meter_busy(const struct net_meter *m);
/** A whole message came from this socket (ZMQ_SRCFD of one of its frames). */
void net_meter_whole(struct net_meter *m, int fd);
/** To be called when all whole messages have been read. @return connections ended */
size_t net_meter_check(struct net_meter *m, int64_t now_ms);
/**
 * libzmq cannot end one connection, so its socket is shut down; the other side then connects again.
 * Nothing happens if `fd` is not a connection to our port; should it by now be another peer's, that
 * one reconnects.
 */
void net_meter_hang_up(struct net_meter *m, int fd);

/* For net_wait. */
struct net_sockets {
    void *socket[2];
    bool soon; /**< look again after NET_LOOK_MS at the latest */
};
struct net_sockets net_server_sockets(const struct net_server *s);
struct net_sockets net_client_sockets(const struct net_client *c);

/** The descriptors behind a client's two sockets: readable when libzmq has news for them. Neither is to be read. */
void net_client_fds(const struct net_client *c, int out[2]);
/** Is a message there already? Then there is nothing to wait for. */
bool net_client_has_news(struct net_client *c);
/** What a wait has found of the two descriptors: a socket without news is not asked by the call that follows.
 *  @return has one of them any? A descriptor may be readable for libzmq's own sake. */
bool net_client_waited(struct net_client *c, const bool ready[2]);

#endif
