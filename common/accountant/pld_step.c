#include <math.h>
#include <stdbool.h>

#include "common/accountant/pld_internal.h"

/*
 * Remove: P = (1-q) N(0, s^2) + q N(1, s^2), Q = N(0, s^2), and
 *     L(x) = log(1 - q + q exp((2x - 1) / 2 s^2)),   x(L) = s^2 log(1 + (exp(L) - 1) / q) + 1/2.
 * L grows with x from log(1-q) on, so a bin of losses is an interval of x, and its mass under P and Q
 * comes from four error functions.
 */

/* Of a Gaussian at a point: the smaller tail, and which it is. Differences of the smaller tails keep
 * their digits on both sides. */
struct tail {
    double mass;
    bool upper;
};

static struct tail tail_at(double z)
{
    return (struct tail){.mass = 0.5 * erfc(fabs(z) * sqrt(0.5)), .upper = z > 0.0};
}

static double between(struct tail low, struct tail high)
{
    if (low.upper) {
        return low.mass - high.mass;
    }
    return high.upper ? 1.0 - low.mass - high.mass : high.mass - low.mass;
}

static double above(struct tail t)
{
    return t.upper ? t.mass : 1.0 - t.mass;
}

static double below(struct tail t)
{
    return t.upper ? 1.0 - t.mass : t.mass;
}

/* One point of the grid. */
struct edge {
    double ratio; /* exp(loss) = dP/dQ */
    struct tail without, with;
};

static struct edge edge_at(const struct pld_step *s, double loss)
{
    const double rest = expm1(loss) / s->q;
    const double x = rest > -1.0 ? s->sigma * s->sigma * log1p(rest) + 0.5 : -HUGE_VAL;
    return (struct edge){.ratio = exp(loss),
                         .without = tail_at(x / s->sigma),
                         .with = tail_at((x - 1.0) / s->sigma)};
}

static double loss_at(const struct pld_step *s, double x)
{
    const double exponent = (x - 0.5) / (s->sigma * s->sigma);
    return exponent > 0.0 ? exponent + log(s->q + (1.0 - s->q) * exp(-exponent))
                          : log1p(s->q * expm1(exponent));
}

static double mixed(const struct pld_step *s, double without, double with)
{
    return (1.0 - s->q) * without + s->q * with;
}

/* mass exp(t) without overflow on the way. */
static double scaled(double mass, double t)
{
    return t < 700.0 || mass <= 0.0 ? mass * exp(t) : exp(log(mass) + t);
}

struct sums {
    double moment[2];
};

/* Mass `p` of P at the point, and p / ratio of Q. */
static void put_mass(long long i, double ratio, double p, struct complex *x, size_t n)
{
    x[(size_t)i & (n - 1)].re += p; /* also of negative ones: n divides 2^64 */
    x[(size_t)(-i) & (n - 1)].im += p / ratio;
}

static void put(const struct pld_step *s, long long i, double ratio, double p, struct complex *x,
                size_t n, struct sums *sums)
{
    const double loss = (double)i * s->h;
    put_mass(i, ratio, p, x, n);
    sums->moment[0] += scaled(p, (s->order - 1.0) * loss);
    sums->moment[1] += scaled(p, -s->order * loss);
}

static double log_add(double a, double b)
{
    const double high = fmax(a, b);
    return high + log1p(exp(fmin(a, b) - high));
}

/* One point of a pure step. Its losses have an end, so that the order is a high one: moments stay logarithms. */
static void put_few(struct pld_step *s, long long i, double p, struct complex *x, size_t n)
{
    const double loss = (double)i * s->h;
    if (p > 0.0) {
        put_mass(i, exp(loss), p, x, n);
        s->log_moment[0] = log_add(s->log_moment[0], log(p) + (s->order - 1.0) * loss);
        s->log_moment[1] = log_add(s->log_moment[1], log(p) - s->order * loss);
    }
}

/* All of P's mass p at one loss, spread over the points beside it: up + down = p, and
 * up exp(-h) + down = p exp(low - loss). */
static void put_between(struct pld_step *s, double loss, double p, struct complex *x, size_t n)
{
    const long long low = (long long)floor(loss / s->h);
    const double above_low = fmax(0.0, loss - (double)low * s->h);
    const double up = fmin(p, p * expm1(-above_low) / expm1(-s->h));
    put_few(s, low, p - up, x, n);
    put_few(s, low + 1, up, x, n);
}

/* mechanism.h. The pair exchanged is the same one. */
static void put_pure(struct pld_step *s, struct complex *x, size_t n)
{
    for (size_t d = 0; d < 2; d++) {
        s->infinite[d] = 0.0;
        s->log_moment[d] = -HUGE_VAL;
    }
    put_between(s, s->pure, 1.0 / (1.0 + exp(-s->pure)), x, n);
    put_between(s, -s->pure, 1.0 / (1.0 + exp(s->pure)), x, n);
}

void pld_step_put(struct pld_step *s, struct complex *x, size_t n)
{
    if (s->pure > 0.0) {
        put_pure(s, x, n);
        return;
    }
    const double reach = s->sigma * sqrt(-2.0 * log(s->cut)); /* Chernoff: the tail is below cut */
    const long long first = (long long)floor(loss_at(s, -reach) / s->h);
    const long long last = (long long)ceil(loss_at(s, 1.0 + reach) / s->h);
    const double shrink = -expm1(-s->h); /* 1 - exp(-h) */
    struct sums sums = {{0.0, 0.0}};
    struct edge low = edge_at(s, (double)first * s->h);

    /* Below the grid: up to its first point, and the rest of Q where P is nothing. */
    const double p_below = mixed(s, below(low.without), below(low.with));
    s->infinite[1] = fmax(0.0, below(low.without) - p_below / low.ratio);
    double carry = p_below; /* mass of the point, from the bin below it */
    for (long long i = first; i < last; i++) {
        const struct edge high = edge_at(s, (double)(i + 1) * s->h);
        const double q = between(low.without, high.without);
        const double p = mixed(s, q, between(low.with, high.with));
        /* up + down = p and up / high.ratio + down / low.ratio = q */
        const double up = fmin(p, fmax(0.0, (p - q * low.ratio) / shrink));
        put(s, i, low.ratio, carry + p - up, x, n, &sums);
        carry = up;
        low = high;
    }
    /* Above it: down to its last point as far as Q's mass allows, and the rest is infinite. */
    const double q_above = above(low.without);
    const double p_above = mixed(s, q_above, above(low.with));
    const double held = fmin(p_above, q_above * low.ratio);
    put(s, last, low.ratio, carry + held, x, n, &sums);
    s->infinite[0] = p_above - held;
    s->log_moment[0] = log(sums.moment[0]);
    s->log_moment[1] = log(sums.moment[1]);
}
