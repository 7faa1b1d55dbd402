#include <string.h>

#include "common/mask/mask.h"

bool mask_set_has(const struct mask_set *s, size_t site)
{
    return site < MASK_SITES_MAX && (s->b[site / 8] >> (site % 8) & 1) != 0;
}

void mask_set_add(struct mask_set *s, size_t site)
{
    s->b[site / 8] = (unsigned char)(s->b[site / 8] | 1U << (site % 8));
}

size_t mask_set_count(const struct mask_set *s)
{
    size_t n = 0;
    for (size_t i = 0; i < MASK_SITES_MAX; i++) {
        n += mask_set_has(s, i);
    }
    return n;
}

bool mask_set_equal(const struct mask_set *a, const struct mask_set *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool mask_set_within(const struct mask_set *inner, const struct mask_set *outer)
{
    for (size_t i = 0; i < sizeof inner->b; i++) {
        if ((inner->b[i] & ~outer->b[i]) != 0) {
            return false;
        }
    }
    return true;
}

enum rc mask_terms_check(const struct mask_terms *terms, struct error *err)
{
    if (terms->n_sites < 3 || terms->n_sites > MASK_SITES_MAX) {
        return error_set(err, RC_INVALID,
                         "masked sums are for 3 to %d sites, not %zu: with two, the sum and one's "
                         "own update give away the other's (use `noise: site`)",
                         (int)MASK_SITES_MAX, terms->n_sites);
    }
    if (terms->min_sites > terms->n_sites || terms->min_sites < 3 ||
        terms->min_sites - 2 < terms->max_colluding) {
        return error_set(err, RC_INVALID,
                         "min_sites %zu must be 3 to %zu and at least max_colluding + 2 = %zu: the "
                         "colluding could else read one site's update out of the sum",
                         terms->min_sites, terms->n_sites, terms->max_colluding + 2);
    }
    if (mask_threshold(terms) > terms->n_sites) {
        return error_set(err, RC_INVALID, "a threshold of %zu shares is more than the %zu sites",
                         mask_threshold(terms), terms->n_sites);
    }
    return RC_OK;
}

size_t mask_threshold(const struct mask_terms *terms)
{
    const size_t least = (terms->n_sites + terms->max_colluding) / 2 + 1;
    return least > terms->threshold_least ? least : terms->threshold_least;
}
