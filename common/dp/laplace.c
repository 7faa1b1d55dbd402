#include "common/dp/laplace.h"

#include <assert.h>
#include <math.h>

enum { DIGITS_MOST = 26 }; /* 45 / LAPLACE_EPSILON_LEAST < 2^26 */

/* threshold[i] / 2^64 is the probability that digit i is 1. @return digits that are worth drawing */
static size_t digits_of(double epsilon, uint64_t threshold[DIGITS_MOST])
{
    size_t n = 0;
    while (n < DIGITS_MOST) {
        const double r = exp(-ldexp(epsilon, (int)n)); /* r^(2^n): epsilon 2^n is exact */
        const double scaled = ldexp(r / (1.0 + r), 64);
        if (scaled < 1.0) {
            break;
        }
        threshold[n++] = (uint64_t)scaled;
    }
    return n;
}

static int64_t geometric(struct entropy *entropy, const uint64_t *threshold, size_t digits)
{
    int64_t g = 0;
    for (size_t i = 0; i < digits; i++) {
        g |= (int64_t)(entropy_u64(entropy) < threshold[i]) << i;
    }
    return g;
}

void laplace_discrete(struct entropy *entropy, double epsilon, int64_t *N, size_t n)
{
    assert(epsilon >= LAPLACE_EPSILON_LEAST);
    assert(epsilon <= LAPLACE_EPSILON_MOST);
    uint64_t threshold[DIGITS_MOST];
    const size_t digits = digits_of(epsilon, threshold);
    for (size_t i = 0; i < n; i++) {
        const int64_t up = geometric(entropy, threshold, digits);
        N[i] = up - geometric(entropy, threshold, digits);
    }
}

double laplace_variance(double epsilon)
{
    const double r = exp(-epsilon);
    return 2.0 * r / (expm1(-epsilon) * expm1(-epsilon));
}
