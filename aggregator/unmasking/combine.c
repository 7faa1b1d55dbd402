/*
 * Opening a sum: shares into secrets, secrets into the streams that are still on it.
 */
#include <assert.h>
#include <string.h>

#include "aggregator/unmasking/unmasking_internal.h"

/* A share of the self mask of who survived, of the round key of who did not. */
static enum mask_secret wanted(const struct unmasking *m, size_t dealer)
{
    return mask_set_has(unmasking_survivors(m), dealer) ? MASK_SELF : MASK_KEY;
}

size_t unmasking_place(const struct unmasking *m, size_t dealer, size_t receiver)
{
    return dealer * m->slots + mask_slot(&m->holders[dealer], receiver);
}

/* The dealers whose shares a site holds. */
static struct mask_set held_by(const struct unmasking *m, size_t site)
{
    struct mask_set out = {{0}};
    for (size_t i = 0; i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(unmasking_dealers(m), i) && mask_set_has(&m->holders[i], site)) {
            mask_set_add(&out, i);
        }
    }
    return out;
}

static RC check_reveal(const struct unmasking *m, size_t from, const struct mask_reveal *r,
                       const struct mask_set *held, const struct mask_set *seen, struct error *err)
{
    if (r->dealer >= m->setup.terms.n_sites || !mask_set_has(held, r->dealer) ||
        mask_set_has(seen, r->dealer) || r->which != wanted(m, r->dealer)) {
        return error_set(err, RC_AUTH, "site %zu showed a share that nobody asked for", from);
    }
    const struct hash c = mask_commit(&m->members, r->dealer, from, r->which, &r->opening);
    const struct mask_portion *p = &m->portion[unmasking_place(m, r->dealer, from)];
    if (!hash_equal(&c, &p->commitments.of[r->which])) {
        return error_set(err, RC_AUTH,
                         "site %zu showed a share of site %zu's secret that is not the one it got",
                         from, r->dealer);
    }
    return RC_OK;
}

enum rc unmasking_take_reveal(struct unmasking *m, const struct unmasking_input *in,
                              struct error *err)
{
    const struct mask_set held = held_by(m, in->site);
    struct mask_set seen = {{0}};
    for (size_t i = 0; i < in->n; i++) {
        const enum rc rc = check_reveal(m, in->site, &in->reveal[i], &held, &seen, err);
        if (rc != RC_OK) {
            return rc;
        }
        mask_set_add(&seen, in->reveal[i].dealer);
    }
    if (!mask_set_equal(&seen, &held)) {
        return error_set(err, RC_AUTH, "site %zu showed %zu shares, want %zu", in->site, in->n,
                         mask_set_count(&held));
    }
    for (size_t i = 0; i < in->n; i++) {
        const struct mask_reveal *r = &in->reveal[i];
        m->share[unmasking_place(m, r->dealer, in->site)] = r->opening.share;
    }
    return RC_OK;
}

/* ---- secrets --------------------------------------------------------------------------------- */

/* The commitment to the secret itself: x G was announced, the self mask's scalar hashed. */
static bool as_committed(const struct unmasking *m, size_t dealer, const struct mask_scalar *secret)
{
    if (wanted(m, dealer) == MASK_KEY) {
        struct mask_point key;
        mask_public(secret, &key);
        return memcmp(key.b, m->announcement[dealer].key.b, sizeof key.b) == 0;
    }
    const struct hash c = mask_commit_self(&m->members, dealer, secret);
    return hash_equal(&c, &m->deal[dealer].self) != 0;
}

static RC open_secret(struct unmasking *m, const struct mask_lagrange *l, size_t dealer,
                      struct mask_scalar *secret, struct error *err)
{
    struct mask_scalar share[MASK_SLOTS_MAX];
    for (size_t i = 0; i < l->t; i++) {
        share[i] = m->share[unmasking_place(m, dealer, l->site[i])];
    }
    enum rc rc = mask_combine(l, mask_shares(&m->setup.terms), l->site, share, l->t, secret, err);
    hash_wipe(share, sizeof share);
    assert(rc == RC_OK); /* l was made for as many */
    if (!as_committed(m, dealer, secret)) {
        m->liar = dealer;
        rc = error_set(err, RC_AUTH,
                       "site %zu dealt shares of another secret than it committed to: its masks "
                       "cannot be taken off",
                       dealer);
    }
    return rc;
}

