/* Real sockets on loopback, port 0: what libzmq does is what is tested here. The time that the
 * client is told is the test's own, so nothing waits for a retry. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <zmq.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/net/net.h"
#include "common/net/net_internal.h"
#include "tests/support/seed.h"

enum { PATIENCE_MS = 20000, PARTIES = 6, MAIL = 64 };

/* ---- a server, some clients, and what arrived ------------------------------------------------- */

struct party {
    struct seal_keys *keys;
    struct seal_curve curve;
};
static struct party coordinator, party[PARTIES];

struct mail {
    size_t peer, header_n, raw_n;
    unsigned char first, last; /* of the raw frame, else of the header */
};

struct hall {
    struct net_server *server;
    struct net_client *client[PARTIES];
    enum net_state state[PARTIES];
    int64_t now_ms;
    struct mail mail[MAIL]; /* at the server */
    size_t n_mail;
    size_t n_received[PARTIES]; /* at the clients */
};
static struct hall hall;

static void must(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        fail_msg("%s", err->text);
    }
}

static void new_party(struct party *p)
{
    struct error err = {0};
    struct seal_public sign;
    must(seal_keys_random(&p->keys, &err), &err);
    seal_keys_public(p->keys, &sign, &p->curve);
}

static int make_parties(void **state)
{
    (void)state;
    new_party(&coordinator);
    for (size_t i = 0; i < PARTIES; i++) {
        new_party(&party[i]);
    }
    return 0;
}

static int drop_parties(void **state)
{
    (void)state;
    seal_keys_close(&coordinator.keys);
    for (size_t i = 0; i < PARTIES; i++) {
        seal_keys_close(&party[i].keys);
    }
    return 0;
}

static void serve(const char *endpoint, const struct party *as)
{
    struct error err = {0};
    must(net_server_open(endpoint, as->keys, &hall.server, &err), &err);
}

static void allow(size_t peer)
{
    struct error err = {0};
    must(net_server_allow(hall.server, peer, &party[peer].curve, &err), &err);
}

static const char *address(unsigned port)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "tcp://127.0.0.1:%u", port);
    return text;
}

static void join(size_t i, const struct party *trusted, unsigned port)
{
    struct error err = {0};
    must(net_client_open(address(port), &trusted->curve, party[i].keys, &hall.client[i], &err),
         &err);
}

static int open_hall(void **state)
{
    (void)state;
    hall = (struct hall){0};
    serve("tcp://127.0.0.1:0", &coordinator);
    return 0;
}

static int close_hall(void **state)
{
    (void)state;
    for (size_t i = 0; i < PARTIES; i++) {
        net_client_close(&hall.client[i]);
    }
    net_server_close(&hall.server);
    return 0;
}

static void collect(void)
{
    struct error err = {0};
    bool got = true;
    while (got) {
        size_t peer = SIZE_MAX;
        struct net_frames f = {0};
        must(net_server_receive(hall.server, &got, &peer, &f, &err), &err);
        if (got) {
            const unsigned char *b = f.raw != NULL ? f.raw : f.header;
            const size_t n = f.raw != NULL ? f.raw_n : f.header_n;
            hall.mail[hall.n_mail++ % MAIL] = (struct mail){.peer = peer,
                                                            .header_n = f.header_n,
                                                            .raw_n = f.raw_n,
                                                            .first = b[0],
                                                            .last = b[n - 1]};
        }
    }
}

/* One turn of all loops, a few milliseconds at most. */
static void turn(void)
{
    struct error err = {0};
    struct net_wait w = {.server = hall.server};

    for (size_t i = 0; i < PARTIES; i++) {
        bool changed = false;
        bool got = hall.client[i] != NULL;
        struct net_frames f;
        if (got) {
            hall.state[i] = net_client_state(hall.client[i], hall.now_ms, &changed);
            w.client = hall.client[i];
        }
        while (got) {
            must(net_client_receive(hall.client[i], &got, &f, &err), &err);
            hall.n_received[i] += got ? 1 : 0;
        }
    }
    if (hall.server != NULL) {
        collect();
    }
    must(net_wait(&w, 2, &err), &err);
}

static void complain(const char *wanted)
{
    const struct net_counts *c = hall.server != NULL ? net_server_counts(hall.server) : NULL;
    if (c != NULL) {
        print_error("admitted %" PRIu64 ", refused %" PRIu64 ", revoked %" PRIu64
                    ", malformed %" PRIu64 ", mail %zu, client 0 in state %d\n",
                    c->admitted, c->refused_key, c->dropped_revoked, c->dropped_malformed,
                    hall.n_mail, (int)hall.state[0]);
    }
    fail_msg("waited in vain for %s", wanted);
}

#define until(condition)                                                                 \
    for (const int64_t end = clock_monotonic_ms() + PATIENCE_MS; !(condition); turn()) { \
        if (clock_monotonic_ms() > end) {                                                \
            complain(#condition);                                                        \
        }                                                                                \
    }

static bool sends(struct net_client *c, const void *header, size_t header_n, const void *raw,
                  size_t raw_n)
{
    struct error err = {0};
    bool sent = false;
    must(net_client_send(c, header, header_n, raw, raw_n, &sent, &err), &err);
    return sent;
}

static bool says(size_t i, const void *header, size_t header_n, const void *raw, size_t raw_n)
{
    return sends(hall.client[i], header, header_n, raw, raw_n);
}

static bool tells(size_t peer, const void *header, size_t header_n, const void *raw, size_t raw_n)
{
    struct error err = {0};
    bool sent = false;
    must(net_server_send(hall.server, peer, header, header_n, raw, raw_n, &sent, &err), &err);
    return sent;
}

/* Connected, and the server knows where. */
static void greet(size_t i)
{
    until(hall.state[i] == NET_CONNECTED);
    const size_t before = hall.n_mail;
    assert_true(says(i, "hello", 5, NULL, 0));
    until(hall.n_mail > before);
    assert_int_equal(hall.mail[before % MAIL].peer, i);
}

static void allow_and_greet(size_t i)
{
    allow(i);
    join(i, &coordinator, net_server_port(hall.server));
    greet(i);
}

/* A client of libzmq's own making, for what ours would not send. */
static void *stranger(void *context, const struct party *as, const char *routing_id)
{
    struct error err = {0};
    void *dealer = NULL;
    const int64_t no_limit = -1;
    const int none = 0;
    must(net_dealer_open(context, &coordinator.curve, as->keys, &dealer, &err), &err);
    assert_int_equal(zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &no_limit, sizeof no_limit), 0);
    assert_int_equal(zmq_setsockopt(dealer, ZMQ_LINGER, &none, sizeof none), 0);
    if (routing_id != NULL) {
        assert_int_equal(zmq_setsockopt(dealer, ZMQ_ROUTING_ID, routing_id, strlen(routing_id)), 0);
    }
    assert_int_equal(zmq_connect(dealer, address(net_server_port(hall.server))), 0);
    return dealer;
}

