/**
 * @file folder.h
 * The coordinator's folder:
 *
 *   aggregator.yaml       name, address, bind, linger_s      registry.db   never delete it
 *   NAME.card             public: sent to the sites          live.json     what `run` is doing now
 *   keys/coordinator.key  secret (0600)                      spool/        updates on their way in
 *   models/               finished models                    aggregator.lock  held by `run`
 */
#ifndef AGGREGATOR_APP_FOLDER_H
#define AGGREGATOR_APP_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "aggregator/registry/registry.h"
#include "common/base/error.h"
#include "common/config/config.h"
#include "common/seal/seal.h"

enum { FOLDER_PATH_MAX = 512, FOLDER_BIND_MAX = 256 };

/** Plain data. */
struct folder {
    char path[FOLDER_PATH_MAX];
    char name[SEAL_NAME_MAX];
    char address[SEAL_ADDRESS_MAX]; /**< where sites connect to; the one on the card */
    char bind[FOLDER_BIND_MAX];     /**< what `run` listens on: tcp://host:port, or a star in the
                                         place of the host for all of this machine's addresses */
    double linger_s;                /**< how long `run` still answers when its study has ended */
};

/** Reads and checks aggregator.yaml. @retval RC_STATE not a coordinator's folder: run init first;
 *  RC_IO as folder_look; else as config_open */
RC folder_open(const char *path, struct folder *out, struct config_issues *issues,
               struct error *err);
/** Is there an aggregator.yaml at all? @retval RC_IO it may not be read: says by whom and what to do */
RC folder_look(const char *path, bool *there, struct error *err);

/** Every key of aggregator.yaml, as a Markdown table. */
void folder_print_reference(FILE *to);

/** path/name. @retval RC_LIMIT too long */
RC folder_path(const char *path, const char *name, char out[FOLDER_PATH_MAX], struct error *err);
/** "tcp://" and, if a star may stand for it, a host; ":" and a port. */
bool folder_is_endpoint(const char *text);

/** One `run` a folder. *fd is held until the process ends; nothing else may open that file.
 *  @retval RC_STATE another one runs (its process number) */
RC folder_lock(const struct folder *f, int *fd, struct error *err);
/** Does `run` hold the folder? *pid is 0 where the system does not tell. */
RC folder_running(const struct folder *f, bool *running, int64_t *pid, struct error *err);

/** @retval RC_STATE it is gone: init had made it */
RC folder_registry(const struct folder *f, struct registry **out, struct error *err);
/** Our own keys. @retval RC_STATE none: run init first; RC_AUTH as seal_keys_open */
RC folder_keys(const struct folder *f, struct seal_keys **out, struct error *err);
/** Our own card. @retval RC_STATE none: run init first; RC_AUTH changed, or not of this name */
RC folder_card(const struct folder *f, struct seal_card *out, struct error *err);

#endif
