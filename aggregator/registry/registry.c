/* Studies, their sites' answers, and the parts of the present round. */
#include "aggregator/registry/registry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/registry/registry_internal.h"

/* ---- opening --------------------------------------------------------------------------------- */

enum rc registry_open(const char *path, struct registry **out, struct error *err)
{
    struct registry *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the registry");
    }
    r->models_bytes_max = REGISTRY_MODELS_BYTES;
    r->piece_bytes = REGISTRY_PIECE_BYTES;
    enum rc rc = registry_held_name(r, path, err);
    if (rc == RC_OK) {
        rc = store_open(path, &registry_store_kind, &r->store, err);
    }
    for (size_t i = 0; rc == RC_OK && i < REGISTRY_SQL_COUNT; i++) {
        rc = store_prepare(r->store, registry_sql[i], &r->st[i], err);
    }
    if (rc == RC_OK) {
        rc = registry_check_audit(r, err);
    }
    if (rc != RC_OK) {
        registry_close(&r);
        return rc;
    }
    *out = r;
    return RC_OK;
}

void registry_close(struct registry **r)
{
    struct registry *gone = *r;
    if (gone == NULL) {
        return;
    }
    store_close(&gone->store);
    registry_held_close(gone);
    free(gone);
    *r = NULL;
}

/* ---- rows ------------------------------------------------------------------------------------ */

enum rc registry_hash_at(struct statement *st, int column, struct hash *out, struct error *err)
{
    size_t n = 0;
    const void *b = statement_blob(st, column, &n);
    if (n != sizeof out->b) {
        return error_set(err, RC_FORMAT, "the registry is damaged: a hash of %zu bytes", n);
    }
    memcpy(out->b, b, n);
    return RC_OK;
}

void registry_reason(char out[REGISTRY_REASON], const char *text)
{
    (void)snprintf(out, REGISTRY_REASON, "%s", text != NULL ? text : "");
}

void registry_take_back(struct registry *r)
{
    if (r->lent != NULL) {
        statement_reset(r->lent);
        r->lent = NULL;
    }
}

enum rc registry_lock(struct registry *r, struct error *err)
{
    registry_take_back(r);
    return store_begin(r->store, err);
}

enum rc registry_together(struct registry *r, struct error *err)
{
    assert(!r->together);
    assert(r->tidied_apart); /* else the end of a round would cut off what the disk still names */
    registry_take_back(r);
    enum rc rc = store_together(r->store, err);
    r->together = rc == RC_OK;
    return rc == RC_OK ? registry_held_guard(r, err) : rc;
}

enum rc registry_settle(struct registry *r, struct error *err)
{
    assert(r->together);
    registry_take_back(r);
    r->together = false;
    enum rc rc = registry_held_sync(r, err);
    if (rc == RC_OK) {
        rc = store_settle(r->store, err);
    }
    return rc;
}

enum rc registry_find(struct registry *r, const struct hash *study, bool may_be_new,
                      struct registry_standing *out, struct error *err)
{
    struct statement *st = r->st[REGISTRY_STUDY_BY_HASH];
    struct registry_standing s = {.hash = *study};
    bool row = false;

    registry_take_back(r);
    statement_bind_blob(st, study->b, sizeof study->b);
    const enum rc rc = statement_step(st, &row, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (row) {
        const char *name = statement_text(st, 1);
        s.id = statement_i64(st, 0);
        (void)snprintf(s.name, sizeof s.name, "%s", name != NULL ? name : "");
        s.n_sites = (size_t)statement_i64(st, 2);
        s.newest = (uint64_t)statement_i64(st, 4);
        const bool opened = s.newest > 0 || statement_i64(st, 3) > 0 || statement_i64(st, 5) != 0;
        s.lost = (uint64_t)statement_i64(st, 7);
        s.over = (uint64_t)statement_i64(st, 8);
        s.over = s.newest > s.over ? s.newest : s.over;
        s.present = opened || s.over > 0 ? s.over + 1 : 0;
        s.failed = !statement_is_null(st, 6);
        s.failed_round = (uint64_t)statement_i64(st, 6);
        statement_reset(st);
        if (s.n_sites > ROUND_SITES_MAX) {
            return error_set(err, RC_FORMAT, "the registry is damaged: a roster of %zu sites",
                             s.n_sites);
        }
    } else if (!may_be_new) {
        return error_set(err, RC_STATE, "the registry does not know that study");
    }
    *out = s;
    return RC_OK;
}

enum rc registry_begin(struct registry *r, const struct hash *study, struct registry_standing *out,
                       struct error *err)
{
    const enum rc rc = registry_lock(r, err);
    return rc == RC_OK ? registry_find(r, study, false, out, err) : rc;
}

enum rc registry_part(struct registry *r, const struct registry_standing *s, uint64_t round,
                      size_t site, bool *answered, bool *contributed, struct hash *update,
                      char reason[REGISTRY_REASON], struct error *err)
{
    struct statement *st = r->st[REGISTRY_PART];

    *contributed = false;
    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, (int64_t)site);
    enum rc rc = statement_step(st, answered, err);
    if (rc != RC_OK || !*answered) {
        return rc;
    }
    *contributed = !statement_is_null(st, 0);
    if (*contributed) {
        rc = registry_hash_at(st, 0, update, err);
    }
    registry_reason(reason, statement_text(st, 1));
    statement_reset(st);
    return rc;
}

