#include "aggregator/round/round.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/rng.h"

/* ---- counting -------------------------------------------------------------------------------- */

static size_t members(const struct round_machine *m, enum round_member member)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        n += m->member[i] == member;
    }
    return n;
}

static bool waited_for(const struct round_machine *m, size_t site)
{
    return m->member[site] == ROUND_ACCEPTED && m->part[site] == ROUND_WAITED_FOR;
}

static size_t waiting(const struct round_machine *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        n += waited_for(m, i);
    }
    return n;
}

size_t round_contributors(const struct round_machine *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        n += m->part[i] == ROUND_CONTRIBUTED;
    }
    return n;
}

uint64_t round_finished(const struct round_machine *m)
{
    if (m->masked) {
        return m->finished;
    }
    if (m->state == ROUND_DONE) {
        return m->round;
    }
    return m->round > 0 ? m->round - 1 : 0;
}

int64_t round_left_ms(const struct round_machine *m, int64_t now_ms)
{
    const int64_t left_ms = m->deadline_ms - m->opening_ms - now_ms;
    return left_ms > 0 ? left_ms : 0;
}

/* ---- what an event is, before the table ------------------------------------------------------ */

enum column {
    HELLO,
    ACCEPT_FIRST, /* of a site we had not heard */
    ACCEPT_AGAIN,
    DECLINE_FIRST, /* also a withdrawal */
    DECLINE_AGAIN,
    UPDATE_FIRST, /* of the present round, from a site without a part in it */
    UPDATE_AGAIN, /* that has contributed */
    UPDATE_MOOT,  /* that sits it out */
    UPDATE_PAST,
    CANNOT_FIRST,
    CANNOT_AGAIN, /* or after its update */
    CANNOT_PAST,
    COMMITTED_NEXT,
    COMMITTED_LAST,
    NOT_COMMITTED,
    TIMED_OUT,
    ABORTED,
    UNMASKED,
    LOST_NEXT, /* another number is left */
    LOST_LAST,
    COLUMNS,
    IGNORED,
    REFUSED
};

static enum column update_column(const struct round_machine *m, const struct round_input *in)
{
    if (m->member[in->site] != ROUND_ACCEPTED || in->round == 0 || in->round > m->round) {
        return REFUSED;
    }
    if (in->round < m->round) {
        return UPDATE_PAST;
    }
    switch (m->part[in->site]) {
    case ROUND_WAITED_FOR:
        return UPDATE_FIRST;
    case ROUND_CONTRIBUTED:
        return UPDATE_AGAIN;
    case ROUND_SAT_OUT:
        return UPDATE_MOOT;
    case ROUND_NOT_DRAWN: /* it was not asked */
        break;
    }
    return REFUSED;
}

static enum column cannot_column(const struct round_machine *m, const struct round_input *in)
{
    if (m->member[in->site] != ROUND_ACCEPTED || in->round == 0 || in->round > m->round) {
        return REFUSED;
    }
    if (in->round < m->round) {
        return CANNOT_PAST;
    }
    return m->part[in->site] == ROUND_WAITED_FOR ? CANNOT_FIRST : CANNOT_AGAIN;
}

static enum column accept_column(const struct round_machine *m, size_t site)
{
    switch (m->member[site]) {
    case ROUND_UNKNOWN:
        return ACCEPT_FIRST;
    case ROUND_ACCEPTED:
        return ACCEPT_AGAIN;
    case ROUND_MEMBER_DECLINED: /* no means no: an old ACCEPT may have been delayed */
        break;
    }
    return REFUSED;
}

static enum column lost_column(const struct round_machine *m)
{
    return m->lost < m->lost_max && members(m, ROUND_ACCEPTED) >= m->quorum ? LOST_NEXT : LOST_LAST;
}

static enum column timer_column(const struct round_machine *m, int64_t now_ms)
{
    if (now_ms < m->deadline_ms) {
        return IGNORED;
    }
    return m->masked && m->state == ROUND_OPEN ? lost_column(m) : TIMED_OUT;
}

