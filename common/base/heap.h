/**
 * @file heap.h
 * What a process keeps of the memory that it frees. For programs only.
 */
#ifndef COMMON_BASE_HEAP_H
#define COMMON_BASE_HEAP_H

/** Up to so many bytes stay with the process for its next messages, and so does every block below. */
enum { HEAP_KEEP_BYTES = 32 << 20 };

/**
 * Once, before there are threads: blocks up to HEAP_KEEP_BYTES come from the heap, and its end is given back only
 * beyond that. Otherwise every message of some 100 KB is mapped anew, page by page zeroed and unmapped, which costs
 * more than what is done with it. The most that a process ever has is the same.
 */
void heap_keep(void);

#endif
