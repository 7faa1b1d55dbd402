/*
 * What of a round is the transport's: as many processes as bench_round has sites or crowds, with a bare CURVE
 * socket for each site, get as many bytes from one ROUTER and send as many back, and nothing else is done: no
 * message of the protocol, no hash, no sum, no disk. No program over libzmq on this machine is faster, so that a
 * figure beside this one says how much of a round could be saved at all.
 *
 * The bytes go in messages of 128 KiB, the fastest of those tried (64 KiB to 4 MB: docs/results.md).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/net/net_internal.h"
#include "tests/bench/round_bench.h"

enum { PIECE = 128 << 10, WARM_UP = 1, NAME = 4, ENDPOINT_MAX = 64, KEY_TEXT = 41 };

struct keys {
    char server_public[KEY_TEXT], server_secret[KEY_TEXT];
    char site_public[KEY_TEXT], site_secret[KEY_TEXT];
};

static unsigned char piece[PIECE];

static void *must_have(void *thing, const char *what)
{
    if (thing == NULL) {
        round_fail("bare transport: no %s: %s", what, zmq_strerror(zmq_errno()));
    }
    return thing;
}

static void must(int answer, const char *what)
{
    if (answer < 0) {
        round_fail("bare transport: cannot %s: %s", what, zmq_strerror(zmq_errno()));
    }
}

static void set(void *socket, int option, const void *value, size_t size)
{
    must(zmq_setsockopt(socket, option, value, size), "set an option of a socket");
}

/* Nothing is ever refused for a full queue. */
static void *socket_of(void *context, int type)
{
    const int none = 0;
    void *socket = must_have(zmq_socket(context, type), "socket");
    set(socket, ZMQ_SNDHWM, &none, sizeof none);
    set(socket, ZMQ_RCVHWM, &none, sizeof none);
    return socket;
}

static void name_site(size_t site, unsigned char name[NAME])
{
    for (size_t k = 0; k < NAME; k++) {
        name[k] = (unsigned char)('a' + ((site >> (4 * k)) & 15U));
    }
}

/* With `to` its name goes before each piece. */
static void send_bytes(void *socket, const unsigned char *to, size_t n)
{
    for (size_t at = 0; at < n; at += PIECE) {
        if (to != NULL) {
            must(zmq_send(socket, to, NAME, ZMQ_SNDMORE), "send");
        }
        must(zmq_send(socket, piece, n - at < PIECE ? n - at : PIECE, 0), "send");
    }
}

/* @return the last frame of the next message, its bytes */
static size_t receive_message(void *socket)
{
    size_t n = 0;
    bool more = true;
    while (more) {
        zmq_msg_t m;
        must(zmq_msg_init(&m), "make a message");
        must(zmq_msg_recv(&m, socket, 0), "receive");
        n = zmq_msg_size(&m);
        more = zmq_msg_more(&m) != 0;
        (void)zmq_msg_close(&m);
    }
    return n;
}

static void receive_bytes(void *socket, size_t n)
{
    while (n > 0) {
        const size_t got = receive_message(socket);
        n -= got < n ? got : n;
    }
}

/* Sites `first`, `first` + `step`, ... until the rounds are over, or the parent is. */
_Noreturn static void live_as_sites(const struct round_words *w, const struct round_bare *of,
                                    const struct keys *k, size_t first, size_t step, int from)
{
    static void *socket[ROUND_SITES_MAX];
    char endpoint[ENDPOINT_MAX] = "";
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(from, endpoint, sizeof endpoint) != (ssize_t)sizeof endpoint) {
        _exit(1);
    }
    void *context = must_have(zmq_ctx_new(), "context");
    must(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, ROUND_SITES_MAX + 8), "have that many sockets");
    for (size_t i = first; i < w->sites; i += step) {
        unsigned char name[NAME];
        name_site(i, name);
        socket[i] = socket_of(context, ZMQ_DEALER);
        set(socket[i], ZMQ_ROUTING_ID, name, NAME);
        set(socket[i], ZMQ_CURVE_SERVERKEY, k->server_public, KEY_TEXT);
        set(socket[i], ZMQ_CURVE_PUBLICKEY, k->site_public, KEY_TEXT);
        set(socket[i], ZMQ_CURVE_SECRETKEY, k->site_secret, KEY_TEXT);
        must(zmq_connect(socket[i], endpoint), "connect");
        must(zmq_send(socket[i], "", 0, 0), "send");
    }
    for (size_t round = 0; round < WARM_UP + of->rounds; round++) {
        for (size_t i = first; i < w->sites; i += step) {
            receive_bytes(socket[i], of->bytes_down);
            if (i < w->sites - w->drop) {
                send_bytes(socket[i], NULL, of->bytes_up);
            }
        }
    }
    for (size_t i = first; i < w->sites; i += step) {
        (void)zmq_close(socket[i]);
    }
    (void)zmq_ctx_term(context);
    _exit(0);
}

