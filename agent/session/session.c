#include "agent/session/session.h"

#include <assert.h>
#include <stddef.h>

/* Reasons in docs/PROTOCOL.md, "Timers". */
enum {
    HELLO_RETRY_MS = 5000,
    READY_POLL_MS = 15000,
    DECLINED_POLL_MS = 60000,
    ACK_RETRY_MS = 10000
};

/* ---- what an event is, before the table: its round compared with ours ------------------------ */

enum column {
    STUDY,
    POLICY_YES,
    POLICY_NO,
    NEWER,     /* ROUND of a number not seen before */
    AGAIN,     /* ROUND of the number we know, not settled */
    FORFEITED, /* ROUND for which we said CANNOT */
    TRAINED,
    FOUND_STORED,
    CANNOT_TRAIN,
    COMMITTED,
    COMMITTED_MOOT, /* the round was settled meanwhile */
    NOT_COMMITTED,
    NOT_COMMITTED_MOOT,
    SENT,
    ACK,
    OLD_OUTCOME, /* of a round before ours */
    OUTCOME,
    DONE,
    TIMED_OUT,
    TIME_UP, /* in SEND, after the round's deadline */
    WITHDRAWN,
    COLUMNS,
    IGNORED,
    REFUSED
};

static enum column round_column(const struct session *s, uint64_t round)
{
    if (round == 0 || round < s->round) {
        return REFUSED;
    }
    if (round <= s->settled) {
        return IGNORED;
    }
    if (round == s->forfeited) {
        return FORFEITED;
    }
    return round == s->round ? AGAIN : NEWER;
}

/* An answer of our own trainer or transport. It was asked about s->round or an older one. */
static enum column local_column(const struct session *s, uint64_t round, enum column column)
{
    if (round != s->round) {
        return round < s->round ? IGNORED : REFUSED;
    }
    if (s->settled >= s->round && column == COMMITTED) {
        return COMMITTED_MOOT;
    }
    if (s->settled >= s->round && column == NOT_COMMITTED) {
        return NOT_COMMITTED_MOOT;
    }
    return column;
}

static enum column timer_column(const struct session *s, int64_t now_ms)
{
    if (now_ms < s->deadline_ms) {
        return IGNORED;
    }
    return s->state == SESSION_SEND && now_ms >= s->round_deadline_ms ? TIME_UP : TIMED_OUT;
}

static enum column column_of(const struct session *s, const struct session_input *in)
{
    switch (in->event) {
    case SESSION_GOT_STUDY:
        return STUDY;
    case SESSION_POLICY_YES:
        return POLICY_YES;
    case SESSION_POLICY_NO:
        return POLICY_NO;
    case SESSION_GOT_ROUND:
        return round_column(s, in->round);
    case SESSION_TRAINED:
        return local_column(s, in->round, TRAINED);
    case SESSION_FOUND_STORED:
        return local_column(s, in->round, FOUND_STORED);
    case SESSION_CANNOT_TRAIN:
        return local_column(s, in->round, CANNOT_TRAIN);
    case SESSION_COMMITTED:
        return local_column(s, in->round, COMMITTED);
    case SESSION_NOT_COMMITTED:
        return local_column(s, in->round, NOT_COMMITTED);
    case SESSION_SENT:
        return local_column(s, in->round, SENT);
    case SESSION_GOT_ACK:
        if (in->round == 0) {
            return REFUSED;
        }
        return in->round < s->round ? IGNORED : ACK;
    case SESSION_GOT_OUTCOME:
        if (in->round == 0) {
            return REFUSED;
        }
        return in->round < s->round ? OLD_OUTCOME : OUTCOME;
    case SESSION_GOT_DONE:
        return DONE;
    case SESSION_TIMED_OUT:
        return timer_column(s, in->now_ms);
    case SESSION_WITHDRAWN:
        return WITHDRAWN;
    case SESSION_EVENTS:
        break;
    }
    return REFUSED;
}

/* ---- what happens on the way ----------------------------------------------------------------- */

static void settle_up_to(struct session *s, uint64_t round)
{
    if (round > s->settled) {
        s->settled = round;
    }
}

static unsigned nothing(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_NOTHING;
}

static unsigned say_hello(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_SAY_HELLO;
}

static unsigned check_policy(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_CHECK_POLICY;
}

static unsigned say_accept(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_SAY_ACCEPT;
}

static unsigned say_decline(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_SAY_DECLINE;
}

static unsigned cancel_decline(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_CANCEL_TRAINING | SESSION_SAY_DECLINE;
}

static unsigned say_cannot(struct session *s, const struct session_input *in)
{
    (void)in;
    s->forfeited = s->round;
    return SESSION_SAY_CANNOT;
}

