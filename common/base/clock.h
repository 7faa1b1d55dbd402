/**
 * @file clock.h
 * The two clocks of the programs. Machines, training and tests never call them: they are told the
 * time.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

/** Milliseconds since the epoch: for records that people read. */
int64_t clock_wall_ms(void);
/** Milliseconds that only grow: for deadlines and durations. */
int64_t clock_monotonic_ms(void);

#endif
