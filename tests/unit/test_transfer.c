#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/transfer/transfer.h"

enum { CHUNK = TRANSFER_CHUNK, BYTES_MOST = 24 * CHUNK };

static unsigned char tensor[BYTES_MOST];
static char folder[256];
static char path[300];

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/wr_transfer_XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/spool", folder);
    struct rng r;
    rng_init(&r, 7, "tensor");
    for (size_t i = 0; i + 8 <= sizeof tensor; i += 8) {
        const uint64_t x = rng_u64(&r);
        memcpy(tensor + i, &x, 8);
    }
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static int no_spool(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

/* The first `bytes` of the tensor, asked for at time 0. */
static void opened(struct transfer_in *in, const char *where, size_t bytes)
{
    struct error err = {0};
    const struct hash hash = hash_of(tensor, bytes);
    if (transfer_in_open(in, where, &hash, bytes, 0, &err) != RC_OK) {
        fail_msg("%s", err.text);
    }
}

static enum rc give(struct transfer_in *in, uint64_t index)
{
    struct error err = {0};
    const size_t at = (size_t)index * CHUNK;
    const size_t left = (size_t)in->bytes - at;
    const enum rc rc =
        transfer_in_chunk(in, index, tensor + at, left < CHUNK ? left : CHUNK, 0, &err);
    assert_int_equal(rc, err.rc);
    return rc;
}

static void spool_holds(size_t bytes)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, bytes);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void spool_has(const void *data, size_t n)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    assert_int_equal(close(fd), 0);
}

static void whole_is(struct transfer_in *in, size_t bytes)
{
    struct error err = {0};
    const void *data = NULL;
    size_t n = 0;
    assert_true(in->complete);
    assert_int_equal(transfer_in_map(in, &data, &n, &err), RC_OK);
    assert_int_equal(n, bytes);
    assert_memory_equal(data, tensor, bytes);
}

/* ---- a link between the two that may do anything ------------------------------------------------ */

struct letter {
    bool is_credit, resume;
    uint64_t first, until; /* chunk: index in first */
    int64_t arrives_ms;
};

struct faults {
    double lost, twice; /* probabilities */
    int64_t late_ms;    /* each letter takes 10 ms to 10 ms + this */
    int64_t chunk_ms;   /* and a chunk occupies the link so long */
};

enum { LETTERS = 4096 };

struct link {
    struct rng r;
    struct faults faults;
    struct letter letter[LETTERS];
    size_t n;
    int64_t busy_ms; /* until then */
};

static void post(struct link *l, struct letter letter, int64_t now_ms)
{
    if (rng_uniform(&l->r) < l->faults.lost) {
        return;
    }
    const int copies = rng_uniform(&l->r) < l->faults.twice ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        assert_true(l->n < LETTERS);
        const uint64_t extra = rng_below(&l->r, (uint64_t)l->faults.late_ms + 1);
        letter.arrives_ms = now_ms + 10 + (int64_t)extra;
        if (!letter.is_credit) {
            l->busy_ms = (l->busy_ms > now_ms ? l->busy_ms : now_ms) + l->faults.chunk_ms;
            letter.arrives_ms += l->busy_ms - now_ms;
        }
        l->letter[l->n++] = letter;
    }
}

/* The earliest; of equals the one posted first. */
static bool arrived(struct link *l, int64_t now_ms, struct letter *out)
{
    size_t best = l->n;
    for (size_t i = 0; i < l->n; i++) {
        if (best == l->n || l->letter[i].arrives_ms < l->letter[best].arrives_ms) {
            best = i;
        }
    }
    if (best == l->n || l->letter[best].arrives_ms > now_ms) {
        return false;
    }
    *out = l->letter[best];
    memmove(&l->letter[best], &l->letter[best + 1], (l->n - best - 1) * sizeof l->letter[0]);
    l->n--;
    return true;
}

struct world {
    struct link link;
    struct transfer_in in;
    struct transfer_out out;
    uint64_t sent[BYTES_MOST / CHUNK + 1]; /* of each chunk */
    int64_t now_ms;
};

static void deliver(struct world *w, const struct letter *letter)
{
    struct error err = {0};
    if (letter->is_credit) {
        const enum rc rc =
            transfer_out_credit(&w->out, letter->first, letter->until, letter->resume, &err);
        assert_int_equal(rc, RC_OK); /* an honest receiver's credit is never refused */
        return;
    }
    const size_t at = (size_t)letter->first * CHUNK;
    const size_t left = (size_t)w->in.bytes - at;
    const enum rc rc = transfer_in_chunk(&w->in, letter->first, tensor + at,
                                         left < CHUNK ? left : CHUNK, w->now_ms, &err);
    assert_true(rc == RC_OK || rc == RC_STATE);
}

/* One millisecond of both ends. */
static void turn(struct world *w)
{
    struct letter letter = {0};
    uint64_t index = 0;
    uint64_t offset = 0;
    size_t n = 0;

    while (arrived(&w->link, w->now_ms, &letter)) {
        deliver(w, &letter);
    }
    letter = (struct letter){.is_credit = true};
    if (transfer_in_credit(&w->in, w->now_ms, &letter.first, &letter.until, &letter.resume)) {
        post(&w->link, letter, w->now_ms);
    }
    while (transfer_out_next(&w->out, &index, &offset, &n)) {
        assert_int_equal(offset, index * CHUNK);
        post(&w->link, (struct letter){.first = index}, w->now_ms);
        w->sent[index]++;
        transfer_out_sent(&w->out);
        assert_true(w->out.next - w->out.acknowledged <= TRANSFER_WINDOW);
    }
    w->now_ms++;
}

