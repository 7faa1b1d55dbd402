/*
 * Lies. A lying coordinator signs whatever it likes, holds what the colluding sites hold (also their
 * identities), and hears every message; it cannot make an honest site's signature. Each lie is one that a
 * check of a site is there for; what it gains, if anything, is for the tracker to see.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sim/faults/faults_internal.h"

static bool coin(struct world *w, double chance)
{
    return rng_uniform(&w->rng) < chance;
}

static void remove_site(struct mask_set *s, size_t site)
{
    s->b[site / 8] = (unsigned char)(s->b[site / 8] & ~(1U << site % 8));
}

/* ---- two faces ------------------------------------------------------------------------------- */

void liar_opens(struct world *w, struct mask_set invited[2])
{
    w->n_stray = 0;
    w->victim = rng_below(&w->rng, sites_of(w));
    for (size_t i = 0; w->s.lie == LIE_TWO_FACES && i < sites_of(w); i++) {
        if (mask_set_has(&invited[0], i) && (i + w->victim) % 2 == 0) {
            remove_site(&invited[0], i);
            mask_set_add(&invited[1], i);
        }
    }
    if (w->s.lie == LIE_STRANGERS) { /* honest sites go as long as somebody fills the places */
        size_t n = mask_set_count(&invited[0]);
        const size_t t = mask_threshold(&w->s.terms);
        const size_t least = t > w->s.terms.min_sites ? t : w->s.terms.min_sites;
        for (size_t i = 0; n > least && i < sites_of(w); i++) {
            if (is_honest(w, i) && mask_set_has(&invited[0], i)) {
                remove_site(&invited[0], i);
                n--;
            }
        }
    }
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void old_keys(struct world *w, const struct letter *l, unsigned char *raw, size_t n)
{
    struct mask_announcement a[SITES];
    struct error err;
    size_t count = 0;
    if (mask_unpack_announcements(raw, n, &w->s.terms, a, &count, &err) != RC_OK) {
        return;
    }
    for (uint64_t r = 1; r < l->round && r < ROUNDS_MAX; r++) {
        for (size_t i = 0; i < count; i++) {
            if (a[i].site != l->to && mask_set_has(&w->heard_from[r], a[i].site) && coin(w, 0.5)) {
                a[i] = w->heard[r][a[i].site];
            }
        }
    }
    (void)mask_pack_announcements(a, count, raw);
}

static void fewer_members(struct world *w, const struct letter *l, unsigned char *raw, size_t *n)
{
    struct mask_announcement a[SITES], b[SITES];
    struct error err;
    size_t count = 0, left = 0;
    const size_t out = rng_below(&w->rng, sites_of(w));
    if (mask_unpack_announcements(raw, *n, &w->s.terms, a, &count, &err) != RC_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (a[i].site != out || out == l->to) {
            b[left++] = a[i];
        }
    }
    *n = left == 0 ? *n : mask_pack_announcements(b, left, raw);
}

static void other_boxes(struct world *w, unsigned char *raw, size_t *n)
{
    static struct mask_parcel p[SITES];
    struct error err;
    size_t count = 0;
    if (mask_unpack_parcels(raw, *n, &w->s.terms, p, &count, &err) != RC_OK) {
        return;
    }
    const size_t at = rng_below(&w->rng, count);
    if (coin(w, 0.5)) {
        p[at].box.b[10] ^= 1;
    } else if (count > 1) {
        memmove(&p[at], &p[at + 1], (count - at - 1) * sizeof p[0]);
        count--;
    }
    *n = mask_pack_parcels(p, count, raw);
}

static struct hash attempt_of(const struct world *w, const struct unmasking *u)
{
    return mask_attempt(&w->study_hash, unmasking_round(u), &w->roster_hash, &w->center.model_hash,
                        &w->s.terms);
}

/* Holders of its own choice: with the share that fits, where it has one. */
static void other_draws(struct world *w, size_t to, unsigned char *raw, size_t *n)
{
    static struct mask_parcel p[SITES];
    const struct unmasking *u = w->center.face[0].u;
    struct mask_set holders;
    struct error err;
    size_t count = 0;
    if (u == NULL || mask_unpack_parcels(raw, *n, &w->s.terms, p, &count, &err) != RC_OK) {
        return;
    }
    const struct hash attempt = attempt_of(w, u);
    for (size_t i = 0; i < count; i++) {
        if (p[i].deal.site != to && coin(w, 0.5)) {
            p[i].deal.draw.b[0] = (unsigned char)rng_below(&w->rng, 256);
            mask_holders(&w->s.terms, &attempt, p[i].deal.site, &p[i].deal.draw, &holders);
            p[i].held = mask_set_has(&holders, to);
        }
    }
    *n = mask_pack_parcels(p, count, raw);
}

/* Every signature over whatever set, those of the colluding over this site's, and some of them often. */
static void all_votes(struct world *w, size_t to, unsigned char *raw, size_t *n)
{
    struct mask_vote v[MASK_SITES_MAX];
    struct error err;
    size_t count = 0;
    const bool hers = w->s.lie == LIE_TWO_SETS && to % 2 == w->victim % 2 && to != w->victim;
    if (mask_unpack_votes(raw, *n, sites_of(w), v, &count, &err) != RC_OK) {
        count = 0;
    }
    if (hers) {
        struct mask_set set = *unmasking_survivors(w->center.face[0].u);
        remove_site(&set, w->victim);
        for (size_t i = 0; i < w->n_stray && count < sites_of(w); i++) {
            v[count++] = w->stray[i];
        }
        for (size_t i = 0; i < sites_of(w) && count < sites_of(w); i++) {
            const struct hospital *h = &w->site[i];
            if (w->s.colludes[i] && h->up && masking_state(h->masking) >= MASKING_MASKED &&
                masking_state(h->masking) <= MASKING_REVEALED) {
                v[count].site = i;
                mask_vote_sign(h->keys, masking_clique(h->masking), &set, &v[count++]);
            }
        }
    }
    for (size_t i = 0; (hers || w->s.lie == LIE_FEW_VOTES) && count > 0 && count < sites_of(w);
         i++) {
        v[count++] = v[i];
    }
    if (w->s.lie == LIE_FEW_VOTES) {
        for (size_t i = 1; i < count; i++) {
            v[i] = v[0];
        }
    }
    *n = count == 0 ? *n : mask_pack_votes(v, count, raw);
}

/* With these out the victim has no partner left: it is read without the others, or they without it. As
 * many as may go. */
static void cut_off(struct world *w, const struct letter *l, struct mask_set *survivors)
{
    (void)l;
    const struct unmasking *u = w->center.face[0].u;
    const struct hash attempt = attempt_of(w, u);
    const size_t t = mask_threshold(&w->s.terms);
    const size_t least = t > w->s.terms.min_sites ? t : w->s.terms.min_sites;
    struct mask_deal d;
    struct mask_set a, b;
    if (!mask_set_has(survivors, w->victim)) {
        return;
    }
    (void)unmasking_deal(u, w->victim, &d);
    mask_holders(&w->s.terms, &attempt, w->victim, &d.draw, &a);
    for (size_t i = 0; i < sites_of(w) && mask_set_count(survivors) > least; i++) {
        if (i == w->victim || !is_honest(w, i) || !mask_set_has(survivors, i)) {
            continue;
        }
        (void)unmasking_deal(u, i, &d);
        mask_holders(&w->s.terms, &attempt, i, &d.draw, &b);
        if (mask_set_has(&a, i) || mask_set_has(&b, w->victim)) {
            remove_site(survivors, i);
        }
    }
}

/* One site is told of few dealers: those that no mask ties to it, the colluding, and as many of its partners
 * as a list needs. The others hear that just these partners dropped out. */
static void choose_lists(struct world *w)
{
    const struct unmasking *u = w->center.face[0].u;
    const struct hash attempt = attempt_of(w, u);
    const size_t t = mask_threshold(&w->s.terms);
    const size_t least = t > w->s.terms.min_sites ? t : w->s.terms.min_sites;
    struct mask_set mine, theirs;
    struct mask_deal d;
    w->few = w->told = (struct mask_set){{0}};
    if (!mask_set_has(unmasking_dealers(u), w->victim)) {
        return;
    }
    (void)unmasking_deal(u, w->victim, &d);
    mask_holders(&w->s.terms, &attempt, w->victim, &d.draw, &mine);
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sites_of(w); i++) {
            if (!mask_set_has(unmasking_dealers(u), i) || mask_set_has(&w->few, i)) {
                continue;
            }
            (void)unmasking_deal(u, i, &d);
            mask_holders(&w->s.terms, &attempt, i, &d.draw, &theirs);
            const bool tied = i != w->victim && is_honest(w, i) &&
                              (mask_set_has(&mine, i) || mask_set_has(&theirs, w->victim));
            if (pass == 0 && !tied) {
                mask_set_add(&w->few, i);
                mask_set_add(&w->told, i);
            } else if (pass == 1) {
                mask_set_add(mask_set_count(&w->few) < least ? &w->few : &w->told, i);
            }
        }
    }
}

