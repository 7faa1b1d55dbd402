#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* renameat2, mkostemp */
#endif
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checkpoint/checkpoint_internal.h"

enum { PATH_ROOM = 4096 };

static_assert(sizeof(real) == 4, "the file holds floats");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as they stand in memory");

/* The header with its length before it and spaces behind. */
static RC render(const struct agreement *agreement, const struct model *model, uint64_t round,
                 const real *params, unsigned char **out, size_t *n, struct error *err)
{
    const struct hash id = hash_of(params, model->table.S * sizeof *params);
    json_t *header = NULL;
    enum rc rc = checkpoint_header(agreement, model, round, &id, &header, err);
    if (rc != RC_OK) {
        return rc;
    }
    const size_t flags = JSON_COMPACT | JSON_SORT_KEYS;
    const size_t length = json_dumpb(header, NULL, 0, flags);
    const size_t padded = (length + CHECKPOINT_ALIGN - 1) / CHECKPOINT_ALIGN * CHECKPOINT_ALIGN;
    unsigned char *bytes = NULL;
    if (length > 0 && padded <= CHECKPOINT_HEADER_BYTES_MAX) {
        bytes = malloc(CHECKPOINT_LENGTH_BYTES + padded);
    }
    if (length == 0 || (bytes == NULL && padded <= CHECKPOINT_HEADER_BYTES_MAX)) {
        rc = error_set(err, RC_NOMEM, "no memory for the header of a model file");
    } else if (bytes == NULL) {
        rc = error_set(err, RC_LIMIT, "the header of the model file has more than %d bytes",
                       (int)CHECKPOINT_HEADER_BYTES_MAX);
    } else {
        for (size_t i = 0; i < CHECKPOINT_LENGTH_BYTES; i++) {
            bytes[i] = (unsigned char)((uint64_t)padded >> (8 * i));
        }
        memset(bytes + CHECKPOINT_LENGTH_BYTES, ' ', padded);
        (void)json_dumpb(header, (char *)bytes + CHECKPOINT_LENGTH_BYTES, padded, flags);
        *out = bytes;
        *n = CHECKPOINT_LENGTH_BYTES + padded;
    }
    json_decref(header);
    return rc;
}

static RC check(const struct model *model, uint64_t round, const struct study *study,
                const real *params, struct error *err)
{
    const struct param_table *table = &model->table;
    if (table->S > (CHECKPOINT_BYTES_MAX - CHECKPOINT_HEADER_BYTES_MAX) / sizeof *params) {
        return error_set(err, RC_LIMIT, "a model of %zu parameters is too large for a file",
                         table->S);
    }
    if (round > study_rounds_most(study)) {
        return error_set(err, RC_INVALID, "round %llu of a study of %zu rounds",
                         (unsigned long long)round, study_rounds_most(study));
    }
    for (size_t i = 0; i < table->S; i++) {
        if (!isfinite(params[i])) {
            return error_set(err, RC_INVALID, "parameter %zu is not finite: the model diverged", i);
        }
    }
    return RC_OK;
}

/* The folder of `path`, made where it is missing, or told that it is. */
static RC folder_of(const char *path, bool making, char folder[PATH_ROOM], struct error *err)
{
    struct stat there;
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        (void)snprintf(folder, PATH_ROOM, ".");
        return RC_OK;
    }
    const size_t n = slash == path ? 1 : (size_t)(slash - path);
    (void)snprintf(folder, PATH_ROOM, "%.*s", (int)n, path); /* shorter than the path of the file */
    if (!making && (stat(folder, &there) != 0 || !S_ISDIR(there.st_mode))) {
        return error_set(err, RC_IO, "there is no folder '%.200s'; make it first", folder);
    }
    if (making && mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return error_set(err, RC_IO, "cannot make its folder: %s", strerror(errno));
    }
    return RC_OK;
}

