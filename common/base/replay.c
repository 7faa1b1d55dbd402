#include "common/base/replay.h"

#include <assert.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/rng.h"

void replay_init(struct entropy *e, uint64_t seed, const char *stream)
{
    struct rng r;
    rng_init(&r, seed, "replayed entropy"); /* apart from every rng of the same name */
    struct hasher h;
    hasher_init_keyed(&h, r.key);
    hasher_text(&h, stream);
    const struct hash key = hasher_final(&h);
    *e = (struct entropy){0};
    static_assert(sizeof e->key == sizeof key.b, "both are ChaCha20 keys");
    memcpy(e->key, key.b, sizeof e->key);
}