static void few_parcels(struct world *w, unsigned char *raw, size_t *n)
{
    static struct mask_parcel p[SITES];
    struct error err;
    size_t count = 0, left = 0;
    if (mask_unpack_parcels(raw, *n, &w->s.terms, p, &count, &err) != RC_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (mask_set_has(&w->few, p[i].deal.site)) {
            p[left++] = p[i];
        }
    }
    *n = left == 0 ? *n : mask_pack_parcels(p, left, raw);
}

/* As many as can sign, and fewer than a sum was promised to have. */
static void too_few(struct world *w, const struct letter *l, struct mask_set *survivors)
{
    (void)l;
    for (size_t i = 0; i < sites_of(w) && mask_set_count(survivors) > mask_threshold(&w->s.terms);
         i++) {
        if (is_honest(w, (i + w->victim) % sites_of(w))) {
            remove_site(survivors, (i + w->victim) % sites_of(w));
        }
    }
}

static void without_victim(struct world *w, const struct letter *l, struct mask_set *survivors)
{
    (void)l;
    remove_site(survivors, w->victim);
}

static void without_next(struct world *w, const struct letter *l, struct mask_set *survivors)
{
    remove_site(survivors, (l->to + 1) % sites_of(w));
}

static void as_told(struct world *w, const struct letter *l, struct mask_set *survivors)
{
    (void)l;
    *survivors = w->told;
}

