/**
 * @file fake_coordinator.h
 * A coordinator without registry or rounds: keys, a card, a study it has signed, the wire. It says
 * what a test wants it to say, also what no honest one would; models are served, and updates fetched,
 * by the real transfer. A wait that takes longer than FAKE_WAIT_MS fails the test.
 */
#ifndef TESTS_INTEGRATION_SITE_FAKE_COORDINATOR_H
#define TESTS_INTEGRATION_SITE_FAKE_COORDINATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/agreement/agreement.h"
#include "common/net/net.h"
#include "common/seal/seal.h"
#include "common/transfer/transfer.h"
#include "common/wire/wire.h"
#include "tests/integration/site/agent.h"

enum { FAKE_WAIT_MS = 20000 };

struct fake_coordinator {
    struct seal_keys *keys;
    struct seal_card card, site;
    struct net_server *server;
    struct agent *agent; /**< whose log a failing wait prints */
    uint64_t epoch, sequence;
    struct wire_order order;
    struct hash study;           /**< of the study that was made last */
    unsigned char *signed_bytes; /**< its agreement */
    size_t signed_n;
    const struct seal_card *peer; /**< [n_peers] others on the roster, whose sums are masked */
    size_t n_peers;
    unsigned char *model;      /**< served by credit while it listens, unless `mute` */
    struct wire_tensor tensor; /**< of `model` */
    struct transfer_out out;
    bool mute;
    struct wire_message heard;           /**< the last message that a wait returned */
    unsigned char *heard_raw;            /**< [heard.raw_bytes] */
    struct hash anchor;                  /**< said with each STUDY; zero: none */
    uint64_t n_updates, n_update_chunks; /**< heard so far: what has left the hospital */
};

/** Listens, and makes a hospital that trusts it. */
void fake_open(struct fake_coordinator *c, struct agent *a);
/** Another life of it, at the same address with the same keys. */
void fake_restart(struct fake_coordinator *c);
void fake_close(struct fake_coordinator *c);

/** A study of this name on these features (NULL: the hospital's), signed by `keys` (NULL: its own). */
void fake_study(struct fake_coordinator *c, const char *name, const char *features,
                const struct seal_keys *keys);

/** Another model of the same study. */
void fake_other_model(struct fake_coordinator *c);

/** Sealed by `keys` (NULL: its own); fills from, to, epoch, sequence unless they are set. */
size_t fake_seal(struct fake_coordinator *c, struct wire_message *m, const void *raw, size_t raw_n,
                 const struct seal_keys *keys, unsigned char out[NET_HEADER_MAX]);
/** Bytes as they are, to the hospital that has spoken before. */
void fake_send_bytes(struct fake_coordinator *c, const void *header, size_t n, const void *raw,
                     size_t raw_n);
void fake_send(struct fake_coordinator *c, struct wire_message *m, const void *raw, size_t raw_n);
void fake_say(struct fake_coordinator *c, enum wire_kind kind, uint64_t round, const char *text);
/** STUDY with the signed bytes. */
void fake_send_study(struct fake_coordinator *c);
/** ROUND with `model`. */
void fake_open_round(struct fake_coordinator *c, uint64_t round);
void fake_chunk(struct fake_coordinator *c, const struct wire_tensor *tensor, uint64_t index,
                const void *bytes, size_t n);
void fake_credit(struct fake_coordinator *c, const struct wire_tensor *tensor, uint64_t first,
                 uint64_t until);

/** What was heard last is a credit for the model: sends what it allows. */
void fake_serve(struct fake_coordinator *c);
/** Until a message of this kind; others before it are dropped, credits for the model are served. */
const struct wire_message *fake_hear(struct fake_coordinator *c, enum wire_kind kind);
/** Until the agent's log has a line with both texts; hears and drops meanwhile. */
void fake_await_log(struct fake_coordinator *c, const char *text, const char *also);
/** Waits for the connection of a new agent: its HELLO. */
void fake_greet(struct fake_coordinator *c);

/** The update that was announced last; verified by its hash. */
void fake_fetch(struct fake_coordinator *c, struct hash *out);
/** ACK, signed for this anchor. */
void fake_ack(struct fake_coordinator *c, uint64_t round, const struct hash *anchor);
/** From ROUND to OUTCOME: trained, committed, fetched; and what was fetched is in the ledger. */
void fake_whole_round(struct fake_coordinator *c, uint64_t round);

#endif
