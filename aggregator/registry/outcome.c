/* Ends of rounds: model, outcome and audit entry in one transaction, or none of them. */
#include <stdio.h>
#include <string.h>

#include "aggregator/registry/registry_internal.h"

static RC check_sites(const struct registry_standing *s, size_t n_sites, struct error *err)
{
    return n_sites == s->n_sites ? RC_OK
                                 : error_set(err, RC_INVALID, "study '%s' has %zu sites, not %zu",
                                             s->name, s->n_sites, n_sites);
}

/* "3 of 4: 0 1 3", cut to its room. */
static void list_contributors(const bool *contributed, size_t n_sites, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < n_sites; i++) {
        n += contributed[i];
    }
    int used = snprintf(out, room, "%zu of %zu:", n, n_sites);
    for (size_t i = 0; i < n_sites && used > 0 && (size_t)used < room; i++) {
        if (contributed[i]) {
            used += snprintf(out + used, room - (size_t)used, " %zu", i);
        }
    }
}

/* The outcome may only name the sites whose updates are held, and all of them. */
static RC check_contributors(struct registry *r, const struct registry_standing *s, uint64_t round,
                             const bool *contributed, struct error *err)
{
    struct statement *st = r->st[REGISTRY_PARTS];
    bool held[ROUND_SITES_MAX] = {false};

    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    for (;;) {
        bool row = false;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!row) {
            break;
        }
        const size_t site = (size_t)statement_i64(st, 0);
        if (site < ROUND_SITES_MAX) {
            held[site] = statement_i64(st, 1) != 0;
        }
    }
    for (size_t i = 0; i < s->n_sites; i++) {
        if (contributed[i] != held[i]) {
            return error_set(err, RC_STATE,
                             "study '%s', round %llu: site %zu is %s, but its update is %s",
                             s->name, (unsigned long long)round, i,
                             contributed[i] ? "named a contributor" : "left out",
                             held[i] ? "held" : "not held");
        }
    }
    return RC_OK;
}

static RC add_outcome(struct registry *r, const struct registry_standing *s, uint64_t round,
                      bool failed, const char *reason, const bool *contributed, int64_t now_ms,
                      struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_OUTCOME];
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, failed);
    statement_bind_text(st, reason);
    statement_bind_i64(st, now_ms);
    enum rc rc = statement_run(st, err);

    st = r->st[REGISTRY_ADD_CONTRIBUTOR];
    for (size_t i = 0; rc == RC_OK && i < s->n_sites; i++) {
        if (contributed[i]) {
            statement_bind_i64(st, s->id);
            statement_bind_i64(st, (int64_t)round);
            statement_bind_i64(st, (int64_t)i);
            rc = statement_run(st, err);
        }
    }
    return rc == RC_OK ? registry_drop_round(r, s, round, err) : rc;
}

/* What an end of a round leaves: the updates' bytes, and a log. */
static void tidy(struct registry *r, size_t log_bytes)
{
    registry_held_cut(r);
    if (store_log_bytes(r->store) > log_bytes) {
        store_checkpoint(r->store);
    }
}

void registry_tidy_apart(struct registry *r)
{
    enum { PAGES_AT_MOST = 16384 }; /* 64 MiB: then a commit does it after all */
    r->tidied_apart = true;
    store_log_pages(r->store, PAGES_AT_MOST);
}

void registry_tidy(struct registry *r)
{
    tidy(r, REGISTRY_LOG_BYTES);
}

