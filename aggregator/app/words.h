/**
 * @file words.h
 * The command line of wardround-aggregator after argp, and the commands behind it. Each command is
 * one file; main.c dispatches.
 */
#ifndef AGGREGATOR_APP_WORDS_H
#define AGGREGATOR_APP_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/config/config.h"

struct words {
    const char *command, *folder;
    const char *arg;         /**< the third word: CARD, SITE, STUDY; NULL if none */
    const char *name;        /**< init --name */
    const char *address;     /**< init --address */
    const char *bind;        /**< init --bind */
    const char *fingerprint; /**< enrol --fingerprint */
    const char *reason;      /**< revoke, abort --reason */
    const char *study;       /**< run --study STUDY.yaml */
    const char *save;        /**< models --save */
    bool has_round;
    uint64_t round;      /**< models --round */
    double epsilon;      /**< evaluate --epsilon; 0: not said */
    uint64_t deadline_s; /**< evaluate --deadline; 0: not said */
    bool anyway;         /**< evaluate --anyway */
    bool json;
};

/** What a command came to. A command sets it only where it is not VERDICT_YES. */
enum verdict {
    VERDICT_YES,      /**< with RC_OK: exit 0 */
    VERDICT_NO,       /**< with RC_OK: carried out, and the answer is no (a study failed): exit 1
                           without another sentence */
    VERDICT_WRONG_USE /**< with a failure: the words are wrong, and the same ones always will be: 2 */
};

/** Every command. A failure without VERDICT_WRONG_USE: exit 1. */
typedef enum rc aggregator_command(const struct words *w, enum verdict *verdict,
                                   struct config_issues *issues, struct error *err);

aggregator_command command_init, command_enrol, command_revoke, command_status, command_abort,
    command_evaluate, command_models, command_run, command_keys;

#endif
