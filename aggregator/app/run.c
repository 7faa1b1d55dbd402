/* `wardround-aggregator run DIR --study STUDY.yaml`: one process, one loop. Everything that it needs
 * to go on after a crash is in the registry; stopping it at any moment is safe. */
#include "aggregator/app/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/app/coordinator_internal.h"
#include "aggregator/app/words.h"
#include "common/base/clock.h"
#include "common/base/heap.h"
#include "common/base/log.h"
#include "common/base/notify.h"
#include "common/base/stopped.h"

/* Secret keys and updates must not end up in a core file, nor new files in others' hands. As many
 * open files as the system lets us have: each site may have a connection and a spool file. */
static enum rc harden(struct error *err)
{
    struct rlimit none = {0, 0};
    struct rlimit files = {0, 0};
    (void)umask(077);
    if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
        return error_set(err, RC_IO, "cannot switch core dumps off: %s", strerror(errno));
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    return RC_OK;
}

/* SIGTERM and SIGINT as a descriptor of the loop. Before libzmq starts its threads, which inherit
 * the mask. A reader of our lines who goes away is no reason to stop. */
static enum rc open_signals(int *fd, struct error *err)
{
    sigset_t stop;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    if (sigprocmask(SIG_BLOCK, &stop, NULL) != 0) {
        return error_set(err, RC_IO, "cannot block signals: %s", strerror(errno));
    }
    *fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    return *fd >= 0 ? RC_OK : error_set(err, RC_IO, "no signalfd: %s", strerror(errno));
}

/* Which of them it was. */
static int signal_of(int fd)
{
    struct signalfd_siginfo info;
    const bool whole = read(fd, &info, sizeof info) == (ssize_t)sizeof info;
    return whole ? (int)info.ssi_signo : SIGTERM;
}

/* Not reaching the service manager is no reason to stop either. */
static void notify(const char *state)
{
    struct error err = {0};
    if (notify_manager(state, &err) != RC_OK) {
        log_event(LOG_LEVEL_WARN, "manager_not_notified", "reason=\"%s\"", err.text);
    }
}

static void look_at_clocks(struct coordinator *c)
{
    c->now_ms = clock_monotonic_ms();
    c->wall_ms = clock_wall_ms();
}

/* What sites have sent; the cards are looked at before each message, so that a revoked site is out
 * at its next one. */
