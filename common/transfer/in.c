#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/transfer/transfer.h"

enum {
    RUN_MAX = TRANSFER_WINDOW, /* 1 MiB: as much as a message may carry */
    PAGE = 4096                /* where memory begins: from there it can go past the page cache */
};

static const char *name_of(const struct transfer_in *t)
{
    return t->path[0] != '\0' ? t->path : "a file in memory";
}

static RC system_refused(const struct transfer_in *t, const char *doing, struct error *err)
{
    return error_set(err, RC_IO, "cannot %s '%s': %s", doing, name_of(t), strerror(errno));
}

/* Whole chunks from the next one on, as many as a message may carry, the last perhaps short. 0: n bytes are not that. */
static uint64_t chunks_in(const struct transfer_in *t, size_t n)
{
    const uint64_t left = t->bytes - t->held * TRANSFER_CHUNK;
    const uint64_t chunks = transfer_chunks(n);
    const bool whole = n % TRANSFER_CHUNK == 0 ? n <= left : n == left;
    return whole && chunks <= RUN_MAX ? chunks : 0;
}

static uint64_t size_of_next(const struct transfer_in *t)
{
    return t->held + 1 < t->chunks ? TRANSFER_CHUNK : t->bytes - t->held * TRANSFER_CHUNK;
}

/* Credit begins small again, and the sender goes back to the first missing chunk. */
static void restart(struct transfer_in *t)
{
    t->wide = false;
    t->rough = true;
    t->window = t->near ? TRANSFER_WINDOW : 1;
    t->together = t->near ? RUN_MAX : 1;
    t->last_ms = 0;
    t->resume = true;
}

static void ask_now(struct transfer_in *t, int64_t now_ms)
{
    t->ask = true;
    t->due_ms = now_ms;
}

static RC cut_to(const struct transfer_in *t, uint64_t bytes, struct error *err)
{
    return t->memory != NULL || ftruncate(t->fd, (off_t)bytes) == 0 ? RC_OK
                                                                    : system_refused(t, "cut", err);
}

/* All of it is there. Who counts what is on its way is told so by a last credit; on a link that loses nothing nobody
 * does, and whoever sent it all at one word of ours needs no other. */
static void completed(struct transfer_in *t, int64_t now_ms)
{
    const bool at_once = t->wide && t->credits == 1 && t->until == t->chunks;
    const bool known = t->near || at_once;
    t->complete = true;
    t->ask = !known;
    t->due_ms = known ? INT64_MAX : now_ms;
}

/* n bytes of the file from `at`. */
static RC read_at(const struct transfer_in *t, uint64_t at, unsigned char *out, size_t n,
                  struct error *err)
{
    if (t->memory != NULL) {
        memcpy(out, t->memory + at, n);
        return RC_OK;
    }
    for (size_t have = 0; have < n;) {
        const ssize_t got = pread(t->fd, out + have, n - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return system_refused(t, "read", err);
        }
        if (got == 0) {
            return error_set(err, RC_IO, "'%s' was cut by somebody else", name_of(t));
        }
        have += (size_t)got;
    }
    return RC_OK;
}

/* From the file as it is, not from what passed by: what is vouched for is what will be mapped. In memory it was hashed
 * as it came. */
static RC hash_file(const struct transfer_in *t, struct hash *out, struct error *err)
{
    unsigned char piece[1 << 16];
    struct hash_run h;
    static_assert(sizeof piece % HASH_PIECE == 0, "whole pieces but for the last");

    if (t->memory != NULL) {
        *out = t->handed_on ? hash_of(t->memory, (size_t)t->bytes) : hash_end(t->run);
        return RC_OK;
    }
    hash_begin(&h, t->bytes);
    for (uint64_t at = 0; at < t->bytes; at += sizeof piece) {
        const uint64_t left = t->bytes - at;
        const size_t n = left < sizeof piece ? (size_t)left : sizeof piece;
        const enum rc rc = read_at(t, at, piece, n, err);
        if (rc != RC_OK) {
            return rc;
        }
        hash_bytes(&h, piece, n);
    }
    *out = hash_end(&h);
    return RC_OK;
}

