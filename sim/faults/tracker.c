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

#include "sim/faults/faults_internal.h"

enum { DRAFTS_MAX = 4 * ROUNDS_MAX * SITES, STREAMS_MAX = SITES };

/* One site's secrets in one attempt. */
struct draft {
    size_t site;
    uint64_t round;
    struct mask_secrets secrets;
    struct mask_point key, box;
    struct hash members;
    bool said, dealt, boxes_tried[SITES];
    struct mask_set shown[2]; /* whose shares of which secret are known */
    bool known[2];
    struct mask_portion portion[SITES];
    struct mask_set receivers; /* of its boxes */
};

struct stream_use {
    unsigned char key[32];
    bool subtract;
    size_t other; /* SITES: its own mask */
    size_t draft_other;
};

/* One masked update. */
struct masked {
    size_t site, draft;
    uint64_t round;
    bool sent;
    uint32_t x[WORDS], y[WORDS];
    struct stream_use use[STREAMS_MAX];
    size_t n;
};

struct tracker {
    struct draft draft[DRAFTS_MAX];
    size_t n_drafts;
    struct masked masked[DRAFTS_MAX];
    size_t n_masked;
    struct {
        bool there;
        struct mask_set set;
    } believed[ROUNDS_MAX][SITES], opened[ROUNDS_MAX], cast[ROUNDS_MAX], shown[ROUNDS_MAX][SITES];
    struct hash model_of[ROUNDS_MAX];
    bool opened_number[ROUNDS_MAX], over[ROUNDS_MAX];
    size_t confirmed_colluding;
};

enum rc tracker_open(struct world *w, struct error *err)
{
    w->tracker = calloc(1, sizeof *w->tracker);
    if (w->tracker == NULL) {
        return error_set(err, RC_NOMEM, "no memory for what the adversary knows");
    }
    for (size_t i = 0; i < sites_of(w); i++) {
        w->tracker->confirmed_colluding += w->s.colludes[i] && !w->s.stranger[i];
    }
    return RC_OK;
}

