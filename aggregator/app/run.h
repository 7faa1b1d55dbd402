/**
 * @file run.h
 * Carrying out a study: for `run`, and for a command that needs the sites while nobody runs.
 */
#ifndef AGGREGATOR_APP_RUN_H
#define AGGREGATOR_APP_RUN_H

#include "aggregator/app/words.h"
#include "common/base/hash.h"

struct run_wish {
    const char *folder;
    const char *study;       /**< path of its document; NULL: `kept` */
    const struct hash *kept; /**< a study of the registry, as it was signed */
    bool json;
    bool errand; /**< nothing on stdout, and no lingering when it is done */
};

/** Until the study has ended and its sites know, and no evaluation of it is open. A signal before the
 *  study's end ends the process; after it RC_OK comes back. @retval as command_run */
RC run_carry_out(const struct run_wish *w, enum verdict *verdict, struct config_issues *issues,
                 struct error *err);

#endif
