/*
 * Sockets, their options, and whole messages. Why each option has its value: README.md.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/net_internal.h"

enum { ENFORCE_ZAP = 93 }; /* ZMQ_ZAP_ENFORCE_DOMAIN: in Debian's library, not in its header */

static bool is_port(const char *text, bool may_pick)
{
    unsigned port = 0;
    const size_t n = strlen(text);
    if (n == 0 || n > 5) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = 10 * port + (unsigned)(text[i] - '0');
    }
    return port <= 65535 && (port > 0 || may_pick);
}

enum rc net_check_endpoint(const char *endpoint, bool may_pick, struct error *err)
{
    static const char scheme[] = "tcp://";
    const char *colon = strrchr(endpoint, ':');
    const size_t n_scheme = sizeof scheme - 1;

    /* ';' would let libzmq read a source address into it. */
    if (strncmp(endpoint, scheme, n_scheme) != 0 || strlen(endpoint) >= NET_ENDPOINT_MAX ||
        strpbrk(endpoint, "; \t\r\n") != NULL || colon <= endpoint + n_scheme ||
        !is_port(colon + 1, may_pick)) {
        return error_set(
            err, RC_INVALID,
            "'%.100s' is not an address: write tcp://HOST:PORT, as tcp://10.0.0.7:7100", endpoint);
    }
    return RC_OK;
}

static RC library_refused(const char *doing, struct error *err)
{
    return error_set(err, errno == ENOMEM ? RC_NOMEM : RC_IO, "network library: %s: %s", doing,
                     zmq_strerror(errno));
}

enum rc net_context_open(void **out, struct error *err)
{
    if (zmq_has("curve") != 1) {
        return error_set(err, RC_STATE,
                         "this libzmq was built without CURVE: install Debian's libzmq5");
    }
    void *context = zmq_ctx_new();
    if (context == NULL) {
        return library_refused("no context", err);
    }
    if (zmq_ctx_set(context, ZMQ_IO_THREADS, 1) != 0) {
        net_context_close(&context);
        return library_refused("threads", err);
    }
    *out = context;
    return RC_OK;
}

void net_context_close(void **context)
{
    if (*context != NULL) {
        while (zmq_ctx_term(*context) != 0 && errno == EINTR) {
        }
        *context = NULL;
    }
}

void net_socket_close(void **socket)
{
    if (*socket != NULL) {
        (void)zmq_close(*socket);
        *socket = NULL;
    }
}

struct option {
    int name, value;
};

static RC set_all(void *socket, const struct option *option, size_t n, struct error *err)
{
    const int64_t frame_max = (int64_t)NET_RAW_MAX + NET_CURVE_EXTRA;

    for (size_t i = 0; i < n; i++) {
        if (zmq_setsockopt(socket, option[i].name, &option[i].value, sizeof option[i].value) != 0) {
            return error_set(err, RC_STATE, "network library: option %d is refused: %s",
                             option[i].name, zmq_strerror(errno));
        }
    }
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) != 0) {
        return error_set(err, RC_STATE, "network library: frames cannot be limited: %s",
                         zmq_strerror(errno));
    }
    return RC_OK;
}

/* Both ends. TCP's own means find a dead link: they count unanswered bytes and not unfinished
 * frames, so a slow link is not a dead one. */
static RC set_common(void *socket, struct error *err)
{
    static const struct option option[] = {
        {ZMQ_LINGER, NET_LINGER_MS},
        {ZMQ_SNDHWM, NET_QUEUE},
        {ZMQ_RCVHWM, NET_QUEUE},
        {ZMQ_HANDSHAKE_IVL, NET_HANDSHAKE_MS},
        {ZMQ_IPV6, 1},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 20},
        {ZMQ_TCP_KEEPALIVE_INTVL, 10},
        {ZMQ_TCP_KEEPALIVE_CNT, 4},
        {ZMQ_TCP_MAXRT, NET_DEAD_LINK_MS},
    };
    return set_all(socket, option, sizeof option / sizeof option[0], err);
}

static RC set_secret(void *socket, const struct seal_keys *keys, struct error *err)
{
    struct seal_curve_secret secret;
    seal_keys_curve_secret(keys, &secret);
    const int answer = zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret.b, sizeof secret.b);
    seal_wipe(&secret, sizeof secret);
    return answer == 0 ? RC_OK : library_refused("secret key", err);
}

