/**
 * @file study.h
 * A small study, for tests of training, merging and fleets to change where they are about it.
 */
#ifndef TESTS_SUPPORT_STUDY_H
#define TESTS_SUPPORT_STUDY_H

#include "common/study/study.h"

/**
 * Three rounds of one plain step and FedAvg, all sites in each, noise of each site's own. It has no model
 * yet, and sites have a name and no nominal size. `site` [n] stays the caller's.
 */
struct study test_study(const char *const *names, size_t n, struct study_site *site);

#endif
