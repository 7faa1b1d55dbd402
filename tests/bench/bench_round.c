/*
 * What a round costs: the aggregator's program and agents' processes over CURVE on loopback, without training,
 * with everything that they keep on disk ($TMPDIR, else /tmp).
 *
 *   bench_round [--sites N] [--params P] [--secure 0|1] [--drop D] [--rounds R] [--crowds K] [--bits 16|32]
 *               [--json]
 *
 * With K the sites share K processes in place of three each (default: above 32 sites, 4). --bits are those of a
 * number of the model on its way to the sites (32).
 * D of the sites say in each round that they cannot, in a masked one (secure 1) after they have dealt their
 * shares. Measured are R rounds after the first two, from one line "round k of n" of the aggregator to another:
 * wall time; processor time of the aggregator, and of the agents' processes for a site and round; the
 * aggregator's largest resident memory since it began; bytes that a site hands to CURVE and gets from it. Then
 * the programs end, and the same bytes are moved by bare sockets (round_bare.c), for how much of a round is the
 * transport's.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench_words.h"
#include "tests/bench/round_bench.h"

enum { CROWDS_UNSAID = 1 << 20, ALONE_MAX = 32, CROWDS = 4, BARE_ROUNDS = 20 };

static struct round_counts *round_counts;

static const char program[] = "bench_round";
static struct round_words words = {
    .sites = 8, .params = 100000, .rounds = 20, .crowds = CROWDS_UNSAID, .bits = 32};
static pid_t owner;                         /* who removes the folder */
static pid_t child[ROUND_SITES_MAX + 1];    /* supervisors of agents; the aggregator last */
static pid_t measured[3 * ROUND_SITES_MAX]; /* theirs, and of gateways and trainers */
static size_t n_measured;
static size_t n_children;

/* ---- ends ------------------------------------------------------------------------------------ */

static void end_children(void)
{
    for (size_t i = 0; i < n_children; i++) {
        (void)kill(child[i], SIGKILL);
    }
    for (size_t i = 0; i < n_children; i++) {
        (void)waitpid(child[i], NULL, 0);
    }
    n_children = 0;
}

static void clean_up(void)
{
    if (getpid() == owner) {
        end_children();
        round_study_remove(&words);
    }
}

void round_fail(const char *format, ...)
{
    va_list args;
    (void)fprintf(stderr, "%s: ", program);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

static void be_stopped(int number)
{
    (void)number;
    clean_up();
    _exit(1);
}

/* ---- words ----------------------------------------------------------------------------------- */

_Noreturn static void wrong(const char *sentence, const char *about)
{
    (void)fprintf(stderr, "%s: %s%s\n", program, about, sentence);
    exit(2);
}

static void read_words(int argc, char **argv)
{
    size_t secure = 0;
    const struct {
        const char *name;
        size_t least, most, *to;
    } option[] = {{"--sites", 3, ROUND_SITES_MAX, &words.sites},
                  {"--params", 100, 10000000, &words.params},
                  {"--secure", 0, 1, &secure},
                  {"--drop", 0, ROUND_SITES_MAX, &words.drop},
                  {"--rounds", 1, 100000, &words.rounds},
                  {"--crowds", 0, ROUND_SITES_MAX, &words.crowds},
                  {"--bits", 16, 32, &words.bits}};
    const size_t n_options = sizeof option / sizeof option[0];
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        if (strcmp(argv[i], "--json") == 0) {
            words.json = true;
            continue;
        }
        while (k < n_options && strcmp(argv[i], option[k].name) != 0) {
            k++;
        }
        if (k == n_options) {
            wrong(" is none of: --sites --params --secure --drop --rounds --crowds --bits --json",
                  argv[i]);
        }
        if (i + 1 == argc) {
            wrong(" wants a value", argv[i]);
        }
        *option[k].to =
            bench_number(program, argv[i], argv[i + 1], option[k].least, option[k].most);
        i++;
    }
    words.secure = secure == 1;
    if (words.crowds == CROWDS_UNSAID) {
        words.crowds = words.sites > ALONE_MAX ? CROWDS : 0;
    }
    if (words.bits != 16 && words.bits != 32) {
        wrong("--bits is 16 or 32", "");
    }
    if (words.crowds > words.sites) {
        wrong("--crowds are more than --sites; take fewer of them", "");
    }
    if (words.drop + 3 > words.sites) {
        wrong("--drop leaves fewer than 3 sites; drop fewer, or take more --sites", "");
    }
    if (words.secure && words.sites - words.drop < words.sites / 2 + 1) {
        wrong("--drop leaves no majority to open a masked sum; drop fewer", "");
    }
}

