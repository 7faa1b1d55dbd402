#include "agent/receipts/receipts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <dirent.h>

#include "common/base/file.h"

enum {
    FRAME_MAX = WIRE_PACKED_MAX + (int)sizeof(struct seal_signature),
    LINE_MAX_BYTES = 2 * FRAME_MAX + 2, /* newline and NUL */
    KEY_HEX = 2 * (int)sizeof(struct seal_public)
};

enum rc receipt_open(const void *frame, size_t n, const struct seal_public *signer,
                     struct receipt *out, struct error *err)
{
    static const struct hash none = {{0}};
    struct wire_message m;
    const enum rc rc = wire_open_kept(frame, n, signer, &m, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (m.kind != WIRE_ACK || hash_equal(&m.anchor, &none)) {
        return error_set(err, RC_FORMAT, "a %s is no receipt", wire_kind_name(m.kind));
    }
    *out =
        (struct receipt){.signer = *signer, .study = m.study, .round = m.round, .anchor = m.anchor};
    memcpy(out->from, m.from, sizeof out->from);
    memcpy(out->to, m.to, sizeof out->to);
    return RC_OK;
}

/* ---- hexadecimal ----------------------------------------------------------------------------- */

static void to_hex(const unsigned char *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *hex, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n; i++) {
        const int high = digit(hex[2 * i]);
        const int low = high < 0 ? -1 : digit(hex[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* Where the last finished line ends. */
static RC finished(int fd, off_t *end, const char *path, struct error *err)
{
    char tail[4096];
    off_t at = lseek(fd, 0, SEEK_END);
    while (at > 0) {
        const size_t n = at < (off_t)sizeof tail ? (size_t)at : sizeof tail;
        if (pread(fd, tail, n, at - (off_t)n) != (ssize_t)n) {
            return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
        }
        for (size_t i = n; i > 0; i--) {
            if (tail[i - 1] == '\n') {
                *end = at - (off_t)n + (off_t)i;
                return RC_OK;
            }
        }
        at -= (off_t)n;
    }
    *end = 0;
    return RC_OK;
}

/* The name of a file is on the disk before its first line: then no later line has to see to it. */
static RC append(int fd, const char *line, size_t n, const char *path, struct error *err)
{
    off_t end = 0;
    enum rc rc = finished(fd, &end, path, err);
    if (rc == RC_OK && end == 0) {
        rc = file_sync_folder(path, err);
    }
    if (rc != RC_OK) {
        return rc;
    }
    if (ftruncate(fd, end) != 0 || pwrite(fd, line, n, end) != (ssize_t)n || fsync(fd) != 0) {
        return error_set(err, RC_IO, "cannot write '%s': %s; make room, or see who may write there",
                         path, strerror(errno));
    }
    return RC_OK;
}

static int open_file(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

enum rc receipts_keep(const char *folder, const void *frame, size_t n,
                      const struct seal_public *signer, struct error *err)
{
    struct receipt receipt;
    char line[LINE_MAX_BYTES];
    char name[KEY_HEX + 1];
    char path[FILE_PATH_MAX];

    enum rc rc = n <= FRAME_MAX ? receipt_open(frame, n, signer, &receipt, err)
                                : error_set(err, RC_FORMAT, "a frame too long for a receipt");
    if (rc != RC_OK) {
        return rc;
    }
    to_hex(signer->b, sizeof signer->b, name);
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        return error_set(err, RC_LIMIT, "the path '%.40s...' is too long", folder);
    }
    int fd = open_file(path);
    if (fd < 0 && errno == ENOENT && mkdir(folder, 0700) == 0) {
        fd = open_file(path);
    }
    if (fd < 0) {
        return error_set(err, RC_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    to_hex(frame, n, line);
    line[2 * n] = '\n';
    rc = append(fd, line, 2 * n + 1, path, err);
    (void)close(fd);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

static RC open_line(const char *line, size_t length, const struct seal_public *signer,
                    struct receipt *out, struct error *err)
{
    unsigned char frame[FRAME_MAX];
    if (length % 2 != 0 || length / 2 > sizeof frame || !from_hex(line, length / 2, frame)) {
        return error_set(err, RC_FORMAT, "not a signed message in hexadecimal");
    }
    return receipt_open(frame, length / 2, signer, out, err);
}

struct reading {
    bool newest_only;
    enum rc (*each)(void *ctx, const struct receipt *receipt, struct error *err);
    void *ctx;
};

/* To a place from which the last finished line is read whole. */
static bool skip_to_end(FILE *f)
{
    char rest[2 * LINE_MAX_BYTES];
    if (fseeko(f, 0, SEEK_END) != 0) {
        return false;
    }
    const off_t size = ftello(f);
    if (size <= 2 * LINE_MAX_BYTES) {
        return fseeko(f, 0, SEEK_SET) == 0;
    }
    return fseeko(f, size - 2 * LINE_MAX_BYTES, SEEK_SET) == 0 &&
           fgets(rest, sizeof rest, f) != NULL;
}

static RC read_file(FILE *f, const char *path, const struct seal_public *signer,
                    const struct reading *how, struct error *err)
{
    char line[2][LINE_MAX_BYTES] = {"", ""};
    struct receipt receipt;
    size_t number = 0;
    size_t held = 0; /* the line read last, where only the newest counts */
    bool any = false;
    if (how->newest_only && !skip_to_end(f)) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    while (fgets(line[1 - held], LINE_MAX_BYTES, f) != NULL) {
        const size_t length = strcspn(line[1 - held], "\n");
        if (line[1 - held][length] != '\n' && feof(f)) {
            break; /* unfinished */
        }
        number++;
        held = 1 - held;
        any = true;
        if (how->newest_only) {
            continue;
        }
        enum rc rc = open_line(line[held], length, signer, &receipt, err);
        if (rc != RC_OK) {
            return error_context(err, "%s:%zu", path, number);
        }
        rc = how->each(how->ctx, &receipt, err);
        if (rc != RC_OK) {
            return rc;
        }
    }
    if (ferror(f)) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    if (!how->newest_only || !any) {
        return RC_OK;
    }
    const enum rc rc = open_line(line[held], strcspn(line[held], "\n"), signer, &receipt, err);
    return rc != RC_OK ? error_context(err, "%s, the last line", path)
                       : how->each(how->ctx, &receipt, err);
}

static RC one_file(const char *folder, const char *name, const struct reading *how,
                   struct error *err)
{
    struct seal_public signer;
    char path[FILE_PATH_MAX];
    if (strlen(name) != KEY_HEX || !from_hex(name, sizeof signer.b, signer.b)) {
        return RC_OK; /* not ours */
    }
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        return error_set(err, RC_LIMIT, "the path '%.40s...' is too long", folder);
    }
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return error_set(err, RC_IO, "cannot read '%s': %s", path, strerror(errno));
    }
    const enum rc rc = read_file(f, path, &signer, how, err);
    (void)fclose(f);
    return rc;
}

enum rc receipts_each(const char *folder, bool newest_only,
                      enum rc (*each)(void *ctx, const struct receipt *receipt, struct error *err),
                      void *ctx, struct error *err)
{
    const struct reading how = {.newest_only = newest_only, .each = each, .ctx = ctx};
    DIR *d = opendir(folder);
    if (d == NULL) {
        return errno == ENOENT
                   ? RC_OK
                   : error_set(err, RC_IO, "cannot read '%s': %s", folder, strerror(errno));
    }
    enum rc rc = RC_OK;
    for (const struct dirent *e = readdir(d); rc == RC_OK && e != NULL; e = readdir(d)) {
        rc = one_file(folder, e->d_name, &how, err);
    }
    (void)closedir(d);
    return rc;
}
