/*
 * attacks.db: runs that are finished, so that an interrupted attack goes on.
 *
 *   origin   what decides the outcomes of its runs, but for their number: the hash is of the program's
 *            version, patients, studies, plan, seeds and subjects; the rest says in words what it is
 *   run      seconds, and what came of it, as this machine writes numbers: of a pilot its parameters, else
 *            the scores [views, subjects]
 *
 * Runs of a tenth of a second are one transaction: many last a few milliseconds, and a disk takes as long.
 * Scores are of subjects in the order of the sites, in no named one: the file is its owner's alone, as every
 * store is.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/store/hold.h"
#include "common/store/store.h"
#include "sim/attack/attack_internal.h"

/* Work that an interruption may cost, beside the runs that it meets. */
enum { LOST_MS_MOST = 100 };

static const char *const migration[] = {
    "CREATE TABLE origin ("
    " hash BLOB PRIMARY KEY CHECK (length(hash) = 32),"
    " version TEXT NOT NULL,"
    " what TEXT NOT NULL CHECK (what IN ('pilot', 'patient', 'canary')),"
    " noise TEXT NOT NULL CHECK (noise IN ('none', 'site', 'shared')),"
    " epsilon REAL NOT NULL CHECK (epsilon > 0),"
    " delta REAL NOT NULL CHECK (delta >= 0 AND delta < 1),"
    " rounds INTEGER NOT NULL CHECK (rounds > 0),"
    " sample_rate REAL NOT NULL CHECK (sample_rate > 0 AND sample_rate <= 1),"
    " noise_multiplier REAL NOT NULL CHECK (noise_multiplier >= 0),"
    " seed TEXT NOT NULL" /* of the attack: all 64 bits */
    ") STRICT;"

    "CREATE TABLE run ("
    " origin BLOB NOT NULL REFERENCES origin(hash),"
    " number INTEGER NOT NULL CHECK (number >= 0),"
    " seconds REAL NOT NULL CHECK (seconds >= 0),"
    " outcome BLOB NOT NULL,"
    " PRIMARY KEY (origin, number)"
    ") STRICT;",
};

static const struct store_kind archive_kind = {
    .application_id = 0x57527361, /* "WRsa" */
    .what = "runs of attacks",
    .n_migrations = sizeof migration / sizeof migration[0],
    .migration = migration,
};

struct attack_archive {
    char *path;
    struct store *store;
    int held;
    bool fresh; /* it was not there */
    size_t kept;
    int64_t begun_ms; /* of the transaction; 0: none is open */
    struct statement *add_origin, *find_run, *add_run;
};

enum rc attack_archive_open(const char *path, struct attack_archive **out, struct error *err)
{
    struct attack_archive *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the runs of an attack");
    }
    a->held = -1;
    a->fresh = access(path, F_OK) != 0;
    a->path = strdup(path);
    enum rc rc = a->path == NULL ? error_set(err, RC_NOMEM, "no memory for a path")
                                 : store_hold(path, "--out", &a->held, err);
    if (rc == RC_OK) {
        rc = store_open(path, &archive_kind, &a->store, err);
    }
    if (rc == RC_OK) {
        rc = store_prepare(a->store,
                           "INSERT INTO origin VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                           " ON CONFLICT DO NOTHING",
                           &a->add_origin, err);
    }
    if (rc == RC_OK) {
        rc = store_prepare(a->store,
                           "SELECT seconds, outcome FROM run WHERE origin = ? AND number = ?",
                           &a->find_run, err);
    }
    if (rc == RC_OK) {
        rc = store_prepare(a->store, "INSERT INTO run VALUES (?, ?, ?, ?)", &a->add_run, err);
    }
    if (rc == RC_OK) {
        *out = a;
        a = NULL; /* ownership moved */
    }
    attack_archive_close(&a);
    return rc;
}

void attack_archive_close(struct attack_archive **ap)
{
    struct attack_archive *a = *ap;
    if (a == NULL) {
        return;
    }
    store_close(&a->store);
    if (a->fresh && a->held >= 0 && a->kept == 0) {
        store_discard(a->path);
    }
    store_let_go(&a->held); /* after the store */
    free(a->path);
    free(a);
    *ap = NULL;
}

/* ---- origins ----------------------------------------------------------------------------------- */