static struct world *begun(uint64_t seed, size_t bytes, struct faults faults)
{
    static struct world world;
    const struct hash hash = hash_of(tensor, bytes);

    memset(&world, 0, sizeof world);
    rng_init(&world.link.r, seed, "link");
    world.link.faults = faults;
    opened(&world.in, NULL, bytes);
    transfer_out_init(&world.out, &hash, bytes);
    return &world;
}

static void runs_to_the_end(struct world *w, int64_t until_ms)
{
    while (!transfer_out_done(&w->out) && w->now_ms < until_ms) {
        if (w->link.n == 0 && w->in.complete && !w->in.ask) {
            transfer_in_again(&w->in, w->now_ms); /* its last credit was lost: asked once more */
        }
        /* Most milliseconds are empty; a stall is thousands of them. */
        if (w->link.n == 0 && w->in.due_ms > w->now_ms) {
            w->now_ms = w->in.due_ms;
        }
        turn(w);
    }
    assert_true(transfer_out_done(&w->out));
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void every_size_around_a_chunk_arrives(void **state)
{
    (void)state;
    static const size_t size[] = {1,         2,         CHUNK - 1,         CHUNK,
                                  CHUNK + 1, 4 * CHUNK, 5 * CHUNK + 12345, 9 * CHUNK + 1};
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        struct world *w = begun(1, size[i], (struct faults){.chunk_ms = 7});
        runs_to_the_end(w, 3600000);
        whole_is(&w->in, size[i]);
        assert_int_equal(w->out.sent, transfer_chunks(size[i])); /* none twice */
        assert_int_equal(w->in.refused, 0);
        transfer_in_close(&w->in, false);
    }
    assert_int_equal(transfer_chunks(1), 1);
    assert_int_equal(transfer_chunks(CHUNK), 1);
    assert_int_equal(transfer_chunks(CHUNK + 1), 2);
}

static void a_link_that_loses_reorders_and_repeats_delays_only(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const struct faults faults = {.lost = 0.02 * (double)(seed % 6),
                                      .twice = seed % 3 == 0 ? 0.3 : 0,
                                      .late_ms = (int64_t)(seed % 5) * 40};
        const size_t bytes = (1 + seed % 13) * CHUNK - (seed % 7) * 1001;
        struct world *w = begun(seed, bytes, faults);
        print_message("seed %" PRIu64 ": %zu bytes\n", seed, bytes);
        runs_to_the_end(w, INT64_C(1000000000));
        whole_is(&w->in, bytes);
        transfer_in_close(&w->in, false);
    }
}

/* Everything on its way is gone; the driver sees the new connection and says so. */
static void cut(struct world *w)
{
    w->link.n = 0;
    w->link.busy_ms = 0;
    transfer_in_again(&w->in, w->now_ms);
}

static void five_cuts_cost_no_chunk_a_third_sending(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const size_t bytes = 23 * CHUNK + 77;
        struct world *w = begun(seed, bytes, (struct faults){.chunk_ms = 7});
        print_message("seed %" PRIu64 "\n", seed);
        /* A cut may hit any chunk, but none that was hit before: all that had gone out once more. */
        uint64_t clean = 0;
        int cuts = 0;
        while (!transfer_out_done(&w->out)) {
            turn(w);
            if (cuts < 5 && w->in.held >= clean && rng_below(&w->link.r, 10) == 0) {
                clean = w->out.next;
                cut(w);
                cuts++;
            }
            assert_true(w->now_ms < 3600000);
        }
        assert_int_equal(cuts, 5);
        whole_is(&w->in, bytes);
        for (size_t i = 0; i < w->in.chunks; i++) {
            assert_in_range(w->sent[i], 1, 2);
        }
        assert_in_range(w->out.sent, w->in.chunks, w->in.chunks + 5 * (uint64_t)TRANSFER_WINDOW);
        transfer_in_close(&w->in, false);
    }
}

static void credit_grows_from_one_chunk_and_begins_small_after_a_cut(void **state)
{
    (void)state;
    struct transfer_in in;
    uint64_t first = 9;
    uint64_t until = 9;
    bool resume = false;

    opened(&in, NULL, 20 * CHUNK);
    static const uint64_t want[] = {1, 3, 5, 7, 9, 11, 13, 15, 16, 17};
    for (uint64_t i = 0; i < 10; i++) {
        assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
        assert_int_equal(first, i);
        assert_int_equal(until, want[i]);
        assert_int_equal(resume, i == 0);
        assert_false(transfer_in_credit(&in, 0, &first, &until, &resume)); /* said once */
        assert_int_equal(give(&in, i), RC_OK);
    }
    transfer_in_again(&in, 0);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_int_equal(first, 10);
    assert_int_equal(until, 11);
    assert_true(resume);
    transfer_in_close(&in, false);
}