static unsigned start(struct session *s, const struct session_input *in)
{
    s->round = in->round;
    s->round_deadline_ms = in->round_deadline_ms;
    return SESSION_START_TRAINING;
}

static unsigned restart(struct session *s, const struct session_input *in)
{
    return SESSION_CANCEL_TRAINING | start(s, in);
}

/* The coordinator came back and gave the round a fresh deadline. */
static unsigned extend(struct session *s, const struct session_input *in)
{
    s->round_deadline_ms = in->round_deadline_ms;
    if (s->state == SESSION_TRAINING) {
        s->deadline_ms = in->round_deadline_ms;
    }
    return SESSION_NOTHING;
}

static unsigned commit_spend(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_COMMIT_SPEND;
}

static unsigned send_update(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_SEND_UPDATE;
}

static unsigned send_extended(struct session *s, const struct session_input *in)
{
    s->round_deadline_ms = in->round_deadline_ms;
    return SESSION_SEND_UPDATE;
}

static unsigned settle(struct session *s, const struct session_input *in)
{
    settle_up_to(s, in->round);
    return SESSION_NOTHING;
}

/* A newer round is open, so every round before it is over. */
static unsigned settle_before(struct session *s, const struct session_input *in)
{
    settle_up_to(s, in->round - 1);
    return SESSION_NOTHING;
}

static unsigned cancel(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_CANCEL_TRAINING;
}

static unsigned cancel_settled(struct session *s, const struct session_input *in)
{
    settle_up_to(s, in->round);
    return SESSION_CANCEL_TRAINING;
}

static unsigned cancel_late(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_CANCEL_TRAINING | SESSION_SAY_HELLO;
}

static unsigned keep(struct session *s, const struct session_input *in)
{
    (void)s;
    (void)in;
    return SESSION_KEEP_OUTCOME;
}

static unsigned keep_settled(struct session *s, const struct session_input *in)
{
    settle_up_to(s, in->round);
    return SESSION_KEEP_OUTCOME;
}

static unsigned cancel_keep(struct session *s, const struct session_input *in)
{
    settle_up_to(s, in->round);
    return SESSION_CANCEL_TRAINING | SESSION_KEEP_OUTCOME;
}

/* ---- the protocol, all of it ----------------------------------------------------------------- */

struct cell {
    unsigned (*act)(struct session *s, const struct session_input *in); /* NULL: not allowed */
    enum session_state next;
};

