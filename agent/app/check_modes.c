/* Secret and patients' files, one by one: the owner's, and open to nobody else. The patients' own files
 * are where the cohort is described. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/check_internal.h"

/* @param forbidden bits of the mode that must not be set */
struct place {
    const char *name;
    mode_t forbidden;
    mode_t mend;
};

/* clang-format off */
static const struct place places[] = {
    {"", 0022, 0700},
    {"keys", 0077, 0700}, {"keys/peers", 0077, 0700}, {"keys/site.key", 0077, 0600},
    {"keys/coordinator.card", 0022, 0644},
    {"site.yaml", 0022, 0600}, {"cohort.yaml", 0022, 0600},
    {"site.db", 0077, 0600}, {"site.db-wal", 0077, 0600}, {"site.db-shm", 0077, 0600},
    {"ledger.db", 0077, 0600}, {"ledger.db-wal", 0077, 0600}, {"ledger.db-shm", 0077, 0600},
    {"consent.db", 0077, 0600}, {"consent.db-wal", 0077, 0600}, {"consent.db-shm", 0077, 0600},
    {"gateway", 0077, 0700}, {"studies", 0077, 0700},
};
/* clang-format on */

/* false: something is wrong, and a line says so. What is not there is looked at elsewhere. */
static bool look(struct checks *c, const struct place *p)
{
    char path[SITE_PATH_MAX];
    char mend[SITE_PATH_MAX + 32];
    struct error err = {0};
    struct stat st;
    if (site_path(c->folder, p->name, path, &err) != RC_OK) {
        check_line(c, "permissions", false, NULL, "%s", err.text);
        return false;
    }
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return true;
        }
        check_line(c, "permissions", false, NULL, "cannot look at '%s': %s", path, strerror(errno));
        return false;
    }
    if (S_ISLNK(st.st_mode)) {
        check_line(c, "permissions", false, "put the file itself there", "'%s' is a symbolic link",
                   path);
        return false;
    }
    if (st.st_uid != geteuid()) {
        check_line(c, "permissions", false, "run this as the agent's user, or chown it",
                   "'%s' belongs to somebody else (user %lu)", path, (unsigned long)st.st_uid);
        return false;
    }
    if ((st.st_mode & p->forbidden) != 0) {
        (void)snprintf(mend, sizeof mend, "chmod %o %s", (unsigned)p->mend, path);
        check_line(c, "permissions", false, mend, "'%s' can be %s by others (mode %04o)", path,
                   (st.st_mode & p->forbidden & 0022) != 0 ? "changed" : "read",
                   (unsigned)(st.st_mode & 07777));
        return false;
    }
    return true;
}

/* A file of patients that the cohort is imported from. It may belong to whoever exports it, and reach
 * the agent through a group; and it may be a link into another folder. */
static bool look_at_source(struct checks *c, const char *path)
{
    char mend[SITE_PATH_MAX + 32];
    struct stat st;
    if (stat(path, &st) != 0) {
        return true; /* the import says what is wrong with it */
    }
    const bool ours = st.st_uid == geteuid();
    const mode_t open_to = st.st_mode & (ours ? 0077 : 0027);
    if (open_to == 0) {
        return true;
    }
    (void)snprintf(mend, sizeof mend, "chmod %s %s", ours ? "go=" : "g-w,o=", path);
    check_line(c, "permissions", false, mend,
               "the patients' file '%s' can be %s by others (mode %04o)", path,
               (open_to & 0022) != 0 ? "changed" : "read", (unsigned)(st.st_mode & 07777));
    return false;
}

static bool look_at(struct checks *c, const struct site *site, const char *written)
{
    char path[SCHEMA_FULL_PATH_MAX];
    struct error ignored = {0};
    return schema_path(&site->schema, written, path, &ignored) != RC_OK || look_at_source(c, path);
}

static bool look_at_sources(struct checks *c, const struct site *site)
{
    const struct schema *s = &site->schema;
    bool well = true;
    for (size_t i = 0; i < s->n_files; i++) {
        well = look_at(c, site, s->file[i].path) && well;
    }
    for (size_t m = 0; m < s->n_modalities; m++) {
        for (size_t i = 0; i < s->modality[m].n_files; i++) {
            well = look_at(c, site, s->modality[m].file[i].path) && well;
        }
    }
    return well;
}

void check_modes(struct checks *c, const struct site *site)
{
    struct stat folder;
    if (stat(c->folder, &folder) != 0) {
        return; /* there is nothing to look at, which "config" says */
    }
    bool well = look(c, &places[0]); /* of somebody else, all in it will be: said once */
    for (size_t i = 1; (well || folder.st_uid == geteuid()) && i < sizeof places / sizeof places[0];
         i++) {
        const bool said = site != NULL && strcmp(places[i].name, "keys/site.key") == 0;
        well = (said || look(c, &places[i])) && well; /* said: under "keys" */
    }
    if (site != NULL) {
        well = look_at_sources(c, site) && well;
    }
    if (well) {
        check_line(c, "permissions", true, NULL,
                   "keys, cohort, ledger and consent are open to this user alone");
    }
}
