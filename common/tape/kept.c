#include <assert.h>

#include "common/tape/kept_internal.h"

struct book_entry kept_entry(struct param_id param, real *kept, size_t size, size_t transposed)
{
    assert(size % transposed == 0);
    return (struct book_entry){
        .rule = &BOOK_KEPT, .param = param, .T = 1, .D = transposed, .O = size, .G = kept};
}

/* Where number i of a kept gradient belongs in the slice. */
static size_t place(const struct book_entry *e, size_t i)
{
    return i % e->D * (e->O / e->D) + i / e->D;
}

static void kept_form(const struct book_entry *e, size_t b, real *dst)
{
    const real *G_b = e->G + b * e->O; /* [O] */
    for (size_t i = 0; i < e->O; i++) {
        dst[place(e, i)] += G_b[i];
    }
}

/* Block by block: the samples' rows are added side by side, and put in place once. */
static void kept_sum(const struct book_entry *e, size_t B, real *dst)
{
    enum { BLOCK = 512 };
    for (size_t from = 0; from < e->O; from += BLOCK) {
        const size_t n = e->O - from < BLOCK ? e->O - from : BLOCK;
        real sum[BLOCK] = {0};
        for (size_t b = 0; b < B; b++) {
            const real *G_b = e->G + b * e->O + from; /* [n] */
            for (size_t i = 0; i < n; i++) {
                sum[i] += G_b[i];
            }
        }
        for (size_t i = 0; i < n; i++) {
            dst[place(e, from + i)] += sum[i];
        }
    }
}

static void kept_norms_sq(const struct book_entry *e, size_t B, real *scratch, double *norm_sq)
{
    (void)scratch;
    for (size_t b = 0; b < B; b++) {
        const real *G_b = e->G + b * e->O; /* [O] */
        double sum[8] = {0};               /* lanes, added in order */
        size_t i = 0;
        for (; i + 8 <= e->O; i += 8) {
            for (size_t k = 0; k < 8; k++) {
                sum[k] += (double)G_b[i + k] * (double)G_b[i + k];
            }
        }
        for (; i < e->O; i++) {
            sum[0] += (double)G_b[i] * (double)G_b[i];
        }
        for (size_t k = 0; k < 8; k++) {
            norm_sq[b] += sum[k];
        }
    }
}

const struct book_rule BOOK_KEPT = {
    .name = "kept", .form = kept_form, .sum = kept_sum, .norms_sq = kept_norms_sq};