static void on_a_slow_link_two_chunks_are_on_their_way(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};
    uint64_t first = 0;
    uint64_t until = 0;
    bool resume = false;

    opened(&in, NULL, 20 * CHUNK);
    for (uint64_t i = 0; i < 10; i++) { /* a chunk takes as long as a slow link needs */
        const int64_t now = 1000 + (int64_t)i * TRANSFER_SLOW_MS;
        assert_true(transfer_in_credit(&in, now, &first, &until, &resume));
        assert_in_range(until - first, 1, TRANSFER_SLOW_WINDOW);
        assert_int_equal(transfer_in_chunk(&in, i, tensor + i * CHUNK, CHUNK, now, &err), RC_OK);
    }
    assert_true(transfer_in_credit(&in, 10000, &first, &until, &resume));
    assert_int_equal(until - first, TRANSFER_SLOW_WINDOW);
    for (uint64_t i = 10; i < 18; i++) { /* it has become fast */
        assert_int_equal(transfer_in_chunk(&in, i, tensor + i * CHUNK, CHUNK, 10001, &err), RC_OK);
    }
    assert_true(transfer_in_credit(&in, 10001, &first, &until, &resume));
    assert_int_equal(until, 20);
    assert_true(in.window > TRANSFER_SLOW_WINDOW);
    transfer_in_close(&in, false);
}

static void a_sender_knows_how_often_it_repeated_a_chunk(void **state)
{
    (void)state;
    struct transfer_out out;
    struct error err = {0};
    const struct hash hash = hash_of(tensor, 20 * CHUNK);
    /* where the receiver begins again after how many chunks, and the most that one chunk was sent */
    static const struct {
        uint64_t first, n, most;
    } leg[] = {{0, 5, 1}, {3, 4, 2}, {7, 3, 2}, {9, 2, 2}, {9, 2, 3}, {10, 1, 4}};

    transfer_out_init(&out, &hash, 20 * CHUNK);
    for (size_t i = 0; i < sizeof leg / sizeof leg[0]; i++) {
        assert_int_equal(
            transfer_out_credit(&out, leg[i].first, leg[i].first + leg[i].n, true, &err), RC_OK);
        for (uint64_t k = 0; k < leg[i].n; k++) {
            transfer_out_sent(&out);
        }
        assert_int_equal(out.most, leg[i].most);
    }
    assert_int_equal(out.sent, 5 + 4 + 3 + 2 + 2 + 1);
}

static void silence_is_asked_about_ever_more_seldom(void **state)
{
    (void)state;
    struct transfer_in in;
    uint64_t first = 0;
    uint64_t until = 0;
    bool resume = false;

    opened(&in, NULL, 3 * CHUNK);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    static const int64_t silence[] = {10000, 20000, 40000, 80000, 80000, 80000};
    int64_t now = 0;
    for (size_t i = 0; i < sizeof silence / sizeof silence[0]; i++) {
        assert_false(transfer_in_credit(&in, now + silence[i] - 1, &first, &until, &resume));
        now += silence[i];
        assert_int_equal(in.due_ms, now);
        assert_true(transfer_in_credit(&in, now, &first, &until, &resume));
        assert_int_equal(until, 1);
        assert_true(resume);
    }
    transfer_in_close(&in, false);
}

static void chunks_out_of_order_are_refused_and_counted(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};

    opened(&in, path, 3 * CHUNK + 5);
    assert_int_equal(give(&in, 1), RC_STATE);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(give(&in, 0), RC_STATE);
    assert_int_equal(give(&in, 3), RC_STATE);
    assert_int_equal(transfer_in_chunk(&in, UINT64_MAX, tensor, CHUNK, 0, &err), RC_STATE);
    assert_int_equal(in.refused, 4);
    assert_int_equal(in.held, 1);
    spool_holds(CHUNK);
    transfer_in_close(&in, false);
}

static void chunks_of_a_wrong_size_are_refused(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};

    opened(&in, path, 2 * CHUNK + 5);
    assert_int_equal(transfer_in_chunk(&in, 0, tensor, CHUNK - 1, 0, &err), RC_FORMAT);
    assert_int_equal(transfer_in_chunk(&in, 0, tensor, CHUNK + 1, 0, &err), RC_FORMAT);
    assert_int_equal(transfer_in_chunk(&in, 0, tensor, 0, 0, &err), RC_FORMAT);
    spool_holds(0);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(give(&in, 1), RC_OK);
    assert_int_equal(transfer_in_chunk(&in, 2, tensor + 2 * CHUNK, 6, 0, &err), RC_FORMAT);
    assert_int_equal(in.held, 2);
    assert_int_equal(give(&in, 2), RC_OK);
    whole_is(&in, 2 * CHUNK + 5);
    assert_int_equal(give(&in, 2), RC_STATE); /* late, after the end */
    transfer_in_close(&in, false);
}

static void a_whole_with_another_hash_starts_anew(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};
    uint64_t first = 9;
    uint64_t until = 9;
    bool resume = false;
    unsigned char bad[5] = {0};

    opened(&in, path, CHUNK + 5);
    assert_int_equal(give(&in, 0), RC_OK);
    memcpy(bad, tensor + CHUNK, 5);
    bad[4] ^= 1;
    assert_int_equal(transfer_in_chunk(&in, 1, bad, 5, 0, &err), RC_FORMAT);
    assert_non_null(strstr(err.text, "hash"));
    assert_false(in.complete);
    spool_holds(0);
    const void *data = NULL;
    size_t n = 0;
    assert_int_equal(transfer_in_map(&in, &data, &n, &err), RC_STATE);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume)); /* the first time at once */
    assert_int_equal(first, 0);
    assert_int_equal(until, 1);
    assert_true(resume);

    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(transfer_in_chunk(&in, 1, bad, 5, 0, &err), RC_FORMAT);
    assert_false(transfer_in_credit(&in, TRANSFER_STALL_MS - 1, &first, &until, &resume));
    assert_true(transfer_in_credit(&in, TRANSFER_STALL_MS, &first, &until, &resume));
    assert_int_equal(first, 0);

    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(give(&in, 1), RC_OK);
    whole_is(&in, CHUNK + 5);
    transfer_in_close(&in, false);
}

