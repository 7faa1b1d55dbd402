/**
 * @file agent.h
 * A hospital's folder in a temporary place, and the program run on it as people run it.
 */
#ifndef TESTS_INTEGRATION_SITE_AGENT_H
#define TESTS_INTEGRATION_SITE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#include "common/seal/seal.h"

/** The features of the hospital's cohort.yaml, and of a study that fits it. */
extern const char agent_features[];

struct agent {
    char root[64];   /**< everything of the test */
    char folder[96]; /**< the hospital's */
    char log[128];   /**< stderr of `run` */
    pid_t pid;       /**< of `run`; 0: not running */
    struct seal_card card;
};

/** A folder to put files in. */
void agent_root(struct agent *a);
/** init, trust, import; studies of `coordinator` need no person. */
void agent_make(struct agent *a, const struct seal_card *coordinator, unsigned port);
/** Stops what runs, and removes the folder. */
void agent_remove(struct agent *a);

void agent_file(const struct agent *a, const char *name, const char *text);
/** Runs `wardround-agent WORD FOLDER ...` to its end. @return its exit code */
int agent_command(const struct agent *a, const char *word, ...); /* ends with (char *)NULL */
/** Did the last command write this to stdout? */
bool agent_said(const struct agent *a, const char *text);
void agent_run(struct agent *a);
/** `run` of another agent's program. */
void agent_run_program(struct agent *a, const char *program);
/** SIGTERM. @return the exit code of `run`, or 128 + signal */
int agent_stop(struct agent *a);

/** How many lines of the log contain both texts? */
size_t agent_logged(const struct agent *a, const char *text, const char *also);
/** The hashes of the updates that the ledger holds: an object {"round": "hash"}. The caller's. */
json_t *agent_spent(const struct agent *a);

#endif
