/**
 * @file config_internal.h
 * What the readers of one `configs/sim` file share: config.c the file and its maps, config_grid.c the grid.
 */
#ifndef SIM_SWEEP_CONFIG_INTERNAL_H
#define SIM_SWEEP_CONFIG_INTERNAL_H

#include "sim/sweep/sweep_internal.h"

/** Where a key may be of either of two types: `other` takes the place of the row of its name, if `instead`. */
void sweep_config_instead(struct config_key *table, size_t n, const struct config_key *other,
                          bool instead);

/** Fills the lists of `s` and its delta; what is wrong is an issue. @return the lists of what varies the
 *  study itself, which need the cohort to be read */
struct sweep_changes sweep_config_grid(const struct config_node *map, struct sweep *s,
                                       struct config_issues *issues);
void sweep_config_print_grid(FILE *to);
/** `run`: one cell, the study as it is written. */
void sweep_config_cell(struct sweep *s, uint64_t seed);
/** The command line's words over both. @retval RC_INVALID epsilon, noise and delta do not go together */
RC sweep_config_override(struct sweep *s, const struct sweep_overrides *o, struct error *err);

#endif
