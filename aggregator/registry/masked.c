/* Masked rounds: what their phases ended with, and the numbers of those that were lost. */
#include <stdio.h>
#include <string.h>

#include "aggregator/registry/registry_internal.h"

enum rc registry_drop_round(struct registry *r, const struct registry_standing *s, uint64_t round,
                            struct error *err)
{
    static const int drop[] = {REGISTRY_DROP_HELD, REGISTRY_DROP_PLACES, REGISTRY_DROP_PHASES};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sizeof drop / sizeof drop[0]; i++) {
        struct statement *st = r->st[drop[i]];
        statement_bind_i64(st, s->id);
        statement_bind_i64(st, (int64_t)round);
        rc = statement_run(st, err);
    }
    return rc;
}

enum rc registry_lose_round(struct registry *r, const struct hash *study, uint64_t round,
                            const char *reason, int64_t now_ms, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_LOST];
    struct registry_standing s = {0};
    char why[REGISTRY_REASON];

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = registry_check_present(&s, round, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    registry_reason(why, reason);
    statement_bind_i64(st, s.id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_text(st, why);
    statement_bind_i64(st, now_ms);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = registry_drop_round(r, &s, round, err);
    }
    if (rc == RC_OK) {
        (void)snprintf(r->detail, sizeof r->detail, "round %llu; %s", (unsigned long long)round,
                       why);
        rc = registry_note(r, study, "lost", r->detail, now_ms, err);
    }
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

/* The row of a phase, read to its end by statement_reset. */
static RC find_phase(struct registry *r, const struct registry_standing *s, uint64_t round,
                     size_t phase, bool *found, const void **bytes, size_t *n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_PHASE];
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, (int64_t)phase);
    const enum rc rc = statement_step(st, found, err);
    if (rc == RC_OK && *found) {
        *bytes = statement_blob(st, 0, n);
    }
    return rc;
}

enum rc registry_keep_phase(struct registry *r, const struct hash *study, uint64_t round,
                            size_t phase, const void *bytes, size_t n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_PHASE];
    struct registry_standing s = {0};
    const void *kept = NULL;
    size_t kept_n = 0;
    bool found = false;

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = registry_check_present(&s, round, err);
    }
    if (rc == RC_OK) {
        rc = find_phase(r, &s, round, phase, &found, &kept, &kept_n, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (found) {
        if (kept_n != n || memcmp(kept, bytes, n) != 0) {
            rc = error_set(err, RC_STATE, "study '%s', round %llu: phase %zu ended otherwise",
                           s.name, (unsigned long long)round, phase);
        }
        statement_reset(r->st[REGISTRY_PHASE]);
        goto out;
    }
    statement_bind_i64(st, s.id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, (int64_t)phase);
    statement_bind_blob(st, bytes, n);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

enum rc registry_phase(struct registry *r, const struct hash *study, uint64_t round, size_t phase,
                       bool *found, const void **bytes, size_t *n, struct error *err)
{
    struct registry_standing s = {0};
    *found = false;
    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc == RC_OK && round <= INT64_MAX) {
        rc = find_phase(r, &s, round, phase, found, bytes, n, err);
    }
    if (rc == RC_OK && *found) {
        r->lent = r->st[REGISTRY_PHASE];
    }
    return rc;
}