static enum rc listen_to_sites(struct coordinator *c, struct error *err)
{
    for (size_t i = 0; i < MESSAGES_A_TURN; i++) {
        struct net_frames frames = {0};
        bool got = false;
        size_t peer = 0;
        enum rc rc = peers_refresh(c, err);
        if (rc == RC_OK) {
            rc = net_server_receive(c->server, &got, &peer, &frames, err);
        }
        if (rc != RC_OK || !got) {
            return rc;
        }
        rc = inbox_take(c, peer, &frames, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    return RC_OK;
}

/* After the end: how many who would want to know have not said that they do? A revoked site cannot. */
static size_t unaware(const struct coordinator *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_sites; i++) {
        const enum round_member member = c->machine.member[i];
        const bool wants =
            member == ROUND_ACCEPTED || (c->site[i].heard && member == ROUND_UNKNOWN);
        n += wants && c->peer[i].allowed && !c->site[i].goodbye;
    }
    return n;
}

static int64_t linger_until(const struct coordinator *c)
{
    return c->ended_ms + (int64_t)(c->folder.linger_s * 1000.0);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum rc wait_for_something(struct coordinator *c, int signals, int64_t due_ms, bool *stop,
                                  struct error *err)
{
    struct net_wait w = {.server = c->server, .n_fds = 1, .fd = {{.fd = signals}}};
    const int64_t now = clock_monotonic_ms();
    const enum rc rc = net_wait(&w, due_ms > now ? due_ms - now : 0, err);
    *stop = rc == RC_OK && w.fd[0].readable;
    return rc;
}

/* One turn: what was said, what is due, what is to be sent. */
static enum rc turn(struct coordinator *c, int64_t *due_ms, struct error *err)
{
    look_at_clocks(c);
    *due_ms = c->now_ms + TURN_MAX_MS;
    enum rc rc = listen_to_sites(c, err);
    if (rc == RC_OK) {
        rc = uploads_settle_due(c, due_ms, err);
    }
    if (rc == RC_OK) {
        rc = coordinator_timers(c, err);
    }
    while (rc == RC_OK && c->merge_due) {
        rc = merging_run(c, err);
        look_at_clocks(c);
    }
    if (rc == RC_OK) {
        rc = uploads_pump(c, due_ms, err);
    }
    if (rc == RC_OK) {
        rc = downloads_pump(c, due_ms, err);
    }
    if (rc == RC_OK && c->tidy_due) { /* the sites are at work now */
        c->tidy_due = false;
        registry_tidy(c->registry);
    }
    *due_ms = sooner(sooner(*due_ms, c->machine.deadline_ms), masked_due_ms(c));
    if (c->ended_ms >= 0 && !evaluations_open(c)) {
        *due_ms = sooner(*due_ms, linger_until(c));
    }
    refusals_at_the_door(c);
    tell_progress(c);
    live_write(c, true);
    return rc;
}

/* @param[out] stopped the signal that ended it before the study had ended; 0: none */
static enum rc run_study(struct coordinator *c, int signals, int *stopped, struct error *err)
{
    bool stop = false;
    enum rc rc = RC_OK;
    for (;;) {
        int64_t due_ms = 0;
        seal_keys_unlock(c->keys); /* a turn signs many messages */
        rc = turn(c, &due_ms, err);
        seal_keys_lock(c->keys);
        const bool ended = c->ended_ms >= 0;
        const size_t waiting = ended ? unaware(c) : 0;
        const bool over = ended && !evaluations_open(c) &&
                          (waiting == 0 || c->errand || c->now_ms >= linger_until(c));
        if (rc != RC_OK || over) {
            return rc;
        }
        if (ended && !c->told_waiting) {
            c->told_waiting = true;
            tell_waiting(c, waiting);
        }
        rc = wait_for_something(c, signals, due_ms, &stop, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (stop && c->ended_ms >= 0) {
            return RC_OK;
        }
        if (stop) {
            *stopped = signal_of(signals);
            return error_set(err, RC_STATE,
                             "stopped before the study has ended; run the same command again to "
                             "resume it");
        }
    }
}

/* The last words, before the sockets go. */
static void close_study(struct coordinator *c)
{
    look_at_clocks(c);
    live_write(c, false);
    tell_counts(c);
    log_event(LOG_LEVEL_INFO, "aggregator_stopped", "state=%s refused=%" PRIu64,
              round_state_name(c->machine.state), refusals_total(c));
}

enum rc run_carry_out(const struct run_wish *w, enum verdict *verdict, struct config_issues *issues,
                      struct error *err)
{
    struct coordinator *c = calloc(1, sizeof *c);
    char identity[SEAL_NAME_MAX + 16];
    int lock = -1;
    int signals = -1;
    int stopped = 0;
    enum rc rc = RC_OK;

    if (c == NULL) {
        return error_set(err, RC_NOMEM, "no memory to start");
    }
    heap_keep();
    c->json = w->json;
    c->errand = w->errand;
    rc = harden(err);
    if (rc == RC_OK) {
        rc = folder_open(w->folder, &c->folder, issues, err);
    }
    if (rc == RC_OK) {
        rc = folder_lock(&c->folder, &lock, err);
    }
    if (rc == RC_OK) {
        rc = open_signals(&signals, err);
    }
    if (rc != RC_OK) {
        goto out;
    }
    (void)snprintf(identity, sizeof identity, "coordinator=%s", c->folder.name);
    log_identity(identity);
    rc = coordinator_open(c, w->study, w->kept, issues, err);
    if (rc == RC_OK) {
        notify("READY=1");
        rc = run_study(c, signals, &stopped, err);
        notify("STOPPING=1");
        close_study(c);
        *verdict = c->machine.state == ROUND_DONE ? VERDICT_YES : VERDICT_NO;
    }
    log_identity(NULL);
out:
    coordinator_close(c);
    if (signals >= 0) {
        (void)close(signals);
    }
    if (lock >= 0) {
        (void)close(lock);
    }
    free(c);
    if (stopped != 0) { /* all is closed and kept: the sender learns that it was heeded */
        (void)fprintf(stderr, "wardround-aggregator: %s\n", err->text);
        stopped_by(stopped);
    }
    return rc;
}

enum rc command_run(const struct words *w, enum verdict *verdict, struct config_issues *issues,
                    struct error *err)
{
    const struct run_wish wish = {.folder = w->folder, .study = w->study, .json = w->json};
    return run_carry_out(&wish, verdict, issues, err);
}
