/* The studies for people, each with what it costs, and all together. */
#include <math.h>
#include <string.h>

#include "agent/ledger/ledger_internal.h"

/* Counts that a damaged file may hold, and that the accountant must not be asked about. */
static bool is_sound(const struct ledger_plan *p, int64_t steps, int64_t count)
{
    if (ledger_plan_fault(p) != NULL || steps < 0 || count < 0 || p->newest > p->rounds) {
        return false;
    }
    return (uint64_t)count <= p->newest && (uint64_t)steps <= p->newest * p->round.steps;
}

static RC study_at(struct ledger *l, struct statement *st, struct ledger_study *out,
                   struct error *err)
{
    struct ledger_plan p = {0};
    struct hash link = {{0}};
    enum rc rc = ledger_plan_at(st, &p, err);
    if (rc == RC_OK) {
        rc = ledger_hash_at(st, 13, &link, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    const int64_t steps = statement_i64(st, 18);
    const int64_t count = statement_i64(st, 19);
    p.newest = (uint64_t)statement_i64(st, 17);
    struct ledger_study s = {
        .number = p.id,
        .hash = p.hash,
        .round = p.round,
        .rounds = p.rounds,
        .clip = p.clip,
        .epsilon = p.epsilon,
        .delta = p.delta,
        .min_sites = p.min_sites,
        .max_colluding = p.max_colluding,
        .threshold = p.threshold,
        .masked = p.masked,
        .shared = p.reader_sigma > 0.0,
        .joined_ms = statement_i64(st, 20),
        .ended_ms = statement_i64(st, 12),
        .ended = p.ended,
        .rounds_spent = (uint64_t)count,
        .newest = p.newest,
        .link = link,
        .sound = is_sound(&p, steps, count),
        .epsilon_spent = (double)NAN,
        .epsilon_most = (double)NAN,
        .reader_spent = (double)NAN,
        .reader_most = (double)NAN,
        .evaluations = (uint64_t)statement_i64(st, 21),
        .epsilon_all = (double)NAN,
    };
    memcpy(s.name, p.name, sizeof s.name);
    if (s.sound) {
        s.spent_steps = (uint64_t)steps;
        s.promised_steps = p.ended ? 0 : (p.rounds - p.newest) * p.round.steps;
        s.epsilon_spent = ledger_cost(l, &p, s.spent_steps, p.delta, true);
        s.epsilon_most = ledger_cost(l, &p, s.spent_steps + s.promised_steps, p.delta, true);
        s.reader_spent = ledger_reader_cost(l, &p, s.spent_steps, p.delta, s.epsilon_spent);
        s.reader_most =
            ledger_reader_cost(l, &p, s.spent_steps + s.promised_steps, p.delta, s.epsilon_most);
        p.spent_steps = s.spent_steps;
        rc = ledger_cost_of_all(l, &p, &s.epsilon_all, err);
    }
    if (rc == RC_OK) {
        rc = ledger_evaluation_sum(l, p.id, &s.evaluation_epsilon, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    *out = s;
    return RC_OK;
}

enum rc ledger_studies(struct ledger *l, void (*each)(void *ctx, const struct ledger_study *study),
                       void *ctx, struct error *err)
{
    struct statement *st = l->st[LEDGER_STUDIES];
    for (;;) {
        struct ledger_study s = {0};
        bool row = false;
        enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        rc = study_at(l, st, &s, err);
        if (rc != RC_OK) {
            statement_reset(st);
            return rc;
        }
        each(ctx, &s);
    }
}

static void note_damage(void *ctx, const struct ledger_study *s)
{
    bool *sound = ctx;
    *sound = *sound && s->sound;
}

enum rc ledger_totals(struct ledger *l, struct ledger_totals *out, struct error *err)
{
    const double most = l->policy.max_epsilon_total;
    struct ledger_totals t = {.delta = l->policy.max_delta_per_study};
    bool sound = true;

    enum rc rc = ledger_look(l, err);
    if (rc == RC_OK) {
        rc = ledger_studies(l, note_damage, &sound, err);
    }
    if (rc == RC_OK && !sound) {
        rc = error_set(
            err, RC_FORMAT,
            "the ledger is damaged: the numbers of a study make no plan, so nothing can be "
            "added up");
    }
    if (rc == RC_OK) {
        rc = ledger_compose(l, NULL, LEDGER_SPENT, t.delta, true, &t.spent, NULL, err);
    }
    if (rc == RC_OK) {
        rc = ledger_compose(l, NULL, LEDGER_PROMISED, t.delta, true, &t.promised, &t.filter, err);
    }
    ledger_look_away(l);
    if (rc == RC_OK) {
        t.left = isinf(most) ? HUGE_VAL : fmax(0.0, most - t.promised);
        *out = t;
    }
    return rc;
}
