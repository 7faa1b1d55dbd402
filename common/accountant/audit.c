#include "common/accountant/audit.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>

#include "common/accountant/accountant.h"

/* P(X <= k) of a binomial, summed down from k, where the terms are largest if k is below the mean. */
static double binomial_tail(size_t k, size_t n, double p)
{
    const double nd = (double)n;
    const double kd = (double)k;
    double term = exp(lgamma(nd + 1.0) - lgamma(kd + 1.0) - lgamma(nd - kd + 1.0) + kd * log(p) +
                      (nd - kd) * log1p(-p));
    double sum = 0.0;
    for (size_t i = k;; i--) {
        sum += term;
        if (i == 0 || term < 1e-18 * sum) {
            return fmin(1.0, sum);
        }
        term *= (double)i / (nd - (double)i + 1.0) * (1.0 - p) / p;
    }
}

double audit_share_most(size_t k, size_t n, double chance)
{
    double low = n > 0 ? (double)k / (double)n : 1.0;
    double high = 1.0;
    if (k >= n) {
        return 1.0;
    }
    while (high - low > 1e-12) {
        const double middle = 0.5 * (low + high);
        if (binomial_tail(k, n, middle) > chance) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/* z with P(Z > z) = tail, by bisection. */
static double normal_quantile(double tail)
{
    double low = -40.0;
    double high = 40.0;
    while (high - low > 1e-12) {
        const double middle = 0.5 * (low + high);
        if (0.5 * erfc(middle * sqrt(0.5)) > tail) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

struct audit_bounds audit_lower(const struct audit_counts *counts, double delta, double risk)
{
    assert(delta > 0.0 && delta < 1.0);
    assert(risk > 0.0 && risk < 1.0);
    struct audit_bounds b = {0.0, 0.0, 0.0};
    const double fpr = audit_share_most(counts->out_found, counts->out, 0.5 * risk);
    const double fnr = audit_share_most(counts->in - counts->in_found, counts->in, 0.5 * risk);

    if (fpr < 1.0 && 1.0 - fnr > delta) {
        b.epsilon = fmax(0.0, log((1.0 - fnr - delta) / fpr));
    }
    if (fpr < 1.0 && fnr < 1.0) {
        b.mu = fmax(0.0, normal_quantile(fpr) + normal_quantile(fnr));
    }
    if (b.mu > 0.0) {
        const struct mechanism gaussian = {.q = 1.0, .sigma = 1.0 / b.mu, .steps = 1};
        b.epsilon_gaussian = accountant_epsilon(&gaussian, 1, delta);
    }
    return b;
}

/* ---- one run ---------------------------------------------------------------------------------- */

/* P(X = k) of a binomial. */
static double binomial_at(size_t k, size_t n, double p)
{
    const double nd = (double)n;
    const double kd = (double)k;
    return exp(lgamma(nd + 1.0) - lgamma(kd + 1.0) - lgamma(nd - kd + 1.0) + kd * log(p) +
               (nd - kd) * log1p(-p));
}

/* Steinke et al. 2023, Theorem 5.2: at most this is the chance of so many right guesses. With W a binomial
 * of the guesses at e^eps / (1 + e^eps), beta = P(W >= v) and alpha = max_i P(v > W >= v - i) / i. */
static double chance_of_guesses(const struct audit_guesses *g, double epsilon, double delta)
{
    const double p = 1.0 / (1.0 + exp(-epsilon));
    double beta = 0.0;
    double alpha = 0.0;
    double below = 0.0;
    for (size_t k = g->guesses + 1; k-- > g->right;) {
        beta += binomial_at(k, g->guesses, p);
    }
    for (size_t i = 1; i <= g->right; i++) {
        below += binomial_at(g->right - i, g->guesses, p);
        alpha = fmax(alpha, below / (double)i);
    }
    return fmin(1.0, beta + 2.0 * alpha * delta * (double)g->coins);
}

double audit_one_run(const struct audit_guesses *g, double delta, double risk)
{
    assert(g->right <= g->guesses);
    assert(g->guesses <= g->coins);
    assert(delta > 0.0 && delta < 1.0);
    assert(risk > 0.0 && risk < 1.0);
    double low = 0.0;
    double high = 40.0;
    if (g->guesses == 0 || chance_of_guesses(g, 0.0, delta) > risk) {
        return 0.0;
    }
    while (high - low > 1e-9) {
        const double middle = 0.5 * (low + high);
        if (chance_of_guesses(g, middle, delta) > risk) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return low;
}