/* ---- processes ------------------------------------------------------------------------------- */

static void find_programs(void)
{
    const ssize_t n = readlink("/proc/self/exe", words.programs, sizeof words.programs - 1);
    char *slash = n > 0 ? strrchr(words.programs, '/') : NULL;
    if (slash == NULL) {
        round_fail("cannot find the folder of the programs");
    }
    *slash = '\0';
}

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    const int n = snprintf(words.folder, sizeof words.folder, "%s/bench_round.XXXXXX",
                           tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    if (n < 0 || (size_t)n >= sizeof words.folder || mkdtemp(words.folder) == NULL) {
        round_fail("cannot make a folder in $TMPDIR: %s", strerror(errno));
    }
    owner = getpid();
    (void)atexit(clean_up);
    (void)signal(SIGINT, be_stopped);
    (void)signal(SIGTERM, be_stopped);
}

static void map_counts(char path[ROUND_PATH_MAX + 32])
{
    (void)snprintf(path, ROUND_PATH_MAX + 32, "%s/counts", words.folder);
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)sizeof *round_counts) != 0) {
        round_fail("cannot make '%s': %s", path, strerror(errno));
    }
    round_counts = mmap(NULL, sizeof *round_counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (round_counts == MAP_FAILED) {
        round_fail("cannot map '%s': %s", path, strerror(errno));
    }
    (void)close(fd);
}

/* In the child: stdout and stderr to LOG, and what bench_agent is told by its environment. */
static void become_agents(const char *log, const char *counts)
{
    char first[32];
    const int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)snprintf(first, sizeof first, "%zu", words.sites - words.drop);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
        setenv(ROUND_COUNTS_FILE, counts, 1) != 0 ||
        (words.drop > 0 && setenv(ROUND_DROPS, first, 1) != 0)) {
        _exit(127);
    }
}

static void started(pid_t pid)
{
    if (pid < 0) {
        round_fail("cannot start an agent: %s", strerror(errno));
    }
    child[n_children++] = pid;
    measured[n_measured++] = pid;
}

static void start_agent(size_t site, const char *counts)
{
    char path[ROUND_PATH_MAX + 32], folder[ROUND_PATH_MAX + 64], log[ROUND_PATH_MAX + 80];
    (void)snprintf(path, sizeof path, "%s/bench_agent", words.programs);
    (void)snprintf(folder, sizeof folder, "%s/%s", words.folder, round_site_name(site));
    (void)snprintf(log, sizeof log, "%s/log", folder);
    const pid_t pid = fork();
    if (pid == 0) {
        become_agents(log, counts);
        (void)execl(path, path, "run", folder, (char *)NULL);
        _exit(127);
    }
    started(pid);
}

/* Sites `crowd`, `crowd` + K, ... in one process. */
static void start_crowd(size_t crowd, const char *counts)
{
    static char folder[ROUND_SITES_MAX][ROUND_PATH_MAX + 64];
    static char *argv[ROUND_SITES_MAX + 3];
    static char word[] = "crowd";
    char path[ROUND_PATH_MAX + 32], log[ROUND_PATH_MAX + 80];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/bench_agent", words.programs);
    (void)snprintf(log, sizeof log, "%s/crowd-%zu.log", words.folder, crowd);
    argv[0] = path;
    argv[1] = word;
    for (size_t i = crowd; i < words.sites; i += words.crowds) {
        (void)snprintf(folder[n], sizeof folder[n], "%s/%s", words.folder, round_site_name(i));
        argv[2 + n] = folder[n];
        n++;
    }
    argv[2 + n] = NULL;
    const pid_t pid = fork();
    if (pid == 0) {
        become_agents(log, counts);
        (void)execv(path, argv);
        _exit(127);
    }
    started(pid);
}

