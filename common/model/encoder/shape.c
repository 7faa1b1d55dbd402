/*
 * What a series does beside where it is: of every variable, over the n >= 3 steps at which it was seen, with
 * time tau from -1 to 1 over the window, means m_tau and m_x over these steps,
 *
 *   rise  = sum (tau - m_tau)(x - m_x) / (1 + sum (tau - m_tau)^2)     a line's slope, drawn towards 0
 *                                                                      where little is known of it
 *   swing = 1 + ln(0.01 + d) / 2,     d^2 = mean (x - m_x - rise (tau - m_tau))^2
 *
 * Both are of a patient's own values alone. Values lie in [-1, 1], so that |rise| <= sqrt(n) / 2 and swing
 * is in (-1.4, 1.8).
 */
#include <math.h>

#include "common/model/encoder/encoder_internal.h"

/* x, seen [T] at a stride of V: one variable of one sample. */
static void shape_of(float out[SERIES_SHAPE], const float *x, const float *seen, size_t T, size_t V)
{
    double n = 0, t1 = 0, t2 = 0, x1 = 0, x2 = 0, tx = 0;
    for (size_t t = 0; t < T; t++) {
        const double here = (double)(seen[t * V] > 0.0f ? 1.0f : 0.0f);
        const double value = (double)(seen[t * V] > 0.0f ? x[t * V] : 0.0f);
        const double tau = (double)(2 * t + 1) / (double)T - 1.0;
        n += here;
        t1 += here * tau;
        t2 += here * tau * tau;
        x1 += value;
        x2 += value * value;
        tx += tau * value;
    }
    out[0] = out[1] = 0.0f;
    if (n >= 3.0) {
        const double t_t = t2 - t1 * t1 / n, t_x = tx - t1 * x1 / n, x_x = x2 - x1 * x1 / n;
        const double rise = t_x / (1.0 + t_t);
        const double rest = fmax(x_x - 2.0 * rise * t_x + rise * rise * t_t, 0.0) / n;
        out[0] = (float)rise;
        out[1] = (float)(1.0 + 0.5 * log(0.01 + sqrt(rest)));
    }
}

struct node *series_shape_record(struct tape *t, const struct encoder_series *x)
{
    const size_t V = x->V;
    float *s = (float *)(void *)tape_bytes(t, t->B * SERIES_SHAPE * V * sizeof *s);
    for (size_t b = 0; s != NULL && b < t->B; b++) {
        const size_t T = x->length == NULL ? x->T : (size_t)x->length[b];
        for (size_t v = 0; v < V; v++) {
            const size_t at = b * x->T * V + v;
            shape_of(s + (b * V + v) * SERIES_SHAPE, x->values + at, x->seen + at, T, V);
        }
    }
    return tape_input(t, s, SERIES_SHAPE * V);
}
