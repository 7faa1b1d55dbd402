#include "agent/masking/masking.h"

#include <assert.h>
#include <string.h>

#include "agent/masking/masking_internal.h"

/* ---- the round's end ------------------------------------------------------------------------- */

/* The one place where the state changes. */
static void enter(struct masking *m, enum masking_state state)
{
    m->state = state;
    if (state == MASKING_OUT || state == MASKING_IDLE) {
        hash_wipe(&m->r, sizeof m->r);
        hash_wipe(m->at.first, m->at.bytes);
    }
}

/* What a check said: refused, or the end of this round for us. */
static unsigned refused(struct masking *m, enum rc rc)
{
    if (rc != RC_LIMIT) {
        return MASKING_PROTOCOL_ERROR;
    }
    enter(m, MASKING_OUT);
    return MASKING_GIVE_UP;
}

static struct mask_pair link_to(const struct masking *m, size_t other,
                                const struct mask_point *ours, const struct mask_point *theirs,
                                const struct mask_point *agreed)
{
    const bool low = m->site < other;
    return (struct mask_pair){.low = low ? m->site : other,
                              .high = low ? other : m->site,
                              .key_low = low ? *ours : *theirs,
                              .key_high = low ? *theirs : *ours,
                              .secret = *agreed};
}

struct mask_pair masking_pair(const struct masking *m, size_t other)
{
    return link_to(m, other, &m->r.own_keys.key, &m->at.keys[other], &m->at.agreed[other]);
}

/* Without neighbours everybody is a partner twice, as dealer and as receiver: agreed with once. */
enum rc masking_box_pair(const struct masking *m, size_t other, struct mask_pair *out,
                         struct error *err)
{
    struct mask_point agreed;
    enum rc rc = RC_OK;
    if (m->terms.neighbours > 0) {
        rc = mask_agree(&m->r.secrets.box, &m->at.boxes[other], &agreed, err);
    } else {
        agreed = m->at.agreed_boxes[other];
    }
    if (rc == RC_OK) {
        *out = link_to(m, other, &m->r.own_keys.box, &m->at.boxes[other], &agreed);
    }
    hash_wipe(&agreed, sizeof agreed);
    return rc;
}

/* ---- what each message does ------------------------------------------------------------------ */

static unsigned start(struct masking *m, const struct masking_input *in, struct error *err)
{
    (void)err;
    enter(m, MASKING_IDLE);
    m->round = in->round;
    m->used_round = in->round;
    m->r.model = *in->model;
    m->r.attempt = mask_attempt(&m->study, m->round, &m->roster, in->model, &m->terms);
    m->r.own_keys.site = m->site;
    mask_secrets_from(in->seed, &m->r.attempt, &m->r.secrets, &m->r.own_keys.key,
                      &m->r.own_keys.box);
    if (m->terms.neighbours > 0) {
        mask_draw_from(in->seed, &m->r.attempt, &m->r.own_draw);
        m->r.own_keys.draws = true;
        m->r.own_keys.draw = mask_draw_commit(&m->r.attempt, m->site, &m->r.own_draw);
    }
    mask_holders(&m->terms, &m->r.attempt, m->site, &m->r.own_draw, &m->r.holders);
    enter(m, MASKING_ANNOUNCED);
    return MASKING_KEEP_ROUND | MASKING_SAY_ANNOUNCEMENT;
}

static unsigned announce_again(struct masking *m, const struct masking_input *in, struct error *err)
{
    if (!hash_equal(in->model, &m->r.model)) {
        error_ignore(error_set(err, RC_AUTH, "two models under one round number"));
        return MASKING_PROTOCOL_ERROR;
    }
    return m->state == MASKING_ANNOUNCED ? MASKING_SAY_ANNOUNCEMENT : MASKING_NOTHING;
}

/* The shares of one receiver, in its slot. */
static RC deal_to(struct masking *m, const struct mask_polynomials *p, size_t receiver,
                  struct error *err)
{
    struct mask_portion *portion = &m->at.portion[mask_slot(&m->r.holders, receiver)];
    struct mask_openings o;
    struct mask_pair pair;
    enum rc rc = RC_OK;

