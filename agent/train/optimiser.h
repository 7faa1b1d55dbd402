/**
 * @file optimiser.h
 * What a site does with a released mean gradient: SGD with momentum, or Adam. Post-processing: it
 * sees noised numbers only. State is kept between rounds in the ledger, with the adapters.
 */
#ifndef AGENT_TRAIN_OPTIMISER_H
#define AGENT_TRAIN_OPTIMISER_H

#include <stddef.h>
#include <stdint.h>

#include "common/study/study.h"

/** Borrowed arrays; zeroed is the start. */
struct optimiser {
    uint64_t t; /**< steps taken */
    double *m;  /**< [P] momentum, or first moment */
    double *v;  /**< [P] second moment (Adam) */
};

/** w [P] -= rate * direction(gradient [P]). SGD: m = momentum m + g (Polyak 1964); Adam: Kingma, Ba
 *  2015, Alg. 1. */
void optimiser_step(struct optimiser *o, const struct study_local *local, const double *gradient,
                    double *w, size_t P);

#endif
