/**
 * @file fake_site.h
 * A hospital without patients or processes: keys, a card, the wire. It says what a test wants it to
 * say, also what no honest site would; it answers credits and asks for models by the real transfer.
 * A wait that takes longer than FAKE_WAIT_MS fails the test.
 */
#ifndef TESTS_INTEGRATION_COORDINATOR_FAKE_SITE_H
#define TESTS_INTEGRATION_COORDINATOR_FAKE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/agreement/agreement.h"
#include "common/net/net.h"
#include "common/seal/seal.h"
#include "common/transfer/transfer.h"
#include "common/wire/wire.h"

enum { FAKE_WAIT_MS = 15000 };

struct fake_site {
    const char *name;
    struct seal_keys *keys;
    struct seal_card card, coordinator;
    struct net_client *client;
    uint64_t epoch, sequence;
    struct wire_order order;
    struct hash study;          /**< after fake_hello */
    struct hash anchor;         /**< said with what it offers; zero: none */
    struct wire_message heard;  /**< the last message that a wait returned */
    unsigned char *heard_raw;   /**< [heard.raw_bytes] */
    struct transfer_out update; /**< what it serves by credit */
    const unsigned char *update_bytes;
};

/** Fresh keys and a card. */
void fake_init(struct fake_site *s, const char *name);
void fake_release(struct fake_site *s);
/** A new life: another epoch, another connection. */
void fake_connect(struct fake_site *s, const struct seal_card *coordinator, unsigned port);
void fake_disconnect(struct fake_site *s);

/** Bytes as they are, once there is a connection. */
void fake_send_bytes(struct fake_site *s, const void *header, size_t n, const void *raw,
                     size_t raw_n);
/** Sealed by `keys` (NULL: its own); fills from, to, epoch, sequence unless they are set. */
size_t fake_seal(struct fake_site *s, struct wire_message *m, const void *raw, size_t raw_n,
                 const struct seal_keys *keys, unsigned char out[NET_HEADER_MAX]);
void fake_send(struct fake_site *s, struct wire_message *m, const void *raw, size_t raw_n);
void fake_say(struct fake_site *s, enum wire_kind kind, uint64_t round, const char *text);

/** Until a message of this kind; others before it are dropped, credits for the update are served. */
const struct wire_message *fake_hear(struct fake_site *s, enum wire_kind kind);
/** Is there nothing of this kind for `ms`? Serves credits meanwhile. */
bool fake_hears_nothing(struct fake_site *s, enum wire_kind kind, int64_t ms);
/** The next message, whatever it is; false: none within `ms`. Serves no credits. */
bool fake_next(struct fake_site *s, int64_t ms);

/** HELLO, and the study that comes back: verified. */
void fake_hello(struct fake_site *s);
/** Says that it has these bytes; they are served while it listens. Borrowed until the next call. */
void fake_offer(struct fake_site *s, uint64_t round, const unsigned char *bytes, size_t n);
/** fake_offer, then waits for the acknowledgement. */
void fake_upload(struct fake_site *s, uint64_t round, const unsigned char *bytes, size_t n);
/** Fetches a model; malloc'ed, verified by its hash. */
unsigned char *fake_download(struct fake_site *s, const struct wire_tensor *tensor);

#endif
