#include "aggregator/unmasking/unmasking.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/unmasking/unmasking_internal.h"

/* ---- who answers, and is enough -------------------------------------------------------------- */

/* Who may answer the present phase. NULL: it is over. */
static const struct mask_set *asked(const struct unmasking *m)
{
    switch (m->state) {
    case UNMASKING_ANNOUNCING:
        return &m->setup.invited;
    case UNMASKING_DEALING:
        return unmasking_announced(m);
    case UNMASKING_UPDATING:
        return unmasking_dealers(m);
    case UNMASKING_VOTING:
    case UNMASKING_REVEALING:
        return unmasking_survivors(m);
    case UNMASKING_DONE:
    case UNMASKING_FAILED:
    case UNMASKING_STATES:
        break;
    }
    return NULL;
}

/* How many answers this phase must have before the next can begin. */
static size_t needed(const struct unmasking *m)
{
    if (m->state == UNMASKING_REVEALING) {
        return mask_shares(&m->setup.terms);
    }
    if (m->state == UNMASKING_VOTING) {
        return mask_threshold(&m->setup.terms);
    }
    const size_t promised = m->setup.terms.min_sites;
    const size_t least = m->setup.quorum > promised ? m->setup.quorum : promised;
    return m->threshold > least ? m->threshold : least;
}

/* Of every dealer enough holders of its shares are among `present`. @param[out] lacking one without */
static bool enough_holders(const struct unmasking *m, const struct mask_set *present,
                           size_t *lacking)
{
    for (size_t i = 0; i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(unmasking_dealers(m), i) &&
            mask_set_common(&m->holders[i], present) < mask_shares(&m->setup.terms)) {
            *lacking = i;
            return false;
        }
    }
    return true;
}

struct mask_set unmasking_waited_for(const struct unmasking *m)
{
    struct mask_set out = {{0}};
    const struct mask_set *who = asked(m);
    for (size_t i = 0; who != NULL && i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(who, i) && !mask_set_has(&m->answered[m->state], i) &&
            !mask_set_has(&m->gone, i)) {
            mask_set_add(&out, i);
        }
    }
    return out;
}

/* Is there still one who is worth the wait? A round that is too small without silent sites waits for them, too. */
static bool is_patient(const struct unmasking *m, const struct mask_set *rest)
{
    const bool enough = mask_set_count(&m->answered[m->state]) >= needed(m);
    return m->state != UNMASKING_ANNOUNCING || !enough || !mask_set_within(rest, &m->setup.silent);
}

/* ---- phases ---------------------------------------------------------------------------------- */

/* The one place where the state changes. */
static void enter(struct unmasking *m, enum unmasking_state state, int64_t now_ms)
{
    const int64_t wait_ms = state == UNMASKING_UPDATING ? m->setup.update_ms : m->setup.phase_ms;
    m->state = state;
    m->deadline_ms =
        state == UNMASKING_DONE || state == UNMASKING_FAILED || now_ms > INT64_MAX - wait_ms
            ? INT64_MAX
            : now_ms + wait_ms;
}

static unsigned fail(struct unmasking *m)
{
    enter(m, UNMASKING_FAILED, 0);
    return UNMASKING_FAIL;
}

static unsigned settle_members(struct unmasking *m)
{
    struct mask_announcement a[MASK_SITES_MAX];
    const size_t n = unmasking_members(m, a);
    m->members = mask_members(&m->attempt, a, n);
    return UNMASKING_KEEP | UNMASKING_CAST_MEMBERS;
}

static unsigned settle_dealers(struct unmasking *m)
{
    struct mask_deal d[MASK_SITES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(unmasking_dealers(m), i)) {
            d[n++] = m->deal[i];
        }
    }
    m->clique = mask_clique(&m->members, d, n);
    return UNMASKING_KEEP | UNMASKING_CAST_PARCELS;
}

static unsigned fail_for_holders(struct unmasking *m, size_t dealer, struct error *err)
{
    error_ignore(error_set(err, RC_LIMIT,
                           "too few of the sites that hold shares of site %zu are left, %zu are "
                           "needed",
                           dealer, mask_shares(&m->setup.terms)));
    return fail(m);
}

