/*
 * The same question is computed once. In a schedule all parties are one process: one signature is verified by
 * each of a dozen receivers, one secret agreed on at both of its ends and again by the tracker, one seed spread
 * by its site and by the tracker. That was half of a schedule's time, for answers that cannot be others, since
 * all three are functions of their bytes. Here a question that was asked before gets the answer that the real
 * function gave; the linker puts this before it (CMakeLists.txt). Refusals are not kept.
 *
 * x Y and y X are one question if x G = X was computed here: the two ends ask about the same pair {X, Y}.
 */
#include <string.h>

#include "sim/faults/faults_internal.h"

enum { QUESTIONS = 4096 };

/* Of one table only what it needs is used. */
struct answer {
    bool there;
    struct hash question; /* of everything that was asked */
    struct mask_point point[2];
    struct mask_secrets secrets;
};

RC __real_seal_verify(const struct seal_public *signer, const char *domain, const void *data,
                      size_t n, const struct seal_signature *signature, struct error *err);
RC __wrap_seal_verify(const struct seal_public *signer, const char *domain, const void *data,
                      size_t n, const struct seal_signature *signature, struct error *err);
RC __real_mask_agree(const struct mask_scalar *x, const struct mask_point *peer,
                     struct mask_point *out, struct error *err);
RC __wrap_mask_agree(const struct mask_scalar *x, const struct mask_point *peer,
                     struct mask_point *out, struct error *err);
void __real_mask_secrets_from(const struct mask_seed *seed, const struct hash *attempt,
                              struct mask_secrets *out, struct mask_point *key,
                              struct mask_point *box);
void __wrap_mask_secrets_from(const struct mask_seed *seed, const struct hash *attempt,
                              struct mask_secrets *out, struct mask_point *key,
                              struct mask_point *box);

static bool
    in_use; /* only `faults` is such a process: whatever else is linked with it asks afresh */

void memo_use(void)
{
    in_use = true;
}

/* Where the answer to this question is, if *known, or has to go. */
static struct answer *place(struct answer table[QUESTIONS], struct hasher *asked, bool *known)
{
    const struct hash question = hasher_final(asked);
    size_t at = 0;
    memcpy(&at, question.b, sizeof at);
    struct answer *a = &table[at % QUESTIONS];
    *known = a->there && hash_equal(&a->question, &question);
    a->there = *known;
    a->question = question;
    return a;
}

enum rc __wrap_seal_verify(const struct seal_public *signer, const char *domain, const void *data,
                           size_t n, const struct seal_signature *signature, struct error *err)
{
    static struct answer table[QUESTIONS];
    struct hasher h;
    bool known = false;
    if (!in_use) {
        return __real_seal_verify(signer, domain, data, n, signature, err);
    }
    hasher_init(&h);
    hasher_bytes(&h, signer->b, sizeof signer->b);
    hasher_bytes(&h, signature->b, sizeof signature->b);
    hasher_text(&h, domain);
    hasher_bytes(&h, data, n);
    struct answer *a = place(table, &h, &known);
    if (known) {
        return RC_OK;
    }
    const enum rc rc = __real_seal_verify(signer, domain, data, n, signature, err);
    a->there = rc == RC_OK;
    return rc;
}

/* x G of the scalars that were spread from seeds here. */
static struct answer *public_of(const struct mask_scalar *x, bool *known)
{
    static struct answer table[QUESTIONS];
    struct hasher h;
    hasher_init(&h);
    hasher_bytes(&h, x->b, sizeof x->b);
    return place(table, &h, known);
}

static void keep_public(const struct mask_scalar *x, const struct mask_point *X)
{
    bool known = false;
    struct answer *a = public_of(x, &known);
    a->there = true;
    a->point[0] = *X;
}

void __wrap_mask_secrets_from(const struct mask_seed *seed, const struct hash *attempt,
                              struct mask_secrets *out, struct mask_point *key,
                              struct mask_point *box)
{
    static struct answer table[QUESTIONS];
    struct hasher h;
    bool known = false;
    if (!in_use) {
        __real_mask_secrets_from(seed, attempt, out, key, box);
        return;
    }
    hasher_init(&h);
    hasher_bytes(&h, seed->b, sizeof seed->b);
    hasher_bytes(&h, attempt->b, sizeof attempt->b);
    struct answer *a = place(table, &h, &known);
    if (!known) {
        __real_mask_secrets_from(seed, attempt, &a->secrets, &a->point[0], &a->point[1]);
        a->there = true;
        keep_public(&a->secrets.key, &a->point[0]);
        keep_public(&a->secrets.box, &a->point[1]);
    }
    *out = a->secrets;
    *key = a->point[0];
    *box = a->point[1];
}

enum rc __wrap_mask_agree(const struct mask_scalar *x, const struct mask_point *peer,
                          struct mask_point *out, struct error *err)
{
    static struct answer table[QUESTIONS];
    struct hasher h;
    bool known = false;
    if (!in_use) {
        return __real_mask_agree(x, peer, out, err);
    }
    const struct answer *own = public_of(x, &known);
    const void *end = known ? (const void *)own->point[0].b : x->b;
    const bool low = memcmp(end, peer->b, sizeof peer->b) < 0;
    hasher_init(&h);
    hasher_u64(&h, known ? 2 : 1);
    hasher_bytes(&h, known && !low ? peer->b : end, sizeof peer->b);
    hasher_bytes(&h, known && !low ? end : peer->b, sizeof peer->b);
    struct answer *a = place(table, &h, &known);
    if (known) {
        *out = a->point[0];
        return RC_OK;
    }
    const enum rc rc = __real_mask_agree(x, peer, out, err);
    a->there = rc == RC_OK;
    if (rc == RC_OK) {
        a->point[0] = *out;
    }
    return rc;
}