enum rc net_router_open(void *context, const struct seal_keys *keys, void **out, struct error *err)
{
    static const struct option option[] = {
        {ENFORCE_ZAP, 1}, /* without a handler nobody gets in, instead of everybody */
        {ZMQ_CURVE_SERVER, 1},
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_BACKLOG, NET_PEERS_MAX},
    };
    void *router = zmq_socket(context, ZMQ_ROUTER);
    enum rc rc;

    if (router == NULL) {
        return library_refused("no socket", err);
    }
    rc = set_common(router, err);
    if (rc == RC_OK) {
        rc = set_all(router, option, sizeof option / sizeof option[0], err);
    }
    if (rc == RC_OK &&
        zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, NET_ZAP_DOMAIN, sizeof NET_ZAP_DOMAIN - 1) != 0) {
        rc = error_set(err, RC_STATE, "network library: no domain for admission: %s",
                       zmq_strerror(errno));
    }
    if (rc == RC_OK) {
        rc = set_secret(router, keys, err);
    }
    if (rc != RC_OK) {
        net_socket_close(&router);
        return rc;
    }
    *out = router;
    return RC_OK;
}

enum rc net_dealer_open(void *context, const struct seal_curve *server,
                        const struct seal_keys *keys, void **out, struct error *err)
{
    static const struct option option[] = {
        {ZMQ_IMMEDIATE, 1}, /* nothing is queued for a connection that is not there */
        {ZMQ_RECONNECT_IVL, 100},
        {ZMQ_RECONNECT_IVL_MAX, 2000},
        {ZMQ_CONNECT_TIMEOUT, 10000},
        /* Behind a proxy TCP sees the proxy only. One frame takes less than this at 20 KB/s. */
        {ZMQ_HEARTBEAT_IVL, 20000},
        {ZMQ_HEARTBEAT_TIMEOUT, NET_DEAD_LINK_MS},
    };
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    struct seal_public sign;
    struct seal_curve own;
    enum rc rc;

    if (dealer == NULL) {
        return library_refused("no socket", err);
    }
    seal_keys_public(keys, &sign, &own);
    rc = set_common(dealer, err);
    if (rc == RC_OK) {
        rc = set_all(dealer, option, sizeof option / sizeof option[0], err);
    }
    if (rc == RC_OK &&
        (zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, server->b, sizeof server->b) != 0 ||
         zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, own.b, sizeof own.b) != 0)) {
        rc = library_refused("public keys", err);
    }
    if (rc == RC_OK) {
        rc = set_secret(dealer, keys, err);
    }
    if (rc != RC_OK) {
        net_socket_close(&dealer);
        return rc;
    }
    *out = dealer;
    return RC_OK;
}

enum rc net_check_sizes(size_t header_n, size_t raw_n, struct error *err)
{
    if (header_n == 0 || header_n > NET_HEADER_MAX || raw_n > NET_RAW_MAX) {
        return error_set(
            err, RC_LIMIT,
            "a message of %zu and %zu bytes: a header has 1 to %d, the rest at most %d", header_n,
            raw_n, NET_HEADER_MAX, NET_RAW_MAX);
    }
    return RC_OK;
}

static int send_part(void *socket, zmq_msg_t *part, int flags)
{
    int answer;
    do {
        answer = zmq_msg_send(part, socket, flags | ZMQ_DONTWAIT);
    } while (answer < 0 && errno == EINTR);
    return answer;
}

/* A send looks at news of connections at most every millisecond; asking for events always does. */
static void hear_news(void *socket)
{
    int events = 0;
    size_t n = sizeof events;
    (void)zmq_getsockopt(socket, ZMQ_EVENTS, &events, &n);
}

/* Memory first: a message that was begun must be ended. */
static RC copy_parts(const struct net_part *part, size_t n, zmq_msg_t *out, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (zmq_msg_init_size(&out[i], part[i].n) != 0) {
            while (i-- > 0) {
                (void)zmq_msg_close(&out[i]);
            }
            return error_set(err, RC_NOMEM, "no memory for a message");
        }
        memcpy(zmq_msg_data(&out[i]), part[i].data, part[i].n);
    }
    return RC_OK;
}

