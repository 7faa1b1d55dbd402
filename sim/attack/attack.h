/**
 * @file attack.h
 * Attacks on federations, to measure what their privacy is worth: who was in the training?
 *
 * Subjects are patients whose membership is a coin of 1/2, thrown anew in each run of the whole
 * federation; everybody else is always in. They are ordinary patients, as they are, or *canaries*: in
 * the place of a patient a record that is made to be noticed, with extreme values and the label that a
 * model trained without it holds for the least likely. Canaries have runs of their own.
 *
 * Three views, and what each sees of a run:
 *   update  a coordinator, or whoever taps it: every update of every site by itself
 *   sum     the same where updates are masked: the sum of each round
 *   model   a reader of the finished model
 *
 * Rounds are trained and merged by the code of the programs (agent/train, aggregator/merge), without
 * the machines of the protocol around it. Every attacker here is a weak one against the bound: it
 * proves what leaks, never that nothing does.
 */
#ifndef SIM_ATTACK_ATTACK_H
#define SIM_ATTACK_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"
#include "common/model/model.h"
#include "common/schema/schema.h"
#include "common/study/study.h"

enum { ATTACK_EPSILONS_MAX = 16, ATTACK_JOBS_MAX = 256 };

/** The map `attacks:` of a simulation. */
struct attack_params {
    size_t n_epsilons; /**< 0: those of the grid */
    double epsilon[ATTACK_EPSILONS_MAX];
    size_t
        references;  /**< runs without noise that ordinary patients are compared with, at least 4 */
    size_t patients; /**< ordinary subjects of a site */
    size_t canaries; /**< of a site, in one run */
    size_t trials;   /**< in and out together, of each kind of subject at each epsilon, at least */
    bool known_others; /**< the coordinator's attacker knows everybody but the subjects */
    size_t inversions; /**< updates that are turned back into a record; 0: none */
};

/** As if the map were there and empty. */
struct attack_params attack_params_default(void);
/** @retval RC_INVALID problems were added to `issues`; `out` is untouched */
RC attack_params_read(const struct config_node *map, struct attack_params *out,
                      struct config_issues *issues, struct error *err);
/** Key, range, default and reason, as Markdown. */
void attack_params_print(FILE *to);

enum attack_subject { ATTACK_PATIENT, ATTACK_CANARY, ATTACK_SUBJECTS };
enum attack_view { ATTACK_UPDATE, ATTACK_SUM, ATTACK_MODEL, ATTACK_VIEWS };

const char *attack_subject_name(enum attack_subject s); /**< "patient", "canary" */
const char *attack_view_name(enum attack_view v);       /**< "update", "sum", "model" */

/** A share and its 95 % interval (Clopper, Pearson 1934; trials of one run taken as independent). */
struct attack_rate {
    double value, low, high;
};

/** At the threshold that accuses at most `fpr` of those who were not there. */
struct attack_point {
    struct attack_rate tpr, fpr;
    double bound;         /**< most that any attacker can reach at the asked fpr; 1 without noise */
    double bound_at_high; /**< the same at fpr.high: what sampling error allows */
};

/** What one attack on one plan came to. */
struct attack_row {
    enum attack_subject subject;
    enum attack_view view;
    enum study_noise noise;
    double epsilon, delta; /**< that were claimed */
    char method[64];       /**< how scores are made, by name */
    size_t references;     /**< runs that a score is compared with; 0: it is by itself */
    size_t runs, in, out;  /**< federations, and subjects that were there and that were not */
    struct attack_point hundredth;  /**< FPR 1 % */
    bool has_thousandth;            /**< there are 10,000 trials */
    struct attack_point thousandth; /**< FPR 0.1 % */
    struct attack_rate balanced;    /**< accuracy, the half with the higher scores accused */
    double bound_balanced;          /**< most that any attacker can reach */
    double epsilon_low;             /**< lower bound by what was found, risk 5 %: audit_one_run */
    double
        epsilon_low_gaussian; /**< the same by audit_lower, where every release is a Gaussian (q = 1)
                                      and a run has one canary a site; NAN elsewhere */
    double seconds;           /**< of its runs, one after the other */
};

