/*
 * wardround-agent: the hospital's program. The command line: each command takes its own options,
 * and `COMMAND --help` shows them with examples.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argp.h>

#include "agent/app/site.h"
#include "agent/app/words.h"
#include "common/base/words.h"

enum { EXIT_WRONG_USE = 2 };

enum {
    OPT_JSON = 256,
    OPT_WHAT_IF,
    OPT_VERIFY,
    OPT_BACKUP,
    OPT_EXPORT,
    OPT_NAME,
    OPT_FINGERPRINT,
    OPT_PEER,
    OPT_REASON,
    OPT_ONCE,
    OPT_MODEL,
    OPT_INPUT,
    OPT_OUTPUT,
    OPT_END
};

static const struct argp_option all_options[] = {
    {"json", OPT_JSON, NULL, 0, "one JSON object on stdout; infinite epsilons are null", 0},
    {"what-if", OPT_WHAT_IF, "STUDY", 0,
     "foretell this study: a file, or the name of one that was offered", 0},
    {"verify", OPT_VERIFY, NULL, 0, "check every row and every stored update anew", 0},
    {"backup", OPT_BACKUP, "FILE", 0, "a copy of the ledger, also while the agent runs", 0},
    {"export", OPT_EXPORT, "DIR", 0,
     "a report for the data-protection officer: ledger.html, studies.csv and rounds.csv", 0},
    {"name", OPT_NAME, "NAME", 0, "this hospital's name, as studies' rosters will say it", 0},
    {"fingerprint", OPT_FINGERPRINT, "DIGITS", 0,
     "the fingerprint that the card's owner told you, not the one in the same mail", 0},
    {"peer", OPT_PEER, NULL, 0, "the card is another hospital's, not the coordinator's", 0},
    {"reason", OPT_REASON, "TEXT", 0, "one sentence that the coordinator will see", 0},
    {"once", OPT_ONCE, NULL, 0, "end with the first study that ends", 0},
    {"model", OPT_MODEL, "FILE", 0, "a finished model, such as models/heart.safetensors", 0},
    {"input", OPT_INPUT, "CSV", 0, "the new patients", 0},
    {"output", OPT_OUTPUT, "CSV", 0, "a new file for the scores; stdout if absent", 0},
};

enum third { NO_FOLDER, NO_WORD, MAY_WORD, MUST_WORD };

#define TAKES(o) (1u << ((o)-OPT_JSON))

static const struct command {
    const char *name;
    agent_command *run;
    enum third third;
    unsigned options;
    unsigned needs; /* of them */
    const char *usage;
    const char *doc;
} commands[] = {
    {"init", command_init, NO_WORD, TAKES(OPT_NAME) | TAKES(OPT_JSON), 0,
     "init SITE_DIR --name NAME",
     "Make the folder, this hospital's keys and its card, and site.yaml and cohort.yaml to fill in "
     "where they are absent. Repeated, it says what is there and changes nothing.\v"
     "Examples:\n"
     "  wardround-agent init /srv/wardround --name cleveland\n"
     "  wardround-agent init /srv/wardround\n"
     "\n"
     "Then send NAME.card to the coordinator and tell its fingerprint by telephone."},
    {"trust", command_trust, MUST_WORD, TAKES(OPT_FINGERPRINT) | TAKES(OPT_PEER) | TAKES(OPT_JSON),
     0, "trust SITE_DIR CARD",
     "Trust the coordinator with this card, or with --peer another hospital. The fingerprint comes "
     "from its owner by telephone; without --fingerprint you are asked for it.\v"
     "Examples:\n"
     "  wardround-agent trust /srv/wardround coordinator.card\n"
     "  wardround-agent trust /srv/wardround coordinator.card \\\n"
     "      --fingerprint 12345-67890-12345-67890-12345-67890-12345-67890\n"
     "  wardround-agent trust /srv/wardround basel.card --peer"},
    {"check", command_check, NO_WORD, TAKES(OPT_JSON), 0, "check SITE_DIR",
     "Before the agent runs: configuration, keys and permissions, cohort, ledger, disk, sandbox, "
     "and whether the coordinator answers and is the one that is trusted. Each line is PASS or "
     "FAIL "
     "with the mend.\v"
     "Examples:\n"
     "  wardround-agent check /srv/wardround\n"
     "  wardround-agent check /srv/wardround --json"},
    {"import", command_import, NO_WORD, TAKES(OPT_JSON), 0, "import SITE_DIR",
     "Check every cell of the cohort; all of it, or nothing, goes into site.db.\v"
     "Examples:\n"
     "  wardround-agent import configs/sites/example\n"
     "  wardround-agent import configs/sites/example --json"},
    {"approve", command_approve, MAY_WORD, TAKES(OPT_JSON), 0, "approve SITE_DIR [STUDY]",
     "Consent to a study that the coordinator has offered, by its name or the first 8 digits of "
     "its "
     "hash. Without STUDY: what waits for approval. Approved or not, the policy in site.yaml has "
     "the "
     "last word.\v"
     "Examples:\n"
     "  wardround-agent approve /srv/wardround\n"
     "  wardround-agent approve /srv/wardround heart"},
    {"run", command_run, NO_WORD, TAKES(OPT_ONCE), 0, "run SITE_DIR",
     "Take part: stay connected to the coordinator, train what is approved, until SIGTERM or "
     "SIGINT; then exit 0. With --once also when a study has ended: 0 if it was done, 1 if not; "
     "stopped before that it dies by the signal.\v"
     "Examples:\n"
     "  wardround-agent run /srv/wardround\n"
     "  wardround-agent run /srv/wardround --once"},
    {"withdraw", command_withdraw, MUST_WORD, TAKES(OPT_REASON) | TAKES(OPT_JSON), 0,
     "withdraw SITE_DIR STUDY",
     "Take back the consent to a study, for good: nothing more is trained or sent for it, whether "
     "the agent runs or not. What was sent before stays sent and spent.\v"
     "Examples:\n"
     "  wardround-agent withdraw /srv/wardround heart\n"
     "  wardround-agent withdraw /srv/wardround heart \\\n"
     "      --reason \"the ethics board has asked us to\""},
    {"ledger", command_ledger, NO_WORD,
     TAKES(OPT_WHAT_IF) | TAKES(OPT_VERIFY) | TAKES(OPT_BACKUP) | TAKES(OPT_EXPORT) |
         TAKES(OPT_JSON),
     0, "ledger SITE_DIR",
     "What has been spent, and what is left. --verify finds a row that was edited, exchanged, "
     "inserted or removed, stored bytes that changed, an end that was cut off, and an old copy "
     "that "
     "was put back, by the mark and by what coordinators have signed. "
     "--export writes the whole of it as a page to print and as tables, with what the "
     "figures "
     "mean, also while the agent runs; a ledger that cannot be verified is exported too, says so, "
     "and the exit is 1.\v"
     "Examples:\n"
     "  wardround-agent ledger /srv/wardround --verify\n"
     "  wardround-agent ledger /srv/wardround --export report-2026\n"
     "  wardround-agent ledger /srv/wardround --backup /backup/ledger.db\n"
     "  wardround-agent ledger configs/sites/example --json\n"
     "  wardround-agent ledger configs/sites/example \\\n"
     "      --what-if configs/studies/example.yaml"},
    {"what-if", command_what_if, MUST_WORD, TAKES(OPT_JSON), 0, "what-if SITE_DIR STUDY",
     "What a study would cost, and whether the policy allows it. STUDY is a file (with a '/' or "
     ".yaml in its name), or a study that was offered.\v"
     "Examples:\n"
     "  wardround-agent what-if configs/sites/example configs/studies/example.yaml\n"
     "  wardround-agent what-if /srv/wardround heart"},
    {"evaluate", command_evaluate, NO_WORD, TAKES(OPT_MODEL) | TAKES(OPT_JSON), TAKES(OPT_MODEL),
     "evaluate SITE_DIR --model FILE",
     "How good a finished model is on this hospital's own cohort: AUROC with its interval, AUPRC, "
     "calibration, sensitivity. The numbers stay here.\v"
     "Examples:\n"
     "  wardround-agent evaluate /srv/wardround \\\n"
     "      --model /srv/wardround/models/heart.safetensors"},
    {"predict", command_predict, NO_WORD,
     TAKES(OPT_MODEL) | TAKES(OPT_INPUT) | TAKES(OPT_OUTPUT) | TAKES(OPT_JSON),
     TAKES(OPT_MODEL) | TAKES(OPT_INPUT), "predict SITE_DIR --model FILE --input CSV",
     "Scores for new patients; values may be missing.\v"
     "Examples:\n"
     "  wardround-agent predict /srv/wardround \\\n"
     "      --model /srv/wardround/models/heart.safetensors \\\n"
     "      --input new.csv --output scores.csv"},
    {"keys", command_keys, NO_FOLDER, 0, 0, "keys",
     "Every key of site.yaml and cohort.yaml, as Markdown tables: type, range, default, meaning.\v"
     "Examples:\n"
     "  wardround-agent keys | less\n"
     "  wardround-agent keys > keys.md"},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };
