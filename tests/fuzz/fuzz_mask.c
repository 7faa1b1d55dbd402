/*
 * The raw frames of masked sums. The first byte says which, its highest bit whether sites draw neighbours,
 * the second how large the roster is; the rest is the frame. What unpacks packs to the same bytes, and names only sites of the roster.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/mask/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char again[MASK_RAW_MAX];

static void same(const uint8_t *raw, size_t bytes, size_t packed)
{
    assert(packed == bytes);
    assert(memcmp(again, raw, bytes) == 0);
}

static void lists(unsigned which, const uint8_t *raw, size_t bytes, const struct mask_terms *terms)
{
    const size_t n_sites = terms->n_sites;
    static struct mask_announcement a[MASK_SITES_MAX];
    static struct mask_parcel p[MASK_SITES_MAX];
    static struct mask_vote v[MASK_SITES_MAX];
    static struct mask_reveal r[MASK_SITES_MAX];
    struct error err;
    size_t n;
    if (which == 0 && mask_unpack_announcements(raw, bytes, terms, a, &n, &err) == RC_OK) {
        assert(n >= 1 && n <= n_sites && a[n - 1].site < n_sites);
        same(raw, bytes, mask_pack_announcements(a, n, again));
    } else if (which == 1 && mask_unpack_parcels(raw, bytes, terms, p, &n, &err) == RC_OK) {
        assert(n >= 1 && n <= n_sites && p[n - 1].deal.site < n_sites);
        same(raw, bytes, mask_pack_parcels(p, n, again));
    } else if (which == 2 && mask_unpack_votes(raw, bytes, n_sites, v, &n, &err) == RC_OK) {
        assert(n >= 1 && n <= n_sites && v[n - 1].site < n_sites);
        same(raw, bytes, mask_pack_votes(v, n, again));
    } else if (which == 3 && mask_unpack_reveals(raw, bytes, n_sites, r, &n, &err) == RC_OK) {
        assert(n >= 1 && n <= n_sites && r[n - 1].dealer < n_sites);
        same(raw, bytes, mask_pack_reveals(r, n, again));
    }
}

static void single(unsigned which, const uint8_t *raw, size_t bytes, const struct mask_terms *terms)
{
    const size_t n_sites = terms->n_sites;
    static struct mask_portion portion[MASK_SLOTS_MAX];
    struct mask_deal d;
    struct mask_set s;
    struct mask_vote v;
    static struct mask_vote list[MASK_SITES_MAX];
    size_t n = 0;
    struct error err;
    if (which == 4 && mask_unpack_shares(raw, bytes, terms, &d, portion, &err) == RC_OK) {
        assert(d.site < n_sites);
        same(raw, bytes, mask_pack_shares(&d, portion, mask_slots(terms), again));
    } else if (which == 5 &&
               mask_unpack_survivors(raw, bytes, n_sites, &s, list, &n, &err) == RC_OK) {
        assert(n <= n_sites);
        same(raw, bytes, mask_pack_survivors(&s, list, n, again));
    } else if (which == 6 && mask_unpack_vote(raw, bytes, n_sites, &s, &v, &err) == RC_OK) {
        assert(v.site < n_sites);
        same(raw, bytes, mask_pack_vote(&s, &v, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const unsigned which = (data[0] & 0x7f) % 7;
    const struct mask_terms all = {.n_sites = 3 + data[1] % (MASK_COMPLETE_MAX - 2)};
    const struct mask_terms drawn = {.n_sites = 4 * (size_t)data[1] + 4,
                                     .neighbours = 1 + data[1] % MASK_SLOTS_MAX};
    const struct mask_terms *terms = data[0] < 0x80 ? &all : &drawn;
    lists(which, data + 2, size - 2, terms);
    single(which, data + 2, size - 2, terms);
    return 0;
}