/* ---- the study ------------------------------------------------------------------------------- */

static RC add_study(struct registry *r, const struct registry_standing *s, const void *model0,
                    size_t n, int64_t now_ms, struct error *err)
{
    const struct hash model = hash_of(model0, n);
    struct registry_standing made = {0};
    char hex[HASH_HEX];

    struct statement *st = r->st[REGISTRY_ADD_STUDY];
    statement_bind_text(st, s->name);
    statement_bind_blob(st, s->hash.b, sizeof s->hash.b);
    statement_bind_i64(st, (int64_t)s->n_sites);
    statement_bind_i64(st, now_ms);
    enum rc rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = registry_find(r, &s->hash, false, &made, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    rc = registry_add_model(r, made.id, 0, model0, n, &model, now_ms, err);
    if (rc != RC_OK) {
        return rc;
    }
    hash_hex(&model, hex);
    (void)snprintf(r->detail, sizeof r->detail, "'%s', %zu sites; model %s", s->name, s->n_sites,
                   hex);
    return registry_note(r, &s->hash, "start", r->detail, now_ms, err);
}

enum rc registry_start(struct registry *r, const char *name, const struct hash *study,
                       size_t n_sites, const void *model0, size_t model_bytes, int64_t now_ms,
                       bool *resumed, struct error *err)
{
    struct statement *by_name = r->st[REGISTRY_STUDY_BY_NAME];
    struct registry_standing s = {0};
    bool taken = false;

    if (n_sites == 0 || n_sites > ROUND_SITES_MAX) {
        return error_set(err, RC_INVALID, "a roster must have 1 to %d sites, not %zu",
                         ROUND_SITES_MAX, n_sites);
    }
    if (strlen(name) >= sizeof s.name) {
        return error_set(err, RC_INVALID, "the name of a study may have %zu bytes",
                         sizeof s.name - 1);
    }
    enum rc rc = registry_lock(r, err);
    if (rc == RC_OK) {
        rc = registry_find(r, study, true, &s, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (s.id != 0) {
        if (strcmp(s.name, name) != 0 || s.n_sites != n_sites) {
            rc = error_set(err, RC_STATE, "that study is known as '%s' with %zu sites", s.name,
                           s.n_sites);
            goto out;
        }
        *resumed = true;
        registry_held_cut(r); /* what a kill left */
        goto out;
    }
    statement_bind_text(by_name, name);
    rc = statement_step(by_name, &taken, err);
    if (rc == RC_OK && taken) {
        statement_reset(by_name);
        rc = error_set(err, RC_STATE,
                       "study '%s' is known with another document; give the changed one a new "
                       "name (`study:`), since sites have agreed to the old one",
                       name);
    }
    if (rc != RC_OK) {
        goto out;
    }
    s.n_sites = n_sites;
    memcpy(s.name, name, strlen(name) + 1);
    rc = add_study(r, &s, model0, model_bytes, now_ms, err);
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
    if (rc == RC_OK) {
        *resumed = false;
    }
out:
    store_rollback(r->store);
    return rc;
}

/* ---- sites ----------------------------------------------------------------------------------- */

static RC check_site(const struct registry_standing *s, size_t site, struct error *err)
{
    return site < s->n_sites
               ? RC_OK
               : error_set(err, RC_INVALID, "study '%s' has no site %zu", s->name, site);
}

static RC member_answer(struct registry *r, const struct registry_standing *s, size_t site,
                        enum round_member *out, uint64_t *since, char reason[REGISTRY_REASON],
                        struct error *err)
{
    struct statement *st = r->st[REGISTRY_MEMBER];
    bool row = false;

    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)site);
    const enum rc rc = statement_step(st, &row, err);
    if (rc != RC_OK) {
        return rc;
    }
    *out = ROUND_UNKNOWN;
    if (row) {
        *out = statement_i64(st, 0) == 1 ? ROUND_ACCEPTED : ROUND_MEMBER_DECLINED;
        *since = (uint64_t)statement_i64(st, 1);
        registry_reason(reason, statement_text(st, 2));
        statement_reset(st);
    }
    return RC_OK;
}

static RC set_member(struct registry *r, const struct registry_standing *s, size_t site,
                     enum round_member answer, const char *reason, int64_t now_ms,
                     struct error *err)
{
    struct statement *st = r->st[REGISTRY_SET_MEMBER];
    const bool accepted = answer == ROUND_ACCEPTED;

    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)site);
    statement_bind_i64(st, accepted ? 1 : 2);
    statement_bind_i64(st, (int64_t)s->present);
    statement_bind_text(st, reason);
    statement_bind_i64(st, now_ms);
    const enum rc rc = statement_run(st, err);
    if (rc != RC_OK) {
        return rc;
    }
    (void)snprintf(r->detail, sizeof r->detail, "site %zu%s%s", site, reason[0] != '\0' ? ": " : "",
                   reason);
    return registry_note(r, &s->hash, accepted ? "accept" : "decline", r->detail, now_ms, err);
}