static bool writable(void *socket)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLOUT};
    return zmq_poll(&item, 1, 0) == 1;
}

/* `n` frames of these sizes. */
static void send_frames(void *socket, const size_t *size, size_t n)
{
    static const unsigned char zeros[NET_RAW_MAX + 1];
    until(writable(socket));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(zmq_send(socket, zeros, size[i], i + 1 < n ? ZMQ_SNDMORE : 0), size[i]);
    }
}

/* ---- messages --------------------------------------------------------------------------------- */

static unsigned char big[NET_RAW_MAX];

static void messages_of_every_legal_size_arrive_both_ways(void **state)
{
    (void)state;
    static const size_t size[][2] = {
        {1, 0}, {1, 1}, {33, 7}, {NET_HEADER_MAX, 0}, {NET_HEADER_MAX, NET_RAW_MAX}};
    allow_and_greet(0);
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        const size_t header_n = size[i][0];
        const size_t raw_n = size[i][1];
        const size_t before = hall.n_mail;
        const size_t received = hall.n_received[0];
        const size_t n = raw_n > 0 ? raw_n : header_n;
        memset(big, 0, sizeof big);
        big[0] = 17;
        big[n - 1] = 29;
        assert_true(says(0, big, header_n, big, raw_n));
        until(hall.n_mail > before);
        assert_int_equal(hall.mail[before].header_n, header_n);
        assert_int_equal(hall.mail[before].raw_n, raw_n);
        assert_int_equal(hall.mail[before].first, n == 1 ? 29 : 17);
        assert_int_equal(hall.mail[before].last, 29);
        assert_true(tells(0, big, header_n, big, raw_n));
        until(hall.n_received[0] > received);
    }
}

static void a_message_beyond_the_limits_is_not_sent(void **state)
{
    (void)state;
    struct error err = {0};
    bool sent = false;
    allow_and_greet(0);
    static const size_t size[][2] = {{0, 0}, {0, 5}, {NET_HEADER_MAX + 1, 0}, {1, NET_RAW_MAX + 1}};
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        assert_int_equal(net_client_send(hall.client[0], big, size[i][0], big, size[i][1], &sent,
                                         &err),
                         RC_LIMIT);
        assert_int_equal(net_server_send(hall.server, 0, big, size[i][0], big, size[i][1], &sent,
                                         &err),
                         RC_LIMIT);
    }
}

static void nothing_is_queued_for_a_connection_that_is_not_there(void **state)
{
    (void)state;
    allow(0);
    join(0, &coordinator, net_server_port(hall.server));
    assert_false(says(0, "early", 5, NULL, 0));
    assert_false(tells(0, "early", 5, NULL, 0)); /* it never spoke */
    assert_false(tells(1, "nobody", 6, NULL, 0));
    assert_int_equal(net_server_counts(hall.server)->unsent_gone, 2);
    greet(0);
    assert_int_equal(hall.n_mail, 1);
}

static void what_is_said_to_be_connected_can_be_sent_to_at_once(void **state)
{
    (void)state;
    const unsigned port = net_server_port(hall.server);
    allow(0);
    for (int i = 0; i < 20; i++) {
        bool changed = false;
        bool taken =
            false; /* once: between the connection and its news many would fill the queue */
        const int64_t end = clock_monotonic_ms() + PATIENCE_MS;
        join(0, &coordinator, port);
        while (net_client_state(hall.client[0], 0, &changed) != NET_CONNECTED) {
            collect(); /* the server's part */
            taken = taken || says(0, "too early", 9, NULL, 0);
            assert_true(clock_monotonic_ms() < end);
        }
        assert_true(says(0, "at once", 7, NULL, 0));
        net_client_close(&hall.client[0]);
    }
    until(hall.n_mail >= 20);
}

static void what_was_sent_last_survives_the_close(void **state)
{
    (void)state;
    allow_and_greet(0);
    assert_true(says(0, "withdrawn", 9, big, sizeof big));
    net_client_close(&hall.client[0]);
    until(hall.n_mail == 2);
    assert_int_equal(hall.mail[1].raw_n, sizeof big);
}

/* ---- the door --------------------------------------------------------------------------------- */

static int handshakes_until(void *client, int wanted_events)
{
    unsigned char data[6] = {0};
    uint16_t event = 0;
    const int patience = PATIENCE_MS;
    (void)zmq_setsockopt(client, ZMQ_RCVTIMEO, &patience, sizeof patience);
    while ((event & wanted_events) == 0) {
        assert_int_equal(zmq_recv(client, data, sizeof data, 0), sizeof data);
        memcpy(&event, data, sizeof event);
        (void)zmq_recv(client, data, sizeof data, 0);
    }
    return event;
}

