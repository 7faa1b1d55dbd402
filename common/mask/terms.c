#include <assert.h>
#include <string.h>

#include "common/mask/mask.h"
#include "common/neighbours/neighbours.h"

static_assert((int)MASK_SITES_MAX == (int)NEIGHBOURS_SITES_MAX, "one roster");
static_assert((int)MASK_SLOTS_MAX == (int)NEIGHBOURS_EACH_MAX, "one dealer's shares");

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
    return mask_set_common(s, s);
}

size_t mask_set_common(const struct mask_set *a, const struct mask_set *b)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof a->b; i++) {
        n += (size_t)__builtin_popcount(a->b[i] & (unsigned)b->b[i]);
    }
    return n;
}

size_t mask_set_bytes(const struct mask_set *s)
{
    for (size_t i = MASK_SET_BYTES; i < sizeof s->b; i++) {
        if (s->b[i] != 0) {
            return MASK_SET_BYTES_MAX;
        }
    }
    return MASK_SET_BYTES;
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

/* The neighbourhood, if there is one, is large enough for whoever may work with the coordinator. */
static RC check_neighbours(const struct mask_terms *terms, size_t strangers, struct error *err)
{
    const size_t k = terms->neighbours;
    if (k == 0 && terms->shares == 0 && terms->n_sites <= MASK_COMPLETE_MAX) {
        return RC_OK;
    }
    if (k == 0) {
        return error_set(err, RC_INVALID,
                         "%zu sites cannot all mask with each other, %d can: state neighbours, and "
                         "how many of them open a secret",
                         terms->n_sites, (int)MASK_COMPLETE_MAX);
    }
    if (k >= terms->n_sites || k > MASK_SLOTS_MAX || terms->shares < 1 || terms->shares > k) {
        return error_set(
            err, RC_INVALID,
            "%zu neighbours of %zu sites, of whom %zu open a secret: at most %d, fewer "
            "than there are sites, and 1 to all of them to open one",
            k, terms->n_sites, terms->shares, (int)MASK_SLOTS_MAX);
    }
    const struct neighbours g = {.n_sites = terms->n_sites,
                                 .corrupt = terms->max_colluding + strangers,
                                 .honest = terms->min_sites - terms->max_colluding,
                                 .each = k,
                                 .open = terms->shares};
    const double risk = neighbours_risk(&g);
    if (risk > NEIGHBOURS_RISK_LOG2) {
        return error_set(
            err, RC_INVALID,
            "with %zu neighbours, of whom %zu open a secret, a sum of %zu sites could be "
            "read in parts with a chance of 2^%.1f, where %zu may work with the "
            "coordinator; 2^%d is the most",
            k, terms->shares, terms->n_sites, risk, g.corrupt, (int)NEIGHBOURS_RISK_LOG2);
    }
    return RC_OK;
}

enum rc mask_terms_check(const struct mask_terms *terms, size_t strangers, struct error *err)
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
    return check_neighbours(terms, strangers, err);
}

size_t mask_threshold(const struct mask_terms *terms)
{
    const size_t least = (terms->n_sites + terms->max_colluding) / 2 + 1;
    return least > terms->threshold_least ? least : terms->threshold_least;
}

size_t mask_shares(const struct mask_terms *terms)
{
    return terms->neighbours > 0 ? terms->shares : mask_threshold(terms);
}

size_t mask_slots(const struct mask_terms *terms)
{
    return terms->neighbours > 0 ? terms->neighbours : terms->n_sites;
}

size_t mask_slot(const struct mask_set *holders, size_t receiver)
{
    size_t n = 0;
    for (size_t i = 0; i < receiver / 8; i++) {
        n += (size_t)__builtin_popcount(holders->b[i]);
    }
    return n + (size_t)__builtin_popcount(holders->b[receiver / 8] & ((1U << receiver % 8) - 1U));
}
