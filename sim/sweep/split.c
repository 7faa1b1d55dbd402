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

size_t sweep_outputs(const struct sweep *s)
{
    return s->schema.n_classes > 0 ? s->schema.n_classes : 1;
}

/* Strata are sites times what a label may be. */
static size_t labels_of(const struct sweep *s)
{
    return s->schema.n_classes > 0 ? s->schema.n_classes : 2;
}

static size_t stratum_of(const struct sweep *s, size_t p)
{
    return (size_t)s->data->site[p] * labels_of(s) + (size_t)s->data->label[p];
}

static size_t n_inside(const struct sweep *s)
{
    size_t n = 0;
    for (size_t p = 0; p < s->data->n_patients; p++) {
        n += outside(s, p) ? 0 : 1;
    }
    return n;
}

size_t sweep_split_scratch(const struct sweep *s)
{
    return s->data->n_patients + s->data->n_sites * labels_of(s) + 1;
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
    size_t *first = scratch + d->n_patients; /* [strata + 1], where each begins in scratch */
    const size_t strata = d->n_sites * labels_of(s);
    for (size_t k = 0; k <= strata; k++) {
        first[k] = 0;
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        part[p] = SWEEP_NEVER;
        first[stratum_of(s, p) + 1] += outside(s, p) ? 0 : 1;
    }
    for (size_t k = 0; k < strata; k++) {
        first[k + 1] += first[k];
    }
    for (size_t p = d->n_patients;
         p-- > 0;) { /* from the end: a stratum is in the dataset's order */
        if (!outside(s, p)) {
            scratch[--first[stratum_of(s, p) + 1]] = p;
        }
    }
    struct rng r;
    rng_init(&r, seed, "folds");
    size_t next = 0; /* continues over strata, so that folds differ by at most one in size */
    for (size_t k = 0; k < strata; k++) { /* first[k + 1] is now where k begins */
        const size_t end = k + 1 < strata ? first[k + 2] : n_inside(s);
        const size_t n = end - first[k + 1];
        rng_shuffle(&r, scratch + first[k + 1], n);
        for (size_t i = 0; i < n; i++) {
            part[scratch[first[k + 1] + i]] = next++ % s->folds;
        }
    }
}

bool sweep_trains(const struct sweep *s, const size_t *part, size_t p, size_t fold)
{
    return part[p] != fold && !outside(s, p);
}
