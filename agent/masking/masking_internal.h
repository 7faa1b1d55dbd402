/**
 * @file masking_internal.h
 * The machine's memory: all of it in one guarded block.
 */
#ifndef AGENT_MASKING_MASKING_INTERNAL_H
#define AGENT_MASKING_MASKING_INTERNAL_H

#include "agent/masking/masking.h"

/* Of one round; wiped as one. */
struct masking_round {
    struct hash attempt, members, clique, model;
    struct mask_secrets secrets;
    struct mask_announcement own_keys; /* unsigned */

    struct mask_set announced; /* U1 */
    struct mask_point keys[MASK_SITES_MAX], boxes[MASK_SITES_MAX];
    /* Diffie-Hellman secrets, until we have masked: of the keys for masks, and of those for boxes */
    struct mask_point agreed[MASK_SITES_MAX], agreed_boxes[MASK_SITES_MAX];
    size_t threshold;

    struct mask_deal deal;
    struct mask_portion portion[MASK_SITES_MAX];
    struct mask_openings own; /* our share of our own secrets */

    struct mask_set dealers;                   /* U2 */
    struct mask_openings held[MASK_SITES_MAX]; /* by dealer */

    struct mask_set survivors; /* U3 */
};

struct masking {
    enum masking_state state;
    uint64_t round, used_round;
    struct hash study, roster;
    struct mask_terms terms;
    size_t site;
    struct masking_peer peer[MASK_SITES_MAX];
    struct masking_round r;
};

/** Both ends of the link to `other` in the present round, for masks and for boxes. Wipe it. */
struct mask_pair masking_pair(const struct masking *m, size_t other);
struct mask_pair masking_box_pair(const struct masking *m, size_t other);

/*
 * What a message must be to change anything. RC_AUTH, RC_FORMAT, RC_STATE: refused, we stay where we
 * are. RC_LIMIT: it is what it says, and too little for us: we give this round up.
 */
/** Signatures, order, our own entry, floors, threshold. */
RC masking_check_members(const struct masking *m, const struct mask_announcement *a, size_t n,
                         struct mask_set *set, struct error *err);
/** Signatures, order, our own entry, floors. RC_LIMIT also: a dealer's box or share is wrong. */
RC masking_check_parcels(const struct masking *m, const struct mask_parcel *p, size_t n,
                         struct mask_set *set, struct mask_openings *held, struct error *err);
RC masking_check_survivors(const struct masking *m, const struct mask_set *survivors,
                           struct error *err);
/** At least t of distinct survivors. */
RC masking_check_votes(const struct masking *m, const struct mask_vote *v, size_t n,
                       struct error *err);

#endif
