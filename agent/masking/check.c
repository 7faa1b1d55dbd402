/*
 * What a site believes of what the coordinator relays, and why it may open a sum. The coordinator may
 * have invented sites: whom this hospital has not confirmed itself counts as working with it.
 */
#include <string.h>

#include "agent/masking/masking_internal.h"

static size_t confirmed(const struct masking *m, const struct mask_set *set)
{
    size_t n = 0;
    for (size_t i = 0; i < m->terms.n_sites; i++) {
        n += mask_set_has(set, i) && (i == m->site || m->peer[i].confirmed);
    }
    return n;
}

/* A sum of fewer would say too much about each. */
static RC enough(const struct masking *m, const struct mask_set *set, const char *what,
                 struct error *err)
{
    const size_t n = mask_set_count(set);
    const size_t known = confirmed(m, set);
    if (n < m->terms.min_sites || n < m->r.threshold) {
        return error_set(err, RC_LIMIT, "%zu %s, the study wants %zu and the shares %zu", n, what,
                         m->terms.min_sites, m->r.threshold);
    }
    if (known < m->terms.min_sites) {
        return error_set(err, RC_LIMIT,
                         "only %zu of %zu %s have cards that this hospital confirmed, %zu are "
                         "needed; run `wardround-agent trust --peer` for more",
                         known, n, what, m->terms.min_sites);
    }
    return RC_OK;
}

/* Of each of `dealers`, enough holders of its shares are among `present`. Else a sum could not be opened;
 * and, what the bound on neighbourhoods counts on, a part of the survivors that no mask ties to the others
 * would have to hold its own shares. */
static RC enough_holders(const struct masking *m, const struct mask_set *dealers,
                         const struct mask_draw *draw, const struct mask_set *present,
                         struct error *err)
{
    struct mask_set holders;
    for (size_t i = 0; m->terms.neighbours > 0 && i < m->terms.n_sites; i++) {
        if (!mask_set_has(dealers, i)) {
            continue;
        }
        mask_holders(&m->terms, &m->r.attempt, i, &draw[i], &holders);
        const size_t n = mask_set_common(&holders, present);
        if (n < m->terms.shares) {
            return error_set(err, RC_LIMIT,
                             "only %zu sites that are left hold shares of site %zu, %zu are needed",
                             n, i, m->terms.shares);
        }
    }
    return RC_OK;
}

/* Roster indices, each once, in order. */
static RC place(const struct masking *m, size_t site, size_t at, size_t before, struct error *err)
{
    if (site >= m->terms.n_sites) {
        return error_set(err, RC_FORMAT, "site %zu is not on a roster of %zu", site,
                         m->terms.n_sites);
    }
    if (at > 0 && site <= before) {
        return error_set(err, RC_FORMAT, "site %zu twice, or not in roster order", site);
    }
    return RC_OK;
}

/* ---- U1 -------------------------------------------------------------------------------------- */

static RC check_threshold(const struct masking *m, const struct mask_set *set, struct error *err)
{
    const size_t n = mask_set_count(set);
    const size_t t = mask_threshold(&m->terms);
    const size_t unknown = n - confirmed(m, set);
    if (t > n) {
        return error_set(err, RC_LIMIT, "%zu sites cannot hold %zu shares", n, t);
    }
    if (2 * t <= m->terms.n_sites + m->terms.max_colluding + unknown) {
        return error_set(err, RC_LIMIT,
                         "%zu of %zu sites have no card that this hospital confirmed: with %zu "
                         "shares they could open an update; run `wardround-agent trust --peer`",
                         unknown, n, t);
    }
    return RC_OK;
}

/* Whom we drew from may not exist: of the roster, since the coordinator chooses who of it is here. */
static RC check_neighbours(const struct masking *m, const struct mask_set *set, struct error *err)
{
    size_t strangers = 0;
    for (size_t i = 0; i < m->terms.n_sites; i++) {
        strangers += i != m->site && !m->peer[i].confirmed;
    }
    if (m->terms.neighbours == 0) {
        return RC_OK;
    }
    struct error why;
    if (strangers > 0 && mask_terms_check(&m->terms, strangers, &why) != RC_OK) {
        return error_set(err, RC_LIMIT,
                         "%zu of the roster's %zu sites have no card that this hospital confirmed, "
                         "too many for %zu neighbours; run `wardround-agent trust --peer`",
                         strangers, m->terms.n_sites, m->terms.neighbours);
    }
    if (mask_set_common(&m->r.holders, set) < m->terms.shares) {
        return error_set(err, RC_LIMIT,
                         "%zu of the sites that we drew are here, %zu must hold our "
                         "shares",
                         mask_set_common(&m->r.holders, set), m->terms.shares);
    }
    return RC_OK;
}

