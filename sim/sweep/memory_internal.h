/**
 * @file memory_internal.h
 * What this process occupies, as the kernel counts it (proc(5)).
 */
#ifndef SIM_SWEEP_MEMORY_INTERNAL_H
#define SIM_SWEEP_MEMORY_INTERNAL_H

#include <stddef.h>

/** Bytes of memory in use now, and at most since memory_watch; 0: the kernel does not say. */
size_t memory_now(void);
size_t memory_most(void);
/** Forgets the peak so far. Where that is not allowed, memory_most is that of the whole process. */
void memory_watch(void);

#endif
