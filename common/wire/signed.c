/*
 * The network's header frame: signature [64] | protobuf. The signature is over the protobuf bytes as
 * they stand, so nothing depends on how a library would pack them again.
 */
#include <string.h>

#include "common/wire/wire_internal.h"

static const char domain[] = "wardround message v1";

enum { SIGNATURE = sizeof(struct seal_signature) };

RC wire_seal(struct wire_message *m, const void *raw, size_t raw_n, const struct seal_keys *keys,
             unsigned char *out, size_t room, size_t *n, struct error *err)
{
    struct wire_message copy;
    memcpy(&copy, m, sizeof copy);
    enum rc rc = wire_set_raw(&copy, raw, raw_n, err);
    if (rc == RC_OK) {
        rc = wire_seal_named(&copy, keys, out, room, n, err);
    }
    if (rc == RC_OK) {
        memcpy(m, &copy, sizeof copy);
    }
    return rc;
}

RC wire_seal_named(const struct wire_message *m, const struct seal_keys *keys, unsigned char *out,
                   size_t room, size_t *n, struct error *err)
{
    if (room < SIGNATURE) {
        return error_set(err, RC_LIMIT, "%s: no room for its signature", wire_kind_name(m->kind));
    }
    size_t body = 0;
    const enum rc rc = wire_pack(m, out + SIGNATURE, room - SIGNATURE, &body, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct seal_signature signature;
    seal_sign(keys, domain, out + SIGNATURE, body, &signature);
    memcpy(out, signature.b, SIGNATURE);
    *n = SIGNATURE + body;
    return RC_OK;
}

/* leaves NULL: nobody wants to know them. */
static RC check_raw(const struct wire_message *m, const void *raw, size_t raw_n,
                    struct hash_leaves *leaves, struct error *err)
{
    const char *kind = wire_kind_name(m->kind);
    if (raw_n != m->raw_bytes) {
        return error_set(err, RC_FORMAT, "%s: raw frame of %zu bytes, its header says %zu", kind,
                         raw_n, m->raw_bytes);
    }
    if (raw_n > 0) {
        const struct hash hash =
            leaves != NULL ? hash_and_leaves(raw, raw_n, leaves) : hash_of(raw, raw_n);
        if (!hash_equal(&hash, &m->raw)) {
            return error_set(err, RC_FORMAT, "%s: the raw frame is not the one its header names",
                             kind);
        }
    }
    return RC_OK;
}

static RC open_since(unsigned oldest, const void *frame, size_t n, const void *raw, size_t raw_n,
                     const struct seal_public *signer, struct wire_message *out,
                     struct hash_leaves *leaves, struct error *err)
{
    if (leaves != NULL) {
        leaves->n = 0;
    }
    if (n > WIRE_HEADER_MAX) {
        return error_set(err, RC_LIMIT, "message: header frame of %zu bytes, at most %d", n,
                         WIRE_HEADER_MAX);
    }
    if (raw_n > WIRE_RAW_MAX) {
        return error_set(err, RC_LIMIT, "message: raw frame of %zu bytes, at most %d", raw_n,
                         WIRE_RAW_MAX);
    }
    if (n <= SIGNATURE) {
        return error_set(err, RC_AUTH, "message: unsigned (%zu bytes)", n);
    }
    const unsigned char *body = (const unsigned char *)frame + SIGNATURE;
    struct seal_signature signature;
    memcpy(signature.b, frame, SIGNATURE);
    enum rc rc = seal_verify(signer, domain, body, n - SIGNATURE, &signature, err);
    if (rc != RC_OK) {
        return error_context(err, "message");
    }
    struct wire_message m;
    rc = wire_unpack_since(oldest, body, n - SIGNATURE, &m, err);
    if (rc != RC_OK) {
        return rc;
    }
    rc = check_raw(&m, raw, raw_n, leaves, err);
    if (rc != RC_OK) { /* the header is its signer's, so somebody put another frame beside it */
        err->rc = RC_AUTH;
        return RC_AUTH;
    }
    memcpy(out, &m, sizeof m);
    return RC_OK;
}

RC wire_open(const void *frame, size_t n, const void *raw, size_t raw_n,
             const struct seal_public *signer, struct wire_message *out, struct error *err)
{
    return open_since(WIRE_OLDEST, frame, n, raw, raw_n, signer, out, NULL, err);
}

RC wire_open_leaves(const void *frame, size_t n, const void *raw, size_t raw_n,
                    const struct seal_public *signer, struct wire_message *out,
                    struct hash_leaves *leaves, struct error *err)
{
    return open_since(WIRE_OLDEST, frame, n, raw, raw_n, signer, out, leaves, err);
}

RC wire_open_kept(const void *frame, size_t n, const struct seal_public *signer,
                  struct wire_message *out, struct error *err)
{
    return open_since(WIRE_FIRST, frame, n, NULL, 0, signer, out, NULL, err);
}

RC wire_set_raw(struct wire_message *m, const void *raw, size_t raw_n, struct error *err)
{
    if (raw_n > WIRE_RAW_MAX) {
        return error_set(err, RC_INVALID, "%s: raw frame of %zu bytes, at most %d",
                         wire_kind_name(m->kind), raw_n, WIRE_RAW_MAX);
    }
    memset(&m->raw, 0, sizeof m->raw);
    m->raw_bytes = raw_n;
    if (raw_n > 0) {
        m->raw = hash_of(raw, raw_n);
    }
    return RC_OK;
}

RC wire_check_raw(const struct wire_message *m, const void *raw, size_t raw_n, struct error *err)
{
    return check_raw(m, raw, raw_n, NULL, err);
}
