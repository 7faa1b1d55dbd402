/*
 * wardround-agent: the hospital's program. What works without a network: checking and importing the
 * cohort, the privacy ledger, and what a study would cost.
 *
 * A site folder holds  site.yaml (name, policy)  cohort.yaml and the files it describes
 *                      site.db (the imported cohort)  ledger.db (never delete it)
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <argp.h>
#include <jansson.h>

#include "agent/ledger/ledger.h"
#include "common/cohort/cohort.h"
#include "common/config/config.h"
#include "common/schema/schema.h"
#include "common/study/study.h"

enum { EXIT_WRONG_USE = 2, PATH_ROOM = 512 };
enum { OPT_JSON = 256, OPT_WHAT_IF };

struct words {
    const char *command, *folder, *study;
    bool json;
};

static const char doc[] =
    "The hospital's side of a federated study: its cohort and its privacy ledger.\v"
    "Commands:\n"
    "  import SITE_DIR          check every cell of the cohort; all of it or nothing into site.db\n"
    "  ledger SITE_DIR          what has been spent, and what is left\n"
    "  ledger SITE_DIR --what-if STUDY.yaml\n"
    "  what-if SITE_DIR STUDY.yaml\n"
    "                           what a study would cost, and whether the policy allows it\n"
    "\n"
    "Examples:\n"
    "  wardround-agent import configs/sites/example\n"
    "  wardround-agent ledger configs/sites/example --json\n"
    "  wardround-agent what-if configs/sites/example configs/studies/example.yaml\n"
    "\n"
    "Exit: 0 done, 1 failed (or the policy refuses the study), 2 wrong use.";

static const struct argp_option options[] = {
    {"what-if", OPT_WHAT_IF, "STUDY", 0, "ledger: foretell a study", 0},
    {"json", OPT_JSON, NULL, 0, "one JSON object on stdout; infinite epsilons are null", 0},
    {0},
};

static error_t take_argument(struct words *w, struct argp_state *state, const char *arg)
{
    static const char *const commands[] = {"import", "ledger", "what-if"};
    if (w->command == NULL) {
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
            w->command = strcmp(arg, commands[i]) == 0 ? commands[i] : w->command;
        }
        if (w->command == NULL) {
            argp_error(state, "no command is named '%.20s'; there are: import, ledger, what-if",
                       arg);
        }
    } else if (w->folder == NULL) {
        w->folder = arg;
    } else if (strcmp(w->command, "what-if") == 0 && w->study == NULL) {
        w->study = arg;
    } else {
        argp_error(state, "'%.40s' is one word too many", arg);
    }
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct words *w = state->input;
    switch (key) {
    case OPT_JSON:
        w->json = true;
        return 0;
    case OPT_WHAT_IF:
        w->study = arg;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(w, state, arg);
    case ARGP_KEY_END:
        if (w->command == NULL || w->folder == NULL) {
            argp_error(state, "say what to do, such as: import SITE_DIR");
        } else if (strcmp(w->command, "what-if") == 0 && w->study == NULL) {
            argp_error(state, "what-if wants SITE_DIR and STUDY.yaml");
        } else if (strcmp(w->command, "import") == 0 && w->study != NULL) {
            argp_error(state, "import wants no study");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the site folder ------------------------------------------------------------------------- */

struct site {
    char name[SCHEMA_NAME_MAX];
    const struct config_node *policy_map;
    struct ledger_policy policy;
    struct schema schema;
};

/* clang-format off */
static const struct config_key site_keys[] = {
    {.name = "site", .type = CONFIG_TEXT, .offset = offsetof(struct site, name), .size = SCHEMA_NAME_MAX,
     .help = "this hospital, as it stands on studies' rosters"},
    {.name = "policy", .type = CONFIG_NODE, .offset = offsetof(struct site, policy_map),
     .help = "map: what this hospital allows"},
};
/* clang-format on */

static enum rc in_folder(const char *folder, const char *name, char path[PATH_ROOM],
                         struct error *err)
{
    if (snprintf(path, PATH_ROOM, "%s/%s", folder, name) >= PATH_ROOM) {
        return error_set(err, RC_LIMIT, "the folder's name is too long");
    }
    return RC_OK;
}

