/**
 * @file ledger.h
 * A site's ledger on the disk for tests: studies that it joins, rounds that it spends, and its files' end. What
 * does not succeed fails the test.
 */
#ifndef TESTS_SUPPORT_LEDGER_H
#define TESTS_SUPPORT_LEDGER_H

#include "agent/ledger/ledger.h"

/** Seven rounds of three steps; stated epsilon 4 at delta 1e-4, C = 1.5. */
struct study test_ledger_study(const char *name, double q, double sigma);
/** What stands for the study's hash: that of its name. */
struct hash test_ledger_hash(const struct study *s);

struct ledger *test_ledger_open(const char *path, const struct ledger_policy *policy);
/** With 117 patients. */
void test_ledger_join(struct ledger *l, const struct study *s, int64_t now_ms);
/** A round as planned, with a cohort and a model, no site state, 2 s and `round` ms after the epoch. */
struct ledger_spend test_ledger_round(const struct study *s, uint64_t round, const char *update);
void test_ledger_spend(struct ledger *l, const struct ledger_spend *p);

/** Ledger, log and mark; what is not there is no fault. */
void test_ledger_remove(const char *path);

#endif