/* The present phase has what it needs, or all that it gets. */
static unsigned close_phase(struct unmasking *m, int64_t now_ms, struct error *err)
{
    unsigned actions = UNMASKING_NOTHING;
    const enum unmasking_state phase = m->state;
    size_t lacking = 0;

    if ((phase == UNMASKING_DEALING || phase == UNMASKING_UPDATING) &&
        !enough_holders(m, &m->answered[phase], &lacking)) {
        return fail_for_holders(m, lacking, err); /* no site would go on */
    }

    if (phase == UNMASKING_REVEALING) {
        const enum rc rc = unmasking_combine(m, err);
        if (rc != RC_OK) {
            return fail(m) | (rc == RC_AUTH ? UNMASKING_LIAR : UNMASKING_NOTHING);
        }
        enter(m, UNMASKING_DONE, now_ms);
        return UNMASKING_UNMASK;
    }
    if (phase == UNMASKING_ANNOUNCING) {
        actions = settle_members(m);
    } else if (phase == UNMASKING_DEALING) {
        actions = settle_dealers(m);
    } else if (phase == UNMASKING_UPDATING) {
        actions = UNMASKING_KEEP | UNMASKING_CAST_SURVIVORS;
    } else {
        actions = UNMASKING_CAST_VOTES;
    }
    enter(m, (enum unmasking_state)(phase + 1), now_ms);
    return actions;
}

/* Shares: enough of every dealer's. @param rest who may still show some, or NULL */
static unsigned verdict_on_shares(struct unmasking *m, int64_t now_ms, const struct mask_set *rest,
                                  struct error *err)
{
    struct mask_set hoped = m->answered[UNMASKING_REVEALING];
    size_t lacking = 0;
    if (enough_holders(m, &hoped, &lacking)) {
        return close_phase(m, now_ms, err);
    }
    for (size_t i = 0; rest != NULL && i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(rest, i)) {
            mask_set_add(&hoped, i);
        }
    }
    return enough_holders(m, &hoped, &lacking) ? UNMASKING_NOTHING
                                               : fail_for_holders(m, lacking, err);
}

/* After every change: is the phase over, or beyond hope? */
static unsigned verdict(struct unmasking *m, int64_t now_ms, bool timed_out, struct error *err)
{
    static const char *const what[] = {"announced a round key", "dealt shares", "sent an update",
                                       "signed the survivors", "showed their shares"};
    const size_t have = mask_set_count(&m->answered[m->state]);
    const struct mask_set rest = unmasking_waited_for(m);
    const size_t coming = timed_out ? 0 : mask_set_count(&rest);
    if (m->state == UNMASKING_UPDATING && coming == 0 &&
        mask_set_count(&m->arrived) > have) { /* only after a restart of ours */
        error_ignore(error_set(err, RC_LIMIT,
                               "%zu updates are here whose sites have not said again on which list "
                               "of dealers they are masked",
                               mask_set_count(&m->arrived) - have));
        return fail(m);
    }
    if (have + coming < needed(m)) {
        error_ignore(error_set(err, RC_LIMIT, "%zu of %zu sites %s in time, %zu are needed", have,
                               mask_set_count(asked(m)), what[m->state], needed(m)));
        return fail(m);
    }
    if (m->state == UNMASKING_REVEALING) {
        return verdict_on_shares(m, now_ms, timed_out ? NULL : &rest, err);
    }
    if (coming == 0 || !is_patient(m, &rest) ||
        (m->state == UNMASKING_VOTING && have >= needed(m))) {
        return close_phase(m, now_ms, err);
    }
    return UNMASKING_NOTHING;
}

/* ---- messages -------------------------------------------------------------------------------- */

static RC take_announcement(struct unmasking *m, const struct unmasking_input *in,
                            struct error *err)
{
    if (in->announcement->site != in->site) {
        return error_set(err, RC_AUTH, "site %zu announced for another", in->site);
    }
    if (in->announcement->draws != (m->setup.terms.neighbours > 0)) {
        return error_set(err, RC_FORMAT, "site %zu: a draw where there is none, or the reverse",
                         in->site);
    }
    const enum rc rc =
        mask_announcement_verify(&m->sign[in->site], &m->attempt, in->announcement, err);
    if (rc == RC_OK) {
        m->announcement[in->site] = *in->announcement;
    }
    return rc;
}

