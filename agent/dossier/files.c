/*
 * Three files, or none. Each is written under NAME.new and brought to the disk; only then do all get their names, by
 * link(2), which unlike rename(2) never takes the place of a file that is there. ledger.html comes last: where it
 * is, all is. Killed in between, .new files stay and the next export names them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/dossier/dossier.h"

static const struct {
    const char *name, *fresh;
    void (*write)(FILE *f, const struct dossier *r);
} files[] = {
    {"studies.csv", "studies.csv.new", dossier_studies_csv},
    {"rounds.csv", "rounds.csv.new", dossier_rounds_csv},
    {"ledger.html", "ledger.html.new", dossier_html},
};

enum { FILES = sizeof files / sizeof files[0] };

static RC cannot(const char *folder, const char *name, int why, struct error *err)
{
    if (why == ENOSPC || why == EDQUOT) {
        return error_set(err, RC_IO,
                         "cannot write '%.120s/%s': the disk is full; nothing was exported: make "
                         "room, or name another place",
                         folder, name);
    }
    if (why == EEXIST) {
        return error_set(err, RC_STATE,
                         "'%.120s/%s' is there already, and nothing is written over: name another "
                         "folder, or remove it",
                         folder, name);
    }
    return error_set(err, RC_IO, "cannot write '%.120s/%s': %s; nothing was exported", folder, name,
                     strerror(why));
}

/* In an open folder: is one of our names taken? */
static RC names_are_free(int at, const char *folder, struct error *err)
{
    struct stat info;
    for (size_t i = 0; i < FILES; i++) {
        const char *const both[] = {files[i].name, files[i].fresh};
        for (size_t k = 0; k < 2; k++) {
            if (fstatat(at, both[k], &info, AT_SYMLINK_NOFOLLOW) == 0) {
                return cannot(folder, both[k], EEXIST, err);
            }
        }
    }
    return RC_OK;
}

static RC open_folder(const char *folder, int *out, struct error *err)
{
    *out = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out < 0 && errno == ENOTDIR) {
        return error_set(err, RC_STATE, "'%.150s' is a file: name a folder for the report", folder);
    }
    return *out >= 0 ? RC_OK
                     : error_set(err, RC_IO, "cannot open the folder '%.150s': %s", folder,
                                 strerror(errno));
}

enum rc dossier_may_write(const char *folder, struct error *err)
{
    int at = -1;
    if (folder[0] == '\0') {
        return error_set(err, RC_INVALID, "name a folder for the report");
    }
    if (access(folder, F_OK) != 0 && errno == ENOENT) {
        return RC_OK; /* it will be made */
    }
    enum rc rc = open_folder(folder, &at, err);
    if (rc == RC_OK) {
        rc = names_are_free(at, folder, err);
    }
    if (at >= 0) {
        (void)close(at);
    }
    return rc;
}

/* @return 0 or an errno */
static int write_fresh(int at, size_t i, const struct dossier *r)
{
    const int fd =
        openat(at, files[i].fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return errno;
    }
    FILE *f = fdopen(fd, "w");
    if (f == NULL) {
        const int why = errno;
        (void)close(fd);
        (void)unlinkat(at, files[i].fresh, 0);
        return why;
    }
    errno = 0;
    files[i].write(f, r);
    int why = ferror(f) != 0 ? (errno != 0 ? errno : EIO) : 0;
    if (why == 0 && (fflush(f) != 0 || fsync(fd) != 0)) {
        why = errno;
    }
    if (fclose(f) != 0 && why == 0) {
        why = errno;
    }
    if (why != 0) {
        (void)unlinkat(at, files[i].fresh, 0);
    }
    return why;
}

/* Some disks (FAT) know no links: there a file that appears in just this instant would be lost. */
static int give_name(int at, size_t i)
{
    struct stat info;
    if (linkat(at, files[i].fresh, at, files[i].name, 0) == 0) {
        const int why = unlinkat(at, files[i].fresh, 0) == 0 ? 0 : errno;
        if (why != 0) {
            (void)unlinkat(at, files[i].name, 0);
        }
        return why;
    }
    if (errno != EPERM && errno != ENOTSUP && errno != EOPNOTSUPP) {
        return errno;
    }
    if (fstatat(at, files[i].name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
        return EEXIST;
    }
    return renameat(at, files[i].fresh, at, files[i].name) == 0 ? 0 : errno;
}

enum rc dossier_write(const struct dossier *r, const char *folder, struct error *err)
{
    size_t fresh = 0; /* so many were written */
    size_t named = 0; /* of them have their names */
    int at = -1;
    int why = 0;
    enum rc rc = RC_OK;

    const bool made = mkdir(folder, 0700) == 0;
    if (!made && errno != EEXIST) {
        return error_set(err, RC_IO, "cannot make the folder '%.150s': %s", folder,
                         strerror(errno));
    }
    rc = open_folder(folder, &at, err);
    if (rc == RC_OK) {
        rc = names_are_free(at, folder, err);
    }
    while (rc == RC_OK && fresh < FILES) {
        why = write_fresh(at, fresh, r);
        rc = why == 0 ? RC_OK : cannot(folder, files[fresh].name, why, err);
        fresh += why == 0;
    }
    while (rc == RC_OK && named < FILES) {
        why = give_name(at, named);
        rc = why == 0 ? RC_OK : cannot(folder, files[named].name, why, err);
        named += why == 0;
    }
    if (rc == RC_OK && fsync(at) != 0) {
        rc = cannot(folder, "", errno, err);
    }
    if (rc != RC_OK) {
        for (size_t i = 0; i < named; i++) {
            (void)unlinkat(at, files[i].name, 0);
        }
        for (size_t i = named; i < fresh; i++) {
            (void)unlinkat(at, files[i].fresh, 0);
        }
    }
    if (at >= 0) {
        (void)close(at);
    }
    if (rc != RC_OK && made) {
        (void)rmdir(folder);
    }
    return rc;
}
