/**
 * @file mechanism.h
 * What is accounted: steps of the Poisson-subsampled Gaussian mechanism, under add/remove of one
 * patient. Fixed-size or shuffled batches are another mechanism with a worse epsilon.
 */
#ifndef COMMON_ACCOUNTANT_MECHANISM_H
#define COMMON_ACCOUNTANT_MECHANISM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** `steps` steps of the same mechanism. sigma = 0: no noise, epsilon is infinite. */
struct mechanism {
    double q;     /**< sampling rate in [0, 1] */
    double sigma; /**< noise multiplier: noise standard deviation / sensitivity */
    uint64_t steps;
};

/**
 * Walks through kinds (q, sigma) in a fixed order, each once with all its steps (at most UINT64_MAX), so
 * that rounds added one by one, all at once or in another order give the same bits.
 * @param last the kind returned before; NULL: from the beginning
 * @return false: that was the last one
 */
bool mechanism_next(const struct mechanism *m, size_t n, const struct mechanism *last,
                    struct mechanism *next);

#endif
