/*
 * The disks of the parties: real files, opened by the code that the programs open theirs with. To make the
 * tables of a new one costs more than a schedule writes, and the bytes are the same each time: so each process
 * makes one ledger and one registry, and lays copies of them. A disk that is full from the start gets none.
 */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/store/store.h"
#include "sim/faults/faults_internal.h"

enum { BLANK_MAX = 1 << 20 }; /* a new ledger has some 100 kB */

struct blank {
    unsigned char *bytes; /* kept until the process ends */
    size_t n;
};

const struct ledger_policy disk_policy = {.max_epsilon_per_study = (double)INFINITY,
                                          .max_epsilon_total = (double)INFINITY,
                                          .max_delta_per_study = 0.5,
                                          .min_sites = 1,
                                          .shared_noise = true};

static RC read_back(const char *path, struct blank *out, struct error *err)
{
    struct stat seen;
    FILE *f = fopen(path, "rbe");
    if (f == NULL || fstat(fileno(f), &seen) != 0 || seen.st_size <= 0 ||
        seen.st_size > BLANK_MAX) {
        if (f != NULL) {
            (void)fclose(f);
        }
        return error_set(err, RC_IO, "cannot read '%s'", path);
    }
    out->n = (size_t)seen.st_size;
    out->bytes = malloc(out->n);
    const bool read = out->bytes != NULL && fread(out->bytes, 1, out->n, f) == out->n;
    (void)fclose(f);
    return read ? RC_OK : error_set(err, RC_IO, "cannot read '%s'", path);
}

static RC make(const char *folder, struct blank *ledger, struct blank *registry, struct error *err)
{
    char path[600];
    struct ledger *l = NULL;
    struct registry *r = NULL;
    (void)snprintf(path, sizeof path, "%s/blank.ledger.db", folder);
    enum rc rc = ledger_open(path, &disk_policy, &l, err);
    ledger_close(&l); /* what was in its log is in the file now */
    if (rc == RC_OK) {
        rc = read_back(path, ledger, err);
    }
    (void)snprintf(path, sizeof path, "%s/blank.registry.db", folder);
    if (rc == RC_OK) {
        rc = registry_open(path, &r, err);
        registry_close(&r);
    }
    return rc == RC_OK ? read_back(path, registry, err) : rc;
}

static RC write_new(const char *path, const struct blank *b, struct error *err)
{
    FILE *f = fopen(path, "wbex");
    const bool whole = f != NULL && fwrite(b->bytes, 1, b->n, f) == b->n;
    const bool closed = f == NULL || fclose(f) == 0;
    return whole && closed ? RC_OK : error_set(err, RC_IO, "cannot write '%s'", path);
}

static bool full(const struct world *w, size_t party)
{
    return w->now_ms < w->s.quiet_ms && within_cuts(w, w->s.full, w->s.n_full, party);
}

enum rc disks_lay(struct world *w, struct error *err)
{
    static struct blank ledger, registry;
    char path[600];
    enum rc rc = RC_OK;
    if (registry.bytes == NULL) {
        store_alone();
        rc = make(w->p->folder, &ledger, &registry, err);
    }
    for (size_t i = 0; rc == RC_OK && i <= sites_of(w); i++) {
        const bool center = i == sites_of(w);
        const struct blank *blank = center ? &registry : &ledger;
        (void)(center ? snprintf(path, sizeof path, "%s/registry.db", w->p->folder)
                      : snprintf(path, sizeof path, "%s/%zu.ledger.db", w->p->folder, i));
        if (!full(w, center ? CENTER : i)) {
            rc = write_new(path, blank, err);
        }
    }
    return rc;
}

static void limit_files(bool none)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
        limit.rlim_cur = none ? 0 : limit.rlim_max;
        (void)setrlimit(RLIMIT_FSIZE, &limit);
    }
}

/* A full disk is a real one to SQLite: the kernel refuses whatever would make a file grow. */
void disk_before(struct world *w, size_t party)
{
    if (full(w, party)) {
        w->result->full_disks++;
        note(w, "  its disk is full");
        (void)signal(SIGXFSZ, SIG_IGN);
        limit_files(true);
    }
}

void disk_after(void)
{
    limit_files(false);
}
