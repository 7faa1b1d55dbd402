#include "agent/train/release.h"

#include <math.h>
#include <string.h>

#include "common/dp/noise.h"
#include "common/dp/share.h"
#include "common/update/update.h"

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

/* A slice of the site's own: whole noise, and a mean. */
static RC release_own(const struct share *own, double divisor, const double *sum, size_t n,
                      struct entropy *entropy, double *mean, struct error *err)
{
    const enum rc rc = share_add_noise(sum, n, own, entropy, mean, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        mean[i] *= own->gamma / divisor;
    }
    return rc;
}

enum rc release_share(const struct param_table *table, const struct study *study, size_t site,
                      const double *sum, struct entropy *entropy, unsigned char *update,
                      double *mean, struct error *err)
{
    const struct study_privacy *dp = &study->privacy;
    const size_t bits = study_share_bits(study);
    const size_t P = release_count(table);
    const double gamma = ldexp(dp->clip, -(int)bits);
    const double deviation = dp->noise_multiplier * share_sensitivity(dp->clip, bits, P);
    const double divisor = dp->sample_rate * (double)study->site[site].nominal;
    const struct share own = {.gamma = gamma, .most = HUGE_VAL, .deviation = deviation};
    const struct share part = {.gamma = gamma,
                               .most = ldexp(study_share_most(study, site), (int)bits),
                               .deviation = deviation * study_share_of_noise(study)};
    enum rc rc = RC_OK;

    if (bits == 0 || ldexp(sqrt((double)P), -(int)bits) > 1.0) {
        return error_set(
            err, RC_LIMIT,
            "a sum of %zu sites has too coarse a grid for %zu numbers; use noise: site",
            study->n_sites, P);
    }
    memset(mean, 0, table->P * sizeof *mean);
    for (size_t i = 0; rc == RC_OK && i < table->n; i++) {
        const struct param *p = &table->param[i];
        const double *s = sum + p->offset;
        if (p->frozen) {
            continue;
        }
        if (p->offset < table->S) {
            rc = share_add_noise(s, p->size, &part, entropy, mean + p->offset, err);
        } else {
            rc = release_own(&own, divisor, s, p->size, entropy, mean + p->offset, err);
        }
    }
    if (rc == RC_OK) {
        update_pack(mean, table->S, update);
    }
    memset(mean, 0, table->S * sizeof *mean); /* too little noise to go on from */
    return rc;
}
