/**
 * @file unmasking_internal.h
 * What one round holds, and the opening of its sum.
 */
#ifndef AGGREGATOR_UNMASKING_UNMASKING_INTERNAL_H
#define AGGREGATOR_UNMASKING_UNMASKING_INTERNAL_H

#include "aggregator/unmasking/unmasking.h"

struct unmasking {
    enum unmasking_state state;
    struct unmasking_setup setup; /* its sign pointer is NULL: the keys are here */
    struct seal_public sign[MASK_SITES_MAX];
    int64_t deadline_ms;
    size_t liar;

    struct mask_set gone;                     /* said CANNOT */
    struct mask_set answered[UNMASKING_DONE]; /* by phase: U1, U2, U3, who voted, who revealed */
    struct mask_set arrived, listed;          /* UPDATING: of both is U3 */
    struct hash attempt, members, clique;     /* as each set is settled */
    size_t threshold;

    struct mask_announcement announcement[MASK_SITES_MAX];
    struct mask_deal deal[MASK_SITES_MAX];
    struct mask_vote list[MASK_SITES_MAX];
    struct mask_vote vote[MASK_SITES_MAX];
    size_t slots;                 /* receivers of each dealer */
    struct mask_set *holders;     /* [dealer] who they are */
    struct mask_portion *portion; /* [dealer * slots + slot] */
    struct mask_tree *tree;       /* [dealer] */

    struct mask_scalar *share;  /* guarded: [dealer * slots + slot], of the secret to open */
    struct mask_stream *stream; /* guarded, once DONE */
    size_t streams;
};

/** Where what `dealer` has for `receiver` stands. */
size_t unmasking_place(const struct unmasking *m, size_t dealer, size_t receiver);
/** One reveal of each dealer that has drawn the site, of the right secret, that opens its commitment. @retval RC_AUTH */
RC unmasking_take_reveal(struct unmasking *m, const struct unmasking_input *in, struct error *err);
/**
 * From the revealers' shares: every dealer's secret, checked against what it committed to, and from
 * these the streams.
 * @retval RC_AUTH a dealer's shares do not combine to what it committed to: m->liar; RC_NOMEM
 */
RC unmasking_combine(struct unmasking *m, struct error *err);

#endif