/* The first of those who hold the dealer's shares and have shown them. */
static struct mask_lagrange revealers(const struct unmasking *m, size_t dealer)
{
    const size_t want = mask_shares(&m->setup.terms);
    struct mask_lagrange l;
    struct error err;
    size_t site[MASK_SLOTS_MAX], t = 0;
    for (size_t i = 0; i < m->setup.terms.n_sites && t < want; i++) {
        if (mask_set_has(&m->holders[dealer], i) &&
            mask_set_has(&m->answered[UNMASKING_REVEALING], i)) {
            site[t++] = i;
        }
    }
    assert(t == want);
    const enum rc rc = mask_lagrange_at(site, t, &l, &err);
    assert(rc == RC_OK); /* distinct, and on the roster */
    return l;
}

/* ---- streams --------------------------------------------------------------------------------- */

static bool are_partners(const struct unmasking *m, size_t a, size_t b)
{
    return mask_set_has(&m->holders[a], b) || mask_set_has(&m->holders[b], a);
}

static size_t count_streams(const struct unmasking *m)
{
    const struct mask_set *survivors = unmasking_survivors(m), *dealers = unmasking_dealers(m);
    size_t n = mask_set_count(survivors);
    for (size_t d = 0; d < m->setup.terms.n_sites; d++) {
        for (size_t s = 0;
             s < m->setup.terms.n_sites && mask_set_has(dealers, d) && !mask_set_has(survivors, d);
             s++) {
            n += mask_set_has(survivors, s) && are_partners(m, d, s);
        }
    }
    return n;
}

/* What survivor `s` put on for its link to `dropped`, taken off again. */
static RC link_stream(const struct unmasking *m, const struct mask_scalar *x, size_t dropped,
                      size_t s, struct mask_stream *out, struct error *err)
{
    const size_t low = s < dropped ? s : dropped, high = s < dropped ? dropped : s;
    struct mask_pair pair = {low, high, m->announcement[low].key, m->announcement[high].key, {{0}}};
    const enum rc rc = mask_agree(x, &m->announcement[s].key, &pair.secret, err);
    if (rc == RC_OK) {
        mask_stream_pair(&pair, &m->clique, s, out);
        out->subtract = !out->subtract;
    }
    hash_wipe(&pair, sizeof pair);
    return rc;
}

static RC add_streams(struct unmasking *m, size_t dealer, const struct mask_scalar *secret,
                      struct error *err)
{
    if (wanted(m, dealer) == MASK_SELF) {
        struct mask_stream *own = &m->stream[m->streams++];
        mask_stream_self(secret, &m->clique, dealer, own);
        own->subtract = true;
        return RC_OK;
    }
    for (size_t s = 0; s < m->setup.terms.n_sites; s++) {
        if (mask_set_has(unmasking_survivors(m), s) && are_partners(m, dealer, s)) {
            const enum rc rc = link_stream(m, secret, dealer, s, &m->stream[m->streams], err);
            if (rc != RC_OK) {
                return rc;
            }
            m->streams++;
        }
    }
    return RC_OK;
}

enum rc unmasking_combine(struct unmasking *m, struct error *err)
{
    struct mask_lagrange l = {.t = 0};
    struct mask_scalar secret;
    void *p = NULL;

    enum rc rc = mask_guarded(count_streams(m) * sizeof *m->stream, &p, err);
    if (rc != RC_OK) {
        return rc;
    }
    m->stream = p;
    for (size_t i = 0; i < m->setup.terms.n_sites && rc == RC_OK; i++) {
        if (!mask_set_has(unmasking_dealers(m), i)) {
            continue;
        }
        if (l.t == 0 || m->setup.terms.neighbours > 0) { /* else all have the same holders */
            l = revealers(m, i);
        }
        rc = open_secret(m, &l, i, &secret, err);
        if (rc == RC_OK) {
            rc = add_streams(m, i, &secret, err);
        }
    }
    hash_wipe(&secret, sizeof secret);
    if (rc != RC_OK) {
        mask_guarded_free(m->stream);
        m->stream = NULL;
        m->streams = 0;
    }
    return rc;
}