/* A router without anybody at inproc://zeromq.zap.01: what comes of a stranger's handshake? */
static int handshake_without_a_handler(bool ours)
{
    struct error err = {0};
    void *context = NULL;
    void *router = NULL;
    void *other = NULL;
    void *dealer = NULL;
    char endpoint[64];
    size_t n = sizeof endpoint;

    must(net_context_open(&context, &err), &err);
    must(net_context_open(&other, &err), &err);
    must(net_router_open(context, coordinator.keys, &router, &err), &err);
    if (!ours) { /* as the library comes */
        const int no = 0;
        assert_int_equal(zmq_setsockopt(router, 93, &no, sizeof no), 0);
    }
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:0"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &n), 0);
    must(net_dealer_open(other, &coordinator.curve, party[0].keys, &dealer, &err), &err);
    assert_int_equal(zmq_socket_monitor(dealer, "inproc://m", ZMQ_EVENT_ALL), 0);
    void *monitor = zmq_socket(other, ZMQ_PAIR);
    assert_int_equal(zmq_connect(monitor, "inproc://m"), 0);
    assert_int_equal(zmq_connect(dealer, endpoint), 0);
    const int event =
        handshakes_until(monitor, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                      ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                      ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    net_socket_close(&monitor);
    net_socket_close(&dealer);
    net_socket_close(&router);
    net_context_close(&other);
    net_context_close(&context);
    return event;
}

static void without_a_handler_nobody_gets_in(void **state)
{
    (void)state;
    assert_int_not_equal(handshake_without_a_handler(true), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    /* And the trap is real: as it comes, the library lets everybody in. */
    assert_int_equal(handshake_without_a_handler(false), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
}

static void an_unknown_key_is_refused_and_enrolled_later_gets_in(void **state)
{
    (void)state;
    join(0, &coordinator, net_server_port(hall.server));
    until(hall.state[0] == NET_REFUSED);
    assert_int_equal(net_server_counts(hall.server)->refused_key, 1);
    assert_int_equal(net_server_counts(hall.server)->admitted, 0);
    assert_false(says(0, "let me in", 9, NULL, 0));
    assert_non_null(strstr(net_state_sentence(NET_REFUSED), "enrol"));

    hall.now_ms += NET_REFUSED_RETRY_MS; /* again, and again in vain */
    until(net_server_counts(hall.server)->refused_key == 2);
    until(hall.state[0] == NET_REFUSED);
    allow(0);
    for (int i = 0; i < 20; i++) { /* not before its time */
        hall.now_ms += 1;
        turn();
    }
    assert_int_equal(net_server_counts(hall.server)->admitted, 0);
    hall.now_ms += NET_REFUSED_RETRY_MS;
    greet(0);
    assert_int_equal(net_client_connections(hall.client[0]), 1);
    assert_int_equal(net_server_counts(hall.server)->admitted, 1);
}

static void a_server_with_another_key_is_told_from_one_that_is_away(void **state)
{
    (void)state;
    char endpoint[64];
    const unsigned port = net_server_port(hall.server);

    (void)snprintf(endpoint, sizeof endpoint, "%s", address(port));
    allow(0);
    join(0, &party[5], port); /* trusts another card */
    until(hall.state[0] == NET_WRONG_SERVER);
    assert_int_equal(net_client_connections(hall.client[0]), 0);
    assert_int_equal(net_server_counts(hall.server)->admitted, 0);

    net_server_close(&hall.server);
    until(hall.state[0] == NET_CONNECTING); /* nobody answers any more */
    serve(endpoint, &party[5]);             /* the right one */
    allow(0);
    greet(0);
}

static void a_server_of_another_protocol_is_a_wrong_server(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    static const char page[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
    join(0, &coordinator, ntohs(at.sin_port));
    const int64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (hall.state[0] != NET_WRONG_SERVER) {
        const int fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            assert_int_equal(write(fd, page, sizeof page - 1), sizeof page - 1);
            (void)close(fd);
        }
        hall.now_ms += 50;
        turn();
        assert_true(clock_monotonic_ms() < end);
    }
    (void)close(listener);
}

static void a_removed_peer_is_out_at_its_next_message(void **state)
{
    (void)state;
    allow_and_greet(0);
    allow_and_greet(1);
    net_server_forbid(hall.server, 0);
    assert_false(tells(0, "secret", 6, NULL, 0));
    assert_true(says(0, "still here", 10, NULL, 0));
    assert_true(says(1, "me too", 6, NULL, 0));
    until(net_server_counts(hall.server)->dropped_revoked == 1);
    until(hall.n_mail == 3);
    assert_int_equal(hall.mail[2].peer, 1);
    until(hall.state[0] == NET_REFUSED); /* hung up, and told why */
    assert_int_equal(hall.state[1], NET_CONNECTED);
    assert_int_equal(net_client_connections(hall.client[1]), 1);

    allow(0);
    hall.now_ms += NET_REFUSED_RETRY_MS;
    greet(0);
    assert_int_equal(net_client_connections(hall.client[0]), 2);
}

static void a_new_key_replaces_the_old_one(void **state)
{
    (void)state;
    struct error err = {0};
    allow_and_greet(0);
    must(net_server_allow(hall.server, 0, &party[2].curve, &err), &err);
    assert_true(says(0, "old key", 7, NULL, 0));
    until(net_server_counts(hall.server)->dropped_revoked == 1);
    assert_int_equal(net_server_allow(hall.server, 3, &party[2].curve, &err), RC_STATE);
    assert_int_equal(hall.n_mail, 1);
}

static void the_peer_is_its_key_and_not_the_routing_id_it_chose(void **state)
{
    (void)state;
    struct error err = {0};
    void *context = NULL;
    static const size_t hello[] = {5};

    must(net_context_open(&context, &err), &err);
    allow(0);
    allow(1);
    allow_and_greet(2);
    void *first = stranger(context, &party[0], "site-two");
    send_frames(first, hello, 1);
    until(hall.n_mail == 2);
    assert_int_equal(hall.mail[1].peer, 0);
    void *thief = stranger(context, &party[1], "site-two"); /* a name that is in use */
    until(net_server_counts(hall.server)->admitted == 3);
    send_frames(thief, hello, 1);
    assert_true(tells(0, "for 0", 5, NULL, 0));
    assert_false(tells(1, "for 1", 5, NULL, 0)); /* never heard: its name is taken */
    zmq_pollitem_t item = {.socket = first, .events = ZMQ_POLLIN};
    until(zmq_poll(&item, 1, 0) == 1);
    item.socket = thief;
    assert_int_equal(zmq_poll(&item, 1, 0), 0);
    greet(2); /* undisturbed */
    net_socket_close(&first);
    net_socket_close(&thief);
    net_context_close(&context);
}

static void the_answer_goes_where_the_peer_spoke_last(void **state)
{
    (void)state;
    struct error err = {0};
    allow_and_greet(0);
    must(net_client_open(address(net_server_port(hall.server)), &coordinator.curve, party[0].keys,
                         &hall.client[1], &err),
         &err);
    until(hall.state[1] == NET_CONNECTED);
    assert_true(says(1, "me now", 6, NULL, 0));
    until(hall.n_mail == 2);
    assert_int_equal(hall.mail[1].peer, 0);
    assert_true(tells(0, "a", 1, NULL, 0));
    until(hall.n_received[1] == 1);
    assert_int_equal(hall.n_received[0], 0);
    greet(0);
    assert_true(tells(0, "b", 1, NULL, 0));
    until(hall.n_received[0] == 1);
}

static void fifty_strangers_do_not_disturb_the_one_who_is_known(void **state)
{
    (void)state;
    enum { STRANGERS = 50, TALK = 100 };
    struct error err = {0};
    void *context = NULL;
    void *dealer[STRANGERS];
    struct party unknown;

    must(net_context_open(&context, &err), &err);
    allow_and_greet(0);
    for (size_t i = 0; i < STRANGERS; i++) {
        new_party(&unknown);
        dealer[i] = stranger(context, &unknown, NULL);
        seal_keys_close(&unknown.keys);
    }
    for (size_t i = 0; i < TALK; i++) {
        const size_t before = hall.n_mail;
        assert_true(says(0, "on and on", 9, NULL, 0));
        until(hall.n_mail > before);
        assert_int_equal(hall.mail[before % MAIL].peer, 0);
    }
    until(net_server_counts(hall.server)->refused_key >= STRANGERS);
    assert_int_equal(net_server_counts(hall.server)->admitted, 1);
    assert_int_equal(net_client_connections(hall.client[0]), 1);
    for (size_t i = 0; i < STRANGERS; i++) {
        net_socket_close(&dealer[i]);
    }
    net_context_close(&context);
}

/* ---- what an enrolled liar sends -------------------------------------------------------------- */

static void messages_out_of_shape_are_dropped_and_counted(void **state)
{
    (void)state;
    struct error err = {0};
    void *context = NULL;
    static const struct {
        size_t n, size[5];
    } bad[] = {
        {1, {0}},       {1, {NET_HEADER_MAX + 1}}, {2, {0, 5}},    {2, {5, 0}},
        {3, {5, 5, 5}}, {5, {5, 5, 5, 5, 5}},      {3, {0, 0, 0}}, {2, {NET_HEADER_MAX + 1, 5}},
    };
    enum { BAD = sizeof bad / sizeof bad[0] };
    static const size_t good[] = {5, 5};

    must(net_context_open(&context, &err), &err);
    allow(0);
    void *liar = stranger(context, &party[0], NULL);
    for (size_t i = 0; i < BAD; i++) {
        send_frames(liar, bad[i].size, bad[i].n);
    }
    send_frames(liar, good, 2);
    until(hall.n_mail == 1);
    assert_int_equal(hall.mail[0].header_n, 5);
    assert_int_equal(net_server_counts(hall.server)->dropped_malformed, BAD);
    net_socket_close(&liar);
    net_context_close(&context);
}

static void a_message_of_many_frames_is_dropped_whole(void **state)
{
    (void)state;
    enum { FRAMES = 200 };
    struct error err = {0};
    void *context = NULL;
    static size_t size[FRAMES];
    static const size_t good[] = {1};

    for (size_t i = 0; i < FRAMES; i++) {
        size[i] = 50000;
    }
    must(net_context_open(&context, &err), &err);
    allow(0);
    allow_and_greet(1);
    void *liar = stranger(context, &party[0], NULL);
    send_frames(liar, size, FRAMES);
    send_frames(liar, good, 1);
    until(hall.n_mail == 2);
    assert_int_equal(hall.mail[1].peer, 0);
    assert_int_equal(net_server_counts(hall.server)->dropped_malformed, 1);
    greet(1);
    net_socket_close(&liar);
    net_context_close(&context);
}

/* A link of the test's own speed: each turn carries at most this much either way. */
enum { PER_TURN = 512 << 10 };

struct proxy {
    int listener, end[2]; /* towards the client, towards the server */
    struct {
        unsigned char data[PER_TURN];
        size_t from, n;
    } way[2]; /* read from end[i], to be written to the other one */
};

static unsigned proxy_opens(struct proxy *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;

    memset(p, 0, sizeof *p);
    p->end[0] = -1;
    p->end[1] = -1;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(p->listener >= 0);
    assert_int_equal(bind(p->listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(p->listener, 5), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &n), 0);
    return ntohs(at.sin_port);
}

static void proxy_cuts(struct proxy *p)
{
    for (int i = 0; i < 2; i++) {
        if (p->end[i] >= 0) {
            (void)close(p->end[i]);
        }
        p->end[i] = -1;
        p->way[i].n = 0;
    }
}

static void proxy_accepts(struct proxy *p)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons((uint16_t)net_server_port(hall.server))};
    const int fd = accept(p->listener, NULL, NULL);
    if (fd < 0) {
        return;
    }
    p->end[0] = fd;
    p->end[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(p->end[1] >= 0);
    assert_int_equal(connect(p->end[1], (const struct sockaddr *)&to, sizeof to), 0);
}

/* @return true, for use in a condition */
static bool proxy_turns(struct proxy *p)
{
    if (p->end[0] < 0) {
        proxy_accepts(p);
    }
    for (int i = 0; i < 2 && p->end[0] >= 0; i++) {
        if (p->way[i].n == 0) {
            const ssize_t n = recv(p->end[i], p->way[i].data, PER_TURN, MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN)) {
                proxy_cuts(p);
                return true;
            }
            p->way[i].from = 0;
            p->way[i].n = n > 0 ? (size_t)n : 0;
        }
        const ssize_t sent = send(p->end[1 - i], p->way[i].data + p->way[i].from, p->way[i].n,
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
        p->way[i].from += sent > 0 ? (size_t)sent : 0;
        p->way[i].n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static void a_message_that_does_not_end_is_cut_off(void **state)
{
    (void)state;
    enum { FRAMES = 48 };
    struct error err = {0};
    void *context = NULL;
    static struct proxy proxy;
    const int none = 0;
    void *liar = NULL;

    must(net_context_open(&context, &err), &err);
    allow(0);
    allow_and_greet(1);
    must(net_dealer_open(context, &coordinator.curve, party[0].keys, &liar, &err), &err);
    assert_int_equal(zmq_setsockopt(liar, ZMQ_LINGER, &none, sizeof none), 0);
    assert_int_equal(zmq_connect(liar, address(proxy_opens(&proxy))), 0);
    until(proxy_turns(&proxy) && writable(liar));
    for (size_t i = 0; i < FRAMES; i++) {
        assert_int_equal(zmq_send(liar, big, sizeof big, i + 1 < FRAMES ? ZMQ_SNDMORE : 0),
                         sizeof big);
    }
    until(proxy_turns(&proxy) && net_server_counts(hall.server)->dropped_endless == 1);
    assert_int_equal(net_server_counts(hall.server)->dropped_malformed, 0);
    until(proxy_turns(&proxy) && net_server_counts(hall.server)->admitted == 3); /* comes again */
    greet(1);
    assert_int_equal(hall.n_mail, 2);
    assert_int_equal(net_client_connections(hall.client[1]), 1);
    proxy_cuts(&proxy);
    (void)close(proxy.listener);
    net_socket_close(&liar);
    net_context_close(&context);
}

static void any_number_of_whole_messages_is_not_taken_for_an_endless_one(void **state)
{
    (void)state;
    enum { MESSAGES = 60 };
    static struct proxy proxy;
    size_t sent = 0;

    allow(0);
    join(0, &coordinator, proxy_opens(&proxy));
    until(proxy_turns(&proxy) && hall.state[0] == NET_CONNECTED);
    for (const int64_t end = clock_monotonic_ms() + PATIENCE_MS; hall.n_mail < MESSAGES; turn()) {
        sent += sent < MESSAGES && says(0, big, 10, big, sizeof big) ? 1 : 0;
        (void)proxy_turns(&proxy);
        assert_true(clock_monotonic_ms() < end);
    }
    assert_int_equal(net_server_counts(hall.server)->dropped_endless, 0);
    assert_int_equal(net_client_connections(hall.client[0]), 1);
    proxy_cuts(&proxy);
    (void)close(proxy.listener);
}

static void an_oversized_frame_ends_that_connection_only(void **state)
{
    (void)state;
    struct error err = {0};
    void *context = NULL;
    static const size_t whole[] = {NET_HEADER_MAX, NET_RAW_MAX};
    static const size_t over[] = {5, NET_RAW_MAX + 1};

    must(net_context_open(&context, &err), &err);
    allow(0);
    allow_and_greet(1);
    void *liar = stranger(context, &party[0], NULL);
    send_frames(liar, whole, 2);
    until(hall.n_mail == 2); /* what is just allowed passes */
    assert_int_equal(net_server_counts(hall.server)->admitted, 2);
    send_frames(liar, over, 2);
    until(net_server_counts(hall.server)->admitted == 3); /* thrown out, came again */
    greet(1);
    assert_int_equal(hall.n_mail, 3);
    assert_int_equal(net_client_connections(hall.client[1]), 1);
    net_socket_close(&liar);
    net_context_close(&context);
}

static void rubbish_without_end_does_not_hold_the_server(void **state)
{
    (void)state;
    enum { RUBBISH = 1000 };
    struct error err = {0};
    void *context = NULL;
    static const size_t empty[] = {0};

    must(net_context_open(&context, &err), &err);
    allow(0);
    allow_and_greet(1);
    void *liar = stranger(context, &party[0], NULL);
    until(writable(liar));
    for (size_t i = 0; i < RUBBISH; i++) {
        until(writable(liar));
        send_frames(liar, empty, 1);
        if (i % 100 == 0) {
            greet(1);
        }
    }
    until(net_server_counts(hall.server)->dropped_malformed == RUBBISH);
    net_socket_close(&liar);
    net_context_close(&context);
}

static void an_oversized_frame_of_the_server_is_a_lost_connection_for_the_client(void **state)
{
    (void)state;
    struct error err = {0};
    void *context = NULL;
    void *router = NULL;
    char endpoint[64];
    size_t n = sizeof endpoint;
    zmq_msg_t route;
    static const unsigned char huge[NET_RAW_MAX + 1];

    /* A coordinator with the right key and without our limits. */
    net_server_close(&hall.server);
    must(net_context_open(&context, &err), &err);
    must(net_router_open(context, coordinator.keys, &router, &err), &err);
    const int no = 0;
    assert_int_equal(zmq_setsockopt(router, 93, &no, sizeof no), 0);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:0"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &n), 0);
    must(net_client_open(endpoint, &coordinator.curve, party[0].keys, &hall.client[0], &err), &err);
    until(hall.state[0] == NET_CONNECTED);
    assert_true(says(0, "hello", 5, NULL, 0));
    assert_int_equal(zmq_msg_init(&route), 0);
    zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
    assert_true(zmq_msg_recv(&route, router, 0) > 0);
    assert_true(zmq_msg_send(&route, router, ZMQ_SNDMORE) > 0);
    assert_int_equal(zmq_send(router, huge, sizeof huge, 0), sizeof huge);
    until(hall.state[0] == NET_CONNECTING);
    hall.now_ms += 5000; /* here libzmq has given up for good, and we have not */
    until(hall.state[0] == NET_CONNECTED);
    assert_int_equal(hall.n_received[0], 0);
    assert_int_equal(net_client_connections(hall.client[0]), 2);
    net_socket_close(&router);
    net_context_close(&context);
}

/* ---- links ------------------------------------------------------------------------------------ */

static void a_client_finds_a_restarted_server_by_itself(void **state)
{
    (void)state;
    char endpoint[64];
    allow_and_greet(0);
    allow_and_greet(1);
    (void)snprintf(endpoint, sizeof endpoint, "%s", address(net_server_port(hall.server)));
    for (uint64_t life = 2; life <= 3; life++) {
        net_server_close(&hall.server);
        until(hall.state[0] == NET_CONNECTING);
        assert_false(says(0, "lost?", 5, NULL, 0)); /* no: not taken */
        serve(endpoint, &coordinator);
        allow(0);
        allow(1);
        greet(0);
        greet(1);
        assert_int_equal(net_client_connections(hall.client[0]), life);
    }
}

static void a_lost_and_new_connection_is_reported_even_if_both_fell_between_two_looks(void **state)
{
    (void)state;
    bool changed = true;
    allow_and_greet(0);
    struct net_client *c = hall.client[0];
    assert_int_equal(net_client_state(c, hall.now_ms, &changed), NET_CONNECTED);
    assert_false(changed);
    /* While nobody looks: the server forbids it, hears it, hangs up, and allows it again. */
    hall.client[0] = NULL;
    net_server_forbid(hall.server, 0);
    assert_true(sends(c, "x", 1, NULL, 0));
    until(net_server_counts(hall.server)->dropped_revoked == 1);
    allow(0);
    until(net_server_counts(hall.server)->admitted == 2);
    until(sends(c, "y", 1, NULL, 0));
    hall.client[0] = c;
    assert_int_equal(net_client_state(c, hall.now_ms, &changed), NET_CONNECTED);
    assert_true(changed);
    assert_int_equal(net_client_connections(c), 2);
    assert_int_equal(net_client_state(c, hall.now_ms, &changed), NET_CONNECTED);
    assert_false(changed);
}

static void a_client_that_never_connects_says_so_once(void **state)
{
    (void)state;
    bool changed = true;
    const unsigned port = net_server_port(hall.server);
    net_server_close(&hall.server);
    join(0, &coordinator, port);
    struct net_client *c = hall.client[0];
    assert_int_equal(net_client_state(c, 70000, &changed), NET_CONNECTING);
    assert_false(changed);
    (void)net_client_state(c, 74999, &changed);
    assert_false(changed);
    assert_int_equal(net_client_state(c, 75000, &changed), NET_CONNECTING);
    assert_true(changed);
    (void)net_client_state(c, 75001, &changed);
    assert_false(changed);
    (void)net_client_state(c, 200000, &changed);
    assert_false(changed);
}

/* The child that will be frozen: connects, says one thing, and never reads. */
static void frozen_life(int port_from)
{
    struct error err = {0};
    struct net_client *c = NULL;
    unsigned port = 0;
    bool sent = false;
    if (read(port_from, &port, sizeof port) != (ssize_t)sizeof port ||
        net_client_open(address(port), &coordinator.curve, party[0].keys, &c, &err) != RC_OK) {
        _exit(1);
    }
    while (!sent) {
        struct net_wait w = {.client = c};
        bool changed = false;
        (void)net_client_state(c, 0, &changed);
        if (net_client_send(c, "hello", 5, NULL, 0, &sent, &err) != RC_OK ||
            net_wait(&w, 5, &err) != RC_OK) {
            _exit(1);
        }
    }
    for (;;) {
        (void)pause();
    }
}

static void a_frozen_peer_neither_blocks_the_server_nor_fills_its_memory(void **state)
{
    (void)state;
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    const pid_t child = fork(); /* before this process has threads */
    assert_true(child >= 0);
    if (child == 0) {
        frozen_life(pipe_fd[0]);
    }
    assert_int_equal(open_hall(NULL), 0);
    const unsigned port = net_server_port(hall.server);
    assert_int_equal(write(pipe_fd[1], &port, sizeof port), sizeof port);
    allow(0);
    until(hall.n_mail == 1);
    assert_int_equal(kill(child, SIGSTOP), 0);
    allow_and_greet(1);

    /* Its queue, and what two kernels' buffers take; then no more. */
    size_t taken = 0;
    for (int vain = 0; vain < 200;) {
        const bool sent = tells(0, big, 100, big, sizeof big);
        taken += sent ? 1 : 0;
        vain = sent ? 0 : vain + 1;
        assert_true(taken <= NET_QUEUE + 16);
        turn();
    }
    assert_true(taken >= NET_QUEUE);
    assert_true(net_server_counts(hall.server)->unsent_full >= 200);
    print_message("a frozen peer took %zu MiB\n", taken);
    greet(1);
    assert_true(tells(1, big, 100, big, sizeof big));
    until(hall.n_received[1] == 1);

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    until(!tells(0, "x", 1, NULL, 0) && net_server_counts(hall.server)->unsent_gone > 0);
    (void)close(pipe_fd[0]);
    (void)close(pipe_fd[1]);
}

/* Connections of this process to or from `port` whose ends give up on a dead link. */
static size_t watchful_connections(unsigned port)
{
    size_t found = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        const int fd = (int)strtol(e->d_name, NULL, 10);
        struct sockaddr_storage here = {0};
        struct sockaddr_storage there = {0};
        socklen_t n_here = sizeof here;
        socklen_t n_there = sizeof there;
        int keepalive = 0;
        unsigned timeout = 0;
        socklen_t n = sizeof keepalive;
        socklen_t n_timeout = sizeof timeout;
        if (getsockname(fd, (struct sockaddr *)&here, &n_here) != 0 ||
            getpeername(fd, (struct sockaddr *)&there, &n_there) != 0 ||
            getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &n) != 0 ||
            getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &n_timeout) != 0) {
            continue;
        }
        struct sockaddr_in6 a;
        struct sockaddr_in6 b;
        memcpy(&a, &here, sizeof a); /* the port is at the same place in both families */
        memcpy(&b, &there, sizeof b);
        if (ntohs(a.sin6_port) == port || ntohs(b.sin6_port) == port) {
            assert_int_equal(keepalive, 1);
            assert_int_equal(timeout, NET_DEAD_LINK_MS);
            found++;
        }
    }
    (void)closedir(folder);
    return found;
}

static void both_ends_of_a_connection_watch_for_a_dead_link(void **state)
{
    (void)state;
    allow_and_greet(0);
    assert_int_equal(watchful_connections(net_server_port(hall.server)), 2);
}

static void both_families_of_addresses_are_served(void **state)
{
    (void)state;
    struct error err = {0};
    char endpoint[64];

    net_server_close(&hall.server);
    serve("tcp://*:0", &coordinator);
    allow_and_greet(0); /* by 127.0.0.1 */
    (void)snprintf(endpoint, sizeof endpoint, "tcp://[::1]:%u", net_server_port(hall.server));
    const int probe = socket(AF_INET6, SOCK_STREAM, 0);
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
                                          .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const bool has_six =
        probe >= 0 && bind(probe, (const struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (probe >= 0) {
        (void)close(probe);
    }
    if (!has_six) {
        print_message("no IPv6 here\n");
        return;
    }
    allow(1);
    must(net_client_open(endpoint, &coordinator.curve, party[1].keys, &hall.client[1], &err), &err);
    greet(1);
}

static void what_is_no_address_is_refused_with_a_sentence(void **state)
{
    (void)state;
    struct error err = {0};
    struct net_server *s = NULL;
    struct net_client *c = NULL;
    static const char *const bad[] = {"",
                                      "127.0.0.1:7100",
                                      "ipc:///tmp/x",
                                      "tcp://",
                                      "tcp://:7100",
                                      "tcp://host",
                                      "tcp://host:",
                                      "tcp://host:7x",
                                      "tcp://host:65536",
                                      "tcp://host:123456",
                                      "tcp://1.2.3.4:1;5.6.7.8:7100",
                                      "tcp://a b:7100"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(net_server_open(bad[i], coordinator.keys, &s, &err), RC_INVALID);
        assert_int_equal(net_client_open(bad[i], &coordinator.curve, party[0].keys, &c, &err),
                         RC_INVALID);
        assert_non_null(strstr(err.text, "tcp://HOST:PORT"));
    }
    assert_int_equal(net_client_open("tcp://127.0.0.1:0", &coordinator.curve, party[0].keys, &c,
                                     &err),
                     RC_INVALID);

    assert_int_equal(
        net_server_open(address(net_server_port(hall.server)), coordinator.keys, &s, &err), RC_IO);
    assert_non_null(strstr(err.text, "another program has this port"));
    assert_int_equal(net_server_open("tcp://192.0.2.1:7100", coordinator.keys, &s, &err), RC_IO);
    assert_non_null(strstr(err.text, "does not have that address"));
    assert_null(s);
    assert_null(c);
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static void waiting_sees_messages_that_were_read_already(void **state)
{
    (void)state;
    struct error err = {0};
    struct net_frames f;
    size_t peer = 0;
    allow_and_greet(0);
    for (int i = 0; i < 5; i++) {
        assert_true(says(0, "x", 1, NULL, 0));
    }
    const int64_t start = clock_monotonic_ms();
    for (int n = 0; n < 5;) {
        struct net_wait w = {.server = hall.server};
        bool got = false;
        must(net_wait(&w, PATIENCE_MS, &err), &err);
        must(net_server_receive(hall.server, &got, &peer, &f, &err), &err); /* one at a time */
        n += got ? 1 : 0;
    }
    assert_true(clock_monotonic_ms() - start < PATIENCE_MS / 2);
}

static void tells_which_descriptors_are_ready(struct net_wait w)
{
    struct error err = {0};
    int a[2];
    int b[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    w.n_fds = 2;
    w.fd[0].fd = a[0];
    w.fd[1].fd = b[0];
    must(net_wait(&w, 0, &err), &err);
    assert_false(w.fd[0].readable || w.fd[0].writable || w.fd[1].readable || w.fd[1].writable);
    w.fd[0].want_write = true;
    must(net_wait(&w, PATIENCE_MS, &err), &err);
    assert_true(w.fd[0].writable && !w.fd[0].readable && !w.fd[1].readable && !w.fd[1].writable);
    w.fd[0].want_write = false;
    assert_int_equal(write(b[1], "x", 1), 1);
    must(net_wait(&w, PATIENCE_MS, &err), &err);
    assert_true(w.fd[1].readable && !w.fd[0].readable && !w.fd[0].writable);
    (void)close(a[1]); /* an end that is gone can be read: it says so */
    must(net_wait(&w, PATIENCE_MS, &err), &err);
    assert_true(w.fd[0].readable);
    (void)close(a[0]);
    (void)close(b[0]);
    (void)close(b[1]);
}

static void waiting_tells_which_descriptors_are_ready(void **state)
{
    (void)state;
    tells_which_descriptors_are_ready((struct net_wait){.server = hall.server});
    allow_and_greet(0);
    tells_which_descriptors_are_ready((struct net_wait){.client = hall.client[0]});
}

static void waiting_for_a_client_lasts_as_long_as_was_said_while_there_is_no_news(void **state)
{
    (void)state;
    struct error err = {0};
    allow_and_greet(0);
    for (int i = 0; i < 3; i++) {
        bool got = true;
        bool changed = false;
        struct net_frames f;
        struct net_wait w = {.client = hall.client[0]};
        (void)net_client_state(hall.client[0], hall.now_ms, &changed);
        must(net_client_receive(hall.client[0], &got, &f, &err), &err);
        assert_false(got);
        if (i == 1) { /* libzmq's own news of it is no news */
            assert_true(says(0, "x", 1, NULL, 0));
        }
        const int64_t start = clock_monotonic_ms();
        must(net_wait(&w, 40, &err), &err);
        assert_true(clock_monotonic_ms() - start >= 40);
    }
}

static void a_client_that_waits_before_it_asks_hears_of_its_connection(void **state)
{
    (void)state;
    struct error err = {0};
    enum net_state is = NET_CONNECTING;
    allow(0);
    join(0, &coordinator, net_server_port(hall.server));
    struct net_client *c = hall.client[0];
    hall.client[0] = NULL; /* nobody looks */
    until(net_server_counts(hall.server)->admitted == 1);
    hall.client[0] = c;
    const int64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (is != NET_CONNECTED && clock_monotonic_ms() < end) {
        bool changed = false;
        struct net_wait w = {.client = c};
        must(net_wait(&w, 100, &err), &err);
        is = net_client_state(c, hall.now_ms, &changed);
    }
    assert_int_equal(is, NET_CONNECTED);
}

/* Sends, questions and waits in any order: whatever libzmq has done on the way, what was told is heard. */
static void a_client_hears_of_everything_though_it_asks_only_when_there_is_news(void **state)
{
    (void)state;
    const uint64_t seed = seed_of_run();
    struct error err = {0};
    struct rng r;
    size_t told = 0;
    size_t heard = 0;
    rng_init(&r, seed, "news");
    allow_and_greet(0);
    struct net_client *c = hall.client[0];
    for (int i = 0; i < 600; i++) {
        const uint64_t what = rng_below(&r, 5);
        if (what == 0 || told == heard) {
            told += tells(0, big, 1 + (size_t)rng_below(&r, 300), big, 1 + rng_below(&r, 9000));
        } else if (what == 1) {
            (void)says(0, "x", 1, NULL, 0);
            collect();
        } else if (what == 2) {
            bool changed = true;
            assert_int_equal(net_client_state(c, hall.now_ms, &changed), NET_CONNECTED);
        } else {
            bool got = true;
            struct net_frames f;
            struct net_wait w = {.client = c};
            const int64_t start = clock_monotonic_ms();
            must(net_wait(&w, 2 * PATIENCE_MS, &err), &err);
            assert_true(clock_monotonic_ms() - start < PATIENCE_MS);
            must(net_client_receive(c, &got, &f, &err), &err);
            assert_true(got); /* something was on its way */
            heard++;
            while (got && what == 4) {
                must(net_client_receive(c, &got, &f, &err), &err);
                heard += got;
            }
        }
    }
    until((hall.n_received[0] + heard) == told);
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_signal_ends_the_wait_without_an_error(void **state)
{
    (void)state;
    struct error err = {0};
    const struct sigaction act = {.sa_handler = on_alarm};
    struct sigaction before;
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    allow_and_greet(0);
    struct net_wait w[] = {{.server = hall.server}, {.client = hall.client[0]}};
    assert_int_equal(sigaction(SIGALRM, &act, &before), 0);
    for (size_t i = 0; i < sizeof w / sizeof w[0]; i++) {
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        must(net_wait(&w[i], -1, &err), &err);
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static void a_refused_client_is_woken_for_its_next_try(void **state)
{
    (void)state;
    struct error err = {0};
    join(0, &coordinator, net_server_port(hall.server));
    until(hall.state[0] == NET_REFUSED);
    struct net_wait w = {.client = hall.client[0]};
    const int64_t start = clock_monotonic_ms();
    must(net_wait(&w, -1, &err), &err); /* would be for ever */
    assert_true(clock_monotonic_ms() - start < PATIENCE_MS);
}

#define in_hall(test) cmocka_unit_test_setup_teardown(test, open_hall, close_hall)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* the first one forks */
        cmocka_unit_test_teardown(a_frozen_peer_neither_blocks_the_server_nor_fills_its_memory,
                                  close_hall),
        in_hall(messages_of_every_legal_size_arrive_both_ways),
        in_hall(a_message_beyond_the_limits_is_not_sent),
        in_hall(nothing_is_queued_for_a_connection_that_is_not_there),
        in_hall(what_is_said_to_be_connected_can_be_sent_to_at_once),
        in_hall(what_was_sent_last_survives_the_close),
        cmocka_unit_test(without_a_handler_nobody_gets_in),
        in_hall(an_unknown_key_is_refused_and_enrolled_later_gets_in),
        in_hall(a_server_with_another_key_is_told_from_one_that_is_away),
        in_hall(a_server_of_another_protocol_is_a_wrong_server),
        in_hall(a_removed_peer_is_out_at_its_next_message),
        in_hall(a_new_key_replaces_the_old_one),
        in_hall(the_peer_is_its_key_and_not_the_routing_id_it_chose),
        in_hall(the_answer_goes_where_the_peer_spoke_last),
        in_hall(fifty_strangers_do_not_disturb_the_one_who_is_known),
        in_hall(messages_out_of_shape_are_dropped_and_counted),
        in_hall(a_message_of_many_frames_is_dropped_whole),
        in_hall(a_message_that_does_not_end_is_cut_off),
        in_hall(any_number_of_whole_messages_is_not_taken_for_an_endless_one),
        in_hall(an_oversized_frame_ends_that_connection_only),
        in_hall(an_oversized_frame_of_the_server_is_a_lost_connection_for_the_client),
        in_hall(rubbish_without_end_does_not_hold_the_server),
        in_hall(a_client_finds_a_restarted_server_by_itself),
        in_hall(a_lost_and_new_connection_is_reported_even_if_both_fell_between_two_looks),
        in_hall(a_client_that_never_connects_says_so_once),
        in_hall(both_ends_of_a_connection_watch_for_a_dead_link),
        in_hall(both_families_of_addresses_are_served),
        in_hall(what_is_no_address_is_refused_with_a_sentence),
        in_hall(waiting_sees_messages_that_were_read_already),
        in_hall(waiting_tells_which_descriptors_are_ready),
        in_hall(waiting_for_a_client_lasts_as_long_as_was_said_while_there_is_no_news),
        in_hall(a_client_that_waits_before_it_asks_hears_of_its_connection),
        in_hall(a_client_hears_of_everything_though_it_asks_only_when_there_is_news),
        in_hall(a_signal_ends_the_wait_without_an_error),
        in_hall(a_refused_client_is_woken_for_its_next_try),
    };
    return cmocka_run_group_tests_name("net", tests, make_parties, drop_parties);
}
