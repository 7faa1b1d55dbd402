/* Score histograms that leave: cost and bytes in one transaction, like a round. Each request of a coordinator
 * is spent once; asked again, the same bytes are there. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/ledger/ledger_internal.h"

/* ---- what they cost -------------------------------------------------------------------------- */

enum rc ledger_evaluation_kinds(struct ledger *l, size_t *n, struct error *err)
{
    struct statement *st = l->st[LEDGER_EVALUATION_KINDS];
    bool row = false;
    const enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK) {
        *n = row ? (size_t)statement_i64(st, 0) : 0;
        statement_reset(st);
    }
    return rc;
}

/* Calls for each epsilon of a study (0: of all). */
static RC each_kind(struct ledger *l, int64_t study, double *sum, struct mechanism *m, size_t most,
                    size_t *n, struct error *err)
{
    struct statement *st = l->st[LEDGER_EVALUATION_COSTS];
    *n = 0;
    *sum = 0.0;
    statement_bind_i64(st, study);
    for (;;) {
        bool row = false;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        const struct mechanism kind = {.pure = statement_real(st, 0),
                                       .steps = (uint64_t)statement_i64(st, 1)};
        *sum += (double)kind.steps * kind.pure;
        if (m != NULL && *n < most) {
            m[*n] = kind;
        }
        ++*n;
    }
}

enum rc ledger_evaluation_costs(struct ledger *l, int64_t study, struct mechanism *m, size_t most,
                                size_t *n, struct error *err)
{
    double sum = 0.0;
    const enum rc rc = each_kind(l, study, &sum, m, most, n, err);
    return rc == RC_OK && *n > most
               ? error_set(err, RC_STATE, "the ledger changed while it was read")
               : rc;
}

enum rc ledger_evaluation_sum(struct ledger *l, int64_t study, double *out, struct error *err)
{
    size_t n = 0;
    return each_kind(l, study, out, NULL, 0, &n, err);
}

/* ---- spending -------------------------------------------------------------------------------- */

static RC write_row(struct ledger *l, const struct ledger_plan *p,
                    const struct ledger_evaluation *e, struct error *err)
{
    const struct hash released = hash_of(e->bytes, e->n);
    struct statement *st = l->st[LEDGER_ADD_EVALUATION];
    struct ledger_end end = {0};
    const enum rc rc = ledger_chain_end(l, LEDGER_LAST_EVALUATION, &end, err);
    if (rc != RC_OK) {
        return rc;
    }
    const struct hash link = ledger_evaluation_link(&end, e, &released);
    statement_bind_i64(st, end.number + 1);
    statement_bind_i64(st, p->id);
    statement_bind_blob(st, e->request.b, sizeof e->request.b);
    statement_bind_real(st, e->epsilon);
    statement_bind_blob(st, e->cohort.b, sizeof e->cohort.b);
    statement_bind_blob(st, e->model.b, sizeof e->model.b);
    statement_bind_blob(st, released.b, sizeof released.b);
    statement_bind_blob(st, e->bytes, e->n);
    statement_bind_i64(st, e->now_ms);
    statement_bind_blob(st, link.b, sizeof link.b);
    return statement_run(st, err);
}

