/* Adding updates: SITES updates of NUMBERS, each somewhere else in memory, summed into one ring as the aggregator does
 * (update_add, in pieces as they come from the network), beside copying the same bytes into one buffer of that size.
 * GB of updates a second on one core, medians of several runs, and their ratio.
 *   build/bin/bench_add [NUMBERS [SITES]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/update/update.h"
#include "tests/bench/bench_words.h"

enum { RUNS = 9, PIECE = 32 << 10 /* numbers: 128 KiB */ };

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double adding(uint32_t *sum, const unsigned char *updates, size_t P, size_t sites)
{
    struct error err = {0};
    const double begun = now();
    for (size_t k = 0; k < sites; k++) {
        const unsigned char *update = updates + k * update_bytes(P);
        for (size_t at = 0; at < P; at += PIECE) {
            const size_t n = P - at < PIECE ? P - at : PIECE;
            if (update_add(sum + at, n, update + update_bytes(at), update_bytes(n), &err) !=
                RC_OK) {
                (void)fprintf(stderr, "bench_add: %s\n", err.text);
                exit(1);
            }
        }
    }
    return now() - begun;
}

static double copying(void *to, const unsigned char *updates, size_t P, size_t sites)
{
    const double begun = now();
    for (size_t k = 0; k < sites; k++) {
        memcpy(to, updates + k * update_bytes(P), update_bytes(P));
        __asm__ volatile("" : : "r"(to) : "memory"); /* the copies before the last are made, too */
    }
    return now() - begun;
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_add [NUMBERS [SITES]]: GB of updates added a second on one core, and copied\n"
               "  bench_add 1000000 100\n");
    bench_words("bench_add", argc, 2);
    const size_t P =
        argc > 1 ? bench_number("bench_add", "NUMBERS", argv[1], 1, 10000000) : 1000000;
    const size_t sites = argc > 2 ? bench_number("bench_add", "SITES", argv[2], 1, 1000) : 100;
    const size_t bytes = sites * update_bytes(P);
    unsigned char *updates = malloc(bytes);
    uint32_t *sum = calloc(P, sizeof *sum);
    void *copy = calloc(P, sizeof *sum);
    double seconds[2][RUNS];
    if (updates == NULL || sum == NULL || copy == NULL) {
        (void)fprintf(stderr, "bench_add: no memory for %zu updates of %zu numbers; take fewer\n",
                      sites, P);
        return 1;
    }
    for (size_t i = 0; i < bytes; i++) {
        updates[i] = (unsigned char)(i * 2654435761U >> 13);
    }
    for (size_t k = 0; k < RUNS; k++) {
        seconds[0][k] = adding(sum, updates, P, sites);
        seconds[1][k] = copying(copy, updates, P, sites);
    }
    for (size_t k = 0; k < 2; k++) {
        qsort(seconds[k], RUNS, sizeof seconds[k][0], by_size);
    }
    const double added = (double)bytes / seconds[0][RUNS / 2] / 1e9;
    const double copied = (double)bytes / seconds[1][RUNS / 2] / 1e9;
    (void)printf(
        "%zu updates of %zu numbers: %.2f GB/s added, %.2f copied; ratio %.2f (check %u)\n", sites,
        P, added, copied, added / copied, sum[P / 2]);
    free(updates);
    free(sum);
    free(copy);
    return 0;
}
