/**
 * @file gateway_internal.h
 * The gateway's parts: the loop (gateway.c), messages and the session machine's actions
 * (gateway_session.c), tensors on their way (gateway_tensor.c), masked sums (gateway_masking.c),
 * evaluations (gateway_evaluation.c).
 */
#ifndef AGENT_APP_GATEWAY_INTERNAL_H
#define AGENT_APP_GATEWAY_INTERNAL_H

#include "agent/app/connection.h"
#include "agent/app/process.h"
#include "agent/app/refusals.h"
#include "agent/app/site.h"
#include "agent/pair/pair.h"
#include "agent/session/session.h"
#include "common/mask/mask.h"
#include "common/net/net.h"
#include "common/transfer/transfer.h"
#include "common/wire/wire.h"

/** With --once: how long what was handed over last may take to leave. */
enum { GATEWAY_LINGER_MS = 1500 };

/** Coordinator -> gateway -> trainer: the model of a round, or the final one. */
struct gateway_model {
    struct wire_tensor wanted;     /**< of the newest ROUND or DONE */
    struct transfer_in in;         /**< from the coordinator, into gateway/model */
    struct transfer_out out;       /**< to the trainer */
    struct transfer_hashes chunks; /**< as they came: they go on as they are */
    bool link_is_good; /**< the last one came without a halt: the next may come at once */
};

/** Trainer -> gateway -> coordinator: the update of a round, clipped, noised and in the ledger. */
struct gateway_update {
    uint64_t round; /**< 0: none */
    struct wire_tensor tensor;
    struct hash anchor;      /**< of its row in the ledger */
    struct transfer_in in;   /**< from the trainer, in memory */
    struct transfer_out out; /**< to the coordinator */
    struct transfer_hashes chunks;
    bool sending;            /**< the session asked for it */
    bool sent;               /**< the session was told that all of it has left */
    int64_t announce_due_ms; /**< say UPDATE (again) */
};

/** What the trainer said last in a masked round, signed: said again while the round may need it. */
struct gateway_said {
    enum wire_kind kind;
    uint64_t round; /**< 0: nothing */
    int64_t due_ms;
    size_t n;
    struct mask_portion portion[MASK_SLOTS_MAX];           /**< of shares while they are signed */
    unsigned char raw[MASK_SITES_MAX * MASK_REVEAL_BYTES]; /**< the largest */
};

/** The trainer's newest sign of life, not said yet. */
struct gateway_pulse {
    bool held;
    uint64_t round, step, steps;
    int64_t due_ms; /**< of the oldest that was held */
};

struct gateway_counts {
    uint64_t received, sent;
};

struct gateway {
    const struct process_params *p;
    struct site site; /**< name, address: no patient is in it */
    struct seal_keys *keys;
    struct seal_card coordinator;
    struct net_client *client;
    struct pair *pair;
    struct session session;
    struct hash study; /**< of this session; zero: none yet */
    struct hash ended; /**< of the study that ended last in this life */
    uint64_t epoch, sequence;
    struct wire_order order; /**< of the coordinator's messages */
    char reason[240];        /**< for DECLINE and CANNOT */
    bool trainer_up, ready_said;
    bool policy_due; /**< the trainer was asked about the study and has not said a word yet */
    bool training;   /**< the newest TRAIN has not been answered nor cancelled */
    uint64_t training_round; /**< it was about */
    size_t trains_out;       /**< TRAINs without an answer, cancelled ones too */
    uint64_t receipt_round;  /**< whose ACK was handed to the trainer */
    bool withdrawn;          /**< to be raised when the session can take it */
    char withdrawn_reason[240];
    bool ending;   /**< DONE is here; GOODBYE follows when the trainer has kept it */
    bool end_done; /**< the study reached its rounds */
    bool finished; /**< with --once: leave the loop */
    int64_t linger_until_ms;
    struct gateway_model model;
    struct gateway_update update;
    struct gateway_said said;
    struct gateway_pulse pulse;
    struct gateway_counts counts;
    struct connection connection; /**< as last written for `check` */
    int64_t connection_due_ms;    /**< when it is written again, changed or not */
    struct refusals refusals;
    struct wire_message in, out; /**< one of each at a time: large */
    unsigned char frame[WIRE_HEADER_MAX];
};

