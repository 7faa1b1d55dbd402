/**
 * @file draft_internal.h
 * A study while it is being read: the fields so far, and where in the file they stand, so that a
 * rule between two fields can point at one of them.
 */
#ifndef COMMON_STUDY_DRAFT_INTERNAL_H
#define COMMON_STUDY_DRAFT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/study/study.h"

struct study_draft {
    struct study study;
    size_t join_deadline_s, round_deadline_s;
    const struct config_node *map; /* the whole document */
    const struct config_node *model, *local, *server, *privacy, *update, *sites;
    const struct config_node *hidden;
};

/** Every rule between fields; rules within one field were the tables' (read.c). */
void study_check(const struct study_draft *d, struct config_issues *issues);

/** May name a study or a site: a file's and a log's word, [A-Za-z0-9][A-Za-z0-9._-]*. */
bool study_is_name(const char *text);

#endif
