/**
 * @file imported.h
 * A cohort.yaml and its files as texts, imported into memory and gathered: for tests of modalities.
 */
#ifndef TESTS_SUPPORT_IMPORTED_H
#define TESTS_SUPPORT_IMPORTED_H

#include "common/cohort/cohort_internal.h"

enum { IMPORTED_FILES_MAX = 6 };

struct imported {
    struct schema schema;
    struct store *store;
    struct dataset *data; /**< NULL where the import refused */
    struct config_issues issues;
    struct cohort_summary sum;
    struct arena memory;
    struct batch_room room;
    enum rc rc;
};

/** `file` are texts, NULL at the end: the table's, then each modality's. The test fails unless the
 *  yaml is right. */
void imported_open(struct imported *i, const char *yaml, const char *site,
                   const char *const file[IMPORTED_FILES_MAX]);
/** The same where files hold any bytes. */
void imported_open_bytes(struct imported *i, const char *yaml, const char *site,
                         const struct cohort_bytes *file);
/** Fails the test, with all problems, unless it was imported; gathers all rows in their order. */
const struct batch *imported_batch(struct imported *i);
/** Fails unless these are the problems, in order, and nothing was imported. */
void imported_refused(const struct imported *i, const char *const *line, size_t n);
void imported_close(struct imported *i);

#endif
