/*
 * A series by its statistics: what a nurse would write on one line of a chart. Of every variable v, over
 * the steps t at which it was seen, T_v of T:
 *
 *   s_v = [first, last, least, largest, mean, deviation of x_{t,v};  T_v / T]    0 where T_v = 0
 *   vector = W2 relu(W1 [s_1; …; s_V] + b1) + b2
 *
 * The statistics are of a patient's own values alone, and no parameter stands before them. Its levels are the
 * few of them that a linear model makes most of, and no parameter at all:
 *
 *   l_v = [last, mean, mean^2 of x_{t,v};  T_v / T]                             0 where T_v = 0
 */
#include <math.h>
#include <string.h>

#include "common/model/encoder/encoder_internal.h"

enum { STATISTICS = 7, TOGETHER = 64 };

/* What is known of some variables after some steps; side by side, so that a step is one sweep over them, which
 * a compiler can do several at a time. */
struct tally {
    float n[TOGETHER], first[TOGETHER], last[TOGETHER], least[TOGETHER], largest[TOGETHER];
    double sum[TOGETHER], squares[TOGETHER];
};

/* x, seen [V]: one step. Chosen between, never branched on. */
static void count(struct tally *restrict k, const float *restrict x, const float *restrict seen,
                  size_t V)
{
    for (size_t v = 0; v < V; v++) {
        const float value = x[v], first = k->first[v], last = k->last[v];
        const float least = k->least[v], largest = k->largest[v], n = k->n[v];
        const bool here = seen[v] > 0.0f;
        k->first[v] = here && n <= 0.0f ? value : first;
        k->last[v] = here ? value : last;
        k->least[v] = here && value < least ? value : least;
        k->largest[v] = here && value > largest ? value : largest;
        k->n[v] = n + (here ? 1.0f : 0.0f);
    }
    for (size_t v = 0; v < V; v++) {
        const float value = x[v];
        const double here = (double)(seen[v] > 0.0f ? value : 0.0f);
        k->sum[v] += here;
        k->squares[v] += here * here;
    }
}

/* Of V <= TOGETHER variables in one sample, [V, STATISTICS]; a step's are `stride` from the one before. */
static void summarise(float *s, const float *x, const float *seen, size_t T, size_t V,
                      size_t stride)
{
    struct tally k;
    memset(&k, 0, sizeof k);
    for (size_t v = 0; v < V; v++) {
        k.least[v] = INFINITY;
        k.largest[v] = -INFINITY;
    }
    for (size_t t = 0; t < T; t++) {
        count(&k, x + t * stride, seen + t * stride, V);
    }
    memset(s, 0, V * STATISTICS * sizeof *s);
    for (size_t v = 0; v < V; v++) {
        float *of = s + v * STATISTICS;
        const double n = (double)k.n[v];
        if (n > 0.0) {
            const double mean = k.sum[v] / n;
            of[0] = k.first[v];
            of[1] = k.last[v];
            of[2] = k.least[v];
            of[3] = k.largest[v];
            of[4] = (float)mean;
            of[5] = (float)sqrt(fmax(k.squares[v] / n - mean * mean, 0.0));
            of[6] = (float)(n / (double)T);
        }
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
        for (size_t v = 0; v < V; v += TOGETHER) {
            const size_t at = b * x->T * V + v;
            summarise(s + (b * V + v) * STATISTICS, x->values + at, x->seen + at, T,
                      V - v < TOGETHER ? V - v : TOGETHER, V);
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

struct node *series_levels_record(struct tape *t, const struct encoder_series *x)
{
    const size_t V = x->V;
    const float *s = statistics(t, x);
    float *l = (float *)(void *)tape_bytes(t, t->B * SERIES_LEVELS * V * sizeof *l);
    for (size_t i = 0; s != NULL && l != NULL && i < t->B * V; i++) {
        const float *of = s + i * STATISTICS;
        l[i * SERIES_LEVELS] = of[1];
        l[i * SERIES_LEVELS + 1] = of[4];
        l[i * SERIES_LEVELS + 2] = of[4] * of[4];
        l[i * SERIES_LEVELS + 3] = of[6];
    }
    return tape_input(t, l, SERIES_LEVELS * V);
}
