/*
 * Raw frames of the messages MASK_*; the layout stands in mask.h. Each record is written and read by
 * one function pair, so that both directions name the fields in the same order.
 */
#include <assert.h>
#include <string.h>

#include "common/mask/mask.h"

static_assert(sizeof(struct mask_portion) == MASK_PORTION_BYTES, "a portion is its bytes");
static_assert(sizeof(struct mask_set) == MASK_SET_BYTES_MAX, "a set is its bytes");
static_assert(sizeof(struct mask_path) == MASK_DEPTH_MAX * HASH_BYTES, "a path is its bytes");
static_assert(sizeof(struct mask_opening) == 64, "an opening is its bytes");

static void put(unsigned char **at, const void *data, size_t n)
{
    memcpy(*at, data, n);
    *at += n;
}

static void take(const unsigned char **at, void *data, size_t n)
{
    memcpy(data, *at, n);
    *at += n;
}

static void put_index(unsigned char **at, size_t i)
{
    const unsigned char two[2] = {(unsigned char)i, (unsigned char)(i >> 8)};
    assert(i < MASK_SITES_MAX);
    put(at, two, sizeof two);
}

static RC take_index(const unsigned char **at, size_t n_sites, size_t *i, struct error *err)
{
    unsigned char two[2];
    take(at, two, sizeof two);
    *i = two[0] | (size_t)two[1] << 8;
    if (*i >= n_sites) {
        return error_set(err, RC_FORMAT, "site %zu is not on a roster of %zu", *i, n_sites);
    }
    return RC_OK;
}

/* How many records of one size; none is no message. */
static RC count(size_t bytes, size_t record, size_t n_sites, const char *what, size_t *n,
                struct error *err)
{
    assert(n_sites <= MASK_SITES_MAX);
    if (bytes == 0 || bytes % record != 0 || bytes / record > n_sites) {
        return error_set(err, RC_FORMAT, "%s of %zu bytes, want 1 to %zu times %zu", what, bytes,
                         n_sites, record);
    }
    *n = bytes / record;
    return RC_OK;
}

/* ---- announcements --------------------------------------------------------------------------- */

size_t mask_pack_announcements(const struct mask_announcement *a, size_t n, unsigned char *out)
{
    unsigned char *at = out;
    for (size_t i = 0; i < n; i++) {
        put_index(&at, a[i].site);
        put(&at, a[i].key.b, sizeof a[i].key.b);
        put(&at, a[i].box.b, sizeof a[i].box.b);
        if (a[i].draws) {
            put(&at, a[i].draw.b, sizeof a[i].draw.b);
        }
        put(&at, a[i].signature.b, sizeof a[i].signature.b);
    }
    return (size_t)(at - out);
}

enum rc mask_unpack_announcements(const void *raw, size_t bytes, const struct mask_terms *terms,
                                  struct mask_announcement *out, size_t *n, struct error *err)
{
    const unsigned char *at = raw;
    const bool draws = terms->neighbours > 0;
    const size_t each = MASK_ANNOUNCEMENT_BYTES + (draws ? MASK_DRAW_BYTES : 0);
    enum rc rc = count(bytes, each, terms->n_sites, "round keys", n, err);
    for (size_t i = 0; rc == RC_OK && i < *n; i++) {
        rc = take_index(&at, terms->n_sites, &out[i].site, err);
        take(&at, out[i].key.b, sizeof out[i].key.b);
        take(&at, out[i].box.b, sizeof out[i].box.b);
        out[i].draws = draws;
        memset(&out[i].draw, 0, sizeof out[i].draw);
        if (draws) {
            take(&at, out[i].draw.b, sizeof out[i].draw.b);
        }
        take(&at, out[i].signature.b, sizeof out[i].signature.b);
    }
    return rc;
}

/* ---- shares, from the dealer and to each receiver -------------------------------------------- */

static void put_deal(unsigned char **at, const struct mask_deal *d)
{
    put_index(at, d->site);
    put(at, d->root.b, sizeof d->root.b);
    put(at, d->self.b, sizeof d->self.b);
    put(at, d->signature.b, sizeof d->signature.b);
    if (d->draws) {
        put(at, d->draw.b, sizeof d->draw.b);
    }
}

static size_t deal_bytes(const struct mask_terms *terms)
{
    return MASK_DEAL_BYTES + (terms->neighbours > 0 ? MASK_DRAW_BYTES : 0);
}

static RC take_deal(const unsigned char **at, const struct mask_terms *terms, struct mask_deal *d,
                    struct error *err)
{
    const enum rc rc = take_index(at, terms->n_sites, &d->site, err);
    take(at, d->root.b, sizeof d->root.b);
    take(at, d->self.b, sizeof d->self.b);
    take(at, d->signature.b, sizeof d->signature.b);
    d->draws = terms->neighbours > 0;
    memset(&d->draw, 0, sizeof d->draw);
    if (d->draws) {
        take(at, d->draw.b, sizeof d->draw.b);
    }
    return rc;
}

