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
/** Of equal pieces of work: the rest takes as long for each as those that are done. ctx is the struct. */
void progress_show(void *ctx, size_t done, size_t of);
/** The same where somebody knows better what is left; NAN: as above. A `sweep_progress` callback. */
void progress_show_left(void *ctx, size_t done, size_t of, double left_s);
/** "1 h 02 min", "3 min 20 s", "12 s". @return text */
const char *progress_duration(double seconds, char text[32]);
/** Ends the line on a terminal. */
void progress_end(struct progress *p);

#endif
