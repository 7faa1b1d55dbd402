/**
 * @file transfer.h
 * A tensor as chunks: hash, credit, acknowledgement, and resume at the first missing chunk. Two
 * machines without sockets or clocks. The *receiver drives*: it says what it holds and how far the
 * sender may go (WIRE_CREDIT), writes what arrives in order to a file, and is done only when the
 * whole hash is right. The sender keeps no state but where it is.
 *
 *   receiver  CREDIT(first = held, until, resume)  ->  sender
 *   sender    CHUNK(index, bytes) for index in [next, until)  ->  receiver
 *
 * Credit grows from 1 to TRANSFER_WINDOW chunks after every (re)start, on a slow link to
 * TRANSFER_SLOW_WINDOW, so that a cut loses little:
 * on a link cut again and again a chunk is sent at most twice unless two cuts hit the same one.
 * Over a link on which the last transfer went well the whole window is asked for at once, and a message may carry
 * as many of its chunks as there are: what may be on its way is the same, and costs fewer messages.
 */
#ifndef COMMON_TRANSFER_TRANSFER_H
#define COMMON_TRANSFER_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/hash.h"

enum {
    TRANSFER_CHUNK = 128 << 10, /**< bytes of every chunk but the last */
    TRANSFER_WINDOW = 8,        /**< chunks on their way at most */
    TRANSFER_SLOW_WINDOW = 2,   /**< … on a link where a chunk takes TRANSFER_SLOW_MS: what is on
                                      its way when such a link is cut goes again */
    TRANSFER_SLOW_MS = 60,
    TRANSFER_STALL_MS = 10000,     /**< without a new chunk: ask again */
    TRANSFER_STALL_MAX_MS = 80000, /**< each stall in vain doubles the next up to here: on a link so
                                      slow that a chunk takes longer, asking must not fill it */
    TRANSFER_BYTES_MAX = 1 << 30
};

/** Chunks of a tensor of `bytes` bytes. */
uint64_t transfer_chunks(uint64_t bytes);

/* ---- receiver -------------------------------------------------------------------------------- */

/** Visible for tests; zeroed is closed. */
struct transfer_in {
    struct hash hash;
    uint64_t bytes, chunks, held, window;
    uint64_t together; /**< what a CREDIT says beside its fields: chunks that a message may carry */
    int fd;            /**< owned; -1: in memory. Chunks [0, held) are in it */
    unsigned char *memory; /**< [bytes] where there is no file, from the beginning of a page on */
    struct hash_run *run;  /**< over what of it is there, unless it is handed on */
    unsigned char *block;  /**< that `run` and `memory` lie in; owned */
    const void *map;       /**< of the file, when asked for; owned */
    bool ask;              /**< a credit is to be sent now */
    bool resume;           /**< the next credit starts anew */
    int64_t due_ms;        /**< when to ask again */
    int64_t last_ms;       /**< when the last chunk came; 0: none since the (re)start */
    int64_t stall_ms;      /**< how long the next silence may be */
    uint64_t refused;      /**< chunks that were not the next one */
    uint64_t wrong;        /**< times that the whole had another hash */
    uint64_t until;        /**< of the last credit */
    uint64_t credits;      /**< said so far */
    char path[512];        /**< "" in memory */
    bool open, complete; /**< complete: whole hash verified, or, where it is handed on, all there */
    bool handed_on;      /**< transfer_in_hand_on */
    bool near;           /**< transfer_in_near */
    bool wide;           /**< transfer_in_wide, and nothing has gone wrong since */
    bool rough;          /**< it began anew */
    uint64_t timed;      /**< chunks that took timed_ms together */
    int64_t timed_ms;
};

/**
 * Opens or resumes `path` (mode 0600; what whole chunks it holds are kept, the rest cut off). With
 * path NULL in memory, which is wiped at the close. A file that is already whole is verified at once; if it is
 * not the one that is wanted, it is emptied and fetched.
 * @retval RC_NOMEM
 * @retval RC_LIMIT more than TRANSFER_BYTES_MAX or 0 bytes, or a path that does not fit
 * @retval RC_IO cannot be opened or read, or not a plain file
 */
RC transfer_in_open(struct transfer_in *t, const char *path, const struct hash *hash,
                    uint64_t bytes, int64_t now_ms, struct error *err);
/** What arrives goes on to somebody who verifies the whole: it is not hashed here, too. transfer_in_doubt, when
 *  they ask for all of it again. */
void transfer_in_hand_on(struct transfer_in *t);
/** The sender is a process of this machine: there is no link to be careful with, and as much as may be on its way
 *  is asked for at once, and the end is not acknowledged. Before the first credit. */
void transfer_in_near(struct transfer_in *t);
/** The last transfer over this link went well (transfer_in_went_well): as if near, until something goes wrong; what is
 *  more than a window comes in halves of it, so that one is dealt with while the next is on its way. Before the first
 *  credit. */
void transfer_in_wide(struct transfer_in *t);
/** Complete, without a new start, and in the mean no chunk took TRANSFER_SLOW_MS. */
bool transfer_in_went_well(const struct transfer_in *t);
/** Verifies what is complete and was handed on. @retval RC_FORMAT the whole has another hash: it starts again, as
 *  in transfer_in_chunk @retval RC_IO */
