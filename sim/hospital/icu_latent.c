/* Hospital -> patient -> state -> what each channel says of it. */
#include <math.h>
#include <stdio.h>

#include "sim/hospital/icu_internal.h"

/* Relative to the site's share of missing cells; a channel that is not here never misses. */
static const double misses[ICU_CHANNELS] = {
    [ICU_ADMISSION] = 0.2, [ICU_UREA] = 0.6,    [ICU_BILIRUBIN] = 1.5, [ICU_WBC] = 0.6,
    [ICU_PLATELETS] = 0.8, [ICU_ALBUMIN] = 1.8, [ICU_TROPONIN] = 2.4,  [ICU_OXYGENATION] = 1.3,
    [ICU_COMA] = 0.4,      [ICU_FEVER] = 0.4,
};
static const bool laboratory[ICU_CHANNELS] = {
    [ICU_UREA] = true,      [ICU_BILIRUBIN] = true, [ICU_WBC] = true,
    [ICU_PLATELETS] = true, [ICU_ALBUMIN] = true,   [ICU_TROPONIN] = true,
};

struct rng icu_stream(uint64_t seed, const char *what, size_t site, size_t i)
{
    char name[80];
    (void)snprintf(name, sizeof name, "icu/%s/%zu/%zu", what, site, i);
    struct rng r;
    rng_init(&r, seed, name);
    return r;
}

/* The shares of a world, each times a site's own factor, sum to 1 again. */
static void shares_draw(struct rng *r, const struct icu_params *p, double share[4])
{
    const double mean[4] = {1.0 - p->no_film - p->no_note - p->several, p->no_film, p->no_note,
                            p->several};
    double sum = 0.0;
    for (size_t k = 0; k < 4; k++) {
        share[k] = fmax(mean[k], 0.0) * exp(p->pattern_spread * rng_normal(r));
        sum += share[k];
    }
    for (size_t k = 0; k < 4; k++) {
        share[k] /= sum;
    }
}

struct icu_site icu_site_draw(const struct icu_params *p, uint64_t seed, size_t site,
                              double weight_total)
{
    struct icu_site s = {.character = hospital_character(&p->base, seed, site, weight_total)};
    struct rng r = icu_stream(seed, "site", site, 0);
    hospital_name(p->base.hospitals, site, s.name);
    shares_draw(&r, p, s.share);
    s.mixed_up = rng_uniform(&r) < p->unit_mixups;
    s.contrast = exp(p->scanner_gain * rng_normal(&r));
    s.noise = p->scanner_noise * exp(0.3 * rng_normal(&r));
    s.blur = p->scanner_blur * exp(0.3 * rng_normal(&r));
    s.style = rng_u64(&r);
    for (size_t k = 0; k < ICU_CHANNELS; k++) {
        const double offset = rng_normal(&r);
        s.bias[k] = laboratory[k] ? p->base.lab_bias * offset : 0.0;
    }
    return s;
}

static void state_draw(struct rng *r, const struct hospital_character *c, struct icu_patient *p)
{
    const double share = 0.65; /* see icu_channel.c */
    p->z[ICU_AGE] = c->age + rng_normal(r);
    p->z[ICU_SEVERITY] = c->severity + 0.25 * p->z[ICU_AGE] + rng_normal(r);
    p->drive = 0.0;
    for (size_t j = 0; j < HOSPITAL_ORGANS; j++) {
        p->z[ICU_ORGAN + j] =
            share * p->z[ICU_SEVERITY] + sqrt(1.0 - share * share) * rng_normal(r);
    }
    for (size_t j = 0; j < ICU_STATES; j++) {
        p->drive += icu_risk[j] * p->z[j];
    }
    p->drive += icu_both * icu_softplus(p->z[ICU_BOTH_A]) * icu_softplus(p->z[ICU_BOTH_B]);
}

/* Which of the four: complete, no film, no note, two missing (a film among them, mostly). */
static void pattern_draw(struct rng *r, const double share[4], struct icu_patient *p)
{
    const double which = rng_uniform(r);
    const double two = rng_uniform(r);
    const bool no_film = which >= share[0] && which < share[0] + share[1];
    const bool no_note = !no_film && which >= share[0] && which < share[0] + share[1] + share[2];
    const bool several = which >= share[0] && !no_film && !no_note;
    p->has[ICU_TABLE] = true;
    p->has[ICU_COURSE] = !(several && two >= 0.5);
    p->has[ICU_FILM] = !no_film && !(several && two < 0.75);
    p->has[ICU_NOTE] = !no_note && !(several && (two < 0.5 || two >= 0.75));
}

struct icu_patient icu_patient_draw(const struct icu_params *p, uint64_t seed, size_t site,
                                    const struct icu_site *s, const char *stream, size_t i)
{
    struct icu_patient patient = {0};
    struct rng r = icu_stream(seed, stream, site, i);
    state_draw(&r, &s->character, &patient);
    patient.chance = rng_uniform(&r);
    patient.male = rng_uniform(&r) < 0.55;
    patient.diabetes = rng_uniform(&r) < hospital_sigmoid(-1.2 + 0.4 * patient.z[ICU_AGE]);
    patient.film_age_h = -p->film_age_h * log(1.0 - rng_uniform(&r));
    patient.film_age_h = fmin(floor(patient.film_age_h), 95.0); /* as the table has it */
    pattern_draw(&r, s->share, &patient);
    for (size_t k = 0; k < ICU_CHANNELS; k++) {
        double g[ICU_STATES];
        const double noise = icu_channel_at((enum icu_channel)k, patient.film_age_h, g);
        patient.u[k] = sqrt(noise) * rng_normal(&r);
        for (size_t j = 0; j < ICU_STATES; j++) {
            patient.u[k] += g[j] * patient.z[j];
        }
        patient.seen[k] = rng_uniform(&r) >= fmin(s->character.missing * misses[k], 0.95);
    }
    return patient;
}
