/**
 * @file conv_tile_internal.h
 * The one inner loop that convolution forward, backward and weight gradient are made of: a few rows of
 * numbers times a panel, with the sums in registers.
 *
 *   y[p][o] (+)= sum_{r < runs, j < run} x[p][r*x_run + j*x_step] * w[r*w_run + j*w_step + o]
 *
 * for p < n and o < O. forward: p output positions, x a window, w the packed weights; input gradient: the
 * same over dy; weight gradient: p places in the window, x the sample, w the rows of dy.
 */
#ifndef COMMON_KERNEL_CONV_TILE_INTERNAL_H
#define COMMON_KERNEL_CONV_TILE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/kernel/real.h"

enum {
    TILE_ROWS_MAX = 8,  /**< no variant has more rows */
    TILE_COLS_MAX = 32, /**< nor more columns */
    TILE_ALIGN = 16     /**< panels are readable up to the next multiple of so many columns */
};

struct tile_job {
    real *y[TILE_ROWS_MAX];
    const real *x[TILE_ROWS_MAX]; /**< all `rows` of the variant are read; beyond n: repeat any */
    const real *w;
    size_t n, O; /**< rows and columns to write; O <= cols */
    size_t runs, run, x_run, x_step, w_run, w_step;
    bool add; /**< += */
};

/** One instruction set's version. */
struct tile {
    size_t rows, cols;
    void (*run)(const struct tile_job *job);
    const char *name;
};

/** The versions that this processor can run, best first; NULL beyond the last. */
const struct tile *tile_variant(size_t i);

#endif
