/* wardround-sim attack: the attacks of a file on the federations of its grid. */
#include "sim/app/attack.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argp.h>
#include <jansson.h>

#include "sim/app/progress.h"
#include "sim/app/words.h"
#include "sim/attack/attack.h"
#include "sim/sweep/sweep.h"

enum { OPT_OUT = 256, OPT_SEED, OPT_JOBS, OPT_JSON, OPT_KEYS };

struct words {
    const char *config, *out;
    bool json, keys;
    struct sweep_overrides overrides;
};

static const char doc[] =
    "Was this patient in the training? Membership attacks on the federations of CONFIG, at each "
    "of its epsilons, and the most that any attacker could reach beside them.\v"
    "Subjects are in a run by a coin of 1/2: ordinary patients, and canaries, records that are "
    "made to be noticed (extreme values, the label that nobody expects). Views: `update`, a "
    "coordinator who sees each update; `sum`, one who sees masked sums; `model`, a reader of the "
    "finished model. Attack success is the canary's TPR at FPR 1 %.\n"
    "Then single updates of a patient alone are turned back: who of a hundred was it?\n"
    "--out D writes D/attacks.csv and D/inversions.csv. What is finished is kept in D/attacks.db: "
    "interrupted, the same command goes on, and more epsilons, trials or references may be asked "
    "for later. Keys of `attacks:` in CONFIG: wardround-sim attack --keys.\n"
    "\n"
    "Examples:\n"
    "  wardround-sim attack configs/sim/heart.yaml --out build/attack --jobs 2\n"
    "  wardround-sim attack configs/sim/demo.yaml --json\n"
    "\n"
    "A measured rate is a lower bound on what leaks; an attack that fails proves nothing.\n"
    "Exit: 0 done, 1 failed, or an attack found more than its bound allows; 2 wrong use.";

