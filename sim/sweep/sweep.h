/**
 * @file sweep.h
 * A study of studies: the grid ablation x mode x noise x epsilon x seed over one cohort, each (cell,
 * seed, fold) a world of its own with empty ledgers. Stated epsilons are per trained model.
 *
 * A fold's model never sees the fold's patients; a row's figures are over the scores that every
 * patient got from the model that had not seen them.
 */
#ifndef SIM_SWEEP_SWEEP_H
#define SIM_SWEEP_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/agreement/agreement.h"
#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"
#include "common/evaluation/evaluation.h"
#include "common/study/study.h"
#include "sim/attack/attack.h"
#include "sim/hospital/world.h"
#include "sim/report/report.h"

enum { SWEEP_LIST_MAX = 64, SWEEP_PATH_MAX = 512, SWEEP_JOBS_MAX = 256 };
enum { SWEEP_CURVES_MAX = 50 }; /* each is a forward pass over everybody who is tested */
enum { SWEEP_NOISES_MAX = 2, SWEEP_SETTINGS_MAX = 3 * SWEEP_NOISES_MAX * SWEEP_LIST_MAX };

enum sweep_mode { SWEEP_POOLED, SWEEP_FEDERATED, SWEEP_LOCAL_ONLY };

/**
 * The study with something changed or left out, by name. The first is the study as it is written and is
 * called REPORT_BASE. Folds, seeds and patients are the same in all of them, so that differences are paired.
 */
struct sweep_ablation {
    char name[REPORT_ABLATION_MAX];
    struct study study; /**< owned: the base's with another model, or fewer sites on its roster */
    struct schema
        schema; /**< less the modalities left out. A view: only its list of modalities is owned */
    struct dataset data; /**< the same of the cohort: a view, nothing is owned */
    bool *left_out; /**< [data.n_sites] owned: never trained on; tested all the same, by the models
                                of the others (local_only has none for them) */
    size_t
        first_sites; /**< so many of the roster's first train: of `sites:`, and all in the base; 0: of
                             another kind */
};

/** What is trained of each ablation with each seed. */
struct sweep_setting {
    enum sweep_mode mode;
    enum study_noise
        noise; /**< that the study is planned with; a site alone, or the pool, adds its own */
    double epsilon;
};

/** What a configuration says, after overrides. Freed by sweep_release. */
struct sweep {
    char name[64];
    struct study study; /**< the base: cells change its noise, epsilon, delta and seed */
    struct schema schema;
    struct dataset *data;            /**< all patients of all sites */
    size_t n_ablations;              /**< from 1, unless `whole` */
    struct sweep_ablation *ablation; /**< [n_ablations], the base first */
    size_t folds;                    /**< 0: the fixed split alone */
    bool *test;                      /**< [n_patients] fixed split; NULL: folds over everybody */
    bool tune;                       /**< folds inside the fixed split's train part */
    size_t n_modes, n_epsilons, n_noises, n_seeds;
    enum sweep_mode mode[SWEEP_LIST_MAX];
    double epsilon[SWEEP_LIST_MAX];
    uint64_t seed[SWEEP_LIST_MAX];
    enum study_noise noise[SWEEP_NOISES_MAX]; /**< of the finite epsilons */
    double delta;
    size_t n_settings; /**< of the lists above, less what would be there twice */
    struct sweep_setting setting[SWEEP_SETTINGS_MAX];
    size_t curves;                /**< points of each learning curve, at most; 0: none is drawn */
    struct attack_params attacks; /**< the map `attacks:`, or its defaults */
    size_t jobs; /**< threads: a world each; where worlds are fewer, also of their training */
    /** Each world keeps its ledgers and its registry in a folder of its own there, of which few are open
     *  at a time: memory does not grow with the number of sites. "": in memory. Borrowed. */
    const char *ledgers;
    /** The file names its study by a path and has no split: everybody trains and nobody is tested.
     *  sweep_whole_run; the fields above from `folds` on are not used, but seed[0]. */
    bool whole;
    struct agreement agreement; /**< of a whole study, as a coordinator would sign it */
};

/** Command-line overrides; a field counts where its has_ is set. */
struct sweep_overrides {
    bool has_epsilon, has_delta, has_noise, has_seed, has_jobs;
    double epsilon, delta;
    enum study_noise noise;
    uint64_t seed;
    size_t jobs;
    const char *ledgers; /**< borrowed; NULL: in memory */
};

/**
 * Reads a configuration (format: configs/sim/heart.yaml), imports or generates its cohort and checks
 * that roster and cohort agree. Problems of the file, and of the cohort's files, are in `issues`.
 * @param grid false: one cell, the study as it is written (`run`), or a whole study; true: the
 *             `tradeoff:` lists
 */
RC sweep_open(const char *path, bool grid, const struct sweep_overrides *overrides,
              struct sweep *out, struct config_issues *issues, struct error *err);
void sweep_release(struct sweep *s);
/** Every key of a configuration but those of its study (study_print_reference), as Markdown tables. */
void sweep_print_reference(FILE *to);

/** The `generate:` map of a configuration alone, and the seed of its cohort.
 *  @retval RC_INVALID there is none, or problems in `issues` */
RC sweep_generated(const char *path, struct hospital_world *out, uint64_t *seed,
                   struct config_issues *issues, struct error *err);

/** Rows of the grid: ablations x settings (modes x noises x epsilons) x seeds, seeds quickest. */
size_t sweep_rows(const struct sweep *s);
/** Worlds to be run for all rows: what progress counts. */
size_t sweep_worlds(const struct sweep *s);

/** After each finished world, from the calling thread or a worker, never two at once. */
struct sweep_progress {
    /** @param of     worlds that were not there yet
     *  @param left_s what the others will take, by what worlds of their kind took; NAN: not known */
    void (*done)(void *ctx, size_t worlds, size_t of, double left_s);
    void *ctx;
};

