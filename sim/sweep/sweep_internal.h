/**
 * @file sweep_internal.h
 * One cell, one fold, one world: what config.c, split.c, world.c and run.c share.
 */
#ifndef SIM_SWEEP_SWEEP_INTERNAL_H
#define SIM_SWEEP_SWEEP_INTERNAL_H

#include "sim/fleet/fleet.h"
#include "sim/sweep/sweep.h"

/** A row of the grid before it is run. */
struct sweep_cell {
    const struct sweep_ablation *ablation;
    enum sweep_mode mode;
    enum study_noise noise;
    double epsilon, delta;
    uint64_t seed;
};

/** Fills s->setting from the lists: modes x noises x epsilons, less what would be there twice. */
void sweep_grid_lay(struct sweep *s);
struct sweep_cell sweep_cell_at(const struct sweep *s, size_t row);
const char *sweep_mode_name(enum sweep_mode mode);
size_t sweep_folds(const struct sweep *s);

/** Numbers that a model says of a patient: 1 probability, or one for each class of the label. */
size_t sweep_outputs(const struct sweep *s);

/** Who is tested in a fold: part[p] = fold index, or SWEEP_NEVER. */
#define SWEEP_NEVER SIZE_MAX
/**
 * Folds by patient, stratified by (site, label), from the seed alone. With a fixed split: its test
 * part is fold 0 and the others are SWEEP_NEVER tested; with `tune`, folds inside the train part,
 * and test patients are in nobody's training either (see sweep_trains).
 * @param scratch [sweep_split_scratch]
 */
size_t sweep_split_scratch(const struct sweep *s);
void sweep_split(const struct sweep *s, uint64_t seed, size_t *part, size_t *scratch);
/** Whether patient p trains when `fold` is tested. */
bool sweep_trains(const struct sweep *s, const size_t *part, size_t p, size_t fold);

/** What is solved for an epsilon, once for all its worlds: with `passes` in the base study by the
 *  planning rule, from public numbers alone. */
struct sweep_plan {
    double sample_rate, noise_multiplier;
    size_t rounds;
};

/** What one world leaves behind: scores of its test patients at score[p C] of C outputs, epsilons by site. */
struct sweep_world {
    const struct sweep *s;
    struct sweep_cell cell;
    struct sweep_plan plan; /**< of the cell's epsilon */
    size_t fold;
    size_t steps;       /**< of a round, instead of the study's; 0: those */
    const size_t *part; /**< [n_patients] */
    double *score;      /**< [n_patients, sweep_outputs], written for tested patients only */
    double rounds_s;    /**< raised by the wall clock of its rounds, without joining and leaving */
    double *epsilon;    /**< [n_sites] raised to what each ledger spent; begins at 0 */
    double *curve;      /**< [sweep_curve_points] AUROC of the fold at those rounds, NAN: one class
                              only; NULL: nobody wants to know */
};

/** How many points a world's learning curve has: those that are asked for, or one a round. */
size_t sweep_curve_points(const struct sweep *s, enum sweep_mode mode, size_t rounds);
/** The round of point k of n: evenly spaced, the last one among them. */
size_t sweep_curve_round(size_t k, size_t n, size_t rounds);

RC sweep_world_run(struct sweep_world *w, struct error *err);

/**
 * The folder of this world's ledgers under s->ledgers, made or emptied, for this process alone until `held` is closed.
 * @param site the one that trains alone, or ""  @param[in,out] held -1; a descriptor to close, also after a failure
 * @retval RC_STATE another process is at work in it; @retval RC_IO; @retval RC_LIMIT the name is too long
 */
RC sweep_ledgers_folder(const struct sweep_world *w, const char *site, char folder[SWEEP_PATH_MAX],
                        int *held, struct error *err);

/** What a world left behind, as bytes: for the archive, and for other machines. */
size_t sweep_outcome_bytes(const struct sweep_world *w);
void sweep_outcome_pack(const struct sweep_world *w, unsigned char *out);
/** Puts it where the world would have. @retval RC_FORMAT not of this fold */
RC sweep_outcome_unpack(struct sweep_world *w, const unsigned char *in, size_t n,
                        struct error *err);

/** Threads of a world's training: what `jobs` leaves over where there are fewer worlds. */
size_t sweep_train_threads(const struct sweep *s, size_t worlds);

/** The simulator's hospitals refuse nothing: what they would spend is what is measured. */
struct ledger_policy sweep_permissive(void);
/** Index in the dataset of site `roster` of the study. Checked at sweep_open. */
size_t sweep_data_site(const struct dataset *data, const struct study *study, size_t roster);
/** RC_STATE with the sentence of a study that failed. */
RC sweep_failed(const struct study *study, const struct fleet_result *r, struct error *err);

/** Lists of `tradeoff:` that vary the study itself; NULL: not there. */
struct sweep_changes {
    const struct config_node *ablations, *sites;
};

/**
 * Fills s->ablation: the base, then the items of `ablations` and `sites`, whose problems are issues at their
 * place. Study and cohort of `s` have been read, and stay where they are.
 * @param study the map that s->study was read from; NULL if it was another file
 * @param base_alone the list is checked and not kept
 */
RC sweep_ablations_read(const struct sweep_changes *changes, const struct config_node *study,
                        bool base_alone, struct sweep *s, struct config_issues *issues,
                        struct error *err);
void sweep_ablations_release(struct sweep *s);
void sweep_ablations_print_keys(FILE *to);

/** Whether patient p has a score in a cell: it is in a fold, and there is a model for its site. */
bool sweep_tests(const struct sweep *s, const struct sweep_cell *cell, const size_t *part,
                 size_t p);
/** Fills a row's figures from out-of-fold scores. Of several classes the AUROC is the macro one, the
 *  calibration that of the likeliest class, and there is neither AUPRC nor histogram. */
RC sweep_evaluate(const struct sweep *s, const struct sweep_cell *cell, const size_t *part,
                  const double *score, struct report_row *row, struct error *err);

/** The most that a row can have: one for each set of modalities that some patient has. 0: the cohort
 *  has a table alone. */
size_t sweep_patterns_most(const struct sweep *s);
/** AUROC per set of modalities that patients have in the whole cohort, whatever an ablation leaves out.
 *  Fills row->pattern [sweep_patterns_most] and row->n_patterns; most modalities first. */
RC sweep_patterns(const struct sweep *s, const struct sweep_cell *cell, const size_t *part,
                  const double *score, struct report_row *row, struct error *err);

#endif
