#include "common/base/hash.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "common/base/hash_lanes_internal.h"

static crypto_generichash_state *state_of(struct hasher *h)
{
    static_assert(sizeof h->state >= sizeof(crypto_generichash_state), "room for the state");
    return (crypto_generichash_state *)(void *)h->state;
}

void hasher_init(struct hasher *h)
{
    (void)crypto_generichash_init(state_of(h), NULL, 0, HASH_BYTES);
}

void hasher_init_keyed(struct hasher *h, const unsigned char key[HASH_BYTES])
{
    (void)crypto_generichash_init(state_of(h), key, HASH_BYTES, HASH_BYTES);
}

void hasher_bytes(struct hasher *h, const void *data, size_t n)
{
    (void)crypto_generichash_update(state_of(h), data, n);
}

void hasher_u64(struct hasher *h, uint64_t x)
{
    unsigned char b[8];
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = (unsigned char)(x >> (8 * i));
    }
    hasher_bytes(h, b, sizeof b);
}

void hasher_f64(struct hasher *h, double x)
{
    uint64_t bits;
    const double plain = x == 0.0 ? 0.0 : x;
    memcpy(&bits, &plain, sizeof bits);
    hasher_u64(h, bits);
}

void hasher_text(struct hasher *h, const char *text)
{
    const size_t n = strlen(text);
    hasher_u64(h, n);
    hasher_bytes(h, text, n);
}

struct hash hasher_final(struct hasher *h)
{
    struct hash out;
    (void)crypto_generichash_final(state_of(h), out.b, sizeof out.b);
    sodium_memzero(h, sizeof *h);
    return out;
}

static void init_as(crypto_generichash_blake2b_state *s, const char *whose)
{
    (void)crypto_generichash_blake2b_init_salt_personal(s, NULL, 0, HASH_BYTES, NULL,
                                                        (const unsigned char *)whose);
}

static struct hash leaf_of(const unsigned char *data, size_t n)
{
    crypto_generichash_blake2b_state s;
    struct hash out;
    init_as(&s, HASH_LEAF);
    (void)crypto_generichash_blake2b_update(&s, data, n);
    (void)crypto_generichash_blake2b_final(&s, out.b, sizeof out.b);
    return out;
}

/* Leaves of the next pieces of data; @return of how many bytes. */
static size_t next_leaves(const unsigned char *data, size_t n, struct hash leaf[HASH_LANES_MAX],
                          size_t *count)
{
    if (n >= (size_t)HASH_LANES_MAX * HASH_PIECE) {
        *count = hash_lanes(0, data, leaf);
        return *count * HASH_PIECE;
    }
    const size_t size = n < HASH_PIECE ? n : HASH_PIECE;
    leaf[0] = leaf_of(data, size);
    *count = 1;
    return size;
}

void hash_begin(struct hash_run *run, uint64_t n)
{
    *run = (struct hash_run){.n = n};
    if (n <= HASH_TREE_FROM) {
        hasher_init(&run->h);
        return;
    }
    init_as((crypto_generichash_blake2b_state *)(void *)run->h.state, HASH_ROOT);
    hasher_u64(&run->h, n);
}

/* leaves NULL: nobody wants to know them. */
static void run_over(struct hash_run *run, const void *data, size_t n, struct hash *leaves)
{
    struct hash leaf[HASH_LANES_MAX];
    const unsigned char *bytes = data;
    size_t count = 0;
    size_t all = 0;
    assert(n <= run->n - run->at);
    assert(run->at % HASH_PIECE == 0);
    run->at += n;
    if (run->n <= HASH_TREE_FROM) {
        hasher_bytes(&run->h, data, n);
        return;
    }
    for (size_t at = 0; at < n;) {
        at += next_leaves(bytes + at, n - at, leaf, &count);
        hasher_bytes(&run->h, leaf[0].b, count * sizeof leaf[0]);
        if (leaves != NULL) {
            memcpy(leaves + all, leaf, count * sizeof leaf[0]);
        }
        all += count;
    }
}

void hash_bytes(struct hash_run *run, const void *data, size_t n)
{
    run_over(run, data, n, NULL);
}

struct hash hash_and_leaves(const void *data, size_t n, struct hash_leaves *leaves)
{
    const int tree = n > HASH_TREE_FROM && n <= (size_t)HASH_LEAVES_MAX * HASH_PIECE;
    struct hash_run run;
    leaves->n = tree ? n : 0;
    hash_begin(&run, n);
    run_over(&run, data, n, tree ? leaves->leaf : NULL);
    return hash_end(&run);
}

int hash_add_leaves(struct hash_run *run, const struct hash_leaves *leaves)
{
    const size_t n = leaves->n;
    if (n == 0 || run->n <= HASH_TREE_FROM) {
        return 0;
    }
    assert(n <= run->n - run->at);
    assert(run->at % HASH_PIECE == 0);
    run->at += n;
    hasher_bytes(&run->h, leaves->leaf[0].b,
                 (n + HASH_PIECE - 1) / HASH_PIECE * sizeof leaves->leaf[0]);
    return 1;
}

struct hash hash_end(struct hash_run *run)
{
    assert(run->at == run->n);
    return hasher_final(&run->h);
}

struct hash hash_before_trees(const void *data, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_bytes(&h, data, n);
    return hasher_final(&h);
}

struct hash hash_of(const void *data, size_t n)
{
    struct hash_run run;
    hash_begin(&run, n);
    hash_bytes(&run, data, n);
    return hash_end(&run);
}

int hash_is(const struct hash *h, const void *data, size_t n)
{
    struct hash found = hash_of(data, n);
    if (!hash_equal(&found, h) && n > HASH_TREE_FROM) {
        found = hash_before_trees(data, n);
    }
    return hash_equal(&found, h);
}

int hash_equal(const struct hash *a, const struct hash *b)
{
    return sodium_memcmp(a->b, b->b, sizeof a->b) == 0;
}

void hash_hex(const struct hash *h, char out[HASH_HEX])
{
    (void)sodium_bin2hex(out, HASH_HEX, h->b, sizeof h->b);
}

void hash_wipe(void *bytes, size_t n)
{
    sodium_memzero(bytes, n);
}
