/* The folder of one world's ledgers, where a sweep keeps them on a disk. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include "common/store/hold.h"
#include "sim/sweep/sweep_internal.h"

/* What a world of ours leaves: ledgers with their marks, a registry, and SQLite's own beside them. */
static bool ours(const char *name)
{
    return strstr(name, ".ledger.db") != NULL || strncmp(name, "registry.db", 11) == 0;
}

/* A world begins with empty ledgers: what one of the same name left, which was interrupted, goes. */
static enum rc clear(const char *folder, struct error *err)
{
    DIR *d = opendir(folder);
    if (d == NULL) {
        return error_set(err, RC_IO, "cannot open the folder '%s': %s", folder, strerror(errno));
    }
    enum rc rc = RC_OK;
    for (const struct dirent *e = readdir(d); rc == RC_OK && e != NULL; e = readdir(d)) {
        if (ours(e->d_name) && unlinkat(dirfd(d), e->d_name, 0) != 0) {
            rc = error_set(err, RC_IO, "cannot remove '%s/%s': %s", folder, e->d_name,
                           strerror(errno));
        }
    }
    (void)closedir(d);
    return rc;
}

enum rc sweep_ledgers_folder(const struct sweep_world *w, const char *site,
                             char folder[SWEEP_PATH_MAX], int *held, struct error *err)
{
    const struct sweep_cell *c = &w->cell;
    const int n = snprintf(folder, SWEEP_PATH_MAX, "%s/ablation%zu-%s-%s%g-seed%llu-fold%zu%s%s",
                           w->s->ledgers, (size_t)(c->ablation - w->s->ablation),
                           sweep_mode_name(c->mode), study_noise_name(c->noise), c->epsilon,
                           (unsigned long long)c->seed, w->fold, site[0] != '\0' ? "-" : "", site);
    if (n >= (int)SWEEP_PATH_MAX - (int)STUDY_NAME_MAX - 32) { /* room for a ledger's name */
        return error_set(err, RC_LIMIT, "the name of the folder of ledgers is too long");
    }
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return error_set(err, RC_IO, "cannot make the folder '%s': %s", folder, strerror(errno));
    }
    /* Another process that begins the same world would take its ledgers away. */
    const enum rc rc = store_hold(folder, "--ledgers", held, err);
    return rc == RC_OK ? clear(folder, err) : rc;
}