static RC take_deal(struct unmasking *m, const struct unmasking_input *in, struct error *err)
{
    const struct mask_deal *d = in->deal;
    if (d->site != in->site || in->n != m->slots) {
        return error_set(err, RC_AUTH, "site %zu dealt for another, or to another roster",
                         in->site);
    }
    const enum rc rc = mask_deal_verify(&m->sign[in->site], &m->members, d, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (m->setup.terms.neighbours > 0) {
        const struct hash c = mask_draw_commit(&m->attempt, in->site, &d->draw);
        if (!d->draws || !hash_equal(&c, &m->announcement[in->site].draw)) {
            return error_set(err, RC_AUTH, "site %zu shows another draw than it committed to",
                             in->site);
        }
    }
    mask_tree_build(in->portion, m->slots, &m->tree[in->site]);
    if (!hash_equal(&m->tree[in->site].node[1], &d->root)) {
        return error_set(err, RC_AUTH, "shares of site %zu: not those it signed", in->site);
    }
    m->deal[in->site] = *d;
    mask_holders(&m->setup.terms, &m->attempt, in->site, &d->draw, &m->holders[in->site]);
    memcpy(&m->portion[in->site * m->slots], in->portion, m->slots * sizeof *in->portion);
    return RC_OK;
}

static RC take_list(struct unmasking *m, const struct unmasking_input *in, struct error *err)
{
    if (in->list->site != in->site || m->setup.terms.neighbours == 0) {
        return error_set(err, RC_AUTH, "site %zu signed a list for another, or where there is none",
                         in->site);
    }
    const enum rc rc = mask_list_verify(&m->sign[in->site], &m->clique, in->list, err);
    if (rc == RC_OK) {
        m->list[in->site] = *in->list;
        mask_set_add(&m->listed, in->site);
    }
    return rc;
}

static RC take(struct unmasking *m, const struct unmasking_input *in, struct error *err)
{
    enum rc rc = RC_OK;
    switch (in->event) {
    case UNMASKING_GOT_ANNOUNCEMENT:
        return take_announcement(m, in, err);
    case UNMASKING_GOT_DEAL:
        return take_deal(m, in, err);
    case UNMASKING_GOT_VOTE:
        if (in->vote->site != in->site || !mask_set_equal(in->survivors, unmasking_survivors(m))) {
            return error_set(err, RC_AUTH, "site %zu signed other survivors", in->site);
        }
        rc =
            mask_vote_verify(&m->sign[in->site], &m->clique, unmasking_survivors(m), in->vote, err);
        if (rc == RC_OK) {
            m->vote[in->site] = *in->vote;
        }
        return rc;
    case UNMASKING_GOT_REVEAL:
        return unmasking_take_reveal(m, in, err);
    case UNMASKING_GOT_LIST:
        return take_list(m, in, err);
    case UNMASKING_GOT_UPDATE:
        mask_set_add(&m->arrived, in->site);
        return RC_OK;
    case UNMASKING_GOT_CANNOT:
    case UNMASKING_GOT_POLL:
    case UNMASKING_TIMED_OUT:
    case UNMASKING_EVENTS:
        break;
    }
    return RC_OK;
}

/* What a site of the present phase should have heard last. */
static unsigned newest(const struct unmasking *m, size_t site)
{
    static const unsigned reply[UNMASKING_STATES] = {
        [UNMASKING_DEALING] = UNMASKING_REPLY_MEMBERS,
        [UNMASKING_UPDATING] = UNMASKING_REPLY_PARCELS,
        [UNMASKING_VOTING] = UNMASKING_REPLY_SURVIVORS,
        [UNMASKING_REVEALING] = UNMASKING_REPLY_VOTES,
    };
    const struct mask_set *who = asked(m);
    return who != NULL && mask_set_has(who, site) ? reply[m->state] : UNMASKING_NOTHING;
}

/* The phase whose answer this is. */
static enum unmasking_state phase_of(enum unmasking_event event)
{
    static const enum unmasking_state phase[UNMASKING_EVENTS] = {
        [UNMASKING_GOT_ANNOUNCEMENT] = UNMASKING_ANNOUNCING,
        [UNMASKING_GOT_DEAL] = UNMASKING_DEALING,
        [UNMASKING_GOT_LIST] = UNMASKING_UPDATING,
        [UNMASKING_GOT_UPDATE] = UNMASKING_UPDATING,
        [UNMASKING_GOT_VOTE] = UNMASKING_VOTING,
        [UNMASKING_GOT_REVEAL] = UNMASKING_REVEALING,
    };
    return phase[event];
}

/* Of an update that is here: on which list it is masked, too. */
static bool is_whole(const struct unmasking *m, size_t site)
{
    return mask_set_has(&m->arrived, site) &&
           (m->setup.terms.neighbours == 0 || mask_set_has(&m->listed, site));
}

static unsigned answer(struct unmasking *m, const struct unmasking_input *in, struct error *err)
{
    const enum unmasking_state phase = phase_of(in->event);
    struct mask_set *has = &m->answered[phase];
    if (m->state > phase) {
        return newest(m, in->site); /* the first answer stands; too late is answered likewise */
    }
    if (m->state == phase && mask_set_has(has, in->site)) {
        return UNMASKING_NOTHING; /* to say what it has answered again would be answered again */
    }
    if (m->state < phase || !mask_set_has(asked(m), in->site)) {
        error_ignore(error_set(err, RC_STATE, "site %zu: not now: %s", in->site,
                               unmasking_state_name(m->state)));
        return UNMASKING_PROTOCOL_ERROR;
    }
    if (take(m, in, err) != RC_OK) {
        /* A share that does not open its commitment cannot be an accident or an old copy. */
        if (phase == UNMASKING_REVEALING) {
            m->liar = in->site;
            mask_set_add(&m->gone, in->site);
            struct error failed;
            const unsigned actions = verdict(m, in->now_ms, false, &failed);
            return actions | UNMASKING_LIAR | UNMASKING_PROTOCOL_ERROR;
        }
        return UNMASKING_PROTOCOL_ERROR;
    }
    if (phase == UNMASKING_UPDATING && !is_whole(m, in->site)) {
        return UNMASKING_NOTHING;
    }
    mask_set_add(has, in->site);
    return verdict(m, in->now_ms, false, err);
}

static unsigned cannot(struct unmasking *m, const struct unmasking_input *in, struct error *err)
{
    if (mask_set_has(&m->gone, in->site)) {
        return UNMASKING_NOTHING;
    }
    mask_set_add(&m->gone, in->site);
    return verdict(m, in->now_ms, false, err);
}

unsigned unmasking_step(struct unmasking *m, const struct unmasking_input *in, struct error *err)
{
    assert((unsigned)m->state < UNMASKING_STATES);
    assert((unsigned)in->event < UNMASKING_EVENTS);

    const bool over = m->state == UNMASKING_DONE || m->state == UNMASKING_FAILED;
    if (in->event == UNMASKING_TIMED_OUT) {
        return over || in->now_ms < m->deadline_ms ? UNMASKING_NOTHING
                                                   : verdict(m, in->now_ms, true, err);
    }
    if (in->site >= m->setup.terms.n_sites || in->round > m->setup.round) {
        error_ignore(error_set(err, RC_STATE, "site %zu, round %llu: not here", in->site,
                               (unsigned long long)in->round));
        return UNMASKING_PROTOCOL_ERROR;
    }
    if (over || in->round < m->setup.round) {
        return UNMASKING_NOTHING; /* the driver has OUTCOME or the next ROUND for it */
    }
    if (in->event == UNMASKING_GOT_POLL) {
        return newest(m, in->site);
    }
    return in->event == UNMASKING_GOT_CANNOT ? cannot(m, in, err) : answer(m, in, err);
}

unsigned unmasking_resume(struct unmasking *m, int64_t now_ms)
{
    static const unsigned cast[UNMASKING_STATES] = {
        [UNMASKING_DEALING] = UNMASKING_CAST_MEMBERS,
        [UNMASKING_UPDATING] = UNMASKING_CAST_PARCELS,
        [UNMASKING_VOTING] = UNMASKING_CAST_SURVIVORS,
    };
    enter(m, m->state, now_ms);
    return cast[m->state];
}

/* ---- what to cast ---------------------------------------------------------------------------- */

size_t unmasking_members(const struct unmasking *m, struct mask_announcement *out)
{
    size_t n = 0;
    for (size_t i = 0; i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(unmasking_announced(m), i)) {
            out[n++] = m->announcement[i];
        }
    }
    return n;
}

