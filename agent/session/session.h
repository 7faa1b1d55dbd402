/**
 * @file session.h
 * The site's side of one study, as a machine without sockets, clocks, threads or disk: it is told
 * what happened and when, and answers with what to do. docs/PROTOCOL.md is its text.
 *
 * TRAINING -> SPEND (asked the ledger to commit) -> SPENT (durable: may leave) -> SEND (left,
 * waiting for the acknowledgement) is the heart: no path reaches SESSION_SEND_UPDATE but through a
 * committed spend.
 */
#ifndef AGENT_SESSION_SESSION_H
#define AGENT_SESSION_SESSION_H

#include <stdint.h>

enum session_state {
    SESSION_OFFLINE,  /**< nothing heard from the coordinator yet */
    SESSION_CHECKING, /**< the trainer checks policy; a person decides: days, perhaps */
    SESSION_DECLINED, /**< said no, or withdrew; with a reason */
    SESSION_READY,    /**< said yes; between rounds */
    SESSION_TRAINING,
    SESSION_SPEND, /**< the ledger is asked to commit mechanism and update */
    SESSION_SPENT, /**< committed; not yet handed over */
    SESSION_SEND,  /**< handed over; not yet acknowledged */
    SESSION_DONE,  /**< the study has ended */
    SESSION_STATES
};

/**
 * What can happen. From the coordinator: GOT_*. From our own trainer and transport: POLICY_* to
 * SENT; these, and ROUND, ACK and OUTCOME, carry the round they speak about.
 */
enum session_event {
    SESSION_GOT_STUDY,     /**< the coordinator's study document */
    SESSION_POLICY_YES,    /**< the trainer joined it */
    SESSION_POLICY_NO,     /**< the trainer refused it */
    SESSION_GOT_ROUND,     /**< a round opened; round, round_deadline_ms */
    SESSION_TRAINED,       /**< local training finished, nothing committed; round */
    SESSION_FOUND_STORED,  /**< the ledger already holds this round's update; round */
    SESSION_CANNOT_TRAIN,  /**< refused or failed: nothing was spent; round */
    SESSION_COMMITTED,     /**< the ledger committed; round */
    SESSION_NOT_COMMITTED, /**< the ledger refused or failed: nothing may leave; round */
    SESSION_SENT,          /**< the transport took the whole update; round */
    SESSION_GOT_ACK,       /**< the coordinator needs nothing more from us in this round; round */
    SESSION_GOT_OUTCOME,   /**< a round ended: who contributed; round */
    SESSION_GOT_DONE,      /**< the study ended, done or failed */
    SESSION_TIMED_OUT,     /**< `now_ms` reached the deadline we asked for */
    /** The hospital withdraws, for good; said once the ledger can spend nothing more on the study.
     *  Refused in SPEND: raise it again after the ledger's answer. */
    SESSION_WITHDRAWN,
    SESSION_EVENTS
};

/**
 * What the driver must do after a step. Bits, because a step can ask for several; they are carried
 * out in this order: CANCEL_TRAINING, KEEP_OUTCOME, then the rest. "The round" is `s->round` after
 * the step.
 */
enum session_action {
    SESSION_NOTHING = 0,
    SESSION_SAY_HELLO = 1 << 0,
    SESSION_CHECK_POLICY = 1 << 1,
    SESSION_SAY_ACCEPT = 1 << 2,
    /** The study, with the reason the trainer gave, or the hospital's on withdrawing. */
    SESSION_SAY_DECLINE = 1 << 3,
    /** Ask the trainer: it answers FOUND_STORED if the ledger has the update. An older update that
     *  is still being sent is abandoned. */
    SESSION_START_TRAINING = 1 << 4,
    /** And drop whatever the cancelled request still answers. */
    SESSION_CANCEL_TRAINING = 1 << 5,
    SESSION_COMMIT_SPEND = 1 << 6,
    /** The stored bytes of the round, and no others. */
    SESSION_SEND_UPDATE = 1 << 7,
    /** The round without us, with the reason. */
    SESSION_SAY_CANNOT = 1 << 8,
    /** Of the round that the event named; keeping twice is harmless. */
    SESSION_KEEP_OUTCOME = 1 << 9,
    /** Refused: state untouched; log and count. Not proof of a lie: a delayed copy of an old
     *  message is refused too. */
    SESSION_PROTOCOL_ERROR = 1 << 10
};

/** A deadline that never comes: the machine waits for its own ledger, or for nothing. */
#define SESSION_NEVER INT64_MAX

/** Plain struct; zero-initialised is a valid OFFLINE session, also after a restart. */
struct session {
    enum session_state state;
    uint64_t round;      /**< newest round known to have opened; only grows. In SPEND..SEND: ours */
    uint64_t settled;    /**< rounds up to here need nothing more from us (acknowledged or over) */
    uint64_t forfeited;  /**< the round for which we said CANNOT: said again, never trained again */
    int64_t deadline_ms; /**< when to call back with SESSION_TIMED_OUT; 0 = at once */
    int64_t round_deadline_ms; /**< on our own clock: arrival + what the message said was left */
};

/** One thing that happened. Fields that the event does not carry are 0. */
struct session_input {
    enum session_event event;
    int64_t now_ms;            /**< monotonic, >= 0 */
    uint64_t round;            /**< from 1 */
    int64_t round_deadline_ms; /**< GOT_ROUND: on our own clock */
};

/**
 * Advance. Total: every (state, event) pair has an answer. TIMED_OUT before `deadline_ms` is a
 * stale timer and does nothing.
 * @return bits of session_action
 */
unsigned session_step(struct session *s, const struct session_input *in);

const char *session_state_name(enum session_state state);
const char *session_event_name(enum session_event event);

#endif