    mask_deal_share(p, &m->r.members, receiver, &o);
    for (size_t which = 0; which < 2; which++) {
        portion->commitments.of[which] =
            mask_commit(&m->r.members, m->site, receiver, (enum mask_secret)which, &o.of[which]);
    }
    if (receiver == m->site) {
        m->r.own = o;
        goto out;
    }
    rc = masking_box_pair(m, receiver, &pair, err);
    if (rc == RC_OK) {
        mask_box_seal(&pair, &m->r.members, m->site, &o, &portion->box);
    }
    hash_wipe(&pair, sizeof pair);
out:
    hash_wipe(&o, sizeof o);
    return rc;
}

static RC deal(struct masking *m, struct error *err)
{
    struct mask_polynomials p;
    struct mask_tree tree;
    enum rc rc = RC_OK;

    mask_polynomials_make(&m->r.secrets, &m->r.members, mask_shares(&m->terms), &p);
    for (size_t i = 0; rc == RC_OK && i < m->terms.n_sites; i++) {
        if (mask_set_has(&m->r.announced, i) && mask_set_has(&m->r.holders, i)) {
            rc = deal_to(m, &p, i, err);
        }
    }
    hash_wipe(&p, sizeof p);
    mask_tree_build(m->at.portion, mask_slots(&m->terms), &tree);
    m->r.deal.site = m->site;
    m->r.deal.root = tree.node[1];
    m->r.deal.self = mask_commit_self(&m->r.members, m->site, &m->r.secrets.self);
    m->r.deal.draws = m->terms.neighbours > 0;
    m->r.deal.draw = m->r.own_draw;
    return rc;
}

/* Without neighbours everybody is a partner, which is known early; with them see take_parcels. */
static RC agree_with_all(struct masking *m, const struct masking_input *in, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; m->terms.neighbours == 0 && i < in->n && rc == RC_OK; i++) {
        const size_t site = in->announced[i].site;
        if (site == m->site) {
            continue;
        }
        rc = mask_agree(&m->r.secrets.key, &m->at.keys[site], &m->at.agreed[site], err);
        if (rc == RC_OK) {
            rc = mask_agree(&m->r.secrets.box, &m->at.boxes[site], &m->at.agreed_boxes[site], err);
        }
    }
    return rc;
}

static unsigned take_members(struct masking *m, const struct masking_input *in, struct error *err)
{
    struct mask_set set;
    enum rc rc = masking_check_members(m, in->announced, in->n, &set, err);
    for (size_t i = 0; i < in->n && rc == RC_OK; i++) {
        const size_t site = in->announced[i].site;
        m->at.keys[site] = in->announced[i].key;
        m->at.boxes[site] = in->announced[i].box;
        if (m->terms.neighbours > 0) {
            m->at.commitment[site] = in->announced[i].draw;
        }
    }
    if (rc == RC_OK) {
        rc = agree_with_all(m, in, err);
    }
    if (rc != RC_OK) {
        return refused(m, rc);
    }
    m->r.announced = set;
    m->r.threshold = mask_threshold(&m->terms);
    m->r.members = mask_members(&m->r.attempt, in->announced, in->n);
    rc = deal(m, err);
    if (rc != RC_OK) { /* a signed key that is none: what has been dealt must not stay half */
        enter(m, MASKING_OUT);
        return MASKING_GIVE_UP;
    }
    enter(m, MASKING_DEALT);
    return MASKING_SAY_DEAL;
}

/* A second copy is answered again while its answer may be missing; another list is a lie. */
static unsigned members_again(struct masking *m, const struct masking_input *in, struct error *err)
{
    bool same = in->n == mask_set_count(&m->r.announced);
    for (size_t i = 0; same && i < in->n; i++) {
        const struct mask_announcement *a = &in->announced[i];
        same = mask_set_has(&m->r.announced, a->site) && (i == 0 || a[-1].site < a->site) &&
               memcmp(a->key.b, m->at.keys[a->site].b, sizeof a->key.b) == 0 &&
               memcmp(a->box.b, m->at.boxes[a->site].b, sizeof a->box.b) == 0 &&
               (m->terms.neighbours == 0 || hash_equal(&a->draw, &m->at.commitment[a->site]));
    }
    if (!same) {
        error_ignore(error_set(err, RC_AUTH, "two lists of members in one round"));
        return MASKING_PROTOCOL_ERROR;
    }
    return m->state == MASKING_DEALT ? MASKING_SAY_DEAL : MASKING_NOTHING;
}