static bool from_a_site(enum round_event event)
{
    return event == ROUND_GOT_HELLO || event == ROUND_GOT_ACCEPT || event == ROUND_GOT_DECLINE ||
           event == ROUND_GOT_UPDATE || event == ROUND_GOT_CANNOT;
}

static enum column column_of(const struct round_machine *m, const struct round_input *in)
{
    if (from_a_site(in->event) && in->site >= m->n_sites) {
        return REFUSED;
    }
    switch (in->event) {
    case ROUND_GOT_HELLO:
        return HELLO;
    case ROUND_GOT_ACCEPT:
        return accept_column(m, in->site);
    case ROUND_GOT_DECLINE:
        return m->member[in->site] == ROUND_MEMBER_DECLINED ? DECLINE_AGAIN : DECLINE_FIRST;
    case ROUND_GOT_UPDATE:
        return update_column(m, in);
    case ROUND_GOT_CANNOT:
        return cannot_column(m, in);
    case ROUND_COMMITTED:
        return m->round - m->lost < m->rounds ? COMMITTED_NEXT : COMMITTED_LAST;
    case ROUND_NOT_COMMITTED:
        return NOT_COMMITTED;
    case ROUND_TIMED_OUT:
        return timer_column(m, in->now_ms);
    case ROUND_ABORTED:
        return ABORTED;
    case ROUND_UNMASKED:
        return m->masked && round_contributors(m) >= m->quorum ? UNMASKED : REFUSED;
    case ROUND_LOST:
        return m->masked ? lost_column(m) : REFUSED;
    case ROUND_EVENTS:
        break;
    }
    return REFUSED;
}

/* ---- what happens on the way ----------------------------------------------------------------- */

/* Everything an accepted site may have missed, in one answer. */
static unsigned up_to_date(const struct round_machine *m, size_t site)
{
    unsigned replies = round_finished(m) > 0 ? ROUND_REPLY_OUTCOME : ROUND_NOTHING;
    if (m->part[site] != ROUND_WAITED_FOR) {
        replies |= ROUND_REPLY_ACK;
    } else if (m->state == ROUND_OPEN) {
        replies |= ROUND_REPLY_ROUND;
    }
    return replies;
}

static unsigned nothing(struct round_machine *m, const struct round_input *in)
{
    (void)m;
    (void)in;
    return ROUND_NOTHING;
}

static unsigned reply_study(struct round_machine *m, const struct round_input *in)
{
    (void)m;
    (void)in;
    return ROUND_REPLY_STUDY;
}

static unsigned accept(struct round_machine *m, const struct round_input *in)
{
    m->member[in->site] = ROUND_ACCEPTED;
    return ROUND_KEEP_MEMBER;
}

/* Who can be in a round is settled when it opens; the part is kept so that a restart agrees. */
static unsigned accept_for_next(struct round_machine *m, const struct round_input *in)
{
    m->member[in->site] = ROUND_ACCEPTED;
    if (m->part[in->site] == ROUND_NOT_DRAWN) { /* it misses nothing, and a restart draws again */
        return ROUND_KEEP_MEMBER | up_to_date(m, in->site);
    }
    m->part[in->site] = ROUND_SAT_OUT;
    return ROUND_KEEP_MEMBER | ROUND_KEEP_PART | up_to_date(m, in->site);
}

/* The parts of a round being merged are no longer ours to write: no part, hence no ACK. */
static unsigned accept_while_merging(struct round_machine *m, const struct round_input *in)
{
    m->member[in->site] = ROUND_ACCEPTED;
    return ROUND_KEEP_MEMBER | up_to_date(m, in->site);
}

static unsigned bring_up_to_date(struct round_machine *m, const struct round_input *in)
{
    return up_to_date(m, in->site);
}

static unsigned decline(struct round_machine *m, const struct round_input *in)
{
    m->member[in->site] = ROUND_MEMBER_DECLINED;
    return ROUND_KEEP_MEMBER;
}

