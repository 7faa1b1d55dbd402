/**
 * @file wire.h
 * Messages as plain structs <-> signed header frames. A message is one header frame (at most
 * WIRE_HEADER_MAX bytes) and at most one raw frame (at most WIRE_RAW_MAX bytes); docs/PROTOCOL.md
 * lists the messages. Home of the generated *.pb-c.h; nobody else sees protobuf.
 *
 *   header frame on the network:  signature [64] | protobuf of proto/wardround/v1/message.proto
 *   header frame on the pair:     protobuf alone (gateway <-> trainer of one site, one kernel)
 *
 * The signature covers the protobuf bytes, which hold sender, receiver, study, epoch, sequence and
 * the BLAKE2b of the raw frame: nothing of a message can be changed, readdressed or recombined.
 *
 * wire_unpack trusts nothing: sizes before parsing, a bounded allocator, every field's presence,
 * range and length for its kind, unknown kinds and fields that do not belong refused.
 */
#ifndef COMMON_WIRE_WIRE_H
#define COMMON_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/seal/seal.h"

enum {
    WIRE_VERSION = 3, /* 2: a message carried one chunk; 1: hashes of many bytes were not trees */
    WIRE_OLDEST = 2,  /**< still understood, and spoken with whoever speaks it */
    WIRE_FIRST = 1,   /**< what a disk has kept may be of any version from here on */
    WIRE_HEADER_MAX = 64 << 10,
    WIRE_PACKED_MAX = 4096, /**< no message of ours is larger without its signature */
    WIRE_RAW_MAX = 1 << 20,
    WIRE_TENSOR_MAX = 1 << 30, /**< bytes of a tensor, hence also its chunks */
    WIRE_ROUND_MAX = 1 << 30,
    WIRE_NAME_MAX = SEAL_NAME_MAX,
    WIRE_TEXT_MAX = 2048, /**< with NUL */
    WIRE_SITES_MAX = 1024
};