/* Whom we drew, and who drew us, of those that dealt. */
static RC find_partners(struct masking *m, const struct masking_input *in, struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < in->n; i++) {
        const size_t site = in->parcel[i].deal.site;
        if (site == m->site ||
            (!mask_set_has(&m->r.holders, site) && !mask_set_has(&m->r.holds, site))) {
            continue;
        }
        mask_set_add(&m->r.partners, site);
        if (m->terms.neighbours > 0) {
            rc = mask_agree(&m->r.secrets.key, &m->at.keys[site], &m->at.agreed[site], err);
        }
    }
    return rc;
}

/* The one list that this round will be masked on: there is no way from here to another. */
static unsigned say_list(const struct masking *m)
{
    return m->terms.neighbours > 0 ? MASKING_SAY_LIST : MASKING_NOTHING;
}

static unsigned take_parcels(struct masking *m, const struct masking_input *in, struct error *err)
{
    struct mask_deal d[MASK_SITES_MAX];
    struct mask_set set, holds;
    enum rc rc = masking_check_parcels(m, in->parcel, in->n, &set, &holds, m->at.held, err);
    if (rc != RC_OK) {
        hash_wipe(m->at.held, m->terms.n_sites * sizeof *m->at.held);
        return refused(m, rc);
    }
    for (size_t i = 0; i < in->n; i++) { /* at most n_sites: the check has seen each once */
        d[i] = in->parcel[i].deal;
        if (m->terms.neighbours > 0) {
            m->at.draw[d[i].site] = d[i].draw;
        }
    }
    m->r.dealers = set;
    m->r.holds = holds;
    m->r.clique = mask_clique(&m->r.members, d, in->n);
    rc = find_partners(m, in, err);
    if (rc != RC_OK) {
        enter(m, MASKING_OUT);
        return MASKING_GIVE_UP;
    }
    enter(m, MASKING_READY);
    return MASKING_CAN_MASK | say_list(m);
}

static unsigned parcels_again(struct masking *m, const struct masking_input *in, struct error *err)
{
    struct mask_deal d[MASK_SITES_MAX];
    bool same = in->n == mask_set_count(&m->r.dealers);
    for (size_t i = 0; same && i < in->n; i++) {
        d[i] = in->parcel[i].deal;
        same = mask_set_has(&m->r.dealers, d[i].site) && (i == 0 || d[i - 1].site < d[i].site);
    }
    if (same) {
        const struct hash name = mask_clique(&m->r.members, d, in->n);
        same = hash_equal(&name, &m->r.clique);
    }
    if (!same) {
        error_ignore(error_set(err, RC_AUTH, "two lists of dealers in one round"));
        return MASKING_PROTOCOL_ERROR;
    }
    return m->state == MASKING_READY || m->state == MASKING_MASKED ? say_list(m) : MASKING_NOTHING;
}

static unsigned vote(struct masking *m, const struct masking_input *in, struct error *err)
{
    const enum rc rc = masking_check_survivors(m, in->survivors, in->vote, in->n, err);
    if (rc != RC_OK) {
        return refused(m, rc);
    }
    m->r.survivors = *in->survivors;
    enter(m, MASKING_VOTED);
    return MASKING_SAY_VOTE;
}

static unsigned vote_again(struct masking *m, const struct masking_input *in, struct error *err)
{
    if (!mask_set_equal(in->survivors, &m->r.survivors)) {
        error_ignore(error_set(err, RC_AUTH, "two survivor sets in one round"));
        return MASKING_PROTOCOL_ERROR;
    }
    return MASKING_SAY_VOTE;
}

static unsigned reveal(struct masking *m, const struct masking_input *in, struct error *err)
{
    const enum rc rc = masking_check_votes(m, in->vote, in->n, err);
    if (rc != RC_OK) {
        return refused(m, rc);
    }
    enter(m, MASKING_REVEALED);
    return MASKING_SAY_REVEAL;
}

