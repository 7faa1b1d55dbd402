/*
 * `bench_agent crowd FOLDER...`: many hospitals in one process, each with the gateway and the trainer of
 * wardround-agent as two threads with their socket pair between them, keys, ledger, connection and all. A
 * machine that has a hundred hospitals to itself need not run three hundred processes. What differs: no sandbox,
 * and lines of the log without a name, since both are a process's. The linker wraps main and what is a process's.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pthread.h>

#include "agent/app/process.h"
#include "agent/pair/pair.h"
#include "agent/sandbox/sandbox.h"
#include "common/base/log.h"
#include "tests/bench/round_bench.h"

static bool is_crowd; /* written once, before any thread */

int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv);
enum rc __real_sandbox_harden(bool with_parent, struct error *err);
enum rc __wrap_sandbox_harden(bool with_parent, struct error *err);
enum rc __real_sandbox_enter(const struct sandbox_rules *rules, struct sandbox_state *out,
                             struct error *err);
enum rc __wrap_sandbox_enter(const struct sandbox_rules *rules, struct sandbox_state *out,
                             struct error *err);
void __real_log_identity(const char *fields);
void __wrap_log_identity(const char *fields);

enum rc __wrap_sandbox_harden(bool with_parent, struct error *err)
{
    return is_crowd ? RC_OK : __real_sandbox_harden(with_parent, err);
}

enum rc __wrap_sandbox_enter(const struct sandbox_rules *rules, struct sandbox_state *out,
                             struct error *err)
{
    if (!is_crowd) {
        return __real_sandbox_enter(rules, out, err);
    }
    *out = (struct sandbox_state){.sentence = "none: one of a crowd"};
    return RC_OK;
}

void __wrap_log_identity(const char *fields)
{
    if (!is_crowd) {
        __real_log_identity(fields);
    }
}

struct hospital {
    struct process_params gateway, trainer;
    pthread_t thread[2];
};

_Noreturn static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_agent: %s: %s\n", what, why);
    _exit(1);
}

static void *gateway(void *p)
{
    const struct process_params *params = p;
    const enum process_end end = gateway_main(params);
    if (end != PROCESS_DONE) {
        fail(params->folder, "its gateway has failed");
    }
    return NULL;
}

static void *trainer(void *p)
{
    const struct process_params *params = p;
    (void)trainer_main(params);
    fail(params->folder, "its trainer has ended");
}

static void folder_in(const char *folder, const char *name)
{
    char path[ROUND_PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        fail(path, strerror(errno));
    }
}

static void start(struct hospital *h, const char *folder)
{
    int pair[2], stop[2], ready[2];
    struct error err = {0};
    folder_in(folder, "gateway");
    folder_in(folder, "models");
    folder_in(folder, "studies");
    if (pair_sockets(pair, &err) != RC_OK || pipe(stop) != 0 || pipe(ready) != 0) {
        fail(folder, "no descriptors are left for its processes");
    }
    h->gateway = (struct process_params){
        .folder = folder, .pair_fd = pair[0], .stop_fd = stop[0], .ready_fd = ready[1]};
    h->trainer = (struct process_params){
        .folder = folder, .pair_fd = pair[1], .stop_fd = -1, .ready_fd = -1};
    if (pthread_create(&h->thread[0], NULL, gateway, &h->gateway) != 0 ||
        pthread_create(&h->thread[1], NULL, trainer, &h->trainer) != 0) {
        fail(folder, "no thread is to be had for it");
    }
}

/* Until it is killed. */
_Noreturn static void crowd(int n, char **folders)
{
    struct hospital *all = calloc((size_t)n, sizeof *all);
    struct rlimit files = {0};
    is_crowd = true;
    if (all == NULL || n < 1) {
        fail("crowd", "it wants folders of hospitals");
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* some twenty for each */
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < n; i++) {
        start(&all[i], folders[i]);
    }
    for (;;) {
        (void)pause();
    }
}

int __wrap_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "crowd") == 0) {
        crowd(argc - 2, argv + 2);
    }
    return __real_main(argc, argv);
}