/* The supervisor's log names its two processes. */
static void find_processes(size_t site)
{
    char path[ROUND_PATH_MAX + 80], line[512];
    size_t found = 0;
    (void)snprintf(path, sizeof path, "%s/%s/log", words.folder, round_site_name(site));
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        const char *gateway = strstr(line, " gateway=");
        const char *trainer = strstr(line, " trainer=");
        if (strstr(line, "agent_started") != NULL && gateway != NULL && trainer != NULL) {
            measured[n_measured++] = (pid_t)strtol(gateway + 9, NULL, 10);
            measured[n_measured++] = (pid_t)strtol(trainer + 9, NULL, 10);
            found++;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    if (found != 1) {
        round_fail("site %zu was started %zu times and not once", site, found);
    }
}

/* @return what it says on stdout */
static FILE *start_aggregator(void)
{
    char path[ROUND_PATH_MAX + 32], folder[ROUND_PATH_MAX + 32], study[ROUND_PATH_MAX + 32];
    char log[ROUND_PATH_MAX + 32];
    int says[2] = {-1, -1};
    (void)snprintf(path, sizeof path, "%s/wardround-aggregator", words.programs);
    (void)snprintf(folder, sizeof folder, "%s/coordinator", words.folder);
    (void)snprintf(study, sizeof study, "%s/study.yaml", words.folder);
    (void)snprintf(log, sizeof log, "%s/coordinator/log", words.folder);
    if (pipe(says) != 0) {
        round_fail("cannot make a pipe: %s", strerror(errno));
    }
    const pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(says[1], STDOUT_FILENO) < 0) {
            _exit(127);
        }
        (void)close(says[0]);
        (void)execl(path, path, "run", folder, "--study", study, (char *)NULL);
        _exit(127);
    }
    (void)close(says[1]);
    if (pid < 0) {
        round_fail("cannot start the aggregator: %s", strerror(errno));
    }
    child[n_children++] = pid;
    return fdopen(says[0], "r");
}

/* ---- measuring ------------------------------------------------------------------------------- */

struct moment {
    double wall_s, server_s, clients_s;
    uint64_t up, down;
};

static double clock_s(clockid_t clock)
{
    struct timespec t = {0};
    return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : 0.0;
}

static double cpu_s(pid_t pid)
{
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0) {
        round_fail("a process ended before the study");
    }
    return clock_s(clock);
}

/* The aggregator is the last of the children. */
static struct moment now(void)
{
    struct moment m = {.wall_s = clock_s(CLOCK_MONOTONIC)};
    m.server_s = cpu_s(child[n_children - 1]);
    for (size_t i = 0; i < n_measured; i++) {
        m.clients_s += cpu_s(measured[i]);
    }
    m.up = atomic_load(&round_counts->bytes_up);
    m.down = atomic_load(&round_counts->bytes_down);
    return m;
}

static double peak_mb(pid_t pid)
{
    char path[64], line[256];
    double kb = 0.0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        kb = strncmp(line, "VmHWM:", 6) == 0 ? strtod(line + 6, NULL) : kb;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return kb * 1024.0 / 1e6;
}

/* Waits for the end of that round. */
static void await_round(FILE *says, size_t wanted)
{
    static char line[64 * ROUND_SITES_MAX];
    const size_t staying = words.sites - words.drop;
    while (fgets(line, sizeof line, says) != NULL) {
        size_t round = 0, contributed = 0;
        char *at = line + 6;
        if (strncmp(line, "round ", 6) != 0) {
            continue;
        }
        round = strtoul(at, &at, 10);
        at = strstr(at, ": ");
        contributed = at != NULL ? strtoul(at + 2, NULL, 10) : 0;
        if (contributed != staying) {
            round_fail("round %zu is of %zu sites and not of %zu; the aggregator said: %.200s",
                       round, contributed, staying, line);
        }
        if (round == wanted) {
            return;
        }
    }
    round_fail("the aggregator ended before round %zu; its last line: %.300s", wanted, line);
}

struct figures {
    double ms, client_ms, server_ms, peak_mb, up, down;
};

