/**
 * @file pld_internal.h
 * What pld_step.c (one step on the grid) and pld.c (all of them) share.
 */
#ifndef COMMON_ACCOUNTANT_PLD_INTERNAL_H
#define COMMON_ACCOUNTANT_PLD_INTERNAL_H

#include <stddef.h>

#include "common/accountant/fft.h"

/** One step of a mechanism with q in (0, 1], or of a pure one, on the points i h. */
struct pld_step {
    double q, sigma, pure;
    double h;
    double
        cut; /**< mass that may be left out at either end, and is then counted as infinite loss */
    double order; /**< > 1: of the moments wanted */
    /* out: */
    double infinite[2];   /**< mass at infinite loss, "remove" and "add" */
    double log_moment[2]; /**< log E exp((order - 1) L) of the finite part, L of that direction */
};

/** Adds the step's mass to x: "remove" at re[i mod n], "add" at im[-i mod n]. */
void pld_step_put(struct pld_step *s, struct complex *x, size_t n);

#endif