enum rc registry_member(struct registry *r, const struct hash *study, size_t site,
                        enum round_member *answer, char reason[REGISTRY_REASON], struct error *err)
{
    struct registry_standing s = {0};
    uint64_t since = 0;

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_site(&s, site, err);
    }
    if (rc == RC_OK) {
        registry_reason(reason, NULL);
        rc = member_answer(r, &s, site, answer, &since, reason, err);
    }
    store_rollback(r->store);
    return rc;
}

enum rc registry_keep_member(struct registry *r, const struct hash *study, size_t site,
                             enum round_member answer, const char *reason, int64_t now_ms,
                             struct error *err)
{
    struct registry_standing s = {0};
    enum round_member before = ROUND_UNKNOWN;
    uint64_t since = 0;
    char old[REGISTRY_REASON];
    char why[REGISTRY_REASON];

    if (answer != ROUND_ACCEPTED && answer != ROUND_MEMBER_DECLINED) {
        return error_set(err, RC_INVALID, "a site's answer is accept or decline");
    }
    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_site(&s, site, err);
    }
    if (rc == RC_OK) {
        rc = member_answer(r, &s, site, &before, &since, old, err);
    }
    if (rc != RC_OK || before == answer) {
        goto out;
    }
    if (before == ROUND_MEMBER_DECLINED) {
        rc = error_set(err, RC_STATE, "study '%s': site %zu has declined and cannot accept", s.name,
                       site);
        goto out;
    }
    registry_reason(why, reason);
    rc = set_member(r, &s, site, answer, why, now_ms, err);
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

/* ---- the present round ----------------------------------------------------------------------- */

enum rc registry_check_present(const struct registry_standing *s, uint64_t round, struct error *err)
{
    if (s->failed) {
        return error_set(err, RC_STATE, "study '%s' has failed", s->name);
    }
    if (round != s->over + 1) {
        return error_set(err, RC_STATE, "study '%s': round %llu, but the present one is %llu",
                         s->name, (unsigned long long)round, (unsigned long long)s->over + 1);
    }
    return RC_OK;
}

enum rc registry_open_round(struct registry *r, const struct hash *study, uint64_t round,
                            int64_t now_ms, struct error *err)
{
    struct statement *st = r->st[REGISTRY_OPEN_ROUND];
    struct registry_standing s = {0};

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = registry_check_present(&s, round, err);
    }
    /* From the first one on, a model or a part says the same. */
    if (rc != RC_OK || s.present == round) {
        goto out;
    }
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, s.id);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        (void)snprintf(r->detail, sizeof r->detail, "round %llu", (unsigned long long)round);
        rc = registry_note(r, study, "open", r->detail, now_ms, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

/* hash NULL: it sits the round out. update NULL: nothing is held of it. */
static RC add_part(struct registry *r, const struct registry_standing *s, uint64_t round,
                   size_t site, const void *update, size_t n, const struct hash *hash,
                   const struct registry_anchor *anchor, const char *reason, int64_t now_ms,
                   struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_PART];

    statement_bind_i64(st, s->id);
    statement_bind_i64(st, (int64_t)round);
    statement_bind_i64(st, (int64_t)site);
    if (hash != NULL) {
        statement_bind_blob(st, hash->b, sizeof hash->b);
    } else {
        statement_bind_null(st);
    }
    if (anchor != NULL) {
        statement_bind_blob(st, anchor->anchor.b, sizeof anchor->anchor.b);
    } else {
        statement_bind_null(st);
    }
    statement_bind_text(st, reason);
    statement_bind_i64(st, now_ms);
    enum rc rc = statement_run(st, err);
    if (rc == RC_OK && anchor != NULL) {
        st = r->st[REGISTRY_SET_WITNESS];
        statement_bind_blob(st, anchor->sign.b, sizeof anchor->sign.b);
        statement_bind_blob(st, anchor->anchor.b, sizeof anchor->anchor.b);
        statement_bind_i64(st, now_ms);
        rc = statement_run(st, err);
    }
    if (rc != RC_OK || update == NULL) {
        return rc;
    }
    return registry_hold(r, s, round, site, update, n, err);
}