/** Rows and the sites they point to. Owned; released by sweep_results_release. */
struct sweep_results {
    size_t n;
    struct report_row *row;
    struct report_site *site;
    struct report_pattern *pattern;
    struct report_point *point;
};

/**
 * Runs everything on `s->jobs` threads at most. Same bytes whatever the number of threads.
 * @retval RC_STATE a study failed (a site declined below quorum, a round below quorum)
 */
RC sweep_run(const struct sweep *s, const struct sweep_progress *progress,
             struct sweep_results *out, struct error *err);
void sweep_results_release(struct sweep_results *r);

/* ---- interrupted and gone on with ------------------------------------------------------------- */

struct sweep_archive; /* opaque: a file of finished worlds, locked while it is open */

/**
 * Opens or makes the file of a sweep's finished worlds. Seeds, epsilons, modes, noise, deltas and
 * ablations may be added to a sweep later; its cohort, split, studies and number of curve points may not be changed.
 * @retval RC_INVALID it holds results of something else; err says of what
 * @retval RC_STATE   another process is at work on it
 * @retval others     as store_open
 */
RC sweep_archive_open(const char *path, const struct sweep *s, struct sweep_archive **out,
                      struct error *err);
/** How many worlds have been put into it since it was opened. */
size_t sweep_archive_kept(const struct sweep_archive *a);
/** NULL is fine. */
void sweep_archive_close(struct sweep_archive **a);

/** What is to be done, and where it is kept. Zeroed: all of it, in memory. */
struct sweep_work {
    struct sweep_archive *archive; /**< borrowed; NULL: an interruption loses everything */
    /** [n_others] of other processes, which did parts of it: what they have is put into `archive`. */
    struct sweep_archive *const *other;
    size_t n_others;
    const struct sweep_progress *progress; /**< NULL: nobody looks */
    size_t part, parts; /**< rows i with i % parts == part alone; parts 0: all of them */
};

/**
 * Runs the worlds that are not in the archive yet, each of which is there, with its figures, before the
 * next one begins on its thread: whoever is killed at any time has lost those that were running.
 * Same bytes as in one piece (but for `seconds`).
 * @param[out] out all rows; none where only a part was to be done
 * @retval others as sweep_run, and of the archive's disk
 */
RC sweep_continue(const struct sweep *s, const struct sweep_work *work, struct sweep_results *out,
                  struct error *err);

/* ---- several machines -------------------------------------------------------------------------- */

/**
 * In a build with MPI (WR_MPI) and under its launcher, sweep_continue runs the worlds of one sweep on all
 * ranks: each opens the same configuration, rank 0 has the archive and the results, and the bytes are the
 * same whatever the number of ranks. Otherwise there is one rank. To be called once in a process, before
 * sweep_continue.
 * @retval RC_STATE this MPI cannot be called by several threads in turn
 */
RC sweep_ranks_begin(struct error *err);
/** 0 unless begun. */
size_t sweep_rank(void);
size_t sweep_ranks(void);
/** Failed: all ranks are ended, since they wait for each other. */
void sweep_ranks_end(bool failed);

/* ---- what it will take -------------------------------------------------------------------------- */

/** Cells that differ in their seed alone. */
struct sweep_kind {
    const char *ablation, *model, *mode, *noise; /**< borrowed from the sweep */
    double epsilon, delta;
    size_t n_sites; /**< that train */
    size_t rounds, steps;
    double sample_rate, noise_multiplier;
    size_t left;    /**< worlds that are not there yet */
    double seconds; /**< of one world; 0: none is left */
};

struct sweep_estimate {
    size_t n, left;
    struct sweep_kind *kind; /**< [n] owned */
    double seconds;          /**< of all that is left, on s->jobs threads */
    size_t bytes;            /**< of the process, at most; 0: the kernel does not say */
    size_t bytes_world;      /**< of the largest world */
};

/**
 * Measures by running a few rounds of one world of each kind, on this machine as busy as it is now.
 * Nothing is kept.
 * @retval others as sweep_run
 */
RC sweep_estimate(const struct sweep *s, const struct sweep_work *work, struct sweep_estimate *out,
                  struct error *err);
void sweep_estimate_release(struct sweep_estimate *e);

/** What a coordinator would see of a row if every site released its histograms at `epsilon` (INFINITY: as
 *  they are). Noise is replayed from the seed. @retval others as evaluation_measure */
RC sweep_noisy(const struct report_row *row, double epsilon, uint64_t seed, struct evaluation *out,
               struct error *err);

/* ---- a whole study --------------------------------------------------------------------------- */

struct sweep_whole_site {
    char name[STUDY_NAME_MAX];
    bool contributed;     /**< to the last round */
    char declined[240];   /**< "" if it took part */
    double epsilon_spent; /**< as its ledger says */
};

/** Owned; released by sweep_whole_release. */
struct sweep_whole {
    uint64_t rounds;
    size_t n_sites, n_contributed;
    struct hash model; /**< of the final parameters: what the last OUTCOME of a deployment names */
    struct sweep_whole_site *site; /**< [n_sites] in the roster's order */
};

/**
 * Runs the study of `s->whole` once, as its document says: at infinite epsilon the model is to the
 * byte the one that the deployed programs make of it. Noise is replayed from seed[0].
 * @param path where the model is written (safetensors), or NULL
 * @retval RC_STATE the study failed
 * @retval RC_IO    as checkpoint_write
 */
RC sweep_whole_run(const struct sweep *s, const char *path, struct sweep_whole *out,
                   struct error *err);
void sweep_whole_release(struct sweep_whole *w);

#endif
