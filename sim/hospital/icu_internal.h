/**
 * @file icu_internal.h
 * The pieces of the multimodal world: state -> channels -> what is drawn of them.
 */
#ifndef SIM_HOSPITAL_ICU_INTERNAL_H
#define SIM_HOSPITAL_ICU_INTERNAL_H

#include <stdbool.h>

#include "common/base/rng.h"
#include "sim/hospital/hospital_internal.h"
#include "sim/hospital/icu.h"

/** z, the patient's state. Organs in the order of enum hospital_organ. */
enum { ICU_AGE, ICU_SEVERITY, ICU_ORGAN, ICU_STATES = ICU_ORGAN + HOSPITAL_ORGANS };

/** What a modality says about z, one number each: u_k = g_k . z + sqrt(r_k) N(0, 1). */
enum icu_channel {
    /* table */
    ICU_YEARS,
    ICU_ADMISSION,
    ICU_UREA,
    ICU_BILIRUBIN,
    ICU_WBC,
    ICU_PLATELETS,
    ICU_ALBUMIN,
    ICU_TROPONIN,
    ICU_OXYGENATION,
    ICU_COMA,
    ICU_FEVER,
    /* course */
    ICU_HEART_RATE,
    ICU_BREATHING,
    ICU_LABILITY,
    ICU_IRREGULARITY,
    ICU_DESATURATION,
    ICU_LACTATE_RISE,
    ICU_CREATININE_RISE,
    /* film */
    ICU_HEART_SIZE,
    ICU_FLUID,
    ICU_GRAIN,
    ICU_SPOT,
    /* note */
    ICU_SAYS_BRAIN,
    ICU_SAYS_CIRCULATION,
    ICU_SAYS_LUNG,
    ICU_SAYS_INFECTION,
    ICU_SAYS_COURSE,
    ICU_CHANNELS
};

/** First channel of each modality, and one beyond the last. */
extern const size_t icu_first_channel[ICU_MODALITIES + 1];

/** One hospital; a function of (params, seed, index) alone. */
struct icu_site {
    struct hospital_character character;
    char name[SCHEMA_NAME_MAX];
    double share[4];              /**< of patients: complete, no film, no note, several missing */
    double bias[ICU_CHANNELS];    /**< laboratory offset, in standard deviations of the feature */
    bool mixed_up;                /**< urea and bilirubin in other units */
    double contrast, noise, blur; /**< of the scanner */
    uint64_t style;               /**< seed of which words it prefers */
};

/** One patient: state, what each channel says, what is there. */
struct icu_patient {
    double z[ICU_STATES];
    bool male, diabetes;
    double film_age_h;
    double u[ICU_CHANNELS];
    bool seen[ICU_CHANNELS]; /**< table: cells that are not missing; others: true */
    bool has[ICU_MODALITIES];
    double drive;  /**< of the logistic law */
    double chance; /**< uniform: dies if below the probability */
};

struct icu_site icu_site_draw(const struct icu_params *p, uint64_t seed, size_t site,
                              double weight_total);
/** Patient `i` of hospital `site`: from a stream of his own. */
struct icu_patient icu_patient_draw(const struct icu_params *p, uint64_t seed, size_t site,
                                    const struct icu_site *s, const char *stream, size_t i);
/** A modality's own stream of a patient. */
struct rng icu_stream(uint64_t seed, const char *what, size_t site, size_t i);

/** alpha of the logistic law: meets the prevalence over the planned mix. */
double icu_intercept(const struct icu_params *p, uint64_t seed);
/** log(1 + exp(x)) */
double icu_softplus(double x);

/** g [ICU_STATES] and r of a channel. A film of age h shows the state of then: loading rho g, and
 *  (1 - rho^2) |g|^2 more noise, rho = exp(-h / 72). */
double icu_channel_at(enum icu_channel k, double film_age_h, double g[ICU_STATES]);
/** u in units of its own deviation in a hospital of mean case mix; what is drawn. */
double icu_standard(enum icu_channel k, double u, double film_age_h);

/** Coefficients of the drive: linear part, and that of two failing together. */
extern const double icu_risk[ICU_STATES];
extern const double icu_both;
enum { ICU_BOTH_A = ICU_ORGAN + HOSPITAL_HEART, ICU_BOTH_B = ICU_ORGAN + HOSPITAL_INFECTION };

/* ---- what is drawn; each from a stream of its own -------------------------------------------- */

void icu_table_header(FILE *f);
void icu_table_row(FILE *f, struct rng *r, const struct icu_site *s, const struct icu_patient *p,
                   const char *id, bool died);
void icu_table_features(FILE *f);

/** @return rows written */
size_t icu_course_rows(FILE *f, struct rng *r, const struct icu_patient *p, const char *id);
void icu_course_variables(FILE *f);

/** @param[out] pixel [side * side] @param spare [2 * side * side] */
void icu_film_draw(struct rng *r, const struct icu_site *s, const struct icu_patient *p,
                   size_t side, unsigned char *pixel, double *spare);

/** @return characters written, without quotes in them */
enum { ICU_NOTE_MAX = 2048 };
void icu_note_write(struct rng *r, const struct icu_site *s, double style,
                    const struct icu_patient *p, char note[ICU_NOTE_MAX]);

/* ---- what only its tests and the ceiling need ------------------------------------------------- */

/** P(death | u of the channels in `look`, hospital): exact up to quadrature. */
double icu_posterior(const struct icu_params *p, double intercept, const struct icu_site *s,
                     const struct icu_patient *patient, const bool look[ICU_CHANNELS]);

#endif