enum { N_OPTIONS = sizeof all_options / sizeof all_options[0] };
static_assert(OPT_END - OPT_JSON == N_OPTIONS, "every option is in the table");

static const char overview[] =
    "The hospital's side of a federated study.\v"
    "Commands (`wardround-agent COMMAND --help` has options and examples):\n"
    "  init SITE_DIR --name NAME     make folder, keys and card\n"
    "  trust SITE_DIR CARD           trust a coordinator, or another hospital\n"
    "  check SITE_DIR                is all ready, does the coordinator answer?\n"
    "  import SITE_DIR               check the cohort; all or nothing is kept\n"
    "  run SITE_DIR                  take part\n"
    "  approve SITE_DIR [STUDY]      consent to a study; without STUDY: what waits\n"
    "  withdraw SITE_DIR STUDY       take consent back, for good\n"
    "  ledger SITE_DIR [--what-if STUDY | --verify | --backup FILE\n"
    "                    | --export DIR]\n"
    "                                what has been spent, and what is left\n"
    "  what-if SITE_DIR STUDY        what a study would cost; allowed or not\n"
    "  evaluate SITE_DIR --model M   how good a finished model is on this cohort\n"
    "  predict SITE_DIR --model M --input CSV\n"
    "                                scores for new patients\n"
    "  keys                          what site.yaml and cohort.yaml may say\n"
    "\n"
    "Examples:\n"
    "  wardround-agent init /srv/wardround --name cleveland\n"
    "  wardround-agent import configs/sites/example\n"
    "  wardround-agent what-if configs/sites/example configs/studies/example.yaml\n"
    "\n"
    "Exit: 0 done, 1 failed or refused (the sentence says why), 2 wrong use.\n"
    "`run` that is told to stop has done what was meant: 0; with --once it dies by\n"
    "that signal (SIGTERM: 143 in a shell).";

