/**
 * @file results.h
 * The folder of a tradeoff: results.db, in which each world is kept as it is finished, and the tables and
 * the figure that are drawn from it.
 */
#ifndef SIM_APP_RESULTS_H
#define SIM_APP_RESULTS_H

#include "sim/sweep/sweep.h"

enum { RESULTS_PARTS_MAX = 1024 };

struct results {
    const char *folder;
    bool made; /**< the folder was not there before */
    size_t part, parts;
    char path[SWEEP_PATH_MAX]; /**< of its file */
    struct sweep_archive *archive;
    size_t n_others;
    struct sweep_archive *other[RESULTS_PARTS_MAX]; /**< what parts have left */
};

/**
 * Makes the folder where it is missing, sees that nothing stands in the way of what will be written at
 * the end, and opens results.db; of a part, that part's. Without a part those of all parts are opened,
 * too.
 * @retval RC_IO    a folder of a file's name, or not writable
 * @retval RC_STATE another process is at work on it
 * @retval others   as sweep_archive_open
 */
RC results_open(struct results *r, const char *folder, size_t part, size_t parts,
                const struct sweep *s, struct error *err);
/** Is there a file of results? */
bool results_there(const char *folder);
/** Idempotent. A folder that was made is taken away where nothing has come of it. */
void results_close(struct results *r);

/** Writes tables, figures and report.html, and says so. @param config path of the configuration */
RC results_write(const struct results *r, const char *config, const struct sweep *s,
                 const struct sweep_results *rows, struct error *err);

#endif
