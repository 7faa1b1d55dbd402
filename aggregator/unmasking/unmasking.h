/**
 * @file unmasking.h
 * The coordinator's side of one masked sum: a machine without sockets, clocks, threads or disk. It
 * relays what sites sign and seal for each other, settles who survived, and opens the sum of exactly
 * these. docs/PROTOCOL.md, "Masked sums", is its text. One machine is one round; a failed round takes
 * the next number, and a new machine.
 *
 *   ANNOUNCING -> DEALING -> UPDATING -> VOTING -> REVEALING -> DONE        FAILED: with the reason
 *
 * It verifies everything, so that who lies is named (unmasking_liar), but nobody relies on that: the
 * sites verify again.
 */
#ifndef AGGREGATOR_UNMASKING_UNMASKING_H
#define AGGREGATOR_UNMASKING_UNMASKING_H

#include "common/mask/mask.h"

enum unmasking_state {
    UNMASKING_ANNOUNCING, /**< collects round keys: U1 */
    UNMASKING_DEALING,    /**< collects shares: U2 */
    UNMASKING_UPDATING,   /**< collects masked updates: U3, the survivors; with neighbours lists */
    UNMASKING_VOTING,     /**< collects t signatures over U3 */
    UNMASKING_REVEALING,  /**< collects t sites' shares */
    UNMASKING_DONE,       /**< unmasking_streams opens the sum of U3 */
    UNMASKING_FAILED,
    UNMASKING_STATES
};

enum unmasking_event {
    UNMASKING_GOT_ANNOUNCEMENT,
    UNMASKING_GOT_DEAL,   /**< with its portions */
    UNMASKING_GOT_UPDATE, /**< whole, verified and durable; asked for if unmasking_wants_update */
    UNMASKING_GOT_VOTE,
    UNMASKING_GOT_REVEAL,
    UNMASKING_GOT_LIST, /**< with neighbours, beside UPDATE: on which list of dealers the site masks */
    UNMASKING_GOT_CANNOT, /**< the site sits the rest of the round out */
    UNMASKING_GOT_POLL,   /**< the site is back and asks where things stand (its ACCEPT) */
    UNMASKING_TIMED_OUT,  /**< `now_ms` reached unmasking_deadline */
    UNMASKING_EVENTS
};

/** Carried out in this order: KEEP, then REPLY or CAST, then UNMASK or FAIL. */
enum unmasking_action {
    UNMASKING_NOTHING = 0,
    /**
     * Commit the answers of the phase that has just ended (of unmasking_announced, _dealers or
     * _survivors) before anything of this step is sent. A restarted coordinator could else tell the
     * sites another set, and they would refuse. Votes and shares need not be kept: they come again. Nor
     * need lists before U3 is settled, with which they are kept: PARCELS that are cast again bring them.
     */
    UNMASKING_KEEP = 1 << 0,
    UNMASKING_REPLY_MEMBERS =
        1 << 1, /**< to in->site: its answer stands, this is what came after */
    UNMASKING_REPLY_PARCELS = 1 << 2,
    UNMASKING_REPLY_SURVIVORS = 1 << 3,
    UNMASKING_REPLY_VOTES = 1 << 4,
    UNMASKING_CAST_MEMBERS = 1 << 5,   /**< unmasking_members, to U1 */
    UNMASKING_CAST_PARCELS = 1 << 6,   /**< unmasking_parcels of each, to U2 */
    UNMASKING_CAST_SURVIVORS = 1 << 7, /**< unmasking_survivors, to U3 */
    UNMASKING_CAST_VOTES = 1 << 8,     /**< unmasking_votes, to U3 */
    /** mask_apply(unmasking_streams) over the sum of the survivors' updates, then commit model and
     *  outcome, which names unmasking_survivors. */
    UNMASKING_UNMASK = 1 << 9,
    UNMASKING_FAIL = 1 << 10, /**< the round, with the reason in `err`; what was spent is spent */
    /** in->site's message is refused, state untouched; reason in `err`. Not proof of a lie. */
    UNMASKING_PROTOCOL_ERROR = 1 << 11,
    /** unmasking_liar() signed two things that do not fit. With PROTOCOL_ERROR or FAIL. */
    UNMASKING_LIAR = 1 << 12
};

