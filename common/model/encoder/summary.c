/*
 * A series by its statistics: what a nurse would write on one line of a chart. Of every variable v, over
 * the steps t at which it was seen, T_v of T:
 *
 *   s_v = [first, last, least, largest, mean, deviation of x_{t,v};  T_v / T]    0 where T_v = 0
 *   vector = W2 relu(W1 [s_1; …; s_V] + b1) + b2
 *
 * The statistics are of a patient's own values alone, and no parameter stands before them.
 */
#include <math.h>
#include <string.h>

#include "common/model/encoder/encoder_internal.h"

enum { STATISTICS = 7 };

/* Of variable v in one sample, [STATISTICS]; x, seen [T, V]. */
static void summarise(float *s, const float *x, const float *seen, size_t T, size_t V)
{
    double sum = 0.0;
    double squares = 0.0;
    double n = 0.0;
    memset(s, 0, STATISTICS * sizeof *s);
    for (size_t t = 0; t < T; t++) {
        if (seen[t * V] > 0.0f) {
            const float value = x[t * V];
            s[0] = n > 0.0 ? s[0] : value;
            s[1] = value;
            s[2] = n > 0.0 && s[2] < value ? s[2] : value;
            s[3] = n > 0.0 && s[3] > value ? s[3] : value;
            sum += (double)value;
            squares += (double)value * (double)value;
            n += 1.0;
        }
    }
    if (n > 0.0) {
        const double mean = sum / n;
        s[4] = (float)mean;
        s[5] = (float)sqrt(fmax(squares / n - mean * mean, 0.0));
        s[6] = (float)(n / (double)T);
    }
}

enum rc summary_encoder_declare(struct param_table *table, const char *prefix,
                                struct summary_encoder *e, struct error *err)
{
    enum rc rc = encoder_size(prefix, "variables", e->variables, SIZE_MAX, err);
    if (rc == RC_OK) {
        rc = encoder_size(prefix, "width", e->width, SIZE_MAX, err);
    }
    if (rc == RC_OK) {
        rc = encoder_linear_declare(table, prefix, "in", e->width, STATISTICS * e->variables,
                                    &e->in, err);
    }
    return rc == RC_OK
               ? encoder_linear_declare(table, prefix, "out", e->width, e->width, &e->out, err)
               : rc;
}

/* [B, STATISTICS V] in the step arena; NULL while measuring. */
static const float *statistics(struct tape *t, const struct encoder_series *x)
{
    const size_t V = x->V;
    float *s = (float *)(void *)tape_bytes(t, t->B * STATISTICS * V * sizeof *s);
    for (size_t b = 0; s != NULL && b < t->B; b++) {
        const size_t T = x->length == NULL ? x->T : (size_t)x->length[b];
        for (size_t v = 0; v < V; v++) {
            const size_t at = b * x->T * V + v;
            summarise(s + (b * V + v) * STATISTICS, x->values + at, x->seen + at, T, V);
        }
    }
    return s;
}

struct node *summary_encoder_record(const struct summary_encoder *e, struct tape *t,
                                    const struct encoder_series *x, const struct tape_dropout *drop)
{
    struct node *s = tape_input(t, statistics(t, x), STATISTICS * x->V);
    struct node *h = encoder_drop(t, tape_relu(t, encoder_linear_record(&e->in, t, s)), drop);
    return encoder_linear_record(&e->out, t, h);
}