/** Measured TPR is within its bound and sampling error. */
bool attack_row_within(const struct attack_row *r);

/**
 * Finished runs on a disk: whoever is interrupted goes on with what is there, to the same bytes but for
 * `seconds`. A run is taken only where program, patients, study, plan, seed and subjects are the same; those
 * of others stay beside it, so that more epsilons, trials or references may be asked for later.
 */
struct attack_archive; /* opaque */

/** Opens or creates. @retval RC_STATE another process is at work on it; RC_IO, RC_FORMAT as store_open */
RC attack_archive_open(const char *path, struct attack_archive **out, struct error *err);
/** NULL is fine. Where nothing was ever kept the file goes. */
void attack_archive_close(struct attack_archive **a);

/** What is attacked. Borrowed, until attack_close. */
struct attack_setup {
    const struct attack_params *params;
    const struct study *open; /**< the study without noise, planned: pilot and reference runs */
    const struct schema *schema;
    const struct model *model;
    const struct dataset *data;     /**< all patients; sites are found on the roster by name */
    uint64_t seed;                  /**< subjects, coins, replayed noise */
    size_t jobs;                    /**< runs at the same time; changes no byte */
    struct attack_archive *archive; /**< NULL: nothing is kept */
    void (*progress)(void *ctx, size_t done, size_t of); /**< NULL: nobody looks. Runs to be made */
    void *progress_ctx;
};

struct attack; /* opaque */

/** Chooses subjects, makes the canaries with one pilot run. @retval RC_INVALID too few patients */
RC attack_open(const struct attack_setup *setup, struct attack **out, struct error *err);
void attack_close(struct attack **a);

enum { ATTACK_ROWS_MAX = ATTACK_SUBJECTS * ATTACK_VIEWS };

/**
 * Attacks one plan: all rows of it. The first finite epsilon makes the reference runs, later ones find
 * them made.
 * @param study the base study with the cell's noise, epsilon and plan
 * @retval RC_INVALID shared noise, whose updates are no changes of the model: not read yet
 */
RC attack_cell(struct attack *a, const struct study *study, struct attack_row row[ATTACK_ROWS_MAX],
               size_t *n, struct error *err);

/* ---- one update back to a patient ---------------------------------------------------------------- */

enum attack_inversion_kind {
    ATTACK_FIRST_LAYER, /**< the numbers that the first layer was fed, read off its update */
    ATTACK_MATCH,       /**< the candidate whose gradient is the update */
    ATTACK_MATCH_IMAGE, /**< the same by the image's encoder alone */
    ATTACK_INVERSIONS
};
const char *attack_inversion_name(enum attack_inversion_kind k);

/** What is inverted. Borrowed. */
struct attack_inverted {
    const struct study *study; /**< with its noise; the first model of it is what is trained */
    const struct schema *schema;
    const struct model *model;
    const struct dataset *data; /**< candidates are a hundred of them */
    uint64_t seed;
    size_t updates; /**< candidates in turn, each with noise of its own */
};

struct attack_inversion {
    enum attack_inversion_kind kind;
    enum study_noise noise;
    double epsilon;
    size_t candidates, updates;
    struct attack_rate named; /**< rightly; by chance 1 / candidates */
    double bound;             /**< most that any attacker can reach on average, of this one step */
};

/**
 * The update of a step in which one patient alone was sampled: which of a hundred is it? Kinds that the
 * model has nothing for are left out.
 */
RC attack_invert(const struct attack_inverted *of, struct attack_inversion out[ATTACK_INVERSIONS],
                 size_t *n, struct error *err);

/** A table for people. */
void attack_print_table(FILE *to, const struct attack_row *row, size_t n);
/** A line a row, with a heading; infinite epsilons are `inf`, what there is not is empty. */
void attack_print_csv(FILE *to, const struct attack_row *row, size_t n);
void attack_print_inversions(FILE *to, const struct attack_inversion *row, size_t n);
void attack_print_inversions_csv(FILE *to, const struct attack_inversion *row, size_t n);

#endif
