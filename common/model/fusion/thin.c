/* Modality dropout: for each sample by itself, and never all that it has. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/model/fusion/fusion.h"

static void thin(uint8_t *present, size_t M, const struct tape_dropout *coins, uint64_t sample)
{
    char stream[64];
    struct rng r;
    uint8_t kept[FUSION_MODALITIES_MAX];
    size_t n = 0;
    size_t left = 0;
    (void)snprintf(stream, sizeof stream, "modalities %" PRIu64, sample);
    rng_init(&r, coins->seed, stream);
    for (size_t m = 0; m < M; m++) { /* a coin for each, there or not: others' do not move */
        kept[m] = rng_uniform(&r) >= coins->rate && present[m];
        n += present[m] != 0;
        left += kept[m];
    }
    if (n > 0 && left == 0) {
        uint64_t lucky = rng_below(&r, n);
        for (size_t m = 0; m < M; m++) {
            kept[m] = present[m] && lucky-- == 0;
        }
    }
    memcpy(present, kept, M);
}

const uint8_t *fusion_thin(struct tape *t, const uint8_t *present, size_t M,
                           const struct tape_dropout *coins)
{
    assert(M <= FUSION_MODALITIES_MAX);
    assert(coins->rate >= 0.0);
    assert(coins->rate < 1.0);
    uint8_t *thinner = tape_bytes(t, t->B * M);
    for (size_t b = 0; thinner != NULL && b < t->B; b++) {
        for (size_t m = 0; m < M; m++) {
            thinner[b * M + m] = present == NULL || present[b * M + m];
        }
        if (coins->rate > 0.0) {
            thin(thinner + b * M, M, coins, coins->sample[b]);
        }
    }
    return thinner;
}
