#include "tests/integration/site/agent.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"

enum { STOP_MS = 20000, ARGS_MAX = 12, N_PATIENTS = 60 };

const char agent_features[] =
    "separator: \",\"\nheader: true\npatient: {column: id, rows: one}\nsite: {from: file}\n"
    "missing: [\"\"]\nlabel: {column: died, positive: [1], negative: [0]}\nfeatures:\n"
    "  - {name: age, type: continuous, unit: years, range: [18, 100]}\n"
    "  - {name: smoker, type: binary}\n"
    "  - {name: lactate, type: continuous, unit: mmol/l, range: [0.2, 15]}\n";

/* ---- files ----------------------------------------------------------------------------------- */

void agent_root(struct agent *a)
{
    *a = (struct agent){0};
    (void)snprintf(a->root, sizeof a->root, "/tmp/wardround-site-XXXXXX");
    assert_non_null(mkdtemp(a->root));
    (void)snprintf(a->folder, sizeof a->folder, "%s/north", a->root);
    (void)snprintf(a->log, sizeof a->log, "%s/log", a->root);
}

void agent_file(const struct agent *a, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", a->root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Made of nothing, and the same in every run. */
static void write_patients(const struct agent *a)
{
    char text[N_PATIENTS * 48] = "id,age,smoker,lactate,died\n";
    for (unsigned i = 0; i < N_PATIENTS; i++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "p%u,%u,%u,%u.%u,%u\n", i, 20 + i * 7 % 70,
                       i % 2, 1 + i % 9, i % 10, (i * 7 % 70 + i % 3 * 9) > 40);
    }
    agent_file(a, "north/patients.csv", text);
}

static pid_t start(const struct agent *a, const char *program, char *const *argv, const char *out)
{
    (void)fflush(stdout);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int log = open(a->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        const int to = out != NULL ? open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600) : log;
        (void)dup2(log, STDERR_FILENO);
        (void)dup2(to, STDOUT_FILENO);
        (void)execv(program, argv);
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

int agent_command(const struct agent *a, const char *word, ...)
{
    char *argv[ARGS_MAX] = {word_of("wardround-agent"), word_of(word), word_of(a->folder)};
    char out[128];
    va_list args;
    va_start(args, word);
    for (size_t i = 3; i < ARGS_MAX - 1; i++) {
        argv[i] = va_arg(args, char *);
        if (argv[i] == NULL) {
            break;
        }
    }
    va_end(args);
    (void)snprintf(out, sizeof out, "%s/out", a->root);
    return end_of(start(a, AGENT, argv, out));
}

/* ---- a hospital ------------------------------------------------------------------------------ */

static void trust(const struct agent *a, const struct seal_card *coordinator)
{
    struct error err = {0};
    char path[128];
    char fingerprint[SEAL_FINGERPRINT];
    (void)snprintf(path, sizeof path, "%s/coordinator.card", a->root);
    assert_int_equal(seal_card_write(path, coordinator, &err), RC_OK);
    seal_fingerprint(coordinator, fingerprint);
    assert_int_equal(agent_command(a, "trust", path, "--fingerprint", fingerprint, (char *)NULL),
                     0);
}

void agent_make(struct agent *a, const struct seal_card *coordinator, unsigned port)
{
    struct error err = {0};
    char text[2048];
    assert_int_equal(agent_command(a, "init", "--name", "north", (char *)NULL), 0);
    (void)snprintf(text, sizeof text, "%s/north.card", a->folder);
    assert_int_equal(seal_card_read(text, &a->card, &err), RC_OK);
    (void)snprintf(text, sizeof text,
                   "site: north\naddress: tcp://127.0.0.1:%u\n"
                   "policy: {max_epsilon_per_study: inf, max_epsilon_total: inf, "
                   "max_delta_per_study: 1.0e-3, min_patients: 30, min_sites: 1}\n"
                   "auto_approve:\n  - {coordinator: %s, max_epsilon: inf}\n",
                   port, coordinator->name);
    agent_file(a, "north/site.yaml", text);
    (void)snprintf(text, sizeof text,
                   "cohort: north\nfiles:\n  - {path: patients.csv, site: north}\n%s",
                   agent_features);
    agent_file(a, "north/cohort.yaml", text);
    write_patients(a);
    trust(a, coordinator);
    assert_int_equal(agent_command(a, "import", (char *)NULL), 0);
}

void agent_run_program(struct agent *a, const char *program)
{
    char *argv[] = {word_of("wardround-agent"), word_of("run"), a->folder, NULL};
    assert_int_equal(a->pid, 0);
    a->pid = start(a, program, argv, NULL);
}

void agent_run(struct agent *a)
{
    agent_run_program(a, AGENT);
}

int agent_stop(struct agent *a)
{
    const int64_t until = clock_monotonic_ms() + STOP_MS;
    const struct timespec moment = {.tv_nsec = 10000000};
    int status = 0;
    assert_true(a->pid > 0);
    assert_int_equal(kill(a->pid, SIGTERM), 0);
    while (waitpid(a->pid, &status, WNOHANG) == 0) {
        if (clock_monotonic_ms() > until) {
            (void)kill(a->pid, SIGKILL);
        }
        (void)nanosleep(&moment, NULL);
    }
    a->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void agent_remove(struct agent *a)
{
    char command[128];
    if (a->pid > 0) {
        (void)agent_stop(a);
    }
    if (a->root[0] != '\0') {
        (void)snprintf(command, sizeof command, "rm -rf '%s'", a->root);
        assert_int_equal(system(command), 0);
        a->root[0] = '\0';
    }
}

/* ---- what it says ---------------------------------------------------------------------------- */

static size_t lines_with(const char *path, const char *text, const char *also)
{
    char line[4096];
    size_t n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        n += strstr(line, text) != NULL && strstr(line, also) != NULL;
    }
    (void)fclose(f);
    return n;
}

size_t agent_logged(const struct agent *a, const char *text, const char *also)
{
    return lines_with(a->log, text, also);
}

bool agent_said(const struct agent *a, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/out", a->root);
    return lines_with(path, text, "") > 0;
}

json_t *agent_spent(const struct agent *a)
{
    char path[128];
    json_error_t why;
    assert_int_equal(agent_command(a, "ledger", "--json", (char *)NULL), 0);
    (void)snprintf(path, sizeof path, "%s/out", a->root);
    json_t *ledger = json_load_file(path, 0, &why);
    assert_non_null(ledger);
    const json_t *spends = json_object_get(ledger, "spends");
    json_t *spent = json_object();
    for (size_t i = 0; i < json_array_size(spends); i++) {
        const json_t *spend = json_array_get(spends, i);
        char round[32];
        (void)snprintf(round, sizeof round, "%lld",
                       (long long)json_integer_value(json_object_get(spend, "round")));
        assert_null(json_object_get(spent, round)); /* no round twice */
        assert_int_equal(json_object_set(spent, round, json_object_get(spend, "update")), 0);
    }
    json_decref(ledger);
    return spent;
}
