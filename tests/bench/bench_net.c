/*
 * What connections cost the coordinator, and how fast chunks move. Server and clients are two
 * processes, so that the memory printed is the server's.
 *
 *   bench_net idle [CLIENTS]     resident memory with so many connected clients that say nothing
 *   bench_net frames [MIB]       the same while one enrolled client sends one message of so many 1 MiB
 *                                frames: what libzmq gathers before we are shown the first of them
 *   bench_net chunks [MIB]       one client sends MIB in messages of a header and 256 KiB
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/net_internal.h"
#include "tests/bench/bench_words.h"

enum { CLIENTS_MAX = NET_PEERS_MAX, CHUNK = 256 << 10 };

struct plan {
    size_t n_clients, mib;
    bool one; /* message of many frames, else many messages */
};

static struct seal_keys *key[CLIENTS_MAX];
static unsigned char bytes[NET_RAW_MAX];

static void must(enum rc rc, const struct error *err)
{
    if (rc != RC_OK) {
        (void)fprintf(stderr, "bench_net: %s\n", err->text);
        exit(1);
    }
}

static double resident_mib(void)
{
    unsigned long all = 0;
    unsigned long resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%lu %lu", &all, &resident) != 2) {
        resident = 0;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void send_all(void *dealer, const struct plan *plan)
{
    const size_t frame = plan->one ? NET_RAW_MAX : CHUNK;
    const size_t n = plan->mib * (1 << 20) / frame;
    for (size_t i = 0; i < n; i++) {
        if (!plan->one) {
            (void)zmq_send(dealer, bytes, 500, ZMQ_SNDMORE);
        }
        (void)zmq_send(dealer, bytes, frame, plan->one && i + 1 < n ? ZMQ_SNDMORE : 0);
    }
}

/* All clients in one context: one thread stands for a hundred hospitals. */
static void client_life(int from, const struct seal_curve *server, const struct plan *plan)
{
    struct error err = {0};
    void *context = NULL;
    static void *dealer[CLIENTS_MAX];
    char endpoint[64];
    unsigned port = 0;

    if (read(from, &port, sizeof port) != (ssize_t)sizeof port) {
        exit(1);
    }
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", port);
    must(net_context_open(&context, &err), &err);
    (void)zmq_ctx_set(context, ZMQ_MAX_SOCKETS, CLIENTS_MAX + 10);
    for (size_t i = 0; i < plan->n_clients; i++) {
        must(net_dealer_open(context, server, key[i], &dealer[i], &err), &err);
        if (zmq_connect(dealer[i], endpoint) != 0 || zmq_send(dealer[i], "hello", 5, 0) != 5) {
            exit(1);
        }
    }
    send_all(dealer[0], plan);
    for (;;) {
        (void)pause();
    }
}

static size_t read_all(struct net_server *s, size_t *raw_bytes)
{
    struct error err = {0};
    struct net_frames f;
    size_t peer = 0;
    size_t n = 0;
    bool got = true;
    while (got) {
        must(net_server_receive(s, &got, &peer, &f, &err), &err);
        n += got ? 1 : 0;
        *raw_bytes += got ? f.raw_n : 0;
    }
    return n;
}

/* Until the memory has stood still for two seconds. */
static void watch(struct net_server *s, const struct plan *plan, double before)
{
    struct error err = {0};
    size_t hellos = 0;
    size_t raw_bytes = 0;
    double most = 0;
    int64_t start = clock_monotonic_ms();
    int64_t quiet_since = start;

    while (clock_monotonic_ms() - quiet_since < 2000) {
        struct net_wait w = {.server = s};
        must(net_wait(&w, 100, &err), &err);
        const size_t n = read_all(s, &raw_bytes);
        const double now = resident_mib();
        if (n > 0 || now > most + 1) {
            quiet_since = clock_monotonic_ms();
            most = now > most ? now : most;
        }
        hellos += n;
        if (raw_bytes > 0 && raw_bytes >= plan->mib << 20) {
            const double seconds = (double)(clock_monotonic_ms() - start) / 1000;
            printf("chunks: %zu MiB in %.2f s, %.0f MiB/s with the handshake\n", plan->mib, seconds,
                   (double)plan->mib / seconds);
            break;
        }
    }
    printf("%zu clients, %" PRIu64 " admitted, %zu messages\n", plan->n_clients,
           net_server_counts(s)->admitted, hellos);
    printf("resident: %.1f MiB before the first connection, %.1f MiB now, %.1f MiB at most\n",
           before, resident_mib(), most);
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_net idle|frames|chunks [NUMBER]: memory of idle connections (NUMBER clients) "
               "or of one large\n"
               "message, time of messages in chunks (NUMBER MiB)\n"
               "  bench_net idle 100\n"
               "  bench_net chunks 256\n");
    struct error err = {0};
    struct net_server *s = NULL;
    struct seal_keys *keys = NULL;
    struct seal_public sign;
    struct seal_curve curve;
    int pipe_fd[2];

    bench_words("bench_net", argc, 2);
    const char *what = argc > 1 ? argv[1] : "idle";
    const size_t number = argc > 2 ? bench_number("bench_net", "NUMBER", argv[2], 1, 1 << 20) : 100;
    const bool idle = strcmp(what, "idle") == 0;
    const struct plan plan = {.n_clients = idle ? number : 1,
                              .mib = idle ? 0 : number,
                              .one = strcmp(what, "frames") == 0};
    if (plan.n_clients > CLIENTS_MAX || (!idle && !plan.one && strcmp(what, "chunks") != 0)) {
        (void)fprintf(stderr, "usage: bench_net idle|frames|chunks [NUMBER (idle: at most %d)]\n",
                      (int)CLIENTS_MAX);
        return 2;
    }
    must(seal_keys_random(&keys, &err), &err);
    seal_keys_public(keys, &sign, &curve);
    for (size_t i = 0; i < plan.n_clients; i++) {
        must(seal_keys_random(&key[i], &err), &err);
    }
    const pid_t child = pipe(pipe_fd) == 0 ? fork() : -1;
    if (child == 0) {
        client_life(pipe_fd[0], &curve, &plan);
    }
    must(net_server_open("tcp://127.0.0.1:0", keys, &s, &err), &err);
    for (size_t i = 0; i < plan.n_clients; i++) {
        struct seal_curve peer;
        seal_keys_public(key[i], &sign, &peer);
        must(net_server_allow(s, i, &peer, &err), &err);
    }
    const double before = resident_mib();
    const unsigned port = net_server_port(s);
    if (child < 0 || write(pipe_fd[1], &port, sizeof port) != (ssize_t)sizeof port) {
        return 1;
    }
    watch(s, &plan, before);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    net_server_close(&s);
    return 0;
}
