/**
 * @file trainer_internal.h
 * The trainer's parts: the loop and its inbox (trainer.c), the study it was asked about
 * (trainer_study.c), the round it works on (trainer_round.c), its part in masked sums
 * (trainer_masking.c), what a finished model does here (trainer_evaluation.c).
 */
#ifndef AGENT_APP_TRAINER_INTERNAL_H
#define AGENT_APP_TRAINER_INTERNAL_H

#include "agent/app/refusals.h"
#include "agent/app/roster.h"
#include "agent/app/site.h"
#include "agent/masking/masking.h"
#include "agent/pair/pair.h"
#include "agent/receipts/receipts.h"
#include "agent/train/train.h"
#include "common/agreement/agreement.h"
#include "common/transfer/transfer.h"

/** Messages that arrived while a round was being trained. The gateway has at most a handful on
 *  their way: more than this is its fault, and ends the trainer. */
enum { TRAINER_INBOX = 64 };

struct trainer_message {
    struct wire_message m;
    unsigned char *raw; /**< owned */
    size_t raw_n;
};

/** The study in hand: what was verified, and how far consent is. */
struct trainer_study {
    bool known;   /**< agreement verified */
    bool joined;  /**< the ledger holds it: rounds may be trained */
    bool pending; /**< waits for a person */
    bool model_open;
    struct agreement agreement;
    struct model model;
    size_t index;    /**< on the roster */
    char waits[240]; /**< what it waits for, as last logged */
    bool withdrawn_said;
    struct hash anchor; /**< the newest that the coordinator says it holds of us; zero: none */
};

/** The round in hand. */
struct trainer_round {
    uint64_t wanted;  /**< asked for and waiting for its model; 0: none */
    uint64_t running; /**< in train_round now; 0: none */
    bool cancelled;
    struct error fault; /**< of the pair, met in the middle of a round */
    struct wire_tensor model;
    struct transfer_in model_in; /**< in memory */
    bool has_result;
    bool waits;         /**< trained, and not told yet: its masks are not agreed on */
    bool masked;        /**< `result` is: masking_mask went over it */
    char given_up[240]; /**< why the running round is cancelled; "": the gateway asked for it */
    uint64_t result_round;
    struct hash result_model;
    struct train_result result;
};

/** The update that the gateway may fetch: a copy of what the ledger holds. */
struct trainer_update {
    struct transfer_out out;
    unsigned char *bytes; /**< [n] owned; wiped at its end */
    size_t n;
};

/** The finished model, fetched after the end. */
struct trainer_final {
    bool wanted;
    uint64_t round;
    struct wire_tensor tensor;
    struct transfer_in in;
};

/** The newest receipt, as long as there is something to do that others wait for. */
struct trainer_receipt {
    unsigned char *frame; /**< [n] owned; NULL: none */
    size_t n;
    int64_t due_ms; /**< then it is kept whatever else there is */
};

struct trainer {
    const char *folder;
    struct pair *pair;
    struct seal_card coordinator;
    struct site site;
    struct dataset *data;
    struct ledger *ledger;
    struct consent *consent;
    struct entropy entropy;
    struct trainer_study study;
    struct trainer_round round;
    struct masking *masking; /**< of the study in hand; NULL: nothing said in a masked round yet */
    struct masking_room *masking_room; /**< with it: what it says and hears, as bytes */
    struct trainer_update update;
    struct trainer_final final;
    struct trainer_receipt receipt;
    struct trainer_message *inbox; /**< [TRAINER_INBOX] */
    size_t inbox_n;
    int64_t consent_due_ms, pulse_due_ms;
    struct refusals refusals;
};

/** Fills study and sends. A full queue or a lost gateway is RC_LIMIT, RC_IO: the trainer ends. */
RC trainer_say(struct trainer *t, struct wire_message *m, const void *raw, size_t raw_n,
               struct error *err);

