/**
 * @file report.h
 * What a simulation found, for people and for other programs: JSON objects, CSV tables, a plain
 * text table and the figure of privacy against accuracy. Rows come in, files go out; nothing here
 * trains or measures. Files are written beside their place and renamed: a reader never sees half a
 * file, and a failure leaves the old one. Home of <jansson.h> on the simulator's side.
 *
 * A number that does not exist is NAN, and epsilon without noise is INFINITY. JSON knows neither:
 * both become null. In CSV a missing number is an empty cell and infinity is `inf`.
 */
#ifndef SIM_REPORT_REPORT_H
#define SIM_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "common/base/error.h"
#include "common/evaluation/evaluation.h"
#include "common/metrics/metrics.h"

enum { REPORT_ABLATION_MAX = 64, REPORT_PATTERN_MAX = 256 };
/** Name of the rows of the study as it is written. */
#define REPORT_BASE "base"

/** One hospital in one row. */
struct report_site {
    char name[64];
    bool has_auroc; /**< false: one class only among its patients */
    struct interval auroc;
    double epsilon_spent; /**< by its ledger, for one trained model; INFINITY without noise */
    double accuracy;
    size_t n_patients;
    bool left_out; /**< never trained on in this row: its patients are tested all the same */
    struct evaluation_counts counts; /**< of its tested patients, exact; bins of
                                          evaluation_bins_default */
};

/** Tested patients who have the same modalities. */
struct report_pattern {
    char name[REPORT_PATTERN_MAX]; /**< what they have: "table+series+notes" */
    size_t n_patients, n_positive; /**< tested */
    bool has_auroc;                /**< false: one class only, or nobody */
    struct interval auroc;         /**< DeLong's 95 % interval */
};

/** Of a learning curve. */
struct report_point {
    size_t round;
    double auroc; /**< mean of the folds' own, each of its tested patients; NAN: none has one */
};

/** One cell of the grid at one seed: (ablation, mode, noise, epsilon, delta, seed). */
struct report_row {
    char ablation[REPORT_ABLATION_MAX];  /**< what differs; REPORT_BASE: nothing */
    char mode[16];                       /**< pooled | federated | local_only */
    char noise[16];                      /**< none | site | shared */
    double epsilon, delta;               /**< of one trained model; INFINITY and 0 without noise */
    double auroc, auroc_low, auroc_high; /**< pooled out-of-fold, DeLong's 95 % interval */
    double auroc_site_mean;              /**< over sites that have one */
    double auprc, ece, accuracy, accuracy_site_mean;
    uint64_t seed;
    size_t rounds, folds;
    double seconds;
    double
        seconds_rounds; /**< of these the rounds, without joining, leaving and scoring; 0: not known, as of
                                worlds that ran elsewhere or before an interruption */
    double noise_multiplier; /**< sigma; 0 without noise */
    double sample_rate;  /**< q, with `passes` that of this epsilon's plan; as `steps` and rounds */
    size_t steps;        /**< noised ones of a site */
    size_t update_bytes; /**< of one update as it leaves a site; 0: not known */
    size_t n_sites;
    struct report_site *site; /**< [n_sites], borrowed */
    size_t first_sites; /**< so many of the roster's first train: a point of the axis of sites, all
                                  of them in the base; 0: an ablation of another kind */
    size_t n_patterns;  /**< 0: a cohort of one modality */
    struct report_pattern
        *pattern;   /**< [n_patterns], borrowed; the same names in all rows of a study */
    size_t n_curve; /**< 0: no learning curve was asked for, or nobody learns together */
    struct report_point *curve; /**< [n_curve], borrowed; rounds ascend, the last is the last */
};

