/*
 * The folders of bench_round's study, made by the programs themselves: init, enrol, trust, import. A cohort is
 * thirty made-up patients with one feature, which nobody trains on; the model is an mlp of two layers whose
 * widths come nearest to the numbers that were asked for.
 */
#define _XOPEN_SOURCE 700 /* nftw */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <ftw.h>
#include <poll.h>

#include "common/neighbours/neighbours.h"
#include "common/seal/seal.h"
#include "tests/bench/round_bench.h"

enum {
    PATIENTS = 30,
    WIDTH_MAX = 4096,
    PATH_ROOM = ROUND_PATH_MAX + 120,
    HANDS = 8,               /* that make hospitals */
    ROUND_COMPLETE_MAX = 128 /* sites that all mask with each other */
};

/* ---- small things ---------------------------------------------------------------------------- */

const char *round_site_name(size_t site)
{
    static char name[32];
    (void)snprintf(name, sizeof name, "site-%03zu", site);
    return name;
}

static void at(const struct round_words *w, const char *name, const char *rest, char out[PATH_ROOM])
{
    (void)snprintf(out, PATH_ROOM, "%s/%s%s", w->folder, name, rest);
}

static FILE *write_to(const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        round_fail("cannot write '%s': %s", path, strerror(errno));
    }
    return f;
}

static void written(FILE *f, const char *path)
{
    if (fclose(f) != 0) {
        round_fail("cannot write '%s': %s", path, strerror(errno));
    }
}

static void folder_at(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        round_fail("cannot make '%s': %s", path, strerror(errno));
    }
}

/* One command of a program, without a word on stdout; its stderr is ours. */
static void command(const struct round_words *w, const char *program, const char *const word[])
{
    char path[PATH_ROOM];
    const char *argv[12] = {path};
    int status = 0;
    (void)snprintf(path, sizeof path, "%s/%s", w->programs, program);
    for (size_t i = 0; word[i] != NULL; i++) {
        argv[i + 1] = word[i];
    }
    const pid_t pid = fork();
    if (pid == 0) {
        const int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, STDOUT_FILENO);
        (void)execv(path, (char *const *)(void *)argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        round_fail("'%s %s' failed%s", path, word[0],
                   WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "; build it first" : "");
    }
}

/* ---- people's part: who is who --------------------------------------------------------------- */

static void card_of(const char *path, struct seal_card *card, char fingerprint[SEAL_FINGERPRINT])
{
    struct error err = {0};
    if (seal_card_read(path, card, &err) != RC_OK) {
        round_fail("%s", err.text);
    }
    seal_fingerprint(card, fingerprint);
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        round_fail("cannot find a free port: %s", strerror(errno));
    }
    (void)close(fd);
    return ntohs(a.sin_port);
}

static void make_coordinator(const struct round_words *w)
{
    char folder[PATH_ROOM];
    char address[64];
    at(w, "coordinator", "", folder);
    (void)snprintf(address, sizeof address, "tcp://127.0.0.1:%u", free_port());
    command(w, "wardround-aggregator",
            (const char *const[]){"init", folder, "--name", "coordinator", "--address", address,
                                  NULL});
}

static void make_cohort(const char *folder, const char *name)
{
    char path[PATH_ROOM + 32];
    (void)snprintf(path, sizeof path, "%s/cohort.yaml", folder);
    FILE *f = write_to(path);
    (void)fprintf(f, "cohort: %s\nfiles:\n  - {path: patients.csv, site: %s}\n", name, name);
    (void)fputs("separator: \",\"\nheader: true\npatient: {column: patient, rows: one}\n"
                "site: {from: file}\nmissing: [\"\"]\n"
                "label: {column: died, positive: [1], negative: [0]}\n"
                "features:\n  - {name: smoker, type: binary}\n",
                f);
    written(f, path);
    (void)snprintf(path, sizeof path, "%s/patients.csv", folder);
    f = write_to(path);
    (void)fputs("patient,smoker,died\n", f);
    for (int i = 0; i < PATIENTS; i++) {
        (void)fprintf(f, "p%02d,%d,%d\n", i, i % 2, i % 3 == 0);
    }
    written(f, path);
    (void)snprintf(path, sizeof path, "%s/site.yaml", folder);
    f = write_to(path);
    (void)fprintf(f,
                  "site: %s\npolicy: {max_epsilon_per_study: inf, max_epsilon_total: inf, "
                  "max_delta_per_study: 1.0e-3, min_patients: %d, min_sites: 3}\nauto_approve:\n"
                  "  - {coordinator: coordinator, max_epsilon: inf}\n",
                  name, PATIENTS);
    written(f, path);
}

