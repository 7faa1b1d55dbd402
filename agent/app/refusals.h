/**
 * @file refusals.h
 * What the agent did not listen to, counted by kind. A refusal is no proof of a lie (a delayed copy is
 * refused, too), so nothing but the count follows from one; and the log hears of it now and then, so
 * that whoever repeats a lie does not fill the hospital's disk.
 */
#ifndef AGENT_APP_REFUSALS_H
#define AGENT_APP_REFUSALS_H

#include <stddef.h>
#include <stdint.h>

enum refusal {
    REFUSED_SIGNATURE,   /**< unsigned, wrongly signed, or another raw frame than the one signed */
    REFUSED_MALFORMED,   /**< too large, or not a message */
    REFUSED_VERSION,     /**< of another version of the protocol */
    REFUSED_ADDRESS,     /**< not from the trusted coordinator's name, or not to this site's */
    REFUSED_REPLAY,      /**< a number or an epoch that is over */
    REFUSED_KIND,        /**< not for a site */
    REFUSED_STUDY,       /**< about another study than the one in hand */
    REFUSED_PROTOCOL,    /**< the session machine has no cell for it */
    REFUSED_AGREEMENT,   /**< a study document that the trainer could not verify */
    REFUSED_CHUNK,       /**< of a wrong size, or the whole had another hash */
    REFUSED_LATE_CHUNK,  /**< not the next one, or of nothing that is being fetched */
    REFUSED_CREDIT,      /**< for chunks beyond the end, or more than the window */
    REFUSED_LATE_CREDIT, /**< for nothing that is being offered */
    REFUSALS
};

/** Zeroed is none yet. */
struct refusals {
    uint64_t n[REFUSALS], unlogged[REFUSALS];
    int64_t logged_ms[REFUSALS]; /**< monotonic; 0: never */
};

enum { REFUSALS_TEXT = 320 };

void refusals_note(struct refusals *r, enum refusal kind, const char *why);
/** "signature=2 replay=1", or "none". @return out */
const char *refusals_text(const struct refusals *r, char out[REFUSALS_TEXT]);

#endif
