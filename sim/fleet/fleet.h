/**
 * @file fleet.h
 * N hospitals and one coordinator in one process, on a virtual clock: the same session and round
 * machines, trainer, ledger, registry and merge as the deployed programs, with a queue where those
 * have sockets. A party can be killed between any two events and comes back with its disk alone.
 *
 * One call is one world: it begins with empty ledgers and an empty registry, or with those found in
 * `folder`.
 */
#ifndef SIM_FLEET_FLEET_H
#define SIM_FLEET_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/ledger/ledger.h"
#include "agent/train/train.h"
#include "common/cohort/cohort.h"
#include "common/model/model.h"
#include "common/study/study.h"

/** The coordinator's number in `fleet_kill`; sites have their index on the roster. */
#define FLEET_COORDINATOR SIZE_MAX

/** Kill `party` once `after` events have been handled. */
struct fleet_kill {
    uint64_t after;
    size_t party;
};

/** Somebody's decision, once `after` events have been handled: a hospital withdraws, or the
 *  coordinator's people stop the study. It survives every kill, as their files do. */
struct fleet_decision {
    uint64_t after;
    size_t party; /**< FLEET_COORDINATOR: abort; a site: withdraw */
};

struct fleet; /* opaque: a world that runs, to who watches it */

/** What is watched from outside; the pointers may be NULL. Called on the running thread. */
struct fleet_watch {
    void *ctx;
    /** An update is leaving a site. */
    void (*release)(void *ctx, size_t site, uint64_t round, const void *update, size_t n);
    /** A round's model [S] has been committed, once for each round that is. fleet_state may be asked
     *  meanwhile. @return what is not RC_OK ends the world, with `err` filled */
    enum rc (*committed)(void *ctx, struct fleet *f, uint64_t round, const real *model,
                         struct error *err);
};

/** Patients that are in memory only while their hospital trains: for a thousand of which ten do. */
struct fleet_cohorts {
    void *ctx;
    const size_t *n_patients; /**< [n_sites] */
    /** Owned by who asks; the same each time. Called by several threads at a time. */
    enum rc (*open)(void *ctx, size_t site, struct dataset **out, struct error *err);
};

/** One world. Everything is borrowed. */
struct fleet_params {
    const struct study *study;
    const struct schema *schema;
    const struct model *model;
    const struct dataset *const
        *data; /**< [n_sites] each hospital's own patients; NULL: see `cohorts` */
    struct fleet_cohorts cohorts;       /**< where `data` is NULL */
    const struct ledger_policy *policy; /**< [n_sites] */
    const char *folder;                 /**< ledgers and registry as files there; NULL: in memory,
                                             where nobody can be killed */
    /** Of the ledgers in `folder` at most so many are open at a time, the others are files and nothing
     *  else; 0: all are. Changes no byte. */
    size_t ledgers_open;
    uint64_t seed; /**< replayed entropy of the sites: protects nobody */
    /** So many sites look into their ledgers at the same time, where that is asked of them at the same instant:
     *  each waits for the disk by itself. 0: 1. Changes no byte. Without kills and decisions only. */
    size_t desks;
    /** 0: 1. Changes no byte. So many sites train at the same time, where they are asked at the same instant, or
     *  (of a single site, and with kills or decisions) so many threads share a batch. */
    size_t train_threads;
    const struct fleet_kill *kill;
    size_t n_kills;
    const struct fleet_decision *decision;
    size_t n_decisions;
    struct fleet_watch watch;
};

struct fleet_site_result {
    bool contributed;     /**< to the last round; false unless the study is done */
    char declined[240];   /**< the site's sentence, "" if it took part */
    double epsilon_spent; /**< of this study at its delta, as its ledger says; INFINITY without
                                    noise, 0 if it never contributed */
    unsigned char *state; /**< site state for train_parameters; NULL if none. Owned. */
    size_t state_bytes;
};

/** Owned; released by fleet_result_release. */
struct fleet_result {
    bool done; /**< all rounds reached quorum; false: failed, see reason */
    char reason[240];
    uint64_t rounds; /**< finished */
    uint64_t events;
    uint64_t refused; /**< protocol errors seen */
    double rounds_s;  /**< wall clock from the opening of the first round to the end of the last */
    size_t contributors; /**< of the last finished round */
    real *model;         /**< [S] newest global model */
    size_t n_sites;
    struct fleet_site_result *site; /**< [n_sites] */
};

/**
 * Runs the study to its end.
 * @retval RC_OK      it ended, done or failed: see `out->done`
 * @retval RC_LIMIT   it did not end within the limit of events: a fault in a machine
 * @retval others     a disk, memory or training failed
 */
RC fleet_run(const struct fleet_params *p, struct fleet_result *out, struct error *err);
void fleet_result_release(struct fleet_result *r);

/** What a site has kept of its newest round, for train_parameters; NULL and 0 before its first. Lives until
 *  the next call. @retval others as ledger_site_state */
RC fleet_state(struct fleet *f, size_t site, const void **state, size_t *n, struct error *err);

/** The name of the ledger file of a site in `folder`. */
void fleet_ledger_path(const char *folder, const char *site, char path[512]);

#endif
