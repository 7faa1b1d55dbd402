/**
 * @file page.h
 * report.html: everything that a reviewer asks for, in one file that stands by itself, prints, and runs nothing.
 * What was not measured is left out: a table or figure without data does not appear.
 *
 * Beside it, in the same folder, what it is made of: each figure as NAME.svg and NAME.png with NAME.csv and
 * NAME.gp (figure.c, chart.c), and the tables' rows (report_write_csv and its sisters).
 */
#ifndef SIM_REPORT_PAGE_H
#define SIM_REPORT_PAGE_H

#include "sim/report/report.h"

/** One attack on one plan, for the second panel and the headline's columns. */
struct report_attack {
    char subject[16]; /**< canary | patient */
    char view[16];    /**< update | sum | model */
    char noise[16];
    double epsilon, delta; /**< INFINITY without noise */
    char method[64];
    size_t references; /**< federations that the attacker trained to compare with */
    size_t trials;
    struct interval tpr; /**< found of those who were there, at FPR 1 % */
    double bound;        /**< most that any attacker can reach there; 1 without noise */
    double epsilon_low;  /**< what the attack proves of epsilon; NAN: nothing was computed */
};

/** Everything is borrowed. */
struct report_page {
    const char *study;   /**< heads the page */
    const char *version; /**< of the program */
    const char *config;  /**< text of the configuration; NULL: none is shown */
    const struct report_row *row;
    size_t n_rows;
    double ceiling;         /**< best possible AUROC; NAN: not known */
    const char *ceiling_of; /**< what can be known so well: "the patients as recorded" */
    const struct report_attack *attack;
    size_t n_attacks;
    size_t peak_bytes; /**< memory of the process at its most; 0: not known */
};

/**
 * Writes FOLDER/report.html and the figures FOLDER/tradeoff, roc, calibration and, where there are any,
 * attack, learning and hospitals.
 * @retval RC_INVALID no row has an AUROC
 * @retval others     as report_write_svg and evaluation_measure
 */
RC report_write_page(const char *folder, const struct report_page *page, struct error *err);

#endif
