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
    struct mask_draw own_draw;
    struct mask_set holders; /* of our shares: whom we drew, or everybody */

    struct mask_set announced; /* U1 */
    size_t threshold;

    struct mask_deal deal;
    struct mask_openings own; /* our share of our own secrets */

    struct mask_set dealers;  /* U2 */
    struct mask_set partners; /* of them: whom we mask with */
    struct mask_set holds;    /* of them: whose shares we hold */

    struct mask_set survivors; /* U3 */
};

/* What grows with the roster, behind struct masking in the same block; bytes, so that none is misaligned. */
struct masking_room {
    struct mask_point *keys, *boxes; /* [n_sites] */
    /* Diffie-Hellman secrets, until we have masked: of the keys for masks, and of those for boxes (of
     * partners, and without neighbours) */
    struct mask_point *agreed, *agreed_boxes;
    struct mask_portion *portion; /* [mask_slots] */
    struct mask_openings *held;   /* [n_sites] by dealer */
    struct hash *commitment;      /* [n_sites] with neighbours: to the draws, and the draws */
    struct mask_draw *draw;
    unsigned char *first;
    size_t bytes; /* of all these: wiped with the round */
};

struct masking {
    enum masking_state state;
    uint64_t round, used_round;
    struct hash study, roster;
    struct mask_terms terms;
    size_t site;
    struct masking_round r;
    struct masking_room at;
    struct masking_peer *peer; /* [n_sites] */
};

/** Both ends of the link to `other` in the present round, for masks. Wipe it. */
struct mask_pair masking_pair(const struct masking *m, size_t other);
/** For boxes. Wipe it. @retval RC_AUTH its key is none */
RC masking_box_pair(const struct masking *m, size_t other, struct mask_pair *out,
                    struct error *err);

/*
 * What a message must be to change anything. RC_AUTH, RC_FORMAT, RC_STATE: refused, we stay where we
 * are. RC_LIMIT: it is what it says, and too little for us: we give this round up.
 */
/** Signatures, order, our own entry, floors, threshold. */
RC masking_check_members(const struct masking *m, const struct mask_announcement *a, size_t n,
                         struct mask_set *set, struct error *err);
/** Signatures, order, our own entry, draws, floors. RC_LIMIT also: a dealer's box or share is wrong.
 *  @param[out] set the dealers  @param[out] holds of them: whose shares are in `held` */
RC masking_check_parcels(const struct masking *m, const struct mask_parcel *p, size_t n,
                         struct mask_set *set, struct mask_set *holds, struct mask_openings *held,
                         struct error *err);
/** Floors; with neighbours also that every survivor whose shares we hold has masked on our list of dealers.
 *  @param list [n] */
RC masking_check_survivors(const struct masking *m, const struct mask_set *survivors,
                           const struct mask_vote *list, size_t n, struct error *err);
/** Of distinct survivors, as many as mask_threshold. */
RC masking_check_votes(const struct masking *m, const struct mask_vote *v, size_t n,
                       struct error *err);

#endif
