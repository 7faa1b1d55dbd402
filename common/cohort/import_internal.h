/**
 * @file import_internal.h
 * What the files of an import share: import.c (files, the whole), records.c (rows of the table) and
 * warnings.c (what is allowed and odd).
 */
#ifndef COMMON_COHORT_IMPORT_INTERNAL_H
#define COMMON_COHORT_IMPORT_INTERNAL_H

#include "common/cohort/cohort_internal.h"

/* What the import asks and tells the store. */
enum query {
    FIND_SITE,
    ADD_SITE,
    FIND_PATIENT,
    ADD_PATIENT,
    ADD_RECORD,
    FIND_KEY,
    READ_ALL,
    READ_SITES,
    ADD_COHORT,
    QUERIES
};

struct import {
    const struct schema *s;
    const char *only_site; /* NULL: all */
    const struct cohort_bytes *bytes;
    const struct cohort_limits *limits;
    struct store *store;
    struct statement *query[QUERIES];
    struct reader reader;
    struct arena memory;
    unsigned char *cells; /* [cells_bytes(s)] */
    struct pieces pieces;
    size_t n_later, n_later_elsewhere; /* rows left out by `rows: first` */
    struct config_issues *issues;
    struct cohort_summary sum;
    size_t file;                     /* the present one */
    size_t n_seen;                   /* rows read, stored or not */
    char last_site[SCHEMA_NAME_MAX]; /* files come site by site: most rows ask for the same */
    int64_t last_site_id;
};

/** A row of the table into the store. For reader_walk. */
enum rc import_take_row(void *import, const struct scan_row *row, struct error *err);

/** Of what is in the store by now. */
RC import_look_for_warnings(struct import *im, struct error *err);

#endif
