/* Besides the tests:  test_pair --corpus FOLDER     writes streams for the fuzzer */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/pair/pair.h"

enum { CHUNK = 256 << 10 };

static unsigned char chunk[WIRE_RAW_MAX];

struct ends {
    struct pair *gateway, *trainer;
};

static struct ends connected(void)
{
    struct ends e = {NULL, NULL};
    struct error err = {0};
    int fds[2] = {-1, -1};
    if (pair_sockets(fds, &err) != RC_OK ||
        pair_open(fds[0], "gateway", "trainer", &e.gateway, &err) != RC_OK ||
        pair_open(fds[1], "trainer", "gateway", &e.trainer, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return e;
}

static void close_both(struct ends *e)
{
    pair_close(&e->gateway);
    pair_close(&e->trainer);
    pair_close(&e->trainer); /* NULL is fine */
}

/* The trainer's end as a bare descriptor, to write and read bytes by hand. */
static struct pair *gateway_and_bare(int *bare)
{
    struct pair *p = NULL;
    struct error err = {0};
    int fds[2] = {-1, -1};
    if (pair_sockets(fds, &err) != RC_OK ||
        pair_open(fds[0], "gateway", "trainer", &p, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    *bare = fds[1];
    return p;
}

static struct wire_message train(uint64_t round)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.kind = WIRE_TRAIN;
    memset(m.study.b, 0x51, sizeof m.study.b);
    m.round = round;
    memset(m.tensor.hash.b, 0x7e, sizeof m.tensor.hash.b);
    m.tensor.bytes = 12345;
    m.left_ms = 60000;
    return m;
}

static struct wire_message chunk_message(uint64_t first)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.kind = WIRE_CHUNK;
    memset(m.tensor.hash.b, 0x7e, sizeof m.tensor.hash.b);
    m.tensor.bytes = WIRE_TENSOR_MAX;
    m.first = first;
    return m;
}

static void sent(struct pair *p, struct wire_message *m, const void *raw, size_t raw_n)
{
    struct error err = {0};
    if (pair_send(p, m, raw, raw_n, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

struct received {
    bool got;
    struct wire_message m;
    const void *raw;
    size_t raw_n;
};

static struct received received(struct pair *p)
{
    struct received r;
    struct error err = {0};
    memset(&r, 0, sizeof r);
    if (pair_receive(p, &r.got, &r.m, &r.raw, &r.raw_n, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    return r;
}

static void flushed(struct pair *p)
{
    struct error err = {0};
    if (pair_flush(p, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

/* Refused with nothing written. */
static void assert_broken(struct pair *p, enum rc want, const char *says)
{
    struct received r;
    struct received before;
    struct error err = {0};
    memset(&r, 0, sizeof r);
    memset(&before, 0, sizeof before);
    const enum rc rc = pair_receive(p, &r.got, &r.m, &r.raw, &r.raw_n, &err);
    if (rc != want || err.rc != want || strstr(err.text, says) == NULL) {
        fail_msg("want %s with '%s', got %s: %s", rc_name(want), says, rc_name(rc), err.text);
    }
    assert_memory_equal(&r, &before, sizeof r);
}

/* A frame as the trainer would write it. */
struct frame {
    unsigned char b[8 + WIRE_PACKED_MAX + CHUNK];
    size_t n, header_n;
};

static void put_u32(unsigned char *at, size_t x)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned char)(x >> (8 * i));
    }
}

static void frame_of(struct frame *f, struct wire_message m, uint64_t epoch, uint64_t sequence,
                     size_t raw_n)
{
    struct error err = {0};
    if (m.from[0] == '\0') {
        memcpy(m.from, "trainer", sizeof "trainer");
    }
    if (m.to[0] == '\0') {
        memcpy(m.to, "gateway", sizeof "gateway");
    }
    m.epoch = epoch;
    m.sequence = sequence;
    if (wire_set_raw(&m, chunk, raw_n, &err) != RC_OK ||
        wire_pack(&m, f->b + 8, WIRE_PACKED_MAX, &f->header_n, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
    put_u32(f->b, f->header_n);
    put_u32(f->b + 4, raw_n);
    memcpy(f->b + 8 + f->header_n, chunk, raw_n);
    f->n = 8 + f->header_n + raw_n;
}

static void write_all(int fd, const void *data, size_t n)
{
    assert_int_equal(send(fd, data, n, MSG_NOSIGNAL), n);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void messages_arrive_in_order_with_their_envelope(void **state)
{
    (void)state;
    struct ends e = connected();
    assert_false(received(e.trainer).got);
    struct wire_message out[3] = {train(1), chunk_message(7), train(2)};
    sent(e.gateway, &out[0], NULL, 0);
    sent(e.gateway, &out[1], chunk, 1000);
    sent(e.gateway, &out[2], NULL, 0);
    assert_false(pair_wants_write(e.gateway));
    assert_int_equal(pair_queued(e.gateway), 0);
    for (size_t i = 0; i < 3; i++) {
        const struct received r = received(e.trainer);
        assert_true(r.got);
        assert_memory_equal(&r.m, &out[i], sizeof r.m);
        assert_string_equal(r.m.from, "gateway");
        assert_string_equal(r.m.to, "trainer");
        assert_int_equal(r.m.sequence, i + 1);
        assert_true(r.m.epoch != 0);
        assert_int_equal(r.m.epoch, out[0].epoch);
        assert_int_equal(r.raw_n, i == 1 ? 1000 : 0);
        if (i == 1) {
            assert_memory_equal(r.raw, chunk, 1000);
            assert_int_equal((uintptr_t)r.raw % 64, 0);
        } else {
            assert_null(r.raw);
        }
    }
    assert_false(received(e.trainer).got);

    struct wire_message back = train(3); /* the other way, at the same time */
    sent(e.trainer, &back, NULL, 0);
    assert_string_equal(received(e.gateway).m.from, "trainer");
    assert_true(back.epoch != out[0].epoch);
    close_both(&e);
}

static void the_descriptors_are_closed_on_exec_and_never_block(void **state)
{
    (void)state;
    struct ends e = connected();
    const int fds[] = {pair_fd(e.gateway), pair_fd(e.trainer)};
    for (size_t i = 0; i < 2; i++) {
        assert_true((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
        assert_true((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0);
    }
    close_both(&e);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_equal(errno, EBADF);
}

static void a_message_arriving_byte_by_byte_is_one_message(void **state)
{
    (void)state;
    static struct frame f;
    int bare = -1;
    struct pair *p = gateway_and_bare(&bare);
    for (uint64_t k = 1; k <= 2; k++) {
        frame_of(&f, chunk_message(k), 9, k, 100);
        for (size_t i = 0; i < f.n; i++) {
            assert_false(received(p).got);
            write_all(bare, f.b + i, 1);
        }
        const struct received r = received(p);
        assert_true(r.got);
        assert_int_equal(r.m.first, k);
        assert_memory_equal(r.raw, chunk, 100);
    }
    (void)close(bare);
    pair_close(&p);
}

static void two_messages_in_one_piece_are_two_messages(void **state)
{
    (void)state;
    static struct frame f[2];
    static unsigned char both[2 * sizeof f[0].b];
    int bare = -1;
    struct pair *p = gateway_and_bare(&bare);
    frame_of(&f[0], chunk_message(1), 9, 1, 33);
    frame_of(&f[1], train(5), 9, 2, 0);
    memcpy(both, f[0].b, f[0].n);
    memcpy(both + f[0].n, f[1].b, f[1].n);
    write_all(bare, both, f[0].n + f[1].n);
    const struct received one = received(p);
    assert_int_equal(one.m.first, 1);
    assert_memory_equal(one.raw, chunk, 33);
    assert_int_equal(received(p).m.round, 5);
    assert_false(received(p).got);
    (void)close(bare);
    pair_close(&p);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static void a_full_queue_is_refused_and_loses_nothing(void **state)
{
    (void)state;
    struct ends e = connected();
    struct error err = {0};
    uint64_t n = 0;
    for (;;) {
        struct wire_message m = chunk_message(n);
        const size_t queued = pair_queued(e.gateway);
        const struct wire_message before = m;
        const enum rc rc = pair_send(e.gateway, &m, chunk, CHUNK - (size_t)n, &err);
        if (rc == RC_LIMIT) {
            assert_int_equal(pair_queued(e.gateway), queued);
            assert_memory_equal(&m, &before, sizeof m);
            break;
        }
        assert_int_equal(rc, RC_OK);
        n++;
    }
    assert_non_null(strstr(err.text, "already wait for the trainer"));
    assert_true(n >= PAIR_QUEUE_BYTES / CHUNK - 1);
    assert_true(pair_wants_write(e.gateway));
    assert_true(pair_queued(e.gateway) <= PAIR_QUEUE_BYTES);

    /* Room for a small one is there again as soon as something was taken. */
    uint64_t read = 0;
    uint64_t later = 0;
    while (read < n + later) {
        const struct received r = received(e.trainer);
        if (!r.got) {
            flushed(e.gateway);
            continue;
        }
        assert_int_equal(r.m.first, read);
        assert_int_equal(r.m.sequence, read + 1);
        assert_int_equal(r.raw_n, CHUNK - read);
        assert_memory_equal(r.raw, chunk, r.raw_n);
        read++;
        if (read % 8 == 1 && later < 20) { /* what waits moves forward under it */
            flushed(e.gateway);
            struct wire_message m = chunk_message(n + later);
            sent(e.gateway, &m, chunk, CHUNK - (size_t)(n + later));
            later++;
        }
    }
    assert_true(later > 3);
    assert_false(pair_wants_write(e.gateway));
    assert_int_equal(pair_queued(e.gateway), 0);
    assert_false(received(e.trainer).got);
    close_both(&e);
}

static void the_largest_raw_frame_passes_and_a_larger_one_is_refused(void **state)
{
    (void)state;
    struct ends e = connected();
    struct error err = {0};
    struct wire_message m = chunk_message(0);
    sent(e.gateway, &m, chunk, sizeof chunk);
    struct received r = received(e.trainer);
    while (!r.got) {
        flushed(e.gateway);
        r = received(e.trainer);
    }
    assert_int_equal(r.raw_n, sizeof chunk);
    assert_memory_equal(r.raw, chunk, sizeof chunk);

    static unsigned char large[WIRE_RAW_MAX + 1];
    assert_int_equal(pair_send(e.gateway, &m, large, sizeof large, &err), RC_INVALID);
    m.round = 4; /* CHUNK has none */
    assert_int_equal(pair_send(e.gateway, &m, chunk, 10, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "round does not belong"));
    assert_int_equal(pair_queued(e.gateway), 0);

    m = train(1); /* what was refused took no number */
    sent(e.gateway, &m, NULL, 0);
    assert_int_equal(received(e.trainer).m.sequence, 2);
    close_both(&e);
}

/* ---- the other end --------------------------------------------------------------------------- */

static void what_was_sent_before_the_end_is_still_read(void **state)
{
    (void)state;
    struct ends e = connected();
    struct wire_message m = train(1);
    sent(e.trainer, &m, NULL, 0);
    sent(e.trainer, &m, NULL, 0);
    pair_close(&e.trainer);
    assert_true(received(e.gateway).got);
    assert_true(received(e.gateway).got);
    assert_broken(e.gateway, RC_IO, "the trainer is gone: it closed its end");
    assert_broken(e.gateway, RC_IO, "gone");
    close_both(&e);
}

static void the_end_within_a_message_is_told(void **state)
{
    (void)state;
    static struct frame f;
    frame_of(&f, chunk_message(1), 9, 1, 10);
    const size_t cuts[] = {1, 7, 8, 9, 8 + f.header_n, f.n - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        int bare = -1;
        struct pair *p = gateway_and_bare(&bare);
        write_all(bare, f.b, cuts[i]);
        (void)close(bare);
        assert_broken(p, RC_IO, "it ended within a message");
        pair_close(&p);
    }
}

static void writing_to_a_closed_end_is_an_error_and_no_signal(void **state)
{
    (void)state;
    struct ends e = connected();
    struct error err = {0};
    struct wire_message m = chunk_message(1);
    for (int i = 0; i < 4; i++) {
        sent(e.gateway, &m, chunk, CHUNK);
    }
    assert_true(pair_wants_write(e.gateway));
    pair_close(&e.trainer);
    assert_int_equal(pair_flush(e.gateway, &err), RC_IO);
    assert_non_null(strstr(err.text, "the trainer is gone"));
    assert_int_equal(pair_send(e.gateway, &m, NULL, 0, &err), RC_INVALID); /* CHUNK without raw */
    assert_int_equal(pair_send(e.gateway, &m, chunk, 10, &err), RC_IO);
    close_both(&e);
}

static void a_killed_process_is_a_closed_end(void **state)
{
    (void)state;
    struct ends e = connected();
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error err = {0};
        struct wire_message m = train(8);
        pair_close(&e.gateway);
        if (pair_send(e.trainer, &m, NULL, 0, &err) != RC_OK) {
            _exit(1);
        }
        (void)kill(getpid(), SIGKILL);
        _exit(1);
    }
    pair_close(&e.trainer);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(received(e.gateway).m.round, 8);
    assert_broken(e.gateway, RC_IO, "the trainer is gone");
    close_both(&e);
}

/* ---- garbage --------------------------------------------------------------------------------- */

static void garbage_lengths_are_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        size_t header, raw;
    } lengths[] = {{WIRE_HEADER_MAX + 1, 0},
                   {100, WIRE_RAW_MAX + 1},
                   {UINT32_MAX, UINT32_MAX},
                   {0x80000000, 0},
                   {100, 0x80000000}};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int bare = -1;
        struct pair *p = gateway_and_bare(&bare);
        unsigned char b[8];
        put_u32(b, lengths[i].header);
        put_u32(b + 4, lengths[i].raw);
        write_all(bare, b, sizeof b);
        assert_broken(p, RC_LIMIT, "trainer: a message of");
        assert_broken(p, RC_LIMIT, "nothing can be read after");
        (void)close(bare);
        pair_close(&p);
    }
}

static void after_a_fault_nothing_more_is_read(void **state)
{
    (void)state;
    static struct frame f;
    int bare = -1;
    struct pair *p = gateway_and_bare(&bare);
    const unsigned char empty[8] = {0}; /* no header: not a message */
    frame_of(&f, train(1), 9, 1, 0);
    write_all(bare, empty, sizeof empty);
    write_all(bare, f.b, f.n);
    assert_broken(p, RC_FORMAT, "message:");
    assert_broken(p, RC_FORMAT, "nothing can be read after");
    (void)close(bare);
    pair_close(&p);
}

static void a_changed_raw_frame_is_refused(void **state)
{
    (void)state;
    static struct frame f;
    int bare = -1;
    struct pair *p = gateway_and_bare(&bare);
    frame_of(&f, chunk_message(1), 9, 1, 10);
    f.b[f.n - 1] ^= 1;
    write_all(bare, f.b, f.n);
    assert_broken(p, RC_FORMAT, "not the one its header names");
    (void)close(bare);
    pair_close(&p);
}

/* Who verifies the whole need not be told of each part; how long it is has to be true all the same. */
static void chunks_are_left_to_who_verifies_the_whole(void **state)
{
    (void)state;
    static struct frame f;
    int bare = -1;
    struct pair *p = gateway_and_bare(&bare);
    pair_leave_chunks(p);
    frame_of(&f, chunk_message(1), 9, 1, 10);
    f.b[f.n - 1] ^= 1;
    write_all(bare, f.b, f.n);
    struct received r = received(p);
    assert_true(r.got);
    assert_memory_equal(r.raw, f.b + f.n - 10, 10);
    frame_of(&f, chunk_message(2), 9, 2, 10);
    put_u32(f.b + 4, 9);
    write_all(bare, f.b, f.n - 1);
    assert_broken(p, RC_FORMAT, "raw frame of 9 bytes");
    (void)close(bare);
    pair_close(&p);
}

/* A hash that is known is sent as it is, and looked at by who receives it. */
static void a_frame_sent_under_a_known_hash_is_hashed_by_its_receiver(void **state)
{
    (void)state;
    struct error err = {0};
    struct ends e = connected();
    struct wire_message m = chunk_message(3);
    assert_int_equal(wire_set_raw(&m, chunk, 500, &err), RC_OK);
    assert_int_equal(pair_send_named(e.gateway, &m, chunk, &err), RC_OK);
    const struct received r = received(e.trainer);
    assert_true(r.got);
    assert_memory_equal(&r.m, &m, sizeof m);
    assert_int_equal(r.raw_n, 500);
    assert_memory_equal(r.raw, chunk, 500);
    m.raw.b[0] ^= 1;
    assert_int_equal(pair_send_named(e.gateway, &m, chunk, &err), RC_OK);
    assert_broken(e.trainer, RC_FORMAT, "not the one its header names");
    pair_close(&e.gateway);
    pair_close(&e.trainer);
}

static void numbers_that_do_not_grow_by_one_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t epoch, sequence;
        const char *says;
    } second[] = {{9, 1, "number 1"}, {9, 3, "number 3"}, {8, 2, "epoch"}, {8, 1, "epoch"}};
    static struct frame f;
    for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
        int bare = -1;
        struct pair *p = gateway_and_bare(&bare);
        frame_of(&f, train(1), 9, 1, 0);
        write_all(bare, f.b, f.n);
        assert_true(received(p).got);
        frame_of(&f, train(1), second[i].epoch, second[i].sequence, 0);
        write_all(bare, f.b, f.n);
        assert_broken(p, RC_FORMAT, second[i].says);
        (void)close(bare);
        pair_close(&p);
    }
    int bare = -1;
    struct pair *p = gateway_and_bare(&bare);
    frame_of(&f, train(1), 9, 2, 0);
    write_all(bare, f.b, f.n);
    assert_broken(p, RC_FORMAT, "number 2"); /* the first is 1 */
    (void)close(bare);
    pair_close(&p);
}

static void a_message_of_somebody_else_is_refused(void **state)
{
    (void)state;
    static struct frame f;
    for (int i = 0; i < 2; i++) {
        int bare = -1;
        struct pair *p = gateway_and_bare(&bare);
        struct wire_message m = train(1);
        (void)snprintf(i == 0 ? m.from : m.to, sizeof m.from, "coordinator");
        frame_of(&f, m, 9, 1, 0);
        write_all(bare, f.b, f.n);
        assert_broken(p, RC_FORMAT, "on the pair of trainer and gateway");
        (void)close(bare);
        pair_close(&p);
    }
}

/* ---- the fuzzer's seeds ---------------------------------------------------------------------- */

/* The gateway's stream to a trainer: the direction that the fuzz target reads. */
static bool write_stream(const char *folder, const char *name, unsigned char piece, bool damaged)
{
    static struct frame f;
    char path[512];
    const size_t raw_n[] = {0, 100, 0};
    struct wire_message m[] = {train(1), chunk_message(3), train(2)};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        return false;
    }
    bool good = fwrite(&piece, 1, 1, out) == 1;
    for (size_t i = 0; i < 3; i++) {
        memcpy(m[i].from, "gateway", sizeof "gateway");
        memcpy(m[i].to, "trainer", sizeof "trainer");
        frame_of(&f, m[i], 9, i + 1, raw_n[i]);
        f.b[f.n - 1] ^= damaged && i == 1;
        good = fwrite(f.b, 1, f.n, out) == f.n && good;
    }
    return fclose(out) == 0 && good;
}

static int write_corpus(const char *folder)
{
    return write_stream(folder, "at_once", 0, false) &&
                   write_stream(folder, "byte_by_byte", 1, false) &&
                   write_stream(folder, "damaged_raw", 17, true)
               ? 0
               : 1;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof chunk; i++) {
        chunk[i] = (unsigned char)(i * 31 + (i >> 8) * 7);
    }
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        return write_corpus(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_in_order_with_their_envelope),
        cmocka_unit_test(the_descriptors_are_closed_on_exec_and_never_block),
        cmocka_unit_test(a_message_arriving_byte_by_byte_is_one_message),
        cmocka_unit_test(two_messages_in_one_piece_are_two_messages),
        cmocka_unit_test(a_full_queue_is_refused_and_loses_nothing),
        cmocka_unit_test(the_largest_raw_frame_passes_and_a_larger_one_is_refused),
        cmocka_unit_test(what_was_sent_before_the_end_is_still_read),
        cmocka_unit_test(the_end_within_a_message_is_told),
        cmocka_unit_test(writing_to_a_closed_end_is_an_error_and_no_signal),
        cmocka_unit_test(a_killed_process_is_a_closed_end),
        cmocka_unit_test(garbage_lengths_are_refused_at_once),
        cmocka_unit_test(after_a_fault_nothing_more_is_read),
        cmocka_unit_test(a_changed_raw_frame_is_refused),
        cmocka_unit_test(chunks_are_left_to_who_verifies_the_whole),
        cmocka_unit_test(a_frame_sent_under_a_known_hash_is_hashed_by_its_receiver),
        cmocka_unit_test(numbers_that_do_not_grow_by_one_are_refused),
        cmocka_unit_test(a_message_of_somebody_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
