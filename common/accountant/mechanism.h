/**
 * @file mechanism.h
 * What is accounted, under add/remove of one patient: steps of the Poisson-subsampled Gaussian
 * mechanism, and releases that are (epsilon, 0)-private by themselves. Fixed-size or shuffled batches are
 * another mechanism with a worse epsilon.
 *
 * Of a pure mechanism only its epsilon is asked. Randomised response of that epsilon, whose loss is
 * +epsilon with probability 1 / (1 + exp(-epsilon)) and else -epsilon, dominates every one (Kairouz, Oh,
 * Viswanath 2015, Thm. 3.1), and is exactly the pair of a count that changes by one under discrete Laplace
 * noise (common/dp/laplace.h): where log P/Q is +-epsilon everywhere.
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
    double
        pure; /**< above 0: no Gaussian, each step is (this epsilon, 0)-private; q and sigma are 0 */
};

/** Does a step of it cost anything? */
static inline bool mechanism_costs(const struct mechanism *m)
{
    return m->q > 0.0 || m->pure > 0.0;
}

/**
 * Walks through kinds (q, sigma, pure) in a fixed order, each once with all its steps (at most UINT64_MAX), so
 * that rounds added one by one, all at once or in another order give the same bits.
 * @param last the kind returned before; NULL: from the beginning
 * @return false: that was the last one
 */
bool mechanism_next(const struct mechanism *m, size_t n, const struct mechanism *last,
                    struct mechanism *next);

#endif