size_t unmasking_parcels(const struct unmasking *m, size_t receiver, struct mask_parcel *out)
{
    size_t n = 0;
    assert(receiver < m->setup.terms.n_sites);
    for (size_t i = 0; i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(unmasking_dealers(m), i)) {
            struct mask_parcel *p = &out[n++];
            memset(p, 0, sizeof *p);
            p->deal = m->deal[i];
            p->held = mask_set_has(&m->holders[i], receiver);
            if (p->held) {
                p->box = m->portion[unmasking_place(m, i, receiver)].box;
                mask_tree_path(&m->tree[i], mask_slot(&m->holders[i], receiver), &p->path);
            }
        }
    }
    return n;
}

const struct mask_portion *unmasking_deal(const struct unmasking *m, size_t site,
                                          struct mask_deal *out)
{
    assert(mask_set_has(unmasking_dealers(m), site));
    *out = m->deal[site];
    return &m->portion[site * m->slots];
}

size_t unmasking_lists(const struct unmasking *m, size_t receiver, struct mask_vote *out)
{
    size_t n = 0;
    for (size_t i = 0; m->setup.terms.neighbours > 0 && i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(unmasking_survivors(m), i) &&
            (receiver == SIZE_MAX || mask_set_has(&m->holders[i], receiver))) {
            out[n++] = m->list[i];
        }
    }
    return n;
}

