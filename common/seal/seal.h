/**
 * @file seal.h
 * Who somebody is. A party has two key pairs: Ed25519 (RFC 8032) for signatures, and Curve25519 for
 * the transport (CurveZMQ). Its *card* carries both public keys, its name and role, and is signed by
 * the Ed25519 key over all of it, which binds the two. People compare a card's *fingerprint* by
 * telephone. Home of <sodium.h> beside common/base.
 *
 * Secret keys live in one file (mode 0600) and, once read, in guarded memory (sodium_malloc:
 * locked where the system allows, inaccessible between uses, wiped on close).
 */
#ifndef COMMON_SEAL_SEAL_H
#define COMMON_SEAL_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/base/hash.h"

enum {
    SEAL_NAME_MAX = 64,     /**< with NUL: letters, digits, ".", "_", "-" */
    SEAL_ADDRESS_MAX = 256, /**< with NUL: "tcp://host:port", "" for a site */
    SEAL_FINGERPRINT = 48   /**< with NUL: eight groups of five decimal digits joined by "-" */
};

struct seal_public { /* Ed25519 */
    unsigned char b[32];
};
struct seal_curve { /* Curve25519 public key, as CurveZMQ wants it, raw */
    unsigned char b[32];
};
struct seal_curve_secret { /* wipe with seal_wipe after use */
    unsigned char b[32];
};
struct seal_signature {
    unsigned char b[64];
};

struct seal_keys; /* opaque: both secret keys in guarded memory; one thread */

/**
 * New random keys into a new file `path` (mode 0600, synced, never over an existing one).
 * @retval RC_STATE the file is there already; @retval RC_IO
 */
RC seal_keys_create(const char *path, struct error *err);
/**
 * @retval RC_AUTH   readable or writable by others, owned by somebody else, or a symbolic link: the
 *                   sentence says `chmod 600`
 * @retval RC_FORMAT not a key file, not even a regular one, or damaged (it carries a checksum)
 * @retval RC_IO, RC_NOMEM
 */
RC seal_keys_open(const char *path, struct seal_keys **out, struct error *err);
/** Fresh random keys that are in no file: tests and probes. */
RC seal_keys_random(struct seal_keys **out, struct error *err);
/** Keys that anybody can make who knows the name, and so no secret: for schedules and tests that are to be the
 *  same again. @retval RC_NOMEM */
RC seal_keys_of_name(const char *name, struct seal_keys **out, struct error *err);
/** Wipes. NULL is fine. */
void seal_keys_close(struct seal_keys **k);

void seal_keys_public(const struct seal_keys *k, struct seal_public *sign,
                      struct seal_curve *curve);
/**
 * What signs many messages in one turn of a loop opens the guarded page once: between these two the first
 * use makes it readable and it stays so; _lock takes it away again, and must be called before anything is
 * waited for. Not nested. Without them each use opens and closes it (two system calls, which stop the other threads).
 */
void seal_keys_unlock(struct seal_keys *k);
void seal_keys_lock(struct seal_keys *k);
/** For the transport alone; the caller wipes it. */
void seal_keys_curve_secret(const struct seal_keys *k, struct seal_curve_secret *out);
void seal_wipe(void *p, size_t n);

/**
 * Ed25519ph over (u64 LE length of domain, domain, data): a signature made for one use verifies for no
 * other.
 * @param domain such as "wardround study v1"
 */
void seal_sign(const struct seal_keys *k, const char *domain, const void *data, size_t n,
               struct seal_signature *out);
/** @retval RC_AUTH not a signature of this key over these bytes in this domain */
RC seal_verify(const struct seal_public *signer, const char *domain, const void *data, size_t n,
               const struct seal_signature *signature, struct error *err);

enum seal_role { SEAL_SITE, SEAL_COORDINATOR };

/** Public. Plain data. */
struct seal_card {
    enum seal_role role;
    char name[SEAL_NAME_MAX];
    char address[SEAL_ADDRESS_MAX]; /**< coordinator: where sites connect to */
    struct seal_public sign;
    struct seal_curve curve;
    struct seal_signature signature;
};

/** @retval RC_INVALID the name or the address is not in shape */
RC seal_card_make(const struct seal_keys *k, enum seal_role role, const char *name,
                  const char *address, struct seal_card *out, struct error *err);
/** A short YAML file that people may read, mail and compare; replaces `path` atomically, through
 *  `path`.new beside it. */
RC seal_card_write(const char *path, const struct seal_card *card, struct error *err);
/**
 * Reads a card and verifies its own signature. The text of every failure begins with the path.
 * @retval RC_AUTH changed since it was signed; RC_FORMAT, RC_INVALID, RC_IO, RC_LIMIT
 */
RC seal_card_read(const char *path, struct seal_card *out, struct error *err);
/** The same from memory; `name` stands for the path. */
RC seal_card_parse(const char *name, const char *text, size_t n, struct seal_card *out,
                   struct error *err);
/** The text that seal_card_write writes. @return bytes without NUL, 0 if `room` is too small */
size_t seal_card_text(const struct seal_card *card, char *out, size_t room);

/** Of role, name and both keys (not of the address): what people compare. */
void seal_fingerprint(const struct seal_card *card, char out[SEAL_FINGERPRINT]);
/** Same digits, whatever separates them (spaces, "-", nothing). */
int seal_fingerprint_matches(const struct seal_card *card, const char *typed);

/** Whether it may be a name: as on a roster, also a file's and a log's word. */
bool seal_is_name(const char *text);
const char *seal_role_name(enum seal_role role);

#endif
