/*
 * A bad line between two programs: forwards TCP connections, at most so many bits a second in each
 * direction, and cuts all of them when so many bytes have passed.
 *
 *   slow_proxy LISTEN_PORT TARGET_PORT BITS_PER_SECOND [CUT_AT_BYTES ...]
 *
 * A cut is a reset (what was on its way is lost); the program that connects is let in again at once.
 * Prints "cut N at BYTES" for each, and "passed UP DOWN" when it is told to stop.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "common/base/clock.h"

enum { LINKS_MAX = 256, CUTS_MAX = 64, PIECE = 16384, SOCKET_BYTES = 65536 };

struct half { /* one direction: what was read and not yet written */
    unsigned char byte[PIECE];
    size_t n, at;
};

struct link {
    int fd[2]; /* client, server */
    struct half half[2];
};

static struct link links[LINKS_MAX];
static size_t n_links;
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                            .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    return a;
}

/* Small buffers: what the kernel holds is lost with a cut, and is not slowed down. */
static int small_socket(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int bytes = SOCKET_BYTES;
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void drop(size_t i)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (int k = 0; k < 2; k++) {
        (void)setsockopt(links[i].fd[k], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        (void)close(links[i].fd[k]);
    }
    links[i] = links[--n_links];
}

static void admit(int listener, const struct sockaddr_in *target)
{
    const int client = accept(listener, NULL, NULL);
    const int server = small_socket();
    if (client < 0 || n_links == LINKS_MAX ||
        connect(server, (const struct sockaddr *)target, sizeof *target) != 0) {
        (void)close(client);
        (void)close(server);
        return;
    }
    links[n_links++] = (struct link){.fd = {client, server}};
}

/* @return false: the connection is over */
static bool move(struct link *l, int from, short readable, short writable, int64_t *allowance,
                 uint64_t *passed)
{
    struct half *h = &l->half[from];
    if (h->n == 0 && (readable & (POLLIN | POLLHUP | POLLERR)) != 0) {
        const ssize_t got = read(l->fd[from], h->byte, sizeof h->byte);
        if (got <= 0) {
            return false;
        }
        h->n = (size_t)got;
        h->at = 0;
    }
    if (h->n > 0 && (writable & POLLOUT) != 0 && *allowance > 0) {
        size_t n = h->n;
        n = (int64_t)n > *allowance ? (size_t)*allowance : n;
        const ssize_t did = send(l->fd[1 - from], h->byte + h->at, n, MSG_NOSIGNAL);
        if (did < 0) {
            return errno == EAGAIN;
        }
        h->at += (size_t)did;
        h->n -= (size_t)did;
        *allowance -= did;
        *passed += (uint64_t)did;
    }
    return true;
}

/* Waits at most 5 ms, moves what may move. */
static void turn(int listener, const struct sockaddr_in *target, int64_t allowance[2],
                 uint64_t passed[2])
{
    struct pollfd fd[1 + 2 * LINKS_MAX] = {{.fd = listener, .events = POLLIN}};
    for (size_t i = 0; i < n_links; i++) {
        for (int k = 0; k < 2; k++) {
            struct pollfd *p = &fd[1 + 2 * i + (size_t)k];
            p->fd = links[i].fd[k];
            p->events = (short)((links[i].half[k].n == 0 ? POLLIN : 0) |
                                (links[i].half[1 - k].n > 0 && allowance[1 - k] > 0 ? POLLOUT : 0));
        }
    }
    const size_t n = n_links;
    (void)poll(fd, 1 + 2 * n, 5);
    for (size_t i = n; i-- > 0;) {
        const struct pollfd *p = &fd[1 + 2 * i];
        bool alive = true;
        for (int k = 0; alive && k < 2; k++) {
            alive = move(&links[i], k, p[k].revents, p[1 - k].revents, &allowance[k], &passed[k]);
        }
        if (!alive) {
            drop(i);
        }
    }
    if ((fd[0].revents & POLLIN) != 0) {
        admit(listener, target);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 4 + CUTS_MAX) {
        (void)fprintf(
            stderr,
            "usage: slow_proxy LISTEN_PORT TARGET_PORT BITS_PER_SECOND [CUT_AT_BYTES ...]\n");
        return 2;
    }
    const struct sockaddr_in here = loopback(argv[1]);
    const struct sockaddr_in target = loopback(argv[2]);
    const int64_t rate = strtoll(argv[3], NULL, 10) / 8; /* bytes a second */
    const int listener = small_socket();
    if (bind(listener, (const struct sockaddr *)&here, sizeof here) != 0 ||
        listen(listener, 64) != 0) {
        (void)fprintf(stderr, "slow_proxy: cannot listen on port %s: %s\n", argv[1],
                      strerror(errno));
        return 1;
    }
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGINT, on_signal);
    int64_t allowance[2] = {0, 0};
    uint64_t passed[2] = {0, 0};
    int cut = 4;
    int64_t last = clock_monotonic_ms();
    while (!stop) {
        turn(listener, &target, allowance, passed);
        const int64_t now = clock_monotonic_ms();
        for (int k = 0; k < 2; k++) { /* a bucket that holds 50 ms of the rate */
            allowance[k] += rate * (now - last) / 1000;
            allowance[k] = allowance[k] > rate / 20 ? rate / 20 : allowance[k];
        }
        last = now;
        if (cut < argc && passed[0] + passed[1] >= strtoull(argv[cut], NULL, 10)) {
            (void)printf("cut %d at %llu\n", cut - 3, (unsigned long long)(passed[0] + passed[1]));
            (void)fflush(stdout);
            while (n_links > 0) {
                drop(0);
            }
            cut++;
        }
    }
    (void)printf("passed %llu %llu\n", (unsigned long long)passed[0],
                 (unsigned long long)passed[1]);
    return 0;
}
