/* wardround-sim: the researcher's program. Words in, sweep, words out; nothing is computed here. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argp.h>
#include <jansson.h>

#include "common/base/heap.h"
#include "common/base/words.h"
#include "common/store/store.h"
#include "sim/app/attack.h"
#include "sim/app/cohort.h"
#include "sim/app/evaluation.h"
#include "sim/app/faults.h"
#include "sim/app/keys.h"
#include "sim/app/plan.h"
#include "sim/app/privacy.h"
#include "sim/app/progress.h"
#include "sim/app/results.h"
#include "sim/app/words.h"
#include "sim/sweep/sweep.h"

enum {
    OPT_EPSILON = 256,
    OPT_DELTA,
    OPT_NOISE,
    OPT_SEED,
    OPT_JOBS,
    OPT_JSON,
    OPT_OUT,
    OPT_PART,
    OPT_LEDGERS,
    OPT_DRY
};

struct words {
    const char *command, *config, *out;
    bool json, dry;
    size_t part, parts; /* from 0; parts 0: all of it */
    struct sweep_overrides overrides;
};

static const char doc[] =
    "Runs virtual federations of hospitals and measures what privacy costs.\v"
    "Commands:\n"
    "  run CONFIG               one federated study, cross-validated\n"
    "  run CONFIG --out D       where the file has no split: the whole study, on\n"
    "                           all patients, as its document says;\n"
    "                           D/model.safetensors is the model\n"
    "  tradeoff CONFIG --out D  the grid of the file and its ablations: a table,\n"
    "                           and D/report.html with tables and figures; what is\n"
    "                           finished is kept in D/results.db: interrupted, the\n"
    "                           same command goes on\n"
    "  cohort CONFIG --out D    the file's generated hospitals as folders D/NAME\n"
    "                           for real agents; or the best possible AUROC on\n"
    "                           their patients: wardround-sim cohort --help\n"
    "  evaluation CONFIG        what noised histograms of the scores tell of it:\n"
    "                           wardround-sim evaluation --help\n"
    "  faults                   bad days of masked studies: do the promises hold?\n"
    "                           wardround-sim faults --help\n"
    "  attack CONFIG --out D    who was in the training? Membership attacks on the\n"
    "                           study of the file: wardround-sim attack --help\n"
    "  privacy QUESTION         what steps cost, what a budget allows, what an\n"
    "                           attacker can reach: wardround-sim privacy --help\n"
    "  keys                     what a CONFIG may say: every key with its range\n"
    "\n"
    "Examples:\n"
    "  wardround-sim run configs/sim/heart.yaml\n"
    "  wardround-sim run configs/sim/heart.yaml --epsilon 1 --delta 1e-3 \\\n"
    "      --seed 3 --json\n"
    "  wardround-sim tradeoff configs/sim/demo.yaml --out build/demo --jobs 2\n"
    "  wardround-sim cohort configs/sim/rehearsal.yaml --out build/hospitals\n"
    "  wardround-sim run configs/sim/heart_study.yaml --out build/heart_study\n"
    "\n"
    "Data: paths that begin with $WARDROUND_DATA/ are taken from the folder in that\n"
    "variable (default ../shared/data). Noise is replayed from the seed: it\n"
    "measures, it protects nobody.\n"
    "Exit: 0 done, 1 failed, 2 wrong use.";

static const struct argp_option options[] = {
    {"epsilon", OPT_EPSILON, "E", 0, "target of every trained model; inf: no noise", 0},
    {"delta", OPT_DELTA, "D", 0, "chance that epsilon does not hold", 0},
    {"noise", OPT_NOISE, "MODE", 0,
     "none, site, or shared: one site's in the sum of all, of a masked study", 0},
    {"seed", OPT_SEED, "S", 0, "folds, weights and replayed noise", 0},
    {"jobs", OPT_JOBS, "N", 0,
     "worlds at the same time, or threads of one (default 1); changes no result", 0},
    {"out", OPT_OUT, "DIR", 0,
     "tradeoff: folder for report.html, its tables and figures; run: for the "
     "model",
     0},
    {"part", OPT_PART, "K/N", 0,
     "tradeoff: the K-th of N parts alone, as on N machines that share DIR; then once without it",
     0},
    {"ledgers", OPT_LEDGERS, "DIR", 0,
     "keep each world's ledgers as files in a folder of DIR, and not in memory", 0},
    {"dry-run", OPT_DRY, NULL, 0,
     "check file and cohort, measure each kind of cell, say what would be trained and what it "
     "takes",
     0},
    {"json", OPT_JSON, NULL, 0, "one JSON object on stdout; infinite epsilons are null", 0},
    {0},
};

