/**
 * @file mask.h
 * What masked sums are made of (Bonawitz et al. 2017, "Practical Secure Aggregation", double masking on
 * the complete graph; of many sites on the graph that they draw, as in Bell et al. 2020, "Secure
 * Single-Server Aggregation"): the secrets of one round, their shares, and the masks that cancel. Pure
 * functions; who says what when is agent/masking and aggregator/unmasking. docs/PROTOCOL.md, "Masked
 * sums", is the text. Third home of <sodium.h>: libsodium 1.0.18 is the first with ristretto255.
 *
 *   y_u = x_u + PRG(b_u) + sum_{v in U2, v < u} PRG(s_uv) - sum_{v in U2, v > u} PRG(s_uv)  mod 2^32
 *
 * (their eq. in section 4.0.2): the higher roster index adds, the lower subtracts. As there, a site has
 * two key pairs in a round: one that masks are made from, of which the secret is shared, and one that
 * only seals boxes. With a single pair, who is shown the shared secret of a site that dropped out could
 * open its boxes, read the shares of its self mask out of them, and with both its update. Three names bind
 * everything to one round; each is a BLAKE2b over all that came before it:
 *
 *   attempt   study, round, roster, model, terms                              before anybody speaks
 *   members   attempt, and U1: who announced a key, with these keys           before shares are dealt
 *   clique    members, and U2: whose shares arrived, with their commitments   before anything is masked
 *
 * Sites that were told different sets therefore have different clique names, hence masks that do not
 * cancel and signatures that do not count for each other.
 */
#ifndef COMMON_MASK_MASK_H
#define COMMON_MASK_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/seal/seal.h"

enum {
    MASK_SITES_MAX = 1024,   /**< of a roster */
    MASK_COMPLETE_MAX = 128, /**< of one without a drawn graph: its cost grows with the square */
    MASK_SLOTS_MAX = 128,    /**< receivers of one dealer's shares */
    MASK_DEPTH_MAX = 7,      /**< of the tree of commitments: 2^7 = MASK_SLOTS_MAX */
    MASK_BOX_BYTES = 144,    /**< two openings of 64 bytes, and a tag of 16 */
    MASK_BLOCK = 16          /**< numbers in a block of ChaCha20: slices begin at a multiple */
};

struct mask_scalar { /* of ristretto255's prime-order group, canonical, little endian. Secret */
    unsigned char b[32];
};
struct mask_point { /* an element of the group: a public key */
    unsigned char b[32];
};
struct mask_seed { /* 32 fresh secret bytes; all secrets of a site in one round follow from it */
    unsigned char b[32];
};

/* ---- sets and terms -------------------------------------------------------------------------- */

/** A set of roster indices. Zeroed: empty. */
struct mask_set {
    unsigned char b[MASK_SITES_MAX / 8]; /**< bit i % 8 of byte i / 8 is site i */
};
bool mask_set_has(const struct mask_set *s, size_t site);
void mask_set_add(struct mask_set *s, size_t site);
size_t mask_set_count(const struct mask_set *s);
bool mask_set_equal(const struct mask_set *a, const struct mask_set *b);
/** Every site of `inner` is one of `outer`. */
bool mask_set_within(const struct mask_set *inner, const struct mask_set *outer);
/** How many are in both. */
size_t mask_set_common(const struct mask_set *a, const struct mask_set *b);
/** Of a roster, and written as: 16, or all 128 bytes if it has a site from 128 on. */
size_t mask_set_bytes(const struct mask_set *s);

/** Public numbers of the signed study. */
struct mask_terms {
    size_t n_sites;         /**< of the roster, 3..MASK_SITES_MAX */
    size_t min_sites;       /**< fewest survivors of a round */
    size_t max_colluding;   /**< sites that may work with the coordinator: c */
    size_t threshold_least; /**< t is at least this; 0: no more than it must be */
    size_t neighbours;      /**< holders of its shares that each site draws; 0: all hold all's */
    size_t shares;          /**< of them open a secret; 0 without neighbours: t do */
};
/**
 * @param strangers sites of the roster that may not exist: they count as working with the coordinator
 * @retval RC_INVALID fewer than 3 sites (the sum and one's own update give the other's: noise: site is
 *                    for two), or min_sites < c + 2 (the colluding could read one honest site), or no
 *                    t fits; more than MASK_COMPLETE_MAX sites without neighbours, or a neighbourhood
 *                    that could be read in parts (neighbours_risk)
 */
