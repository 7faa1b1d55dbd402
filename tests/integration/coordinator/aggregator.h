/**
 * @file aggregator.h
 * A coordinator's folder in a temporary place, and the program run on it as people run it.
 */
#ifndef TESTS_INTEGRATION_COORDINATOR_AGGREGATOR_H
#define TESTS_INTEGRATION_COORDINATOR_AGGREGATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#include "common/seal/seal.h"

struct aggregator {
    char folder[128], study[160];
    struct seal_card card;
    pid_t pid; /**< of `run`; 0: not running */
    int out;   /**< its stdout */
    char line[65536];
    size_t line_n;
    unsigned port;
    json_t *event; /**< the last one */
};

/** What a study document of a test may vary; zero is the default in brackets. */
struct study_words {
    const char *sites; /**< such as "a b" [a b] */
    unsigned rounds;   /**< [2] */
    unsigned quorum;   /**< [number of sites] */
    unsigned round_s;  /**< deadline [60] */
    unsigned join_s;   /**< [60] */
    unsigned spare;    /**< rounds that may be lost [0] */
    unsigned hidden;   /**< two hidden layers of this width [0: logistic] */
    /** [number of sites] masked, and sums are of at least three [NULL: not masked] */
    const struct seal_card *masked;
};

/** `init`, and a study document with its cohort.yaml. */
void aggregator_make(struct aggregator *a, const struct study_words *words);
/** Stops what runs, and removes the folder. */
void aggregator_remove(struct aggregator *a);
/** Writes the study document anew. */
void aggregator_study(struct aggregator *a, const struct study_words *words);

/** Runs `wardround-aggregator WORD FOLDER ...` to its end. @return its exit code */
int aggregator_command(struct aggregator *a, const char *word, ...); /* ends with (char *)NULL */
void aggregator_enrol(struct aggregator *a, const struct seal_card *card);

/** Starts `run --json` and waits until it is ready. */
void aggregator_run(struct aggregator *a);
/** The next event of this name. */
const json_t *aggregator_event(struct aggregator *a, const char *name);
/** Waits for the end of `run`. @return exit code, or 128 + signal */
int aggregator_wait(struct aggregator *a);
void aggregator_signal(struct aggregator *a, int signal);
/** Is there a line of the log that contains this? */
bool aggregator_logged(const struct aggregator *a, const char *text);
/** Resident bytes of `run`. */
size_t aggregator_memory(const struct aggregator *a);
/** live.json as it is. The caller's. */
json_t *aggregator_live(const struct aggregator *a);

#endif
