#include "common/dp/clip.h"

#include <assert.h>
#include <math.h>

size_t clip_scratch_cost(struct tape *t, size_t B)
{
    return 2 * arena_cost(B, sizeof(double)) + arena_cost(t->table->P, sizeof(real)) +
           book_scratch_cost(t);
}

/* A hair below C / norm: the products run in `real`, and a clipped gradient must not round above C. */
static const double JUST_BELOW = 1.0 - 0x1p-18;

void clip_gradient(struct tape *t, struct arena *scratch, double C, real *grad,
                   struct clip_counts *counts)
{
    assert(C > 0.0);
    if (t->B == 0) {
        return;
    }
    const size_t mark = arena_mark(scratch);
    double *norm_sq = arena_take(scratch, t->B, sizeof *norm_sq);
    double *c = arena_take(scratch, t->B, sizeof *c);

    book_norms_sq(t, scratch, norm_sq);
    for (size_t b = 0; b < t->B; b++) {
        if (!isfinite(norm_sq[b])) {
            book_drop_sample(t, b);
            c[b] = 0.0;
            counts->dropped++;
            continue;
        }
        const double norm = sqrt(norm_sq[b]);
        c[b] = norm > C * JUST_BELOW ? C * JUST_BELOW / norm : 1.0;
        counts->clipped += c[b] < 1.0;
    }
    counts->samples += t->B;

    book_weighted_sum(t, c, grad);
    arena_rewind(scratch, mark);
}

void clip_accumulate(struct tape *t, struct arena *scratch, double C, double *sum,
                     struct clip_counts *counts)
{
    const size_t mark = arena_mark(scratch);
    real *grad = arena_take(scratch, t->table->P, sizeof *grad);
    clip_gradient(t, scratch, C, grad, counts);
    for (size_t i = 0; i < t->table->P; i++) {
        sum[i] += (double)grad[i];
    }
    arena_rewind(scratch, mark);
}
