/* The file: opening, asking, joining. Every question that a decision hangs on runs inside one BEGIN
 * IMMEDIATE transaction with the decision, so a second process with the same file waits and then
 * sees what the first one did. */
#include "agent/ledger/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ledger/ledger_internal.h"

enum rc ledger_room(struct arena *a, size_t size, struct error *err)
{
    if (a->base != NULL && a->size >= size) {
        arena_rewind(a, 0);
        return RC_OK;
    }
    arena_release(a);
    return arena_init(a, size, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

static RC check_policy(const struct ledger_policy *p, struct error *err)
{
    if (!(p->max_epsilon_per_study >= 0.0) || !(p->max_epsilon_total >= 0.0)) {
        return error_set(err, RC_INVALID, "policy: the largest epsilons must not be negative");
    }
    if (!(p->max_delta_per_study > 0.0 && p->max_delta_per_study < 1.0)) {
        return error_set(err, RC_INVALID, "policy: max_delta_per_study must lie between 0 and 1");
    }
    return RC_OK;
}

/* One view of all tables, and of the mark. */
static RC look_through(struct ledger *l, struct error *err)
{
    struct ledger_verified counts = {0};
    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = ledger_chain_check(l, &counts, err);
    }
    if (rc == RC_OK) {
        rc = ledger_mark_within(l, err);
    }
    store_rollback(l->store);
    return rc;
}

enum rc ledger_look(struct ledger *l, struct error *err)
{
    return l->view ? RC_OK : store_begin(l->store, err);
}

void ledger_look_away(struct ledger *l)
{
    if (!l->view) {
        store_rollback(l->store);
    }
}

/* The mark is read first: whoever commits in between brings the view further than the mark, which is no fault. */
static RC begin_view(struct ledger *l, struct error *err)
{
    ledger_mark_keep(l);
    return store_begin_reading(l->store, err);
}

static RC open_as(const char *path, const struct ledger_policy *policy, bool view,
                  struct ledger **out, struct error *err)
{
    struct ledger *l = NULL;