/* Is there room for this answer? *fresh: it is not held yet, and may be added. */
static RC check_answer(struct registry *r, const struct registry_standing *s, uint64_t round,
                       size_t site, const struct hash *update, bool *fresh, struct error *err)
{
    struct hash held = {{0}};
    bool answered = false;
    bool contributed = false;
    char old[REGISTRY_REASON];

    *fresh = false;
    enum rc rc = check_site(s, site, err);
    if (rc == RC_OK && round <= INT64_MAX) {
        rc = registry_part(r, s, round, site, &answered, &contributed, &held, old, err);
    }
    if (rc == RC_OK && answered) { /* also in a round that is over: what was said then was said */
        const bool same =
            contributed == (update != NULL) && (!contributed || hash_equal(&held, update));
        return same ? RC_OK
                    : error_set(err, RC_STATE,
                                "study '%s': site %zu has answered round %llu otherwise", s->name,
                                site, (unsigned long long)round);
    }
    if (rc == RC_OK) {
        rc = registry_check_present(s, round, err);
    }
    *fresh = rc == RC_OK;
    return rc;
}

enum rc registry_keep_part(struct registry *r, const struct hash *study, uint64_t round,
                           size_t site, const void *update, size_t n, const char *reason,
                           int64_t now_ms, struct error *err)
{
    const struct hash now = hash_of(update, n); /* large: not while the file is locked */
    struct registry_standing s = {0};
    bool fresh = false;
    char why[REGISTRY_REASON];

    assert(update != NULL || n == 0);
    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_answer(r, &s, round, site, update != NULL ? &now : NULL, &fresh, err);
    }
    if (rc != RC_OK || !fresh) {
        goto out;
    }
    registry_reason(why, reason);
    rc = add_part(r, &s, round, site, update, n, update != NULL ? &now : NULL, NULL, why, now_ms,
                  err);
    if (rc == RC_OK) {
        rc = r->together ? RC_OK : registry_held_sync(r, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

enum rc registry_keep_updates(struct registry *r, const struct hash *study, uint64_t round,
                              struct registry_update *update, size_t count,
                              enum rc (*bytes)(void *ctx, size_t index, const void **data,
                                               size_t *n, struct error *err),
                              void *ctx, int64_t now_ms, struct error *err)
{
    struct registry_standing s = {0};
    size_t added = 0;

    enum rc rc = registry_begin(r, study, &s, err);
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        struct registry_update *u = &update[i];
        struct error fault = {0};
        const void *data = NULL;
        bool fresh = false;
        size_t n = 0;
        rc = check_answer(r, &s, round, u->site, u->hash, &fresh, &fault);
        u->kept = rc == RC_OK && !fresh;
        u->refused = rc == RC_STATE;
        if (u->refused) { /* its sender's fault; nothing was written */
            (void)snprintf(u->why, sizeof u->why, "%s", fault.text);
            rc = RC_OK;
        } else if (rc != RC_OK) {
            rc = error_set(err, rc, "%s", fault.text);
        }
        if (rc == RC_OK && fresh) {
            rc = bytes(ctx, i, &data, &n, err);
        }
        if (rc == RC_OK && data != NULL) {
            rc = add_part(r, &s, round, u->site, data, n, u->hash, u->anchor, "", now_ms, err);
            u->kept = rc == RC_OK;
            added += u->kept;
        }
    }
    if (rc == RC_OK && added > 0) {
        rc = r->together ? RC_OK : registry_held_sync(r, err);
    }
    if (rc == RC_OK && added > 0) {
        rc = store_commit(r->store, err);
    }
    store_rollback(r->store);
    return rc;
}

enum rc registry_add_last(struct registry *r, const struct registry_standing *s, uint64_t round,
                          const struct registry_update *last, size_t n_last, int64_t now_ms,
                          struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n_last; i++) {
        bool fresh = false;
        rc = check_answer(r, s, round, last[i].site, last[i].hash, &fresh, err);
        if (rc == RC_OK && fresh) {
            rc = add_part(r, s, round, last[i].site, NULL, 0, last[i].hash, last[i].anchor, "",
                          now_ms, err);
        }
    }
    return rc;
}

