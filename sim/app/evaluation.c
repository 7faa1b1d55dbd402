/* wardround-sim evaluation: trained once, released many times. */
#include "sim/app/evaluation.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <argp.h>
#include <jansson.h>

#include "common/dp/laplace.h"
#include "sim/app/words.h"
#include "sim/sweep/sweep.h"

enum { EPSILONS_MAX = 16, SEEDS_DEFAULT = 100, SEEDS_MOST = 100000 };
enum { OPT_EPSILON = 256, OPT_SEEDS, OPT_SEED, OPT_JOBS, OPT_JSON };
static const double NEAR = 0.01;

struct words {
    const char *config;
    double epsilon[EPSILONS_MAX];
    size_t n_epsilons, seeds;
    bool json;
    struct sweep_overrides overrides;
};

static const char doc[] =
    "What a coordinator sees of a model's quality when every hospital releases\n"
    "score histograms with noise of its own, beside the exact figures.\v"
    "The study of CONFIG is trained once, as `run` does. Its out-of-fold scores are\n"
    "counted by hospital, class and bin; the counts are released with --seeds\n"
    "different noises, and every sum is measured as a coordinator would.\n"
    "\n"
    "Examples:\n"
    "  wardround-sim evaluation configs/sim/demo.yaml\n"
    "  wardround-sim evaluation configs/sim/heart.yaml --epsilon 2 --epsilon 0.5\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 wrong use.";

static const struct argp_option options[] = {
    {"epsilon", OPT_EPSILON, "E", 0,
     "of one evaluation, for each patient; may be repeated (default 2 and 0.5)", 0},
    {"seeds", OPT_SEEDS, "N", 0, "noises to be tried (default 100)", 0},
    {"seed", OPT_SEED, "S", 0, "of the training: folds and weights", 0},
    {"jobs", OPT_JOBS, "N", 0, "threads of the training (default 1)", 0},
    {"json", OPT_JSON, NULL, 0, "one JSON object on stdout", 0},
    {0},
};

