#include "common/dp/noise.h"

#include <assert.h>
#include <math.h>

#include "common/base/hash.h"
#include "common/dp/normal.h"

double noise_grid(double C)
{
    return ldexp(C, -20);
}

double noise_deviation(double C, double sigma, size_t P)
{
    return sigma * (C + noise_grid(C) * sqrt((double)P));
}

/* mean[i] = (round(S[i] / gamma) + N[i]) gamma / divisor. Adding and taking away 1.5 2^52 rounds to a whole
 * number, several at a time. */
static void add_and_scale(double *restrict mean, const double *restrict S, const double *restrict N,
                          size_t n, double gamma, double divisor)
{
    const double whole = 0x1.8p52;
    for (size_t i = 0; i < n; i++) {
        const double R = (S[i] / gamma + whole) - whole;
        mean[i] = (R + N[i]) * gamma / divisor;
    }
}

enum rc noise_release(const double *S, size_t P, double C, double sigma, double divisor,
                      struct entropy *entropy, double *mean, struct error *err)
{
    assert(C > 0.0);
    assert(sigma >= 0.0);
    assert(divisor > 0.0);
    const double gamma = noise_grid(C);
    const double spread = noise_deviation(C, sigma, P) / gamma;
    const double room = 0x1p50; /* sums of whole numbers below are exact in a double */
    for (size_t i = 0; i < P; i++) {
        if (!(fabs(S[i]) / gamma + 16.0 * spread < room)) {
            return error_set(err, RC_NUMERIC,
                             "number %zu of %zu of the clipped sum leaves the grid", i, P);
        }
    }
    double N[NORMAL_AT_ONCE] = {0};
    for (size_t at = 0; at < P; at += NORMAL_AT_ONCE) {
        const size_t n = P - at < NORMAL_AT_ONCE ? P - at : NORMAL_AT_ONCE;
        if (sigma > 0.0) {
            normal_rounded(entropy, spread, N, n);
        }
        add_and_scale(mean + at, S + at, N, n, gamma, divisor);
    }
    hash_wipe(N, sizeof N);
    return RC_OK;
}
