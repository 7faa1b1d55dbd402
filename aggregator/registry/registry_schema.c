/*
 * The registry's file.
 *
 *   study         name, hash and size of the roster; newest round announced.
 *   member        a site's answer to the study, and the round that was open when it gave it.
 *   part          a site's answer to a round: an update (its hash), or why it sits out. Stays.
 *                 anchor: of its row in the site's ledger, to be said again in an ACK.
 *   witness       the newest anchor of each site's key, over all studies: said with STUDY.
 *   place         where the update's bytes are in the file beside this one (held.c), until the round has
 *                 an outcome; held: the bytes themselves, of older programs and in memory.
 *   phase         what the phases of a masked round ended with, until the round is over.
 *   lost          masked rounds whose sum could not be opened; their numbers are not used again.
 *   outcome       a finished round, or the failure that ended the study; contributor: its sites.
 *   model         bytes of the newest versions.
 *   server_state  its hash, of the newest version only; state_piece: its bytes, cut into pieces, since
 *                 it may be six models and SQLite copies what it is given.
 *   version       hash and size of every model there was.
 *   agreement     the study as it was signed, and its number of rounds.
 *   abort_request a person wants the study to stop.
 *   evaluation    a request for score histograms, as it was signed; evaluation_part: a site's answer to
 *                 it (NULL: none), or why there is none.
 *   card          who may connect: the newest card of a name counts; revoked keys never come back.
 *   audit         what happened, chained: link = BLAKE2b(link before, entry).
 */
#include "aggregator/registry/registry_internal.h"