/* Also a second time: the registry then compares the bytes. */
static unsigned contribute(struct round_machine *m, const struct round_input *in)
{
    m->part[in->site] = ROUND_CONTRIBUTED;
    return ROUND_KEEP_PART | ROUND_REPLY_ACK;
}

static unsigned sit_out(struct round_machine *m, const struct round_input *in)
{
    m->part[in->site] = ROUND_SAT_OUT;
    return ROUND_KEEP_PART | ROUND_REPLY_ACK;
}

static unsigned reply_ack(struct round_machine *m, const struct round_input *in)
{
    (void)m;
    (void)in;
    return ROUND_REPLY_ACK;
}

/* A round before the present one: it has an outcome, or it was lost and the site has not heard what
 * came after. */
static unsigned reply_past(struct round_machine *m, const struct round_input *in)
{
    const uint64_t finished = round_finished(m);
    const bool lost = in->round > finished && m->state == ROUND_OPEN && waited_for(m, in->site);
    return (finished > 0 ? ROUND_REPLY_OUTCOME : ROUND_NOTHING) |
           (lost ? ROUND_REPLY_ROUND : ROUND_NOTHING);
}

static unsigned reply_done(struct round_machine *m, const struct round_input *in)
{
    const bool missed = m->member[in->site] == ROUND_ACCEPTED && round_finished(m) > 0;
    return ROUND_REPLY_DONE | (missed ? ROUND_REPLY_OUTCOME : ROUND_NOTHING);
}

static unsigned cast_outcome(struct round_machine *m, const struct round_input *in)
{
    (void)in;
    if (m->masked) {
        m->finished = m->round;
    }
    return ROUND_CAST_OUTCOME;
}

static int64_t later(int64_t now_ms, int64_t wait_ms)
{
    return now_ms > INT64_MAX - wait_ms ? INT64_MAX : now_ms + wait_ms;
}

/* Who is not drawn for the present round. */
static void draw(struct round_machine *m)
{
    bool drawn[ROUND_SITES_MAX];
    char stream[48];
    struct rng r;
    if (m->per_round == 0) {
        return;
    }
    (void)snprintf(stream, sizeof stream, "sites of round %" PRIu64, m->round);
    rng_init(&r, m->seed, stream);
    rng_choose(&r, m->n_sites, m->per_round, drawn);
    for (size_t i = 0; i < m->n_sites; i++) {
        m->part[i] = drawn[i] ? m->part[i] : ROUND_NOT_DRAWN;
    }
}

/* A number is never used twice, whatever became of its round. */
static void open_next(struct round_machine *m, int64_t now_ms)
{
    m->round++;
    m->deadline_ms = later(later(now_ms, m->round_ms), m->opening_ms);
    for (size_t i = 0; i < m->n_sites; i++) {
        m->part[i] = ROUND_WAITED_FOR;
    }
    draw(m);
}

static unsigned lose(struct round_machine *m, const struct round_input *in)
{
    m->lost++;
    open_next(m, in->now_ms);
    return ROUND_KEEP_LOST | ROUND_CAST_ROUND;
}

/* ---- the protocol, all of it ----------------------------------------------------------------- */

struct cell {
    unsigned (*act)(struct round_machine *m, const struct round_input *in); /* NULL: not allowed */
    enum round_state next; /* before verdict() has counted */
};

