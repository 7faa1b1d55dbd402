#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "common/base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <sodium.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#endif
#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

static size_t round_up(size_t n)
{
    return (n + (ARENA_ALIGN - 1u)) & ~(size_t)(ARENA_ALIGN - 1u);
}

size_t arena_cost(size_t count, size_t size)
{
    assert(size == 0 || count <= (SIZE_MAX - ARENA_ALIGN) / size);
    return round_up(count * size);
}

/* What is large is asked for in large pages: touched for the first time, a page of 4 kB costs the system about what
 * writing it does, and a dataset of a thousand hospitals has fifty thousand of them. Where the system has no
 * large pages, or not for us, the memory is as ever. */
enum { LARGE_PAGE = 2 << 20, LARGE_FROM = 2 * LARGE_PAGE };

static unsigned char *reserve(size_t size)
{
    if (size < LARGE_FROM) {
        return aligned_alloc(ARENA_ALIGN, size > 0 ? size : ARENA_ALIGN);
    }
    const size_t whole = (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE; /* as it must be */
    unsigned char *base = aligned_alloc(LARGE_PAGE, whole);
#ifdef MADV_HUGEPAGE
    if (base != NULL) { /* but for the last, of which less may be used */
        (void)madvise(base, whole - LARGE_PAGE, MADV_HUGEPAGE);
    }
#endif
    return base;
}

enum rc arena_init(struct arena *a, size_t size, struct error *err)
{
    *a = (struct arena){0};
    if (size > SIZE_MAX - LARGE_PAGE) {
        return error_set(err, RC_NOMEM, "arena: cannot reserve %zu bytes", size);
    }
    size = round_up(size);
    unsigned char *base = reserve(size);
    if (base == NULL) {
        return error_set(err, RC_NOMEM, "arena: cannot reserve %zu bytes", size);
    }
    ASAN_POISON_MEMORY_REGION(base, size);
    *a = (struct arena){.base = base, .size = size};
    return RC_OK;
}

void arena_wipe(struct arena *a)
{
    if (a->base != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(a->base, a->size);
        sodium_memzero(a->base, a->peak);
        ASAN_POISON_MEMORY_REGION(a->base, a->size);
        a->peak = a->used; /* what is still in use may be written again */
    }
}

void arena_release(struct arena *a)
{
    if (a->base != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(a->base, a->size);
        free(a->base);
    }
    *a = (struct arena){0};
}

void *arena_take_unset(struct arena *a, size_t count, size_t size)
{
    size_t bytes = arena_cost(count, size);
    if (bytes > a->size - a->used) {
        /* Not an operating error: whoever sized this arena summed wrongly. */
        (void)fprintf(stderr, "arena: want %zu, have %zu of %zu\n", bytes, a->size - a->used,
                      a->size);
        abort();
    }
    unsigned char *p = a->base + a->used;
    a->used += bytes;
    a->peak = a->used > a->peak ? a->used : a->peak;
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
#ifdef ARENA_POISON
    memset(p, 0xFF, bytes); /* as a real: not a number, so that reading before writing shows */
#endif
    return p;
}

void *arena_take(struct arena *a, size_t count, size_t size)
{
    return memset(arena_take_unset(a, count, size), 0, arena_cost(count, size));
}

size_t arena_mark(const struct arena *a)
{
    return a->used;
}

void arena_rewind(struct arena *a, size_t mark)
{
    assert(mark <= a->used);
    if (a->base == NULL) {
        return;
    }
    ASAN_POISON_MEMORY_REGION(a->base + mark, a->used - mark);
    a->used = mark;
}