/* The whole of `text` as a number above 0 (inf allowed where `infinite`). */
static double positive(struct argp_state *state, const char *name, const char *text, bool infinite)
{
    char *end = NULL;
    errno = 0;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x > 0.0) ||
        strspn(text, "0123456789.eE+-infINF") != strlen(text) ||
        (isinf(x) && (!infinite || errno == ERANGE))) { /* 1e400 does not mean inf */
        argp_error(state, "--%s wants a number above 0%s, such as 1e-3", name,
                   infinite ? " or inf" : "");
    }
    return x;
}

static enum study_noise noise(struct argp_state *state, const char *text)
{
    for (int m = STUDY_NOISE_NONE; m <= STUDY_NOISE_SHARED; m++) {
        if (strcmp(text, study_noise_name((enum study_noise)m)) == 0) {
            return (enum study_noise)m;
        }
    }
    argp_error(state, "--noise is none, site or shared, not '%.20s'", text);
    return STUDY_NOISE_NONE;
}

/* "2/4" */
static void part(struct argp_state *state, const char *text, struct words *w)
{
    char k[8] = "";
    const char *slash = strchr(text, '/');
    if (slash == NULL || (size_t)(slash - text) >= sizeof k) {
        argp_error(state, "--part wants K/N, such as 2/4");
        return;
    }
    memcpy(k, text, (size_t)(slash - text));
    const uint64_t first = words_whole(state, "part", k, RESULTS_PARTS_MAX);
    const uint64_t of = words_whole(state, "part", slash + 1, RESULTS_PARTS_MAX);
    if (first == 0 || first > of) {
        argp_error(state, "--part wants K/N with K from 1 to N, such as 2/4");
        return;
    }
    w->part = (size_t)first - 1;
    w->parts = (size_t)of;
}

/* Commands with options of their own are the first word of all. */
static bool has_options(const char *command)
{
    static const char *const names[] = {"attack", "cohort", "evaluation",
                                        "faults", "keys",   "privacy"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        found = found || strcmp(command, names[i]) == 0;
    }
    return found;
}

static error_t take_argument(struct words *w, struct argp_state *state, const char *arg)
{
    if (w->command == NULL) {
        w->command = arg;
        if (has_options(arg)) {
            argp_error(state, "write the command first, and its options behind it: %s", arg);
        } else if (strcmp(arg, "run") != 0 && strcmp(arg, "tradeoff") != 0) {
            argp_error(state,
                       "no command is named '%.20s'; there are: run, tradeoff, attack, cohort, "
                       "evaluation, faults, keys, privacy",
                       arg);
        }
    } else {
        words_config(state, arg, &w->config);
    }
    return 0;
}

