/*
 * What the adversary knows: the coordinator, whoever reads its disk, and every site that colludes with
 * it, together. The world's own secrets are all here; each becomes known when a message, a collusion or
 * what is known already gives it away. After each step: is there a sum of fewer honest updates than the
 * terms allow that can be computed?
 *
 *   shares     a site showed one (REVEAL), a colluding one holds one, a box opened
 *   secrets    t shares of them; those of the colluding
 *   streams    of a pair if either end's key is known, of a self mask if its scalar is
 *   boxes      tried with every key that became known, as an attacker would
 */
#include <stdlib.h>
#include <string.h>

#include "sim/faults/tracker_internal.h"

enum rc tracker_open(struct world *w, struct error *err)
{
    static struct tracker *own; /* megabytes, of which most schedules use a tenth: the process's */
    if (own == NULL) {
        own = calloc(1, sizeof *own);
    }
    if (own == NULL) {
        return error_set(err, RC_NOMEM, "no memory for what the adversary knows");
    }
    w->tracker = own;
    for (size_t i = 0; i < sites_of(w); i++) {
        w->tracker->confirmed_colluding += w->s.colludes[i] && !w->s.stranger[i];
    }
    return RC_OK;
}

void tracker_close(struct world *w)
{
    struct tracker *t = w->tracker;
    if (t != NULL) {
        memset(t->draft, 0, t->n_drafts * sizeof t->draft[0]);
        memset(t->masked, 0, t->n_masked * sizeof t->masked[0]);
        memset((unsigned char *)t + offsetof(struct tracker, n_drafts), 0,
               sizeof *t - offsetof(struct tracker, n_drafts));
    }
    w->tracker = NULL;
}

static struct draft *newest(struct tracker *t, size_t site, uint64_t round)
{
    for (size_t i = t->n_drafts; i > 0; i--) {
        if (t->draft[i - 1].site == site && t->draft[i - 1].round == round) {
            return &t->draft[i - 1];
        }
    }
    return NULL;
}

static struct draft *of_key(struct tracker *t, const struct mask_point *key)
{
    for (size_t i = 0; i < t->n_drafts; i++) {
        if (memcmp(t->draft[i].key.b, key->b, sizeof key->b) == 0) {
            return &t->draft[i];
        }
    }
    return NULL;
}

/* ---- what happens at sites ------------------------------------------------------------------- */

void tracker_seed(struct world *w, const struct hospital *h, const struct mask_seed *seed)
{
    struct tracker *t = w->tracker;
    const uint64_t round = masking_round(h->masking);
    if (t->n_drafts == DRAFTS_MAX || round >= ROUNDS_MAX) {
        broken(w, 3, "more attempts than round numbers allow");
        return;
    }
    struct draft *d = &t->draft[t->n_drafts++];
    *d = (struct draft){.site = h->index, .round = round};
    mask_secrets_from(seed, masking_attempt(h->masking), &d->secrets, &d->key, &d->box);
    struct mask_draw draw;
    mask_draw_from(seed, masking_attempt(h->masking), &draw);
    mask_holders(&w->s.terms, masking_attempt(h->masking), h->index, &draw, &d->holders);
    tracker_learnt(w);
}

/* A statement counts in one round: whoever's key this is has to have made it for this one. */
void tracker_members(struct world *w, const struct hospital *h)
{
    struct tracker *t = w->tracker;
    const uint64_t round = masking_round(h->masking);
    for (size_t i = 0; i < h->n_members; i++) {
        const struct draft *d = of_key(t, &h->members[i].key);
        if (d == NULL || d->round != round || d->site != h->members[i].site) {
            broken(w, 2, "site %zu took a key of site %zu that was not made for round %llu",
                   h->index, h->members[i].site, (unsigned long long)round);
        }
    }
    struct draft *own = newest(t, h->index, round);
    if (own != NULL) {
        own->members = *masking_members(h->masking);
    }
}

/* A colluding site now holds a share of each secret of each dealer. */
void tracker_parcels(struct world *w, const struct hospital *h, const struct mask_parcel *p,
                     size_t n)
{
    struct tracker *t = w->tracker;
    struct draft *own = newest(t, h->index, masking_round(h->masking));
    for (size_t i = 0; i < n && own != NULL; i++) {
        if (p[i].deal.site >= SITES) {
            continue;
        }
        mask_set_add(&own->receivers, p[i].deal.site);
        for (size_t k = 0; w->s.colludes[h->index] && p[i].held && k < t->n_drafts; k++) {
            struct draft *d = &t->draft[k];
            if (d->site == p[i].deal.site && d->round == own->round &&
                hash_equal(&d->members, &own->members)) {
                mask_set_add(&d->shown[MASK_KEY], h->index);
                mask_set_add(&d->shown[MASK_SELF], h->index);
            }
        }
    }
    tracker_learnt(w);
}

