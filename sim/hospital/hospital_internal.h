/**
 * @file hospital_internal.h
 * The latent half of the model, shared by the generator and the ceiling.
 */
#ifndef SIM_HOSPITAL_HOSPITAL_INTERNAL_H
#define SIM_HOSPITAL_HOSPITAL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/rng.h"
#include "sim/hospital/hospital.h"

enum hospital_organ {
    HOSPITAL_HEART,
    HOSPITAL_LUNG,
    HOSPITAL_KIDNEY,
    HOSPITAL_INFECTION,
    HOSPITAL_BRAIN,
    HOSPITAL_ORGANS
};

/** One patient as nobody sees him. */
struct hospital_latent {
    double age; /**< (years - 65) / 15 before any clamp */
    bool male, diabetes;
    double severity;
    double organ[HOSPITAL_ORGANS];
    double drive; /**< the sum that `signal` multiplies */
};

/** What makes one hospital unlike another; a function of (params, seed, index) alone. */
struct hospital_character {
    double planned;       /**< expected patients */
    double age, severity; /**< means */
    double transfer;      /**< how much more often patients come from elsewhere, in logits */
    double missing;       /**< mean share of missing cells */
};

/** exp(size_spread z) of every hospital, summed: divides the total into planned sizes. */
double hospital_weight_total(const struct hospital_params *p, uint64_t seed);

struct hospital_character hospital_character(const struct hospital_params *p, uint64_t seed,
                                             size_t site, double weight_total);

/** The next patient of a sequence: always the same count of numbers. */
struct hospital_latent hospital_latent_draw(struct rng *r, const struct hospital_character *c);

/** Drives of `n` patients, hospitals in proportion to their planned sizes. @param[out] drive [n] */
void hospital_population(const struct hospital_params *p, uint64_t seed, const char *stream,
                         size_t n, double *drive);

/** alpha of the logistic law: meets the prevalence over the planned mix. */
double hospital_intercept(const struct hospital_params *p, uint64_t seed);
enum { HOSPITAL_INTERCEPT_PATIENTS = 8192 };
/** The same from the drives of so many patients. */
double hospital_intercept_of(const struct hospital_params *p,
                             const double drive[HOSPITAL_INTERCEPT_PATIENTS]);

/** Probability of a recorded death. */
double hospital_probability(const struct hospital_params *p, double intercept, double drive);

/* ---- the `generate:` map, of which kind it may be -------------------------------------------- */

/** As written; `patients` and `mean_size` become one number. */
struct hospital_written {
    int kind; /**< index into hospital_kinds */
    struct hospital_params p;
    size_t mean_size;
};
extern const char *const hospital_kinds[];
enum { HOSPITAL_KEYS = 12 };
extern const struct config_key hospital_keys[HOSPITAL_KEYS];
/** @param mean_size where the map says neither */
void hospital_settle(struct hospital_written *w, size_t mean_size);
/** Sizes that do not fit, as an issue. */
void hospital_check(const struct config_node *map, const struct hospital_written *w,
                    bool patients_given, struct config_issues *issues);

/* ---- files ----------------------------------------------------------------------------------- */

RC hospital_make_folder(const char *folder, struct error *err);
/** Opens folder/name for writing; never over something that is there. @retval RC_STATE it is */
RC hospital_create(const char *folder, const char *name, FILE **out, struct error *err);
/** Closes; whatever went wrong before is said here. */
RC hospital_finish(FILE *f, const char *folder, struct error *err);

double hospital_sigmoid(double x);

/** Expected AUROC of patients' own probabilities, over all labels. @param q [n], is sorted */
double hospital_expected_auroc(double *q, size_t n);

/** Digits so that names sort as numbers do: hospital-01 of 8, hospital-001 of 100. */
int hospital_digits(size_t hospitals);
void hospital_name(size_t hospitals, size_t site, char out[SCHEMA_NAME_MAX]);
/** Poisson about the planned size, at least one. */
size_t hospital_realised_size(uint64_t seed, size_t site, double planned);

#endif