RC mask_terms_check(const struct mask_terms *terms, size_t strangers, struct error *err);
/**
 * Signatures over (clique, survivors) before a share is shown, and without neighbours the shares that open a secret: the least t with 2t > n_sites + c. Two
 * sets of t of the roster then share more than c sites, hence an honest one, which takes part once
 * under a number and signs one survivor set; and t shares of each of a site's two secrets would need an
 * honest site that gave both. Of the roster and not of who takes part: a coordinator could else divide
 * the sites and have one round end twice, in two sums.
 */
size_t mask_threshold(const struct mask_terms *terms);
/** Shares that open a secret: `shares`, or the threshold. */
size_t mask_shares(const struct mask_terms *terms);
/** Receivers of one dealer's shares: `neighbours`, or the whole roster. A receiver's slot is its place
 *  among them, in roster order. */
size_t mask_slots(const struct mask_terms *terms);
size_t mask_slot(const struct mask_set *holders, size_t receiver);

/* ---- who holds whose shares ------------------------------------------------------------------- */

/**
 * 32 secret bytes from which a site's holders follow. Committed to in its announcement, shown with its
 * shares: by then nobody can choose them any more, and until then nobody else knows them. The
 * coordinator has no part in it. What it can do, as ever, is to call sites dropped and to lose the round;
 * the next number has draws of its own.
 */
struct mask_draw {
    unsigned char b[32];
};
void mask_draw_from(const struct mask_seed *seed, const struct hash *attempt,
                    struct mask_draw *out);
struct hash mask_draw_commit(const struct hash *attempt, size_t site, const struct mask_draw *draw);
/**
 * Who holds the shares of `site`: terms->neighbours sites, each set of as many of the others on the
 * roster as likely as any other (words of a ChaCha20 stream, refused where they fit no site). Of the roster
 * and not of who is present: else a coordinator that shows sites different lists of who is could look at
 * the draws of one before it composes the next. Without neighbours: everybody, itself too.
 */
void mask_holders(const struct mask_terms *terms, const struct hash *attempt, size_t site,
                  const struct mask_draw *draw, struct mask_set *out);

/* ---- a round's key pairs --------------------------------------------------------------------- */

/** The secrets of one site in one attempt. */
struct mask_secrets {
    struct mask_seed seed;
    struct mask_scalar key;  /**< x: x G is announced. Shared: shown if the site drops out */
    struct mask_scalar box;  /**< z: z G is announced. Nobody is ever given a share of it */
    struct mask_scalar self; /**< b: seeds the self mask */
};

/** Before anything else here. @retval RC_IO no randomness */
RC mask_start(struct error *err);
/** Guarded memory that is wiped when it is freed; zeroed. @retval RC_NOMEM */
RC mask_guarded(size_t n, void **out, struct error *err);
void mask_guarded_free(void *p);

/** Both key pairs and the self-mask scalar from a seed and the attempt they are for: 64 bytes of keyed
 *  BLAKE2b each, reduced mod the group's order. */
void mask_secrets_from(const struct mask_seed *seed, const struct hash *attempt,
                       struct mask_secrets *out, struct mask_point *key, struct mask_point *box);
/** x G. */
void mask_public(const struct mask_scalar *x, struct mask_point *out);
/** Diffie-Hellman: x Y. Wipe it. @retval RC_AUTH Y is no element of the group, or its identity */
RC mask_agree(const struct mask_scalar *x, const struct mask_point *peer, struct mask_point *out,
              struct error *err);

/* ---- what is signed -------------------------------------------------------------------------- */

struct hash mask_attempt(const struct hash *study, uint64_t round, const struct hash *roster,
                         const struct hash *model, const struct mask_terms *terms);
/** Names and Ed25519 keys in roster order, as the signed study has them. */
struct hash mask_roster(const char *const *name, const struct seal_public *sign, size_t n);

/** A site's two round keys, signed over the attempt. */
struct mask_announcement {
    size_t site;
    struct mask_point key; /**< for masks */
    struct mask_point box; /**< for boxes */
    bool draws;            /**< with neighbours, and only then there is */
    struct hash draw;      /**< mask_draw_commit */
    struct seal_signature signature;
};
void mask_announcement_sign(const struct seal_keys *k, const struct hash *attempt,
                            struct mask_announcement *a);
/** @retval RC_AUTH not this key's over this attempt, or a point is none */
RC mask_announcement_verify(const struct seal_public *signer, const struct hash *attempt,
                            const struct mask_announcement *a, struct error *err);
