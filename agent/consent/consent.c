/*
 * The file has one table, one row a study. A row is made when a verified study arrives and changes
 * when somebody decides; the check forbids what cannot be (a decision without a person), and every
 * question that a decision hangs on runs inside one BEGIN IMMEDIATE transaction with the decision,
 * because the trainer and a person's command have the file open at the same time.
 */
#include "agent/consent/consent.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/store/store.h"

enum { HASH_PREFIX_MIN = 8 };

static const char *const migration[] = {
    /* state as enum consent_state */
    "CREATE TABLE study ("
    " arrival INTEGER PRIMARY KEY,"
    " hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),"
    " name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),"
    " coordinator TEXT NOT NULL CHECK (length(coordinator) BETWEEN 1 AND 63),"
    " document TEXT NOT NULL,"
    " offered_ms INTEGER NOT NULL,"
    " state INTEGER NOT NULL CHECK (state IN (1, 2, 3)),"
    " decided_by TEXT NOT NULL CHECK (length(decided_by) <= 127),"
    " decided_ms INTEGER NOT NULL,"
    " reason TEXT NOT NULL CHECK (length(reason) <= 199 AND (reason = '' OR state = 3)),"
    " CHECK ((state = 1) = (decided_by = '')),"
    " CHECK (state <> 1 OR decided_ms = 0)"
    ") STRICT;"
    /* No is final, whatever program writes. */
    "CREATE TRIGGER withdrawn_is_final BEFORE UPDATE ON study WHEN OLD.state = 3"
    " BEGIN SELECT RAISE(ABORT, 'withdrawn is final'); END;"
    "CREATE TRIGGER nothing_is_forgotten BEFORE DELETE ON study"
    " BEGIN SELECT RAISE(ABORT, 'a study is not forgotten'); END;",
    /* How it ended, if it did: 0 is not yet. */
    "ALTER TABLE study ADD COLUMN ended_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE study ADD COLUMN done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1));",
};
static_assert(CONSENT_OFFERED == 1 && CONSENT_APPROVED == 2 && CONSENT_WITHDRAWN == 3,
              "numbers in the file");

const struct store_kind consent_store_kind = {
    .application_id = 0x57524373, /* "WRCs" */
    .what = "consent file",
    .n_migrations = sizeof migration / sizeof migration[0],
    .migration = migration,
};

enum { SQL_ADD, SQL_BY_HASH, SQL_BY_NAME, SQL_DECIDE, SQL_END, SQL_ALL, SQL_COUNT };

static const char *const sql[SQL_COUNT] = {
    [SQL_ADD] = "INSERT INTO study (hash, name, coordinator, document, offered_ms, state,"
                " decided_by, decided_ms, reason) VALUES (?, ?, ?, ?, ?, 1, '', 0, '')",
    [SQL_BY_HASH] = "SELECT state, name, reason, ended_ms FROM study WHERE hash = ?",
    [SQL_BY_NAME] = "SELECT state, hash FROM study"
                    " WHERE name = ? OR (length(?) >= 8 AND instr(lower(hex(hash)), lower(?)) = 1)",
    [SQL_DECIDE] = "UPDATE study SET state = ?, decided_by = ?, decided_ms = ?, reason = ?"
                   " WHERE hash = ?",
    [SQL_END] = "UPDATE study SET ended_ms = ?, done = ?"
                " WHERE hash = ? AND state <> 3 AND ended_ms = 0",
    [SQL_ALL] = "SELECT hash, name, coordinator, document, offered_ms, state, decided_by,"
                " decided_ms, reason, ended_ms, done FROM study ORDER BY arrival",
};

struct consent {
    struct store *store;
    struct statement *st[SQL_COUNT];
};

static RC open_as(const char *path, bool reading, struct consent **out, struct error *err)
{
    struct consent *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the consent file");
    }
    enum rc rc = reading ? store_open_reading(path, &consent_store_kind, &c->store, err)
                         : store_open(path, &consent_store_kind, &c->store, err);
    for (size_t i = 0; rc == RC_OK && i < SQL_COUNT; i++) {
        rc = store_prepare(c->store, sql[i], &c->st[i], err);
    }
    if (rc == RC_OK) {
        *out = c;
        c = NULL;
    }
    consent_close(&c);
    return rc;
}