/* The same shares whatever was sent: they follow from the one set that we signed. */
static unsigned reveal_again(struct masking *m, const struct masking_input *in, struct error *err)
{
    (void)m;
    (void)in;
    (void)err;
    return MASKING_SAY_REVEAL;
}

static unsigned leave(struct masking *m, const struct masking_input *in, struct error *err)
{
    (void)in;
    (void)err;
    enter(m, MASKING_OUT);
    return MASKING_NOTHING;
}

static unsigned nothing(struct masking *m, const struct masking_input *in, struct error *err)
{
    (void)m;
    (void)in;
    (void)err;
    return MASKING_NOTHING;
}

static unsigned still_out(struct masking *m, const struct masking_input *in, struct error *err)
{
    (void)in;
    error_ignore(error_set(err, RC_STATE,
                           "round %llu is over for this site: it gave up or restarted",
                           (unsigned long long)m->round));
    return MASKING_GIVE_UP;
}

/* ---- the protocol, all of it ----------------------------------------------------------------- */

enum column { NEWER, AGAIN, MEMBERS, PARCELS, SURVIVORS, VOTES, CLOSED, COLUMNS, IGNORED, USED };

typedef unsigned act(struct masking *m, const struct masking_input *in, struct error *err);

/* Read down for states, across for events; an absent cell is a refusal. */
/* clang-format off */
static act *const table[MASKING_STATES][COLUMNS] = {
    [MASKING_IDLE]      = {[NEWER] = start, [CLOSED] = nothing},
    [MASKING_ANNOUNCED] = {[NEWER] = start, [AGAIN] = announce_again, [MEMBERS] = take_members,
                           [CLOSED] = leave},
    [MASKING_DEALT]     = {[NEWER] = start, [AGAIN] = announce_again, [MEMBERS] = members_again,
                           [PARCELS] = take_parcels, [CLOSED] = leave},
    [MASKING_READY]     = {[NEWER] = start, [AGAIN] = announce_again, [MEMBERS] = members_again,
                           [PARCELS] = parcels_again, [CLOSED] = leave},
    [MASKING_MASKED]    = {[NEWER] = start, [AGAIN] = announce_again, [MEMBERS] = members_again,
                           [PARCELS] = parcels_again, [SURVIVORS] = vote, [CLOSED] = leave},
    [MASKING_VOTED]     = {[NEWER] = start, [AGAIN] = announce_again, [MEMBERS] = members_again,
                           [PARCELS] = parcels_again, [SURVIVORS] = vote_again, [VOTES] = reveal,
                           [CLOSED] = leave},
    [MASKING_REVEALED]  = {[NEWER] = start, [AGAIN] = announce_again, [MEMBERS] = members_again,
                           [PARCELS] = parcels_again, [SURVIVORS] = vote_again,
                           [VOTES] = reveal_again, [CLOSED] = leave},
    [MASKING_OUT]       = {[NEWER] = start, [AGAIN] = still_out, [MEMBERS] = nothing,
                           [PARCELS] = nothing, [SURVIVORS] = nothing, [VOTES] = nothing,
                           [CLOSED] = nothing},
};
/* clang-format on */

static enum column column_of(const struct masking *m, const struct masking_input *in)
{
    static const enum column plain[MASKING_EVENTS] = {
        [MASKING_GOT_MEMBERS] = MEMBERS,     [MASKING_GOT_PARCELS] = PARCELS,
        [MASKING_GOT_SURVIVORS] = SURVIVORS, [MASKING_GOT_VOTES] = VOTES,
        [MASKING_CLOSED] = CLOSED,
    };
    if (in->event == MASKING_OPENED) {
        if (in->round > m->used_round) {
            return NEWER;
        }
        return in->round == m->round && m->round > 0 ? AGAIN : USED;
    }
    return in->round == m->round ? plain[in->event] : IGNORED;
}

