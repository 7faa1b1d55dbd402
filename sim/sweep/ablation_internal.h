/**
 * @file ablation_internal.h
 * What an ablation can be made of (ablation.c reads the list, leave_out.c takes things away).
 */
#ifndef SIM_SWEEP_ABLATION_INTERNAL_H
#define SIM_SWEEP_ABLATION_INTERNAL_H

#include "sim/sweep/sweep_internal.h"

/** Takes the modalities of `list` from schema and data of `a`; what is wrong is an issue at its place. */
void sweep_leave_modalities(const struct config_node *list, struct sweep_ablation *a,
                            struct config_issues *issues);

/** Takes the sites of `list` from the roster of `a`, and lowers quorum, min_sites, max_colluding and
 *  threshold to what is left. */
void sweep_leave_sites(const struct config_node *list, struct sweep_ablation *a,
                       struct config_issues *issues);

/** Keeps the first n sites of the roster, 1 <= n. */
void sweep_keep_sites(size_t n, struct sweep_ablation *a);

#endif
