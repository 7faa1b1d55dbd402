/*
 * Secret keys, in a file and in memory.
 *
 *   the file, 113 bytes, mode 0600:
 *     "wardround keys 1\n" | Ed25519 seed [32] | Curve25519 secret [32] | BLAKE2b-256 of the above
 *
 * The checksum tells a damaged disk from a wrong key; it is no protection, since who can write the
 * file can write the checksum. In memory the secrets stand between guard pages, which no read is
 * allowed to enter except while a function of this folder works with them.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/base/file.h"
#include "common/seal/keys_internal.h"
#include "common/seal/seal_internal.h"

#define MAGIC "wardround keys 1\n"
enum { MAGIC_BYTES = sizeof MAGIC - 1 };

/* Byte by byte what the file holds, so that it is read into guarded memory and nowhere else. */
struct key_file {
    unsigned char magic[MAGIC_BYTES];
    unsigned char seed[crypto_sign_SEEDBYTES];
    unsigned char curve[crypto_scalarmult_SCALARBYTES];
    unsigned char check[HASH_BYTES];
};
static_assert(sizeof(struct key_file) == MAGIC_BYTES + 32 + 32 + 32, "no padding in the file");
static_assert(sizeof(struct seal_public) == crypto_sign_PUBLICKEYBYTES, "Ed25519");
static_assert(sizeof(struct seal_curve) == crypto_scalarmult_BYTES, "Curve25519");
static_assert(sizeof(struct seal_curve_secret) == crypto_scalarmult_SCALARBYTES, "Curve25519");

/* ---- guarded memory -------------------------------------------------------------------------- */

/* sodium_malloc puts the end of a block at the guard page: an odd size comes back misaligned. */
static void *guarded(size_t n)
{
    return sodium_malloc((n + 15) / 16 * 16);
}

const struct seal_secret *seal_keys_borrow(const struct seal_keys *k)
{
    if (!k->access->readable) {
        const int refused = sodium_mprotect_readonly(k->secret);
        assert(refused == 0); /* pages of our own, whose protection changed before */
        k->access->readable = true;
    }
    return k->secret;
}

void seal_keys_return(const struct seal_keys *k)
{
    if (k->access->readable && !k->access->unlocked) {
        const int refused = sodium_mprotect_noaccess(k->secret);
        assert(refused == 0);
        k->access->readable = false;
    }
}

void seal_keys_unlock(struct seal_keys *k)
{
    assert(!k->access->unlocked);
    k->access->unlocked = true;
}

void seal_keys_lock(struct seal_keys *k)
{
    assert(k->access->unlocked);
    k->access->unlocked = false;
    seal_keys_return(k);
}

static RC keys_from(const unsigned char seed[crypto_sign_SEEDBYTES],
                    const unsigned char curve[crypto_scalarmult_SCALARBYTES],
                    struct seal_keys **out, struct error *err)
{
    struct seal_keys *k = calloc(1, sizeof *k);
    struct seal_access *access = calloc(1, sizeof *access);
    struct seal_secret *secret = guarded(sizeof *secret);
    if (k == NULL || access == NULL || secret == NULL) {
        free(k);
        free(access);
        sodium_free(secret);
        return error_set(err, RC_NOMEM, "no guarded memory for keys");
    }
    k->secret = secret;
    k->access = access;
    k->access->readable = true; /* as it comes */
    (void)crypto_sign_seed_keypair(k->sign.b, k->secret->sign, seed);
    memcpy(k->secret->curve, curve, sizeof k->secret->curve);
    (void)crypto_scalarmult_base(k->curve.b, k->secret->curve);
    seal_keys_return(k);
    *out = k;
    return RC_OK;
}

void seal_keys_close(struct seal_keys **k)
{
    if (*k == NULL) {
        return;
    }
    sodium_free((*k)->secret); /* wipes */
    free((*k)->access);
    free(*k);
    *k = NULL;
}

void seal_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

void seal_keys_public(const struct seal_keys *k, struct seal_public *sign, struct seal_curve *curve)
{
    *sign = k->sign;
    *curve = k->curve;
}

void seal_keys_curve_secret(const struct seal_keys *k, struct seal_curve_secret *out)
{
    const struct seal_secret *secret = seal_keys_borrow(k);
    memcpy(out->b, secret->curve, sizeof out->b);
    seal_keys_return(k);
}

enum rc seal_keys_random(struct seal_keys **out, struct error *err)
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    unsigned char curve[crypto_scalarmult_SCALARBYTES];

    enum rc rc = seal_start(err);
    if (rc != RC_OK) {
        return rc;
    }
    randombytes_buf(seed, sizeof seed);
    randombytes_buf(curve, sizeof curve);
    rc = keys_from(seed, curve, out, err);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(curve, sizeof curve);
    return rc;
}

static struct hash from_name(const char *what, const char *name)
{
    struct hasher h;
    hasher_init(&h);
    hasher_text(&h, what);
    hasher_text(&h, name);
    return hasher_final(&h);
}

enum rc seal_keys_of_name(const char *name, struct seal_keys **out, struct error *err)
{
    const struct hash seed = from_name("no secret: sign", name);
    const struct hash curve = from_name("no secret: curve", name);
    static_assert(sizeof seed.b == crypto_sign_SEEDBYTES, "a seed is a hash");
    static_assert(sizeof curve.b == crypto_scalarmult_SCALARBYTES, "a scalar is a hash");
    const enum rc rc = seal_start(err);
    return rc == RC_OK ? keys_from(seed.b, curve.b, out, err) : rc;
}

