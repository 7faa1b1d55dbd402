/* Everything that the page and the tables say, out of one view of the ledger. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "agent/dossier/dossier.h"
#include "common/accountant/accountant.h"

/* What the ledger knows is told; that it is damaged is one more thing to tell. */
static RC note(struct dossier *r, enum rc rc, struct error *err)
{
    if (rc == RC_OK || rc == RC_NOMEM) {
        return rc;
    }
    assert(r->n_faults < DOSSIER_FAULTS);
    for (size_t i = 0; i < r->n_faults; i++) {
        if (strcmp(r->fault[i].text, err->text) == 0) {
            return RC_OK;
        }
    }
    r->fault[r->n_faults++] = *err;
    return RC_OK;
}

static double tpr_of(const struct ledger_study *s, uint64_t steps)
{
    const struct mechanism m = {.q = s->round.q, .sigma = s->round.sigma, .steps = steps};
    struct error ignored = {0};
    double tpr = 1.0; /* where nothing better is known, and without noise */
    if (!s->sound) {
        return (double)NAN;
    }
    if (steps == 0) {
        return DOSSIER_FPR; /* guessing */
    }
    if (m.sigma > 0.0 && accountant_tpr(&m, 1, DOSSIER_FPR, &tpr, &ignored) != RC_OK) {
        tpr = 1.0;
    }
    return tpr;
}

double dossier_bound(double epsilon, double delta, double fpr)
{
    const double few = exp(epsilon) * fpr + delta;
    const double many = 1.0 - exp(-epsilon) * (1.0 - delta - fpr);
    return fmin(1.0, fmin(few, many));
}

static void add_study(void *ctx, const struct ledger_study *s)
{
    struct dossier *r = ctx;
    r->study[r->n_studies++] = (struct dossier_study){
        .ledger = *s,
        .state = s->ended ? DOSSIER_ENDED : DOSSIER_RUNNING,
        .tpr_spent = tpr_of(s, s->spent_steps),
        .tpr_most = tpr_of(s, s->spent_steps + s->promised_steps),
    };
}

static void count_row(void *ctx, const struct ledger_row *row)
{
    (void)row;
    ++*(size_t *)ctx;
}

static void add_row(void *ctx, const struct ledger_row *row)
{
    struct dossier *r = ctx;
    r->row[r->n_rows++] = *row;
}

enum rc dossier_gather(struct ledger *l, struct dossier *r, struct error *err)
{
    size_t studies = 0;
    size_t rows = 0;

    enum rc rc = note(r, ledger_verify(l, &r->verified, err), err);
    if (rc == RC_OK) {
        rc = note(r, ledger_joined(l, &studies, err), err);
    }
    if (rc == RC_OK) { /* what keeps them from being counted is told when they are read */
        rc = ledger_rows(l, count_row, &rows, err);
        rc = rc == RC_NOMEM ? rc : RC_OK;
    }
    if (rc == RC_OK) {
        rc = arena_init(&r->memory,
                        arena_cost(studies, sizeof *r->study) + arena_cost(rows, sizeof *r->row) +
                            ARENA_ALIGN,
                        err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    r->study = arena_take(&r->memory, studies, sizeof *r->study);
    r->row = arena_take(&r->memory, rows, sizeof *r->row);
    if (studies > 0) {
        rc = note(r, ledger_studies(l, add_study, r, err), err);
    }
    if (rc == RC_OK) {
        rc = note(r, ledger_rows(l, add_row, r, err), err);
    }
    if (rc == RC_OK) {
        const enum rc sum = ledger_totals(l, &r->totals, err);
        r->has_totals = sum == RC_OK;
        if (sum != RC_OK && r->n_faults + 1 == DOSSIER_FAULTS) { /* one is kept for dossier_note */
            return sum == RC_NOMEM ? sum : RC_OK;
        }
        rc = note(r, sum, err);
    }
    return rc;
}

enum rc dossier_note(struct dossier *r, const struct error *fault, struct error *err)
{
    *err = *fault;
    return note(r, fault->rc, err);
}

void dossier_release(struct dossier *r)
{
    arena_release(&r->memory);
    r->n_studies = 0;
    r->n_rows = 0;
}
