/*
 * Any bytes are a header frame. What unpacks is a sound message: it packs, and unpacks again to the
 * same. What does not leaves the output as it was. The same bytes in a signed frame, of which the
 * signer is a stranger, are never opened.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages begin as zero bytes or as a copy of bytes, so the gaps between fields are equal, too. */
static bool same_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct wire_message)) == 0;
}

static void check_refusal(enum rc rc, const struct error *err, const struct wire_message *out)
{
    struct wire_message before;
    memset(&before, 0xa5, sizeof before);
    assert(rc == RC_FORMAT || rc == RC_STATE || rc == RC_LIMIT || rc == RC_AUTH);
    assert(err->rc == rc);
    assert(err->text[0] != '\0');
    assert(same_bytes(out, &before));
}

static void check_message(const struct wire_message *m)
{
    unsigned char packed[WIRE_PACKED_MAX];
    size_t n = 0;
    struct error err = {0};
    enum rc rc = wire_pack(m, packed, sizeof packed, &n, &err);
    assert(rc == RC_OK);
    struct wire_message again;
    rc = wire_unpack(packed, n, &again, &err);
    assert(rc == RC_OK);
    assert(same_bytes(m, &again));
    assert(strcmp(wire_kind_name(m->kind), "unknown") != 0);

    struct wire_order order;
    memset(&order, 0, sizeof order);
    rc = wire_order_take(&order, m, &err);
    assert(rc == RC_OK);
    rc = wire_order_take(&order, m, &err);
    assert(rc == RC_STATE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message m;
    struct error err = {0};
    memset(&m, 0xa5, sizeof m);
    enum rc rc = wire_unpack(data, size, &m, &err);
    if (rc == RC_OK) {
        check_message(&m);
    } else {
        check_refusal(rc, &err, &m);
    }

    static const struct seal_public stranger = {
        .b = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
              0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6,
              0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a}}; /* RFC 8032, 7.1 */
    memset(&m, 0xa5, sizeof m);
    rc = wire_open(data, size, NULL, 0, &stranger, &m, &err);
    assert(rc == RC_AUTH || rc == RC_LIMIT);
    check_refusal(rc, &err, &m);
    return 0;
}
