/*
 * Any bytes come out of the socket pair. The first byte says in how large pieces they are written
 * (the reader looks after each), the rest is the stream; then the other end closes. Whole messages
 * are handed out in order, numbered from 1; after the first fault nothing more is.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/pair/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A pair is one block of 9 MB: painting its shadow would take ten times as long as the test. The
 * unit test runs with it. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "poison_heap=0";
}

enum {
    STREAM_MAX = 1 << 16, /* fits into the kernel's buffer */
    PIECES_MAX = 64       /* each is some system calls */
};

struct reader {
    struct pair *pair;
    uint64_t sequence;
    enum rc failed;
};

static void check_fault(struct reader *r, enum rc rc, bool got, const struct error *err)
{
    assert(!got);
    assert(err->rc == rc);
    assert(err->text[0] != '\0');
    assert(rc == RC_FORMAT || rc == RC_LIMIT || rc == RC_STATE || rc == RC_IO);
    assert(r->failed == RC_OK || r->failed == rc);
    r->failed = rc;
}

static void check_message(struct reader *r, const struct wire_message *m, const void *raw,
                          size_t raw_n)
{
    assert(r->failed == RC_OK);
    r->sequence++;
    assert(m->sequence == r->sequence);
    assert(strcmp(m->from, "gateway") == 0);
    assert(strcmp(m->to, "trainer") == 0);
    assert((raw == NULL) == (raw_n == 0));
    struct error err = {0};
    const enum rc rc = wire_check_raw(m, raw, raw_n, &err); /* touches every byte */
    assert(rc == RC_OK);
}

static void read_all(struct reader *r)
{
    for (;;) {
        bool got = false;
        struct wire_message m;
        const void *raw = NULL;
        size_t raw_n = 0;
        struct error err = {0};
        const enum rc rc = pair_receive(r->pair, &got, &m, &raw, &raw_n, &err);
        if (rc != RC_OK) {
            check_fault(r, rc, got, &err);
            return;
        }
        if (!got) {
            return;
        }
        check_message(r, &m, raw, raw_n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct error err = {0};
    struct reader r = {.pair = NULL};
    int fds[2] = {-1, -1};
    enum rc rc = pair_sockets(fds, &err);
    assert(rc == RC_OK);
    rc = pair_open(fds[1], "trainer", "gateway", &r.pair, &err);
    assert(rc == RC_OK);

    const size_t n = size - 1 < STREAM_MAX ? size - 1 : STREAM_MAX;
    const size_t least = n / PIECES_MAX + 1;
    const size_t piece = data[0] == 0 ? n : data[0] > least ? data[0] : least;
    for (size_t at = 0; at < n && r.failed == RC_OK;) {
        const size_t want = n - at < piece ? n - at : piece;
        const ssize_t wrote = send(fds[0], data + 1 + at, want, MSG_NOSIGNAL);
        assert(wrote > 0);
        at += (size_t)wrote;
        read_all(&r);
    }
    (void)close(fds[0]);
    read_all(&r);
    assert(r.failed != RC_OK);
    pair_close(&r.pair);
    assert(r.pair == NULL);
    return 0;
}
