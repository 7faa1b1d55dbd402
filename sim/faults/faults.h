/**
 * @file faults.h
 * Bad days of a masked study, simulated. One seed is one schedule: how many sites, who colludes, who
 * lies, what the network loses, delays, repeats, damages and cuts off, which disks are full and when,
 * who is killed between which two things it does. The machines (agent/session, agent/masking,
 * aggregator/round, aggregator/unmasking), ledger, registry and cryptography are those of the programs;
 * the network, the clock and the training are made up. What must hold whatever happens is the list
 * "Bad days" of docs/PROTOCOL.md, checked after every step.
 */
#ifndef SIM_FAULTS_FAULTS_H
#define SIM_FAULTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"

enum {
    FAULTS_SITES_LEAST = 3,
    FAULTS_SITES_MOST = 9,
    FAULTS_DRAWN_LEAST = 10, /**< sites of a schedule in which they draw neighbours */
    FAULTS_DRAWN_MOST = 16,
    FAULTS_JOBS_MAX = 64,
    FAULTS_ENDED_EARLY = 10, /**< the promise that no assertion fails: only faults_many sees that */
    FAULTS_FOLDER_MAX = 64   /**< with NUL */
};

struct faults_params {
    uint64_t seed;
    bool neighbours; /**< sites mask with the neighbours that they draw */
    size_t n_sites;  /**< FAULTS_SITES_LEAST to _MOST, or of neighbours; 0: drawn from the seed */
    const char *folder; /**< an empty folder for the disks of all parties; emptied again */
    FILE *history;      /**< everything that happens, a line each; NULL: nothing */
};

/** What one schedule came to. */
struct faults_result {
    unsigned broken; /**< number of the promise in docs/PROTOCOL.md; 0: all kept */
    char why[240];   /**< "" or what broke it */
    bool lying_coordinator, lying_site;
    bool done; /**< the study ended with all its rounds; false: failed, or never told (liars) */
    size_t sites, colluding, strangers;
    uint64_t steps, messages, lost_messages, kills, full_disks, refused;
    uint64_t opened, lost_rounds,
        dropped_sites; /**< sums, rounds, masked updates left out of a sum */
};

/**
 * Runs one schedule to its end. The same parameters give the same history; only the identities' keys
 * are fresh in each process, which from then on is one with a single thread and files of its own
 * (store_alone).
 * @retval RC_IO the folder cannot be used  @retval RC_NOMEM
 * @retval RC_INVALID n_sites
 */
RC faults_run(const struct faults_params *p, struct faults_result *out, struct error *err);

/** A new folder for the disks of the parties, in memory where the machine has that. @retval RC_IO */
RC faults_folder(char out[FAULTS_FOLDER_MAX], struct error *err);
/** Removes what a schedule leaves in a folder when it is killed. */
void faults_sweep(const char *folder);

/** Sums over schedules. */
struct faults_totals {
    uint64_t schedules, done, lying_coordinators, lying_sites;
    uint64_t steps, messages, lost_messages, kills, full_disks, refused;
    uint64_t opened, lost_rounds, dropped_sites;
    unsigned broken; /**< 0: every promise was kept in all of them */
    uint64_t broken_seed;
    char why[240];
};

/** `n` schedules from seed `first` on, in `jobs` processes. */
struct faults_many {
    uint64_t first, n;
    size_t n_sites, jobs;
    bool neighbours;
    void (*progress)(void *ctx, const struct faults_totals *so_far); /**< NULL: nobody asks */
    void *ctx;
};

/**
 * Stops at the first broken promise: not the lowest seed, but the first that is heard of.
 * @param base an empty folder; emptied again
 * @retval RC_IO, RC_NOMEM  @retval RC_INVALID jobs, n_sites  @retval RC_STATE a process ended early
 */
RC faults_many(const struct faults_many *m, const char *base, struct faults_totals *out,
               struct error *err);

#endif
