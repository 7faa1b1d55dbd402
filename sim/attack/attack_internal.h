/**
 * @file attack_internal.h
 * A group of subjects, one run of a federation with some of them in, and the arithmetic of guessing who.
 */
#ifndef SIM_ATTACK_ATTACK_INTERNAL_H
#define SIM_ATTACK_ATTACK_INTERNAL_H

#include "common/accountant/audit.h"
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