/* ---- gateway.c ------------------------------------------------------------------------------- */

/** Signs and hands over. *sent = false: not connected or full; what matters is repeated. */
RC gateway_say(struct gateway *g, struct wire_message *m, const void *raw, size_t raw_n, bool *sent,
               struct error *err);

/** The same of a frame that was hashed before: raw and raw_bytes of `m` are set. */
RC gateway_say_named(struct gateway *g, struct wire_message *m, const void *raw, bool *sent,
                     struct error *err);

/** With --once: the study is over for us, `g->end_done` says how. Kept in the spool, so that a
 *  gateway that is killed in its last moments does not wait for a study that will not come again. */
RC gateway_finish(struct gateway *g, struct error *err);

/* ---- gateway_session.c ----------------------------------------------------------------------- */

/** A frame from the coordinator: checked, then acted upon. Refusals are logged and counted, they are
 *  not failures. */
RC session_from_coordinator(struct gateway *g, const struct net_frames *frames, struct error *err);
RC session_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                        size_t raw_n, struct error *err);
RC session_tick(struct gateway *g, struct error *err);
/** When session_tick has something to do by time alone. */
int64_t session_due_ms(const struct gateway *g);
/** One event of the transport. */
RC session_sent(struct gateway *g, struct error *err);

/* ---- gateway_masking.c ----------------------------------------------------------------------- */

bool masking_is_from_coordinator(enum wire_kind kind);
bool masking_is_from_trainer(enum wire_kind kind);
/** To the trainer, if it is in that round. */
RC masking_from_coordinator(struct gateway *g, const struct wire_message *m, const void *raw,
                            size_t raw_n, struct error *err);
/** Signed and said. */
RC masking_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                        size_t raw_n, struct error *err);
/** Rounds up to here need nothing more. */
void masking_settled(struct gateway *g, uint64_t round);
void masking_reconnected(struct gateway *g);
/** When masking_tick has something to do. */
int64_t masking_due_ms(const struct gateway *g);
RC masking_tick(struct gateway *g, struct error *err);

/* ---- gateway_evaluation.c -------------------------------------------------------------------- */

/** EVALUATE: to the trainer, whatever the session is about. */
RC evaluation_from_coordinator(struct gateway *g, const struct wire_message *m, const void *raw,
                               size_t raw_n, struct error *err);
/** SCORES, UNSCORED: signed and said. */
RC evaluation_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                           size_t raw_n, struct error *err);

/* ---- gateway_tensor.c ------------------------------------------------------------------------ */

/** Leftovers of an earlier version: updates are in memory now, they stand in the ledger. */
void tensor_begin(struct gateway *g);
/** ROUND or DONE named a model. Nothing is fetched before the trainer asks. */
void tensor_want_model(struct gateway *g, const struct wire_tensor *tensor);
/** The study is over and the trainer has what it wanted. */
void tensor_forget_model(struct gateway *g);
/** The trainer holds this update (STORED, COMMITTED); fetched when the session asks to send it. */
void tensor_new_update(struct gateway *g, const struct wire_message *m);
/** SEND_UPDATE: fetched from the trainer, then announced until the coordinator asks. */
RC tensor_send_update(struct gateway *g, struct error *err);
/** The coordinator needs nothing more of it. */
void tensor_settle_update(struct gateway *g);
RC tensor_chunk_from_coordinator(struct gateway *g, const struct wire_message *m, const void *raw,
                                 size_t raw_n, struct error *err);
RC tensor_chunk_from_trainer(struct gateway *g, const struct wire_message *m, const void *raw,
                             size_t raw_n, struct error *err);
RC tensor_credit_from_coordinator(struct gateway *g, const struct wire_message *m,
                                  struct error *err);
RC tensor_credit_from_trainer(struct gateway *g, const struct wire_message *m, struct error *err);
/** The connection was made anew: what was in flight is asked for and announced again. */
void tensor_reconnected(struct gateway *g, int64_t now_ms);
/** Credits due, chunks allowed, announcements due. */
RC tensor_pump(struct gateway *g, struct error *err);
/** When tensor_pump has something to do by time alone. */
int64_t tensor_due_ms(const struct gateway *g);
void tensor_release(struct gateway *g);

#endif
