#include <math.h>

#include "common/accountant/accountant.h"
#include "common/study/draft_internal.h"
#include "common/study/study.h"

size_t study_steps(const struct study *s)
{
    return s->rounds * s->local.steps;
}

size_t study_rounds_most(const struct study *s)
{
    return s->rounds + (s->masked ? s->spare_rounds : 0);
}

size_t study_steps_most(const struct study *s)
{
    return study_rounds_most(s) * s->local.steps;
}

static RC solve(struct study *s, struct error *err)
{
    struct study_privacy *p = &s->privacy;
    const enum rc fits = study_check_masking(s, err);
    if (fits != RC_OK) { /* an override that does not fit */
        return fits;
    }
    switch (p->noise) {
    case STUDY_NOISE_NONE:
        if (!isinf(p->epsilon) || p->epsilon < 0) {
            return error_set(err, RC_INVALID, "epsilon %g needs noise", p->epsilon);
        }
        p->noise_multiplier = 0.0;
        study_choose_without_noise(s);
        return RC_OK;
    case STUDY_NOISE_SITE:
    case STUDY_NOISE_SHARED:
        break;
    }
    if (!isfinite(p->epsilon) || !(p->epsilon > 0)) {
        return error_set(err, RC_INVALID, "noise needs a finite epsilon above 0, not %g",
                         p->epsilon);
    }
    if (s->wish.passes > 0.0) {
        return study_choose(s, err);
    }
    double sigma;
    const enum rc rc =
        accountant_sigma(p->epsilon, p->delta, p->sample_rate, study_steps_most(s), &sigma, err);
    if (rc == RC_OK) {
        p->noise_multiplier = sigma;
    }
    return rc;
}

enum rc study_plan(struct study *s, struct error *err)
{
    const struct study before = *s; /* whose sites it borrows */
    enum rc rc = solve(s, err);
    if (rc == RC_OK) {
        rc = study_check_ring(s, err);
        if (rc != RC_OK) {
            *s = before;
        }
    }
    return rc;
}

enum rc study_take_sigma(struct study *s, double sigma, struct error *err)
{
    const double least = 1e-6, most = 1e6; /* what accountant_sigma solves within */
    struct study_privacy *p = &s->privacy;

    if (p->noise == STUDY_NOISE_NONE) {
        if (!(sigma >= 0.0 && sigma <= 0.0)) {
            return error_set(err, RC_INVALID,
                             "a study without noise comes with a noise multiplier of %.17g; it "
                             "must be 0",
                             sigma);
        }
        p->noise_multiplier = 0.0;
        return RC_OK;
    }
    if (!(sigma >= least && sigma <= most)) {
        return error_set(err, RC_INVALID,
                         "a study with noise comes with a noise multiplier of %.17g; it must lie "
                         "between 1e-6 and 1e6",
                         sigma);
    }
    const struct mechanism all = {.q = p->sample_rate,
                                  .sigma = sigma,
                                  .steps = study_steps_most(s)};
    const double epsilon = accountant_epsilon_against(&all, 1, p->delta, p->epsilon);
    if (!(epsilon <= p->epsilon)) {
        return error_set(
            err, RC_INVALID,
            "the noise multiplier %.17g costs epsilon %.17g at delta %g, more than the "
            "%.17g that the study states",
            sigma, epsilon, p->delta, p->epsilon);
    }
    const double before = p->noise_multiplier;
    p->noise_multiplier = sigma;
    const enum rc rc = study_check_ring(s, err);
    if (rc != RC_OK) {
        p->noise_multiplier = before;
        err->rc = RC_INVALID;
    }
    return rc == RC_OK ? RC_OK : RC_INVALID;
}