unsigned masking_step(struct masking *m, const struct masking_input *in, struct error *err)
{
    assert((unsigned)m->state < MASKING_STATES);
    assert((unsigned)in->event < MASKING_EVENTS);

    const enum column column = column_of(m, in);
    if (column == IGNORED) {
        return MASKING_NOTHING;
    }
    if (column == USED) {
        error_ignore(in->round == m->used_round
                         ? error_set(err, RC_STATE,
                                     "this site was started anew in round %llu and has lost its "
                                     "masks; it is in the next round again",
                                     (unsigned long long)in->round)
                         : error_set(err, RC_STATE,
                                     "round %llu is older than round %llu, which this site has "
                                     "begun",
                                     (unsigned long long)in->round,
                                     (unsigned long long)m->used_round));
        return MASKING_GIVE_UP;
    }
    act *const f = table[m->state][column];
    if (f == NULL) {
        error_ignore(error_set(err, RC_STATE, "not now: %s", masking_state_name(m->state)));
        return MASKING_PROTOCOL_ERROR;
    }
    return f(m, in, err);
}

/* ---- our own update -------------------------------------------------------------------------- */

enum rc masking_mask(struct masking *m, uint64_t round, void *numbers, size_t n, struct error *err)
{
    struct mask_stream stream[MASK_SITES_MAX];
    size_t count = 0;

    if (m->state != MASKING_READY || round != m->round) {
        return error_set(err, RC_STATE, "round %llu cannot be masked: %s",
                         (unsigned long long)round, masking_state_name(m->state));
    }
    mask_stream_self(&m->r.secrets.self, &m->r.clique, m->site, &stream[count++]);
    for (size_t i = 0; i < m->terms.n_sites; i++) {
        if (mask_set_has(&m->r.partners, i)) {
            struct mask_pair pair = masking_pair(m, i);
            mask_stream_pair(&pair, &m->r.clique, m->site, &stream[count++]);
            hash_wipe(&pair, sizeof pair);
        }
    }
    mask_apply(numbers, n, 0, stream, count);
    hash_wipe(stream, count * sizeof *stream);
    hash_wipe(&m->r.secrets, sizeof m->r.secrets);
    hash_wipe(m->at.agreed, m->terms.n_sites * sizeof *m->at.agreed);
    hash_wipe(m->at.agreed_boxes, m->terms.n_sites * sizeof *m->at.agreed_boxes);
    enter(m, MASKING_MASKED);
    return RC_OK;
}

enum rc masking_outcome(const struct masking *m, uint64_t round,
                        const struct mask_set *contributors, struct error *err)
{
    if (round != m->round || (m->state != MASKING_VOTED && m->state != MASKING_REVEALED)) {
        return error_set(err, RC_STATE, "round %llu: this site signed no survivors",
                         (unsigned long long)round);
    }
    if (!mask_set_equal(contributors, &m->r.survivors)) {
        return error_set(err, RC_AUTH,
                         "the outcome of round %llu names other sites than were signed",
                         (unsigned long long)round);
    }
    return RC_OK;
}

/* ---- what to say ----------------------------------------------------------------------------- */

enum masking_state masking_state(const struct masking *m)
{
    return m->state;
}

uint64_t masking_round(const struct masking *m)
{
    return m->round;
}

uint64_t masking_used(const struct masking *m)
{
    return m->used_round;
}

const struct hash *masking_attempt(const struct masking *m)
{
    return &m->r.attempt;
}

const struct hash *masking_members(const struct masking *m)
{
    return &m->r.members;
}

const struct hash *masking_clique(const struct masking *m)
{
    return &m->r.clique;
}

struct mask_announcement masking_announcement(const struct masking *m)
{
    assert(m->state >= MASKING_ANNOUNCED && m->state <= MASKING_REVEALED);
    return m->r.own_keys;
}

struct mask_deal masking_deal(const struct masking *m, struct mask_portion *portion)
{
    assert(m->state >= MASKING_DEALT && m->state <= MASKING_REVEALED);
    memcpy(portion, m->at.portion, mask_slots(&m->terms) * sizeof *portion);
    return m->r.deal;
}

struct mask_vote masking_list(const struct masking *m)
{
    assert(m->state >= MASKING_READY && m->state != MASKING_OUT);
    return (struct mask_vote){.site = m->site};
}