/* The set in MASK_SURVIVORS, by `change`; the lists beside it stay. */
static void other_survivors(struct world *w, const struct letter *l, unsigned char *raw, size_t *n,
                            void (*change)(struct world *w, const struct letter *l,
                                           struct mask_set *survivors))
{
    struct error err;
    struct mask_set set;
    struct mask_vote list[SITES];
    size_t lists = 0;
    if (mask_unpack_survivors(raw, *n, sites_of(w), &set, list, &lists, &err) == RC_OK) {
        change(w, l, &set);
        *n = mask_pack_survivors(&set, list, lists, raw);
    }
}

/* Lies about who survived, and votes that go with them. */
static void bend_survivors(struct world *w, const struct letter *l, unsigned char *raw, size_t *n)
{
    switch ((int)w->s.lie) {
    case LIE_TWO_SETS:
        if (l->to % 2 == w->victim % 2 && l->to != w->victim) {
            other_survivors(w, l, raw, n, without_victim);
        }
        break;
    case LIE_FEW_VOTES:
        if (coin(w, 0.5)) {
            other_survivors(w, l, raw, n, without_next);
        }
        break;
    case LIE_OTHER_LIST:
        if (l->to != w->victim && mask_set_has(&w->told, w->victim)) {
            other_survivors(w, l, raw, n, as_told);
        }
        break;
    case LIE_TOO_FEW:
        other_survivors(w, l, raw, n, too_few);
        break;
    case LIE_CUTS_OFF:
        if (w->center.face[0].u != NULL) {
            other_survivors(w, l, raw, n, cut_off);
        }
        break;
    default:
        break;
    }
}

void liar_bends(struct world *w, struct letter *l, unsigned char *raw, size_t *n)
{
    if (l->kind == SURVIVORS) {
        bend_survivors(w, l, raw, n);
    }
    switch (w->s.lie) {
    case LIE_OLD_KEYS:
        if (l->kind == MEMBERS) {
            old_keys(w, l, raw, *n);
        }
        break;
    case LIE_TWO_MEMBERS:
        if (l->kind == MEMBERS && coin(w, 0.5)) {
            fewer_members(w, l, raw, n);
        }
        break;
    case LIE_PARCELS:
        if (l->kind == PARCELS && coin(w, 0.3)) {
            other_boxes(w, raw, n);
        }
        break;
    case LIE_DRAWS:
        if (l->kind == PARCELS && coin(w, 0.5)) {
            other_draws(w, l->to, raw, n);
        }
        break;
    case LIE_TWO_SETS:
    case LIE_FEW_VOTES:
        if (l->kind == VOTES) {
            all_votes(w, l->to, raw, n);
        }
        break;
    case LIE_OTHER_LIST:
        if (l->kind == PARCELS && w->center.face[0].u != NULL) {
            choose_lists(w);
            if (l->to == w->victim) {
                few_parcels(w, raw, n);
            }
        }
        break;
    case LIE_OUTCOME:
        if (l->kind == OUTCOME && coin(w, 0.5)) {
            remove_site(&l->set, rng_below(&w->rng, sites_of(w)));
        }
        break;
    case LIE_SAME_NUMBER:
        if (l->kind == ROUND && l->round > 1 && coin(w, 0.5)) {
            l->round -= 1;
        } else if (l->kind == ROUND && coin(w, 0.3)) {
            l->model.b[0] ^= 1;
        }
        break;
    case LIE_TOO_FEW:
    case LIE_CUTS_OFF:
    case LIE_NONE:
    case LIE_TWO_FACES:
    case LIE_DROPPED:
    case LIE_STRANGERS:
        break;
    }
}