/* Read down for states, across for events; an absent cell is a refusal. */
/* clang-format off */
static const struct cell table[SESSION_STATES][COLUMNS] = {
    [SESSION_OFFLINE] = {
        [STUDY]              = {check_policy,   SESSION_CHECKING},
        [NEWER]              = {say_hello,      SESSION_OFFLINE},
        [ACK]                = {nothing,        SESSION_OFFLINE},
        [OUTCOME]            = {nothing,        SESSION_OFFLINE},
        [DONE]               = {nothing,        SESSION_DONE},
        [TIMED_OUT]          = {say_hello,      SESSION_OFFLINE},
        [WITHDRAWN]          = {nothing,        SESSION_OFFLINE},
    },
    [SESSION_CHECKING] = {
        [STUDY]              = {nothing,        SESSION_CHECKING},
        [POLICY_YES]         = {say_accept,     SESSION_READY},
        [POLICY_NO]          = {say_decline,    SESSION_DECLINED},
        [NEWER]              = {nothing,        SESSION_CHECKING},
        [ACK]                = {nothing,        SESSION_CHECKING},
        [OUTCOME]            = {nothing,        SESSION_CHECKING},
        [DONE]               = {nothing,        SESSION_DONE},
        [TIMED_OUT]          = {say_hello,      SESSION_CHECKING},
        [WITHDRAWN]          = {say_decline,    SESSION_DECLINED},
    },
    [SESSION_DECLINED] = {
        [STUDY]              = {say_decline,    SESSION_DECLINED},
        [POLICY_YES]         = {nothing,        SESSION_DECLINED},
        [POLICY_NO]          = {nothing,        SESSION_DECLINED},
        [NEWER]              = {say_decline,    SESSION_DECLINED},
        [AGAIN]              = {say_decline,    SESSION_DECLINED},
        [FORFEITED]          = {say_decline,    SESSION_DECLINED},
        [TRAINED]            = {nothing,        SESSION_DECLINED},
        [FOUND_STORED]       = {nothing,        SESSION_DECLINED},
        [CANNOT_TRAIN]       = {nothing,        SESSION_DECLINED},
        [SENT]               = {nothing,        SESSION_DECLINED},
        [ACK]                = {nothing,        SESSION_DECLINED},
        [OLD_OUTCOME]        = {nothing,        SESSION_DECLINED},
        [OUTCOME]            = {nothing,        SESSION_DECLINED},
        [DONE]               = {nothing,        SESSION_DONE},
        [TIMED_OUT]          = {say_hello,      SESSION_DECLINED},
        [WITHDRAWN]          = {nothing,        SESSION_DECLINED},
    },
    [SESSION_READY] = {
        [STUDY]              = {say_accept,     SESSION_READY},
        [NEWER]              = {start,          SESSION_TRAINING},
        [AGAIN]              = {start,          SESSION_TRAINING},
        [FORFEITED]          = {say_cannot,     SESSION_READY},
        [TRAINED]            = {nothing,        SESSION_READY},
        [FOUND_STORED]       = {nothing,        SESSION_READY},
        [CANNOT_TRAIN]       = {nothing,        SESSION_READY},
        [SENT]               = {nothing,        SESSION_READY},
        [ACK]                = {settle,         SESSION_READY},
        [OLD_OUTCOME]        = {keep,           SESSION_READY},
        [OUTCOME]            = {keep_settled,   SESSION_READY},
        [DONE]               = {nothing,        SESSION_DONE},
        [TIMED_OUT]          = {say_hello,      SESSION_READY},
        [WITHDRAWN]          = {say_decline,    SESSION_DECLINED},
    },
    [SESSION_TRAINING] = {
        [STUDY]              = {nothing,        SESSION_TRAINING},
        [NEWER]              = {restart,        SESSION_TRAINING},
        [AGAIN]              = {extend,         SESSION_TRAINING},
        [TRAINED]            = {commit_spend,   SESSION_SPEND},
        [FOUND_STORED]       = {send_update,    SESSION_SPENT},
        [CANNOT_TRAIN]       = {say_cannot,     SESSION_READY},
        [SENT]               = {nothing,        SESSION_TRAINING},
        [ACK]                = {cancel_settled, SESSION_READY},
        [OLD_OUTCOME]        = {keep,           SESSION_TRAINING},
        [OUTCOME]            = {cancel_keep,    SESSION_READY},
        [DONE]               = {cancel,         SESSION_DONE},
        [TIMED_OUT]          = {cancel_late,    SESSION_READY},
        [WITHDRAWN]          = {cancel_decline, SESSION_DECLINED},
    },
    [SESSION_SPEND] = {
        [STUDY]              = {nothing,        SESSION_SPEND},
        [NEWER]              = {settle_before,  SESSION_SPEND},
        [AGAIN]              = {extend,         SESSION_SPEND},
        [COMMITTED]          = {send_update,    SESSION_SPENT},
        [COMMITTED_MOOT]     = {say_hello,      SESSION_READY},
        [NOT_COMMITTED]      = {say_cannot,     SESSION_READY},
        [NOT_COMMITTED_MOOT] = {say_hello,      SESSION_READY},
        [ACK]                = {settle,         SESSION_SPEND},
        [OLD_OUTCOME]        = {keep,           SESSION_SPEND},
        [OUTCOME]            = {keep_settled,   SESSION_SPEND},
        [DONE]               = {nothing,        SESSION_DONE},
    },
    [SESSION_SPENT] = {
        [STUDY]              = {nothing,        SESSION_SPENT},
        [NEWER]              = {start,          SESSION_TRAINING},
        [AGAIN]              = {send_extended,  SESSION_SPENT},
        [SENT]               = {nothing,        SESSION_SEND},
        [ACK]                = {settle,         SESSION_READY},
        [OLD_OUTCOME]        = {keep,           SESSION_SPENT},
        [OUTCOME]            = {keep_settled,   SESSION_READY},
        [DONE]               = {nothing,        SESSION_DONE},
        [TIMED_OUT]          = {say_hello,      SESSION_READY},
        [WITHDRAWN]          = {say_decline,    SESSION_DECLINED},
    },
    [SESSION_SEND] = {
        [STUDY]              = {nothing,        SESSION_SEND},
        [NEWER]              = {start,          SESSION_TRAINING},
        [AGAIN]              = {send_extended,  SESSION_SPENT},
        [SENT]               = {nothing,        SESSION_SEND},
        [ACK]                = {settle,         SESSION_READY},
        [OLD_OUTCOME]        = {keep,           SESSION_SEND},
        [OUTCOME]            = {keep_settled,   SESSION_READY},
        [DONE]               = {nothing,        SESSION_DONE},
        [TIMED_OUT]          = {send_update,    SESSION_SPENT},
        [TIME_UP]            = {say_hello,      SESSION_READY},
        [WITHDRAWN]          = {say_decline,    SESSION_DECLINED},
    },
    [SESSION_DONE] = {
        [STUDY]              = {nothing,        SESSION_DONE},
        [POLICY_YES]         = {nothing,        SESSION_DONE},
        [POLICY_NO]          = {nothing,        SESSION_DONE},
        [NEWER]              = {nothing,        SESSION_DONE},
        [AGAIN]              = {nothing,        SESSION_DONE},
        [FORFEITED]          = {nothing,        SESSION_DONE},
        [TRAINED]            = {nothing,        SESSION_DONE},
        [FOUND_STORED]       = {nothing,        SESSION_DONE},
        [CANNOT_TRAIN]       = {nothing,        SESSION_DONE},
        [COMMITTED]          = {nothing,        SESSION_DONE},
        [COMMITTED_MOOT]     = {nothing,        SESSION_DONE},
        [NOT_COMMITTED]      = {nothing,        SESSION_DONE},
        [NOT_COMMITTED_MOOT] = {nothing,        SESSION_DONE},
        [SENT]               = {nothing,        SESSION_DONE},
        [ACK]                = {nothing,        SESSION_DONE},
        [OLD_OUTCOME]        = {keep,           SESSION_DONE},
        [OUTCOME]            = {keep,           SESSION_DONE},
        [DONE]               = {nothing,        SESSION_DONE},
        [WITHDRAWN]          = {nothing,        SESSION_DONE},
    },
};
/* clang-format on */

