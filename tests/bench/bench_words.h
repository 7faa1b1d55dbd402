/**
 * @file bench_words.h
 * The words of a benchmark's command line: --help, whole numbers, and the end of it where there is none.
 */
#ifndef TESTS_BENCH_BENCH_WORDS_H
#define TESTS_BENCH_BENCH_WORDS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** `--help` among the words: print `text` and end the program with 0. */
static inline void bench_help(int argc, char **argv, const char *text)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            const int said = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
            exit(said ? 0 : 1);
        }
    }
}

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