/* Read down for states, across for events; an absent cell is a refusal. */
/* clang-format off */
static const struct cell table[ROUND_STATES][COLUMNS] = {
    [ROUND_JOINING] = {
        [HELLO]          = {reply_study,          ROUND_JOINING},
        [ACCEPT_FIRST]   = {accept,               ROUND_JOINING},
        [ACCEPT_AGAIN]   = {nothing,              ROUND_JOINING},
        [DECLINE_FIRST]  = {decline,              ROUND_JOINING},
        [DECLINE_AGAIN]  = {nothing,              ROUND_JOINING},
        [TIMED_OUT]      = {nothing,              ROUND_JOINING},
        [ABORTED]        = {nothing,              ROUND_FAILED},
    },
    [ROUND_OPEN] = {
        [HELLO]          = {reply_study,          ROUND_OPEN},
        [ACCEPT_FIRST]   = {accept_for_next,      ROUND_OPEN},
        [ACCEPT_AGAIN]   = {bring_up_to_date,     ROUND_OPEN},
        [DECLINE_FIRST]  = {decline,              ROUND_OPEN},
        [DECLINE_AGAIN]  = {nothing,              ROUND_OPEN},
        [UPDATE_FIRST]   = {contribute,           ROUND_OPEN},
        [UPDATE_AGAIN]   = {contribute,           ROUND_OPEN},
        [UPDATE_MOOT]    = {reply_ack,            ROUND_OPEN},
        [UPDATE_PAST]    = {reply_past,           ROUND_OPEN},
        [CANNOT_FIRST]   = {sit_out,              ROUND_OPEN},
        [CANNOT_AGAIN]   = {reply_ack,            ROUND_OPEN},
        [CANNOT_PAST]    = {reply_past,           ROUND_OPEN},
        [TIMED_OUT]      = {nothing,              ROUND_OPEN},
        [ABORTED]        = {nothing,              ROUND_FAILED},
        [UNMASKED]       = {nothing,              ROUND_MERGING},
        [LOST_NEXT]      = {lose,                 ROUND_OPEN},
        [LOST_LAST]      = {nothing,              ROUND_FAILED},
    },
    [ROUND_MERGING] = {
        [HELLO]          = {reply_study,          ROUND_MERGING},
        [ACCEPT_FIRST]   = {accept_while_merging, ROUND_MERGING},
        [ACCEPT_AGAIN]   = {bring_up_to_date,     ROUND_MERGING},
        [DECLINE_FIRST]  = {decline,              ROUND_MERGING},
        [DECLINE_AGAIN]  = {nothing,              ROUND_MERGING},
        [UPDATE_FIRST]   = {nothing,              ROUND_MERGING},
        [UPDATE_AGAIN]   = {reply_ack,            ROUND_MERGING},
        [UPDATE_MOOT]    = {reply_ack,            ROUND_MERGING},
        [UPDATE_PAST]    = {reply_past,           ROUND_MERGING},
        [CANNOT_FIRST]   = {nothing,              ROUND_MERGING},
        [CANNOT_AGAIN]   = {reply_ack,            ROUND_MERGING},
        [CANNOT_PAST]    = {reply_past,           ROUND_MERGING},
        [COMMITTED_NEXT] = {cast_outcome,         ROUND_OPEN},
        [COMMITTED_LAST] = {cast_outcome,         ROUND_DONE},
        [NOT_COMMITTED]  = {nothing,              ROUND_FAILED},
    },
    [ROUND_DONE] = {
        [HELLO]          = {reply_done,           ROUND_DONE},
        [ACCEPT_FIRST]   = {reply_done,           ROUND_DONE},
        [ACCEPT_AGAIN]   = {reply_done,           ROUND_DONE},
        [DECLINE_FIRST]  = {reply_done,           ROUND_DONE},
        [DECLINE_AGAIN]  = {reply_done,           ROUND_DONE},
        [UPDATE_FIRST]   = {reply_done,           ROUND_DONE},
        [UPDATE_AGAIN]   = {reply_done,           ROUND_DONE},
        [UPDATE_MOOT]    = {reply_done,           ROUND_DONE},
        [UPDATE_PAST]    = {reply_done,           ROUND_DONE},
        [CANNOT_FIRST]   = {reply_done,           ROUND_DONE},
        [CANNOT_AGAIN]   = {reply_done,           ROUND_DONE},
        [CANNOT_PAST]    = {reply_done,           ROUND_DONE},
        [ABORTED]        = {nothing,              ROUND_DONE},
    },
    [ROUND_FAILED] = {
        [HELLO]          = {reply_done,           ROUND_FAILED},
        [ACCEPT_FIRST]   = {reply_done,           ROUND_FAILED},
        [ACCEPT_AGAIN]   = {reply_done,           ROUND_FAILED},
        [DECLINE_FIRST]  = {reply_done,           ROUND_FAILED},
        [DECLINE_AGAIN]  = {reply_done,           ROUND_FAILED},
        [UPDATE_FIRST]   = {reply_done,           ROUND_FAILED},
        [UPDATE_AGAIN]   = {reply_done,           ROUND_FAILED},
        [UPDATE_MOOT]    = {reply_done,           ROUND_FAILED},
        [UPDATE_PAST]    = {reply_done,           ROUND_FAILED},
        [CANNOT_FIRST]   = {reply_done,           ROUND_FAILED},
        [CANNOT_AGAIN]   = {reply_done,           ROUND_FAILED},
        [CANNOT_PAST]    = {reply_done,           ROUND_FAILED},
        [ABORTED]        = {nothing,              ROUND_FAILED},
    },
};
/* clang-format on */

