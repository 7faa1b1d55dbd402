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

static RC check_reveal(const struct unmasking *m, size_t from, const struct mask_reveal *r,
                       const struct mask_set *seen, struct error *err)
{
    const size_t n_sites = m->setup.terms.n_sites;
    if (r->dealer >= n_sites || !mask_set_has(unmasking_dealers(m), r->dealer) ||
        mask_set_has(seen, r->dealer) || r->which != wanted(m, r->dealer)) {
        return error_set(err, RC_AUTH, "site %zu showed a share that nobody asked for", from);
    }
    const struct hash c = mask_commit(&m->members, r->dealer, from, r->which, &r->opening);
    const struct mask_portion *p = &m->portion[r->dealer * n_sites + from];
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
    struct mask_set seen = {{0}};
    for (size_t i = 0; i < in->n; i++) {
        const enum rc rc = check_reveal(m, in->site, &in->reveal[i], &seen, err);
        if (rc != RC_OK) {
            return rc;
        }
        mask_set_add(&seen, in->reveal[i].dealer);
    }
    if (!mask_set_equal(&seen, unmasking_dealers(m))) {
        return error_set(err, RC_AUTH, "site %zu showed %zu shares, want %zu", in->site, in->n,
                         mask_set_count(unmasking_dealers(m)));
    }
    for (size_t i = 0; i < in->n; i++) {
        const struct mask_reveal *r = &in->reveal[i];
        m->share[r->dealer * m->setup.terms.n_sites + in->site] = r->opening.share;
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
    struct mask_scalar share[MASK_SITES_MAX];
    for (size_t i = 0; i < l->t; i++) {
        share[i] = m->share[dealer * m->setup.terms.n_sites + l->site[i]];
    }
    enum rc rc = mask_combine(l, m->threshold, l->site, share, l->t, secret, err);
    hash_wipe(share, sizeof share);
    assert(rc == RC_OK); /* l was made for the threshold */
    if (!as_committed(m, dealer, secret)) {
        m->liar = dealer;
        rc = error_set(err, RC_AUTH,
                       "site %zu dealt shares of another secret than it committed to: its masks "
                       "cannot be taken off",
                       dealer);
    }
    return rc;
}

/* ---- streams --------------------------------------------------------------------------------- */

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
        if (mask_set_has(unmasking_survivors(m), s)) {
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
    struct mask_lagrange l;
    struct mask_scalar secret;
    size_t site[MASK_SITES_MAX], t = 0;
    void *p = NULL;

    for (size_t i = 0; i < m->setup.terms.n_sites && t < m->threshold; i++) {
        if (mask_set_has(&m->answered[UNMASKING_REVEALING], i)) {
            site[t++] = i;
        }
    }
    assert(t == m->threshold);
    enum rc rc = mask_lagrange_at(site, t, &l, err);
    assert(rc == RC_OK); /* distinct, and on the roster */
    const size_t survivors = mask_set_count(unmasking_survivors(m));
    const size_t dropped = mask_set_count(unmasking_dealers(m)) - survivors;
    rc = mask_guarded(survivors * (dropped + 1) * sizeof *m->stream, &p, err);
    if (rc != RC_OK) {
        return rc;
    }
    m->stream = p;
    for (size_t i = 0; i < m->setup.terms.n_sites && rc == RC_OK; i++) {
        if (!mask_set_has(unmasking_dealers(m), i)) {
            continue;
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
