/**
 * @file optimiser.h
 * What a site does with a released mean gradient g: SGD with momentum, Adam or AdamW. Post-processing: it
 * sees noised numbers only. State is kept between rounds in the ledger, with the adapters.
 *
 *   SGD    m = momentum m + g;  w -= rate m                                        (Polyak 1964)
 *   Adam   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
 *          w -= rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + epsilon)     (Kingma, Ba 2015, Alg. 1)
 *   AdamW  the same, and w -= rate weight_decay w, of the w before the step
 *                                                (Loshchilov, Hutter 2019, Alg. 2; their lambda is
 *                                                 weight_decay times the rate without its schedule)
 *
 * Decay never enters g: a gradient that is clipped and noised holds patients' gradients alone. It is
 * of weights only (param_decays).
 */
#ifndef AGENT_TRAIN_OPTIMISER_H
#define AGENT_TRAIN_OPTIMISER_H

#include <stddef.h>
#include <stdint.h>

#include "common/study/study.h"
#include "common/tape/params.h"

/** Borrowed arrays; zeroed is the start. */
struct optimiser {
    uint64_t t; /**< steps taken */
    double *m;  /**< [P] momentum, or first moment */
    double *v;  /**< [P] second moment (Adam) */
};

enum { OPTIMISER_MOMENTS_MAX = 2 };

/** How many of m and v the next step reads: what has to be kept between rounds. Plain SGD: 0. */
size_t optimiser_moments(const struct study_local *local);

/** w [P] moves by -rate * direction(gradient [P]). @param rate of this step: study_rate */
void optimiser_step(struct optimiser *o, const struct study_local *local, double rate,
                    const struct param_table *table, const double *gradient, double *w);

#endif
