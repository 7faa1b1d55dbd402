/**
 * @file curve_internal.h
 * A world's learning curve: the AUROC of the fold's tested patients at some of its rounds, each scored with
 * what their hospital would have used then.
 */
#ifndef SIM_SWEEP_CURVE_INTERNAL_H
#define SIM_SWEEP_CURVE_INTERNAL_H

#include "sim/sweep/sweep_internal.h"

/** One study that runs in a world. Borrowed. */
struct sweep_scene {
    const struct study *study;
    const struct model *model;
    const size_t *of; /**< [study->n_sites] sites of the dataset; SIZE_MAX: all patients */
    real *params;     /**< [P] room */
};

/** How many sites of the roster are to be scored: 1 where all use the same parameters, and the first stands
 *  for everybody. */
size_t sweep_scored_apart(const struct sweep_world *w, const struct sweep_scene *scene);
/** Scores the tested patients of roster site i < sweep_scored_apart, with the shared parameters and its
 *  own. */
RC sweep_score_site(const struct sweep_world *w, const struct sweep_scene *scene, size_t i,
                    const real *global, const void *state, size_t state_bytes, struct error *err);
/** And those of hospitals that an ablation left out, of a federation: with what they would be given. */
RC sweep_score_left_out(const struct sweep_world *w, const struct sweep_scene *scene,
                        const real *global, struct error *err);

/** What watches a fleet for w->curve. Zeroed: nothing. */
struct sweep_curve {
    struct sweep_world at; /**< with scores of its own */
    const struct sweep_scene *scene;
    size_t n, done;
};

/** `scene` is borrowed until the end; w->curve NULL: nothing will be watched. */
RC sweep_curve_open(struct sweep_curve *c, const struct sweep_world *w,
                    const struct sweep_scene *scene, struct error *err);
void sweep_curve_close(struct sweep_curve *c);
struct fleet_watch sweep_curve_watch(struct sweep_curve *c);

#endif