/* Who gets the whole from here verifies it, and asks for all of it again if it is not what it should be. */
static void what_is_handed_on_is_hashed_when_it_is_doubted(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};
    uint64_t first = 9;
    uint64_t until = 9;
    bool resume = false;
    unsigned char bad[5] = {0};

    memcpy(bad, tensor + CHUNK, 5);
    bad[4] ^= 1;
    opened(&in, path, CHUNK + 5);
    transfer_in_hand_on(&in);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(transfer_in_chunk(&in, 1, bad, 5, 0, &err), RC_OK);
    assert_true(in.complete);
    assert_int_equal(transfer_in_doubt(&in, 0, &err), RC_FORMAT);
    assert_false(in.complete);
    spool_holds(0);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_int_equal(first, 0);
    assert_true(resume);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(give(&in, 1), RC_OK);
    assert_int_equal(transfer_in_doubt(&in, 0, &err), RC_OK); /* without a reason */
    whole_is(&in, CHUNK + 5);
    transfer_in_close(&in, false);
}

static void on_one_machine_all_that_may_be_on_its_way_is_asked_for_at_once(void **state)
{
    (void)state;
    struct transfer_in in;
    uint64_t first = 9;
    uint64_t until = 9;
    bool resume = false;

    opened(&in, NULL, 10 * CHUNK);
    transfer_in_near(&in);
    for (uint64_t i = 0; i < 10; i++) {
        const bool more = i <= 2; /* of ten chunks eight, nine, ten; then all are on their way */
        assert_int_equal(transfer_in_credit(&in, 0, &first, &until, &resume), more);
        assert_int_equal(until, more ? TRANSFER_WINDOW + i : 10);
        assert_int_equal(give(&in, i), RC_OK);
    }
    /* it is done, and nobody needs to hear it, at whatever time */
    assert_false(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_false(transfer_in_credit(&in, INT64_MAX - 1, &first, &until, &resume));
    whole_is(&in, 10 * CHUNK);
    transfer_in_close(&in, false);
}

static void a_killed_receiver_resumes_at_the_first_missing_chunk(void **state)
{
    (void)state;
    struct transfer_in in;
    uint64_t first = 9;
    uint64_t until = 9;
    bool resume = false;

    spool_has(tensor, 3 * CHUNK + 777); /* the last one torn */
    opened(&in, path, 5 * CHUNK + 9);
    spool_holds(3 * CHUNK); /* and private now */
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_int_equal(first, 3);
    assert_true(resume);
    assert_int_equal(give(&in, 3), RC_OK);
    transfer_in_close(&in, true);
    assert_false(in.open);
    transfer_in_close(&in, true); /* idempotent */

    opened(&in, path, 5 * CHUNK + 9);
    assert_int_equal(in.held, 4);
    assert_int_equal(give(&in, 4), RC_OK);
    assert_int_equal(give(&in, 5), RC_OK);
    whole_is(&in, 5 * CHUNK + 9);
    transfer_in_close(&in, true);

    opened(&in, path, 5 * CHUNK + 9); /* whole already: says so at once */
    whole_is(&in, 5 * CHUNK + 9);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_int_equal(first, 6);
    assert_int_equal(until, 6);
    assert_false(transfer_in_credit(&in, INT64_MAX - 1, &first, &until, &resume));
    transfer_in_close(&in, false);
    assert_int_equal(access(path, F_OK), -1);
}

static void leftovers_of_another_tensor_are_fetched_over(void **state)
{
    (void)state;
    struct transfer_in in;

    spool_has(tensor + 1, 2 * CHUNK); /* whole, and not what is wanted */
    opened(&in, path, 2 * CHUNK);
    assert_int_equal(in.held, 0);
    spool_holds(0);
    transfer_in_close(&in, true);

    spool_has(tensor, 4 * CHUNK); /* longer than wanted, and its beginning is right */
    opened(&in, path, 2 * CHUNK + 3);
    whole_is(&in, 2 * CHUNK + 3);
    spool_holds(2 * CHUNK + 3);
    transfer_in_close(&in, true);

    spool_has(tensor + 1, CHUNK + 10); /* a wrong beginning shows at the end */
    opened(&in, path, 2 * CHUNK);
    assert_int_equal(in.held, 1);
    assert_int_equal(give(&in, 1), RC_FORMAT);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(give(&in, 1), RC_OK);
    whole_is(&in, 2 * CHUNK);
    transfer_in_close(&in, false);
}

static void what_is_no_plain_file_is_refused_and_left_alone(void **state)
{
    (void)state;
    struct transfer_in in = {0};
    struct error err = {0};
    const struct hash hash = hash_of(tensor, CHUNK);
    char longer[600];

    assert_int_equal(transfer_in_open(&in, folder, &hash, CHUNK, 0, &err), RC_IO);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(transfer_in_open(&in, path, &hash, CHUNK, 0, &err), RC_IO);
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(transfer_in_open(&in, path, &hash, CHUNK, 0, &err), RC_IO);
    assert_non_null(strstr(err.text, "plain"));
    assert_int_equal(access(path, F_OK), 0);
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(transfer_in_open(&in, longer, &hash, CHUNK, 0, &err), RC_LIMIT);
    assert_int_equal(transfer_in_open(&in, NULL, &hash, 0, 0, &err), RC_LIMIT);
    assert_int_equal(transfer_in_open(&in, NULL, &hash, (uint64_t)TRANSFER_BYTES_MAX + 1, 0, &err),
                     RC_LIMIT);
    assert_int_equal(transfer_in_open(&in, NULL, &hash, UINT64_MAX, 0, &err), RC_LIMIT);
    assert_false(in.open);
}

/* A file size limit refuses in the middle of a write, as a full disk does. */
static void disk_ends_at(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, bytes == RLIM_INFINITY ? SIG_DFL : SIG_IGN);
}

