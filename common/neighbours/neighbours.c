#include "common/neighbours/neighbours.h"

#include <assert.h>
#include <math.h>

/* ln i! up to the roster. */
struct table {
    double factorial[NEIGHBOURS_SITES_MAX + 1];
};

static void fill(struct table *t, size_t n)
{
    assert(n <= NEIGHBOURS_SITES_MAX);
    t->factorial[0] = 0.0;
    for (size_t i = 1; i <= n; i++) {
        t->factorial[i] = t->factorial[i - 1] + log((double)i);
    }
}

/* ln C(n, k) */
static double choose(const struct table *t, size_t n, size_t k)
{
    return k > n ? -HUGE_VAL : t->factorial[n] - t->factorial[k] - t->factorial[n - k];
}

static double log_add(double a, double b)
{
    const double high = a > b ? a : b, low = a > b ? b : a;
    return low == -HUGE_VAL ? high : high + log1p(exp(low - high));
}

/* ln P[from <= X <= to], X hypergeometric: of n sites `marked` are marked, k are drawn. */
static double between(const struct table *t, size_t n, size_t marked, size_t k, size_t from,
                      size_t to)
{
    double sum = -HUGE_VAL;
    for (size_t i = from; i <= to && i <= k; i++) {
        if (i <= marked && k - i <= n - marked) {
            sum = log_add(sum, choose(t, marked, i) + choose(t, n - marked, k - i));
        }
    }
    return sum - choose(t, n, k);
}

/* ln of the chance that a site's holders avoid all of `others` sites. */
static double avoids(const struct table *t, size_t n, size_t others, size_t k)
{
    return others > n ? -HUGE_VAL : choose(t, n - others, k) - choose(t, n, k);
}

static void check(const struct neighbours *g)
{
    assert(g->n_sites >= 2 && g->n_sites <= NEIGHBOURS_SITES_MAX);
    assert(g->each >= 1 && g->each < g->n_sites);
    assert(g->open >= 1 && g->open <= g->each);
}

/* ln of the chance that a part of s honest sites is cut off and opened. */
static double part(const struct table *t, const struct neighbours *g, size_t s)
{
    const size_t h = g->n_sites - g->corrupt, n = g->n_sites - 1, k = g->each;
    const size_t v = g->honest > 2 * s ? g->honest - s : s;
    if (s + v > h) {
        return -HUGE_VAL;
    }
    const double held = (double)s * between(t, n, g->corrupt + s - 1, k, g->open, k);
    const double apart =
        choose(t, h - s, v) + (double)s * avoids(t, n, v, k) + (double)v * avoids(t, n, s, k);
    return choose(t, h, s) + (held < apart ? held : apart);
}

static double risk(const struct table *t, const struct neighbours *g, double enough)
{
    if (g->corrupt >= g->n_sites) {
        return 0.0;
    }
    const size_t h = g->n_sites - g->corrupt;
    double sum = log((double)h) + between(t, g->n_sites - 1, g->corrupt, g->each, g->open, g->each);
    for (size_t s = 1; s <= h / 2 && sum <= enough; s++) {
        sum = log_add(sum, part(t, g, s));
    }
    return sum;
}

double neighbours_risk(const struct neighbours *g)
{
    struct table t;
    check(g);
    fill(&t, g->n_sites);
    return fmin(risk(&t, g, HUGE_VAL) / log(2.0), 0.0);
}

static double loss(const struct table *t, const struct neighbours *g, size_t present)
{
    return log((double)g->n_sites) +
           between(t, g->n_sites - 1, present - 1, g->each, 0, g->open - 1);
}

double neighbours_loss(const struct neighbours *g, size_t present)
{
    struct table t;
    check(g);
    assert(present >= 1 && present <= g->n_sites);
    fill(&t, g->n_sites);
    return fmin(loss(&t, g, present) / log(2.0), 0.0);
}

bool neighbours_plan(struct neighbours *g, size_t present)
{
    const double risk_most = NEIGHBOURS_RISK_LOG2 * log(2.0);
    const double loss_most = NEIGHBOURS_LOSS_LOG2 * log(2.0);
    struct neighbours try = *g;
    struct table t;

    assert(g->n_sites >= 2 && present >= 1 && present <= g->n_sites);
    fill(&t, g->n_sites);
    for (try.each = 1; try.each < g->n_sites && try.each <= NEIGHBOURS_EACH_MAX; try.each++) {
        /* As high as rounds survive: a higher one is never easier to open. */
        try.open = try.each;
        while (try.open > 0 && loss(&t, &try, present) > loss_most) {
            try.open--;
        }
        if (try.open > 0 && risk(&t, &try, risk_most) <= risk_most) {
            *g = try;
            return true;
        }
    }
    return false;
}