struct unmasking_setup {
    struct hash study, roster, model;
    uint64_t round;
    struct mask_terms terms;
    const struct seal_public *sign; /**< [terms.n_sites], copied */
    struct mask_set invited;        /**< whose announcement is waited for */
    struct mask_set silent;         /**< of them: only until enough others have announced */
    size_t quorum;                  /**< a sum of fewer is of no use, hence not opened; 0: none */
    int64_t phase_ms, update_ms;    /**< time for each phase; UPDATING has training in it */
    int64_t now_ms;
};

struct unmasking_input {
    enum unmasking_event event;
    int64_t now_ms; /**< monotonic */
    size_t site;    /**< as the transport proved it */
    uint64_t round; /**< events from sites */
    const struct mask_announcement *announcement;
    const struct mask_deal *deal;
    const struct mask_portion *portion; /**< DEAL [n], n = mask_slots */
    const struct mask_set *survivors;   /**< VOTE: over which set */
    const struct mask_vote *list;       /**< LIST */
    const struct mask_vote *vote;
    const struct mask_reveal *reveal; /**< REVEAL [n] */
    size_t n;
};

struct unmasking;

/** @retval RC_INVALID as mask_terms_check; RC_NOMEM, RC_IO */
RC unmasking_open(const struct unmasking_setup *setup, struct unmasking **out, struct error *err);
/** Wipes. NULL is fine. */
void unmasking_close(struct unmasking **m);

/**
 * Advance. Total; TIMED_OUT before the deadline does nothing.
 * @param[out] err the reason, with FAIL and PROTOCOL_ERROR only
 */
unsigned unmasking_step(struct unmasking *m, const struct unmasking_input *in, struct error *err);
/**
 * After a crash: a new machine was fed what KEEP had committed, phase by phase (each phase's answers,
 * then TIMED_OUT at unmasking_deadline if the phase is not over by itself), its actions ignored. Gives
 * the present phase a fresh deadline. @return what to cast again
 */
unsigned unmasking_resume(struct unmasking *m, int64_t now_ms);

enum unmasking_state unmasking_state(const struct unmasking *m);
int64_t unmasking_deadline(const struct unmasking *m); /**< INT64_MAX: none */
uint64_t unmasking_round(const struct unmasking *m);
size_t unmasking_threshold(const struct unmasking *m); /**< mask_threshold of the terms */
const struct mask_set *unmasking_announced(const struct unmasking *m);
const struct mask_set *unmasking_dealers(const struct unmasking *m);
/** Exactly those whose updates the opened sum holds. */
const struct mask_set *unmasking_survivors(const struct unmasking *m);
/** Whom the present phase still waits for. */
struct mask_set unmasking_waited_for(const struct unmasking *m);
/**
 * Is the site's update of use, and may it be fetched? With neighbours only once its LIST is here: a site that
 * restarted before it has said that cannot say it any more, and its update could not be opened with others.
 */
bool unmasking_wants_update(const struct unmasking *m, size_t site);
size_t unmasking_liar(const struct unmasking *m);

/** MEMBERS. @param[out] out [n_sites] @return how many */
size_t unmasking_members(const struct unmasking *m, struct mask_announcement *out);
/** What a dealer said, to be kept. @return its portions [mask_slots], until unmasking_close */
const struct mask_portion *unmasking_deal(const struct unmasking *m, size_t site,
                                          struct mask_deal *out);
/** PARCELS for one receiver. @param[out] out [n_sites] */
size_t unmasking_parcels(const struct unmasking *m, size_t receiver, struct mask_parcel *out);
/** SURVIVORS, beside the set: lists of the survivors that drew this receiver, or of all (SIZE_MAX), to be
 *  kept. None without neighbours. @param[out] out [n_sites] */
size_t unmasking_lists(const struct unmasking *m, size_t receiver, struct mask_vote *out);
/** VOTES: as many as mask_threshold. @param[out] out [n_sites] */
size_t unmasking_votes(const struct unmasking *m, struct mask_vote *out);
/** DONE: what to apply to the sum of the survivors' masked updates: one stream of each survivor, and one
 *  for each pair of a survivor and a partner of it that dropped out; in guarded memory until unmasking_close. */
const struct mask_stream *unmasking_streams(const struct unmasking *m, size_t *count);

const char *unmasking_state_name(enum unmasking_state state);

#endif
