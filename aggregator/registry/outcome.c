/* Ends of rounds: model, outcome and audit entry in one transaction, or none of them. */
#include <stdio.h>
#include <string.h>

#include "aggregator/registry/registry_internal.h"

static RC check_sites(const struct registry_study *s, size_t n_sites, struct error *err)
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
static RC check_contributors(struct registry *r, const struct registry_study *s, uint64_t round,
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

static RC add_outcome(struct registry *r, const struct registry_study *s, uint64_t round,
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
    if (rc == RC_OK) {
        st = r->st[REGISTRY_DROP_HELD];
        statement_bind_i64(st, s->id);
        statement_bind_i64(st, (int64_t)round);
        rc = statement_run(st, err);
    }
    return rc;
}

static RC add_model(struct registry *r, const struct registry_study *s, uint64_t round,
                    const void *model, size_t n, const struct hash *hash, int64_t now_ms,
                    struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_MODEL];
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_blob(st, hash->b, sizeof hash->b);
    statement_bind_i64(st, now_ms);
    statement_bind_blob(st, model, n);
    return statement_run(st, err);
}

static RC set_state(struct registry *r, const struct registry_study *s, uint64_t round,
                    const void *state, size_t n, struct error *err)
{
    const struct hash hash = hash_of(state, n);
    struct statement *st = r->st[REGISTRY_SET_STATE];
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_blob(st, hash.b, sizeof hash.b);
    statement_bind_blob(st, state, n);
    return statement_run(st, err);
}

enum rc registry_commit_round(struct registry *r, const struct hash *study, uint64_t round,
                              const void *model, size_t n, const void *server_state,
                              size_t server_state_bytes, const bool *contributed, size_t n_sites,
                              int64_t now_ms, struct error *err)
{
    const struct hash hash = hash_of(model, n);
    struct registry_study s = {0};
    char hex[HASH_HEX];
    size_t used;

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_sites(&s, n_sites, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (s.failed || round != s.newest + 1) {
        rc = error_set(err, RC_STATE, "study '%s': round %llu cannot be committed: %s", s.name,
                       (unsigned long long)round,
                       s.failed ? "the study has failed" : "it does not follow the newest model");
        goto out;
    }
    rc = check_contributors(r, &s, round, contributed, err);
    if (rc == RC_OK) {
        rc = add_model(r, &s, round, model, n, &hash, now_ms, err);
    }
    if (rc == RC_OK) {
        rc = set_state(r, &s, round, server_state, server_state_bytes, err);
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
    return rc;
}

enum rc registry_commit_failure(struct registry *r, const struct hash *study, uint64_t round,
                                const bool *contributed, size_t n_sites, const char *reason,
                                int64_t now_ms, struct error *err)
{
    struct registry_study s = {0};
    char why[REGISTRY_REASON];
    size_t used;

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_sites(&s, n_sites, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (s.failed || (round != s.newest + 1 && !(round == 0 && s.newest == 0))) {
        rc = error_set(err, RC_STATE, "study '%s': round %llu cannot fail: %s", s.name,
                       (unsigned long long)round,
                       s.failed ? "the study has failed already" : "it is not the present one");
        goto out;
    }
    (void)snprintf(why, sizeof why, "%s", reason != NULL ? reason : "");
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
    return rc;
}

/* ---- reading back ---------------------------------------------------------------------------- */

/* Column of bytes beside a column of their hash; *n = 0 and NULL for a NULL column. */
static RC checked_blob(struct statement *st, int hash, const void **data, size_t *n,
                       struct error *err)
{
    struct hash want = {{0}};

    *data = NULL;
    *n = 0;
    if (statement_is_null(st, hash)) {
        return RC_OK;
    }
    const enum rc rc = registry_hash_at(st, hash, &want, err);
    if (rc != RC_OK) {
        return rc;
    }
    *data = statement_blob(st, hash + 1, n);
    const struct hash found = hash_of(*data, *n);
    return hash_equal(&found, &want)
               ? RC_OK
               : error_set(err, RC_FORMAT, "the registry is damaged: a model has another hash");
}

static const void *keep_copy(struct arena *a, const void *data, size_t n)
{
    void *copy = arena_take(a, n, 1);
    if (n > 0) {
        memcpy(copy, data, n);
    }
    return copy;
}

/* The newest model of the present row into our own buffer. */
static RC hand_out(struct registry *r, struct statement *st, const void **model, size_t *n,
                   const void **state, size_t *state_n, struct error *err)
{
    const void *a = NULL;
    const void *b = NULL;
    size_t a_n = 0;
    size_t b_n = 0;

    enum rc rc = checked_blob(st, 1, &a, &a_n, err);
    if (rc == RC_OK) {
        rc = checked_blob(st, 3, &b, &b_n, err);
    }
    const size_t room = arena_cost(a_n, 1) + arena_cost(b_n, 1);
    if (rc == RC_OK && (r->bytes.base == NULL || r->bytes.size < room)) {
        arena_release(&r->bytes);
        rc = arena_init(&r->bytes, room, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    arena_rewind(&r->bytes, 0);
    *model = keep_copy(&r->bytes, a, a_n);
    *n = a_n;
    *state = b != NULL ? keep_copy(&r->bytes, b, b_n) : NULL;
    *state_n = b_n;
    return RC_OK;
}

enum rc registry_model(struct registry *r, const struct hash *study, uint64_t *round,
                       const void **model, size_t *n, const void **server_state,
                       size_t *server_state_bytes, struct error *err)
{
    struct statement *st = r->st[REGISTRY_MODEL];
    struct registry_study s = {0};
    bool row = false;

    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_i64(st, s.id);
    rc = statement_step(st, &row, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (!row) {
        return error_set(err, RC_FORMAT, "the registry is damaged: study '%s' has no model",
                         s.name);
    }
    const uint64_t newest = (uint64_t)statement_i64(st, 0);
    rc = hand_out(r, st, model, n, server_state, server_state_bytes, err);
    statement_reset(st);
    if (rc == RC_OK) {
        *round = newest;
    }
    return rc;
}

static RC read_contributors(struct registry *r, const struct registry_study *s, uint64_t round,
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
    struct registry_study s = {0};
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
