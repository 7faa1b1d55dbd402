/* An image as a sequence of square patches (Dosovitskiy et al. 2021, 3.1). */
#include <string.h>

#include "common/tape/tape_internal.h"

/* One strip of a patch is p * C neighbouring numbers of a row of the image. */
struct strips {
    size_t n, length; /* of all samples */
    size_t p, across; /* rows of a patch, patches in a row of the image */
};

static struct strips strips_of(const struct node *n)
{
    const struct shape *image = &n->in[0]->shape; /* [B, H, W, C] */
    const size_t p = n->number[0];
    return (struct strips){.n = image->dim[0] * image->dim[1] * (image->dim[2] / p),
                           .length = p * image->dim[3],
                           .p = p,
                           .across = image->dim[2] / p};
}

/* Strip i of the image, in reading order, is which strip of the patches. A band of p rows of the image
 * holds `across` patches of p strips each. */
static size_t place(const struct strips *s, size_t i)
{
    const size_t band = i / (s->p * s->across);
    const size_t row = i / s->across % s->p;
    const size_t column = i % s->across;
    return (band * s->across + column) * s->p + row;
}

static void patch_sweep(struct tape *t, struct node *n)
{
    (void)t;
    const struct strips s = strips_of(n);
    for (size_t i = 0; i < s.n; i++) {
        real *to = n->in[0]->g + i * s.length;
        const real *from = n->g + place(&s, i) * s.length;
        for (size_t j = 0; j < s.length; j++) {
            to[j] += from[j];
        }
    }
}

struct node *tape_patches(struct tape *t, struct node *x, size_t p)
{
    if (x == NULL) {
        return NULL;
    }
    const size_t *dim = x->shape.dim; /* B, H, W, C */
    if (x->shape.rank != 4 || p == 0 || dim[1] % p != 0 || dim[2] % p != 0) {
        return tape_mismatch(t, "patches", dim, x->shape.rank, (size_t[]){p, p}, 2);
    }
    const struct shape shape = {.rank = 3,
                                .dim = {t->B, dim[1] / p * (dim[2] / p), p * p * dim[3]}};
    struct node *n = tape_push(t, shape, 1, &x, patch_sweep);
    if (n == NULL) {
        return NULL;
    }
    n->number[0] = p;
    const struct strips s = strips_of(n);
    for (size_t i = 0; i < s.n && !tape_measuring(t); i++) {
        memcpy(n->v + place(&s, i) * s.length, x->v + i * s.length, s.length * sizeof *n->v);
    }
    return n;
}