static const struct argp_option options[] = {
    {"out", OPT_OUT, "DIR", 0, "folder for attacks.csv, inversions.csv and what is finished", 0},
    {"seed", OPT_SEED, "S", 0, "subjects, coins and replayed noise, instead of the file's", 0},
    {"jobs", OPT_JOBS, "N", 0, "runs at the same time (default 1); changes no result", 0},
    {"json", OPT_JSON, NULL, 0, "one JSON object on stdout; infinite epsilons are null", 0},
    {"keys", OPT_KEYS, NULL, 0, "print every key of `attacks:` as Markdown", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct words *w = state->input;
    switch (key) {
    case OPT_OUT:
        w->out = arg;
        return 0;
    case OPT_SEED:
        w->overrides.has_seed = true;
        w->overrides.seed = words_whole(state, "seed", arg, UINT64_MAX / 2);
        return 0;
    case OPT_JOBS:
        w->overrides.has_jobs = true;
        w->overrides.jobs = words_count(state, "jobs", arg, ATTACK_JOBS_MAX);
        return 0;
    case OPT_JSON:
        w->json = true;
        return 0;
    case OPT_KEYS:
        w->keys = true;
        return 0;
    case ARGP_KEY_ARG:
        words_config(state, arg, &w->config);
        return 0;
    case ARGP_KEY_END:
        if (!w->keys && w->config == NULL) {
            argp_error(state, "say what is attacked: CONFIG, a file of configs/sim");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- what came of it --------------------------------------------------------------------------- */

static json_t *real_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *rate_json(const struct attack_rate *r)
{
    return json_pack("[f, f, f]", r->value, r->low, r->high);
}

static json_t *point_json(const struct attack_point *p)
{
    return json_pack("{s:o, s:o, s:f}", "tpr", rate_json(&p->tpr), "fpr", rate_json(&p->fpr),
                     "bound", p->bound);
}

static json_t *row_json(const struct attack_row *r)
{
    return json_pack("{s:s, s:o, s:f, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:f, s:f, "
                     "s:o, s:b, s:f}",
                     "noise", study_noise_name(r->noise), "epsilon", real_or_null(r->epsilon),
                     "delta", r->delta, "subject", attack_subject_name(r->subject), "view",
                     attack_view_name(r->view), "method", r->method, "references",
                     (json_int_t)r->references, "runs", (json_int_t)r->runs, "in",
                     (json_int_t)r->in, "out", (json_int_t)r->out, "at_fpr_hundredth",
                     point_json(&r->hundredth), "at_fpr_thousandth",
                     r->has_thousandth ? point_json(&r->thousandth) : json_null(),
                     "balanced_accuracy", rate_json(&r->balanced), "balanced_accuracy_bound",
                     r->bound_balanced, "epsilon_low", r->epsilon_low, "epsilon_low_gaussian",
                     real_or_null(r->epsilon_low_gaussian), "within", (int)attack_row_within(r),
                     "seconds", r->seconds);
}

/* All that was found. */
struct found {
    struct attack_row row[(ATTACK_EPSILONS_MAX + SWEEP_LIST_MAX) * ATTACK_ROWS_MAX];
    struct attack_inversion inversion[(ATTACK_EPSILONS_MAX + SWEEP_LIST_MAX) * ATTACK_INVERSIONS];
    size_t n, n_inversions;
};

static json_t *inversion_json(const struct attack_inversion *r)
{
    return json_pack("{s:s, s:o, s:s, s:I, s:I, s:o, s:f}", "noise", study_noise_name(r->noise),
                     "epsilon", real_or_null(r->epsilon), "by", attack_inversion_name(r->kind),
                     "candidates", (json_int_t)r->candidates, "updates", (json_int_t)r->updates,
                     "named", rate_json(&r->named), "bound", r->bound);
}

static enum rc print_json(const char *name, const struct found *f, struct error *err)
{
    json_t *inversions = json_array();
    json_t *rows = json_array();
    for (size_t i = 0; i < f->n; i++) {
        (void)json_array_append_new(rows, row_json(&f->row[i]));
    }
    for (size_t i = 0; i < f->n_inversions; i++) {
        (void)json_array_append_new(inversions, inversion_json(&f->inversion[i]));
    }
    json_t *object =
        json_pack("{s:s, s:o, s:o}", "study", name, "rows", rows, "inversions", inversions);
    if (object == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the JSON object");
    }
    (void)json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    (void)putchar('\n');
    json_decref(object);
    return RC_OK;
}

static enum rc path_of(const char *folder, const char *name, char path[SWEEP_PATH_MAX],
                       struct error *err)
{
    return snprintf(path, SWEEP_PATH_MAX, "%s/%s", folder, name) < SWEEP_PATH_MAX
               ? RC_OK
               : error_set(err, RC_LIMIT, "the folder's name is too long");
}

/* The folder is there and both tables can be, minutes before they are written; what is finished is found. */
static enum rc prepare(const char *folder, struct attack_archive **archive, struct error *err)
{
    char path[SWEEP_PATH_MAX];
    enum rc rc = words_folder(folder, err);
    rc = rc == RC_OK ? path_of(folder, "attacks.csv", path, err) : rc;
    rc = rc == RC_OK ? words_place(path, err) : rc;
    rc = rc == RC_OK ? path_of(folder, "inversions.csv", path, err) : rc;
    rc = rc == RC_OK ? words_place(path, err) : rc;
    rc = rc == RC_OK ? path_of(folder, "attacks.db", path, err) : rc;
    return rc == RC_OK ? attack_archive_open(path, archive, err) : rc;
}

static enum rc write_csv(const char *folder, const char *name, const struct found *found,
                         struct error *err)
{
    char path[SWEEP_PATH_MAX];
    const enum rc rc = path_of(folder, name, path, err);
    if (rc != RC_OK) {
        return rc;
    }
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        return error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    if (strcmp(name, "attacks.csv") == 0) {
        attack_print_csv(f, found->row, found->n);
    } else {
        attack_print_inversions_csv(f, found->inversion, found->n_inversions);
    }
    const bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed) {
        return error_set(err, RC_IO, "cannot write '%s': the disk may be full", path);
    }
    (void)fprintf(stderr, "wrote %s\n", path);
    return RC_OK;
}

static enum rc show(const struct words *w, const struct sweep *s, const struct found *found,
                    struct error *err)
{
    size_t beyond = 0;
    enum rc rc = RC_OK;
    if (w->out != NULL) {
        rc = write_csv(w->out, "attacks.csv", found, err);
    }
    if (rc == RC_OK && w->out != NULL && found->n_inversions > 0) {
        rc = write_csv(w->out, "inversions.csv", found, err);
    }
    if (rc == RC_OK && w->json) {
        rc = print_json(s->name, found, err);
    } else if (rc == RC_OK) {
        (void)printf("%s: %zu sites; shares in per cent with 95 %% intervals\n", s->name,
                     s->study.n_sites);
        attack_print_table(stdout, found->row, found->n);
        attack_print_inversions(stdout, found->inversion, found->n_inversions);
    }
    for (size_t i = 0; i < found->n; i++) {
        beyond += !attack_row_within(&found->row[i]);
    }
    for (size_t i = 0; i < found->n_inversions; i++) {
        beyond += found->inversion[i].named.low > found->inversion[i].bound;
    }
    if (rc == RC_OK && beyond > 0) {
        return error_set(
            err, RC_STATE,
            "%zu of %zu attacks found more than their epsilon allows: look for a fault "
            "in clip, noise or accountant",
            beyond, found->n + found->n_inversions);
    }
    return rc;
}

/* ---- the attacks ------------------------------------------------------------------------------- */

/* The grid's first noise whose updates can be read. None: attack_cell says so. */
static enum study_noise attacked_noise(const struct sweep *s)
{
    size_t i = 0;
    while (i + 1 < s->n_noises && s->noise[i] == STUDY_NOISE_SHARED) {
        i++;
    }
    return s->noise[i];
}

/* The base study at one epsilon, planned. */
static enum rc plan(const struct sweep *s, double epsilon, struct study *out, struct error *err)
{
    enum rc rc = study_copy(&s->study, out, err);
    if (rc != RC_OK) {
        return rc;
    }
    out->privacy.noise = isfinite(epsilon) ? attacked_noise(s) : STUDY_NOISE_NONE;
    out->privacy.epsilon = epsilon;
    out->privacy.delta = isfinite(epsilon) ? s->delta : 0.0;
    return study_plan(out, err);
}

static enum rc invert(const struct sweep *s, const struct model *model, const struct study *study,
                      struct found *f, struct error *err)
{
    const struct attack_inverted of = {.study = study,
                                       .schema = &s->schema,
                                       .model = model,
                                       .data = s->data,
                                       .seed = s->seed[0],
                                       .updates = s->attacks.inversions};
    size_t n = 0;
    const enum rc rc =
        of.updates > 0 ? attack_invert(&of, f->inversion + f->n_inversions, &n, err) : RC_OK;
    f->n_inversions += n;
    return rc;
}

static enum rc attack_all(const struct sweep *s, struct attack_archive *archive, bool quiet,
                          struct found *f, struct error *err)
{
    const struct attack_params *p = &s->attacks;
    const size_t cells = p->n_epsilons > 0 ? p->n_epsilons : s->n_epsilons;
    const double *epsilon = p->n_epsilons > 0 ? p->epsilon : s->epsilon;
    struct model model = {0};
    struct study open = {0};
    struct attack *attack = NULL;
    struct progress bar;
    enum rc rc = model_open(&s->study.model, &s->schema, &model, err);
    if (rc == RC_OK) {
        rc = plan(s, HUGE_VAL, &open, err);
    }
    const struct attack_setup setup = {.params = p,
                                       .open = &open,
                                       .schema = &s->schema,
                                       .model = &model,
                                       .data = s->data,
                                       .seed = s->seed[0],
                                       .jobs =
                                           s->jobs < ATTACK_JOBS_MAX ? s->jobs : ATTACK_JOBS_MAX,
                                       .archive = archive,
                                       .progress = progress_show,
                                       .progress_ctx = &bar};
    progress_init(&bar, "runs", quiet);
    if (rc == RC_OK) {
        rc = attack_open(&setup, &attack, err);
    }
    for (size_t i = 0; rc == RC_OK && i < cells; i++) {
        struct study study = {0};
        size_t found = 0;
        char what[48];
        (void)snprintf(what, sizeof what, "runs at epsilon %g", epsilon[i]);
        progress_init(&bar, what, quiet);
        rc = plan(s, epsilon[i], &study, err);
        if (rc == RC_OK) {
            rc = attack_cell(attack, &study, f->row + f->n, &found, err);
        }
        if (rc == RC_OK) {
            rc = invert(s, &model, &study, f, err);
        }
        f->n += found;
        progress_end(&bar);
        study_release(&study);
    }
    attack_close(&attack);
    study_release(&open);
    model_release(&model);
    return rc;
}

static enum rc carry_out(void *words, struct config_issues *issues, struct error *err)
{
    const struct words *w = words;
    struct sweep s = {0};
    struct attack_archive *archive = NULL;
    if (w->keys) {
        attack_params_print(stdout);
        return RC_OK;
    }
    struct found *found = calloc(1, sizeof *found);
    if (found == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the rows of an attack");
    }
    enum rc rc = sweep_open(w->config, true, &w->overrides, &s, issues, err);
    if (rc == RC_OK && w->out != NULL) {
        rc = prepare(w->out, &archive, err); /* before the work, not after it */
    }
    if (rc == RC_OK) {
        rc = attack_all(&s, archive, w->json, found, err);
    }
    if (rc == RC_OK) {
        rc = show(w, &s, found, err);
    }
    attack_archive_close(&archive);
    sweep_release(&s);
    free(found);
    return rc;
}

int attack_main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "CONFIG", doc, NULL, NULL, NULL};
    static const struct words_command command = {"attack", &argp, carry_out};
    struct words w = {0};
    return words_command(&command, argc, argv, &w);
}
