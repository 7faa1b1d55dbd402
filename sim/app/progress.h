/**
 * @file progress.h
 * Progress of long work on stderr: a bar with the remaining time on a terminal, a plain line at each
 * tenth elsewhere.
 */
#ifndef SIM_APP_PROGRESS_H
#define SIM_APP_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    const char *what; /**< "worlds" */
    bool terminal, quiet;
    int64_t begun_ms;
    size_t tenths_said;
};

void progress_init(struct progress *p, const char *what, bool quiet);
/** A `sweep_progress` callback; ctx is the struct. */
void progress_show(void *ctx, size_t done, size_t of);
/** Ends the line on a terminal. */
void progress_end(struct progress *p);

#endif
