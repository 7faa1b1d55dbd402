/*
 * The tables of a site's cohort. There is one cohort in a file, replaced as a whole.
 *
 *   cohort   one row: which schema, which version
 *   site     names
 *   patient  label: 0 or 1; class: which one, where it is one of several (label is then 0), so that their
 *            sum is the number that the label is; one row each; file and line say where the first row of it stood, for the next message
 *            about the same patient; they do not enter the version
 *   record   one row of a file; id is the order in the files, cells as cohort_internal.h says; key is
 *            what the modalities' files call it, NULL where there are none
 *   piece    what a modality's files say about a record, in the order in which they said it: the
 *            record's data are its pieces one after the other, bytes as cohort_internal.h says
 */
#include "common/cohort/cohort.h"

/* clang-format off */
static const char *const migration[] = {
    "CREATE TABLE cohort ("
    " only INTEGER PRIMARY KEY CHECK (only = 1),"
    " name TEXT NOT NULL,"
    " schema BLOB NOT NULL CHECK (length(schema) = 32),"
    " version BLOB NOT NULL CHECK (length(version) = 32)"
    ") STRICT;"
    "CREATE TABLE site ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE CHECK (length(name) > 0)"
    ") STRICT;"
    "CREATE TABLE patient ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),"
    " site INTEGER NOT NULL REFERENCES site (id),"
    " label INTEGER NOT NULL CHECK (label IN (0, 1)),"
    " file INTEGER NOT NULL CHECK (file >= 0),"
    " line INTEGER NOT NULL CHECK (line > 0)"
    ") STRICT;"
    "CREATE TABLE record ("
    " id INTEGER PRIMARY KEY,"
    " patient INTEGER NOT NULL REFERENCES patient (id),"
    " cells BLOB NOT NULL CHECK (length(cells) > 0 AND length(cells) % 8 = 0)"
    ") STRICT;"
    "CREATE INDEX record_patient ON record (patient, id);"
    "CREATE INDEX patient_site ON patient (site);",
    "ALTER TABLE record ADD COLUMN key TEXT CHECK (length(key) > 0);"
    "CREATE UNIQUE INDEX record_key ON record (key);"
    "CREATE TABLE piece ("
    " id INTEGER PRIMARY KEY,"
    " record INTEGER NOT NULL REFERENCES record (id),"
    " modality INTEGER NOT NULL CHECK (modality >= 0),"
    " data BLOB NOT NULL CHECK (length(data) > 0)"
    ") STRICT;"
    "CREATE INDEX piece_record ON piece (record, modality, id);",
    "ALTER TABLE patient ADD COLUMN class INTEGER NOT NULL DEFAULT 0 CHECK (class >= 0);",
};
/* clang-format on */

const struct store_kind cohort_store_kind = {
    .application_id = 0x57524348, /* "WRCH" */
    .what = "cohort store",
    .n_migrations = sizeof migration / sizeof migration[0],
    .migration = migration,
};
