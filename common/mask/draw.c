/*
 * Who holds whose shares where not everybody does: each site draws its own holders, by commit and reveal.
 */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "common/mask/mask_internal.h"

void mask_draw_from(const struct mask_seed *seed, const struct hash *attempt, struct mask_draw *out)
{
    mask_bytes_from(seed, "wardround mask draw v1", attempt, 0, out->b);
}

static struct hash over(const char *label, const struct hash *attempt, size_t site,
                        const struct mask_draw *draw)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, label);
    hasher_bytes(&h, attempt->b, sizeof attempt->b);
    hasher_u64(&h, site);
    hasher_bytes(&h, draw->b, sizeof draw->b);
    const struct hash out = hasher_final(&h);
    hash_wipe(&h, sizeof h);
    return out;
}

struct hash mask_draw_commit(const struct hash *attempt, size_t site, const struct mask_draw *draw)
{
    return over("wardround mask draw commitment v1", attempt, site, draw);
}

void mask_holders(const struct mask_terms *terms, const struct hash *attempt, size_t site,
                  const struct mask_draw *draw, struct mask_set *out)
{
    static const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {0}; /* a key, a draw */
    unsigned char word[256] = {0};
    const struct hash key = over("wardround mask holders v1", attempt, site, draw);
    size_t bits = 1, at = sizeof word, left = terms->neighbours;
    uint64_t block = 0;

    memset(out, 0, sizeof *out);
    if (terms->neighbours == 0) {
        for (size_t i = 0; i < terms->n_sites; i++) {
            mask_set_add(out, i);
        }
        return;
    }
    assert(left < terms->n_sites);
    while (((size_t)1 << bits) < terms->n_sites) {
        bits++;
    }
    while (left > 0) {
        if (at == sizeof word) {
            memset(word, 0, sizeof word);
            (void)crypto_stream_chacha20_xor_ic(word, word, sizeof word, nonce, block, key.b);
            block += sizeof word / 64;
            at = 0;
        }
        const size_t who = (word[at] | (size_t)word[at + 1] << 8) & (((size_t)1 << bits) - 1);
        at += 2;
        if (who < terms->n_sites && who != site && !mask_set_has(out, who)) {
            mask_set_add(out, who);
            left--;
        }
    }
}
