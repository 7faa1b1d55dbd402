/**
 * @file masking.h
 * A site's side of one masked sum after another: a machine without sockets, clocks, threads or disk.
 * It verifies what other sites signed, deals and opens shares, masks one update a round, and shows
 * shares only for a survivor set that t sites have signed. docs/PROTOCOL.md, "Masked sums", is its
 * text. It holds secrets (in guarded memory, wiped with the round), hence it belongs into the trainer;
 * the identity's secret key does not: what is to be signed leaves it unsigned.
 *
 *   IDLE -> ANNOUNCED -> DEALT -> READY -> MASKED -> VOTED -> REVEALED      OUT: not in this round
 *
 * Nothing secret is ever stored. A site that restarts has lost its part in the round that was open;
 * what must be durable is the number of that round alone (MASKING_KEEP_ROUND), since with it no
 * second key, second mask or second vote under one number can come out of any number of restarts.
 */
#ifndef AGENT_MASKING_MASKING_H
#define AGENT_MASKING_MASKING_H

#include "common/mask/mask.h"

enum masking_state {
    MASKING_IDLE,      /**< no round since the start */
    MASKING_ANNOUNCED, /**< round key said; waits for MEMBERS */
    MASKING_DEALT,     /**< shares said; waits for PARCELS */
    MASKING_READY,     /**< knows whom it masks with; waits for masking_mask */
    MASKING_MASKED,    /**< has masked one update; waits for SURVIVORS */
    MASKING_VOTED,     /**< signed one survivor set; waits for VOTES */
    MASKING_REVEALED,  /**< has shown its shares for that set */
    MASKING_OUT,       /**< of this round; its secrets are wiped */
    MASKING_STATES
};

/** What the coordinator sent, whole and signed by it, or our own end of the round. Each names its
 *  round. */
enum masking_event {
    MASKING_OPENED,      /**< ROUND; model, and a fresh seed */
    MASKING_GOT_MEMBERS, /**< U1: announcements in roster order */
    MASKING_GOT_PARCELS, /**< U2: one parcel from each dealer, in roster order */
    MASKING_GOT_SURVIVORS, /**< U3: a set; with neighbours and the lists of those whose shares we hold */
    MASKING_GOT_VOTES, /**< signatures over that set, in any order */
    MASKING_CLOSED,    /**< outcome, deadline, withdrawal: nothing more of this round */
    MASKING_EVENTS
};

/** Carried out in this order. */
enum masking_action {
    MASKING_NOTHING = 0,
    /** Commit `used_round` before anything of the round is said: masking_used(). If it cannot be
     *  committed, raise MASKING_CLOSED and say CANNOT. */
    MASKING_KEEP_ROUND = 1 << 0,
    MASKING_SAY_ANNOUNCEMENT = 1 << 1, /**< masking_announcement(), signed */
    MASKING_SAY_DEAL = 1 << 2,         /**< masking_deal(), signed, and its portions */
    MASKING_SAY_LIST = 1 << 3,         /**< with neighbours: masking_list(), signed */
    /** From now on masking_mask works. The masked update is committed with its spend before it is
     *  sent, as any update. */
    MASKING_CAN_MASK = 1 << 4,
    MASKING_SAY_VOTE = 1 << 5,   /**< masking_vote(), signed */
    MASKING_SAY_REVEAL = 1 << 6, /**< masking_reveal() */
    /** Say CANNOT with the reason in `err`; the round goes on without us. After masking_mask: no more
     *  than log it, the update that left stands. */
    MASKING_GIVE_UP = 1 << 7,
    /** Refused: state untouched; log the reason in `err` and count. */
    MASKING_PROTOCOL_ERROR = 1 << 8
};

struct masking_peer {
    struct seal_public sign; /**< as the signed study has it */
    bool confirmed; /**< this hospital holds the same key on a card that it confirmed itself */
};

struct masking_setup {
    struct hash study, roster;       /**< mask_roster of the same keys */
    struct mask_terms terms;         /**< of the signed study, within this site's policy */
    size_t site;                     /**< ours; counts as confirmed */
    const struct masking_peer *peer; /**< [terms.n_sites], copied */
    uint64_t used_round;             /**< newest number ever kept; 0: none */
};

struct masking_input {
    enum masking_event event;
    uint64_t round;
    const struct hash *model;     /**< OPENED */
    const struct mask_seed *seed; /**< OPENED: 32 bytes of struct entropy; the caller wipes */
    const struct mask_announcement *announced; /**< MEMBERS [n] */
    const struct mask_parcel *parcel;          /**< PARCELS [n] */
    const struct mask_set *survivors;          /**< SURVIVORS */
    const struct mask_vote *vote;              /**< VOTES [n]; SURVIVORS [n]: lists */
    size_t n;
};

struct masking;

/** @retval RC_INVALID as mask_terms_check, or `site` is not on the roster; RC_NOMEM, RC_IO */
RC masking_open(const struct masking_setup *setup, struct masking **out, struct error *err);
/** Wipes. NULL is fine. */
void masking_close(struct masking **m);

/**
 * Advance. Total.
 * @param[out] err the reason, with GIVE_UP and PROTOCOL_ERROR only
 * @return bits of masking_action
 */
unsigned masking_step(struct masking *m, const struct masking_input *in, struct error *err);

/**
 * Masks this round's update in place, once: READY -> MASKED. The keys that made the mask are wiped.
 * @param numbers [n] little-endian u32
 * @retval RC_STATE not READY in this round (not yet, already, or out): `numbers` is untouched
 */
RC masking_mask(struct masking *m, uint64_t round, void *numbers, size_t n, struct error *err);

/**
 * What the coordinator says of a round's end, before CLOSED: does it name the survivors that we signed? So
 * no two sites that signed believe two outcomes of one round, whoever tells them.
 * @retval RC_AUTH  it names others: do not believe it
 * @retval RC_STATE we signed none in that round: nothing to compare it with, a record for people
 */
RC masking_outcome(const struct masking *m, uint64_t round, const struct mask_set *contributors,
                   struct error *err);

enum masking_state masking_state(const struct masking *m);
/** The present round, or the last one. */
uint64_t masking_round(const struct masking *m);
uint64_t masking_used(const struct masking *m);

/* What to say; each from the state that its SAY_* led to until the round ends. To sign: the names
 * from masking_attempt, masking_members and masking_clique. */
const struct hash *masking_attempt(const struct masking *m);
const struct hash *masking_members(const struct masking *m);
const struct hash *masking_clique(const struct masking *m);
struct mask_announcement masking_announcement(const struct masking *m);
/** @param[out] portion [n_sites] */
struct mask_deal masking_deal(const struct masking *m, struct mask_portion *portion);
/** Whose list of dealers it is; that is all it says beside its name, masking_clique. */
struct mask_vote masking_list(const struct masking *m);
struct mask_vote masking_vote(const struct masking *m, struct mask_set *survivors);
/** One share for each dealer of the clique. @param[out] out [n_sites] @return how many */
size_t masking_reveal(const struct masking *m, struct mask_reveal *out);

const char *masking_state_name(enum masking_state state);

#endif