static void a_full_disk_loses_nothing_and_is_waited_out(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};
    uint64_t first = 0;
    uint64_t until = 0;
    bool resume = false;

    opened(&in, path, 3 * CHUNK);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    disk_ends_at(CHUNK + 1000);
    assert_int_equal(transfer_in_chunk(&in, 1, tensor + CHUNK, CHUNK, 50, &err), RC_IO);
    disk_ends_at(RLIM_INFINITY);
    assert_non_null(strstr(err.text, "make room for 262144 more bytes"));
    assert_int_equal(in.held, 1);
    assert_int_equal(give(&in, 2), RC_STATE); /* was on its way */
    assert_false(transfer_in_credit(&in, 50 + TRANSFER_STALL_MS - 1, &first, &until, &resume));
    assert_true(transfer_in_credit(&in, 50 + TRANSFER_STALL_MS, &first, &until, &resume));
    assert_int_equal(first, 1);
    assert_int_equal(until, 2);
    assert_true(resume);
    assert_int_equal(give(&in, 1), RC_OK);
    assert_int_equal(give(&in, 2), RC_OK);
    whole_is(&in, 3 * CHUNK);
    transfer_in_close(&in, false);
}

static void a_torn_write_is_cut_off_at_the_next_start(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};

    opened(&in, path, 3 * CHUNK);
    assert_int_equal(give(&in, 0), RC_OK);
    disk_ends_at(CHUNK + 1000);
    assert_int_equal(transfer_in_chunk(&in, 1, tensor + CHUNK, CHUNK, 0, &err), RC_IO);
    disk_ends_at(RLIM_INFINITY);
    transfer_in_close(&in, true);
    opened(&in, path, 3 * CHUNK);
    assert_int_equal(in.held, 1);
    spool_holds(CHUNK);
    transfer_in_close(&in, false);
}

static void a_file_cut_under_us_is_an_error_and_not_a_crash(void **state)
{
    (void)state;
    struct transfer_in in;
    uint64_t first = 0;
    uint64_t until = 0;
    bool resume = false;

    opened(&in, path, 2 * CHUNK);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(truncate(path, 10), 0);
    /* Writing behind the end leaves a hole of zeros, so here it is the hash that tells. */
    assert_int_equal(give(&in, 1), RC_FORMAT);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_int_equal(first, 0);
    assert_int_equal(give(&in, 0), RC_OK);
    assert_int_equal(give(&in, 1), RC_OK);
    whole_is(&in, 2 * CHUNK);
    transfer_in_close(&in, false);
}

static void over_a_good_link_a_whole_window_comes_at_once(void **state)
{
    (void)state;
    struct transfer_in in;
    struct transfer_out out;
    struct error err = {0};
    const struct hash hash = hash_of(tensor, 20 * CHUNK + 7);
    uint64_t first = 9;
    uint64_t until = 9;
    uint64_t index = 9;
    uint64_t offset = 9;
    size_t n = 0;
    bool resume = false;
    size_t messages = 0;

    opened(&in, NULL, 20 * CHUNK + 7);
    transfer_in_wide(&in);
    transfer_out_init(&out, &hash, 20 * CHUNK + 7);
    while (!in.complete) {
        assert_true(transfer_in_credit(&in, 5, &first, &until, &resume));
        assert_true(until - first <= TRANSFER_WINDOW);
        assert_int_equal(transfer_out_credit(&out, first, until, resume, &err), RC_OK);
        transfer_out_together(&out, in.together);
        while (transfer_out_next(&out, &index, &offset, &n)) {
            transfer_out_sent(&out);
            assert_true(n <= (size_t)TRANSFER_WINDOW / 2 * CHUNK);
            assert_int_equal(transfer_in_chunk(&in, index, tensor + offset, n, 5, &err), RC_OK);
            messages++;
        }
    }
    assert_int_equal(messages, 6); /* of four chunks but for what is left: two are on their way */
    assert_int_equal(out.sent, 21);
    assert_int_equal(out.most, 1);
    assert_true(transfer_in_went_well(&in));
    whole_is(&in, 20 * CHUNK + 7);
    transfer_in_close(&in, false);
}