RC transfer_in_doubt(struct transfer_in *t, int64_t now_ms, struct error *err);
/** Closes; `keep` = false also removes the file. Idempotent. */
void transfer_in_close(struct transfer_in *t, bool keep);

/**
 * A chunk, or several that follow each other. After the last one the whole is hashed (about a second for each GiB); wrong: the file is
 * emptied and asked for anew: the first time at once, since a stale file explains it, then after a
 * stall, since a sender that has other bytes than it said is not worth the link.
 * @retval RC_STATE  not the next chunk (late, repeated, out of order): nothing changed, counted
 * @retval RC_FORMAT wrong size; or the whole has another hash: everything starts again
 * @retval RC_IO     disk full: what is held stays held, asked again after the stall
 */
RC transfer_in_chunk(struct transfer_in *t, uint64_t index, const void *data, size_t n,
                     int64_t now_ms, struct error *err);
/** The same of bytes that the caller has hashed: `leaves` are what came out, never what only came with them. Where they
 *  stay in memory they are not hashed again. */
RC transfer_in_chunk_hashed(struct transfer_in *t, uint64_t index, const void *data, size_t n,
                            const struct hash_leaves *leaves, int64_t now_ms, struct error *err);
/** Is a CREDIT to be sent now (start, progress, stall, resume)? Then fills its fields and sets the
 *  next stall. The last one, first = until = all, tells the sender that it is done; it is not said where the first one,
 *  near or over a good link, asked for all and all came: the sender knows what it has sent, and hears from what follows
 *  that it arrived (transfer_out_arrived). `together` of the
 *  same CREDIT is in t, since it holds until something goes wrong.
 *  @return false: nothing to say, look again at due_ms */
bool transfer_in_credit(struct transfer_in *t, int64_t now_ms, uint64_t *first, uint64_t *until,
                        bool *resume);
/** The connection was lost and made again, or the sender announced the tensor again: ask at once
 *  from the first missing chunk. */
void transfer_in_again(struct transfer_in *t, int64_t now_ms);
/** The whole into out [bytes], when complete. @retval RC_STATE not complete; @retval RC_IO */
RC transfer_in_read(const struct transfer_in *t, unsigned char *out, struct error *err);
/** The whole, to be read only, when complete; aligned for any number. Lives until the close, or until
 *  transfer_in_doubt finds it wrong. @retval RC_STATE not complete; @retval RC_IO */
RC transfer_in_map(struct transfer_in *t, const void **data, size_t *n, struct error *err);
/** The same where it is in memory already; else NULL. */
const void *transfer_in_memory(const struct transfer_in *t);

/* ---- sender ---------------------------------------------------------------------------------- */

/** Plain; zeroed is idle. The bytes are the caller's. */
struct transfer_out {
    struct hash hash;
    uint64_t bytes, chunks, next, until, acknowledged;
    uint64_t together; /**< transfer_out_together; 0 counts as 1 */
    uint64_t sent;     /**< chunks handed out, repetitions counted */
    uint64_t most;     /**< no chunk was handed out more often than this */
    uint64_t again;    /**< chunks below this one were handed out twice or more */
};

void transfer_out_init(struct transfer_out *t, const struct hash *hash, uint64_t bytes);
/** A CREDIT arrived. One that is older than the last (a smaller `first` without `resume`) changes
 *  nothing. @retval RC_INVALID beyond the end, or more than the window: nothing changed */
RC transfer_out_credit(struct transfer_out *t, uint64_t first, uint64_t until, bool resume,
                       struct error *err);
/** What a CREDIT says of it: a message may carry so many chunks. 0: one. */
void transfer_out_together(struct transfer_out *t, uint64_t chunks);
/** The next chunk to send, or those that go together, if credit allows: then `transfer_out_sent` once it was handed
 *  over. */
bool transfer_out_next(const struct transfer_out *t, uint64_t *index, uint64_t *offset, size_t *n);
void transfer_out_sent(struct transfer_out *t);
/** Something else says that the receiver holds everything. False: it cannot, since not all was sent, or is known. */
bool transfer_out_arrived(struct transfer_out *t);
/** The receiver said that it holds everything. */
bool transfer_out_done(const struct transfer_out *t);

/* ---- hashes of chunks ------------------------------------------------------------------------ */

/**
 * What the chunks of one tensor hash to, as far as it is known, for whoever hands the same chunk to several
 * receivers, or on from one to the next: it is hashed once. Zeroed: nothing is known. Whoever receives a chunk
 * hashes it all the same, so a wrong one here is a chunk refused there.
 */
struct transfer_hashes {
    struct hash tensor;
    uint64_t chunks;
    struct hash *chunk; /* [chunks], of the message that begins with this one */
    size_t *known;      /* [chunks] its bytes; 0: not known */
};

/** Forgets all if they were of another tensor. Without memory for them none is ever known. */
void transfer_hashes_of(struct transfer_hashes *h, const struct hash *tensor, uint64_t bytes);
void transfer_hashes_release(struct transfer_hashes *h);
/** Of `n` bytes from chunk `index` on. Of another tensor: not kept. */
void transfer_hashes_keep(struct transfer_hashes *h, const struct hash *tensor, uint64_t index,
                          size_t n, const struct hash *chunk);
/** Of as many bytes. @return NULL: not known; else it lives until the next call of the first two */
const struct hash *transfer_hashes_find(const struct transfer_hashes *h, const struct hash *tensor,
                                        uint64_t index, size_t n);

#endif
