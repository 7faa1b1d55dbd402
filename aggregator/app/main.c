/*
 * wardround-aggregator: the coordinator's program. The command line: each command takes its own
 * options, and `COMMAND --help` shows them with examples.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argp.h>

#include "aggregator/app/words.h"
#include "common/base/words.h"
#include "common/dp/laplace.h"

enum { EXIT_WRONG_USE = 2, DEADLINE_MOST_S = 2592000 /* as a study's */ };

enum {
    OPT_JSON = 256,
    OPT_NAME,
    OPT_ADDRESS,
    OPT_BIND,
    OPT_FINGERPRINT,
    OPT_REASON,
    OPT_STUDY,
    OPT_ROUND,
    OPT_SAVE,
    OPT_EPSILON,
    OPT_DEADLINE,
    OPT_ANYWAY,
    OPT_END
};

static const struct argp_option all_options[] = {
    {"json", OPT_JSON, NULL, 0, "JSON on stdout", 0},
    {"name", OPT_NAME, "NAME", 0, "this coordinator's name, as its card will say it", 0},
    {"address", OPT_ADDRESS, "ENDPOINT", 0, "where sites connect to: tcp://HOST:PORT", 0},
    {"bind", OPT_BIND, "ENDPOINT", 0,
     "what this machine listens on, if not tcp://*:PORT (all its addresses)", 0},
    {"fingerprint", OPT_FINGERPRINT, "DIGITS", 0,
     "the fingerprint that the site told you, not the one in the same mail", 0},
    {"reason", OPT_REASON, "TEXT", 0, "one sentence for the record", 0},
    {"study", OPT_STUDY, "STUDY.yaml", 0, "the study document", 0},
    {"round", OPT_ROUND, "N", 0, "this version; 0 is the untrained one", 0},
    {"save", OPT_SAVE, "FILE", 0,
     "write the version (the newest without --round) as safetensors, where no file is yet", 0},
    {"epsilon", OPT_EPSILON, "E", 0,
     "ask the sites: what each answer may cost one of its patients, from 1e-6 to 40", 0},
    {"deadline", OPT_DEADLINE, "SECONDS", 0, "how long sites may take to answer; 600 if not said",
     0},
    {"anyway", OPT_ANYWAY, NULL, 0, "ask them even if the noise is expected to hide the answer", 0},
};

enum third { NO_FOLDER, NO_WORD, MAY_WORD, MUST_WORD };

#define TAKES(o) (1u << ((o)-OPT_JSON))