/* ---- one step -------------------------------------------------------------------------------- */

/* Who is, or can be asked to be, in the present masked round or a later one. */
static size_t standing(const struct round_machine *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_sites; i++) {
        n += m->member[i] == ROUND_ACCEPTED || m->part[i] == ROUND_CONTRIBUTED;
    }
    return n;
}

/* "decide" of the protocol: where the counts alone say the machine must be. */
static enum round_state verdict(const struct round_machine *m, bool time_is_up)
{
    if (m->state == ROUND_JOINING) {
        const size_t accepted = members(m, ROUND_ACCEPTED);
        const size_t unknown = members(m, ROUND_UNKNOWN);
        if (accepted + unknown < m->quorum) {
            return ROUND_FAILED;
        }
        if (unknown > 0 && !time_is_up) {
            return ROUND_JOINING;
        }
        return accepted >= m->quorum ? ROUND_OPEN : ROUND_FAILED;
    }
    if (m->state == ROUND_OPEN && m->masked) { /* the rest is aggregator/unmasking's to say */
        return standing(m) < m->quorum ? ROUND_FAILED : ROUND_OPEN;
    }
    if (m->state == ROUND_OPEN) {
        const size_t contributed = round_contributors(m);
        const size_t missing = waiting(m);
        if (contributed + missing < m->quorum) {
            return ROUND_FAILED;
        }
        if (missing > 0 && !time_is_up) {
            return ROUND_OPEN;
        }
        return contributed >= m->quorum ? ROUND_MERGING : ROUND_FAILED;
    }
    return m->state;
}

/* The only place where the state changes. CAST_ROUND waits until the verdict is known. */
static unsigned enter(struct round_machine *m, enum round_state next, int64_t now_ms)
{
    if (next == m->state) {
        return ROUND_NOTHING;
    }
    assert(next != ROUND_JOINING); /* left once, never entered again */
    m->state = next;
    m->deadline_ms = ROUND_NEVER;
    switch (next) {
    case ROUND_OPEN:
        open_next(m, now_ms);
        return ROUND_NOTHING;
    case ROUND_MERGING:
        return ROUND_MERGE;
    case ROUND_DONE:
        return ROUND_CAST_DONE;
    case ROUND_FAILED:
        return ROUND_KEEP_FAILURE | ROUND_CAST_DONE;
    case ROUND_JOINING:
    case ROUND_STATES:
        break;
    }
    return ROUND_NOTHING;
}

void round_init(struct round_machine *m, size_t n_sites, size_t quorum, uint64_t rounds,
                int64_t join_ms, int64_t round_ms, int64_t now_ms)
{
    assert(n_sites <= ROUND_SITES_MAX);
    assert(quorum >= 1 && quorum <= n_sites);
    assert(rounds >= 1);
    assert(join_ms >= 0 && round_ms >= 0 && now_ms >= 0);

    memset(m, 0, sizeof *m);
    m->n_sites = n_sites;
    m->quorum = quorum;
    m->rounds = rounds;
    m->join_ms = join_ms;
    m->round_ms = round_ms;
    m->deadline_ms = later(now_ms, join_ms);
}

