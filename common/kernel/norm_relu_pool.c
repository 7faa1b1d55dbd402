#include "common/kernel/norm_relu_pool.h"

#include "common/kernel/activation.h"
#include "common/kernel/group_norm.h"

static size_t size_in(const struct pool_shape *s)
{
    return s->H * s->W * s->C;
}

static size_t size_out(const struct pool_shape *s)
{
    return pool_out_height(s) * pool_out_width(s) * s->C;
}

size_t norm_relu_pool_scratch(const struct pool_shape *s)
{
    return 2 * size_in(s) + size_out(s);
}

void norm_relu_pool_forward(real *restrict y, real *restrict mean, real *restrict rstd,
                            const real *restrict x, const real *restrict gain,
                            const real *restrict shift, const struct pool_shape *s, size_t B,
                            size_t G, real *restrict scratch)
{
    real *z = scratch;           /* [H, W, C]: normalised */
    real *most = z + size_in(s); /* [OH, OW, C] */
    for (size_t b = 0; b < B; b++) {
        group_norm_forward(z, mean + b * G, rstd + b * G, x + b * size_in(s), gain, shift, 1,
                           s->H * s->W, s->C, G);
        max_pool_forward(most, z, s, 1);
        relu_forward(y + b * size_out(s), most, size_out(s)); /* commutes with the maximum */
    }
}

typedef void norm_backward(real *dx, real *restrict dgain, real *restrict dshift, const real *dy,
                           const real *restrict x, const real *restrict mean,
                           const real *restrict rstd, const real *restrict gain, size_t B, size_t T,
                           size_t C, size_t G);

static void backward(real *dx, real *restrict dgain, real *restrict dshift, const real *restrict dy,
                     const struct norm_relu_pool *of, const struct pool_shape *s, size_t B,
                     size_t G, norm_backward *norm, real *restrict scratch)
{
    const size_t T = s->H * s->W;
    real *z = scratch; /* [T, C]: as in forward, to the bit: the maximum is found by comparing */
    real *dz = z + size_in(s);     /* [T, C] */
    real *dmost = dz + size_in(s); /* [OH, OW, C] */
    for (size_t b = 0; b < B; b++) {
        const real *x = of->x + b * size_in(s);
        const real *y = of->y + b * size_out(s);
        const real *mean = of->mean + b * G;
        const real *rstd = of->rstd + b * G;
        group_norm_again(z, mean, rstd, x, of->gain, of->shift, 1, T, s->C, G);
        relu_backward_set(dmost, dy + b * size_out(s), y, size_out(s));
        max_pool_backward_set(dz, dmost, z, y, s, 1);
        norm(dx == NULL ? NULL : dx + b * size_in(s), dgain + b * s->C, dshift + b * s->C, dz, x,
             mean, rstd, of->gain, 1, T, s->C, G);
    }
}

void norm_relu_pool_backward(real *restrict dx, real *restrict dgain, real *restrict dshift,
                             const real *restrict dy, const struct norm_relu_pool *of,
                             const struct pool_shape *s, size_t B, size_t G, real *restrict scratch)
{
    backward(dx, dgain, dshift, dy, of, s, B, G, group_norm_backward, scratch);
}

void norm_relu_pool_backward_set(real *restrict dx, real *restrict dgain, real *restrict dshift,
                                 const real *restrict dy, const struct norm_relu_pool *of,
                                 const struct pool_shape *s, size_t B, size_t G,
                                 real *restrict scratch)
{
    backward(dx, dgain, dshift, dy, of, s, B, G, group_norm_backward_set, scratch);
}
