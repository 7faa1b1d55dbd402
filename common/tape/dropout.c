/* Dropout (Srivastava et al. 2014), scaled in training so that nothing changes afterwards. The coins
 * of a sample come from its own stream, so they do not depend on the batch it is in. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/base/rng.h"
#include "common/tape/tape_internal.h"

enum { COINS = 4 }; /* of 16 bits, in one draw */

/* factor [D]: 0, or what keeps the mean. */
static void draw(real *factor, size_t D, const struct tape_dropout *d, size_t place,
                 uint64_t sample)
{
    char stream[64];
    struct rng r;
    (void)snprintf(stream, sizeof stream, "dropout %zu %" PRIu64, place, sample);
    rng_init(&r, d->seed, stream);
    const uint64_t below = (uint64_t)(d->rate * 65536.0); /* dropped: of 65536 */
    const real kept = (real)(65536.0 / (65536.0 - (double)below));
    uint64_t coins = 0;
    for (size_t i = 0; i < D; i++) {
        coins = i % COINS == 0 ? rng_u64(&r) : coins >> 16;
        factor[i] = (coins & 0xffffu) < below ? 0 : kept;
    }
}

static void dropout_sweep(struct tape *t, struct node *n)
{
    (void)t;
    const size_t size = shape_size(&n->shape);
    struct node *x = n->in[0];
    for (size_t i = 0; i < size; i++) {
        x->g[i] = (x->fresh ? 0 : x->g[i]) + n->g[i] * n->keep[0][i];
    }
}

struct node *tape_dropout(struct tape *t, struct node *x, const struct tape_dropout *d)
{
    assert(d->rate >= 0.0);
    assert(d->rate < 1.0);
    if (x == NULL || d->rate <= 0.0) {
        return x;
    }
    struct node *n = tape_push(t, x->shape, 1, &x, dropout_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->flow = FLOW_IN_PLACE;
    const size_t size = shape_size(&x->shape);
    n->keep[0] = tape_take(t, size);
    if (tape_measuring(t)) {
        return n;
    }
    const size_t D = t->B == 0 ? 0 : size / t->B;
    for (size_t b = 0; b < t->B; b++) {
        draw(n->keep[0] + b * D, D, d, t->n_nodes, d->sample[b]);
    }
    for (size_t i = 0; i < size; i++) {
        n->v[i] = x->v[i] * n->keep[0][i];
    }
    return n;
}
