/* Closure: all that follows from what is known, and whether a sum of too few updates is among it. */
#include <string.h>

#include "sim/faults/tracker_internal.h"

/* A box of `dealer` for `receiver`, tried with a key of one end that is known. */
static bool opens(const struct draft *dealer, const struct draft *receiver,
                  const struct mask_scalar *scalar, const struct mask_point *theirs, bool box_keys)
{
    const bool low = dealer->site < receiver->site;
    const struct draft *a = low ? dealer : receiver, *b = low ? receiver : dealer;
    struct mask_pair pair = {
        a->site, b->site, box_keys ? a->box : a->key, box_keys ? b->box : b->key, {{0}}};
    struct mask_openings o;
    struct error err;
    if (!mask_set_has(&dealer->holders, receiver->site)) {
        return false;
    }
    const struct mask_portion *p = &dealer->portion[mask_slot(&dealer->holders, receiver->site)];
    const bool opened =
        mask_agree(scalar, theirs, &pair.secret, &err) == RC_OK &&
        mask_box_open(&pair, &dealer->members, dealer->site, &p->box, &o, &err) == RC_OK;
    hash_wipe(&o, sizeof o);
    return opened;
}

/* With the key of d: its own boxes, and those for it. @return something was learnt */
static bool try_boxes(struct world *w, struct draft *d)
{
    struct tracker *t = w->tracker;
    bool learnt = false;
    for (size_t i = 0; i < t->n_drafts; i++) {
        struct draft *e = &t->draft[i];
        if (e == d || e->round != d->round || !e->dealt || !d->dealt ||
            !hash_equal(&e->members, &d->members) || d->boxes_tried[e->site]) {
            continue;
        }
        d->boxes_tried[e->site] = true;
        for (size_t way = 0; way < 2; way++) {
            struct draft *dealer = way == 0 ? d : e;
            const struct draft *receiver = way == 0 ? e : d;
            if (opens(dealer, receiver, &d->secrets.key, &e->key, false) ||
                opens(dealer, receiver, &d->secrets.key, &e->box, true)) {
                mask_set_add(&dealer->shown[MASK_KEY], receiver->site);
                mask_set_add(&dealer->shown[MASK_SELF], receiver->site);
                learnt = true;
            }
        }
    }
    return learnt;
}

static void close_over(struct world *w)
{
    struct tracker *t = w->tracker;
    bool more = true;
    const size_t threshold = mask_shares(&w->s.terms);
    while (more) {
        more = false;
        for (size_t i = 0; i < t->n_drafts; i++) {
            struct draft *d = &t->draft[i];
            for (size_t which = 0; which < 2; which++) {
                if (!d->known[which] &&
                    (w->s.colludes[d->site] || mask_set_count(&d->shown[which]) >= threshold)) {
                    d->known[which] = true;
                    more = true;
                }
            }
            if (d->known[MASK_KEY] && !w->s.colludes[d->site]) {
                more = try_boxes(w, d) || more;
            }
        }
    }
}

/* ---- what can be read ------------------------------------------------------------------------ */

static bool readable_alone(const struct tracker *t, const struct masked *m)
{
    return m->sent && t->draft[m->draft].known[MASK_SELF];
}

static bool hidden(const struct tracker *t, const struct masked *m, const struct stream_use *s)
{
    return s->other != SITES && !t->draft[m->draft].known[MASK_KEY] &&
           !t->draft[s->draft_other].known[MASK_KEY];
}

/* The masked update in which the same stream stands with the other sign; n_masked: in none. */
static size_t partner(const struct tracker *t, size_t at, const struct stream_use *s)
{
    for (size_t i = 0; i < t->n_masked; i++) {
        const struct masked *m = &t->masked[i];
        for (size_t k = 0; i != at && readable_alone(t, m) && k < m->n; k++) {
            if (memcmp(m->use[k].key, s->key, sizeof s->key) == 0 &&
                m->use[k].subtract != s->subtract) {
                return i;
            }
        }
    }
    return t->n_masked;
}

/* Components of masked updates that unknown streams hold together. One of which every unknown stream
 * cancels within is a sum that the adversary reads. */
static void look(struct world *w)
{
    struct tracker *t = w->tracker;
    size_t group[DRAFTS_MAX];
    bool closed[DRAFTS_MAX];
    for (size_t i = 0; i < t->n_masked; i++) {
        group[i] = i;
        closed[i] = readable_alone(t, &t->masked[i]) && !w->s.colludes[t->masked[i].site];
    }
    for (size_t i = 0; i < t->n_masked; i++) {
        for (size_t k = 0; closed[i] && k < t->masked[i].n; k++) {
            if (!hidden(t, &t->masked[i], &t->masked[i].use[k])) {
                continue;
            }
            const size_t j = partner(t, i, &t->masked[i].use[k]);
            if (j == t->n_masked) {
                closed[i] = false;
                break;
            }
            const size_t from = group[j], to = group[i];
            for (size_t m = 0; m < t->n_masked; m++) {
                group[m] = group[m] == from ? to : group[m];
            }
        }
    }
    for (size_t g = 0; g < t->n_masked; g++) {
        size_t n = 0;
        bool whole = true;
        for (size_t i = 0; i < t->n_masked; i++) {
            n += group[i] == g;
            whole = whole && (group[i] != g || closed[i]);
        }
        if (n > 0 && whole && n + t->confirmed_colluding < w->s.terms.min_sites) {
            broken(w, 2,
                   "the adversary can read a sum of %zu honest updates of round %llu (site %zu is "
                   "in it); %zu sites with %zu colluding among them were promised",
                   n, (unsigned long long)t->masked[g].round, t->masked[g].site,
                   w->s.terms.min_sites, t->confirmed_colluding);
        }
    }
}

void tracker_learnt(struct world *w)
{
    close_over(w);
    look(w);
}
