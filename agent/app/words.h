/**
 * @file words.h
 * The command line of wardround-agent after argp, and the commands behind it. Each command is one
 * file; main.c dispatches.
 */
#ifndef AGENT_APP_WORDS_H
#define AGENT_APP_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/config/config.h"

struct words {
    const char *command, *folder;
    const char *arg;                    /**< the third word: STUDY, CARD; NULL if none */
    const char *what_if;                /**< ledger --what-if STUDY */
    const char *backup;                 /**< ledger --backup FILE */
    const char *to;                     /**< ledger --export DIR */
    const char *name;                   /**< init --name */
    const char *fingerprint;            /**< trust --fingerprint */
    const char *model, *input, *output; /**< predict, evaluate */
    const char *reason;                 /**< withdraw --reason */
    bool peer;                          /**< trust --peer: another site's card */
    bool verify;                        /**< ledger --verify */
    bool once;                          /**< run --once: until the first study has ended */
    bool json;
};

/**
 * Every command. *yes = false: carried out, and the answer is no (a policy refuses, a preflight line
 * failed): exit 1 without another sentence.
 */
typedef enum rc agent_command(const struct words *w, bool *yes, struct config_issues *issues,
                              struct error *err);

agent_command command_init, command_trust, command_check, command_import, command_ledger,
    command_what_if, command_export, command_approve, command_withdraw, command_run,
    command_evaluate, command_predict, command_keys;

/** Forty digits, whatever stands between them: what --fingerprint takes. */
bool trust_is_fingerprint(const char *typed);

#endif
