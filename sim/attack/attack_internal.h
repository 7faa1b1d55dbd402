/**
 * @file attack_internal.h
 * A group of subjects, one run of a federation with some of them in, and the arithmetic of guessing who.
 */
#ifndef SIM_ATTACK_ATTACK_INTERNAL_H
#define SIM_ATTACK_ATTACK_INTERNAL_H

#include "common/accountant/audit.h"
#include "common/base/hash.h"
#include "common/kernel/real.h"
#include "sim/attack/attack.h"

/* ---- subjects.c ------------------------------------------------------------------------------- */

/** Subjects of one kind, `each` at a site, in the order of the roster: subject k * each + j is at site k. */
struct attack_group {
    enum attack_subject kind;
    size_t n_sites, each, n; /**< n = n_sites * each */
    size_t *patient;         /**< [n] index in `data` */
    struct dataset *made;    /**< owned copy in which canaries stand; NULL of ordinary patients */
    const struct dataset *data;
    struct dataset **others; /**< [n_sites] owned: everybody of a site but its subjects */
    struct dataset **alone; /**< [n] owned: each subject by itself; attack_group_ready makes them */
};

/** Draws the subjects; of canaries the places. attack_group_ready comes before the first look.
 *  @retval RC_INVALID a site has too few patients */
RC attack_group_open(const struct study *study, const struct dataset *data,
                     enum attack_subject kind, size_t each, uint64_t seed, struct attack_group *out,
                     struct error *err);
/** Once its records are as they will be. @retval RC_NOMEM */
RC attack_group_ready(struct attack_group *g, struct error *err);
void attack_group_release(struct attack_group *g);

/**
 * Writes the canaries: of a few records of extreme numbers each takes the one that the model is surest
 * about, with the other label.
 * @param params [P] trained without them
 */
RC attack_canaries_make(struct attack_group *g, const struct schema *schema,
                        const struct model *model, const real *params, uint64_t seed,
                        struct error *err);

/** A site's patients of one run: the others, and the subjects whose coin fell so. Owned copy. */
RC attack_group_pick(const struct attack_group *g, const struct study *study, size_t site,
                     const bool *in, struct dataset **out, struct error *err);

/* ---- gradient.c ------------------------------------------------------------------------------- */

/** Gradients of single records, as training clips them, without what it drops at random. */
struct attack_gradient;
RC attack_gradient_open(const struct model *model, struct attack_gradient **out, struct error *err);
void attack_gradient_close(struct attack_gradient **g);
/** sum [P] += the clipped gradient of one row. @param params [P] */
RC attack_gradient_add(struct attack_gradient *g, const struct dataset *data, size_t row,
                       size_t who, const real *params, double clip, double *sum, struct error *err);

/* ---- detect.c --------------------------------------------------------------------------------- */

/**
 * Who was in a sum? Of each round a vector r = sum_j b_j h_j + noise, where h_j is what subject j would
 * add and b_j its coin. The best linear guess of all coins at once, with noise of variance v a number:
 *     b = 1/2 + (A + 4 v I)^-1 (y - A 1/2),   A = sum_t H_t' H_t,   y = sum_t H_t' r_t
 * (linear multi-user detection, Lupas, Verdu 1989; a prior of mean 1/2 and variance 1/4). Under much noise
 * that is the matched filter.
 */
struct attack_detector {
    size_t n;
    double *gram;  /**< [n, n] A */
    double *match; /**< [n] y */
};
RC attack_detector_open(size_t n, struct attack_detector *out, struct error *err);
void attack_detector_release(struct attack_detector *d);
/** @param score [n] @retval RC_NOMEM @retval RC_NUMERIC the equations have no solution */
RC attack_detector_guess(const struct attack_detector *d, double variance, double *score,
                         struct error *err);

/* ---- world.c ---------------------------------------------------------------------------------- */

/** One run of a federation. */
struct attack_world {
    const struct attack_group *group;
    const struct study *study;
    const struct model *model;
    const bool *in;    /**< [group->n] coins */
    uint64_t seed;     /**< of replayed noise */
    bool known_others; /**< see attack_params */
    /* what is seen; NULL: nobody looks */
    double *update, *sum; /**< [group->n] scores of the two views of a coordinator */
    double *confidence;   /**< [group->n] of the finished model in a subject's label, as a logit */
    real *params;         /**< [P] the finished model, with a site's own numbers as they begin */
};
RC attack_world_run(const struct attack_world *w, struct error *err);