/* Of a statement that is bound. */
static RC one_anchor(struct statement *st, bool *found, struct hash *out, struct error *err)
{
    bool row = false;
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        rc = registry_hash_at(st, 0, out, err);
        statement_reset(st);
    }
    if (rc == RC_OK) {
        *found = row;
    }
    return rc;
}

enum rc registry_anchor_of(struct registry *r, const struct hash *study, uint64_t round,
                           size_t site, bool *found, struct hash *out, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ANCHOR_OF];
    struct registry_standing s = {0};
    enum rc rc = registry_begin(r, study, &s, err);
    *found = false;
    if (rc == RC_OK && round <= INT64_MAX) {
        statement_bind_i64(st, s.id);
        statement_bind_i64(st, (int64_t)round);
        statement_bind_i64(st, (int64_t)site);
        rc = one_anchor(st, found, out, err);
    }
    store_rollback(r->store);
    return rc;
}

enum rc registry_newest_anchor(struct registry *r, const struct hash *sign, bool *found,
                               struct hash *out, struct error *err)
{
    struct statement *st = r->st[REGISTRY_WITNESS];
    statement_bind_blob(st, sign->b, sizeof sign->b);
    return one_anchor(st, found, out, err);
}

/* One row of REGISTRY_HELD. */
static RC hand_update(struct registry *r, struct statement *st,
                      enum rc (*each)(void *ctx, size_t site, const void *update, size_t n,
                                      struct error *err),
                      void *ctx, struct error *err)
{
    const size_t site = (size_t)statement_i64(st, 0);
    struct hash want = {{0}};
    size_t n = 0;

    const bool placed = !statement_is_null(st, 3);
    const void *bytes = NULL;

    enum rc rc = registry_hash_at(st, 1, &want, err);
    if (rc == RC_OK && placed) {
        n = (size_t)statement_i64(st, 4);
        rc = registry_held_read(r, statement_i64(st, 3), n, &bytes, err);
    } else if (rc == RC_OK) {
        bytes = statement_blob(st, 2, &n);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if ((!placed && statement_is_null(st, 2)) || !hash_is(&want, bytes, n)) {
        return error_set(err, RC_FORMAT,
                         "the registry is damaged: the update of site %zu has another hash", site);
    }
    return each(ctx, site, n > 0 ? bytes : "", n, err);
}

enum rc registry_each_update(struct registry *r, const struct hash *study, uint64_t round,
                             enum rc (*each)(void *ctx, size_t site, const void *update, size_t n,
                                             struct error *err),
                             void *ctx, struct error *err)
{
    struct statement *st = r->st[REGISTRY_HELD];
    struct registry_standing s = {0};

    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc == RC_OK) {
        rc = registry_check_present(&s, round, err); /* of a finished round they are dropped */
    }
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_i64(st, s.id);
    statement_bind_i64(st, (int64_t)round);
    for (;;) {
        bool row = false;
        rc = statement_step(st, &row, err);
        if (rc == RC_OK && row) {
            rc = hand_update(r, st, each, ctx, err);
        }
        if (rc != RC_OK || !row) {
            statement_reset(st);
            registry_held_forget(r);
            return rc;
        }
    }
}

enum rc registry_absence(struct registry *r, const struct hash *study, uint64_t round, size_t site,
                         char reason[REGISTRY_REASON], struct error *err)
{
    struct registry_standing s = {0};
    struct hash update = {{0}};
    enum round_member answer = ROUND_UNKNOWN;
    uint64_t since = 0;
    bool answered = false;
    bool contributed = false;
    char said[REGISTRY_REASON] = "";

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = check_site(&s, site, err);
    }
    if (rc == RC_OK && round <= INT64_MAX) {
        rc = registry_part(r, &s, round, site, &answered, &contributed, &update, said, err);
    }
    if (rc == RC_OK && !answered) {
        rc = member_answer(r, &s, site, &answer, &since, said, err);
    }
    store_rollback(r->store);
    if (rc != RC_OK) {
        return rc;
    }
    const bool declined = answer == ROUND_MEMBER_DECLINED && since <= round;
    registry_reason(reason, answered || declined ? said : "did not answer");
    return RC_OK;
}
