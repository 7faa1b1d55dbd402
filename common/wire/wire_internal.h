/**
 * @file wire_internal.h
 * The two tables of common/wire: what a field is, and which fields each kind of message has. Packing
 * and unpacking walk the same tables, so that nothing leaves that would be refused on arrival.
 */
#ifndef COMMON_WIRE_WIRE_INTERNAL_H
#define COMMON_WIRE_WIRE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire/wire.h"

enum wire_field {
    /* the envelope */
    WIRE_F_KIND,
    WIRE_F_FROM,
    WIRE_F_TO,
    WIRE_F_EPOCH,
    WIRE_F_SEQUENCE,
    /* what a kind lists */
    WIRE_F_STUDY,
    WIRE_F_ROUND,
    WIRE_F_EVALUATION,
    WIRE_F_RAW,
    WIRE_F_RAW_BYTES,
    WIRE_F_TENSOR,
    WIRE_F_TENSOR_BYTES,
    WIRE_F_FIRST,
    WIRE_F_UNTIL,
    WIRE_F_RESUME,
    WIRE_F_TOGETHER,
    WIRE_F_ANCHOR,
    WIRE_F_LEFT_MS,
    WIRE_F_NOW_MS,
    WIRE_F_STEP,
    WIRE_F_STEPS,
    WIRE_F_DONE,
    WIRE_F_N_SITES,
    WIRE_F_CONTRIBUTED,
    WIRE_F_TEXT,
    WIRE_F_POLICY,
    WIRE_FIELDS
};

/** How a field stands in the plain struct | in the generated one. */
enum wire_type {
    WIRE_U64,  /**< uint64_t, size_t or int64_t | the same. A negative number is above every max */
    WIRE_ENUM, /**< 4 bytes | the same */
    WIRE_BOOL, /**< bool | int */
    WIRE_HASH, /**< struct hash, not zero | bytes */
    WIRE_NAME, /**< char[WIRE_NAME_MAX] | bytes */
    WIRE_TEXT, /**< char[WIRE_TEXT_MAX], not empty | bytes */
    WIRE_BITS  /**< unsigned char[WIRE_SITES_MAX / 8], used for n_sites bits | bytes */
};

struct wire_shape {
    const char *name; /**< as in message.proto */
    enum wire_type type;
    size_t at;         /**< in struct wire_message */
    size_t has, value; /**< in the generated struct */
    uint64_t min, max; /**< of numbers */
};

extern const struct wire_shape wire_shapes[WIRE_FIELDS];

/** A set of fields. */
#define WIRE_BIT(field) (UINT32_C(1) << (field))

/** The fields that a message with this content has: what is not zero, and what its kind must have. */
uint32_t wire_present(const struct wire_message *m);

/** Is `m` with these fields a message of its kind, each value in its range?
 *  @param as what to return if not: RC_INVALID for our own, RC_FORMAT for somebody else's */
RC wire_check(const struct wire_message *m, uint32_t present, enum rc as, struct error *err);

/** wire_unpack of versions from `oldest` on. */
RC wire_unpack_since(unsigned oldest, const void *frame, size_t n, struct wire_message *out,
                     struct error *err);

/** Length of the well-formed printable UTF-8 character at `s`, of which `n` bytes are left; 0: it is
 *  none. What could forge a line of a log or turn its direction is not printable. */
size_t wire_printable(const char *s, size_t n);

/** Bytes that n_sites bits take. */
size_t wire_bit_bytes(size_t n_sites);

#endif
