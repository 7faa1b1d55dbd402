/**
 * @file words.h
 * The words of a command line, by argp.
 */
#ifndef COMMON_BASE_WORDS_H
#define COMMON_BASE_WORDS_H

#include <argp.h>

/**
 * argp_parse. --help, --usage and --version end the program from within it, with 0 whether anybody could
 * read the answer or not; here with 1 and a sentence where stdout did not take all of it (a full disk, a
 * closed pipe). For programs only, before there are threads.
 */
void words_parse(const struct argp *argp, int argc, char **argv, void *input);

#endif