static enum rc site_open(const char *folder, struct site *out, struct config_issues *issues,
                         struct error *err)
{
    char path[PATH_ROOM];
    struct config_doc *file = NULL;
    struct site s = {0};
    enum rc rc = in_folder(folder, "site.yaml", path, err);
    if (rc == RC_OK) {
        rc = config_open(path, &file, err);
    }
    if (rc == RC_OK) {
        issues->path = path;
        config_bind(config_root(file), site_keys, sizeof site_keys / sizeof site_keys[0], &s,
                    issues);
        rc = config_verdict(issues, err);
    }
    if (rc == RC_OK) {
        rc = ledger_policy_read(s.policy_map, &s.policy, issues, err);
    }
    if (rc == RC_OK) {
        rc = in_folder(folder, "cohort.yaml", path, err);
    }
    if (rc == RC_OK) {
        rc = schema_open(path, &s.schema, issues, err);
    }
    if (rc == RC_OK) {
        s.policy_map = NULL;
        *out = s;
        s = (struct site){0};
    }
    schema_release(&s.schema);
    config_close(&file);
    issues->path = NULL;
    return rc;
}

/* ---- commands -------------------------------------------------------------------------------- */

static enum rc print_json(json_t *object, struct error *err)
{
    if (object == NULL) {
        return error_set(err, RC_NOMEM, "no memory for the JSON object");
    }
    const int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(object);
    if (failed != 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0) {
        return error_set(err, RC_IO, "cannot write to stdout: %s", strerror(errno));
    }
    return RC_OK;
}

/* JSON has no infinity. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static enum rc import(const struct words *w, const struct site *site, struct config_issues *issues,
                      struct error *err)
{
    char path[PATH_ROOM];
    struct store *store = NULL;
    struct cohort_summary found = {0};
    enum rc rc = in_folder(w->folder, "site.db", path, err);
    if (rc == RC_OK) {
        rc = store_open(path, &cohort_store_kind, &store, err);
    }
    if (rc == RC_OK) {
        rc = cohort_import(&site->schema, site->name, store, issues, &found, err);
    }
    store_close(&store);
    if (rc != RC_OK) {
        return rc;
    }
    char version[HASH_HEX];
    hash_hex(&found.version, version);
    if (w->json) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "site", json_string(site->name));
        (void)json_object_set_new(o, "patients", json_integer((json_int_t)found.n_patients));
        (void)json_object_set_new(o, "rows", json_integer((json_int_t)found.n_rows));
        (void)json_object_set_new(o, "positive", json_integer((json_int_t)found.n_positive));
        (void)json_object_set_new(o, "missing_cells",
                                  json_integer((json_int_t)found.n_missing_cells));
        (void)json_object_set_new(o, "version", json_string(version));
        return print_json(o, err);
    }
    (void)printf("imported %zu patients (%zu rows, %zu positive, %zu cells missing) of site '%s'\n"
                 "version %s\n",
                 found.n_patients, found.n_rows, found.n_positive, found.n_missing_cells,
                 site->name, version);
    for (size_t i = 0; i < found.n_warnings; i++) {
        (void)fprintf(stderr, "wardround-agent: warning: %s\n", found.warning[i]);
    }
    return RC_OK;
}

static void print_row(void *ctx, const struct ledger_row *row)
{
    (void)ctx;
    char day[32] = "";
    const time_t at = (time_t)(row->at_ms / 1000);
    struct tm tm = {0};
    if (gmtime_r(&at, &tm) != NULL) {
        (void)strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
    }
    (void)printf("%6lld  %s UTC  %-20s round %-6llu %6llu steps  q %-8.4g sigma %-10.6g clip %g\n",
                 (long long)row->sequence, day, row->study, (unsigned long long)row->round,
                 (unsigned long long)row->mechanism.steps, row->mechanism.q, row->mechanism.sigma,
                 row->clip);
}

static void json_row(void *ctx, const struct ledger_row *row)
{
    json_t *rows = ctx;
    json_t *o = json_object();
    char update[HASH_HEX];
    hash_hex(&row->update, update);
    (void)json_object_set_new(o, "sequence", json_integer((json_int_t)row->sequence));
    (void)json_object_set_new(o, "at_ms", json_integer((json_int_t)row->at_ms));
    (void)json_object_set_new(o, "study", json_string(row->study));
    (void)json_object_set_new(o, "round", json_integer((json_int_t)row->round));
    (void)json_object_set_new(o, "steps", json_integer((json_int_t)row->mechanism.steps));
    (void)json_object_set_new(o, "sample_rate", json_real(row->mechanism.q));
    (void)json_object_set_new(o, "noise_multiplier", json_real(row->mechanism.sigma));
    (void)json_object_set_new(o, "clip", json_real(row->clip));
    (void)json_object_set_new(o, "update", json_string(update));
    (void)json_array_append_new(rows, o);
}

static enum rc show_ledger(const struct words *w, const struct site *site, struct ledger *ledger,
                           struct error *err)
{
    double spent = 0.0;
    enum rc rc = ledger_epsilon(ledger, NULL, site->policy.max_delta_per_study, &spent, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (w->json) {
        json_t *o = json_object();
        json_t *rows = json_array();
        rc = ledger_rows(ledger, json_row, rows, err);
        (void)json_object_set_new(o, "site", json_string(site->name));
        (void)json_object_set_new(o, "epsilon_spent", number(spent));
        (void)json_object_set_new(o, "delta", json_real(site->policy.max_delta_per_study));
        (void)json_object_set_new(o, "max_epsilon_total", number(site->policy.max_epsilon_total));
        (void)json_object_set_new(o, "spends", rows);
        if (rc != RC_OK) {
            json_decref(o);
            return rc;
        }
        return print_json(o, err);
    }
    rc = ledger_rows(ledger, print_row, NULL, err);
    if (rc == RC_OK) {
        const double left = site->policy.max_epsilon_total - spent;
        (void)printf("site '%s': epsilon %.6g of %.6g spent at delta %g, %.6g left (what joined "
                     "studies may still spend is in what-if)\n",
                     site->name, spent, site->policy.max_epsilon_total,
                     site->policy.max_delta_per_study, left > 0.0 ? left : 0.0);
    }
    return rc;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/*
 * The ledger is made once, by the first import. Afterwards a folder without it has lost it: an empty
 * new one would forget everything that was spent.
 */