static const char *const migration[] = {
    "CREATE TABLE study ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),"
    " hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),"
    " n_sites INTEGER NOT NULL CHECK (n_sites BETWEEN 1 AND 1024),"
    " opened INTEGER NOT NULL DEFAULT 0 CHECK (opened >= 0),"
    " started_ms INTEGER NOT NULL"
    ") STRICT;"

    "CREATE TABLE member ("
    " study INTEGER NOT NULL REFERENCES study(id),"
    " site INTEGER NOT NULL CHECK (site >= 0),"
    " answer INTEGER NOT NULL CHECK (answer IN (1, 2))," /* accepted, declined */
    " since INTEGER NOT NULL CHECK (since >= 0),"
    " reason TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (study, site)"
    ") STRICT;"

    "CREATE TABLE part ("
    " study INTEGER NOT NULL REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round > 0),"
    " site INTEGER NOT NULL CHECK (site >= 0),"
    " hash BLOB CHECK (length(hash) = 32)," /* NULL: sits out */
    " reason TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (study, round, site)"
    ") STRICT;"

    "CREATE TABLE held ("
    " study INTEGER NOT NULL,"
    " round INTEGER NOT NULL,"
    " site INTEGER NOT NULL,"
    " bytes BLOB NOT NULL,"
    " PRIMARY KEY (study, round, site),"
    " FOREIGN KEY (study, round, site) REFERENCES part(study, round, site)"
    ") STRICT;"

    "CREATE TABLE outcome ("
    " study INTEGER NOT NULL REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round >= 0),"
    " failed INTEGER NOT NULL CHECK (failed IN (0, 1)),"
    " reason TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (study, round)"
    ") STRICT;"
    "CREATE UNIQUE INDEX one_failure ON outcome (study) WHERE failed;"

    "CREATE TABLE contributor ("
    " study INTEGER NOT NULL,"
    " round INTEGER NOT NULL,"
    " site INTEGER NOT NULL CHECK (site >= 0),"
    " PRIMARY KEY (study, round, site),"
    " FOREIGN KEY (study, round) REFERENCES outcome(study, round)"
    ") STRICT;"

    "CREATE TABLE model ("
    " study INTEGER NOT NULL REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round >= 0),"
    " hash BLOB NOT NULL CHECK (length(hash) = 32),"
    " at_ms INTEGER NOT NULL,"
    " bytes BLOB NOT NULL,"
    " PRIMARY KEY (study, round)"
    ") STRICT;"

    "CREATE TABLE server_state ("
    " study INTEGER PRIMARY KEY REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round > 0),"
    " hash BLOB NOT NULL CHECK (length(hash) = 32),"
    " bytes BLOB NOT NULL,"
    " FOREIGN KEY (study, round) REFERENCES model(study, round)"
    ") STRICT;"

    "CREATE TABLE audit ("
    " sequence INTEGER PRIMARY KEY,"
    " study BLOB NOT NULL CHECK (length(study) = 32),"
    " what TEXT NOT NULL,"
    " detail TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " link BLOB NOT NULL CHECK (length(link) = 32)"
    ") STRICT;",

    "CREATE TABLE version ("
    " study INTEGER NOT NULL REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round >= 0),"
    " hash BLOB NOT NULL CHECK (length(hash) = 32),"
    " size INTEGER NOT NULL CHECK (size >= 0),"
    " at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (study, round)"
    ") STRICT;"
    "INSERT INTO version (study, round, hash, size, at_ms)"
    " SELECT study, round, hash, length(bytes), at_ms FROM model;"

    "CREATE TABLE agreement ("
    " study INTEGER PRIMARY KEY REFERENCES study(id),"
    " rounds INTEGER NOT NULL CHECK (rounds > 0),"
    " hash BLOB NOT NULL CHECK (length(hash) = 32),"
    " bytes BLOB NOT NULL,"
    " at_ms INTEGER NOT NULL"
    ") STRICT;"

    "CREATE TABLE abort_request ("
    " study INTEGER PRIMARY KEY REFERENCES study(id),"
    " reason TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL"
    ") STRICT;"

    "CREATE TABLE card ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 63),"
    " sign BLOB NOT NULL UNIQUE CHECK (length(sign) = 32),"
    " curve BLOB NOT NULL UNIQUE CHECK (length(curve) = 32),"
    " text TEXT NOT NULL," /* as its owner signed it */
    " reason TEXT NOT NULL,"
    " enrolled_ms INTEGER NOT NULL,"
    " revoked_ms INTEGER" /* NULL: not revoked */
    ") STRICT;"
    "CREATE UNIQUE INDEX one_card ON card (name) WHERE revoked_ms IS NULL;",

    "CREATE TABLE state_piece ("
    " study INTEGER NOT NULL REFERENCES server_state(study),"
    " piece INTEGER NOT NULL CHECK (piece >= 0),"
    " bytes BLOB NOT NULL,"
    " PRIMARY KEY (study, piece)"
    ") STRICT;"
    "INSERT INTO state_piece (study, piece, bytes) SELECT study, 0, bytes FROM server_state;"
    "ALTER TABLE server_state DROP COLUMN bytes;",

    "ALTER TABLE part ADD COLUMN anchor BLOB CHECK (length(anchor) = 32);"
    "CREATE TABLE witness ("
    " sign BLOB PRIMARY KEY CHECK (length(sign) = 32),"
    " anchor BLOB NOT NULL CHECK (length(anchor) = 32),"
    " at_ms INTEGER NOT NULL"
    ") STRICT;",

    "CREATE TABLE lost ("
    " study INTEGER NOT NULL REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round > 0),"
    " reason TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (study, round)"
    ") STRICT;"
    "CREATE TABLE phase ("
    " study INTEGER NOT NULL REFERENCES study(id),"
    " round INTEGER NOT NULL CHECK (round > 0),"
    " phase INTEGER NOT NULL CHECK (phase >= 0),"
    " bytes BLOB NOT NULL,"
    " PRIMARY KEY (study, round, phase)"
    ") STRICT;",

    "CREATE TABLE evaluation ("
    " id INTEGER PRIMARY KEY,"
    " study INTEGER NOT NULL REFERENCES study(id),"
    " request BLOB NOT NULL UNIQUE CHECK (length(request) = 32),"
    " bytes BLOB NOT NULL,"
    " asked_ms INTEGER NOT NULL,"
    " deadline_ms INTEGER NOT NULL,"
    " closed_ms INTEGER CHECK (closed_ms > 0)"
    ") STRICT;"
    "CREATE UNIQUE INDEX one_open_evaluation ON evaluation (study) WHERE closed_ms IS NULL;"
    "CREATE TABLE evaluation_part ("
    " evaluation INTEGER NOT NULL REFERENCES evaluation(id),"
    " site INTEGER NOT NULL CHECK (site >= 0),"
    " answer BLOB,"
    " reason TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (evaluation, site)"
    ") STRICT;",

    "CREATE TABLE place ("
    " study INTEGER NOT NULL,"
    " round INTEGER NOT NULL,"
    " site INTEGER NOT NULL,"
    " at INTEGER NOT NULL CHECK (at >= 0),"
    " size INTEGER NOT NULL CHECK (size >= 0),"
    " PRIMARY KEY (study, round, site),"
    " FOREIGN KEY (study, round, site) REFERENCES part(study, round, site)"
    ") STRICT;",
};