static void note_use(struct world *w, struct masked *m, const struct mask_stream *s, size_t other,
                     size_t draft_other)
{
    struct tracker *t = w->tracker;
    for (size_t i = 0; i < t->n_masked; i++) {
        for (size_t k = 0; k < t->masked[i].n; k++) {
            const struct stream_use *u = &t->masked[i].use[k];
            const bool other_end = t->masked[i].site == other && u->other == m->site &&
                                   t->masked[i].round == m->round && u->subtract != s->subtract;
            if (memcmp(u->key, s->key, sizeof s->key) == 0 && !other_end) {
                broken(w, 2, "one keystream masks an update of site %zu and again one of site %zu",
                       t->masked[i].site, m->site);
            }
        }
    }
    struct stream_use *u = &m->use[m->n++];
    *u = (struct stream_use){.subtract = s->subtract, .other = other, .draft_other = draft_other};
    memcpy(u->key, s->key, sizeof u->key);
}

void tracker_masked(struct world *w, const struct hospital *h)
{
    struct tracker *t = w->tracker;
    const uint64_t round = masking_round(h->masking);
    const struct hash *clique = masking_clique(h->masking);
    struct draft *own = newest(t, h->index, round);
    struct mask_stream s;
    struct error err;
    if (own == NULL || t->n_masked == DRAFTS_MAX) {
        broken(w, 3, "site %zu masked in a round that it never began", h->index);
        return;
    }
    struct masked m = {.site = h->index, .draft = (size_t)(own - t->draft), .round = round};
    memcpy(m.x, h->x, sizeof m.x);
    memcpy(m.y, h->y, sizeof m.y);
    for (size_t i = 0; i < t->n_masked; i++) {
        if (t->masked[i].site == h->index && t->masked[i].round == round) {
            broken(w, 3, "site %zu masked a second update of round %llu", h->index,
                   (unsigned long long)round);
        }
    }
    for (size_t i = 0; i < h->n_members; i++) {
        const struct mask_announcement *a = &h->members[i];
        const struct draft *d = of_key(t, &a->key);
        if (!mask_set_has(&own->receivers, a->site) || a->site == h->index || d == NULL ||
            (!mask_set_has(&own->holders, a->site) && !mask_set_has(&d->holders, h->index))) {
            continue;
        }
        const bool low = h->index < a->site;
        struct mask_pair pair = {low ? h->index : a->site,
                                 low ? a->site : h->index,
                                 low ? own->key : a->key,
                                 low ? a->key : own->key,
                                 {{0}}};
        if (mask_agree(&own->secrets.key, &a->key, &pair.secret, &err) == RC_OK) {
            mask_stream_pair(&pair, clique, h->index, &s);
            note_use(w, &m, &s, a->site, (size_t)(d - t->draft));
        }
    }
    mask_stream_self(&own->secrets.self, clique, h->index, &s);
    note_use(w, &m, &s, SITES, 0);
    t->masked[t->n_masked++] = m;
}

/* ---- what leaves sites ----------------------------------------------------------------------- */

static void update_left(struct world *w, const struct hospital *h, const struct letter *l,
                        const unsigned char *raw, size_t n)
{
    struct tracker *t = w->tracker;
    const void *bytes = NULL;
    size_t stored = 0;
    bool found = false, ours = false;
    struct error err;
    if (w->s.liar_site == h->index) {
        return;
    }
    const enum rc rc =
        ledger_stored(h->ledger, &w->study_hash, l->round, &found, &bytes, &stored, &err);
    if (rc != RC_OK || !found || stored != n || memcmp(bytes, raw, n) != 0) {
        broken(w, 3, "what left site %zu in round %llu is not what its ledger holds", h->index,
               (unsigned long long)l->round);
    }
    for (size_t i = 0; i < t->n_masked; i++) {
        struct masked *m = &t->masked[i];
        if (m->site == h->index && m->round == l->round && n == sizeof m->y &&
            memcmp(m->y, raw, n) == 0) {
            m->sent = ours = true;
        }
    }
    if (!ours) {
        broken(w, 2, "an update left site %zu in round %llu that was never masked", h->index,
               (unsigned long long)l->round);
    }
}

/* A key that was not kept was not said, and may be made anew. */
static void key_left(struct world *w, const struct hospital *h, const struct letter *l)
{
    struct tracker *t = w->tracker;
    struct draft *own = newest(t, h->index, l->round);
    if (own == NULL) {
        return;
    }
    own->said = true;
    for (size_t i = 0; i < t->n_drafts; i++) {
        const struct draft *d = &t->draft[i];
        if (d != own && d->said && d->site == h->index && d->round == l->round) {
            broken(w, 3, "site %zu says a second key under round %llu", h->index,
                   (unsigned long long)l->round);
        }
    }
}

