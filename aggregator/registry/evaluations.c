/* Evaluations of finished studies: what was asked, as it was signed, and what each site answered. */
#include <stdio.h>
#include <string.h>

#include "aggregator/registry/registry_internal.h"

/* ---- finding --------------------------------------------------------------------------------- */

struct evaluation_row {
    int64_t id; /* 0: none */
    struct hash study;
    bool open;
};

/* By its request's name; BEGIN was done. @retval RC_STATE there is none */
static RC find_request(struct registry *r, const struct hash *request, struct evaluation_row *out,
                       struct error *err)
{
    struct statement *st = r->st[REGISTRY_EVALUATION];
    bool row = false;
    statement_bind_blob(st, request->b, sizeof request->b);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && !row) {
        return error_set(err, RC_STATE, "no such evaluation was asked for");
    }
    if (rc == RC_OK) {
        *out =
            (struct evaluation_row){.id = statement_i64(st, 0), .open = statement_is_null(st, 1)};
        rc = registry_hash_at(st, 2, &out->study, err);
        statement_reset(st);
    }
    return rc;
}

enum rc registry_newest_evaluation(struct registry *r, const struct hash *study, bool *found,
                                   struct registry_evaluation *out, struct error *err)
{
    struct statement *st = r->st[REGISTRY_NEWEST_EVALUATION];
    struct registry_standing s = {0};
    struct registry_evaluation e = {.asked_ms = 0};
    size_t n = 0;

    enum rc rc = registry_find(r, study, false, &s, err);
    if (rc != RC_OK) {
        return rc;
    }
    statement_bind_i64(st, s.id);
    rc = statement_step(st, found, err);
    if (rc != RC_OK || !*found) {
        return rc;
    }
    rc = registry_hash_at(st, 0, &e.request, err);
    if (rc == RC_OK) {
        const void *bytes = statement_blob(st, 1, &n);
        if (n == 0 || n > sizeof e.bytes) {
            rc = error_set(err, RC_FORMAT, "the registry is damaged: a request of %zu bytes", n);
        } else {
            memcpy(e.bytes, bytes, n);
            e.n = n;
        }
    }
    e.asked_ms = statement_i64(st, 2);
    e.deadline_ms = statement_i64(st, 3);
    e.closed_ms = statement_i64(st, 4); /* NULL is 0 */
    statement_reset(st);
    if (rc == RC_OK) {
        *out = e;
    }
    return rc;
}

/* ---- asking and closing ---------------------------------------------------------------------- */

struct asked_study {
    const struct hash *hash;
    struct registry_study found;
};

static void note_study(void *ctx, const struct registry_study *study)
{
    struct asked_study *a = ctx;
    if (hash_equal(&study->hash, a->hash)) {
        a->found = *study;
    }
}

static RC may_ask(struct registry *r, const struct registry_standing *s, struct error *err)
{
    struct asked_study a = {.hash = &s->hash};
    struct registry_evaluation newest = {.asked_ms = 0};
    bool found = false;
    enum rc rc = registry_each_study(r, note_study, &a, err);
    if (rc == RC_OK && a.found.state != REGISTRY_FINISHED) {
        rc = error_set(err, RC_STATE,
                       "study '%s' has no finished model: only a study whose rounds are all done "
                       "can be evaluated",
                       s->name);
    }
    if (rc == RC_OK) {
        rc = registry_newest_evaluation(r, &s->hash, &found, &newest, err);
    }
    if (rc == RC_OK && found && newest.closed_ms == 0) {
        rc = error_set(err, RC_STATE, "study '%s' is being evaluated already; wait for that to end",
                       s->name);
    }
    return rc;
}