    enum rc rc = check_policy(policy, err);
    if (rc != RC_OK) {
        return rc;
    }
    l = calloc(1, sizeof *l);
    if (l == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the ledger");
    }
    l->policy = *policy;
    l->view = view;
    if (strcmp(path, ":memory:") != 0 &&
        snprintf(l->mark, sizeof l->mark, "%s.mark", path) >= (int)sizeof l->mark) {
        rc = error_set(err, RC_LIMIT, "the path '%.40s...' is too long", path);
        goto out;
    }
    rc = view ? store_open_reading(path, &ledger_store_kind, &l->store, err)
              : store_open(path, &ledger_store_kind, &l->store, err);
    for (size_t i = 0; rc == RC_OK && i < LEDGER_SQL_COUNT; i++) {
        rc = store_prepare_later(l->store, ledger_sql[i], &l->st[i], err);
    }
    if (rc == RC_OK) {
        rc = view ? begin_view(l, err) : look_through(l, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    *out = l;
    l = NULL;
out:
    ledger_close(&l);
    return rc;
}

enum rc ledger_open(const char *path, const struct ledger_policy *policy, struct ledger **out,
                    struct error *err)
{
    return open_as(path, policy, false, out, err);
}

enum rc ledger_open_view(const char *path, const struct ledger_policy *policy, struct ledger **out,
                         struct error *err)
{
    return open_as(path, policy, true, out, err);
}

void ledger_close(struct ledger **l)
{
    struct ledger *gone = *l;
    if (gone == NULL) {
        return;
    }
    store_close(&gone->store);
    arena_wipe(&gone->bytes); /* may hold the site's own parameters */
    arena_release(&gone->bytes);
    arena_release(&gone->accounts);
    hash_wipe(gone->key, sizeof gone->key);
    free(gone);
    *l = NULL;
}

/* ---- plans ----------------------------------------------------------------------------------- */

static struct ledger_plan plan_of(const struct study *s, const struct hash *hash)
{
    struct ledger_plan p = {
        .hash = *hash,
        .round = {.q = s->privacy.sample_rate,
                  .sigma = s->privacy.noise_multiplier,
                  .steps = s->local.steps},
        .rounds = study_rounds_most(s),
        .clip = s->privacy.clip,
        .epsilon = s->privacy.epsilon,
        .delta = s->privacy.delta,
        .min_sites = s->min_sites,
        .max_colluding = s->max_colluding,
        .masked = s->masked,
        .threshold = s->masked ? study_threshold(s) : 0,
        .reader_sigma = s->privacy.noise == STUDY_NOISE_SHARED ? study_reader_sigma(s) : 0.0,
    };
    memcpy(p.name, s->name, sizeof p.name);
    return p;
}

static RC check_study(const struct study *s, const struct ledger_plan *plan, struct error *err)
{
    const char *fault = ledger_plan_fault(plan);

    if (memchr(s->name, '\0', sizeof s->name) == NULL || s->name[0] == '\0') {
        return error_set(err, RC_INVALID, "a study without a name");
    }
    if (fault == NULL && s->privacy.noise == STUDY_NOISE_SHARED && !s->masked) {
        fault = "noise shared between sites needs masked sums";
    }
    if (fault == NULL && (s->privacy.noise == STUDY_NOISE_NONE) != (plan->round.sigma == 0.0)) {
        fault = "its noise mode and its noise multiplier contradict each other";
    }
    return fault == NULL ? RC_OK : error_set(err, RC_INVALID, "study '%s': %s", s->name, fault);
}

enum rc ledger_find_plan(struct ledger *l, const struct hash *hash, struct ledger_plan *out,
                         struct error *err)
{
    struct statement *st = l->st[LEDGER_PLAN_BY_HASH];
    struct ledger_plan p = {0};
    bool row = false;

    statement_bind_blob(st, hash->b, sizeof hash->b);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        rc = ledger_plan_at(st, &p, err);
        p.newest = (uint64_t)statement_i64(st, 17);
        p.spent_steps = (uint64_t)statement_i64(st, 18);
        p.promised_steps = p.ended ? 0 : (p.rounds - p.newest) * p.round.steps;
        statement_reset(st);
    }
    if (rc == RC_OK) {
        *out = p;
    }
    return rc;
}

enum rc ledger_must_find_plan(struct ledger *l, const struct hash *hash, struct ledger_plan *out,
                              struct error *err)
{
    const enum rc rc = ledger_find_plan(l, hash, out, err);
    if (rc == RC_OK && out->id == 0) {
        return error_set(err, RC_STATE, "this site has not joined that study");
    }
    return rc;
}

static RC name_is_taken(struct ledger *l, const char *name, bool *taken, struct error *err)
{
    struct statement *st = l->st[LEDGER_HASH_BY_NAME];
    statement_bind_text(st, name);
    const enum rc rc = statement_step(st, taken, err);
    if (rc == RC_OK) {
        statement_reset(st);
    }
    return rc;
}

/* ---- asking and joining ---------------------------------------------------------------------- */

/* Within a transaction. `plan` is the joined one, or with id 0 the one that would be. `state` is
 * why it cannot be joined whatever the policy says, or NULL. */
static RC examine(struct ledger *l, const struct study *study, const struct hash *hash,
                  size_t n_patients, bool full, struct ledger_plan *plan,
                  struct ledger_forecast *out, const char **state, struct error *err)
{
    struct ledger_plan p = plan_of(study, hash);
    struct ledger_plan joined = {0};
    bool taken = false;

