/* The newest masked round that this site has said anything in: what keeps a second key, a second mask and a
 * second survivor set out of one number over any number of restarts (agent/masking). */
#include "agent/ledger/ledger_internal.h"

static RC newest(struct ledger *l, const struct ledger_plan *plan, uint64_t *round,
                 struct error *err)
{
    struct statement *st = l->st[LEDGER_MASKED];
    bool row = false;
    statement_bind_i64(st, plan->id);
    const enum rc rc = statement_step(st, &row, err);
    if (rc != RC_OK) {
        return rc;
    }
    *round = 0;
    if (row) {
        *round = (uint64_t)statement_i64(st, 0);
        statement_reset(st);
    }
    return RC_OK;
}

enum rc ledger_masked_round(struct ledger *l, const struct hash *study, uint64_t *round,
                            struct error *err)
{
    struct ledger_plan plan = {0};
    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = ledger_must_find_plan(l, study, &plan, err);
    }
    if (rc == RC_OK) {
        rc = newest(l, &plan, round, err);
    }
    store_rollback(l->store);
    return rc;
}

enum rc ledger_keep_masked_round(struct ledger *l, const struct hash *study, uint64_t round,
                                 struct error *err)
{
    struct statement *st = l->st[LEDGER_SET_MASKED];
    struct ledger_plan plan = {0};
    uint64_t used = 0;
    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = ledger_must_find_plan(l, study, &plan, err);
    }
    if (rc == RC_OK) {
        rc = newest(l, &plan, &used, err);
    }
    if (rc == RC_OK && (plan.ended || round <= used || round > plan.rounds)) {
        rc = error_set(err, RC_STATE,
                       plan.ended ? "study '%s' has ended at this site"
                                  : "study '%s': the number of that masked round was used, or is "
                                    "none of its rounds",
                       plan.name);
    }
    if (rc == RC_OK) {
        statement_bind_i64(st, plan.id);
        statement_bind_i64(st, (int64_t)round);
        rc = statement_run(st, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(l->store, err);
    }
    store_rollback(l->store);
    return rc;
}