enum rc net_write(void *socket, const struct net_part *part, size_t n, int *refused,
                  struct error *err)
{
    zmq_msg_t msg[NET_PARTS_MAX];
    int failed = 0;

    assert(n <= NET_PARTS_MAX);
    const enum rc rc = copy_parts(part, n, msg, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; i < n && failed == 0; i++) {
        const int more = i + 1 < n ? ZMQ_SNDMORE : 0;
        int answer = send_part(socket, &msg[i], more);
        if (answer < 0 && i == 0 && (errno == EAGAIN || errno == EHOSTUNREACH)) {
            hear_news(socket);
            answer = send_part(socket, &msg[i], more);
        }
        failed = answer < 0 ? errno : 0;
    }
    for (size_t i = 0; i < n; i++) {
        (void)zmq_msg_close(&msg[i]); /* empty where it was sent */
    }
    if (failed != 0 && failed != EAGAIN && failed != EHOSTUNREACH) {
        errno = failed;
        return library_refused("send", err);
    }
    *refused = failed;
    return RC_OK;
}

void net_inbox_init(struct net_inbox *in)
{
    for (size_t i = 0; i <= NET_PARTS_MAX; i++) {
        (void)zmq_msg_init(&in->part[i]); /* cannot fail */
    }
}

void net_inbox_release(struct net_inbox *in)
{
    for (size_t i = 0; i <= NET_PARTS_MAX; i++) {
        (void)zmq_msg_close(&in->part[i]);
    }
}

static int receive_part(void *socket, zmq_msg_t *part)
{
    int answer;
    do {
        answer = zmq_msg_recv(part, socket, ZMQ_DONTWAIT);
    } while (answer < 0 && errno == EINTR);
    return answer;
}

enum rc net_read(void *socket, size_t lead, struct net_inbox *in, struct net_frames *out,
                 enum net_arrival *what, struct error *err)
{
    size_t n = 0;
    bool more = true;

    /* The last view ends here, and with it up to a MiB. */
    net_inbox_release(in);
    net_inbox_init(in);
    while (more) {
        zmq_msg_t *part = &in->part[n < NET_PARTS_MAX ? n : NET_PARTS_MAX];
        if (receive_part(socket, part) < 0) {
            if (errno == EAGAIN && n == 0) {
                *what = NET_NOTHING;
                return RC_OK;
            }
            return library_refused("receive", err);
        }
        more = zmq_msg_more(part) != 0;
        n++;
    }
    zmq_msg_t *header = &in->part[lead];
    zmq_msg_t *raw = &in->part[lead + 1];
    const bool has_raw = n == lead + 2;
    if ((n != lead + 1 && !has_raw) || zmq_msg_size(header) == 0 ||
        zmq_msg_size(header) > NET_HEADER_MAX || (has_raw && zmq_msg_size(raw) == 0) ||
        (has_raw && zmq_msg_size(raw) > NET_RAW_MAX)) {
        *what = NET_MALFORMED;
        return RC_OK;
    }
    *out = (struct net_frames){.header = zmq_msg_data(header), .header_n = zmq_msg_size(header)};
    if (has_raw) {
        out->raw = zmq_msg_data(raw);
        out->raw_n = zmq_msg_size(raw);
    }
    *what = NET_MESSAGE;
    return RC_OK;
}

bool net_next_event(void *monitor, struct net_event *out)
{
    unsigned char data[6]; /* event u16, value u32, in this machine's order */
    uint16_t number = 0;
    char endpoint[NET_ENDPOINT_MAX];
    int got;

    do {
        got = zmq_recv(monitor, data, sizeof data, ZMQ_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got != (int)sizeof data) {
        return false;
    }
    memcpy(&number, data, sizeof number);
    memcpy(&out->value, data + sizeof number, sizeof out->value);
    out->number = number;
    do {
        got = zmq_recv(monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return true;
}

void net_key_id(const unsigned char key[32], char out[NET_KEY_ID])
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = digit[key[i] >> 4];
        out[2 * i + 1] = digit[key[i] & 15];
    }
    out[NET_KEY_ID - 1] = '\0';
}