static void what_came_at_one_word_needs_no_other(void **state)
{
    (void)state;
    struct transfer_in in;
    struct transfer_out out;
    struct error err = {0};
    const struct hash hash = hash_of(tensor, 4 * CHUNK);
    uint64_t first = 9;
    uint64_t until = 9;
    uint64_t index = 9;
    uint64_t offset = 9;
    size_t n = 0;
    bool resume = false;

    for (int how = 0; how < 3;
         how++) { /* carefully, over a good link, from a process of this machine */
        opened(&in, NULL, 4 * CHUNK);
        transfer_out_init(&out, &hash, 4 * CHUNK);
        if (how > 0) {
            (how == 1 ? transfer_in_wide : transfer_in_near)(&in);
        }
        assert_false(transfer_out_arrived(&out)); /* nothing was sent */
        while (!in.complete) {
            assert_true(transfer_in_credit(&in, 5, &first, &until, &resume));
            assert_int_equal(transfer_out_credit(&out, first, until, resume, &err), RC_OK);
            transfer_out_together(&out, in.together);
            while (transfer_out_next(&out, &index, &offset, &n)) {
                transfer_out_sent(&out);
                assert_int_equal(transfer_in_chunk(&in, index, tensor + offset, n, 5, &err), RC_OK);
            }
        }
        assert_int_equal(transfer_in_credit(&in, 5, &first, &until, &resume), how == 0);
        assert_false(transfer_in_credit(&in, INT64_MAX - 1, &first, &until, &resume));
        assert_false(transfer_out_done(&out));
        assert_true(transfer_out_arrived(&out));
        assert_true(transfer_out_done(&out));
        assert_false(transfer_out_arrived(&out)); /* known */
        transfer_in_again(&in, 6);                /* asked, it says that it has all */
        assert_true(transfer_in_credit(&in, 6, &first, &until, &resume));
        assert_int_equal(first, 4);
        transfer_in_close(&in, false);
    }
}

static void what_went_wrong_makes_the_next_transfer_begin_small(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};
    uint64_t first = 9;
    uint64_t until = 9;
    bool resume = false;

    opened(&in, NULL, 4 * CHUNK); /* cut: it begins small at once */
    transfer_in_wide(&in);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_int_equal(until, 4);
    transfer_in_again(&in, 1);
    assert_true(transfer_in_credit(&in, 1, &first, &until, &resume));
    assert_int_equal(until, 1);
    assert_int_equal(in.together, 1);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(give(&in, i), RC_OK);
    }
    assert_false(transfer_in_went_well(&in));
    transfer_in_close(&in, false);

    const int64_t most = 3 * (int64_t)TRANSFER_SLOW_MS; /* three chunks in a message */
    for (int slow = 0; slow < 2; slow++) {
        opened(&in, NULL, 3 * CHUNK);
        transfer_in_wide(&in);
        assert_true(transfer_in_credit(&in, 1000, &first, &until, &resume));
        assert_int_equal(transfer_in_chunk(&in, 0, tensor, 3 * CHUNK, 1000 + most - 1 + slow, &err),
                         RC_OK);
        assert_int_equal(transfer_in_went_well(&in), slow == 0);
        transfer_in_close(&in, false);
    }

    for (int slow = 0; slow < 2; slow++) { /* of several messages the first may wait for its turn */
        const int64_t window_ms = TRANSFER_WINDOW * (int64_t)TRANSFER_SLOW_MS;
        const size_t window = (size_t)TRANSFER_WINDOW * CHUNK;
        opened(&in, NULL, 2 * window);
        transfer_in_wide(&in);
        assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
        assert_int_equal(transfer_in_chunk(&in, 0, tensor, window, 5000, &err), RC_OK);
        assert_true(transfer_in_credit(&in, 5000, &first, &until, &resume));
        assert_int_equal(transfer_in_chunk(&in, TRANSFER_WINDOW, tensor + window, window,
                                           5000 + window_ms - 1 + slow, &err),
                         RC_OK);
        assert_int_equal(transfer_in_went_well(&in), slow == 0);
        transfer_in_close(&in, false);
    }

    for (int64_t each = TRANSFER_SLOW_MS - 1; each <= TRANSFER_SLOW_MS; each++) { /* in the mean */
        int64_t now = 1000;
        opened(&in, NULL, 11 * CHUNK);
        for (uint64_t i = 0; i < 11;
             i++) { /* one takes ten times as long, the others make up for it */
            now += i == 0 ? 0 : i == 1 ? 10 * each : 0;
            assert_int_equal(transfer_in_chunk(&in, i, tensor + i * CHUNK, CHUNK, now, &err),
                             RC_OK);
        }
        assert_int_equal(transfer_in_went_well(&in), each < TRANSFER_SLOW_MS);
        transfer_in_close(&in, false);
    }

    opened(&in, NULL, 3 * CHUNK); /* silence */
    transfer_in_wide(&in);
    assert_true(transfer_in_credit(&in, 0, &first, &until, &resume));
    assert_true(transfer_in_credit(&in, TRANSFER_STALL_MS, &first, &until, &resume));
    assert_int_equal(until, 1);
    assert_int_equal(in.together, 1);
    transfer_in_close(&in, false);
}

