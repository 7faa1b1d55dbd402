/*
 * The ledger's file.
 *
 *   study       one row per study joined: name, hash and plan. Only ended_ms ever changes.
 *   spend       one row per round that left or may leave: what it cost and the hash of its bytes.
 *               Never changed, never deleted.
 *   released    the bytes, beside the rows so that composing does not read them.
 *   site_state  adapters and optimiser after the newest round of a study.
 *   masked      the newest masked round of a study that anything was said in.
 *   evaluation  one row per request for score histograms: its cost and the bytes. Never changed.
 *   secret      the key of the anchors; never leaves the file.
 *
 * The three growing tables are chained: link = BLAKE2b(link of the row before, the row); their ids count
 * 1, 2, 3 … without a gap.
 * Epsilons of studies without noise are stored as SQLite's own infinity.
 */
#include "agent/ledger/ledger_internal.h"

static const char *const migration[] = {
    "CREATE TABLE study ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),"
    " hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),"
    " q REAL NOT NULL CHECK (q > 0 AND q <= 1),"
    " sigma REAL NOT NULL CHECK (sigma >= 0),"
    " steps INTEGER NOT NULL CHECK (steps > 0),"
    " rounds INTEGER NOT NULL CHECK (rounds > 0),"
    " clip REAL NOT NULL CHECK (clip > 0),"
    " epsilon REAL NOT NULL CHECK (epsilon > 0),"
    " delta REAL NOT NULL CHECK (delta >= 0 AND delta < 1),"
    " min_sites INTEGER NOT NULL CHECK (min_sites >= 0),"
    " max_colluding INTEGER NOT NULL CHECK (max_colluding >= 0),"
    " joined_ms INTEGER NOT NULL,"
    " ended_ms INTEGER,"
    " link BLOB NOT NULL CHECK (length(link) = 32)"
    ") STRICT;"

    "CREATE TABLE spend ("
    " sequence INTEGER PRIMARY KEY,"
    " study INTEGER NOT NULL REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round > 0),"
    " q REAL NOT NULL CHECK (q > 0 AND q <= 1),"
    " sigma REAL NOT NULL CHECK (sigma >= 0),"
    " steps INTEGER NOT NULL CHECK (steps > 0),"
    " clip REAL NOT NULL CHECK (clip > 0),"
    " cohort BLOB NOT NULL CHECK (length(cohort) = 32),"
    " model BLOB NOT NULL CHECK (length(model) = 32),"
    " released BLOB NOT NULL CHECK (length(released) = 32),"
    " at_ms INTEGER NOT NULL,"
    " link BLOB NOT NULL CHECK (length(link) = 32),"
    " UNIQUE (study, round)"
    ") STRICT;"

    "CREATE TABLE released ("
    " sequence INTEGER PRIMARY KEY REFERENCES spend(sequence),"
    " bytes BLOB NOT NULL"
    ") STRICT;"

    "CREATE TABLE site_state ("
    " study INTEGER PRIMARY KEY REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round > 0),"
    " hash BLOB NOT NULL CHECK (length(hash) = 32),"
    " bytes BLOB NOT NULL,"
    " FOREIGN KEY (study, round) REFERENCES spend(study, round)"
    ") STRICT;",

    "CREATE TABLE secret ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " key BLOB NOT NULL CHECK (length(key) = 32)"
    ") STRICT;",

    /* Studies with masked sums; reader_sigma is there where their noise is shared. */
    "ALTER TABLE study ADD COLUMN masked INTEGER NOT NULL DEFAULT 0 CHECK (masked IN (0, 1));"
    "ALTER TABLE study ADD COLUMN threshold INTEGER NOT NULL DEFAULT 0 CHECK (threshold >= 0);"
    "ALTER TABLE study ADD COLUMN reader_sigma REAL CHECK (reader_sigma > 0);",

    "CREATE TABLE masked ("
    " study INTEGER PRIMARY KEY REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round > 0)"
    ") STRICT;",

    "CREATE TABLE evaluation ("
    " number INTEGER PRIMARY KEY,"
    " study INTEGER NOT NULL REFERENCES study(id),"
    " request BLOB NOT NULL UNIQUE CHECK (length(request) = 32),"
    " epsilon REAL NOT NULL CHECK (epsilon > 0),"
    " cohort BLOB NOT NULL CHECK (length(cohort) = 32),"
    " model BLOB NOT NULL CHECK (length(model) = 32),"
    " released BLOB NOT NULL CHECK (length(released) = 32),"
    " bytes BLOB NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " link BLOB NOT NULL CHECK (length(link) = 32)"
    ") STRICT;",
};

