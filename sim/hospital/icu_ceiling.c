/* The best that any model can do in a world: its patients' posterior probabilities, ranked. */
#include <stdio.h>

#include "common/base/arena.h"
#include "sim/hospital/icu_internal.h"

/* Sets of modalities whose AUROC is wanted, in the order of struct icu_ceiling. */
enum {
    ALONE = 0,
    ALL = ICU_MODALITIES,
    WITHOUT,
    RECORDED = WITHOUT + ICU_MODALITIES,
    LATENT,
    SETS
};

static bool in_set(size_t set, size_t m, const struct icu_patient *p)
{
    if (set < ALL) {
        return m == set;
    }
    if (set >= WITHOUT && set < RECORDED) {
        return m != set - WITHOUT;
    }
    return set == ALL || p->has[m];
}

static double probability(const struct icu_params *p, double intercept, const struct icu_site *s,
                          const struct icu_patient *patient, size_t set)
{
    bool look[ICU_CHANNELS];
    if (set == LATENT) {
        return hospital_probability(&p->base, intercept, patient->drive);
    }
    for (size_t m = 0; m < ICU_MODALITIES; m++) {
        for (size_t k = icu_first_channel[m]; k < icu_first_channel[m + 1]; k++) {
            look[k] = in_set(set, m, patient);
        }
    }
    return icu_posterior(p, intercept, s, patient, look);
}

/* Patients of all hospitals in proportion to their planned sizes: patient i stands at (i + 1/2)/n. */
typedef void each_patient(void *ctx, size_t i, const struct icu_site *s,
                          const struct icu_patient *patient);
static void population(const struct icu_params *p, uint64_t seed, const char *stream, size_t n,
                       each_patient *each, void *ctx)
{
    const double weight_total = hospital_weight_total(&p->base, seed);
    double planned_total = 0.0;
    for (size_t k = 0; k < p->base.hospitals; k++) {
        planned_total += hospital_character(&p->base, seed, k, weight_total).planned;
    }
    size_t site = 0;
    struct icu_site s = icu_site_draw(p, seed, site, weight_total);
    double upto = s.character.planned / planned_total;
    for (size_t i = 0; i < n; i++) {
        while (((double)i + 0.5) / (double)n > upto && site + 1 < p->base.hospitals) {
            s = icu_site_draw(p, seed, ++site, weight_total);
            upto += s.character.planned / planned_total;
        }
        const struct icu_patient patient = icu_patient_draw(p, seed, site, &s, stream, i);
        each(ctx, i, &s, &patient);
    }
}

static void note_drive(void *ctx, size_t i, const struct icu_site *s,
                       const struct icu_patient *patient)
{
    (void)s;
    ((double *)ctx)[i] = patient->drive;
}

double icu_intercept(const struct icu_params *p, uint64_t seed)
{
    double drive[HOSPITAL_INTERCEPT_PATIENTS];
    population(p, seed, "intercept", HOSPITAL_INTERCEPT_PATIENTS, note_drive, drive);
    return hospital_intercept_of(&p->base, drive);
}

struct scores {
    const struct icu_params *p;
    double intercept;
    double *q[SETS]; /* [n] each */
};

static void score(void *ctx, size_t i, const struct icu_site *s, const struct icu_patient *patient)
{
    struct scores *to = ctx;
    for (size_t set = 0; set < SETS; set++) {
        to->q[set][i] = probability(to->p, to->intercept, s, patient, set);
    }
}

enum rc icu_bayes(const struct icu_params *p, uint64_t seed, size_t n, struct icu_ceiling *out,
                  struct error *err)
{
    struct arena a = {0};
    struct scores scores = {.p = p};
    double auroc[SETS];
    enum rc rc = RC_OK;

    if (n < 2 || n > HOSPITAL_PATIENTS_MAX) {
        rc = error_set(err, RC_INVALID, "the ceiling takes 2 to %d patients, not %zu",
                       HOSPITAL_PATIENTS_MAX, n);
        goto out;
    }
    rc = arena_init(&a, (SETS + 1) * arena_cost(n, sizeof(double)), err);
    if (rc != RC_OK) {
        goto out;
    }
    for (size_t set = 0; set < SETS; set++) {
        scores.q[set] = arena_take(&a, n, sizeof(double));
    }
    scores.intercept = icu_intercept(p, seed);
    population(p, seed, "ceiling", n, score, &scores);
    for (size_t set = 0; set < SETS; set++) {
        auroc[set] = hospital_expected_auroc(scores.q[set], n);
    }
    for (size_t m = 0; m < ICU_MODALITIES; m++) {
        out->alone[m] = auroc[ALONE + m];
        out->without[m] = auroc[WITHOUT + m];
    }
    out->all = auroc[ALL];
    out->recorded = auroc[RECORDED];
    out->latent = auroc[LATENT];
out:
    arena_release(&a);
    return rc;
}
