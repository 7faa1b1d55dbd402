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

/** Probability of a recorded death. */
double hospital_probability(const struct hospital_params *p, double intercept, double drive);

double hospital_sigmoid(double x);

#endif
