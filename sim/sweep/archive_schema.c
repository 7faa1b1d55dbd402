/*
 * results.db: what a sweep has finished, so that an interrupted one goes on.
 *
 *   sweep      one row: the program's version, hashes of the cohort and of how it is split, and how many
 *              points a learning curve has at most
 *   ablation   name and hash of each study that was run: everything but noise, epsilon, delta and seed
 *   cell       one row of the grid; its figures are NULL until all of its folds are there
 *   world      one fold of a cell: seconds, and its outcome (see outcome.c), from which the figures follow
 *
 * A world, and with the last one its cell's figures, is one transaction. Epsilons of cells without
 * noise are SQLite's own infinity. Outcomes hold a score of each tested patient, in no named order:
 * the file is its owner's alone, as every store is.
 */
#include "sim/sweep/archive_internal.h"

static const char *const migration[] = {
    "CREATE TABLE sweep ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " version TEXT NOT NULL,"
    " cohort BLOB NOT NULL CHECK (length(cohort) = 32),"
    " split BLOB NOT NULL CHECK (length(split) = 32)"
    ") STRICT;"

    "CREATE TABLE ablation ("
    " name TEXT PRIMARY KEY,"
    " hash BLOB NOT NULL CHECK (length(hash) = 32)"
    ") STRICT;"

    "CREATE TABLE cell ("
    " id INTEGER PRIMARY KEY,"
    " ablation TEXT NOT NULL REFERENCES ablation(name),"
    " mode TEXT NOT NULL CHECK (mode IN ('pooled', 'federated', 'local_only')),"
    " noise TEXT NOT NULL CHECK (noise IN ('none', 'site', 'shared')),"
    " epsilon REAL NOT NULL CHECK (epsilon > 0),"
    " delta REAL NOT NULL CHECK (delta >= 0 AND delta < 1),"
    " seed INTEGER NOT NULL,"
    " sites INTEGER NOT NULL CHECK (sites > 0)," /* that train */
    " rounds INTEGER NOT NULL CHECK (rounds > 0),"
    " sample_rate REAL NOT NULL CHECK (sample_rate > 0 AND sample_rate <= 1),"
    " noise_multiplier REAL NOT NULL CHECK (noise_multiplier >= 0),"
    " seconds REAL,"
    " auroc REAL, auroc_low REAL, auroc_high REAL, auroc_site_mean REAL,"
    " auprc REAL, ece REAL, accuracy REAL, accuracy_site_mean REAL,"
    " UNIQUE (ablation, mode, noise, epsilon, delta, seed)"
    ") STRICT;"

    "CREATE TABLE world ("
    " cell INTEGER NOT NULL REFERENCES cell(id),"
    " fold INTEGER NOT NULL CHECK (fold >= 0),"
    " seconds REAL NOT NULL CHECK (seconds >= 0),"
    " outcome BLOB NOT NULL,"
    " PRIMARY KEY (cell, fold)"
    ") STRICT;",

    "ALTER TABLE sweep ADD COLUMN curves INTEGER NOT NULL DEFAULT 0 CHECK (curves >= 0);",
};

const struct store_kind archive_kind = {
    .application_id = 0x57527377, /* "WRsw" */
    .what = "results of a sweep",
    .n_migrations = sizeof migration / sizeof migration[0],
    .migration = migration,
};