enum rc registry_ask_evaluation(struct registry *r, const struct hash *study,
                                const struct registry_evaluation *e, const char *detail,
                                struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_EVALUATION];
    struct registry_standing s = {0};

    enum rc rc = registry_begin(r, study, &s, err);
    if (rc == RC_OK) {
        rc = may_ask(r, &s, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    statement_bind_i64(st, s.id);
    statement_bind_blob(st, e->request.b, sizeof e->request.b);
    statement_bind_blob(st, e->bytes, e->n);
    statement_bind_i64(st, e->asked_ms);
    statement_bind_i64(st, e->deadline_ms);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = registry_note(r, study, "evaluate", detail, e->asked_ms, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

enum rc registry_close_evaluation(struct registry *r, const struct hash *request,
                                  const char *detail, int64_t now_ms, struct error *err)
{
    struct statement *st = r->st[REGISTRY_CLOSE_EVALUATION];
    struct evaluation_row e = {0};

    enum rc rc = registry_lock(r, err);
    if (rc == RC_OK) {
        rc = find_request(r, request, &e, err);
    }
    if (rc != RC_OK || !e.open) {
        goto out;
    }
    statement_bind_i64(st, now_ms);
    statement_bind_i64(st, e.id);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = registry_note(r, &e.study, "evaluated", detail, now_ms, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The first answer stands; the same again is harmless. @param[out] there an answer is kept already */
static RC compare_kept(struct registry *r, int64_t evaluation, size_t site, const void *answer,
                       size_t n, bool *there, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ANSWER];
    size_t kept_n = 0;
    statement_bind_i64(st, evaluation);
    statement_bind_i64(st, (int64_t)site);
    enum rc rc = statement_step(st, there, err);
    if (rc == RC_OK && *there) {
        const void *kept = statement_blob(st, 0, &kept_n);
        const bool silent = statement_is_null(st, 0);
        if (silent != (answer == NULL) || (answer != NULL && kept_n != n) ||
            (answer != NULL && memcmp(kept, answer, n) != 0)) {
            rc = error_set(err, RC_STATE, "another answer of this site is kept already");
        }
        statement_reset(st);
    }
    return rc;
}

enum rc registry_keep_answer(struct registry *r, const struct hash *request, size_t site,
                             const void *answer, size_t n, const char *reason, int64_t now_ms,
                             struct error *err)
{
    struct statement *st = r->st[REGISTRY_ADD_ANSWER];
    struct evaluation_row e = {0};
    char why[REGISTRY_REASON];
    bool there = false;

    enum rc rc = registry_lock(r, err);
    if (rc == RC_OK) {
        rc = find_request(r, request, &e, err);
    }
    if (rc == RC_OK) {
        rc = compare_kept(r, e.id, site, answer, n, &there, err);
    }
    if (rc == RC_OK && !there && !e.open) {
        rc = error_set(err, RC_STATE, "this evaluation is over");
    }
    if (rc != RC_OK || there) {
        goto out;
    }
    registry_reason(why, reason);
    statement_bind_i64(st, e.id);
    statement_bind_i64(st, (int64_t)site);
    if (answer != NULL) {
        statement_bind_blob(st, answer, n);
    } else {
        statement_bind_null(st);
    }
    statement_bind_text(st, why);
    statement_bind_i64(st, now_ms);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = store_commit(r->store, err);
    }
out:
    store_rollback(r->store);
    return rc;
}

enum rc registry_each_answer(struct registry *r, const struct hash *request,
                             enum rc (*each)(void *ctx, size_t site, const void *answer, size_t n,
                                             const char *reason, struct error *err),
                             void *ctx, struct error *err)
{
    struct statement *st = r->st[REGISTRY_ANSWERS];
    registry_take_back(r);
    statement_bind_blob(st, request->b, sizeof request->b);
    for (;;) {
        bool row = false;
        size_t n = 0;
        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        const void *answer = statement_is_null(st, 1) ? NULL : statement_blob(st, 1, &n);
        const char *reason = statement_text(st, 2);
        rc = each(ctx, (size_t)statement_i64(st, 0), answer, n, reason != NULL ? reason : "", err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
    }
}
