/**
 * @file round_bench.h
 * bench_round's parts: the study and its folders (round_study.c), who measures (bench_round.c), what its
 * hospitals, bench_agent, do instead of the agent (round_site.c), each in processes of its own or many in one
 * (round_crowd.c), and the same bytes without a program around them (round_bare.c).
 */
#ifndef TESTS_BENCH_ROUND_BENCH_H
#define TESTS_BENCH_ROUND_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROUND_SITES_MAX = 1024, ROUND_PATH_MAX = 400 };

struct round_words {
    size_t sites, params, drop, rounds;
    size_t bits;   /**< of a number of the model on its way down: 16 or 32 */
    size_t crowds; /**< processes that the hospitals share; 0: three processes each */
    bool secure, json;
    char programs[ROUND_PATH_MAX]; /**< where the programs are: beside this one */
    char folder[ROUND_PATH_MAX];   /**< made for this run, removed after it */
};

/** To bench_agent, by the environment: the file of the counts; the index of the first site that drops out (none
 *  if it is not set). */
#define ROUND_COUNTS_FILE "BENCH_ROUND_COUNTS"
#define ROUND_DROPS       "BENCH_ROUND_DROPS"

/** What the hospitals' processes count, in a file that all have mapped. */
struct round_counts {
    _Atomic uint64_t bytes_up, bytes_down; /**< headers and raw frames, without CURVE and TCP */
    _Atomic uint64_t params;               /**< shared numbers of the model */
};

/** Says why on stderr, and ends the program with 1; its children end with it. */
_Noreturn void round_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The name of a site; lives until the next call. */
const char *round_site_name(size_t site);
/** Rounds before and after the measured ones. */
enum { ROUND_WARM_UP = 2, ROUND_COOL_DOWN = 1 };
/** Keys, cards, cohorts and the study's document, as the programs make them. */
void round_study_make(const struct round_words *w);
void round_study_remove(const struct round_words *w);

/** The bytes of a round, moved by libzmq with CURVE and by nothing else. */
struct round_bare {
    size_t rounds;                      /**< in: how many to play */
    size_t bytes_up, bytes_down;        /**< in: of a site that stays, of any site */
    double ms_per_round, server_cpu_ms; /**< out */
};

/** Plays them with as many processes as the sites of `w` have; forks, so no other thread may be about. */
void round_bare(const struct round_words *w, struct round_bare *of);

#endif