/* Without neighbours agree_with_all sees to the points in the same step, and a second time would say nothing new. */
static RC verify(const struct masking *m, const struct mask_announcement *a, struct error *err)
{
    const struct seal_public *signer = &m->peer[a->site].sign;
    return m->terms.neighbours > 0 ? mask_announcement_verify(signer, &m->r.attempt, a, err)
                                   : mask_announcement_signed(signer, &m->r.attempt, a, err);
}

enum rc masking_check_members(const struct masking *m, const struct mask_announcement *a, size_t n,
                              struct mask_set *set, struct error *err)
{
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < n; i++) {
        enum rc rc = place(m, a[i].site, i, i > 0 ? a[i - 1].site : 0, err);
        if (rc == RC_OK) {
            rc = verify(m, &a[i], err);
        }
        if (rc != RC_OK) {
            return rc;
        }
        const struct mask_announcement *own = &m->r.own_keys;
        if (a[i].draws != own->draws) {
            return error_set(err, RC_FORMAT, "site %zu: a draw where there is none, or the reverse",
                             a[i].site);
        }
        if (a[i].site == m->site && (memcmp(a[i].key.b, own->key.b, sizeof own->key.b) != 0 ||
                                     memcmp(a[i].box.b, own->box.b, sizeof own->box.b) != 0 ||
                                     !hash_equal(&a[i].draw, &own->draw))) {
            return error_set(err, RC_AUTH, "another round key than ours under our name");
        }
        mask_set_add(set, a[i].site);
    }
    if (!mask_set_has(set, m->site)) {
        return error_set(err, RC_LIMIT, "the round was closed before our key arrived");
    }
    enum rc rc = check_threshold(m, set, err);
    if (rc == RC_OK) {
        rc = enough(m, set, "sites with round keys", err);
    }
    return rc == RC_OK ? check_neighbours(m, set, err) : rc;
}

/* ---- U2 -------------------------------------------------------------------------------------- */

/* What the dealer has for us, and that it is what it committed to. */
static RC open_parcel(const struct masking *m, const struct mask_parcel *p,
                      struct mask_openings *held, struct error *err)
{
    const size_t dealer = p->deal.site;
    struct mask_portion portion = {.box = p->box};
    struct mask_set holders;
    struct mask_pair pair;
    enum rc rc = masking_box_pair(m, dealer, &pair, err);
    if (rc == RC_OK) {
        rc = mask_box_open(&pair, &m->r.members, dealer, &p->box, held, err);
    }
    hash_wipe(&pair, sizeof pair);
    mask_holders(&m->terms, &m->r.attempt, dealer, &p->deal.draw, &holders);
    if (rc == RC_OK) {
        for (size_t which = 0; which < 2; which++) {
            portion.commitments.of[which] = mask_commit(&m->r.members, dealer, m->site,
                                                        (enum mask_secret)which, &held->of[which]);
        }
    }
    if (rc == RC_OK && !mask_tree_holds(&p->deal.root, mask_slots(&m->terms),
                                        mask_slot(&holders, m->site), &portion, &p->path)) {
        rc = RC_AUTH;
    }
    if (rc !=
        RC_OK) { /* the dealer's fault, or the coordinator's: without the share we cannot go on */
        return error_set(err, RC_LIMIT,
                         "what arrived as the share of site %zu is not what it committed to",
                         dealer);
    }
    return RC_OK;
}

/* Whose holders follow from what it has committed to, and are we one of them? Nobody but the dealer has a
 * say in it: neither we nor the coordinator. */
static RC check_draw(const struct masking *m, const struct mask_parcel *p, struct mask_set *holds,
                     struct error *err)
{
    const struct mask_deal *d = &p->deal;
    struct mask_set holders;
    if (d->draws != (m->terms.neighbours > 0)) {
        return error_set(err, RC_FORMAT, "site %zu: a draw where there is none, or the reverse",
                         d->site);
    }
    if (d->draws) {
        const struct hash c = mask_draw_commit(&m->r.attempt, d->site, &d->draw);
        if (!hash_equal(&c, &m->at.commitment[d->site])) {
            return error_set(err, RC_AUTH, "site %zu shows another draw than it committed to",
                             d->site);
        }
    }
    mask_holders(&m->terms, &m->r.attempt, d->site, &d->draw, &holders);
    if (p->held != mask_set_has(&holders, m->site)) {
        return error_set(err, RC_AUTH,
                         "a share of site %zu for whom it did not draw, or none for "
                         "whom it did",
                         d->site);
    }
    if (p->held) {
        mask_set_add(holds, d->site);
    }
    return RC_OK;
}

