#include "sim/app/results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glob.h>

#include "common/store/hold.h"
#include "sim/app/page.h"
#include "sim/app/words.h"

enum file { TABLE, SITES, FIGURE, PAGE, PATTERNS, CURVES, FILES };

static const char *const name_of[FILES] = {
    [TABLE] = "results.csv", [SITES] = "sites.csv",       [FIGURE] = "tradeoff.svg",
    [PAGE] = "report.html",  [PATTERNS] = "patterns.csv", [CURVES] = "curves.csv"};

static enum rc path_of(const char *folder, const char *name, char path[SWEEP_PATH_MAX],
                       struct error *err)
{
    return snprintf(path, SWEEP_PATH_MAX, "%s/%s", folder, name) < SWEEP_PATH_MAX
               ? RC_OK
               : error_set(err, RC_LIMIT, "the folder's name is too long");
}

/* ---- before the work ------------------------------------------------------------------------- */

/* A file is renamed to its place when all is trained: too late to find a folder there. */
static enum rc nothing_in_the_way(const char *folder, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < FILES; i++) {
        char path[SWEEP_PATH_MAX];
        rc = path_of(folder, name_of[i], path, err);
        rc = rc == RC_OK ? words_place(path, err) : rc;
    }
    return rc;
}

/* Those of parts, in the order of their names. */
static enum rc open_others(struct results *r, const struct sweep *s, struct error *err)
{
    char pattern[SWEEP_PATH_MAX];
    glob_t found = {0};
    enum rc rc = path_of(r->folder, "results.*-of-*.db", pattern, err);
    if (rc != RC_OK || glob(pattern, 0, NULL, &found) != 0) {
        globfree(&found);
        return rc; /* none */
    }
    for (size_t i = 0; rc == RC_OK && i < found.gl_pathc; i++) {
        if (r->n_others == RESULTS_PARTS_MAX) {
            rc = error_set(err, RC_LIMIT, "more than %d files of parts in '%s'",
                           (int)RESULTS_PARTS_MAX, r->folder);
            break;
        }
        rc = sweep_archive_open(found.gl_pathv[i], s, &r->other[r->n_others], err);
        r->n_others += rc == RC_OK ? 1 : 0;
    }
    globfree(&found);
    return rc;
}

static enum rc open_archives(struct results *r, const struct sweep *s, struct error *err)
{
    char name[64] = "results.db";
    if (r->parts > 0) {
        (void)snprintf(name, sizeof name, "results.%zu-of-%zu.db", r->part + 1, r->parts);
    }
    enum rc rc = path_of(r->folder, name, r->path, err);
    if (rc == RC_OK) {
        rc = sweep_archive_open(r->path, s, &r->archive, err);
    }
    return rc == RC_OK && r->parts == 0 ? open_others(r, s, err) : rc;
}

enum rc results_open(struct results *r, const char *folder, size_t part, size_t parts,
                     const struct sweep *s, struct error *err)
{
    *r = (struct results){.folder = folder, .part = part, .parts = parts};
    struct stat st = {0};
    const bool was_there = stat(folder, &st) == 0;
    enum rc rc = words_folder(folder, err);
    r->made = rc == RC_OK && !was_there;
    if (rc == RC_OK) {
        rc = nothing_in_the_way(folder, err);
    }
    return rc == RC_OK ? open_archives(r, s, err) : rc;
}

bool results_there(const char *folder)
{
    struct error err = {0};
    char path[SWEEP_PATH_MAX];
    return path_of(folder, "results.db", path, &err) == RC_OK && access(path, F_OK) == 0;
}

void results_close(struct results *r)
{
    const bool nothing = r->made && (r->archive == NULL || sweep_archive_kept(r->archive) == 0);
    sweep_archive_close(&r->archive);
    if (nothing && r->path[0] != '\0') {
        store_discard(r->path);
    }
    while (r->n_others > 0) {
        sweep_archive_close(&r->other[--r->n_others]);
    }
    if (nothing) {
        (void)rmdir(r->folder); /* stays where there is something in it */
    }
    r->made = false;
}

/* ---- after it -------------------------------------------------------------------------------- */

/* Figures of the page, each drawn again with it or not at all. */
static void tell_figures(const char *folder, const struct stat *since)
{
    static const char *const figure[] = {"tradeoff", "roc",      "calibration",
                                         "attack",   "learning", "hospitals"};
    for (size_t i = 0; i < sizeof figure / sizeof figure[0]; i++) {
        char path[SWEEP_PATH_MAX];
        struct stat st;
        (void)snprintf(path, sizeof path, "%s/%s.svg", folder, figure[i]);
        if (stat(path, &st) == 0 && (st.st_mtim.tv_sec > since->st_mtim.tv_sec ||
                                     (st.st_mtim.tv_sec == since->st_mtim.tv_sec &&
                                      st.st_mtim.tv_nsec >= since->st_mtim.tv_nsec))) {
            (void)fprintf(stderr, "wrote %s, and .png, .csv and .gp of that name\n", path);
        }
    }
}

enum rc results_write(const struct results *r, const char *config, const struct sweep *s,
                      const struct sweep_results *rows, struct error *err)
{
    char path[FILES][SWEEP_PATH_MAX];
    bool written[FILES] = {true, true, true, true};
    written[PATTERNS] = rows->n > 0 && rows->row[0].n_patterns > 0;
    for (size_t i = 0; i < rows->n; i++) {
        written[CURVES] = written[CURVES] || rows->row[i].n_curve > 0;
    }
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < FILES; i++) {
        rc = path_of(r->folder, name_of[i], path[i], err);
    }
    if (rc == RC_OK) {
        rc = report_write_csv(path[TABLE], rows->row, rows->n, err);
    }
    if (rc == RC_OK) {
        rc = report_write_sites_csv(path[SITES], rows->row, rows->n, err);
    }
    if (rc == RC_OK && written[PATTERNS]) {
        rc = report_write_patterns_csv(path[PATTERNS], rows->row, rows->n, err);
    }
    if (rc == RC_OK && written[CURVES]) {
        rc = report_write_curves_csv(path[CURVES], rows->row, rows->n, err);
    }
    if (rc == RC_OK) {
        rc = page_write(r->folder, config, s, rows, err); /* and the figure */
    }
    for (size_t i = 0; rc == RC_OK && i < FILES; i++) {
        if (written[i] && i != FIGURE) {
            (void)fprintf(stderr, "wrote %s\n", path[i]);
        }
    }
    struct stat since;
    if (rc == RC_OK && stat(path[TABLE], &since) == 0) {
        tell_figures(r->folder, &since);
    }
    return rc;
}
