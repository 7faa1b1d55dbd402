/**
 * @file dossier_internal.h
 * How text from outside gets into a page and into a table.
 */
#ifndef AGENT_DOSSIER_DOSSIER_INTERNAL_H
#define AGENT_DOSSIER_DOSSIER_INTERNAL_H

#include "agent/dossier/dossier.h"

/* ---- text.c ---------------------------------------------------------------------------------- */

/** Text as text, whatever it holds. What is no UTF-8, cannot be seen or turns the line around becomes U+FFFD. */
void text_html(FILE *f, const char *text);
/** A formatted text as text. */
void text_htmlf(FILE *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** A quoted cell that no spreadsheet takes for a formula, also if it splits cells at ; or tab. */
void text_csv(FILE *f, const char *text);

enum { TEXT_TIME_MAX = 40, TEXT_NUMBER_MAX = 32 };
/** "2026-11-28T02:33:55.000Z"; "" if it is no time of ours. */
void text_time(char out[TEXT_TIME_MAX], int64_t ms);
/** The least digits that read back as the same double; "inf"; "" for NAN. */
void text_number(char out[TEXT_NUMBER_MAX], double x);

const char *text_state(enum dossier_state state);
/** Whose noise: none, site, shared. */
const char *text_noise(const struct ledger_study *s);

/* ---- words.c --------------------------------------------------------------------------------- */

/** The parts of the page that explain. */
void words_meaning(FILE *f, const struct dossier *r);
void words_not_in_here(FILE *f);
void words_chain(FILE *f, const struct dossier *r);
void words_terms(FILE *f);

/** "4.21", "infinite", "not known". */
void words_figure(FILE *f, double x);
/** "12.3 %", rounded up: it is a bound. */
void words_percent(FILE *f, double x);

#endif
