/**
 * @file round.h
 * The coordinator's side of one study, as a machine without sockets, clocks, threads or disk.
 * docs/PROTOCOL.md is its text. What must survive a crash is named by ROUND_KEEP_* actions, which
 * the driver commits to the registry *before* the answer goes out; round_restore builds the same
 * machine again from what was committed.
 */
#ifndef AGGREGATOR_ROUND_ROUND_H
#define AGGREGATOR_ROUND_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROUND_SITES_MAX = 1024 };

enum round_state {
    ROUND_JOINING, /**< collecting ACCEPT and DECLINE */
    ROUND_OPEN,    /**< a round is announced; collecting updates */
    ROUND_MERGING, /**< sum, model and outcome are being committed */
    ROUND_DONE,    /**< all rounds reached quorum */
    ROUND_FAILED,  /**< quorum missed or out of reach, the commit failed, or people stopped it */
    ROUND_STATES
};

enum round_event {
    ROUND_GOT_HELLO, /**< a site is there (again) */
    ROUND_GOT_ACCEPT,
    ROUND_GOT_DECLINE,
    ROUND_GOT_UPDATE, /**< complete and verified; carries its round */
    ROUND_GOT_CANNOT, /**< the site sits this round out; carries its round */
    ROUND_COMMITTED,  /**< model, outcome and audit entry are one finished transaction */
    ROUND_NOT_COMMITTED,
    ROUND_TIMED_OUT, /**< `now_ms` reached deadline_ms */
    /** The coordinator's people stop the study; the reason is the driver's. Refused in MERGING:
     *  raise it again after COMMITTED. */
    ROUND_ABORTED,
    /** Masked studies: the sum of exactly the contributors can be opened (UNMASKING_UNMASK). */
    ROUND_UNMASKED,
    /** Masked studies: this round's sum can no longer be opened (UNMASKING_FAIL). */
    ROUND_LOST,
    ROUND_EVENTS
};

/** What each site has said about the study, and about the present round. */
enum round_member { ROUND_UNKNOWN, ROUND_ACCEPTED, ROUND_MEMBER_DECLINED };
enum round_part {
    ROUND_WAITED_FOR,
    ROUND_CONTRIBUTED,
    ROUND_SAT_OUT,
    ROUND_NOT_DRAWN /**< round_sample: the round is not its own; it is told the outcome */
};

/**
 * What the driver must do after a step, in this order: KEEP_*, then REPLY_*, then CAST_OUTCOME,
 * then CAST_ROUND or CAST_DONE, then MERGE. If a KEEP_* fails, nothing else of the step is done and
 * the program stops: a restart continues from what was committed.
 */
enum round_action {
    ROUND_NOTHING = 0,
    ROUND_REPLY_STUDY = 1 << 0,
    /** Number, time left, model. */
    ROUND_REPLY_ROUND = 1 << 1,
    /** The present round needs nothing more from the site. */
    ROUND_REPLY_ACK = 1 << 2,
    /** Of the newest finished round: round_finished(). */
    ROUND_REPLY_OUTCOME = 1 << 3,
    ROUND_REPLY_DONE = 1 << 4,
    /** Commit the site's ACCEPT or DECLINE, then the replies. */
    ROUND_KEEP_MEMBER = 1 << 5,
    /** Commit the update, or (CANNOT, late ACCEPT) that the site sits the round out and why, then
     *  the replies. */
    ROUND_KEEP_PART = 1 << 6,
    /** To every accepted site that is still waited for. */
    ROUND_CAST_ROUND = 1 << 7,
    /** Contributors are those with ROUND_CONTRIBUTED. */
    ROUND_MERGE = 1 << 8,
    /** Of round_finished(), to every accepted site. */
    ROUND_CAST_OUTCOME = 1 << 9,
    /** Done or failed, to everybody. */
    ROUND_CAST_DONE = 1 << 10,
    /** Commit the failed outcome and its reason. */
    ROUND_KEEP_FAILURE = 1 << 11,
    /** Refused: state untouched; log and count. Not proof of a lie: a delayed copy of an old
     *  message is refused too. */
    ROUND_PROTOCOL_ERROR = 1 << 12,
    /** Masked studies: commit that a round has failed and why, before its successor is announced.
     *  Of the round before m->round: the step has opened the next one. */
    ROUND_KEEP_LOST = 1 << 13
};