/* A full disk shows at any of these; the first reason is the one to tell. @return errno or 0 */
static int put(int fd, const void *head, size_t n_head, const void *data, size_t n)
{
    FILE *f = fdopen(fd, "wb");
    if (f == NULL) {
        const int why = errno;
        (void)close(fd);
        return why;
    }
    int why = 0;
    if (fwrite(head, 1, n_head, f) != n_head || fwrite(data, 1, n, f) != n || fflush(f) != 0 ||
        fsync(fd) != 0) {
        why = errno;
    }
    if (fclose(f) != 0 && why == 0) {
        why = errno;
    }
    return why;
}

/* A name that was renamed is there after a power cut only once its folder is on the disk, too. */
static int sync_folder(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    const int why = fsync(fd) != 0 ? errno : 0;
    (void)close(fd);
    return why;
}

static RC not_written(int why, struct error *err)
{
    return error_set(err, RC_IO,
                     "cannot write it: %s; nothing was changed: make room, or name another place",
                     strerror(why));
}

/* `fresh` gets the path's own name where no file has it yet, in one step. Some file systems know
 * only the one call, some only the other. @return errno or 0 */
static int take_name(const char *fresh, const char *path)
{
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return errno;
    }
    if (link(fresh, path) != 0) {
        return errno;
    }
    (void)unlink(fresh);
    return 0;
}

/* Readable by its owner alone, either way: who else may have the model is for people to say. */
static int open_fresh(char fresh[PATH_ROOM], bool replacing)
{
    return replacing ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)
                     : mkostemp(fresh, O_CLOEXEC);
}

static RC put_in_place(const char *path, bool replacing, const void *head, size_t n_head,
                       const void *data, size_t n, struct error *err)
{
    char folder[PATH_ROOM];
    char fresh[PATH_ROOM];
    const int length =
        snprintf(fresh, sizeof fresh, "%s%s", path, replacing ? ".new" : ".new.XXXXXX");
    if (length < 0 || length >= PATH_ROOM) {
        return error_set(err, RC_LIMIT, "the path is too long");
    }
    const enum rc rc = folder_of(path, replacing, folder, err);
    if (rc != RC_OK) {
        return rc;
    }
    const int fd = open_fresh(fresh, replacing);
    int why = fd < 0 ? errno : put(fd, head, n_head, data, n);
    if (why == 0 && replacing) {
        why = rename(fresh, path) != 0 ? errno : 0;
    } else if (why == 0) {
        why = take_name(fresh, path);
    }
    if (why != 0) {
        if (fd >= 0) {
            (void)unlink(fresh);
        }
        return why == EEXIST && !replacing
                   ? error_set(err, RC_STATE,
                               "it is there already; name another file, or remove it first")
                   : not_written(why, err);
    }
    why = sync_folder(folder);
    if (why != 0) {
        return error_set(err, RC_IO, "written, and perhaps not on the disk yet: %s", strerror(why));
    }
    return RC_OK;
}

static RC write_file(const char *path, bool replacing, const struct agreement *agreement,
                     const struct model *model, uint64_t round, const real *params,
                     struct error *err)
{
    unsigned char *head = NULL;
    size_t n_head = 0;
    enum rc rc = check(model, round, &agreement->study, params, err);
    if (rc == RC_OK) {
        rc = render(agreement, model, round, params, &head, &n_head, err);
    }
    if (rc == RC_OK) {
        rc = put_in_place(path, replacing, head, n_head, params, model->table.S * sizeof *params,
                          err);
    }
    free(head);
    return rc == RC_OK ? RC_OK : error_context(err, "model file '%s'", path);
}

enum rc checkpoint_write(const char *path, const struct agreement *agreement,
                         const struct model *model, uint64_t round, const real *params,
                         struct error *err)
{
    return write_file(path, true, agreement, model, round, params, err);
}

enum rc checkpoint_write_new(const char *path, const struct agreement *agreement,
                             const struct model *model, uint64_t round, const real *params,
                             struct error *err)
{
    return write_file(path, false, agreement, model, round, params, err);
}