static void play_round(void *router, const struct round_words *w, const struct round_bare *of)
{
    for (size_t i = 0; i < w->sites; i++) {
        unsigned char name[NAME];
        name_site(i, name);
        send_bytes(router, name, of->bytes_down);
    }
    receive_bytes(router, (w->sites - w->drop) * of->bytes_up);
}

static double clock_ms(clockid_t clock)
{
    struct timespec t = {0};
    return clock_gettime(clock, &t) == 0 ? 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec : 0.0;
}

static void open_router(void *context, const struct keys *k, void **out, char *endpoint)
{
    const int yes = 1;
    size_t size = ENDPOINT_MAX;
    *out = socket_of(context, ZMQ_ROUTER);
    set(*out, ZMQ_CURVE_SERVER, &yes, sizeof yes);
    set(*out, ZMQ_CURVE_SECRETKEY, k->server_secret, KEY_TEXT);
    must(zmq_bind(*out, "tcp://127.0.0.1:*"), "listen");
    must(zmq_getsockopt(*out, ZMQ_LAST_ENDPOINT, endpoint, &size), "tell where it listens");
}

static void end_sites(const pid_t *pid, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int status = 0;
        if (waitpid(pid[i], &status, 0) != pid[i] || status != 0) {
            round_fail("bare transport: a process of sites failed");
        }
    }
}

void round_bare(const struct round_words *w, struct round_bare *of)
{
    static pid_t pid[ROUND_SITES_MAX];
    const size_t n = w->crowds > 0 ? w->crowds : w->sites;
    struct keys k;
    int tell[2] = {-1, -1};
    char endpoint[ENDPOINT_MAX] = "";
    void *router = NULL;
    must(zmq_curve_keypair(k.server_public, k.server_secret), "make keys");
    must(zmq_curve_keypair(k.site_public, k.site_secret), "make keys");
    if (pipe(tell) != 0) {
        round_fail("bare transport: no pipe");
    }
    for (size_t i = 0; i < n; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            live_as_sites(w, of, &k, i, n, tell[0]);
        }
        if (pid[i] < 0) {
            round_fail("bare transport: no process");
        }
    }
    void *context = must_have(zmq_ctx_new(), "context");
    open_router(context, &k, &router, endpoint);
    for (size_t i = 0; i < n; i++) {
        if (write(tell[1], endpoint, sizeof endpoint) != (ssize_t)sizeof endpoint) {
            round_fail("bare transport: a process of sites does not listen");
        }
    }
    for (size_t i = 0; i < w->sites; i++) {
        (void)receive_message(router);
    }
    for (size_t i = 0; i < WARM_UP; i++) {
        play_round(router, w, of);
    }
    const double wall = clock_ms(CLOCK_MONOTONIC);
    const double cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < of->rounds; i++) {
        play_round(router, w, of);
    }
    of->ms_per_round = (clock_ms(CLOCK_MONOTONIC) - wall) / (double)of->rounds;
    of->server_cpu_ms = (clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)of->rounds;
    end_sites(pid, n);
    (void)zmq_close(router);
    (void)zmq_ctx_term(context);
    (void)close(tell[0]);
    (void)close(tell[1]);
}