static enum rc check_ledger(const struct words *w, const char *ledger_path, struct error *err)
{
    char cohort_path[PATH_ROOM];
    const enum rc rc = in_folder(w->folder, "site.db", cohort_path, err);
    if (rc != RC_OK || exists(ledger_path)) {
        return rc;
    }
    if (exists(cohort_path)) {
        return error_set(err, RC_STATE,
                         "the ledger '%s' is gone; restore it from a backup (to begin anew knowing "
                         "that, move site.db away and import)",
                         ledger_path);
    }
    return strcmp(w->command, "import") == 0
               ? RC_OK
               : error_set(err, RC_STATE,
                           "'%s' has no ledger yet; run `wardround-agent import %s` "
                           "first",
                           w->folder, w->folder);
}

static enum rc cohort_size(const struct words *w, const struct site *site, size_t *n,
                           struct error *err)
{
    char path[PATH_ROOM];
    struct store *store = NULL;
    struct dataset *data = NULL;
    enum rc rc = in_folder(w->folder, "site.db", path, err);
    if (rc == RC_OK) {
        rc = store_open(path, &cohort_store_kind, &store, err);
    }
    if (rc == RC_OK) {
        rc = dataset_open(&site->schema, store, &data, err);
    }
    if (rc == RC_OK && (data->n_sites != 1 || strcmp(data->site_name[0], site->name) != 0)) {
        rc = error_set(err, RC_INVALID,
                       "site.yaml says '%s', and site.db holds patients of '%s'; import again",
                       site->name, data->n_sites > 0 ? data->site_name[0] : "nobody");
    }
    if (rc == RC_OK) {
        *n = data->n_patients;
    } else if (rc == RC_STATE) {
        rc = error_context(err, "run `wardround-agent import %s` first", w->folder);
    }
    dataset_close(&data);
    store_close(&store);
    return rc;
}

/* On the roster; and a warning for this hospital alone if its public size is far from the truth. */
static enum rc check_roster(const struct study *study, const struct site *site, size_t n,
                            struct error *err)
{
    const size_t at = study_find_site(study, site->name);
    if (at == study->n_sites) {
        return error_set(err, RC_INVALID, "study '%s' has no site '%s' on its roster", study->name,
                         site->name);
    }
    const double ratio = (double)n / (double)study->site[at].nominal;
    if (ratio > 2.0 || ratio < 0.5) {
        (void)fprintf(stderr,
                      "wardround-agent: warning: the study plans with %zu patients here, far from "
                      "the cohort's size; its steps will be too large or too small\n",
                      study->site[at].nominal);
    }
    return RC_OK;
}