static void unmap(struct transfer_in *t)
{
    union {
        const void *in;
        void *out;
    } p = {.in = t->map}; /* munmap takes what mmap gave; -Wcast-qual knows no exception */
    if (t->map != NULL) {
        (void)munmap(p.out, (size_t)t->bytes);
    }
    t->map = NULL;
}

/* All chunks are there: is it what was announced? If not, nothing of it is worth keeping. */
static RC verify(struct transfer_in *t, int64_t now_ms, struct error *err)
{
    struct hash got;
    enum rc rc = hash_file(t, &got, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (hash_equal(&got, &t->hash)) {
        completed(t, now_ms);
        return RC_OK;
    }
    unmap(t);
    t->held = 0;
    if (t->memory != NULL) {
        hash_begin(t->run, t->bytes);
    }
    restart(t);
    ask_now(t, now_ms);
    if (t->wrong++ > 0) {
        t->ask = false;
        t->due_ms = now_ms + t->stall_ms;
    }
    rc = cut_to(t, 0, err);
    if (rc != RC_OK) {
        return rc;
    }
    return error_set(err, RC_FORMAT,
                     "'%s': all %" PRIu64 " bytes arrived, but their hash is another one than "
                     "announced; fetching them anew",
                     name_of(t), t->bytes);
}

/* What a former life left: whole chunks count, a torn one does not. */
static RC take_over(struct transfer_in *t, int64_t now_ms, struct error *err)
{
    struct stat st;
    enum rc rc = RC_OK;

    if (fstat(t->fd, &st) != 0) {
        return system_refused(t, "look at", err);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, RC_IO, "'%s' is not a plain file: move it away", name_of(t));
    }
    if (fchmod(t->fd, 0600) != 0) {
        return system_refused(t, "make private", err);
    }
    const uint64_t size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    t->held = size >= t->bytes ? t->chunks : size / TRANSFER_CHUNK;
    const uint64_t keep = t->held == t->chunks ? t->bytes : t->held * TRANSFER_CHUNK;
    rc = keep == size ? RC_OK : cut_to(t, keep, err);
    if (rc == RC_OK && t->held == t->chunks) {
        rc = verify(t, now_ms, err);
        if (rc == RC_FORMAT) { /* another tensor's leftovers: now empty and to be fetched */
            rc = RC_OK;
        }
    }
    return rc;
}

enum rc transfer_in_open(struct transfer_in *t, const char *path, const struct hash *hash,
                         uint64_t bytes, int64_t now_ms, struct error *err)
{
    struct transfer_in in = {
        .hash = *hash, .bytes = bytes, .chunks = transfer_chunks(bytes), .fd = -1};
    enum rc rc = RC_OK;

    if (bytes == 0 || bytes > TRANSFER_BYTES_MAX) {
        return error_set(err, RC_LIMIT, "a tensor of %" PRIu64 " bytes: 1 to %d can be moved",
                         bytes, TRANSFER_BYTES_MAX);
    }
    if (path != NULL) {
        if (strlen(path) >= sizeof in.path) {
            return error_set(err, RC_LIMIT, "the path of a spool file is too long: '%s'", path);
        }
        (void)snprintf(in.path, sizeof in.path, "%s", path);
        /* A pipe put there must not make us wait for its other end. */
        in.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (in.fd < 0) {
            return system_refused(&in, "open", err);
        }
    } else {
        in.block =
            malloc((size_t)bytes + 2 * PAGE); /* aligned_alloc would leave holes in the heap */
        if (in.block == NULL) {
            return error_set(err, RC_NOMEM, "no memory for a tensor of %" PRIu64 " bytes", bytes);
        }
        static_assert(sizeof *in.run <= PAGE, "room for the hash before the bytes");
        void *run = in.block + (PAGE - (uintptr_t)in.block % PAGE);
        in.run = run;
        in.memory = (unsigned char *)run + PAGE;
        hash_begin(in.run, bytes);
    }
    in.open = true;
    in.stall_ms = TRANSFER_STALL_MS;
    restart(&in);
    ask_now(&in, now_ms);
    in.rough = false;
    rc = in.memory != NULL ? RC_OK : take_over(&in, now_ms, err);
    if (rc != RC_OK) {
        transfer_in_close(&in, true); /* `true`: an error must not cost what was held */
        return rc;
    }
    *t = in;
    return RC_OK;
}