static void enrol(const struct round_words *w, const char *name)
{
    char coordinator[PATH_ROOM], card[PATH_ROOM];
    char file[48];
    char fingerprint[SEAL_FINGERPRINT];
    struct seal_card unused;
    (void)snprintf(file, sizeof file, "/%s.card", name);
    at(w, name, file, card);
    at(w, "coordinator", "", coordinator);
    card_of(card, &unused, fingerprint);
    command(w, "wardround-aggregator",
            (const char *const[]){"enrol", coordinator, card, "--fingerprint", fingerprint, NULL});
}

static void make_site(const struct round_words *w, const char *name)
{
    char folder[PATH_ROOM], theirs[PATH_ROOM];
    char fingerprint[SEAL_FINGERPRINT];
    struct seal_card unused;
    at(w, name, "", folder);
    folder_at(folder);
    make_cohort(folder, name);
    command(w, "wardround-agent", (const char *const[]){"init", folder, NULL});
    at(w, "coordinator", "/coordinator.card", theirs);
    card_of(theirs, &unused, fingerprint);
    command(w, "wardround-agent",
            (const char *const[]){"trust", folder, theirs, "--fingerprint", fingerprint, NULL});
    command(w, "wardround-agent", (const char *const[]){"import", folder, NULL});
    at(w, name, "/keys/peers", theirs);
    if (w->crowds == 0) {
        folder_at(theirs);
    } else if ((rmdir(theirs) != 0 && errno != ENOENT) || symlink("../../peers", theirs) != 0) {
        round_fail("cannot make '%s': %s", theirs, strerror(errno));
    }
}

/* Every hospital has every other's card, as `trust --peer` leaves it there. A crowd's hospitals look into one
 * folder: a thousand would be a million files. */
static void make_friends(const struct round_words *w, size_t site)
{
    char path[PATH_ROOM], name[32], rest[48];
    struct seal_card card;
    struct error err = {0};
    (void)snprintf(name, sizeof name, "%s", round_site_name(site));
    (void)snprintf(rest, sizeof rest, "/%s.card", name);
    at(w, name, rest, path);
    enum rc rc = seal_card_read(path, &card, &err);
    if (rc == RC_OK && w->crowds > 0) {
        at(w, "peers", rest, path);
        rc = seal_card_write(path, &card, &err);
    }
    for (size_t i = 0; rc == RC_OK && w->crowds == 0 && i < w->sites; i++) {
        (void)snprintf(rest, sizeof rest, "/keys/peers/%s.card", name);
        at(w, round_site_name(i), rest, path);
        rc = i == site ? RC_OK : seal_card_write(path, &card, &err);
    }
    if (rc != RC_OK) {
        round_fail("%s", err.text);
    }
}

/* ---- the document ---------------------------------------------------------------------------- */

/* One binary feature is two inputs, itself and whether it is missing: 3a + ab + b and b + 1 for the head. */
static size_t numbers_of(size_t a, size_t b)
{
    return 3 * a + a * b + b + b + 1;
}

static void widths(size_t wanted, size_t *a, size_t *b)
{
    size_t best = SIZE_MAX;
    for (size_t i = 1; i <= WIDTH_MAX; i++) {
        const size_t least = numbers_of(i, 0);
        const size_t j = wanted > least ? (wanted - least + (i + 2) / 2) / (i + 2) : 0;
        const size_t is = numbers_of(i, j);
        const size_t off = is > wanted ? is - wanted : wanted - is;
        if (j >= 1 && j <= WIDTH_MAX && off < best) {
            best = off;
            *a = i;
            *b = j;
        }
    }
}