static enum rc what_if(const struct words *w, const struct site *site, struct ledger *ledger,
                       struct config_issues *issues, bool *allowed, struct error *err)
{
    struct study study = {0};
    struct ledger_forecast f = {0};
    size_t n = 0;
    enum rc rc = study_open(w->study, &study, issues, err);
    if (rc == RC_OK) {
        rc = cohort_size(w, site, &n, err);
    }
    if (rc == RC_OK) {
        rc = check_roster(&study, site, n, err);
    }
    if (rc == RC_OK) {
        const struct hash schema = schema_hash(&site->schema);
        const struct hash h = study_hash(&study, &schema);
        rc = ledger_what_if(ledger, &study, &h, n, &f, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    *allowed = f.allowed;
    if (w->json) {
        json_t *o = json_object();
        (void)json_object_set_new(o, "study", json_string(study.name));
        (void)json_object_set_new(o, "epsilon_study", number(f.epsilon_study));
        (void)json_object_set_new(o, "delta", json_real(study.privacy.delta));
        (void)json_object_set_new(o, "noise_multiplier", json_real(study.privacy.noise_multiplier));
        (void)json_object_set_new(o, "epsilon_spent", number(f.epsilon_spent));
        (void)json_object_set_new(o, "epsilon_promised", number(f.epsilon_promised));
        (void)json_object_set_new(o, "max_epsilon_total", number(site->policy.max_epsilon_total));
        (void)json_object_set_new(o, "max_epsilon_per_study",
                                  number(site->policy.max_epsilon_per_study));
        (void)json_object_set_new(o, "epsilon_after", number(f.epsilon_after));
        (void)json_object_set_new(o, "epsilon_left", number(f.epsilon_left));
        (void)json_object_set_new(o, "allowed", json_boolean(f.allowed));
        (void)json_object_set_new(o, "reason", json_string(f.reason));
        rc = print_json(o, err);
        goto out;
    }
    (void)printf("study '%s': epsilon %.6g at delta %g (noise multiplier %.6f, %zu steps)\n"
                 "ledger:  epsilon %.6g now, %.6g after it, at delta %g; the policy allows %.6g\n",
                 study.name, f.epsilon_study, study.privacy.delta, study.privacy.noise_multiplier,
                 study_steps(&study), f.epsilon_spent, f.epsilon_after,
                 site->policy.max_delta_per_study, site->policy.max_epsilon_total);
    (void)printf("%s%s\n", f.allowed ? "allowed" : "refused: ", f.reason);
out:
    study_release(&study);
    return rc;
}

static enum rc carry_out(const struct words *w, struct config_issues *issues, bool *allowed,
                         struct error *err)
{
    char path[PATH_ROOM];
    struct site site = {0};
    struct ledger *ledger = NULL;
    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = in_folder(w->folder, "ledger.db", path, err);
    }
    if (rc == RC_OK) {
        rc = check_ledger(w, path, err);
    }
    if (rc == RC_OK) {
        rc = ledger_open(path, &site.policy, &ledger, err);
    }
    if (rc == RC_OK && strcmp(w->command, "import") == 0) {
        rc = import(w, &site, issues, err);
    } else if (rc == RC_OK) {
        rc = w->study != NULL ? what_if(w, &site, ledger, issues, allowed, err)
                              : show_ledger(w, &site, ledger, err);
    }
    ledger_close(&ledger);
    schema_release(&site.schema);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "COMMAND SITE_DIR [STUDY]", doc, NULL,
                                     NULL,    NULL};
    static struct config_issues issues; /* large */
    struct words w = {0};
    struct error err = {0};
    bool allowed = true;
    argp_err_exit_status = EXIT_WRONG_USE;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &w);

    const enum rc rc = carry_out(&w, &issues, &allowed, &err);
    if (rc == RC_OK) {
        return allowed ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (issues.n > 0) {
        config_print_issues(&issues, stderr);
        (void)fprintf(stderr, "wardround-agent: %zu %s to mend first; nothing was done\n", issues.n,
                      issues.n == 1 ? "problem" : "problems");
    } else {
        (void)fprintf(stderr, "wardround-agent: %s\n", err.text);
    }
    return EXIT_FAILURE;
}
