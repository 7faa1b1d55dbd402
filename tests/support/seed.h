/**
 * @file seed.h
 * The seed of a randomised test: printed, so that a red run can be repeated.
 */
#ifndef TESTS_SUPPORT_SEED_H
#define TESTS_SUPPORT_SEED_H

#include <stdint.h>

/** The same in every run, unless WARDROUND_SEED says another. */
uint64_t seed_of_run(void);

#endif
