#include "common/accountant/accountant.h"

#include <assert.h>
#include <math.h>

#include "common/accountant/pld.h"
#include "common/accountant/rdp.h"

/* ---- epsilon --------------------------------------------------------------------------------- */

/* How closely one looks: first at few points, then at twice as many, as long as it pays. */
enum { POINTS_FIRST = 1 << 13 };
#define PAYS_RELATIVE 5e-4
#define PAYS_ABSOLUTE 5e-5

/* Everybody in every step: all of them are one Gaussian, of mu = sqrt(sum steps / sigma^2). */
static bool is_gaussian(const struct mechanism *m, size_t n, double *mu)
{
    double square = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (m[i].steps > 0 && mechanism_costs(&m[i])) {
            if (m[i].q < 1.0) { /* a pure one is none either */
                return false;
            }
            square += (double)m[i].steps / (m[i].sigma * m[i].sigma);
        }
    }
    *mu = sqrt(square);
    return square > 0.0 && isfinite(square);
}

/* log of the upper tail of a standard Gaussian, also where it underflows. */
static double log_tail(double z)
{
    if (z < 30.0) {
        return log(0.5 * erfc(z * sqrt(0.5)));
    }
    return -0.5 * z * z - log(z) - 0.5 * log(2.0 * acos(-1.0)); /* from above: Mills' ratio < 1/z */
}

/* Balle, Wang 2018, Theorem 8: delta(eps) = Phi(mu/2 - eps/mu) - exp(eps) Phi(-mu/2 - eps/mu). */
static double gaussian_delta(double mu, double epsilon)
{
    const double first = log_tail(epsilon / mu - 0.5 * mu);
    const double second = epsilon + log_tail(epsilon / mu + 0.5 * mu);
    return second < first ? -exp(first) * expm1(second - first) : 0.0;
}