enum wire_kind {
    WIRE_UNSPECIFIED = 0,
    /* site -> coordinator */
    WIRE_HELLO = 1,   /**< text: program and version */
    WIRE_ACCEPT = 2,  /**< study */
    WIRE_DECLINE = 3, /**< study; text: reason */
    WIRE_UPDATE =
        4, /**< study, round, tensor (the update): "I have it, ask for its chunks"; anchor: of
                           its row in the site's ledger. */
    WIRE_CANNOT = 5,  /**< study, round; text: reason. Also trainer -> gateway */
    WIRE_GOODBYE = 6, /**< study: DONE is kept, and the final model where there is one. Also
                           trainer -> gateway */
    WIRE_PROBE = 7,   /**< `check` asks: are you there? */
    /* masked sums; the raw frames are laid out in common/mask/mask.h */
    WIRE_MASK_KEY = 8,     /**< study, round; raw: the site's round key */
    WIRE_MASK_SHARES = 9,  /**< study, round; raw: shares for each member, sealed */
    WIRE_MASK_VOTE = 10,   /**< study, round; raw: a survivor set, signed */
    WIRE_MASK_REVEAL = 11, /**< study, round; raw: one share of each dealer, open */
    /* evaluations; the raw frames are laid out in common/evaluation/request.h. Both also trainer ->
     * gateway */
    WIRE_SCORES = 12,    /**< study, evaluation; raw: noised histograms, as the ledger holds them */
    WIRE_UNSCORED = 13,  /**< study, evaluation; text: why there are none */
    WIRE_MASK_LIST = 14, /**< study, round; raw: a signature over the list of dealers */
    /* coordinator -> site */
    WIRE_STUDY =
        16, /**< study; raw: the signed agreement; anchor: of the newest update ever kept of
                            this site, if any. Also gateway -> trainer */
    WIRE_ROUND = 17, /**< study, round, tensor (the model), left_ms */
    WIRE_ACK =
        18, /**< study, round; anchor: of the update that is kept, if it is one. The signed frame
                            is the site's receipt */
    WIRE_OUTCOME = 19, /**< study, round, tensor (new model), sites and contributed; text: the
                            sentence "3 of 4: ...". Also gateway -> trainer */
    WIRE_DONE = 20,    /**< study, done, round (newest finished, 0: none), tensor (its model; absent
                          if round is 0), sites and contributed (may be absent if round is 0); text:
                          reason or sentence. Also gateway -> trainer */
    WIRE_PROBED = 21,  /**< now_ms: the coordinator's wall clock; text: program and version */
    WIRE_MASK_MEMBERS = 22,   /**< study, round; raw: all round keys */
    WIRE_MASK_PARCELS = 23,   /**< study, round; raw: what each dealer has for the receiver */
    WIRE_MASK_SURVIVORS = 24, /**< study, round; raw: whose updates arrived */
    WIRE_MASK_VOTES = 25,     /**< study, round; raw: signatures over that set */
    /** study, evaluation; raw: the signed request. Also gateway -> trainer */
    WIRE_EVALUATE = 26,
    /* both ways, network and pair */
    WIRE_PULSE = 32, /**< study, round, step of steps: grows while the sender makes progress */
    WIRE_CHUNK =
        33, /**< tensor, first (index of this chunk), perhaps study; raw: its bytes, and where
                          CREDIT allows it those of the next ones */
    /** tensor, first (chunks held without a gap), until (chunks that may be sent, exclusive), resume
     *  (start again at first), perhaps study and together (chunks that one CHUNK may carry; none: one) */
    WIRE_CREDIT = 34,
    /* gateway -> trainer */
    WIRE_TRAIN = 48,   /**< study, round, tensor (model), left_ms */
    WIRE_CANCEL = 49,  /**< study, round */
    WIRE_COMMIT = 50,  /**< study, round */
    WIRE_RECEIPT = 51, /**< study, round; raw: the coordinator's ACK as it signed it */
    /* trainer -> gateway */
    WIRE_POLICY = 56,    /**< study, policy; text: reason; none if yes */
    WIRE_TRAINED = 57,   /**< study, round */
    WIRE_STORED = 58,    /**< study, round, tensor (update), anchor: the ledger had it already */
    WIRE_COMMITTED = 59, /**< study, round, tensor (update), anchor */
    WIRE_NOT_COMMITTED = 60, /**< study, round; text: reason */
    WIRE_WITHDRAWN = 61,     /**< study; text: reason */
    WIRE_READY = 62          /**< the trainer is up; text: nothing or a warning for the log */
};

/** The text of CANNOT where a site has no finite update. More is not said: it would be read off numbers that
 *  nobody has accounted for. A coordinator that hears it knows what to lower. */
#define WIRE_DIVERGED "local training diverged"

enum wire_policy { WIRE_POLICY_YES = 1, WIRE_POLICY_NO = 2, WIRE_POLICY_PENDING = 3 };

/** What is moved in chunks: named by content. bytes >= 1. */
struct wire_tensor {
    struct hash hash; /**< BLAKE2b-256 of all its bytes */
    uint64_t bytes;
};

/** Plain data; about 3 KB. Fields that a kind does not list are zero, and those it lists are there:
 *  hashes are not zero, texts and names not empty. fields.c holds the table and the ranges. */
struct wire_message {
    enum wire_kind kind;
    unsigned
        version; /**< 0: WIRE_VERSION; else an older one, in which it came or is to be written */
    char from[WIRE_NAME_MAX], to[WIRE_NAME_MAX]; /**< names on the cards; on the pair "gateway" and
                                                    "trainer". HELLO's `to` is the coordinator's */
    struct hash study;                           /**< zero in HELLO, PROBE, PROBED, READY; may be
                                                    zero in CHUNK, CREDIT */
    uint64_t epoch;         /**< random, not 0, one for each life of the sender */
    uint64_t sequence;      /**< from 1, grows with every message of an epoch to one receiver */
    uint64_t round;         /**< from 1 */
    struct hash evaluation; /**< names a request: evaluation_request_hash */
    struct wire_tensor tensor;
    uint64_t first, until;
    bool resume;
    uint64_t together;       /**< 0: one chunk a message */
    struct hash anchor;      /**< of a row of the site's ledger: ledger_anchor */
    int64_t left_ms, now_ms; /**< >= 0; left_ms at most 31 days */
    uint64_t step, steps;    /**< step <= steps, steps >= 1 */
    bool done;
    enum wire_policy policy;
    size_t n_sites;                                /**< of the roster, <= WIRE_SITES_MAX */
    unsigned char contributed[WIRE_SITES_MAX / 8]; /**< bit i of byte i/8: site i contributed */
    char text[WIRE_TEXT_MAX]; /**< printable UTF-8 without control characters */
    struct hash raw;          /**< of the raw frame; zero if there is none */
    size_t raw_bytes;         /**< 0: no raw frame follows */
};