static void only_whole_chunks_go_together_and_no_more_than_a_message_holds(void **state)
{
    (void)state;
    struct transfer_in in;
    struct error err = {0};
    static const size_t wrong[] = {CHUNK - 1,  CHUNK + 1, 2 * CHUNK + 1, 9 * CHUNK, 10 * CHUNK + 1,
                                   11 * CHUNK, 0};
    opened(&in, NULL, 10 * CHUNK + 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(transfer_in_chunk(&in, 0, tensor, wrong[i], 0, &err), RC_FORMAT);
        assert_int_equal(in.held, 0);
    }
    assert_int_equal(transfer_in_chunk(&in, 0, tensor, 3 * CHUNK, 0, &err), RC_OK);
    assert_int_equal(transfer_in_chunk(&in, 2, tensor, CHUNK, 0, &err), RC_STATE);
    assert_int_equal(transfer_in_chunk(&in, 3, tensor, 8 * CHUNK, 0, &err),
                     RC_FORMAT); /* 7 and 1 byte */
    assert_int_equal(transfer_in_chunk(&in, 3, tensor + 3 * CHUNK, 7 * CHUNK + 1, 0, &err), RC_OK);
    whole_is(&in, 10 * CHUNK + 1);
    transfer_in_close(&in, false);
}

static void what_was_hashed_on_the_way_is_not_hashed_again_in_memory(void **state)
{
    (void)state;
    enum { N = 3 * CHUNK + 5 };
    struct transfer_in in;
    struct error err = {0};
    static struct hash_leaves first, rest;
    unsigned char *bad = malloc(N);
    assert_non_null(bad);
    memcpy(bad, tensor, N);
    bad[CHUNK + 3] ^= 1;
    (void)hash_and_leaves(tensor, CHUNK, &first);
    (void)hash_and_leaves(tensor + CHUNK, N - CHUNK, &rest);

    opened(&in, NULL, N); /* what was said of the bytes counts, for better or worse */
    assert_int_equal(transfer_in_chunk_hashed(&in, 0, tensor, CHUNK, &first, 0, &err), RC_OK);
    assert_int_equal(transfer_in_chunk_hashed(&in, 1, bad + CHUNK, N - CHUNK, &rest, 0, &err),
                     RC_OK);
    assert_true(in.complete);
    transfer_in_close(&in, false);

    opened(&in, NULL, N); /* leaves of something else are a wrong hash, after which all is new */
    assert_int_equal(transfer_in_chunk_hashed(&in, 0, tensor, CHUNK, &first, 0, &err), RC_OK);
    rest.leaf[1].b[0] ^= 1;
    assert_int_equal(transfer_in_chunk_hashed(&in, 1, tensor + CHUNK, N - CHUNK, &rest, 0, &err),
                     RC_FORMAT);
    assert_int_equal(transfer_in_chunk_hashed(&in, 0, tensor, CHUNK, &rest, 0, &err), RC_OK);
    assert_int_equal(transfer_in_chunk(&in, 1, tensor + CHUNK, N - CHUNK, 0, &err), RC_OK);
    whole_is(&in, N);
    transfer_in_close(&in, false);
    rest.leaf[1].b[0] ^= 1;

    opened(&in, path, N); /* a file is read as it is */
    assert_int_equal(transfer_in_chunk_hashed(&in, 0, tensor, CHUNK, &first, 0, &err), RC_OK);
    assert_int_equal(transfer_in_chunk_hashed(&in, 1, bad + CHUNK, N - CHUNK, &rest, 0, &err),
                     RC_FORMAT);
    transfer_in_close(&in, false);
    free(bad);
}

static void credit_beyond_the_end_or_the_window_is_refused(void **state)
{
    (void)state;
    struct transfer_out out = {0};
    struct error err = {0};
    const struct hash hash = hash_of(tensor, 10 * CHUNK);
    uint64_t index = 0;
    uint64_t offset = 0;
    size_t n = 0;

    assert_false(transfer_out_next(&out, &index, &offset, &n)); /* idle */
    assert_false(transfer_out_done(&out));
    assert_int_equal(transfer_out_credit(&out, 0, 1, true, &err), RC_INVALID);

    transfer_out_init(&out, &hash, 10 * CHUNK);
    assert_int_equal(transfer_out_credit(&out, 2, 3, true, &err), RC_OK);
    const struct transfer_out before = out;
    static const uint64_t bad[][2] = {{0, 9},          {7, 11},         {11, 11},
                                      {4, 3},          {0, UINT64_MAX}, {UINT64_MAX, UINT64_MAX},
                                      {UINT64_MAX, 2}, {10, 18}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(transfer_out_credit(&out, bad[i][0], bad[i][1], i % 2 == 0, &err),
                         RC_INVALID);
        assert_memory_equal(&out, &before, sizeof out);
    }
    assert_true(transfer_out_next(&out, &index, &offset, &n));
    assert_int_equal(index, 2);
    transfer_out_sent(&out);
    assert_false(transfer_out_next(&out, &index, &offset, &n)); /* no credit left */
    assert_int_equal(transfer_out_credit(&out, 10, 10, false, &err), RC_OK);
    assert_true(transfer_out_done(&out));
    assert_false(transfer_out_next(&out, &index, &offset, &n));
}