enum rc consent_open(const char *path, struct consent **out, struct error *err)
{
    return open_as(path, false, out, err);
}

enum rc consent_open_reading(const char *path, struct consent **out, struct error *err)
{
    return open_as(path, true, out, err);
}

void consent_close(struct consent **c)
{
    struct consent *gone = *c;
    if (gone == NULL) {
        return;
    }
    store_close(&gone->store);
    free(gone);
    *c = NULL;
}

/* What another program wrote there is cut, not trusted. */
static void copy_text(char *to, size_t room, const char *from)
{
    (void)snprintf(to, room, "%s", from != NULL ? from : "");
}

/* ---- asking ---------------------------------------------------------------------------------- */

static RC state_at(struct statement *st, int column, enum consent_state *out, struct error *err)
{
    const int64_t x = statement_i64(st, column);
    if (x < CONSENT_OFFERED || x > CONSENT_WITHDRAWN) {
        return error_set(err, RC_FORMAT,
                         "consent file: a study is in no known state; restore it from a backup");
    }
    *out = (enum consent_state)x;
    return RC_OK;
}

static RC hash_at(struct statement *st, int column, struct hash *out, struct error *err)
{
    size_t n = 0;
    const void *bytes = statement_blob(st, column, &n);
    if (n != HASH_BYTES) {
        return error_set(err, RC_FORMAT,
                         "consent file: a study's hash has the wrong size; restore it from a "
                         "backup");
    }
    memcpy(out->b, bytes, HASH_BYTES);
    return RC_OK;
}

/* CONSENT_UNKNOWN if the hash is. */
static RC find(struct consent *c, const struct hash *study, struct consent_row *out,
               struct error *err)
{
    struct consent_row r = {.study = *study};
    struct statement *st = c->st[SQL_BY_HASH];
    bool row = false;
    statement_bind_blob(st, study->b, sizeof study->b);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        rc = state_at(st, 0, &r.state, err);
        copy_text(r.name, sizeof r.name, statement_text(st, 1));
        copy_text(r.reason, sizeof r.reason, statement_text(st, 2));
        r.ended_ms = statement_i64(st, 3);
        statement_reset(st);
    }
    if (rc == RC_OK) {
        *out = r;
    }
    return rc;
}

enum rc consent_state(struct consent *c, const struct hash *study, enum consent_state *out,
                      struct error *err)
{
    struct consent_row r;
    const enum rc rc = find(c, study, &r, err);
    if (rc == RC_OK) {
        *out = r.state;
    }
    return rc;
}

enum rc consent_reason(struct consent *c, const struct hash *study, char out[CONSENT_REASON_MAX],
                       struct error *err)
{
    struct consent_row r;
    const enum rc rc = find(c, study, &r, err);
    if (rc == RC_OK) {
        memcpy(out, r.reason, CONSENT_REASON_MAX);
    }
    return rc;
}

static RC row_at(struct statement *st, struct consent_row *r, struct error *err)
{
    enum rc rc = hash_at(st, 0, &r->study, err);
    if (rc == RC_OK) {
        rc = state_at(st, 5, &r->state, err);
    }
    copy_text(r->name, sizeof r->name, statement_text(st, 1));
    copy_text(r->coordinator, sizeof r->coordinator, statement_text(st, 2));
    r->document = statement_text(st, 3);
    r->offered_ms = statement_i64(st, 4);
    copy_text(r->by, sizeof r->by, statement_text(st, 6));
    r->decided_ms = statement_i64(st, 7);
    copy_text(r->reason, sizeof r->reason, statement_text(st, 8));
    r->ended_ms = statement_i64(st, 9);
    r->done = statement_i64(st, 10) != 0;
    return rc;
}

enum rc consent_each(struct consent *c, void (*each)(void *ctx, const struct consent_row *row),
                     void *ctx, struct error *err)
{
    struct statement *st = c->st[SQL_ALL];
    bool row = false;
    enum rc rc = statement_step(st, &row, err);
    while (rc == RC_OK && row) {
        struct consent_row r = {0};
        rc = row_at(st, &r, err);
        if (rc != RC_OK) {
            statement_reset(st);
            break;
        }
        each(ctx, &r);
        rc = statement_step(st, &row, err);
    }
    return rc;
}

