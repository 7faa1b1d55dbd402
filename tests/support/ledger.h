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

/** Of a test: a folder of its own, with the path of a ledger in it. */
extern char test_ledger_folder[], test_ledger_path[];
int test_ledger_make_folder(void **state);
int test_ledger_remove_folder(void **state);
/** The path with an end such as ".mark"; valid until the call after the next. */
const char *test_ledger_beside(const char *end);

extern const struct ledger_policy test_ledger_generous;
enum { TEST_LEDGER_PATIENTS = 117 };
/** 21 rounds of one step, five sites, of which at least four count and one may collude. */
struct study test_ledger_shared_study(void);
/** At 1 s. */
void test_ledger_join_now(struct ledger *l, const struct study *s);

/** test_ledger_round with this text as the site's state. */
extern const char *const test_ledger_state;
struct ledger_spend test_ledger_round_with_state(const struct study *s, uint64_t round,
                                                 const char *update);
void test_ledger_spend_round(struct ledger *l, const struct study *s, uint64_t round,
                             const char *update);

/** Whether the round's update is stored; if so it is `want` (NULL: whatever). */
bool test_ledger_has(struct ledger *l, const struct study *s, uint64_t round, const char *want);
/** The round of the stored state, which is test_ledger_state; 0: none */
uint64_t test_ledger_state_round(struct ledger *l, const struct study *s);
/** Epsilon of everything, and of one study. */
double test_ledger_total(struct ledger *l, double delta);
double test_ledger_of_study(struct ledger *l, const struct study *s, double delta);
/** What the accountant says of one mechanism. */
double test_ledger_cost(double q, double sigma, uint64_t steps, double delta);
void test_ledger_same_bits(double a, double b);

/** Rows in the order of ledger_each_row's calls. */
struct test_ledger_seen {
    size_t n;
    struct ledger_row row[8];
};
void test_ledger_see(void *ctx, const struct ledger_row *row);
/** How many spends the mark beside the ledger says there are. */
long long test_ledger_marked(void);

#endif
