/**
 * @file softmax.h
 * Many equal hospitals whose patients have one of several classes by a softmax law: the shape on which
 * federated-learning frameworks are timed (handwritten digits, a softmax regression), generated, so that no
 * data set is needed and the best possible accuracy is known.
 *
 *   law       w_c ~ N(0, I_D)                                         once for the world
 *   site      b_s,c ~ N(0, label_skew^2)                              which classes a hospital sees more of
 *   record    x_j = 2 l_j / 255 - 1,  l_j uniform in 0 .. 255         D numbers as a pixel has them, in [-1, 1]
 *             u_c = signal sqrt(3 / D) w_c . x + b_s,c                x_j has a variance of about 1/3
 *   label     c with probability exp(u_c) / sum_k exp(u_k)
 *
 * A softmax regression with a bias for each site could be this law; the best possible accuracy is the mean of
 * max_c P(c). Every hospital has exactly `records` of them. Nothing but (params, seed) enters.
 */
#ifndef SIM_HOSPITAL_SOFTMAX_H
#define SIM_HOSPITAL_SOFTMAX_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"
#include "common/schema/schema.h"

/** Plain data; the defaults are those of an empty map. */
struct softmax_params {
    size_t hospitals, records; /**< of each hospital */
    size_t features, classes;
    double signal, label_skew;
};

/** @retval RC_INVALID problems were added to `issues`; `out` is untouched */
RC softmax_params_read(const struct config_node *map, struct softmax_params *out,
                       struct config_issues *issues, struct error *err);

/** Features x0000 … in [-1, 1] and the label `class` of classes 0, 1, …
 *  @param[out] schema schema_release when done  @param[out] out dataset_close when done
 *  @retval RC_NOMEM no room */
RC softmax_generate(const struct softmax_params *p, uint64_t seed, struct schema *schema,
                    struct dataset **out, struct error *err);

/** The ceiling: expected accuracy, over `n` fresh records of the world's hospitals, of whoever knows the law
 *  and the hospital. @retval RC_INVALID n is 0; @retval RC_NOMEM */
RC softmax_best_accuracy(const struct softmax_params *p, uint64_t seed, size_t n, double *out,
                         struct error *err);

#endif