static const struct command {
    const char *name;
    aggregator_command *run;
    enum third third;
    unsigned options;
    const char *usage;
    const char *doc;
} commands[] = {
    {"init", command_init, NO_WORD, TAKES(OPT_NAME) | TAKES(OPT_ADDRESS) | TAKES(OPT_BIND),
     "init DIR --name NAME --address tcp://HOST:PORT",
     "Make the folder, the coordinator's keys and its card, and aggregator.yaml. Repeated, it says "
     "what is there and changes nothing.\v"
     "Examples:\n"
     "  wardround-aggregator init /srv/coordinator --name heart-network \\\n"
     "      --address tcp://federation.example.org:7400\n"
     "  wardround-aggregator init /srv/coordinator --name heart-network \\\n"
     "      --address tcp://federation.example.org:443 --bind tcp://10.0.0.5:7400\n"
     "  wardround-aggregator init /srv/coordinator\n"
     "\n"
     "Then send NAME.card to the sites; read its fingerprint to them by telephone."},
    {"enrol", command_enrol, MUST_WORD, TAKES(OPT_FINGERPRINT), "enrol DIR CARD",
     "Admit the site with this card. The fingerprint comes from the site by telephone; without "
     "--fingerprint you are asked for it. Works while `run` is running.\v"
     "Examples:\n"
     "  wardround-aggregator enrol /srv/coordinator cleveland.card\n"
     "  wardround-aggregator enrol /srv/coordinator cleveland.card \\\n"
     "      --fingerprint 12345-67890-12345-67890-12345-67890-12345-67890"},
    {"revoke", command_revoke, MUST_WORD, TAKES(OPT_REASON), "revoke DIR SITE",
     "Listen to a site no more, from its next message on. Its keys never come back; new ones may "
     "be enrolled.\v"
     "Examples:\n"
     "  wardround-aggregator revoke /srv/coordinator cleveland\n"
     "  wardround-aggregator revoke /srv/coordinator cleveland \\\n"
     "      --reason \"server stolen\""},
    {"run", command_run, NO_WORD, TAKES(OPT_STUDY) | TAKES(OPT_JSON), "run DIR --study STUDY.yaml",
     "Carry out a study; started again, it goes on where it was. Ends with 0 only if every round "
     "of the study reached its quorum, and says per round who contributed and why others did "
     "not. SIGTERM or SIGINT before the end: everything is kept, and it dies by that signal.\v"
     "Examples:\n"
     "  wardround-aggregator run /srv/coordinator \\\n"
     "      --study configs/studies/heart.yaml\n"
     "  wardround-aggregator run /srv/coordinator --study heart.yaml --json"},
    {"status", command_status, NO_WORD, TAKES(OPT_JSON), "status DIR",
     "Who is enrolled, where each study is and what its sites said, and what a running aggregator "
     "is doing.\v"
     "Examples:\n"
     "  wardround-aggregator status /srv/coordinator\n"
     "  wardround-aggregator status /srv/coordinator --json"},
    {"abort", command_abort, MUST_WORD, TAKES(OPT_REASON), "abort DIR STUDY",
     "Stop a study for good; the sites are told the reason. What was trained stays.\v"
     "Examples:\n"
     "  wardround-aggregator abort /srv/coordinator heart\n"
     "  wardround-aggregator abort /srv/coordinator heart \\\n"
     "      --reason \"two sites withdrew\""},
    {"evaluate", command_evaluate, MUST_WORD,
     TAKES(OPT_EPSILON) | TAKES(OPT_DEADLINE) | TAKES(OPT_ANYWAY) | TAKES(OPT_JSON),
     "evaluate DIR STUDY [--epsilon E]",
     "How good a finished study's model is on the patients that its sites have held out: AUROC, "
     "AUPRC, calibration and operating points, with intervals that hold the noise. With --epsilon "
     "the sites are asked, each within its own policy, and the answer is waited for; without it "
     "the newest answer is shown again, or one that was left unfinished goes on. Works beside "
     "`run`, and without one. An epsilon at which the noise is expected to leave nothing to be "
     "read is refused before it is spent.\v"
     "Examples:\n"
     "  wardround-aggregator evaluate /srv/coordinator heart --epsilon 1\n"
     "  wardround-aggregator evaluate /srv/coordinator heart --epsilon 0.5 \\\n"
     "      --deadline 86400 --json\n"
     "  wardround-aggregator evaluate /srv/coordinator heart"},
    {"models", command_models, MAY_WORD, TAKES(OPT_ROUND) | TAKES(OPT_SAVE) | TAKES(OPT_JSON),
     "models DIR [STUDY]",
     "The model versions of all studies, or of one; with --save one of them as a file that "
     "`wardround-agent predict` takes.\v"
     "Examples:\n"
     "  wardround-aggregator models /srv/coordinator\n"
     "  wardround-aggregator models /srv/coordinator heart --json\n"
     "  wardround-aggregator models /srv/coordinator heart --round 3 \\\n"
     "      --save heart_3.safetensors"},
    {"keys", command_keys, NO_FOLDER, 0, "keys",
     "Every key of a study document and of aggregator.yaml, as Markdown tables: type, range, "
     "default, meaning.\v"
     "Examples:\n"
     "  wardround-aggregator keys | less\n"
     "  wardround-aggregator keys > keys.md"},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };
enum { N_OPTIONS = sizeof all_options / sizeof all_options[0] };
_Static_assert(OPT_END - OPT_JSON == N_OPTIONS, "every option is in the table");

static const char overview[] =
    "The coordinator's side of a federated study.\v"
    "Commands (`wardround-aggregator COMMAND --help` has options and examples):\n"
    "  init DIR --name NAME --address tcp://HOST:PORT\n"
    "                                make folder, keys and card\n"
    "  enrol DIR CARD                admit a site\n"
    "  revoke DIR SITE               listen to it no more\n"
    "  run DIR --study STUDY.yaml    carry out a study, or go on with it\n"
    "  status DIR                    who is enrolled, where each study is\n"
    "  abort DIR STUDY               stop a study for good\n"
    "  evaluate DIR STUDY            how good its model is at the sites\n"
    "  models DIR [STUDY]            model versions; --save FILE exports one\n"
    "  keys                          what a study document may say\n"
    "\n"
    "Examples:\n"
    "  wardround-aggregator init /srv/coordinator --name heart-network \\\n"
    "      --address tcp://federation.example.org:7400\n"
    "  wardround-aggregator enrol /srv/coordinator cleveland.card\n"
    "  wardround-aggregator run /srv/coordinator \\\n"
    "      --study configs/studies/heart.yaml\n"
    "\n"
    "Exit: 0 done, 1 failed or refused (the sentence says why), 2 wrong use.\n"
    "`run` that is stopped before its study has ended dies by that signal (SIGTERM:\n"
    "143 in a shell).";

struct parsing {
    const struct command *command;
    struct words *words;
};