struct mask_vote masking_vote(const struct masking *m, struct mask_set *survivors)
{
    assert(m->state == MASKING_VOTED || m->state == MASKING_REVEALED);
    *survivors = m->r.survivors;
    return (struct mask_vote){.site = m->site};
}

size_t masking_reveal(const struct masking *m, struct mask_reveal *out)
{
    size_t n = 0;
    assert(m->state == MASKING_REVEALED); /* the one door through which a share leaves */
    for (size_t i = 0; i < m->terms.n_sites; i++) {
        if (mask_set_has(&m->r.holds, i)) {
            const enum mask_secret which = mask_set_has(&m->r.survivors, i) ? MASK_SELF : MASK_KEY;
            out[n++] = (struct mask_reveal){i, which, m->at.held[i].of[which]};
        }
    }
    return n;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* One after the other, all of them bytes. */
static void furnish(struct masking *m)
{
    const size_t n = m->terms.n_sites, drawn = m->terms.neighbours > 0 ? n : 0;
    unsigned char *at = (unsigned char *)m + sizeof *m;
    m->peer = (void *)at;
    at += n * sizeof *m->peer;
    m->at.first = at;
    m->at.keys = (void *)at;
    at += n * sizeof *m->at.keys;
    m->at.boxes = (void *)at;
    at += n * sizeof *m->at.boxes;
    m->at.agreed = (void *)at;
    at += n * sizeof *m->at.agreed;
    m->at.agreed_boxes = (void *)at;
    at += n * sizeof *m->at.agreed_boxes;
    m->at.portion = (void *)at;
    at += mask_slots(&m->terms) * sizeof *m->at.portion;
    m->at.held = (void *)at;
    at += n * sizeof *m->at.held;
    m->at.commitment = (void *)at;
    at += drawn * sizeof *m->at.commitment;
    m->at.draw = (void *)at;
    at += drawn * sizeof *m->at.draw;
    m->at.bytes = (size_t)(at - m->at.first);
}

static_assert(_Alignof(struct masking_peer) == 1, "bytes");
static_assert(_Alignof(struct mask_point) == 1, "bytes");
static_assert(_Alignof(struct mask_portion) == 1, "bytes");
static_assert(_Alignof(struct mask_openings) == 1, "bytes");
static_assert(_Alignof(struct hash) == 1, "bytes");
static_assert(_Alignof(struct mask_draw) == 1, "bytes");

static size_t block_bytes(const struct mask_terms *terms)
{
    const size_t n = terms->n_sites;
    const size_t drawn = terms->neighbours > 0 ? sizeof(struct hash) + sizeof(struct mask_draw) : 0;
    return sizeof(struct masking) + mask_slots(terms) * sizeof(struct mask_portion) +
           n * (sizeof(struct masking_peer) + 4 * sizeof(struct mask_point) +
                sizeof(struct mask_openings) + drawn);
}

enum rc masking_open(const struct masking_setup *setup, struct masking **out, struct error *err)
{
    void *p = NULL;
    enum rc rc = mask_terms_check(&setup->terms, 0, err);
    if (rc == RC_OK && setup->site >= setup->terms.n_sites) {
        rc = error_set(err, RC_INVALID, "site %zu is not on a roster of %zu", setup->site,
                       setup->terms.n_sites);
    }
    if (rc == RC_OK) {
        rc = mask_start(err);
    }
    if (rc == RC_OK) {
        rc = mask_guarded(block_bytes(&setup->terms), &p, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    struct masking *m = p;
    m->study = setup->study;
    m->roster = setup->roster;
    m->terms = setup->terms;
    m->site = setup->site;
    m->used_round = setup->used_round;
    furnish(m);
    memcpy(m->peer, setup->peer, setup->terms.n_sites * sizeof *setup->peer);
    *out = m;
    return RC_OK;
}

void masking_close(struct masking **m)
{
    mask_guarded_free(*m);
    *m = NULL;
}

const char *masking_state_name(enum masking_state state)
{
    static const char *const name[] = {"idle",   "announced", "dealt",    "ready",
                                       "masked", "voted",     "revealed", "out"};
    static_assert(sizeof name / sizeof name[0] == MASKING_STATES, "one name per state");
    return (unsigned)state < MASKING_STATES ? name[state] : "?";
}