/** The signature alone, for whoever agrees with both keys in the same step: mask_agree refuses a point that is none. */
RC mask_announcement_signed(const struct seal_public *signer, const struct hash *attempt,
                            const struct mask_announcement *a, struct error *err);
/** The name of U1: `a` in roster order, each site once (asserted). */
struct hash mask_members(const struct hash *attempt, const struct mask_announcement *a, size_t n);

/** What a dealer commits to, signed over the members. */
struct mask_deal {
    size_t site;
    struct hash root; /**< of the tree over what each receiver gets */
    struct hash self; /**< of the self-mask scalar; x needs none, x G is announced */
    struct seal_signature signature;
    bool draws;
    struct mask_draw
        draw; /**< of draws: not signed, it is what the members' name has committed to */
};
void mask_deal_sign(const struct seal_keys *k, const struct hash *members, struct mask_deal *d);
/** @retval RC_AUTH */
RC mask_deal_verify(const struct seal_public *signer, const struct hash *members,
                    const struct mask_deal *d, struct error *err);
/** The name of U2: `d` in roster order, each site once (asserted). */
struct hash mask_clique(const struct hash *members, const struct mask_deal *d, size_t n);

/** A signature over (clique, survivors, signer): that this site will open the sum of these and of no
 *  others in this round. */
struct mask_vote {
    size_t site;
    struct seal_signature signature;
};
/**
 * With neighbours: a signature over (clique, signer): that whatever this site masks in this round is masked on
 * this list of dealers. A site masks with some of the dealers only, so that t who sign the survivors say
 * nothing of the list that it was told. Told of another one, it could have masks with none but those who are
 * called dropped: who holds its shares wants to see this before it signs.
 */
void mask_list_sign(const struct seal_keys *k, const struct hash *clique, struct mask_vote *v);
/** @retval RC_AUTH */
RC mask_list_verify(const struct seal_public *signer, const struct hash *clique,
                    const struct mask_vote *v, struct error *err);
void mask_vote_sign(const struct seal_keys *k, const struct hash *clique,
                    const struct mask_set *survivors, struct mask_vote *v);
/** @retval RC_AUTH */
RC mask_vote_verify(const struct seal_public *signer, const struct hash *clique,
                    const struct mask_set *survivors, const struct mask_vote *v, struct error *err);

/* ---- secret shares --------------------------------------------------------------------------- */

/** Which of a dealer's two secrets. A site gives its share of one of them, never of both. */
enum mask_secret { MASK_KEY, MASK_SELF };

/** One receiver's share of one secret, with what opens its commitment. Secret. */
struct mask_opening {
    struct mask_scalar share;
    unsigned char blinding[32];
};
struct mask_openings {
    struct mask_opening of[2]; /**< by enum mask_secret */
};
/** Hashes of the two openings; public. */
struct mask_commitments {
    struct hash of[2];
};
struct mask_box { /**< openings for one receiver's eyes */
    unsigned char b[MASK_BOX_BYTES];
};

/**
 * Shamir 1979 over the scalar field: f(0) = secret, f of degree t - 1, the share of roster index i is
 * f(i + 1). Coefficients and blindings follow from seed and members. Secret: wipe it.
 */
struct mask_polynomials {
    size_t t;
    struct mask_seed seed;
    struct mask_scalar a[2][MASK_SLOTS_MAX]; /**< by enum mask_secret, then by power */
};
/** @param t 1..MASK_SLOTS_MAX */
void mask_polynomials_make(const struct mask_secrets *s, const struct hash *members, size_t t,
                           struct mask_polynomials *out);
void mask_deal_share(const struct mask_polynomials *p, const struct hash *members, size_t receiver,
                     struct mask_openings *out);

/** lambda_i = prod_{j != i} x_j / (x_j - x_i), with which sum lambda_i f(x_i) = f(0). */
struct mask_lagrange {
    size_t t;
    size_t site[MASK_SLOTS_MAX];
    struct mask_scalar lambda[MASK_SLOTS_MAX];
};
/** @retval RC_INVALID a site twice, none on any roster, fewer than 1 or more than MASK_SLOTS_MAX */
RC mask_lagrange_at(const size_t *site, size_t n, struct mask_lagrange *out, struct error *err);
/**
 * The secret from one share of each site that `l` was made for.
 * @param share [l->t] in the order of l->site  @param site [n] whose they are
 * @retval RC_INVALID fewer than t, or other sites' or in another order
 */
