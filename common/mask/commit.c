/*
 * Commitments to shares. A leaf of a dealer's tree is what one receiver gets: both commitments and the
 * hash of its box. Leaf and node hashes begin with different labels, so that no node passes for a leaf.
 */
#include <assert.h>
#include <string.h>

#include "common/mask/mask.h"

struct hash mask_commit(const struct hash *members, size_t dealer, size_t receiver,
                        enum mask_secret which, const struct mask_opening *o)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask commitment v1");
    hasher_bytes(&h, members->b, sizeof members->b);
    hasher_u64(&h, dealer);
    hasher_u64(&h, receiver);
    hasher_u64(&h, which);
    hasher_bytes(&h, o->share.b, sizeof o->share.b);
    hasher_bytes(&h, o->blinding, sizeof o->blinding);
    const struct hash out = hasher_final(&h);
    hash_wipe(&h, sizeof h);
    return out;
}

/* No blinding: the scalar has 252 random bits. */
struct hash mask_commit_self(const struct hash *members, size_t dealer,
                             const struct mask_scalar *self)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask self commitment v1");
    hasher_bytes(&h, members->b, sizeof members->b);
    hasher_u64(&h, dealer);
    hasher_bytes(&h, self->b, sizeof self->b);
    const struct hash out = hasher_final(&h);
    hash_wipe(&h, sizeof h);
    return out;
}

static struct hash leaf(const struct mask_portion *p)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask leaf v1");
    hasher_bytes(&h, p->commitments.of[MASK_KEY].b, HASH_BYTES);
    hasher_bytes(&h, p->commitments.of[MASK_SELF].b, HASH_BYTES);
    hasher_bytes(&h, p->box.b, sizeof p->box.b);
    return hasher_final(&h);
}

static struct hash parent(const struct hash *left, const struct hash *right)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, "wardround mask node v1");
    hasher_bytes(&h, left->b, sizeof left->b);
    hasher_bytes(&h, right->b, sizeof right->b);
    return hasher_final(&h);
}

size_t mask_tree_depth(size_t n_slots)
{
    size_t depth = 0;
    while (((size_t)1 << depth) < n_slots) {
        depth++;
    }
    return depth;
}

void mask_tree_build(const struct mask_portion *portion, size_t n_slots, struct mask_tree *out)
{
    assert(n_slots >= 1 && n_slots <= MASK_SLOTS_MAX);
    memset(out, 0, sizeof *out);
    out->depth = mask_tree_depth(n_slots);
    const size_t leaves = (size_t)1 << out->depth;
    for (size_t i = 0; i < n_slots; i++) {
        out->node[leaves + i] = leaf(&portion[i]);
    }
    for (size_t i = leaves; i-- > 1;) {
        out->node[i] = parent(&out->node[2 * i], &out->node[2 * i + 1]);
    }
}

void mask_tree_path(const struct mask_tree *tree, size_t slot, struct mask_path *out)
{
    memset(out, 0, sizeof *out);
    size_t at = ((size_t)1 << tree->depth) + slot;
    for (size_t i = 0; i < tree->depth; i++) {
        out->sibling[i] = tree->node[at ^ 1];
        at /= 2;
    }
}

bool mask_tree_holds(const struct hash *root, size_t n_slots, size_t slot,
                     const struct mask_portion *portion, const struct mask_path *path)
{
    const size_t depth = mask_tree_depth(n_slots);
    struct hash at = leaf(portion);
    if (slot >= n_slots) {
        return false;
    }
    for (size_t i = 0; i < depth; i++) {
        at = (slot >> i & 1) != 0 ? parent(&path->sibling[i], &at) : parent(&at, &path->sibling[i]);
    }
    return hash_equal(&at, root) != 0;
}
