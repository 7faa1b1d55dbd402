/*
 * What was spent, what is promised, and whether the policy allows more.
 *
 * A study is one mechanism (q and sigma are fixed by its plan), so an account is one line per
 * study: steps spent and steps still to come; evaluations are a line for each epsilon. One study by itself costs what its privacy-loss
 * distribution says, because its plan is fixed before its first step. Studies are chosen after
 * earlier ones were seen, and no distribution is known to hold for that; a Rényi filter does
 * (Feldman, Zrnic 2021, "Individual Privacy Accounting via a Rényi Filter"): the policy's total is
 * kept at one order that follows from the policy alone. docs/PRIVACY.md has the argument.
 */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/ledger/ledger_internal.h"
#include "common/accountant/accountant.h"
#include "common/accountant/rdp.h"

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

enum how {
    PLANNED, /* one plan, fixed beforehand: tight */
    BOUNDED, /* the same, or something larger that is within the limit: enough to say yes, and soon */
    SUMMED,  /* curves, at the best order: what it would be had all been planned beforehand */
    FILTERED /* curves, at the order of the policy's total: what holds however they were chosen */
};

static double computed(const struct ledger_policy *may, enum how how, const struct mechanism *m,
                       size_t n, double delta, double limit)
{
    struct rdp_curve curve = {{0.0}};
    if (how == PLANNED) {
        return accountant_epsilon_against(m, n, delta, limit);
    }
    rdp_compose(m, n, &curve);
    if (how == BOUNDED) {
        const double bound = rdp_epsilon(&curve, delta, NULL);
        return bound <= limit ? bound : accountant_epsilon_against(m, n, delta, limit);
    }
    if (how == SUMMED) {
        return rdp_epsilon(&curve, delta, NULL);
    }
    return rdp_epsilon_at(&curve, rdp_filter_order(may->max_epsilon_total, delta), delta);
}

static double composed(struct ledger *l, enum how how, const struct mechanism *m, size_t n,
                       double delta, double limit)
{
    struct hasher h;
    hasher_init(&h);
    hasher_u64(&h, (uint64_t)how);
    hasher_f64(&h, delta);
    hasher_f64(&h, limit);
    for (size_t i = 0; i < n; i++) {
        hasher_f64(&h, m[i].q);
        hasher_f64(&h, m[i].sigma);
        hasher_u64(&h, m[i].steps);
        hasher_f64(&h, m[i].pure);
    }
    const struct hash asked = hasher_final(&h);
    for (size_t i = 0; i < LEDGER_MEMO; i++) {
        if (l->memo[i].used && hash_equal(&l->memo[i].asked, &asked)) {
            return l->memo[i].epsilon;
        }
    }
    const double epsilon = computed(&l->policy, how, m, n, delta, limit);
    l->memo[l->memo_next] = (struct ledger_memo){.asked = asked, .epsilon = epsilon, .used = true};
    l->memo_next = (l->memo_next + 1) % LEDGER_MEMO;
    return epsilon;
}

double ledger_cost(struct ledger *l, const struct ledger_plan *plan, uint64_t steps, double delta,
                   bool tight)
{
    const struct mechanism m = {.q = plan->round.q, .sigma = plan->round.sigma, .steps = steps};
    if (m.sigma == 0.0 && steps > 0) {
        return HUGE_VAL; /* its delta may be 0, which the accountant does not take */
    }
    const enum how how = tight ? PLANNED : BOUNDED;
    return steps > 0 ? composed(l, how, &m, 1, delta, l->policy.max_epsilon_per_study) : 0.0;
}

double ledger_reader_cost(struct ledger *l, const struct ledger_plan *plan, uint64_t steps,
                          double delta, double cost)
{
    if (!(plan->reader_sigma > plan->round.sigma) || steps == 0) {
        return cost;
    }
    const struct mechanism m = {.q = plan->round.q, .sigma = plan->reader_sigma, .steps = steps};
    return composed(l, PLANNED, &m, 1, delta, l->policy.max_epsilon_per_study);
}

