#include "tests/integration/coordinator/aggregator.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <poll.h>

#include "common/base/clock.h"
#include "common/base/hash.h"

enum { WAIT_MS = 20000, ARGS_MAX = 12 };

static struct error err;

/* ---- files ----------------------------------------------------------------------------------- */

static const char cohort[] = "cohort: invented\n"
                             "files:\n"
                             "  - {path: patients.csv, site: a}\n"
                             "separator: \";\"\n"
                             "header: true\n"
                             "patient: {column: id, rows: one}\n"
                             "site: {from: file}\n"
                             "missing: [\"\"]\n"
                             "label: {name: death, column: died, positive: [\"1\"], negative: "
                             "[\"0\"]}\n"
                             "features:\n"
                             "  - {name: age, type: continuous, unit: years, range: [18, 100], "
                             "required: true}\n"
                             "  - {name: smoker, type: binary}\n"
                             "  - {name: lactate, type: continuous, unit: mmol/l, range: [0.3, "
                             "20]}\n";

static void write_file(const struct aggregator *a, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", a->folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

void aggregator_study(struct aggregator *a, const struct study_words *w)
{
    const char *sites = w->sites != NULL ? w->sites : "a b";
    char roster[8192] = "";
    char model[160] = "model: {name: logistic}\n";
    char text[12288];
    char copy[4096];
    unsigned n = 0;
    char *rest = copy;
    (void)snprintf(copy, sizeof copy, "%s", sites);
    for (char *name = strtok_r(rest, " ", &rest); name != NULL; name = strtok_r(rest, " ", &rest)) {
        const size_t used = strlen(roster);
        char key[HASH_HEX] = "";
        if (w->masked != NULL) { /* as a roster has it: the `sign:` of the card */
            struct hash sign;
            memcpy(sign.b, w->masked[n].sign.b, sizeof sign.b);
            hash_hex(&sign, key);
        }
        (void)snprintf(roster + used, sizeof roster - used, "  - {name: %s, nominal: 50%s%s}\n",
                       name, key[0] != '\0' ? ", key: " : "", key);
        n++;
    }
    if (w->hidden > 0) {
        (void)snprintf(model, sizeof model,
                       "model: {name: mlp, hidden: [%u, %u], activation: relu}\n", w->hidden,
                       w->hidden);
    }
    (void)snprintf(
        text, sizeof text,
        "study: trial\nseed: 7\ncohort: cohort.yaml\nrounds: %u\nquorum: %u\n"
        "min_sites: %d\nmasked: %s\nspare_rounds: %u\njoin_deadline_s: %u\nround_deadline_s: %u\n%s"
        "local: {optimiser: sgd, rate: 0.5, steps: 1}\n"
        "privacy: {noise: none, epsilon: inf, clip: 1.0, sample_rate: 1.0}\n"
        "update: {fraction_bits: 24}\nsites:\n%s",
        w->rounds > 0 ? w->rounds : 2, w->quorum > 0 ? w->quorum : n, w->masked != NULL ? 3 : 1,
        w->masked != NULL ? "true" : "false", w->spare, w->join_s > 0 ? w->join_s : 60,
        w->round_s > 0 ? w->round_s : 60, model, roster);
    write_file(a, "study.yaml", text);
    write_file(a, "cohort.yaml", cohort);
    (void)snprintf(a->study, sizeof a->study, "%s/study.yaml", a->folder);
}

void aggregator_make(struct aggregator *a, const struct study_words *words)
{
    char path[256];
    *a = (struct aggregator){.out = -1};
    (void)snprintf(a->folder, sizeof a->folder, "/tmp/wardround-coordinator-XXXXXX");
    assert_non_null(mkdtemp(a->folder));
    assert_int_equal(aggregator_command(a, "init", "--name", "north", "--address",
                                        "tcp://127.0.0.1:7100", "--bind", "tcp://127.0.0.1:0",
                                        (char *)NULL),
                     0);
    (void)snprintf(path, sizeof path, "%s/north.card", a->folder);
    assert_int_equal(seal_card_read(path, &a->card, &err), RC_OK);
    aggregator_study(a, words);
}

void aggregator_remove(struct aggregator *a)
{
    char command[256];
    if (a->pid > 0) {
        aggregator_signal(a, SIGKILL);
        (void)aggregator_wait(a);
    }
    json_decref(a->event);
    a->event = NULL;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", a->folder);
    assert_int_equal(system(command), 0);
}

/* ---- processes ------------------------------------------------------------------------------- */

static pid_t start(const struct aggregator *a, char *const *argv, int out)
{
    char log[256];
    (void)snprintf(log, sizeof log, "%s/test.log", a->folder);
    (void)fflush(stdout);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(fd, STDERR_FILENO);
        (void)dup2(out >= 0 ? out : fd, STDOUT_FILENO);
        (void)execv(AGGREGATOR, argv);
        _exit(127);
    }
    return pid;
}

