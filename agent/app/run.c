/*
 * `wardround-agent run`: the supervisor. It opens nothing of the site but checks that everything is
 * there, starts gateway and trainer with a socket pair between them, and starts both anew when one
 * dies: what a dead trainer had committed, only its ledger knows, so the session begins again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <poll.h>

#include "agent/app/connection.h"
#include "agent/app/process.h"
#include "agent/app/screen.h"
#include "agent/app/site.h"
#include "agent/app/words.h"
#include "agent/pair/pair.h"
#include "agent/sandbox/sandbox.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/notify.h"
#include "common/base/stopped.h"

enum { STOP_PATIENCE_MS = 10000, DELAY_FIRST_MS = 50, DELAY_MAX_MS = 5000, LONG_LIFE_MS = 10000 };

struct children {
    pid_t gateway, trainer;
    int stop_fd;                               /**< ours: closing it tells the gateway to stop */
    int ready_fd;                              /**< ours: a byte says that all is up */
    enum process_end gateway_end, trainer_end; /**< AGAIN until known */
};

/* ---- before the first start ------------------------------------------------------------------ */

static enum rc make_folder(const char *folder, const char *name, struct error *err)
{
    char path[SITE_PATH_MAX];
    const enum rc rc = site_path(folder, name, path, err);
    if (rc == RC_OK && mkdir(path, 0700) != 0 && errno != EEXIST) {
        return error_set(err, RC_IO, "cannot make '%s': %s", path, strerror(errno));
    }
    return rc;
}

/* Everything a child would fail over later is said here, once and to a person. */
static enum rc look(const struct words *w, struct config_issues *issues, struct error *err)
{
    struct site site = {0};
    struct seal_card coordinator;
    struct seal_keys *keys = NULL;
    struct dataset *data = NULL;
    struct ledger *ledger = NULL;
    struct consent *consent = NULL;
    enum rc rc = site_open(w->folder, &site, issues, err);
    if (rc == RC_OK) {
        rc = site_keys(w->folder, &keys, err);
    }
    seal_keys_close(&keys);
    if (rc == RC_OK) {
        rc = site_coordinator(w->folder, &coordinator, err);
    }
    if (rc == RC_OK) {
        rc = site_dataset(&site, &data, err);
    }
    dataset_close(&data);
    if (rc == RC_OK) {
        rc = site_ledger(&site, &ledger, err);
    }
    ledger_close(&ledger);
    if (rc == RC_OK) {
        rc = site_consent(w->folder, &consent, err);
    }
    consent_close(&consent);
    site_release(&site);
    static const char *const folders[] = {"gateway", "models", "studies"};
    for (size_t i = 0; rc == RC_OK && i < sizeof folders / sizeof folders[0]; i++) {
        rc = make_folder(w->folder, folders[i], err);
    }
    return rc;
}

/* What an earlier run has said of itself. */
static enum rc forget_last_run(const char *folder, struct error *err)
{
    static const char *const files[] = {GATEWAY_FINISHED, CONNECTION_FILE};
    char path[SITE_PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const enum rc rc = site_path(folder, files[i], path, err);
        if (rc != RC_OK) {
            return rc;
        }
        if (unlink(path) != 0 && errno != ENOENT) {
            return error_set(err, RC_IO, "cannot remove '%s': %s", path, strerror(errno));
        }
    }
    return RC_OK;
}

/* ---- children -------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

/* In the child. A terminal's Ctrl-C and a service manager's SIGTERM may reach all three: when to
 * leave is the supervisor's to say. */
static void leave_signals_to_parent(const sigset_t *set)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigprocmask(SIG_UNBLOCK, set, NULL);
}

