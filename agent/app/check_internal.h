/**
 * @file check_internal.h
 * The preflight's parts: what is looked at here (check.c), the modes of files (check_modes.c), and
 * what only the coordinator can answer (check_coordinator.c).
 */
#ifndef AGENT_APP_CHECK_INTERNAL_H
#define AGENT_APP_CHECK_INTERNAL_H

#include <stdbool.h>

#include <jansson.h>

#include "agent/app/site.h"
#include "common/base/error.h"

/** Lines said so far. */
struct checks {
    const char *folder;
    json_t *lines; /**< NULL: printed as they come */
    size_t n_failed;
};

/** One line. @param mend what to do about it; NULL: it passed, or `fmt` says it already */
void check_line(struct checks *c, const char *name, bool pass, const char *mend, const char *fmt,
                ...) PRINTF_LIKE(5, 6);

/** Keys, databases, folders and the files that patients are imported from: open to nobody else.
 *  @param site NULL: site.yaml or cohort.yaml cannot be read, so that no patients' file is known */
void check_modes(struct checks *c, const struct site *site);

/** A PROBE to the trusted coordinator: reached, the right one, knows us, and the same time. */
void check_coordinator(struct checks *c, const struct site *site);

#endif