/* ---- one step -------------------------------------------------------------------------------- */

static int64_t later(int64_t now_ms, int64_t wait_ms)
{
    return now_ms > INT64_MAX - wait_ms ? INT64_MAX : now_ms + wait_ms;
}

static int64_t deadline_of(const struct session *s, int64_t now_ms)
{
    const int64_t ack_ms = later(now_ms, ACK_RETRY_MS);

    switch (s->state) {
    case SESSION_OFFLINE:
        return later(now_ms, HELLO_RETRY_MS);
    case SESSION_CHECKING: /* a person may take days */
    case SESSION_DECLINED:
        return later(now_ms, DECLINED_POLL_MS);
    case SESSION_READY:
        return later(now_ms, READY_POLL_MS);
    case SESSION_TRAINING:
        return s->round_deadline_ms;
    case SESSION_SPENT:
        return s->round_deadline_ms > ack_ms ? s->round_deadline_ms : ack_ms;
    case SESSION_SEND:
        return ack_ms;
    case SESSION_SPEND:
    case SESSION_DONE:
    case SESSION_STATES:
        break;
    }
    return SESSION_NEVER;
}

unsigned session_step(struct session *s, const struct session_input *in)
{
    assert((unsigned)s->state < SESSION_STATES);
    assert((unsigned)in->event < SESSION_EVENTS);
    assert(in->now_ms >= 0);

    const enum column column = column_of(s, in);
    if (column == IGNORED) {
        return SESSION_NOTHING;
    }
    if (column == REFUSED || table[s->state][column].act == NULL) {
        return SESSION_PROTOCOL_ERROR;
    }
    const struct cell *cell = &table[s->state][column];
    const enum session_state before = s->state;
    const unsigned actions = cell->act(s, in);
    s->state = cell->next;
    if (s->state == SESSION_READY && s->settled > s->round) {
        s->round = s->settled;
    }
    if (s->state != before || actions != SESSION_NOTHING) {
        s->deadline_ms = deadline_of(s, in->now_ms);
    }
    /* The one door through which anything leaves. */
    assert(!(actions & SESSION_SEND_UPDATE) || s->state == SESSION_SPENT);
    return actions;
}

const char *session_state_name(enum session_state state)
{
    static const char *const name[] = {"offline", "checking", "declined", "ready", "training",
                                       "spend",   "spent",    "send",     "done"};
    static_assert(sizeof name / sizeof name[0] == SESSION_STATES, "one name per state");
    return (unsigned)state < SESSION_STATES ? name[state] : "?";
}

const char *session_event_name(enum session_event event)
{
    static const char *const name[] = {"got_study",    "policy_yes", "policy_no",
                                       "got_round",    "trained",    "found_stored",
                                       "cannot_train", "committed",  "not_committed",
                                       "sent",         "got_ack",    "got_outcome",
                                       "got_done",     "timed_out",  "withdrawn"};
    static_assert(sizeof name / sizeof name[0] == SESSION_EVENTS, "one name per event");
    return (unsigned)event < SESSION_EVENTS ? name[event] : "?";
}