    *state = NULL;
    enum rc rc = check_study(study, &p, err);
    if (rc == RC_OK) {
        rc = ledger_find_plan(l, hash, &joined, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (joined.id != 0) {
        p = joined;
    } else {
        p.promised_steps = p.rounds * p.round.steps;
        rc = name_is_taken(l, p.name, &taken, err);
    }
    if (rc == RC_OK) {
        rc = ledger_judge(l, &p, n_patients < l->policy.min_patients, full, out, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (taken) {
        *state = "is known here with another document";
    } else if (p.ended) {
        *state = "has ended at this site";
    }
    *plan = p;
    return RC_OK;
}

enum rc ledger_what_if(struct ledger *l, const struct study *study, const struct hash *study_hash,
                       size_t n_patients, struct ledger_forecast *out, struct error *err)
{
    struct ledger_forecast f = {0};
    struct ledger_plan plan = {0};
    const char *state = NULL;

    enum rc rc = store_begin(l->store, err); /* one view of all studies; nothing is written */
    if (rc == RC_OK) {
        rc = examine(l, study, study_hash, n_patients, true, &plan, &f, &state, err);
    }
    store_rollback(l->store);
    if (rc != RC_OK) {
        return rc;
    }
    if (state != NULL) {
        f.allowed = false;
        (void)snprintf(f.reason, sizeof f.reason, "study '%s' %s", plan.name, state);
    }
    *out = f;
    return RC_OK;
}

static RC add_study(struct ledger *l, const struct ledger_plan *p, int64_t now_ms,
                    struct error *err)
{
    struct statement *st = l->st[LEDGER_ADD_STUDY];
    struct ledger_end end = {0};

    const enum rc rc = ledger_chain_end(l, LEDGER_LAST_STUDY, &end, err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct hash link = ledger_study_link(&end, p);
    statement_bind_i64(st, end.number + 1);
    statement_bind_text(st, p->name);
    statement_bind_blob(st, p->hash.b, sizeof p->hash.b);
    statement_bind_real(st, p->round.q);
    statement_bind_real(st, p->round.sigma);
    statement_bind_i64(st, (int64_t)p->round.steps);
    statement_bind_i64(st, (int64_t)p->rounds);
    statement_bind_real(st, p->clip);
    statement_bind_real(st, p->epsilon);
    statement_bind_real(st, p->delta);
    statement_bind_i64(st, (int64_t)p->min_sites);
    statement_bind_i64(st, (int64_t)p->max_colluding);
    statement_bind_i64(st, now_ms);
    statement_bind_blob(st, link.b, sizeof link.b);
    statement_bind_i64(st, p->masked);
    statement_bind_i64(st, (int64_t)p->threshold);
    if (p->reader_sigma > 0.0) {
        statement_bind_real(st, p->reader_sigma);
    } else {
        statement_bind_null(st);
    }
    return statement_run(st, err);
}

enum rc ledger_join(struct ledger *l, const struct study *study, const struct hash *study_hash,
                    size_t n_patients, int64_t now_ms, struct error *err)
{
    struct ledger_forecast f = {0};
    struct ledger_plan plan = {0};
    const char *state = NULL;

    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = examine(l, study, study_hash, n_patients, false, &plan, &f, &state, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    if (state != NULL) {
        rc = error_set(err, RC_STATE, "study '%s' %s", plan.name, state);
        goto out;
    }
    if (!f.allowed) {
        rc = error_set(err, RC_LIMIT, "%s", f.reason);
        goto out;
    }
    if (plan.id == 0) {
        rc = add_study(l, &plan, now_ms, err);
        if (rc == RC_OK) { /* of the anchors of what it will spend */
            rc = ledger_make_key(l, err);
        }
        if (rc == RC_OK) {
            rc = store_commit(l->store, err);
        }
        if (rc == RC_OK) {
            rc = ledger_mark(l, err);
        }
    }
out:
    store_rollback(l->store);
    return rc;
}

enum rc ledger_end_study(struct ledger *l, const struct hash *study, int64_t now_ms,
                         struct error *err)
{
    struct statement *st = l->st[LEDGER_END_STUDY];
    struct ledger_plan plan = {0};

    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = ledger_must_find_plan(l, study, &plan, err);
    }
    if (rc != RC_OK || plan.ended) {
        goto out;
    }
    statement_bind_i64(st, now_ms);
    statement_bind_i64(st, plan.id);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        rc = store_commit(l->store, err);
    }
out:
    store_rollback(l->store);
    return rc;
}
