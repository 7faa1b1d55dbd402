/**
 * @file site.h
 * A hospital's folder:
 *
 *   site.yaml           name, policy            cohort.yaml, patients.csv ...  the cohort as it is
 *   NAME.card           public: sent to the coordinator
 *   keys/site.key       secret (0600)           keys/coordinator.card, keys/peers/NAME.card: trusted
 *   site.db             the imported cohort     ledger.db   never delete it
 *   receipts/           what coordinators signed about the ledger
 *   consent.db          who approved what       models/STUDY.safetensors  finished models
 *   gateway/            what is on its way; the only place the gateway may write
 *   agent.lock          held by the running agent
 */
#ifndef AGENT_APP_SITE_H
#define AGENT_APP_SITE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/consent/consent.h"
#include "agent/ledger/ledger.h"
#include "agent/receipts/receipts.h"
#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"
#include "common/schema/schema.h"
#include "common/seal/seal.h"

enum { SITE_PATH_MAX = 512, SITE_AUTO_MAX = 16 };

#define SITE_RECEIPTS "receipts"

/** `auto_approve:` in site.yaml: studies of this coordinator need no person up to an epsilon. */
struct site_auto {
    char coordinator[SEAL_NAME_MAX];
    double max_epsilon; /**< of one study, at its own delta */
};

/** Freed by site_release. */
struct site {
    char folder[SITE_PATH_MAX];
    char name[SCHEMA_NAME_MAX];
    char
        address[SEAL_ADDRESS_MAX]; /**< `address:` in site.yaml: how the coordinator is reached from
                                         here, "" for the one on its card */
    struct ledger_policy policy;
    struct schema schema;
    size_t threads; /**< `threads:` in site.yaml: of training, 1 .. TRAIN_THREADS_MAX */
    size_t n_auto;
    struct site_auto auto_approve[SITE_AUTO_MAX];
};

/** site.yaml and cohort.yaml. Problems of both in `issues`. */
RC site_open(const char *folder, struct site *out, struct config_issues *issues, struct error *err);
void site_release(struct site *s);
/** Every key of site.yaml, as Markdown tables. */
void site_print_reference(FILE *to);

/** folder/name. @retval RC_LIMIT too long */
RC site_path(const char *folder, const char *name, char path[SITE_PATH_MAX], struct error *err);

/** Is a file there? One that this user may not read is a failure of its own, and not an absent one.
 *  @retval RC_AUTH it, or a folder above it, may not be read; says by whom */
RC site_look(const char *path, bool *there, struct error *err);

/** One agent a folder. *fd is held until the process ends. @retval RC_STATE another one runs (its
 *  process number) */
RC site_lock(const char *folder, int *fd, struct error *err);

/** The imported cohort. @retval RC_STATE run import first; RC_INVALID of another site */
RC site_dataset(const struct site *s, struct dataset **out, struct error *err);
/** The ledger, which must be there once a cohort was imported. @retval RC_STATE gone, or none yet */
RC site_ledger(const struct site *s, struct ledger **out, struct error *err);
/** Receipts in memory: read before a view of the ledger begins, they cannot be ahead of it. */
struct site_witnesses {
    size_t n, room;
    struct receipt *receipt; /**< owned */
};
/** All of them, or the newest of each coordinator's key. @retval RC_AUTH, RC_FORMAT a line of receipts/
 *  that its key has not signed */
RC site_witnesses(const struct site *s, bool newest_only, struct site_witnesses *out,
                  struct error *err);
void site_witnesses_release(struct site_witnesses *w);
/** Is the ledger the one that they were signed for? site_ledger asks the newest ones itself.
 *  @retval RC_STATE a row that was signed for is missing, or another one */
RC site_witnessed(const struct site_witnesses *w, struct ledger *ledger, struct error *err);
/** The same to be read only, as it stands and unchecked: for a report. */
RC site_ledger_view(const struct site *s, struct ledger **out, struct error *err);
/** For the first import alone: makes the ledger where neither it nor a cohort is there yet. */
RC site_ledger_first(const struct site *s, struct ledger **out, struct error *err);
/** For a folder without consent.db. @retval RC_STATE studies were joined: it was there, and is lost */
RC site_may_lack_consent(const char *folder, struct error *err);
/** Who approved what; made where it is missing and nothing was joined yet. @retval RC_STATE gone */
RC site_consent(const char *folder, struct consent **out, struct error *err);
/** The trusted coordinator's card. @retval RC_STATE none: run trust first */
RC site_coordinator(const char *folder, struct seal_card *out, struct error *err);
/** Our own keys and card. @retval RC_STATE none: run init first; RC_AUTH as seal_keys_open */
RC site_keys(const char *folder, struct seal_keys **out, struct error *err);

#endif