enum rc ledger_cost_of_all(struct ledger *l, const struct ledger_plan *plan, double *out,
                           struct error *err)
{
    const struct mechanism rounds = {.q = plan->round.q,
                                     .sigma = plan->round.sigma,
                                     .steps = plan->spent_steps};
    size_t kinds = 0;
    size_t n = 0;
    enum rc rc = ledger_evaluation_kinds(l, &kinds, err);
    if (rc == RC_OK) {
        rc = ledger_room(&l->accounts, arena_cost(kinds + 1, sizeof(struct mechanism)), err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    struct mechanism *m = arena_take(&l->accounts, kinds + 1, sizeof *m);
    rc = ledger_evaluation_costs(l, plan->id, m, kinds, &n, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (n == 0 || (rounds.sigma == 0.0 && rounds.steps > 0)) { /* nothing to add, or to add to */
        *out = ledger_cost(l, plan, rounds.steps, plan->delta, true);
        return RC_OK;
    }
    if (rounds.steps > 0) {
        m[n++] = rounds;
    }
    /* without noise delta may be 0: the sum of pure epsilons holds at any */
    *out = plan->delta > 0.0
               ? composed(l, PLANNED, m, n, plan->delta, l->policy.max_epsilon_per_study)
               : 0.0;
    for (size_t i = 0; !(plan->delta > 0.0) && i < n; i++) {
        *out += (double)m[i].steps * m[i].pure;
    }
    return RC_OK;
}

/* Steps of a study that count. `own`: it is the one that the question is about. */
static uint64_t counted(enum ledger_share share, bool own, uint64_t spent, uint64_t promised)
{
    const bool with_promised = share == LEDGER_AFTER || (share == LEDGER_PROMISED && !own);
    return spent + (with_promised ? promised : 0);
}

/* One LEDGER_ACCOUNTS row as the steps it counts for, and all that it was joined for. */
static struct mechanism account_at(struct statement *st, enum ledger_share share, uint64_t *whole)
{
    struct mechanism m = {.q = statement_real(st, 1), .sigma = statement_real(st, 2)};
    const uint64_t steps = (uint64_t)statement_i64(st, 3);
    const uint64_t rounds = (uint64_t)statement_i64(st, 4);
    const bool ended = !statement_is_null(st, 5);
    const uint64_t newest = (uint64_t)statement_i64(st, 6);
    m.steps = counted(share, false, (uint64_t)statement_i64(st, 7),
                      ended ? 0 : (rounds - newest) * steps);
    *whole = rounds * steps;
    return m;
}

/* Studies that count, in l->accounts. */
struct accounts {
    struct mechanism *m;
    size_t n;
    bool alone; /* one of the others was allowed only because nothing stood beside it */
};

static RC others(struct ledger *l, const struct ledger_plan *self, enum ledger_share share,
                 double delta, struct accounts *a, struct error *err)
{
    struct statement *st = l->st[LEDGER_ACCOUNTS];
    const double most = l->policy.max_epsilon_total;
    for (;;) {
        uint64_t whole = 0;
        bool row = false;
        const enum rc rc = statement_step(st, &row, err);
        if (rc != RC_OK || !row) {
            return rc;
        }
        if (self != NULL && statement_i64(st, 0) == self->id) {
            continue;
        }
        struct mechanism m = account_at(st, share, &whole);
        if (m.steps > 0) {
            a->m[a->n++] = m;
            m.steps = whole;
            a->alone = a->alone || composed(l, FILTERED, &m, 1, delta, most) > most;
        }
    }
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
                       double delta, bool tight, double *sum, double *filter, struct error *err)
{
    const double most = l->policy.max_epsilon_total;
    struct accounts a = {0};
    size_t room = 0;
    size_t kinds = 0;

    enum rc rc = ledger_joined(l, &room, err);
    if (rc == RC_OK) {
        rc = ledger_evaluation_kinds(l, &kinds, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    room += kinds + 1;
    rc = ledger_room(&l->accounts, arena_cost(room, sizeof *a.m), err);
    if (rc != RC_OK) {
        return rc;
    }
    a.m = arena_take(&l->accounts, room, sizeof *a.m);
    rc = others(l, self, share, delta, &a, err);
    if (rc == RC_OK) {
        rc = ledger_evaluation_costs(l, 0, a.m + a.n, kinds, &kinds, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    a.n += kinds;
    if (self != NULL) {
        a.m[a.n] = self->round;
        a.m[a.n].steps = counted(share, true, self->spent_steps, self->promised_steps);
        a.n += a.m[a.n].steps > 0;
    }
    assert(a.n <= room); /* both questions are of one transaction */
    const enum how alone = tight ? PLANNED : BOUNDED;
    *sum = composed(l, a.n == 1 ? alone : SUMMED, a.m, a.n, delta, most);
    if (filter != NULL && a.alone && a.n > 1) {
        *filter = HUGE_VAL;
    } else if (filter != NULL) {
        *filter = a.n == 1 ? *sum : composed(l, FILTERED, a.m, a.n, delta, most);
    }
    return RC_OK;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* What the policy objects to, as bits: a person mends all of it in one go. */
enum objection {
    ENDED = 1 << 0,
    COHORT = 1 << 1,
    SITES = 1 << 2,
    COLLUDING = 1 << 3,
    DELTA = 1 << 4,
    PER_STUDY = 1 << 5,
    TOTAL = 1 << 6,
    MASKED = 1 << 7,
    THRESHOLD = 1 << 8,
    SHARED = 1 << 9
};

static unsigned object(const struct ledger_policy *may, const struct ledger_plan *p,
                       bool cohort_too_small, const struct ledger_forecast *f)
{
    unsigned all = 0;
    if (p->ended) {
        return ENDED; /* nothing mends that */
    }
    if (cohort_too_small) {
        all |= COHORT;
    }
    if (p->min_sites < may->min_sites) {
        all |= SITES;
    }
    if (p->max_colluding < may->max_colluding) {
        all |= COLLUDING;
    }
    if (may->masked && !p->masked) {
        all |= MASKED;
    }
    if (p->masked && p->threshold < may->threshold) {
        all |= THRESHOLD;
    }
    if (p->reader_sigma > 0.0 && !may->shared_noise) {
        all |= SHARED;
    }
    /* Without noise delta means nothing: epsilon is infinite and is what must be allowed. */
    if (p->round.sigma > 0.0 && p->delta > may->max_delta_per_study) {
        all |= DELTA;
    }
    /* The sum of what was spent and is promised is the study's whole plan, less skipped rounds. */
    if (!(f->epsilon_study <= may->max_epsilon_per_study)) {
        all |= PER_STUDY;
    }
    if (!(f->epsilon_filter <= may->max_epsilon_total)) {
        all |= TOTAL;
    }
    return all;
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
    char text[240]; /* as in an error and a forecast */
    size_t n;
};

/* One more piece, whole or not at all: what does not fit beside a very long name is left out. */
static void add(struct sentence *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add(struct sentence *s, const char *fmt, ...)
{
    char piece[sizeof s->text];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    if (n > 0 && s->n + (size_t)n < sizeof s->text) {
        memcpy(s->text + s->n, piece, (size_t)n + 1);
        s->n += (size_t)n;
    }
}

/* Nobody outside learns how small the cohort is, nor which floor it missed. */
static struct sentence say_why(unsigned why, const struct ledger_policy *may,
                               const struct ledger_plan *p, const struct ledger_forecast *f)
{
    struct sentence s = {.text = ""};
    const double most = may->max_epsilon_total;
    if (why == 0) {
        return s;
    }
    if (why == ENDED) {
        add(&s, "study '%s' has ended at this site", p->name);
        return s;
    }
    add(&s, "site.yaml, section policy, refuses study '%s'", p->name);
    const char *sign = ": ";
    const size_t before = s.n;
    if (why & PER_STUDY) {
        add(&s, "%sepsilon %s (at most %s)", sign,
            figure(f->epsilon_study, may->max_epsilon_per_study).text,
            figure(may->max_epsilon_per_study, f->epsilon_study).text);
        sign = s.n > before ? ", " : sign;
    }
    if (why & TOTAL) { /* with its delta: a study may cost less at its own */
        add(&s, "%sin total %s at delta %.4g (at most %s)", sign,
            figure(f->epsilon_filter, most).text, may->max_delta_per_study,
            figure(most, f->epsilon_filter).text);
        sign = s.n > before ? ", " : sign;
    }
    if (why & DELTA) {
        add(&s, "%sdelta %.9g (at most %.9g)", sign, p->delta, may->max_delta_per_study);
        sign = s.n > before ? ", " : sign;
    }
    if (why & SITES) {
        add(&s, "%smin_sites %zu (at least %zu)", sign, p->min_sites, may->min_sites);
        sign = s.n > before ? ", " : sign;
    }
    if (why & COLLUDING) {
        add(&s, "%smax_colluding %zu (at least %zu)", sign, p->max_colluding, may->max_colluding);
        sign = s.n > before ? ", " : sign;
    }
    if (why & MASKED) {
        add(&s, "%ssums that are not masked", sign);
        sign = s.n > before ? ", " : sign;
    }
    if (why & THRESHOLD) {
        add(&s, "%sthreshold %zu (at least %zu)", sign, p->threshold, may->threshold);
        sign = s.n > before ? ", " : sign;
    }
    if (why & SHARED) {
        add(&s, "%sshared noise (shared_noise is false)", sign);
        sign = s.n > before ? ", " : sign;
    }
    if (why & COHORT) {
        add(&s, "%sa cohort below min_patients", sign);
    }
    if (isinf(most)) {
        add(&s, "; no limit in total");
    } else {
        add(&s, "; epsilon %s of %s is left", figure(f->epsilon_left, f->epsilon_left).text,
            figure(most, most).text);
    }
    return s;
}

enum rc ledger_judge(struct ledger *l, const struct ledger_plan *plan, bool cohort_too_small,
                     bool full, struct ledger_forecast *out, struct error *err)
{
    const struct ledger_policy *may = &l->policy;
    const double delta = may->max_delta_per_study;
    struct ledger_forecast f = {0};

    f.epsilon_study =
        ledger_cost(l, plan, plan->spent_steps + plan->promised_steps, plan->delta, full);
    enum rc rc = ledger_compose(l, plan, LEDGER_AFTER, delta, full, &f.epsilon_after,
                                &f.epsilon_filter, err);
    if (rc != RC_OK) {
        return rc;
    }
    const unsigned why = object(may, plan, cohort_too_small, &f);
    f.allowed = why == 0;
    f.epsilon_reader = f.epsilon_study;
    if (full) {
        f.epsilon_reader = ledger_reader_cost(l, plan, plan->spent_steps + plan->promised_steps,
                                              plan->delta, f.epsilon_study);
    }
    if (full || !f.allowed) {
        rc = ledger_compose(l, plan, LEDGER_SPENT, delta, true, &f.epsilon_spent, NULL, err);
        if (rc == RC_OK) {
            rc = ledger_compose(l, plan, LEDGER_PROMISED, delta, true, &f.epsilon_promised, NULL,
                                err);
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
