/**
 * @file train.h
 * One round of local training with differential privacy: dataset and global model in, the update and
 * the new site state out. Everything that is released passes noise_release (common/dp), step by step
 * as in Abadi et al. 2016, Alg. 1; what follows it is post-processing.
 *
 * Nothing here touches a file, a clock or the network. The caller commits update and site state to
 * the ledger, together, before anybody sees the update.
 */
#ifndef AGENT_TRAIN_TRAIN_H
#define AGENT_TRAIN_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/entropy.h"
#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/dp/clip.h"
#include "common/dp/sampler.h"
#include "common/dp/slices.h"
#include "common/model/model.h"
#include "common/study/study.h"

enum { TRAIN_THREADS_MAX = SLICES_THREADS_MAX };

/**
 * Where batches are computed: threads, and a tape and memory for each of them. Megabytes that take longer
 * to reserve than a small step takes, and so lent to rounds by who trains many. No patient's number is in
 * it between rounds.
 */
struct train_room;

/**
 * @param model    borrowed, until the room is closed
 * @param threads  at least 1; the bytes of an update do not depend on it, the memory does
 * @retval RC_LIMIT more than TRAIN_THREADS_MAX  @retval RC_NOMEM
 */
RC train_room_open(const struct model *model, size_t physical_batch, size_t threads,
                   struct train_room **out, struct error *err);
void train_room_close(struct train_room **r);

/** What a round trains on. Borrowed. */
struct train_job {
    const struct study *study;
    const struct model *model;
    const struct dataset *data;
    size_t site;            /**< index on the study's roster: nominal size and weight */
    uint64_t round;         /**< from 1 */
    const real *global;     /**< [S] shared parameters of the global model */
    const void *site_state; /**< from the ledger; NULL before the first round */
    size_t site_state_bytes;
    struct train_room *room; /**< of this model and the study's physical batch, one round at a time;
                                  NULL: one with `threads` is made for the round */
    size_t threads;          /**< where `room` is NULL; 0: 1 */
    /** Asked before each noised step (from 0), on the training thread: false gives the round up.
     *  NULL: never asked. */
    bool (*go_on)(void *ctx, size_t step, size_t steps);
    void *go_on_ctx;
};

/** Figures for the site's own eyes; none of them leaves. */
struct train_report {
    double loss; /**< mean over the samples seen in the round; 0 if none */
    struct clip_counts counts;
    size_t empty_steps;
};

/**
 * Does the data have anything of a modality that the study says its site lacks? Its encoder would be
 * trained here and nobody would hear of it. @retval RC_INVALID it does, and how it can be mended
 */
RC train_fits(const struct study *study, const struct model *model, const struct dataset *data,
              size_t site, struct error *err);

/**
 * Is the model of round 1 that of the checkpoint which the study was agreed to begin from? true where
 * there is none, and of later rounds. @param global [S]
 */
bool train_begins(const struct study *study, const struct model *model, uint64_t round,
                  const real *global);
#define TRAIN_BEGINS_NOT "the first model does not begin from the checkpoint that was agreed on"

/** A finished round. Owned; released by train_result_release. */
struct train_result {
    unsigned char *update; /**< what may leave once it is in the ledger */
    size_t update_bytes;
    unsigned char *site_state; /**< adapters and optimiser: stays, commits with the update */
    size_t site_state_bytes;
    struct train_report report;
};

/**
 * Trains `study->local.steps` steps.
 *
 * @param entropy secret; noise and, at finite epsilon, the coins come from it. Without noise the
 *                coins come from the study's public seed, so that runs repeat.
 * @retval RC_FORMAT  the site state is not of this model
 * @retval RC_NUMERIC training diverged: nothing to commit
 * @retval RC_STATE   `go_on` said no: nothing is released, and what was computed is wiped
 * @retval RC_NOMEM
 */
RC train_round(const struct train_job *job, struct entropy *entropy, struct train_result *out,
               struct error *err);
void train_result_release(struct train_result *r);

/**
 * The site's parameters [P]: global shared ones and, from the site state (or their initial values),
 * its own. For scoring. @retval RC_FORMAT
 */
RC train_parameters(const struct model *model, const struct study *study, const real *global,
                    const void *site_state, size_t site_state_bytes, real *params,
                    struct error *err);

/**
 * Probabilities of `n` rows of the data, each with its patient; a row's does not depend on the others.
 * Opening a tape costs more than a row does: ask for many at once.
 * @param params [P]  @param row, who [n]  @param[out] probability [n], of several classes [n, C]  @retval RC_NOMEM
 */
RC train_score(const struct model *model, const real *params, const struct dataset *data,
               const size_t *row, const size_t *who, size_t n, double *probability,
               struct error *err);

#endif
