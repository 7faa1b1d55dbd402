#include "sim/app/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <argp.h>
#include <jansson.h>

#include "sim/app/words.h"
#include "sim/faults/faults.h"

enum { SEEDS_DEFAULT = 100 };
enum { OPT_SEEDS = 256, OPT_FIRST, OPT_SITES, OPT_NEIGHBOURS, OPT_JOBS, OPT_REPLAY, OPT_JSON };

struct words {
    struct faults_many many;
    bool replay, json, many_asked; /* many_asked: --seeds, --first or --jobs */
    bool broke;                    /* a promise */
    uint64_t seed;
};

static const char doc[] =
    "Bad days of masked studies: real machines, ledgers, registry and cryptography on a made-up "
    "network that loses, delays, repeats, damages and cuts, with full disks, killed parties, a "
    "lying coordinator and lying sites, all drawn from a seed. Stops at the first promise that is "
    "broken, with the seed and what happened.\v"
    "The promises are listed in docs/PROTOCOL.md, \"Bad days\".\n"
    "\n"
    "Examples:\n"
    "  wardround-sim faults --seeds 10000\n"
    "  wardround-sim faults --seeds 500 --first 20000 --sites 5 --json\n"
    "  wardround-sim faults --replay 417\n"
    "\n"
    "Exit: 0 every promise was kept, 1 one was broken or the run failed, 2 wrong use.";

static const struct argp_option options[] = {
    {"seeds", OPT_SEEDS, "N", 0, "schedules (default 100)", 0},
    {"first", OPT_FIRST, "S", 0, "the first seed (default 1)", 0},
    {"sites", OPT_SITES, "K", 0, "3 to 9, with neighbours 10 to 16 (default: drawn from each seed)",
     0},
    {"neighbours", OPT_NEIGHBOURS, NULL, 0, "sites mask with the neighbours that they draw", 0},
    {"jobs", OPT_JOBS, "N", 0, "processes (default: one for each core); changes no schedule", 0},
    {"replay", OPT_REPLAY, "SEED", 0, "one schedule, with everything that happens in it", 0},
    {"json", OPT_JSON, NULL, 0, "one JSON object on stdout", 0},
    {0},
};

