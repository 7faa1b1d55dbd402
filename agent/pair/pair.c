/*
 * A message on the socket pair:   u32 LE header length | u32 LE raw length | header | raw
 *
 * Reading asks the kernel for exactly the part that is missing (lengths, header, raw), so nothing is
 * ever left over and the raw frame lands where it stays. Writing goes through one queue, so messages
 * never overtake each other; room for a whole message is there before anything of it is written.
 */
#include "agent/pair/pair.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/entropy.h"

/* What the kernel may hold of one direction: a message of 400 KB goes in one call, and wakes the other end once. */
enum { LENGTHS = 8, ROOM_BYTES = 512 << 10 };
/* A raw frame from this size on goes to the kernel from where it stands, if nothing waits. A smaller one is cheaper
 * copied behind its header than written by a call of its own, which would wake the other end twice. */
enum { FROM_ITS_PLACE = 64 << 10 };

struct pair {
    int fd;
    char self[WIRE_NAME_MAX], peer[WIRE_NAME_MAX];

    /* out: queue[sent, queued) waits for the kernel */
    uint64_t epoch, sequence;
    size_t sent, queued;

    /* in: which part is being read, and how much of it is there */
    uint64_t peer_epoch, peer_sequence;
    enum { IN_LENGTHS, IN_HEADER, IN_RAW } part;
    size_t have, header_n, raw_n;
    enum rc broken; /* out of step with the other end for ever */
    bool leaves_chunks;

    /* buffers, each byte written before it is read */
    unsigned char lengths[LENGTHS], header[WIRE_HEADER_MAX];
    _Alignas(64) unsigned char raw[WIRE_RAW_MAX];
    unsigned char queue[PAIR_QUEUE_BYTES];
};