struct parsing {
    const struct command *command;
    struct words *words;
    unsigned given; /* options */
};

static error_t take_word(struct parsing *p, struct argp_state *state, char *word)
{
    if (p->words->command == NULL) {
        if (p->command == NULL || strcmp(word, p->command->name) != 0) {
            argp_error(state, "no command is named '%.20s'; `wardround-agent --help` lists them",
                       word);
            return EINVAL;
        }
        p->words->command = p->command->name;
    } else if (p->words->folder == NULL && p->command->third != NO_FOLDER) {
        p->words->folder = word;
    } else if (p->words->arg == NULL && p->command->third >= MAY_WORD) {
        p->words->arg = word;
    } else {
        argp_error(state, "'%.40s' is one word too many: %s", word, p->command->usage);
    }
    return 0;
}

/* A folder that does not say yet which hospital it is must be told. */
static bool lacks_name(const struct words *w)
{
    char path[SITE_PATH_MAX];
    struct error ignored = {0};
    bool there = false;
    return w->name == NULL && site_path(w->folder, "site.yaml", path, &ignored) == RC_OK &&
           site_look(path, &there, &ignored) == RC_OK && !there;
}

/* What can be no answer to anything is wrong use; an answer that is wrong is for the command to say. */
static void check_values(const struct words *w, const struct argp_state *state)
{
    if (w->fingerprint != NULL && !trust_is_fingerprint(w->fingerprint)) {
        argp_error(state, "a fingerprint is 40 digits in groups of five, as %s reads it to you",
                   w->peer ? "the other hospital" : "the coordinator");
    }
    if (w->name != NULL && !seal_is_name(w->name)) {
        argp_error(state,
                   "'%.70s' is no name: begin with a letter or digit, then also . _ -, at most %d",
                   w->name, (int)SEAL_NAME_MAX - 1);
    }
}

static void check_options(const struct parsing *p, const struct argp_state *state)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct argp_option *o = &all_options[i];
        if ((p->command->needs & TAKES(o->key) & ~p->given) != 0) {
            argp_error(state, "%s needs --%s %s: %s", p->command->name, o->name,
                       o->arg != NULL ? o->arg : "", o->doc);
        }
    }
    if (p->command->run == command_init && lacks_name(p->words)) {
        argp_error(state, "say this hospital's name: wardround-agent init %s --name NAME",
                   p->words->folder);
    }
}

