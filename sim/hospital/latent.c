#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "sim/hospital/hospital_internal.h"

enum { INTERCEPT_HALVINGS = 60 };

static const double organ_share = 0.65; /* correlation of an organ with severity */
static const double organ_risk[HOSPITAL_ORGANS] = {
    [HOSPITAL_HEART] = 0.8,     [HOSPITAL_LUNG] = 0.6,  [HOSPITAL_KIDNEY] = 0.5,
    [HOSPITAL_INFECTION] = 0.4, [HOSPITAL_BRAIN] = 0.8,
};

double hospital_sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static struct rng site_stream(uint64_t seed, const char *what, size_t site)
{
    char name[64];
    (void)snprintf(name, sizeof name, "hospital/%s/%zu", what, site);
    struct rng r;
    rng_init(&r, seed, name);
    return r;
}

static double size_weight(const struct hospital_params *p, uint64_t seed, size_t site)
{
    struct rng r = site_stream(seed, "size", site);
    return exp(p->size_spread * rng_normal(&r));
}

double hospital_weight_total(const struct hospital_params *p, uint64_t seed)
{
    double total = 0.0;
    for (size_t s = 0; s < p->hospitals; s++) {
        total += size_weight(p, seed, s);
    }
    return total;
}

struct hospital_character hospital_character(const struct hospital_params *p, uint64_t seed,
                                             size_t site, double weight_total)
{
    struct rng r = site_stream(seed, "character", site);
    const double share = size_weight(p, seed, site) / weight_total;
    struct hospital_character c = {0};
    c.planned = fmax((double)p->patients * share, (double)HOSPITAL_PLANNED_MIN);
    c.age = 0.5 * p->case_mix * rng_normal(&r);
    c.severity = p->case_mix * rng_normal(&r);
    c.transfer = p->case_mix * rng_normal(&r);
    /* log-normal with mean `missing` */
    const double spread = p->missing_spread;
    c.missing = p->missing * exp(spread * rng_normal(&r) - 0.5 * spread * spread);
    return c;
}

struct hospital_latent hospital_latent_draw(struct rng *r, const struct hospital_character *c)
{
    struct hospital_latent z = {0};
    z.age = c->age + rng_normal(r);
    z.male = rng_uniform(r) < 0.55;
    z.diabetes = rng_uniform(r) < hospital_sigmoid(-1.2 + 0.4 * z.age);
    z.severity = c->severity + 0.25 * z.age + rng_normal(r);
    z.drive = 0.5 * z.age + (z.diabetes ? 0.3 : 0.0);
    for (size_t j = 0; j < HOSPITAL_ORGANS; j++) {
        z.organ[j] =
            organ_share * z.severity + sqrt(1.0 - organ_share * organ_share) * rng_normal(r);
        z.drive += organ_risk[j] * z.organ[j];
    }
    return z;
}

void hospital_population(const struct hospital_params *p, uint64_t seed, const char *stream,
                         size_t n, double *drive)
{
    const double weight_total = hospital_weight_total(p, seed);
    double planned_total = 0.0; /* not p->patients: small hospitals were rounded up */
    for (size_t s = 0; s < p->hospitals; s++) {
        planned_total += hospital_character(p, seed, s, weight_total).planned;
    }
    struct rng r;
    rng_init(&r, seed, stream);
    size_t site = 0;
    struct hospital_character c = hospital_character(p, seed, site, weight_total);
    double upto = c.planned / planned_total;
    for (size_t i = 0; i < n; i++) { /* systematic: patient i stands at (i + 1/2)/n of the mix */
        while (((double)i + 0.5) / (double)n > upto && site + 1 < p->hospitals) {
            site++;
            c = hospital_character(p, seed, site, weight_total);
            upto += c.planned / planned_total;
        }
        drive[i] = hospital_latent_draw(&r, &c).drive;
    }
}

double hospital_intercept(const struct hospital_params *p, uint64_t seed)
{
    double drive[HOSPITAL_INTERCEPT_PATIENTS];
    hospital_population(p, seed, "hospital/intercept", HOSPITAL_INTERCEPT_PATIENTS, drive);
    return hospital_intercept_of(p, drive);
}

double hospital_intercept_of(const struct hospital_params *p,
                             const double drive[HOSPITAL_INTERCEPT_PATIENTS])
{
    double low = -100.0, high = 100.0; /* mean probability rises with alpha: halve */
    for (size_t k = 0; k < INTERCEPT_HALVINGS; k++) {
        const double alpha = 0.5 * (low + high);
        double sum = 0.0;
        for (size_t i = 0; i < HOSPITAL_INTERCEPT_PATIENTS; i++) {
            sum += hospital_sigmoid(alpha + p->signal * drive[i]);
        }
        if (sum < p->prevalence * HOSPITAL_INTERCEPT_PATIENTS) {
            low = alpha;
        } else {
            high = alpha;
        }
    }
    return 0.5 * (low + high);
}

double hospital_probability(const struct hospital_params *p, double intercept, double drive)
{
    const double death = hospital_sigmoid(intercept + p->signal * drive);
    return (1.0 - p->label_noise) * death + p->label_noise * p->prevalence;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * Over all ordered pairs i != j of patients with probabilities p, the expected count of (death,
 * survivor) pairs is sum p_i (1 - p_j), and of those the score p ranks right (ties half)
 * sum p_i (1 - p_j) [p_i > p_j]. Their quotient is the AUROC up to O(1/n).
 */
double hospital_expected_auroc(double *q, size_t n)
{
    double right = 0.0, pairs = 0.0, below = 0.0, all = 0.0;
    qsort(q, n, sizeof *q, ascending);
    for (size_t i = 0; i < n; i++) {
        all += 1.0 - q[i];
    }
    for (size_t i = 0; i < n;) {
        double tied = 0.0; /* survivors expected among equal scores */
        size_t end = i;
        for (; end < n && q[end] <= q[i]; end++) {
            tied += 1.0 - q[end];
        }
        for (size_t k = i; k < end; k++) {
            right += q[k] * (below + 0.5 * (tied - (1.0 - q[k])));
            pairs += q[k] * (all - (1.0 - q[k]));
        }
        below += tied;
        i = end;
    }
    return right / pairs;
}

enum rc hospital_bayes_auroc(const struct hospital_params *p, uint64_t seed, size_t n, double *out,
                             struct error *err)
{
    struct arena a = {0};
    double *q = NULL;
    double intercept = 0.0;
    enum rc rc = RC_OK;

    if (n < 2) {
        rc = error_set(err, RC_INVALID, "the ceiling needs at least 2 patients, not %zu", n);
        goto out;
    }
    if (n > HOSPITAL_PATIENTS_MAX) {
        rc = error_set(err, RC_INVALID, "the ceiling takes at most %d patients, not %zu",
                       HOSPITAL_PATIENTS_MAX, n);
        goto out;
    }
    rc = arena_init(&a, arena_cost(n, sizeof(double)), err);
    if (rc != RC_OK) {
        goto out;
    }
    q = arena_take(&a, n, sizeof *q);
    hospital_population(p, seed, "hospital/ceiling", n, q);
    intercept = hospital_intercept(p, seed);
    for (size_t i = 0; i < n; i++) {
        q[i] = hospital_probability(p, intercept, q[i]);
    }
    *out = hospital_expected_auroc(q, n);
out:
    arena_release(&a);
    return rc;
}
