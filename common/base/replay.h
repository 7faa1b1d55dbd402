/**
 * @file replay.h
 * Noise that can be played again: a `struct entropy` whose key comes from a seed. It protects
 * nobody. Only `sim/` and `tests/` may include this header (tests/lint/include_graph.py).
 */
#ifndef COMMON_BASE_REPLAY_H
#define COMMON_BASE_REPLAY_H

#include <stdint.h>

#include "common/base/entropy.h"

/**
 * @param stream names the use, such as "site 3 round 7"; the same (seed, stream) gives the same
 *               bytes on every machine.
 */
void replay_init(struct entropy *e, uint64_t seed, const char *stream);

#endif