size_t mask_pack_shares(const struct mask_deal *d, const struct mask_portion *portion,
                        size_t n_slots, unsigned char *out)
{
    unsigned char *at = out;
    put_deal(&at, d);
    put(&at, portion, n_slots * sizeof *portion);
    return (size_t)(at - out);
}

size_t mask_shares_bytes(const struct mask_terms *terms)
{
    return deal_bytes(terms) + mask_slots(terms) * MASK_PORTION_BYTES;
}

enum rc mask_unpack_shares(const void *raw, size_t bytes, const struct mask_terms *terms,
                           struct mask_deal *d, struct mask_portion *portion, struct error *err)
{
    const unsigned char *at = raw;
    const size_t n_slots = mask_slots(terms);
    const size_t want = mask_shares_bytes(terms);
    assert(n_slots <= MASK_SLOTS_MAX);
    if (bytes != want) {
        return error_set(err, RC_FORMAT, "shares of %zu bytes, want %zu", bytes, want);
    }
    const enum rc rc = take_deal(&at, terms, d, err);
    take(&at, portion, n_slots * sizeof *portion);
    return rc;
}

size_t mask_pack_parcels(const struct mask_parcel *p, size_t n, unsigned char *out)
{
    unsigned char *at = out;
    for (size_t i = 0; i < n; i++) {
        const unsigned char held = p[i].held;
        put_deal(&at, &p[i].deal);
        if (p[i].deal.draws) {
            put(&at, &held, 1);
            if (!p[i].held) {
                continue;
            }
        }
        put(&at, p[i].box.b, sizeof p[i].box.b);
        put(&at, &p[i].path, sizeof p[i].path);
    }
    return (size_t)(at - out);
}

enum { BOX_AND_PATH = MASK_PARCEL_BYTES - MASK_DEAL_BYTES };

/* With a draw a parcel may be without a share, hence shorter. */
static RC take_parcel(const unsigned char **at, const unsigned char *end,
                      const struct mask_terms *terms, struct mask_parcel *p, struct error *err)
{
    enum rc rc = RC_OK;
    const bool draws = terms->neighbours > 0;
    unsigned char held = 1;
    if ((size_t)(end - *at) < deal_bytes(terms) + draws) {
        return error_set(err, RC_FORMAT, "the last parcel is cut short");
    }
    rc = take_deal(at, terms, &p->deal, err);
    if (draws) {
        take(at, &held, 1);
    }
    p->held = held == 1;
    memset(&p->box, 0, sizeof p->box);
    memset(&p->path, 0, sizeof p->path);
    if (rc != RC_OK || held == 0) {
        return rc;
    }
    if (held != 1 || (size_t)(end - *at) < BOX_AND_PATH) {
        return error_set(err, RC_FORMAT,
                         "a parcel is cut short, or neither with nor without a share");
    }
    take(at, p->box.b, sizeof p->box.b);
    take(at, &p->path, sizeof p->path);
    return RC_OK;
}

enum rc mask_unpack_parcels(const void *raw, size_t bytes, const struct mask_terms *terms,
                            struct mask_parcel *out, size_t *n, struct error *err)
{
    const unsigned char *at = raw;
    const unsigned char *const end = bytes > 0 ? at + bytes : at;
    enum rc rc = RC_OK;
    if (terms->neighbours == 0) {
        rc = count(bytes, MASK_PARCEL_BYTES, terms->n_sites, "parcels", n, err);
    }
    size_t got = 0;
    while (rc == RC_OK && (at < end || got == 0)) {
        if (got == terms->n_sites) {
            return error_set(err, RC_FORMAT, "more parcels than the %zu sites", terms->n_sites);
        }
        rc = take_parcel(&at, end, terms, &out[got++], err);
    }
    if (rc == RC_OK) {
        *n = got;
    }
    return rc;
}

/* ---- survivors and signatures ---------------------------------------------------------------- */

static RC check_set(const struct mask_set *s, size_t n_sites, struct error *err)
{
    for (size_t i = n_sites; i < MASK_SITES_MAX; i++) {
        if (mask_set_has(s, i)) {
            return error_set(err, RC_FORMAT, "survivor %zu is not on a roster of %zu", i, n_sites);
        }
    }
    return RC_OK;
}

static size_t put_set(const struct mask_set *s, unsigned char *out)
{
    memcpy(out, s->b, mask_set_bytes(s));
    return mask_set_bytes(s);
}

