/**
 * @file masked.h
 * Sites that take part in masked sums, each with its identity, its machine and the one number that it
 * keeps on its disk. Tests drive them with an honest coordinator or a lying one.
 */
#ifndef TESTS_SUPPORT_MASKED_H
#define TESTS_SUPPORT_MASKED_H

#include "agent/masking/masking.h"
#include "common/base/rng.h"

enum { MASKED_MAX = 12, MASKED_WORDS = 37 };

struct masked_site {
    struct seal_keys *keys;
    struct masking *m;
    uint64_t kept;         /* its disk: the newest round number */
    struct mask_vote list; /* what it said of its list of dealers, if it draws neighbours */
    bool listed;
    uint32_t x[MASKED_WORDS], y[MASKED_WORDS];
};

struct masked_sites {
    struct mask_terms terms;
    struct hash study, roster, model;
    struct seal_public sign[MASKED_MAX];
    struct masking_peer peer[MASKED_MAX]; /* all confirmed */
    struct masked_site site[MASKED_MAX];
    struct rng rng;
};

/** New identities and updates of `terms.n_sites` sites. */
void masked_init(struct masked_sites *s, struct mask_terms terms, uint64_t seed);
void masked_release(struct masked_sites *s);
/** Killed and started again: what it kept is all it knows. */
void masked_restart(struct masked_sites *s, size_t site);

/* One step of a site; the signed answer is written where it belongs. */
unsigned masked_open(struct masked_sites *s, size_t site, uint64_t round, struct error *err);
unsigned masked_members(struct masked_sites *s, size_t site, uint64_t round,
                        const struct mask_announcement *a, size_t n, struct error *err);
unsigned masked_parcels(struct masked_sites *s, size_t site, uint64_t round,
                        const struct mask_parcel *p, size_t n, struct error *err);
/** With what those of the set said of their lists, as an honest coordinator relays it. */
unsigned masked_survivors(struct masked_sites *s, size_t site, uint64_t round,
                          const struct mask_set *set, struct error *err);
/** The same, with lists that somebody chose. */
unsigned masked_survivors_listed(struct masked_sites *s, size_t site, uint64_t round,
                                 const struct mask_set *set, const struct mask_vote *list, size_t n,
                                 struct error *err);
unsigned masked_votes(struct masked_sites *s, size_t site, uint64_t round,
                      const struct mask_vote *v, size_t n, struct error *err);
struct mask_announcement masked_announcement(const struct masked_sites *s, size_t site);
struct mask_deal masked_deal(const struct masked_sites *s, size_t site,
                             struct mask_portion *portion);
struct mask_vote masked_vote(const struct masked_sites *s, size_t site, struct mask_set *set);

#endif