static error_t take_word(struct parsing *p, struct argp_state *state, char *word)
{
    if (p->words->command == NULL) {
        if (p->command == NULL || strcmp(word, p->command->name) != 0) {
            argp_error(state,
                       "no command is named '%.20s'; `wardround-aggregator --help` lists them",
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

static void check_words(const struct parsing *p, const struct argp_state *state)
{
    const struct words *w = p->words;
    if (w->command == NULL) {
        argp_error(state, "say what to do, such as: status DIR");
    } else if ((w->folder == NULL && p->command->third != NO_FOLDER) ||
               (w->arg == NULL && p->command->third == MUST_WORD)) {
        argp_error(state, "%s wants: %s", w->command, p->command->usage);
    } else if (p->command->run == command_run && w->study == NULL) {
        argp_error(state, "run wants the study: %s", p->command->usage);
    } else if (w->arg == NULL && (w->has_round || w->save != NULL)) {
        argp_error(state, "--round and --save want a study: models DIR STUDY");
    } else if (w->deadline_s > 0 && !(w->epsilon > 0.0)) {
        argp_error(state, "--deadline goes with --epsilon: %s", p->command->usage);
    } else if (w->anyway && !(w->epsilon > 0.0)) {
        argp_error(state, "--anyway goes with --epsilon: %s", p->command->usage);
    }
}

static uint64_t whole(const struct argp_state *state, const char *text)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n > INT64_MAX) {
        argp_error(state, "--round wants a whole number, not '%.20s'", text);
    }
    return n;
}

static double epsilon(const struct argp_state *state, const char *text)
{
    char *end = NULL;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x >= LAPLACE_EPSILON_LEAST && x <= LAPLACE_EPSILON_MOST)) {
        argp_error(state, "--epsilon wants a number from 1e-6 to 40, not '%.20s'", text);
    }
    return x;
}

static uint64_t seconds(const struct argp_state *state, const char *text)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n < 1 ||
        n > DEADLINE_MOST_S) {
        argp_error(state, "--deadline wants whole seconds, from 1 to %d, not '%.20s'",
                   (int)DEADLINE_MOST_S, text);
    }
    return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct parsing *p = state->input;
    switch (key) {
    case OPT_JSON:
        p->words->json = true;
        return 0;
    case OPT_NAME:
        p->words->name = arg;
        return 0;
    case OPT_ADDRESS:
        p->words->address = arg;
        return 0;
    case OPT_BIND:
        p->words->bind = arg;
        return 0;
    case OPT_FINGERPRINT:
        p->words->fingerprint = arg;
        return 0;
    case OPT_REASON:
        p->words->reason = arg;
        return 0;
    case OPT_STUDY:
        p->words->study = arg;
        return 0;
    case OPT_ROUND:
        p->words->round = whole(state, arg);
        p->words->has_round = true;
        return 0;
    case OPT_SAVE:
        p->words->save = arg;
        return 0;
    case OPT_EPSILON:
        p->words->epsilon = epsilon(state, arg);
        return 0;
    case OPT_DEADLINE:
        p->words->deadline_s = seconds(state, arg);
        return 0;
    case OPT_ANYWAY:
        p->words->anyway = true;
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

/* The first word that is a command, before argp reads: options belong to commands, and a command
 * comes before the values that might be called like one. */
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
    const struct argp argp = {
        .options = n > 0 && p->command != NULL ? options : NULL,
        .parser = parse,
        .args_doc = p->command != NULL ? p->command->usage : "COMMAND DIR [CARD | SITE | STUDY]",
        .doc = p->command != NULL ? p->command->doc : overview,
    };
    argp_err_exit_status = EXIT_WRONG_USE;
    words_parse(&argp, argc, argv, p);
}

/* Are all of its words where they were sent? What `run` says goes on its own way: its exit code tells of
 * the study, and a reader who went away did not undo that. */
static bool was_heard(void)
{
    const bool failed = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !failed) {
        return true;
    }
    (void)fprintf(stderr,
                  "wardround-aggregator: it is done, but not all that it says could be written to "
                  "stdout%s%s; make room there, or send it elsewhere\n",
                  failed ? "" : ": ", failed ? "" : strerror(errno));
    return false;
}

int main(int argc, char **argv)
{
    static struct config_issues issues; /* large */
    struct words w = {0};
    struct error err = {0};
    enum verdict verdict = VERDICT_YES;
    struct parsing p = {find_command(argc, argv), &w};
    argp_program_version = "wardround-aggregator " WARDROUND_VERSION;
    read_words(argc, argv, &p);

    const enum rc rc = p.command->run(&w, &verdict, &issues, &err);
    if (rc == RC_OK) {
        const bool heard = was_heard() || p.command->run == command_run;
        return verdict == VERDICT_YES && heard ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    (void)fflush(stdout); /* what was said before comes before */
    if (issues.n > 0) {
        config_print_issues(&issues, stderr);
        (void)fprintf(stderr, "wardround-aggregator: %zu %s to mend first; nothing was done\n",
                      issues.n, issues.n == 1 ? "problem" : "problems");
    } else {
        (void)fprintf(stderr, "wardround-aggregator: %s\n", err.text);
    }
    return verdict == VERDICT_WRONG_USE ? EXIT_WRONG_USE : EXIT_FAILURE;
}
