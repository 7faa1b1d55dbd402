#include <math.h>

#include "common/accountant/accountant.h"
#include "common/study/study.h"

size_t study_steps(const struct study *s)
{
    return s->rounds * s->local.steps;
}

enum rc study_plan(struct study *s, struct error *err)
{
    struct study_privacy *p = &s->privacy;
    switch (p->noise) {
    case STUDY_NOISE_NONE:
        if (!isinf(p->epsilon) || p->epsilon < 0) {
            return error_set(err, RC_INVALID, "epsilon %g needs noise", p->epsilon);
        }
        p->noise_multiplier = 0.0;
        return RC_OK;
    case STUDY_NOISE_SITE:
        break;
    case STUDY_NOISE_SHARED:
        return error_set(err, RC_INVALID,
                         "shared noise needs secure aggregation, which this version does not have "
                         "yet; use noise: site");
    }
    if (!isfinite(p->epsilon) || !(p->epsilon > 0)) {
        return error_set(err, RC_INVALID, "noise needs a finite epsilon above 0, not %g",
                         p->epsilon);
    }
    double sigma;
    const enum rc rc =
        accountant_sigma(p->epsilon, p->delta, p->sample_rate, study_steps(s), &sigma, err);
    if (rc == RC_OK) {
        p->noise_multiplier = sigma;
    }
    return rc;
}
