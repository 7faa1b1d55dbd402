#include "sim/app/privacy.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argp.h>
#include <jansson.h>

#include "common/accountant/accountant.h"
#include "common/accountant/planning.h"
#include "common/accountant/rdp.h"
#include "common/base/clock.h"
#include "sim/app/words.h"

enum privacy_option {
    OPT_RATE = 256,
    OPT_NOISE,
    OPT_STEPS,
    OPT_DELTA,
    OPT_EPSILON,
    OPT_FPR,
    OPT_PASSES,
    OPT_LEAST,
    OPT_MOST,
    OPT_JSON,
    OPT_END
};

#define TAKES(option) (1u << ((option)-OPT_RATE))

enum { STEPS_MOST = 1000000000, STEPS_LEAST_DEFAULT = 20 };

struct words {
    const struct question *question;
    unsigned given;
    double value[OPT_END - OPT_RATE];
    bool json;
};

static double value_of(const struct words *w, enum privacy_option option)
{
    return w->value[option - OPT_RATE];
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct mechanism mechanism_of(const struct words *w)
{
    return (struct mechanism){.q = value_of(w, OPT_RATE),
                              .sigma = value_of(w, OPT_NOISE),
                              .steps = (uint64_t)value_of(w, OPT_STEPS)};
}

static double seconds_since(int64_t begun_ms)
{
    return (double)(clock_monotonic_ms() - begun_ms) / 1e3;
}

static RC say_epsilon(const struct words *w, json_t **json, struct error *err)
{
    const struct mechanism m = mechanism_of(w);
    const double delta = value_of(w, OPT_DELTA);
    const int64_t begun_ms = clock_monotonic_ms();
    const double epsilon = accountant_epsilon(&m, 1, delta);
    const double seconds = seconds_since(begun_ms);
    struct rdp_curve curve = {{0.0}};
    rdp_compose(&m, 1, &curve);
    const double renyi = rdp_epsilon(&curve, delta, NULL);
    if (!isfinite(epsilon)) {
        return error_set(err, RC_LIMIT,
                         "with this noise no epsilon is finite; raise --noise-multiplier");
    }
    if (w->json) {
        *json = json_pack("{s:f, s:f, s:f}", "epsilon", epsilon, "epsilon_renyi", renyi, "seconds",
                          seconds);
    } else {
        (void)printf("epsilon %.8g at delta %g (Renyi: %.8g)\n", epsilon, delta, renyi);
    }
    return RC_OK;
}

static RC say_noise(const struct words *w, json_t **json, struct error *err)
{
    double sigma = 0.0;
    const int64_t begun_ms = clock_monotonic_ms();
    const enum rc rc =
        accountant_sigma(value_of(w, OPT_EPSILON), value_of(w, OPT_DELTA), value_of(w, OPT_RATE),
                         (uint64_t)value_of(w, OPT_STEPS), &sigma, err);
    const double seconds = seconds_since(begun_ms);
    if (rc == RC_OK && w->json) {
        *json = json_pack("{s:f, s:f}", "noise_multiplier", sigma, "seconds", seconds);
    } else if (rc == RC_OK) {
        (void)printf("noise multiplier %.6f for epsilon %g at delta %g\n", sigma,
                     value_of(w, OPT_EPSILON), value_of(w, OPT_DELTA));
    }
    return rc;
}

static RC say_steps(const struct words *w, json_t **json, struct error *err)
{
    (void)err;
    const uint64_t steps =
        accountant_steps(value_of(w, OPT_EPSILON), value_of(w, OPT_DELTA), value_of(w, OPT_RATE),
                         value_of(w, OPT_NOISE), STEPS_MOST);
    if (w->json) {
        *json = json_pack("{s:I}", "steps", (json_int_t)steps);
    } else {
        (void)printf("%llu steps within epsilon %g at delta %g\n", (unsigned long long)steps,
                     value_of(w, OPT_EPSILON), value_of(w, OPT_DELTA));
    }
    return RC_OK;
}

static RC say_bound(const struct words *w, json_t **json, struct error *err)
{
    const struct mechanism m = mechanism_of(w);
    const double fpr = value_of(w, OPT_FPR);
    double tpr = 0.0;
    const enum rc rc = accountant_tpr(&m, 1, fpr, &tpr, err);
    if (rc != RC_OK) {
        return error_context(err, "no bound below 1");
    }
    if (w->json) {
        *json = json_pack("{s:f}", "tpr", tpr);
    } else {
        (void)printf("no attack that accuses %.3g %% of those who were not there finds more than "
                     "%.4g %% of those who were\n",
                     100.0 * fpr, 100.0 * tpr);
    }
    return RC_OK;
}

static json_t *choice_json(const struct planning_choice *c)
{
    return json_pack("{s:f, s:I, s:f, s:f}", "sample_rate", c->q, "steps", (json_int_t)c->steps,
                     "noise_multiplier", c->sigma, "signal", c->signal);
}

static uint64_t steps_least(const struct words *w)
{
    return (w->given & TAKES(OPT_LEAST)) != 0 ? (uint64_t)value_of(w, OPT_LEAST)
                                              : STEPS_LEAST_DEFAULT;
}

static RC say_plan(const struct words *w, json_t **json, struct error *err)
{
    struct planning_choice c[PLANNING_CHOICES];
    size_t n = 0;
    size_t best = 0;
    const struct planning_wish wish = {.epsilon = value_of(w, OPT_EPSILON),
                                       .delta = value_of(w, OPT_DELTA),
                                       .passes = value_of(w, OPT_PASSES),
                                       .steps_least = steps_least(w),
                                       .steps_most = (uint64_t)value_of(w, OPT_MOST)};
    const enum rc rc = planning_choose(&wish, c, &n, &best, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (w->json) {
        json_t *all = json_array();
        for (size_t i = 0; i < n; i++) {
            (void)json_array_append_new(all, choice_json(&c[i]));
        }
        *json = choice_json(&c[best]);
        (void)json_object_set_new(*json, "compared", all);
        return RC_OK;
    }
    (void)printf("    steps  sample rate  noise multiplier  signal (q sqrt(T) / sigma)\n");
    for (size_t i = 0; i < n; i++) {
        (void)printf("%s %7llu  %11.6g  %16.6f  %.4f\n", i == best ? "->" : "  ",
                     (unsigned long long)c[i].steps, c[i].q, c[i].sigma, c[i].signal);
    }
    return RC_OK;
}

/* ---- words ----------------------------------------------------------------------------------- */

static const struct question {
    const char *name;
    unsigned needs, takes;
    RC (*answer)(const struct words *w, json_t **json, struct error *err);
} questions[] = {
    {"epsilon", TAKES(OPT_RATE) | TAKES(OPT_NOISE) | TAKES(OPT_STEPS) | TAKES(OPT_DELTA), 0,
     say_epsilon},
    {"noise", TAKES(OPT_RATE) | TAKES(OPT_STEPS) | TAKES(OPT_EPSILON) | TAKES(OPT_DELTA), 0,
     say_noise},
    {"steps", TAKES(OPT_RATE) | TAKES(OPT_NOISE) | TAKES(OPT_EPSILON) | TAKES(OPT_DELTA), 0,
     say_steps},
    {"attack-bound", TAKES(OPT_RATE) | TAKES(OPT_NOISE) | TAKES(OPT_STEPS) | TAKES(OPT_FPR), 0,
     say_bound},
    {"plan", TAKES(OPT_EPSILON) | TAKES(OPT_DELTA) | TAKES(OPT_PASSES) | TAKES(OPT_MOST),
     TAKES(OPT_LEAST), say_plan},
};
enum { QUESTIONS = sizeof questions / sizeof questions[0] };

static const char doc[] =
    "What noised training costs in privacy, and what a budget allows.\v"
    "Steps are Poisson-sampled and Gaussian; one patient is added or removed.\n"
    "\n"
    "Questions:\n"
    "  epsilon       of --steps at --sample-rate and --noise-multiplier, at --delta\n"
    "  noise         the multiplier that keeps --epsilon at --delta\n"
    "  steps         how many a budget has\n"
    "  attack-bound  most of the members that any attack finds at --fpr\n"
    "  plan          rate, steps and noise for a budget and so many passes over the\n"
    "                data, from public numbers alone (the rule: docs/PRIVACY.md)\n"
    "\n"
    "Examples:\n"
    "  wardround-sim privacy epsilon --sample-rate 0.01 --noise-multiplier 1 \\\n"
    "    --steps 1000 --delta 1e-5\n"
    "  wardround-sim privacy noise --sample-rate 1 --steps 20 \\\n"
    "    --epsilon 4 --delta 1e-3\n"
    "  wardround-sim privacy steps --sample-rate 0.05 --noise-multiplier 2 \\\n"
    "    --epsilon 2 --delta 1e-5\n"
    "  wardround-sim privacy attack-bound --sample-rate 1 --noise-multiplier 4 \\\n"
    "    --steps 20 --fpr 0.01 --json\n"
    "  wardround-sim privacy plan --epsilon 1 --delta 1e-5 --passes 20 \\\n"
    "    --steps-most 320\n"
    "\n"
    "Exit: 0 done, 1 no such number, 2 wrong use.";

static const struct argp_option options[] = {
    {"sample-rate", OPT_RATE, "Q", 0, "each patient joins a step with this probability", 0},
    {"noise-multiplier", OPT_NOISE, "S", 0, "noise deviation / clipping bound", 0},
    {"steps", OPT_STEPS, "T", 0, "noised steps in all rounds", 0},
    {"epsilon", OPT_EPSILON, "E", 0, "the budget", 0},
    {"delta", OPT_DELTA, "D", 0, "chance that epsilon does not hold", 0},
    {"fpr", OPT_FPR, "F", 0, "share of non-members that the attack may accuse", 0},
    {"passes", OPT_PASSES, "K", 0, "what may be computed: K gradients of each patient", 0},
    {"steps-least", OPT_LEAST, "T", 0, "what the optimiser needs (default 20)", 0},
    {"steps-most", OPT_MOST, "T", 0, "what the study's rounds allow", 0},
    {"json", OPT_JSON, NULL, 0, "one JSON object on stdout", 0},
    {0},
};

static const char *name_of(int option)
{
    size_t i = 0;
    while (options[i].name != NULL && options[i].key != option) {
        i++;
    }
    return options[i].name != NULL ? options[i].name : "?";
}

/* Least and most of each, and whether it is a count. */
static const struct range {
    double least, most;
    bool whole, open; /* open: the ends do not belong to it */
} ranges[OPT_END - OPT_RATE] = {
    [OPT_RATE - OPT_RATE] = {1e-300, 1.0, false, false},
    [OPT_NOISE - OPT_RATE] = {1e-6, 1e9, false, false},
    [OPT_STEPS - OPT_RATE] = {1.0, STEPS_MOST, true, false},
    [OPT_DELTA - OPT_RATE] = {0.0, 1.0, false, true},
    [OPT_EPSILON - OPT_RATE] = {0.0, 1e9, false, true},
    [OPT_FPR - OPT_RATE] = {0.0, 1.0, false, true},
    [OPT_PASSES - OPT_RATE] = {0.0, 1e9, false, true},
    [OPT_LEAST - OPT_RATE] = {1.0, STEPS_MOST, true, false},
    [OPT_MOST - OPT_RATE] = {1.0, STEPS_MOST, true, false},
};

static double number(struct argp_state *state, int option, const char *text)
{
    const struct range *r = &ranges[option - OPT_RATE];
    char *end = NULL;
    errno = 0;
    const double x = strtod(text, &end);
    const bool inside = r->open ? x > r->least && x < r->most : x >= r->least && x <= r->most;
    if (end == text || *end != '\0' || strspn(text, "0123456789.eE+-") != strlen(text) || !inside ||
        (r->whole && x != floor(x))) {
        argp_error(state, "--%s wants a %snumber between %g and %g%s, not '%.40s'", name_of(option),
                   r->whole ? "whole " : "", r->least, r->most,
                   r->open ? " (and neither of them)" : "", text);
    }
    return x;
}

static void take_question(struct words *w, struct argp_state *state, const char *arg)
{
    if (w->question != NULL) {
        argp_error(state, "'%.40s' is one word too many", arg);
    }
    for (size_t i = 0; i < QUESTIONS; i++) {
        if (strcmp(arg, questions[i].name) == 0) {
            w->question = &questions[i];
            return;
        }
    }
    argp_error(state,
               "no question is named '%.20s'; there are: epsilon, noise, steps, "
               "attack-bound, plan",
               arg);
}

static void check_words(const struct words *w, struct argp_state *state)
{
    if (w->question == NULL) {
        argp_error(state, "say what to ask: epsilon, noise, steps, attack-bound or plan");
        return;
    }
    for (int option = OPT_RATE; option < OPT_JSON; option++) {
        const unsigned bit = TAKES(option);
        if ((w->question->needs & bit) != 0 && (w->given & bit) == 0) {
            argp_error(state, "privacy %s needs --%s", w->question->name, name_of(option));
        }
        if (((w->question->needs | w->question->takes) & bit) == 0 && (w->given & bit) != 0) {
            argp_error(state, "privacy %s has no --%s", w->question->name, name_of(option));
        }
    }
    if ((w->given & TAKES(OPT_MOST)) != 0 && value_of(w, OPT_MOST) < (double)steps_least(w)) {
        argp_error(state, "--steps-most is below --steps-least, which is %llu%s",
                   (unsigned long long)steps_least(w),
                   (w->given & TAKES(OPT_LEAST)) != 0 ? "" : " where nothing is said");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct words *w = state->input;
    if (key == OPT_JSON) {
        w->json = true;
    } else if (key >= OPT_RATE && key < OPT_JSON) {
        w->value[key - OPT_RATE] = number(state, key, arg);
        w->given |= TAKES(key);
    } else if (key == ARGP_KEY_ARG) {
        take_question(w, state, arg);
    } else if (key == ARGP_KEY_END) {
        check_words(w, state);
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static enum rc carry_out(void *words, struct config_issues *issues, struct error *err)
{
    const struct words *w = words;
    json_t *json = NULL;
    (void)issues;
    enum rc rc = w->question->answer(w, &json, err);
    if (rc == RC_OK && w->json) {
        return words_json(json, err);
    }
    json_decref(json);
    return rc;
}

int privacy_main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "QUESTION", doc, NULL, NULL, NULL};
    static const struct words_command command = {"privacy", &argp, carry_out};
    struct words w = {0};
    return words_command(&command, argc, argv, &w);
}
