/*
 * The names of attempt, members and clique, and what sites sign over them. A signed statement is
 * (name of all before, site, what it says); seal_sign adds the domain. All numbers u64; what a length
 * depends on is in the name before, or is the set itself, so that no two statements share their bytes.
 */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "common/mask/mask.h"

struct hash mask_attempt(const struct hash *study, uint64_t round, const struct hash *roster,
                         const struct hash *model, const struct mask_terms *terms)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask attempt v1");
    hasher_bytes(&h, study->b, sizeof study->b);
    hasher_u64(&h, round);
    hasher_bytes(&h, roster->b, sizeof roster->b);
    hasher_bytes(&h, model->b, sizeof model->b);
    hasher_u64(&h, terms->n_sites);
    hasher_u64(&h, terms->min_sites);
    hasher_u64(&h, terms->max_colluding);
    hasher_u64(&h, terms->threshold_least);
    if (terms->neighbours > 0) { /* without them the name is what it was before there were any */
        hasher_u64(&h, terms->neighbours);
        hasher_u64(&h, terms->shares);
    }
    return hasher_final(&h);
}

struct hash mask_roster(const char *const *name, const struct seal_public *sign, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask roster v1");
    hasher_u64(&h, n);
    for (size_t i = 0; i < n; i++) {
        hasher_text(&h, name[i]);
        hasher_bytes(&h, sign[i].b, sizeof sign[i].b);
    }
    return hasher_final(&h);
}

/* ---- statements: u64 LE site after the name, then the rest ----------------------------------- */

struct statement {
    unsigned char b[HASH_BYTES + 8 + MASK_SET_BYTES_MAX];
    size_t n;
};

static struct statement begin(const struct hash *name, size_t site)
{
    struct statement s = {{0}, HASH_BYTES + 8};
    memcpy(s.b, name->b, HASH_BYTES);
    for (size_t i = 0; i < 8; i++) {
        s.b[HASH_BYTES + i] = (unsigned char)((uint64_t)site >> (8 * i));
    }
    return s;
}

static void append(struct statement *s, const void *data, size_t n)
{
    assert(s->n + n <= sizeof s->b);
    memcpy(s->b + s->n, data, n);
    s->n += n;
}

#define ANNOUNCE "wardround mask announcement v1"
#define DEAL     "wardround mask deal v1"
#define VOTE     "wardround mask survivors v1"
#define LIST     "wardround mask list v1"

static struct statement announced(const struct hash *attempt, const struct mask_announcement *a)
{
    struct statement s = begin(attempt, a->site);
    append(&s, a->key.b, sizeof a->key.b);
    append(&s, a->box.b, sizeof a->box.b);
    if (a->draws) {
        append(&s, a->draw.b, sizeof a->draw.b);
    }
    return s;
}

static struct statement dealt(const struct hash *members, const struct mask_deal *d)
{
    struct statement s = begin(members, d->site);
    append(&s, d->root.b, sizeof d->root.b);
    append(&s, d->self.b, sizeof d->self.b);
    return s;
}

static struct statement voted(const struct hash *clique, const struct mask_set *survivors,
                              const struct mask_vote *v)
{
    struct statement s = begin(clique, v->site);
    append(&s, survivors->b, mask_set_bytes(survivors));
    return s;
}

void mask_announcement_sign(const struct seal_keys *k, const struct hash *attempt,
                            struct mask_announcement *a)
{
    const struct statement s = announced(attempt, a);
    seal_sign(k, ANNOUNCE, s.b, s.n, &a->signature);
}

enum rc mask_announcement_signed(const struct seal_public *signer, const struct hash *attempt,
                                 const struct mask_announcement *a, struct error *err)
{
    const struct statement s = announced(attempt, a);
    const enum rc rc = seal_verify(signer, ANNOUNCE, s.b, s.n, &a->signature, err);
    return rc == RC_OK ? rc : error_context(err, "round key of site %zu", a->site);
}

enum rc mask_announcement_verify(const struct seal_public *signer, const struct hash *attempt,
                                 const struct mask_announcement *a, struct error *err)
{
    static const struct mask_point identity = {{0}};
    const enum rc rc = mask_announcement_signed(signer, attempt, a, err);
    if (rc != RC_OK) {
        return rc;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct mask_point *key = i == 0 ? &a->key : &a->box;
        if (crypto_core_ristretto255_is_valid_point(key->b) != 1 ||
            memcmp(key->b, identity.b, sizeof identity.b) == 0) {
            return error_set(err, RC_AUTH, "round key of site %zu: no key of the group", a->site);
        }
    }
    return RC_OK;
}

void mask_deal_sign(const struct seal_keys *k, const struct hash *members, struct mask_deal *d)
{
    const struct statement s = dealt(members, d);
    seal_sign(k, DEAL, s.b, s.n, &d->signature);
}

enum rc mask_deal_verify(const struct seal_public *signer, const struct hash *members,
                         const struct mask_deal *d, struct error *err)
{
    const struct statement s = dealt(members, d);
    enum rc rc = seal_verify(signer, DEAL, s.b, s.n, &d->signature, err);
    return rc == RC_OK ? rc : error_context(err, "shares of site %zu", d->site);
}

void mask_vote_sign(const struct seal_keys *k, const struct hash *clique,
                    const struct mask_set *survivors, struct mask_vote *v)
{
    const struct statement s = voted(clique, survivors, v);
    seal_sign(k, VOTE, s.b, s.n, &v->signature);
}

enum rc mask_vote_verify(const struct seal_public *signer, const struct hash *clique,
                         const struct mask_set *survivors, const struct mask_vote *v,
                         struct error *err)
{
    const struct statement s = voted(clique, survivors, v);
    enum rc rc = seal_verify(signer, VOTE, s.b, s.n, &v->signature, err);
    return rc == RC_OK ? rc : error_context(err, "survivors of site %zu", v->site);
}

/* ---- names of sets --------------------------------------------------------------------------- */

struct hash mask_members(const struct hash *attempt, const struct mask_announcement *a, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask members v1");
    hasher_bytes(&h, attempt->b, sizeof attempt->b);
    hasher_u64(&h, n);
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || a[i - 1].site < a[i].site);
        hasher_u64(&h, a[i].site);
        hasher_bytes(&h, a[i].key.b, sizeof a[i].key.b);
        hasher_bytes(&h, a[i].box.b, sizeof a[i].box.b);
        if (a[i].draws) {
            hasher_bytes(&h, a[i].draw.b, sizeof a[i].draw.b);
        }
    }
    return hasher_final(&h);
}

struct hash mask_clique(const struct hash *members, const struct mask_deal *d, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask clique v1");
    hasher_bytes(&h, members->b, sizeof members->b);
    hasher_u64(&h, n);
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || d[i - 1].site < d[i].site);
        hasher_u64(&h, d[i].site);
        hasher_bytes(&h, d[i].root.b, sizeof d[i].root.b);
        hasher_bytes(&h, d[i].self.b, sizeof d[i].self.b);
    }
    return hasher_final(&h);
}

void mask_list_sign(const struct seal_keys *k, const struct hash *clique, struct mask_vote *v)
{
    const struct statement s = begin(clique, v->site);
    seal_sign(k, LIST, s.b, s.n, &v->signature);
}

enum rc mask_list_verify(const struct seal_public *signer, const struct hash *clique,
                         const struct mask_vote *v, struct error *err)
{
    const struct statement s = begin(clique, v->site);
    enum rc rc = seal_verify(signer, LIST, s.b, s.n, &v->signature, err);
    return rc == RC_OK ? rc : error_context(err, "list of dealers of site %zu", v->site);
}
