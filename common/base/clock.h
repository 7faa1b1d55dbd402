/**
 * @file clock.h
 * The clock of the programs. Machines, training and tests never call it: they are told the time.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

/** Milliseconds that only grow: for deadlines and durations. */
int64_t clock_monotonic_ms(void);

#endif
