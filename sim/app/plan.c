#include "sim/app/plan.h"

#include <math.h>
#include <stdio.h>

#include "sim/app/progress.h"
#include "sim/app/words.h"

static json_t *kind_json(const struct sweep_kind *k)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:f, s:I, s:I, s:f, s:f, s:I, s:f}", "ablation",
                     k->ablation, "model", k->model, "mode", k->mode, "noise", k->noise, "epsilon",
                     isfinite(k->epsilon) ? json_real(k->epsilon) : json_null(), "delta", k->delta,
                     "rounds", (json_int_t)k->rounds, "steps", (json_int_t)k->steps, "sample_rate",
                     k->sample_rate, "noise_multiplier", k->noise_multiplier, "worlds",
                     (json_int_t)k->left, "seconds", k->seconds);
}

static json_t *plan_json(const struct sweep *s, const struct sweep_estimate *e)
{
    json_t *kinds = json_array();
    for (size_t i = 0; i < e->n; i++) {
        (void)json_array_append_new(kinds, kind_json(&e->kind[i]));
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:o}", "study", s->name, "rows",
                     (json_int_t)sweep_rows(s), "worlds", (json_int_t)sweep_worlds(s),
                     "worlds_left", (json_int_t)e->left, "patients",
                     (json_int_t)s->data->n_patients, "jobs", (json_int_t)s->jobs, "seconds",
                     e->seconds, "bytes", (json_int_t)e->bytes, "kinds", kinds);
}

static void print_kind(const struct sweep_kind *k)
{
    char privacy[64] = "no noise";
    if (isfinite(k->epsilon)) {
        (void)snprintf(privacy, sizeof privacy, "%s noise, epsilon %g, delta %g", k->noise,
                       k->epsilon, k->delta);
    }
    (void)printf("    %-10s  %-42s %6zu rounds, %6zu steps, rate %-8.4g %5zu worlds", k->mode,
                 privacy, k->rounds, k->steps, k->sample_rate, k->left);
    if (k->left > 0) {
        (void)printf(" of about %.3g s", k->seconds);
    }
    (void)printf("\n");
}

static void print_plan(const struct sweep *s, const struct sweep_estimate *e)
{
    char text[32];
    (void)printf("%s: %zu patients at %zu sites; %zu rows, %zu worlds: ablations %zu, modes %zu, "
                 "noises %zu, epsilons %zu, seeds %zu, folds %zu\n",
                 s->name, s->data->n_patients, s->data->n_sites, sweep_rows(s), sweep_worlds(s),
                 s->n_ablations, s->n_modes, s->n_noises, s->n_epsilons, s->n_seeds,
                 sweep_worlds(s) / sweep_rows(s));
    for (size_t i = 0; i < e->n; i++) {
        const struct sweep_kind *k = &e->kind[i];
        if (i == 0 || k->ablation != e->kind[i - 1].ablation) {
            (void)printf("  %s: %s, %zu sites train\n", k->ablation, k->model, k->n_sites);
        }
        print_kind(k);
    }
    if (e->left == 0) {
        (void)printf("all of them are there: nothing is left to train\n");
        return;
    }
    (void)printf("%zu worlds to train: about %s on %zu %s, with at most %.0f MB of memory, as "
                 "measured here just now\n",
                 e->left, progress_duration(e->seconds, text), s->jobs,
                 s->jobs == 1 ? "thread" : "threads", (double)e->bytes / 1e6);
}

enum rc plan_show(const struct sweep *s, const struct sweep_work *work, bool json,
                  struct error *err)
{
    struct progress bar;
    struct sweep_estimate e = {0};
    progress_init(&bar, "kinds of cells measured", json);
    const struct sweep_progress progress = {.done = progress_show_left, .ctx = &bar};
    struct sweep_work watched = *work;
    watched.progress = &progress;
    enum rc rc = sweep_estimate(s, &watched, &e, err);
    progress_end(&bar);
    if (rc == RC_OK && json) {
        rc = words_json(plan_json(s, &e), err);
    } else if (rc == RC_OK) {
        print_plan(s, &e);
    }
    sweep_estimate_release(&e);
    return rc;
}
