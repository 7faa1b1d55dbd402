/*
 * struct wire_message <-> protobuf bytes. Unpacking proves little: protobuf-c takes empty input,
 * repeated fields (the last wins), unknown fields and kinds. So: size, bounded unpacking, version,
 * no unknown field, lengths as the fields are copied, then the same check that packing makes.
 */
#include <assert.h>
#include <string.h>

#include "common/wire/wire_internal.h"
#include "proto/wardround/v1/message.pb-c.h"

/* The largest message of ours takes under 4 KB unpacked. Without a bound, 64 KiB of repeated or
 * unknown fields grow to 57 times their size. */
enum { UNPACKED_MAX = 16 << 10, UNPACKED_ALIGN = 16 };

struct bounded {
    _Alignas(UNPACKED_ALIGN) unsigned char b[UNPACKED_MAX];
    size_t used;
    bool full;
};

static void *bounded_take(void *data, size_t size)
{
    struct bounded *r = data;
    if (size > UNPACKED_MAX - r->used) {
        r->full = true;
        return NULL;
    }
    void *p = r->b + r->used;
    const size_t rest = UNPACKED_MAX - r->used;
    const size_t cost = (size + UNPACKED_ALIGN - 1) / UNPACKED_ALIGN * UNPACKED_ALIGN;
    r->used += cost < rest ? cost : rest;
    return p;
}

/* All of it goes with the stack frame. */
static void bounded_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

/* ---- one field ------------------------------------------------------------------------------- */

/* Room in the plain struct, without NUL for names and texts. */
static size_t room_of(enum wire_type type)
{
    static const size_t room[] = {
        [WIRE_U64] = sizeof(uint64_t),   [WIRE_ENUM] = sizeof(enum wire_kind),
        [WIRE_BOOL] = sizeof(bool),      [WIRE_HASH] = sizeof(struct hash),
        [WIRE_NAME] = WIRE_NAME_MAX - 1, [WIRE_TEXT] = WIRE_TEXT_MAX - 1,
        [WIRE_BITS] = WIRE_SITES_MAX / 8};
    return room[type];
}

static bool is_bytes(enum wire_type type)
{
    return type == WIRE_HASH || type == WIRE_NAME || type == WIRE_TEXT || type == WIRE_BITS;
}

/* From the generated struct. `to` is zeroed. NULL: done; else what is wrong with the field. */
static const char *take(const struct wire_shape *shape, const unsigned char *from,
                        unsigned char *to)
{
    if (shape->type == WIRE_BOOL) {
        protobuf_c_boolean given = 0;
        memcpy(&given, from + shape->value, sizeof given);
        const bool yes = given != 0;
        memcpy(to + shape->at, &yes, sizeof yes);
        return NULL;
    }
    if (!is_bytes(shape->type)) {
        memcpy(to + shape->at, from + shape->value, room_of(shape->type));
        return NULL;
    }
    ProtobufCBinaryData bytes;
    memcpy(&bytes, from + shape->value, sizeof bytes);
    if (bytes.len > room_of(shape->type)) {
        return "is too long";
    }
    if (shape->type == WIRE_HASH && bytes.len != sizeof(struct hash)) {
        return "is too short";
    }
    if (bytes.len == 0) {
        return "is empty";
    }
    if ((shape->type == WIRE_NAME || shape->type == WIRE_TEXT) &&
        memchr(bytes.data, 0, bytes.len) != NULL) {
        return "holds a NUL";
    }
    memcpy(to + shape->at, bytes.data, bytes.len);
    return NULL;
}

/* Into the generated struct, which then points into `from`. */
static void put(const struct wire_shape *shape, unsigned char *from, size_t n_sites,
                unsigned char *to)
{
    const protobuf_c_boolean has = 1;
    memcpy(to + shape->has, &has, sizeof has);
    if (shape->type == WIRE_BOOL) {
        bool yes = false;
        memcpy(&yes, from + shape->at, sizeof yes);
        const protobuf_c_boolean given = yes;
        memcpy(to + shape->value, &given, sizeof given);
        return;
    }
    if (!is_bytes(shape->type)) {
        memcpy(to + shape->value, from + shape->at, room_of(shape->type));
        return;
    }
    ProtobufCBinaryData bytes = {.data = from + shape->at};
    switch (shape->type) {
    case WIRE_HASH:
        bytes.len = sizeof(struct hash);
        break;
    case WIRE_BITS:
        bytes.len = wire_bit_bytes(n_sites);
        break;
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_U64:
    case WIRE_ENUM:
    case WIRE_BOOL:
        bytes.len = strnlen((const char *)from + shape->at, room_of(shape->type));
        break;
    }
    memcpy(to + shape->value, &bytes, sizeof bytes);
}

