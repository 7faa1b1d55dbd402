#include "agent/train/optimiser.h"

#include <math.h>

static void sgd(struct optimiser *o, const struct study_local *local, double rate,
                const double *gradient, double *w, size_t P)
{
    for (size_t i = 0; i < P; i++) {
        o->m[i] = local->momentum * o->m[i] + gradient[i];
        w[i] -= rate * o->m[i];
    }
}

static void adam(struct optimiser *o, const struct study_local *local, double rate,
                 const double *gradient, double *w, size_t P)
{
    const double unbias1 = 1.0 - pow(local->beta1, (double)o->t);
    const double unbias2 = 1.0 - pow(local->beta2, (double)o->t);
    for (size_t i = 0; i < P; i++) {
        const double g = gradient[i];
        o->m[i] = local->beta1 * o->m[i] + (1.0 - local->beta1) * g;
        o->v[i] = local->beta2 * o->v[i] + (1.0 - local->beta2) * g * g;
        w[i] -= rate * (o->m[i] / unbias1) / (sqrt(o->v[i] / unbias2) + local->epsilon);
    }
}

static void decay(const struct param_table *table, double share, double *w)
{
    for (size_t k = 0; k < table->n; k++) {
        const struct param *p = &table->param[k];
        for (size_t i = 0; param_decays(p) && i < p->size; i++) {
            w[p->offset + i] -= share * w[p->offset + i];
        }
    }
}

size_t optimiser_moments(const struct study_local *local)
{
    switch (local->optimiser) {
    case STUDY_ADAMW:
    case STUDY_ADAM:
        return 2;
    case STUDY_SGD:
        return local->momentum != 0.0 ? 1 : 0;
    }
    return 0;
}

void optimiser_step(struct optimiser *o, const struct study_local *local, double rate,
                    const struct param_table *table, const double *gradient, double *w)
{
    o->t++;
    switch (local->optimiser) {
    case STUDY_ADAMW:
        decay(table, rate * local->weight_decay, w);
        adam(o, local, rate, gradient, w, table->P);
        break;
    case STUDY_ADAM:
        adam(o, local, rate, gradient, w, table->P);
        break;
    case STUDY_SGD:
        sgd(o, local, rate, gradient, w, table->P);
        break;
    }
}
