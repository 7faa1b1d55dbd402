#include "common/dp/share.h"

#include <assert.h>
#include <math.h>

#include "common/base/hash.h"
#include "common/dp/normal.h"

double share_sensitivity(double C, size_t bits, size_t P)
{
    return C + ldexp(C, -(int)bits) * sqrt((double)P);
}

/* Adding and taking away 1.5 2^52 rounds to a whole number. */
static void add(double *restrict part, const double *restrict S, const double *restrict N, size_t n,
                double gamma, double most)
{
    const double whole = 0x1.8p52;
    for (size_t i = 0; i < n; i++) {
        const double R = (S[i] / gamma + whole) - whole;
        part[i] = fmin(fmax(R, -most), most) + N[i];
    }
}

enum rc share_add_noise(const double *S, size_t n, const struct share *a, struct entropy *entropy,
                        double *part, struct error *err)
{
    const double spread = a->deviation / a->gamma;
    const double room = 0x1p50; /* sums of whole numbers below are exact in a double */
    double N[NORMAL_AT_ONCE] = {0};
    assert(a->gamma > 0.0);
    assert(a->most > 0.0);
    assert(spread > 0.0);
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(S[i]) / a->gamma + 16.0 * spread < room)) {
            return error_set(err, RC_NUMERIC,
                             "number %zu of %zu of the clipped sum leaves the grid", i, n);
        }
    }
    for (size_t at = 0; at < n; at += NORMAL_AT_ONCE) {
        const size_t k = n - at < NORMAL_AT_ONCE ? n - at : NORMAL_AT_ONCE;
        normal_rounded(entropy, spread, N, k);
        add(part + at, S + at, N, k, a->gamma, a->most);
    }
    hash_wipe(N, sizeof N);
    return RC_OK;
}