/** Rows of one cell over its seeds. Means skip rows without the number; NAN if none has it. */
struct report_summary {
    char ablation[REPORT_ABLATION_MAX];
    size_t place; /**< of the ablation among the rows' */
    size_t first_sites;
    char mode[16], noise[16];
    double epsilon, delta;
    size_t n_seeds;
    double auroc, auroc_sd; /**< sd over seeds, n - 1 below; 0 for one seed */
    double auroc_low,
        auroc_high; /**< means of the rows' DeLong limits, not an interval of the mean */
    double auroc_site_mean, auroc_site_mean_sd;
    double auprc, ece, accuracy, accuracy_site_mean;
    double seconds; /**< mean */
    double noise_multiplier;
};

/**
 * One row as an object: ablation, mode, noise, auroc, auroc_low, auroc_high, auroc_site_mean, epsilon, delta,
 * rounds, seconds, seconds_rounds (where it is known), seed, sites [{name, auroc, epsilon_spent, …}], then auprc, ece, accuracy,
 * accuracy_site_mean, folds, noise_multiplier, sample_rate, steps; of multimodal cohorts patterns
 * [{modalities, patients, positives, auroc, auroc_low, auroc_high, why_no_auroc}]; where they were asked for
 * curve [{round, auroc}]. A seed above 2^63 - 1 is
 * a string, since JSON integers end there.
 * @return a new reference, or NULL without memory
 */
json_t *report_row_json(const struct report_row *row);

/** {"study": …, "rows": [report_row_json, …]}. @return a new reference, or NULL without memory */
json_t *report_rows_json(const char *study, const struct report_row *row, size_t n);

/**
 * Groups rows by (ablation, mode, noise, epsilon, delta). Order: ablations as in the rows; pooled,
 * federated, local_only, others; none, site, shared, others; strongest privacy last.
 * @param[out] out [n] room; @return the number of groups written, at most n
 */
size_t report_summaries(const struct report_row *row, size_t n, struct report_summary *out);

/** results.csv: a line per row. @retval RC_IO with path and reason; @retval RC_LIMIT path too long */
RC report_write_csv(const char *path, const struct report_row *row, size_t n, struct error *err);

/** sites.csv: a line per row and site. As above. */
RC report_write_sites_csv(const char *path, const struct report_row *row, size_t n,
                          struct error *err);

/** patterns.csv: a line per row and set of modalities. As above. */
RC report_write_patterns_csv(const char *path, const struct report_row *row, size_t n,
                             struct error *err);

/** curves.csv: a line per row and point of its learning curve. As above. */
RC report_write_curves_csv(const char *path, const struct report_row *row, size_t n,
                           struct error *err);

/**
 * The figure: AUROC against epsilon, a curve per (ablation, mode, noise), bars over seeds; pooled and
 * local-only training of the base without noise are horizontal lines. Federations of fewer of the first
 * sites have a figure of their own (page.h). Drawn by gnuplot from two files
 * left beside it with .gp and .csv for .svg: `cd DIR && gnuplot NAME.gp` draws it again.
 * @param path  ends in .svg
 * @param study heads the figure; shown as it is, at most 72 bytes of it
 * @retval RC_INVALID no row has an AUROC, or not .svg
 * @retval RC_NOMEM   no room for the summaries
 * @retval RC_IO      a file cannot be written, gnuplot is missing (package gnuplot-nox) or failed
 */
RC report_write_svg(const char *path, const char *study, const struct report_row *row, size_t n,
                    struct error *err);

/** The same with the best possible AUROC as a line across; NAN: it is not known. */
RC report_write_figure(const char *path, const char *study, const struct report_row *row, size_t n,
                       double ceiling, struct error *err);

/** The same figures as aligned text, a line per summary; ablations are named where there are any. */
void report_print_table(FILE *to, const struct report_summary *s, size_t n);

/**
 * AUROC per set of modalities as aligned text: a line per summary and set, means over seeds. Nothing of a
 * cohort of one modality. `row` [n_rows] are those that were summarised.
 */
void report_print_patterns(FILE *to, const struct report_summary *s, size_t n,
                           const struct report_row *row, size_t n_rows);

#endif