/** Opens site.yaml, cohort, ledger and consent anew: people may have changed them. What is open
 *  stays open if that fails. */
RC trainer_reopen(struct trainer *t, struct error *err);

/* ---- trainer_study.c ------------------------------------------------------------------------- */

/** STUDY arrived: verify, keep the signed bytes, decide. What cannot be verified gets no answer. */
RC study_arrived(struct trainer *t, const struct wire_message *m, const void *raw, size_t raw_n,
                 struct error *err);
/** A person may have approved or withdrawn. */
RC study_poll_consent(struct trainer *t, struct error *err);
/** Has a person withdrawn the study in hand? For the middle of a round. */
bool study_is_withdrawn(struct trainer *t);
/** DONE arrived: the ledger closes the study; the final model is fetched if there is one. */
RC study_ended(struct trainer *t, const struct wire_message *m, struct error *err);
void study_forget(struct trainer *t);

/* ---- trainer_round.c ------------------------------------------------------------------------- */

RC round_train(struct trainer *t, const struct wire_message *m, struct error *err);
RC round_cancel(struct trainer *t, uint64_t round, struct error *err);
RC round_commit(struct trainer *t, const struct wire_message *m, struct error *err);
/** The coordinator's signed ACK: round_keep_receipt when nothing else is to be done, soon in any case. */
RC round_receipt(struct trainer *t, const void *raw, size_t raw_n, struct error *err);
/** Is there one, and is it time? `idle`: nobody waits for us. */
bool round_receipt_is_due(const struct trainer *t, bool idle);
/** Verifies it and waits for the disk; then the ledger rests. Without one: nothing. */
RC round_keep_receipt(struct trainer *t, struct error *err);
/** A chunk of the model of the round, or of the final one. */
RC round_chunk(struct trainer *t, const struct wire_message *m, const void *raw, size_t raw_n,
               struct error *err);
/** The gateway asks for chunks of the update. */
RC round_credit(struct trainer *t, const struct wire_message *m, struct error *err);
/** Credits due and chunks allowed go out; a model that is complete is trained on. */
RC round_pump(struct trainer *t, struct error *err);
void round_release(struct trainer *t);

/** Masked: this round is over for us before it was masked; TRAIN gets its answer. Later: nothing. */
RC round_give_up(struct trainer *t, uint64_t round, const char *why, struct error *err);
/** Masked: the masks are agreed on. What is trained and waits is masked, and TRAINED said. */
RC round_can_mask(struct trainer *t, struct error *err);

/* ---- trainer_masking.c ----------------------------------------------------------------------- */

bool masking_wanted(const struct trainer *t);
/** Keys and cards that a masked study needs here; "" if all are there. People may mend it. */
void masking_obstacle(const struct trainer *t, char why[ROSTER_WHY]);
/** TRAIN of a masked round: says its key, or gives up. */
RC masking_opened(struct trainer *t, uint64_t round, const struct hash *model, struct error *err);
/** MASK_* of the coordinator. */
RC masking_heard(struct trainer *t, const struct wire_message *m, const void *raw, size_t raw_n,
                 struct error *err);
/** OUTCOME: the machine wipes what it had for that round. */
RC masking_over(struct trainer *t, const struct wire_message *m, struct error *err);
bool masking_is_ready(const struct trainer *t, uint64_t round);
void masking_forget(struct trainer *t);

/* ---- trainer_evaluation.c -------------------------------------------------------------------- */

/** EVALUATE: answered by SCORES, as the ledger holds them, or UNSCORED; by nothing while the finished model is
 *  still being fetched, and where the request is not the coordinator's. */
RC evaluation_asked(struct trainer *t, const struct wire_message *m, const void *raw, size_t raw_n,
                    struct error *err);

/* ---- trainer.c: for the middle of a round ---------------------------------------------------- */

/** Reads what has arrived into the inbox; notes a cancellation of the running round. */
RC trainer_listen(struct trainer *t, struct error *err);

#endif
