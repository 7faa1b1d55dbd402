/**
 * @file neighbours.h
 * How large a neighbourhood masked sums of many sites need (Bell et al. 2020, "Secure Single-Server
 * Aggregation with (Poly)Logarithmic Overhead"). Each site draws `each` holders for the shares of its two
 * secrets, uniformly among all other sites of the roster and independently of everybody; `open` of them
 * open a secret; two sites mask with each other if one has drawn the other. Pure arithmetic over public
 * numbers; the protocol is docs/PROTOCOL.md, "Masked sums", "Many sites".
 *
 * Who is corrupt is settled before anybody draws. Who drops out is not: a lying coordinator sees the
 * whole graph first, and calls dropped whom it likes. Hence three rules of the protocol that the bound
 * counts on: holders are drawn from the roster, never from who is present; who is opened has masked on
 * the one list of dealers, as its holders have seen, and of one survivor set; and none opens it
 * unless every dealer has `open` holders among the survivors.
 */
#ifndef COMMON_NEIGHBOURS_NEIGHBOURS_H
#define COMMON_NEIGHBOURS_NEIGHBOURS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    NEIGHBOURS_SITES_MAX = 1024, /**< of a roster */
    NEIGHBOURS_EACH_MAX = 128,   /**< holders of one site's shares */
    NEIGHBOURS_RISK_LOG2 = -40, /**< most that an attempt may be read with: of one round's number */
    NEIGHBOURS_LOSS_LOG2 = -30  /**< most that a round is lost with when as many drop out as may */
};

struct neighbours {
    size_t n_sites; /**< of the roster */
    size_t corrupt; /**< of them work with the coordinator, or are not confirmed to exist */
    size_t honest;  /**< least of the others in a sum: min_sites - max_colluding */
    size_t each;    /**< holders that a site draws: the k of the paper */
    size_t open;    /**< of them open a secret: its t */
};

/**
 * Log2 of a bound on the chance that the draws let anything be read but the sum of *all* honest
 * survivors. W are the honest survivors, |W| >= honest, h = n - corrupt, H(u) the holders of u. A secret
 * is safe from the corrupt alone unless |H(u) n C| >= open. If W falls apart, let S be its smallest
 * component, s = |S| <= h / 2. Survivors have `open` holders among survivors, and those of S are in S or
 * corrupt; and no site of S has drawn one of W \ S, nor the other way round:
 *
 *   risk <= h P[Hyp(n-1, c, k) >= t]
 *         + sum_s C(h,s) min( P[Hyp(n-1, c+s-1, k) >= t]^s,
 *                             C(h-s,v) (C(n-1-v,k)/C(n-1,k))^s (C(n-1-s,k)/C(n-1,k))^v )
 *
 * with v = max(honest - s, s), the fewest that W \ S can be. Draws are independent, hence powers. The
 * first term is the paper's for a coordinator that follows the protocol; the others make it hold for one
 * that chooses whom to drop after it has seen the graph. Tails are summed exactly.
 * @return -HUGE_VAL: impossible
 */
double neighbours_risk(const struct neighbours *g);

/** Log2 of a bound on the chance that, of `present` sites that are there whatever was drawn, one has
 *  fewer than `open` holders among the others: then the round is lost. n P[Hyp(n-1, present-1, k) < t]. */
double neighbours_loss(const struct neighbours *g, size_t present);

/**
 * The smallest `each`, and the most `open` that it allows, with which risk and loss are within the bounds
 * above. @param[in,out] g its first three fields are read  @return false: none up to NEIGHBOURS_EACH_MAX
 */
bool neighbours_plan(struct neighbours *g, size_t present);

#endif
