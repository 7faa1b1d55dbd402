/* The rare pair that doubles do not settle. Numbers are unevaluated sums of two doubles, good to about
 * 2^-100 (Dekker 1971; Hida, Li, Bailey 2001). */
#include <math.h>

#include "common/dp/normal_internal.h"

struct two {
    double high, low;
};

static struct two sum_of(double a, double b)
{
    const double s = a + b;
    const double t = s - a;
    return (struct two){s, (a - (s - t)) + (b - t)};
}

static struct two normalised(double high, double low)
{
    const double s = high + low;
    return (struct two){s, low - (s - high)};
}

static struct two add(struct two a, struct two b)
{
    const struct two s = sum_of(a.high, b.high);
    const struct two t = sum_of(a.low, b.low);
    const struct two first = normalised(s.high, s.low + t.high);
    return normalised(first.high, first.low + t.low);
}

static struct two negative(struct two a)
{
    return (struct two){-a.high, -a.low};
}

static struct two times(struct two a, struct two b)
{
    const double p = a.high * b.high;
    const double rest = fma(a.high, b.high, -p);
    return normalised(p, rest + (a.high * b.low + a.low * b.high));
}

static struct two over(struct two a, struct two b)
{
    const double q1 = a.high / b.high;
    struct two r = add(a, negative(times(b, (struct two){q1, 0.0})));
    const double q2 = r.high / b.high;
    r = add(r, negative(times(b, (struct two){q2, 0.0})));
    return add(normalised(q1, q2), (struct two){r.high / b.high, 0.0});
}

static struct two root(struct two a)
{
    if (!(a.high > 0.0)) {
        return (struct two){0.0, 0.0};
    }
    const double x = sqrt(a.high);
    const struct two square = times((struct two){x, 0.0}, (struct two){x, 0.0});
    const struct two rest = add(a, negative(square));
    return normalised(x, rest.high / (2.0 * x));
}

static struct two whole(double x)
{
    return (struct two){x, 0.0};
}

/* As in normal.c, with terms to s^52/53: |s| < .1716, below 2^-130. */
static struct two log_of(struct two u)
{
    const struct two ln2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
    int k = 0;
    double scaled = frexp(u.high, &k); /* in [1/2, 1) */
    k -= scaled < sqrt(0.5) ? 1 : 0;
    const struct two m = {ldexp(u.high, -k), ldexp(u.low, -k)};
    const struct two s = over(add(m, whole(-1.0)), add(m, whole(1.0)));
    const struct two z = times(s, s);
    struct two p = over(whole(1.0), whole(53.0));
    for (double n = 51.0; n > 0.0; n -= 2.0) {
        p = add(times(p, z), over(whole(1.0), whole(n)));
    }
    return add(times(add(s, s), p), times(whole((double)k), ln2));
}

/* Taylor's polynomials to x^32/32!, |x| <= pi/4: below 2^-125. `odd`: sin, else cos. */
static struct two series(struct two x, int odd)
{
    const struct two x2 = times(x, x);
    struct two p = whole(1.0);
    for (int n = odd ? 31 : 32; n >= 2; n -= 2) {
        const struct two term = over(times(x2, p), whole((double)(n * (n - 1))));
        p = add(whole(1.0), negative(term));
    }
    return odd ? times(x, p) : p;
}

static void turn_of(struct two v, struct two *cosine, struct two *sine)
{
    const struct two half_pi = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};
    const struct two quarters = {4.0 * v.high, 4.0 * v.low};
    const double j = rint(quarters.high);
    const struct two x = times(add(quarters, whole(-j)), half_pi);
    const struct two c = series(x, 0);
    const struct two s = series(x, 1);
    switch ((int)j & 3) {
    case 0:
        *cosine = c;
        *sine = s;
        break;
    case 1:
        *cosine = negative(s);
        *sine = c;
        break;
    case 2:
        *cosine = negative(c);
        *sine = negative(s);
        break;
    default:
        *cosine = s;
        *sine = negative(c);
        break;
    }
}

static double rounded(struct two x)
{
    const double whole_part = rint(x.high);
    const double rest = (x.high - whole_part) + x.low;
    return whole_part + (rest > 0.5 ? 1.0 : 0.0) - (rest < -0.5 ? 1.0 : 0.0);
}

/* 64 bits as a number, exactly. */
static struct two of_bits(uint64_t bits)
{
    return sum_of(ldexp((double)(bits >> 32), 32), (double)(bits & 0xffffffffu));
}

static struct two scaled(struct two x, int power)
{
    return (struct two){ldexp(x.high, power), ldexp(x.low, power)};
}

void normal_fine(struct normal_bits bits, struct normal_bits more, double spread, double N[2])
{
    /* The middle of what 128 bits leave open, so that neither u nor 1 - u is 0. From the top down:
     * 1 - first 2^-64 is summed exactly before anything small comes to it. */
    const struct two rest_u = scaled(add(of_bits(more.first), whole(0.5)), -128);
    const struct two rest_v = scaled(add(of_bits(more.second), whole(0.5)), -116);
    const struct two u =
        add(add(whole(1.0), negative(scaled(of_bits(bits.first), -64))), negative(rest_u));
    const struct two v = add(scaled(of_bits(bits.second >> 12), -52), rest_v);
    const struct two l = log_of(u);
    const struct two r = times(whole(spread), root(negative(add(l, l))));
    struct two c;
    struct two s;
    turn_of(v, &c, &s);
    N[0] = rounded(times(r, c));
    N[1] = rounded(times(r, s));
}
