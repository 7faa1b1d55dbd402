/*
 * A note as how often it has each code, x_v = n_v / sqrt(sum_v n_v): what a linear model gives points for. The
 * root keeps a long note from outweighing all that is known otherwise, and from the whole room under a bound on
 * gradients.
 */
#include <math.h>
#include <string.h>

#include "common/model/encoder/encoder_internal.h"

struct node *word_counts_record(struct tape *t, const struct encoder_codes *x, size_t V)
{
    float *counts = (float *)(void *)tape_bytes(t, t->B * V * sizeof *counts);
    for (size_t b = 0; counts != NULL && b < t->B; b++) {
        const int32_t *code = x->code + b * x->T; /* [T] */
        float *of = counts + b * V;
        size_t n = 0;
        for (size_t i = 0; i < x->T; i++) {
            n += code[i] >= 0;
        }
        memset(of, 0, V * sizeof *of);
        const float one = (float)(1.0 / sqrt((double)(n > 0 ? n : 1)));
        for (size_t i = 0; i < x->T; i++) {
            if (code[i] >= 0) {
                of[code[i]] += one;
            }
        }
    }
    return tape_input(t, counts, V);
}
