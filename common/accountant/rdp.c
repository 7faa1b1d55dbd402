#include "common/accountant/rdp.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

/* 1.1 … 10.9 by 0.1 · 11 … 63 by 1 · 64, 80, 96, 128, 192, 256, 512, 1024 */
static const double orders[] = {
    1.1,  1.2,  1.3,  1.4,  1.5,  1.6,   1.7,   1.8,   1.9,   2.0,    2.1,  2.2,  2.3,  2.4,  2.5,
    2.6,  2.7,  2.8,  2.9,  3.0,  3.1,   3.2,   3.3,   3.4,   3.5,    3.6,  3.7,  3.8,  3.9,  4.0,
    4.1,  4.2,  4.3,  4.4,  4.5,  4.6,   4.7,   4.8,   4.9,   5.0,    5.1,  5.2,  5.3,  5.4,  5.5,
    5.6,  5.7,  5.8,  5.9,  6.0,  6.1,   6.2,   6.3,   6.4,   6.5,    6.6,  6.7,  6.8,  6.9,  7.0,
    7.1,  7.2,  7.3,  7.4,  7.5,  7.6,   7.7,   7.8,   7.9,   8.0,    8.1,  8.2,  8.3,  8.4,  8.5,
    8.6,  8.7,  8.8,  8.9,  9.0,  9.1,   9.2,   9.3,   9.4,   9.5,    9.6,  9.7,  9.8,  9.9,  10.0,
    10.1, 10.2, 10.3, 10.4, 10.5, 10.6,  10.7,  10.8,  10.9,  11.0,   12.0, 13.0, 14.0, 15.0, 16.0,
    17.0, 18.0, 19.0, 20.0, 21.0, 22.0,  23.0,  24.0,  25.0,  26.0,   27.0, 28.0, 29.0, 30.0, 31.0,
    32.0, 33.0, 34.0, 35.0, 36.0, 37.0,  38.0,  39.0,  40.0,  41.0,   42.0, 43.0, 44.0, 45.0, 46.0,
    47.0, 48.0, 49.0, 50.0, 51.0, 52.0,  53.0,  54.0,  55.0,  56.0,   57.0, 58.0, 59.0, 60.0, 61.0,
    62.0, 63.0, 64.0, 80.0, 96.0, 128.0, 192.0, 256.0, 512.0, 1024.0,
};
static_assert(sizeof orders / sizeof *orders == RDP_ORDERS,
              "the grid of the header and the table are one");

/* A fractional order beyond this would overflow the term table of log_a_fractional. */
enum { FRACTIONAL_ORDER_MAX = 64 };
/* Terms of the alternating tail: its error is below 2 / (3 + sqrt 8)^22 = 3e-17 of its first term. */
enum { TAIL_TERMS = 22 };

size_t rdp_orders(const double **order)
{
    *order = orders;
    return RDP_ORDERS;
}

/* log(exp a + exp b) */
static double log_add(double a, double b)
{
    double high = fmax(a, b);
    double low = fmin(a, b);
    return low == -HUGE_VAL ? high : high + log1p(exp(low - high));
}

/* log(exp x - 1), x >= 0. */
static double log_expm1(double x)
{
    return x > 40.0 ? x : log(expm1(x)); /* exp(-40) is below half an ulp of 40 */
}

/*
 * log of E_Q[(P/Q)^a], integer a: Mironov, Talwar, Zhang 2019, section 3.3,
 *     A = sum_k C(a,k) (1-q)^(a-k) q^k exp((k^2-k) / 2 sigma^2).
 * The binomial weights sum to 1 and the exponent vanishes at k = 0 and 1, hence
 *     A - 1 = sum_{k>=2} C(a,k) (1-q)^(a-k) q^k (exp((k^2-k) / 2 sigma^2) - 1):
 * positive terms only, so a tiny divergence keeps its digits.
 */
static double log_a_integer(double q, double sigma, size_t a)
{
    const double log_q = log(q);
    const double log_p = log1p(-q);
    const double rate = 0.5 / (sigma * sigma);
    double log_binomial = log((double)a);
    double log_rest = -HUGE_VAL; /* log(A - 1) */

    for (size_t k = 2; k <= a; k++) {
        log_binomial += log((double)(a - k + 1) / (double)k);
        double kd = (double)k;
        double term =
            log_binomial + kd * log_q + (double)(a - k) * log_p + log_expm1((kd * kd - kd) * rate);
        log_rest = log_add(log_rest, term);
    }
    return log_add(0.0, log_rest);
}