void round_mask(struct round_machine *m, uint64_t lost_max, int64_t opening_ms)
{
    assert(m->state == ROUND_JOINING && m->round == 0);
    assert(lost_max <= UINT64_MAX - m->rounds);
    assert(opening_ms >= 0);
    m->masked = true;
    m->lost_max = lost_max;
    m->opening_ms = opening_ms;
}

void round_sample(struct round_machine *m, size_t per_round, uint64_t seed)
{
    assert(m->state == ROUND_JOINING && m->round == 0);
    assert(!m->masked);
    assert(per_round >= m->quorum && per_round <= m->n_sites);
    m->per_round = per_round;
    m->seed = seed;
}

unsigned round_step(struct round_machine *m, const struct round_input *in)
{
    assert((unsigned)m->state < ROUND_STATES);
    assert((unsigned)in->event < ROUND_EVENTS);
    assert(in->now_ms >= 0);

    const enum column column = column_of(m, in);
    if (column == IGNORED) {
        return ROUND_NOTHING;
    }
    if (column == REFUSED || table[m->state][column].act == NULL) {
        return ROUND_PROTOCOL_ERROR;
    }
    const struct cell *cell = &table[m->state][column];
    const enum round_state before = m->state;
    unsigned actions = cell->act(m, in);
    actions |= enter(m, cell->next, in->now_ms);
    actions |= enter(m, verdict(m, column == TIMED_OUT), in->now_ms);
    if (m->state == ROUND_OPEN && before != ROUND_OPEN) {
        actions |= ROUND_CAST_ROUND;
    }
    return actions;
}

unsigned round_restore(struct round_machine *m, int64_t now_ms)
{
    assert((unsigned)m->state < ROUND_STATES);
    assert(now_ms >= 0);

    if (m->state == ROUND_MERGING) {
        m->state = ROUND_OPEN; /* the merge is not stored: it is OPEN with enough parts */
    }
    if (m->state == ROUND_OPEN && m->round - m->lost > m->rounds) {
        m->state = ROUND_DONE; /* the first round without an outcome is beyond the plan */
    }
    if (m->state == ROUND_DONE) {
        m->round = m->masked ? m->finished : m->rounds;
    }
    if (m->state == ROUND_JOINING) {
        m->round = 0;
    }
    assert(m->lost <= m->lost_max);
    assert(m->round <= m->rounds + m->lost_max);
    assert(m->state != ROUND_OPEN || m->round >= 1);
    if (m->state == ROUND_OPEN) {
        draw(m);
    }

    unsigned actions = round_finished(m) > 0 ? ROUND_CAST_OUTCOME : ROUND_NOTHING;
    m->deadline_ms = ROUND_NEVER;
    if (m->state == ROUND_DONE || m->state == ROUND_FAILED) {
        return actions | ROUND_CAST_DONE;
    }
    m->deadline_ms = m->state == ROUND_OPEN ? later(later(now_ms, m->round_ms), m->opening_ms)
                                            : later(now_ms, m->join_ms);
    actions |= enter(m, verdict(m, false), now_ms);
    if (m->state == ROUND_OPEN) {
        actions |= ROUND_CAST_ROUND;
    }
    return actions;
}

const char *round_state_name(enum round_state state)
{
    static const char *const name[] = {"joining", "open", "merging", "done", "failed"};
    static_assert(sizeof name / sizeof name[0] == ROUND_STATES, "one name per state");
    return (unsigned)state < ROUND_STATES ? name[state] : "?";
}

const char *round_event_name(enum round_event event)
{
    static const char *const name[] = {"got_hello",  "got_accept", "got_decline",   "got_update",
                                       "got_cannot", "committed",  "not_committed", "timed_out",
                                       "aborted",    "unmasked",   "lost"};
    static_assert(sizeof name / sizeof name[0] == ROUND_EVENTS, "one name per event");
    return (unsigned)event < ROUND_EVENTS ? name[event] : "?";
}
