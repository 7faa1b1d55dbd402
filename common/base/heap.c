#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* madvise, sbrk */
#endif
#include "common/base/heap.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <malloc.h>

void heap_keep(void)
{
    /* Refused, it is as it was: nothing depends on it but time. */
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_KEEP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
}

#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)

/* FIRST makes the heap grow: more than is free in it, and not yet a mapping of its own. MORE comes behind `bytes`, at a
 * time. */
enum { LARGE_PAGE = 2 << 20, FIRST = 16 << 20, MORE = 64 << 20 };
void heap_in_large_pages(size_t bytes)
{
    const size_t most = INT_MAX - LARGE_PAGE;
    (void)mallopt(M_ARENA_MAX, 1);
    heap_keep();
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
    (void)mallopt(M_TOP_PAD, (int)(bytes < most ? bytes : most));
    unsigned char *first = malloc(FIRST);
    const unsigned char *end = sbrk(0);
    if (first != NULL && (uintptr_t)first < (uintptr_t)end) {
        const size_t skip = LARGE_PAGE - (uintptr_t)first % LARGE_PAGE;
        const size_t n = (size_t)((uintptr_t)end - (uintptr_t)first);
        (void)madvise(first + skip, n > skip ? n - skip : 0, MADV_HUGEPAGE);
    }
    free(first);
    (void)mallopt(M_TOP_PAD, MORE);
}

#else

void heap_in_large_pages(size_t bytes)
{
    (void)bytes;
}

#endif
