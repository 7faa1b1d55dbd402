/**
 * @file plan.h
 * `--dry-run`: what would be trained, and what it will take.
 */
#ifndef SIM_APP_PLAN_H
#define SIM_APP_PLAN_H

#include "sim/sweep/sweep.h"

/** Measures each kind of cell, and prints a line for each; as one object with `json`. */
RC plan_show(const struct sweep *s, const struct sweep_work *work, bool json, struct error *err);

#endif
