#include <assert.h>

#include "common/base/rng.h"
#include "sim/sweep/sweep_internal.h"

size_t sweep_folds(const struct sweep *s)
{
    return s->test != NULL && !s->tune ? 1 : s->folds;
}

static bool outside(const struct sweep *s, size_t p)
{
    return s->test != NULL && s->tune && s->test[p];
}

void sweep_split(const struct sweep *s, uint64_t seed, size_t *part, size_t *scratch)
{
    const struct dataset *d = s->data;
    if (s->test != NULL && !s->tune) {
        for (size_t p = 0; p < d->n_patients; p++) {
            part[p] = s->test[p] ? 0 : SWEEP_NEVER;
        }
        return;
    }
    struct rng r;
    rng_init(&r, seed, "folds");
    size_t next = 0; /* continues over strata, so that folds differ by at most one in size */
    for (size_t stratum = 0; stratum < 2 * d->n_sites; stratum++) {
        size_t n = 0;
        for (size_t p = 0; p < d->n_patients; p++) {
            const size_t own = 2 * (size_t)d->site[p] + (d->label[p] > 0.5f ? 1 : 0);
            if (own == stratum && !outside(s, p)) {
                scratch[n++] = p;
            } else if (outside(s, p)) {
                part[p] = SWEEP_NEVER;
            }
        }
        rng_shuffle(&r, scratch, n);
        for (size_t i = 0; i < n; i++) {
            part[scratch[i]] = next++ % s->folds;
        }
    }
}

bool sweep_trains(const struct sweep *s, const size_t *part, size_t p, size_t fold)
{
    return part[p] != fold && !outside(s, p);
}