const struct store_kind ledger_store_kind = {
    .application_id = 0x57524c31, /* "WRL1" */
    .what = "privacy ledger",
    .n_migrations = sizeof migration / sizeof migration[0],
    .migration = migration,
};

#define PLAN_COLUMNS                                                                     \
    "s.id, s.name, s.hash, s.q, s.sigma, s.steps, s.rounds, s.clip, s.epsilon, s.delta," \
    " s.min_sites, s.max_colluding, s.ended_ms, s.link, s.masked, s.threshold, s.reader_sigma"

const char *const ledger_sql[LEDGER_SQL_COUNT] = {
    [LEDGER_PLAN_BY_HASH] = "SELECT " PLAN_COLUMNS ","
                            " (SELECT max(round) FROM spend WHERE study = s.id),"
                            " (SELECT sum(steps) FROM spend WHERE study = s.id)"
                            " FROM study s WHERE s.hash = ?",
    [LEDGER_HASH_BY_NAME] = "SELECT hash FROM study WHERE name = ?",
    [LEDGER_COUNT_STUDIES] = "SELECT count(*) FROM study",
    /* A study has one q and one sigma for ever, so a row of it is one mechanism. */
    [LEDGER_ACCOUNTS] = "SELECT s.id, s.q, s.sigma, s.steps, s.rounds, s.ended_ms,"
                        " max(p.round), sum(p.steps)"
                        " FROM study s LEFT JOIN spend p ON p.study = s.id"
                        " GROUP BY s.id ORDER BY s.id",
    [LEDGER_ADD_STUDY] =
        "INSERT INTO study (id, name, hash, q, sigma, steps, rounds, clip, epsilon,"
        " delta, min_sites, max_colluding, joined_ms, link, masked, threshold, reader_sigma)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [LEDGER_LAST_STUDY] = "SELECT id, link FROM study ORDER BY id DESC LIMIT 1",
    [LEDGER_LAST_SPEND] = "SELECT sequence, link FROM spend ORDER BY sequence DESC LIMIT 1",
    [LEDGER_END_STUDY] = "UPDATE study SET ended_ms = ? WHERE id = ? AND ended_ms IS NULL",
    [LEDGER_ADD_SPEND] = "INSERT INTO spend (sequence, study, round, q, sigma, steps, clip, cohort,"
                         " model, released, at_ms, link)"
                         " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [LEDGER_ADD_RELEASE] = "INSERT INTO released (sequence, bytes) VALUES (?, ?)",
    [LEDGER_SET_SITE_STATE] = "INSERT INTO site_state (study, round, hash, bytes)"
                              " VALUES (?, ?, ?, ?) ON CONFLICT (study) DO UPDATE"
                              " SET round = excluded.round, hash = excluded.hash,"
                              " bytes = excluded.bytes",
    [LEDGER_RELEASE] = "SELECT p.released, r.bytes FROM spend p"
                       " JOIN study s ON s.id = p.study"
                       " LEFT JOIN released r ON r.sequence = p.sequence"
                       " WHERE s.hash = ? AND p.round = ?",
    [LEDGER_SITE_STATE] = "SELECT t.hash, t.bytes, t.round FROM site_state t"
                          " JOIN study s ON s.id = t.study WHERE s.hash = ?",
    [LEDGER_MASKED] = "SELECT round FROM masked WHERE study = ?",
    [LEDGER_SET_MASKED] = "INSERT INTO masked (study, round) VALUES (?, ?)"
                          " ON CONFLICT (study) DO UPDATE SET round = excluded.round",
    [LEDGER_STUDY_LINK] = "SELECT link FROM study WHERE id = ?",
    [LEDGER_KEY] = "SELECT key FROM secret",
    [LEDGER_ADD_KEY] = "INSERT INTO secret (id, key) VALUES (1, ?)",
    [LEDGER_LINKS_OF] = "SELECT p.link, s.link FROM spend p JOIN study s ON s.id = p.study"
                        " WHERE s.hash = ? AND p.round = ?",
    /* The newest first: that is the one asked for. */
    [LEDGER_LINKS] = "SELECT p.link, s.link FROM spend p JOIN study s ON s.id = p.study"
                     " ORDER BY p.sequence DESC",
    [LEDGER_SPEND_LINK] = "SELECT link FROM spend WHERE sequence = ?",
    [LEDGER_ALL_RELEASES] = "SELECT p.released, r.bytes, p.sequence FROM spend p"
                            " LEFT JOIN released r ON r.sequence = p.sequence"
                            " ORDER BY p.sequence",
    [LEDGER_ALL_SITE_STATES] = "SELECT hash, bytes, study FROM site_state ORDER BY study",
    [LEDGER_ALL_STUDIES] = "SELECT " PLAN_COLUMNS " FROM study s ORDER BY s.id",
    [LEDGER_ALL_SPENDS] = "SELECT p.sequence, p.round, p.q, p.sigma, p.steps, p.clip, p.cohort,"
                          " p.model, p.released, p.at_ms, p.link, s.name, s.hash, s.q, s.sigma,"
                          " s.steps, s.rounds"
                          " FROM spend p JOIN study s ON s.id = p.study ORDER BY p.sequence",
    /* For people: also a row whose study or bytes were taken away. The length is read, not the bytes. */
    [LEDGER_ROWS] = "SELECT p.sequence, p.round, p.q, p.sigma, p.steps, p.clip, p.released,"
                    " p.at_ms, p.link, s.name, length(r.bytes)"
                    " FROM spend p LEFT JOIN study s ON s.id = p.study"
                    " LEFT JOIN released r ON r.sequence = p.sequence ORDER BY p.sequence",
    [LEDGER_STUDIES] = "SELECT " PLAN_COLUMNS ","
                       " (SELECT max(round) FROM spend WHERE study = s.id),"
                       " (SELECT sum(steps) FROM spend WHERE study = s.id),"
                       " (SELECT count(*) FROM spend WHERE study = s.id), s.joined_ms,"
                       " (SELECT count(*) FROM evaluation WHERE study = s.id)"
                       " FROM study s ORDER BY s.id",
    [LEDGER_EVALUATION_COSTS] = "SELECT epsilon, count(*) FROM evaluation"
                                " WHERE ?1 = 0 OR study = ?1 GROUP BY epsilon ORDER BY epsilon",
    [LEDGER_EVALUATION_KINDS] = "SELECT count(DISTINCT epsilon) FROM evaluation",
    [LEDGER_LAST_EVALUATION] = "SELECT number, link FROM evaluation ORDER BY number DESC LIMIT 1",
    [LEDGER_EVALUATION_LINK] = "SELECT link FROM evaluation WHERE number = ?",
    [LEDGER_ADD_EVALUATION] = "INSERT INTO evaluation (number, study, request, epsilon, cohort,"
                              " model, released, bytes, at_ms, link)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [LEDGER_EVALUATION] = "SELECT released, bytes FROM evaluation WHERE request = ?",
    [LEDGER_ALL_EVALUATIONS] = "SELECT e.released, e.bytes, e.number, e.request, e.epsilon,"
                               " e.cohort, e.model, e.at_ms, e.link, s.name, s.hash"
                               " FROM evaluation e LEFT JOIN study s ON s.id = e.study"
                               " ORDER BY e.number",
};
