/* Studies as people see them: the list, what was agreed, and the wish that one stops. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/registry/registry_internal.h"

enum rc registry_list(struct statement *st, const char *none, char *out, size_t room,
                      struct error *err)
{
    size_t used = 0;
    out[0] = '\0';
    for (;;) {
        bool row = false;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!row) {
            break;
        }
        const char *name = statement_text(st, 0);
        if (used < room) {
            const int n = snprintf(out + used, room - used, "%s%s", used > 0 ? ", " : "",
                                   name != NULL ? name : "");
            used += n > 0 ? (size_t)n : 0;
        }
    }
    if (used == 0) {
        (void)snprintf(out, room, "%s", none);
    }
    return RC_OK;
}

/* ---- the agreement --------------------------------------------------------------------------- */

enum rc registry_keep_agreement(struct registry *r, const struct hash *study, uint64_t rounds,
                                const void *bytes, size_t n, int64_t now_ms, struct error *err)
{
    const struct hash hash = hash_of(bytes, n);
    struct statement *st = r->st[REGISTRY_ADD_AGREEMENT];
    struct registry_standing s = {0};

    assert(rounds > 0);
    assert(rounds <= INT64_MAX);
    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        statement_bind_i64(st, s.id);
        statement_bind_i64(st, (int64_t)rounds);
        statement_bind_blob(st, hash.b, sizeof hash.b);
        statement_bind_blob(st, bytes, n);
        statement_bind_i64(st, now_ms);
        rc = statement_run(st, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
    store_rollback(r->store);
    return rc;
}

enum rc registry_agreement(struct registry *r, const struct hash *study, const void **bytes,
                           size_t *n, struct error *err)
{
    struct statement *st = r->st[REGISTRY_AGREEMENT];
    struct registry_standing s = {0};
    const void *found = NULL;
    size_t size = 0;
    bool row = false;

    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_i64(st, s.id);
    rc = statement_step(st, &row, err);
    if (rc == RC_OK && !row) {
        rc = error_set(err, RC_STATE, "no agreement of study '%s' is kept", s.name);
    }
    if (rc != RC_OK) {
        return rc;
    }
    rc = registry_checked_blob(st, 0, "an agreement", &found, &size, err);
    r->lent = st;
    if (rc != RC_OK) {
        registry_take_back(r);
        return rc;
    }
    *bytes = found;
    *n = size;
    return RC_OK;
}

/* ---- the list -------------------------------------------------------------------------------- */

static enum registry_study_state state_of(const struct registry_standing *s, uint64_t rounds)
{
    if (s->failed) {
        return REGISTRY_STUDY_FAILED;
    }
    if (rounds > 0 && s->over - s->lost >= rounds) {
        return REGISTRY_FINISHED;
    }
    return s->present > 0 ? REGISTRY_RUNNING : REGISTRY_JOINING;
}

/* One row of REGISTRY_STUDIES. */
static RC study_at(struct registry *r, struct statement *st, struct registry_study *out,
                   struct error *err)
{
    struct registry_study s = {0};
    struct registry_standing at = {0};

    enum rc rc = registry_hash_at(st, 0, &s.hash, err);
    if (rc == RC_OK) {
        rc = registry_find(r, &s.hash, false, &at, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    memcpy(s.name, at.name, sizeof s.name);
    s.n_sites = at.n_sites;
    s.started_ms = statement_i64(st, 1);
    s.n_accepted = (size_t)statement_i64(st, 2);
    s.n_declined = (size_t)statement_i64(st, 3);
    s.rounds = (uint64_t)statement_i64(st, 4);
    s.state = state_of(&at, s.rounds);
    s.rounds_finished = at.newest;
    s.rounds_lost = at.lost;
    s.round_open = s.state == REGISTRY_RUNNING ? at.present : 0;
    registry_reason(s.reason, statement_text(st, 5));
    s.abort_requested = statement_i64(st, 6) != 0;
    s.changed_ms = statement_i64(st, 7);
    *out = s;
    return RC_OK;
}

enum rc registry_each_study(struct registry *r,
                            void (*each)(void *ctx, const struct registry_study *study), void *ctx,
                            struct error *err)
{
    struct statement *st = r->st[REGISTRY_STUDIES];

    registry_take_back(r);
    for (;;) {
        struct registry_study s = {0};
        bool row = false;

        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = study_at(r, st, &s, err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        each(ctx, &s);
    }
}

/* ---- stopping one ---------------------------------------------------------------------------- */

static RC no_such_study(struct registry *r, const char *name, struct error *err)
{
    char names[160];
    const enum rc rc =
        registry_list(r->st[REGISTRY_NAMES_OF_STUDIES], "none yet", names, sizeof names, err);
    return rc == RC_OK ? error_set(err, RC_INVALID, "no study is named '%.40s'; studies here: %s",
                                   name, names)
                       : rc;
}

/* By its name; BEGIN was done. */
static RC find_named(struct registry *r, const char *name, struct registry_standing *out,
                     struct error *err)
{
    struct statement *st = r->st[REGISTRY_HASH_OF_STUDY];
    struct hash study = {{0}};
    bool row = false;

    statement_bind_text(st, name);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && !row) {
        return no_such_study(r, name, err);
    }
    if (rc == RC_OK) {
        rc = registry_hash_at(st, 0, &study, err);
        statement_reset(st);
    }
    return rc == RC_OK ? registry_find(r, &study, false, out, err) : rc;
}

struct wanted {
    const struct hash *study;
    struct registry_study found;
};

static void pick(void *ctx, const struct registry_study *study)
{
    struct wanted *w = ctx;
    if (hash_equal(&study->hash, w->study)) {
        w->found = *study;
    }
}

/* RC_STATE if the study has ended. */
static RC check_lives(struct registry *r, const struct registry_standing *s,
                      struct registry_study *out, struct error *err)
{
    struct wanted w = {.study = &s->hash};
    const enum rc rc = registry_each_study(r, pick, &w, err);
    if (rc != RC_OK) {
        return rc;
    }
    *out = w.found;
    if (w.found.state == REGISTRY_FINISHED) {
        return error_set(err, RC_STATE, "study '%s' has ended: all of its %llu rounds are done",
                         s->name, (unsigned long long)w.found.rounds);
    }
    return w.found.state == REGISTRY_STUDY_FAILED
               ? error_set(err, RC_STATE, "study '%s' has ended: %.140s", s->name, w.found.reason)
               : RC_OK;
}

enum rc registry_request_abort(struct registry *r, const char *study, const char *reason,
                               int64_t now_ms, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_ABORT];
    struct registry_standing s = {0};
    struct registry_study seen = {0};
    char why[REGISTRY_REASON];

    enum rc rc = registry_lock(r, err);
    if (rc == RC_OK) {
        rc = find_named(r, study, &s, err);
    }
    if (rc == RC_OK) {
        rc = check_lives(r, &s, &seen, err);
    }
    if (rc != RC_OK || seen.abort_requested) {
        goto out;
    }
    registry_reason(why, reason);
    statement_bind_i64(st, s.id);
    statement_bind_text(st, why);
    statement_bind_i64(st, now_ms);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = registry_note(r, &s.hash, "abort", why, now_ms, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

enum rc registry_abort_requested(struct registry *r, const struct hash *study, bool *requested,
                                 char reason[REGISTRY_REASON], struct error *err)
{
    struct statement *st = r->st[REGISTRY_ABORT];
    struct registry_standing s = {0};
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
    registry_reason(reason, row ? statement_text(st, 0) : NULL);
    statement_reset(st);
    *requested = row;
    return RC_OK;
}