const struct store_kind registry_store_kind = {
    .application_id = 0x57525231, /* "WRR1" */
    .what = "study registry",
    .n_migrations = sizeof migration / sizeof migration[0],
    .migration = migration,
};

const char *const registry_sql[REGISTRY_SQL_COUNT] = {
    [REGISTRY_STUDY_BY_HASH] = "SELECT s.id, s.name, s.n_sites, s.opened,"
                               " (SELECT max(round) FROM model WHERE study = s.id),"
                               " EXISTS (SELECT 1 FROM part WHERE study = s.id),"
                               " (SELECT round FROM outcome WHERE study = s.id AND failed),"
                               " (SELECT count(*) FROM lost WHERE study = s.id),"
                               " (SELECT max(round) FROM lost WHERE study = s.id)"
                               " FROM study s WHERE s.hash = ?",
    [REGISTRY_STUDY_BY_NAME] = "SELECT id FROM study WHERE name = ?",
    [REGISTRY_ADD_STUDY] = "INSERT INTO study (name, hash, n_sites, started_ms)"
                           " VALUES (?, ?, ?, ?)",
    [REGISTRY_OPEN_ROUND] = "UPDATE study SET opened = ? WHERE id = ?",
    [REGISTRY_MEMBER] = "SELECT answer, since, reason FROM member WHERE study = ? AND site = ?",
    [REGISTRY_SET_MEMBER] = "INSERT INTO member (study, site, answer, since, reason, at_ms)"
                            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                            " SET answer = excluded.answer, since = excluded.since,"
                            " reason = excluded.reason, at_ms = excluded.at_ms",
    [REGISTRY_MEMBERS] = "SELECT site, answer, since FROM member WHERE study = ?",
    [REGISTRY_PART] = "SELECT hash, reason FROM part WHERE study = ? AND round = ? AND site = ?",
    [REGISTRY_ADD_PART] = "INSERT INTO part (study, round, site, hash, anchor, reason, at_ms)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?)",
    [REGISTRY_ANCHOR_OF] = "SELECT anchor FROM part WHERE study = ? AND round = ? AND site = ?"
                           " AND anchor IS NOT NULL",
    [REGISTRY_SET_WITNESS] = "INSERT INTO witness (sign, anchor, at_ms) VALUES (?, ?, ?)"
                             " ON CONFLICT (sign) DO UPDATE SET anchor = excluded.anchor,"
                             " at_ms = excluded.at_ms",
    [REGISTRY_WITNESS] = "SELECT anchor FROM witness WHERE sign = ?",
    [REGISTRY_PARTS] = "SELECT site, hash IS NOT NULL FROM part WHERE study = ? AND round = ?",
    [REGISTRY_ADD_HELD] = "INSERT INTO held (study, round, site, bytes) VALUES (?, ?, ?, ?)",
    [REGISTRY_ADD_PLACE] = "INSERT INTO place (study, round, site, at, size)"
                           " VALUES (?, ?, ?, ?, ?)",
    [REGISTRY_END_OF_PLACES] = "SELECT coalesce(max(at + size), 0) FROM place",
    [REGISTRY_DROP_PLACES] = "DELETE FROM place WHERE study = ? AND round = ?",
    [REGISTRY_HELD] = "SELECT p.site, p.hash, h.bytes, k.at, k.size FROM part p"
                      " LEFT JOIN held h"
                      " ON h.study = p.study AND h.round = p.round AND h.site = p.site"
                      " LEFT JOIN place k"
                      " ON k.study = p.study AND k.round = p.round AND k.site = p.site"
                      " WHERE p.study = ? AND p.round = ? AND p.hash IS NOT NULL ORDER BY p.site",
    [REGISTRY_DROP_HELD] = "DELETE FROM held WHERE study = ? AND round = ?",
    [REGISTRY_ADD_OUTCOME] = "INSERT INTO outcome (study, round, failed, reason, at_ms)"
                             " VALUES (?, ?, ?, ?, ?)",
    [REGISTRY_OUTCOME] = "SELECT failed, reason FROM outcome WHERE study = ? AND round = ?",
    [REGISTRY_ADD_CONTRIBUTOR] = "INSERT INTO contributor (study, round, site) VALUES (?, ?, ?)",
    [REGISTRY_CONTRIBUTORS] = "SELECT site FROM contributor WHERE study = ? AND round = ?",
    [REGISTRY_ADD_MODEL] = "INSERT INTO model (study, round, hash, at_ms, bytes)"
                           " VALUES (?, ?, ?, ?, ?)",
    [REGISTRY_ADD_VERSION] = "INSERT INTO version (study, round, hash, size, at_ms)"
                             " VALUES (?, ?, ?, ?, ?)",
    /* The newest ones up to so many bytes stay. By `version`: reading no model. */
    [REGISTRY_DROP_MODELS] = "DELETE FROM model WHERE study = ? AND round < ? AND round IN"
                             " (SELECT round FROM (SELECT round,"
                             " sum(size) OVER (ORDER BY round DESC) AS total"
                             " FROM version WHERE study = ?) WHERE total > ?)",
    [REGISTRY_VERSIONS] = "SELECT v.round, v.hash, v.size, v.at_ms, EXISTS"
                          " (SELECT 1 FROM model m WHERE m.study = v.study AND m.round = v.round)"
                          " FROM version v WHERE v.study = ? ORDER BY v.round",
    [REGISTRY_MODEL_OF] = "SELECT hash, bytes FROM model WHERE study = ? AND round = ?",
    [REGISTRY_SET_STATE] = "INSERT INTO server_state (study, round, hash)"
                           " VALUES (?, ?, ?) ON CONFLICT (study) DO UPDATE"
                           " SET round = excluded.round, hash = excluded.hash",
    [REGISTRY_DROP_PIECES] = "DELETE FROM state_piece WHERE study = ?",
    [REGISTRY_ADD_PIECE] = "INSERT INTO state_piece (study, piece, bytes) VALUES (?, ?, ?)",
    [REGISTRY_STATE] = "SELECT hash FROM server_state WHERE study = ? AND round = ?",
    [REGISTRY_PIECES] = "SELECT bytes FROM state_piece WHERE study = ? ORDER BY piece",
    [REGISTRY_MODEL] = "SELECT round, hash, bytes FROM model"
                       " WHERE study = ? ORDER BY round DESC LIMIT 1",
    [REGISTRY_LAST_ENTRY] = "SELECT sequence, link FROM audit ORDER BY sequence DESC LIMIT 1",
    [REGISTRY_ADD_ENTRY] = "INSERT INTO audit (sequence, study, what, detail, at_ms, link)"
                           " VALUES (?, ?, ?, ?, ?, ?)",
    [REGISTRY_ENTRIES] = "SELECT sequence, study, what, detail, at_ms, link FROM audit"
                         " ORDER BY sequence",
    [REGISTRY_ADD_AGREEMENT] = "INSERT INTO agreement (study, rounds, hash, bytes, at_ms)"
                               " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    [REGISTRY_AGREEMENT] = "SELECT hash, bytes FROM agreement WHERE study = ?",
    [REGISTRY_ADD_ABORT] = "INSERT INTO abort_request (study, reason, at_ms) VALUES (?, ?, ?)",
    [REGISTRY_ABORT] = "SELECT reason FROM abort_request WHERE study = ?",
    [REGISTRY_STUDIES] =
        "SELECT s.hash, s.started_ms,"
        " (SELECT count(*) FROM member WHERE study = s.id AND answer = 1),"
        " (SELECT count(*) FROM member WHERE study = s.id AND answer = 2),"
        " (SELECT rounds FROM agreement WHERE study = s.id),"
        " (SELECT reason FROM outcome WHERE study = s.id AND failed),"
        " EXISTS (SELECT 1 FROM abort_request WHERE study = s.id),"
        " (SELECT at_ms FROM audit WHERE study = s.hash ORDER BY sequence DESC LIMIT 1)"
        " FROM study s ORDER BY s.id",
    [REGISTRY_NAMES_OF_STUDIES] = "SELECT name FROM study ORDER BY name",
    [REGISTRY_HASH_OF_STUDY] = "SELECT hash FROM study WHERE name = ?",
    [REGISTRY_CARDS_LIKE] = "SELECT name, sign, curve, revoked_ms FROM card"
                            " WHERE sign = ? OR curve = ? OR (name = ? AND revoked_ms IS NULL)",
    [REGISTRY_ADD_CARD] = "INSERT INTO card (name, sign, curve, text, reason, enrolled_ms)"
                          " VALUES (?, ?, ?, ?, '', ?)",
    [REGISTRY_NEWEST_CARD] = "SELECT id, revoked_ms, text FROM card WHERE name = ?"
                             " ORDER BY id DESC LIMIT 1",
    [REGISTRY_REVOKE_CARD] = "UPDATE card SET revoked_ms = ?, reason = ? WHERE id = ?",
    [REGISTRY_CARDS] = "SELECT name, text, enrolled_ms, revoked_ms, sign, curve FROM card"
                       " WHERE id IN (SELECT max(id) FROM card GROUP BY name) ORDER BY name",
    [REGISTRY_NAMES_OF_CARDS] = "SELECT name FROM card WHERE revoked_ms IS NULL ORDER BY name",
    [REGISTRY_ADD_LOST] = "INSERT INTO lost (study, round, reason, at_ms) VALUES (?, ?, ?, ?)",
    [REGISTRY_LOST] = "SELECT reason FROM lost WHERE study = ? AND round = ?",
    [REGISTRY_ADD_PHASE] = "INSERT INTO phase (study, round, phase, bytes) VALUES (?, ?, ?, ?)",
    [REGISTRY_PHASE] = "SELECT bytes FROM phase WHERE study = ? AND round = ? AND phase = ?",
    [REGISTRY_DROP_PHASES] = "DELETE FROM phase WHERE study = ? AND round = ?",
    [REGISTRY_ADD_EVALUATION] = "INSERT INTO evaluation (study, request, bytes, asked_ms,"
                                " deadline_ms) VALUES (?, ?, ?, ?, ?)",
    [REGISTRY_EVALUATION] = "SELECT e.id, e.closed_ms, s.hash FROM evaluation e"
                            " JOIN study s ON s.id = e.study WHERE e.request = ?",
    [REGISTRY_NEWEST_EVALUATION] = "SELECT request, bytes, asked_ms, deadline_ms, closed_ms"
                                   " FROM evaluation WHERE study = ? ORDER BY id DESC LIMIT 1",
    [REGISTRY_CLOSE_EVALUATION] = "UPDATE evaluation SET closed_ms = ? WHERE id = ?",
    [REGISTRY_ADD_ANSWER] = "INSERT INTO evaluation_part (evaluation, site, answer, reason, at_ms)"
                            " VALUES (?, ?, ?, ?, ?)",
    [REGISTRY_ANSWER] = "SELECT answer FROM evaluation_part WHERE evaluation = ? AND site = ?",
    [REGISTRY_ANSWERS] = "SELECT p.site, p.answer, p.reason FROM evaluation_part p"
                         " JOIN evaluation e ON e.id = p.evaluation WHERE e.request = ?"
                         " ORDER BY p.site",
    [REGISTRY_DATA_VERSION] = "PRAGMA data_version",
};
