#include "sim/hospital/partition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/hospital/hospital_internal.h"

enum { DRAWS_MAX = 100 };

/* clang-format off */
#define AT(field) offsetof(struct hospital_partition, field)
static const struct config_key keys[] = {
    {.name = "hospitals", .type = CONFIG_COUNT, .offset = AT(hospitals), .min = 1, .max = HOSPITAL_SITES_MAX,
     .help = "how many"},
    {.name = "alpha", .type = CONFIG_REAL, .offset = AT(alpha), .min = 0.01, .max = 10000, .fallback = "1",
     .help = "of the Dirichlet distribution of each label's shares: small is unlike, large is alike"},
    {.name = "patients_min", .type = CONFIG_COUNT, .offset = AT(patients_min), .min = 1, .max = HOSPITAL_PATIENTS_MAX,
     .fallback = "10", .help = "of each hospital: shares are drawn again until it holds"},
};
#undef AT
/* clang-format on */

enum rc hospital_partition_read(const struct config_node *map, struct hospital_partition *out,
                                struct config_issues *issues, struct error *err)
{
    const size_t before = issues->n;
    struct hospital_partition p = {0};
    config_bind(map, keys, sizeof keys / sizeof keys[0], &p, issues);
    if (issues->n > before) {
        return config_verdict(issues, err);
    }
    *out = p;
    return RC_OK;
}

void hospital_partition_print(FILE *to)
{
    config_print_reference(keys, sizeof keys / sizeof keys[0], to);
}

/* log of a Gamma(alpha, 1) variate: small alphas underflow as such. Marsaglia, Tsang 2000; below 1 by
 * Gamma(alpha) = Gamma(alpha + 1) U^(1/alpha). */
static double log_gamma_draw(struct rng *r, double alpha)
{
    const double boost = alpha < 1.0 ? log(1.0 - rng_uniform(r)) / alpha : 0.0;
    const double d = (alpha < 1.0 ? alpha + 1.0 : alpha) - 1.0 / 3.0;
    const double c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        const double x = rng_normal(r);
        const double v = pow(fmax(1.0 + c * x, 0.0), 3.0);
        const double u = 1.0 - rng_uniform(r);
        if (v > 0.0 && log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            return log(d * v) + boost;
        }
    }
}

/* Cumulative shares of n hospitals. */
static void shares_draw(struct rng *r, double alpha, size_t n, double *upto)
{
    double top = -HUGE_VAL, sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        upto[i] = log_gamma_draw(r, alpha);
        top = fmax(top, upto[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp(upto[i] - top);
        upto[i] = sum;
    }
    for (size_t i = 0; i < n; i++) {
        upto[i] /= sum;
    }
}

/* Yes and no, or as many classes as somebody has. */
static size_t labels_of(const struct dataset *d)
{
    size_t labels = 2;
    for (size_t i = 0; i < d->n_patients; i++) {
        const size_t own = (size_t)d->label[i] + 1;
        labels = own > labels ? own : labels;
    }
    return labels;
}

/* One draw. @return the smallest hospital's count */
static size_t deal(const struct hospital_partition *p, struct rng *r, const struct dataset *d,
                   size_t labels, double *upto, size_t *count, uint32_t *site)
{
    const size_t n = p->hospitals;
    memset(count, 0, n * sizeof *count);
    for (size_t k = 0; k < labels; k++) {
        shares_draw(r, p->alpha, n, upto + k * n);
    }
    for (size_t i = 0; i < d->n_patients; i++) {
        const double *of_label = upto + (size_t)d->label[i] * n;
        const double u = rng_uniform(r);
        size_t at = 0;
        while (at + 1 < n && u >= of_label[at]) {
            at++;
        }
        site[i] = (uint32_t)at;
        count[at]++;
    }
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        least = count[i] < least ? count[i] : least;
    }
    return least;
}

enum rc hospital_partition_deal(const struct hospital_partition *p, uint64_t seed,
                                const struct dataset *from, struct dataset **out, struct error *err)
{
    const size_t n = p->hospitals;
    const size_t labels = labels_of(from);
    double *upto = calloc(labels * n, sizeof *upto);
    size_t *count = calloc(n, sizeof *count);
    uint32_t *site = calloc(from->n_patients + 1, sizeof *site);
    char(*name)[SCHEMA_NAME_MAX] = calloc(n, sizeof *name);
    size_t least = 0;
    struct rng r;
    enum rc rc = RC_OK;

    if (upto == NULL || count == NULL || site == NULL || name == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory to deal out %zu patients", from->n_patients);
        goto out;
    }
    rng_init(&r, seed, "hospital/partition");
    for (size_t draw = 0; draw < DRAWS_MAX && least < p->patients_min; draw++) {
        least = deal(p, &r, from, labels, upto, count, site);
    }
    if (least < p->patients_min) {
        rc = error_set(err, RC_INVALID,
                       "partition: in %d draws of %zu hospitals one always had fewer than %zu "
                       "patients; ask for fewer hospitals or a larger alpha",
                       DRAWS_MAX, n, p->patients_min);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        hospital_name(n, i, name[i]);
    }
    rc = dataset_resite(from, site, (const char(*)[SCHEMA_NAME_MAX])name, n, out, err);
out:
    free(upto);
    free(count);
    free(site);
    free(name);
    return rc;
}