static struct figures figures_of(const struct moment *a, const struct moment *b)
{
    const double R = (double)words.rounds;
    const double all = R * (double)words.sites;
    return (struct figures){.ms = 1e3 * (b->wall_s - a->wall_s) / R,
                            .client_ms = 1e3 * (b->clients_s - a->clients_s) / all,
                            .server_ms = 1e3 * (b->server_s - a->server_s) / R,
                            .peak_mb = peak_mb(child[n_children - 1]),
                            .up = (double)(b->up - a->up) / all,
                            .down = (double)(b->down - a->down) / all};
}

/* The same bytes without the programs, after these have ended. */
static struct round_bare bare_of(const struct figures *f)
{
    const double staying = (double)(words.sites - words.drop) / (double)words.sites;
    struct round_bare bare = {.rounds = words.rounds < BARE_ROUNDS ? words.rounds : BARE_ROUNDS,
                              .bytes_up = (size_t)(f->up / staying),
                              .bytes_down = (size_t)f->down};
    round_bare(&words, &bare);
    return bare;
}

static void print(const struct figures *f, const struct round_bare *bare)
{
    const uint64_t params = atomic_load(&round_counts->params);
    (void)printf(words.json ? "{\"sites\":%zu,\"params\":%" PRIu64
                              ",\"secure\":%d,\"drop\":%zu,\"rounds\":%zu,\"rounds_per_s\":%.3f,"
                              "\"ms_per_round\":%.2f,\"client_cpu_ms\":%.2f,\"server_cpu_ms\":%.2f,"
                              "\"server_peak_mb\":%.1f,\"bytes_up\":%.0f,\"bytes_down\":%.0f"
                            : "%zu sites, %" PRIu64 " numbers, secure %d, %zu dropped, %zu rounds: "
                              "%.3f rounds/s, %.2f ms a round; a site's processor %.2f ms, the "
                              "aggregator's %.2f ms, its memory %.1f MB; a site sends %.0f and "
                              "receives %.0f bytes",
                 words.sites, params, (int)words.secure, words.drop, words.rounds, 1e3 / f->ms,
                 f->ms, f->client_ms, f->server_ms, f->peak_mb, f->up, f->down);
    (void)printf(words.json ? ",\"bare_ms_per_round\":%.2f,\"bare_server_cpu_ms\":%.2f,"
                              "\"of_bare\":%.3f}\n"
                            : "; the same bytes by bare CURVE %.2f ms a round, %.2f ms of the "
                              "server's processor: %.3f of its rounds/s\n",
                 bare->ms_per_round, bare->server_cpu_ms, bare->ms_per_round / f->ms);
    if (fflush(stdout) != 0) {
        round_fail("cannot write the figures: %s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    bench_help(argc, argv,
               "bench_round [--sites N] [--params P] [--secure 0|1] [--drop D] [--rounds R] "
               "[--crowds K] [--bits 16|32] [--json]:\n"
               "rounds a second of the real programs over CURVE on loopback, without training; "
               "folders below $TMPDIR;\n"
               "with K the sites share K processes (above 32 sites: 4), without three each\n"
               "  bench_round --sites 8 --params 100000 --secure 1 --json\n"
               "  bench_round --sites 8 --params 100000 --drop 1\n"
               "  bench_round --sites 100 --params 1000000 --secure 1 --drop 10 --rounds 3\n");
    char counts[ROUND_PATH_MAX + 32];
    read_words(argc, argv);
    find_programs();
    make_folder();
    map_counts(counts);
    round_study_make(&words);
    for (size_t i = 0; words.crowds == 0 && i < words.sites; i++) {
        start_agent(i, counts);
    }
    for (size_t i = 0; i < words.crowds; i++) {
        start_crowd(i, counts);
    }
    FILE *says = start_aggregator();
    if (says == NULL) {
        round_fail("cannot hear the aggregator: %s", strerror(errno));
    }
    await_round(says, ROUND_WARM_UP);
    for (size_t i = 0; words.crowds == 0 && i < words.sites; i++) {
        find_processes(i);
    }
    const struct moment before = now();
    await_round(says, ROUND_WARM_UP + words.rounds);
    const struct moment after = now();
    const struct figures figures = figures_of(&before, &after);
    (void)fclose(says);
    end_children();
    const struct round_bare bare = bare_of(&figures);
    print(&figures, &bare);
    return 0;
}