/* Where not everybody can mask with everybody: a tenth may work with the coordinator. */
static void write_neighbours(const struct round_words *w, FILE *f)
{
    const size_t staying = w->sites - w->drop;
    struct neighbours g = {.n_sites = w->sites, .corrupt = w->sites / 10};
    if (w->sites <= ROUND_COMPLETE_MAX) {
        return;
    }
    g.honest = staying - g.corrupt;
    if (!neighbours_plan(&g, staying)) {
        round_fail("no number of neighbours is enough for sums of %zu of %zu sites; drop fewer",
                   staying, w->sites);
    }
    (void)fprintf(f, "max_colluding: %zu\nneighbours: %zu\nneighbour_threshold: %zu\n", g.corrupt,
                  g.each, g.open);
}

static void make_study(const struct round_words *w)
{
    char path[PATH_ROOM], rest[48];
    size_t a = 1, b = 1;
    const size_t staying = w->sites - w->drop;
    at(w, "study.yaml", "", path);
    widths(w->params, &a, &b);
    FILE *f = write_to(path);
    (void)fprintf(f, "study: rounds\ncohort: site-000/cohort.yaml\nrounds: %zu\nquorum: %zu\n",
                  w->rounds + ROUND_WARM_UP + ROUND_COOL_DOWN, staying);
    (void)fprintf(f,
                  "min_sites: %zu\njoin_deadline_s: 3600\nround_deadline_s: 3600\n"
                  "model: {name: mlp, hidden: [%zu, %zu]}\n"
                  "local: {rate: 1.0, steps: 1, physical_batch: 16}\n",
                  staying, a, b);
    (void)fputs("privacy: {noise: none, epsilon: inf, clip: 1.0, sample_rate: 0.5}\n", f);
    if (w->bits == 16) {
        (void)fputs("broadcast: float16\n", f);
    }
    if (w->secure) {
        (void)fputs("masked: true\n", f);
        write_neighbours(w, f);
    }
    (void)fputs("sites:\n", f);
    for (size_t i = 0; i < w->sites; i++) {
        const char *name = round_site_name(i);
        char file[PATH_ROOM], fingerprint[SEAL_FINGERPRINT];
        struct seal_card card;
        (void)fprintf(f, "  - {name: %s, nominal: %d", name, PATIENTS);
        (void)snprintf(rest, sizeof rest, "/%s.card", name);
        at(w, name, rest, file);
        card_of(file, &card, fingerprint);
        if (w->secure) {
            (void)fputs(", key: ", f);
            for (size_t k = 0; k < sizeof card.sign.b; k++) {
                (void)fprintf(f, "%02x", card.sign.b[k]);
            }
        }
        (void)fputs("}\n", f);
    }
    written(f, path);
}

/* Sites `first`, `first` + HANDS, ... in a process of its own: each command waits for the disk. */
static pid_t make_some(const struct round_words *w, size_t first)
{
    const pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = first; i < w->sites; i += HANDS) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s", round_site_name(i));
            make_site(w, name);
        }
        _exit(0);
    }
    return pid;
}

static void make_sites(const struct round_words *w)
{
    pid_t hand[HANDS];
    bool made = true;
    for (size_t i = 0; i < HANDS; i++) {
        hand[i] = make_some(w, i);
    }
    for (size_t i = 0; i < HANDS; i++) {
        int status = 0;
        made = hand[i] > 0 && waitpid(hand[i], &status, 0) == hand[i] && status == 0 && made;
    }
    if (!made) {
        round_fail("a hospital could not be made");
    }
}

void round_study_make(const struct round_words *w)
{
    char peers[PATH_ROOM];
    make_coordinator(w);
    at(w, "peers", "", peers);
    folder_at(peers);
    make_sites(w);
    for (size_t i = 0; i < w->sites; i++) {
        enrol(w, round_site_name(i));
    }
    for (size_t i = 0; w->secure && i < w->sites; i++) {
        make_friends(w, i);
    }
    make_study(w);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s;
    (void)kind;
    (void)where;
    (void)remove(path);
    return 0; /* on with the others */
}

void round_study_remove(const struct round_words *w)
{
    for (int i = 0; i < 50 && nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 &&
                    access(w->folder, F_OK) == 0;
         i++) {
        (void)poll(NULL, 0,
                   100); /* an agent's processes end with their supervisor, a moment later */
    }
}
