/**
 * @file cohort.h
 * A small invented cohort in memory, for tests of models, training and fleets: two continuous
 * features (one may miss), a binary and a categorical one, several rows for some patients.
 */
#ifndef TESTS_SUPPORT_COHORT_H
#define TESTS_SUPPORT_COHORT_H

#include "common/cohort/cohort.h"
#include "common/schema/schema.h"

/** Release with schema_release. */
void test_schema(struct schema *out);

/** The same features, with a label that is one of three classes. */
void test_schema_of_classes(struct schema *out);

/**
 * Patients 0 … n-1 of the seed, with ids that do not depend on n; label follows the features.
 * Patient `without` (SIZE_MAX: none) is left out. Close with dataset_close.
 */
struct dataset *test_dataset(const struct schema *s, const char *site, size_t n, uint64_t seed,
                             size_t without);

#endif