/* ---- the file -------------------------------------------------------------------------------- */

static struct hash checksum(const struct key_file *f)
{
    return hash_of(f, offsetof(struct key_file, check));
}

enum rc seal_keys_create(const char *path, struct error *err)
{
    struct key_file *f = NULL;
    bool whole = false;
    int fd = -1;

    enum rc rc = seal_start(err);
    if (rc != RC_OK) {
        return rc;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno == EEXIST) {
        return error_set(err, RC_STATE,
                         "%.120s: is there already; keys are never written over: move the file "
                         "away if its keys are not needed any more",
                         path);
    }
    if (fd < 0) {
        return error_set(err, RC_IO, "%.120s: cannot create: %s", path, strerror(errno));
    }
    f = guarded(sizeof *f);
    if (f == NULL) {
        rc = error_set(err, RC_NOMEM, "%.120s: no guarded memory for keys", path);
        goto out;
    }
    memcpy(f->magic, MAGIC, sizeof f->magic);
    randombytes_buf(f->seed, sizeof f->seed);
    randombytes_buf(f->curve, sizeof f->curve);
    const struct hash check = checksum(f);
    memcpy(f->check, check.b, sizeof f->check);
    rc = seal_write_synced(fd, path, f, sizeof *f, err);
    if (rc == RC_OK) {
        rc = file_sync_folder(path, err);
    }
    whole = rc == RC_OK;
out:
    sodium_free(f);
    (void)close(fd); /* synced, or unlinked */
    if (!whole) {
        (void)unlink(path); /* ours: O_EXCL */
    }
    return rc;
}

/* Whether others can reach the keys. Asked of the open file, so that nobody can swap it between. */
static RC check_owner(int fd, const char *path, struct error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return error_set(err, RC_IO, "%.120s: cannot look at it: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(err, RC_FORMAT, "%.120s: is not a regular file, hence no key file", path);
    }
    if (info.st_uid != geteuid()) {
        return error_set(err, RC_AUTH,
                         "%.120s: belongs to user %lu, but this is user %lu; run it as the owner "
                         "of the keys, or `chown` them",
                         path, (unsigned long)info.st_uid, (unsigned long)geteuid());
    }
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return error_set(err, RC_AUTH,
                         "%.90s: others may read or write these secret keys (mode %04o); if nobody "
                         "did, run `chmod 600 %.60s`",
                         path, (unsigned)info.st_mode & 07777U, path);
    }
    return RC_OK;
}

/* Reads up to `room` bytes; fewer at the end of the file. */
static RC read_up_to(int fd, const char *path, unsigned char *out, size_t room, size_t *n,
                     struct error *err)
{
    *n = 0;
    while (*n < room) {
        const ssize_t got = read(fd, out + *n, room - *n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_set(err, RC_IO, "%.120s: cannot read: %s", path, strerror(errno));
        }
        if (got == 0) {
            break;
        }
        *n += (size_t)got;
    }
    return RC_OK;
}

static RC parse(const char *path, const struct key_file *f, size_t n, struct seal_keys **out,
                struct error *err)
{
    if (n < MAGIC_BYTES || memcmp(f->magic, MAGIC, MAGIC_BYTES) != 0) {
        return error_set(err, RC_FORMAT, "%.120s: is not a file of wardround keys", path);
    }
    const struct hash check = checksum(f);
    if (n != sizeof *f || sodium_memcmp(check.b, f->check, sizeof f->check) != 0) {
        return error_set(
            err, RC_FORMAT,
            "%.120s: these keys are damaged; restore the file from its backup, or make "
            "new keys and send their card",
            path);
    }
    return keys_from(f->seed, f->curve, out, err);
}

enum rc seal_keys_open(const char *path, struct seal_keys **out, struct error *err)
{
    enum { ROOM = sizeof(struct key_file) + 1 }; /* one more shows a file that is too long */
    unsigned char *bytes = NULL;
    size_t n = 0;
    int fd = -1;

    enum rc rc = seal_start(err);
    if (rc != RC_OK) {
        return rc;
    }
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK); /* a fifo would wait */
    if (fd < 0 && errno == ELOOP) {
        return error_set(err, RC_AUTH,
                         "%.120s: is a symbolic link, which others may point elsewhere; put the "
                         "file itself here and run `chmod 600` on it",
                         path);
    }
    if (fd < 0) {
        return error_set(err, RC_IO, "%.120s: cannot open: %s", path, strerror(errno));
    }
    rc = check_owner(fd, path, err);
    if (rc != RC_OK) {
        goto out;
    }
    bytes = guarded(ROOM);
    if (bytes == NULL) {
        rc = error_set(err, RC_NOMEM, "%.120s: no guarded memory for keys", path);
        goto out;
    }
    rc = read_up_to(fd, path, bytes, ROOM, &n, err);
    if (rc == RC_OK) {
        rc = parse(path, (const struct key_file *)(const void *)bytes, n, out, err);
    }
out:
    sodium_free(bytes); /* wipes */
    (void)close(fd);
    return rc;
}