enum rc registry_commit_round_with(struct registry *r, const struct hash *study, uint64_t round,
                                   const struct registry_update *last, size_t n_last,
                                   const void *model, size_t n, const void *server_state,
                                   size_t server_state_bytes, const bool *contributed,
                                   size_t n_sites, int64_t now_ms, struct error *err)
{
    const struct hash hash = hash_of(model, n); /* large: not while the file is locked */
    const struct hash state_hash = hash_of(server_state, server_state_bytes);
    struct registry_standing s = {0};
    char hex[HASH_HEX];
    size_t used;

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_sites(&s, n_sites, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (s.failed || round != s.over + 1) {
        rc = error_set(err, RC_STATE, "study '%s': round %llu cannot be committed: %s", s.name,
                       (unsigned long long)round,
                       s.failed ? "the study has failed" : "it is not the present one");
        goto out;
    }
    rc = registry_add_last(r, &s, round, last, n_last, now_ms, err);
    if (rc == RC_OK) {
        rc = check_contributors(r, &s, round, contributed, err);
    }
    if (rc == RC_OK) {
        rc = registry_add_model(r, s.id, round, model, n, &hash, now_ms, err);
    }
    if (rc == RC_OK) {
        rc = registry_set_state(r, s.id, round, server_state, server_state_bytes, &state_hash, err);
    }
    if (rc == RC_OK) {
        rc = registry_drop_models(r, s.id, round, err);
    }
    if (rc == RC_OK) {
        rc = add_outcome(r, &s, round, false, "", contributed, now_ms, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    (void)snprintf(r->detail, sizeof r->detail, "round %llu, ", (unsigned long long)round);
    used = strlen(r->detail);
    list_contributors(contributed, n_sites, r->detail + used, sizeof r->detail - used);
    hash_hex(&hash, hex);
    used = strlen(r->detail);
    (void)snprintf(r->detail + used, sizeof r->detail - used, "; model %s", hex);
    rc = registry_note(r, study, "round", r->detail, now_ms, err);
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    if (rc == RC_OK && !r->tidied_apart) { /* model and state have passed through the log */
        tidy(r, 0);
    }
    return rc;
}

enum rc registry_commit_round(struct registry *r, const struct hash *study, uint64_t round,
                              const void *model, size_t n, const void *server_state,
                              size_t server_state_bytes, const bool *contributed, size_t n_sites,
                              int64_t now_ms, struct error *err)
{
    return registry_commit_round_with(r, study, round, NULL, 0, model, n, server_state,
                                      server_state_bytes, contributed, n_sites, now_ms, err);
}

enum rc registry_commit_failure(struct registry *r, const struct hash *study, uint64_t round,
                                const bool *contributed, size_t n_sites, const char *reason,
                                int64_t now_ms, struct error *err)
{
    return registry_commit_failure_with(r, study, round, NULL, 0, contributed, n_sites, reason,
                                        now_ms, err);
}

enum rc registry_commit_failure_with(struct registry *r, const struct hash *study, uint64_t round,
                                     const struct registry_update *last, size_t n_last,
                                     const bool *contributed, size_t n_sites, const char *reason,
                                     int64_t now_ms, struct error *err)
{
    struct registry_standing s = {0};
    char why[REGISTRY_REASON];
    size_t used;

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_sites(&s, n_sites, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (s.failed || (round != s.over + 1 && !(round == 0 && s.over == 0))) {
        rc = error_set(err, RC_STATE, "study '%s': round %llu cannot fail: %s", s.name,
                       (unsigned long long)round,
                       s.failed ? "the study has failed already" : "it is not the present one");
        goto out;
    }
    (void)snprintf(why, sizeof why, "%s", reason != NULL ? reason : "");
    rc = registry_add_last(r, &s, round, last, n_last, now_ms, err);
    if (rc != RC_OK) {
        goto out;
    }
    rc = add_outcome(r, &s, round, true, why, contributed, now_ms, err);
    if (rc != RC_OK) {
        goto out;
    }
    (void)snprintf(r->detail, sizeof r->detail, "round %llu, ", (unsigned long long)round);
    used = strlen(r->detail);
    list_contributors(contributed, n_sites, r->detail + used, sizeof r->detail - used);
    used = strlen(r->detail);
    (void)snprintf(r->detail + used, sizeof r->detail - used, "; %s", why);
    rc = registry_note(r, study, "failure", r->detail, now_ms, err);
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    if (rc == RC_OK) {
        registry_held_cut(r);
    }
    return rc;
}

/* ---- reading back ---------------------------------------------------------------------------- */

static RC read_contributors(struct registry *r, const struct registry_standing *s, uint64_t round,
                            bool *contributed, struct error *err)
{
    struct statement *st = r->st[REGISTRY_CONTRIBUTORS];

    memset(contributed, 0, s->n_sites * sizeof *contributed);
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    for (;;) {
        bool row = false;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        const size_t site = (size_t)statement_i64(st, 0);
        if (site < s->n_sites) {
            contributed[site] = true;
        }
    }
}

enum rc registry_outcome(struct registry *r, const struct hash *study, uint64_t round, bool *found,
                         bool *contributed, size_t n_sites, bool *failed,
                         char reason[REGISTRY_REASON], struct error *err)
{
    struct statement *st = r->st[REGISTRY_OUTCOME];
    struct registry_standing s = {0};
    bool row = false;

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_sites(&s, n_sites, err);
    }
    if (rc == RC_OK && round <= INT64_MAX) {
        statement_bind_i64(st, s.id);
        statement_bind_i64(st, (int64_t)round);
        rc = statement_step(st, &row, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    *found = row;
    if (row) {
        const char *text = statement_text(st, 1);
        *failed = statement_i64(st, 0) != 0;
        (void)snprintf(reason, REGISTRY_REASON, "%s", text != NULL ? text : "");
        statement_reset(st);
        rc = read_contributors(r, &s, round, contributed, err);
    }
out:
    store_rollback(r->store);
    return rc;
}
