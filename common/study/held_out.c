#include "common/study/study.h"

/* 53 bits of a hash as a uniform number in [0, 1). */
static double uniform(const struct hash *h)
{
    uint64_t x = 0;
    for (size_t i = 0; i < 8; i++) {
        x |= (uint64_t)h->b[i] << (8 * i);
    }
    return (double)(x >> 11) * 0x1p-53;
}

bool study_holds_out(const struct study *s, const struct hash *patient)
{
    struct hasher h;
    if (!(s->held_out > 0.0)) {
        return false;
    }
    hasher_init(&h);
    hasher_text(&h, "wardround held out 1");
    hasher_bytes(&h, patient->b, sizeof patient->b);
    const struct hash coin = hasher_final(&h);
    return uniform(&coin) < s->held_out;
}
