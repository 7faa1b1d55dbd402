/**
 * @file pair.h
 * The gateway's and the trainer's ends of their socket pair: messages of common/wire without
 * signatures, framed as
 *
 *   u32 LE header length | u32 LE raw length | header | raw
 *
 * A sender's numbers grow by exactly one, from 1: a kernel loses and repeats nothing.
 * Non-blocking with bounded queues: whoever waits for its descriptor is never blocked by the other.
 */
#ifndef AGENT_PAIR_PAIR_H
#define AGENT_PAIR_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/wire/wire.h"

enum { PAIR_QUEUE_BYTES = 8 << 20 }; /**< unsent at most: more is RC_LIMIT, a fault of ours */

struct pair; /* opaque: one end; one thread */

/** Two connected descriptors (AF_UNIX, SOCK_STREAM, close-on-exec, non-blocking). */
RC pair_sockets(int fds[2], struct error *err);

/**
 * Takes the descriptor; on failure it stays the caller's. About 9 MB of address space, of which only
 * what is used takes memory.
 * @param self, peer "gateway" or "trainer"
 * @retval RC_NOMEM, RC_IO
 */
RC pair_open(int fd, const char *self, const char *peer, struct pair **out, struct error *err);
void pair_close(struct pair **p);
int pair_fd(const struct pair *p);
/** From now on chunks that arrive are not hashed here: somebody who gets all of them verifies the whole. Their
 *  length is compared, and all else is checked as ever. */
void pair_leave_chunks(struct pair *p);
/** Something is queued: wait for writable too. */
bool pair_wants_write(const struct pair *p);
/** Bytes queued and not yet taken by the kernel: throttle chunks by it. */
size_t pair_queued(const struct pair *p);

/** Queues and writes what it can. Fills from, to, epoch, sequence, raw, raw_bytes of `m`.
 *  @retval RC_LIMIT   the queue is full: nothing of it is queued
 *  @retval RC_INVALID wire_pack refuses it: nothing of it is queued
 *  @retval RC_IO      the other end is gone */
RC pair_send(struct pair *p, struct wire_message *m, const void *raw, size_t raw_n,
             struct error *err);
/** pair_send where raw and raw_bytes of `m` are set and true: a frame that was hashed before is not hashed
 *  again. The other end hashes it. */
RC pair_send_named(struct pair *p, struct wire_message *m, const void *raw, struct error *err);
/** Writes what it can of the queue. @retval RC_IO the other end is gone */
RC pair_flush(struct pair *p, struct error *err);
/**
 * The next whole message, if there is one; call it until *got is false. `raw` (NULL: none; aligned
 * to 64 bytes) lives until the next call. m, raw and raw_n are written only with *got.
 * @retval RC_IO     the other end is gone; what it had sent before has been handed out
 * @retval RC_FORMAT, RC_LIMIT, RC_STATE not a message, or not the next one of this peer. Where the
 *                   following one would begin is unknown, so every later call fails too
 */
RC pair_receive(struct pair *p, bool *got, struct wire_message *m, const void **raw, size_t *raw_n,
                struct error *err);

#endif
