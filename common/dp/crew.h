/**
 * @file crew.h
 * Threads that do a job in numbered pieces, and do nothing else.
 *
 * A job is done when its last piece is; then crew_do returns and the next may begin. Whoever is free takes
 * the next piece, so a thread that the system lets wait holds nobody up longer than its piece. Between two
 * jobs a thread looks for the next one for some microseconds and then sleeps: jobs that follow each other
 * closely, as those of a training step do, cost one wake-up in all.
 *
 * Which thread does which piece is chance. Where bytes must not depend on the number of threads, each piece
 * writes to what is its own.
 */
#ifndef COMMON_DP_CREW_H
#define COMMON_DP_CREW_H

#include <stddef.h>

#include "common/base/error.h"

/** More threads than this are refused. */
enum { CREW_MAX = 8 };

struct crew;

/** Called by several threads at once, with different `thread` < the crew's and different pieces. */
typedef void crew_piece(void *ctx, size_t thread, size_t piece);

/**
 * @param threads 1 .. CREW_MAX, of which one is the caller's of crew_do, number 0
 * @retval RC_LIMIT too many  @retval RC_NOMEM
 */
RC crew_open(size_t threads, struct crew **out, struct error *err);
void crew_close(struct crew **c);

/** Does pieces 0 .. n-1 and returns when all are done. Not from within a piece. */
void crew_do(struct crew *c, crew_piece *piece, void *ctx, size_t n);

#endif