/* ---- what it hears --------------------------------------------------------------------------- */

/* Keeps a signature that came. @return false: it is none */
static bool keep_stray(struct world *w, const struct letter *l, struct mask_vote *v)
{
    struct mask_set set;
    struct error bad;
    if (mask_unpack_vote(l->raw, l->n, sites_of(w), &set, v, &bad) != RC_OK) {
        return false;
    }
    if (w->n_stray < SITES) {
        w->stray[w->n_stray++] = *v;
    }
    return true;
}

/* A signature that no set of its own needs: as many as there are go to those who may be waiting. */
static void tell_votes(struct world *w, const struct letter *l, struct error *err)
{
    static unsigned char raw[MASK_RAW_MAX];
    struct mask_vote v;
    if (!keep_stray(w, l, &v)) {
        return;
    }
    for (size_t i = 0; i < sites_of(w); i++) {
        size_t n = mask_pack_votes(&v, 1, raw);
        all_votes(w, i, raw, &n);
        error_ignore(
            center_say(w, (struct letter){.kind = VOTES, .to = i, .round = l->round}, raw, n, err));
    }
}

/* Signatures over that set, which its machine knows nothing of: all to everybody. */
static void tell_strays(struct world *w, const struct letter *l, struct error *err)
{
    static unsigned char raw[SITES * MASK_VOTE_BYTES];
    struct mask_vote v;
    if (!keep_stray(w, l, &v)) {
        return;
    }
    const size_t n = mask_pack_votes(w->stray, w->n_stray, raw);
    for (size_t i = 0; i < sites_of(w); i++) {
        error_ignore(
            center_say(w, (struct letter){.kind = VOTES, .to = i, .round = l->round}, raw, n, err));
    }
}

bool liar_hears(struct world *w, const struct letter *l, struct error *err)
{
    struct error bad;
    size_t n = 0;
    if (l->kind == KEY && l->round < ROUNDS_MAX &&
        !mask_set_has(&w->heard_from[l->round], l->from)) {
        struct mask_announcement a;
        if (mask_unpack_announcements(l->raw, l->n, &w->s.terms, &a, &n, &bad) == RC_OK) {
            w->heard[l->round][l->from] = a;
            mask_set_add(&w->heard_from[l->round], l->from);
        }
    }
    if (l->kind == VOTE && (w->s.lie == LIE_TWO_SETS || w->s.lie == LIE_FEW_VOTES) &&
        w->center.face[0].u != NULL) {
        tell_votes(w, l, err);
    }
    if (l->kind == VOTE &&
        (w->s.lie == LIE_CUTS_OFF || w->s.lie == LIE_OTHER_LIST || w->s.lie == LIE_TOO_FEW)) {
        tell_strays(w, l, err);
    }
    return l->kind == UPDATE && w->s.lie == LIE_DROPPED && l->from == w->victim;
}

/* ---- a lying site ---------------------------------------------------------------------------- */

void lying_site_bends(struct world *w, struct hospital *h, struct letter *l, unsigned char *raw,
                      size_t *n)
{
    static struct mask_portion portion[SITES];
    static struct mask_tree tree;
    struct mask_deal d;
    struct error err;
    if (w->s.site_lie == SITE_LIE_SHARE && l->kind == REVEAL) {
        if (*n > 0) { /* of nobody it may hold a share */
            raw[MASK_REVEAL_BYTES * rng_below(&w->rng, *n / MASK_REVEAL_BYTES) + 5] ^= 1;
        }
    } else if (w->s.site_lie == SITE_LIE_VOTE && l->kind == VOTE) {
        struct mask_set set;
        struct mask_vote v;
        if (mask_unpack_vote(raw, *n, sites_of(w), &set, &v, &err) == RC_OK) {
            remove_site(&set, rng_below(&w->rng, sites_of(w)));
            mask_vote_sign(h->keys, masking_clique(h->masking), &set, &v);
            (void)mask_pack_vote(&set, &v, raw);
        }
    } else if (w->s.site_lie == SITE_LIE_BOX && l->kind == SHARES) {
        if (mask_unpack_shares(raw, *n, &w->s.terms, &d, portion, &err) == RC_OK) {
            const size_t slots = mask_slots(&w->s.terms);
            portion[rng_below(&w->rng, slots)].box.b[9] ^= 1;
            mask_tree_build(portion, slots, &tree);
            d.root = tree.node[1];
            mask_deal_sign(h->keys, masking_members(h->masking), &d);
            *n = mask_pack_shares(&d, portion, slots, raw);
        }
    } else if (w->s.site_lie == SITE_LIE_UPDATE && l->kind == UPDATE) {
        raw[rng_below(&w->rng, *n)] ^= 0x55;
    }
}
