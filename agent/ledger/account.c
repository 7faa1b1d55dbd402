/*
 * What was spent, what is promised, and whether the policy allows more.
 *
 * A study is one mechanism (q and sigma are fixed by its plan), so an account is one line per
 * study: steps spent and steps still to come. Everything is composed by adding Rényi curves: a
 * filter with a fixed bound stays valid although each study is chosen after the others were seen
 * (Feldman, Zrnic 2021, "Individual Privacy Accounting via a Rényi Filter").
 */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/ledger/ledger_internal.h"

/* Up to here a double counts steps exactly. */
#define STEPS_MOST ((uint64_t)1 << 53)

const char *ledger_plan_fault(const struct ledger_plan *p)
{
    if (!(p->round.q > 0.0 && p->round.q <= 1.0)) {
        return "the sampling rate must lie in (0, 1]";
    }
    if (!(p->round.sigma >= 0.0 && isfinite(p->round.sigma))) {
        return "the noise multiplier must be a number that is not negative";
    }
    if (p->round.steps == 0 || p->rounds == 0 || p->round.steps > STEPS_MOST / p->rounds) {
        return "rounds and steps must be at least 1, and their product at most 2^53";
    }
    if (!(p->clip > 0.0 && isfinite(p->clip))) {
        return "the clipping bound must be a positive number";
    }
    if (!(p->epsilon > 0.0)) {
        return "epsilon must be above 0";
    }
    if (!(p->delta < 1.0) || !(p->delta > 0.0 || (p->round.sigma == 0.0 && p->delta >= 0.0))) {
        return "delta must lie between 0 and 1";
    }
    return NULL;
}

/* ---- composing ------------------------------------------------------------------------------- */

static double composed(struct ledger *l, const struct mechanism *m, size_t n, double delta)
{
    struct hasher h;
    hasher_init(&h);
    hasher_f64(&h, delta);
    for (size_t i = 0; i < n; i++) {
        hasher_f64(&h, m[i].q);
        hasher_f64(&h, m[i].sigma);
        hasher_u64(&h, m[i].steps);
    }
    const struct hash asked = hasher_final(&h);
    for (size_t i = 0; i < LEDGER_MEMO; i++) {
        if (l->memo[i].used && hash_equal(&l->memo[i].asked, &asked)) {
            return l->memo[i].epsilon;
        }
    }
    const double epsilon = accountant_epsilon(m, n, delta);
    l->memo[l->memo_next] = (struct ledger_memo){.asked = asked, .epsilon = epsilon, .used = true};
    l->memo_next = (l->memo_next + 1) % LEDGER_MEMO;
    return epsilon;
}

double ledger_cost(struct ledger *l, const struct ledger_plan *plan, uint64_t steps, double delta)
{
    const struct mechanism m = {plan->round.q, plan->round.sigma, steps};
    if (m.sigma == 0.0 && steps > 0) {
        return HUGE_VAL; /* its delta may be 0, which the accountant does not take */
    }
    return steps > 0 ? composed(l, &m, 1, delta) : 0.0;
}

/* Steps of a study that count. `own`: it is the one that the question is about. */
static uint64_t counted(enum ledger_share share, bool own, uint64_t spent, uint64_t promised)
{
    const bool with_promised = share == LEDGER_AFTER || (share == LEDGER_PROMISED && !own);
    return spent + (with_promised ? promised : 0);
}

/* One LEDGER_ACCOUNTS row as the steps it counts for. */
static struct mechanism account_at(struct statement *st, enum ledger_share share)
{
    struct mechanism m = {.q = statement_real(st, 1), .sigma = statement_real(st, 2)};
    const uint64_t steps = (uint64_t)statement_i64(st, 3);
    const uint64_t rounds = (uint64_t)statement_i64(st, 4);
    const bool ended = !statement_is_null(st, 5);
    const uint64_t newest = (uint64_t)statement_i64(st, 6);
    m.steps = counted(share, false, (uint64_t)statement_i64(st, 7),
                      ended ? 0 : (rounds - newest) * steps);
    return m;
}

enum rc ledger_joined(struct ledger *l, size_t *n, struct error *err)
{
    struct statement *st = l->st[LEDGER_COUNT_STUDIES];
    bool row = false;
    const enum rc rc = statement_step(st, &row, err);
    if (rc != RC_OK) {
        return rc;
    }
    assert(row);
    *n = (size_t)statement_i64(st, 0);
    statement_reset(st);
    return RC_OK;
}

