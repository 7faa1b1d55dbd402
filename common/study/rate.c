#include <assert.h>
#include <math.h>

#include "common/study/study.h"

double study_rate(const struct study *study, uint64_t round, size_t step)
{
    const double pi = 3.14159265358979323846;
    const struct study_local *local = &study->local;
    assert(round >= 1);
    assert(step < local->steps);
    const double k = (double)(round - 1) * (double)local->steps + (double)step;
    const double W = (double)local->warmup_steps;
    const double T = (double)study_steps(study);
    if (k < W) {
        return local->rate * (k + 1.0) / W;
    }
    if (local->schedule == STUDY_CONSTANT) {
        return local->rate;
    }
    const double at = fmin(k, T - 1.0); /* a spare round goes as far as the last one */
    const double done = at > W ? (at - W) / (T - W) : 0.0;
    const double f = local->rate_floor;
    return local->rate * (f + (1.0 - f) * 0.5 * (1.0 + cos(pi * done)));
}