void transfer_in_hand_on(struct transfer_in *t)
{
    t->handed_on = true;
}

void transfer_in_near(struct transfer_in *t)
{
    t->near = true;
    t->window = TRANSFER_WINDOW;
    t->together = RUN_MAX;
}

void transfer_in_wide(struct transfer_in *t)
{
    t->wide = true;
    t->window = TRANSFER_WINDOW;
    t->together = t->chunks > TRANSFER_WINDOW ? RUN_MAX / 2 : RUN_MAX;
}

bool transfer_in_went_well(const struct transfer_in *t)
{
    return t->complete && !t->rough &&
           (t->timed == 0 || t->timed_ms < (int64_t)t->timed * TRANSFER_SLOW_MS);
}

enum rc transfer_in_doubt(struct transfer_in *t, int64_t now_ms, struct error *err)
{
    if (!t->open || !t->complete || !t->handed_on) {
        return RC_OK;
    }
    t->complete = false;
    const enum rc rc = verify(t, now_ms, err);
    t->complete = t->complete || t->held == t->chunks; /* it could not be read: nothing is known */
    return rc;
}

void transfer_in_close(struct transfer_in *t, bool keep)
{
    if (!t->open) {
        return;
    }
    unmap(t);
    if (t->memory != NULL) {
        hash_wipe(t->memory, (size_t)t->bytes);
        free(t->block);
    } else {
        (void)close(t->fd);
    }
    if (!keep && t->path[0] != '\0') {
        (void)unlink(t->path);
    }
    *t = (struct transfer_in){0};
}

static RC write_chunk(const struct transfer_in *t, const unsigned char *data, size_t n,
                      struct error *err)
{
    const uint64_t at = t->held * TRANSFER_CHUNK;

    if (t->memory != NULL) {
        memcpy(t->memory + at, data, n);
        return RC_OK;
    }
    for (size_t done = 0; done < n;) {
        const ssize_t wrote = pwrite(t->fd, data + done, n - done, (off_t)(at + done));
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return error_set(err, RC_IO,
                             "cannot write '%s': %s; make room for %" PRIu64
                             " more bytes, it goes on by itself",
                             name_of(t), strerror(wrote < 0 ? errno : ENOSPC), t->bytes - at);
        }
        done += (size_t)wrote;
    }
    return RC_OK;
}

/* More may be on its way; on a slow link two chunks keep it busy. */
static void widen(struct transfer_in *t, uint64_t chunks, int64_t now_ms)
{
    const int64_t took_ms = t->last_ms > 0 ? now_ms - t->last_ms : 0;
    const bool slow = !t->near && took_ms >= (int64_t)chunks * TRANSFER_SLOW_MS;
    const uint64_t most = slow ? TRANSFER_SLOW_WINDOW : TRANSFER_WINDOW;
    if (t->last_ms > 0) {
        t->timed_ms += took_ms;
        t->timed += chunks;
    }
    t->window = t->window + chunks < most ? t->window + chunks : most;
    t->last_ms = now_ms > 0 ? now_ms : 1;
}

/* The last chunk is in its place. */
static RC finish(struct transfer_in *t, int64_t now_ms, struct error *err)
{
    if (t->handed_on) {
        completed(t, now_ms); /* and somebody else says whether it is what was announced */
        return RC_OK;
    }
    return verify(t, now_ms, err);
}

/* Already in its place. */
static RC count_in(struct transfer_in *t, uint64_t chunks, int64_t now_ms, struct error *err)
{
    t->held += chunks;
    widen(t, chunks, now_ms);
    if (t->held < t->chunks) {
        if ((!t->near && !t->wide) || t->until < t->chunks) { /* else all is on its way */
            ask_now(t, now_ms);
        }
        return RC_OK;
    }
    const enum rc rc = finish(t, now_ms, err);
    if (rc == RC_IO && t->held == t->chunks) {
        t->held -= chunks; /* could not be read back: the last ones will be asked for again */
    }
    return rc;
}