/* `ledger` does one thing at a time: of two wishes one would be passed over in silence. */
static void check_one_answer(const struct parsing *p, const struct argp_state *state)
{
    static const struct {
        unsigned option;
        const char *name;
    } answers[] = {{TAKES(OPT_WHAT_IF), "--what-if"},
                   {TAKES(OPT_VERIFY), "--verify"},
                   {TAKES(OPT_BACKUP), "--backup"},
                   {TAKES(OPT_EXPORT), "--export"}};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if ((p->given & answers[i].option) == 0) {
            continue;
        }
        if (first != NULL) {
            argp_error(state, "%s and %s are two questions: ask one at a time", first,
                       answers[i].name);
        }
        first = answers[i].name;
    }
}

static void check_words(const struct parsing *p, const struct argp_state *state)
{
    const struct words *w = p->words;
    if (w->command == NULL) {
        argp_error(state, "say what to do, such as: import SITE_DIR");
    } else if ((w->folder == NULL && p->command->third != NO_FOLDER) ||
               (w->arg == NULL && p->command->third == MUST_WORD)) {
        argp_error(state, "%s wants: %s", w->command, p->command->usage);
    } else {
        check_options(p, state);
        check_values(w, state);
        check_one_answer(p, state);
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct parsing *p = state->input;
    if (key >= OPT_JSON && key < OPT_END) {
        p->given |= TAKES(key);
    }
    switch (key) {
    case OPT_JSON:
        p->words->json = true;
        return 0;
    case OPT_WHAT_IF:
        p->words->what_if = arg;
        return 0;
    case OPT_VERIFY:
        p->words->verify = true;
        return 0;
    case OPT_BACKUP:
        p->words->backup = arg;
        return 0;
    case OPT_EXPORT:
        p->words->to = arg;
        return 0;
    case OPT_NAME:
        p->words->name = arg;
        return 0;
    case OPT_FINGERPRINT:
        p->words->fingerprint = arg;
        return 0;
    case OPT_PEER:
        p->words->peer = true;
        return 0;
    case OPT_REASON:
        p->words->reason = arg;
        return 0;
    case OPT_ONCE:
        p->words->once = true;
        return 0;
    case OPT_MODEL:
        p->words->model = arg;
        return 0;
    case OPT_INPUT:
        p->words->input = arg;
        return 0;
    case OPT_OUTPUT:
        p->words->output = arg;
        return 0;
    case ARGP_KEY_ARG:
        return take_word(p, state, arg);
    case ARGP_KEY_END:
        check_words(p, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The first word decides which options there are. Words before it can only be options of its own,
 * and none of those takes a command's name as its value. */
static const struct command *find_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < N_COMMANDS; k++) {
            if (strcmp(argv[i], commands[k].name) == 0) {
                return &commands[k];
            }
        }
    }
    return NULL;
}

static void read_words(int argc, char **argv, struct parsing *p)
{
    struct argp_option options[N_OPTIONS + 1] = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (p->command == NULL || (p->command->options & TAKES(all_options[i].key)) != 0) {
            options[n++] = all_options[i];
        }
    }
    const struct argp argp = {n > 0 && p->command != NULL ? options : NULL,
                              parse,
                              p->command != NULL ? p->command->usage
                                                 : "COMMAND SITE_DIR [STUDY | CARD]",
                              p->command != NULL ? p->command->doc : overview,
                              NULL,
                              NULL,
                              NULL};
    argp_program_version = "wardround-agent " WARDROUND_VERSION;
    argp_err_exit_status = EXIT_WRONG_USE;
    words_parse(&argp, argc, argv, p);
}

/* An answer that was lost on its way (a full disk, a closed pipe) is no answer. */
static RC flush_answer(struct error *err)
{
    const bool failed = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !failed) {
        return RC_OK;
    }
    return error_set(err, RC_IO,
                     "the answer could not be written to stdout (%s): it is not complete",
                     strerror(errno));
}

int main(int argc, char **argv)
{
    static struct config_issues issues; /* large */
    struct words w = {0};
    struct error err = {0};
    bool yes = true;
    struct parsing p = {.command = find_command(argc, argv), .words = &w};
    read_words(argc, argv, &p);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a full disk: a sentence, no death */

    assert(p.command != NULL); /* argp ends the program where there is none */
    enum rc rc = p.command->run(&w, &yes, &issues, &err);
    if (rc == RC_OK) {
        rc = flush_answer(&err);
    }
    if (rc == RC_OK) {
        return yes ? EXIT_SUCCESS : EXIT_FAILURE;
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