RC mask_combine(const struct mask_lagrange *l, size_t t, const size_t *site,
                const struct mask_scalar *share, size_t n, struct mask_scalar *secret,
                struct error *err);

/**
 * A hash and not Feldman's points: those would cost t multiplications for each share (at 100 sites
 * half a second for every site), and name no more: t shares that open rightly and do not combine to
 * what the dealer committed to convict the dealer; one that does not open convicts who showed it.
 */
struct hash mask_commit(const struct hash *members, size_t dealer, size_t receiver,
                        enum mask_secret which, const struct mask_opening *o);
struct hash mask_commit_self(const struct hash *members, size_t dealer,
                             const struct mask_scalar *self);

/** What a dealer hands to the coordinator for one receiver. */
struct mask_portion {
    struct mask_commitments commitments;
    struct mask_box box;
};

/** BLAKE2b tree over (commitments, box) of each slot, padded to 2^depth. A receiver is sent
 *  its own leaf's path, not everybody's commitments: 36 KB instead of 640 KB at 100 sites. */
struct mask_tree {
    size_t depth;
    struct hash node[2 * MASK_SLOTS_MAX]; /**< node[1] is the root, leaf i node[2^depth + i] */
};
struct mask_path {
    struct hash sibling[MASK_DEPTH_MAX];
};
/** @param portion [n_slots]; zeroed for sites that are no members, and the dealer's own box */
void mask_tree_build(const struct mask_portion *portion, size_t n_slots, struct mask_tree *out);
void mask_tree_path(const struct mask_tree *tree, size_t slot, struct mask_path *out);
bool mask_tree_holds(const struct hash *root, size_t n_slots, size_t slot,
                     const struct mask_portion *portion, const struct mask_path *path);
size_t mask_tree_depth(size_t n_slots);

/** What links two sites in one attempt: both keys of one kind, for masks or for boxes, and their
 *  Diffie-Hellman secret. */
struct mask_pair {
    size_t low, high; /**< roster indices, low < high */
    struct mask_point key_low, key_high;
    struct mask_point secret; /**< mask_agree */
};
/** XChaCha20-Poly1305 (IETF) under a key of its own for each (members, dealer, receiver), which seals
 *  one box only: hence nonce 0. @param pair of the box keys */
void mask_box_seal(const struct mask_pair *pair, const struct hash *members, size_t dealer,
                   const struct mask_openings *o, struct mask_box *out);
/** @retval RC_AUTH not sealed for us by this dealer, or a share that is no scalar; `out` untouched */
RC mask_box_open(const struct mask_pair *pair, const struct hash *members, size_t dealer,
                 const struct mask_box *box, struct mask_openings *out, struct error *err);

/** One dealer's statement with what it has for one receiver: relayed by the coordinator. */
struct mask_parcel {
    struct mask_deal deal;
    bool held;             /**< the receiver holds a share; without neighbours it always does */
    struct mask_box box;   /**< zeroed for the dealer itself */
    struct mask_path path; /**< of the receiver's leaf */
};
/** One share shown to the coordinator. Secret until then. */
struct mask_reveal {
    size_t dealer;
    enum mask_secret which; /**< MASK_SELF of a survivor, MASK_KEY of one that dropped out */
    struct mask_opening opening;
};

/* ---- masks ----------------------------------------------------------------------------------- */

/** One ChaCha20 keystream to add to or subtract from an update. Secret. */
struct mask_stream {
    unsigned char key[32];
    bool subtract;
};
/** BLAKE2b of pair and clique: both ends compute the same; `site` adds if it is the higher.
 *  @param pair of the mask keys */
void mask_stream_pair(const struct mask_pair *pair, const struct hash *clique, size_t site,
                      struct mask_stream *out);
void mask_stream_self(const struct mask_scalar *self, const struct hash *clique, size_t site,
                      struct mask_stream *out);
/**
 * numbers += streams, in the ring mod 2^32, in place. All streams pass over a few KB at a time, so
 * that the numbers are read once and memory does not grow with the sites.
 * @param numbers [n] little-endian u32 (also update.h's sum)  @param first index of numbers[0] in the
 *        whole tensor, a multiple of MASK_BLOCK: slices may be masked apart, also by several threads
 */
void mask_apply(void *numbers, size_t n, size_t first, const struct mask_stream *stream,
                size_t count);

/* ---- raw frames ------------------------------------------------------------------------------ */

