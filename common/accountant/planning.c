#include "common/accountant/planning.h"

#include <math.h>

#include "common/accountant/accountant.h"

static RC fault(const struct planning_wish *w, struct error *err)
{
    if (!(w->passes > 0.0 && isfinite(w->passes))) {
        return error_set(err, RC_INVALID, "the passes over the data must be a positive number");
    }
    if (w->steps_least == 0 || w->steps_most < w->steps_least) {
        return error_set(err, RC_INVALID,
                         "steps must be at least 1, and their most not below their least");
    }
    return RC_OK;
}

double planning_rate(double passes, uint64_t steps)
{
    return fmin(1.0, passes / (double)steps);
}

static RC at_steps(const struct planning_wish *w, uint64_t steps, struct planning_choice *out,
                   struct error *err)
{
    struct planning_choice c = {.q = planning_rate(w->passes, steps), .steps = steps};
    const enum rc rc = accountant_sigma(w->epsilon, w->delta, c.q, steps, &c.sigma, err);
    c.signal = rc == RC_OK ? c.q * sqrt((double)steps) / c.sigma : 0.0;
    *out = c;
    return rc;
}

enum rc planning_choose(const struct planning_wish *wish,
                        struct planning_choice choice[PLANNING_CHOICES], size_t *n, size_t *best,
                        struct error *err)
{
    double most = 0.0;
    size_t count = 0;
    enum rc rc = fault(wish, err);

    for (uint64_t steps = wish->steps_least;
         rc == RC_OK && steps <= wish->steps_most && count < PLANNING_CHOICES; steps *= 2) {
        rc = at_steps(wish, steps, &choice[count], err);
        most = fmax(most, choice[count].signal);
        count++;
        if (steps > UINT64_MAX / 2) {
            break;
        }
    }
    if (rc != RC_OK) {
        return rc;
    }
    *n = count;
    *best = 0;
    while (choice[*best].signal < 0.99 * most) {
        ++*best;
    }
    return RC_OK;
}
