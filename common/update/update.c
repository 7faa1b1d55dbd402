#include "common/update/update.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* To or from little-endian. */
static uint32_t little(uint32_t x)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? x : __builtin_bswap32(x);
}

/* Number i of an update: one load or one store. Byte by byte, adding took six times as long (bench_add). */
static uint32_t number_at(const unsigned char *update, size_t i)
{
    uint32_t x;
    memcpy(&x, update + 4 * i, sizeof x);
    return little(x);
}

static void put_number(unsigned char *update, size_t i, uint32_t number)
{
    const uint32_t x = little(number);
    memcpy(update + 4 * i, &x, sizeof x);
}

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
        put_number(out, i, (uint32_t)(int64_t)llround(delta[i] * weight * grid));
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
        sum[i] += number_at(u, i);
    }
    return RC_OK;
}

void update_decode(const uint32_t *sum, size_t n, double weight_total, size_t fraction_bits,
                   double *mean)
{
    assert(weight_total > 0.0);
    const double scale = ldexp(1.0, -(int)fraction_bits) / weight_total;
    for (size_t i = 0; i < n;
         i++) { /* of 32 bits: these the processor converts several at a time */
        int32_t centred;
        memcpy(&centred, &sum[i], sizeof centred);
        mean[i] = (double)centred * scale;
    }
}

void update_pack(const double *whole, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n; i++) {
        assert(fabs(whole[i]) < 0x1p62);
        put_number(out, i, (uint32_t)(uint64_t)(int64_t)whole[i]);
    }
}
