/* Many schedules in several processes: a full disk is a limit of the whole process, hence no threads. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/faults/faults.h"

struct report {
    size_t job;
    uint64_t seed;
    bool begins; /* else it has ended, and the rest counts */
    enum rc rc;
    struct error err;
    struct faults_result result;
};
static_assert(sizeof(struct report) <= 4096, "a report is written to a pipe in one piece");

enum rc faults_folder(char out[FAULTS_FOLDER_MAX], struct error *err)
{
    static const char *const place[] = {"/dev/shm", "/tmp"}; /* the first is memory */
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(out, FAULTS_FOLDER_MAX, "%s/wardround-faults-XXXXXX", place[i]);
        if (mkdtemp(out) != NULL) {
            return RC_OK;
        }
    }
    return error_set(err, RC_IO, "cannot make a folder in /dev/shm or /tmp: %s", strerror(errno));
}

/* One of `jobs` processes: its seeds, one after another, each reported at once. */
static void work(const struct faults_many *m, size_t job, const char *folder, int to)
{
    for (uint64_t i = job; i < m->n; i += m->jobs) {
        struct report r = {.job = job, .seed = m->first + i, .begins = true};
        const struct faults_params p = {
            .seed = r.seed, .n_sites = m->n_sites, .neighbours = m->neighbours, .folder = folder};
        if (write(to, &r, sizeof r) != (ssize_t)sizeof r) {
            break;
        }
        r.begins = false;
        r.rc = faults_run(&p, &r.result, &r.err);
        if (write(to, &r, sizeof r) != (ssize_t)sizeof r || r.rc != RC_OK || r.result.broken != 0) {
            break;
        }
    }
}

static RC start(const struct faults_many *m, size_t job, const char *base, int pipe_ends[2],
                pid_t *child, struct error *err)
{
    char folder[FAULTS_FOLDER_MAX + 32];
    (void)snprintf(folder, sizeof folder, "%s/%zu", base, job);
    if (mkdir(folder, 0700) != 0) {
        return error_set(err, RC_IO, "cannot make '%s': %s", folder, strerror(errno));
    }
    *child = fork();
    if (*child < 0) {
        return error_set(err, RC_IO, "cannot start a process: %s", strerror(errno));
    }
    if (*child == 0) {
        (void)close(pipe_ends[0]);
        work(m, job, folder, pipe_ends[1]);
        _exit(0);
    }
    return RC_OK;
}

static void add(struct faults_totals *t, const struct report *r)
{
    const struct faults_result *x = &r->result;
    t->schedules++;
    t->done += x->done;
    t->lying_coordinators += x->lying_coordinator;
    t->lying_sites += x->lying_site;
    t->steps += x->steps;
    t->messages += x->messages;
    t->lost_messages += x->lost_messages;
    t->kills += x->kills;
    t->full_disks += x->full_disks;
    t->refused += x->refused;
    t->opened += x->opened;
    t->lost_rounds += x->lost_rounds;
    t->dropped_sites += x->dropped_sites;
    if (x->broken != 0) {
        t->broken = x->broken;
        t->broken_seed = r->seed;
        memcpy(t->why, x->why, sizeof t->why);
    }
}

/* A process that ends in the midst of a schedule: an assertion did not hold there. */
static void ended_early(const uint64_t *at, size_t jobs, struct faults_totals *out)
{
    for (size_t i = 0; i < jobs && out->broken == 0; i++) {
        if (at[i] != UINT64_MAX) {
            out->broken = FAULTS_ENDED_EARLY;
            out->broken_seed = at[i];
            (void)snprintf(out->why, sizeof out->why, "an assertion did not hold");
        }
    }
}

static RC collect(const struct faults_many *m, int from, struct faults_totals *out,
                  struct error *err)
{
    struct report r;
    uint64_t at[FAULTS_JOBS_MAX];
    enum rc rc = RC_OK;
    for (size_t i = 0; i < m->jobs; i++) {
        at[i] = UINT64_MAX;
    }
    while (rc == RC_OK && out->broken == 0 && read(from, &r, sizeof r) == (ssize_t)sizeof r) {
        at[r.job] = r.begins ? r.seed : UINT64_MAX;
        if (r.begins) {
            continue;
        }
        if (r.rc != RC_OK) {
            rc = error_set(err, r.rc, "seed %llu: %.200s", (unsigned long long)r.seed, r.err.text);
        } else {
            add(out, &r);
        }
        if (m->progress != NULL) {
            m->progress(m->ctx, out);
        }
    }
    if (rc == RC_OK && out->broken == 0) {
        ended_early(at, m->jobs, out);
    }
    if (rc == RC_OK && out->broken == 0 && out->schedules < m->n) {
        rc = error_set(err, RC_STATE, "a process of the %zu ended after %llu of %llu schedules",
                       m->jobs, (unsigned long long)out->schedules, (unsigned long long)m->n);
    }
    return rc;
}

enum rc faults_many(const struct faults_many *m, const char *base, struct faults_totals *out,
                    struct error *err)
{
    pid_t child[FAULTS_JOBS_MAX];
    int ends[2];
    size_t started = 0;
    struct faults_totals totals = {0};
    if (m->jobs == 0 || m->jobs > FAULTS_JOBS_MAX) {
        return error_set(err, RC_INVALID, "1 to %d processes, not %zu", (int)FAULTS_JOBS_MAX,
                         m->jobs);
    }
    if (pipe(ends) != 0) {
        return error_set(err, RC_IO, "cannot make a pipe: %s", strerror(errno));
    }
    enum rc rc = RC_OK;
    while (rc == RC_OK && started < m->jobs) {
        rc = start(m, started, base, ends, &child[started], err);
        started += rc == RC_OK;
    }
    (void)close(ends[1]);
    if (rc == RC_OK) {
        rc = collect(m, ends[0], &totals, err);
    }
    for (size_t i = 0; i < started; i++) {
        (void)kill(child[i], SIGKILL); /* of one that has ended already: nothing */
        (void)waitpid(child[i], NULL, 0);
    }
    (void)close(ends[0]);
    for (size_t i = 0; i < m->jobs; i++) {
        char folder[FAULTS_FOLDER_MAX + 32];
        (void)snprintf(folder, sizeof folder, "%s/%zu", base, i);
        faults_sweep(folder);
        (void)rmdir(folder);
    }
    if (rc == RC_OK) {
        *out = totals;
    }
    return rc;
}
