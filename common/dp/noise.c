#include "common/dp/noise.h"

#include <assert.h>
#include <math.h>

double noise_grid(double C)
{
    return ldexp(C, -20);
}

double noise_deviation(double C, double sigma, size_t P)
{
    return sigma * (C + noise_grid(C) * sqrt((double)P));
}

void noise_normal(struct entropy *entropy, double *z, size_t n)
{
    const double two_pi = 6.283185307179586;
    for (size_t i = 0; i < n; i += 2) {
        const double u = (double)((entropy_u64(entropy) >> 11) + 1) * 0x1p-53; /* (0, 1] */
        const double v = (double)(entropy_u64(entropy) >> 11) * 0x1p-53;       /* [0, 1) */
        const double r = sqrt(-2.0 * log(u));
        z[i] = r * cos(two_pi * v);
        if (i + 1 < n) {
            z[i + 1] = r * sin(two_pi * v);
        }
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
    const double room =
        0x1p52; /* integers that double and int64 both hold exactly, with headroom */
    for (size_t i = 0; i < P; i++) {
        if (!(fabs(S[i]) / gamma + 16.0 * spread < room)) {
            return error_set(err, RC_NUMERIC,
                             "number %zu of %zu of the clipped sum leaves the grid", i, P);
        }
    }
    enum { AT_ONCE = 64 };
    double z[AT_ONCE] = {0};
    for (size_t at = 0; at < P; at += AT_ONCE) {
        const size_t n = P - at < AT_ONCE ? P - at : AT_ONCE;
        if (sigma > 0.0) {
            noise_normal(entropy, z, n);
        }
        for (size_t i = 0; i < n; i++) {
            const int64_t R = llround(S[at + i] / gamma);
            const int64_t N = llround(spread * z[i]);
            mean[at + i] = (double)(R + N) * gamma / divisor;
        }
    }
    return RC_OK;
}