/* ---- ending ---------------------------------------------------------------------------------- */

enum rc consent_end(struct consent *c, const struct hash *study, bool done, int64_t now_ms,
                    struct error *err)
{
    struct statement *st = c->st[SQL_END];
    statement_bind_i64(st, now_ms);
    statement_bind_i64(st, done);
    statement_bind_blob(st, study->b, sizeof study->b);
    return statement_run(st, err);
}

/* @param left what a person wanted of it */
static RC say_ended(const struct consent_row *r, const char *left, struct error *err)
{
    char day[32] = "";
    const time_t at = (time_t)(r->ended_ms / 1000);
    struct tm tm = {0};
    if (gmtime_r(&at, &tm) == NULL || strftime(day, sizeof day, "%Y-%m-%d", &tm) == 0) {
        day[0] = '\0';
    }
    return error_set(err, RC_STATE, "study '%s' has ended here on %s; nothing is left %s", r->name,
                     day, left);
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* Another document under a name that is known: people decide by name. */
static RC name_is_free(struct consent *c, const char *name, struct error *err)
{
    struct statement *st = c->st[SQL_BY_NAME];
    bool row = false;
    statement_bind_text(st, name);
    statement_bind_text(st, ""); /* by name alone */
    statement_bind_text(st, "");
    const enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        statement_reset(st);
        return error_set(err, RC_STATE,
                         "another study was named '%s' here before; the coordinator must give "
                         "this one a name of its own",
                         name);
    }
    return rc;
}

static RC add(struct consent *c, const struct hash *study, const char *name,
              const char *coordinator, const char *document, int64_t now_ms, struct error *err)
{
    struct statement *st = c->st[SQL_ADD];
    statement_bind_blob(st, study->b, sizeof study->b);
    statement_bind_text(st, name);
    statement_bind_text(st, coordinator);
    statement_bind_text(st, document);
    statement_bind_i64(st, now_ms);
    return statement_run(st, err);
}

enum rc consent_offer(struct consent *c, const struct hash *study, const char *name,
                      const char *coordinator, const char *document, int64_t now_ms,
                      struct error *err)
{
    struct consent_row known = {0};