static void shares_left(struct world *w, const struct hospital *h, const unsigned char *raw,
                        size_t n)
{
    struct draft *d = newest(w->tracker, h->index, masking_round(h->masking));
    struct mask_deal deal;
    struct error err;
    if (d != NULL && mask_unpack_shares(raw, n, &w->s.terms, &deal, d->portion, &err) == RC_OK) {
        d->dealt = true;
    }
}

/* The door through which shares leave. Of one dealer one secret, and of one survivor set: all honest sites
 * of a round show theirs for the same one. */
static void reveal_left(struct world *w, const struct hospital *h, const struct letter *l,
                        const unsigned char *raw, size_t n)
{
    struct tracker *t = w->tracker;
    struct mask_reveal r[2 * SITES];
    struct error err;
    size_t count = 0;
    struct mask_set survivors = {{0}};
    const struct draft *own = newest(t, h->index, l->round);
    if (n > 2 * (size_t)SITES * MASK_REVEAL_BYTES ||
        mask_unpack_reveals(raw, n, n / MASK_REVEAL_BYTES > sites_of(w) ? 2 * SITES : sites_of(w),
                            r, &count, &err) != RC_OK ||
        own == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (r[i].which == MASK_SELF) {
            mask_set_add(&survivors, r[i].dealer);
        }
        for (size_t k = 0; k < t->n_drafts; k++) {
            struct draft *d = &t->draft[k];
            if (d->site == r[i].dealer && d->round == l->round &&
                hash_equal(&d->members, &own->members)) {
                mask_set_add(&d->shown[r[i].which], h->index);
            }
        }
    }
    if (w->s.terms.neighbours > 0 && masking_state(h->masking) == MASKING_REVEALED) {
        struct mask_set held = survivors; /* only of dealers that drew it */
        (void)masking_vote(h->masking, &survivors);
        for (size_t i = 0; i < count; i++) {
            if (mask_set_has(&survivors, r[i].dealer) != mask_set_has(&held, r[i].dealer)) {
                broken(w, 5, "site %zu shows shares for another set than it signed", h->index);
            }
        }
    }
    if (is_honest(w, h->index) && mask_set_count(&survivors) < w->s.terms.min_sites) {
        broken(w, 12, "site %zu opens a sum of %zu, at least %zu were promised", h->index,
               mask_set_count(&survivors), w->s.terms.min_sites);
    }
    if (is_honest(w, h->index) && l->round < ROUNDS_MAX) {
        t->shown[l->round][h->index].there = true;
        t->shown[l->round][h->index].set = survivors;
        for (size_t i = 0; i < sites_of(w); i++) {
            if (t->shown[l->round][i].there &&
                !mask_set_equal(&t->shown[l->round][i].set, &survivors)) {
                broken(w, 5, "sites %zu and %zu opened round %llu for different survivors", i,
                       h->index, (unsigned long long)l->round);
            }
        }
    }
}

bool tracker_ties(const struct world *w, size_t a, size_t b)
{
    struct tracker *t = w->tracker;
    const uint64_t round = w->center.up ? w->center.machine->round : 0;
    const struct draft *x = newest(t, a, round), *y = newest(t, b, round);
    return (x != NULL && mask_set_has(&x->holders, b)) ||
           (y != NULL && mask_set_has(&y->holders, a));
}

void tracker_spent(struct world *w, const struct hospital *h)
{
    if (h->withdrawn) {
        broken(w, 11, "site %zu has spent after it withdrew", h->index);
    }
}

void tracker_sent(struct world *w, const struct hospital *h, const struct letter *l,
                  const unsigned char *raw, size_t n)
{
    const bool word = l->kind == HELLO || l->kind == DECLINE || l->kind == CANNOT;
    if (h->withdrawn && !word) {
        broken(w, 11, "site %zu says %s after it withdrew", h->index, kind_name(l->kind));
    }
    if (l->kind == UPDATE) {
        update_left(w, h, l, raw, n);
    } else if (l->kind == KEY) {
        key_left(w, h, l);
    } else if (l->kind == SHARES) {
        shares_left(w, h, raw, n);
    } else if (l->kind == REVEAL) {
        reveal_left(w, h, l, raw, n);
    } else {
        return;
    }
    tracker_learnt(w);
}

void tracker_outcome(struct world *w, const struct hospital *h, const struct letter *l)
{
    struct tracker *t = w->tracker;
    if (!is_honest(w, h->index) || l->round >= ROUNDS_MAX) {
        return;
    }
    t->believed[l->round][h->index].there = true;
    t->believed[l->round][h->index].set = l->set;
    for (size_t i = 0; i < sites_of(w); i++) {
        if (t->believed[l->round][i].there &&
            !mask_set_equal(&t->believed[l->round][i].set, &l->set)) {
            broken(w, 5, "sites %zu and %zu believe different outcomes of round %llu", i, h->index,
                   (unsigned long long)l->round);
        }
    }
}