/* log of exp(x^2) erfc(x), without overflow on either side. */
static double log_erfcx(double x)
{
    if (x < 4.0) {
        return log(erfc(x)) + x * x;
    }
    /* Laplace's continued fraction: sqrt(pi) erfcx(x) = 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/...))) */
    double t = x;
    for (int k = 20; k >= 1; k--) {
        t = x + 0.5 * (double)k / t;
    }
    return -log(t) - 0.5 * log(acos(-1.0));
}

/* What stays the same along the series of one fractional order. */
struct series {
    double order, sigma;
    double log_q, log_p; /* q and 1 - q */
    double z0;           /* where the two densities (1-q) Q and q P cross */
    double log_far;      /* (1-q)^order exp(-z0^2 / 2 sigma^2) / 2 */
};

/*
 * log of one half of a term without its binomial coefficient:
 *     q^e (1-q)^(order-e) exp((e^2-e) / 2 sigma^2) erfc(x) / 2,  x = +-(e - z0) / sqrt2 sigma.
 * Past the crossing erfc underflows while exp overflows. There, with erfc(x) = exp(-x^2) erfcx(x) and
 * z0 = sigma^2 log((1-q)/q) + 1/2, everything that depends on e cancels except erfcx.
 */
static double log_half_term(const struct series *s, double e, double x)
{
    if (x > 0.0) {
        return s->log_far + log_erfcx(x);
    }
    return e * s->log_q + (s->order - e) * s->log_p + (e * e - e) / (2.0 * s->sigma * s->sigma) +
           log(0.5 * erfc(x));
}

/* log of the two halves together, at index i. */
static double log_term(const struct series *s, double i)
{
    const double width = sqrt(2.0) * s->sigma;
    double j = s->order - i;
    return log_add(log_half_term(s, i, (i - s->z0) / width),
                   log_half_term(s, j, (s->z0 - j) / width));
}

/*
 * sum_k (-1)^k term[k], k = 0 … infinity, from the first TAIL_TERMS terms:
 * Cohen, Rodriguez Villegas, Zagier 2000, "Convergence acceleration of alternating series", Alg. 1.
 */
static double alternating_sum(const double term[TAIL_TERMS])
{
    const double n = (double)TAIL_TERMS;
    double d = pow(3.0 + sqrt(8.0), n);
    double b = -1.0;
    double sum = 0.0;

    d = 0.5 * (d + 1.0 / d);
    double c = -d;
    for (int k = 0; k < TAIL_TERMS; k++) {
        double kd = (double)k;
        c = b - c;
        sum += c * term[k];
        b *= (kd + n) * (kd - n) / ((kd + 0.5) * (kd + 1.0));
    }
    return sum / d;
}

/*
 * The same for a fractional order: Mironov, Talwar, Zhang 2019, section 3.3,
 *     A = sum_i C(a,i) (half term at i + half term at a - i),   i = 0 … infinity.
 * C(a,i) is positive up to i = floor(a) + 1 and alternates from there. From there on |C(a,i)| and
 * both erfcx are moments of positive measures on [0, 1] (a Beta integral, a Laplace transform), which
 * is the condition under which the accelerated sum has its proven error bound; term by term the tail
 * falls like i^-(a+2) and would need ten thousand terms near a = 1.
 */
static double log_a_fractional(double q, double sigma, double order)
{
    assert(order < FRACTIONAL_ORDER_MAX);
    const size_t first = (size_t)order + 1; /* of the alternating tail */
    const size_t n = first + TAIL_TERMS;
    double log_of[FRACTIONAL_ORDER_MAX + TAIL_TERMS] = {0.0};
    double tail[TAIL_TERMS];
    double log_binomial = 0.0;
    double high = -HUGE_VAL;

    struct series s = {.order = order, .sigma = sigma, .log_q = log(q), .log_p = log1p(-q)};
    s.z0 = sigma * sigma * (s.log_p - s.log_q) + 0.5;
    s.log_far = order * s.log_p - s.z0 * s.z0 / (2.0 * sigma * sigma) + log(0.5);

    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            log_binomial += log(fabs(order - (double)i + 1.0) / (double)i);
        }
        log_of[i] = log_binomial + log_term(&s, (double)i);
        high = fmax(high, log_of[i]);
    }
    double sum = 0.0;
    for (size_t i = 0; i < first; i++) {
        sum += exp(log_of[i] - high);
    }
    for (size_t k = 0; k < TAIL_TERMS; k++) {
        tail[k] = exp(log_of[first + k] - high);
    }
    sum += alternating_sum(tail);
    /* Here A comes out whole: what is near 1 has lost digits. A bound is rounded up. */
    return fmax(0.0, high + log(sum)) + 1e-14;
}

