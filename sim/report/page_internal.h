/**
 * @file page_internal.h
 * What the page's tables and figures share: cells with their measured histograms, and text that HTML holds.
 */
#ifndef SIM_REPORT_PAGE_INTERNAL_H
#define SIM_REPORT_PAGE_INTERNAL_H

#include "sim/report/page.h"
#include "sim/report/report_internal.h"

enum { PAGE_LABEL_MAX = 160 };

/** A summary, and its histograms: means over seeds of what each seed's say, as with AUROC. */
struct page_cell {
    const struct report_summary *s;
    bool measured; /**< there are counts */
    struct evaluation e;
};

/** Everything that is drawn from. `cell` [n] in the order of report_summaries. */
struct page_view {
    const struct report_page *page;
    size_t n;
    struct page_cell *cell;
    const struct report_summary *summary; /**< [n] */
    size_t *tables;                       /**< how many are numbered so far */
};

/** @param[out] cell [n] @retval others as evaluation_measure, RC_STATE excepted: such a seed is left out */
RC page_cells(const struct report_page *page, const struct report_summary *s, size_t n,
              struct page_cell *cell, struct error *err);

/** Is it one that curves and operating points are shown of: the study as written, pooled without noise or
 *  federated? */
bool page_is_shown(const struct page_cell *c);
/** Of two words: a mode, a noise. */
bool page_same(const char *a, const char *b);
/** "federated, site noise, ε = 1" */
void page_label(const struct report_summary *s, char out[PAGE_LABEL_MAX]);
/** The first row of a cell. */
const struct report_row *page_row(const struct page_view *v, const struct report_summary *s);
/** The attack on canaries that goes into the headline at (noise, epsilon): by a reader of the finished model, or by a
 *  coordinator, who sees each update or each sum. NULL: none */
const struct report_attack *page_attack(const struct report_page *p, const char *noise,
                                        double epsilon, bool reader);

/* ---- figures ----------------------------------------------------------------------------------- */

RC page_draw_roc(const struct page_view *v, const char *path, struct error *err);
RC page_draw_calibration(const struct page_view *v, const char *path, struct error *err);
/** Is there a learning curve of a cell that is shown? */
bool page_has_curves(const struct page_view *v);
RC page_draw_learning(const struct page_view *v, const char *path, struct error *err);
/** Are there federations of fewer hospitals, `first_sites` of a row? */
bool page_has_worth(const struct page_view *v);
RC page_draw_worth(const struct page_view *v, const char *path, struct error *err);
RC page_draw_attack(const struct page_view *v, const char *path, struct error *err);

/* ---- HTML ---------------------------------------------------------------------------------------- */

void html_text(FILE *f, const char *text);
/** "–" where there is none. */
void html_number(FILE *f, double x, int decimals);
/** ".812 [.790, .833]" in a cell of a table. */
void html_interval(FILE *f, const struct interval *i, int decimals);
/** A picture, inside the page. @retval RC_IO it cannot be read */
RC html_picture(FILE *f, const char *path, const char *says, struct error *err);

/** A numbered table up to its head's cells, and its end. The caption is HTML. */
void html_table_open(FILE *f, const struct page_view *v, const char *caption);
void html_table_close(FILE *f);
void html_cell_number(FILE *f, double x, int decimals);
void html_cell_text(FILE *f, const char *text);
void html_cell_epsilon(FILE *f, double epsilon);
/** Epsilon and delta, two cells; no delta where epsilon is infinite. */
void html_cells_budget(FILE *f, const struct report_summary *s);
/** A row whose first cell is the label of `s`. */
void html_row_open(FILE *f, const struct report_summary *s);

void page_headline(FILE *f, const struct page_view *v);
void page_sites(FILE *f, const struct page_view *v);
void page_left_out(FILE *f, const struct page_view *v);
void page_patterns(FILE *f, const struct page_view *v);
void page_operating(FILE *f, const struct page_view *v);
void page_strata(FILE *f, const struct page_view *v);
void page_attacks(FILE *f, const struct page_view *v);
void page_cost(FILE *f, const struct page_view *v);
void page_plans(FILE *f, const struct page_view *v);

#endif
