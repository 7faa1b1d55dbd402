/**
 * @file words.h
 * What the commands of wardround-sim share: from the words of a command line to its exit code, numbers of
 * options, the folder of results, the end of stdout.
 */
#ifndef SIM_APP_WORDS_H
#define SIM_APP_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include <argp.h>
#include <jansson.h>

#include "common/base/error.h"
#include "common/config/config.h"

enum { EXIT_WRONG_USE = 2 };

struct words_command {
    const char *name;        /**< `attack`: the usage says "wardround-sim attack" */
    const struct argp *argp; /**< its input is `words` */
    RC (*carry_out)(void *words, struct config_issues *issues, struct error *err);
};
/** Reads the words into `words`, carries them out, and says on stderr why not. @return the exit code */
int words_command(const struct words_command *c, int argc, char **argv, void *words);

/** The whole of `text` as a number up to max; else argp's error, exit 2. */
uint64_t words_whole(struct argp_state *state, const char *name, const char *text, uint64_t max);
/** The same, at least 1. */
size_t words_count(struct argp_state *state, const char *name, const char *text, size_t max);
/** The one argument of a command: argp's error if there was one already. */
void words_config(struct argp_state *state, const char *arg, const char **config);

/** Says on stderr why a command failed: each problem of its file at its place, or `err`. */
void words_complain(const struct config_issues *issues, const struct error *err);

/** Before the work: no folder stands where `path` will be written. @retval RC_IO one does */
RC words_place(const char *path, struct error *err);

/** Makes the folder where it is missing; the one above it must be there. @retval RC_IO not writable */
RC words_folder(const char *path, struct error *err);

/** Prints one object on stdout, and drops it. @retval RC_NOMEM it is NULL; RC_IO */
RC words_json(json_t *object, struct error *err);

/** What was printed has arrived. @retval RC_IO a full disk */
RC words_printed(struct error *err);

#endif