RC pair_sockets(int fds[2], struct error *err)
{
    int made[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, made) != 0) {
        return error_set(err, RC_IO, "cannot make a socket pair: %s", strerror(errno));
    }
    for (size_t i = 0; i < 2; i++) { /* the system gives what it allows; less means more turns */
        const int room = ROOM_BYTES;
        (void)setsockopt(made[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
    fds[0] = made[0];
    fds[1] = made[1];
    return RC_OK;
}

RC pair_open(int fd, const char *self, const char *peer, struct pair **out, struct error *err)
{
    struct entropy entropy;
    struct pair *p = NULL;

    assert(strlen(self) < WIRE_NAME_MAX);
    assert(strlen(peer) < WIRE_NAME_MAX);
    enum rc rc = entropy_init(&entropy, err);
    if (rc != RC_OK) {
        return rc;
    }
    p = aligned_alloc(_Alignof(struct pair), sizeof *p);
    if (p == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for the socket pair");
        goto out;
    }
    /* Not the buffers: the kernel gives their pages as they are used, so an idle pair is small. */
    memset(p, 0, offsetof(struct pair, lengths));
    p->fd = fd;
    memcpy(p->self, self, strlen(self));
    memcpy(p->peer, peer, strlen(peer));
    p->epoch = entropy_u64(&entropy) | 1; /* never 0 */
    *out = p;
out:
    entropy_release(&entropy);
    return rc;
}

void pair_close(struct pair **p)
{
    if (*p != NULL) {
        (void)close((*p)->fd);
        free(*p);
        *p = NULL;
    }
}

int pair_fd(const struct pair *p)
{
    return p->fd;
}

void pair_leave_chunks(struct pair *p)
{
    p->leaves_chunks = true;
}

bool pair_wants_write(const struct pair *p)
{
    return p->sent < p->queued;
}

size_t pair_queued(const struct pair *p)
{
    return p->queued - p->sent;
}

static RC gone(const struct pair *p, const char *why, struct error *err)
{
    return error_set(err, RC_IO, "the %s is gone: %s", p->peer, why);
}

/* ---- out ------------------------------------------------------------------------------------- */

static void store_u32(unsigned char *at, size_t x)
{
    for (size_t i = 0; i < 4; i++) {
        at[i] = (unsigned char)(x >> (8 * i));
    }
}

static size_t load_u32(const unsigned char *at)
{
    size_t x = 0;
    for (size_t i = 0; i < 4; i++) {
        x |= (size_t)at[i] << (8 * i);
    }
    return x;
}

/* What waits moves to the front, so that all free room is at the end. */
static void gather(struct pair *p)
{
    if (p->sent > 0) {
        memmove(p->queue, p->queue + p->sent, p->queued - p->sent);
        p->queued -= p->sent;
        p->sent = 0;
    }
}

/* As much of it as the kernel takes now. */
static RC give(const struct pair *p, const unsigned char *bytes, size_t n, size_t *taken,
               struct error *err)
{
    *taken = 0;
    while (*taken < n) {
        const ssize_t sent = send(p->fd, bytes + *taken, n - *taken, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            *taken += (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return RC_OK;
        } else if (errno != EINTR) {
            return gone(p, strerror(errno), err);
        }
    }
    return RC_OK;
}

/* Lengths and header, where there is room for all of the message. raw_bytes of `m` is set. */
static RC queue_header(struct pair *p, struct wire_message *m, struct error *err)
{
    struct wire_message copy;
    memcpy(&copy, m, sizeof copy);
    memcpy(copy.from, p->self, sizeof copy.from);
    memcpy(copy.to, p->peer, sizeof copy.to);
    copy.epoch = p->epoch;
    copy.sequence = p->sequence + 1;
    unsigned char header[WIRE_PACKED_MAX];
    size_t header_n = 0;
    const enum rc rc = wire_pack(&copy, header, sizeof header, &header_n, err);
    if (rc != RC_OK) {
        return rc;
    }
    const size_t need = LENGTHS + header_n + m->raw_bytes;
    if (need > PAIR_QUEUE_BYTES - p->queued) {
        gather(p);
    }
    if (need > PAIR_QUEUE_BYTES - p->queued) {
        return error_set(err, RC_LIMIT, "%s: %zu bytes already wait for the %s, at most %d",
                         wire_kind_name(m->kind), p->queued, p->peer, PAIR_QUEUE_BYTES);
    }
    unsigned char *at = p->queue + p->queued;
    store_u32(at, header_n);
    store_u32(at + 4, m->raw_bytes);
    memcpy(at + LENGTHS, header, header_n);
    p->queued += LENGTHS + header_n;
    p->sequence++;
    memcpy(m, &copy, sizeof copy);
    return RC_OK;
}

static void queue_bytes(struct pair *p, const unsigned char *bytes, size_t n)
{
    if (n > 0) {
        memcpy(p->queue + p->queued, bytes, n);
        p->queued += n;
    }
}

/* What the kernel does not take of it stands in the queue. */
static RC send_message(struct pair *p, struct wire_message *m, const void *raw, struct error *err)
{
    const size_t n = m->raw_bytes;
    size_t taken = 0;
    enum rc rc = queue_header(p, m, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (n < FROM_ITS_PLACE) {
        queue_bytes(p, raw, n);
        return pair_flush(p, err);
    }
    rc = pair_flush(p, err);
    if (rc == RC_OK && !pair_wants_write(p)) {
        rc = give(p, raw, n, &taken, err);
    }
    if (rc == RC_OK) {
        queue_bytes(p, (const unsigned char *)raw + taken, n - taken);
    }
    return rc;
}

RC pair_send(struct pair *p, struct wire_message *m, const void *raw, size_t raw_n,
             struct error *err)
{
    struct wire_message named;
    memcpy(&named, m, sizeof named);
    enum rc rc = wire_set_raw(&named, raw, raw_n, err);
    if (rc == RC_OK) {
        rc = send_message(p, &named, raw, err);
    }
    if (rc == RC_OK) {
        memcpy(m, &named, sizeof named);
    }
    return rc;
}

RC pair_send_named(struct pair *p, struct wire_message *m, const void *raw, struct error *err)
{
    return send_message(p, m, raw, err);
}

RC pair_flush(struct pair *p, struct error *err)
{
    size_t taken = 0;
    const enum rc rc = give(p, p->queue + p->sent, p->queued - p->sent, &taken, err);
    p->sent += taken;
    if (p->sent == p->queued) {
        p->sent = 0;
        p->queued = 0;
    }
    return rc;
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Reads until `n` bytes of this part are there. */
static RC fill(struct pair *p, unsigned char *part, size_t n, bool *whole, struct error *err)
{
    while (p->have < n) {
        const ssize_t got = recv(p->fd, part + p->have, n - p->have, MSG_DONTWAIT);
        if (got > 0) {
            p->have += (size_t)got;
        } else if (got == 0) {
            const bool between = p->part == IN_LENGTHS && p->have == 0;
            return gone(p, between ? "it closed its end" : "it ended within a message", err);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            *whole = false;
            return RC_OK;
        } else if (errno != EINTR) {
            return gone(p, strerror(errno), err);
        }
    }
    *whole = true;
    p->have = 0;
    return RC_OK;
}

static RC check_lengths(struct pair *p, struct error *err)
{
    p->header_n = load_u32(p->lengths);
    p->raw_n = load_u32(p->lengths + 4);
    if (p->header_n > WIRE_HEADER_MAX || p->raw_n > WIRE_RAW_MAX) {
        return error_set(err, RC_LIMIT, "%s: a message of %zu + %zu bytes, at most %d + %d",
                         p->peer, p->header_n, p->raw_n, WIRE_HEADER_MAX, WIRE_RAW_MAX);
    }
    return RC_OK;
}

/* One kernel carries it: nothing is lost, repeated or overtaken, so any gap is a fault. */
static RC check_sender(const struct pair *p, const struct wire_message *m, struct error *err)
{
    const char *kind = wire_kind_name(m->kind);
    if (strcmp(m->from, p->peer) != 0 || strcmp(m->to, p->self) != 0) {
        return error_set(err, RC_FORMAT, "%s: from %s to %s on the pair of %s and %s", kind,
                         m->from, m->to, p->peer, p->self);
    }
    if (p->peer_epoch != 0 && m->epoch != p->peer_epoch) {
        return error_set(err, RC_FORMAT, "%s: the %s changed its epoch", kind, p->peer);
    }
    if (m->sequence != p->peer_sequence + 1) {
        return error_set(err, RC_FORMAT, "%s: number %llu of the %s after %llu", kind,
                         (unsigned long long)m->sequence, p->peer,
                         (unsigned long long)p->peer_sequence);
    }
    return RC_OK;
}

/* A message's parts are there. */
static RC take_message(struct pair *p, struct wire_message *m, struct error *err)
{
    struct wire_message read;
    enum rc rc = wire_unpack(p->header, p->header_n, &read, err);
    if (rc == RC_OK &&
        (!p->leaves_chunks || read.kind != WIRE_CHUNK || p->raw_n != read.raw_bytes)) {
        rc = wire_check_raw(&read, p->raw, p->raw_n, err);
    }
    if (rc == RC_OK) {
        rc = check_sender(p, &read, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    p->peer_epoch = read.epoch;
    p->peer_sequence = read.sequence;
    memcpy(m, &read, sizeof read);
    return RC_OK;
}

/* As far as the kernel has bytes; *whole: a message is complete. */
static RC read_parts(struct pair *p, bool *whole, struct error *err)
{
    enum rc rc = RC_OK;
    if (p->part == IN_LENGTHS) {
        rc = fill(p, p->lengths, LENGTHS, whole, err);
        if (rc != RC_OK || !*whole) {
            return rc;
        }
        rc = check_lengths(p, err);
        if (rc != RC_OK) {
            return rc;
        }
        p->part = IN_HEADER;
    }
    if (p->part == IN_HEADER) {
        rc = fill(p, p->header, p->header_n, whole, err);
        if (rc != RC_OK || !*whole) {
            return rc;
        }
        p->part = IN_RAW;
    }
    rc = fill(p, p->raw, p->raw_n, whole, err);
    if (rc == RC_OK && *whole) {
        p->part = IN_LENGTHS;
    }
    return rc;
}

RC pair_receive(struct pair *p, bool *got, struct wire_message *m, const void **raw, size_t *raw_n,
                struct error *err)
{
    bool whole = false;
    if (p->broken != RC_OK) {
        return error_set(err, p->broken, "%s: nothing can be read after what was no message",
                         p->peer);
    }
    enum rc rc = read_parts(p, &whole, err);
    if (rc == RC_OK && whole) {
        rc = take_message(p, m, err);
    }
    if (rc != RC_OK) {
        p->broken = rc == RC_IO ? RC_OK : rc;
        return rc;
    }
    *got = whole;
    if (whole) {
        *raw = p->raw_n > 0 ? p->raw : NULL;
        *raw_n = p->raw_n;
    }
    return RC_OK;
}