/** A deadline that never comes: merging and the two ends wait for no timer. */
#define ROUND_NEVER INT64_MAX

/** Plain struct, visible for tests and the status page. */
struct round_machine {
    enum round_state state;
    size_t n_sites;
    size_t quorum;
    uint64_t rounds; /**< of the study: so many are to have an outcome */
    uint64_t round;  /**< present one, from 1; 0 while JOINING; in DONE and FAILED the last one */
    int64_t deadline_ms;
    bool masked;        /**< round_mask; the four below are 0 without */
    uint64_t lost_max;  /**< so many rounds may fail; each takes a number */
    uint64_t lost;      /**< so many have, before the present one */
    uint64_t finished;  /**< newest round with an outcome */
    int64_t opening_ms; /**< what an open round may take beyond round_ms */
    size_t per_round;   /**< round_sample: so many sites are drawn; 0: a round is everybody's */
    uint64_t seed;      /**< and what the draw follows from */
    int64_t join_ms, round_ms; /**< how long each phase may take */
    enum round_member member[ROUND_SITES_MAX];
    enum round_part part[ROUND_SITES_MAX]; /**< of the present round */
};

struct round_input {
    enum round_event event;
    int64_t now_ms; /**< monotonic, >= 0 */
    size_t site;    /**< who, as the transport proved it; events from sites only */
    uint64_t round; /**< UPDATE and CANNOT */
};

/** A new study. 1 <= quorum <= n_sites <= ROUND_SITES_MAX; rounds >= 1. */
void round_init(struct round_machine *m, size_t n_sites, size_t quorum, uint64_t rounds,
                int64_t join_ms, int64_t round_ms, int64_t now_ms);

/**
 * After round_init, before anything else: the study is masked. OPEN is then left by UNMASKED and LOST
 * alone (aggregator/unmasking decides who is in the sum); its deadline, round_ms + opening_ms, is the
 * last resort. A lost round takes the next number as long as no more than `lost_max` are lost.
 */
void round_mask(struct round_machine *m, uint64_t lost_max, int64_t opening_ms);

/**
 * After round_init, before anything else: each round is of `per_round` sites, drawn without replacement from
 * the whole roster by the generator of common/base/rng.h: seed `seed`, stream "sites of round N". Whoever
 * knows seed and roster knows who is drawn; a restart draws the same. A drawn site that has declined, or that
 * joined after the round had opened, is missing in it: nobody is drawn in its place. Not of masked studies.
 * quorum <= per_round <= n_sites.
 */
void round_sample(struct round_machine *m, size_t per_round, uint64_t seed);

/**
 * Advance. Total. TIMED_OUT before `deadline_ms` is a stale timer and does nothing; a site that is
 * not on the roster is refused.
 * @return bits of round_action; replies go to `in->site`
 */
unsigned round_step(struct round_machine *m, const struct round_input *in);

/**
 * After a crash: `m` was filled by hand from the registry after round_init: state (JOINING; OPEN
 * also when the merge had begun; DONE or FAILED when that was committed), round (the first one
 * without an outcome, nor lost), in masked studies lost and finished, members, and the parts kept of
 * that round. Gives the present phase a fresh
 * deadline and says what to do at once (announce the round, merge, or declare the end).
 */
unsigned round_restore(struct round_machine *m, int64_t now_ms);

size_t round_contributors(const struct round_machine *m);

/** Newest round whose outcome is committed; 0: none yet. */
uint64_t round_finished(const struct round_machine *m);

/** What a ROUND says is left for the site's update; at least 0. OPEN only. */
int64_t round_left_ms(const struct round_machine *m, int64_t now_ms);

const char *round_state_name(enum round_state state);
const char *round_event_name(enum round_event event);

#endif
