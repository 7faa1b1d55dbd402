/**
 * @file audit.h
 * A lower bound on epsilon from an attack that was really carried out: many runs with a canary and many
 * without, and a test, fixed before the first run, that says for each "it was there".
 *
 * With false positives and false negatives bounded from above by Clopper and Pearson (1934), each at half
 * of the risk, every (epsilon, delta)-private mechanism has
 *     1 - FNR <= exp(epsilon) FPR + delta                                (Kairouz, Oh, Viswanath 2015)
 * and of a Gaussian mechanism mu >= Phi^-1(1 - FPR) - Phi^-1(FNR) (Nasr et al. 2023, "Tight auditing"),
 * which converts to a larger epsilon. A bound above what was claimed disproves the claim at that risk;
 * one below proves nothing but that this attack has not found a fault.
 */
#ifndef COMMON_ACCOUNTANT_AUDIT_H
#define COMMON_ACCOUNTANT_AUDIT_H

#include <stddef.h>

/** What the test said. */
struct audit_counts {
    size_t in, in_found;   /**< runs with the canary; of them, said to have it */
    size_t out, out_found; /**< runs without; of them, said to have it */
};

/** Both hold with probability 1 - risk; 0 where nothing can be said. */
struct audit_bounds {
    double epsilon;              /**< of any mechanism, at delta */
    double mu, epsilon_gaussian; /**< of a Gaussian mechanism (q = 1), at delta */
};

/** @param risk, delta in (0, 1) */
struct audit_bounds audit_lower(const struct audit_counts *counts, double delta, double risk);

/** Clopper, Pearson 1934: the largest share under which `k` or fewer of `n` have at least this chance; 1
 *  where n is 0. The interval of k of n is [1 - most(n - k), most(k)]. */
double audit_share_most(size_t k, size_t n, double chance);

/** Many canaries in one run, each there or not by a fair coin of its own. */
struct audit_guesses {
    size_t coins;   /**< canaries whose coins were thrown */
    size_t guesses; /**< how many coins the attacker named: fixed before the run */
    size_t right;   /**< of them, named rightly */
};

/**
 * Lower bound on epsilon from one run with many canaries (Steinke, Nasr, Jagielski 2023, arXiv 2305.08846,
 * Theorem 5.2): at the true (epsilon, delta) so many right guesses have at most the chance `risk`. The
 * canaries need not be independent of one another, their coins are. Runs with canaries of their own count
 * as one. 0 where nothing can be said.
 */
double audit_one_run(const struct audit_guesses *g, double delta, double risk);

#endif