double rdp_step(double q, double sigma, double order)
{
    assert(q >= 0.0 && q <= 1.0);
    assert(sigma >= 0.0);
    assert(order > 1.0);
    if (q == 0.0) {
        return 0.0;
    }
    if (sigma == 0.0) {
        return HUGE_VAL;
    }
    double gaussian = order / (2.0 * sigma * sigma); /* Mironov 2017, Prop. 7 */
    if (q == 1.0 || gaussian > 1e300 || gaussian < 1e-300) {
        return gaussian; /* everybody, or noise at the edge of double: never less than the truth */
    }
    double log_a = order == floor(order) ? log_a_integer(q, sigma, (size_t)order)
                                         : log_a_fractional(q, sigma, order);
    /* Sampling never costs more than taking everybody (quasi-convexity). */
    return fmin(log_a / (order - 1.0), gaussian);
}

/*
 * With p = 1 / (1 + exp(-e)) the chance of loss +e, and b = a - 1,
 *     A = p^a (1-p)^-b + (1-p)^a p^-b,   A - 1 = expm1(b e) (1 - exp(-a e)) / (1 + exp(-e)):
 * positive factors only. Where expm1 would overflow, log A = b e + log of the others but for exp(-b e).
 */
double rdp_pure(double epsilon, double order)
{
    assert(epsilon > 0.0);
    assert(order > 1.0);
    const double t = (order - 1.0) * epsilon;
    const double rest = -expm1(-order * epsilon) / (1.0 + exp(-epsilon));
    const double log_a = t < 500.0 ? log1p(expm1(t) * rest) : t + log(rest) + 1e-14;
    return fmin(log_a / (order - 1.0), epsilon);
}

void rdp_add(struct rdp_curve *curve, const struct mechanism *m)
{
    if (m->steps == 0) {
        return; /* 0 x infinity is nothing */
    }
    for (size_t i = 0; i < RDP_ORDERS; i++) {
        curve->at[i] += (double)m->steps * (m->pure > 0.0 ? rdp_pure(m->pure, orders[i])
                                                          : rdp_step(m->q, m->sigma, orders[i]));
    }
}

/* Canonne, Kamath, Steinke 2020, Prop. 12. */
static double converted(double rdp, double order, double delta)
{
    double epsilon = rdp + log1p(-1.0 / order) - (log(delta) + log(order)) / (order - 1.0);
    return fmax(0.0, epsilon);
}

double rdp_epsilon(const struct rdp_curve *curve, double delta, double *best_order)
{
    assert(delta > 0.0 && delta < 1.0);
    bool spent = false;
    double epsilon = HUGE_VAL;
    double best = 0.0;

    for (size_t i = 0; i < RDP_ORDERS; i++) {
        assert(curve->at[i] >= 0.0);
        double e = converted(curve->at[i], orders[i], delta);
        spent = spent || curve->at[i] > 0.0;
        if (e < epsilon) {
            epsilon = e;
            best = orders[i];
        }
    }
    if (!spent) {
        epsilon = 0.0;
        best = 0.0;
    }
    if (best_order != NULL) {
        *best_order = best;
    }
    return epsilon;
}

void rdp_compose(const struct mechanism *m, size_t n, struct rdp_curve *curve)
{
    struct mechanism kind;
    struct mechanism done;
    const struct mechanism *last = NULL;

    while (mechanism_next(m, n, last, &kind)) {
        rdp_add(curve, &kind);
        done = kind;
        last = &done;
    }
}

size_t rdp_filter_order(double epsilon, double delta)
{
    assert(epsilon >= 0.0 && delta > 0.0 && delta < 1.0);
    size_t best = RDP_ORDERS - 1; /* a budget below every conversion allows nothing at any order */
    double most = 0.0;
    for (size_t i = 0; i < RDP_ORDERS; i++) {
        /* rho(a) = a mu^2 / 2 <= epsilon - conversion */
        const double square = (epsilon - converted(0.0, orders[i], delta)) / orders[i];
        if (square > most) {
            most = square;
            best = i;
        }
    }
    return best;
}

double rdp_epsilon_at(const struct rdp_curve *curve, size_t index, double delta)
{
    assert(index < RDP_ORDERS);
    const double spent = curve->at[index];
    return spent > 0.0 ? converted(spent, orders[index], delta) : 0.0;
}
