/**
 * @file wide.h
 * Kernel-internal: WIDE before a definition compiles it for several vector widths; the processor
 * chooses when the program starts. The numbers do not depend on the choice: products are not
 * contracted (-ffp-contract=off), and reductions name their lanes.
 */
#ifndef COMMON_KERNEL_WIDE_H
#define COMMON_KERNEL_WIDE_H

/* Sanitizers run code before they are ready for it: their builds have one version. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

/** A piece of a WIDE function, compiled for the width of the whole. */
#define WIDE_PART static inline __attribute__((always_inline))

/** Lanes of a reduction: element i goes to lane i % LANES, and in which order these are added is written. */
enum { LANES = 16 };

#endif