static void an_overtaken_credit_changes_nothing(void **state)
{
    (void)state;
    struct transfer_out out;
    struct error err = {0};
    const struct hash hash = hash_of(tensor, 10 * CHUNK);

    transfer_out_init(&out, &hash, 10 * CHUNK);
    assert_int_equal(transfer_out_credit(&out, 5, 7, true, &err), RC_OK);
    const struct transfer_out before = out;
    assert_int_equal(transfer_out_credit(&out, 4, 8, false, &err), RC_OK);
    assert_memory_equal(&out, &before, sizeof out);
    assert_int_equal(transfer_out_credit(&out, 0, 1, true, &err), RC_OK); /* a spool was lost */
    assert_int_equal(out.next, 0);
    assert_int_equal(out.until, 1);
}

static void a_chunk_s_hash_is_known_once_it_was_kept_and_until_another_tensor(void **state)
{
    (void)state;
    const struct hash one = hash_of(tensor, 3 * CHUNK);
    const struct hash other = hash_of(tensor, CHUNK);
    struct transfer_hashes h = {.chunks = 0};
    const uint64_t sizes[] = {3 * CHUNK, 3 * CHUNK + 1, 1};
    assert_null(transfer_hashes_find(&h, &one, 0, CHUNK));
    transfer_hashes_keep(&h, &one, 0, CHUNK, &other); /* of nothing yet: not kept */
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const uint64_t chunks = transfer_chunks(sizes[k]);
        const struct hash name = hash_of(tensor, sizes[k]);
        transfer_hashes_of(&h, &name, sizes[k]);
        for (uint64_t i = 0; i < chunks + 2; i++) {
            const struct hash of_chunk = hash_of(tensor + i, 8);
            assert_null(transfer_hashes_find(&h, &name, i, CHUNK));
            transfer_hashes_keep(&h, &other, i, CHUNK, &of_chunk); /* of another tensor */
            assert_null(transfer_hashes_find(&h, &name, i, CHUNK));
            transfer_hashes_keep(&h, &name, i, CHUNK, &of_chunk);
            const struct hash *found = transfer_hashes_find(&h, &name, i, CHUNK);
            assert_true(i < chunks ? found != NULL && hash_equal(found, &of_chunk) : found == NULL);
            assert_null(transfer_hashes_find(&h, &other, i, CHUNK));
            assert_null(transfer_hashes_find(&h, &name, i, 2 * CHUNK)); /* of more chunks */
        }
        transfer_hashes_of(&h, &name, sizes[k]); /* the same one: nothing is forgotten */
        assert_non_null(transfer_hashes_find(&h, &name, 0, CHUNK));
    }
    transfer_hashes_of(&h, &other, 1); /* as large as the last one, and another */
    assert_null(transfer_hashes_find(&h, &other, 0, CHUNK));
    transfer_hashes_of(&h, &one, (uint64_t)TRANSFER_BYTES_MAX + 1);
    transfer_hashes_keep(&h, &one, 0, CHUNK, &other);
    assert_null(transfer_hashes_find(&h, &one, 0, CHUNK));
    transfer_hashes_release(&h);
    transfer_hashes_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_around_a_chunk_arrives),
        cmocka_unit_test(a_link_that_loses_reorders_and_repeats_delays_only),
        cmocka_unit_test(five_cuts_cost_no_chunk_a_third_sending),
        cmocka_unit_test(credit_grows_from_one_chunk_and_begins_small_after_a_cut),
        cmocka_unit_test(on_a_slow_link_two_chunks_are_on_their_way),
        cmocka_unit_test(a_sender_knows_how_often_it_repeated_a_chunk),
        cmocka_unit_test(silence_is_asked_about_ever_more_seldom),
        cmocka_unit_test_setup(chunks_out_of_order_are_refused_and_counted, no_spool),
        cmocka_unit_test_setup(chunks_of_a_wrong_size_are_refused, no_spool),
        cmocka_unit_test_setup(a_whole_with_another_hash_starts_anew, no_spool),
        cmocka_unit_test_setup(a_killed_receiver_resumes_at_the_first_missing_chunk, no_spool),
        cmocka_unit_test_setup(leftovers_of_another_tensor_are_fetched_over, no_spool),
        cmocka_unit_test_setup(what_is_no_plain_file_is_refused_and_left_alone, no_spool),
        cmocka_unit_test_setup(a_full_disk_loses_nothing_and_is_waited_out, no_spool),
        cmocka_unit_test_setup(a_torn_write_is_cut_off_at_the_next_start, no_spool),
        cmocka_unit_test_setup(a_file_cut_under_us_is_an_error_and_not_a_crash, no_spool),
        cmocka_unit_test_setup(what_is_handed_on_is_hashed_when_it_is_doubted, no_spool),
        cmocka_unit_test(on_one_machine_all_that_may_be_on_its_way_is_asked_for_at_once),
        cmocka_unit_test(over_a_good_link_a_whole_window_comes_at_once),
        cmocka_unit_test(what_came_at_one_word_needs_no_other),
        cmocka_unit_test(what_went_wrong_makes_the_next_transfer_begin_small),
        cmocka_unit_test(only_whole_chunks_go_together_and_no_more_than_a_message_holds),
        cmocka_unit_test_setup(what_was_hashed_on_the_way_is_not_hashed_again_in_memory, no_spool),
        cmocka_unit_test(credit_beyond_the_end_or_the_window_is_refused),
        cmocka_unit_test(an_overtaken_credit_changes_nothing),
        cmocka_unit_test(a_chunk_s_hash_is_known_once_it_was_kept_and_until_another_tensor),
    };
    return cmocka_run_group_tests_name("transfer", tests, make_folder, remove_folder);
}
