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

#endif
