/*
 * Concatenation: every modality's vector as it is.
 *
 *   z = [h_1; …; h_M]
 */
#include "common/model/fusion/fusion_internal.h"

static size_t width(const struct fusion *f)
{
    size_t sum = 0;
    for (size_t m = 0; m < f->M; m++) {
        sum += f->width_in[m];
    }
    return sum;
}

static struct node *record(const struct fusion *f, struct tape *t, const struct fusion_parts *p)
{
    return tape_concat_all(t, f->M, p->h);
}

const struct fusion_kind FUSION_CONCAT = {
    .name = "concat", .M_min = 1, .record = record, .width = width};