static int end_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* execv wants char *, and writes to none of them. */
static char *word_of(const char *text)
{
    union {
        const char *in;
        char *out;
    } p = {.in = text};
    return p.out;
}

int aggregator_command(struct aggregator *a, const char *word, ...)
{
    char *argv[ARGS_MAX] = {word_of("wardround-aggregator"), word_of(word), a->folder};
    va_list args;
    va_start(args, word);
    for (size_t i = 3; i < ARGS_MAX - 1; i++) {
        argv[i] = va_arg(args, char *);
        if (argv[i] == NULL) {
            break;
        }
    }
    va_end(args);
    return end_of(start(a, argv, -1));
}

void aggregator_enrol(struct aggregator *a, const struct seal_card *card)
{
    char name[80];
    char path[256];
    char fingerprint[SEAL_FINGERPRINT];
    seal_fingerprint(card, fingerprint);
    (void)snprintf(name, sizeof name, "%s.incoming", card->name);
    (void)snprintf(path, sizeof path, "%s/%s", a->folder, name);
    assert_int_equal(seal_card_write(path, card, &err), RC_OK);
    assert_int_equal(
        aggregator_command(a, "enrol", path, "--fingerprint", fingerprint, (char *)NULL), 0);
}

void aggregator_signal(struct aggregator *a, int signal)
{
    assert_true(a->pid > 0);
    assert_int_equal(kill(a->pid, signal), 0);
}

int aggregator_wait(struct aggregator *a)
{
    const int code = end_of(a->pid);
    a->pid = 0;
    if (a->out >= 0) {
        (void)close(a->out);
    }
    a->out = -1;
    return code;
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool take_line(struct aggregator *a)
{
    char *end = memchr(a->line, '\n', a->line_n);
    if (end == NULL) {
        return false;
    }
    const size_t n = (size_t)(end - a->line);
    json_decref(a->event);
    a->event = json_loadb(a->line, n, 0, NULL);
    assert_non_null(a->event);
    a->line_n -= n + 1;
    memmove(a->line, end + 1, a->line_n);
    return true;
}

static bool next_event(struct aggregator *a, int64_t until)
{
    while (!take_line(a)) {
        struct pollfd fd = {.fd = a->out, .events = POLLIN};
        const int64_t left = until - clock_monotonic_ms();
        if (left <= 0 || poll(&fd, 1, (int)left) <= 0) {
            return false;
        }
        assert_true(a->line_n < sizeof a->line);
        const ssize_t n = read(a->out, a->line + a->line_n, sizeof a->line - a->line_n);
        if (n <= 0) {
            return false;
        }
        a->line_n += (size_t)n;
    }
    return true;
}

const json_t *aggregator_event(struct aggregator *a, const char *name)
{
    const int64_t until = clock_monotonic_ms() + WAIT_MS;
    while (next_event(a, until)) {
        const char *is = json_string_value(json_object_get(a->event, "event"));
        if (is != NULL && strcmp(is, name) == 0) {
            return a->event;
        }
    }
    char command[256];
    (void)snprintf(command, sizeof command, "tail -n 20 '%s/test.log' >&2", a->folder);
    (void)!system(command);
    fail_msg("no event '%s'", name);
    return NULL;
}

void aggregator_run(struct aggregator *a)
{
    char *const argv[] = {word_of("wardround-aggregator"),
                          word_of("run"),
                          a->folder,
                          word_of("--study"),
                          a->study,
                          word_of("--json"),
                          NULL};
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    a->line_n = 0;
    (void)fcntl(pipe_fd[0], F_SETFD, FD_CLOEXEC);
    a->pid = start(a, argv, pipe_fd[1]);
    (void)close(pipe_fd[1]);
    a->out = pipe_fd[0];
    a->port = (unsigned)json_integer_value(json_object_get(aggregator_event(a, "ready"), "port"));
    assert_true(a->port > 0);
}

bool aggregator_logged(const struct aggregator *a, const char *text)
{
    char path[256];
    static char log[1 << 20];
    (void)snprintf(path, sizeof path, "%s/test.log", a->folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    const size_t n = fread(log, 1, sizeof log - 1, f);
    (void)fclose(f);
    log[n] = '\0';
    return strstr(log, text) != NULL;
}

size_t aggregator_memory(const struct aggregator *a)
{
    char path[64];
    char line[256];
    unsigned long long kb = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)a->pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "VmRSS: %llu kB", &kb) == 1) {
            break;
        }
    }
    (void)fclose(f);
    assert_true(kb > 0);
    return (size_t)kb << 10;
}

json_t *aggregator_live(const struct aggregator *a)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/live.json", a->folder);
    return json_load_file(path, 0, NULL);
}
