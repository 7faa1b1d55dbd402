#include "tests/support/masked.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void start(struct masked_sites *s, size_t site)
{
    struct error err;
    const struct masking_setup setup = {.study = s->study,
                                        .roster = s->roster,
                                        .terms = s->terms,
                                        .site = site,
                                        .peer = s->peer,
                                        .used_round = s->site[site].kept};
    const enum rc rc = masking_open(&setup, &s->site[site].m, &err);
    assert(rc == RC_OK);
}

void masked_init(struct masked_sites *s, struct mask_terms terms, uint64_t seed)
{
    static const char *const name[MASKED_MAX] = {"a", "b", "c", "d", "e", "f",
                                                 "g", "h", "i", "j", "k", "l"};
    struct error err;
    memset(s, 0, sizeof *s);
    assert(terms.n_sites <= MASKED_MAX);
    s->terms = terms;
    rng_init(&s->rng, seed, "masked sites");
    s->study = hash_of("study", 5);
    s->model = hash_of("model", 5);
    for (size_t i = 0; i < terms.n_sites; i++) {
        struct seal_curve curve;
        const enum rc rc = seal_keys_of_name(name[i], &s->site[i].keys, &err);
        assert(rc == RC_OK);
        seal_keys_public(s->site[i].keys, &s->sign[i], &curve);
        s->peer[i] = (struct masking_peer){s->sign[i], true};
        for (size_t w = 0; w < MASKED_WORDS; w++) {
            s->site[i].x[w] = (uint32_t)rng_u64(&s->rng);
        }
    }
    s->roster = mask_roster(name, s->sign, terms.n_sites);
    for (size_t i = 0; i < terms.n_sites; i++) {
        start(s, i);
    }
}

void masked_release(struct masked_sites *s)
{
    for (size_t i = 0; i < s->terms.n_sites; i++) {
        masking_close(&s->site[i].m);
        seal_keys_close(&s->site[i].keys);
    }
}

void masked_restart(struct masked_sites *s, size_t site)
{
    masking_close(&s->site[site].m);
    start(s, site);
}

/* What the driver does at once: the number reaches the disk before anything is said. */
static unsigned step(struct masked_sites *s, size_t site, const struct masking_input *in,
                     struct error *err)
{
    const unsigned actions = masking_step(s->site[site].m, in, err);
    if (actions & MASKING_KEEP_ROUND) {
        s->site[site].kept = masking_used(s->site[site].m);
    }
    return actions;
}

unsigned masked_open(struct masked_sites *s, size_t site, uint64_t round, struct error *err)
{
    struct mask_seed seed;
    for (size_t i = 0; i < sizeof seed.b; i++) {
        seed.b[i] = (unsigned char)rng_u64(&s->rng);
    }
    const struct masking_input in = {
        .event = MASKING_OPENED, .round = round, .model = &s->model, .seed = &seed};
    return step(s, site, &in, err);
}

unsigned masked_members(struct masked_sites *s, size_t site, uint64_t round,
                        const struct mask_announcement *a, size_t n, struct error *err)
{
    const struct masking_input in = {
        .event = MASKING_GOT_MEMBERS, .round = round, .announced = a, .n = n};
    return step(s, site, &in, err);
}

unsigned masked_parcels(struct masked_sites *s, size_t site, uint64_t round,
                        const struct mask_parcel *p, size_t n, struct error *err)
{
    const struct masking_input in = {
        .event = MASKING_GOT_PARCELS, .round = round, .parcel = p, .n = n};
    struct masked_site *x = &s->site[site];
    const unsigned actions = step(s, site, &in, err);
    if (actions & MASKING_SAY_LIST) { /* again for each copy */
        x->list = masking_list(x->m);
        mask_list_sign(x->keys, masking_clique(x->m), &x->list);
        x->listed = true;
    }
    return actions;
}

unsigned masked_survivors_listed(struct masked_sites *s, size_t site, uint64_t round,
                                 const struct mask_set *set, const struct mask_vote *list, size_t n,
                                 struct error *err)
{
    const struct masking_input in = {
        .event = MASKING_GOT_SURVIVORS, .round = round, .survivors = set, .vote = list, .n = n};
    return step(s, site, &in, err);
}

unsigned masked_survivors(struct masked_sites *s, size_t site, uint64_t round,
                          const struct mask_set *set, struct error *err)
{
    struct mask_vote list[MASKED_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->terms.n_sites; i++) {
        if (mask_set_has(set, i) && s->site[i].listed) {
            list[n++] = s->site[i].list;
        }
    }
    return masked_survivors_listed(s, site, round, set, list, n, err);
}

unsigned masked_votes(struct masked_sites *s, size_t site, uint64_t round,
                      const struct mask_vote *v, size_t n, struct error *err)
{
    const struct masking_input in = {.event = MASKING_GOT_VOTES, .round = round, .vote = v, .n = n};
    return step(s, site, &in, err);
}

struct mask_announcement masked_announcement(const struct masked_sites *s, size_t site)
{
    const struct masking *m = s->site[site].m;
    struct mask_announcement a = masking_announcement(m);
    mask_announcement_sign(s->site[site].keys, masking_attempt(m), &a);
    return a;
}

struct mask_deal masked_deal(const struct masked_sites *s, size_t site,
                             struct mask_portion *portion)
{
    const struct masking *m = s->site[site].m;
    struct mask_deal d = masking_deal(m, portion);
    mask_deal_sign(s->site[site].keys, masking_members(m), &d);
    return d;
}

struct mask_vote masked_vote(const struct masked_sites *s, size_t site, struct mask_set *set)
{
    const struct masking *m = s->site[site].m;
    struct mask_vote v = masking_vote(m, set);
    mask_vote_sign(s->site[site].keys, masking_clique(m), set, &v);
    return v;
}
