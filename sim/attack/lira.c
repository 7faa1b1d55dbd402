#include <math.h>
#include <stdlib.h>

#include "sim/attack/attack_internal.h"

/* What runs say of one subject: how many, sum and sum of squares, without [0] and with [1] it. */
struct moments {
    double n[2], sum[2], square[2];
};

/* A subject's own variance is worth little among few references: it begins as that of all subjects, with
 * the weight of so many runs. */
static const double PRIOR_RUNS = 8.0;

static void add(struct moments *m, bool in, double x, double times)
{
    m->n[in] += times;
    m->sum[in] += times * x;
    m->square[in] += times * x * x;
}

/* Sum of squares around the means, and its degrees of freedom. */
static double within(const struct moments *m, double *freedom)
{
    double sum = 0.0;
    for (int in = 0; in < 2; in++) {
        if (m->n[in] > 1.5) {
            sum += fmax(0.0, m->square[in] - m->sum[in] * m->sum[in] / m->n[in]);
            *freedom += m->n[in] - 1.0;
        }
    }
    return sum;
}

/* log N(x; mean in, v) - log N(x; mean out, v). Where all references agree, 0: nothing is known. */
static double ratio(const struct moments *m, double x, double all_variance)
{
    double freedom = 0.0;
    const double sum = within(m, &freedom);
    const double v = (sum + PRIOR_RUNS * all_variance) / (freedom + PRIOR_RUNS);
    if (m->n[0] < 0.5 || m->n[1] < 0.5) {
        return 0.0;
    }
    const double out = m->sum[0] / m->n[0];
    const double in = m->sum[1] / m->n[1];
    return (in - out) * (x - 0.5 * (in + out)) / (v + 1e-12);
}

enum rc attack_lira(const struct attack_runs *target, const struct attack_runs *references,
                    double *score, struct error *err)
{
    const size_t n = target->n;
    const bool own = target->confidence == references->confidence;
    double freedom = 0.0;
    double sum = 0.0;
    struct moments *of = calloc(n + 1, sizeof *of);
    if (of == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the references of %zu subjects", n);
    }
    for (size_t r = 0; r < references->runs; r++) {
        for (size_t j = 0; j < n; j++) {
            add(&of[j], references->in[r * n + j], references->confidence[r * n + j], 1.0);
        }
    }
    for (size_t j = 0; j < n; j++) {
        sum += within(&of[j], &freedom);
    }
    const double all = freedom > 0.0 ? sum / freedom : 1.0;
    for (size_t r = 0; r < target->runs; r++) {
        for (size_t j = 0; j < n; j++) {
            const double x = target->confidence[r * n + j];
            const bool in = target->in[r * n + j];
            add(&of[j], in, x, own ? -1.0 : 0.0); /* a run is no reference of itself */
            score[r * n + j] = ratio(&of[j], x, all);
            add(&of[j], in, x, own ? 1.0 : 0.0);
        }
    }
    free(of);
    return RC_OK;
}