bool unmasking_wants_update(const struct unmasking *m, size_t site)
{
    return m->state == UNMASKING_UPDATING && mask_set_has(unmasking_dealers(m), site) &&
           !mask_set_has(&m->arrived, site) &&
           (m->setup.terms.neighbours == 0 || mask_set_has(&m->listed, site));
}

size_t unmasking_votes(const struct unmasking *m, struct mask_vote *out)
{
    size_t n = 0;
    for (size_t i = 0; i < m->setup.terms.n_sites; i++) {
        if (mask_set_has(&m->answered[UNMASKING_VOTING], i)) {
            out[n++] = m->vote[i];
        }
    }
    return n;
}

const struct mask_stream *unmasking_streams(const struct unmasking *m, size_t *count)
{
    assert(m->state == UNMASKING_DONE);
    *count = m->streams;
    return m->stream;
}

enum unmasking_state unmasking_state(const struct unmasking *m)
{
    return m->state;
}

int64_t unmasking_deadline(const struct unmasking *m)
{
    return m->deadline_ms;
}

uint64_t unmasking_round(const struct unmasking *m)
{
    return m->setup.round;
}

size_t unmasking_threshold(const struct unmasking *m)
{
    return m->threshold;
}

const struct mask_set *unmasking_announced(const struct unmasking *m)
{
    return &m->answered[UNMASKING_ANNOUNCING];
}

const struct mask_set *unmasking_dealers(const struct unmasking *m)
{
    return &m->answered[UNMASKING_DEALING];
}

const struct mask_set *unmasking_survivors(const struct unmasking *m)
{
    return &m->answered[UNMASKING_UPDATING];
}

size_t unmasking_liar(const struct unmasking *m)
{
    return m->liar;
}

/* ---- life ------------------------------------------------------------------------------------ */

enum rc unmasking_open(const struct unmasking_setup *setup, struct unmasking **out,
                       struct error *err)
{
    const size_t n = setup->terms.n_sites;
    struct unmasking *m = NULL;
    void *p = NULL;

    enum rc rc = mask_terms_check(&setup->terms, 0, err);
    if (rc == RC_OK) {
        rc = mask_start(err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    m = calloc(1, sizeof *m);
    if (m == NULL) {
        return error_set(err, RC_NOMEM, "no memory for a masked round of %zu sites", n);
    }
    m->slots = mask_slots(&setup->terms);
    m->holders = calloc(n, sizeof *m->holders);
    m->portion = calloc(n * m->slots, sizeof *m->portion);
    m->tree = calloc(n, sizeof *m->tree);
    if (m->holders == NULL || m->portion == NULL || m->tree == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for a masked round of %zu sites", n);
        goto out;
    }
    rc = mask_guarded(n * m->slots * sizeof *m->share, &p, err);
    if (rc != RC_OK) {
        goto out;
    }
    m->share = p;
    m->setup = *setup;
    memcpy(m->sign, setup->sign, n * sizeof *m->sign);
    m->setup.sign = NULL;
    m->threshold = mask_threshold(&m->setup.terms);
    m->attempt =
        mask_attempt(&setup->study, setup->round, &setup->roster, &setup->model, &setup->terms);
    enter(m, UNMASKING_ANNOUNCING, setup->now_ms);
    *out = m;
    m = NULL;
out:
    unmasking_close(&m);
    return rc;
}

void unmasking_close(struct unmasking **m)
{
    if (*m == NULL) {
        return;
    }
    mask_guarded_free((*m)->share);
    mask_guarded_free((*m)->stream);
    free((*m)->holders);
    free((*m)->portion);
    free((*m)->tree);
    free(*m);
    *m = NULL;
}

const char *unmasking_state_name(enum unmasking_state state)
{
    static const char *const name[] = {"announcing", "dealing", "updating", "voting",
                                       "revealing",  "done",    "failed"};
    static_assert(sizeof name / sizeof name[0] == UNMASKING_STATES, "one name per state");
    return (unsigned)state < UNMASKING_STATES ? name[state] : "?";
}
