/*
 * Shamir's secret sharing over the scalar field of ristretto255 (order l, about 2^252). The abscissa
 * of roster index i is i + 1: never 0, where the secret stands.
 */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "common/mask/mask_internal.h"

static struct mask_scalar small(uint64_t x)
{
    struct mask_scalar s = {{0}};
    for (size_t i = 0; i < 8; i++) {
        s.b[i] = (unsigned char)(x >> (8 * i));
    }
    return s;
}

static void multiply(struct mask_scalar *z, const struct mask_scalar *a,
                     const struct mask_scalar *b)
{
    crypto_core_ristretto255_scalar_mul(z->b, a->b, b->b);
}

void mask_polynomials_make(const struct mask_secrets *s, const struct hash *members, size_t t,
                           struct mask_polynomials *out)
{
    static const char *const label[] = {"wardround mask key share v1",
                                        "wardround mask self share v1"};
    assert(t >= 1 && t <= MASK_SLOTS_MAX);
    out->t = t;
    out->seed = s->seed;
    for (size_t which = 0; which < 2; which++) {
        out->a[which][0] = which == MASK_KEY ? s->key : s->self;
        for (size_t power = 1; power < t; power++) {
            mask_scalar_from(&s->seed, label[which], members, power, &out->a[which][power]);
        }
    }
}

void mask_deal_share(const struct mask_polynomials *p, const struct hash *members, size_t receiver,
                     struct mask_openings *out)
{
    static const char *const label[] = {"wardround mask key blinding v1",
                                        "wardround mask self blinding v1"};
    const struct mask_scalar x = small(receiver + 1);
    assert(receiver < MASK_SITES_MAX);
    for (size_t which = 0; which < 2; which++) {
        struct mask_scalar *f = &out->of[which].share;
        *f = small(0);
        for (size_t power = p->t; power-- > 0;) { /* Horner's rule */
            multiply(f, f, &x);
            crypto_core_ristretto255_scalar_add(f->b, f->b, p->a[which][power].b);
        }
        mask_bytes_from(&p->seed, label[which], members, receiver, out->of[which].blinding);
    }
}

enum rc mask_lagrange_at(const size_t *site, size_t n, struct mask_lagrange *out, struct error *err)
{
    struct mask_set seen = {{0}};

    if (n < 1 || n > MASK_SLOTS_MAX) {
        return error_set(err, RC_INVALID, "%zu shares cannot be combined, 1 to %d can", n,
                         (int)MASK_SLOTS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (site[i] >= MASK_SITES_MAX) {
            return error_set(err, RC_INVALID, "a share of site %zu, which is on no roster",
                             site[i]);
        }
        if (mask_set_has(&seen, site[i])) {
            return error_set(err, RC_INVALID, "two shares of the same site %zu", site[i]);
        }
        mask_set_add(&seen, site[i]);
    }
    out->t = n;
    memcpy(out->site, site, n * sizeof *site);
    for (size_t i = 0; i < n; i++) {
        struct mask_scalar above = small(1), below = small(1), difference;
        const struct mask_scalar x_i = small(site[i] + 1);
        for (size_t j = 0; j < n; j++) {
            if (j == i) {
                continue;
            }
            const struct mask_scalar x_j = small(site[j] + 1);
            multiply(&above, &above, &x_j);
            crypto_core_ristretto255_scalar_sub(difference.b, x_j.b, x_i.b);
            multiply(&below, &below, &difference);
        }
        const int zero = crypto_core_ristretto255_scalar_invert(below.b, below.b);
        assert(zero == 0); /* abscissas differ, and the order is prime */
        multiply(&out->lambda[i], &above, &below);
    }
    return RC_OK;
}

enum rc mask_combine(const struct mask_lagrange *l, size_t t, const size_t *site,
                     const struct mask_scalar *share, size_t n, struct mask_scalar *secret,
                     struct error *err)
{
    struct mask_scalar sum = {{0}}, term;

    if (n < t || l->t < t) {
        return error_set(err, RC_INVALID, "%zu shares do not open a secret, %zu do", n, t);
    }
    if (n != l->t || memcmp(site, l->site, n * sizeof *site) != 0) {
        return error_set(err, RC_INVALID, "the shares are not of the sites that were asked for");
    }
    for (size_t i = 0; i < n; i++) {
        multiply(&term, &l->lambda[i], &share[i]);
        crypto_core_ristretto255_scalar_add(sum.b, sum.b, term.b);
    }
    *secret = sum;
    sodium_memzero(&sum, sizeof sum);
    sodium_memzero(&term, sizeof term);
    return RC_OK;
}