static RC take_set(const void *raw, size_t bytes, size_t n_sites, struct mask_set *out,
                   struct error *err)
{
    struct mask_set s = {{0}};
    if (bytes == MASK_SET_BYTES || bytes == MASK_SET_BYTES_MAX) {
        memcpy(s.b, raw, bytes);
    }
    if (bytes != mask_set_bytes(&s)) { /* one set is written in one way */
        return error_set(err, RC_FORMAT, "survivors of %zu bytes, want %d or %d", bytes,
                         (int)MASK_SET_BYTES, (int)MASK_SET_BYTES_MAX);
    }
    *out = s;
    return check_set(out, n_sites, err);
}

size_t mask_pack_votes(const struct mask_vote *v, size_t n, unsigned char *out)
{
    unsigned char *at = out;
    for (size_t i = 0; i < n; i++) {
        put_index(&at, v[i].site);
        put(&at, v[i].signature.b, sizeof v[i].signature.b);
    }
    assert((size_t)(at - out) == n * MASK_VOTE_BYTES);
    return (size_t)(at - out);
}

enum rc mask_unpack_votes(const void *raw, size_t bytes, size_t n_sites, struct mask_vote *out,
                          size_t *n, struct error *err)
{
    const unsigned char *at = raw;
    enum rc rc = count(bytes, MASK_VOTE_BYTES, n_sites, "signatures", n, err);
    for (size_t i = 0; rc == RC_OK && i < *n; i++) {
        rc = take_index(&at, n_sites, &out[i].site, err);
        take(&at, out[i].signature.b, sizeof out[i].signature.b);
    }
    return rc;
}

size_t mask_pack_survivors(const struct mask_set *s, const struct mask_vote *list, size_t n,
                           unsigned char *out)
{
    const size_t set = put_set(s, out);
    return set + mask_pack_votes(list, n, out + set);
}

/* Which of its two sizes the set has, what is behind it says. */
static_assert(MASK_SET_BYTES % MASK_VOTE_BYTES != MASK_SET_BYTES_MAX % MASK_VOTE_BYTES, "one way");

enum rc mask_unpack_survivors(const void *raw, size_t bytes, size_t n_sites, struct mask_set *out,
                              struct mask_vote *list, size_t *n, struct error *err)
{
    const bool many = bytes % MASK_VOTE_BYTES == MASK_SET_BYTES_MAX % MASK_VOTE_BYTES;
    const size_t set = many ? MASK_SET_BYTES_MAX : MASK_SET_BYTES;
    const enum rc rc = take_set(raw, bytes < set ? bytes : set, n_sites, out, err);
    *n = 0;
    return rc != RC_OK || bytes == set ? rc
                                       : mask_unpack_votes((const unsigned char *)raw + set,
                                                           bytes - set, n_sites, list, n, err);
}

size_t mask_pack_vote(const struct mask_set *s, const struct mask_vote *v, unsigned char *out)
{
    const size_t n = put_set(s, out);
    return n + mask_pack_votes(v, 1, out + n);
}

enum rc mask_unpack_vote(const void *raw, size_t bytes, size_t n_sites, struct mask_set *s,
                         struct mask_vote *v, struct error *err)
{
    size_t one;
    if (bytes <= MASK_VOTE_BYTES) {
        return error_set(err, RC_FORMAT, "a signature of %zu bytes, want more than %d", bytes,
                         (int)MASK_VOTE_BYTES);
    }
    const size_t set = bytes - MASK_VOTE_BYTES;
    const enum rc rc = take_set(raw, set, n_sites, s, err);
    return rc != RC_OK ? rc
                       : mask_unpack_votes((const unsigned char *)raw + set, MASK_VOTE_BYTES,
                                           n_sites, v, &one, err);
}

/* ---- shares that are shown ------------------------------------------------------------------- */

size_t mask_pack_reveals(const struct mask_reveal *r, size_t n, unsigned char *out)
{
    unsigned char *at = out;
    for (size_t i = 0; i < n; i++) {
        const unsigned char which = (unsigned char)r[i].which;
        put_index(&at, r[i].dealer);
        put(&at, &which, 1);
        put(&at, &r[i].opening, sizeof r[i].opening);
    }
    assert((size_t)(at - out) == n * MASK_REVEAL_BYTES);
    return (size_t)(at - out);
}

enum rc mask_unpack_reveals(const void *raw, size_t bytes, size_t n_sites, struct mask_reveal *out,
                            size_t *n, struct error *err)
{
    const unsigned char *at = raw;
    enum rc rc = count(bytes, MASK_REVEAL_BYTES, n_sites, "shown shares", n, err);
    for (size_t i = 0; rc == RC_OK && i < *n; i++) {
        unsigned char which;
        rc = take_index(&at, n_sites, &out[i].dealer, err);
        take(&at, &which, 1);
        if (rc == RC_OK && which > MASK_SELF) {
            rc = error_set(err, RC_FORMAT, "a share of secret %u, which nobody has", which);
        }
        out[i].which = which == MASK_SELF ? MASK_SELF : MASK_KEY;
        take(&at, &out[i].opening, sizeof out[i].opening);
    }
    return rc;
}