enum rc ledger_compose(struct ledger *l, const struct ledger_plan *self, enum ledger_share share,
                       double delta, double *out, struct error *err)
{
    struct statement *st = l->st[LEDGER_ACCOUNTS];
    struct mechanism *m;
    size_t n = 0;
    size_t room = 0;
    bool row = false;

    enum rc rc = ledger_joined(l, &room, err);
    if (rc != RC_OK) {
        return rc;
    }
    room++;
    rc = ledger_room(&l->accounts, arena_cost(room, sizeof *m), err);
    if (rc != RC_OK) {
        return rc;
    }
    m = arena_take(&l->accounts, room, sizeof *m);
    for (;;) {
        rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            break;
        }
        if (self == NULL || statement_i64(st, 0) != self->id) {
            m[n] = account_at(st, share);
            n += m[n].steps > 0;
            assert(n < room); /* both questions are of one transaction */
        }
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (self != NULL) {
        m[n] = self->round;
        m[n].steps = counted(share, true, self->spent_steps, self->promised_steps);
        n += m[n].steps > 0;
    }
    *out = composed(l, m, n, delta);
    return RC_OK;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* What the policy objects to first. */
enum objection { NONE, ENDED, COHORT, SITES, COLLUDING, DELTA, PER_STUDY, TOTAL };

static enum objection object(const struct ledger_policy *may, const struct ledger_plan *p,
                             bool cohort_too_small, const struct ledger_forecast *f)
{
    if (p->ended) {
        return ENDED;
    }
    if (cohort_too_small) {
        return COHORT;
    }
    if (p->min_sites < may->min_sites) {
        return SITES;
    }
    if (p->max_colluding < may->max_colluding) {
        return COLLUDING;
    }
    /* Without noise delta means nothing: epsilon is infinite and is what must be allowed. */
    if (p->round.sigma > 0.0 && p->delta > may->max_delta_per_study) {
        return DELTA;
    }
    /* The sum of what was spent and is promised is the study's whole plan, less skipped rounds. */
    if (!(f->epsilon_study <= may->max_epsilon_per_study)) {
        return PER_STUDY;
    }
    if (!(f->epsilon_after <= may->max_epsilon_total)) {
        return TOTAL;
    }
    return NONE;
}

struct figure {
    char text[32];
};

/* Two decimals, or as many as it takes not to look like the figure it is compared with. */
static struct figure figure(double x, double beside)
{
    struct figure a = {""};
    struct figure b = {""};
    for (int digits = 2; digits <= 12; digits += 2) {
        const bool plain = fabs(x) < 1e6;
        (void)snprintf(a.text, sizeof a.text, plain ? "%.*f" : "%.*e", digits, x);
        (void)snprintf(b.text, sizeof b.text, plain ? "%.*f" : "%.*e", digits, beside);
        if (x == beside || strcmp(a.text, b.text) != 0) {
            break;
        }
    }
    return a;
}

struct sentence {
    char text[240];
};

static struct sentence say(const char *fmt, ...) PRINTF_LIKE(1, 2);

static struct sentence say(const char *fmt, ...)
{
    struct sentence s;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(s.text, sizeof s.text, fmt, ap);
    va_end(ap);
    return s;
}

static struct sentence say_left(const struct ledger_policy *may, double left)
{
    const double most = may->max_epsilon_total;
    return isinf(most)
               ? say("there is no limit in total")
               : say("%s of %s is left in total", figure(left, left).text, figure(most, most).text);
}

static struct sentence say_why(enum objection why, const struct ledger_policy *may,
                               const struct ledger_plan *p, const struct ledger_forecast *f)
{
    const struct sentence left = say_left(may, f->epsilon_left);
    const struct figure asked = figure(f->epsilon_study, may->max_epsilon_per_study);

    switch (why) {
    case NONE:
        break;
    case ENDED:
        return say("study '%s' has ended at this site", p->name);
    case COHORT: /* nobody outside learns how small */
        return say("study '%s' asks epsilon %s, the cohort is smaller than the policy's "
                   "min_patients; %s",
                   p->name, asked.text, left.text);
    case SITES:
        return say("study '%s' promises min_sites %zu, the policy wants at least %zu; epsilon %s",
                   p->name, p->min_sites, may->min_sites, left.text);
    case COLLUDING:
        return say("study '%s' withstands max_colluding %zu, the policy wants at least %zu; "
                   "epsilon %s",
                   p->name, p->max_colluding, may->max_colluding, left.text);
    case DELTA:
        return say("study '%s' asks delta %.9g, the policy allows %.9g per study; epsilon %s",
                   p->name, p->delta, may->max_delta_per_study, left.text);
    case PER_STUDY:
        return say("study '%s' asks epsilon %s, the policy allows %s per study; %s", p->name,
                   asked.text, figure(may->max_epsilon_per_study, f->epsilon_study).text,
                   left.text);
    case TOTAL: /* both deltas: the sum is taken at the policy's, where a study may cost less */
        return say(
            "study '%s' asks epsilon %s at delta %.4g, which with the other studies makes %s "
            "at delta %.4g, the policy allows %s in total; %s",
            p->name, asked.text, p->delta, figure(f->epsilon_after, may->max_epsilon_total).text,
            may->max_delta_per_study, figure(may->max_epsilon_total, f->epsilon_after).text,
            left.text);
    }
    return say("%s", "");
}

enum rc ledger_judge(struct ledger *l, const struct ledger_plan *plan, bool cohort_too_small,
                     bool full, struct ledger_forecast *out, struct error *err)
{
    const struct ledger_policy *may = &l->policy;
    const double delta = may->max_delta_per_study;
    struct ledger_forecast f = {0};

    f.epsilon_study = ledger_cost(l, plan, plan->spent_steps + plan->promised_steps, plan->delta);
    enum rc rc = ledger_compose(l, plan, LEDGER_AFTER, delta, &f.epsilon_after, err);
    if (rc != RC_OK) {
        return rc;
    }
    const enum objection why = object(may, plan, cohort_too_small, &f);
    f.allowed = why == NONE;
    if (full || !f.allowed) {
        rc = ledger_compose(l, plan, LEDGER_SPENT, delta, &f.epsilon_spent, err);
        if (rc == RC_OK) {
            rc = ledger_compose(l, plan, LEDGER_PROMISED, delta, &f.epsilon_promised, err);
        }
        if (rc != RC_OK) {
            return rc;
        }
        f.epsilon_left = isinf(may->max_epsilon_total)
                             ? HUGE_VAL
                             : fmax(0.0, may->max_epsilon_total - f.epsilon_promised);
        memcpy(f.reason, say_why(why, may, plan, &f).text, sizeof f.reason);
    }
    *out = f;
    return RC_OK;
}
