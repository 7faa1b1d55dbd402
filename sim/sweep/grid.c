/* Which rows there are, and what each of them is. */
#include <math.h>

#include "sim/sweep/sweep_internal.h"

/* A site alone, or the pool, has nobody to share its noise with: one noise is as good as another there, and
 * without any there is no difference either. */
static bool there_already(enum sweep_mode mode, size_t noise, double epsilon)
{
    return noise > 0 && (mode != SWEEP_FEDERATED || isinf(epsilon));
}

void sweep_grid_lay(struct sweep *s)
{
    s->n_settings = 0;
    for (size_t m = 0; m < s->n_modes; m++) {
        for (size_t n = 0; n < s->n_noises; n++) {
            for (size_t e = 0; e < s->n_epsilons; e++) {
                if (!there_already(s->mode[m], n, s->epsilon[e])) {
                    s->setting[s->n_settings++] = (struct sweep_setting){.mode = s->mode[m],
                                                                         .noise = s->noise[n],
                                                                         .epsilon = s->epsilon[e]};
                }
            }
        }
    }
}

size_t sweep_rows(const struct sweep *s)
{
    return s->n_ablations * s->n_settings * s->n_seeds;
}

size_t sweep_worlds(const struct sweep *s)
{
    return sweep_rows(s) * sweep_folds(s);
}

struct sweep_cell sweep_cell_at(const struct sweep *s, size_t row)
{
    const size_t k = row / s->n_seeds;
    const struct sweep_setting *at = &s->setting[k % s->n_settings];
    const bool noisy = isfinite(at->epsilon);
    const bool alone = at->mode != SWEEP_FEDERATED;
    const enum study_noise noise =
        alone && at->noise == STUDY_NOISE_SHARED ? STUDY_NOISE_SITE : at->noise;
    return (struct sweep_cell){.ablation = &s->ablation[k / s->n_settings],
                               .mode = at->mode,
                               .noise = noisy ? noise : STUDY_NOISE_NONE,
                               .epsilon = at->epsilon,
                               .delta = noisy ? s->delta : 0.0,
                               .seed = s->seed[row % s->n_seeds]};
}

const char *sweep_mode_name(enum sweep_mode mode)
{
    static const char *const name[] = {"pooled", "federated", "local_only"};
    return name[mode];
}