/* The row is there already, in the transaction: what it makes of the sums is what is judged. */
static RC judge(struct ledger *l, const struct ledger_plan *p, struct error *err)
{
    const struct ledger_policy *may = &l->policy;
    double all = 0.0;
    double sum = 0.0;
    double filter = 0.0;
    enum rc rc = ledger_evaluation_sum(l, p->id, &all, err);
    if (rc == RC_OK) {
        rc = ledger_compose(l, NULL, LEDGER_PROMISED, may->max_delta_per_study, false, &sum,
                            &filter, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (!(all <= may->max_evaluation_epsilon)) {
        return error_set(err, RC_LIMIT,
                         "site.yaml, section policy, refuses to evaluate study '%s': epsilon %.6g "
                         "for all its evaluations (max_evaluation_epsilon is %.6g)",
                         p->name, all, may->max_evaluation_epsilon);
    }
    if (isinf(filter) && !isinf(may->max_epsilon_total)) {
        return error_set(err, RC_LIMIT,
                         "site.yaml, section policy, refuses to evaluate study '%s': a study here "
                         "was allowed only as the only one, since it may take all of "
                         "max_epsilon_total (%.6g)",
                         p->name, may->max_epsilon_total);
    }
    if (!(filter <= may->max_epsilon_total)) {
        return error_set(err, RC_LIMIT,
                         "site.yaml, section policy, refuses to evaluate study '%s': in total "
                         "epsilon %.6g at delta %.4g (at most %.6g)",
                         p->name, filter, may->max_delta_per_study, may->max_epsilon_total);
    }
    return RC_OK;
}

static RC is_there(struct ledger *l, const struct hash *request, bool *there, struct error *err)
{
    struct statement *st = l->st[LEDGER_EVALUATION];
    statement_bind_blob(st, request->b, sizeof request->b);
    const enum rc rc = statement_step(st, there, err);
    if (rc == RC_OK) {
        statement_reset(st);
    }
    return rc;
}

enum rc ledger_evaluate(struct ledger *l, const struct ledger_evaluation *e, struct error *err)
{
    struct ledger_plan plan = {0};
    bool there = false;

    if (!(e->epsilon > 0.0 && isfinite(e->epsilon))) {
        return error_set(err, RC_INVALID, "the epsilon of an evaluation must be a number above 0");
    }
    enum rc rc = store_begin(l->store, err);
    if (rc == RC_OK) {
        rc = ledger_must_find_plan(l, &e->study, &plan, err);
    }
    if (rc == RC_OK) {
        rc = is_there(l, &e->request, &there, err);
    }
    if (rc == RC_OK && there) {
        rc = error_set(err, RC_STATE, "study '%s': this evaluation is in the ledger already",
                       plan.name);
    }
    if (rc == RC_OK) {
        rc = write_row(l, &plan, e, err);
    }
    if (rc == RC_OK) {
        rc = judge(l, &plan, err);
    }
    if (rc == RC_OK) {
        rc = store_commit(l->store, err);
    }
    if (rc == RC_OK) {
        rc = ledger_mark(l, err);
    }
    store_rollback(l->store);
    return rc;
}

enum rc ledger_evaluated(struct ledger *l, const struct hash *request, bool *found,
                         const void **bytes, size_t *n, struct error *err)
{
    struct statement *st = l->st[LEDGER_EVALUATION];
    bool row = false;
    statement_bind_blob(st, request->b, sizeof request->b);
    enum rc rc = statement_step(st, &row, err);
    if (rc == RC_OK && row) {
        struct hash hash;
        rc = ledger_hand_out(l, st, bytes, n, &hash, err);
        statement_reset(st);
    }
    if (rc == RC_OK) {
        *found = row;
    }
    return rc;
}

/* ---- for people ------------------------------------------------------------------------------ */

static RC row_at(struct statement *st, struct ledger_evaluation_row *r, struct error *err)
{
    enum rc rc = ledger_hash_at(st, 0, &r->released, err);
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 3, &r->request, err);
    }
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 8, &r->link, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const char *name = statement_text(st, 9);
    (void)snprintf(r->study, sizeof r->study, "%s", name != NULL ? name : "");
    (void)statement_blob(st, 1, &r->bytes);
    r->number = statement_i64(st, 2);
    r->epsilon = statement_real(st, 4);
    r->at_ms = statement_i64(st, 7);
    return RC_OK;
}

enum rc ledger_evaluations(struct ledger *l,
                           void (*each)(void *ctx, const struct ledger_evaluation_row *row),
                           void *ctx, struct error *err)
{
    struct statement *st = l->st[LEDGER_ALL_EVALUATIONS];
    for (;;) {
        struct ledger_evaluation_row r = {0};
        bool row = false;
        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = row_at(st, &r, err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        each(ctx, &r);
    }
}
