/**
 * @file dossier.h
 * A site's privacy ledger on paper, for its data-protection officer: one HTML page that stands by itself and
 * prints, and two CSV tables (RFC 4180). No patient's value, no count of patients, and no hash of the cohort.
 *
 * The page explains each number. A ledger that cannot be verified is reported as well, and says so first.
 */
#ifndef AGENT_DOSSIER_DOSSIER_H
#define AGENT_DOSSIER_DOSSIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/ledger/ledger.h"
#include "common/base/arena.h"
#include "common/base/error.h"

/** The rate of false alarms at which the bound on an attacker is told. */
#define DOSSIER_FPR 0.01

/** What became of a study. Only whether it has ended stands in the ledger; how, the consent file knows. */
enum dossier_state {
    DOSSIER_RUNNING,
    DOSSIER_DONE,
    DOSSIER_FAILED,
    DOSSIER_WITHDRAWN,
    DOSSIER_ENDED /**< how is not known */
};

struct dossier_study {
    struct ledger_study ledger;
    enum dossier_state state;
    double tpr_spent,
        tpr_most; /**< accountant_tpr of the two epsilons' steps; NAN: numbers are damaged */
};

enum { DOSSIER_FAULTS = 5 };

/** Plain: the caller may look, and set states and the remark before it is written. Texts are borrowed. */
struct dossier {
    const char *site, *version; /**< of the program */
    int64_t now_ms;
    struct ledger_policy policy;
    const char
        *remark; /**< a sentence that the page shows, such as that states are not known; or NULL */

    size_t n_studies, n_rows, n_faults;
    size_t receipts;                    /**< of coordinators, that the ledger was compared with */
    struct dossier_study *study;        /**< [n_studies], those that could be read */
    struct ledger_row *row;             /**< [n_rows] */
    struct error fault[DOSSIER_FAULTS]; /**< [n_faults] why it is not verified; 0: it is */
    struct ledger_verified verified;    /**< of a sound ledger */
    bool has_totals;                    /**< false: studies are damaged */
    struct ledger_totals totals;
    struct arena memory;
};

/**
 * Fills in all that the ledger knows, and verifies it; site, version, now_ms and policy are set beforehand. States are
 * RUNNING and ENDED. A ledger that is damaged is no failure: it has faults.
 * @param l a view (ledger_open_view), so that all is of one moment
 * @retval RC_NOMEM
 */
RC dossier_gather(struct ledger *l, struct dossier *r, struct error *err);
/** One more reason why it is not verified; RC_OK in `fault` is none. @retval RC_NOMEM that was no fault of the ledger */
RC dossier_note(struct dossier *r, const struct error *fault, struct error *err);
void dossier_release(struct dossier *r);

/** Bound on an attacker from (epsilon, delta) alone, at this rate of false alarms: the most that any mechanism with
 *  that promise allows (Kairouz, Oh, Viswanath 2015, Thm. 2.1). */
double dossier_bound(double epsilon, double delta, double fpr);

/** What each file holds. Failures of the stream are the caller's to look at (ferror). */
void dossier_html(FILE *f, const struct dossier *r);
void dossier_studies_csv(FILE *f, const struct dossier *r);
void dossier_rounds_csv(FILE *f, const struct dossier *r);

/** Nothing of a report is in `folder` yet: asked before hours of verifying. @retval RC_STATE, RC_IO */
RC dossier_may_write(const char *folder, struct error *err);
/**
 * Makes the folder (0700) if it is not there, and in it studies.csv, rounds.csv and, last, ledger.html, for their
 * owner alone: all three, or nothing, and no file that was there is written over.
 * @retval RC_STATE a file of that name is there @retval RC_IO cannot be written; says if the disk is full
 */
RC dossier_write(const struct dossier *r, const char *folder, struct error *err);

#endif