static struct hash hash_of_origin(const struct attack_origin *o)
{
    const struct attack_setup *s = o->setup;
    const struct hash schema = schema_hash(s->schema);
    const struct hash open = study_hash(s->open, &schema);
    const struct hash study = study_hash(o->study, &schema);
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, WARDROUND_VERSION);
    hasher_text(&h, o->what);
    hasher_bytes(&h, s->data->version.b, sizeof s->data->version.b);
    hasher_bytes(&h, open.b, sizeof open.b);
    hasher_bytes(&h, study.b, sizeof study.b);
    hasher_f64(&h, o->study->privacy.noise_multiplier);
    hasher_u64(&h, s->seed);
    hasher_u64(&h, o->seed);
    hasher_u64(&h, o->each);
    hasher_u64(&h, s->params->known_others);
    return hasher_final(&h);
}

enum rc attack_archive_begin(struct attack_archive *a, const struct attack_origin *o,
                             struct hash *key, struct error *err)
{
    const struct study_privacy *privacy = &o->study->privacy;
    char seed[24];
    *key = hash_of_origin(o);
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)o->setup->seed);
    statement_reset(a->add_origin);
    statement_bind_blob(a->add_origin, key->b, sizeof key->b);
    statement_bind_text(a->add_origin, WARDROUND_VERSION);
    statement_bind_text(a->add_origin, o->what);
    statement_bind_text(a->add_origin, study_noise_name(privacy->noise));
    statement_bind_real(a->add_origin,
                        privacy->noise == STUDY_NOISE_NONE ? HUGE_VAL : privacy->epsilon);
    statement_bind_real(a->add_origin, privacy->delta);
    statement_bind_i64(a->add_origin, (int64_t)o->study->rounds);
    statement_bind_real(a->add_origin, privacy->sample_rate);
    statement_bind_real(a->add_origin, privacy->noise_multiplier);
    statement_bind_text(a->add_origin, seed);
    const enum rc rc = statement_run(a->add_origin, err);
    statement_reset(a->add_origin); /* it borrowed texts */
    return rc == RC_OK ? RC_OK : error_context(err, "'%s'", a->path);
}

/* ---- runs -------------------------------------------------------------------------------------- */

enum rc attack_archive_find(struct attack_archive *a, struct attack_kept *kept, bool *found,
                            struct error *err)
{
    size_t n = 0;
    statement_reset(a->find_run);
    statement_bind_blob(a->find_run, kept->key.b, sizeof kept->key.b);
    statement_bind_i64(a->find_run, (int64_t)kept->number);
    enum rc rc = statement_step(a->find_run, found, err);
    if (rc == RC_OK && *found) {
        kept->seconds = statement_real(a->find_run, 0);
        const void *outcome = statement_blob(a->find_run, 1, &n);
        if (n == kept->n) {
            memcpy(kept->data, outcome, n);
        } else {
            rc = error_set(err, RC_FORMAT,
                           "a run in it has %zu bytes and not %zu; delete the file to begin anew",
                           n, kept->n);
        }
    }
    statement_reset(a->find_run);
    return rc == RC_OK ? RC_OK : error_context(err, "'%s'", a->path);
}

static enum rc add_run(struct attack_archive *a, const struct attack_kept *kept, struct error *err)
{
    statement_reset(a->add_run);
    statement_bind_blob(a->add_run, kept->key.b, sizeof kept->key.b);
    statement_bind_i64(a->add_run, (int64_t)kept->number);
    statement_bind_real(a->add_run, kept->seconds);
    statement_bind_blob(a->add_run, kept->data, kept->n);
    const enum rc rc = statement_run(a->add_run, err);
    statement_reset(a->add_run); /* it borrowed the bytes */
    a->kept += rc == RC_OK ? 1 : 0;
    return rc;
}

enum rc attack_archive_keep(struct attack_archive *a, const struct attack_kept *kept,
                            struct error *err)
{
    const int64_t now_ms = clock_monotonic_ms();
    enum rc rc = RC_OK;
    if (a->begun_ms == 0) {
        rc = store_together(a->store, err);
        a->begun_ms = rc == RC_OK ? now_ms : 0;
    }
    rc = rc == RC_OK ? add_run(a, kept, err) : rc;
    if (rc != RC_OK) {
        return error_context(err, "'%s'", a->path);
    }
    return now_ms - a->begun_ms < LOST_MS_MOST ? RC_OK : attack_archive_settle(a, err);
}

enum rc attack_archive_settle(struct attack_archive *a, struct error *err)
{
    if (a->begun_ms == 0) {
        return RC_OK;
    }
    a->begun_ms = 0;
    const enum rc rc = store_settle(a->store, err);
    return rc == RC_OK ? RC_OK : error_context(err, "'%s'", a->path);
}
