/* wardround-sim cohort: the hospitals of a `generate:` map, written, measured, explained. */
#include "sim/app/cohort.h"

#include <stdio.h>

#include <argp.h>
#include <jansson.h>

#include "sim/app/words.h"
#include "sim/sweep/sweep.h"

enum { CEILING_PATIENTS = 20000 };
enum { OPT_OUT = 256, OPT_CEILING, OPT_PATIENTS, OPT_SEED, OPT_KNOBS, OPT_JSON };

struct words {
    const char *config, *out;
    bool ceiling, knobs, json, has_seed;
    uint64_t seed;
    size_t patients;
};

static const char doc[] =
    "Virtual hospitals of a simulation's `generate:` map.\v"
    "--out D writes each hospital as a folder D/NAME that an agent imports:\n"
    "cohort.yaml and its files. The simulator trains on the same bytes.\n"
    "--ceiling prints the AUROC that no model of these patients can pass, for each\n"
    "modality and for all, by Monte Carlo from the known model.\n"
    "\n"
    "Examples:\n"
    "  wardround-sim cohort configs/sim/icu_small.yaml --out build/hospitals\n"
    "  wardround-sim cohort configs/sim/icu_small.yaml --ceiling\n"
    "  wardround-sim cohort --knobs";

static const struct argp_option options[] = {
    {"out", OPT_OUT, "DIR", 0, "write the hospitals into folders of DIR", 0},
    {"ceiling", OPT_CEILING, NULL, 0, "print the best possible AUROC of each set of modalities", 0},
    {"patients", OPT_PATIENTS, "N", 0, "of the Monte Carlo of --ceiling (default 20000)", 0},
    {"seed", OPT_SEED, "S", 0, "instead of the file's", 0},
    {"knobs", OPT_KNOBS, NULL, 0, "print every key of `generate: {kind: icu}` as Markdown", 0},
    {"json", OPT_JSON, NULL, 0, "the ceiling as one JSON object", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct words *w = state->input;
    switch (key) {
    case OPT_OUT:
        w->out = arg;
        return 0;
    case OPT_CEILING:
        w->ceiling = true;
        return 0;
    case OPT_PATIENTS:
        w->patients = words_count(state, "patients", arg, HOSPITAL_PATIENTS_MAX);
        return 0;
    case OPT_SEED:
        w->has_seed = true;
        w->seed = words_whole(state, "seed", arg, UINT64_MAX / 2);
        return 0;
    case OPT_KNOBS:
        w->knobs = true;
        return 0;
    case OPT_JSON:
        w->json = true;
        return 0;
    case ARGP_KEY_ARG:
        words_config(state, arg, &w->config);
        return 0;
    case ARGP_KEY_END:
        if (w->knobs && (w->config != NULL || w->out != NULL || w->ceiling)) {
            argp_error(state, "--knobs prints a table and does nothing else: say it alone");
        } else if (!w->knobs && (w->config == NULL || (w->out == NULL && !w->ceiling))) {
            argp_error(state, "say what to do: CONFIG --out DIR, or CONFIG --ceiling");
        } else if (!w->ceiling && (w->json || w->patients > 0)) {
            argp_error(state,
                       "%s is of --ceiling; how many patients hospitals have stands in "
                       "CONFIG, under generate:",
                       w->json ? "--json" : "--patients");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the ceiling ----------------------------------------------------------------------------- */

static const char *const modality[ICU_MODALITIES] = {"table", "course", "film", "note"};

static json_t *ceiling_json(const struct icu_ceiling *c, size_t n)
{
    json_t *alone = json_object();
    json_t *without = json_object();
    for (size_t m = 0; m < ICU_MODALITIES; m++) {
        (void)json_object_set_new(alone, modality[m], json_real(c->alone[m]));
        (void)json_object_set_new(without, modality[m], json_real(c->without[m]));
    }
    return json_pack("{s:I, s:o, s:o, s:f, s:f, s:f}", "patients", (json_int_t)n, "alone", alone,
                     "without", without, "all", c->all, "recorded", c->recorded, "latent",
                     c->latent);
}

static void print_ceiling(const struct icu_ceiling *c, size_t n)
{
    (void)printf("best possible AUROC, over %zu patients of the known model\n", n);
    for (size_t m = 0; m < ICU_MODALITIES; m++) {
        (void)printf("  %-8s alone %.4f   all without it %.4f\n", modality[m], c->alone[m],
                     c->without[m]);
    }
    (void)printf("  all four, every patient       %.4f\n"
                 "  as recorded, some missing     %.4f\n"
                 "  the patient's true state      %.4f\n",
                 c->all, c->recorded, c->latent);
}

static enum rc ceiling(const struct words *w, const struct hospital_world *world, uint64_t seed,
                       struct error *err)
{
    const size_t n = w->patients > 0 ? w->patients : (size_t)CEILING_PATIENTS;
    if (world->kind == HOSPITAL_KIND_SOFTMAX) {
        double accuracy = 0.0;
        const enum rc rc = softmax_best_accuracy(&world->softmax, seed, n, &accuracy, err);
        if (rc == RC_OK && w->json) {
            (void)printf("{\"records\": %zu, \"accuracy\": %.10g}\n", n, accuracy);
        } else if (rc == RC_OK) {
            (void)printf("best possible accuracy, over %zu records of the known law: %.4f\n", n,
                         accuracy);
        }
        return rc;
    }
    if (world->kind == HOSPITAL_KIND_TABLE) {
        double auroc = 0.0;
        const enum rc rc = hospital_bayes_auroc(&world->table, seed, n, &auroc, err);
        if (rc == RC_OK && w->json) {
            (void)printf("{\"patients\": %zu, \"latent\": %.10g}\n", n, auroc);
        } else if (rc == RC_OK) {
            (void)printf("best possible AUROC, over %zu patients: %.4f, of whoever sees the "
                         "patient's true state\n",
                         n, auroc);
        }
        return rc;
    }
    struct icu_ceiling c;
    const enum rc rc = icu_bayes(&world->icu, seed, n, &c, err);
    if (rc == RC_OK && w->json) {
        json_t *json = ceiling_json(&c, n);
        if (json == NULL) {
            return error_set(err, RC_NOMEM, "no memory for the JSON object");
        }
        (void)json_dumpf(json, stdout, JSON_REAL_PRECISION(10));
        (void)putchar('\n');
        json_decref(json);
    } else if (rc == RC_OK) {
        print_ceiling(&c, n);
    }
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum rc carry_out(void *words, struct config_issues *issues, struct error *err)
{
    const struct words *w = words;
    struct hospital_world world;
    uint64_t seed = 0;
    if (w->knobs) {
        icu_params_print(stdout);
        return RC_OK;
    }
    enum rc rc = sweep_generated(w->config, &world, &seed, issues, err);
    if (rc != RC_OK) {
        return rc;
    }
    seed = w->has_seed ? w->seed : seed;
    if (w->out != NULL) {
        rc = words_folder(w->out, err);
        if (rc == RC_OK) {
            rc = hospital_world_write(&world, seed, w->out, err);
        }
        if (rc == RC_OK && !w->json) {
            (void)printf("%zu hospitals in folders of %s\n", hospital_world_sites(&world), w->out);
        }
    }
    return rc == RC_OK && w->ceiling ? ceiling(w, &world, seed, err) : rc;
}

int cohort_main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "CONFIG", doc, NULL, NULL, NULL};
    static const struct words_command command = {"cohort", &argp, carry_out};
    struct words w = {0};
    return words_command(&command, argc, argv, &w);
}
