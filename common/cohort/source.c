/* Files of a cohort, opened: plain or gzip, or a sentence about why not. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>
#include <strings.h>

#include "common/cohort/cohort_internal.h"

enum rc source_open(const char *path, gzFile *out, struct error *err)
{
    struct stat info;
    enum rc rc = RC_OK;
    /* Not blocking: a pipe in the place of a file must not hold the import up. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return error_set(err, RC_IO, "cannot open: %s", strerror(errno));
    }
    if (fstat(fd, &info) != 0) {
        rc = error_set(err, RC_IO, "cannot open: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        rc = error_set(err, RC_IO, "cannot open: not a file");
    }
    gzFile gz = rc == RC_OK ? gzdopen(fd, "rb") : NULL;
    if (gz == NULL) {
        (void)close(fd);
        return rc != RC_OK ? rc : error_set(err, RC_NOMEM, "no memory to read a file");
    }
    *out = gz;
    return RC_OK;
}

void source_absent(const char *written, const char *path, const struct error *why,
                   struct config_issues *issues)
{
    if (schema_path_is_shared(written)) {
        config_issue(issues, NULL,
                     "%s; set WARDROUND_DATA to the folder of data sets, this is '%s'", why->text,
                     path);
    } else {
        config_issue(issues, NULL, "%s", why->text);
    }
}

enum rc source_scan(const struct schema *s, const char *written, const struct cohort_bytes *bytes,
                    char separator, const struct cohort_limits *limits, struct scan **out,
                    struct config_issues *issues, struct error *err)
{
    char path[SCHEMA_FULL_PATH_MAX] = "";
    enum rc rc = schema_path(s, written, path, err);
    if (rc == RC_OK) {
        rc = scan_open(path, bytes, separator, limits, out, err);
    }
    if (rc == RC_OK || rc == RC_NOMEM) {
        return rc;
    }
    source_absent(written, path, err, issues);
    return RC_OK; /* *out stays NULL */
}

/* ---- folders -------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void folder_close(struct folder *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->name[i]);
    }
    free(f->name);
    *f = (struct folder){0};
}

enum rc folder_open(const char *path, const char *ending, size_t most, struct folder *out,
                    struct error *err)
{
    struct folder f = {0};
    size_t room = 0;
    enum rc rc = RC_OK;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return error_set(err, RC_IO, "cannot open the folder: %s", strerror(errno));
    }
    for (struct dirent *e = readdir(dir); rc == RC_OK && e != NULL; e = readdir(dir)) {
        const size_t n = strlen(e->d_name);
        const size_t n_ending = strlen(ending);
        if (e->d_name[0] == '.') {
            continue; /* hidden */
        }
        if (n <= n_ending || strcasecmp(e->d_name + n - n_ending, ending) != 0) {
            f.n_others++;
            continue;
        }
        if (f.n == room) {
            room = room == 0 ? 64 : 2 * room;
            char **more = room > most + 64 ? NULL : realloc(f.name, room * sizeof *f.name);
            if (more == NULL) {
                rc = error_set(err, RC_NOMEM, "no memory for the names in a folder");
                break;
            }
            f.name = more;
        }
        f.name[f.n] = strdup(e->d_name);
        if (f.name[f.n] == NULL) {
            rc = error_set(err, RC_NOMEM, "no memory for the names in a folder");
            break;
        }
        f.n++;
    }
    (void)closedir(dir);
    if (rc == RC_OK) {
        if (f.n > 0) {
            qsort(f.name, f.n, sizeof *f.name, by_name); /* the same order everywhere */
        }
        *out = f;
    } else {
        folder_close(&f);
    }
    return rc;
}

enum rc folder_read(const char *path, size_t most, unsigned char **out, size_t *n,
                    struct error *err)
{
    enum rc rc = RC_OK;
    size_t room = 1 << 16;
    size_t got = 0;
    unsigned char *data = NULL;
    gzFile gz = NULL;
    rc = source_open(path, &gz, err);
    while (rc == RC_OK) {
        unsigned char *more = realloc(data, room + 1);
        if (more == NULL) {
            rc = error_set(err, RC_NOMEM, "no memory to read a file");
            break;
        }
        data = more;
        const int read = gzread(gz, data + got, (unsigned)(room - got));
        if (read < 0) {
            rc = error_set(err, RC_IO, "cannot read");
            break;
        }
        got += (size_t)read;
        if (got < room) {
            break;
        }
        if (room > most) {
            rc = error_set(err, RC_LIMIT, "longer than %zu bytes", most);
            break;
        }
        room *= 2;
    }
    if (gz != NULL) {
        (void)gzclose(gz); /* read only */
    }
    if (rc == RC_OK && got > most) {
        rc = error_set(err, RC_LIMIT, "longer than %zu bytes", most);
    }
    if (rc == RC_OK) {
        *out = data;
        *n = got;
        data = NULL;
    }
    free(data);
    return rc;
}