/* What the words say together; the file may still say otherwise. */
static void check(const struct words *w, struct argp_state *state)
{
    const struct sweep_overrides *o = &w->overrides;
    const bool quiet = o->has_noise && o->noise == STUDY_NOISE_NONE;
    if (w->command == NULL) {
        argp_error(state, "say what to do: run CONFIG, or tradeoff CONFIG --out DIR");
    } else if (w->config == NULL) {
        argp_error(state, "%s wants a CONFIG, such as configs/sim/demo.yaml", w->command);
    } else if (strcmp(w->command, "tradeoff") == 0 && w->out == NULL && !w->dry) {
        argp_error(state, "tradeoff wants --out DIR for its table and figure");
    } else if (strcmp(w->command, "tradeoff") != 0 && w->parts > 0) {
        argp_error(state, "only a tradeoff has parts");
    } else if (o->has_epsilon && isfinite(o->epsilon) && quiet) {
        argp_error(state, "a finite --epsilon needs noise: leave --noise none away");
    } else if (o->has_epsilon && isinf(o->epsilon) && o->has_noise && !quiet) {
        argp_error(state, "--epsilon inf is without noise: leave --noise %s away",
                   study_noise_name(o->noise));
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct words *w = state->input;
    struct sweep_overrides *o = &w->overrides;
    switch (key) {
    case OPT_EPSILON:
        o->has_epsilon = true;
        o->epsilon = positive(state, "epsilon", arg, true);
        return 0;
    case OPT_DELTA:
        o->has_delta = true;
        o->delta = positive(state, "delta", arg, false);
        if (o->delta > 0.5) {
            argp_error(state, "--delta is a small chance, such as 1e-5; above 0.5 is no promise");
        }
        return 0;
    case OPT_NOISE:
        o->has_noise = true;
        o->noise = noise(state, arg);
        return 0;
    case OPT_SEED:
        o->has_seed = true;
        o->seed = words_whole(state, "seed", arg, UINT64_MAX / 2);
        return 0;
    case OPT_JOBS:
        o->has_jobs = true;
        o->jobs = words_count(state, "jobs", arg, SWEEP_JOBS_MAX);
        return 0;
    case OPT_OUT:
        w->out = arg;
        return 0;
    case OPT_LEDGERS:
        o->ledgers = arg;
        return 0;
    case OPT_PART:
        part(state, arg, w);
        return 0;
    case OPT_JSON:
        w->json = true;
        return 0;
    case OPT_DRY:
        w->dry = true;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(w, state, arg);
    case ARGP_KEY_END:
        check(w, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_run(const struct sweep *s, const struct report_row *row)
{
    (void)printf("%s: federated over %zu sites, %zu rounds, %zu %s, seed %llu\n", s->name,
                 row->n_sites, row->rounds, row->folds, row->folds == 1 ? "split" : "folds",
                 (unsigned long long)row->seed);
    if (isfinite(row->epsilon)) {
        (void)printf(
            "epsilon %g at delta %g per trained model (noise multiplier %.4f, %zu steps at "
            "sampling rate %.6g%s)\n",
            row->epsilon, row->delta, row->noise_multiplier, row->steps, row->sample_rate,
            s->study.wish.passes > 0.0 ? ", planned by the rule" : "");
    } else {
        (void)printf("no noise: epsilon is infinite, nothing is promised\n");
    }
    (void)printf(
        "%sAUROC %.4f [%.4f, %.4f] pooled, %.4f mean of sites; accuracy %.4f mean of sites\n",
        s->schema.n_classes > 0 ? "macro " : "", row->auroc, row->auroc_low, row->auroc_high,
        row->auroc_site_mean, row->accuracy_site_mean);
    if (row->seconds_rounds > 0.0) {
        (void)printf("%.2f s, of which %.2f s for %zu rounds\n", row->seconds, row->seconds_rounds,
                     row->rounds * row->folds);
    }
    for (size_t i = 0; i < row->n_sites; i++) {
        const struct report_site *site = &row->site[i];
        (void)printf("  %-20s ", site->name);
        if (site->has_auroc) {
            (void)printf("AUROC %.4f [%.4f, %.4f]", site->auroc.value, site->auroc.low,
                         site->auroc.high);
        } else {
            (void)printf("no AUROC (one class only)");
        }
        (void)printf("  accuracy %.4f  epsilon spent %.4g\n", site->accuracy, site->epsilon_spent);
    }
    for (size_t i = 0; i < row->n_patterns; i++) {
        const struct report_pattern *p = &row->pattern[i];
        (void)printf("  with %s: %zu patients, %zu positive, ", p->name, p->n_patients,
                     p->n_positive);
        if (p->has_auroc) {
            (void)printf("AUROC %.4f [%.4f, %.4f]\n", p->auroc.value, p->auroc.low, p->auroc.high);
        } else {
            (void)printf("no AUROC (%s)\n", p->n_patients == 0 ? "nobody" : "one class only");
        }
    }
}

static enum rc show(const struct words *w, const struct sweep *s, const struct results *files,
                    const struct sweep_results *r, struct error *err)
{
    if (strcmp(w->command, "run") == 0) {
        if (w->json) {
            return words_json(report_row_json(&r->row[0]), err);
        }
        print_run(s, &r->row[0]);
        return RC_OK;
    }
    const enum rc rc = results_write(files, w->config, s, r, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (w->json) {
        return words_json(report_rows_json(s->name, r->row, r->n), err);
    }
    struct report_summary *summary = calloc(r->n + 1, sizeof *summary);
    if (summary == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the table");
    }
    const size_t n = report_summaries(r->row, r->n, summary);
    report_print_table(stdout, summary, n);
    if (r->n > 0 && r->row[0].n_patterns > 0) {
        (void)printf("\nby the modalities that patients have:\n");
        report_print_patterns(stdout, summary, n, r->row, r->n);
    }
    free(summary);
    return RC_OK;
}

/* ---- a whole study --------------------------------------------------------------------------- */

static json_t *whole_json(const struct sweep *s, const struct sweep_whole *r, const char *file)
{
    char study[HASH_HEX];
    char model[HASH_HEX];
    hash_hex(&s->agreement.study_hash, study);
    hash_hex(&r->model, model);
    json_t *sites = json_array();
    for (size_t i = 0; i < r->n_sites; i++) {
        const struct sweep_whole_site *site = &r->site[i];
        (void)json_array_append_new(
            sites, json_pack("{s:s, s:b, s:s, s:o}", "name", site->name, "contributed",
                             (int)site->contributed, "declined", site->declined, "epsilon_spent",
                             isfinite(site->epsilon_spent) ? json_real(site->epsilon_spent)
                                                           : json_null()));
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s?, s:o}", "name", s->name, "study",
                     s->study.name, "study_hash", study, "rounds", (json_int_t)r->rounds, "seed",
                     (json_int_t)s->seed[0], "contributors", (json_int_t)r->n_contributed, "model",
                     model, "file", file, "sites", sites);
}

static void print_whole(const struct sweep *s, const struct sweep_whole *r, const char *file)
{
    char hex[HASH_HEX];
    hash_hex(&r->model, hex);
    (void)printf(
        "%s: study '%s' over %zu sites, %llu rounds; no held-out patients, so no figures\n",
        s->name, s->study.name, r->n_sites, (unsigned long long)r->rounds);
    (void)printf("%zu of %zu contributed:", r->n_contributed, r->n_sites);
    for (size_t i = 0; i < r->n_sites; i++) {
        if (r->site[i].contributed) {
            (void)printf(" %s", r->site[i].name);
        }
    }
    (void)printf("\n");
    for (size_t i = 0; i < r->n_sites; i++) {
        if (!r->site[i].contributed) {
            (void)printf("  %s did not: %s\n", r->site[i].name,
                         r->site[i].declined[0] != '\0' ? r->site[i].declined
                                                        : "sat the last round out");
        }
    }
    (void)printf("model %s%s%s\n", hex, file != NULL ? " in " : " (--out DIR writes it)",
                 file != NULL ? file : "");
}

static enum rc carry_out_whole(const struct words *w, const struct sweep *s, struct error *err)
{
    struct sweep_whole r = {0};
    char path[SWEEP_PATH_MAX];
    const char *file = w->out != NULL ? path : NULL;
    if (file != NULL &&
        snprintf(path, sizeof path, "%s/model.safetensors", w->out) >= (int)sizeof path) {
        return error_set(err, RC_LIMIT, "the folder's name is too long");
    }
    enum rc rc = file != NULL ? words_folder(w->out, err) : RC_OK; /* before the work */
    if (rc == RC_OK) {
        rc = sweep_whole_run(s, file, &r, err);
    }
    if (rc == RC_OK && w->json) {
        rc = words_json(whole_json(s, &r, file), err);
    } else if (rc == RC_OK) {
        print_whole(s, &r, file);
    }
    sweep_whole_release(&r);
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum rc carry_out_grid(const struct words *w, const struct sweep *s, struct error *err)
{
    struct sweep_results r = {0};
    struct results files = {0};
    struct progress bar;
    enum rc rc = RC_OK;
    progress_init(&bar, "worlds", sweep_worlds(s) < 10 && w->json);
    const struct sweep_progress progress = {.done = progress_show_left, .ctx = &bar};
    struct sweep_work work = {.progress = &progress, .part = w->part, .parts = w->parts};
    if (sweep_rank() > 0) { /* rank 0 has files and words */
        work.progress = NULL;
        rc = sweep_continue(s, &work, &r, err);
        goto out;
    }
    if (w->out != NULL && (!w->dry || results_there(w->out))) {
        rc = results_open(&files, w->out, w->part, w->parts, s, err); /* before the work */
        work.archive = files.archive;
        work.other = files.other;
        work.n_others = files.n_others;
    }
    if (rc == RC_OK && w->dry) {
        rc = plan_show(s, &work, w->json, err);
        goto out;
    }
    if (rc == RC_OK) {
        rc = sweep_continue(s, &work, &r, err);
        progress_end(&bar);
    }
    if (rc == RC_OK && w->parts > 0) {
        (void)printf("part %zu of %zu is there; when all are, the same without --part draws the "
                     "results\n",
                     w->part + 1, w->parts);
    } else if (rc == RC_OK) {
        rc = show(w, s, &files, &r, err);
    }
out:
    sweep_results_release(&r);
    results_close(&files);
    return rc;
}

/* What an open ledger takes, and so many of them are open at a time. */
enum { LEDGER_BYTES = 384 << 10, LEDGERS_OPEN = 1024 };

static enum rc prepare_ledgers(const struct words *w, const struct sweep *s, struct error *err)
{
    const size_t n = s->study.n_sites < LEDGERS_OPEN ? s->study.n_sites : LEDGERS_OPEN;
    const enum rc rc = words_folder(w->overrides.ledgers, err);
    store_alone_below(w->overrides.ledgers);
    heap_in_large_pages(n * LEDGER_BYTES);
    return rc;
}

static enum rc carry_out(const struct words *w, struct config_issues *issues, bool *wrong_use,
                         struct error *err)
{
    struct sweep s = {0};
    const bool grid = strcmp(w->command, "tradeoff") == 0;
    enum rc rc = sweep_open(w->config, grid, &w->overrides, &s, issues, err);
    if (rc == RC_OK && w->overrides.ledgers != NULL) {
        rc = prepare_ledgers(w, &s, err);
    }
    if (rc == RC_OK && w->dry && s.whole) {
        rc = error_set(err, RC_INVALID, "a whole study is one world: leave --dry-run away");
    }
    if (rc == RC_OK && !grid && !s.whole && w->out != NULL) {
        *wrong_use = true;
        rc = error_set(err, RC_INVALID, "run with a split writes no files: leave --out away");
    }
    if (rc == RC_OK && s.whole) {
        rc = carry_out_whole(w, &s, err);
    } else if (rc == RC_OK && grid && !w->dry) {
        rc = sweep_ranks_begin(err);
        rc = rc == RC_OK ? carry_out_grid(w, &s, err) : rc;
    } else if (rc == RC_OK) {
        rc = carry_out_grid(w, &s, err);
    }
    sweep_release(&s);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "COMMAND CONFIG", doc, NULL, NULL, NULL};
    static struct config_issues issues; /* large */
    struct words w = {0};
    struct error err = {0};
    argp_err_exit_status = EXIT_WRONG_USE;
    argp_program_version = "wardround-sim " WARDROUND_VERSION;
    if (argc > 1 && strcmp(argv[1], "privacy") == 0) {
        return privacy_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "faults") == 0) {
        return faults_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "attack") == 0) {
        return attack_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "cohort") == 0) {
        return cohort_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "keys") == 0) {
        return keys_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "evaluation") == 0) {
        return evaluation_main(argc - 1, argv + 1);
    }
    words_parse(&argp, argc, argv, &w);

    bool wrong_use = false;
    enum rc rc = carry_out(&w, &issues, &wrong_use, &err);
    if (rc == RC_OK) {
        rc = words_printed(&err);
    }
    if (rc == RC_OK) {
        sweep_ranks_end(false);
        return EXIT_SUCCESS;
    }
    words_complain(&issues, &err);
    sweep_ranks_end(true);
    return wrong_use ? EXIT_WRONG_USE : EXIT_FAILURE;
}
