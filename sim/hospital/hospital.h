/**
 * @file hospital.h
 * Virtual hospitals: intensive-care patients drawn from a documented causal model, in the same
 * schema and dataset that a real cohort would come in. Nothing but (params, seed) enters: the same
 * pair gives the same bytes.
 *
 *     site     case mix, laboratory calibration, how much is measured
 *       |
 *     patient  age, sex, diabetes -> severity -> five organ states          (latent)
 *       |                                  \
 *     features what is measured, with noise  \-> label: death in hospital, by a logistic law
 *
 *   age      a ~ N(case_mix * N(0, 1/4), 1)      in units of 15 years about 65
 *   diabetes   ~ Bernoulli(sigmoid(-1.2 + 0.4 a))
 *   severity s ~ N(case_mix * N(0, 1) + 0.25 a, 1)
 *   organ    z_j = 0.65 s + sqrt(1 - 0.65^2) N(0, 1)     heart, lung, kidney, infection, brain
 *   death    p = sigmoid(alpha + signal * (0.5 a + 0.3 diabetes + 0.8 z_heart + 0.6 z_lung
 *                                + 0.5 z_kidney + 0.4 z_infection + 0.8 z_brain))
 *            recorded with probability (1 - label_noise) p + label_noise * prevalence,
 *            alpha solved so that `prevalence` is met over the planned mix of this world
 *   feature  a line in (a, z) plus its own noise and the site's calibration, through a link;
 *            the table of coefficients opens generate.c
 *   missing  at a site's own rate; laboratory values are measured more often in the severely ill
 *
 * Given the latent state, neither site nor features say more about the label: no model of the
 * features can beat the true probability (hospital_bayes_auroc).
 *
 * Each patient draws the same count of random numbers whatever the parameters say, so two worlds
 * of one seed that differ in lab_bias or missing hold the same patients.
 */
#ifndef SIM_HOSPITAL_HOSPITAL_H
#define SIM_HOSPITAL_HOSPITAL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"
#include "common/schema/schema.h"

enum {
    HOSPITAL_SITES_MAX = 1024,
    HOSPITAL_PATIENTS_MAX = 1000000, /**< of a world */
    HOSPITAL_PLANNED_MIN = 10        /**< least planned size of one hospital */
};

/** A world in ten numbers. Plain data; the defaults are those of an empty map. */
struct hospital_params {
    size_t hospitals;
    size_t patients;       /**< planned total over all hospitals */
    double size_spread;    /**< sd of the log of a hospital's planned size */
    double prevalence;     /**< expected share of deaths in the whole world */
    double signal;         /**< how strongly the latent state decides the label */
    double case_mix;       /**< sd over hospitals of mean severity, in patient sds */
    double lab_bias;       /**< sd over hospitals of a laboratory offset, in feature sds */
    double missing;        /**< mean share of missing cells where a feature may miss */
    double missing_spread; /**< sd over hospitals of the log of that share */
    double label_noise;    /**< share of labels recorded without regard to the patient */
};

/** What the study's roster may say of a hospital: public, and never the realised count. */
struct hospital_site {
    char name[SCHEMA_NAME_MAX]; /**< hospital-01, …: sorted */
    size_t nominal;             /**< planned size, rounded to two figures and to tens */
};

struct hospital_params hospital_params_default(void);

/**
 * Reads the `generate:` map. `patients` or `mean_size` (a hospital) may be given, not both.
 * @retval RC_INVALID problems were added to `issues`; `out` is untouched
 */
RC hospital_params_read(const struct config_node *map, struct hospital_params *out,
                        struct config_issues *issues, struct error *err);

/** Fourteen features of an intensive-care stay and the label `death`. schema_release when done. */
RC hospital_schema(struct schema *out, struct error *err);

/** Names and public sizes. @param[out] site [p->hospitals] */
void hospital_roster(const struct hospital_params *p, uint64_t seed, struct hospital_site *site);

/**
 * Draws the world. A hospital's count is Poisson about its planned size, at least one.
 * @param[out] out dataset_close when done
 * @retval RC_NOMEM no room
 */
RC hospital_generate(const struct hospital_params *p, uint64_t seed, struct dataset **out,
                     struct error *err);

/**
 * The ceiling: expected AUROC, over `n` fresh patients of this world, of the true probability
 * given the *latent* state. Features are a noisy view of that state, so by Neyman and Pearson this
 * is an upper bound on the pooled AUROC of every model of the features, not a value one can reach.
 * The expectation over labels is taken exactly, so that only the patients are sampled.
 * @retval RC_INVALID n < 2; @retval RC_NOMEM no room
 */
RC hospital_bayes_auroc(const struct hospital_params *p, uint64_t seed, size_t n, double *out,
                        struct error *err);

#endif
