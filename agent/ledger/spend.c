/* One round into the ledger: checks and rows in one transaction. */
#include "agent/ledger/ledger_internal.h"

/* What the plan itself says of this round. */
static RC check_round(const struct ledger_plan *p, const struct ledger_spend *s, struct error *err)
{
    if (p->ended) {
        return error_set(err, RC_STATE, "study '%s' has ended at this site", p->name);
    }
    if (s->round == 0 || s->round > p->rounds) {
        return error_set(err, RC_STATE, "study '%s' has rounds 1 to %llu, not %llu", p->name,
                         (unsigned long long)p->rounds, (unsigned long long)s->round);
    }
    if (s->round <= p->newest) {
        return error_set(err, RC_STATE,
                         "study '%s': round %llu cannot be spent (again), the newest is %llu",
                         p->name, (unsigned long long)s->round, (unsigned long long)p->newest);
    }
    if (s->mechanism.q != p->round.q || s->mechanism.sigma != p->round.sigma ||
        s->mechanism.steps != p->round.steps || s->clip != p->clip) {
        return error_set(err, RC_STATE,
                         "study '%s': round %llu was not trained as planned: steps, sampling rate, "
                         "noise or clip differ",
                         p->name, (unsigned long long)s->round);
    }
    return RC_OK;
}

/* Mechanism and bytes, then what stays at the site. */
static RC write_spend(struct ledger *l, const struct ledger_plan *p, const struct ledger_spend *s,
                      struct error *err)
{
    const struct hash released = hash_of(s->update, s->update_bytes);
    const struct hash kept = hash_of(s->site_state, s->site_state_bytes);
    struct ledger_end end = {0};

    enum rc rc = ledger_chain_end(l, LEDGER_LAST_SPEND, &end, err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct hash link = ledger_spend_link(&end, s, &released);
    struct statement *st = l->st[LEDGER_ADD_SPEND];
    statement_bind_i64(st, end.number + 1);
    statement_bind_i64(st, p->id);
    statement_bind_i64(st, (int64_t)s->round);
    statement_bind_real(st, s->mechanism.q);
    statement_bind_real(st, s->mechanism.sigma);
    statement_bind_i64(st, (int64_t)s->mechanism.steps);
    statement_bind_real(st, s->clip);
    statement_bind_blob(st, s->cohort.b, sizeof s->cohort.b);
    statement_bind_blob(st, s->model.b, sizeof s->model.b);
    statement_bind_blob(st, released.b, sizeof released.b);
    statement_bind_i64(st, s->now_ms);
    statement_bind_blob(st, link.b, sizeof link.b);
    rc = statement_run(st, err);
    if (rc == RC_OK) {
        st = l->st[LEDGER_ADD_RELEASE];
        statement_bind_i64(st, end.number + 1);
        statement_bind_blob(st, s->update, s->update_bytes);
        rc = statement_run(st, err);
    }
    if (rc == RC_OK) {
        st = l->st[LEDGER_SET_SITE_STATE];
        statement_bind_i64(st, p->id);
        statement_bind_i64(st, (int64_t)s->round);
        statement_bind_blob(st, kept.b, sizeof kept.b);
        statement_bind_blob(st, s->site_state, s->site_state_bytes);
        rc = statement_run(st, err);
    }
    return rc;
}

enum rc ledger_spend(struct ledger *l, const struct ledger_spend *spend, struct error *err)
{
    struct ledger_forecast f = {0};
    struct ledger_plan plan = {0};

    store_expect(l->store, spend->update_bytes + spend->site_state_bytes);
    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = ledger_must_find_plan(l, &spend->study, &plan, err);
    }
    if (rc == RC_OK) {
        rc = check_round(&plan, spend, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    plan.spent_steps += spend->mechanism.steps;
    plan.promised_steps = (plan.rounds - spend->round) * plan.round.steps;
    rc = ledger_judge(l, &plan, false, false, &f, err);
    if (rc == RC_OK && !f.allowed) {
        rc = error_set(err, RC_LIMIT, "%s", f.reason);
    }
    if (rc == RC_OK) {
        rc = write_spend(l, &plan, spend, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(l->store, err);
    }
    if (rc == RC_OK) {
        rc = ledger_mark(l, err);
    }
out:
    store_rollback(l->store);
    return rc;
}

void ledger_rest(struct ledger *l)
{
    enum { MUCH = 512, MOST = 4096 }; /* pages of 4 KB */
    if (l->view) {
        return;
    }
    store_log_pages(l->store, MOST);
    if (store_pages_waiting(l->store) > MUCH) {
        store_carry_over(l->store);
    }
}
