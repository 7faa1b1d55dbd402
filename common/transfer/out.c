#include <assert.h>
#include <inttypes.h>

#include "common/transfer/transfer.h"

uint64_t transfer_chunks(uint64_t bytes)
{
    return bytes / TRANSFER_CHUNK + (bytes % TRANSFER_CHUNK != 0 ? 1 : 0);
}

void transfer_out_init(struct transfer_out *t, const struct hash *hash, uint64_t bytes)
{
    assert(bytes > 0);
    assert(bytes <= TRANSFER_BYTES_MAX);
    *t = (struct transfer_out){.hash = *hash, .bytes = bytes, .chunks = transfer_chunks(bytes)};
}

enum rc transfer_out_credit(struct transfer_out *t, uint64_t first, uint64_t until, bool resume,
                            struct error *err)
{
    if (until > t->chunks || first > until || until - first > TRANSFER_WINDOW) {
        return error_set(err, RC_INVALID,
                         "credit for chunks %" PRIu64 " to %" PRIu64 " of %" PRIu64
                         ": at most %d at a time and none beyond the end",
                         first, until, t->chunks, TRANSFER_WINDOW);
    }
    if (resume) {
        if (first < t->next) { /* these go once more; some of them perhaps not for the first time */
            t->most = first < t->again ? t->most + 1 : (t->most > 2 ? t->most : 2);
            t->again = t->next > t->again ? t->next : t->again;
        }
        t->next = first;
        t->until = until;
        t->acknowledged = first;
        return RC_OK;
    }
    if (first < t->acknowledged) {
        return RC_OK; /* overtaken on its way by a newer one */
    }
    t->acknowledged = first;
    t->next = first > t->next ? first : t->next;
    t->until = until > t->until ? until : t->until;
    return RC_OK;
}

void transfer_out_together(struct transfer_out *t, uint64_t chunks)
{
    t->together = chunks < TRANSFER_WINDOW ? chunks : TRANSFER_WINDOW;
}

/* How many chunks the next message carries. */
static uint64_t run_of(const struct transfer_out *t)
{
    const uint64_t most = t->together > 1 ? t->together : 1;
    const uint64_t there = t->next < t->until ? t->until - t->next : 0;
    return there < most ? there : most;
}

bool transfer_out_next(const struct transfer_out *t, uint64_t *index, uint64_t *offset, size_t *n)
{
    if (t->next >= t->until) {
        return false;
    }
    const uint64_t at = t->next * TRANSFER_CHUNK;
    const uint64_t left = t->bytes - at;
    const uint64_t most = run_of(t) * TRANSFER_CHUNK;
    *index = t->next;
    *offset = at;
    *n = (size_t)(left < most ? left : most);
    return true;
}

void transfer_out_sent(struct transfer_out *t)
{
    assert(t->next < t->until);
    const uint64_t run = run_of(t);
    t->next += run;
    t->sent += run;
    t->most = t->most > 0 ? t->most : 1;
}

bool transfer_out_arrived(struct transfer_out *t)
{
    if (t->chunks == 0 || t->next < t->chunks || t->acknowledged == t->chunks) {
        return false;
    }
    t->acknowledged = t->chunks;
    return true;
}

bool transfer_out_done(const struct transfer_out *t)
{
    return t->chunks > 0 && t->acknowledged == t->chunks;
}