/*
 * What the messages MASK_* carry, little endian, fields in this order, nothing between them:
 *
 *   MASK_KEY, MASK_MEMBERS    (site u16, key 32, box key 32, signature 64) each
 *   MASK_SHARES               site u16, root 32, self 32, signature 64; then for each slot
 *                             (commitment of key 32, of self 32, box 144)
 *   MASK_PARCELS              (site u16, root 32, self 32, signature 64, box 144, path 7 x 32) each
 *   MASK_LIST                 site u16, signature 64
 *   MASK_SURVIVORS            set 16, or 128: mask_set_bytes; with neighbours then MASK_LIST of each survivor
 *                             whose shares the receiver holds
 *   MASK_VOTE                 set as above; site u16, signature 64
 *   MASK_VOTES                (site u16, signature 64) each
 *   MASK_REVEAL               (dealer u16, which u8, share 32, blinding 32) each
 *
 * Where sites draw neighbours, the commitment to the draw (32) stands before the signature of MASK_KEY, the
 * draw (32) after that of MASK_SHARES and MASK_PARCELS, and in the latter `held` (u8) after it: box and
 * path only if it is 1.
 *
 * Unpacking checks sizes, indices and `which`; what it all means is the machines' business.
 */
enum {
    MASK_ANNOUNCEMENT_BYTES = 130,
    MASK_DEAL_BYTES = 130,
    MASK_PORTION_BYTES = 208,
    MASK_PARCEL_BYTES = 498,
    MASK_SET_BYTES = 16,
    MASK_SET_BYTES_MAX = MASK_SITES_MAX / 8,
    MASK_DRAW_BYTES = 32, /**< more of an announcement, or of a deal */
    MASK_VOTE_BYTES = 66,
    MASK_REVEAL_BYTES = 67,
    MASK_SHARES_MAX = MASK_DEAL_BYTES + MASK_DRAW_BYTES + MASK_SLOTS_MAX * MASK_PORTION_BYTES,
    MASK_RAW_MAX =
        MASK_SITES_MAX * (MASK_PARCEL_BYTES + MASK_DRAW_BYTES + 1) /**< the largest frame */
};

/** Of MASK_SHARES in such a study. */
size_t mask_shares_bytes(const struct mask_terms *terms);
/** @return bytes written to `out`, which has room for them */
size_t mask_pack_announcements(const struct mask_announcement *a, size_t n, unsigned char *out);
size_t mask_pack_shares(const struct mask_deal *d, const struct mask_portion *portion,
                        size_t n_slots, unsigned char *out);
size_t mask_pack_parcels(const struct mask_parcel *p, size_t n, unsigned char *out);
/** @param list [n] mask_list_sign of some of them */
size_t mask_pack_survivors(const struct mask_set *s, const struct mask_vote *list, size_t n,
                           unsigned char *out);
size_t mask_pack_vote(const struct mask_set *s, const struct mask_vote *v, unsigned char *out);
size_t mask_pack_votes(const struct mask_vote *v, size_t n, unsigned char *out);
size_t mask_pack_reveals(const struct mask_reveal *r, size_t n, unsigned char *out);

/**
 * @param terms n_sites and neighbours are read  @param[out] out [n_sites], @p n how many: 1..n_sites; `out` may be written in part
 * @retval RC_FORMAT another size, a site beyond the roster, no such secret
 */
RC mask_unpack_announcements(const void *raw, size_t bytes, const struct mask_terms *terms,
                             struct mask_announcement *out, size_t *n, struct error *err);
/** @param[out] portion [mask_slots] */
RC mask_unpack_shares(const void *raw, size_t bytes, const struct mask_terms *terms,
                      struct mask_deal *d, struct mask_portion *portion, struct error *err);
RC mask_unpack_parcels(const void *raw, size_t bytes, const struct mask_terms *terms,
                       struct mask_parcel *out, size_t *n, struct error *err);
/** @param[out] list [n_sites], @p n how many: 0..n_sites */
RC mask_unpack_survivors(const void *raw, size_t bytes, size_t n_sites, struct mask_set *out,
                         struct mask_vote *list, size_t *n, struct error *err);
RC mask_unpack_vote(const void *raw, size_t bytes, size_t n_sites, struct mask_set *s,
                    struct mask_vote *v, struct error *err);
RC mask_unpack_votes(const void *raw, size_t bytes, size_t n_sites, struct mask_vote *out,
                     size_t *n, struct error *err);
RC mask_unpack_reveals(const void *raw, size_t bytes, size_t n_sites, struct mask_reveal *out,
                       size_t *n, struct error *err);

#endif
