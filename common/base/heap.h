/**
 * @file heap.h
 * What a process keeps of the memory that it frees. For programs only.
 */
#ifndef COMMON_BASE_HEAP_H
#define COMMON_BASE_HEAP_H

#include <stddef.h>

/** Up to so many bytes stay with the process for its next messages, and so does every block below. */
enum { HEAP_KEEP_BYTES = 32 << 20 };

/**
 * Once, before there are threads: blocks up to HEAP_KEEP_BYTES come from the heap, and its end is given back only
 * beyond that. Otherwise every message of some 100 KB is mapped anew, page by page zeroed and unmapped, which costs
 * more than what is done with it. The most that a process ever has is the same.
 */
void heap_keep(void);

/**
 * And more, for a program of very many small things that lives for seconds: the next `bytes` of what malloc hands out
 * lie in large pages, all threads share one heap, and what is freed stays with the process. A page of 4 kB costs the
 * system microseconds when it is touched first, and a thousand open databases have seventy thousand of them. Where
 * the system has no large pages, memory is as ever.
 */
void heap_in_large_pages(size_t bytes);

#endif