/* ---- the whole ------------------------------------------------------------------------------- */

RC wire_pack(const struct wire_message *m, unsigned char *out, size_t room, size_t *n,
             struct error *err)
{
    const uint32_t present = wire_present(m);
    const enum rc rc = wire_check(m, present, RC_INVALID, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct wire_message copy; /* the generated struct has no const pointers */
    memcpy(&copy, m, sizeof copy);
    Wardround__V1__Message packed = WARDROUND__V1__MESSAGE__INIT;
    packed.has_version = 1;
    packed.version = m->version != 0 ? m->version : WIRE_VERSION;
    for (size_t i = 0; i < WIRE_FIELDS; i++) {
        if ((present & WIRE_BIT(i)) != 0) {
            put(&wire_shapes[i], (unsigned char *)&copy, m->n_sites, (unsigned char *)&packed);
        }
    }
    const size_t size = wardround__v1__message__get_packed_size(&packed);
    assert(size <= WIRE_PACKED_MAX);
    if (size > room) {
        return error_set(err, RC_LIMIT, "%s: %zu bytes, there is room for %zu",
                         wire_kind_name(m->kind), size, room);
    }
    *n = wardround__v1__message__pack(&packed, out);
    assert(*n == size);
    return RC_OK;
}

/* Version first: what another one means by its fields is not ours to judge. */
static RC check_version(unsigned oldest, const Wardround__V1__Message *packed, struct error *err)
{
    if (!packed->has_version) {
        return error_set(err, RC_FORMAT, "message: version is missing");
    }
    if (packed->version < oldest || packed->version > WIRE_VERSION) {
        return error_set(err, RC_STATE,
                         "message: protocol version %u, this program speaks %d to %d; update the "
                         "older of the two programs",
                         packed->version, WIRE_OLDEST, WIRE_VERSION);
    }
    if (packed->base.n_unknown_fields > 0) {
        return error_set(err, RC_FORMAT, "message: field number %u is unknown",
                         packed->base.unknown_fields[0].tag);
    }
    return RC_OK;
}

/* Field by field into the zeroed `m`. */
static RC take_all(const Wardround__V1__Message *packed, struct wire_message *m, struct error *err)
{
    const unsigned char *from = (const unsigned char *)packed;
    uint32_t present = 0;
    for (size_t i = 0; i < WIRE_FIELDS; i++) {
        protobuf_c_boolean has = 0;
        memcpy(&has, from + wire_shapes[i].has, sizeof has);
        if (has == 0) {
            continue;
        }
        present |= WIRE_BIT(i);
        const char *fault = take(&wire_shapes[i], from, (unsigned char *)m);
        if (fault != NULL) {
            return error_set(err, RC_FORMAT, "%s: %s %s", wire_kind_name(m->kind),
                             wire_shapes[i].name, fault);
        }
    }
    const enum rc rc = wire_check(m, present, RC_FORMAT, err);
    if (rc != RC_OK) {
        return rc;
    }
    if (packed->has_contributed && packed->contributed.len != wire_bit_bytes(m->n_sites)) {
        return error_set(err, RC_FORMAT, "%s: contributed is %zu bytes for %zu sites",
                         wire_kind_name(m->kind), packed->contributed.len, m->n_sites);
    }
    return RC_OK;
}

RC wire_unpack_since(unsigned oldest, const void *frame, size_t n, struct wire_message *out,
                     struct error *err)
{
    if (n > WIRE_HEADER_MAX) {
        return error_set(err, RC_LIMIT, "message: header frame of %zu bytes, at most %d", n,
                         WIRE_HEADER_MAX);
    }
    struct bounded room;
    room.used = 0;
    room.full = false;
    ProtobufCAllocator allocator = {bounded_take, bounded_free, &room};
    const Wardround__V1__Message *packed = wardround__v1__message__unpack(&allocator, n, frame);
    if (packed == NULL && room.full) {
        return error_set(err, RC_LIMIT, "message: %zu bytes unpack to more than %d", n,
                         UNPACKED_MAX);
    }
    if (packed == NULL) {
        return error_set(err, RC_FORMAT, "message: %zu bytes that are not protobuf", n);
    }
    enum rc rc = check_version(oldest, packed, err);
    if (rc != RC_OK) {
        return rc;
    }
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.version = packed->version != WIRE_VERSION ? packed->version : 0;
    rc = take_all(packed, &m, err);
    if (rc == RC_OK) {
        memcpy(out, &m, sizeof m);
    }
    return rc;
}

RC wire_unpack(const void *frame, size_t n, struct wire_message *out, struct error *err)
{
    return wire_unpack_since(WIRE_OLDEST, frame, n, out, err);
}
