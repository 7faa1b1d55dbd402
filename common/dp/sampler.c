#include "common/dp/sampler.h"

#include <assert.h>

static uint64_t word(const struct hash *h, size_t at)
{
    uint64_t x = 0;
    for (size_t i = 0; i < 8; i++) {
        x |= (uint64_t)h->b[at + i] << (8 * i);
    }
    return x;
}

/* 53 bits of a hash as a uniform number in [0, 1). */
static double uniform(uint64_t x)
{
    return (double)(x >> 11) * 0x1p-53;
}

size_t sampler_draw(const struct coin_key *key, uint64_t step, double q, const struct hash *patient,
                    const size_t *first_row, size_t n, size_t *row, size_t *who)
{
    assert(q >= 0.0);
    assert(q <= 1.0);
    size_t drawn = 0;
    for (size_t p = 0; p < n; p++) {
        struct hasher h;
        hasher_init_keyed(&h, key->b);
        hasher_u64(&h, step);
        hasher_bytes(&h, patient[p].b, sizeof patient[p].b);
        const struct hash coin = hasher_final(&h);
        if (!(uniform(word(&coin, 0)) < q)) {
            continue;
        }
        const size_t rows = first_row[p + 1] - first_row[p];
        assert(rows > 0);
        const size_t pick = (size_t)(uniform(word(&coin, 8)) * (double)rows);
        row[drawn] = first_row[p] + (pick < rows ? pick : rows - 1);
        who[drawn] = p;
        drawn++;
    }
    return drawn;
}