void tracker_close(struct world *w)
{
    if (w->tracker != NULL) {
        hash_wipe(w->tracker, sizeof *w->tracker);
    }
    free(w->tracker);
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

/* ---- closure --------------------------------------------------------------------------------- */

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
    const bool opened = mask_agree(scalar, theirs, &pair.secret, &err) == RC_OK &&
                        mask_box_open(&pair, &dealer->members, dealer->site,
                                      &dealer->portion[receiver->site].box, &o, &err) == RC_OK;
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
    const size_t threshold = mask_threshold(&w->s.terms);
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

static void learnt(struct world *w)
{
    close_over(w);
    look(w);
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
    learnt(w);
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
        for (size_t k = 0; w->s.colludes[h->index] && k < t->n_drafts; k++) {
            struct draft *d = &t->draft[k];
            if (d->site == p[i].deal.site && d->round == own->round &&
                hash_equal(&d->members, &own->members)) {
                mask_set_add(&d->shown[MASK_KEY], h->index);
                mask_set_add(&d->shown[MASK_SELF], h->index);
            }
        }
    }
    learnt(w);
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
        if (!mask_set_has(&own->receivers, a->site) || a->site == h->index || d == NULL) {
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
    if (d != NULL && mask_unpack_shares(raw, n, sites_of(w), &deal, d->portion, &err) == RC_OK) {
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

void tracker_sent(struct world *w, const struct hospital *h, const struct letter *l,
                  const unsigned char *raw, size_t n)
{
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
    learnt(w);
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

/* ---- an honest coordinator ------------------------------------------------------------------- */

static void outcome_said(struct world *w, const struct letter *l)
{
    struct tracker *t = w->tracker;
    bool found = false, failed = false, contributed[SITES] = {false};
    char reason[240];
    struct error err;
    struct mask_set kept = {{0}};
    const enum rc rc = registry_outcome(w->center.registry, &w->study_hash, l->round, &found,
                                        contributed, sites_of(w), &failed, reason, &err);
    for (size_t i = 0; i < sites_of(w); i++) {
        if (contributed[i]) {
            mask_set_add(&kept, i);
        }
    }
    if (rc != RC_OK || !found || failed) {
        broken(w, 4, "the outcome of round %llu is told, and no transaction has it",
               (unsigned long long)l->round);
    } else if (!mask_set_equal(&kept, &l->set)) {
        broken(w, 7, "the outcome of round %llu that is told is not the one that was kept",
               (unsigned long long)l->round);
    }
    if (l->round < ROUNDS_MAX && t->opened[l->round].there &&
        !mask_set_equal(&t->opened[l->round].set, &l->set)) {
        broken(w, 7, "the outcome of round %llu names others than are in its sum",
               (unsigned long long)l->round);
    }
    if (l->round < ROUNDS_MAX) {
        t->over[l->round] = true;
    }
}

/* A number is opened from one model, and never after a later one. */
static void round_said(struct world *w, const struct letter *l)
{
    struct tracker *t = w->tracker;
    if (l->round >= ROUNDS_MAX) {
        broken(w, 3, "round %llu is beyond the plan", (unsigned long long)l->round);
        return;
    }
    for (uint64_t r = l->round; r < ROUNDS_MAX; r++) {
        if (t->over[r] || (r > l->round && t->opened_number[r])) {
            broken(w, 3, "round %llu opens again", (unsigned long long)l->round);
            return;
        }
    }
    if (t->opened_number[l->round] && !hash_equal(&t->model_of[l->round], &l->model)) {
        broken(w, 3, "round %llu opens from two models", (unsigned long long)l->round);
    }
    t->opened_number[l->round] = true;
    t->model_of[l->round] = l->model;
}

void tracker_said(struct world *w, const struct letter *l)
{
    struct tracker *t = w->tracker;
    if (l->kind == OUTCOME) {
        outcome_said(w, l);
    } else if (l->kind == ROUND) {
        round_said(w, l);
    } else if (l->kind == SURVIVORS && l->round < ROUNDS_MAX) {
        const struct mask_set *now = unmasking_survivors(w->center.face[0].u);
        if (t->cast[l->round].there && !mask_set_equal(&t->cast[l->round].set, now)) {
            broken(w, 5, "an honest coordinator tells two survivor sets of round %llu",
                   (unsigned long long)l->round);
        }
        t->cast[l->round].there = true;
        t->cast[l->round].set = *now;
    }
}

void tracker_opened(struct world *w, uint64_t round, const struct mask_set *survivors,
                    const uint32_t *sum)
{
    struct tracker *t = w->tracker;
    uint32_t want[WORDS] = {0};
    bool lied = false;
    w->result->opened++;
    for (size_t i = 0; i < t->n_masked; i++) {
        const struct masked *m = &t->masked[i];
        const bool in = mask_set_has(survivors, m->site);
        if (m->round != round) {
            continue;
        }
        lied = lied || (in && w->s.liar_site == m->site);
        w->result->dropped_sites += !in;
        for (size_t k = 0; in && k < WORDS; k++) {
            want[k] += m->x[k];
        }
    }
    if (w->s.lie == LIE_NONE && !lied && memcmp(sum, want, sizeof want) != 0) {
        broken(w, 1, "the opened sum of round %llu is not that of its survivors",
               (unsigned long long)round);
    }
    t->opened[round].there = true;
    t->opened[round].set = *survivors;
}

void tracker_named(struct world *w, size_t site)
{
    if (w->s.lie == LIE_NONE && site != w->s.liar_site) {
        broken(w, 8, "site %zu is named a liar and has not lied", site);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

void tracker_end(struct world *w, bool in_time)
{
    const struct round_machine *m = w->center.machine;
    if (!liars(w) && !in_time) {
        broken(w, 6, "the faults have stopped and the study does not end: the coordinator is %s%s",
               m == NULL ? "away" : "in ", m == NULL ? "" : round_state_name(m->state));
    }
    for (size_t i = 0; i < sites_of(w); i++) {
        const struct session *s = &w->site[i].session;
        const bool busy = s->state == SESSION_TRAINING || s->state == SESSION_SPENT ||
                          s->state == SESSION_SEND || s->state == SESSION_SPEND;
        if (w->site[i].up && is_honest(w, i) && busy && w->now_ms > s->round_deadline_ms + 60000) {
            broken(w, 6, "site %zu is still in round %llu, a minute after its deadline", i,
                   (unsigned long long)s->round);
        }
    }
}
