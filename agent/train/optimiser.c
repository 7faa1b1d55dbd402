#include "agent/train/optimiser.h"

#include <math.h>

static void sgd(struct optimiser *o, const struct study_local *local, const double *gradient,
                double *w, size_t P)
{
    for (size_t i = 0; i < P; i++) {
        o->m[i] = local->momentum * o->m[i] + gradient[i];
        w[i] -= local->rate * o->m[i];
    }
}

static void adam(struct optimiser *o, const struct study_local *local, const double *gradient,
                 double *w, size_t P)
{
    const double unbias1 = 1.0 - pow(local->beta1, (double)o->t);
    const double unbias2 = 1.0 - pow(local->beta2, (double)o->t);
    for (size_t i = 0; i < P; i++) {
        const double g = gradient[i];
        o->m[i] = local->beta1 * o->m[i] + (1.0 - local->beta1) * g;
        o->v[i] = local->beta2 * o->v[i] + (1.0 - local->beta2) * g * g;
        w[i] -= local->rate * (o->m[i] / unbias1) / (sqrt(o->v[i] / unbias2) + local->epsilon);
    }
}

void optimiser_step(struct optimiser *o, const struct study_local *local, const double *gradient,
                    double *w, size_t P)
{
    o->t++;
    if (local->optimiser == STUDY_ADAM) {
        adam(o, local, gradient, w, P);
    } else {
        sgd(o, local, gradient, w, P);
    }
}
