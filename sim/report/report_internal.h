/**
 * @file report_internal.h
 * Files that appear whole or not at all, and how numbers are written into them.
 */
#ifndef SIM_REPORT_REPORT_INTERNAL_H
#define SIM_REPORT_REPORT_INTERNAL_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/base/error.h"
#include "sim/report/report.h"

enum { REPORT_PATH_MAX = PATH_MAX, REPORT_NUMBER_MAX = 32 };

/** A file being written beside its place. Zero-initialised is valid and closed. */
struct report_file {
    FILE *f;
    char temp[REPORT_PATH_MAX];
    char path[REPORT_PATH_MAX];
};

/** "PATH.tmp.PID" next to PATH. */
RC report_temp_name(char temp[REPORT_PATH_MAX], const char *path, struct error *err);
RC report_file_open(struct report_file *file, const char *path, struct error *err);
/** Flush to disk, rename into place. On failure the temporary file is gone. */
RC report_file_commit(struct report_file *file, struct error *err);
/** The temporary file is gone; what stood in its place stays. */
void report_file_abandon(struct report_file *file);

/** Shortest decimal that reads back as `x`; "inf", or "" for a number that does not exist. */
void report_number(char out[REPORT_NUMBER_MAX], double x);
/** A CSV cell (RFC 4180) and what follows it: ',' or '\n'. */
void report_csv_text(FILE *f, const char *text, char after);
void report_csv_number(FILE *f, double x, char after);

/** Whether a row is one of those that were summarised. */
bool report_summary_has(const struct report_summary *s, const struct report_row *r);
/** Whether there is a number to draw or print. */
bool report_summary_has_auroc(const struct report_summary *s);

/** The names of one figure: "DIR/x.svg" -> DIR, x.gp, x.csv, x.svg. */
struct draw_places {
    char folder[REPORT_PATH_MAX];
    char script_path[REPORT_PATH_MAX], data_path[REPORT_PATH_MAX];
    const char *script, *picture; /**< within the folder */
    char data[REPORT_PATH_MAX];   /**< within the folder, starts with ./ */
};
/** @retval RC_INVALID not .svg  @retval RC_LIMIT too long */
RC draw_places_find(const char *path, struct draw_places *at, struct error *err);
/** A gnuplot string in single quotes: nothing in it is expanded, '' is a quote. */
void draw_quoted(FILE *f, const char *text, size_t shown_max);
/** What every script begins with: SVG of this size, or PNG with twice the points where its output is named so. */
void draw_head(FILE *f, const struct draw_places *at, size_t width, size_t height);
/** Runs the script twice: `path`, and the PNG beside it. @retval RC_IO as report_gnuplot */
RC draw_run(const struct draw_places *at, const char *path, struct error *err);

/**
 * `cd folder && gnuplot -c ./script output`, waiting for its end. What it says on stderr goes into
 * the error.
 * @retval RC_IO no gnuplot (names the package), or it failed
 */
RC report_gnuplot(const char *folder, const char *script, const char *output, struct error *err);

#endif
