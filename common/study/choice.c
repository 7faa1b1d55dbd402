/* A study whose document has a wish: rate and rounds by the planning rule, or somebody else's choice
 * if it is one that the rule could have made. Steps come in whole rounds of local.steps. */
#include <math.h>

#include "common/accountant/planning.h"
#include "common/study/draft_internal.h"

/* Below, the key sample_rate is refused, too. */
#define RATE_LEAST 1e-6

size_t study_wish_least(const struct study *s)
{
    const size_t rounds = (s->wish.steps_least + s->local.steps - 1) / s->local.steps;
    return (rounds > 0 ? rounds : 1) * s->local.steps;
}

static struct planning_wish wish_of(const struct study *s)
{
    const double most = (double)s->wish.rounds_most * (double)s->local.steps;
    return (struct planning_wish){
        .epsilon = s->privacy.epsilon,
        .delta = s->privacy.delta,
        .passes = s->wish.passes,
        .steps_least = study_wish_least(s),
        .steps_most = (uint64_t)fmin(most, s->wish.passes / RATE_LEAST),
    };
}

enum rc study_choose(struct study *s, struct error *err)
{
    const struct planning_wish wish = wish_of(s);
    struct planning_choice choice[PLANNING_CHOICES];
    size_t n = 0;
    size_t best = 0;
    const enum rc rc = planning_choose(&wish, choice, &n, &best, err);
    if (rc == RC_OK) {
        s->privacy.sample_rate = choice[best].q;
        s->privacy.noise_multiplier = choice[best].sigma;
        s->rounds = choice[best].steps / s->local.steps;
    }
    return rc;
}

void study_choose_without_noise(struct study *s)
{
    if (s->wish.passes > 0.0) {
        const size_t steps = study_wish_least(s);
        s->privacy.sample_rate = planning_rate(s->wish.passes, steps);
        s->rounds = steps / s->local.steps;
    }
}

struct study_choice study_choice_of(const struct study *s)
{
    const bool planned = s->wish.passes > 0.0;
    return (struct study_choice){.sigma = s->privacy.noise_multiplier,
                                 .planned = planned,
                                 .sample_rate = planned ? s->privacy.sample_rate : 0.0,
                                 .rounds = planned ? s->rounds : 0};
}

/* Whether the rule compares this many steps. */
static bool is_compared(const struct planning_wish *w, uint64_t steps)
{
    uint64_t at = w->steps_least;
    for (int i = 1; i < PLANNING_CHOICES && at < steps; i++) {
        at *= 2;
    }
    return at == steps && steps <= w->steps_most;
}

static RC take_plan(struct study *s, const struct study_choice *choice, struct error *err)
{
    const struct planning_wish wish = wish_of(s);
    if (choice->rounds < 1 || choice->rounds > s->wish.rounds_most) {
        return error_set(err, RC_INVALID,
                         "the plan has %zu rounds, and the study allows from 1 to %zu",
                         choice->rounds, s->wish.rounds_most);
    }
    const uint64_t steps = (uint64_t)choice->rounds * s->local.steps;
    if (!is_compared(&wish, steps)) {
        return error_set(err, RC_INVALID,
                         "the plan has %llu steps, which are not among those that the rule "
                         "compares: %llu, twice as many, and so on",
                         (unsigned long long)steps, (unsigned long long)wish.steps_least);
    }
    const double rate = planning_rate(wish.passes, steps);
    if (!(choice->sample_rate >= rate && choice->sample_rate <= rate)) {
        return error_set(err, RC_INVALID,
                         "the plan has a sampling rate of %.17g, and %g passes in %llu steps give "
                         "%.17g",
                         choice->sample_rate, wish.passes, (unsigned long long)steps, rate);
    }
    s->privacy.sample_rate = rate;
    s->rounds = choice->rounds;
    return RC_OK;
}

enum rc study_take_choice(struct study *s, const struct study_choice *choice, struct error *err)
{
    const bool wished = s->wish.passes > 0.0;
    enum rc rc = RC_OK;
    if (wished != choice->planned) {
        return error_set(err, RC_FORMAT,
                         wished ? "the study leaves its rate and rounds to a plan, and none came "
                                  "with it"
                                : "a plan came with a study that states its rate and rounds "
                                  "itself");
    }
    if (wished) {
        rc = take_plan(s, choice, err);
    }
    return rc == RC_OK ? study_take_sigma(s, choice->sigma, err) : rc;
}