/* ---- archive.c -------------------------------------------------------------------------------- */

/** Where runs come from: with their number it decides every byte of what comes of them. Borrowed. */
struct attack_origin {
    const struct attack_setup *setup;
    const char *what; /**< "pilot", "patient", "canary" */
    const struct study *study;
    uint64_t seed;
    size_t each; /**< subjects of a site */
};

/** One finished run. */
struct attack_kept {
    struct hash key; /**< of its origin: attack_archive_begin */
    size_t number;
    double seconds;
    void *data; /**< [n bytes] what came of it */
    size_t n;
};

/** Notes an origin, unless it is there. */
RC attack_archive_begin(struct attack_archive *a, const struct attack_origin *origin,
                        struct hash *key, struct error *err);
/** Is this run there? Then `data` and `seconds` are. @retval RC_FORMAT of another size */
RC attack_archive_find(struct attack_archive *a, struct attack_kept *kept, bool *found,
                       struct error *err);
/** On the disk with the next that is kept a tenth of a second later, or with attack_archive_settle.
 *  @retval RC_STATE it is there already; RC_IO */
RC attack_archive_keep(struct attack_archive *a, const struct attack_kept *kept, struct error *err);
/** What is kept is on the disk. @retval RC_IO what was kept since the last time is not */
RC attack_archive_settle(struct attack_archive *a, struct error *err);

/* ---- trials.c --------------------------------------------------------------------------------- */

/** Runs of one group under one study. */
struct attack_trials {
    const struct attack_group *group;
    const struct study *study;
    uint64_t seed; /**< of coins and noise */
    struct hash key;
    size_t n, runs;
    bool *in;                    /**< [runs, n] */
    double *score[ATTACK_VIEWS]; /**< [runs, n]; of the model: confidences */
    double *seconds;             /**< [runs]; below 0: not run yet */
};

/** Runs to be made at one epsilon, and how many of them are. */
struct attack_count {
    size_t done, of;
};

/** Throws the coins, and takes what the archive has. @param number tells pools of one study apart */
RC attack_trials_open(const struct attack_setup *setup, const struct attack_group *group,
                      const struct study *study, uint64_t number, size_t runs,
                      struct attack_trials *out, struct error *err);
size_t attack_trials_missing(const struct attack_trials *t);
/** Runs what is missing, on threads, and keeps it. What is there when one fails is kept, too. */
RC attack_trials_train(const struct attack_setup *setup, struct attack_trials *t,
                       struct attack_count *count, struct error *err);
/** Of all its runs, one after the other. */
double attack_trials_seconds(const struct attack_trials *t);
void attack_trials_release(struct attack_trials *t);

/* ---- lira.c ----------------------------------------------------------------------------------- */

/** Confidences of subjects in runs, and who was in. Borrowed. */
struct attack_runs {
    size_t runs, n;
    const bool *in;           /**< [runs, n] */
    const double *confidence; /**< [runs, n] */
};

/**
 * Likelihood ratios (Carlini et al. 2022, "online", with normals of one variance a subject): the same
 * subject's confidences in runs with and without it say what to expect.
 * @param references the runs that are compared with; `target` itself: all of it but the run in question
 * @param score [target->runs, n]
 */
RC attack_lira(const struct attack_runs *target, const struct attack_runs *references,
               double *score, struct error *err);

/* ---- run.c ------------------------------------------------------------------------------------ */

/** attack_cell, with the bounds of another study's mechanism: what is claimed need not be what is done. */
RC attack_cell_against(struct attack *a, const struct study *study, const struct study *claimed,
                       struct attack_row row[ATTACK_ROWS_MAX], size_t *n, struct error *err);

/* ---- rates.c ---------------------------------------------------------------------------------- */

/** Most that an attacker can reach, NULL: without noise. */
struct pld;

/** k of n. */
struct attack_rate attack_rate_of(size_t k, size_t n);

/** Fills in, out, points, balanced accuracy and the lower bounds of a row from n scores. */
RC attack_rates(const double *score, const bool *in, size_t n, const struct pld *pld,
                struct attack_row *row, struct error *err);
/** For trials that are independent, of Gaussians: the threshold from the first half of the runs, the
 *  bound from the second. @param score, in [runs, each] */
RC attack_audit_gaussian(const double *score, const bool *in, size_t n, double delta,
                         double *epsilon, struct error *err);

#endif