static void check_sites(struct argp_state *state, const struct faults_many *m)
{
    const size_t least = m->neighbours ? FAULTS_DRAWN_LEAST : FAULTS_SITES_LEAST;
    const size_t most = m->neighbours ? FAULTS_DRAWN_MOST : FAULTS_SITES_MOST;
    if (m->n_sites != 0 && (m->n_sites < least || m->n_sites > most)) {
        argp_error(state, "--sites is %zu to %zu%s", least, most,
                   m->neighbours ? " with --neighbours" : "");
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct words *w = state->input;
    switch (key) {
    case OPT_SEEDS:
        w->many.n = words_whole(state, "seeds", arg, UINT64_MAX / 4);
        w->many_asked = true;
        if (w->many.n == 0) {
            argp_error(state, "--seeds wants at least 1: no schedule would keep every promise");
        }
        return 0;
    case OPT_FIRST:
        w->many.first = words_whole(state, "first", arg, UINT64_MAX / 4);
        w->many_asked = true;
        return 0;
    case OPT_SITES:
        w->many.n_sites = words_count(state, "sites", arg, FAULTS_DRAWN_MOST);
        return 0;
    case OPT_NEIGHBOURS:
        w->many.neighbours = true;
        return 0;
    case OPT_JOBS:
        w->many.jobs = words_count(state, "jobs", arg, FAULTS_JOBS_MAX);
        w->many_asked = true;
        return 0;
    case OPT_REPLAY:
        w->replay = true;
        w->seed = words_whole(state, "replay", arg, UINT64_MAX / 2);
        return 0;
    case OPT_JSON:
        w->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%.40s' is one word too many", arg);
        return 0;
    case ARGP_KEY_END:
        check_sites(state, &w->many);
        if (w->replay && (w->json || w->many_asked)) {
            argp_error(state, "--replay tells one schedule in words: leave --seeds, --first, "
                              "--jobs and --json away");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void show_progress(void *ctx, const struct faults_totals *t)
{
    const struct faults_many *m = ctx;
    if (t->schedules % 500 == 0 && isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "%llu of %llu schedules\n", (unsigned long long)t->schedules,
                      (unsigned long long)m->n);
    }
}

static RC print_json(const struct words *w, const struct faults_totals *t, struct error *err)
{
    json_t *json = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o, s:s}",
        "first", (json_int_t)w->many.first, "schedules", (json_int_t)t->schedules, "done",
        (json_int_t)t->done, "lying_coordinators", (json_int_t)t->lying_coordinators, "lying_sites",
        (json_int_t)t->lying_sites, "steps", (json_int_t)t->steps, "messages",
        (json_int_t)t->messages, "lost_messages", (json_int_t)t->lost_messages, "kills",
        (json_int_t)t->kills, "full_disks", (json_int_t)t->full_disks, "refused",
        (json_int_t)t->refused, "opened", (json_int_t)t->opened, "lost_rounds",
        (json_int_t)t->lost_rounds, "dropped_sites", (json_int_t)t->dropped_sites, "broken",
        (int)t->broken, "seed",
        t->broken != 0 ? json_integer((json_int_t)t->broken_seed) : json_null(), "why", t->why);
    return words_json(json, err);
}

static void print_totals(const struct words *w, const struct faults_totals *t)
{
#define N(x) ((unsigned long long)t->x)
    (void)printf("%llu schedules from seed %llu: %llu studies done; %llu with a lying coordinator, "
                 "%llu with a lying site\n",
                 N(schedules), (unsigned long long)w->many.first, N(done), N(lying_coordinators),
                 N(lying_sites));
    (void)printf("%llu steps, %llu messages of which %llu were lost, %llu kills, %llu writes to a "
                 "full disk, %llu refusals\n",
                 N(steps), N(messages), N(lost_messages), N(kills), N(full_disks), N(refused));
    (void)printf(
        "%llu sums opened without %llu masked updates that had dropped out, %llu rounds lost\n",
        N(opened), N(dropped_sites), N(lost_rounds));
#undef N
    if (t->broken == 0) {
        (void)printf("every promise was kept\n");
    }
}

static RC replay(const struct words *w, uint64_t seed, const char *folder, FILE *to,
                 struct faults_result *out, struct error *err)
{
    const struct faults_params p = {.seed = seed,
                                    .n_sites = w->many.n_sites,
                                    .neighbours = w->many.neighbours,
                                    .folder = folder,
                                    .history = to};
    return faults_run(&p, out, err);
}

static RC try_out(struct words *w, const char *folder, struct error *err)
{
    struct faults_result one = {0};
    struct faults_totals t = {0};
    if (w->replay) {
        const enum rc rc = replay(w, w->seed, folder, stdout, &one, err);
        w->broke = one.broken != 0;
        if (rc == RC_OK && one.broken == 0) {
            (void)printf("seed %llu: every promise was kept\n", (unsigned long long)w->seed);
        }
        return rc;
    }
    enum rc rc = faults_many(&w->many, folder, &t, err);
    w->broke = t.broken != 0;
    if (rc == RC_OK && w->json) {
        rc = print_json(w, &t, err);
    } else if (rc == RC_OK) {
        print_totals(w, &t);
    }
    if (rc == RC_OK && t.broken != 0) { /* last, since an assertion ends this process, too */
        (void)fflush(stdout);
        (void)fprintf(stderr, "seed %llu breaks promise %u: %s\n",
                      (unsigned long long)t.broken_seed, t.broken, t.why);
        rc = replay(w, t.broken_seed, folder, w->json ? stderr : stdout, &one, err);
    }
    return rc;
}

static RC carry_out(void *words, struct config_issues *issues, struct error *err)
{
    struct words *w = words;
    char folder[FAULTS_FOLDER_MAX];
    (void)issues;
    enum rc rc = faults_folder(folder, err);
    if (rc == RC_OK) {
        rc = try_out(w, folder, err);
        (void)rmdir(folder);
    }
    return rc;
}

int faults_main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    static const struct words_command command = {"faults", &argp, carry_out};
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct words w = {.many = {.first = 1, .n = SEEDS_DEFAULT}};

    w.many.jobs = cores < 1 ? 1 : (cores > FAULTS_JOBS_MAX ? FAULTS_JOBS_MAX : (size_t)cores);
    w.many.progress = show_progress;
    w.many.ctx = &w.many;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a history is there also if it ends in an assertion */
    const int code = words_command(&command, argc, argv, &w);
    return w.broke ? EXIT_FAILURE : code;
}
