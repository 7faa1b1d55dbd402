/* Scoring changes nothing of the world: it draws no number and is told after the commit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics/metrics.h"
#include "sim/sweep/curve_internal.h"

size_t sweep_curve_points(const struct sweep *s, enum sweep_mode mode, size_t rounds)
{
    const size_t most = mode == SWEEP_LOCAL_ONLY ? 0 : s->curves;
    return most < rounds ? most : rounds;
}

size_t sweep_curve_round(size_t k, size_t n, size_t rounds)
{
    return (k + 1) * rounds / n;
}

/* A fold whose tested patients are of one class has no AUROC. */
static enum rc auroc_of_fold(const struct sweep_world *w, double *out, struct error *err)
{
    const struct dataset *d = w->s->data;
    struct interval auroc = {.value = (double)NAN};
    struct error why = {0};
    const size_t C = sweep_outputs(w->s);
    double *x = calloc(d->n_patients * C + 1, sizeof *x);
    double *y = calloc(d->n_patients + 1, sizeof *y);
    size_t n = 0;
    enum rc rc = RC_OK;
    if (x == NULL || y == NULL) {
        rc = error_set(err, RC_NOMEM, "no memory for %zu scores", d->n_patients);
        goto out;
    }
    for (size_t p = 0; p < d->n_patients; p++) {
        if (w->part[p] == w->fold) {
            memcpy(x + n * C, w->score + p * C, C * sizeof *x);
            y[n] = (double)d->label[p];
            n++;
        }
    }
    rc = C > 1 ? metrics_class_auroc(x, y, n, C, &auroc, &why)
               : metrics_auroc(x, y, n, &auroc, &why);
    *out = rc == RC_OK ? auroc.value : (double)NAN;
    rc = rc == RC_OK || rc == RC_STATE ? RC_OK
                                       : error_set(err, rc, "a learning curve: %s", why.text);
out:
    free(x);
    free(y);
    return rc;
}

static enum rc score_everybody(const struct sweep_curve *c, struct fleet *f, const real *global,
                               struct error *err)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sweep_scored_apart(&c->at, c->scene); i++) {
        const void *state = NULL;
        size_t n = 0;
        rc = fleet_state(f, i, &state, &n, err);
        if (rc == RC_OK) {
            rc = sweep_score_site(&c->at, c->scene, i, global, state, n, err);
        }
    }
    return rc == RC_OK ? sweep_score_left_out(&c->at, c->scene, global, err) : rc;
}

static enum rc committed(void *ctx, struct fleet *f, uint64_t round, const real *global,
                         struct error *err)
{
    struct sweep_curve *c = ctx;
    if (c->done == c->n || round != sweep_curve_round(c->done, c->n, c->at.plan.rounds)) {
        return RC_OK;
    }
    enum rc rc = score_everybody(c, f, global, err);
    if (rc == RC_OK) {
        rc = auroc_of_fold(&c->at, &c->at.curve[c->done], err);
    }
    c->done++;
    return rc;
}

enum rc sweep_curve_open(struct sweep_curve *c, const struct sweep_world *w,
                         const struct sweep_scene *scene, struct error *err)
{
    const size_t n = w->s->data->n_patients;
    const size_t points = sweep_curve_points(w->s, w->cell.mode, w->plan.rounds);
    *c = (struct sweep_curve){.at = *w, .scene = scene, .n = w->curve != NULL ? points : 0};
    c->at.score = calloc(n * sweep_outputs(w->s) + 1, sizeof *c->at.score);
    return c->at.score != NULL ? RC_OK : error_set(err, RC_NOMEM, "no memory for %zu scores", n);
}

void sweep_curve_close(struct sweep_curve *c)
{
    free(c->at.score);
    *c = (struct sweep_curve){0};
}

struct fleet_watch sweep_curve_watch(struct sweep_curve *c)
{
    return (struct fleet_watch){.ctx = c, .committed = c->n > 0 ? committed : NULL};
}
