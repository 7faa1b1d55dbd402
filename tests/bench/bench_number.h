/**
 * @file bench_number.h
 * Whole numbers on a benchmark's command line, and the end of it where there is none.
 */
#ifndef TESTS_BENCH_BENCH_NUMBER_H
#define TESTS_BENCH_BENCH_NUMBER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** @param what its name in the sentence  @return the number; else the program ends with 2 */
static inline size_t bench_number(const char *program, const char *what, const char *text,
                                  size_t least, size_t most)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least ||
        number > most) {
        (void)fprintf(stderr, "%s: %s is '%.40s'; give a whole number from %zu to %zu\n", program,
                      what, text, least, most);
        exit(2);
    }
    return (size_t)number;
}

/** More words than there are to give end the program, too. */
static inline void bench_words(const char *program, int argc, int most)
{
    if (argc - 1 > most) {
        (void)fprintf(stderr, "%s: takes at most %d words\n", program, most);
        exit(2);
    }
}

#endif
