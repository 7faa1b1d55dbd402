/**
 * @file scalar_internal.h
 * What a plain word of a file means. Each reader is strict: the whole text must be the value, in
 * one spelling, so that no typing error is silently another number.
 */
#ifndef COMMON_CONFIG_SCALAR_INTERNAL_H
#define COMMON_CONFIG_SCALAR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

/*
 * Each hands back NULL and writes the value, or a short literal that says what is wrong with the
 * node ("is not a number") and leaves the value alone.
 */
const char *scalar_text(const struct config_node *node, const char **out);
/** Decimal, with or without point and exponent; `inf` and `.inf` with an optional sign. */
const char *scalar_real(const struct config_node *node, double *out);
/** Decimal digits without sign, point, exponent or leading zero. */
const char *scalar_u64(const struct config_node *node, uint64_t *out);
const char *scalar_count(const struct config_node *node, size_t *out);
const char *scalar_bool(const struct config_node *node, bool *out);

/** The nearest of `n` known words within a third of their length, or NULL. */
const char *scalar_nearest(const char *word, const char *const *known, size_t n);

enum { SCALAR_RANGE_BYTES = 96 };
/** The bounds of a number in words: "from 1 to 8", "at least 0", or "" where it has none. */
void scalar_range(const struct config_key *key, char out[SCALAR_RANGE_BYTES]);
/** Neither bound was given. */
bool scalar_unbounded(const struct config_key *key);

#endif