static void take_epsilon(struct argp_state *state, const char *text, struct words *w)
{
    char *end = NULL;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x >= LAPLACE_EPSILON_LEAST && x <= LAPLACE_EPSILON_MOST)) {
        argp_error(state, "--epsilon wants a number from %g to %g, such as 0.5",
                   LAPLACE_EPSILON_LEAST, LAPLACE_EPSILON_MOST);
    } else if (w->n_epsilons == EPSILONS_MAX) {
        argp_error(state, "--epsilon may be given %d times", EPSILONS_MAX);
    } else {
        w->epsilon[w->n_epsilons++] = x;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct words *w = state->input;
    switch (key) {
    case OPT_EPSILON:
        take_epsilon(state, arg, w);
        return 0;
    case OPT_SEEDS:
        w->seeds = words_count(state, "seeds", arg, SEEDS_MOST);
        return 0;
    case OPT_SEED:
        w->overrides.has_seed = true;
        w->overrides.seed = words_whole(state, "seed", arg, UINT64_MAX / 2);
        return 0;
    case OPT_JOBS:
        w->overrides.has_jobs = true;
        w->overrides.jobs = words_count(state, "jobs", arg, SWEEP_JOBS_MAX);
        return 0;
    case OPT_JSON:
        w->json = true;
        return 0;
    case ARGP_KEY_ARG:
        words_config(state, arg, &w->config);
        return 0;
    case ARGP_KEY_END:
        if (w->config == NULL) {
            argp_error(state, "say what to evaluate: a file of configs/sim");
        }
        if (w->n_epsilons == 0) {
            w->epsilon[w->n_epsilons++] = 2.0;
            w->epsilon[w->n_epsilons++] = 0.5;
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- many releases ----------------------------------------------------------------------------- */

enum figure { AUROC, AUPRC, ECE, SENSITIVITY, PPV, FIGURES };
static const char *const figure_name[FIGURES] = {"AUROC", "AUPRC", "ECE",
                                                 "sensitivity at 90 % specificity",
                                                 "PPV of the top 10 %"};
static const char *const figure_key[FIGURES] = {"auroc", "auprc", "ece", "sensitivity_at_90",
                                                "ppv_at_10"};

static struct interval figure_of(const struct evaluation *e, enum figure which)
{
    const struct interval all[FIGURES] = {e->auroc, e->auprc, e->ece, e->sensitivity, e->ppv};
    return all[which];
}

/* Of one figure over all noises that leave one. */
struct tally {
    double exact, mean, squares, width;
    size_t near, covered;
};

/* What is there of one noise is added up. */
static void tally_add(struct tally *t, const struct interval *i)
{
    const double wrong = i->value - t->exact;
    t->mean += i->value;
    t->squares += wrong * wrong;
    t->width += i->high - i->low;
    t->near += fabs(wrong) <= NEAR ? 1 : 0;
    t->covered += i->low <= t->exact && t->exact <= i->high ? 1 : 0;
}

/* A noise so large that nobody of a class is left has no figures: it is counted, as a coordinator would find it. */
static enum rc tally_epsilon(const struct report_row *row, const double exact[FIGURES],
                             double epsilon, size_t seeds, struct tally out[FIGURES], size_t *none,
                             struct error *err)
{
    *none = 0;
    for (size_t k = 0; k < FIGURES; k++) {
        out[k] = (struct tally){.exact = exact[k]};
    }
    for (size_t seed = 1; seed <= seeds; seed++) {
        struct evaluation e;
        struct error why = {0};
        const enum rc rc = sweep_noisy(row, epsilon, seed, &e, &why);
        if (rc == RC_STATE) {
            ++*none;
            continue;
        }
        if (rc != RC_OK) {
            return error_set(err, rc, "%s", why.text);
        }
        for (size_t k = 0; k < FIGURES; k++) {
            const struct interval i = figure_of(&e, (enum figure)k);
            tally_add(&out[k], &i);
        }
    }
    const double n = (double)(seeds - *none);
    for (size_t k = 0; k < FIGURES && n > 0.0; k++) {
        out[k].mean /= n;
        out[k].squares /= n;
        out[k].width /= n;
    }
    return RC_OK;
}

static void print_tally(double epsilon, size_t seeds, size_t none, const struct tally t[FIGURES])
{
    (void)printf("epsilon %g, %zu noises, 95 %% intervals:\n", epsilon, seeds);
    if (none > 0) {
        (void)printf("  %zu of them leave nobody of one class, and no figures: there are too few "
                     "patients, or epsilon is too small\n",
                     none);
    }
    for (size_t k = 0; none < seeds && k < FIGURES; k++) {
        (void)printf("  %-32s mean %.4f  error %.4f  within %.2f: %zu  interval %.4f wide, "
                     "covers: %zu\n",
                     figure_name[k], t[k].mean, sqrt(t[k].squares), NEAR, t[k].near, t[k].width,
                     t[k].covered);
    }
}

static json_t *tally_json(double epsilon, size_t seeds, size_t none, const struct tally t[FIGURES])
{
    json_t *figures = json_object();
    for (size_t k = 0; none < seeds && k < FIGURES; k++) {
        (void)json_object_set_new(figures, figure_key[k],
                                  json_pack("{s:f, s:f, s:f, s:f, s:I, s:I}", "exact", t[k].exact,
                                            "mean", t[k].mean, "error", sqrt(t[k].squares), "width",
                                            t[k].width, "near", (json_int_t)t[k].near, "covered",
                                            (json_int_t)t[k].covered));
    }
    return json_pack("{s:f, s:I, s:I, s:f, s:o}", "epsilon", epsilon, "seeds", (json_int_t)seeds,
                     "without_figures", (json_int_t)none, "near_means", NEAR, "figures", figures);
}

static enum rc show(const struct words *w, const struct sweep *s, const struct report_row *row,
                    struct error *err)
{
    struct evaluation plain;
    enum rc rc = sweep_noisy(row, HUGE_VAL, 0, &plain, err);
    if (rc != RC_OK) {
        return rc;
    }
    const double exact[FIGURES] = {row->auroc, row->auprc, row->ece, plain.sensitivity.value,
                                   plain.ppv.value};
    json_t *list = w->json ? json_array() : NULL;
    if (!w->json) {
        (void)printf("%s: %zu sites, %.0f patients tested, %.0f of them positive, seed %llu\n",
                     s->name, row->n_sites, plain.n[EVALUATION_ILL] + plain.n[EVALUATION_WELL],
                     plain.n[EVALUATION_ILL], (unsigned long long)row->seed);
        (void)printf("exact: AUROC %.4f, AUPRC %.4f, ECE %.4f; on the bins, without noise: "
                     "AUROC %.4f, AUPRC %.4f, ECE %.4f, sensitivity %.4f, PPV %.4f, NNA %.2f\n",
                     exact[AUROC], exact[AUPRC], exact[ECE], plain.auroc.value, plain.auprc.value,
                     plain.ece.value, plain.sensitivity.value, plain.ppv.value, plain.nna.value);
    }
    for (size_t i = 0; rc == RC_OK && i < w->n_epsilons; i++) {
        struct tally t[FIGURES];
        size_t none = 0;
        rc = tally_epsilon(row, exact, w->epsilon[i], w->seeds, t, &none, err);
        if (rc == RC_OK && w->json) {
            (void)json_array_append_new(list, tally_json(w->epsilon[i], w->seeds, none, t));
        } else if (rc == RC_OK) {
            print_tally(w->epsilon[i], w->seeds, none, t);
        }
    }
    if (rc == RC_OK && w->json) {
        const double n = plain.n[EVALUATION_ILL] + plain.n[EVALUATION_WELL];
        rc = words_json(json_pack("{s:s, s:I, s:I, s:f, s:O}", "study", s->name, "patients",
                                  (json_int_t)n, "positives", (json_int_t)plain.n[EVALUATION_ILL],
                                  "auroc", row->auroc, "releases", list),
                        err);
    }
    json_decref(list);
    return rc;
}

static enum rc carry_out(void *words, struct config_issues *issues, struct error *err)
{
    const struct words *w = words;
    struct sweep s = {0};
    struct sweep_results r = {0};
    enum rc rc = sweep_open(w->config, false, &w->overrides, &s, issues, err);
    if (rc == RC_OK && s.schema.n_classes > 0) {
        rc = error_set(err, RC_INVALID,
                       "'%s': histograms are of a label that is yes or no, and this one is one of "
                       "%zu classes; `wardround-sim run` scores it",
                       w->config, s.schema.n_classes);
    }
    if (rc == RC_OK && s.whole) {
        rc = error_set(err, RC_INVALID,
                       "a whole study holds nobody out, so there is nothing to evaluate; name a "
                       "file with a split");
    }
    if (rc == RC_OK) {
        rc = sweep_run(&s, NULL, &r, err);
    }
    if (rc == RC_OK) {
        rc = show(w, &s, &r.row[0], err);
    }
    sweep_results_release(&r);
    sweep_release(&s);
    return rc;
}

int evaluation_main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "CONFIG", doc, NULL, NULL, NULL};
    static const struct words_command command = {"evaluation", &argp, carry_out};
    struct words w = {.seeds = SEEDS_DEFAULT};
    return words_command(&command, argc, argv, &w);
}