static double gaussian_epsilon(double mu, double delta)
{
    double high = 1.0;
    double low = 0.0;
    if (gaussian_delta(mu, 0.0) <= delta) {
        return 0.0;
    }
    while (gaussian_delta(mu, high) > delta) {
        low = high;
        high *= 2.0;
    }
    while (high - low > 1e-14 * high) {
        const double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) {
            break;
        }
        if (gaussian_delta(mu, middle) > delta) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/* A plan, and what every look at it needs. */
struct question {
    const struct mechanism *m;
    size_t n;
    double delta;
    bool gaussian;
    double mu;              /* if it is */
    struct rdp_curve curve; /* if it is not */
};

static struct question question_of(const struct mechanism *m, size_t n, double delta)
{
    struct question q = {.m = m, .n = n, .delta = delta};
    assert(delta > 0.0 && delta < 1.0);
    q.gaussian = is_gaussian(m, n, &q.mu);
    if (!q.gaussian) {
        rdp_compose(m, n, &q.curve);
    }
    return q;
}

/* On a grid of so many points, or better where that is known without one. */
static double cost(const struct question *q, size_t points)
{
    struct pld *p = NULL;
    struct error ignored = {0};
    if (q->gaussian) {
        return gaussian_epsilon(q->mu, q->delta);
    }
    const double by_curve = rdp_epsilon(&q->curve, q->delta, NULL);
    if (by_curve <= 0.0 || isinf(by_curve) ||
        pld_open(q->m, q->n, &q->curve, q->delta, points, &p, &ignored) != RC_OK) {
        return by_curve;
    }
    const double on_grid = pld_epsilon(p, q->delta);
    pld_close(&p);
    return fmin(by_curve, on_grid);
}

/* Looks closer until that pays no more. @param[out] points with which it was seen */
static double look(const struct question *q, size_t *points)
{
    double best = cost(q, POINTS_FIRST);
    double before = HUGE_VAL;
    *points = POINTS_FIRST;
    while (best > 0.0 && *points < PLD_POINTS_MAX &&
           !(before - best <= PAYS_RELATIVE * best + PAYS_ABSOLUTE)) {
        before = best;
        *points *= 2;
        best = fmin(best, cost(q, *points));
    }
    return best;
}

double accountant_epsilon(const struct mechanism *m, size_t n, double delta)
{
    const struct question q = question_of(m, n, delta);
    size_t points = 0;
    return look(&q, &points);
}

double accountant_epsilon_against(const struct mechanism *m, size_t n, double delta, double limit)
{
    const struct question q = question_of(m, n, delta);
    size_t points = 0;
    double best = look(&q, &points);
    /* What looking closer may still give is less than it gave last. */
    const double near = limit + PAYS_RELATIVE * limit + PAYS_ABSOLUTE;
    while (best > limit && best <= near && points < PLD_POINTS_MAX) {
        points *= 2;
        best = fmin(best, cost(&q, points));
    }
    return best;
}

/* ---- noise and steps ------------------------------------------------------------------------- */

struct target {
    double epsilon, delta, q;
    uint64_t steps;
    size_t points;
};

#define SIGMA_MOST  1e6
#define SIGMA_LEAST 1e-6

static double cost_at(const struct target *t, double sigma)
{
    const struct mechanism m = {.q = t->q, .sigma = sigma, .steps = t->steps};
    const struct question q = question_of(&m, 1, t->delta);
    return cost(&q, t->points);
}

/* An interval of noise; low costs more than the target, high does not. */
struct bracket {
    double low, high;
    double cost_low, cost_high;
};

static bool find_bracket(const struct target *t, struct bracket *b)
{
    b->high = 1.0;
    b->cost_high = cost_at(t, b->high);
    while (b->cost_high > t->epsilon) {
        if (b->high >= SIGMA_MOST) {
            return false;
        }
        b->low = b->high;
        b->cost_low = b->cost_high;
        b->high = fmin(2.0 * b->high, SIGMA_MOST);
        b->cost_high = cost_at(t, b->high);
    }
    while (!(b->low > 0.0)) {
        const double lower = 0.5 * b->high;
        const double there = cost_at(t, lower);
        if (there > t->epsilon || lower < SIGMA_LEAST) {
            b->low = lower;
            b->cost_low = there;
        } else {
            b->high = lower;
            b->cost_high = there;
        }
    }
    return true;
}

/* False position on logarithms, where cost is nearly a straight line; an end that stays is given less
 * weight each time (the Illinois rule). */
static void narrow(const struct target *t, struct bracket *b, double width)
{
    double weight_low = 1.0;
    double weight_high = 1.0;
    while (b->high > b->low * (1.0 + width)) {
        const double goal = log(t->epsilon);
        const double above = weight_low * (log(b->cost_low) - goal);
        const double below = weight_high * (goal - log(b->cost_high));
        double share = above / (above + below); /* of the way from low to high */
        if (!(share > 0.0 && share < 1.0)) {    /* a cost is 0 or infinite */
            share = 0.5;
        }
        const double middle = b->low * pow(b->high / b->low, share) * (1.0 + 0.4 * width);
        const double sigma =
            fmin(fmax(middle, b->low * (1.0 + 0.3 * width)), b->high * (1.0 - 0.3 * width));
        const double there = cost_at(t, sigma);
        if (there > t->epsilon) {
            b->low = sigma;
            b->cost_low = there;
            weight_low = 1.0;
            weight_high *= 0.5;
        } else {
            b->high = sigma;
            b->cost_high = there;
            weight_high = 1.0;
            weight_low *= 0.5;
        }
    }
}

static RC target_fault(double epsilon, double delta, double q, uint64_t steps, struct error *err)
{
    if (!(epsilon > 0.0 && isfinite(epsilon))) {
        return error_set(err, RC_INVALID, "epsilon must be a positive number");
    }
    if (!(delta > 0.0 && delta < 1.0)) {
        return error_set(err, RC_INVALID, "delta must lie between 0 and 1");
    }
    if (!(q > 0.0 && q <= 1.0)) {
        return error_set(err, RC_INVALID, "the sampling rate must lie in (0, 1]");
    }
    if (steps == 0) {
        return error_set(err, RC_INVALID, "there must be at least one step");
    }
    return RC_OK;
}

enum rc accountant_sigma(double epsilon, double delta, double q, uint64_t steps, double *sigma,
                         struct error *err)
{
    /* What is found just within on this processor must not be just beyond on another. */
    struct target t = {.epsilon = epsilon * (1.0 - 1e-9),
                       .delta = delta,
                       .q = q,
                       .steps = steps,
                       .points = POINTS_FIRST};
    struct bracket b = {0};

    const enum rc rc = target_fault(epsilon, delta, q, steps, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (!find_bracket(&t, &b)) {
        return error_set(err, RC_LIMIT, "no noise multiplier up to 1e6 reaches epsilon %g",
                         epsilon);
    }
    narrow(&t, &b, 0.02); /* then on a grid that is fine enough at that noise */
    const struct mechanism near = {.q = q, .sigma = b.high, .steps = steps};
    const struct question there = question_of(&near, 1, delta);
    (void)look(&there, &t.points);
    b = (struct bracket){.low = 0.9 * b.low, .high = b.high};
    b.cost_low = cost_at(&t, b.low);
    b.cost_high = cost_at(&t, b.high);
    while (b.cost_low <= t.epsilon && b.low > SIGMA_LEAST) {
        b.high = b.low;
        b.cost_high = b.cost_low;
        b.low *= 0.9;
        b.cost_low = cost_at(&t, b.low);
    }
    narrow(&t, &b, 2e-7);
    *sigma = ceil(b.high * 1e6) / 1e6;
    while (accountant_epsilon(&(struct mechanism){.q = q, .sigma = *sigma, .steps = steps}, 1,
                              delta) > t.epsilon) {
        *sigma = ceil(*sigma * (1.0 + 1e-4) * 1e6) / 1e6; /* it is content with fewer points */
    }
    return RC_OK;
}

uint64_t accountant_steps(double epsilon, double delta, double q, double sigma, uint64_t most)
{
    struct mechanism m = {.q = q, .sigma = sigma, .steps = 1};
    uint64_t within = 0;
    uint64_t beyond = most + 1;
    assert(most > 0 && most < UINT64_MAX);
    while (beyond - within > 1) { /* doubling at first: many steps take longer to account */
        const uint64_t middle = within + (beyond - within) / 2;
        m.steps = within == 0 ? m.steps : middle < 2 * within ? middle : 2 * within;
        if (accountant_epsilon(&m, 1, delta) <= epsilon) {
            within = m.steps;
        } else {
            beyond = m.steps;
        }
    }
    return within;
}

/* ---- attacks --------------------------------------------------------------------------------- */

enum rc accountant_tpr(const struct mechanism *m, size_t n, double fpr, double *tpr,
                       struct error *err)
{
    struct rdp_curve curve = {{0.0}};
    double before = 2.0;
    double now = 1.0;
    if (!(fpr > 0.0 && fpr < 1.0)) {
        return error_set(err, RC_INVALID, "the false-positive rate must lie between 0 and 1");
    }
    rdp_compose(m, n, &curve);
    for (size_t points = POINTS_FIRST; points <= PLD_POINTS_MAX; points *= 2) {
        struct pld *p = NULL;
        const enum rc rc = pld_open(m, n, &curve, 1e-3 * fpr, points, &p, err);
        if (rc != RC_OK) {
            return rc;
        }
        now = fmin(now, pld_tpr(p, fpr));
        pld_close(&p);
        if (before - now <= 5e-4 * now) {
            break;
        }
        before = now;
    }
    *tpr = now;
    return RC_OK;
}