/* Of a whole in memory that nobody else will hash. */
static void hash_part(struct transfer_in *t, size_t n, const struct hash_leaves *leaves)
{
    const bool known = leaves != NULL && leaves->n == n;
    if (t->memory == NULL || t->handed_on || (known && hash_add_leaves(t->run, leaves))) {
        return;
    }
    hash_bytes(t->run, t->memory + t->held * TRANSFER_CHUNK, n);
}

enum rc transfer_in_chunk_hashed(struct transfer_in *t, uint64_t index, const void *data, size_t n,
                                 const struct hash_leaves *leaves, int64_t now_ms,
                                 struct error *err)
{
    enum rc rc;

    assert(t->open);
    if (t->complete || index != t->held) {
        t->refused++;
        return error_set(err, RC_STATE,
                         "chunk %" PRIu64 " of %" PRIu64 ": the next one is %" PRIu64, index,
                         t->chunks, t->held);
    }
    const uint64_t chunks = chunks_in(t, n);
    if (chunks == 0) {
        return error_set(err, RC_FORMAT,
                         "chunk %" PRIu64 " of %" PRIu64 " has %zu bytes instead of %" PRIu64,
                         index, t->chunks, n, size_of_next(t));
    }
    rc = write_chunk(t, data, n, err);
    if (rc == RC_OK) {
        hash_part(t, n, leaves);
        rc = count_in(t, chunks, now_ms, err);
    }
    if (rc == RC_IO) { /* what follows on the link is not the next one either, until the stall */
        restart(t);
        t->ask = false;
        t->due_ms = now_ms + t->stall_ms;
    }
    return rc;
}

enum rc transfer_in_chunk(struct transfer_in *t, uint64_t index, const void *data, size_t n,
                          int64_t now_ms, struct error *err)
{
    return transfer_in_chunk_hashed(t, index, data, n, NULL, now_ms, err);
}

bool transfer_in_credit(struct transfer_in *t, int64_t now_ms, uint64_t *first, uint64_t *until,
                        bool *resume)
{
    if (!t->open || (!t->ask && (t->complete || now_ms < t->due_ms))) {
        return false;
    }
    if (!t->ask) {
        restart(t);
        t->stall_ms = t->stall_ms < TRANSFER_STALL_MAX_MS ? 2 * t->stall_ms : t->stall_ms;
    }
    *first = t->held;
    *until = t->held + t->window < t->chunks ? t->held + t->window : t->chunks;
    *resume = t->resume;
    t->until = *until;
    t->credits++;
    /* From here on it may be slow, where all comes at once; else from message to message, since for the first of
     * many it may be others' turn. */
    if (t->wide && t->last_ms == 0 && t->until == t->chunks) {
        t->last_ms = now_ms > 0 ? now_ms : 1;
    }
    t->ask = false;
    t->resume = false;
    t->due_ms = t->complete ? INT64_MAX : now_ms + t->stall_ms;
    return true;
}

void transfer_in_again(struct transfer_in *t, int64_t now_ms)
{
    if (t->open) {
        restart(t);
        t->stall_ms = TRANSFER_STALL_MS;
        ask_now(t, now_ms);
    }
}

enum rc transfer_in_read(const struct transfer_in *t, unsigned char *out, struct error *err)
{
    if (!t->open || !t->complete) {
        return error_set(err, RC_STATE, "not all of the tensor has arrived and been verified");
    }
    return read_at(t, 0, out, (size_t)t->bytes, err);
}

enum rc transfer_in_map(struct transfer_in *t, const void **data, size_t *n, struct error *err)
{
    if (!t->open || !t->complete) {
        return error_set(err, RC_STATE, "not all of the tensor has arrived and been verified");
    }
    if (t->memory == NULL && t->map == NULL) {
        const void *p = mmap(NULL, (size_t)t->bytes, PROT_READ, MAP_SHARED, t->fd, 0);
        if (p == MAP_FAILED) {
            return system_refused(t, "map", err);
        }
        t->map = p;
    }
    *data = t->memory != NULL ? t->memory : t->map;
    *n = (size_t)t->bytes;
    return RC_OK;
}

const void *transfer_in_memory(const struct transfer_in *t)
{
    return t->open && t->complete ? t->memory : NULL;
}