enum rc masking_check_parcels(const struct masking *m, const struct mask_parcel *p, size_t n,
                              struct mask_set *set, struct mask_set *holds,
                              struct mask_openings *held, struct error *err)
{
    struct mask_draw draw[MASK_SITES_MAX];
    memset(set, 0, sizeof *set);
    memset(holds, 0, sizeof *holds);
    for (size_t i = 0; i < n; i++) {
        const struct mask_deal *d = &p[i].deal;
        enum rc rc = place(m, d->site, i, i > 0 ? p[i - 1].deal.site : 0, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (!mask_set_has(&m->r.announced, d->site)) {
            return error_set(err, RC_AUTH, "shares of site %zu, which announced no key", d->site);
        }
        rc = mask_deal_verify(&m->peer[d->site].sign, &m->r.members, d, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (d->site == m->site &&
            (!hash_equal(&d->root, &m->r.deal.root) || !hash_equal(&d->self, &m->r.deal.self))) {
            return error_set(err, RC_AUTH, "other shares than ours under our name");
        }
        rc = check_draw(m, &p[i], holds, err);
        if (rc != RC_OK) {
            return rc;
        }
        draw[d->site] = d->draw;
        mask_set_add(set, d->site);
    }
    if (!mask_set_has(set, m->site)) {
        return error_set(err, RC_LIMIT, "the round was closed before our shares arrived");
    }
    enum rc rc = enough(m, set, "sites with shares", err);
    if (rc == RC_OK) {
        rc = enough_holders(m, set, draw, set, err);
    }
    for (size_t i = 0; i < n && rc == RC_OK; i++) {
        const size_t dealer = p[i].deal.site;
        if (!p[i].held) {
            continue;
        }
        if (dealer == m->site) {
            held[dealer] = m->r.own;
        } else {
            rc = open_parcel(m, &p[i], &held[dealer], err);
        }
    }
    return rc;
}

/* ---- U3 -------------------------------------------------------------------------------------- */

/*
 * Who holds shares of a survivor sees that it masked on the list of dealers that the holder knows, before it
 * signs or shows anything. So what was masked on another list has no honest holder's share of its self mask.
 */
static RC same_list(const struct masking *m, const struct mask_set *survivors,
                    const struct mask_vote *list, size_t n, struct error *err)
{
    struct mask_set signers = {{0}};
    size_t lacking = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t site = list[i].site;
        if (site < m->terms.n_sites && mask_set_has(&m->r.holds, site)) {
            const enum rc rc = mask_list_verify(&m->peer[site].sign, &m->r.clique, &list[i], err);
            if (rc != RC_OK) {
                return rc;
            }
            mask_set_add(&signers, site);
        }
    }
    for (size_t i = 0; i < m->terms.n_sites; i++) {
        lacking += mask_set_has(survivors, i) && mask_set_has(&m->r.holds, i) &&
                   !mask_set_has(&signers, i);
    }
    return lacking == 0 ? RC_OK
                        : error_set(err, RC_AUTH,
                                    "%zu survivors whose shares we hold have not signed our list "
                                    "of dealers",
                                    lacking);
}

enum rc masking_check_survivors(const struct masking *m, const struct mask_set *survivors,
                                const struct mask_vote *list, size_t n, struct error *err)
{
    if (!mask_set_within(survivors, &m->r.dealers)) {
        return error_set(err, RC_AUTH, "a survivor that dealt no shares");
    }
    if (!mask_set_has(survivors, m->site)) {
        return error_set(err, RC_LIMIT, "the round was closed before our update arrived");
    }
    enum rc rc = RC_OK;
    if (m->terms.neighbours > 0) {
        rc = same_list(m, survivors, list, n, err);
    }
    if (rc == RC_OK) {
        rc = enough(m, survivors, "survivors", err);
    }
    return rc == RC_OK ? enough_holders(m, &m->r.dealers, m->at.draw, survivors, err) : rc;
}

enum rc masking_check_votes(const struct masking *m, const struct mask_vote *v, size_t n,
                            struct error *err)
{
    const size_t want = mask_threshold(&m->terms);
    struct mask_set signers = {{0}};
    for (size_t i = 0; i < n && mask_set_count(&signers) < want; i++) {
        if (v[i].site >= m->terms.n_sites || !mask_set_has(&m->r.survivors, v[i].site) ||
            mask_set_has(&signers, v[i].site)) {
            continue; /* of nobody who counts, or who counted already */
        }
        const struct seal_public *signer = &m->peer[v[i].site].sign;
        if (mask_vote_verify(signer, &m->r.clique, &m->r.survivors, &v[i], err) == RC_OK) {
            mask_set_add(&signers, v[i].site);
        }
    }
    if (mask_set_count(&signers) < want) {
        return error_set(err, RC_AUTH,
                         "%zu survivors signed this survivor set, %zu are needed before a share is "
                         "shown",
                         mask_set_count(&signers), want);
    }
    return RC_OK;
}