/** The message's text, made fit for the wire: what is not printable becomes "?", what is too long is
 *  cut between two characters. For sentences that quote the system or a person. */
void wire_set_text(struct wire_message *m, const char *text);

/** What wire_unpack would refuse is RC_INVALID (our own mistake, said with the field); RC_LIMIT if
 *  `room` is too small (WIRE_PACKED_MAX is always enough). `out` may be written in part. */
RC wire_pack(const struct wire_message *m, unsigned char *out, size_t room, size_t *n,
             struct error *err);
/**
 * @param out written on success only
 * @retval RC_LIMIT  larger than WIRE_HEADER_MAX, or it unpacks to more than the bound
 * @retval RC_FORMAT not a message; the text names kind and field
 * @retval RC_STATE  of another version of the protocol
 */
RC wire_unpack(const void *frame, size_t n, struct wire_message *out, struct error *err);

/** Pack and sign: the network's header frame. `raw` (NULL: none) sets raw and raw_bytes of `m`.
 *  64 + WIRE_PACKED_MAX bytes are always room enough.
 *  @retval as wire_pack */
RC wire_seal(struct wire_message *m, const void *raw, size_t raw_n, const struct seal_keys *keys,
             unsigned char *out, size_t room, size_t *n, struct error *err);
/** wire_seal where raw and raw_bytes of `m` are set and true: a frame that was hashed before is not hashed
 *  again. Who receives it hashes it. */
RC wire_seal_named(const struct wire_message *m, const struct seal_keys *keys, unsigned char *out,
                   size_t room, size_t *n, struct error *err);
/**
 * Size, signature, unpack, raw frame's hash; in this order.
 * @retval RC_AUTH unsigned, or not signed by `signer`, or the raw frame is not the one signed
 * @retval as wire_unpack
 */
RC wire_open(const void *frame, size_t n, const void *raw, size_t raw_n,
             const struct seal_public *signer, struct wire_message *out, struct error *err);
/** The same for who will hash the raw frame as part of something longer. @param[out] leaves of the raw frame;
 *  what they are is undefined after an error */
RC wire_open_leaves(const void *frame, size_t n, const void *raw, size_t raw_n,
                    const struct seal_public *signer, struct wire_message *out,
                    struct hash_leaves *leaves, struct error *err);
/** wire_open of what a disk has kept, of any version there was: a message without a raw frame. */
RC wire_open_kept(const void *frame, size_t n, const struct seal_public *signer,
                  struct wire_message *out, struct error *err);
/** Sets raw and raw_bytes; with raw_n = 0: none. @retval RC_INVALID more than WIRE_RAW_MAX */
RC wire_set_raw(struct wire_message *m, const void *raw, size_t raw_n, struct error *err);
/** The pair's check of a raw frame. @retval RC_FORMAT it is not the one the header names */
RC wire_check_raw(const struct wire_message *m, const void *raw, size_t raw_n, struct error *err);

/**
 * Order within a sender's epochs: whoever receives keeps one for each sender. A number that does
 * not grow, or an epoch that another one has replaced, is a replay.
 */
enum { WIRE_EPOCHS_KEPT = 8 };
struct wire_order {
    uint64_t epoch, sequence;
    uint64_t past[WIRE_EPOCHS_KEPT];
    size_t n_past; /**< of all; the newest are kept in a ring */
};
/** @retval RC_STATE replayed or reordered: nothing changed */
RC wire_order_take(struct wire_order *o, const struct wire_message *m, struct error *err);

const char *wire_kind_name(enum wire_kind kind);

#endif