static enum rc start_both(const struct words *w, const sigset_t *signals, struct children *c,
                          struct error *err)
{
    int pair[2] = {-1, -1};
    int stop[2] = {-1, -1};
    int ready[2] = {-1, -1};
    *c = (struct children){.gateway = -1,
                           .trainer = -1,
                           .stop_fd = -1,
                           .ready_fd = -1,
                           .gateway_end = PROCESS_AGAIN,
                           .trainer_end = PROCESS_AGAIN};
    enum rc rc = pair_sockets(pair, err);
    if (rc == RC_OK && (pipe(stop) != 0 || pipe(ready) != 0)) {
        rc = error_set(err, RC_IO, "cannot make a pipe: %s", strerror(errno));
    }
    if (rc != RC_OK) {
        goto out;
    }
    c->gateway = fork();
    if (c->gateway == 0) {
        leave_signals_to_parent(signals);
        (void)close(pair[1]);
        (void)close(stop[1]);
        (void)close(ready[0]);
        const struct process_params p = {.folder = w->folder,
                                         .pair_fd = pair[0],
                                         .stop_fd = stop[0],
                                         .ready_fd = ready[1],
                                         .once = w->once};
        _exit((int)gateway_main(&p));
    }
    c->trainer = c->gateway > 0 ? fork() : -1;
    if (c->trainer == 0) {
        leave_signals_to_parent(signals);
        (void)close(pair[0]);
        (void)close(stop[0]);
        (void)close(stop[1]);
        (void)close(ready[0]);
        (void)close(ready[1]);
        const struct process_params p = {
            .folder = w->folder, .pair_fd = pair[1], .stop_fd = -1, .ready_fd = -1};
        _exit((int)trainer_main(&p));
    }
    if (c->trainer < 0) {
        rc = error_set(err, RC_IO, "cannot start a process: %s", strerror(errno));
        if (c->gateway > 0) {
            (void)kill(c->gateway, SIGKILL);
            (void)waitpid(c->gateway, NULL, 0);
        }
        goto out;
    }
    c->stop_fd = stop[1];
    c->ready_fd = ready[0];
    (void)fcntl(c->ready_fd, F_SETFL, O_NONBLOCK);
    stop[1] = -1;
    ready[0] = -1;
    log_event(LOG_LEVEL_INFO, "agent_started", "gateway=%d trainer=%d", (int)c->gateway,
              (int)c->trainer);
out:
    close_fd(&pair[0]);
    close_fd(&pair[1]);
    close_fd(&stop[0]);
    close_fd(&stop[1]);
    close_fd(&ready[0]);
    close_fd(&ready[1]);
    return rc;
}

/* How a child ended, for the log and for deciding. */
static enum process_end end_of(const char *who, pid_t pid, int status)
{
    if (WIFSIGNALED(status)) {
        log_event(LOG_LEVEL_ERROR, "process_died", "process=%s pid=%d signal=%d", who, (int)pid,
                  WTERMSIG(status));
        return PROCESS_AGAIN;
    }
    const int code = WEXITSTATUS(status);
    return code == PROCESS_DONE     ? PROCESS_DONE
           : code == PROCESS_FAILED ? PROCESS_FAILED
                                    : PROCESS_AGAIN;
}

static void note_end(struct children *c, pid_t pid, int status)
{
    if (pid == c->gateway) {
        c->gateway_end = end_of("gateway", pid, status);
        c->gateway = -1;
    } else if (pid == c->trainer) {
        c->trainer_end = end_of("trainer", pid, status);
        c->trainer = -1;
    }
}

/* Until both are gone. Either leaves by itself when the other end of the pair has closed; whoever
 * does not within the time is killed, which is safe at any instant. */
static void stop_both(struct children *c)
{
    const int64_t until = clock_monotonic_ms() + STOP_PATIENCE_MS;
    close_fd(&c->stop_fd);
    while (c->gateway > 0 || c->trainer > 0) {
        int status = 0;
        const bool out_of_patience = clock_monotonic_ms() >= until;
        if (out_of_patience && c->gateway > 0) {
            (void)kill(c->gateway, SIGKILL);
        }
        if (out_of_patience && c->trainer > 0) {
            (void)kill(c->trainer, SIGKILL);
        }
        const pid_t gone = waitpid(-1, &status, out_of_patience ? 0 : WNOHANG);
        if (gone > 0) {
            note_end(c, gone, status);
        } else if (gone == 0) {
            (void)poll(NULL, 0, 10);
        } else if (errno == ECHILD) {
            break;
        }
    }
    close_fd(&c->ready_fd);
}

