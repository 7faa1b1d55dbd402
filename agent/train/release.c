#include "agent/train/release.h"

#include <string.h>

#include "common/dp/noise.h"

size_t release_count(const struct param_table *table)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n; i++) {
        n += table->param[i].frozen ? 0 : table->param[i].size;
    }
    return n;
}

/* Trained numbers, one slice after another. */
static void gather(const struct param_table *table, const double *from, double *to)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct param *p = &table->param[i];
        if (!p->frozen) {
            memcpy(to, from + p->offset, p->size * sizeof *to);
            to += p->size;
        }
    }
}

static void scatter(const struct param_table *table, const double *from, double *to)
{
    memset(to, 0, table->P * sizeof *to);
    for (size_t i = 0; i < table->n; i++) {
        const struct param *p = &table->param[i];
        if (!p->frozen) {
            memcpy(to + p->offset, from, p->size * sizeof *to);
            from += p->size;
        }
    }
}

enum rc release_mean(const struct param_table *table, const struct study_privacy *dp,
                     double divisor, double *sum, struct entropy *entropy, double *mean,
                     struct error *err)
{
    const size_t n = release_count(table);
    if (n == table->P) {
        return noise_release(sum, n, dp->clip, dp->noise_multiplier, divisor, entropy, mean, err);
    }
    gather(table, sum, mean);
    const enum rc rc =
        noise_release(mean, n, dp->clip, dp->noise_multiplier, divisor, entropy, sum, err);
    if (rc == RC_OK) {
        scatter(table, sum, mean);
    }
    return rc;
}
