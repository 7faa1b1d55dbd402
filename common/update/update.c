#include "common/update/update.h"

#include <assert.h>
#include <math.h>

size_t update_bytes(size_t n)
{
    return 4 * n;
}

enum rc update_encode(const double *delta, size_t n, double weight, size_t fraction_bits,
                      unsigned char *out, struct error *err)
{
    assert(weight > 0.0);
    assert(fraction_bits < 31);
    const double grid = ldexp(1.0, (int)fraction_bits);
    const double bound = ldexp(1.0, 31 - (int)fraction_bits);
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(delta[i]) < bound)) { /* also catches NaN */
            return error_set(err, RC_NUMERIC,
                             "parameter %zu of %zu leaves the update's grid (2^-%zu): training "
                             "diverged, or the grid is too fine",
                             i, n, fraction_bits);
        }
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = (uint32_t)(int64_t)llround(delta[i] * weight * grid);
        for (size_t b = 0; b < 4; b++) {
            out[4 * i + b] = (unsigned char)(u >> (8 * b));
        }
    }
    return RC_OK;
}

enum rc update_add(uint32_t *sum, size_t n, const void *update, size_t bytes, struct error *err)
{
    if (bytes != update_bytes(n)) {
        return error_set(err, RC_FORMAT, "an update of %zu bytes, want %zu", bytes,
                         update_bytes(n));
    }
    const unsigned char *u = update;
    for (size_t i = 0; i < n; i++) {
        uint32_t x = 0;
        for (size_t b = 0; b < 4; b++) {
            x |= (uint32_t)u[4 * i + b] << (8 * b);
        }
        sum[i] += x;
    }
    return RC_OK;
}

void update_decode(const uint32_t *sum, size_t n, double weight_total, size_t fraction_bits,
                   double *mean)
{
    assert(weight_total > 0.0);
    const double scale = ldexp(1.0, -(int)fraction_bits) / weight_total;
    for (size_t i = 0; i < n; i++) {
        const int64_t centred = (int64_t)(sum[i] ^ 0x80000000u) - (int64_t)0x80000000;
        mean[i] = (double)centred * scale;
    }
}

void update_pack(const double *whole, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n; i++) {
        assert(fabs(whole[i]) < 0x1p62);
        const uint32_t u = (uint32_t)(uint64_t)(int64_t)whole[i];
        for (size_t b = 0; b < 4; b++) {
            out[4 * i + b] = (unsigned char)(u >> (8 * b));
        }
    }
}