/* The gateway knows how the study ended; the trainer, whether starting it again can help. */
static enum process_end verdict(const struct children *c)
{
    if (c->gateway_end != PROCESS_AGAIN) {
        return c->gateway_end;
    }
    return c->trainer_end == PROCESS_FAILED ? PROCESS_FAILED : PROCESS_AGAIN;
}

static void tell_manager(struct children *c, bool *told)
{
    char byte = 0;
    if (!*told && c->ready_fd >= 0 && read(c->ready_fd, &byte, 1) == 1) {
        *told = true;
        struct error ignored = {0};
        error_ignore(notify_manager("READY=1", &ignored));
        log_event(LOG_LEVEL_INFO, "agent_ready", "pid=%d", (int)getpid());
    }
}

static bool asks_to_stop(int signal_number)
{
    return signal_number == SIGTERM || signal_number == SIGINT || signal_number == SIGHUP;
}

/* Waits for a signal to stop (which), or for the end of either child (0). */
static int watch(struct children *c, const sigset_t *signals, bool *told)
{
    for (;;) {
        const struct timespec second = {.tv_nsec = *told ? 999999999 : 100000000};
        const int signal_number = sigtimedwait(signals, NULL, &second);
        tell_manager(c, told);
        if (asks_to_stop(signal_number)) {
            return signal_number;
        }
        int status = 0;
        const pid_t gone = waitpid(-1, &status, WNOHANG);
        if (gone > 0) {
            note_end(c, gone, status);
            return 0;
        }
    }
}

/* Not at once again and again: a disk that is full stays full for a while. The children that are
 * gone have left a SIGCHLD behind, which must not end the pause. */
static int64_t pause_before_restart(int64_t delay_ms, int64_t lived_ms, const sigset_t *signals,
                                    int *stop)
{
    const int64_t pause_ms = lived_ms > LONG_LIFE_MS ? DELAY_FIRST_MS : delay_ms;
    const int64_t until = clock_monotonic_ms() + pause_ms;
    for (int64_t left = pause_ms; left > 0 && *stop == 0; left = until - clock_monotonic_ms()) {
        const struct timespec pause = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        const int signal_number = sigtimedwait(signals, NULL, &pause);
        *stop = asks_to_stop(signal_number) ? signal_number : 0;
    }
    return pause_ms * 2 > DELAY_MAX_MS ? DELAY_MAX_MS : pause_ms * 2;
}

/* @param[out] stop the signal that ended it; 0: it ended by itself, and *yes says how */
static enum rc supervise(const struct words *w, const sigset_t *signals, int *stop, bool *yes,
                         struct error *err)
{
    int64_t delay_ms = DELAY_FIRST_MS;
    bool told = false;
    *stop = 0;
    while (*stop == 0) {
        struct children c;
        const int64_t born_ms = clock_monotonic_ms();
        const enum rc rc = start_both(w, signals, &c, err);
        if (rc != RC_OK) {
            return rc;
        }
        *stop = watch(&c, signals, &told);
        stop_both(&c);
        if (*stop == 0 && verdict(&c) != PROCESS_AGAIN) {
            *yes = verdict(&c) == PROCESS_DONE;
            break;
        }
        if (*stop == 0) {
            delay_ms =
                pause_before_restart(delay_ms, clock_monotonic_ms() - born_ms, signals, stop);
        }
    }
    struct error ignored = {0};
    error_ignore(notify_manager("STOPPING=1", &ignored));
    return RC_OK;
}

enum rc command_run(const struct words *w, bool *yes, struct config_issues *issues,
                    struct error *err)
{
    int lock = -1;
    int stop = 0;
    sigset_t signals;
    enum rc rc = sandbox_harden(false, err);
    if (rc == RC_OK) {
        rc = look(w, issues, err);
    }
    if (rc == RC_OK) {
        rc = site_lock(w->folder, &lock, err);
    }
    if (rc == RC_OK) {
        rc = forget_last_run(w->folder, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    screen_open();
    rc = supervise(w, &signals, &stop, yes, err);
    close_fd(&lock);
    if (stop != 0 && w->once) { /* a study was to be ended, else being stopped is what was meant */
        (void)fprintf(stderr, "wardround-agent: stopped before a study has ended; run the same "
                              "command again to go on\n");
        stopped_by(stop);
    }
    return rc;
}