    enum rc rc = store_begin(c->store, err);
    if (rc == RC_OK) {
        rc = find(c, study, &known, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (known.state != CONSENT_UNKNOWN) {
        if (strcmp(known.name, name) != 0) {
            rc = error_set(err, RC_STATE, "this study is known here as '%s', not as '%.63s'",
                           known.name, name);
        } else if (known.ended_ms != 0) {
            rc = say_ended(&known, "to take part in", err);
        }
        goto out;
    }
    rc = name_is_free(c, name, err);
    if (rc == RC_OK) {
        rc = add(c, study, name, coordinator, document, now_ms, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(c->store, err);
    }
out:
    store_rollback(c->store);
    return rc;
}

struct waiting {
    char names[160];
    size_t n;
};

static void note_waiting(void *ctx, const struct consent_row *row)
{
    struct waiting *w = ctx;
    if (row->state != CONSENT_OFFERED || row->ended_ms != 0) {
        return;
    }
    w->n++;
    const size_t used = strlen(w->names);
    if (used + strlen(row->name) + 3 < sizeof w->names) {
        (void)snprintf(w->names + used, sizeof w->names - used, "%s%s", used > 0 ? ", " : "",
                       row->name);
    }
}

static RC say_unknown(struct consent *c, const char *name, struct error *err)
{
    struct waiting w = {0};
    const enum rc rc = consent_each(c, note_waiting, &w, err);
    if (rc != RC_OK) {
        return rc;
    }
    return w.n == 0 ? error_set(err, RC_INVALID,
                                "no study '%.63s' was offered, and none waits; the coordinator "
                                "offers one when the agent runs",
                                name)
                    : error_set(err, RC_INVALID, "no study '%.40s' was offered; waiting: %s", name,
                                w.names);
}

/* The one study that the name or the digits fit. */
static RC find_by_name(struct consent *c, const char *name, enum consent_state *state,
                       struct hash *study, struct error *err)
{
    struct statement *st = c->st[SQL_BY_NAME];
    size_t n = 0;
    bool row = false;
    statement_bind_text(st, name);
    statement_bind_text(st, name);
    statement_bind_text(st, name);
    enum rc rc = statement_step(st, &row, err);
    while (rc == RC_OK && row) {
        n++;
        rc = state_at(st, 0, state, err);
        if (rc == RC_OK) {
            rc = hash_at(st, 1, study, err);
        }
        if (rc != RC_OK) {
            statement_reset(st);
        } else {
            rc = statement_step(st, &row, err);
        }
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (n > 1) {
        return error_set(err, RC_INVALID,
                         "'%.64s' fits %zu studies; give the name, or more digits of the hash",
                         name, n);
    }
    return n == 1 ? RC_OK : say_unknown(c, name, err);
}

static RC write_decision(struct consent *c, const struct hash *study, enum consent_state decision,
                         const char *by, const char *reason, int64_t now_ms, struct error *err)
{
    struct statement *st = c->st[SQL_DECIDE];
    char who[CONSENT_BY_MAX];
    copy_text(who, sizeof who, by);
    statement_bind_i64(st, decision);
    statement_bind_text(st, who);
    statement_bind_i64(st, now_ms);
    statement_bind_text(st, reason);
    statement_bind_blob(st, study->b, sizeof study->b);
    const enum rc rc = statement_run(st, err);
    return rc == RC_OK ? store_commit(c->store, err) : rc;
}

static RC decide(struct consent *c, const char *name, enum consent_state decision, const char *by,
                 const char *reason, int64_t now_ms, struct hash *study, struct error *err)
{
    assert(by[0] != '\0');

    enum consent_state state = CONSENT_UNKNOWN;
    struct hash found = {{0}};
    struct consent_row known = {0};

    enum rc rc = store_begin(c->store, err);
    if (rc == RC_OK) {
        rc = find_by_name(c, name, &state, &found, err);
    }
    if (rc == RC_OK) {
        rc = find(c, &found, &known, err);
    }
    if (rc == RC_OK && known.ended_ms != 0) {
        rc = say_ended(&known, decision == CONSENT_APPROVED ? "to approve" : "to withdraw from",
                       err);
    }
    if (rc == RC_OK && state == CONSENT_WITHDRAWN && decision == CONSENT_APPROVED) {
        rc = error_set(err, RC_STATE,
                       "study '%.64s' was withdrawn here, and that is final; the coordinator would "
                       "have to offer a new one under another name",
                       name);
    }
    if (rc == RC_OK && state != decision) { /* who decided first stands */
        rc = write_decision(c, &found, decision, by, reason, now_ms, err);
    }
    store_rollback(c->store);
    if (rc == RC_OK) {
        *study = found;
    }
    return rc;
}

enum rc consent_decide(struct consent *c, const char *name, enum consent_state decision,
                       const char *by, int64_t now_ms, struct hash *study, struct error *err)
{
    assert(decision == CONSENT_APPROVED || decision == CONSENT_WITHDRAWN);
    return decide(c, name, decision, by, "", now_ms, study, err);
}

enum rc consent_withdraw(struct consent *c, const char *name, const char *by, const char *reason,
                         int64_t now_ms, struct hash *study, struct error *err)
{
    if (strlen(reason) >= CONSENT_REASON_MAX) {
        return error_set(err, RC_LIMIT, "the reason is too long: at most %d bytes",
                         (int)CONSENT_REASON_MAX - 1);
    }
    return decide(c, name, CONSENT_WITHDRAWN, by, reason, now_ms, study, err);
}

const char *consent_state_name(enum consent_state state)
{
    switch (state) {
    case CONSENT_UNKNOWN:
        return "unknown";
    case CONSENT_OFFERED:
        return "waits for approval";
    case CONSENT_APPROVED:
        return "approved";
    case CONSENT_WITHDRAWN:
        return "withdrawn";
    }
    return "?";
}
